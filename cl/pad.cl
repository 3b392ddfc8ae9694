/* pad.cl: the copy of x, in the type of the sums, with zeros around it that let a tap reach over an edge without a check, for
 * the kernels of CPU devices: copy[n][c][d][h][w] = x[n][c][d + first_d][h + first_h][w + first_w] where that is inside x, else
 * 0. x may lie anywhere: x_n, x_c, x_d, x_h and x_w are its strides. The gradients take it as a dense copy, of gy too.
 *
 * pad copies rows, pad_turned channels-last tensors into rows, PAD_TURNED channels at a time: VECTOR, or all of them, a power
 * of two, if there are fewer and nothing lies between; pad_last (PAD_LAST) such tensors as they are, to copy[n][d][h][w][c];
 * pad_to_last (PAD_TO_LAST) rows to that. */
#include "turn.cl"

/* Copies one row: dst[i] = src[(i + shift)*step] where i + shift is inside the row of in elements, else 0. */
static inline void pad_row(__global REAL *restrict dst, long width, __global const X_STORED *restrict src, long in, long shift,
                           long step) {
  const long begin = clamp(-shift, 0l, width), end = clamp(in - shift, begin, width);
  for (long i = 0; i < begin; ++i) dst[i] = 0;
  if (step == 1)
    for (long i = begin; i < end; ++i) dst[i] = READ_X(src + i + shift);
  else
    for (long i = begin; i < end; ++i) dst[i] = READ_X(src + (i + shift) * step);
  for (long i = end; i < width; ++i) dst[i] = 0;
}

#define PAD_ARGS                                                                                                              \
  ulong items, __global const X_STORED *restrict x, ulong x_start, __global REAL *restrict padded, ulong padded_start,        \
      long channels, long in_d, long in_h, long in_w, long first_d, long first_h, long first_w, long padded_d, long padded_h, \
      long padded_w, long slack, long parts, long rows, long x_n, long x_c, long x_d, long x_h, long x_w

/* A work-item fills one part of a depth plane, rows of its rows, of one channel or some, the last one also the slack zeros
 * after the copy. */
T3_SINGLE void pad(PAD_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long begin = item % parts * rows, end = min(begin + rows, padded_h), plane = item / parts;
  const long d = plane % padded_d + first_d, map = plane / padded_d;
  __global REAL *to = padded + padded_start + (plane * padded_h + begin) * padded_w;
  x += x_start + map / channels * x_n + map % channels * x_c;
  for (long row = begin; row < end; ++row, to += padded_w) {
    const long h = row + first_h;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    pad_row(to, padded_w, inside ? x + d * x_d + h * x_h : x, inside ? in_w : 0, inside ? first_w : 0, x_w);
  }
  for (long i = 0; i < slack && item + 1 == items; ++i) to[i] = 0;
}

#if PAD_TURNED
/* Count positions, at most VECTOR, of channels skip to PAD_TURNED of those at x, from rows of channels to rows of positions;
 * fast: all lanes of all vectors may be read, also those past the channels and before skip. */
static inline void turn_piece(__global REAL *to, long volume, __global const X_STORED *x, long x_w, int count, int skip,
                              int count_c, bool fast) {
  if (!fast) {
    for (int c = skip; c < count_c; ++c)
      for (int i = 0; i < count; ++i) to[(c - skip) * volume + i] = READ_X(x + i * x_w + c);
    return;
  }
  VEC a[VECTOR];
#pragma unroll
  for (int i = 0; i < PAD_TURNED; ++i) a[i] = VREAD_X(x + i * (PAD_TURNED < VECTOR ? VECTOR : x_w));
  turn_lanes(a, PAD_TURNED, VECTOR);
#pragma unroll
  for (int c = 0; c < PAD_TURNED; ++c)
    if (c >= skip && c < count_c) VSTORE(a[c], to + (c - skip) * volume);
}

/* Parts are of PAD_TURNED channels of an image; x_c is 1. Vectors of the last channels begin before them, where those are that
 * have been; if there are no such channels, vectors reach into the next positions, while a row has such. */
T3_SINGLE void pad_turned(PAD_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long row_begin = item % parts * rows, row_end = min(row_begin + rows, padded_h), part = item / parts;
  const long blocks = (channels + PAD_TURNED - 1) / PAD_TURNED, row_d = part % padded_d, d = row_d + first_d;
  const long block_c = part / padded_d % blocks * PAD_TURNED, n = part / padded_d / blocks;
  const long first_c = max(min(block_c, channels - PAD_TURNED), 0l), plane = padded_h * padded_w, volume = padded_d * plane;
  const int skip = (int)(block_c - first_c), count_c = (int)min((long)PAD_TURNED, channels - first_c);
  const long begin = clamp(-first_w, 0l, padded_w), end = clamp(in_w - first_w, begin, padded_w);
  /* Positions whose vectors end in their row. */
  const long safe = count_c == PAD_TURNED ? end : x_w > 0 ? end - (PAD_TURNED - count_c + x_w - 1) / x_w : 0;
  __global REAL *to = padded + padded_start + (n * channels + block_c) * volume + row_d * plane + row_begin * padded_w;
  x += x_start + n * x_n + first_c;
  for (long row = row_begin; row < row_end; ++row, to += padded_w) {
    const long h = row + first_h;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    const long from = inside ? begin : padded_w, past = inside ? end : padded_w;
    for (int c = 0; c < count_c - skip; ++c) {
      for (long i = 0; i < from; ++i) to[c * volume + i] = 0;
      for (long i = past; i < padded_w; ++i) to[c * volume + i] = 0;
    }
    for (long i = from; i < past; i += VECTOR)
      turn_piece(to + i, volume, x + d * x_d + h * x_h + (i + first_w) * x_w, x_w, (int)min((long)VECTOR, past - i), skip,
                 count_c, i + VECTOR <= min(past, safe));
  }
  if (item + 1 != items) return;
  to += (count_c - skip - 1) * volume;
  for (long i = 0; i < slack; ++i) to[i] = 0;
}
#endif

#if PAD_LAST
/* x_c is 1. */
T3_SINGLE void pad_last(PAD_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long begin = item % parts * rows, end = min(begin + rows, padded_h), plane = item / parts;
  const long d = plane % padded_d + first_d;
  __global REAL *to = padded + padded_start + (plane * padded_h + begin) * padded_w * channels;
  x += x_start + plane / padded_d * x_n;
  for (long row = begin; row < end; ++row) {
    const long h = row + first_h;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    if (!inside || x_w == channels) { /* rows without gaps are one */
      pad_row(to, padded_w * channels, inside ? x + d * x_d + h * x_h : x, inside ? in_w * channels : 0,
              inside ? first_w * channels : 0, 1);
      to += padded_w * channels;
      continue;
    }
    for (long w = first_w; w < first_w + padded_w; ++w, to += channels) {
      const bool there = w >= 0 && w < in_w;
      pad_row(to, channels, there ? x + d * x_d + h * x_h + w * x_w : x, there ? channels : 0, 0, 1);
    }
  }
}
#endif

#if PAD_TO_LAST
/* Count positions, at most VECTOR, of so many channels, at most VECTOR, from rows of positions to rows of all channels. */
static inline void turn_to_last(__global REAL *to, long all_channels, __global const X_STORED *x, long x_c, int count,
                                int channels) {
  if (count < VECTOR || channels < VECTOR) {
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < channels; ++c) to[i * all_channels + c] = READ_X(x + c * x_c + i);
    return;
  }
  VEC a[VECTOR];
#pragma unroll
  for (int c = 0; c < VECTOR; ++c) a[c] = VREAD_X(x + c * x_c);
  transpose(a);
#pragma unroll
  for (int i = 0; i < VECTOR; ++i) VSTORE(a[i], to + i * all_channels);
}

/* x_w is 1. The last square of a row or of the channels begins where it still ends with them, if they fill one: then all values
 * go by vectors, some of them twice. */
T3_SINGLE void pad_to_last(PAD_ARGS) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long row_begin = item % parts * rows, row_end = min(row_begin + rows, padded_h), plane = item / parts;
  const long d = plane % padded_d + first_d;
  const long begin = clamp(-first_w, 0l, padded_w), end = clamp(in_w - first_w, begin, padded_w);
  __global REAL *to = padded + padded_start + (plane * padded_h + row_begin) * padded_w * channels;
  x += x_start + plane / padded_d * x_n;
  for (long row = row_begin; row < row_end; ++row, to += padded_w * channels) {
    const long h = row + first_h;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    const long from = inside ? begin : padded_w, past = inside ? end : padded_w;
    for (long i = 0; i < from * channels; ++i) to[i] = 0;
    for (long i = past * channels; i < padded_w * channels; ++i) to[i] = 0;
    for (long next_c = 0; next_c < channels; next_c += VECTOR)
      for (long next = from; next < past; next += VECTOR) {
        const long c = max(min(next_c, channels - VECTOR), 0l), i = max(min(next, past - VECTOR), from);
        turn_to_last(to + i * channels + c, channels, x + c * x_c + d * x_d + h * x_h + i + first_w, x_c,
                     (int)min((long)VECTOR, past - i), (int)min((long)VECTOR, channels - c));
      }
  }
}
#endif
