/* turn.cl: rows of vectors become columns. Required: VECTOR, else there is none of it. */
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

/* count vectors, a power of two: rotates the bits of an element's place, vector before lane, once for every doubling from 1 to
 * to. With count for to, all vectors' first elements come first, then their second ones; with VECTOR, what was so is undone.
 * The steps stay a loop: a compiler takes long to look through all of them at once; but two vectors, which are many kernels'
 * whole block, should not leave their registers. */
static inline void turn_lanes(VEC *a, int count, int to) {
  if (count == 2 && to == 2) {
    const VEC first = TURNS(0, a[0], a[1]);
    a[1] = TURNS(1, a[0], a[1]);
    a[0] = first;
    return;
  }
  NO_UNROLL
  for (int step = 1; step < to; step *= 2) {
    VEC b[VECTOR];
#pragma unroll
    for (int i = 0; i < count / 2; ++i) {
      b[2 * i] = TURNS(0, a[i], a[i + count / 2]);
      b[2 * i + 1] = TURNS(1, a[i], a[i + count / 2]);
    }
#pragma unroll
    for (int i = 0; i < count; ++i) a[i] = b[i];
  }
}

/* Rows become columns. By rotations each step takes two vectors' halves, which AVX2 has no instruction for: it shuffles within
 * halves. So eight rows are first turned within the halves of pairs of vectors and of pairs of these, and then the halves are
 * put together: 24 shuffles of float, where rotations take 48, or 96 as a loop. Doubles of AVX-512 take as many either way. */
#if VECTOR == 8 && defined(__clang__)
#define SINGLES_LANE(second, l) ((second)*2 + (l) / 4 * 4 + (l) % 4 / 2 + (l) % 2 * 8)
#define PAIRS_LANE(second, l) ((second)*2 + (l) / 4 * 4 + (l) % 2 + (l) % 4 / 2 * 8)
#define FOURS_LANE(second, l) ((second)*4 + (l) % 4 + (l) / 4 * 8)
static inline void transpose(VEC a[8]) {
  VEC b[8], c[8];
#pragma unroll
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], LANES(SINGLES_LANE, 0));
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], LANES(SINGLES_LANE, 1));
  }
#pragma unroll
  for (int i = 0; i < 8; i += 4) /* c[i + n]: columns n and n + 4 of four rows */
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      c[i + 2 * j] = __builtin_shufflevector(b[i + j], b[i + 2 + j], LANES(PAIRS_LANE, 0));
      c[i + 2 * j + 1] = __builtin_shufflevector(b[i + j], b[i + 2 + j], LANES(PAIRS_LANE, 1));
    }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    a[j] = __builtin_shufflevector(c[j], c[j + 4], LANES(FOURS_LANE, 0));
    a[j + 4] = __builtin_shufflevector(c[j], c[j + 4], LANES(FOURS_LANE, 1));
  }
}
#else
static inline void transpose(VEC a[VECTOR]) {
  turn_lanes(a, VECTOR, VECTOR);
}
#endif
#endif
