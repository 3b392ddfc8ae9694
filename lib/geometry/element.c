/* One element of what an operation computes, from its definition, in whole numbers: what is asked of a few elements where the
 * whole result would take too long. */
#include "geometry/geometry.h"

/* The index of an element of a tensor of five axes in C order, C, D, H and W of them of these sizes. */
static int64_t place(int64_t n, int64_t c, const int64_t position[3], int64_t channels, const int64_t size[3]) {
  return (((n * channels + c) * size[T3_D] + position[T3_D]) * size[T3_H] + position[T3_H]) * size[T3_W] + position[T3_W];
}

/* Where tap k of output o meets the input; false: nowhere. */
static bool meets(const t3_axis *axis, int64_t o, int64_t k, int64_t *i) {
  int64_t at = axis->convolves ? o * axis->stride - axis->padding + k * axis->dilation : o + axis->padding - k * axis->dilation;
  if (!axis->convolves && at % axis->stride) return false;
  *i = axis->convolves ? at : at / axis->stride;
  return at >= 0 && *i < axis->in;
}

/* What the channels of x give by one tap to output channel m of image n. */
static int64_t tap_sum(const t3_layer *layer, const t3_whole_numbers *of, int64_t n, int64_t m, const int64_t k[3],
                       const int64_t i[3]) {
  const t3_axis *a = layer->axis;
  const int64_t in[3] = {a[T3_D].in, a[T3_H].in, a[T3_W].in}, kernel[3] = {a[T3_D].kernel, a[T3_H].kernel, a[T3_W].kernel};
  int64_t group = m / layer->group_out, first = group * layer->group_in, sum = 0;
  for (int64_t c = 0; c < layer->group_in; ++c) {
    int64_t w = layer->transposed ? place(first + c, m % layer->group_out, k, layer->group_out, kernel)
                                  : place(m, c, k, layer->group_in, kernel);
    sum += of->x[place(n, first + c, i, layer->in_channels, in)] * of->w[w];
  }
  return sum;
}

static int64_t output_element(const t3_layer *layer, const t3_whole_numbers *of, const int64_t index[5]) {
  const t3_axis *a = layer->axis;
  int64_t k[3], i[3], sum = layer->has_bias ? of->b[index[1]] : 0;
  for (k[T3_D] = 0; k[T3_D] < a[T3_D].kernel; ++k[T3_D])
    for (k[T3_H] = 0; k[T3_H] < a[T3_H].kernel && meets(&a[T3_D], index[2], k[T3_D], &i[T3_D]); ++k[T3_H])
      for (k[T3_W] = 0; k[T3_W] < a[T3_W].kernel && meets(&a[T3_H], index[3], k[T3_H], &i[T3_H]); ++k[T3_W])
        if (meets(&a[T3_W], index[4], k[T3_W], &i[T3_W])) sum += tap_sum(layer, of, index[0], index[1], k, i);
  return sum;
}

/* The output that input i meets by tap k; false: none. */
static bool reaches(const t3_axis *axis, int64_t i, int64_t k, int64_t *o) {
  *o = i * axis->stride - axis->padding + k * axis->dilation;
  return *o >= 0 && *o < axis->out;
}

static int64_t weight_element(const t3_layer *layer, const t3_whole_numbers *of, const int64_t index[5]) {
  const t3_axis *a = layer->axis;
  const int64_t in[3] = {a[T3_D].in, a[T3_H].in, a[T3_W].in}, out[3] = {a[T3_D].out, a[T3_H].out, a[T3_W].out};
  const int64_t c = index[0], m = c / layer->group_in * layer->group_out + index[1];
  int64_t i[3], o[3], sum = 0;
  for (int64_t n = 0; n < layer->batch; ++n)
    for (i[T3_D] = 0; i[T3_D] < in[T3_D]; ++i[T3_D])
      for (i[T3_H] = 0; i[T3_H] < in[T3_H] && reaches(&a[T3_D], i[T3_D], index[2], &o[T3_D]); ++i[T3_H])
        for (i[T3_W] = 0; i[T3_W] < in[T3_W] && reaches(&a[T3_H], i[T3_H], index[3], &o[T3_H]); ++i[T3_W])
          if (reaches(&a[T3_W], i[T3_W], index[4], &o[T3_W]))
            sum += of->x[place(n, c, i, layer->in_channels, in)] * of->gy[place(n, m, o, layer->out_channels, out)];
  return sum;
}

static int64_t bias_element(const t3_layer *layer, const t3_whole_numbers *of, int64_t m) {
  const int64_t positions = layer->axis[T3_D].out * layer->axis[T3_H].out * layer->axis[T3_W].out;
  int64_t sum = 0;
  for (int64_t n = 0; n < layer->batch; ++n)
    for (int64_t o = 0; o < positions; ++o) sum += of->gy[(n * layer->out_channels + m) * positions + o];
  return sum;
}

int64_t t3_element(const t3_layer *layer, tconv3d_operation operation, const t3_whole_numbers *of, const int64_t index[5]) {
  if (operation == TCONV3D_GRAD_WEIGHT) return weight_element(layer, of, index);
  return operation == TCONV3D_GRAD_BIAS ? bias_element(layer, of, index[0]) : output_element(layer, of, index);
}
