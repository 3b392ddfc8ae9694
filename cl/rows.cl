/* rows.cl: dense phases with vectors of positions and all residues of H at once, for CPU devices: one work-item a work-group,
 * no barrier, no local memory.
 *
 * As phase.cl, but a work-item computes BLOCK_H values of t of H for all STRIDE_H residues of H and all STRIDE_W of W. A row of
 * x then serves every tap of H that meets it, which phase.cl loads once for each tap: that counts where channels are so few
 * that a loaded value meets little else (depthwise layers, one to three output channels).
 *
 *   sums[m][h][residue h][v][residue w] += x[c][t_d + offset_d][t_h + h + offset_h][t_w + v*VECTOR + offset_w] * w[c][m][tap]
 *
 * x is read as edges.cl says, or in place where no tap reaches over an edge. packed holds [group][m
 * block][residue d][c][tap d][k_h][k_w][BLOCK_M], then the bias [group][m block][BLOCK_M]; channels past the last are zero and
 * never stored.
 *
 * Required: what layer.cl asks, what phases.cl asks for D, VECTOR BLOCK_M BLOCK_H BLOCK_W STREAM, Y_CHANNELS_LAST (1: y has
 * neighbouring channels, not positions, side by side), EDGES and what edges.cl asks, MIN_OFFSET_ for D H W, SPAN_H (the
 * greatest input offset of H less the least). */
#include "common.cl"
#define MAY_SWAP 0
#include "edges.cl"
#include "layer.cl"
#include "lines.cl"
#include "phases.cl"

#if !defined(Y_CHANNELS_LAST) || !defined(BLOCK_M) || !defined(BLOCK_H) || !defined(BLOCK_W) || !defined(SPAN_H)
#error "Y_CHANNELS_LAST, BLOCK_ M, H and W and SPAN_H are required"
#endif

#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
/* Weights of one (c, tap d), and of one m block of one group. */
#define PLANE_WEIGHTS (KERNEL_H * KERNEL_W * BLOCK_M)
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * GROUP_IN * PLANE_WEIGHTS)
#define ROWS (BLOCK_H + SPAN_H)

#define RESIDUE_H(k) T3_MOD((k)*DILATION_H - PADDING_H, STRIDE_H)
#define OFFSET_H(k) ((RESIDUE_H(k) + PADDING_H - (k)*DILATION_H) / STRIDE_H)

/* One work-item packs one (group, m block, residue d); those of residue 0 the bias too. */
T3_SINGLE void rows_pack(ulong items, __global const W_STORED *restrict w, ulong w_start, __global const W_STORED *restrict b,
                         ulong b_start, __global REAL *restrict packed, ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const uint ad = item % RESIDUES_D;
  const ulong block = item / RESIDUES_D;
  const uint first_m = block % M_BLOCKS * BLOCK_M, channels = min((uint)BLOCK_M, GROUP_OUT - first_m);
  const ulong group = block / M_BLOCKS;

  packed += packed_start;
  if (ad == 0)
    for (uint m = 0; m < BLOCK_M; ++m)
      packed[(ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * BLOCK_M + m] =
          has_bias && m < channels ? READ_W(b + b_start + group * GROUP_OUT + first_m + m) : 0;

  w += w_start;
  __global REAL *to = packed + block * BLOCK_WEIGHTS + (ulong)tap_start_d[ad] * GROUP_IN * PLANE_WEIGHTS;
  const uint taps_d = tap_start_d[ad + 1] - tap_start_d[ad];
  for (uint c = 0; c < GROUP_IN; ++c)
    for (uint jd = 0; jd < taps_d; ++jd)
      for (uint k = 0; k < KERNEL_H * KERNEL_W; ++k)
        for (uint m = 0; m < BLOCK_M; ++m) {
          const long from = WEIGHT_AT(group, c, first_m + m, first_tap_d[ad] + jd * TAP_STEP_D, k / KERNEL_W, k % KERNEL_W);
          *to++ = m < channels ? READ_W(w + from) : 0;
        }
}

/* x_ and y_: strides of what x is read from, and of y; those of W are 1, but y_w with Y_CHANNELS_LAST. lines: blocks of BLOCK_H
 * values of t of H in a plane; run: how many of them a work-item takes; length: values of t in a row.
 */
T3_SINGLE void rows(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict edge,
                    ulong edge_start, __global const REAL *restrict packed, ulong packed_start, __global Y_STORED *Y_RESTRICT y,
                    ulong y_start, long edge_width, long last_plane, long x_n, long x_c, long x_d, long x_h, long in_d,
                    long in_h, long in_w, long y_n, long y_c, long y_d, long y_h, long y_w, long out_d, long out_h, long out_w,
                    long lines, long length, long run RESIDUAL_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const uint m_block = item % M_BLOCKS;
  item /= M_BLOCKS;
  const uint ad = item % RESIDUES_D;
  item /= RESIDUES_D;
  const uint runs = ((uint)lines + (uint)run - 1) / (uint)run;
  const uint first_line = item % runs * (uint)run, end_line = min(first_line + (uint)run, (uint)lines);
  item /= runs;
  const uint count_d = (out_d + STRIDE_D - 1) / STRIDE_D;
  const uint td = item % count_d;
  const long image = item / count_d / GROUPS, group = item / count_d % GROUPS;

  const uint od = td * STRIDE_D + ad;
  if (od >= out_d) return;

  const int pitch = (int)x_h;
#if EDGES
  const input_t input = input_of(x + x_start, last_plane, (int)in_h, pitch, edge + edge_start, edge_width);
  x += x_start + image * x_n + group * GROUP_IN * x_c;
#else
  x += x_start + image * x_n + group * GROUP_IN * x_c + td * x_d;
#endif
  packed += packed_start;
  const ulong block = group * M_BLOCKS + m_block;
  __global const REAL *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * BLOCK_M;
  __global const REAL *weights = packed + block * BLOCK_WEIGHTS + (ulong)tap_start_d[ad] * GROUP_IN * PLANE_WEIGHTS;

  /* The taps of D whose plane of x is there; offsets fall as taps rise. */
  const int taps_d = tap_start_d[ad + 1] - tap_start_d[ad], offset_d = (int)td + first_offset_d[ad];
  int first_tap = 0, end_tap = taps_d;
  while (first_tap < end_tap && offset_d - first_tap * OFFSET_STEP_D >= in_d) ++first_tap;
  while (end_tap > first_tap && offset_d - (end_tap - 1) * OFFSET_STEP_D < 0) --end_tap;

  const int channels = min(BLOCK_M, (int)(GROUP_OUT - m_block * BLOCK_M));
  __global const Y_STORED *all_y = y + y_start, *residuals = RESIDUAL_OF(y, y_start);
  y += y_start + image * y_n + (group * GROUP_OUT + m_block * BLOCK_M) * y_c + od * y_d;

  for (uint line = first_line; line < end_line; ++line)
    for (int next = 0; next < (int)length; next += BLOCK_W * VECTOR) {
      const uint th = line * BLOCK_H;
      const int tw = max(min(next, (int)length - BLOCK_W * VECTOR), 0);
      VEC sums[BLOCK_M][BLOCK_H][STRIDE_H][BLOCK_W][STRIDE_W];
#pragma unroll
      for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
        for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
          for (int b = 0; b < STRIDE_H; ++b)
#pragma unroll
            for (int v = 0; v < BLOCK_W; ++v)
#pragma unroll
              for (int a = 0; a < STRIDE_W; ++a) sums[m][h][b][v][a] = (VEC)bias[m];

#if EDGES
      INT_VEC inside[KERNEL_W][BLOCK_W];
#pragma unroll
      for (int k = 0; k < KERNEL_W; ++k)
#pragma unroll
        for (int v = 0; v < BLOCK_W; ++v) inside[k][v] = inside_row(tw + v * VECTOR + OFFSET_W(k), (int)in_w);
      __global const REAL *from = x + offset_d * x_d;
#else
      __global const REAL *from = x + (first_offset_d[ad] - MIN_OFFSET_D) * x_d + th * x_h + tw;
#endif
      __global const REAL *weights_c = weights;
      for (uint c = 0; c < GROUP_IN; ++c, from += x_c, weights_c += taps_d * PLANE_WEIGHTS)
        for (int j = first_tap; j < end_tap; ++j) {
          __global const REAL *row[ROWS];
#if EDGES
          find_rows(row, ROWS, &input, from - j * OFFSET_STEP_D * x_d, (int)th + MIN_OFFSET_H, tw);
#else
#pragma unroll
          for (int r = 0; r < ROWS; ++r) row[r] = from - j * OFFSET_STEP_D * x_d + r * pitch - MIN_OFFSET_W;
#endif
          __global const REAL *w = weights_c + j * PLANE_WEIGHTS;
#pragma unroll
          for (int k = 0; k < KERNEL_W; ++k) {
            VEC values[ROWS][BLOCK_W];
#pragma unroll
            for (int r = 0; r < ROWS; ++r)
#pragma unroll
              for (int v = 0; v < BLOCK_W; ++v)
#if EDGES
                values[r][v] = load_x(row[r] + v * VECTOR, OFFSET_W(k), inside[k][v]);
#else
                values[r][v] = VLOAD(row[r] + v * VECTOR + OFFSET_W(k));
#endif
#pragma unroll
            for (int kh = 0; kh < KERNEL_H; ++kh)
#pragma unroll
              for (int m = 0; m < BLOCK_M; ++m) {
                const VEC weight = (VEC)w[(kh * KERNEL_W + k) * BLOCK_M + m];
#pragma unroll
                for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
                  for (int v = 0; v < BLOCK_W; ++v)
                    sums[m][h][RESIDUE_H(kh)][v][RESIDUE_W(k)] =
                        fma(values[h + OFFSET_H(kh) - MIN_OFFSET_H][v], weight, sums[m][h][RESIDUE_H(kh)][v][RESIDUE_W(k)]);
              }
          }
        }

      /* By way of memory, as in phase.cl. */
      line_t lines_of[BLOCK_M][BLOCK_H][STRIDE_H][BLOCK_W];
#pragma unroll
      for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
        for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
          for (int b = 0; b < STRIDE_H; ++b)
#pragma unroll
            for (int v = 0; v < BLOCK_W; ++v)
#pragma unroll
              for (int a = 0; a < STRIDE_W; ++a) lines_of[m][h][b][v].vector[a] = sums[m][h][b][v][a];

#if Y_CHANNELS_LAST
      for (int h = 0; h < BLOCK_H * STRIDE_H; ++h)
        for (int v = 0; v < BLOCK_W; ++v) {
          const int oh = (int)th * STRIDE_H + h, o = (tw + v * VECTOR) * STRIDE_W;
          if (oh < out_h && o < out_w)
            store_turned(y + oh * y_h + o * y_w, y_w, (line_t *)lines_of + h * BLOCK_W + v, BLOCK_H * STRIDE_H * BLOCK_W,
                         channels, (int)out_w - o, DONE_BEFORE(next, tw + v * VECTOR), packed,
                         group * GROUP_OUT + m_block * BLOCK_M, all_y, residuals);
        }
#else
#pragma unroll 1
      for (int m = 0; m < channels; ++m) {
        const finish_t f = finish_of(packed, group * GROUP_OUT + m_block * BLOCK_M + m, all_y, residuals);
#pragma unroll 1
        for (int h = 0; h < BLOCK_H * STRIDE_H; ++h) {
          const uint oh = th * STRIDE_H + h;
          if (oh >= out_h) break;
          __global Y_STORED *to = y + m * y_c + oh * y_h;
          for (int v = 0; v < BLOCK_W; ++v) {
            const int o = (tw + v * VECTOR) * STRIDE_W;
            if (o < out_w)
              store_after(to + o, &lines_of[m][h / STRIDE_H][h % STRIDE_H][v], (int)out_w - o,
                          DONE_BEFORE(next, tw + v * VECTOR), v, &f);
          }
        }
      }
#endif
    }
}
