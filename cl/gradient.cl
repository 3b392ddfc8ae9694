/* gradient.cl: what the kernels of gradients share: how a result meets what the target held. BETA is defined unless it is 0;
 * without it the target is not read. Vectors where VECTOR is defined. */
#ifdef BETA
#define MERGE(value, to) ((value) + (REAL)BETA * READ_Y(to))
#define VMERGE(value, to) ((value) + (REAL)BETA * VREAD_Y(to))
#else
#define MERGE(value, to) (value)
#define VMERGE(value, to) (value)
#endif

/* Each work-item brings so many values of a tensor into the type of the sums. */
#define CONVERTED 4096
__kernel void convert(ulong items, __global const X_STORED *restrict from, ulong from_start, __global REAL *restrict to,
                      ulong to_start, long count) {
  const ulong item = get_global_id(0);
  if (item >= items) return;
  to += to_start;
  for (ulong i = item * CONVERTED; i < min((item + 1) * CONVERTED, (ulong)count); ++i) to[i] = READ_X(from + from_start + i);
}

#ifdef VECTOR
/* Rows become columns: each step rotates the bits of an element's place, row before lane, by one. */
static inline void transpose(VEC a[VECTOR]) {
#pragma unroll
  for (int step = 1; step < VECTOR; step *= 2) {
    VEC b[VECTOR];
#pragma unroll
    for (int i = 0; i < VECTOR / 2; ++i) {
      b[2 * i].even = a[i].lo;
      b[2 * i].odd = a[i + VECTOR / 2].lo;
      b[2 * i + 1].even = a[i].hi;
      b[2 * i + 1].odd = a[i + VECTOR / 2].hi;
    }
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) a[i] = b[i];
  }
}
#endif
