/* cmd_bench.c: `tconv3d bench`: how fast layers run on the device, beside what the device can do at best. A call is timed from
 * its enqueue to its completion, on device buffers, everything that a call does included, weights already packed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tconv3d/command.h"
#include "tconv3d/progress.h"
#include "tconv3d/shapes.h"

struct bench_options {
  struct device_options device;
  const char *shapes;
  double seconds;
  bool json;
};

struct bench {
  tconv3d_context *context;
  tconv3d_device_info device;
  cl_command_queue queue;
  tconv3d_roofline roofline;
};

/* The layer's figures. */
struct result {
  tconv3d_plan_info plan;
  size_t runs;
  double median, least, gflops, gbytes;
};

enum { KEY_SHAPES = 512, KEY_OP, KEY_DTYPE, KEY_SECONDS, KEY_JSON };

static const struct argp_option bench_option_table[] = {
    {"shapes", KEY_SHAPES, "FILE", 0,
     "the layers to measure (default: a built-in list), a line each: name N Cin Cout D,H,W kernel stride padding "
     "output_padding dilation groups",
     0},
    {"op", KEY_OP, "OP", 0, "forward", 0},
    {"dtype", KEY_DTYPE, "TYPE", 0, "f32", 0},
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

/* Whether word is one of the words of a list separated by blanks. */
static bool is_word_of(const char *word, const char *list) {
  size_t length = strlen(word);
  for (const char *at = list; *at; at += strcspn(at, " "), at += *at == ' ')
    if (strcspn(at, " ") == length && !strncmp(at, word, length)) return true;
  return false;
}

static error_t parse_one_of(const char *option, const char *text, const char *served, const char *planned,
                            const struct argp_state *state) {
  if (!strcmp(text, served)) return 0;
  if (is_word_of(text, planned)) return parse_fault(state, "%s '%s': not in this version, which has %s", option, text, served);
  return parse_fault(state, "%s '%s': it must be %s", option, text, served);
}

static error_t parse_bench(int key, char *arg, struct argp_state *state) {
  struct bench_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case KEY_SHAPES: options->shapes = arg; return 0;
  case KEY_OP: return parse_one_of("--op", arg, "forward", "grad-input grad-weight", state);
  case KEY_DTYPE: return parse_one_of("--dtype", arg, "f32", "f64 f16 bf16", state);
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
        "the part of the roofline reached, whose two limits are measured first.",
    .children = bench_children,
};

/* Numbers in [-1, 1) that no compiler or kernel can guess and that are no denormals. */
static float *make_values(size_t count) {
  float *values = malloc((count ? count : 1) * sizeof *values);
  uint32_t state = 1;
  for (size_t i = 0; values && i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
  }
  return values;
}

static bool cl_fault(struct fault *fault, const char *call, cl_int error) {
  return error == CL_SUCCESS ? true : fault_set(fault, EXIT_OTHER, "%s failed with OpenCL error %d", call, (int)error);
}

static bool make_buffer(const struct bench *bench, uint64_t bytes, bool filled, tconv3d_buffer *buffer, struct fault *fault) {
  float *values = filled ? make_values(bytes / sizeof(float)) : NULL;
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

/* One warm-up, then at least three calls, until the time is over or the list full. */
static bool time_calls(const struct bench *bench, double seconds, const tconv3d_plan *plan, const tconv3d_weights *weights,
                       const tconv3d_buffer tensors[2], struct result *result, struct fault *fault) {
  enum { MAX_RUNS = 20000 };
  double *times = malloc(MAX_RUNS * sizeof *times), end = 0;
  if (!times) return fault_set(fault, EXIT_OTHER, "out of memory");
  bool done = true;
  result->runs = 0;
  for (bool warm = false; done && result->runs < MAX_RUNS;) {
    double start = seconds_now();
    if (warm && result->runs >= 3 && start >= end) break;
    tconv3d_status status = tconv3d_enqueue(plan, weights, bench->queue, tensors[0], tensors[1], NULL, 0, NULL, NULL);
    done = status == TCONV3D_OK ? cl_fault(fault, "clFinish", clFinish(bench->queue)) : fault_from_status(fault, status);
    double stop = seconds_now();
    if (warm)
      times[result->runs++] = stop - start;
    else
      end = stop + seconds, warm = true;
  }
  if (done) {
    qsort(times, result->runs, sizeof *times, ascending);
    result->median = times[result->runs / 2];
    result->least = times[0];
  }
  free(times);
  return done;
}

/* Tensors: 0 x, 1 y, 2 w, 3 b. */
static bool bench_plan(const struct bench *bench, double seconds, const tconv3d_desc *desc, const tconv3d_plan *plan,
                       struct result *result, struct fault *fault) {
  tconv3d_buffer tensors[4] = {0};
  tconv3d_weights *weights = NULL;
  bool done = make_buffer(bench, result->plan.x_bytes, true, &tensors[0], fault) &&
              make_buffer(bench, result->plan.y_bytes, false, &tensors[1], fault) &&
              make_buffer(bench, result->plan.w_bytes, true, &tensors[2], fault) &&
              make_buffer(bench, (uint64_t)desc->out_channels * sizeof(float), true, &tensors[3], fault);
  if (done) {
    tconv3d_status status = tconv3d_weights_create(plan, bench->queue, tensors[2], &tensors[3], 0, NULL, NULL, &weights);
    done = status == TCONV3D_OK ? true : fault_from_status(fault, status);
  }
  if (done) done = time_calls(bench, seconds, plan, weights, tensors, result, fault);
  tconv3d_weights_destroy(weights);
  for (int i = 0; i < 4; ++i)
    if (tensors[i].mem) clReleaseMemObject(tensors[i].mem);
  return done;
}

static double giga_flops(const tconv3d_desc *desc) {
  double flops = 2e-9 * (double)desc->batch * (double)desc->in_channels * ((double)desc->out_channels / (double)desc->groups);
  for (int a = 0; a < 3; ++a) flops *= (double)desc->input_size[a] * (double)desc->kernel_size[a];
  return flops;
}

static bool bench_shape(const struct bench *bench, const struct bench_options *options, const struct shape *shape,
                        struct result *result, struct fault *fault) {
  tconv3d_plan_options plan_options = TCONV3D_PLAN_OPTIONS_INIT;
  plan_options.algorithm = options->device.algorithm;
  tconv3d_plan *plan = NULL;
  tconv3d_status status = tconv3d_plan_create(bench->context, &shape->desc, &plan_options, &plan);
  if (status == TCONV3D_OK) status = tconv3d_plan_query(plan, &result->plan);
  struct fault inner = {0};
  bool done = status == TCONV3D_OK ? bench_plan(bench, options->seconds, &shape->desc, plan, result, &inner)
                                   : fault_from_status(&inner, status);
  tconv3d_plan_destroy(plan);
  if (!done) return fault_set(fault, inner.exit_code, "%s: %.1900s", shape->name, inner.text);
  result->gflops = giga_flops(&shape->desc) / result->median;
  result->gbytes = 1e-9 * (double)(result->plan.x_bytes + result->plan.w_bytes + result->plan.y_bytes);
  return true;
}

/* The least time that the roofline allows, over the time taken. */
static double part_of_roofline(const struct bench *bench, const struct result *result) {
  double by_flops = result->gflops * result->median * 1e9 / bench->roofline.flops_per_second;
  double by_bytes = result->gbytes * 1e9 / bench->roofline.bytes_per_second;
  return (by_flops > by_bytes ? by_flops : by_bytes) / result->median;
}

static bool print_json(const struct bench *bench, const struct shape *shape, const struct result *result, struct fault *fault) {
  cJSON *object = cJSON_CreateObject();
  bool whole =
      cJSON_AddStringToObject(object, "name", shape->name) && cJSON_AddStringToObject(object, "op", "forward") &&
      cJSON_AddStringToObject(object, "dtype", "f32") && cJSON_AddStringToObject(object, "device", bench->device.name) &&
      cJSON_AddStringToObject(object, "algo", result->plan.algorithm) &&
      cJSON_AddNumberToObject(object, "runs", (double)result->runs) &&
      cJSON_AddNumberToObject(object, "median_s", result->median) && cJSON_AddNumberToObject(object, "min_s", result->least) &&
      cJSON_AddNumberToObject(object, "gflops", result->gflops) &&
      cJSON_AddNumberToObject(object, "workspace", (double)result->plan.workspace_bytes) &&
      cJSON_AddNumberToObject(object, "peak_gflops", bench->roofline.flops_per_second * 1e-9) &&
      cJSON_AddNumberToObject(object, "copy_gbs", bench->roofline.bytes_per_second * 1e-9);
  char *text = whole ? cJSON_PrintUnformatted(object) : NULL;
  if (text) puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
  return text ? true : fault_set(fault, EXIT_OTHER, "out of memory");
}

static void print_heading(const struct bench *bench) {
  printf("%s: %.0f GFLOP/s of multiply-adds, copies at %.1f GB/s\n", bench->device.name,
         bench->roofline.flops_per_second * 1e-9, bench->roofline.bytes_per_second * 1e-9);
  printf("%-12s %-8s %10s %10s %9s %7s %6s %7s\n", "layer", "algo", "median ms", "min ms", "GFLOP/s", "% peak", "% roof",
         "runs");
}

static void print_row(const struct bench *bench, const struct shape *shape, const struct result *result) {
  printf("%-12s %-8s %10.3f %10.3f %9.2f %7.1f %6.1f %7zu\n", shape->name, result->plan.algorithm, 1e3 * result->median,
         1e3 * result->least, result->gflops, 1e11 * result->gflops / bench->roofline.flops_per_second,
         100 * part_of_roofline(bench, result), result->runs);
}

static bool bench_all(struct bench *bench, const struct bench_options *options, const struct shapes *shapes,
                      struct fault *fault) {
  struct progress progress;
  tconv3d_status status = tconv3d_measure_roofline(bench->context, NULL, &bench->roofline);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (!options->json) print_heading(bench);
  progress_start(&progress, (int64_t)shapes->count, "bench");
  bool done = true;
  for (size_t i = 0; done && i < shapes->count; ++i) {
    struct result result = {0};
    done = bench_shape(bench, options, &shapes->list[i], &result, fault);
    progress_end(&progress);
    if (done && options->json)
      done = print_json(bench, &shapes->list[i], &result, fault);
    else if (done)
      print_row(bench, &shapes->list[i], &result);
    fflush(stdout);
    progress_step(&progress, 1);
  }
  progress_end(&progress);
  return done;
}

static bool bench_on_device(const struct bench_options *options, const struct shapes *shapes, struct fault *fault) {
  struct bench bench = {0};
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
