/* each.cl: the gradient of the weight from its definition: one work-item computes one element.
 *   gw[c][m][k] = sum over images and positions i of x of x[c][i] * gy[m][i*stride - padding + k*dilation] where that is in gy
 * Any layer, any size: 64-bit indexes, no workspace. Sums go over a row, then over a plane, an image, all: an error grows with
 * the lengths of these, not with their product. Required: what layer.cl asks; BETA as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"
#include "layer.cl"

/* Positions of x from begin to before end meet gy under one tap; first: where the tap of position 0 is in gy, maybe outside. */
typedef struct {
  long first, begin, end;
} range_t;

static inline range_t range_of(long k, long stride, long padding, long dilation, long in, long out) {
  range_t r;
  r.first = k * dilation - padding;
  r.begin = r.first < 0 ? (stride - 1 - r.first) / stride : 0;
  r.end = r.first < out ? min((out - 1 - r.first) / stride + 1, in) : 0;
  return r;
}

/* Four sums at once: one would wait for its own result at every step. */
static inline REAL row_sum(__global const X_STORED *x, long x_w, __global const X_STORED *gy, long gy_w, range_t w) {
  const long step = STRIDE_W * gy_w;
  REAL4 sums = 0;
  REAL rest = 0;
  long i = w.begin;
  for (; i + 4 <= w.end; i += 4) {
    __global const X_STORED *f = x + i * x_w, *g = gy + w.first * gy_w + i * step;
    sums = fma((REAL4)(READ_X(f), READ_X(f + x_w), READ_X(f + 2 * x_w), READ_X(f + 3 * x_w)),
               (REAL4)(READ_X(g), READ_X(g + step), READ_X(g + 2 * step), READ_X(g + 3 * step)), sums);
  }
  for (; i < w.end; ++i) rest = fma(READ_X(x + i * x_w), READ_X(gy + w.first * gy_w + i * step), rest);
  return rest + ((sums.x + sums.y) + (sums.z + sums.w));
}

__kernel void each(ulong items, __global const X_STORED *restrict x, ulong x_start, __global const X_STORED *restrict gy,
                   ulong gy_start, __global Y_STORED *restrict gw, ulong gw_start, long batch, long in_d, long in_h, long in_w,
                   long x_n, long x_c, long x_d, long x_h, long x_w, long out_d, long out_h, long out_w, long gy_n, long gy_c,
                   long gy_d, long gy_h, long gy_w) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  ulong rest = item;
  const range_t w = range_of(rest % KERNEL_W, STRIDE_W, PADDING_W, DILATION_W, in_w, out_w);
  rest /= KERNEL_W;
  const range_t h = range_of(rest % KERNEL_H, STRIDE_H, PADDING_H, DILATION_H, in_h, out_h);
  rest /= KERNEL_H;
  const range_t d = range_of(rest % KERNEL_D, STRIDE_D, PADDING_D, DILATION_D, in_d, out_d);
  rest /= KERNEL_D;
  const long m = rest % GROUP_OUT, c = rest / GROUP_OUT, group = c / GROUP_IN;

  REAL sum = 0;
  for (long n = 0; n < batch; ++n) {
    __global const X_STORED *from = x + x_start + n * x_n + c * x_c;
    __global const X_STORED *meets = gy + gy_start + n * gy_n + (group * GROUP_OUT + m) * gy_c;
    REAL image = 0;
    for (long id = d.begin; id < d.end; ++id) {
      REAL plane = 0;
      for (long ih = h.begin; ih < h.end; ++ih)
        plane += row_sum(from + id * x_d + ih * x_h, x_w,
                         meets + (d.first + id * STRIDE_D) * gy_d + (h.first + ih * STRIDE_H) * gy_h, gy_w, w);
      image += plane;
    }
    sum += image;
  }
  gw += gw_start + weight_place(item);
  WRITE_Y(MERGE(sum, gw), gw);
}
