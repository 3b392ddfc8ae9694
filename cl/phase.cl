/* phase.cl: dense phases with vectors of positions, for CPU devices: one work-item a work-group, no barrier, no local memory.
 *
 * Along one axis o = stride*t + a; the taps that reach residue a form a progression (first tap, then every stride/g-th, each
 * dilation/g input positions lower), so each residue is a dense correlation over t. A work-item owns BLOCK_M output channels of
 * one residue of D and of H and one t of D, and walks along a line of values of t, for all STRIDE_W residues of W at once, so
 * that loads of x serve every residue and whole contiguous rows are stored:
 *
 *   sums[m][h][v][a] += x[c][t_d + offset_d][t_h + h + offset_h][t_w + v*VECTOR + offset_w(k)] * w[c][m][tap]
 *
 * A convolution has one residue of each axis, which all taps reach, and takes INPUT_STEP_*t for t in x. Its planes serve FLAT
 * only with steps of 1.
 *
 * FLAT 0: a line is a row of W, and BLOCK_H rows are taken at once. FLAT 1: a line is a whole plane, row after row as it lies
 * in x; vectors run over the ends of rows, so short and odd rows leave only the margin's lanes idle, and stores go by rows. The
 * zeros after a row serve as those before the next one too.
 *
 * x is read as edges.cl says, but for planes always from the copy, or in place where no tap reaches over an edge. A line's last
 * block starts where it still ends with the line, so nothing past the line is read, except that a line shorter than a block
 * reads on in the copy, which is that much longer. packed holds the weights in the order of use: [group][m block][residue
 * d][residue h][c][tap d][tap h][k_w][BLOCK_M], then the bias [group][m block][BLOCK_M]; channels past the last are zero and
 * never stored.
 *
 * GATHER: where many output channels share x, a work-item takes TILE_M blocks of them, and CHANNELS input channels at a time:
 * their vectors, which may have been shuffled or masked, are laid out in the first cache once and serve all those blocks, whose
 * sums wait in memory where there are more channels: for each of the taps of D and H that reach a residue, GATHERED_W vectors
 * in a row. Otherwise TILE_M is 1 and CHANNELS GROUP_IN.
 *
 * MOST_TAPS_DH: at most so many taps of D and H reach a residue. Where that is one (a kernel up to the stride) there is no loop
 * over taps, which took 10 to 17 % of the time (measured where kernel = stride).
 *
 * AHEAD: while a channel is at work, the same rows so many channels on are prefetched, since a processor cannot foresee rows
 * that are taken from many channels by turns; 0: they are not. Blocks that share x take turns instead: each, before its sums,
 * asks for some of the channels (all of them at once would wait for memory), past the last one for those of the next block.
 *
 * Required: what layer.cl asks, what phases.cl asks for D and H, VECTOR BLOCK_M BLOCK_H BLOCK_W FLAT, Y_CHANNELS_LAST (1: y
 * has neighbouring channels, not positions, side by side; not with FLAT), MOST_TAPS_DH GATHER TILE_M CHANNELS AHEAD, with
 * GATHER GATHERED_W, EDGES and what edges.cl asks, STREAM as lines.cl has it, MIN_OFFSET_ for D H W. */
#include "common.cl"
#define MAY_SWAP 1 /* what is loaded, laid out and summed is in the order of SWAPPED, lines are not */
#include "edges.cl"
#include "layer.cl"
#include "lines.cl"
#include "phases.cl"

#if !defined(VECTOR) || !defined(BLOCK_M) || !defined(BLOCK_H) || !defined(BLOCK_W) || !defined(FLAT) || !defined(STREAM)
#error "VECTOR, BLOCK_ M, H and W, FLAT and STREAM are required"
#endif
#if !defined(Y_CHANNELS_LAST) || !defined(MOST_TAPS_DH) || !defined(GATHER) || !defined(TILE_M) || !defined(CHANNELS) || \
    !defined(AHEAD)
#error "Y_CHANNELS_LAST, MOST_TAPS_DH, GATHER, TILE_M, CHANNELS and AHEAD are required"
#endif
#if !defined(RESIDUES_D) || !defined(RESIDUES_H) || !defined(MIN_OFFSET_D) || !defined(MIN_OFFSET_H) || !defined(MIN_OFFSET_W)
#error "RESIDUES_ D and H and MIN_OFFSET_ D, H and W are required"
#endif

#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
/* Weights of one (c, tap d, tap h), and of one m block of one group. */
#define ROW_WEIGHTS (KERNEL_W * BLOCK_M)
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * tap_start_h[RESIDUES_H] * GROUP_IN * ROW_WEIGHTS)

#define M_TILES ((M_BLOCKS + TILE_M - 1) / TILE_M)
/* Blocks whose sums wait in memory. */
#define BLOCKS_KEPT (CHANNELS < GROUP_IN ? TILE_M : 1)
/* Where the vector under tap k of W is laid out: taps that meet the same x share it, unless there is a place for each. */
#define PLACE_W(k) (GATHERED_W < KERNEL_W ? OFFSET_W(k) - MIN_OFFSET_W : (k))

/* The rows of x under tap j of a channel's tap list, and the values under tap k of W in one of them. */
#if EDGES
#define FIND_ROWS(row, plane_of_channel, j) \
  find_rows(row, BLOCK_H, &input, (plane_of_channel) + shift[j], row_at[j], tw * INPUT_STEP_W)
#define LOAD_X(row, k, v) load_x((row) + (v)*VECTOR * INPUT_STEP_W, OFFSET_W(k), inside[k][v])
#else
#define FIND_ROWS(row, plane_of_channel, j)                                                         \
  do {                                                                                              \
    _Pragma("unroll") for (int h = 0; h < BLOCK_H; ++h)(row)[h] =                                   \
        (plane_of_channel) + shift[j] + (row_at[j] + h * INPUT_STEP_H) * pitch + tw * INPUT_STEP_W; \
  } while (0)
#define LOAD_X(row, k, v) load_strided((row) + (v)*VECTOR * INPUT_STEP_W, OFFSET_W(k) - MIN_OFFSET_W)
#endif

/* Prefetches what a block takes of BLOCK_H rows, so many elements further on. */
static inline void prefetch_rows(__global const REAL **row, long further) {
  const int taken = BLOCK_W * VECTOR * INPUT_STEP_W;
#pragma unroll
  for (int h = 0; h < BLOCK_H; ++h) {
#pragma unroll
    for (int i = 0; i < taken; i += CACHE_LINE) PREFETCH(row[h] + further + i, 3);
    PREFETCH(row[h] + further + taken - 1, 3);
  }
}

/* Whether the BLOCK_H rows from h on are all outside x; a plane never is. */
#if FLAT
#define BLOCK_OUTSIDE(h) false
#else
#define BLOCK_OUTSIDE(h) ((h) + (BLOCK_H - 1) * INPUT_STEP_H < 0 || (h) >= in_h)
#endif

/* Where the weights of residues (ad, ah) start in a block. */
static inline ulong phase_start(uint ad, uint ah) {
  uint taps_d = tap_start_d[ad + 1] - tap_start_d[ad];
  ulong before = (ulong)tap_start_d[ad] * tap_start_h[RESIDUES_H] + (ulong)taps_d * tap_start_h[ah];
  return before * GROUP_IN * ROW_WEIGHTS;
}

/* One work-item packs one (group, m block, residue d, residue h); those of residues (0, 0) the bias too. */
T3_SINGLE void phase_pack(ulong items, __global const W_STORED *restrict w, ulong w_start, __global const W_STORED *restrict b,
                          ulong b_start, __global REAL *restrict packed, ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const uint ah = item % RESIDUES_H;
  const uint ad = item / RESIDUES_H % RESIDUES_D;
  const ulong block = item / (RESIDUES_H * RESIDUES_D);
  const uint first_m = block % M_BLOCKS * BLOCK_M;
  const ulong group = block / M_BLOCKS;

  w += w_start;
  packed += packed_start;
  if (ad == 0 && ah == 0)
    for (uint m = 0; m < BLOCK_M; ++m) {
      const bool real = has_bias && first_m + m < GROUP_OUT;
      packed[(ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * BLOCK_M + m] =
          real ? READ_W(b + b_start + group * GROUP_OUT + first_m + m) : 0;
    }

  __global REAL *to = packed + block * BLOCK_WEIGHTS + phase_start(ad, ah);
  const uint taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  for (uint c = 0; c < GROUP_IN; ++c)
    for (uint jd = 0; jd < taps_d; ++jd)
      for (uint jh = 0; jh < taps_h; ++jh) {
        const uint kd = first_tap_d[ad] + jd * TAP_STEP_D, kh = first_tap_h[ah] + jh * TAP_STEP_H;
        for (uint kw = 0; kw < KERNEL_W; ++kw)
          for (uint m = 0; m < BLOCK_M; ++m)
            *to++ = first_m + m < GROUP_OUT ? READ_W(w + WEIGHT_AT(group, c, first_m + m, kd, kh, kw)) : 0;
      }
}

#if FLAT
/* The same for VECTOR values of t that begin at column col of a line of rows of pitch values: to is that row of y, the first of
 * rows that there are, each row_step elements further. */
static inline void store_flat(__global Y_STORED *to, const line_t *line, int col, int pitch, int out_w, int rows, long row_step,
                              int done, const finish_t *f) {
  if (done <= 0 && col + VECTOR <= pitch) {
    const int count = out_w - col * STRIDE_W;
    if (count > 0 && rows > 0) store_outputs(to + col * STRIDE_W, line, count, 0, f);
    return;
  }
  row_t row;
  outputs_of(line, &row, f);
  for (int lane = 0; lane < VECTOR && rows > 0; --rows, to += row_step, col = 0) {
    const int lanes = min(VECTOR - lane, pitch - col), count = min(lanes * STRIDE_W, out_w - col * STRIDE_W);
    const int past = max(done - lane, 0), left = count - past * STRIDE_W;
    if (left > 0) store_piece(to + (col + past) * STRIDE_W, row.lane + (lane + past) * STRIDE_W, left, f);
    lane += lanes;
  }
}
#endif

/* Where a block of sums goes: next and tw, the first value of t that is new and the block's first; its row of t and residue of
 * H; of x's rows or what stands for them the pitch; y's strides and sizes, and what the epilogue reads. */
typedef struct {
  int next, tw, th, ah, pitch, out_h, out_w;
  long y_c, y_h, y_w;
  __global const REAL *packed;
  __global const Y_STORED *all_y, *residuals;
} target_t;

/* Stores the sums of so many channels from first_m on (a channel of all groups), which y_block is of. By way of memory, so that
 * the stores are loops: unrolled they would be most of the code. */
static inline void store_block(__global Y_STORED *y_block, line_t (*sums)[BLOCK_H][BLOCK_W], uint first_m, int channels,
                               const target_t *t) {
#if FLAT
  int row = t->tw / t->pitch, col = t->tw - row * t->pitch;
  const long row_step = STRIDE_H * t->y_h;
  for (int v = 0; v < BLOCK_W; ++v) {
    const int rows = (t->out_h - t->ah - row * STRIDE_H + STRIDE_H - 1) / STRIDE_H;
    __global Y_STORED *to = y_block + t->ah * t->y_h + row * row_step;
#pragma unroll 1
    for (int m = 0; m < channels; ++m, to += t->y_c) {
      const finish_t f = finish_of(t->packed, first_m + m, t->all_y, t->residuals);
      store_flat(to, &sums[m][0][v], col, t->pitch, t->out_w, rows, row_step, DONE_BEFORE(t->next, t->tw + v * VECTOR), &f);
    }
    for (col += VECTOR; col >= t->pitch; col -= t->pitch) ++row;
  }
#elif Y_CHANNELS_LAST
  for (int h = 0; h < BLOCK_H; ++h)
    for (int v = 0; v < BLOCK_W; ++v) {
      const int oh = (t->th + h) * STRIDE_H + t->ah, o = (t->tw + v * VECTOR) * STRIDE_W;
      if (oh < t->out_h && o < t->out_w)
        store_turned(y_block + oh * t->y_h + o * t->y_w, t->y_w, (line_t *)sums + h * BLOCK_W + v, BLOCK_H * BLOCK_W, channels,
                     t->out_w - o, DONE_BEFORE(t->next, t->tw + v * VECTOR), t->packed, first_m, t->all_y, t->residuals);
    }
#else
#pragma unroll 1
  for (int m = 0; m < channels; ++m) {
    const finish_t f = finish_of(t->packed, first_m + m, t->all_y, t->residuals);
#pragma unroll 1
    for (int h = 0; h < BLOCK_H; ++h) {
      const int oh = (t->th + h) * STRIDE_H + t->ah;
      if (oh >= t->out_h) break;
      __global Y_STORED *to = y_block + m * t->y_c + oh * t->y_h;
      for (int v = 0; v < BLOCK_W; ++v) {
        const int o = (t->tw + v * VECTOR) * STRIDE_W;
        if (o < t->out_w) store_after(to + o, &sums[m][h][v], t->out_w - o, DONE_BEFORE(t->next, t->tw + v * VECTOR), v, &f);
      }
    }
  }
#endif
}

/* x_ and y_: strides of what x is read from, and of y; those of W are 1, but y_w with Y_CHANNELS_LAST. lines: of a plane,
 * blocks of BLOCK_H rows or (FLAT) 1; length: values of t in a line; chunk: those that a work-item takes, a multiple of its
 * block, the last one of a line also what is left; run: how many lines it takes so. */
T3_SINGLE void phase(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict edge,
                     ulong edge_start, __global const REAL *restrict packed, ulong packed_start,
                     __global Y_STORED *Y_RESTRICT y, ulong y_start, long edge_width, long last_plane, long x_n, long x_c,
                     long x_d, long x_h, long in_d, long in_h, long in_w, long y_n, long y_c, long y_d, long y_h, long y_w,
                     long out_d, long out_h, long out_w, long lines, long length, long chunk, long run RESIDUAL_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  /* The m blocks and the residues change fastest: they read the same x, which so stays in the cache. */
  const uint first_block = item % M_TILES * TILE_M, end_block = min(first_block + TILE_M, (uint)M_BLOCKS);
  item /= M_TILES;
  const uint ah = item % RESIDUES_H;
  item /= RESIDUES_H;
  const uint ad = item % RESIDUES_D;
  item /= RESIDUES_D;
  const uint chunks = max((uint)length / (uint)chunk, 1u);
  const uint part = item % chunks;
  item /= chunks;
  const uint runs = ((uint)lines + (uint)run - 1) / (uint)run;
  const uint first_line = item % runs * (uint)run;
  item /= runs;
  const uint count_d = (out_d + STRIDE_D - 1) / STRIDE_D;
  const uint td = item % count_d;
  const long image = item / count_d / GROUPS, group = item / count_d % GROUPS;

  const uint od = td * STRIDE_D + ad;
  if (od >= out_d) return;

  const int pitch = (int)x_h;
#if EDGES
  const input_t input = input_of(x + x_start, last_plane, (int)in_h, pitch, edge + edge_start, edge_width);
#endif
  x += x_start + image * x_n + group * GROUP_IN * x_c;
  packed += packed_start;
  __global const REAL *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + group * M_BLOCKS * BLOCK_M;
  __global const REAL *weights = packed + group * M_BLOCKS * BLOCK_WEIGHTS + phase_start(ad, ah);
  const int taps_d = tap_start_d[ad + 1] - tap_start_d[ad], taps_h = tap_start_h[ah + 1] - tap_start_h[ah];
  __global const Y_STORED *all_y = y + y_start, *residuals = RESIDUAL_OF(y, y_start);
  y += y_start + image * y_n + group * GROUP_OUT * y_c + od * y_d;

  const int begin = part * (int)chunk, end = part + 1 == chunks ? (int)length : begin + (int)chunk;
  for (uint line = first_line; line < min(first_line + (uint)run, (uint)lines); ++line) {
    const uint th = line * BLOCK_H;
    /* The taps of D and H whose rows of x are not all outside: where those rows lie, and the taps' weights. One loop over them
     * is 10 % faster than two nested ones. */
    long shift[KERNEL_D * KERNEL_H]; /* a channel may be larger than an int, a plane is not */
    int row_at[KERNEL_D * KERNEL_H], weight_at[KERNEL_D * KERNEL_H];
    int taps = 0;
    for (int jd = 0; jd < taps_d; ++jd) {
      const int offset_d = first_offset_d[ad] - jd * OFFSET_STEP_D, d = (int)td * INPUT_STEP_D + offset_d;
      for (int jh = 0; jh < taps_h; ++jh) {
        const int offset_h = first_offset_h[ah] - jh * OFFSET_STEP_H, h = (int)th * INPUT_STEP_H + offset_h;
        if (d < 0 || d >= in_d || BLOCK_OUTSIDE(h)) continue;
        shift[taps] = (EDGES ? d : d - MIN_OFFSET_D) * x_d;
        row_at[taps] = EDGES ? h : h - MIN_OFFSET_H;
        weight_at[taps++] = (jd * taps_h + jh) * ROW_WEIGHTS;
      }
    }
    for (int next = begin; next < end; next += BLOCK_W * VECTOR) {
      const int tw = max(min(next, (int)length - BLOCK_W * VECTOR), 0);
      line_t lines_of[BLOCKS_KEPT][BLOCK_M][BLOCK_H][BLOCK_W];
      const target_t target = {next, tw,  (int)th, (int)ah, pitch, (int)out_h, (int)out_w,
                               y_c,  y_h, y_w,     packed,  all_y, residuals};
#if EDGES
      INT_VEC inside[KERNEL_W][BLOCK_W];
#pragma unroll
      for (int k = 0; k < KERNEL_W; ++k)
#pragma unroll
        for (int v = 0; v < BLOCK_W; ++v) inside[k][v] = inside_row((tw + v * VECTOR) * INPUT_STEP_W + OFFSET_W(k), (int)in_w);
#endif
      /* From a row of the last channels to the one of the first channels that the next block takes, of this line or below. */
      const bool ends = next + BLOCK_W * VECTOR >= end;
      const long next_block = (AHEAD - (long)GROUP_IN) * x_c + (ends ? BLOCK_H * INPUT_STEP_H * (long)pitch : 0) +
                              (ends ? begin - tw : BLOCK_W * VECTOR) * INPUT_STEP_W;
      for (uint first_c = 0; first_c < GROUP_IN; first_c += CHANNELS) {
        const uint end_c = min(first_c + CHANNELS, (uint)GROUP_IN);
#if GATHER
        VEC gathered[CHANNELS * MOST_TAPS_DH][GATHERED_W][BLOCK_H][BLOCK_W];
        int filled = 0;
        for (uint c = first_c; c < end_c; ++c)
          for (int j = 0; j < taps; ++j, ++filled) {
            __global const REAL *row[BLOCK_H];
            FIND_ROWS(row, x + c * x_c, j);
#pragma unroll
            for (int k = 0; k < KERNEL_W; ++k)
#pragma unroll
              for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
                for (int v = 0; v < BLOCK_W; ++v) gathered[filled][PLACE_W(k)][h][v] = LOAD_X(row[h], k, v);
          }
#endif
        for (uint m_block = first_block; m_block < end_block; ++m_block) {
          line_t(*kept)[BLOCK_H][BLOCK_W] = lines_of[BLOCKS_KEPT > 1 ? m_block - first_block : 0];
          VEC sums[BLOCK_M][BLOCK_H][BLOCK_W][STRIDE_W];
#pragma unroll
          for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
            for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
              for (int v = 0; v < BLOCK_W; ++v)
#pragma unroll
                for (int a = 0; a < STRIDE_W; ++a)
                  sums[m][h][v][a] = first_c ? IN_ORDER(kept[m][h][v].vector[a]) : (VEC)bias[m_block * BLOCK_M + m];

          __global const REAL *weights_c = weights + m_block * BLOCK_WEIGHTS + first_c * taps_d * taps_h * ROW_WEIGHTS;
          int at = 0;
#if AHEAD && GATHER
          for (uint c = first_c + m_block - first_block; c < end_c; c += end_block - first_block)
            for (int j = 0; j < taps; ++j) {
              __global const REAL *row[BLOCK_H];
              FIND_ROWS(row, x + c * x_c, j);
              prefetch_rows(row, c + AHEAD < GROUP_IN ? AHEAD * x_c : next_block);
            }
#endif
          for (uint c = first_c; c < (taps ? end_c : first_c); ++c, weights_c += taps_d * taps_h * ROW_WEIGHTS) {
            for (int j = 0; j < (MOST_TAPS_DH == 1 ? 1 : taps); ++j, ++at) {
#if !GATHER
              __global const REAL *row[BLOCK_H];
              FIND_ROWS(row, x + c * x_c, j);
              if (AHEAD && c + AHEAD < GROUP_IN) prefetch_rows(row, AHEAD * x_c);
#endif
              __global const REAL *w = weights_c + weight_at[j];
#pragma unroll
              for (int k = 0; k < KERNEL_W; ++k) {
                VEC values[BLOCK_H][BLOCK_W];
#pragma unroll
                for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
                  for (int v = 0; v < BLOCK_W; ++v)
#if GATHER
                    values[h][v] = gathered[at][PLACE_W(k)][h][v];
#else
                    values[h][v] = LOAD_X(row[h], k, v);
#endif
#pragma unroll
                for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
                  for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
                    for (int v = 0; v < BLOCK_W; ++v)
                      sums[m][h][v][RESIDUE_W(k)] = fma(values[h][v], (VEC)w[k * BLOCK_M + m], sums[m][h][v][RESIDUE_W(k)]);
              }
            }
          }

          /* Every index into sums is a constant: one that is not would keep all sums in memory. */
#pragma unroll
          for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
            for (int h = 0; h < BLOCK_H; ++h)
#pragma unroll
              for (int v = 0; v < BLOCK_W; ++v)
#pragma unroll
                for (int a = 0; a < STRIDE_W; ++a) kept[m][h][v].vector[a] = IN_ORDER(sums[m][h][v][a]);
          /* One block after the other: then what is stored past the caches leaves while the next one is computed. */
          if (end_c == GROUP_IN)
            store_block(y + m_block * BLOCK_M * y_c, kept, group * GROUP_OUT + m_block * BLOCK_M,
                        min(BLOCK_M, (int)(GROUP_OUT - m_block * BLOCK_M)), &target);
        }
      }
    }
  }
}
