/* points.cl: dense phases without a product of matrices, for GPUs, where a group has few channels: no local memory, no barrier.
 *
 * A work-item owns BLOCK_M output channels of one group, one residue of D and of H, and BLOCK_T values of t, for all STRIDE_W
 * residues of W at once, so that what it loads of x serves all of them and what it stores lies side by side:
 *
 *   sums[m][t][a] += x[c][t_d + offset_d][t_h + offset_h][t_w + offset_w(k)] * w[c][m][tap]
 *
 * with INPUT_STEP*t for t in a convolution. What a tap meets outside of x is 0 and not read. Work-items of a work-group are
 * neighbours along t, BLOCK_T steps of LOCAL of them, and share their weights; or, BLOCKS_FASTEST, along blocks of channels,
 * for channels-last tensors of many groups. t is counted over images, t_d, t_h and t_w.
 *
 * packed: the terms of a block, [residue d][residue h][c][tap d][tap h][k_w], each of BLOCK_M weights, channels past the last
 * zero; blocks one after another, or (BLOCKS_FASTEST) blocks of a term side by side; then b (zeros when absent).
 *
 * Required: what layer.cl asks, what phases.cl asks for D and H, BLOCK_M BLOCK_T LOCAL BLOCKS_FASTEST. */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"
#include "phases.cl"

#if !defined(BLOCK_M) || !defined(BLOCK_T) || !defined(LOCAL) || !defined(BLOCKS_FASTEST)
#error "BLOCK_M, BLOCK_T, LOCAL and BLOCKS_FASTEST are required"
#endif

#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
#define BLOCKS ((ulong)GROUPS * M_BLOCKS)
#define TAPS_D tap_start_d[RESIDUES_D]
#define TAPS_H tap_start_h[RESIDUES_H]
#define TERMS ((ulong)TAPS_D * TAPS_H * GROUP_IN * KERNEL_W)

/* Where the weights of a term of a block lie. */
#if BLOCKS_FASTEST
#define TERM_AT(block, term) (((term)*BLOCKS + (block)) * BLOCK_M)
#else
#define TERM_AT(block, term) (((block)*TERMS + (term)) * BLOCK_M)
#endif

/* Terms of residues before (ad, ah). */
static inline ulong terms_before(int ad, int ah) {
  const ulong taps_d = tap_start_d[ad + 1] - tap_start_d[ad];
  return ((ulong)tap_start_d[ad] * TAPS_H + taps_d * tap_start_h[ah]) * GROUP_IN * KERNEL_W;
}

/* One work-item packs a row of weights under all taps of D and H of one pair of residues; those past the weights b. */
__kernel void points_pack(ulong items, __global const W_STORED *restrict w, ulong w_start, __global const W_STORED *restrict b,
                          ulong b_start, __global REAL *restrict packed, ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong weights = BLOCKS * RESIDUES_D * RESIDUES_H * GROUP_IN * KERNEL_W * BLOCK_M;
  packed += packed_start;
  if (item >= weights) {
    item -= weights;
    packed[BLOCKS * TERMS * BLOCK_M + item] = has_bias ? READ_W(b + b_start + item) : (REAL)0;
    return;
  }
  const uint m = item % BLOCK_M;
  item /= BLOCK_M;
  const uint k = item % KERNEL_W;
  item /= KERNEL_W;
  const uint c = item % GROUP_IN;
  item /= GROUP_IN;
  const uint ah = item % RESIDUES_H, ad = item / RESIDUES_H % RESIDUES_D;
  const ulong block = item / (RESIDUES_H * RESIDUES_D), group = block / M_BLOCKS;
  const uint row = block % M_BLOCKS * BLOCK_M + m;
  const int taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  w += w_start;
  for (int jd = 0; jd < taps_d; ++jd)
    for (int jh = 0; jh < taps_h; ++jh) {
      const ulong term = terms_before(ad, ah) + (((ulong)c * taps_d + jd) * taps_h + jh) * KERNEL_W + k;
      const int kd = first_tap_d[ad] + jd * TAP_STEP_D, kh = first_tap_h[ah] + jh * TAP_STEP_H;
      packed[TERM_AT(block, term) + m] = row < GROUP_OUT ? READ_W(w + WEIGHT_AT(group, c, row, kd, kh, k)) : (REAL)0;
    }
}

/* A value of t: where its x lies and t itself in x, and where its first output of y lies. */
typedef struct {
  long x_at, y_at;
  int d, h, w;
  bool real;
} point_t;

/* images: how many there are; x_ and y_: strides. */
__attribute__((reqd_work_group_size(LOCAL, 1, 1))) SUB_GROUPS __kernel void
points(ulong items, __global const X_STORED *restrict x, ulong x_start, __global const REAL *restrict packed,
       ulong packed_start, __global Y_STORED *Y_RESTRICT y, ulong y_start, long images, long in_d, long in_h, long in_w,
       long x_n, long x_c, long x_d, long x_h, long x_w, long out_d, long out_h, long out_w, long y_n, long y_c, long y_d,
       long y_h, long y_w, long tiles RESIDUAL_ARGS) {
  if (get_global_id(0) >= items) return;
#if BLOCKS_FASTEST
  const ulong block = get_global_id(0) % BLOCKS;
  ulong rest = get_global_id(0) / BLOCKS;
  const ulong first = rest % tiles * BLOCK_T;
  rest /= tiles;
  const int step = 1;
#else
  ulong rest = get_global_id(0) / LOCAL; /* the number of its work-group, in a launch in parts too */
  const ulong first = rest % tiles * (LOCAL * BLOCK_T) + get_local_id(0);
  rest /= tiles;
  const int step = LOCAL;
  const ulong block = rest / (RESIDUES_D * RESIDUES_H);
#endif
  const int ah = rest % RESIDUES_H, ad = rest / RESIDUES_H % RESIDUES_D;
  const uint t_d = (out_d - ad + STRIDE_D - 1) / STRIDE_D, t_h = (out_h - ah + STRIDE_H - 1) / STRIDE_H,
             t_w = (out_w + STRIDE_W - 1) / STRIDE_W;
  const ulong group = block / M_BLOCKS, positions = (ulong)images * t_d * t_h * t_w;
  const uint first_m = block % M_BLOCKS * BLOCK_M;
  if (first >= positions) return;

  /* Counted from the first one's place in 32 bits. */
  ulong left = first;
  const uint first_w = left % t_w;
  left /= t_w;
  const uint first_h = left % t_h;
  left /= t_h;
  const uint first_d = left % t_d;
  const ulong image = left / t_d;
  point_t point[BLOCK_T];
#pragma unroll
  for (int i = 0; i < BLOCK_T; ++i) {
    uint w = first_w + i * step, h = first_h + w / t_w, d = first_d + h / t_h;
    const long n = image + d / t_d;
    w %= t_w, h %= t_h, d %= t_d;
    point[i].real = first + i * step < positions;
    point[i].d = d * INPUT_STEP_D, point[i].h = h * INPUT_STEP_H, point[i].w = w * INPUT_STEP_W;
    point[i].x_at = n * x_n + point[i].d * x_d + point[i].h * x_h + point[i].w * x_w;
    point[i].y_at = n * y_n + ((long)d * STRIDE_D + ad) * y_d + ((long)h * STRIDE_H + ah) * y_h + (long)w * STRIDE_W * y_w;
  }

  __global const REAL *bias = packed + packed_start + BLOCKS * TERMS * BLOCK_M + group * GROUP_OUT;
  REAL sums[BLOCK_M][BLOCK_T][STRIDE_W];
#pragma unroll
  for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
    for (int i = 0; i < BLOCK_T; ++i)
#pragma unroll
      for (int a = 0; a < STRIDE_W; ++a) sums[m][i][a] = bias[min(first_m + m, (uint)(GROUP_OUT - 1))];

  x += x_start + (long)group * GROUP_IN * x_c;
  const int taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  ulong term = terms_before(ad, ah);
  /* Unrolled, these loops would keep the bounds of all taps at once. */
#pragma unroll 1
  for (int c = 0; c < GROUP_IN; ++c, x += x_c)
#pragma unroll 1
    for (int jd = 0; jd < taps_d; ++jd) {
      const int offset_d = first_offset_d[ad] - jd * OFFSET_STEP_D;
#pragma unroll 1
      for (int jh = 0; jh < taps_h; ++jh, term += KERNEL_W) {
        const int offset_h = first_offset_h[ah] - jh * OFFSET_STEP_H;
        const long shift = offset_d * x_d + offset_h * x_h;
        __global const REAL *weights = packed + packed_start + TERM_AT(block, term);
        bool inside[BLOCK_T];
#pragma unroll
        for (int i = 0; i < BLOCK_T; ++i)
          inside[i] = point[i].real && (uint)(point[i].d + offset_d) < (uint)in_d && (uint)(point[i].h + offset_h) < (uint)in_h;
#pragma unroll
        for (int k = 0; k < KERNEL_W; ++k) {
          REAL value[BLOCK_T];
#pragma unroll
          for (int i = 0; i < BLOCK_T; ++i)
            value[i] = inside[i] && (uint)(point[i].w + OFFSET_W(k)) < (uint)in_w
                           ? READ_X(x + point[i].x_at + shift + OFFSET_W(k) * x_w)
                           : (REAL)0;
#pragma unroll
          for (int m = 0; m < BLOCK_M; ++m) {
            const REAL weight = weights[k * (BLOCKS_FASTEST ? BLOCKS * BLOCK_M : BLOCK_M) + m];
#pragma unroll
            for (int i = 0; i < BLOCK_T; ++i) sums[m][i][RESIDUE_W(k)] = fma(value[i], weight, sums[m][i][RESIDUE_W(k)]);
          }
        }
      }
    }

  __global const Y_STORED *residuals = RESIDUAL_OF(y, y_start);
  y += y_start;
#pragma unroll
  for (int m = 0; m < BLOCK_M; ++m) {
    const ulong number = group * GROUP_OUT + min(first_m + m, (uint)(GROUP_OUT - 1));
    const finish_t f = finish_of(packed + packed_start, number, y, residuals);
    __global Y_STORED *to = y + (long)number * y_c;
#pragma unroll
    for (int i = 0; i < BLOCK_T; ++i)
#pragma unroll
      for (int a = 0; a < STRIDE_W; ++a)
        if (first_m + m < GROUP_OUT && point[i].real && point[i].w / INPUT_STEP_W * STRIDE_W + a < out_w)
          store_sum(to + point[i].y_at + a * y_w, sums[m][i][a], &f);
  }
}
