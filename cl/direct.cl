/* direct.cl: gather. One work-item computes one output element from the definition:
 *   y[n][m][o] = b[m] + sum over c of the group, and k with (o + padding - k*dilation) divisible by stride and the quotient i
 * in range, of x[n][c][i] * w[c][m][k]. Any layer, any size: 64-bit indexes, no workspace. Every tap is looked at and most are
 * skipped when strided. packed: w as given, then b (zeros when absent). A convolution's i is o*stride - padding + k*dilation.
 * x and y may lie anywhere: x_n to y_w are their strides. Required: what layer.cl asks. */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"

#define TAPS ((ulong)KERNEL_D * KERNEL_H * KERNEL_W)
#define WEIGHTS ((ulong)GROUPS * GROUP_IN * GROUP_OUT * TAPS)

__kernel void direct_pack(ulong items, __global const W_STORED *w, ulong w_start, __global const W_STORED *b, ulong b_start,
                          __global REAL *packed, ulong packed_start, long has_bias) {
  ulong i = get_global_id(0);
  if (i >= items) return;
  REAL value = i < WEIGHTS ? READ_W(w + w_start + weight_place(i)) : has_bias ? READ_W(b + b_start + i - WEIGHTS) : 0;
  packed[packed_start + i] = value;
}

/* One of the two is 1. */
#define APART_D (STRIDE_D * INPUT_STEP_D)
#define APART_H (STRIDE_H * INPUT_STEP_H)
#define APART_W (STRIDE_W * INPUT_STEP_W)

/* The input position that tap k meets at output position o, or -1. */
#if TRANSPOSED
#define MEETS(o, k, stride, padding, dilation, in)                                                 \
  (((o) + padding - (k) * (long)dilation) % stride != 0 || (o) + padding < (k) * (long)dilation || \
           ((o) + padding - (k) * (long)dilation) / stride >= in                                   \
       ? -1                                                                                        \
       : ((o) + padding - (k) * (long)dilation) / stride)
#else
#define MEETS(o, k, stride, padding, dilation, in) \
  ((o) * (long)stride - padding + (k) * (long)dilation >= in ? -1 : (o) * (long)stride - padding + (k) * (long)dilation)
#endif

__kernel void direct(ulong items, __global const X_STORED *x, ulong x_start, __global const REAL *packed, ulong packed_start,
                     __global Y_STORED *y, ulong y_start, long in_d, long in_h, long in_w, long x_n, long x_c, long x_d,
                     long x_h, long x_w, long out_d, long out_h, long out_w, long y_n, long y_c, long y_d, long y_h,
                     long y_w RESIDUAL_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  ulong rest = item;
  const long ow = rest % out_w;
  rest /= out_w;
  const long oh = rest % out_h;
  rest /= out_h;
  const long od = rest % out_d;
  rest /= out_d;
  const long m = rest % ((ulong)GROUPS * GROUP_OUT), n = rest / ((ulong)GROUPS * GROUP_OUT);
  const ulong group = m / GROUP_OUT;

  x += x_start + n * x_n + (long)group * GROUP_IN * x_c;
  packed += packed_start;
  const finish_t f = finish_of(packed, m, y + y_start, RESIDUAL_OF(y, y_start));
  const REAL bias = packed[WEIGHTS + m];
  packed += group * GROUP_IN * GROUP_OUT * TAPS;

  /* Four sums at once: one would wait for its own result at every step. */
  REAL sum = bias;
  REAL4 partial = 0;
#if TRANSPOSED
#define TAP(c) tap[((c)*GROUP_OUT + m % GROUP_OUT) * TAPS]
#else
#define TAP(c) tap[(m % GROUP_OUT * GROUP_IN + (c)) * TAPS]
#endif
  for (long kd = 0; kd < KERNEL_D; ++kd) {
    const long id = MEETS(od, kd, APART_D, PADDING_D, DILATION_D, in_d);
    if (id < 0) continue;
    for (long kh = 0; kh < KERNEL_H; ++kh) {
      const long ih = MEETS(oh, kh, APART_H, PADDING_H, DILATION_H, in_h);
      if (ih < 0) continue;
      for (long kw = 0; kw < KERNEL_W; ++kw) {
        const long iw = MEETS(ow, kw, APART_W, PADDING_W, DILATION_W, in_w);
        if (iw < 0) continue;
        __global const X_STORED *from = x + id * x_d + ih * x_h + iw * x_w;
        __global const REAL *tap = packed + (kd * KERNEL_H + kh) * KERNEL_W + kw;
        long c = 0;
        for (; c + 4 <= GROUP_IN; c += 4) {
          const REAL4 value = (REAL4)(READ_X(from + c * x_c), READ_X(from + (c + 1) * x_c), READ_X(from + (c + 2) * x_c),
                                      READ_X(from + (c + 3) * x_c));
          partial = fma(value, (REAL4)(TAP(c), TAP(c + 1), TAP(c + 2), TAP(c + 3)), partial);
        }
        for (; c < GROUP_IN; ++c) sum = fma(READ_X(from + c * x_c), TAP(c), sum);
      }
    }
  }
  y += y_start + n * y_n + m * y_c + od * y_d + oh * y_h + ow * y_w;
  store_sum(y, sum + ((partial.x + partial.y) + (partial.z + partial.w)), &f);
}
