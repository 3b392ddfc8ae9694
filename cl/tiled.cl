/* tiled.cl: implicit GEMM over phases, for GPUs: work-groups, local memory, barriers.
 *
 * Along one axis o = stride*t + a; the taps that reach residue a form a progression, so each phase (ad, ah, aw) is a dense
 * product of its weights with what its taps meet of x:
 *
 *   y[m][t of a] = sum over taps j of the phase, c of x[c][t*INPUT_STEP + offset(j)] * w[c][m][tap(j)]
 *
 * A work-group computes TILE_M output channels of one group x TILE_N positions of one phase, which are counted over images,
 * t_d, t_h and t_w; all phases are in one launch. Sums run over TAPS_AT_ONCE taps x CHANNELS_AT_ONCE input channels at a time,
 * TILE_K in all: the work-items gather such a tile of x and load one of the packed weights, which lies in the order of use,
 * into registers while they compute with the tiles before from one of two buffers in local memory. What a tap meets outside of
 * x is 0 and not read. MERGED: where all phases have one tap, all with the same offsets (kernel = stride), they are one
 * product: rows are (m, phase), and what is stored goes from depth to space.
 *
 * Sums are stored by way of local memory, so that neighbouring work-items store neighbouring elements: STORE_ROWS rows of each
 * work-item at a time.
 *
 * How two tiles are multiplied is the MULTIPLIER's (multiplier.cl): tiles are rows of words, of one term or two.
 *
 * packed: [group][tile of m][phase][step][WORD_ROWS][PITCH_M], words, zeros past the last channel and tap, then b (zeros when
 * absent).
 * Groups of work-items: COLUMNS_FIRST tiles of positions fastest, which share weights, then tiles of m and phases, which share
 * x.
 *
 * Required: what layer.cl, tile.cl, multiplier.cl and for all axes phases.cl ask, TAPS_AT_ONCE CHANNELS_AT_ONCE MERGED
 * STORE_ROWS COLUMNS_FIRST, X_CHANNELS_LAST and Y_CHANNELS_LAST (1: neighbouring channels, not positions, lie side by side). */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"
#include "phases.cl"
#include "tile.cl"

#if !defined(TAPS_AT_ONCE) || !defined(CHANNELS_AT_ONCE) || !defined(MERGED) || !defined(STORE_ROWS) || \
    !defined(COLUMNS_FIRST) || !defined(X_CHANNELS_LAST) || !defined(Y_CHANNELS_LAST)
#error "TAPS_ and CHANNELS_AT_ONCE, MERGED, STORE_ROWS, COLUMNS_FIRST and X_ and Y_CHANNELS_LAST are required"
#endif

#define M_FIRST Y_CHANNELS_LAST
#include "multiplier.cl"
#include "tile_product.cl"

#define RESIDUES (RESIDUES_D * RESIDUES_H * RESIDUES_W)
#define PHASES (MERGED ? 1 : RESIDUES)
#define ROWS (MERGED ? GROUP_OUT * RESIDUES : GROUP_OUT)
#define M_TILES ((ROWS + TILE_M - 1) / TILE_M)
#define C_STEPS ((GROUP_IN + CHANNELS_AT_ONCE - 1) / CHANNELS_AT_ONCE)
#define STEP_WEIGHTS (WORD_ROWS * PITCH_M)

/* Before a phase lie its elder ones' taps; where some are taken at once each phase may end with fewer. */
#define TAPS_D tap_start_d[RESIDUES_D]
#define TAPS_H tap_start_h[RESIDUES_H]
#define TAPS_W tap_start_w[RESIDUES_W]
#define TAP_STEPS(taps) (((taps) + TAPS_AT_ONCE - 1) / TAPS_AT_ONCE)
#define ALL_TAPS ((ulong)TAPS_D * TAPS_H * TAPS_W)
#define TILE_STEPS ((MERGED ? 1 : TAPS_AT_ONCE == 1 ? ALL_TAPS : ALL_TAPS / TAPS_AT_ONCE + PHASES) * C_STEPS)
#define ALL_WEIGHTS ((ulong)GROUPS * M_TILES * TILE_STEPS * STEP_WEIGHTS)

/* A phase: its residues, how many taps of each axis reach it, and the step where its weights begin in a tile's. */
typedef struct {
  int ad, ah, aw, taps_d, taps_h, taps_w;
  ulong start;
} phase_t;

static inline phase_t phase_of(uint index) {
  phase_t p;
  p.aw = index % RESIDUES_W, p.ah = index / RESIDUES_W % RESIDUES_H, p.ad = index / (RESIDUES_W * RESIDUES_H);
  p.taps_d = tap_start_d[p.ad + 1] - tap_start_d[p.ad];
  p.taps_h = tap_start_h[p.ah + 1] - tap_start_h[p.ah];
  p.taps_w = tap_start_w[p.aw + 1] - tap_start_w[p.aw];
  const ulong before = ((ulong)tap_start_d[p.ad] * TAPS_H + (ulong)p.taps_d * tap_start_h[p.ah]) * TAPS_W +
                       (ulong)p.taps_d * p.taps_h * tap_start_w[p.aw];
  p.start = (TAPS_AT_ONCE == 1 ? before : before / TAPS_AT_ONCE + index) * C_STEPS;
  return p;
}

/* Whether term k of a step is one: there may be more, to fill words and matrices. */
#define IS_TERM(k) (TILE_K == TAPS_AT_ONCE * CHANNELS_AT_ONCE || (k) < TAPS_AT_ONCE * CHANNELS_AT_ONCE)

/* One work-item packs one row of one word of all steps that differ in their taps alone; those past the weights b. */
__kernel void tiled_pack(ulong items, __global const W_STORED *restrict w, ulong w_start, __global const W_STORED *restrict b,
                         ulong b_start, __global REAL *restrict packed, ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong columns = (ulong)GROUPS * M_TILES * PHASES * C_STEPS * STEP_WEIGHTS;
  packed += packed_start;
  if (item >= columns) {
    item -= columns;
    packed[ALL_WEIGHTS + item] = has_bias ? READ_W(b + b_start + item) : (REAL)0;
    return;
  }
  const uint place = item % STEP_WEIGHTS, column = place % PITCH_M;
  item /= STEP_WEIGHTS;
  const uint c_step = item % C_STEPS;
  item /= C_STEPS;
  const uint phase = item % PHASES;
  item /= PHASES;
  const ulong row = column < TILE_M ? item % M_TILES * TILE_M + column : ROWS, m = MERGED ? row / RESIDUES : row;
  const ulong group = item / M_TILES;
  const phase_t p = phase_of(MERGED ? row % RESIDUES : phase);
  const int taps = MERGED ? 1 : p.taps_d * p.taps_h * p.taps_w;

  w += w_start;
  __global WORD *words = (__global WORD *)packed + (item * TILE_STEPS + (MERGED ? 0 : p.start) + c_step) * STEP_WEIGHTS + place;
  for (int step = 0; step < TAP_STEPS(taps); ++step, words += (ulong)C_STEPS * STEP_WEIGHTS) {
    WORD word = 0;
    for (uint part = 0; part < WORD_TERMS; ++part) {
      const uint k = place / PITCH_M * WORD_TERMS + part, c = c_step * CHANNELS_AT_ONCE + k % CHANNELS_AT_ONCE;
      const int j = step * TAPS_AT_ONCE + k / CHANNELS_AT_ONCE;
      if (!IS_TERM(k) || j >= taps || c >= GROUP_IN || row >= ROWS) continue;
      const int jw = j % p.taps_w, jh = j / p.taps_w % p.taps_h, jd = j / p.taps_w / p.taps_h;
      word = JOIN(word, part,
                  W_PART(w + WEIGHT_AT(group, c, m, first_tap_d[p.ad] + jd * TAP_STEP_D, first_tap_h[p.ah] + jh * TAP_STEP_H,
                                       first_tap_w[p.aw] + jw * TAP_STEP_W)));
    }
    *words = word;
  }
}

/* Where tap j of a phase meets x, from t on. */
typedef struct {
  int d, h, w;
} offset_t;

static inline offset_t offset_of(const phase_t *p, int j) {
  const offset_t o = {first_offset_d[p->ad] - j / p->taps_w / p->taps_h * OFFSET_STEP_D,
                      first_offset_h[p->ah] - j / p->taps_w % p->taps_h * OFFSET_STEP_H,
                      first_offset_w[p->aw] - j % p->taps_w * OFFSET_STEP_W};
  return o;
}

/* How the work-items gather x: each so many columns, ITEMS apart, and rows; all together ROWS_AT_ONCE rows. */
#define COLUMNS (TILE_N > ITEMS ? TILE_N / ITEMS : 1)
#define ROWS_AT_ONCE (TILE_N > ITEMS ? 1 : ITEMS / TILE_N)
#define GATHERED ((WORD_ROWS + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE)
/* Vectors of weights of a step, and how many a work-item loads. */
#define WEIGHT_SIDE (PITCH_M % 4 ? 1 : 4)
#define WEIGHT_VECTORS (STEP_WEIGHTS / WEIGHT_SIDE)
#define LOADED ((WEIGHT_VECTORS + ITEMS - 1) / ITEMS)

/* Written so that nothing is asked where steps divide the channels: each answer would be kept in registers. */
#define TERM_THERE(k, c) \
  ((WORD_ROWS % ROWS_AT_ONCE == 0 || (k) < TILE_K) && IS_TERM(k) && (GROUP_IN % CHANNELS_AT_ONCE == 0 || (c) < GROUP_IN))

/* A column of the tile that a work-item gathers: where x[0] of its t lies, and t itself in x; d is below any x past the last.
 */
typedef struct {
  long at;
  int d, h, w;
} column_t;

/* What a work-item brings from memory for one step. */
typedef struct {
  WORD x[GATHERED][COLUMNS];
  WORD w[LOADED * WEIGHT_SIDE];
} fetched_t;
#define WORD4 T3_PASTE(WORD, 4)

/* One value of x under a tap, 0 outside. */
static inline WORD gather(__global const X_STORED *restrict x, const column_t *column, offset_t o, bool real, long shift,
                          int in_d, int in_h, int in_w) {
  const bool inside = real && (uint)(column->d + o.d) < (uint)in_d && (uint)(column->h + o.h) < (uint)in_h &&
                      (uint)(column->w + o.w) < (uint)in_w;
  return inside ? X_PART(x + column->at + shift) : (WORD)0;
}

#define TILE_X (WORD_ROWS * PITCH_N)
#define BUFFER_REALS ((TILE_X + STEP_WEIGHTS + 3) / 4 * 4)
#define TILE_REALS (2 * BUFFER_REALS)
#define STORED_REALS (ACROSS_M * STORE_ROWS * TILE_N)
#define LOCAL_REALS (TILE_REALS > STORED_REALS ? TILE_REALS : STORED_REALS)

/* The element of what was laid down that is number e in the order of storing: its row of STORE_ROWS, the work-item across M
 * that computed it, its column. */
#if Y_CHANNELS_LAST && !MERGED
#define STORED_Q(e) ((e) % SIDE_STORED + (e) / (SIDE_STORED * ACROSS_M) % (STORE_ROWS / SIDE_STORED) * SIDE_STORED)
#define STORED_TM(e) ((e) / SIDE_STORED % ACROSS_M)
#define STORED_COLUMN(e) ((e) / (STORE_ROWS * ACROSS_M))
#define SIDE_STORED (SIDE_M < STORE_ROWS ? SIDE_M : STORE_ROWS)
#elif MERGED
#define STORED_Q(e) ((e) % STORE_ROWS)
#define STORED_TM(e) ((e) / (STORE_ROWS * TILE_N))
#define STORED_COLUMN(e) ((e) / STORE_ROWS % TILE_N)
#else
#define STORED_Q(e) ((e) / TILE_N % STORE_ROWS)
#define STORED_TM(e) ((e) / (TILE_N * STORE_ROWS))
#define STORED_COLUMN(e) ((e) % TILE_N)
#endif

/* images: how many there are; t_: values of t of residue 0; x_ and y_: strides. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) SUB_GROUPS __kernel void
tiled(ulong items, __global const X_STORED *restrict x, ulong x_start, __global const REAL *restrict packed, ulong packed_start,
      __global Y_STORED *Y_RESTRICT y, ulong y_start, long images, long in_d, long in_h, long in_w, long x_n, long x_c,
      long x_d, long x_h, long x_w, long out_d, long out_h, long out_w, long y_n, long y_c, long y_d, long y_h, long y_w,
      long n_tiles RESIDUAL_ARGS) {
  __local REAL4 room[(LOCAL_REALS + 3) / 4];
  __local long y_at[TILE_N];
  PRODUCT_LOCAL
  ulong tile = get_global_id(0) / ITEMS; /* in a launch in parts too */
  if (tile * ITEMS >= items) return;     /* all of a work-group alike */
  const int item = get_local_id(0);

  /* The tile. */
  const uint near = tile % COLUMNS_FIRST;
  tile /= COLUMNS_FIRST;
  const uint phase_index = tile % PHASES;
  tile /= PHASES;
  const uint m_tile = tile % M_TILES;
  tile /= M_TILES;
  const ulong blocks = ((ulong)n_tiles + COLUMNS_FIRST - 1) / COLUMNS_FIRST;
  const ulong n_tile = tile % blocks * COLUMNS_FIRST + near, group = tile / blocks;
  const phase_t p = phase_of(phase_index);
  const int t_d = (out_d - p.ad + STRIDE_D - 1) / STRIDE_D, t_h = (out_h - p.ah + STRIDE_H - 1) / STRIDE_H,
            t_w = (out_w - p.aw + STRIDE_W - 1) / STRIDE_W;
  const ulong first = n_tile * TILE_N, positions = (ulong)images * t_d * t_h * t_w;
  if (first >= positions) return;
  const int count = (int)min((ulong)TILE_N, positions - first);

  /* Its columns, counted from the first one's place in 32 bits. */
  ulong rest = first;
  const uint first_w = rest % t_w;
  rest /= t_w;
  const uint first_h = rest % t_h;
  rest /= t_h;
  const uint first_d = rest % t_d;
  const ulong image = rest / t_d;
  column_t column[COLUMNS];
#pragma unroll
  for (int i = 0; i < COLUMNS; ++i) {
    const uint number = item % TILE_N + i * ITEMS;
    uint w = first_w + number, h = first_h + w / t_w, d = first_d + h / t_h;
    const long n = image + d / t_d;
    w %= t_w, h %= t_h, d %= t_d;
    if (item < TILE_N)
      y_at[number] =
          n * y_n + ((long)d * STRIDE_D + p.ad) * y_d + ((long)h * STRIDE_H + p.ah) * y_h + ((long)w * STRIDE_W + p.aw) * y_w;
    column[i].d = d * INPUT_STEP_D, column[i].h = h * INPUT_STEP_H, column[i].w = w * INPUT_STEP_W;
    column[i].at = n * x_n + column[i].d * x_d + column[i].h * x_h + column[i].w * x_w;
    if (number >= count) column[i].d = INT_MIN / 2;
  }

  x += x_start + (long)group * GROUP_IN * x_c;
  __global const WORD *weights = (__global const WORD *)(packed + packed_start) +
                                 ((group * M_TILES + m_tile) * TILE_STEPS + (MERGED ? 0 : p.start)) * STEP_WEIGHTS;
  const int taps = MERGED ? 1 : p.taps_d * p.taps_h * p.taps_w, steps = TAP_STEPS(taps) * C_STEPS;
  BLOCK_SUMS

  /* Brings a step's values: channels from c on of taps from j on. */
  int next_c = 0, next_j = 0;
  offset_t o = {0, 0, 0};
  if (steps) o = offset_of(&p, 0);
  for (int step = -1; step < steps; ++step) {
    fetched_t f;
    if (step + 1 < steps) {
#pragma unroll
      for (int r = 0; r < GATHERED; ++r) {
        const int row = X_CHANNELS_LAST ? item / TILE_N * GATHERED + r : item / TILE_N + r * ROWS_AT_ONCE;
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i) f.x[r][i] = 0;
#pragma unroll
        for (int part = 0; part < WORD_TERMS; ++part) {
          const int k = row * WORD_TERMS + part, c = next_c + k % CHANNELS_AT_ONCE;
#if TAPS_AT_ONCE > 1
          const int j = next_j + k / CHANNELS_AT_ONCE;
          const bool real = TERM_THERE(k, c) && j < taps;
          o = offset_of(&p, j);
#else
          const bool real = TERM_THERE(k, c);
#endif
          const long shift = c * x_c + o.d * x_d + o.h * x_h + o.w * x_w;
#pragma unroll
          for (int i = 0; i < COLUMNS; ++i)
            f.x[r][i] = JOIN(f.x[r][i], part, gather(x, &column[i], o, real, shift, in_d, in_h, in_w));
        }
      }
#pragma unroll
      for (int v = 0; v < LOADED; ++v) {
        const int at = min(item + v * ITEMS, WEIGHT_VECTORS - 1);
#if WEIGHT_SIDE == 4
        const WORD4 four = ((__global const WORD4 *)weights)[at];
        f.w[4 * v] = four.x, f.w[4 * v + 1] = four.y, f.w[4 * v + 2] = four.z, f.w[4 * v + 3] = four.w;
#else
        f.w[v] = weights[at];
#endif
      }
      weights += STEP_WEIGHTS;
      next_c += CHANNELS_AT_ONCE;
      if (next_c >= GROUP_IN) {
        next_c = 0;
        next_j += TAPS_AT_ONCE;
        if (TAPS_AT_ONCE == 1 && next_j < taps) o = offset_of(&p, next_j);
      }
    }

    if (step >= 0) {
      __local const WORD *tile_x = (__local WORD *)room + (step & 1) * BUFFER_REALS, *tile_w = tile_x + TILE_X;
      ADD_PRODUCT(tile_x, tile_w)
    }

    if (step + 1 < steps) {
      __local WORD *tile_x = (__local WORD *)room + ((step + 1) & 1) * BUFFER_REALS, *tile_w = tile_x + TILE_X;
#pragma unroll
      for (int r = 0; r < GATHERED; ++r) {
        const int row = X_CHANNELS_LAST ? item / TILE_N * GATHERED + r : item / TILE_N + r * ROWS_AT_ONCE;
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i)
          if (row < WORD_ROWS) tile_x[row * PITCH_N + item % TILE_N + i * ITEMS] = f.x[r][i];
      }
#pragma unroll
      for (int v = 0; v < LOADED; ++v) {
        const int at = item + v * ITEMS;
#if WEIGHT_SIDE == 4
        if (at < WEIGHT_VECTORS)
          ((__local WORD4 *)tile_w)[at] = (WORD4)(f.w[4 * v], f.w[4 * v + 1], f.w[4 * v + 2], f.w[4 * v + 3]);
#else
        if (at < WEIGHT_VECTORS) tile_w[at] = f.w[v];
#endif
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }

  /* Every index into sums is a constant: one that is not would keep them in memory. */
  __local REAL *laid = (__local REAL *)room;
  __global const REAL *bias = packed + packed_start + ALL_WEIGHTS + group * GROUP_OUT;
  __global const Y_STORED *residuals = RESIDUAL_OF(y, y_start);
  y += y_start;
#pragma unroll
  for (int first_i = 0; first_i < BLOCK_M; first_i += STORE_ROWS) {
    LAY_SUMS(laid, first_i)
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int e = item; e < STORED_REALS; e += ITEMS) {
      const int q = STORED_Q(e), by = STORED_TM(e), at = STORED_COLUMN(e);
      const uint row = m_tile * TILE_M + ROW_OF(by, first_i + q);
      if (row >= ROWS || at >= count) continue;
      const uint m = MERGED ? row / RESIDUES : row, a = MERGED ? row % RESIDUES : 0;
      const long shift = (long)(group * GROUP_OUT + m) * y_c + a / (RESIDUES_W * RESIDUES_H) * y_d +
                         a / RESIDUES_W % RESIDUES_H * y_h + a % RESIDUES_W * y_w;
      const finish_t finish = finish_of(packed + packed_start, group * GROUP_OUT + m, y, residuals);
      store_sum(y + y_at[at] + shift, laid[(by * STORE_ROWS + q) * TILE_N + at] + bias[m], &finish);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}
