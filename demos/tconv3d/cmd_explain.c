/* cmd_explain.c: `tconv3d explain`: what the library would do for a layer, and why. Without arrays: sizes are enough. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tconv3d/sizes_options.h"

static error_t parse_explain(int key, char *arg, struct argp_state *state) {
  (void)arg;
  if (key != ARGP_KEY_INIT) return ARGP_ERR_UNKNOWN;
  state->child_inputs[0] = state->input;
  return 0;
}

static const struct argp_child explain_children[] = {{.argp = &sizes_argp}, {0}};
static const struct argp explain_argp = {
    .parser = parse_explain,
    .doc = "Prints the output's shape, the algorithm that is chosen for the layer and why, and the memory it takes.",
    .children = explain_children,
};

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

static bool explain_on_device(const struct sizes_options *options, const tconv3d_desc *desc, struct fault *fault) {
  tconv3d_context *context = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_device_info device;
  if (!open_context(&options->layer.device, &context, &device, fault)) return false;
  tconv3d_plan_options plan_options = sizes_plan_options(options);
  tconv3d_status status = tconv3d_plan_create(context, desc, &plan_options, &plan);
  bool done = status == TCONV3D_OK || fault_from_status(fault, status);
  if (done) done = print_plan(plan, &device, options->operation, options->input_rank, fault);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return done;
}

int cmd_explain(int argc, char **argv) {
  struct sizes_options options = {0};
  struct fault fault = {0};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  if (!command_parse(&explain_argp, argc, argv, &options, &fault)) return command_error(&fault);
  bool done = sizes_options_apply(&options, &desc, &fault) && explain_on_device(&options, &desc, &fault);
  return done ? EXIT_DONE : command_error(&fault);
}
