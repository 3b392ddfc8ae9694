/* lines.cl: for kernels whose vectors hold VECTOR neighbouring t of W: what a tap of W does, and how the sums of all STRIDE_W
 * residues become a piece of a row of y. Required: KERNEL_ STRIDE_ PADDING_ DILATION_ for W, VECTOR, STREAM (1: y outgrows the
 * caches, so it is stored past them). */
#if !defined(STRIDE_W) || !defined(PADDING_W) || !defined(DILATION_W) || !defined(VECTOR) || !defined(STREAM)
#error "STRIDE_W, PADDING_W, DILATION_W, VECTOR and STREAM are required"
#endif

/* The residue and the input offset of tap k along W; both fold to constants once the loop over k is unrolled. */
#define RESIDUE_W(k) T3_MOD((k)*DILATION_W - PADDING_W, STRIDE_W)
#define OFFSET_W(k) ((RESIDUE_W(k) + PADDING_W - (k)*DILATION_W) / STRIDE_W)

/* Output i of VECTOR*STRIDE_W interleaved ones is value i/STRIDE_W of residue i%STRIDE_W. For two residues PAIR(j) makes vector
 * j of them; for four it is used twice. For three, MIX takes the first two residues, then ADD the third. */
#if defined(__clang__) && STRIDE_W >= 2 && STRIDE_W <= 4
#define SHUFFLES 1
#if VECTOR == 4
#define LANES(f, j) f(j, 0), f(j, 1), f(j, 2), f(j, 3)
#elif VECTOR == 8
#define LANES(f, j) f(j, 0), f(j, 1), f(j, 2), f(j, 3), f(j, 4), f(j, 5), f(j, 6), f(j, 7)
#else
#define LANES(f, j)                                                                                                       \
  f(j, 0), f(j, 1), f(j, 2), f(j, 3), f(j, 4), f(j, 5), f(j, 6), f(j, 7), f(j, 8), f(j, 9), f(j, 10), f(j, 11), f(j, 12), \
      f(j, 13), f(j, 14), f(j, 15)
#endif
#define PAIR_LANE(j, l) (((j)*VECTOR + (l)) / 2 + ((l) % 2 ? VECTOR : 0))
#define PAIR(j, a, b) __builtin_shufflevector(a, b, LANES(PAIR_LANE, j))
#define MIX_LANE(j, l) (((j)*VECTOR + (l)) / 3 + (((j)*VECTOR + (l)) % 3 == 1 ? VECTOR : 0))
#define ADD_LANE(j, l) (((j)*VECTOR + (l)) % 3 == 2 ? VECTOR + ((j)*VECTOR + (l)) / 3 : (l))
#define TRIPLE(j, a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, LANES(MIX_LANE, j)), c, LANES(ADD_LANE, j))
#endif

#if STREAM && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define STORE_PAST_CACHE(value, to) __builtin_nontemporal_store(value, (__global VEC *)(to))
#endif
#endif

/* One whole vector; past the caches where that is asked for and the address allows it. */
static inline void store_vector(VEC value, __global float *to) {
#ifdef STORE_PAST_CACHE
  if (((size_t)to & (sizeof(VEC) - 1)) == 0) {
    STORE_PAST_CACHE(value, to);
    return;
  }
#endif
  VSTORE(value, to);
}

/* The sums of one m, h and v, as they lie in memory: element i of a row of y is lane[LANE(i)]. */
typedef union {
  VEC vector[STRIDE_W];
  float lane[STRIDE_W * VECTOR];
} line_t;
#define LANE(i) ((i) % STRIDE_W * VECTOR + (i) / STRIDE_W)

/* Stores the residues of VECTOR values of t, interleaved: count outputs, all VECTOR*STRIDE_W of them but at a row's end. */
static inline void store_outputs(__global float *to, const line_t *line, int count) {
#if STRIDE_W == 1
  if (count >= VECTOR) {
    store_vector(line->vector[0], to);
    return;
  }
#elif defined(SHUFFLES)
  if (count >= STRIDE_W * VECTOR) {
    const VEC *sums = line->vector;
#if STRIDE_W == 2
    store_vector(PAIR(0, sums[0], sums[1]), to);
    store_vector(PAIR(1, sums[0], sums[1]), to + VECTOR);
#elif STRIDE_W == 3
    store_vector(TRIPLE(0, sums[0], sums[1], sums[2]), to);
    store_vector(TRIPLE(1, sums[0], sums[1], sums[2]), to + VECTOR);
    store_vector(TRIPLE(2, sums[0], sums[1], sums[2]), to + 2 * VECTOR);
#else
    const VEC even[2] = {PAIR(0, sums[0], sums[2]), PAIR(1, sums[0], sums[2])};
    const VEC odd[2] = {PAIR(0, sums[1], sums[3]), PAIR(1, sums[1], sums[3])};
    store_vector(PAIR(0, even[0], odd[0]), to);
    store_vector(PAIR(1, even[0], odd[0]), to + VECTOR);
    store_vector(PAIR(0, even[1], odd[1]), to + 2 * VECTOR);
    store_vector(PAIR(1, even[1], odd[1]), to + 3 * VECTOR);
#endif
    return;
  }
#endif
  for (int i = 0; i < min(count, STRIDE_W * VECTOR); ++i) to[i] = line->lane[LANE(i)];
}
