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
 * Y_CHANNELS_LAST: y has neighbouring channels side by side. packed holds the weights in the order of use: [group][m
 * block][residue d][residue h][residue w][block of c][tap d][tap h][tap w][c][VECTORS*VECTOR], then the bias [group][m
 * block][VECTORS*VECTOR]; channels past the last are zero and never stored.
 *
 * Required: what layer.cl asks, what phases.cl asks for D, H and W, EACH_ITS_OWN Y_CHANNELS_LAST STREAM VECTOR VECTORS TILE
 * TILES (at most so many a work-item) BLOCK_C CHUNK (a multiple of it), MIN_OFFSET_ for D H W. */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"
#include "pad.cl"
#include "phases.cl"

#if !defined(EACH_ITS_OWN) || !defined(Y_CHANNELS_LAST) || !defined(STREAM)
#error "EACH_ITS_OWN, Y_CHANNELS_LAST and STREAM are required"
#endif
#if !defined(VECTOR) || !defined(VECTORS) || !defined(TILE) || !defined(TILES) || !defined(BLOCK_C) || !defined(CHUNK)
#error "VECTOR, VECTORS, TILE, TILES, BLOCK_C and CHUNK are required"
#endif

#define CHANNELS (VECTORS * VECTOR)
#define M_BLOCKS ((GROUP_OUT + CHANNELS - 1) / CHANNELS)
#define TAPS_H ((ulong)tap_start_h[RESIDUES_H])
#define TAPS_W ((ulong)tap_start_w[RESIDUES_W])
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * TAPS_H * TAPS_W * GROUP_IN * CHANNELS)

typedef struct {
  uint d, h, w;
} residue_t;

typedef struct {
  int d, h, w;
} offset_t;

/* Takes the residues off an item's index. */
static inline residue_t residue_of(ulong *item) {
  residue_t a;
  a.w = *item % RESIDUES_W;
  *item /= RESIDUES_W;
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
  const residue_t a = residue_of(&item);
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

/* Where the row of positions (t_d, t_h) of a residue begins in x and y, and whether y has it. */
typedef struct {
  long x, y;
  bool real;
} place_t;

static inline place_t place_of(uint td, uint th, residue_t a, long x_d, long x_h, long y_d, long y_h, long out_d, long out_h) {
  const uint od = td * STRIDE_D + a.d, oh = th * STRIDE_H + a.h;
  const place_t place = {td * INPUT_STEP_D * x_d + th * INPUT_STEP_H * x_h, od * y_d + oh * y_h, od < out_d && oh < out_h};
  return place;
}

/* x_ and y_: strides of what x is read from, and of y. run: positions of a work-item, at most TILES*TILE, a multiple of TILE.
 */
T3_SINGLE void channels(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict packed,
                        ulong packed_start, __global Y_STORED *Y_RESTRICT y, ulong y_start, long batch, long x_n, long x_c,
                        long x_d, long x_h, long x_w, long in_d, long in_h, long in_w, long y_n, long y_c, long y_d, long y_h,
                        long y_w, long out_d, long out_h, long out_w, long run RESIDUAL_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const residue_t a = residue_of(&item);
  const uint m_block = item % M_BLOCKS;
  item /= M_BLOCKS;
  const uint count_d = (out_d + STRIDE_D - 1) / STRIDE_D, count_h = (out_h + STRIDE_H - 1) / STRIDE_H,
             count_w = (out_w + STRIDE_W - 1) / STRIDE_W;
  const uint all = count_d * count_h * count_w * (uint)batch, runs = (all + (uint)run - 1) / (uint)run;
  const uint first = item % runs * (uint)run;
  const long group = item / runs;

  x += x_start + (EACH_ITS_OWN ? m_block * CHANNELS : group * GROUP_IN) * x_c;
  packed += packed_start;
  const ulong block = group * M_BLOCKS + m_block;
  __global const REAL *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * CHANNELS;
  __global const REAL *weights = packed + block * BLOCK_WEIGHTS + phase_start(a);

  /* Of each tap of the residue: its input offsets, and how far from a position's own place in x that is. */
  long shift[KERNEL_D * KERNEL_H * KERNEL_W];
  offset_t offset[KERNEL_D * KERNEL_H * KERNEL_W];
  offset_t least = {INT_MAX, INT_MAX, INT_MAX}, most = {INT_MIN, INT_MIN, INT_MIN};
  int taps = 0;
  for (uint jd = 0; jd < taps_of(tap_start_d, a.d); ++jd)
    for (uint jh = 0; jh < taps_of(tap_start_h, a.h); ++jh)
      for (uint jw = 0; jw < taps_of(tap_start_w, a.w); ++jw) {
        const offset_t o = {first_offset_d[a.d] - (int)jd * OFFSET_STEP_D, first_offset_h[a.h] - (int)jh * OFFSET_STEP_H,
                            first_offset_w[a.w] - (int)jw * OFFSET_STEP_W};
        shift[taps] = (o.d - MIN_OFFSET_D) * x_d + (o.h - MIN_OFFSET_H) * x_h + (o.w - MIN_OFFSET_W) * x_w;
        offset[taps++] = o;
        least.d = min(least.d, o.d), least.h = min(least.h, o.h), least.w = min(least.w, o.w);
        most.d = max(most.d, o.d), most.h = max(most.h, o.h), most.w = max(most.w, o.w);
      }
  /* Where each position lies in x and in y; NOWHERE: no such output. Positions past the last repeat it. */
  long from[TILES * TILE], to[TILES * TILE];
  offset_t low[TILES], high[TILES];
  const uint tiles = (min((uint)run, all - first) + TILE - 1) / TILE;
  /* Counted up, not divided out: that would take longer than a position's sums where those are few. */
  uint image = first % (uint)batch, tw = first / (uint)batch % count_w, th = first / (uint)batch / count_w % count_h,
       td = first / (uint)batch / count_w / count_h;
  place_t row = place_of(td, th, a, x_d, x_h, y_d, y_h, out_d, out_h);
  for (uint i = 0; i < tiles * TILE; ++i) {
    const uint t = i / TILE, ow = tw * STRIDE_W + a.w;
    const bool begins = i % TILE == 0;
    from[i] = row.x + image * x_n + tw * INPUT_STEP_W * x_w;
    to[i] = first + i < all && row.real && ow < out_w ? row.y + image * y_n + ow * y_w : NOWHERE;
    low[t].d = begins ? (int)td : min(low[t].d, (int)td), high[t].d = begins ? (int)td : max(high[t].d, (int)td);
    low[t].h = begins ? (int)th : min(low[t].h, (int)th), high[t].h = begins ? (int)th : max(high[t].h, (int)th);
    low[t].w = begins ? (int)tw : min(low[t].w, (int)tw), high[t].w = begins ? (int)tw : max(high[t].w, (int)tw);
    if (first + i + 1 >= all || ++image < (uint)batch) continue;
    image = 0;
    if (++tw < count_w) continue;
    tw = 0;
    if (++th == count_h) th = 0, ++td;
    row = place_of(td, th, a, x_d, x_h, y_d, y_h, out_d, out_h);
  }
  const uint first_m = group * GROUP_OUT + m_block * CHANNELS;
  const uint real_channels = min((uint)CHANNELS, GROUP_OUT - m_block * CHANNELS);
  __global const Y_STORED *all_y = y + y_start, *residuals = RESIDUAL_OF(y, y_start);
  y += y_start + first_m * y_c;

  typedef union {
    VEC vector[TILE][VECTORS];
    REAL lane[TILE][CHANNELS];
  } tile_t;
  tile_t kept[TILES];
  long tap_shift[KERNEL_D * KERNEL_H * KERNEL_W];
  int tap_inside[KERNEL_D * KERNEL_H * KERNEL_W];
  int inside = -1;
  const long step_c = BLOCK_C > 1 ? 1 : x_c;
  for (uint first_c = 0; first_c < GROUP_IN; first_c += CHUNK) {
    const uint end_c = min(first_c + CHUNK, (uint)GROUP_IN);
    for (uint t = 0; t < tiles; ++t) {
      VEC sums[TILE][VECTORS];
#pragma unroll
      for (int i = 0; i < TILE; ++i)
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) sums[i][v] = first_c ? kept[t].vector[i][v] : VLOAD(bias + v * VECTOR);
      long at[TILE];
#pragma unroll
      for (int i = 0; i < TILE; ++i) at[i] = from[t * TILE + i];

      /* The taps of the tile, those that some position has inside x; mostly all of them, as in the tile before. */
      const offset_t from_x = {low[t].d * INPUT_STEP_D, low[t].h * INPUT_STEP_H, low[t].w * INPUT_STEP_W};
      const offset_t to_x = {high[t].d * INPUT_STEP_D, high[t].h * INPUT_STEP_H, high[t].w * INPUT_STEP_W};
      const bool whole = to_x.d + least.d >= 0 && from_x.d + most.d < in_d && to_x.h + least.h >= 0 &&
                         from_x.h + most.h < in_h && to_x.w + least.w >= 0 && from_x.w + most.w < in_w;
      if (!whole || inside != taps) {
        inside = 0;
        for (int j = 0; j < taps; ++j) {
          const offset_t o = offset[j];
          if (to_x.d + o.d < 0 || from_x.d + o.d >= in_d || to_x.h + o.h < 0 || from_x.h + o.h >= in_h || to_x.w + o.w < 0 ||
              from_x.w + o.w >= in_w)
            continue;
          tap_shift[inside] = shift[j];
          tap_inside[inside++] = j;
        }
      }

      for (uint c = first_c; c < end_c; c += BLOCK_C) {
        const uint together = BLOCK_C > 1 ? min((uint)BLOCK_C, end_c - c) : 1;
        __global const REAL *weights_c = weights + (ulong)c * taps * CHANNELS, *xc = x + c * x_c;
        for (int j = 0; j < inside; ++j) {
          __global const REAL *w = weights_c + tap_inside[j] * together * CHANNELS, *value_x = xc + tap_shift[j];
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
        for (int v = 0; v < VECTORS; ++v) kept[t].vector[i][v] = sums[i][v];
#if Y_CHANNELS_LAST
      if (end_c < GROUP_IN) continue;
      for (int i = 0; i < TILE; ++i) {
        if (to[t * TILE + i] == NOWHERE) continue;
        for (uint v = 0; v < real_channels / VECTOR; ++v) {
          const finish_channels_t f = finish_channels_of(packed, first_m + v * VECTOR, all_y, residuals);
          put_channels(y + v * VECTOR + to[t * TILE + i], kept[t].vector[i][v], &f);
        }
      }
#endif
    }
  }
  const uint stored = Y_CHANNELS_LAST ? real_channels / VECTOR * VECTOR : 0;
#if ACTIVATES
  for (uint first_v = stored; first_v < real_channels; first_v += VECTOR) {
    const finish_channels_t f = finish_channels_of(packed, first_m + first_v, all_y, residuals);
    for (uint i = 0; i < tiles * TILE; ++i) {
      VEC *sum = &kept[i / TILE].vector[i % TILE][first_v / VECTOR];
      *sum = activated_channels(*sum, &f);
    }
  }
#endif
  /* Channel after channel, so that the outputs in a line of the cache are stored one after the other. */
  for (uint m = stored; m < real_channels; ++m) {
    const finish_t f = finish_of(packed, first_m + m, all_y, residuals);
    for (uint i = 0; i < tiles * TILE; ++i)
      if (to[i] != NOWHERE) store_one(y + m * y_c + to[i], kept[i / TILE].lane[i % TILE][m], &f);
  }
}
