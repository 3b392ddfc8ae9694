#include "plan/known_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"

/* ---- numbers as bits ---- */

/* value: whole and small, so exact in every type. */
static void put(tconv3d_dtype dtype, double value, unsigned char *bits) {
  float single = (float)value;
  uint32_t word;
  uint16_t half;
  memcpy(&word, &single, sizeof word);
  switch (dtype) {
  case TCONV3D_F32: memcpy(bits, &single, sizeof single); return;
  case TCONV3D_F64: memcpy(bits, &value, sizeof value); return;
  case TCONV3D_BF16: half = (uint16_t)(word >> 16); break;
  default: /* float16: another bias of the exponent, 13 bits less of the fraction */
    half = (uint16_t)((word >> 16 & 0x8000) | (value == 0 ? 0 : ((word >> 23 & 0xff) - 112) << 10 | (word >> 13 & 0x3ff)));
  }
  memcpy(bits, &half, sizeof half);
}

static double half_value(uint16_t half) {
  int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  double magnitude = exponent == 0x1f ? (fraction ? NAN : INFINITY)
                     : exponent       ? ldexp(fraction + 1024, exponent - 25)
                                      : ldexp(fraction, -24);
  return half & 0x8000 ? -magnitude : magnitude;
}

static double get(tconv3d_dtype dtype, const unsigned char *bits) {
  float single;
  double value;
  uint16_t half;
  uint32_t word;
  switch (dtype) {
  case TCONV3D_F32: memcpy(&single, bits, sizeof single); return (double)single;
  case TCONV3D_F64: memcpy(&value, bits, sizeof value); return value;
  default: memcpy(&half, bits, sizeof half);
  }
  if (dtype == TCONV3D_F16) return half_value(half);
  word = (uint32_t)half << 16;
  memcpy(&single, &word, sizeof single);
  return (double)single;
}

/* ---- tensors ---- */

size_t t3_known_bytes(const t3_known_tensor *tensor) {
  return (size_t)tensor->view.span * t3_type_size(tensor->dtype);
}

void t3_known_index(const t3_known_tensor *tensor, int64_t i, int64_t index[5]) {
  for (int a = 4; a >= 0; i /= tensor->shape[a--]) index[a] = i % tensor->shape[a];
}

static size_t place_of(const t3_known_tensor *tensor, const int64_t index[5]) {
  int64_t at = tensor->view.below;
  for (int a = 0; a < 5; ++a) at += index[a] * tensor->view.stride[a];
  return (size_t)at * t3_type_size(tensor->dtype);
}

double t3_known_element(const t3_known_tensor *tensor, const int64_t index[5]) {
  return get(tensor->dtype, tensor->bits + place_of(tensor, index));
}

static t3_known_tensor tensor_of(tconv3d_dtype dtype, const t3_view *view, const int64_t shape[5]) {
  t3_known_tensor tensor = {.there = true, .dtype = dtype, .view = *view, .count = 1};
  for (int a = 0; a < 5; ++a) tensor.shape[a] = shape[a], tensor.count *= shape[a];
  return tensor;
}

static t3_known_tensor channels_of(const t3_layer *layer) {
  const t3_view view = {.stride = {1}, .span = layer->out_channels, .dense = true};
  return tensor_of(layer->weight_dtype, &view, (int64_t[]){layer->out_channels, 1, 1, 1, 1});
}

/* Which tensors the operation takes. */
static void list_tensors(const t3_problem *problem, t3_known_tensor *tensor) {
  const t3_layer *layer = &problem->layer;
  const tconv3d_epilogue *epilogue = &problem->epilogue;
  int64_t x[5], w[5], y[5];
  t3_x_shape(layer, x);
  t3_w_shape(layer, w);
  t3_y_shape(layer, y);
  t3_work work = t3_work_of(problem->operation);
  if (work != T3_BIAS_GRADIENT) tensor[T3_X] = tensor_of(layer->dtype, &layer->x, x);
  if (work != T3_LAYER) tensor[T3_GY] = tensor_of(layer->dtype, &layer->y, y);
  if (work == T3_WEIGHT_GRADIENT) tensor[T3_Y] = tensor_of(layer->weight_dtype, &layer->w, w);
  if (work == T3_BIAS_GRADIENT) tensor[T3_Y] = channels_of(layer);
  if (work != T3_LAYER) return;
  tensor[T3_WEIGHT] = tensor_of(layer->weight_dtype, &layer->w, w);
  tensor[T3_Y] = tensor_of(layer->dtype, &layer->y, y);
  if (layer->has_bias) tensor[T3_BIAS] = channels_of(layer);
  if (epilogue->residual != 0) tensor[T3_RESIDUAL] = tensor_of(layer->dtype, &layer->y, y);
  if (t3_epilogue_has_channels(epilogue)) tensor[T3_SLOPE] = tensor[T3_SCALE] = tensor[T3_SHIFT] = channels_of(layer);
}

/* From -range to range, which is up to 3. */
static void fill_values(t3_known_tensor *tensor, uint32_t seed, int range) {
  uint32_t state = seed;
  for (int64_t i = 0; i < tensor->count; ++i) {
    state = state * 1664525u + 1013904223u;
    tensor->values[i] = (int8_t)((int)((state >> 16) % (uint32_t)(2 * range + 1)) - range);
  }
}

static tconv3d_status fill(t3_known_tensor *tensor, int kind, bool written) {
  size_t bytes = t3_known_bytes(tensor);
  tensor->values = malloc((size_t)tensor->count);
  tensor->bits = malloc(bytes);
  if (!tensor->values || !tensor->bits) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a self-test");
  memset(tensor->bits, 0xff, bytes); /* a NaN in every type */
  fill_values(tensor, (uint32_t)kind + 1, kind == T3_WEIGHT ? 2 : 3);
  if (written) return TCONV3D_OK;
  size_t size = t3_type_size(tensor->dtype), at = 0;
  int64_t index[5];
  for (int64_t i = 0; i < tensor->count; ++i, at += size) {
    if (!tensor->view.dense) t3_known_index(tensor, i, index), at = place_of(tensor, index);
    put(tensor->dtype, tensor->values[i], tensor->bits + at);
  }
  /* Elements of what is only read may share a place: the last one's value is that of all. */
  for (int64_t i = 0; i < tensor->count && !tensor->view.dense; ++i) {
    t3_known_index(tensor, i, index);
    tensor->values[i] = (int8_t)t3_known_element(tensor, index);
  }
  return TCONV3D_OK;
}

static tconv3d_status make_buffer(cl_context cl, size_t bytes, void *bits, cl_mem *mem) {
  cl_int error;
  *mem = clCreateBuffer(cl, CL_MEM_READ_WRITE | (bits ? CL_MEM_COPY_HOST_PTR : 0), bytes, bits, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateBuffer", "for a self-test");
}

/* Full of NaN, so that a kernel which uses what no launch has written is found out. */
static tconv3d_status make_workspace(cl_context cl, size_t bytes, cl_mem *mem) {
  void *bits = malloc(bytes);
  if (!bits) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a self-test");
  memset(bits, 0xff, bytes);
  tconv3d_status status = make_buffer(cl, bytes, bits, mem);
  free(bits);
  return status;
}

tconv3d_status t3_known_make(const tconv3d_context *context, const t3_problem *problem, const t3_recipe *recipe,
                             t3_known_values *known) {
  *known = (t3_known_values){0};
  list_tensors(problem, known->tensor);
  for (int kind = 0; kind < T3_TENSORS; ++kind) {
    t3_known_tensor *tensor = &known->tensor[kind];
    if (!tensor->there) continue;
    T3_TRY(fill(tensor, kind, kind == T3_Y && problem->beta == 0));
    T3_TRY(make_buffer(context->cl, t3_known_bytes(tensor), tensor->bits, &tensor->mem));
  }
  if (recipe->packed_bytes) T3_TRY(make_buffer(context->cl, (size_t)recipe->packed_bytes, NULL, &known->tensor[T3_PACKED].mem));
  if (recipe->workspace_bytes)
    T3_TRY(make_workspace(context->cl, (size_t)recipe->workspace_bytes, &known->tensor[T3_WORKSPACE].mem));
  return TCONV3D_OK;
}

void t3_known_free(t3_known_values *known) {
  for (int kind = 0; kind < T3_TENSORS; ++kind) {
    t3_known_tensor *tensor = &known->tensor[kind];
    if (tensor->mem) clReleaseMemObject(tensor->mem);
    free(tensor->values);
    free(tensor->bits);
  }
}

void t3_known_bind(const t3_known_values *known, t3_binding *binding) {
  for (int kind = 0; kind < T3_TENSORS; ++kind) {
    const t3_known_tensor *tensor = &known->tensor[kind];
    /* A kernel's argument must be some buffer, even if nothing of it is read. */
    binding->mem[kind] = tensor->mem ? tensor->mem : known->tensor[T3_Y].mem;
    binding->start[kind] = (cl_ulong)tensor->view.below;
  }
}
