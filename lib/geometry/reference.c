/* The layer straight from its definition: scatter every product x[i]*w[k] to o = i*stride - padding + k*dilation. One output
 * channel at a time in fp64, so that the only rounding that counts is the last. No cleverness: this is what the others are
 * judged by. */
#include <stdlib.h>

#include "base/status.h"
#include "geometry/geometry.h"

/* Adds what one input element sends along one kernel row (kd, kh are already placed: out_row is the row it lands in). */
static void scatter_row(const t3_axis *axis, int64_t i, double value, const float *w_row, double *out_row) {
  for (int64_t k = 0; k < axis->kernel; ++k) {
    int64_t o = i * axis->stride - axis->padding + k * axis->dilation;
    if (o >= 0 && o < axis->out) out_row[o] += value * (double)w_row[k];
  }
}

/* Adds one input row's part to one output plane set: every (kd, kh) that lands inside. */
static void scatter_input_row(const t3_layer *layer, int64_t d, int64_t h, const float *x_row, const float *w, double *sums) {
  const t3_axis *ad = &layer->axis[T3_D], *ah = &layer->axis[T3_H], *aw = &layer->axis[T3_W];
  for (int64_t kd = 0; kd < ad->kernel; ++kd) {
    int64_t od = d * ad->stride - ad->padding + kd * ad->dilation;
    if (od < 0 || od >= ad->out) continue;
    for (int64_t kh = 0; kh < ah->kernel; ++kh) {
      int64_t oh = h * ah->stride - ah->padding + kh * ah->dilation;
      if (oh < 0 || oh >= ah->out) continue;
      const float *w_row = w + (kd * ah->kernel + kh) * aw->kernel;
      for (int64_t i = 0; i < aw->in; ++i) scatter_row(aw, i, (double)x_row[i], w_row, sums + (od * ah->out + oh) * aw->out);
    }
  }
}

static void one_channel(const t3_layer *layer, const float *x, const float *w, double *sums) {
  const t3_axis *ad = &layer->axis[T3_D], *ah = &layer->axis[T3_H], *aw = &layer->axis[T3_W];
  for (int64_t c = 0; c < layer->group_in; ++c)
    for (int64_t d = 0; d < ad->in; ++d)
      for (int64_t h = 0; h < ah->in; ++h)
        scatter_input_row(layer, d, h, x + ((c * ad->in + d) * ah->in + h) * aw->in, w + c * layer->group_out * layer->taps,
                          sums);
}

/* All tensors dense. */
static tconv3d_status scatter(const t3_layer *layer, const float *x, const float *w, const float *b, float *y) {
  int64_t out = layer->axis[T3_D].out * layer->axis[T3_H].out * layer->axis[T3_W].out;
  int64_t in = layer->axis[T3_D].in * layer->axis[T3_H].in * layer->axis[T3_W].in;
  double *sums = malloc((size_t)out * sizeof *sums);
  if (!sums) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for %lld sums", (long long)out);
  for (int64_t n = 0; n < layer->batch; ++n)
    for (int64_t m = 0; m < layer->out_channels; ++m) {
      int64_t group = m / layer->group_out, first = group * layer->group_in;
      for (int64_t o = 0; o < out; ++o) sums[o] = layer->has_bias ? (double)b[m] : 0.0;
      one_channel(layer, x + (n * layer->in_channels + first) * in,
                  w + (first * layer->group_out + m % layer->group_out) * layer->taps, sums);
      float *to = y + (n * layer->out_channels + m) * out;
      for (int64_t o = 0; o < out; ++o) to[o] = (float)sums[o];
    }
  free(sums);
  return TCONV3D_OK;
}

tconv3d_status tconv3d_reference_forward(const tconv3d_desc *desc, const float *x, const float *w, const float *b, float *y) {
  t3_layer layer;
  T3_TRY(t3_layer_of(desc, TCONV3D_FORWARD, &layer));
  T3_TRY(t3_layer_check_reference(desc));
  if (!w || (layer.batch && (!x || !y)) || (layer.has_bias && !b))
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", !w ? "w" : layer.has_bias && !b ? "b" : !x ? "x" : "y");
  if (!layer.batch) return TCONV3D_OK;
  t3_dense_operands dense;
  tconv3d_status status = t3_dense_layer(&layer, x, w, y, &dense);
  if (status == TCONV3D_OK) status = scatter(&layer, dense.x.data, dense.w.data, b, dense.y.data);
  if (status == TCONV3D_OK) t3_dense_write(&dense.y, y);
  t3_dense_layer_free(&dense);
  return status;
}
