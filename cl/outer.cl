/* outer.cl: the gradient of the weight with vectors of input channels, for CPU devices: one work-item a work-group, no barrier,
 * no local memory.
 *
 *   gw[c][m][k] = sum over images and positions i of x of x[c][i] * gy[m][i*stride - padding + k*dilation] where that is in gy
 *
 * Each position adds an outer product: VECTORS vectors of x's channels times BLOCK_M channels of gy at TAPS_W taps of W, whose
 * sums stay in registers; gy's values are broadcast to all lanes. x and gy are in C order. A work-item owns C_TILES x M_TILES
 * such tiles for all taps, and a chunk of x's lines: pieces of rows of W, an image's in the order of memory. It takes step
 * lines at a time, at most POSITIONS positions: turns their x into [c tile][position][VECTORS*VECTOR], then adds to all its
 * sums, which are kept beside; so x is read from memory once for M_TILES tiles, and gy once for C_TILES. Sums of a few lines
 * are added to sums of many, so errors grow slowly. Where a tile's sums are few, neighbouring positions add to SETS of them by
 * turns: a multiply-add must wait for the last one to the same sum. Only pairs that exist are multiplied: an Inf in x or gy
 * meets no zero of ours.
 *
 * PARTIAL 0: there is one chunk, and its sums go to gw. PARTIAL 1: they go to the workspace, [chunk][block][c tile][m][tap]
 * [VECTORS*VECTOR], and outer_sum adds the chunks in their order.
 *
 * Required: what layer.cl asks, VECTOR VECTORS BLOCK_M TAPS_W (divides KERNEL_W) C_TILES M_TILES POSITIONS SETS PARTIAL; BETA
 * as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"
#include "layer.cl"
#include "pad.cl"

#if !defined(VECTOR) || !defined(VECTORS) || !defined(BLOCK_M) || !defined(TAPS_W) || !defined(C_TILES) || \
    !defined(M_TILES) || !defined(POSITIONS) || !defined(SETS) || !defined(PARTIAL)
#error "VECTOR, VECTORS, BLOCK_M, TAPS_W, C_TILES, M_TILES, POSITIONS, SETS and PARTIAL are required"
#endif

#define TAPS (KERNEL_D * KERNEL_H * KERNEL_W)
#define TILE_IN (VECTORS * VECTOR)
#define BLOCK_IN (C_TILES * TILE_IN)
#define BLOCK_OUT (M_TILES * BLOCK_M)
#define C_BLOCKS ((GROUP_IN + BLOCK_IN - 1) / BLOCK_IN)
#define M_BLOCKS ((GROUP_OUT + BLOCK_OUT - 1) / BLOCK_OUT)
/* Sums of a c tile, in vectors' rows: [m][tap]. */
#define ROWS (BLOCK_OUT * TAPS)

/* A line: where tap (0, 0, 0) of its first position lies in gy, its first position of those at hand, how many it has. */
typedef struct {
  int d, h, w, from, count;
} line_t;

typedef struct {
  int d, h, w;
  ulong volume; /* elements of a channel */
  long next;    /* how much further the next lines' x meets gy */
} extent_t;

/* What a block of a group is: its first channels and how many of them there are. */
typedef struct {
  ulong group;
  uint first_c, first_m, channels_c, channels_m;
} block_t;

static inline block_t block_of(ulong index) {
  block_t b;
  b.first_c = index % C_BLOCKS * BLOCK_IN;
  index /= C_BLOCKS;
  b.first_m = index % M_BLOCKS * BLOCK_OUT;
  b.group = index / M_BLOCKS;
  b.channels_c = min((uint)BLOCK_IN, GROUP_IN - b.first_c);
  b.channels_m = min((uint)BLOCK_OUT, GROUP_OUT - b.first_m);
  return b;
}

/* Writes VECTOR rows of sums from row on, of VECTOR channels from c on: those that exist. */
static inline void put(VEC a[VECTOR], __global Y_STORED *gw, block_t b, uint c, uint row) {
  const uint rows = min((uint)VECTOR, b.channels_m * TAPS - row), channels = min((uint)VECTOR, b.channels_c - c);
  const ulong first = ((b.group * GROUP_IN + b.first_c + c) * GROUP_OUT + b.first_m) * TAPS + row;
  transpose(a);
  union {
    VEC vector[VECTOR];
    REAL lane[VECTOR][VECTOR];
  } columns;
#pragma unroll
  for (uint l = 0; l < VECTOR; ++l) columns.vector[l] = a[l];
  NO_UNROLL for (uint l = 0; l < channels; ++l) {
    const ulong at = first + l * (ulong)GROUP_OUT * TAPS;
    const bool whole = rows == (WEIGHT_DENSE ? VECTOR : 0u);
    if (whole) VWRITE_Y(VMERGE(columns.vector[l], gw + at), gw + at);
    NO_UNROLL for (uint r = 0; r < rows && !whole; ++r) {
      __global Y_STORED *to = gw + weight_place(at + r);
      WRITE_Y(MERGE(columns.lane[l][r], to), to);
    }
  }
}

/* Turns count positions of a tile's channels into vectors of channels; those past the last repeat it and are never stored. */
static inline void turn(__global const REAL *x, ulong volume, uint channels, uint count, VEC *to) {
  for (uint v = 0; v < VECTORS; ++v) {
    ulong from[VECTOR];
#pragma unroll
    for (uint l = 0; l < VECTOR; ++l) from[l] = min(v * VECTOR + l, channels - 1) * volume;
    for (uint p = 0; p < count && count >= VECTOR; p += VECTOR) {
      const uint at = min(p, count - VECTOR);
      VEC a[VECTOR];
#pragma unroll
      for (uint l = 0; l < VECTOR; ++l) {
        a[l] = VLOAD(x + from[l] + at);
        PREFETCH(x + from[l] + at + count, 2);
      }
      transpose(a);
#pragma unroll
      for (uint l = 0; l < VECTOR; ++l) to[(at + l) * VECTORS + v] = a[l];
    }
    NO_UNROLL for (uint p = 0; p < count && count < VECTOR; ++p) {
      REAL lane[VECTOR];
      NO_UNROLL for (uint l = 0; l < VECTOR; ++l) lane[l] = x[from[l] + p];
      to[p * VECTORS + v] = *(VEC *)lane;
    }
  }
}

/* Position i of a line, added to a set of sums, and those taps of the tile of which VALID(t) holds. */
#define POSITION(set, i, VALID)                                                                                              \
  {                                                                                                                          \
    VEC value[VECTORS];                                                                                                      \
    _Pragma("unroll") for (int v = 0; v < VECTORS; ++v) value[v] = xs[(i)*VECTORS + v];                                      \
    _Pragma("unroll") for (int t = 0; t < TAPS_W; ++t) if (VALID(t)) _Pragma("unroll") for (int m = 0; m < BLOCK_M; ++m) {   \
      const VEC broadcast = (VEC)row[m_at[m] + (i)*STRIDE_W + t * DILATION_W];                                               \
      _Pragma("unroll") for (int v = 0; v < VECTORS; ++v) sums[set][m][t][v] = fma(broadcast, value[v], sums[set][m][t][v]); \
    }                                                                                                                        \
  }
#define ALWAYS(t) true
#define INSIDE(t) ((uint)(ow + i * STRIDE_W + (t)*DILATION_W) < (uint)out.w)

/* Adds to a tile's kept sums, or sets them if first, what tap (kd, kh) and TAPS_W taps from kw on give over the lines. */
static inline void add_tile(const VEC *x, const line_t *lines, uint num_lines, __global const REAL *gy, const long *m_at,
                            extent_t out, int kd, int kh, int kw, bool first, bool ahead, VEC *kept) {
  VEC sums[SETS][BLOCK_M][TAPS_W][VECTORS];
#pragma unroll
  for (int i = 0; i < SETS * BLOCK_M * TAPS_W * VECTORS; ++i) ((VEC *)sums)[i] = 0;

  for (uint l = 0; l < num_lines; ++l) {
    const int od = lines[l].d + kd * DILATION_D, oh = lines[l].h + kh * DILATION_H, ow = lines[l].w + kw * DILATION_W;
    if ((uint)od >= (uint)out.d || (uint)oh >= (uint)out.h) continue;
    __global const REAL *row = gy + ((long)od * out.h + oh) * out.w + ow;
    const VEC *xs = x + lines[l].from * VECTORS;
    if (ahead)
      for (int m = 0; m < BLOCK_M; ++m)
        for (int i = 0; i < lines[l].count * STRIDE_W; i += CACHE_LINE) PREFETCH(row + m_at[m] + out.next + i, 2);
    /* From begin to end all taps of the tile are inside gy's row. */
    const int count = lines[l].count, room = out.w - 1 - (TAPS_W - 1) * DILATION_W - ow;
    const int begin = ow < 0 ? min((STRIDE_W - 1 - ow) / STRIDE_W, count) : 0;
    const int end = room < 0 ? begin : max(begin, min(room / STRIDE_W + 1, count));
    for (int i = 0; i < count; ++i) {
      if (i == begin)
        for (; i + SETS <= end; i += SETS)
#pragma unroll
          for (int set = 0; set < SETS; ++set) POSITION(set, i + set, ALWAYS)
      if (i < count) POSITION(0, i, INSIDE)
    }
  }

#pragma unroll
  for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
    for (int t = 0; t < TAPS_W; ++t)
#pragma unroll
      for (int v = 0; v < VECTORS; ++v) {
        VEC *to = kept + (m * TAPS + (kd * KERNEL_H + kh) * KERNEL_W + kw + t) * VECTORS + v;
        VEC sum = sums[0][m][t][v];
#pragma unroll
        for (int set = 1; set < SETS; ++set) sum += sums[set][m][t][v];
        *to = first ? sum : *to + sum;
      }
}

/* What the main kernel writes. */
#if PARTIAL
#define TARGET REAL
#else
#define TARGET Y_STORED
#endif

/* lines: of all images, pieces in a row of piece positions or what is left; run: lines of a chunk. */
T3_SINGLE void outer(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict gy,
                     ulong gy_start, __global TARGET *restrict to, ulong to_start, long in_d, long in_h, long in_w, long out_d,
                     long out_h, long out_w, long lines, long pieces, long piece, long run, long step) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong blocks = (ulong)GROUPS * C_BLOCKS * M_BLOCKS;
  const block_t b = block_of(item % blocks);
  const long first_line = (long)(item / blocks) * run, end_line = min(first_line + run, lines);
  const long image_lines = in_d * in_h * pieces;
  const extent_t out = {(int)out_d, (int)out_h, (int)out_w, (ulong)out_d * out_h * out_w,
                        (step / pieces / in_h * STRIDE_D * out_h + step / pieces % in_h * STRIDE_H) * out_w};
  const ulong volume = (ulong)in_d * in_h * in_w;
  x += x_start + (b.group * GROUP_IN + b.first_c) * volume;
  gy += gy_start + (b.group * GROUP_OUT + b.first_m) * out.volume;

  VEC kept[C_TILES][ROWS][VECTORS];
  VEC turned[C_TILES][POSITIONS][VECTORS];
  line_t at[POSITIONS];
  const uint c_tiles = (b.channels_c + TILE_IN - 1) / TILE_IN, m_tiles = (b.channels_m + BLOCK_M - 1) / BLOCK_M;
  if (first_line >= end_line)
    for (uint i = 0; i < C_TILES * ROWS * VECTORS; ++i) ((VEC *)kept)[i] = 0;

  for (long line = first_line, next; line < end_line; line = next) {
    const ulong image = line / image_lines;
    next = min(min(line + step, end_line), (long)(image + 1) * image_lines);
    const uint num_lines = (uint)(next - line);
    uint count = 0;
    const long in_image = line % image_lines;
    long row = in_image / pieces, part = in_image % pieces;
    const ulong start = row * in_w + part * piece;
    for (uint l = 0; l < num_lines; ++l) {
      const int iw = (int)(part * piece), ih = (int)(row % in_h), id = (int)(row / in_h);
      at[l].d = id * STRIDE_D - PADDING_D;
      at[l].h = ih * STRIDE_H - PADDING_H;
      at[l].w = iw * STRIDE_W - PADDING_W;
      at[l].from = (int)count;
      at[l].count = (int)min(piece, in_w - iw);
      count += (uint)at[l].count;
      if (++part == pieces) part = 0, ++row;
    }

    for (uint ct = 0; ct < c_tiles; ++ct)
      turn(x + (image * GROUPS * GROUP_IN + ct * TILE_IN) * volume + start, volume, b.channels_c - ct * TILE_IN, count,
           (VEC *)turned[ct]);
    for (uint mt = 0; mt < m_tiles; ++mt) {
      __global const REAL *from = gy + (image * GROUPS * GROUP_OUT + mt * BLOCK_M) * out.volume;
      long m_at[BLOCK_M]; /* channels past the last repeat it and are never stored */
#pragma unroll
      for (uint m = 0; m < BLOCK_M; ++m) m_at[m] = min(m, b.channels_m - mt * BLOCK_M - 1) * (long)out.volume;
      for (uint ct = 0; ct < c_tiles; ++ct)
        for (int kd = 0; kd < KERNEL_D; ++kd)
          for (int kh = 0; kh < KERNEL_H; ++kh)
            for (int kw = 0; kw < KERNEL_W; kw += TAPS_W)
              add_tile((VEC *)turned[ct], at, num_lines, from, m_at, out, kd, kh, kw, line == first_line, ct + kw == 0,
                       (VEC *)kept[ct] + mt * BLOCK_M * TAPS * VECTORS);
    }
  }

#if PARTIAL
  to += to_start + item * (C_TILES * ROWS * TILE_IN);
  for (uint i = 0; i < C_TILES * ROWS * VECTORS; ++i) VSTORE(((VEC *)kept)[i], to + i * VECTOR);
#else
  for (uint ct = 0; ct < c_tiles; ++ct)
    for (uint v = 0; v < VECTORS && ct * TILE_IN + v * VECTOR < b.channels_c; ++v)
      for (uint r = 0; r < b.channels_m * TAPS; r += VECTOR) {
        VEC a[VECTOR];
#pragma unroll
        for (uint l = 0; l < VECTOR; ++l) a[l] = kept[ct][min(r + l, (uint)ROWS - 1)][v];
        put(a, to + to_start, b, ct * TILE_IN + v * VECTOR, r);
      }
#endif
}

#if PARTIAL
/* One work-item adds VECTOR rows of one vector of channels. */
T3_SINGLE void outer_sum(ulong items, __global const REAL *restrict partial, ulong partial_start,
                         __global Y_STORED *restrict gw, ulong gw_start, long chunks) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const uint row_blocks = (ROWS + VECTOR - 1) / VECTOR;
  const uint r = item % row_blocks * VECTOR;
  item /= row_blocks;
  const uint vector = item % (C_TILES * VECTORS);
  item /= C_TILES * VECTORS;
  const block_t b = block_of(item);
  if (vector * VECTOR >= b.channels_c || r >= b.channels_m * TAPS) return;

  const ulong block = C_TILES * ROWS * TILE_IN, blocks = (ulong)GROUPS * C_BLOCKS * M_BLOCKS;
  partial += partial_start + item * block + (vector / VECTORS * ROWS * VECTORS + vector % VECTORS) * VECTOR;
  VEC a[VECTOR];
#pragma unroll
  for (uint l = 0; l < VECTOR; ++l) a[l] = 0;
  for (long chunk = 0; chunk < chunks; ++chunk, partial += blocks * block)
#pragma unroll
    for (uint l = 0; l < VECTOR; ++l) a[l] += VLOAD(partial + min(r + l, (uint)ROWS - 1) * TILE_IN);
  put(a, gw + gw_start, b, vector * VECTOR, r);
}
#endif
