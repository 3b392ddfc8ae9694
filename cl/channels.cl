/* channels.cl: dense phases with vectors of output channels, for CPU devices: one work-item a work-group, no barrier, no local
 * memory.
 *
 * The phases are those of phase.cl. Here the lanes of a vector are neighbouring output channels, and a value of x is broadcast
 * to them: rows may have any length. A work-item owns VECTORS vectors of channels of a residue of D, H and W, and a run of
 * positions (t_d, t_h, t_w, image) one after another, along rows (ALONG_ROWS) or with the image changing fastest; it takes
 * TILE of them at a time, and leaves out the taps that none of the tile has inside x:
 *
 *   sums[i][v] += packed[c][tap][v] * x[c][position i + offset of tap]
 *
 * Weights are read once for TILE positions. Where those of a work-item outgrow the cache, CHUNK input channels at a time serve
 * all its positions, and the sums wait in memory meanwhile. x is read from a copy (pad.cl's) with zeros around it or in another
 * order, or in place where it needs none or, IN_PLACE, although taps reach over its edges: then those are left out lane by
 * lane. It and y may lie anywhere. BLOCK_C channels follow one another under each tap: where they lie SIDE_BY_SIDE lines of
 * the cache are so used up at once, elsewhere loops are longer and lines of all those channels are to stay in the first cache.
 * EACH_ITS_OWN: of a depthwise layer whose x has neighbouring channels side by side the lanes are groups, taken for output
 * channels of a layer with one of each kind; each has values of x of its own, and no block has channels past the last.
 *
 * Y_CHANNELS_LAST: y has neighbouring channels side by side. Then, RESIDUES_TOGETHER, a work-item may own all residues and take
 * them by turns at each tile, GROUP_IN being at most CHUNK: their x stays in the first cache. ROWS: y has neighbours of W side
 * by side, in rows of at least half a vector of positions. Then a work-item owns all residues of W, positions go along rows,
 * and squares of positions x channels are turned to be stored. Else outputs are stored one by one.
 *
 * packed holds the weights in the order of use: [group][m
 * block][residue d][residue h][residue w][block of c][tap d][tap h][tap w][c][VECTORS*VECTOR], then the bias [group][m
 * block][VECTORS*VECTOR]; channels past the last are zero and never stored.
 *
 * X_STEP: how far apart neighbouring positions of a row are in what is read, or 0. A tile within a row is then read at
 * constant distances from one address; others need an address of each position, which of many is one more load.
 * AHEAD: while a channel is at work, the first and the last value that the tile will take so many channels on are prefetched,
 * with BLOCK_C 1; 0: they are not.
 *
 * Required: what layer.cl asks, what phases.cl asks for D, H and W, what residues.cl asks but CHANNELS, EACH_ITS_OWN X_STEP
 * AHEAD Y_CHANNELS_LAST STREAM VECTOR VECTORS TILE TILES (at most so many a work-item) SIDE_BY_SIDE BLOCK_C CHUNK (a
 * multiple of BLOCK_C). */
#include "common.cl"
#include "layer.cl"
#include "pad.cl"
#include "phases.cl"
#if ROWS
#include "lines.cl"
#else
#include "epilogue.cl"
#endif

#if !defined(EACH_ITS_OWN) || !defined(Y_CHANNELS_LAST) || !defined(STREAM)
#error "EACH_ITS_OWN, Y_CHANNELS_LAST and STREAM are required"
#endif
#if !defined(VECTOR) || !defined(VECTORS) || !defined(TILE) || !defined(TILES) || !defined(BLOCK_C) || !defined(CHUNK)
#error "VECTOR, VECTORS, TILE, TILES, BLOCK_C and CHUNK are required"
#endif

#if !defined(X_STEP) || !defined(AHEAD) || !defined(SIDE_BY_SIDE)
#error "X_STEP, AHEAD and SIDE_BY_SIDE are required"
#endif

#define CHANNELS (VECTORS * VECTOR)
#include "residues.cl"

#define M_BLOCKS ((GROUP_OUT + CHANNELS - 1) / CHANNELS)
#define BLOCK_WEIGHTS ((ulong)tap_start_d[RESIDUES_D] * TAPS_H * TAPS_W * GROUP_IN * CHANNELS)
/* Residues whose sums wait in memory, for how many positions. */
#define RESIDUES_KEPT (ROWS ? RESIDUES_W : 1)
#define POSITIONS_KEPT (RESIDUES_TOGETHER ? TILE : TILES * TILE)

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

/* Adds what a tap gives of so many input channels together to those sums of which MEETS(i) holds; AT(i): how far the position's
 * value is from the one of position 0 of all. */
#define ADD_TAP(AT, MEETS)                                                                                             \
  for (uint i_c = 0; i_c < together; ++i_c, value_x += step_c, w += CHANNELS) {                                        \
    VEC value[VECTORS];                                                                                                \
    _Pragma("unroll") for (int v = 0; v < VECTORS; ++v) value[v] = VLOAD(w + v * VECTOR);                              \
    _Pragma("unroll") for (int i = 0; i < TILE; ++i) if (MEETS(i)) _Pragma("unroll") for (int v = 0; v < VECTORS; ++v) \
        sums[i][v] = fma(X_VALUE(value_x + AT(i), v), value[v], sums[i][v]);                                           \
  }
#define LISTED(i) at[i]
#define STEPPED(i) (at[0] + (i)*X_STEP)
#define ALWAYS(i) true
#define INSIDE(i) (lanes >> (i)&1)

/* Sums of a residue's positions. */
typedef union {
  VEC vector[POSITIONS_KEPT][VECTORS];
  REAL lane[POSITIONS_KEPT][CHANNELS];
} kept_t;

#if Y_CHANNELS_LAST
static inline void put_channels(__global Y_STORED *to, VEC v, const finish_channels_t *f) {
#ifdef STORE_PAST_CACHE
  if (((size_t)to & (LINE_BYTES - 1)) == 0) {
    STORE_PAST_CACHE(v, to, channels, f);
    return;
  }
#endif
  STORE_VECTOR(v, to, channels, f);
}

/* Stores one position's sums of so many channels from first_m on (of all groups). */
static inline void store_position(__global Y_STORED *to, const VEC *sums, uint channels, __global const REAL *packed,
                                  uint first_m, __global const Y_STORED *all_y, __global const Y_STORED *residuals) {
  for (uint m = 0; m < channels; m += VECTOR) {
    const finish_channels_t f = finish_channels_of(packed, first_m + m, all_y, residuals);
    const union {
      VEC vector;
      REAL lane[VECTOR];
    } v = {activated_channels(sums[m / VECTOR], &f)};
    if (m + VECTOR <= channels) {
      put_channels(to + m, v.vector, &f);
      continue;
    }
    for (uint l = 0; m + l < channels; ++l) {
      const finish_t f_l = finish_of(packed, first_m + m + l, all_y, residuals);
      store_one(to + m + l, v.lane[l], &f_l);
    }
  }
}
#elif ROWS
/* Stores count positions from p on, at most VECTOR in one row of y, of channels from first_m on (of all groups), vector v of
 * them: outputs of each from to on. Lanes past the count are the last position's again. */
static inline void store_square(__global Y_STORED *to, long y_c, const kept_t *kept, uint p, uint count, uint v, uint channels,
                                int outputs, __global const REAL *packed, uint first_m, __global const Y_STORED *all_y,
                                __global const Y_STORED *residuals) {
  line_t lines[VECTOR];
  for (int a = 0; a < STRIDE_W; ++a) {
    VEC square[VECTOR];
#pragma unroll
    for (int l = 0; l < VECTOR; ++l) square[l] = kept[a].vector[min(p + l, p + count - 1)][v];
    transpose(square);
#pragma unroll
    for (int l = 0; l < VECTOR; ++l) lines[l].vector[a] = square[l];
  }
#pragma unroll 1
  for (uint m = 0; m < channels; ++m) {
    const finish_t f = finish_of(packed, first_m + m, all_y, residuals);
    store_outputs(to + m * y_c, &lines[m], outputs, 0, &f);
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
  const residue_t common = common_residue(&item);
  const uint m_block = item % M_BLOCKS;
  item /= M_BLOCKS;
  const position_t count = {(out_d + STRIDE_D - 1) / STRIDE_D, (out_h + STRIDE_H - 1) / STRIDE_H,
                            (out_w + STRIDE_W - 1) / STRIDE_W, batch};
  const uint all = count.d * count.h * count.w * count.image, runs = (all + (uint)run - 1) / (uint)run;
  const uint first = item % runs * (uint)run, positions = min((uint)run, all - first);
  const long group = item / runs;
  const sizes_t in = {in_d, in_h, in_w}, out = {out_d, out_h, out_w}, x_step = {x_d, x_h, x_w}, y_step = {y_d, y_h, y_w};

  x += x_start + (EACH_ITS_OWN ? m_block * CHANNELS : group * GROUP_IN) * x_c;
  packed += packed_start;
  const ulong block = group * M_BLOCKS + m_block;
  __global const REAL *bias = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS + block * CHANNELS;
  const uint first_m = group * GROUP_OUT + m_block * CHANNELS;
  const uint real_channels = min((uint)CHANNELS, GROUP_OUT - m_block * CHANNELS);
  __global const Y_STORED *all_y = y + y_start, *residuals = RESIDUAL_OF(y, y_start);
  y += y_start + first_m * y_c;

  /* Where each position lies in x and, of the first residue, in y; those past the last repeat it. */
  long from[TILES * TILE], to[TILES * TILE];
  uchar ends[TILES * TILE];
  tile_t tile[TILES];
  const uint tiles = (positions + TILE - 1) / TILE;
  const long x_on = ALONG_ROWS ? INPUT_STEP_W * x_w : x_n, y_on = ALONG_ROWS ? STRIDE_W * y_w : y_n;
  position_t t_i = position_of(first, count);
  bool goes_on = false; /* one step on from the position before */
  for (uint i = 0; i < tiles * TILE; ++i) {
    const offset_t here = start_of(t_i);
    if (i >= positions) {
      from[i] = from[i - 1], to[i] = to[i - 1];
    } else if (goes_on) {
      from[i] = from[i - 1] + x_on, to[i] = to[i - 1] + y_on;
    } else {
      from[i] = t_i.image * x_n + here.d * x_d + here.h * x_h + here.w * x_w;
      to[i] = t_i.image * y_n + t_i.d * STRIDE_D * y_d + t_i.h * STRIDE_H * y_h + t_i.w * STRIDE_W * y_w;
    }
    ends[i] = ends_of(t_i, count);
    if (i % TILE == 0)
      tile[i / TILE] = tile_of(t_i, min((uint)TILE, positions - i));
    else
      add_position(&tile[i / TILE], here, from[i] - from[i - 1] == X_STEP);
    if (i + 1 < positions) goes_on = next_position(&t_i, count);
  }

  owned_t owned[RESIDUES_OWNED];
  tap_t taps[MOST_TAPS], inside[MOST_TAPS];
  int listed = 0;
  for (uint r = 0; r < RESIDUES_OWNED; ++r) {
    ulong index = r;
    residue_t a = residue_of(&index);
    a.d += common.d, a.h += common.h, a.w += common.w;
    owned[r] = owned_of(a, count, out, y_step);
    owned[r].begin = listed;
    owned[r].taps = list_taps(taps + listed, &owned[r], 0, count, in, x_step);
    listed += owned[r].taps;
  }

  kept_t kept[RESIDUES_KEPT];
  const long step_c = SIDE_BY_SIDE ? 1 : x_c;
  for (uint first_c = 0; first_c < GROUP_IN; first_c += CHUNK) {
    const uint end_c = min(first_c + CHUNK, (uint)GROUP_IN);
    for (uint first_r = 0; first_r < RESIDUES_KEPT; ++first_r)
      for (uint t = 0; t < tiles; ++t)
        for (uint r = first_r; r < first_r + RESIDUES_OWNED / RESIDUES_KEPT; ++r) {
          const owned_t *o = &owned[r];
          /* A tile's taps: of all those of its residue the ones that some position has inside x, mostly all. */
          const tap_t *tap = taps + o->begin;
          int num_taps = o->taps;
          if (!meets_all(o, &tile[t].range, in)) tap = inside, num_taps = list_taps(inside, o, &tile[t], count, in, x_step);

          VEC sums[TILE][VECTORS], (*was)[VECTORS] = kept[first_r].vector + (RESIDUES_TOGETHER ? 0 : t * TILE);
#pragma unroll
          for (int i = 0; i < TILE; ++i)
#pragma unroll
            for (int v = 0; v < VECTORS; ++v) sums[i][v] = first_c ? was[i][v] : VLOAD(bias + v * VECTOR);
          long at[TILE];
#pragma unroll
          for (int i = 0; i < TILE; ++i) at[i] = from[t * TILE + i];
          const bool stepped = tile[t].stepped;

          __global const REAL *weights = packed + block * BLOCK_WEIGHTS + o->weights;
          for (uint c = first_c; c < end_c; c += BLOCK_C) {
            const uint together = BLOCK_C > 1 ? min((uint)BLOCK_C, end_c - c) : 1;
            __global const REAL *weights_c = weights + (ulong)c * o->taps * CHANNELS, *xc = x + c * x_c;
            for (int j = 0; j < num_taps; ++j) {
              __global const REAL *w = weights_c + tap[j].weights * together, *value_x = xc + tap[j].x;
              const uint lanes = tap[j].lanes;
#if AHEAD
              PREFETCH(value_x + at[0] + AHEAD * x_c, 3);
              PREFETCH(value_x + at[TILE - 1] + AHEAD * x_c, 3);
#endif
              if (IN_PLACE && lanes != ALL_LANES)
                ADD_TAP(LISTED, INSIDE)
              else if (X_STEP && stepped)
                ADD_TAP(STEPPED, ALWAYS)
              else
                ADD_TAP(LISTED, ALWAYS)
            }
          }
#pragma unroll
          for (int i = 0; i < TILE; ++i)
#pragma unroll
            for (int v = 0; v < VECTORS; ++v) was[i][v] = sums[i][v];
#if Y_CHANNELS_LAST
          if (end_c < GROUP_IN) continue;
          for (uint i = 0; i < TILE && t * TILE + i < positions; ++i)
            if (!(ends[t * TILE + i] & o->missing))
              store_position(y + to[t * TILE + i] + o->y, was[i], real_channels, packed, first_m, all_y, residuals);
#endif
        }
  }
#if ROWS
  for (uint p = 0; p < positions;) {
    const uint in_row = count.w - position_of(first + p, count).w, squared = min(min((uint)VECTOR, in_row), positions - p);
    const int outputs = (int)min(squared * STRIDE_W, (uint)out_w - (count.w - in_row) * STRIDE_W);
    if (!(ends[p] & owned[0].missing & 3)) /* of W it has all residues */
      for (uint v = 0; v * VECTOR < real_channels; ++v)
        store_square(y + v * VECTOR * y_c + to[p] + owned[0].y, y_c, kept, p, squared, v,
                     min((uint)VECTOR, real_channels - v * VECTOR), outputs, packed, first_m + v * VECTOR, all_y, residuals);
    p += squared;
  }
#elif !Y_CHANNELS_LAST
#if ACTIVATES
  for (uint v = 0; v * VECTOR < real_channels; ++v) {
    const finish_channels_t f = finish_channels_of(packed, first_m + v * VECTOR, all_y, residuals);
    for (uint i = 0; i < positions; ++i) kept->vector[i][v] = activated_channels(kept->vector[i][v], &f);
  }
#endif
  /* Channel after channel, so that the outputs in a line of the cache are stored one after the other. */
  for (uint m = 0; m < real_channels; ++m) {
    const finish_t f = finish_of(packed, first_m + m, all_y, residuals);
    for (uint i = 0; i < positions; ++i)
      if (!(ends[i] & owned->missing)) store_one(y + m * y_c + to[i] + owned->y, kept->lane[i][m], &f);
  }
#endif
}
