/* gemm.cl: what goes around matrix products. Outputs of one phase are W [m][k] times X [k][q]: k counts the taps that reach the
 * phase and the input channels of a group, q the positions t of the phase in all images. gemm_gather fills X for a slice of q,
 * [group][tap][c][q], zero where a tap meets no input; gemm_store takes the product, [group][m][q], to y.
 *
 * SINGLE: kernel = stride, no padding: each tap is a phase of its own and t an input position, so x is X as it lies, and one
 * product gives [m][tap][t], which gemm_unfold takes to y.
 *
 * packed: W of all phases, one after the other by their residues of D, H, W, each [group][m][tap][c], or if SINGLE
 * [group][m][tap][c] with all taps as rows; then b (zeros when absent). Required: what layer.cl and, for D, H and W, phases.cl
 * ask, and SINGLE. */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"
#include "phases.cl"
#ifndef SINGLE
#error "SINGLE is required"
#endif

#define TAPS ((ulong)KERNEL_D * KERNEL_H * KERNEL_W)
#define OUTS ((ulong)GROUPS * GROUP_OUT)
#define WEIGHTS (OUTS * GROUP_IN * TAPS)

/* Where tap (d, h, w) of input channel c and output channel m (of all) goes; WEIGHTS: nowhere, as no output meets it. */
static inline ulong place_of(ulong m, ulong c, long d, long h, long w) {
#if SINGLE
  return (m * TAPS + (d * KERNEL_H + h) * KERNEL_W + w) * GROUP_IN + c;
#else
  /* A convolution's only residue is 0, as STRIDE_, the step of y, is 1. */
  const long rd = T3_MOD(d * DILATION_D - PADDING_D, STRIDE_D), rh = T3_MOD(h * DILATION_H - PADDING_H, STRIDE_H),
             rw = T3_MOD(w * DILATION_W - PADDING_W, STRIDE_W);
  if (rd >= RESIDUES_D || rh >= RESIDUES_H || rw >= RESIDUES_W) return WEIGHTS;
  const ulong num_d = tap_start_d[rd + 1] - tap_start_d[rd], num_h = tap_start_h[rh + 1] - tap_start_h[rh],
              num_w = tap_start_w[rw + 1] - tap_start_w[rw];
  const ulong before = (ulong)tap_start_d[rd] * tap_start_h[RESIDUES_H] * tap_start_w[RESIDUES_W] +
                       num_d * ((ulong)tap_start_h[rh] * tap_start_w[RESIDUES_W] + num_h * (ulong)tap_start_w[rw]);
  const ulong tap = ((d - first_tap_d[rd]) / TAP_STEP_D * num_h + (h - first_tap_h[rh]) / TAP_STEP_H) * num_w +
                    (w - first_tap_w[rw]) / TAP_STEP_W;
  return before * OUTS * GROUP_IN + (m * num_d * num_h * num_w + tap) * GROUP_IN + c;
#endif
}

__kernel void gemm_pack(ulong items, __global const W_STORED *w, ulong w_start, __global const W_STORED *b, ulong b_start,
                        __global REAL *packed, ulong packed_start, long has_bias) {
  const ulong i = get_global_id(0);
  if (i >= items) return;
  packed += packed_start;
  if (i >= WEIGHTS) {
    packed[i] = has_bias ? READ_W(b + b_start + i - WEIGHTS) : (REAL)0;
    return;
  }
  const long kw = i % KERNEL_W, kh = i / KERNEL_W % KERNEL_H, kd = i / ((ulong)KERNEL_W * KERNEL_H) % KERNEL_D;
  const ulong c = i / TAPS % GROUP_IN, m = i / TAPS / GROUP_IN;
  const ulong to = place_of(m, c, kd, kh, kw);
  if (to < WEIGHTS) packed[to] = READ_W(w + w_start + WEIGHT_AT(m / GROUP_OUT, c, m % GROUP_OUT, kd, kh, kw));
}

#if SINGLE
/* Images from image on; one work-item an output. */
__kernel void gemm_unfold(ulong items, __global const REAL *packed, ulong packed_start, __global const REAL *product,
                          ulong product_start, __global Y_STORED *y, ulong y_start, long image, long in_d, long in_h, long in_w,
                          long y_n, long y_c, long y_d, long y_h, long y_w RESIDUAL_ARGS) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  ulong rest = item;
  const long ow = rest % (ulong)(in_w * KERNEL_W);
  rest /= (ulong)(in_w * KERNEL_W);
  const long oh = rest % (ulong)(in_h * KERNEL_H);
  rest /= (ulong)(in_h * KERNEL_H);
  const long od = rest % (ulong)(in_d * KERNEL_D);
  rest /= (ulong)(in_d * KERNEL_D); /* image and channel */
  const ulong m = rest % OUTS;
  const ulong tap = ((ulong)(od % KERNEL_D) * KERNEL_H + oh % KERNEL_H) * KERNEL_W + ow % KERNEL_W;
  const ulong at = ((rest * TAPS + tap) * in_d + od / KERNEL_D) * in_h * in_w + (oh / KERNEL_H) * in_w + ow / KERNEL_W;
  packed += packed_start;
  const finish_t f = finish_of(packed, m, y + y_start, RESIDUAL_OF(y, y_start));
  y += y_start + (image + (long)(rest / OUTS)) * y_n + (long)m * y_c + od * y_d + oh * y_h + ow * y_w;
  store_sum(y, product[product_start + at] + packed[WEIGHTS + m], &f);
}
#else

/* One work-item an element of X: positions from q_first on, of images of size_d x size_h x size_w of them; the phase's taps and
 * the input offset of its first one. */
__kernel void gemm_gather(ulong items, __global const X_STORED *x, ulong x_start, __global REAL *matrix, ulong matrix_start,
                          long q_first, long q_count, long size_d, long size_h, long size_w, long taps_h, long taps_w,
                          long taps, long offset_d, long offset_h, long offset_w, long in_d, long in_h, long in_w, long x_n,
                          long x_c, long x_d, long x_h, long x_w) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  ulong q = item % q_count + q_first, row = item / q_count;
  const long c = row % GROUP_IN;
  row /= GROUP_IN;
  const long tap = row % taps, group = row / taps;
  const long tw = q % size_w;
  q /= size_w;
  const long th = q % size_h;
  q /= size_h;
  const long td = q % size_d, n = q / size_d;
  const long d = td * INPUT_STEP_D + offset_d - tap / (taps_h * taps_w) * OFFSET_STEP_D;
  const long h = th * INPUT_STEP_H + offset_h - tap / taps_w % taps_h * OFFSET_STEP_H;
  const long w = tw * INPUT_STEP_W + offset_w - tap % taps_w * OFFSET_STEP_W;
  const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h && w >= 0 && w < in_w;
  REAL value = 0;
  if (inside) value = READ_X(x + x_start + n * x_n + (group * GROUP_IN + c) * x_c + d * x_d + h * x_h + w * x_w);
  matrix[matrix_start + item] = value;
}

/* One work-item an output; computed: 0 of a phase that no tap reaches, whose outputs are b alone. residue_: of the phase. */
__kernel void gemm_store(ulong items, __global const REAL *packed, ulong packed_start, __global const REAL *product,
                         ulong product_start, __global Y_STORED *y, ulong y_start, long computed, long q_first, long q_count,
                         long size_d, long size_h, long size_w, long residue_d, long residue_h, long residue_w, long y_n,
                         long y_c, long y_d, long y_h, long y_w RESIDUAL_ARGS) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  ulong q = item % q_count + q_first;
  const ulong m = item / q_count;
  const long ow = (long)(q % size_w) * STRIDE_W + residue_w;
  q /= size_w;
  const long oh = (long)(q % size_h) * STRIDE_H + residue_h;
  q /= size_h;
  const long od = (long)(q % size_d) * STRIDE_D + residue_d, n = q / size_d;
  packed += packed_start;
  const finish_t f = finish_of(packed, m, y + y_start, RESIDUAL_OF(y, y_start));
  REAL sum = packed[WEIGHTS + m];
  if (computed) sum += product[product_start + item];
  y += y_start + n * y_n + (long)m * y_c + od * y_d + oh * y_h + ow * y_w;
  store_sum(y, sum, &f);
}
#endif
