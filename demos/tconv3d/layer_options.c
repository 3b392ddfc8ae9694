/* layer_options.c: see layer_options.h. */
#include "tconv3d/layer_options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { KEY_STRIDE = 256, KEY_PADDING, KEY_OUTPUT_PADDING, KEY_DILATION, KEY_GROUPS, KEY_OUTPUT_SIZE };

static const struct argp_option options_table[] = {
    {"stride", KEY_STRIDE, "S", 0, "one number, or three as D,H,W (1)", 1},
    {"padding", KEY_PADDING, "P", 0, "what is cropped from each end of the output (0)", 1},
    {"output-padding", KEY_OUTPUT_PADDING, "Q", 0, "added at one end of the output (0)", 1},
    {"dilation", KEY_DILATION, "L", 0, "distance of the kernel's taps (1)", 1},
    {"groups", KEY_GROUPS, "G", 0, "groups of channels (1)", 1},
    {"output-size", KEY_OUTPUT_SIZE, "D,H,W", 0, "the wanted spatial size, instead of --output-padding", 1},
    {0},
};

static const struct {
  int key;
  const char *name;
  size_t member;
} triples[] = {
    {KEY_STRIDE, "--stride", offsetof(struct layer_options, stride)},
    {KEY_PADDING, "--padding", offsetof(struct layer_options, padding)},
    {KEY_OUTPUT_PADDING, "--output-padding", offsetof(struct layer_options, output_padding)},
    {KEY_DILATION, "--dilation", offsetof(struct layer_options, dilation)},
    {KEY_OUTPUT_SIZE, "--output-size", offsetof(struct layer_options, output_size)},
};

static void set_defaults(struct layer_options *options) {
  static const tconv3d_desc defaults = TCONV3D_DESC_INIT;
  memset(options, 0, sizeof *options);
  memcpy(options->stride, defaults.stride, sizeof options->stride);
  memcpy(options->padding, defaults.padding, sizeof options->padding);
  memcpy(options->output_padding, defaults.output_padding, sizeof options->output_padding);
  memcpy(options->dilation, defaults.dilation, sizeof options->dilation);
  options->groups = defaults.groups;
}

static error_t parse_triple_option(int key, const char *text, struct layer_options *options, const struct argp_state *state) {
  for (size_t i = 0; i < sizeof triples / sizeof *triples; i++) {
    if (key != triples[i].key) continue;
    int64_t values[3];
    if (!parse_triple(triples[i].name, text, values, state_fault(state))) return EINVAL;
    memcpy((char *)options + triples[i].member, values, sizeof values);
    options->has_output_padding |= key == KEY_OUTPUT_PADDING;
    options->has_output_size |= key == KEY_OUTPUT_SIZE;
    return 0;
  }
  return ARGP_ERR_UNKNOWN;
}

static error_t parse_layer(int key, char *arg, struct argp_state *state) {
  struct layer_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    set_defaults(options);
    state->child_inputs[0] = &options->device;
    return 0;
  case KEY_GROUPS: return parse_number("--groups", arg, &options->groups, state_fault(state)) ? 0 : EINVAL;
  case ARGP_KEY_END:
    if (options->has_output_padding && options->has_output_size)
      return parse_fault(state, "--output-size and --output-padding exclude each other: give one of them");
    return 0;
  default: return parse_triple_option(key, arg, options, state);
  }
}

static const struct argp_child children[] = {{.argp = &device_argp}, {0}};
const struct argp layer_argp = {.options = options_table, .parser = parse_layer, .children = children};

bool layer_options_apply(const struct layer_options *options, tconv3d_desc *desc, int64_t shape[5], struct fault *fault) {
  tconv3d_status status = TCONV3D_OK;
  memcpy(desc->stride, options->stride, sizeof desc->stride);
  memcpy(desc->padding, options->padding, sizeof desc->padding);
  memcpy(desc->output_padding, options->output_padding, sizeof desc->output_padding);
  memcpy(desc->dilation, options->dilation, sizeof desc->dilation);
  desc->groups = options->groups;
  if (options->has_output_size) status = tconv3d_resolve_output_size(desc, options->output_size, desc->output_padding);
  if (status == TCONV3D_OK) status = tconv3d_output_shape(desc, shape);
  return status == TCONV3D_OK ? true : fault_from_status(fault, status);
}
