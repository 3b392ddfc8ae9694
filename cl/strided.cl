/* strided.cl: VECTOR values of a row that lie INPUT_STEP_W apart, as a convolution takes them. All values between are loaded in
 * whole vectors, which the other taps of a row need as well, and the wanted ones shuffled out. Required: INPUT_STEP_W, VECTOR,
 * MAY_SWAP (1: their order may be that of SWAPPED). */
#if !defined(INPUT_STEP_W) || !defined(VECTOR) || !defined(MAY_SWAP)
#error "INPUT_STEP_W, VECTOR and MAY_SWAP are required"
#endif

/* An offset along W as the first of INPUT_STEP_W values that are loaded together and the one of them. */
#define FIRST_OF(offset) ((offset)-T3_MOD(offset, INPUT_STEP_W))

/* Which value lane l holds. Vectors of 32 bytes are two halves to AVX2's shuffles: values two apart take one shuffle within
 * halves if the middle quarters may stay swapped, and another one if not; sums can be put in order in the end. IN_ORDER does
 * that, and undoes it. */
#if defined(__clang__) && MAY_SWAP && INPUT_STEP_W == 2 && VECTOR * REAL_BYTES == 32
#define SWAPPED(unused, l) ((l) / (VECTOR / 4) % 3 ? (l) ^ (VECTOR / 4 + VECTOR / 2) : (l))
#define IN_ORDER(v) __builtin_shufflevector(v, v, LANES(SWAPPED, 0))
#else
#define SWAPPED(unused, l) (l)
#define IN_ORDER(v) (v)
#endif

/* Value l, which lane SWAPPED(l) holds, is value l*INPUT_STEP_W + first of the vectors, which TAKE picks from two of them. For
 * three, the third one's come in a second step; for four, two pairs make a half each. */
#define TAKE_LANE(first, l) ((SWAPPED(0, l) * INPUT_STEP_W + (first)) % (2 * VECTOR))
#define TAKE(first, a, b) __builtin_shufflevector(a, b, LANES(TAKE_LANE, first))
#define THIRD_LANE(first, l) \
  ((l)*INPUT_STEP_W + (first) < 2 * VECTOR ? (l) : VECTOR + ((l)*INPUT_STEP_W + (first)) % (2 * VECTOR))
#define HALVES_LANE(unused, l) ((l) < VECTOR / 2 ? (l) : VECTOR + (l))

#if INPUT_STEP_W == 1
#define STRIDED(first, from) VLOAD(from)
#elif defined(__clang__) && INPUT_STEP_W == 2
#define STRIDED(first, from) TAKE(first, VLOAD(from), VLOAD((from) + VECTOR))
#elif defined(__clang__) && INPUT_STEP_W == 3
#define STRIDED(first, from)                                                                            \
  __builtin_shufflevector(TAKE(first, VLOAD(from), VLOAD((from) + VECTOR)), VLOAD((from) + 2 * VECTOR), \
                          LANES(THIRD_LANE, first))
#elif defined(__clang__) && INPUT_STEP_W == 4
#define STRIDED(first, from)                                                \
  __builtin_shufflevector(TAKE(first, VLOAD(from), VLOAD((from) + VECTOR)), \
                          TAKE(first, VLOAD((from) + 2 * VECTOR), VLOAD((from) + 3 * VECTOR)), LANES(HALVES_LANE, 0))
#endif

#ifndef STRIDED
#define ELEMENT(from, l) (from)[(l)*INPUT_STEP_W]
#endif

/* The values at from[0], from[INPUT_STEP_W], ..., SWAPPED; from = row + offset, and offset is a constant once loops are
 * unrolled. Reads all INPUT_STEP_W*VECTOR values from row + FIRST_OF(offset) on. */
static inline VEC load_strided(__global const REAL *row, int offset) {
#ifdef STRIDED
  __global const REAL *from = row + FIRST_OF(offset);
#if INPUT_STEP_W > 1
  if (offset - FIRST_OF(offset) == 1) return STRIDED(1, from);
#endif
#if INPUT_STEP_W > 2
  if (offset - FIRST_OF(offset) == 2) return STRIDED(2, from);
#endif
#if INPUT_STEP_W > 3
  if (offset - FIRST_OF(offset) == 3) return STRIDED(3, from);
#endif
  return STRIDED(0, from);
#else
  return (VEC)(LANES(ELEMENT, row + offset));
#endif
}
