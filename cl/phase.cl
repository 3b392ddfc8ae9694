/* phase.cl: dense phases with explicit vectors, for CPU devices: one work-item a work-group, no barrier, no local memory.
 *
 * Along one axis o = stride*t + a; the taps that reach residue a form a progression (first tap, then every stride/g-th, each
 * dilation/g input positions lower), so each residue is a dense correlation over t. A work-item owns BLOCK_M output channels of
 * one residue of D and of H, one t of D, BLOCK_H values of t of H, and walks along W: there it computes BLOCK_W vectors of
 * VECTOR consecutive t for all STRIDE_W residues at once, so that loads of x serve every residue and whole contiguous rows are
 * stored.
 *
 *   sums[m][h][v][a] += x[c][t_d + offset_d][t_h + h + offset_h][t_w + v*VECTOR + offset_w(k)] * w[c][m][tap]
 *
 * x is read from a copy with zeros around it (phase_pad), so that no tap needs a check; a tap that does not exist is not there
 * to meet an Inf. packed holds the weights in the order of use: [group][m block][residue d][residue h][c][tap d][tap
 * h][k_w][BLOCK_M], then the bias [group][m block][BLOCK_M]; channels past the last are zero and never stored.
 *
 * Required: GROUPS GROUP_IN GROUP_OUT, KERNEL_ STRIDE_ PADDING_ DILATION_ for D H W, VECTOR BLOCK_M BLOCK_H BLOCK_W,
 * MIN_OFFSET_ for D H W, and for D and H RESIDUES_ and the tables by residue TAP_START_ (residues+1 values: how many taps the
 * residues before have), FIRST_TAP_, FIRST_OFFSET_, and the steps TAP_STEP_, OFFSET_STEP_. */
#include "common.cl"

#if !defined(GROUPS) || !defined(GROUP_IN) || !defined(GROUP_OUT)
#error "GROUPS, GROUP_IN and GROUP_OUT are required"
#endif
#if !defined(KERNEL_D) || !defined(KERNEL_H) || !defined(KERNEL_W) || !defined(STRIDE_D) || !defined(STRIDE_H) || \
    !defined(STRIDE_W)
#error "KERNEL_ and STRIDE_ D, H and W are required"
#endif
#if !defined(PADDING_W) || !defined(DILATION_W) || !defined(VECTOR) || !defined(BLOCK_M) || !defined(BLOCK_H) || \
    !defined(BLOCK_W)
#error "PADDING_W, DILATION_W, VECTOR and BLOCK_ M, H and W are required"
#endif
#if !defined(RESIDUES_D) || !defined(RESIDUES_H) || !defined(MIN_OFFSET_D) || !defined(MIN_OFFSET_H) || !defined(MIN_OFFSET_W)
#error "RESIDUES_ D and H and MIN_OFFSET_ D, H and W are required"
#endif
#if !defined(TAP_START_D) || !defined(FIRST_TAP_D) || !defined(FIRST_OFFSET_D) || !defined(TAP_STEP_D) || \
    !defined(OFFSET_STEP_D)
#error "the tables of axis D are required"
#endif
#if !defined(TAP_START_H) || !defined(FIRST_TAP_H) || !defined(FIRST_OFFSET_H) || !defined(TAP_STEP_H) || \
    !defined(OFFSET_STEP_H)
#error "the tables of axis H are required"
#endif

__constant int tap_start_d[] = {TAP_START_D};
__constant int first_tap_d[] = {FIRST_TAP_D};
__constant int first_offset_d[] = {FIRST_OFFSET_D};
__constant int tap_start_h[] = {TAP_START_H};
__constant int first_tap_h[] = {FIRST_TAP_H};
__constant int first_offset_h[] = {FIRST_OFFSET_H};

#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
/* Weights of one (c, tap d, tap h), and of one m block of one group. */
#define ROW_WEIGHTS (KERNEL_W * BLOCK_M)
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * tap_start_h[RESIDUES_H] * GROUP_IN * ROW_WEIGHTS)

/* The residue and the input offset of tap k along W; both fold to constants once the loop over k is unrolled. */
#define RESIDUE_W(k) T3_MOD((k)*DILATION_W - PADDING_W, STRIDE_W)
#define OFFSET_W(k) ((RESIDUE_W(k) + PADDING_W - (k)*DILATION_W) / STRIDE_W)

/* Where the weights of residues (ad, ah) start in a block. */
static inline ulong phase_start(uint ad, uint ah) {
  uint taps_d = tap_start_d[ad + 1] - tap_start_d[ad];
  ulong before = (ulong)tap_start_d[ad] * tap_start_h[RESIDUES_H] + (ulong)taps_d * tap_start_h[ah];
  return before * GROUP_IN * ROW_WEIGHTS;
}

/* One work-item packs one (group, m block, residue d, residue h); those of residues (0, 0) the bias too. */
T3_SINGLE void phase_pack(ulong items, __global const float *restrict w, ulong w_start, __global const float *restrict b,
                          ulong b_start, __global float *restrict packed, ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const uint ah = item % RESIDUES_H;
  const uint ad = item / RESIDUES_H % RESIDUES_D;
  const ulong block = item / (RESIDUES_H * RESIDUES_D);
  const uint first_m = block % M_BLOCKS * BLOCK_M;
  const ulong group = block / M_BLOCKS;

  w += w_start + group * GROUP_IN * GROUP_OUT * KERNEL_D * KERNEL_H * KERNEL_W;
  packed += packed_start;
  if (ad == 0 && ah == 0)
    for (uint m = 0; m < BLOCK_M; ++m) {
      const bool real = has_bias && first_m + m < GROUP_OUT;
      packed[(ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * BLOCK_M + m] =
          real ? b[b_start + group * GROUP_OUT + first_m + m] : 0.0f;
    }

  __global float *to = packed + block * BLOCK_WEIGHTS + phase_start(ad, ah);
  const uint taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  for (uint c = 0; c < GROUP_IN; ++c)
    for (uint jd = 0; jd < taps_d; ++jd)
      for (uint jh = 0; jh < taps_h; ++jh) {
        const ulong tap = (ulong)(first_tap_d[ad] + jd * TAP_STEP_D) * KERNEL_H + first_tap_h[ah] + jh * TAP_STEP_H;
        for (uint kw = 0; kw < KERNEL_W; ++kw)
          for (uint m = 0; m < BLOCK_M; ++m) {
            const ulong from = (((ulong)c * GROUP_OUT + first_m + m) * KERNEL_D * KERNEL_H + tap) * KERNEL_W + kw;
            *to++ = first_m + m < GROUP_OUT ? w[from] : 0.0f;
          }
      }
}

/* Copies one row: dst[i] = src[i + shift] where that is inside the row of in elements, else 0. */
static inline void pad_row(__global float *restrict dst, int width, __global const float *restrict src, int in, int shift) {
  const int begin = clamp(-shift, 0, width), end = clamp(in - shift, begin, width);
  for (int i = 0; i < begin; ++i) dst[i] = 0.0f;
  for (int i = begin; i < end; ++i) dst[i] = src[i + shift];
  for (int i = end; i < width; ++i) dst[i] = 0.0f;
}

/* One work-item fills one (image and channel, depth) plane of the padded copy. */
T3_SINGLE void phase_pad(ulong items, __global const float *restrict x, ulong x_start, __global float *restrict padded,
                         ulong padded_start, long in_d, long in_h, long in_w, long padded_d, long padded_h, long padded_w) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long d = (long)(item % padded_d) + MIN_OFFSET_D;
  const ulong channel = item / padded_d;
  __global float *to = padded + padded_start + item * padded_h * padded_w;
  for (long row = 0; row < padded_h; ++row, to += padded_w) {
    const long h = row + MIN_OFFSET_H;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    __global const float *from = x + x_start + (inside ? ((channel * in_d + d) * in_h + h) * in_w : 0);
    pad_row(to, (int)padded_w, from, inside ? (int)in_w : 0, inside ? MIN_OFFSET_W : 0);
  }
}

#if STRIDE_W == 2 && VECTOR == 4
#define INTERLEAVE_LOW(a, b) (float4)((a).s0, (b).s0, (a).s1, (b).s1)
#define INTERLEAVE_HIGH(a, b) (float4)((a).s2, (b).s2, (a).s3, (b).s3)
#elif STRIDE_W == 2 && VECTOR == 8
#define INTERLEAVE_LOW(a, b) (float8)((a).s0, (b).s0, (a).s1, (b).s1, (a).s2, (b).s2, (a).s3, (b).s3)
#define INTERLEAVE_HIGH(a, b) (float8)((a).s4, (b).s4, (a).s5, (b).s5, (a).s6, (b).s6, (a).s7, (b).s7)
#elif STRIDE_W == 2 && VECTOR == 16
#define INTERLEAVE_LOW(a, b)                                                                                                \
  (float16)((a).s0, (b).s0, (a).s1, (b).s1, (a).s2, (b).s2, (a).s3, (b).s3, (a).s4, (b).s4, (a).s5, (b).s5, (a).s6, (b).s6, \
            (a).s7, (b).s7)
#define INTERLEAVE_HIGH(a, b)                                                                                               \
  (float16)((a).s8, (b).s8, (a).s9, (b).s9, (a).sa, (b).sa, (a).sb, (b).sb, (a).sc, (b).sc, (a).sd, (b).sd, (a).se, (b).se, \
            (a).sf, (b).sf)
#endif

/* Stores the residues of VECTOR values of t, interleaved: count outputs, all VECTOR*STRIDE_W of them but at a row's end. */
static inline void store_outputs(__global float *to, const VEC *sums, int count) {
#if STRIDE_W == 1
  if (count >= VECTOR) {
    VSTORE(sums[0], to);
    return;
  }
#elif STRIDE_W == 2
  if (count >= 2 * VECTOR) {
    VSTORE(INTERLEAVE_LOW(sums[0], sums[1]), to);
    VSTORE(INTERLEAVE_HIGH(sums[0], sums[1]), to + VECTOR);
    return;
  }
#endif
  /* Element by element from memory. Every index into sums is a constant: one that is not would keep all sums in memory. */
  union {
    VEC vector[STRIDE_W];
    float lane[STRIDE_W * VECTOR];
  } row;
#pragma unroll
  for (int a = 0; a < STRIDE_W; ++a) row.vector[a] = sums[a];
  for (int i = 0; i < min(count, STRIDE_W * VECTOR); ++i) to[i] = row.lane[i % STRIDE_W * VECTOR + i / STRIDE_W];
}

T3_SINGLE void phase(ulong items, __global const float *restrict x, ulong x_start, __global const float *restrict packed,
                     ulong packed_start, __global float *restrict y, ulong y_start, long padded_d, long padded_h, long padded_w,
                     long out_d, long out_h, long out_w) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  /* The m block and the residues change fastest: they read the same x, which so stays in the cache. */
  const uint m_block = item % M_BLOCKS;
  item /= M_BLOCKS;
  const uint ah = item % RESIDUES_H;
  item /= RESIDUES_H;
  const uint ad = item % RESIDUES_D;
  item /= RESIDUES_D;
  const uint h_blocks = (out_h + STRIDE_H * BLOCK_H - 1) / (STRIDE_H * BLOCK_H);
  const uint th = item % h_blocks * BLOCK_H;
  item /= h_blocks;
  const uint count_d = (out_d + STRIDE_D - 1) / STRIDE_D;
  const uint td = item % count_d;
  const ulong image = item / count_d; /* n * GROUPS + group */
  const ulong group = image % GROUPS;

  const uint od = td * STRIDE_D + ad;
  if (od >= out_d || th * STRIDE_H + ah >= out_h) return;

  const int pitch = (int)padded_w, plane = (int)(padded_h * padded_w);
  const ulong channel = (ulong)padded_d * plane;
  x += x_start + image * GROUP_IN * channel + (ulong)td * plane + (ulong)th * pitch;
  packed += packed_start;
  const ulong block = group * M_BLOCKS + m_block;
  __global const float *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * BLOCK_M;
  __global const float *weights = packed + block * BLOCK_WEIGHTS + phase_start(ad, ah);
  const int taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  const int taps = taps_d * taps_h;
  /* Where the rows of x that the taps of D and H meet lie; one flat loop over them is 10 % faster than two nested ones. */
  int shift[KERNEL_D * KERNEL_H];
  for (int j = 0; j < taps; ++j)
    shift[j] = (first_offset_d[ad] - MIN_OFFSET_D - j / taps_h * OFFSET_STEP_D) * plane +
               (first_offset_h[ah] - MIN_OFFSET_H - j % taps_h * OFFSET_STEP_H) * pitch;
  y += y_start + (image * GROUP_OUT * out_d + od) * out_h * out_w;

  for (int tw = 0; tw * STRIDE_W < out_w; tw += BLOCK_W * VECTOR) {
    VEC sums[BLOCK_M][BLOCK_H][BLOCK_W][STRIDE_W];
#pragma unroll
    for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
      for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
        for (int v = 0; v < BLOCK_W; ++v)
#pragma unroll
          for (int a = 0; a < STRIDE_W; ++a) sums[m][h][v][a] = (VEC)bias[m];

    __global const float *w = weights;
    __global const float *from = x + tw;
    for (uint c = 0; c < GROUP_IN; ++c, from += channel)
      for (int j = 0; j < taps; ++j, w += ROW_WEIGHTS) {
        __global const float *row = from + shift[j];
#pragma unroll
        for (int k = 0; k < KERNEL_W; ++k) {
          VEC values[BLOCK_H][BLOCK_W];
#pragma unroll
          for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
            for (int v = 0; v < BLOCK_W; ++v) values[h][v] = VLOAD(row + h * pitch + v * VECTOR + (OFFSET_W(k) - MIN_OFFSET_W));
#pragma unroll
          for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
            for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
              for (int v = 0; v < BLOCK_W; ++v)
                sums[m][h][v][RESIDUE_W(k)] = fma(values[h][v], (VEC)w[k * BLOCK_M + m], sums[m][h][v][RESIDUE_W(k)]);
        }
      }

#pragma unroll
    for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
      for (int h = 0; h < BLOCK_H; ++h) {
        const uint oh = (th + h) * STRIDE_H + ah;
        const uint om = m_block * BLOCK_M + m;
        if (om >= GROUP_OUT || oh >= out_h) continue;
        __global float *to = y + ((ulong)om * out_d * out_h + oh) * out_w;
#pragma unroll
        for (int v = 0; v < BLOCK_W; ++v) {
          const long o = (long)(tw + v * VECTOR) * STRIDE_W;
          if (o < out_w) store_outputs(to + o, sums[m][h][v], (int)min(out_w - o, (long)(VECTOR * STRIDE_W)));
        }
      }
  }
}
