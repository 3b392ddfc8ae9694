/* The operations of a layer: their names, and what they write; layers of fewer axes; the names of types. */
#include <stddef.h>
#include <string.h>

#include "base/status.h"
#include "geometry/geometry.h"

const char *tconv3d_operation_name(tconv3d_operation operation) {
  static const char *const names[] = {"forward", "grad-input", "grad-weight", "grad-bias", "convolution"};
  return (size_t)operation < sizeof names / sizeof *names ? names[operation] : NULL;
}

void t3_target_shape(const t3_layer *layer, tconv3d_operation operation, int64_t shape[5]) {
  bool weight = operation == TCONV3D_GRAD_WEIGHT, bias = operation == TCONV3D_GRAD_BIAS;
  shape[0] = weight ? layer->in_channels : bias ? layer->out_channels : layer->batch;
  shape[1] = weight ? layer->group_out : bias ? 1 : layer->out_channels;
  for (int a = 0; a < 3; ++a) shape[2 + a] = weight ? layer->axis[a].kernel : bias ? 1 : layer->axis[a].out;
}

tconv3d_status tconv3d_target_shape(const tconv3d_desc *desc, tconv3d_operation operation, int64_t shape[5]) {
  if (!shape) return t3_fail(TCONV3D_INVALID_ARGUMENT, "shape is NULL");
  t3_layer layer;
  T3_TRY(t3_layer_of(desc, operation, &layer));
  t3_target_shape(&layer, operation, shape);
  return TCONV3D_OK;
}

tconv3d_desc tconv3d_desc_2d(int64_t batch, int64_t in_channels, int64_t out_channels, const int64_t input_size[2],
                             const int64_t kernel_size[2]) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = batch, desc.in_channels = in_channels, desc.out_channels = out_channels;
  TCONV3D_ALL_AXES(desc.input_size, 1);
  TCONV3D_ALL_AXES(desc.kernel_size, 1);
  if (input_size) memcpy(desc.input_size + 1, input_size, 2 * sizeof *input_size);
  if (kernel_size) memcpy(desc.kernel_size + 1, kernel_size, 2 * sizeof *kernel_size);
  return desc;
}

tconv3d_desc tconv3d_desc_1d(int64_t batch, int64_t in_channels, int64_t out_channels, int64_t input_size,
                             int64_t kernel_size) {
  return tconv3d_desc_2d(batch, in_channels, out_channels, (int64_t[]){1, input_size}, (int64_t[]){1, kernel_size});
}

static const struct {
  size_t size;
  const char *name, *word;
} types[] = {{4, "float32", "f32"}, {8, "float64", "f64"}, {2, "float16", "f16"}, {2, "bfloat16", "bf16"}};
enum { NUM_TYPES = sizeof types / sizeof *types };

size_t t3_type_size(tconv3d_dtype dtype) {
  return (size_t)dtype < NUM_TYPES ? types[dtype].size : 0;
}

const char *t3_type_name(tconv3d_dtype dtype) {
  return (size_t)dtype < NUM_TYPES ? types[dtype].name : NULL;
}

const char *t3_type_word(tconv3d_dtype dtype) {
  return (size_t)dtype < NUM_TYPES ? types[dtype].word : NULL;
}
