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

/* Asks for the line of the cache at from, which may lie outside of its tensor, ahead of its use: the kernels read many short
 * runs of memory, of which the hardware foresees little. */
#define PREFETCH(from)
#if defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#undef PREFETCH
#define PREFETCH(from) __builtin_prefetch(from, 0, 2)
#endif
#endif
#define CACHE_LINE (64 / (int)sizeof(REAL))

/* For loops whose unrolling would only take time to compile. */
#ifdef __clang__
#define NO_UNROLL _Pragma("nounroll")
#else
#define NO_UNROLL
#endif

#ifdef VECTOR
/* The lower or upper halves of two vectors, lane by lane in turn. */
#ifdef __clang__
#define TURNS_LANE(first, l) ((first) + (l) / 2 + (l) % 2 * VECTOR)
#define TURNS(upper, a, b) __builtin_shufflevector(a, b, LANES(TURNS_LANE, (upper)*VECTOR / 2))
#else
static inline VEC turns_of(HALF_VEC even, HALF_VEC odd) {
  VEC all;
  all.even = even;
  all.odd = odd;
  return all;
}
#define TURNS(upper, a, b) turns_of((upper) ? (a).hi : (a).lo, (upper) ? (b).hi : (b).lo)
#endif

/* Rows become columns: each step rotates the bits of an element's place, row before lane, by one. The steps stay a loop: a
 * compiler takes long to look through all of them at once. */
static inline void transpose(VEC a[VECTOR]) {
  NO_UNROLL
  for (int step = 1; step < VECTOR; step *= 2) {
    VEC b[VECTOR];
#pragma unroll
    for (int i = 0; i < VECTOR / 2; ++i) {
      b[2 * i] = TURNS(0, a[i], a[i + VECTOR / 2]);
      b[2 * i + 1] = TURNS(1, a[i], a[i + VECTOR / 2]);
    }
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) a[i] = b[i];
  }
}
#endif
