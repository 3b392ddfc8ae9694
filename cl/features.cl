/* features.cl: the probes of what a device may have beyond OpenCL 1.2, one a program: the very fragments and functions that the
 * kernels use, on numbers whose results are whole and known. PROBED work-items in groups of ITEMS.
 *
 * Matrices: sub-group s multiplies A[m][k] = (m*3 + k*5 + s) % 7 - 3 by B[k][n] = (k*3 + n*2 + s) % 5 - 2, adds C[m][n] = m -
 * n, and stores C at out[(s*MATRIX_M + m)*MATRIX_N + n]. Broadcasts: item i stores what lane l had, i - i % SUB_GROUP + l,
 * summed over all l with weight l + 1; 0 where its sub-group is not the SUB_GROUP items in a row that it should be. float16:
 * item i stores i*i/4 + i/2.
 *
 * Required: what multiplier.cl asks, X_TYPE, ITEMS. */
#include "common.cl"
#define TILE_M 16
#define TILE_N 16
#define TILE_K 16
#define BLOCK_M 16
#define BLOCK_N 16
#include "multiplier.cl"

#ifndef ITEMS
#error "ITEMS is required"
#endif

#if MATRICES
#if MULTIPLIER == MULTIPLY_TF32
#define PART(value) to_tf32(value)
#elif X_TYPE == 2
#define PART(value) ((uint)to_half1(value))
#else
#define PART(value) ((uint)to_bfloat1(value))
#endif

static inline uint a_word(int m, int word, int s) {
  uint bits = 0;
  for (int part = 0; part < WORD_TERMS; ++part)
    bits |= PART((float)((m * 3 + (word * WORD_TERMS + part) * 5 + s) % 7 - 3)) << (16 * part);
  return bits;
}

static inline uint b_word(int word, int n, int s) {
  uint bits = 0;
  for (int part = 0; part < WORD_TERMS; ++part)
    bits |= PART((float)(((word * WORD_TERMS + part) * 3 + n * 2 + s) % 5 - 2)) << (16 * part);
  return bits;
}
#endif

__attribute__((reqd_work_group_size(ITEMS, 1, 1))) SUB_GROUPS __kernel void feature(ulong items, __global float *out) {
  if (get_global_id(0) - get_local_id(0) >= items) return; /* all of a work-group alike */
#if MATRICES
  MATRIX_LOCAL(exchange, ITEMS / SUB_GROUP)
  const int item = get_local_id(0), lane = item % SUB_GROUP, s = item / SUB_GROUP;
  uint a[A_REGISTERS], b[B_REGISTERS];
  float sums[MATRIX_SUMS];
  for (int r = 0; r < A_REGISTERS; ++r) a[r] = a_word(A_ROW(lane, r), A_WORD(lane, r), s);
  for (int r = 0; r < B_REGISTERS; ++r) b[r] = b_word(B_WORD(lane, r), B_COLUMN(lane, r), s);
  for (int r = 0; r < MATRIX_SUMS; ++r) sums[r] = SUM_ROW(lane, r) - SUM_COLUMN(lane, r);
  MATRIX_MULTIPLY(sums, a, b, exchange, s, lane)
  for (int r = 0; r < MATRIX_SUMS; ++r) out[(s * MATRIX_M + SUM_ROW(lane, r)) * MATRIX_N + SUM_COLUMN(lane, r)] = sums[r];
#elif MULTIPLIER == MULTIPLY_BROADCAST
  BROADCAST_LOCAL(exchange, ITEMS)
  const int item = get_local_id(0);
  REAL sum = 0;
  BROADCAST_BEGIN((REAL)item, exchange)
  for (int l = 0; l < SUB_GROUP; ++l) sum += BROADCAST((REAL)item, exchange, l) * (l + 1);
  BROADCAST_END
#if !TWIN
  if (get_max_sub_group_size() != SUB_GROUP || get_sub_group_local_id() != item % SUB_GROUP) sum = 0;
#endif
  out[item] = sum;
#else
#if !TWIN
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
  const half value = (half)(float)get_local_id(0);
  out[get_local_id(0)] = (float)fma(value, value * (half)0.25f, value * (half)0.5f);
#else
  const float value = from_half1(to_half1((float)get_local_id(0)));
  out[get_local_id(0)] = fma(value, value * 0.25f, value * 0.5f);
#endif
#endif
}
