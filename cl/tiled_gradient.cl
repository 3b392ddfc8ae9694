/* tiled_gradient.cl: the gradient of the weight as tiled products of matrices, for GPUs: work-groups, local memory, barriers.
 *   gw[c][m][k] = sum over images and positions i of x of x[c][i] * gy[m][i*stride - padding + k*dilation] where that is in gy
 * For one tap the positions that meet gy are a box, which is counted over images, d, h and w; so nothing outside of a tensor is
 * read, and what is outside meets nothing. A work-group computes TILE_M input x TILE_N output channels of one tap of one group,
 * over one chunk of the positions, TILE_K of them at a time: into registers while it computes with those before from one of two
 * buffers in local memory. SLICES work-items share a block and take every SLICES-th position each: for few channels. How tiles
 * are multiplied is the multiplier's (multiplier.cl): x has the rows, gy the columns, a word holds neighbouring positions.
 *
 * PARTIAL: the sums of a chunk go to the workspace, each chunk's in the order of w; then a second kernel adds them in the order
 * of chunks. Else there is one chunk.
 *
 * Required: what layer.cl and multiplier.cl ask, SLICES STORE_ROWS PARTIAL, X_CHANNELS_LAST and GY_CHANNELS_LAST (1:
 * neighbouring channels, not positions, lie side by side); BETA as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"
#include "layer.cl"
#include "tile.cl"

#if !defined(SLICES) || !defined(STORE_ROWS) || !defined(PARTIAL) || !defined(X_CHANNELS_LAST) || !defined(GY_CHANNELS_LAST)
#error "SLICES, STORE_ROWS, PARTIAL and X_ and GY_CHANNELS_LAST are required"
#endif

#define M_FIRST 0
#include "multiplier.cl"
#if !MATRICES /* rows of the tiles in local memory begin in different banks where they are neighbours */
#define PITCH(tile, side) ((tile) + ((side) == 4 ? 4 : (tile) % 2 ? 0 : 1))
#define PITCH_M PITCH(TILE_M, SIDE_M)
#define PITCH_N PITCH(TILE_N, SIDE_N)
#endif
#include "tile_product.cl"

#define TAPS ((uint)KERNEL_D * KERNEL_H * KERNEL_W)
#define M_TILES ((GROUP_IN + TILE_M - 1) / TILE_M)
#define N_TILES ((GROUP_OUT + TILE_N - 1) / TILE_N)

/* Positions of an axis under tap k: from begin on count ones; first: where in gy position 0 is met, maybe outside. */
typedef struct {
  int first, begin, count;
} range_t;

static inline range_t range_of(int k, int stride, int padding, int dilation, int in, int out) {
  range_t r;
  r.first = k * dilation - padding;
  r.begin = r.first < 0 ? (stride - 1 - r.first) / stride : 0;
  const int end = r.first < out ? min((out - 1 - r.first) / stride + 1, in) : 0;
  r.count = max(end - r.begin, 0);
  return r;
}

/* A place in the box, or a step in it. */
typedef struct {
  uint w, h, d;
  ulong n;
} place_t;

static inline place_t place_of(ulong q, range_t d, range_t h, range_t w) {
  place_t p;
  p.w = q % w.count;
  q /= w.count;
  p.h = q % h.count;
  q /= h.count;
  p.d = q % d.count;
  p.n = q / d.count;
  return p;
}

static inline void advance(place_t *p, const place_t *step, range_t d, range_t h, range_t w) {
  p->w += step->w, p->h += step->h, p->d += step->d, p->n += step->n;
  if (p->w >= w.count) p->w -= w.count, ++p->h;
  if (p->h >= h.count) p->h -= h.count, ++p->d;
  if (p->d >= d.count) p->d -= d.count, ++p->n;
}

/* Work-items are neighbours along positions, each of one word of them and so many channels. */
#define AT_ONCE (ITEMS / WORD_ROWS)
#if ITEMS % WORD_ROWS
#error "work-items must be a multiple of a tile's words of positions"
#endif
#define FETCHED_M ((TILE_M + AT_ONCE - 1) / AT_ONCE)
#define FETCHED_N ((TILE_N + AT_ONCE - 1) / AT_ONCE)
#define STEP_M (X_CHANNELS_LAST ? 1 : AT_ONCE)
#define STEP_N (GY_CHANNELS_LAST ? 1 : AT_ONCE)
#define FETCHED_ROW(i) (item / WORD_ROWS * (X_CHANNELS_LAST ? FETCHED_M : 1) + (i)*STEP_M)
#define FETCHED_COLUMN(i) (item / WORD_ROWS * (GY_CHANNELS_LAST ? FETCHED_N : 1) + (i)*STEP_N)

/* Written so that nothing is asked where tiles divide the channels: each answer would be kept in registers. */
#define ROW_THERE(row) ((TILE_M % AT_ONCE == 0 || (row) < TILE_M) && (GROUP_IN % TILE_M == 0 || m_tile + (row) < GROUP_IN))
#define COLUMN_THERE(column) \
  ((TILE_N % AT_ONCE == 0 || (column) < TILE_N) && (GROUP_OUT % TILE_N == 0 || n_tile + (column) < GROUP_OUT))

#define TILE_X ((WORD_ROWS * PITCH_M + 3) / 4 * 4)
#define BUFFER_WORDS (TILE_X + (WORD_ROWS * PITCH_N + 3) / 4 * 4)
#define SLICE_SUMS (ACROSS_M * STORE_ROWS * TILE_N)
#define LOCAL_REALS (2 * BUFFER_WORDS > SLICES * SLICE_SUMS ? 2 * BUFFER_WORDS : SLICES * SLICE_SUMS)

/* chunks: of the positions; x_ and gy_: strides. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) SUB_GROUPS __kernel void
tiled_gradient(ulong items, __global const X_STORED *restrict x, ulong x_start, __global const X_STORED *restrict gy,
               ulong gy_start,
#if PARTIAL
               __global REAL *restrict to,
#else
               __global Y_STORED *restrict to,
#endif
               ulong to_start, long images, long in_d, long in_h, long in_w, long x_n, long x_c, long x_d, long x_h, long x_w,
               long out_d, long out_h, long out_w, long gy_n, long gy_c, long gy_d, long gy_h, long gy_w, long chunks) {
  __local REAL4 room[(LOCAL_REALS + 3) / 4];
  PRODUCT_LOCAL
  ulong tile = get_global_id(0) / ITEMS; /* in a launch in parts too */
  if (tile * ITEMS >= items) return;     /* all of a work-group alike */
  const int item = get_local_id(0);
  const uint tap = tile % TAPS;
  tile /= TAPS;
  const uint m_tile = tile % M_TILES * TILE_M;
  tile /= M_TILES;
  const uint n_tile = tile % N_TILES * TILE_N;
  tile /= N_TILES;
  const ulong chunk = tile % chunks, group = tile / chunks;
  const range_t d = range_of(tap / (KERNEL_W * KERNEL_H), STRIDE_D, PADDING_D, DILATION_D, in_d, out_d),
                h = range_of(tap / KERNEL_W % KERNEL_H, STRIDE_H, PADDING_H, DILATION_H, in_h, out_h),
                w = range_of(tap % KERNEL_W, STRIDE_W, PADDING_W, DILATION_W, in_w, out_w);

  /* This chunk's steps, and where the first of this work-item's positions lies in the first one. */
  const ulong positions = (ulong)images * d.count * h.count * w.count, all = (positions + TILE_K - 1) / TILE_K;
  const ulong run = (all + chunks - 1) / chunks, begin = min(chunk * run, all), end = min(begin + run, all);
  const long steps = end - begin;
  ulong q = begin * TILE_K + item % WORD_ROWS * WORD_TERMS;
  const place_t next = {1, 0, 0, 0};
  place_t at = {0, 0, 0, 0}, step_by = {0, 0, 0, 0};
  if (positions) at = place_of(q, d, h, w), step_by = place_of(TILE_K, d, h, w);
  x += x_start + ((long)group * GROUP_IN + m_tile) * x_c + d.begin * x_d + h.begin * x_h + w.begin * x_w;
  gy += gy_start + ((long)group * GROUP_OUT + n_tile) * gy_c + (d.first + d.begin * (long)STRIDE_D) * gy_d +
        (h.first + h.begin * (long)STRIDE_H) * gy_h + (w.first + w.begin * (long)STRIDE_W) * gy_w;

  BLOCK_SUMS

  for (long step = -1; step < steps; ++step) {
    WORD fetched_x[FETCHED_M], fetched_gy[FETCHED_N];
    if (step + 1 < steps) {
#pragma unroll
      for (int i = 0; i < FETCHED_M; ++i) fetched_x[i] = 0;
#pragma unroll
      for (int i = 0; i < FETCHED_N; ++i) fetched_gy[i] = 0;
      place_t p = at;
#pragma unroll
      for (int part = 0; part < WORD_TERMS; ++part, advance(&p, &next, d, h, w)) {
        const bool real = q + part < positions;
        __global const X_STORED *from = x + (long)p.n * x_n + p.d * x_d + p.h * x_h + p.w * x_w;
        __global const X_STORED *meets =
            gy + (long)p.n * gy_n + p.d * (long)STRIDE_D * gy_d + p.h * (long)STRIDE_H * gy_h + p.w * (long)STRIDE_W * gy_w;
        from += FETCHED_ROW(0) * x_c;
        meets += FETCHED_COLUMN(0) * gy_c;
#pragma unroll
        for (int i = 0; i < FETCHED_M; ++i, from += STEP_M * x_c) {
          const int row = FETCHED_ROW(i);
          fetched_x[i] = JOIN(fetched_x[i], part, real && ROW_THERE(row) ? X_PART(from) : (WORD)0);
        }
#pragma unroll
        for (int i = 0; i < FETCHED_N; ++i, meets += STEP_N * gy_c) {
          const int column = FETCHED_COLUMN(i);
          fetched_gy[i] = JOIN(fetched_gy[i], part, real && COLUMN_THERE(column) ? X_PART(meets) : (WORD)0);
        }
      }
      advance(&at, &step_by, d, h, w);
      q += TILE_K;
    }

    if (step >= 0) {
      __local const WORD *tile_x = (__local WORD *)room + (step & 1) * BUFFER_WORDS, *tile_gy = tile_x + TILE_X;
      ADD_PRODUCT(tile_gy, tile_x)
    }

    if (step + 1 < steps) {
      __local WORD *tile_x = (__local WORD *)room + ((step + 1) & 1) * BUFFER_WORDS, *tile_gy = tile_x + TILE_X;
#pragma unroll
      for (int i = 0; i < FETCHED_M; ++i)
        if (FETCHED_ROW(i) < TILE_M) tile_x[item % WORD_ROWS * PITCH_M + FETCHED_ROW(i)] = fetched_x[i];
#pragma unroll
      for (int i = 0; i < FETCHED_N; ++i)
        if (FETCHED_COLUMN(i) < TILE_N) tile_gy[item % WORD_ROWS * PITCH_N + FETCHED_COLUMN(i)] = fetched_gy[i];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }

  /* By way of local memory, where slices meet, in their order. Every index into sums is a constant. */
  __local REAL *laid = (__local REAL *)room;
  to += to_start;
#if PARTIAL
  to += chunk * ((ulong)GROUPS * GROUP_IN * GROUP_OUT * TAPS);
#endif
#pragma unroll
  for (int first_i = 0; first_i < BLOCK_M; first_i += STORE_ROWS) {
    LAY_SUMS(laid, first_i)
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int e = item; e < SLICE_SUMS; e += ITEMS) {
      const int row = e / TILE_N % STORE_ROWS, by = e / (STORE_ROWS * TILE_N);
      const uint c = m_tile + ROW_OF(by, first_i + row), m = n_tile + e % TILE_N;
      if (c >= GROUP_IN || m >= GROUP_OUT) continue;
      REAL sum = laid[e];
      for (int s = 1; s < SLICES; ++s) sum += laid[s * SLICE_SUMS + e];
      const ulong place = ((group * GROUP_IN + c) * GROUP_OUT + m) * TAPS + tap;
#if PARTIAL
      to[place] = sum;
#else
      __global Y_STORED *gw = to + weight_place(place);
      WRITE_Y(MERGE(sum, gw), gw);
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}

#if PARTIAL
/* One work-item adds the chunks of one element. */
__kernel void tiled_gradient_sum(ulong items, __global const REAL *restrict partial, ulong partial_start,
                                 __global Y_STORED *restrict gw, ulong gw_start, long chunks) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  partial += partial_start + item;
  REAL sum = 0;
  for (long chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * items];
  gw += gw_start + weight_place(item);
  WRITE_Y(MERGE(sum, gw), gw);
}
#endif
