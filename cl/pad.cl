/* pad.cl: the copy of x with zeros around it that lets a tap reach over an edge without a check, for the kernels of CPU
 * devices. padded[n][c][d][h][w] = x[n][c][d + MIN_OFFSET_D][h + MIN_OFFSET_H][w + MIN_OFFSET_W] where that is inside x, else
 * 0. Required: MIN_OFFSET_ for D H W. */
#if !defined(MIN_OFFSET_D) || !defined(MIN_OFFSET_H) || !defined(MIN_OFFSET_W)
#error "MIN_OFFSET_ D, H and W are required"
#endif

/* Copies one row: dst[i] = src[i + shift] where that is inside the row of in elements, else 0. */
static inline void pad_row(__global REAL *restrict dst, int width, __global const X_STORED *restrict src, int in, int shift) {
  const int begin = clamp(-shift, 0, width), end = clamp(in - shift, begin, width);
  for (int i = 0; i < begin; ++i) dst[i] = 0;
  for (int i = begin; i < end; ++i) dst[i] = READ_X(src + i + shift);
  for (int i = end; i < width; ++i) dst[i] = 0;
}

/* One work-item fills one (image and channel, depth) plane of the padded copy, the last one also the slack zeros after it. */
T3_SINGLE void pad(ulong items, __global const X_STORED *restrict x, ulong x_start, __global REAL *restrict padded,
                   ulong padded_start, long in_d, long in_h, long in_w, long padded_d, long padded_h, long padded_w,
                   long slack) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  const long d = (long)(item % padded_d) + MIN_OFFSET_D;
  const ulong channel = item / padded_d;
  __global REAL *to = padded + padded_start + item * padded_h * padded_w;
  for (long row = 0; row < padded_h; ++row, to += padded_w) {
    const long h = row + MIN_OFFSET_H;
    const bool inside = d >= 0 && d < in_d && h >= 0 && h < in_h;
    __global const X_STORED *from = x + x_start + (inside ? ((channel * in_d + d) * in_h + h) * in_w : 0);
    pad_row(to, (int)padded_w, from, inside ? (int)in_w : 0, inside ? MIN_OFFSET_W : 0);
  }
  for (long i = 0; i < slack && item + 1 == items; ++i) to[i] = 0;
}
