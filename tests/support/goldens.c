#include "support/goldens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/rig.h"

static FILE *open_file(const char *name) {
  char path[1024];
  const char *directory = getenv("TCONV3D_GOLDENS");
  snprintf(path, sizeof path, "%s/%s", directory ? directory : "tests/goldens", name);
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("cannot open %s; TCONV3D_GOLDENS names its directory", path);
  return file;
}

/* Written by generate.py: version 1.0, little-endian. */
void *goldens_array(const char *name, const char *type, size_t element, const void **data, size_t *count) {
  FILE *file = open_file(name);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  long size = ftell(file);
  rewind(file);
  unsigned char *bytes = size > 10 ? malloc((size_t)size) : NULL;
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
  fclose(file);
  assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
  size_t start = 10 + (size_t)bytes[8] + ((size_t)bytes[9] << 8);
  assert_true(start < (size_t)size && start % 64 == 0 && ((size_t)size - start) % element == 0);
  bytes[start - 1] = '\0';
  assert_non_null(strstr((char *)bytes + 10, type));
  *data = bytes + start;
  *count = ((size_t)size - start) / element;
  return bytes;
}

static size_t product(const int64_t *sizes, size_t count) {
  size_t result = 1;
  for (size_t i = 0; i < count; ++i) result *= (size_t)sizes[i];
  return result;
}

/* Places the case's tensors at the cursors and moves these on. */
static void place(struct golden *golden, const float **inputs, const double **outputs) {
  const tconv3d_desc *desc = &golden->line.desc;
  golden->x = *inputs;
  golden->w = golden->x + (size_t)(desc->batch * desc->in_channels) * product(desc->input_size, 3);
  golden->b = golden->w + (size_t)(desc->in_channels * desc->out_channels / desc->groups) * product(desc->kernel_size, 3);
  *inputs = golden->b + (desc->has_bias ? desc->out_channels : 0);
  golden->y = *outputs;
  *outputs += (size_t)(desc->batch * desc->out_channels) * product(golden->line.output, 3);
}

void goldens_read(struct goldens *goldens, const char *cases, const char *inputs_name, const char *outputs_name) {
  *goldens = (struct goldens){0};
  const void *inputs, *outputs;
  size_t num_inputs, num_outputs;
  goldens->inputs = goldens_array(inputs_name, "<f4", sizeof(float), &inputs, &num_inputs);
  goldens->outputs = goldens_array(outputs_name, "<f8", sizeof(double), &outputs, &num_outputs);
  const float *input = inputs;
  const double *output = outputs;
  FILE *file = open_file(cases);
  char text[1024];
  while (fgets(text, sizeof text, file)) {
    assert_true(goldens->count < MAX_GOLDENS);
    struct golden *golden = &goldens->cases[goldens->count++];
    const char *field = "";
    if (!layer_line_parse(text, &golden->line, &field)) fail_msg("%s:%zu: bad field '%s'", cases, goldens->count, field);
    place(golden, &input, &output);
  }
  fclose(file);
  assert_ptr_equal(input, (const float *)inputs + num_inputs);
  assert_ptr_equal(output, (const double *)outputs + num_outputs);
}

void goldens_free(struct goldens *goldens) {
  free(goldens->inputs);
  free(goldens->outputs);
  *goldens = (struct goldens){0};
}

tconv3d_desc golden_layer(const struct golden *golden) {
  tconv3d_desc desc = golden->line.desc;
  if (golden->line.output_size[0])
    assert_ok(tconv3d_resolve_output_size(&golden->line.desc, golden->line.output_size, desc.output_padding));
  return desc;
}
