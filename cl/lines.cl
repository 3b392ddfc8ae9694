/* lines.cl: for kernels whose vectors hold VECTOR neighbouring t of W: what a tap of W does, and how the sums of all STRIDE_W
 * residues become a piece of a row of y. Required: KERNEL_ STRIDE_ PADDING_ DILATION_ for W, VECTOR, STREAM (1: y outgrows the
 * caches, so it is stored past them). */
#if !defined(STRIDE_W) || !defined(PADDING_W) || !defined(DILATION_W) || !defined(VECTOR) || !defined(STREAM)
#error "STRIDE_W, PADDING_W, DILATION_W, VECTOR and STREAM are required"
#endif

/* The residue and the input offset of tap k along W; both fold to constants once the loop over k is unrolled. */
#define RESIDUE_W(k) T3_MOD((k)*DILATION_W - PADDING_W, STRIDE_W)
#define OFFSET_W(k) ((RESIDUE_W(k) + PADDING_W - (k)*DILATION_W) / STRIDE_W)

#if STRIDE_W == 2 && VECTOR == 4
#define INTERLEAVE_LOW(a, b) (float4)((a).s0, (b).s0, (a).s1, (b).s1)
#define INTERLEAVE_HIGH(a, b) (float4)((a).s2, (b).s2, (a).s3, (b).s3)
#elif STRIDE_W == 2 && VECTOR == 8
#define INTERLEAVE_LOW(a, b) (float8)((a).s0, (b).s0, (a).s1, (b).s1, (a).s2, (b).s2, (a).s3, (b).s3)
#define INTERLEAVE_HIGH(a, b) (float8)((a).s4, (b).s4, (a).s5, (b).s5, (a).s6, (b).s6, (a).s7, (b).s7)
#elif STRIDE_W == 2 && VECTOR == 16
#define INTERLEAVE_LOW(a, b)                                                                                                \
  (float16)((a).s0, (b).s0, (a).s1, (b).s1, (a).s2, (b).s2, (a).s3, (b).s3, (a).s4, (b).s4, (a).s5, (b).s5, (a).s6, (b).s6, \
            (a).s7, (b).s7)
#define INTERLEAVE_HIGH(a, b)                                                                                               \
  (float16)((a).s8, (b).s8, (a).s9, (b).s9, (a).sa, (b).sa, (a).sb, (b).sb, (a).sc, (b).sc, (a).sd, (b).sd, (a).se, (b).se, \
            (a).sf, (b).sf)
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
#elif STRIDE_W == 2
  if (count >= 2 * VECTOR) {
    const VEC even = line->vector[0], odd = line->vector[1];
    store_vector(INTERLEAVE_LOW(even, odd), to);
    store_vector(INTERLEAVE_HIGH(even, odd), to + VECTOR);
    return;
  }
#endif
  for (int i = 0; i < min(count, STRIDE_W * VECTOR); ++i) to[i] = line->lane[LANE(i)];
}
