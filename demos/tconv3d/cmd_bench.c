/* cmd_bench.c: `tconv3d bench`: how fast layers run on the device, beside what the device can do at best. A call is timed from
 * its enqueue to its completion, on device buffers, everything that a call does included, weights already packed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/half.h"
#include "tconv3d/bench_epilogue.h"
#include "tconv3d/bench_report.h"
#include "tconv3d/command.h"
#include "tconv3d/progress.h"
#include "tconv3d/shapes.h"

struct bench_options {
  struct device_options device;
  const char *shapes;
  double seconds;
  bool json;
  tconv3d_operation operation;
  tconv3d_desc layouts; /* whose layouts are taken */
  tconv3d_epilogue epilogue;
  size_t type; /* in types */
};

/* What the layers share. The context serves the roofline; each layer has one of its own in the same cl_context. */
struct bench {
  tconv3d_context *context;
  tconv3d_device_info device;
  cl_command_queue queue;
  size_t type;
};

enum { KEY_SHAPES = 512, KEY_OP, KEY_DTYPE, KEY_SECONDS, KEY_JSON, KEY_LAYOUT, KEY_EPILOGUE };

static const struct argp_option bench_option_table[] = {
    {"shapes", KEY_SHAPES, "FILE", 0,
     "the layers to measure (default: a built-in list), a line each: name N Cin Cout D,H,W kernel stride padding "
     "output_padding dilation groups",
     0},
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "of x and y: ncdhw (default) or ndhwc", 0},
    {"op", KEY_OP, "OP", 0, "forward (default), grad-input or grad-weight", 0},
    {"epilogue", KEY_EPILOGUE, "NAME", 0, "an activation by its name, affine or residual, fused into the forward operation", 0},
    {"dtype", KEY_DTYPE, "TYPE", 0, "f32 (default), f64, f16 or bf16, of all tensors", 0},
    {"seconds", KEY_SECONDS, "S", 0, "how long to repeat each layer (default 0.5)", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object a line for each layer", 0},
    {0},
};

static error_t parse_seconds(const char *text, double *seconds, const struct argp_state *state) {
  char *end;
  *seconds = strtod(text, &end);
  if (*text && !*end && *seconds > 0 && *seconds <= 3600) return 0;
  return parse_fault(state, "--seconds '%s': it must be a number above 0 and up to 3600", text);
}

/* The types by their words, with the bytes of an element. */
static const struct {
  const char *word;
  tconv3d_dtype dtype;
  size_t size;
} types[] = {{"f32", TCONV3D_F32, 4}, {"f64", TCONV3D_F64, 8}, {"f16", TCONV3D_F16, 2}, {"bf16", TCONV3D_BF16, 2}};
enum { NUM_TYPES = sizeof types / sizeof *types };

static error_t parse_type(const char *text, size_t *type, const struct argp_state *state) {
  for (*type = 0; *type < NUM_TYPES; ++*type)
    if (!strcmp(text, types[*type].word)) return 0;
  return parse_fault(state, "--dtype '%s': it must be f32, f64, f16 or bf16", text);
}

static error_t parse_bench(int key, char *arg, struct argp_state *state) {
  struct bench_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case KEY_SHAPES: options->shapes = arg; return 0;
  case KEY_OP: return parse_operation(arg, TCONV3D_GRAD_WEIGHT, &options->operation, state_fault(state)) ? 0 : EINVAL;
  case KEY_EPILOGUE: return parse_epilogue(arg, &options->epilogue, state_fault(state)) ? 0 : EINVAL;
  case KEY_LAYOUT: return parse_layout(arg, &options->layouts, state_fault(state)) ? 0 : EINVAL;
  case KEY_DTYPE: return parse_type(arg, &options->type, state);
  case KEY_SECONDS: return parse_seconds(arg, &options->seconds, state);
  case KEY_JSON: options->json = true; return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child bench_children[] = {{.argp = &device_argp}, {0}};
static const struct argp bench_argp = {
    .options = bench_option_table,
    .parser = parse_bench,
    .doc =
        "Measures layers on the device: median time of a call, useful GFLOP/s (2 N Cin Cout/groups D H W kD kH kW a call), and "
        "the part of the roofline reached, whose two limits are measured first. Cold is the time from the plan's creation to "
        "the end of the first call, in a context that holds nothing: truly cold only when the caches are empty too. Plan is "
        "the creation of a second plan of the same layer.",
    .children = bench_children,
};

/* Numbers in [-1, 1) that no compiler or kernel can guess and that are no denormals. */
static void *make_values(size_t type, size_t count) {
  size_t size = types[type].size;
  char *values = malloc((count ? count : 1) * size);
  uint32_t state = 1;
  for (size_t i = 0; values && i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    double number = (double)(state >> 8) / 8388608.0 - 1.0;
    float single = (float)number;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    uint16_t half = types[type].dtype == TCONV3D_F16 ? half_from_double(number) : (uint16_t)(bits >> 16);
    const void *const as[] = {&single, &number, &half, &half};
    memcpy(values + i * size, as[type], size);
  }
  return values;
}

static bool cl_fault(struct fault *fault, const char *call, cl_int error) {
  return error == CL_SUCCESS ? true : fault_set(fault, EXIT_OTHER, "%s failed with OpenCL error %d", call, (int)error);
}

static bool make_buffer(const struct bench *bench, uint64_t bytes, bool filled, tconv3d_buffer *buffer, struct fault *fault) {
  void *values = filled ? make_values(bench->type, bytes / types[bench->type].size) : NULL;
  if (filled && !values) return fault_set(fault, EXIT_OTHER, "out of memory for %" PRIu64 " bytes", bytes);
  cl_int error;
  cl_mem_flags flags = filled ? CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE;
  *buffer = (tconv3d_buffer){clCreateBuffer(tconv3d_context_cl(bench->context), flags, bytes ? bytes : 4, values, &error), 0};
  free(values);
  return cl_fault(fault, "clCreateBuffer", error);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* What a call takes: the layer's tensors or, in their places, gradients. */
struct call {
  tconv3d_operation operation;
  const tconv3d_plan *plan;
  tconv3d_weights *weights;            /* NULL where the operation takes none */
  tconv3d_buffer x, y, w, b, residual; /* residual.mem NULL: none */
};

static tconv3d_status enqueue(const struct bench *bench, const struct call *call) {
  cl_command_queue queue = bench->queue;
  switch (call->operation) {
  case TCONV3D_GRAD_WEIGHT: return tconv3d_enqueue_gradient(call->plan, queue, call->x, call->y, call->w, NULL, 0, NULL, NULL);
  case TCONV3D_GRAD_INPUT: return tconv3d_enqueue(call->plan, call->weights, queue, call->y, call->x, NULL, 0, NULL, NULL);
  default: break;
  }
  if (!call->residual.mem) return tconv3d_enqueue(call->plan, call->weights, queue, call->x, call->y, NULL, 0, NULL, NULL);
  return tconv3d_enqueue_residual(call->plan, call->weights, queue, call->x, call->residual, call->y, NULL, 0, NULL, NULL);
}

/* Enqueues a call and waits for its end. */
static bool call_once(const struct bench *bench, const struct call *call, double *seconds, struct fault *fault) {
  double start = seconds_now();
  tconv3d_status status = enqueue(bench, call);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (!cl_fault(fault, "clFinish", clFinish(bench->queue))) return false;
  *seconds = seconds_now() - start;
  return true;
}

/* At least three calls, until the time is over or the list full. */
static bool time_calls(const struct bench *bench, double seconds, const struct call *call, struct bench_result *result,
                       struct fault *fault) {
  enum { MAX_RUNS = 20000 };
  double *times = malloc(MAX_RUNS * sizeof *times), end = seconds_now() + seconds;
  if (!times) return fault_set(fault, EXIT_OTHER, "out of memory");
  bool done = true;
  while (done && result->runs < MAX_RUNS && (result->runs < 3 || seconds_now() < end))
    done = call_once(bench, call, &times[result->runs++], fault);
  if (done) {
    qsort(times, result->runs, sizeof *times, ascending);
    result->median = times[result->runs / 2];
    result->least = times[0];
  }
  free(times);
  return done;
}

/* The weights and the first call, which end what is cold. */
static bool start_cold(const struct bench *bench, const tconv3d_epilogue *epilogue, struct call *call,
                       struct bench_result *result, struct fault *fault) {
  double start = seconds_now(), seconds;
  tconv3d_status status = TCONV3D_OK;
  if (call->operation != TCONV3D_GRAD_WEIGHT)
    status = tconv3d_weights_create(call->plan, bench->queue, call->w, call->operation == TCONV3D_FORWARD ? &call->b : NULL, 0,
                                    NULL, NULL, &call->weights);
  if (status == TCONV3D_OK) status = set_epilogue_channels(epilogue, call->weights, bench->queue, &call->b);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  bool done = call_once(bench, call, &seconds, fault);
  result->cold += seconds_now() - start;
  return done;
}

static bool bench_plan(const struct bench *bench, const struct bench_options *options, const tconv3d_desc *desc,
                       const tconv3d_plan *plan, struct bench_result *result, struct fault *fault) {
  struct call call = {.operation = options->operation, .plan = plan};
  bool residual = options->epilogue.residual != 0;
  bool done = make_buffer(bench, result->plan.x_bytes, true, &call.x, fault) &&
              make_buffer(bench, result->plan.y_bytes, options->operation != TCONV3D_FORWARD, &call.y, fault) &&
              make_buffer(bench, result->plan.w_bytes, true, &call.w, fault) &&
              make_buffer(bench, (uint64_t)desc->out_channels * types[bench->type].size, true, &call.b, fault) &&
              (!residual || make_buffer(bench, result->plan.y_bytes, true, &call.residual, fault)) &&
              start_cold(bench, &options->epilogue, &call, result, fault) &&
              time_calls(bench, options->seconds, &call, result, fault);
  tconv3d_weights_destroy(call.weights);
  const tconv3d_buffer buffers[] = {call.x, call.y, call.w, call.b, call.residual};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; ++i)
    if (buffers[i].mem) clReleaseMemObject(buffers[i].mem);
  return done;
}

static double giga_flops(const tconv3d_desc *desc) {
  double flops = 2e-9 * (double)desc->batch * (double)desc->in_channels * ((double)desc->out_channels / (double)desc->groups);
  for (int a = 0; a < 3; ++a) flops *= (double)desc->input_size[a] * (double)desc->kernel_size[a];
  return flops;
}

/* A plan and how long it took; status and message are the library's. */
static tconv3d_status make_plan(tconv3d_context *context, const struct bench_options *options, const struct shape *shape,
                                tconv3d_plan **plan, double *seconds) {
  tconv3d_plan_options plan_options = TCONV3D_PLAN_OPTIONS_INIT;
  plan_options.algorithm = options->device.algorithm;
  plan_options.operation = options->operation;
  plan_options.epilogue = options->epilogue;
  plan_options.allow_clblast = 1; /* the cl_context is the command's own */
  double start = seconds_now();
  tconv3d_desc desc = shape->desc;
  desc.dtype = desc.weight_dtype = types[options->type].dtype;
  desc.x_layout = options->layouts.x_layout, desc.y_layout = options->layouts.y_layout;
  tconv3d_status status = tconv3d_plan_create(context, &desc, &plan_options, plan);
  *seconds = seconds_now() - start;
  return status;
}

static bool bench_layer(const struct bench *bench, const struct bench_options *options, const struct shape *shape,
                        tconv3d_context *context, struct bench_result *result, struct fault *fault) {
  tconv3d_plan *plan = NULL, *second = NULL;
  tconv3d_status status = make_plan(context, options, shape, &plan, &result->cold);
  if (status == TCONV3D_OK) status = make_plan(context, options, shape, &second, &result->warm_plan);
  if (status == TCONV3D_OK) status = tconv3d_plan_query(plan, &result->plan);
  bool done =
      status == TCONV3D_OK ? bench_plan(bench, options, &shape->desc, plan, result, fault) : fault_from_status(fault, status);
  tconv3d_plan_destroy(second);
  tconv3d_plan_destroy(plan);
  return done;
}

/* In a context of its own, so that no layer finds the programs of those before it. */
static bool bench_shape(const struct bench *bench, const struct bench_options *options, const struct shape *shape,
                        struct bench_result *result, struct fault *fault) {
  tconv3d_context *context = NULL;
  struct fault inner = {0};
  *result = (struct bench_result){.name = shape->name,
                                  .operation = options->operation,
                                  .type = types[options->type].word,
                                  .layout = options->layouts.x_layout ? "ndhwc" : "ncdhw",
                                  .epilogue = epilogue_word(&options->epilogue)};
  tconv3d_status status = tconv3d_context_adopt(tconv3d_context_cl(bench->context), NULL, 0, &context);
  bool done =
      status == TCONV3D_OK ? bench_layer(bench, options, shape, context, result, &inner) : fault_from_status(&inner, status);
  tconv3d_context_destroy(context);
  if (!done) return fault_set(fault, inner.exit_code, "%s: %.1900s", shape->name, inner.text);
  result->gflop = giga_flops(&shape->desc);
  uint64_t residual_bytes = options->epilogue.residual != 0 ? result->plan.y_bytes : 0;
  result->gbyte = 1e-9 * (double)(result->plan.x_bytes + result->plan.w_bytes + result->plan.y_bytes + residual_bytes);
  return true;
}

/* Its program is no layer's, so none can be dumped: where nothing may be built there is no roofline, and a line says so. */
static bool measure_roofline(const struct bench *bench, tconv3d_roofline *roofline, struct fault *fault) {
  tconv3d_status status = tconv3d_measure_roofline(bench->context, NULL, roofline);
  if (status != TCONV3D_OK && status != TCONV3D_NO_BINARY) return fault_from_status(fault, status);
  if (status == TCONV3D_OK) return true;
  *roofline = (tconv3d_roofline){0};
  fprintf(stderr, "tconv3d: the roofline is not measured: its program must be built, which TCONV3D_NO_BUILD forbids\n");
  return true;
}

static bool bench_all(const struct bench *bench, const struct bench_options *options, const struct shapes *shapes,
                      struct fault *fault) {
  struct progress progress;
  struct bench_report report;
  tconv3d_roofline roofline;
  if (!measure_roofline(bench, &roofline, fault)) return false;
  bench_report_start(&report, bench->device.name, &roofline, options->json);
  progress_start(&progress, (int64_t)shapes->count, "bench");
  bool done = true;
  for (size_t i = 0; done && i < shapes->count; ++i) {
    struct bench_result result;
    done = bench_shape(bench, options, &shapes->list[i], &result, fault);
    progress_hide(&progress);
    if (done) done = bench_report_layer(&report, &result, fault);
    progress_step(&progress, 1);
  }
  progress_end(&progress);
  if (done) bench_report_end(&report);
  return done;
}

static bool bench_on_device(const struct bench_options *options, const struct shapes *shapes, struct fault *fault) {
  struct bench bench = {.type = options->type};
  if (!open_context(&options->device, &bench.context, &bench.device, fault)) return false;
  cl_int error;
  bench.queue = clCreateCommandQueue(tconv3d_context_cl(bench.context), bench.device.device, 0, &error);
  bool done = cl_fault(fault, "clCreateCommandQueue", error) && bench_all(&bench, options, shapes, fault);
  if (bench.queue) clReleaseCommandQueue(bench.queue);
  tconv3d_context_destroy(bench.context);
  return done;
}

int cmd_bench(int argc, char **argv) {
  struct bench_options options = {.seconds = 0.5};
  struct fault fault = {0};
  struct shapes shapes;
  if (!command_parse(&bench_argp, argc, argv, &options, &fault) || !shapes_read(options.shapes, &shapes, &fault))
    return command_error(&fault);
  bool done = bench_on_device(&options, &shapes, &fault);
  shapes_free(&shapes);
  return done ? EXIT_DONE : command_error(&fault);
}
