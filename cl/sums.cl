/* sums.cl: the gradient of the bias.
 *   gb[m] = sum over images and positions of gy[n][m][position]
 * One work-item adds a chunk of one channel of one image to workspace[m][image][chunk]; then one adds those of a channel in
 * their order. Any size: 64-bit indexes. Required: GROUPS GROUP_OUT; BETA as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"
#include "pad.cl"

#if !defined(GROUPS) || !defined(GROUP_OUT)
#error "GROUPS and GROUP_OUT are required"
#endif
#if VECTOR != 16
#error "VECTOR is 16"
#endif

/* Values of a run whose sums are added to the others' as one: errors then grow with their number, not with all values'. */
#define RUN 4096

static inline REAL sum_of(VEC a) {
  const T3_PASTE(REAL, 8) b = a.lo + a.hi;
  const REAL4 c = b.lo + b.hi;
  const T3_PASTE(REAL, 2) d = c.lo + c.hi;
  return d.x + d.y;
}

/* gy in C order, as it is or (COPIED) a copy in the type of the sums. */
#if COPIED
#define GY_STORED REAL
#define READ_GY(from) (*(from))
#define VREAD_GY(from) VLOAD(from)
#else
#define GY_STORED X_STORED
#define READ_GY(from) READ_X(from)
#define VREAD_GY(from) VREAD_X(from)
#endif

/* positions: of a channel; size: of a chunk, a multiple of 16. */
__kernel void sums(ulong items, __global const GY_STORED *restrict gy, ulong gy_start, __global REAL *restrict partial,
                   ulong partial_start, long batch, long positions, long chunks, long size) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong chunk = item % chunks, image = item / chunks % batch, m = item / chunks / batch;
  const long first = chunk * size, count = min(size, positions - first);
  gy += gy_start + (image * GROUPS * GROUP_OUT + m) * positions + first;
  REAL total = 0;
  for (long at = 0; at < count; at += RUN) {
    const long end = min(at + RUN, count);
    VEC a = 0, b = 0, c = 0, d = 0;
    long i = at;
    for (; i + 64 <= end; i += 64) {
      a += VREAD_GY(gy + i);
      b += VREAD_GY(gy + i + 16);
      c += VREAD_GY(gy + i + 32);
      d += VREAD_GY(gy + i + 48);
    }
    REAL rest = 0;
    for (; i < end; ++i) rest += READ_GY(gy + i);
    total += sum_of((a + b) + (c + d)) + rest;
  }
  partial[partial_start + item] = total;
}

__kernel void sums_total(ulong items, __global const REAL *restrict partial, ulong partial_start,
                         __global Y_STORED *restrict gb, ulong gb_start, long count) {
  const ulong m = get_global_id(0);
  if (m >= items) return;
  partial += partial_start + m * count;
  REAL4 four = 0;
  REAL sum = 0;
  long i = 0;
  for (; i + 4 <= count; i += 4) four += (REAL4)(partial[i], partial[i + 1], partial[i + 2], partial[i + 3]);
  for (; i < count; ++i) sum += partial[i];
  sum += (four.x + four.y) + (four.z + four.w);
  gb += gb_start + m;
  WRITE_Y(MERGE(sum, gb), gb);
}
