/* sizes_options.c: see sizes_options.h. */
#include "tconv3d/sizes_options.h"

#include <errno.h>
#include <string.h>

enum { KEY_INPUT = 512, KEY_CHANNELS, KEY_KERNEL, KEY_NO_BIAS, KEY_OP, KEY_LAYOUT, KEY_DTYPE };

static const struct argp_option sizes_options_table[] = {
    {"input", KEY_INPUT, "N,C,D,H,W", 0, "the input's shape; C,D,H,W for one without a batch axis", 0},
    {"channels", KEY_CHANNELS, "C_OUT", 0, "output channels", 0},
    {"kernel", KEY_KERNEL, "K", 0, "kernel size: one number, or three as D,H,W", 0},
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "of x and y: ncdhw (default) or ndhwc", 0},
    {"dtype", KEY_DTYPE, "TYPE", 0, "f32 (default), f64, f16 or bf16, of all tensors", 0},
    {"op", KEY_OP, "OP", 0, "forward (default), grad-input, grad-weight or grad-bias", 0},
    {"no-bias", KEY_NO_BIAS, NULL, 0, "a layer without a bias", 0},
    {0},
};

static error_t parse_input(const char *text, struct sizes_options *options, const struct argp_state *state) {
  if (!parse_list("--input", text, options->input, 5, &options->input_rank, state_fault(state))) return EINVAL;
  if (options->input_rank >= 4) return 0;
  return parse_fault(state, "--input '%s': %d number%s, where 5 (N,C,D,H,W) or 4 (C,D,H,W) are needed", text,
                     options->input_rank, options->input_rank == 1 ? "" : "s");
}

static error_t parse_type(const char *text, struct sizes_options *options, const struct argp_state *state) {
  static const char *const words[] = {
      [TCONV3D_F32] = "f32", [TCONV3D_F64] = "f64", [TCONV3D_F16] = "f16", [TCONV3D_BF16] = "bf16"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcmp(text, words[i]) != 0) continue;
    options->dtype = (tconv3d_dtype)i;
    return 0;
  }
  return parse_fault(state, "--dtype '%s': it must be f32, f64, f16 or bf16", text);
}

static error_t check_complete(const struct sizes_options *options, const struct argp_state *state) {
  if (!options->input_rank) return parse_fault(state, "a layer needs --input N,C,D,H,W");
  if (!options->has_channels) return parse_fault(state, "a layer needs --channels C_OUT");
  if (!options->has_kernel) return parse_fault(state, "a layer needs --kernel K");
  return 0;
}

static error_t parse_sizes(int key, char *arg, struct argp_state *state) {
  struct sizes_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->layer; return 0;
  case KEY_INPUT: return parse_input(arg, options, state);
  case KEY_CHANNELS:
    options->has_channels = true;
    return parse_number("--channels", arg, &options->channels, state_fault(state)) ? 0 : EINVAL;
  case KEY_KERNEL:
    options->has_kernel = true;
    return parse_triple("--kernel", arg, options->kernel, state_fault(state)) ? 0 : EINVAL;
  case KEY_OP: return parse_operation(arg, TCONV3D_GRAD_BIAS, &options->operation, state_fault(state)) ? 0 : EINVAL;
  case KEY_LAYOUT: return parse_layout(arg, &options->layouts, state_fault(state)) ? 0 : EINVAL;
  case KEY_DTYPE: return parse_type(arg, options, state);
  case KEY_NO_BIAS: options->no_bias = true; return 0;
  case ARGP_KEY_END: return check_complete(options, state);
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child sizes_children[] = {{.argp = &layer_argp}, {0}};
const struct argp sizes_argp = {.options = sizes_options_table, .parser = parse_sizes, .children = sizes_children};

static void fill_desc(const struct sizes_options *options, tconv3d_desc *desc) {
  const int64_t *sizes = options->input + (options->input_rank - 4);
  if (options->input_rank == 5) desc->batch = options->input[0];
  desc->in_channels = sizes[0];
  memcpy(desc->input_size, sizes + 1, sizeof desc->input_size);
  desc->out_channels = options->channels;
  memcpy(desc->kernel_size, options->kernel, sizeof desc->kernel_size);
  desc->dtype = desc->weight_dtype = options->dtype;
  desc->has_bias = !options->no_bias;
  desc->x_layout = options->layouts.x_layout, desc->y_layout = options->layouts.y_layout;
}

bool sizes_options_apply(const struct sizes_options *options, tconv3d_desc *desc, struct fault *fault) {
  int64_t shape[5];
  fill_desc(options, desc);
  return layer_options_apply(&options->layer, desc, shape, fault);
}

tconv3d_plan_options sizes_plan_options(const struct sizes_options *options) {
  tconv3d_plan_options plan = TCONV3D_PLAN_OPTIONS_INIT;
  plan.algorithm = options->layer.device.algorithm;
  plan.operation = options->operation;
  return plan;
}
