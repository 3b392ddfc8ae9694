/* cmd_explain.c: `tconv3d explain`: what the library would do for a layer, and why. Without arrays: sizes are enough. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tconv3d/layer_options.h"

struct explain_options {
  struct layer_options layer;
  int64_t input[5], channels, kernel[3];
  int input_rank;
  bool has_channels, has_kernel, no_bias;
  tconv3d_operation operation;
  tconv3d_desc layouts; /* whose layouts are taken */
};

enum { KEY_INPUT = 512, KEY_CHANNELS, KEY_KERNEL, KEY_NO_BIAS, KEY_OP, KEY_LAYOUT };

static const struct argp_option explain_options_table[] = {
    {"input", KEY_INPUT, "N,C,D,H,W", 0, "the input's shape; C,D,H,W for one without a batch axis", 0},
    {"channels", KEY_CHANNELS, "C_OUT", 0, "output channels", 0},
    {"kernel", KEY_KERNEL, "K", 0, "kernel size: one number, or three as D,H,W", 0},
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "of x and y: ncdhw (default) or ndhwc", 0},
    {"op", KEY_OP, "OP", 0, "forward (default), grad-input, grad-weight or grad-bias", 0},
    {"no-bias", KEY_NO_BIAS, NULL, 0, "a layer without a bias", 0},
    {0},
};

static error_t parse_input(const char *text, struct explain_options *options, const struct argp_state *state) {
  if (!parse_list("--input", text, options->input, 5, &options->input_rank, state_fault(state))) return EINVAL;
  if (options->input_rank >= 4) return 0;
  return parse_fault(state, "--input '%s': %d number%s, where 5 (N,C,D,H,W) or 4 (C,D,H,W) are needed", text,
                     options->input_rank, options->input_rank == 1 ? "" : "s");
}

static error_t check_complete(const struct explain_options *options, const struct argp_state *state) {
  if (!options->input_rank) return parse_fault(state, "explain needs --input N,C,D,H,W");
  if (!options->has_channels) return parse_fault(state, "explain needs --channels C_OUT");
  if (!options->has_kernel) return parse_fault(state, "explain needs --kernel K");
  return 0;
}

static error_t parse_explain(int key, char *arg, struct argp_state *state) {
  struct explain_options *options = state->input;
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
  case KEY_NO_BIAS: options->no_bias = true; return 0;
  case ARGP_KEY_END: return check_complete(options, state);
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child explain_children[] = {{.argp = &layer_argp}, {0}};
static const struct argp explain_argp = {
    .options = explain_options_table,
    .parser = parse_explain,
    .doc = "Prints the output's shape, the algorithm that is chosen for the layer and why, and the memory it takes.",
    .children = explain_children,
};

static void fill_desc(const struct explain_options *options, tconv3d_desc *desc) {
  const int64_t *sizes = options->input + (options->input_rank - 4);
  if (options->input_rank == 5) desc->batch = options->input[0];
  desc->in_channels = sizes[0];
  memcpy(desc->input_size, sizes + 1, sizeof desc->input_size);
  desc->out_channels = options->channels;
  memcpy(desc->kernel_size, options->kernel, sizeof desc->kernel_size);
  desc->has_bias = !options->no_bias;
  desc->x_layout = options->layouts.x_layout, desc->y_layout = options->layouts.y_layout;
}

static void print_shape(const int64_t shape[5], int rank) {
  printf("output shape     (");
  for (int axis = 5 - rank; axis < 5; axis++) printf("%" PRId64 "%s", shape[axis], axis < 4 ? ", " : ")\n");
}

static bool print_plan(const tconv3d_plan *plan, const tconv3d_device_info *device, tconv3d_operation operation, int rank,
                       struct fault *fault) {
  tconv3d_plan_info info;
  tconv3d_status status = tconv3d_plan_query(plan, &info);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  const char *text = tconv3d_plan_explain(plan);
  size_t length = strlen(text);
  print_shape(info.output_shape, operation == TCONV3D_GRAD_WEIGHT || operation == TCONV3D_GRAD_BIAS ? 5 : rank);
  printf("device           %u:%u %s (%s)\n", device->platform_index, device->device_index, device->name, device->platform_name);
  printf("algorithm        %s\n", info.algorithm);
  printf("x, w, y          %" PRIu64 ", %" PRIu64 ", %" PRIu64 " bytes\n", info.x_bytes, info.w_bytes, info.y_bytes);
  printf("workspace        %" PRIu64 " bytes a call\n", info.workspace_bytes);
  printf("packed weights   %" PRIu64 " bytes\n", info.packed_weight_bytes);
  printf("deterministic    %s\n", info.deterministic ? "yes" : "no");
  printf("\n%s%s", text, length && text[length - 1] != '\n' ? "\n" : "");
  return true;
}

static bool explain_on_device(const struct explain_options *options, const tconv3d_desc *desc, struct fault *fault) {
  tconv3d_context *context = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_device_info device;
  if (!open_context(&options->layer.device, &context, &device, fault)) return false;
  tconv3d_plan_options plan_options = TCONV3D_PLAN_OPTIONS_INIT;
  plan_options.algorithm = options->layer.device.algorithm;
  plan_options.operation = options->operation;
  tconv3d_status status = tconv3d_plan_create(context, desc, &plan_options, &plan);
  bool done = status == TCONV3D_OK || fault_from_status(fault, status);
  if (done) done = print_plan(plan, &device, options->operation, options->input_rank, fault);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return done;
}

int cmd_explain(int argc, char **argv) {
  struct explain_options options = {0};
  struct fault fault = {0};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  int64_t shape[5];
  if (!command_parse(&explain_argp, argc, argv, &options, &fault)) return command_error(&fault);
  fill_desc(&options, &desc);
  bool done = layer_options_apply(&options.layer, &desc, shape, &fault) && explain_on_device(&options, &desc, &fault);
  return done ? EXIT_DONE : command_error(&fault);
}
