/* dots.cl: the gradient of the weight with vectors of positions, for CPU devices: one work-item a work-group, no barrier, no
 * local memory.
 *
 *   gw[c][m][k] = sum over images and positions i of x of x[c][i] * gy[m][i*stride - padding + k*dilation] where that is in gy
 *
 * Lanes are neighbouring positions of W; each tap's sum is a vector, whose lanes are added at the end. Of a row of gy a vector
 * for each tap of W is shuffled out once; it serves TAPS_H taps of H, which meet it from TAPS_H rows of x, and BLOCK_C
 * channels. A work-item owns BLOCK_C x BLOCK_M channels for all taps, and a chunk of slabs: a plane's rows of x, or a part of
 * them. Lanes whose position or tap is outside keep their sum, so an Inf in x or gy meets no zero of ours, and what a vector
 * would read before a tensor or past its end is taken one by one.
 *
 * PARTIAL 0: there is one chunk, and its sums go to gw. PARTIAL 1: they go to the workspace, [chunk] and then as in gw, and
 * dots_sum adds the chunks in their order.
 *
 * Required: what layer.cl asks, VECTOR BLOCK_C BLOCK_M TAPS_H, TAP_STEP_H (taps of H that meet the same row of gy are so
 * many apart) OFFSET_STEP_H (and their rows of x so many), PARTIAL; BETA as gradient.cl says. x and gy are in C order. */
#include "common.cl"
#include "gradient.cl"
#include "layer.cl"
#include "pad.cl"

#if !defined(VECTOR) || !defined(BLOCK_C) || !defined(BLOCK_M) || !defined(TAPS_H) || !defined(TAP_STEP_H) || \
    !defined(OFFSET_STEP_H) || !defined(PARTIAL)
#error "VECTOR, BLOCK_C, BLOCK_M, TAPS_H, TAP_STEP_H, OFFSET_STEP_H and PARTIAL are required"
#endif

/* gy is what is read with a step here. */
#undef INPUT_STEP_W
#define INPUT_STEP_W STRIDE_W
#define MAY_SWAP 0 /* they meet vectors of x */
#include "strided.cl"

#define TAPS (KERNEL_D * KERNEL_H * KERNEL_W)
#define C_BLOCKS ((GROUP_IN + BLOCK_C - 1) / BLOCK_C)
#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
/* Where tap t of W of position 0 is in a row of gy, and what is read of gy and x around a position. */
#define OFFSET_W(t) ((t)*DILATION_W - PADDING_W)
#define READS_FROM FIRST_OF(OFFSET_W(0))
#define READS_TO (FIRST_OF(OFFSET_W(KERNEL_W - 1)) + STRIDE_W * VECTOR)
/* Rows taken at a time, column by column: many where neighbouring rows of x meet the same row of gy, few where each comes from
 * memory, which delivers neighbours sooner. */
#define STRIP (TAPS_H == 1 ? 4 : 64)

/* A tensor and where the first channel of a block has its plane. */
typedef struct {
  __global const REAL *all;
  long count, plane, first[BLOCK_C > BLOCK_M ? BLOCK_C : BLOCK_M];
} planes_t;

typedef struct {
  int in_w, out_h, out_w, first_h, end_h;
  long next; /* how much further the next plane of x meets gy */
} rows_t;

static inline VEC load_carefully(const planes_t *t, long at, int step) {
  REAL lane[VECTOR];
  for (int l = 0; l < VECTOR; ++l, at += step) lane[l] = at >= 0 && at < t->count ? t->all[at] : 0;
  return *(VEC *)lane;
}

static inline REAL sum_of(VEC a) {
  REAL lane[VECTOR];
  *(VEC *)lane = a;
  for (int left = VECTOR / 2; left; left /= 2)
    for (int l = 0; l < left; ++l) lane[l] += lane[l + left];
  return lane[0];
}

/* What row ih of x and those above it give with one row of gy in one column: those tap j of which MEETS(j), read by X and GY.
 */
#define ADD_ROW(MEETS, X, GY)                                                                                              \
  {                                                                                                                        \
    VEC value[TAPS_H][BLOCK_C];                                                                                            \
    _Pragma("unroll") for (int j = 0; j < TAPS_H; ++j) _Pragma("unroll") for (int c = 0; c < BLOCK_C; ++c) if (MEETS(j))   \
        value[j][c] = X(at + x->first[c] - (long)(j * OFFSET_STEP_H) * rows->in_w);                                        \
    _Pragma("unroll") for (int m = 0; m < BLOCK_M; ++m) _Pragma("unroll") for (int t = 0; t < KERNEL_W; ++t) {             \
      const VEC g = GY(from + gy->first[m], OFFSET_W(t));                                                                  \
      _Pragma("unroll") for (int j = 0; j < TAPS_H; ++j) if (MEETS(j)) _Pragma("unroll") for (int c = 0; c < BLOCK_C; ++c) \
          sums[j][t][c][m] = inside[t] ? fma(value[j][c], g, sums[j][t][c][m]) : sums[j][t][c][m];                         \
    }                                                                                                                      \
  }
#define ALWAYS(j) true
#define X_WHOLE(start) VLOAD(x->all + (start))
#define GY_WHOLE(start, offset) load_strided(gy->all + (start), offset)
/* The first and last rows of a slab, and of the tensors. */
#define SOMETIMES(j) \
  (ih - (j)*OFFSET_STEP_H >= rows->first_h && ih - (j)*OFFSET_STEP_H < rows->end_h && kh + (j)*TAP_STEP_H < KERNEL_H)
#define X_PARTS(start) (whole ? X_WHOLE(start) : load_carefully(x, start, 1))
#define GY_PARTS(start, offset) (whole ? GY_WHOLE(start, offset) : load_carefully(gy, (start) + (offset), STRIDE_W))

/* Adds what the taps (kh + j*TAP_STEP_H, all of W) give on a slab's rows; kept: those of tap (kd, 0, 0). */
static inline void add_rows(const planes_t *x, const planes_t *gy, const rows_t *rows, int kh, VEC *kept) {
  VEC sums[TAPS_H][KERNEL_W][BLOCK_C][BLOCK_M];
  /* By a pointer to all of it: Mesa's compiler takes an index past the innermost array at its word. */
#pragma unroll
  for (int i = 0; i < TAPS_H * KERNEL_W * BLOCK_C * BLOCK_M; ++i) ((VEC *)sums)[i] = 0;
  INT_VEC lane;
#pragma unroll
  for (int l = 0; l < VECTOR; ++l) lane[l] = l;
  /* From the first to the end of these rows all taps of H meet x. */
  const bool all_taps = kh + (TAPS_H - 1) * TAP_STEP_H < KERNEL_H;
  const int first = rows->first_h + (TAPS_H - 1) * OFFSET_STEP_H, end = all_taps ? rows->end_h : 0;
  const int past = rows->end_h + (TAPS_H - 1) * OFFSET_STEP_H;

  for (int strip = rows->first_h; strip < past; strip += STRIP)
    for (int iw = 0; iw < rows->in_w; iw += VECTOR) {
      INT_VEC inside[KERNEL_W];
#pragma unroll
      for (int t = 0; t < KERNEL_W; ++t) {
        const INT_VEC i = lane + iw, ow = i * STRIDE_W + OFFSET_W(t);
        inside[t] = (i < rows->in_w) & (ow >= 0) & (ow < rows->out_w);
      }
      for (int ih = strip; ih < min(strip + STRIP, past); ++ih) {
        const int oh = ih * STRIDE_H - PADDING_H + kh * DILATION_H;
        if (oh < 0 || oh >= rows->out_h) continue;
        const long from = gy->plane + (long)oh * rows->out_w + (long)iw * STRIDE_W, at = x->plane + (long)ih * rows->in_w + iw;
        const bool whole = from + READS_FROM >= 0 && from + gy->first[BLOCK_M - 1] + READS_TO <= gy->count &&
                           at + x->first[BLOCK_C - 1] + VECTOR <= x->count;
        /* This row of the planes that the next slab meets first: nothing else would fetch them early. */
#pragma unroll
        for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
          for (int line = 0; line < STRIDE_W * VECTOR; line += CACHE_LINE)
            PREFETCH(gy->all + from + gy->first[m] + rows->next + line, 2);
        if (whole && ih >= first && ih < end)
          ADD_ROW(ALWAYS, X_WHOLE, GY_WHOLE)
        else
          ADD_ROW(SOMETIMES, X_PARTS, GY_PARTS)
      }
    }
#pragma unroll
  for (int j = 0; j < TAPS_H; ++j) {
    if (kh + j * TAP_STEP_H >= KERNEL_H) continue;
#pragma unroll
    for (int t = 0; t < KERNEL_W; ++t)
#pragma unroll
      for (int c = 0; c < BLOCK_C; ++c)
#pragma unroll
        for (int m = 0; m < BLOCK_M; ++m)
          kept[(c * BLOCK_M + m) * TAPS + (kh + j * TAP_STEP_H) * KERNEL_W + t] += sums[j][t][c][m];
  }
}

/* What the main kernel writes. */
#if PARTIAL
#define TARGET REAL
#else
#define TARGET Y_STORED
#endif

/* slabs: of all images and planes, parts of height rows or what is left in a plane; run: slabs of a chunk. */
T3_SINGLE void dots(ulong items, __global const REAL *restrict x, ulong x_start, __global const REAL *restrict gy,
                    ulong gy_start, __global TARGET *restrict to, ulong to_start, long in_d, long in_h, long in_w, long out_d,
                    long out_h, long out_w, long batch, long slabs, long parts, long height, long run) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong blocks = (ulong)GROUPS * C_BLOCKS * M_BLOCKS, chunk = item / blocks;
  item %= blocks;
  const uint first_c = item % C_BLOCKS * BLOCK_C, first_m = item / C_BLOCKS % M_BLOCKS * BLOCK_M;
  const ulong group = item / C_BLOCKS / M_BLOCKS;
  const uint channels_c = min((uint)BLOCK_C, GROUP_IN - first_c), channels_m = min((uint)BLOCK_M, GROUP_OUT - first_m);
  const long x_channel = in_d * in_h * in_w, gy_channel = out_d * out_h * out_w;

  planes_t from = {x + x_start, batch * GROUPS * GROUP_IN * x_channel, 0, {0}};
  planes_t meets = {gy + gy_start, batch * GROUPS * GROUP_OUT * gy_channel, 0, {0}};
  /* Channels past the last repeat it and are never stored. */
  for (uint c = 0; c < BLOCK_C; ++c) from.first[c] = min(c, channels_c - 1) * x_channel;
  for (uint m = 0; m < BLOCK_M; ++m) meets.first[m] = min(m, channels_m - 1) * gy_channel;
  VEC kept[BLOCK_C * BLOCK_M * TAPS];
  for (uint i = 0; i < BLOCK_C * BLOCK_M * TAPS; ++i) kept[i] = 0;

  const long end = min((long)(chunk + 1) * run, slabs);
  for (long slab = (long)chunk * run; slab < end; ++slab) {
    const int part = (int)(slab % parts), id = (int)(slab / parts % in_d);
    const ulong image = slab / parts / in_d;
    const rows_t rows = {(int)in_w,
                         (int)out_h,
                         (int)out_w,
                         part * (int)height,
                         (int)min((part + 1) * height, in_h),
                         (long)STRIDE_D * out_h * out_w};
    from.plane = ((image * GROUPS + group) * GROUP_IN + first_c) * x_channel + id * in_h * in_w;
    for (int kd = 0; kd < KERNEL_D; ++kd) {
      const int od = id * STRIDE_D - PADDING_D + kd * DILATION_D;
      if (od < 0 || od >= out_d) continue;
      meets.plane = ((image * GROUPS + group) * GROUP_OUT + first_m) * gy_channel + od * out_h * out_w;
      for (int kh = 0; kh < KERNEL_H; ++kh)
        if (kh / TAP_STEP_H % TAPS_H == 0) add_rows(&from, &meets, &rows, kh, kept + kd * KERNEL_H * KERNEL_W);
    }
  }

  to += to_start;
  const ulong first = ((group * GROUP_IN + first_c) * GROUP_OUT + first_m) * TAPS;
  for (uint c = 0; c < channels_c; ++c)
    for (uint i = 0; i < channels_m * TAPS; ++i) {
      const ulong at = first + (ulong)c * GROUP_OUT * TAPS + i;
      const REAL sum = sum_of(kept[c * BLOCK_M * TAPS + i]);
#if PARTIAL
      to[chunk * GROUPS * GROUP_IN * GROUP_OUT * TAPS + at] = sum;
#else
      __global TARGET *place = to + weight_place(at);
      WRITE_Y(MERGE(sum, place), place);
#endif
    }
}

#if PARTIAL
/* One work-item adds 64 elements. */
T3_SINGLE void dots_sum(ulong items, __global const REAL *restrict partial, ulong partial_start, __global Y_STORED *restrict gw,
                        ulong gw_start, long count, long chunks) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong end = min((item + 1) * 64, (ulong)count);
  partial += partial_start;
  gw += gw_start;
  for (ulong i = item * 64; i < end; ++i) {
    REAL sum = 0;
    for (long chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * count + i];
    __global Y_STORED *to = gw + weight_place(i);
    WRITE_Y(MERGE(sum, to), to);
  }
}
#endif
