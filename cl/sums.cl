/* sums.cl: the gradient of the bias.
 *   gb[m] = sum over images and positions of gy[n][m][position]
 * One work-item adds a chunk of one channel of one image, or of CHANNELS of them whose values are neighbours, to
 * workspace[m][image][chunk]; then one adds those of a channel in their order. A chunk is a run of lines, a line a piece of a
 * row; gy may lie anywhere. Any size: 64-bit indexes. Required: VECTOR, CHANNELS (1 or VECTOR); BETA as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"

#if VECTOR != 16 || (CHANNELS != 1 && CHANNELS != VECTOR)
#error "VECTOR is 16; CHANNELS is required: 1 or VECTOR"
#endif

/* Values whose sums are added to the others' as one: errors then grow with their number, not with all values'. */
#define RUN 4096

#if CHANNELS == 1
#define SUM REAL
/* Halves by a union and not by a.hi: Oclgrind 21.10 takes lane 9 of a shuffle for undefined. */
static inline REAL sum_of(VEC a) {
  const union {
    VEC all;
    HALF_VEC part[2];
  } halves = {a};
  const HALF_VEC b = halves.part[0] + halves.part[1];
  const REAL4 c = b.lo + b.hi;
  const T3_PASTE(REAL, 2) d = c.lo + c.hi;
  return d.x + d.y;
}

/* Of count values, step apart. */
static inline SUM line_sum(__global const X_STORED *gy, long count, long step) {
  REAL rest = 0;
  long i = 0;
  if (step == 1) {
    VEC a = 0, b = 0, c = 0, d = 0;
    for (; i + 64 <= count; i += 64) {
      a += VREAD_X(gy + i);
      b += VREAD_X(gy + i + 16);
      c += VREAD_X(gy + i + 32);
      d += VREAD_X(gy + i + 48);
    }
    for (; i + 16 <= count; i += 16) a += VREAD_X(gy + i);
    rest = sum_of((a + b) + (c + d));
  }
  REAL4 sums = 0;
  for (; i + 4 <= count; i += 4) {
    __global const X_STORED *g = gy + i * step;
    sums += (REAL4)(READ_X(g), READ_X(g + step), READ_X(g + 2 * step), READ_X(g + 3 * step));
  }
  for (; i < count; ++i) rest += READ_X(gy + i * step);
  return rest + ((sums.x + sums.y) + (sums.z + sums.w));
}
#else
#define SUM VEC
static inline SUM line_sum(__global const X_STORED *gy, long count, long step) {
  VEC a = 0, b = 0, c = 0, d = 0;
  long i = 0;
  for (; i + 4 <= count; i += 4) {
    a += VREAD_X(gy + i * step);
    b += VREAD_X(gy + (i + 1) * step);
    c += VREAD_X(gy + (i + 2) * step);
    d += VREAD_X(gy + (i + 3) * step);
  }
  for (; i < count; ++i) a += VREAD_X(gy + i * step);
  return (a + b) + (c + d);
}
#endif

/* size_h rows of size_w positions in a plane; the last block of channels begins where it holds CHANNELS of them, and passes
 * over those that are the block's before it. */
__kernel void sums(ulong items, __global const X_STORED *restrict gy, ulong gy_start, __global REAL *restrict partial,
                   ulong partial_start, long batch, long channels, long gy_n, long gy_c, long size_h, long size_w, long gy_d,
                   long gy_h, long gy_w, long lines, long pieces, long piece, long run, long chunks) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  const long chunk = item % chunks, image = item / chunks % batch, first = item / chunks / batch * CHANNELS;
  const long m = min(first, channels - CHANNELS), end = min((chunk + 1) * run, lines);
  gy += gy_start + image * gy_n + m * gy_c;
  SUM total = 0, some = 0;
  long taken = 0;
  for (long line = chunk * run; line < end; ++line) {
    const long from = line % pieces * piece, row = line / pieces, count = min(piece, size_w - from);
    some += line_sum(gy + row / size_h * gy_d + row % size_h * gy_h + from * gy_w, count, gy_w);
    taken += count;
    if (taken < RUN) continue;
    total += some;
    some = 0, taken = 0;
  }
  union {
    SUM all;
    REAL lane[CHANNELS];
  } sums = {total + some};
  partial += partial_start + m * batch * chunks + image * chunks + chunk;
  for (long c = first - m; c < CHANNELS; ++c) partial[c * batch * chunks] = sums.lane[c];
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
