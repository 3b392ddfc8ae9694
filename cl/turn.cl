/* turn.cl: rows of vectors become columns. Required for transpose: VECTOR. */
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
