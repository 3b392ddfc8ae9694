/* probe.cl: what the device can do at best, for the roofline beside measured layers.
 * probe_fma: SUMS independent chains of multiply-adds on vectors in registers, rounds times; enough chains to hide the latency
 * of two pipelines on a CPU, few enough to stay in registers. probe_copy: a work-item copies chunk vectors. Required: VECTOR,
 * SUMS. */
#include "common.cl"

#if !defined(VECTOR) || !defined(SUMS)
#error "VECTOR and SUMS are required"
#endif

__kernel void probe_fma(ulong items, __global float *out, ulong out_start, long rounds) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  VEC sums[SUMS];
#pragma unroll
  for (int i = 0; i < SUMS; ++i) sums[i] = (VEC)(item + i);
  /* Values that the compiler does not know and that neither overflow nor become denormal. */
  const VEC factor = (VEC)(1.0f - 1.0f / (rounds + 3)), term = (VEC)(1.0f / (rounds + 2));
  for (long r = 0; r < rounds; ++r) {
#pragma unroll
    for (int i = 0; i < SUMS; ++i) sums[i] = fma(sums[i], factor, term);
  }
  VEC total = sums[0];
#pragma unroll
  for (int i = 1; i < SUMS; ++i) total += sums[i];
  VSTORE(total, out + out_start + item * VECTOR);
}

__kernel void probe_copy(ulong items, __global const float *restrict x, ulong x_start, __global float *restrict y,
                         ulong y_start, long chunk) {
  ulong item = get_global_id(0);
  if (item >= items) return;
  x += x_start + item * chunk * VECTOR;
  y += y_start + item * chunk * VECTOR;
  for (long i = 0; i < chunk; ++i) VSTORE(VLOAD(x + i * VECTOR), y + i * VECTOR);
}
