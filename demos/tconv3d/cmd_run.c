/* cmd_run.c: `tconv3d run`: y = layer(x) from .npy files to a .npy file. What can be refused without a device is refused before
 * one is opened, the output's path too. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tconv3d/job.h"

struct run_options {
  struct layer_options layer;
  const char *files[3]; /* X, W, Y */
  const char *bias;
};

struct arrays {
  struct npy x, w, b, y;
};

static error_t parse_run(int key, char *arg, struct argp_state *state) {
  struct run_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->layer; return 0;
  case 'b': options->bias = arg; return 0;
  case ARGP_KEY_ARG:
    if (state->arg_num >= 3) return parse_fault(state, "unexpected argument '%s' after X.npy W.npy Y.npy", arg);
    options->files[state->arg_num] = arg;
    return 0;
  case ARGP_KEY_END:
    if (state->arg_num < 3) return parse_fault(state, "run needs three files: X.npy W.npy Y.npy (%u given)", state->arg_num);
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option run_options_table[] = {{"bias", 'b', "B.npy", 0, "the bias, one number an output channel", 0},
                                                       {0}};
static const struct argp_child run_children[] = {{.argp = &layer_argp}, {0}};
static const struct argp run_argp = {
    .options = run_options_table,
    .parser = parse_run,
    .args_doc = "X.npy W.npy Y.npy",
    .doc = "Runs the layer on X, shape (N, C_in, D, H, W) or (C_in, D, H, W), with the weight W, shape (C_in, C_out/groups, "
           "kD, kH, kW), "
           "and writes the result to Y. Arrays are float32, float64 or float16; Y has X's type.",
    .children = run_children,
};

static bool read_arrays(const struct run_options *options, struct arrays *arrays, struct fault *fault) {
  return job_read(options->files[0], "X", 4, 5, "5 (N, C, D, H, W) or 4 (C, D, H, W) are", &arrays->x, fault) &&
         job_read(options->files[1], "W", 5, 5, "5 (C_in, C_out/groups, kD, kH, kW) are", &arrays->w, fault) &&
         (!options->bias || job_read(options->bias, "bias", 1, 1, "1 (C_out) is", &arrays->b, fault));
}

/* The descriptor's sizes from the arrays' shapes. groups is not checked here: a wrong one is the library's to refuse. */
static bool sizes_from_arrays(const struct run_options *options, const struct arrays *arrays, tconv3d_desc *desc,
                              struct fault *fault) {
  const struct npy *x = &arrays->x, *w = &arrays->w;
  const int64_t *of_x = x->shape + (x->rank - 4), groups = options->layer.groups;
  desc->batch = x->rank == 5 ? x->shape[0] : 1;
  desc->in_channels = of_x[0];
  memcpy(desc->input_size, of_x + 1, sizeof desc->input_size);
  memcpy(desc->kernel_size, w->shape + 2, sizeof desc->kernel_size);
  desc->has_bias = options->bias != NULL;
  if (w->shape[0] != desc->in_channels)
    return fault_set(fault, EXIT_WRONG_USE,
                     "X (%s) has %" PRId64 " channels (axis %d), W (%s) is for %" PRId64 " (axis 0); they must be equal",
                     options->files[0], desc->in_channels, x->rank - 4, options->files[1], w->shape[0]);
  if (__builtin_mul_overflow(w->shape[1], groups > 1 ? groups : 1, &desc->out_channels))
    return fault_set(fault, EXIT_WRONG_USE,
                     "--groups %" PRId64 ": with W's axis 1 of %" PRId64 " the channels do not fit in 63 bits", groups,
                     w->shape[1]);
  return true;
}

static bool check_bias(const struct run_options *options, const struct npy *b, const tconv3d_desc *desc, struct fault *fault) {
  if (!desc->has_bias || b->shape[0] == desc->out_channels) return true;
  return fault_set(fault, EXIT_WRONG_USE,
                   "bias (%s) has %" PRId64 " elements; the layer has %" PRId64 " output channels (W's axis 1 times groups)",
                   options->bias, b->shape[0], desc->out_channels);
}

static bool compute(const struct device_options *device, const tconv3d_desc *desc, const int64_t shape[5],
                    struct arrays *arrays, struct fault *fault) {
  int skipped = 5 - arrays->x.rank; /* an unbatched x has an unbatched y */
  struct job job = {.device = device,
                    .desc = desc,
                    .operation = TCONV3D_FORWARD,
                    .x = arrays->x.data,
                    .weight = arrays->w.data,
                    .bias = arrays->b.data,
                    .target = &arrays->y,
                    .target_type = arrays->x.type,
                    .target_rank = 5 - skipped,
                    .target_shape = shape + skipped};
  return job_run(&job, fault);
}

/* W and the bias in one type that goes with X's. */
static bool set_types(struct arrays *arrays, tconv3d_desc *desc, struct fault *fault) {
  if (!job_convert(&arrays->w, arrays->x.type, fault)) return false;
  if (desc->has_bias && arrays->b.type != arrays->w.type &&
      !npy_convert(&arrays->w, arrays->x.type == NPY_F64 ? NPY_F64 : NPY_F32, fault))
    return false;
  if (desc->has_bias && arrays->b.type != arrays->w.type && !npy_convert(&arrays->b, arrays->w.type, fault)) return false;
  desc->dtype = job_type(arrays->x.type);
  desc->weight_dtype = job_type(arrays->w.type);
  return true;
}

int cmd_run(int argc, char **argv) {
  struct run_options options = {0};
  struct fault fault = {0};
  struct arrays arrays = {0};
  struct output output = {0};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  int64_t shape[5];
  bool done = command_parse(&run_argp, argc, argv, &options, &fault) && read_arrays(&options, &arrays, &fault) &&
              sizes_from_arrays(&options, &arrays, &desc, &fault) &&
              layer_options_apply(&options.layer, &desc, shape, &fault) && check_bias(&options, &arrays.b, &desc, &fault) &&
              set_types(&arrays, &desc, &fault) && output_open(&output, options.files[2], &fault) &&
              compute(&options.layer.device, &desc, shape, &arrays, &fault) && npy_write_to(&output, &arrays.y, &fault) &&
              output_commit(&output, &fault);
  output_abandon(&output);
  npy_free(&arrays.x);
  npy_free(&arrays.w);
  npy_free(&arrays.b);
  npy_free(&arrays.y);
  return done ? EXIT_DONE : command_error(&fault);
}
