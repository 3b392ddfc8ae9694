/* Layouts: strides, what memory they span, whether a result may be written so; and dense copies for the references. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/status.h"
#include "geometry/geometry.h"

enum { AXES = 5 };

tconv3d_status tconv3d_strides(tconv3d_layout layout, const int64_t shape[5], int64_t strides[5]) {
  static const int orders[][AXES] = {{4, 3, 2, 1, 0}, {1, 4, 3, 2, 0}}; /* the axis whose elements are neighbours first */
  if (!shape || !strides) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", shape ? "strides" : "shape");
  if (layout != TCONV3D_DENSE && layout != TCONV3D_CHANNELS_LAST)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "layout is %d; it must be TCONV3D_DENSE or TCONV3D_CHANNELS_LAST", (int)layout);
  int64_t result[AXES], next = 1;
  for (int i = 0; i < AXES; ++i) {
    int axis = orders[layout][i];
    if (shape[axis] < 0)
      return t3_fail(TCONV3D_INVALID_PARAMETER, "shape[%d] is %" PRId64 "; it must be at least 0", axis, shape[axis]);
    result[axis] = next;
    if (!t3_mul(next, t3_max(shape[axis], 1), &next))
      return t3_fail(TCONV3D_SIZE_OVERFLOW,
                     "a tensor of shape (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                     ") has more elements than fit in 63 bits",
                     shape[0], shape[1], shape[2], shape[3], shape[4]);
  }
  memcpy(strides, result, sizeof result);
  return TCONV3D_OK;
}

void t3_x_shape(const t3_layer *layer, int64_t shape[5]) {
  shape[0] = layer->batch, shape[1] = layer->in_channels;
  for (int a = 0; a < 3; ++a) shape[2 + a] = layer->axis[a].in;
}

void t3_y_shape(const t3_layer *layer, int64_t shape[5]) {
  shape[0] = layer->batch, shape[1] = layer->out_channels;
  for (int a = 0; a < 3; ++a) shape[2 + a] = layer->axis[a].out;
}

void t3_w_shape(const t3_layer *layer, int64_t shape[5]) {
  shape[0] = layer->transposed ? layer->in_channels : layer->out_channels;
  shape[1] = layer->transposed ? layer->group_out : layer->group_in;
  for (int a = 0; a < 3; ++a) shape[2 + a] = layer->axis[a].kernel;
}

/* Of x and y, of w. */
static const char *const tensor_axes[AXES] = {"N", "C", "D", "H", "W"}, *const weight_axes[AXES] = {"0", "1", "kD", "kH", "kW"};

static const char *axis_of(const char *name, int axis) {
  return (name[0] == 'w' ? weight_axes : tensor_axes)[axis];
}

/* name: "x", "w" or "y". */
static tconv3d_status view_init(const char *name, tconv3d_layout layout, const int64_t given[5], const int64_t shape[5],
                                t3_view *view) {
  int64_t dense[AXES], above = 0, below = 0, bytes;
  T3_TRY(tconv3d_strides(TCONV3D_DENSE, shape, dense));
  if (layout < TCONV3D_DENSE || layout > TCONV3D_STRIDED)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "%s_layout is %d, which is no tconv3d_layout", name, (int)layout);
  if (layout == TCONV3D_STRIDED)
    memcpy(view->stride, given, sizeof view->stride);
  else
    T3_TRY(tconv3d_strides(layout, shape, view->stride));
  view->dense = true;
  for (int i = 0; i < AXES; ++i) {
    int64_t reach;
    if (shape[i] <= 1) view->stride[i] = dense[i]; /* plays no part */
    if (view->stride[i] != dense[i]) view->dense = false;
    bool fits = view->stride[i] >= -INT64_MAX / 32 && t3_mul(t3_max(shape[i] - 1, 0), view->stride[i], &reach) &&
                reach >= -INT64_MAX &&
                t3_add(reach < 0 ? below : above, reach < 0 ? -reach : reach, reach < 0 ? &below : &above);
    if (!fits || !t3_add(below, above, &view->span) || !t3_add(view->span, 1, &view->span) || !t3_mul(view->span, 16, &bytes))
      return t3_fail(TCONV3D_SIZE_OVERFLOW,
                     "%s_strides of axis %s is %" PRId64 "; with size %" PRId64 " it spans more bytes than fit in 63 bits",
                     name, axis_of(name, i), view->stride[i], shape[i]);
  }
  view->below = below;
  for (int i = 0; i < AXES; ++i)
    if (!shape[i]) view->below = view->span = 0;
  return TCONV3D_OK;
}

tconv3d_status t3_views_init(const tconv3d_desc *desc, t3_layer *layer) {
  int64_t x[AXES], w[AXES], y[AXES];
  t3_x_shape(layer, x), t3_w_shape(layer, w), t3_y_shape(layer, y);
  T3_TRY(view_init("x", desc->x_layout, desc->x_strides, x, &layer->x));
  T3_TRY(view_init("w", desc->w_layout, desc->w_strides, w, &layer->w));
  return view_init("y", desc->y_layout, desc->y_strides, y, &layer->y);
}

void t3_views_of_bias(t3_layer *layer) {
  layer->x = layer->w = (t3_view){.dense = true};
}

/* Sorted by their size, each stride must pass all places that those before it reach: sufficient, and necessary for what crops,
 * paddings, permutations and flips of dense tensors can be. */
static tconv3d_status check_apart(const char *name, const t3_view *view, const int64_t shape[5]) {
  bool done[AXES] = {false};
  int64_t reach = 0;
  for (int rank = 0; rank < AXES; ++rank) {
    int next = -1;
    for (int i = 0; i < AXES; ++i)
      if (!done[i] && shape[i] > 1 && (next < 0 || llabs(view->stride[i]) < llabs(view->stride[next]))) next = i;
    if (next < 0) break;
    done[next] = true;
    int64_t stride = llabs(view->stride[next]);
    if (stride <= reach)
      return t3_fail(TCONV3D_INVALID_PARAMETER,
                     "%s_strides of axis %s is %" PRId64 "; two elements of what is written must not share a place: its size "
                     "must be more than %" PRId64 ", which the axes of smaller strides reach",
                     name, axis_of(name, next), view->stride[next], reach);
    reach += (shape[next] - 1) * stride;
  }
  return TCONV3D_OK;
}

tconv3d_status t3_views_check_target(const t3_layer *layer, tconv3d_operation operation) {
  int64_t shape[AXES];
  if (operation == TCONV3D_GRAD_BIAS) return TCONV3D_OK;
  if (operation == TCONV3D_GRAD_WEIGHT) {
    t3_w_shape(layer, shape);
    return check_apart("w", &layer->w, shape);
  }
  t3_y_shape(layer, shape);
  return check_apart(operation == TCONV3D_GRAD_INPUT ? "x" : "y", &layer->y, shape);
}

/* ---- dense copies ---- */

/* Where the element that is number i in C order lies. */
static int64_t place_of(const t3_dense *dense, int64_t i) {
  int64_t place = 0;
  for (int axis = AXES - 1; axis >= 0; --axis) {
    place += i % dense->shape[axis] * dense->view->stride[axis];
    i /= dense->shape[axis];
  }
  return place;
}

static tconv3d_status dense_init(const t3_view *view, const int64_t shape[5], float *tensor, t3_dense *dense) {
  *dense = (t3_dense){.view = view, .data = tensor, .count = 1};
  memcpy(dense->shape, shape, sizeof dense->shape);
  for (int i = 0; i < AXES; ++i) dense->count *= shape[i];
  if (view->dense || !dense->count) return TCONV3D_OK;
  dense->data = dense->copy = malloc((size_t)dense->count * sizeof *dense->copy);
  if (dense->copy) return TCONV3D_OK;
  return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a copy of %" PRId64 " elements", dense->count);
}

tconv3d_status t3_dense_read(const t3_view *view, const int64_t shape[5], const float *tensor, t3_dense *dense) {
  float *only_read = (float *)(uintptr_t)tensor;
  T3_TRY(dense_init(view, shape, only_read, dense));
  for (int64_t i = 0; i < dense->count && dense->copy; ++i) dense->copy[i] = tensor[place_of(dense, i)];
  return TCONV3D_OK;
}

tconv3d_status t3_dense_room(const t3_view *view, const int64_t shape[5], float *tensor, t3_dense *dense) {
  return dense_init(view, shape, tensor, dense);
}

void t3_dense_write(const t3_dense *dense, float *tensor) {
  for (int64_t i = 0; i < dense->count && dense->copy; ++i) tensor[place_of(dense, i)] = dense->copy[i];
}

void t3_dense_free(t3_dense *dense) {
  free(dense->copy);
  dense->copy = NULL;
}

tconv3d_status t3_dense_layer(const t3_layer *layer, const float *x, const float *w, float *y, t3_dense_operands *dense) {
  int64_t shape[AXES];
  *dense = (t3_dense_operands){0};
  t3_x_shape(layer, shape);
  T3_TRY(t3_dense_read(&layer->x, shape, x, &dense->x));
  t3_w_shape(layer, shape);
  T3_TRY(t3_dense_read(&layer->w, shape, w, &dense->w));
  t3_y_shape(layer, shape);
  return t3_dense_room(&layer->y, shape, y, &dense->y);
}

tconv3d_status t3_dense_weights(const t3_layer *layer, const float *x, float *w, const float *y, t3_dense_operands *dense) {
  int64_t shape[AXES];
  *dense = (t3_dense_operands){0};
  t3_x_shape(layer, shape);
  T3_TRY(t3_dense_read(&layer->x, shape, x, &dense->x));
  t3_w_shape(layer, shape);
  T3_TRY(t3_dense_room(&layer->w, shape, w, &dense->w));
  t3_y_shape(layer, shape);
  return t3_dense_read(&layer->y, shape, y, &dense->y);
}

void t3_dense_layer_free(t3_dense_operands *dense) {
  t3_dense_free(&dense->x);
  t3_dense_free(&dense->w);
  t3_dense_free(&dense->y);
}
