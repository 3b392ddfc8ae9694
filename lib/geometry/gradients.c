/* The operations beside the forward one, each straight from its definition. One result at a time in fp64, gathered, so that the
 * only rounding that counts is the last. No cleverness, as in reference.c. */
#include "base/status.h"
#include "geometry/geometry.h"

static tconv3d_status is_null(const char *name) {
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", name);
}

/* Positions of a channel of x and of y. */
static int64_t inputs_of(const t3_layer *layer) {
  return layer->axis[T3_D].in * layer->axis[T3_H].in * layer->axis[T3_W].in;
}
static int64_t outputs_of(const t3_layer *layer) {
  return layer->axis[T3_D].out * layer->axis[T3_H].out * layer->axis[T3_W].out;
}

/* ---- convolution: y[m][o] = b[m] + the sum over c and k of x[c][o*stride - padding + k*dilation] * w[m][c][k] ---- */

static double dot_row(const t3_axis *axis, int64_t o, const float *x_row, const float *w_row) {
  double sum = 0;
  for (int64_t k = 0; k < axis->kernel; ++k) {
    int64_t i = o * axis->stride - axis->padding + k * axis->dilation;
    if (i >= 0 && i < axis->in) sum += (double)x_row[i] * (double)w_row[k];
  }
  return sum;
}

/* What one channel of x gives to one output. x and w start at the channel. */
static double dot_channel(const t3_layer *layer, int64_t od, int64_t oh, int64_t ow, const float *x, const float *w) {
  const t3_axis *ad = &layer->axis[T3_D], *ah = &layer->axis[T3_H], *aw = &layer->axis[T3_W];
  double sum = 0;
  for (int64_t kd = 0; kd < ad->kernel; ++kd) {
    int64_t d = od * ad->stride - ad->padding + kd * ad->dilation;
    if (d < 0 || d >= ad->in) continue;
    for (int64_t kh = 0; kh < ah->kernel; ++kh) {
      int64_t h = oh * ah->stride - ah->padding + kh * ah->dilation;
      if (h >= 0 && h < ah->in) sum += dot_row(aw, ow, x + (d * ah->in + h) * aw->in, w + (kd * ah->kernel + kh) * aw->kernel);
    }
  }
  return sum;
}

/* One channel of y. x starts at the group's first channel, w at the output channel's first. */
static void convolve_channel(const t3_layer *layer, const float *x, const float *w, double bias, float *y) {
  const int64_t in = inputs_of(layer);
  for (int64_t d = 0; d < layer->axis[T3_D].out; ++d)
    for (int64_t h = 0; h < layer->axis[T3_H].out; ++h)
      for (int64_t o = 0; o < layer->axis[T3_W].out; ++o) {
        double sum = bias;
        for (int64_t c = 0; c < layer->group_in; ++c) sum += dot_channel(layer, d, h, o, x + c * in, w + c * layer->taps);
        *y++ = (float)sum;
      }
}

/* b: NULL without bias. */
static void convolve(const t3_layer *layer, const float *x, const float *w, const float *b, float *y) {
  const int64_t in = inputs_of(layer), out = outputs_of(layer);
  for (int64_t n = 0; n < layer->batch; ++n)
    for (int64_t m = 0; m < layer->out_channels; ++m) {
      int64_t first = m / layer->group_out * layer->group_in;
      convolve_channel(layer, x + (n * layer->in_channels + first) * in, w + m * layer->group_in * layer->taps,
                       b ? (double)b[m] : 0.0, y + (n * layer->out_channels + m) * out);
    }
}

/* The same wherever the tensors lie. */
static tconv3d_status convolve_views(const t3_layer *layer, const float *x, const float *w, const float *b, float *y) {
  t3_dense_operands dense;
  tconv3d_status status = t3_dense_layer(layer, x, w, y, &dense);
  if (status == TCONV3D_OK) {
    convolve(layer, dense.x.data, dense.w.data, b, dense.y.data);
    t3_dense_write(&dense.y, y);
  }
  t3_dense_layer_free(&dense);
  return status;
}

tconv3d_status tconv3d_reference_convolution(const tconv3d_desc *desc, const float *x, const float *w, const float *b,
                                             float *y) {
  t3_layer layer;
  T3_TRY(t3_layer_of(desc, TCONV3D_CONVOLUTION, &layer));
  T3_TRY(t3_layer_check_reference(desc));
  if (!w) return is_null("w");
  if (layer.has_bias && !b) return is_null("b");
  if (layer.batch && (!x || !y)) return is_null(x ? "y" : "x");
  return convolve_views(&layer, x, w, layer.has_bias ? b : NULL, y);
}

tconv3d_status tconv3d_reference_grad_input(const tconv3d_desc *desc, const float *gy, const float *w, float *gx) {
  t3_layer layer; /* the convolution that leads from gy to gx */
  T3_TRY(t3_layer_of(desc, TCONV3D_GRAD_INPUT, &layer));
  T3_TRY(t3_layer_check_reference(desc));
  if (!w) return is_null("w");
  if (layer.batch && (!gy || !gx)) return is_null(gy ? "gx" : "gy");
  return convolve_views(&layer, gy, w, NULL, gx);
}

/* ---- weight: gw[c][m][k] = the sum over images and i of x[c][i] * gy[m][i*stride - padding + k*dilation] ---- */

static double meet_row(const t3_axis *axis, int64_t k, const float *x_row, const float *gy_row) {
  double sum = 0;
  for (int64_t i = 0; i < axis->in; ++i) {
    int64_t o = i * axis->stride - axis->padding + k * axis->dilation;
    if (o >= 0 && o < axis->out) sum += (double)x_row[i] * (double)gy_row[o];
  }
  return sum;
}

/* The sum over one image for the tap at k. x and gy start at their channels. */
static double meet_channel(const t3_layer *layer, const int64_t k[3], const float *x, const float *gy) {
  const t3_axis *ad = &layer->axis[T3_D], *ah = &layer->axis[T3_H], *aw = &layer->axis[T3_W];
  double sum = 0;
  for (int64_t d = 0; d < ad->in; ++d) {
    int64_t od = d * ad->stride - ad->padding + k[T3_D] * ad->dilation;
    if (od < 0 || od >= ad->out) continue;
    for (int64_t h = 0; h < ah->in; ++h) {
      int64_t oh = h * ah->stride - ah->padding + k[T3_H] * ah->dilation;
      if (oh >= 0 && oh < ah->out)
        sum += meet_row(aw, k[T3_W], x + (d * ah->in + h) * aw->in, gy + (od * ah->out + oh) * aw->out);
    }
  }
  return sum;
}

/* All taps of input channel c and output channel m. */
static void weight_channels(const t3_layer *layer, const float *x, const float *gy, int64_t c, int64_t m, float *gw) {
  const int64_t in = inputs_of(layer), out = outputs_of(layer);
  int64_t k[3];
  for (k[T3_D] = 0; k[T3_D] < layer->axis[T3_D].kernel; ++k[T3_D])
    for (k[T3_H] = 0; k[T3_H] < layer->axis[T3_H].kernel; ++k[T3_H])
      for (k[T3_W] = 0; k[T3_W] < layer->axis[T3_W].kernel; ++k[T3_W]) {
        double sum = 0;
        for (int64_t n = 0; n < layer->batch; ++n)
          sum += meet_channel(layer, k, x + (n * layer->in_channels + c) * in, gy + (n * layer->out_channels + m) * out);
        *gw++ = (float)sum;
      }
}

tconv3d_status tconv3d_reference_grad_weight(const tconv3d_desc *desc, const float *x, const float *gy, float *gw) {
  t3_layer layer;
  T3_TRY(t3_layer_of(desc, TCONV3D_GRAD_WEIGHT, &layer));
  T3_TRY(t3_layer_check_reference(desc));
  if (!gw) return is_null("gw");
  if (layer.batch && (!x || !gy)) return is_null(x ? "gy" : "x");
  t3_dense_operands dense;
  tconv3d_status status = t3_dense_weights(&layer, x, gw, gy, &dense);
  for (int64_t c = 0; c < layer.in_channels && status == TCONV3D_OK; ++c)
    for (int64_t m = 0; m < layer.group_out; ++m)
      weight_channels(&layer, dense.x.data, dense.y.data, c, c / layer.group_in * layer.group_out + m,
                      dense.w.data + (c * layer.group_out + m) * layer.taps);
  if (status == TCONV3D_OK) t3_dense_write(&dense.w, gw);
  t3_dense_layer_free(&dense);
  return status;
}

/* ---- bias: gb[m] = the sum over images and positions of gy[m] ---- */

tconv3d_status tconv3d_reference_grad_bias(const tconv3d_desc *desc, const float *gy, float *gb) {
  t3_layer layer;
  T3_TRY(t3_layer_of(desc, TCONV3D_GRAD_BIAS, &layer));
  T3_TRY(t3_layer_check_reference(desc));
  if (!gb) return is_null("gb");
  if (layer.batch && !gy) return is_null("gy");
  const int64_t out = outputs_of(&layer);
  int64_t shape[5];
  t3_dense dense;
  t3_y_shape(&layer, shape);
  T3_TRY(t3_dense_read(&layer.y, shape, gy, &dense));
  for (int64_t m = 0; m < layer.out_channels; ++m) {
    double sum = 0;
    for (int64_t n = 0; n < layer.batch; ++n)
      for (int64_t o = 0; o < out; ++o) sum += (double)dense.data[(n * layer.out_channels + m) * out + o];
    gb[m] = (float)sum;
  }
  t3_dense_free(&dense);
  return TCONV3D_OK;
}
