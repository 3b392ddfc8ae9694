/* channels.cl: dense phases with vectors of output channels, for CPU devices: one work-item a work-group, no barrier, no local
 * memory.
 *
 * The phases are those of phase.cl. Here the lanes of a vector are neighbouring output channels, and a value of x is broadcast
 * to them: rows may have any length. A work-item owns VECTORS vectors of channels of one residue of D, of H and of W, and a run
 * of positions (t_d, t_h, t_w, image) in a row, the image changing fastest; it takes TILE positions at a time, and leaves out
 * the taps that no position of the tile has inside x:
 *
 *   sums[i][v] += packed[c][tap][v] * x[c][position i + offset of tap]
 *
 * Weights are read once for TILE positions. Where those of a work-item outgrow the cache, CHUNK input channels at a time serve
 * all its positions, and the sums wait in memory meanwhile. x is read from a copy (pad.cl's) with zeros around it or in another
 * order, or in place where it needs none; it and y may lie anywhere. Where what is read has neighbouring channels side by side,
 * BLOCK_C of them follow one another under each tap, so that a line of the cache is used up at once; else BLOCK_C is 1.
 * EACH_ITS_OWN: of a depthwise layer whose x has neighbouring channels side by side the lanes are groups, taken for output
 * channels of a layer with one of each kind; each has values of x of its own, and no block has channels past the last.
 * Y_CHANNELS_LAST: y has neighbouring channels side by side. ROWS: it has neighbours of W side by side, in rows of a vector of
 * positions at least. Then a work-item owns all residues of W and positions in the order of y's rows, and a square of positions
 * x channels at a time is turned to be stored. packed holds the weights in the order of use: [group][m
 * block][residue d][residue h][residue w][block of c][tap d][tap h][tap w][c][VECTORS*VECTOR], then the bias [group][m
 * block][VECTORS*VECTOR]; channels past the last are zero and never stored.
 *
 * Required: what layer.cl asks, what phases.cl asks for D, H and W, EACH_ITS_OWN Y_CHANNELS_LAST ROWS STREAM VECTOR VECTORS TILE
 * TILES (at most so many a work-item) BLOCK_C CHUNK (a multiple of it), MIN_OFFSET_ for D H W. */
#include "common.cl"
#include "layer.cl"
#include "pad.cl"
#include "phases.cl"
#if ROWS
#include "lines.cl"
#else
#include "epilogue.cl"
#endif

#if !defined(EACH_ITS_OWN) || !defined(Y_CHANNELS_LAST) || !defined(ROWS) || !defined(STREAM)
#error "EACH_ITS_OWN, Y_CHANNELS_LAST, ROWS and STREAM are required"
#endif
#if !defined(VECTOR) || !defined(VECTORS) || !defined(TILE) || !defined(TILES) || !defined(BLOCK_C) || !defined(CHUNK)
#error "VECTOR, VECTORS, TILE, TILES, BLOCK_C and CHUNK are required"
#endif

#define CHANNELS (VECTORS * VECTOR)
#define M_BLOCKS ((GROUP_OUT + CHANNELS - 1) / CHANNELS)
#define TAPS_H ((ulong)tap_start_h[RESIDUES_H])
#define TAPS_W ((ulong)tap_start_w[RESIDUES_W])
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * TAPS_H * TAPS_W * GROUP_IN * CHANNELS)
#define MOST_TAPS (KERNEL_D * KERNEL_H * KERNEL_W)
/* Residues of W of a work-item. */
#define RESIDUES_KEPT (ROWS ? RESIDUES_W : 1)

typedef struct {
  uint d, h, w;
} residue_t;

typedef struct {
  int d, h, w;
} offset_t;

/* Takes the residues off an item's index, so many of W. */
static inline residue_t residue_of(ulong *item, uint residues_w) {
  residue_t a;
  a.w = *item % residues_w;
  *item /= residues_w;
  a.h = *item % RESIDUES_H;
  *item /= RESIDUES_H;
  a.d = *item % RESIDUES_D;
  *item /= RESIDUES_D;
  return a;
}

static inline uint taps_of(__constant const int *start, uint residue) {
  return start[residue + 1] - start[residue];
}

/* Where the weights of a residue start in a block. */
static inline ulong phase_start(residue_t a) {
  const ulong taps_d = taps_of(tap_start_d, a.d), taps_h = taps_of(tap_start_h, a.h);
  const ulong before =
      tap_start_d[a.d] * TAPS_H * TAPS_W + taps_d * tap_start_h[a.h] * TAPS_W + taps_d * taps_h * tap_start_w[a.w];
  return before * GROUP_IN * CHANNELS;
}

/* One work-item packs one (group, m block, residue); those of residue (0, 0, 0) the bias too. */
T3_SINGLE void channels_pack(ulong items, __global const W_STORED *restrict w, ulong w_start,
                             __global const W_STORED *restrict b, ulong b_start, __global REAL *restrict packed,
                             ulong packed_start, long has_bias) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const residue_t a = residue_of(&item, RESIDUES_W);
  const uint first_m = item % M_BLOCKS * CHANNELS, channels = min((uint)CHANNELS, GROUP_OUT - first_m);
  const ulong group = item / M_BLOCKS;

  packed += packed_start;
  if (a.d + a.h + a.w == 0)
    for (uint m = 0; m < CHANNELS; ++m)
      packed[(ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + item * CHANNELS + m] =
          has_bias && m < channels ? READ_W(b + b_start + group * GROUP_OUT + first_m + m) : 0;

  w += w_start;
  __global REAL *to = packed + item * BLOCK_WEIGHTS + phase_start(a);
  for (uint first_c = 0; first_c < GROUP_IN; first_c += BLOCK_C)
    for (uint jd = 0; jd < taps_of(tap_start_d, a.d); ++jd)
      for (uint jh = 0; jh < taps_of(tap_start_h, a.h); ++jh)
        for (uint jw = 0; jw < taps_of(tap_start_w, a.w); ++jw)
          for (uint c = first_c; c < min(first_c + BLOCK_C, (uint)GROUP_IN); ++c, to += CHANNELS) {
            const uint kd = first_tap_d[a.d] + jd * TAP_STEP_D, kh = first_tap_h[a.h] + jh * TAP_STEP_H;
            const uint kw = first_tap_w[a.w] + jw * TAP_STEP_W;
            for (uint m = 0; m < CHANNELS; ++m)
              to[m] = m < channels ? READ_W(w + WEIGHT_AT(group, c, first_m + m, kd, kh, kw)) : 0;
          }
}

/* What position i of a tile multiplies vector v of weights with; at: its value of the first channel. */
#if EACH_ITS_OWN
#define X_VALUE(at, v) VLOAD((at) + (v)*VECTOR)
#else
#define X_VALUE(at, v) ((VEC)(*(at)))
#endif

#define NOWHERE LONG_MIN

#if Y_CHANNELS_LAST
static inline void put_channels(__global Y_STORED *to, VEC sums, const finish_channels_t *f) {
  const VEC v = activated_channels(sums, f);
#ifdef STORE_PAST_CACHE
  if (((size_t)to & (LINE_BYTES - 1)) == 0) {
    STORE_PAST_CACHE(v, to, channels, f);
    return;
  }
#endif
  STORE_VECTOR(v, to, channels, f);
}
#endif

/* Which values of t of D, H and W, and of which image. */
typedef struct {
  uint d, h, w, image;
} position_t;

/* ROWS: they follow one another along y's rows; else the image changes fastest. */
static inline position_t position_of(uint index, position_t count) {
  position_t t;
#if !ROWS
  t.image = index % count.image;
  index /= count.image;
#endif
  t.w = index % count.w;
  index /= count.w;
  t.h = index % count.h;
  index /= count.h;
#if ROWS
  t.d = index % count.d;
  t.image = index / count.d;
#else
  t.d = index;
#endif
  return t;
}

/* The next one, without a division: that would take longer than a position's sums where those are few. Whether it lies in
 * another row. */
static inline bool next_position(position_t *t, position_t count) {
#if !ROWS
  if (++t->image < count.image) return false;
  t->image = 0;
#endif
  if (++t->w < count.w) return false;
  t->w = 0;
  if (++t->h < count.h) return true;
  t->h = 0;
#if ROWS
  if (++t->d < count.d) return true;
  t->d = 0, ++t->image;
#else
  ++t->d;
#endif
  return true;
}

/* Where the row of positions (t_d, t_h) of a residue begins in x and y, and whether y has it. */
typedef struct {
  long x, y;
  bool real;
} place_t;

static inline place_t place_of(position_t t, residue_t a, long x_d, long x_h, long y_d, long y_h, long out_d, long out_h) {
  const uint od = t.d * STRIDE_D + a.d, oh = t.h * STRIDE_H + a.h;
  const place_t place = {t.d * INPUT_STEP_D * x_d + t.h * INPUT_STEP_H * x_h, od * y_d + oh * y_h, od < out_d && oh < out_h};
  return place;
}

/* The taps of a residue: how many along each axis, and the input offset of the first one. */
typedef struct {
  offset_t count, first;
} taps_t;

/* One of them: how far it is to its value of x, and to its weights where these are of one input channel. */
typedef struct {
  long x, weights;
} tap_t;

static inline taps_t taps_at(residue_t a) {
  const taps_t taps = {{taps_of(tap_start_d, a.d), taps_of(tap_start_h, a.h), taps_of(tap_start_w, a.w)},
                       {first_offset_d[a.d], first_offset_h[a.h], first_offset_w[a.w]}};
  return taps;
}

/* Whether taps of an axis from offset to last all meet x for positions that start from and up to to in it. */
static inline bool meet_x(int first, int last, int from, int to, long size) {
  return to + min(first, last) >= 0 && from + max(first, last) < size;
}

#if ROWS
/* The sums of a work-item, one residue of W after another. */
typedef VEC (*kept_t)[TILES * TILE][VECTORS];

/* Stores count positions from p on, at most VECTOR in one row of y, of channels from first_m on (of all groups), vector v of
 * them: outputs of each from to on. Lanes past the count are the last position's again. */
static inline void store_square(__global Y_STORED *to, long y_c, kept_t kept, uint p, uint count, uint v, uint channels,
                                int outputs, __global const REAL *packed, uint first_m, __global const Y_STORED *all_y,
                                __global const Y_STORED *residuals) {
  line_t lines[VECTOR];
  for (int a = 0; a < STRIDE_W; ++a) {
    VEC square[VECTOR];
#pragma unroll
    for (int l = 0; l < VECTOR; ++l) square[l] = kept[a][min(p + l, p + count - 1)][v];
    transpose(square);
#pragma unroll
    for (int l = 0; l < VECTOR; ++l) lines[l].vector[a] = square[l];
  }
#pragma unroll 1
  for (uint m = 0; m < channels; ++m) {
    const finish_t f = finish_of(packed, first_m + m, all_y, residuals);
    store_outputs(to + m * y_c, &lines[m], outputs, &f);
  }
}
#endif

/* x_ and y_: strides of what x is read from, and of y. run: positions of a work-item, at most TILES*TILE. */
T3_SINGLE void channels(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict packed,
                        ulong packed_start, __global Y_STORED *Y_RESTRICT y, ulong y_start, long batch, long x_n, long x_c,
                        long x_d, long x_h, long x_w, long in_d, long in_h, long in_w, long y_n, long y_c, long y_d, long y_h,
                        long y_w, long out_d, long out_h, long out_w, long run RESIDUAL_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  residue_t a = residue_of(&item, RESIDUES_W / RESIDUES_KEPT);
  const uint m_block = item % M_BLOCKS;
  item /= M_BLOCKS;
  const position_t count = {(out_d + STRIDE_D - 1) / STRIDE_D, (out_h + STRIDE_H - 1) / STRIDE_H,
                            (out_w + STRIDE_W - 1) / STRIDE_W, batch};
  const uint all = count.d * count.h * count.w * count.image, runs = (all + (uint)run - 1) / (uint)run;
  const uint first = item % runs * (uint)run, positions = min((uint)run, all - first);
  const long group = item / runs;

  x += x_start + (EACH_ITS_OWN ? m_block * CHANNELS : group * GROUP_IN) * x_c;
  packed += packed_start;
  const ulong block = group * M_BLOCKS + m_block;
  __global const REAL *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * CHANNELS;

  /* Where each position lies in x and in y; NOWHERE: no such output. Positions past the last repeat it. */
  long from[TILES * TILE], to[TILES * TILE];
  offset_t low[TILES], high[TILES];
  const uint tiles = (positions + TILE - 1) / TILE;
  position_t at_t = position_of(first, count);
  place_t row = place_of(at_t, a, x_d, x_h, y_d, y_h, out_d, out_h);
  for (uint i = 0; i < tiles * TILE; ++i) {
    const uint t = i / TILE, ow = at_t.w * STRIDE_W + a.w;
    const bool begins = i % TILE == 0;
    const offset_t here = {at_t.d, at_t.h, at_t.w};
    from[i] = row.x + at_t.image * x_n + at_t.w * INPUT_STEP_W * x_w;
    to[i] = i < positions && row.real && ow < out_w ? row.y + at_t.image * y_n + ow * y_w : NOWHERE;
    low[t].d = begins ? here.d : min(low[t].d, here.d), high[t].d = begins ? here.d : max(high[t].d, here.d);
    low[t].h = begins ? here.h : min(low[t].h, here.h), high[t].h = begins ? here.h : max(high[t].h, here.h);
    low[t].w = begins ? here.w : min(low[t].w, here.w), high[t].w = begins ? here.w : max(high[t].w, here.w);
    if (i + 1 < positions && next_position(&at_t, count)) row = place_of(at_t, a, x_d, x_h, y_d, y_h, out_d, out_h);
  }
  const uint first_m = group * GROUP_OUT + m_block * CHANNELS;
  const uint real_channels = min((uint)CHANNELS, GROUP_OUT - m_block * CHANNELS);
  __global const Y_STORED *all_y = y + y_start, *residuals = RESIDUAL_OF(y, y_start);
  y += y_start + first_m * y_c;

  union {
    VEC vector[RESIDUES_KEPT][TILES * TILE][VECTORS];
    REAL lane[RESIDUES_KEPT][TILES * TILE][CHANNELS];
  } kept;
  tap_t tap[MOST_TAPS];
  const long step_c = BLOCK_C > 1 ? 1 : x_c;
  for (uint first_c = 0; first_c < GROUP_IN; first_c += CHUNK) {
    const uint end_c = min(first_c + CHUNK, (uint)GROUP_IN);
    for (uint r = 0; r < RESIDUES_KEPT; ++r) {
      if (RESIDUES_KEPT > 1) a.w = r;
      const taps_t taps = taps_at(a);
      const int num_taps = taps.count.d * taps.count.h * taps.count.w;
      const offset_t last = {taps.first.d - (taps.count.d - 1) * OFFSET_STEP_D,
                             taps.first.h - (taps.count.h - 1) * OFFSET_STEP_H,
                             taps.first.w - (taps.count.w - 1) * OFFSET_STEP_W};
      __global const REAL *weights = packed + block * BLOCK_WEIGHTS + phase_start(a);
      int inside = -1;
      for (uint t = 0; t < tiles; ++t) {
        VEC sums[TILE][VECTORS];
#pragma unroll
        for (int i = 0; i < TILE; ++i)
#pragma unroll
          for (int v = 0; v < VECTORS; ++v) sums[i][v] = first_c ? kept.vector[r][t * TILE + i][v] : VLOAD(bias + v * VECTOR);
        long at[TILE];
#pragma unroll
        for (int i = 0; i < TILE; ++i) at[i] = from[t * TILE + i];

        /* The taps of the tile, those that some position has inside x; mostly all of them, as in the tile before. */
        const offset_t from_x = {low[t].d * INPUT_STEP_D, low[t].h * INPUT_STEP_H, low[t].w * INPUT_STEP_W};
        const offset_t to_x = {high[t].d * INPUT_STEP_D, high[t].h * INPUT_STEP_H, high[t].w * INPUT_STEP_W};
        const bool whole = meet_x(taps.first.d, last.d, from_x.d, to_x.d, in_d) &&
                           meet_x(taps.first.h, last.h, from_x.h, to_x.h, in_h) &&
                           meet_x(taps.first.w, last.w, from_x.w, to_x.w, in_w);
        if (!whole || inside != num_taps) {
          inside = 0;
          for (int jd = 0; jd < taps.count.d; ++jd) {
            const int o_d = taps.first.d - jd * OFFSET_STEP_D;
            if (!meet_x(o_d, o_d, from_x.d, to_x.d, in_d)) continue;
            for (int jh = 0; jh < taps.count.h; ++jh) {
              const int o_h = taps.first.h - jh * OFFSET_STEP_H;
              if (!meet_x(o_h, o_h, from_x.h, to_x.h, in_h)) continue;
              const long shift = (o_d - MIN_OFFSET_D) * x_d + (o_h - MIN_OFFSET_H) * x_h;
              for (int jw = 0; jw < taps.count.w; ++jw) {
                const int o_w = taps.first.w - jw * OFFSET_STEP_W;
                if (!meet_x(o_w, o_w, from_x.w, to_x.w, in_w)) continue;
                tap[inside].x = shift + (o_w - MIN_OFFSET_W) * x_w;
                tap[inside++].weights = ((jd * taps.count.h + jh) * taps.count.w + jw) * CHANNELS;
              }
            }
          }
        }

        for (uint c = first_c; c < end_c; c += BLOCK_C) {
          const uint together = BLOCK_C > 1 ? min((uint)BLOCK_C, end_c - c) : 1;
          __global const REAL *weights_c = weights + (ulong)c * num_taps * CHANNELS, *xc = x + c * x_c;
          for (int j = 0; j < inside; ++j) {
            __global const REAL *w = weights_c + tap[j].weights * together, *value_x = xc + tap[j].x;
            for (uint i_c = 0; i_c < together; ++i_c, value_x += step_c, w += CHANNELS) {
              VEC value[VECTORS];
#pragma unroll
              for (int v = 0; v < VECTORS; ++v) value[v] = VLOAD(w + v * VECTOR);
#pragma unroll
              for (int i = 0; i < TILE; ++i) {
#pragma unroll
                for (int v = 0; v < VECTORS; ++v) sums[i][v] = fma(X_VALUE(value_x + at[i], v), value[v], sums[i][v]);
              }
            }
          }
        }
#pragma unroll
        for (int i = 0; i < TILE; ++i)
#pragma unroll
          for (int v = 0; v < VECTORS; ++v) kept.vector[r][t * TILE + i][v] = sums[i][v];
#if Y_CHANNELS_LAST
        if (end_c < GROUP_IN) continue;
        for (int i = 0; i < TILE; ++i) {
          if (to[t * TILE + i] == NOWHERE) continue;
          for (uint v = 0; v < real_channels / VECTOR; ++v) {
            const finish_channels_t f = finish_channels_of(packed, first_m + v * VECTOR, all_y, residuals);
            put_channels(y + v * VECTOR + to[t * TILE + i], kept.vector[0][t * TILE + i][v], &f);
          }
        }
#endif
      }
    }
  }
#if ROWS
  for (uint p = 0; p < positions;) {
    const position_t t = position_of(first + p, count);
    const uint together = min(min((uint)VECTOR, count.w - t.w), positions - p);
    row = place_of(t, a, x_d, x_h, y_d, y_h, out_d, out_h);
    const uint ow = t.w * STRIDE_W;
    const int outputs = (int)min(together * STRIDE_W, (uint)out_w - ow);
    if (row.real)
      for (uint v = 0; v * VECTOR < real_channels; ++v)
        store_square(y + v * VECTOR * y_c + row.y + t.image * y_n + ow, y_c, kept.vector, p, together, v,
                     min((uint)VECTOR, real_channels - v * VECTOR), outputs, packed, first_m + v * VECTOR, all_y, residuals);
    p += together;
  }
#else
  const uint stored = Y_CHANNELS_LAST ? real_channels / VECTOR * VECTOR : 0;
#if ACTIVATES
  for (uint first_v = stored; first_v < real_channels; first_v += VECTOR) {
    const finish_channels_t f = finish_channels_of(packed, first_m + first_v, all_y, residuals);
    for (uint i = 0; i < tiles * TILE; ++i) {
      VEC *sum = &kept.vector[0][i][first_v / VECTOR];
      *sum = activated_channels(*sum, &f);
    }
  }
#endif
  /* Channel after channel, so that the outputs in a line of the cache are stored one after the other. */
  for (uint m = stored; m < real_channels; ++m) {
    const finish_t f = finish_of(packed, first_m + m, all_y, residuals);
    for (uint i = 0; i < tiles * TILE; ++i)
      if (to[i] != NOWHERE) store_one(y + m * y_c + to[i], kept.lane[0][i][m], &f);
  }
#endif
}
