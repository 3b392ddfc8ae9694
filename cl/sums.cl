/* sums.cl: the gradient of the bias.
 *   gb[m] = sum over images and positions of gy[n][m][position]
 * One work-item adds a chunk of one channel of one image to workspace[m][image][chunk]; then one adds those of a channel in their
 * order. Any size: 64-bit indexes. Required: GROUPS GROUP_OUT; BETA as gradient.cl says. */
#include "common.cl"
#include "gradient.cl"

#if !defined(GROUPS) || !defined(GROUP_OUT)
#error "GROUPS and GROUP_OUT are required"
#endif

/* Values of a run whose sums are added to the others' as one: errors then grow with their number, not with all values'. */
#define RUN 4096

static inline float sum_of(float16 a) {
  const float8 b = a.lo + a.hi;
  const float4 c = b.lo + b.hi;
  const float2 d = c.lo + c.hi;
  return d.x + d.y;
}

/* positions: of a channel; size: of a chunk, a multiple of 16. */
__kernel void sums(ulong items, __global const float *restrict gy, ulong gy_start, __global float *restrict partial,
                   ulong partial_start, long batch, long positions, long chunks, long size) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  const ulong chunk = item % chunks, image = item / chunks % batch, m = item / chunks / batch;
  const long first = chunk * size, count = min(size, positions - first);
  gy += gy_start + (image * GROUPS * GROUP_OUT + m) * positions + first;
  float total = 0.0f;
  for (long at = 0; at < count; at += RUN) {
    const long end = min(at + RUN, count);
    float16 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    long i = at;
    for (; i + 64 <= end; i += 64) {
      a += vload16(0, gy + i);
      b += vload16(0, gy + i + 16);
      c += vload16(0, gy + i + 32);
      d += vload16(0, gy + i + 48);
    }
    float rest = 0.0f;
    for (; i < end; ++i) rest += gy[i];
    total += sum_of((a + b) + (c + d)) + rest;
  }
  partial[partial_start + item] = total;
}

__kernel void sums_total(ulong items, __global const float *restrict partial, ulong partial_start, __global float *restrict gb,
                         ulong gb_start, long count) {
  const ulong m = get_global_id(0);
  if (m >= items) return;
  partial += partial_start + m * count;
  float4 four = 0.0f;
  float sum = 0.0f;
  long i = 0;
  for (; i + 4 <= count; i += 4) four += (float4)(partial[i], partial[i + 1], partial[i + 2], partial[i + 3]);
  for (; i < count; ++i) sum += partial[i];
  sum += (four.x + four.y) + (four.z + four.w);
  gb += gb_start + m;
  *gb = MERGE(sum, gb);
}
