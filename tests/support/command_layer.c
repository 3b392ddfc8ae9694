/* command_layer.c: see command_layer.h. */
#define _GNU_SOURCE
#include "support/command_layer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

tconv3d_desc command_layer_desc(const struct command_layer *layer) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = layer->batch;
  desc.in_channels = layer->in;
  desc.out_channels = layer->out;
  desc.groups = layer->groups;
  desc.has_bias = layer->bias;
  memcpy(desc.input_size, layer->input, sizeof desc.input_size);
  memcpy(desc.kernel_size, layer->kernel, sizeof desc.kernel_size);
  memcpy(desc.stride, layer->stride, sizeof desc.stride);
  memcpy(desc.padding, layer->padding, sizeof desc.padding);
  memcpy(desc.output_padding, layer->output_padding, sizeof desc.output_padding);
  memcpy(desc.dilation, layer->dilation, sizeof desc.dilation);
  return desc;
}

static void add_triple(char *text, const char *name, const int64_t v[3]) {
  size_t used = strlen(text);
  snprintf(text + used, COMMAND_OPTIONS - used, " --%s %" PRId64 ",%" PRId64 ",%" PRId64, name, v[0], v[1], v[2]);
}

void command_layer_options(const struct command_layer *layer, char text[COMMAND_OPTIONS]) {
  snprintf(text, COMMAND_OPTIONS, "--groups %" PRId64, layer->groups);
  add_triple(text, "stride", layer->stride);
  add_triple(text, "padding", layer->padding);
  add_triple(text, "output-padding", layer->output_padding);
  add_triple(text, "dilation", layer->dilation);
}

char *command_candidates(const struct launch *l, const char *operation) {
  char arguments[160];
  struct process_result result;
  snprintf(arguments, sizeof arguments, "explain --input 2,3,4,5 --channels 2 --kernel 2 --op %s", operation);
  launch_done(l, AS_THEY_ARE, arguments, &result);
  char *text = strdup(result.out);
  assert_non_null(text);
  process_free(&result);
  return text;
}

enum command_answer command_answer(const char *candidates, const char *algorithm) {
  char line[80];
  snprintf(line, sizeof line, "\n%s: predicted ", algorithm);
  if (strstr(candidates, line)) return COMMAND_SERVES;
  snprintf(line, sizeof line, "\n%s: not applicable: it ", algorithm);
  if (strstr(candidates, line)) return COMMAND_REFUSES;
  snprintf(line, sizeof line, "\n%s: not applicable: CLBlast compiles for long", algorithm);
  if (!strstr(candidates, line)) fail_msg("nothing about '%s' in: %s", algorithm, candidates);
  return COMMAND_SERVES_NAMED;
}

size_t command_cases(size_t at_hand) {
  const char *most = getenv("TCONV3D_TEST_LAYERS");
  const size_t wanted = most ? strtoull(most, NULL, 0) : at_hand;
  return wanted < at_hand ? wanted : at_hand;
}

void read_float(const struct launch *l, const char *name, struct npy *array) {
  struct fault fault = {0};
  launch_array(l, name, array);
  assert_true(npy_convert(array, NPY_F32, &fault));
}

void command_makes(const struct launch *l, const char *arguments, const char *name) {
  char path[SCRATCH_PATH];
  struct process_result result;
  unlink(scratch_path(&l->scratch, name, path));
  int names = scratch_count(&l->scratch) + 1;
  launch_done(l, AS_THEY_ARE, arguments, &result);
  assert_int_equal(scratch_count(&l->scratch), names);
  assert_int_equal(result.out_bytes, 0);
  process_free(&result);
}

static void assert_same_array(const char *what, const struct npy *got, const struct npy *expected) {
  if (got->type != expected->type || got->rank != expected->rank || memcmp(got->shape, expected->shape, sizeof got->shape) != 0)
    fail_msg("%s: the result is %s of %d axes, expected %s of %d, or another shape", what, npy_type_name(got->type), got->rank,
             npy_type_name(expected->type), expected->rank);
  size_t size = npy_type_size(got->type);
  for (size_t i = 0; i < got->count; i++)
    if (memcmp((char *)got->data + i * size, (char *)expected->data + i * size, size) != 0)
      fail_msg("%s: element %zu of %zu differs", what, i, got->count);
}

void assert_array(const struct launch *l, const char *what, const char *name, struct npy *expected) {
  struct npy got;
  launch_array(l, name, &got);
  assert_same_array(what, &got, expected);
  npy_free(&got);
  npy_free(expected);
}
