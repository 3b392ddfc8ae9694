/* cmd_gradients.c: `tconv3d grad-input`, `grad-weight` and `grad-bias`: gradients of the layer from .npy files to a .npy file.
 * What can be refused without a device is refused before one is opened, the output's path too. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tconv3d/job.h"

enum { MAX_FILES = 3, KEY_KERNEL = 768 };

/* What one of the three commands reads, in the order of its arguments; the last file is written. */
struct gradient_kind {
  tconv3d_operation operation;
  const char *files; /* for messages */
  unsigned count;
  bool layer; /* takes the layer's options */
};

static const struct gradient_kind of_input = {TCONV3D_GRAD_INPUT, "GY.npy W.npy GX.npy", 3, true};
static const struct gradient_kind of_weight = {TCONV3D_GRAD_WEIGHT, "X.npy GY.npy GW.npy", 3, true};
static const struct gradient_kind of_bias = {TCONV3D_GRAD_BIAS, "GY.npy GB.npy", 2, false};

struct gradient_options {
  const struct gradient_kind *kind;
  struct layer_options layer;
  const char *files[MAX_FILES];
  int64_t kernel[3];
  bool has_kernel;
};

struct arrays {
  struct npy x, w, gy, target;
};

static error_t parse_end(const struct gradient_options *options, const struct argp_state *state) {
  const struct gradient_kind *kind = options->kind;
  const char *name = tconv3d_operation_name(kind->operation);
  if (state->arg_num < kind->count)
    return parse_fault(state, "%s needs %u files: %s (%u given)", name, kind->count, kind->files, state->arg_num);
  if (kind->operation == TCONV3D_GRAD_WEIGHT && !options->has_kernel)
    return parse_fault(state, "--kernel is missing: %s needs the kernel's size", name);
  return 0;
}

static error_t parse_gradient(int key, char *arg, struct argp_state *state) {
  struct gradient_options *options = state->input;
  const struct gradient_kind *kind = options->kind;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = kind->layer ? (void *)&options->layer : (void *)&options->layer.device; return 0;
  case KEY_KERNEL:
    options->has_kernel = true;
    return parse_triple("--kernel", arg, options->kernel, state_fault(state)) ? 0 : EINVAL;
  case ARGP_KEY_ARG:
    if (state->arg_num >= kind->count) return parse_fault(state, "unexpected argument '%s' after %s", arg, kind->files);
    options->files[state->arg_num] = arg;
    return 0;
  case ARGP_KEY_END: return parse_end(options, state);
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option weight_table[] = {
    {"kernel", KEY_KERNEL, "K", 0, "kernel_size, one number or three as D,H,W", 0}, {0}};
static const struct argp_child layer_children[] = {{.argp = &layer_argp}, {0}};
static const struct argp_child device_children[] = {{.argp = &device_argp}, {0}};

static const struct argp input_argp = {
    .parser = parse_gradient,
    .args_doc = "GY.npy W.npy GX.npy",
    .doc = "Writes to GX the gradient with respect to the layer's input, from GY, the gradient with respect to its output, and "
           "the weight W, shape (C_in, C_out/groups, kD, kH, kW). GX's spatial size is the one from which the options lead to "
           "GY's. Arrays are float32, float64 or float16; GX has GY's type.",
    .children = layer_children,
};
static const struct argp weight_argp = {
    .options = weight_table,
    .parser = parse_gradient,
    .args_doc = "X.npy GY.npy GW.npy",
    .doc = "Writes to GW, shape (C_in, C_out/groups, kD, kH, kW), the gradient with respect to the layer's weight, from its "
           "input X and GY, the gradient with respect to its output. Arrays are float32, float64 or float16; GW has X's type.",
    .children = layer_children,
};
static const struct argp bias_argp = {
    .parser = parse_gradient,
    .args_doc = "GY.npy GB.npy",
    .doc = "Writes to GB, shape (C_out), the gradient with respect to the layer's bias: GY summed over images and positions. "
           "Arrays are float32, float64 or float16; GB has GY's type.",
    .children = device_children,
};

static bool read_tensor(const char *path, const char *label, struct npy *array, struct fault *fault) {
  return job_read(path, label, 4, 5, "5 (N, C, D, H, W) or 4 (C, D, H, W) are", array, fault);
}

static bool read_arrays(const struct gradient_options *options, struct arrays *arrays, struct fault *fault) {
  const char *const *files = options->files;
  switch (options->kind->operation) {
  case TCONV3D_GRAD_INPUT:
    return read_tensor(files[0], "GY", &arrays->gy, fault) &&
           job_read(files[1], "W", 5, 5, "5 (C_in, C_out/groups, kD, kH, kW) are", &arrays->w, fault);
  case TCONV3D_GRAD_WEIGHT:
    return read_tensor(files[0], "X", &arrays->x, fault) && read_tensor(files[1], "GY", &arrays->gy, fault);
  default: return read_tensor(files[0], "GY", &arrays->gy, fault);
  }
}

/* An array's batch, 1 without one; and its channels and spatial size. */
static int64_t batch_of(const struct npy *array) {
  return array->rank == 5 ? array->shape[0] : 1;
}
static const int64_t *channels_of(const struct npy *array) {
  return array->shape + (array->rank - 4);
}

static const char axis_name[] = "DHW";

/* x's size along an axis from y's: in = (out - output_padding - 1 - dilation*(kernel-1) + 2*padding)/stride + 1, a whole number
 * of at least 1. Options out of their range are the library's to refuse, so such give any size here. */
static bool input_size(const struct gradient_options *options, const struct arrays *arrays, int axis, tconv3d_desc *desc,
                       struct fault *fault) {
  const struct layer_options *layer = &options->layer;
  int64_t out = channels_of(&arrays->gy)[1 + axis], stride = layer->stride[axis];
  __extension__ typedef __int128 wide; /* no option overflows it */
  wide spread = (wide)out - layer->output_padding[axis] - 1 - (wide)layer->dilation[axis] * (desc->kernel_size[axis] - 1) +
                2 * (wide)layer->padding[axis];
  desc->input_size[axis] = 1;
  if (stride < 1 || layer->padding[axis] < 0 || layer->dilation[axis] < 1 || layer->output_padding[axis] < 0) return true;
  if (spread >= 0 && spread % stride == 0 && spread / stride < INT64_MAX) {
    desc->input_size[axis] = (int64_t)(spread / stride) + 1;
    return true;
  }
  return fault_set(fault, EXIT_WRONG_USE,
                   "GY (%s): its size %" PRId64 " along axis %c is no output size of the layer (kernel_size %" PRId64
                   ", --stride %" PRId64 ", --padding %" PRId64 ", --output-padding %" PRId64 ", --dilation %" PRId64
                   "): no input size leads to it",
                   options->files[0], out, axis_name[axis], desc->kernel_size[axis], stride, layer->padding[axis],
                   layer->output_padding[axis], layer->dilation[axis]);
}

static bool desc_of_input(const struct gradient_options *options, const struct arrays *arrays, tconv3d_desc *desc,
                          struct fault *fault) {
  const struct npy *w = &arrays->w;
  int64_t groups = options->layer.groups;
  if (options->layer.has_output_size)
    return fault_set(fault, EXIT_WRONG_USE, "--output-size is GY's own size here: give --output-padding if there is any");
  desc->in_channels = w->shape[0];
  memcpy(desc->kernel_size, w->shape + 2, sizeof desc->kernel_size);
  if (__builtin_mul_overflow(w->shape[1], groups > 1 ? groups : 1, &desc->out_channels) ||
      desc->out_channels != channels_of(&arrays->gy)[0])
    return fault_set(fault, EXIT_WRONG_USE,
                     "GY (%s) has %" PRId64 " channels; W (%s) has %" PRId64 " (axis 1) times --groups %" PRId64,
                     options->files[0], channels_of(&arrays->gy)[0], options->files[1], w->shape[1], groups);
  for (int a = 0; a < 3; ++a)
    if (!input_size(options, arrays, a, desc, fault)) return false;
  return true;
}

static bool desc_of_weight(const struct gradient_options *options, const struct arrays *arrays, tconv3d_desc *desc,
                           struct fault *fault) {
  const struct npy *x = &arrays->x, *gy = &arrays->gy;
  memcpy(desc->kernel_size, options->kernel, sizeof desc->kernel_size);
  memcpy(desc->input_size, channels_of(x) + 1, sizeof desc->input_size);
  desc->in_channels = channels_of(x)[0];
  if (x->rank != gy->rank)
    return fault_set(fault, EXIT_WRONG_USE, "X (%s) has %d axes, GY (%s) has %d; they must be as many", options->files[0],
                     x->rank, options->files[1], gy->rank);
  if (batch_of(x) == batch_of(gy)) return true;
  return fault_set(fault, EXIT_WRONG_USE,
                   "X (%s) has a batch of %" PRId64 " (axis 0), GY (%s) of %" PRId64 "; they must be equal", options->files[0],
                   batch_of(x), options->files[1], batch_of(gy));
}

/* GY must have the size of the layer's output. */
static bool check_gy(const struct npy *gy, const int64_t shape[5], const char *path, struct fault *fault) {
  for (int a = 0; a < 3; ++a)
    if (channels_of(gy)[1 + a] != shape[2 + a])
      return fault_set(fault, EXIT_WRONG_USE,
                       "GY (%s) has size %" PRId64 " along axis %c; the layer's output has %" PRId64
                       " (--output-padding, --padding and the others say so)",
                       path, channels_of(gy)[1 + a], axis_name[a], shape[2 + a]);
  return true;
}

/* A bias' gradient is that of any layer with GY's shape: 1x1x1 kernels will do. Messages about that layer's input would say
 * nothing to the user. */
static bool desc_of_bias(const struct npy *gy, const char *path, tconv3d_desc *desc, struct fault *fault) {
  desc->in_channels = 1;
  memcpy(desc->input_size, channels_of(gy) + 1, sizeof desc->input_size);
  TCONV3D_ALL_AXES(desc->kernel_size, 1);
  for (int a = 0; a < 3; ++a)
    if (!desc->input_size[a])
      return fault_set(fault, EXIT_WRONG_USE, "GY (%s) has size 0 along axis %c; it must be at least 1", path, axis_name[a]);
  return true;
}

static bool make_desc(const struct gradient_options *options, const struct arrays *arrays, tconv3d_desc *desc,
                      struct fault *fault) {
  static const struct layer_options plain = {.stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
  const struct gradient_kind *kind = options->kind;
  int64_t shape[5];
  desc->batch = batch_of(&arrays->gy);
  desc->out_channels = channels_of(&arrays->gy)[0];
  if (kind->operation == TCONV3D_GRAD_INPUT && !desc_of_input(options, arrays, desc, fault)) return false;
  if (kind->operation == TCONV3D_GRAD_WEIGHT && !desc_of_weight(options, arrays, desc, fault)) return false;
  if (kind->operation == TCONV3D_GRAD_BIAS && !desc_of_bias(&arrays->gy, options->files[0], desc, fault)) return false;
  if (!layer_options_apply(kind->layer ? &options->layer : &plain, desc, shape, fault)) return false;
  return kind->operation != TCONV3D_GRAD_WEIGHT || check_gy(&arrays->gy, shape, options->files[1], fault);
}

/* All but the first array in types that go with its own, which is the result's. */
static bool set_types(struct arrays *arrays, tconv3d_desc *desc, struct fault *fault) {
  struct npy *first = arrays->x.data ? &arrays->x : &arrays->gy;
  if (first == &arrays->x && arrays->gy.type != first->type && !npy_convert(&arrays->gy, first->type, fault)) return false;
  if (!job_convert(&arrays->w, first->type, fault)) return false;
  desc->dtype = job_type(first->type);
  desc->weight_dtype = arrays->w.data ? job_type(arrays->w.type) : desc->dtype;
  return true;
}

/* The target's axes: as many as GY has, five for a weight, one for a bias. */
static bool compute(const struct gradient_options *options, const tconv3d_desc *desc, struct arrays *arrays,
                    struct fault *fault) {
  int64_t shape[5];
  tconv3d_operation operation = options->kind->operation;
  tconv3d_status status = tconv3d_target_shape(desc, operation, shape);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  int rank = operation == TCONV3D_GRAD_BIAS ? 1 : operation == TCONV3D_GRAD_WEIGHT ? 5 : arrays->gy.rank;
  struct job job = {.device = &options->layer.device,
                    .desc = desc,
                    .operation = operation,
                    .x = arrays->x.data,
                    .weight = arrays->w.data,
                    .gy = arrays->gy.data,
                    .target = &arrays->target,
                    .target_type = arrays->x.data ? arrays->x.type : arrays->gy.type,
                    .target_rank = rank,
                    .target_shape = shape + (rank == 4)};
  return job_run(&job, fault);
}

static int run_command(const struct gradient_kind *kind, const struct argp *argp, int argc, char **argv) {
  struct gradient_options options = {.kind = kind};
  struct fault fault = {0};
  struct arrays arrays = {0};
  struct output output = {0};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  bool done = command_parse(argp, argc, argv, &options, &fault) && read_arrays(&options, &arrays, &fault) &&
              make_desc(&options, &arrays, &desc, &fault) && set_types(&arrays, &desc, &fault) &&
              output_open(&output, options.files[kind->count - 1], &fault) && compute(&options, &desc, &arrays, &fault) &&
              npy_write_to(&output, &arrays.target, &fault) && output_commit(&output, &fault);
  output_abandon(&output);
  npy_free(&arrays.x);
  npy_free(&arrays.w);
  npy_free(&arrays.gy);
  npy_free(&arrays.target);
  return done ? EXIT_DONE : command_error(&fault);
}

int cmd_grad_input(int argc, char **argv) {
  return run_command(&of_input, &input_argp, argc, argv);
}

int cmd_grad_weight(int argc, char **argv) {
  return run_command(&of_weight, &weight_argp, argc, argv);
}

int cmd_grad_bias(int argc, char **argv) {
  return run_command(&of_bias, &bias_argp, argc, argv);
}
