/* stored_vectors.cl: vectors of tensors in memory, of VECTOR values and of half as many; neither needs to be aligned. */
#define T3_UINT T3_PASTE(uint, VECTOR)
#define T3_HALF_UINT T3_PASTE(uint, HALF_VECTOR)
#if X_TYPE != 1
DEFINE_SHORT_TYPES(VECTOR, VEC, T3_UINT, T3_PASTE(ushort, VECTOR), T3_PASTE(convert_uint, VECTOR),
                   T3_PASTE(convert_ushort, VECTOR), T3_PASTE(as_float, VECTOR), T3_PASTE(as_uint, VECTOR))
DEFINE_SHORT_TYPES(HALF_VECTOR, HALF_VEC, T3_HALF_UINT, T3_PASTE(ushort, HALF_VECTOR), T3_PASTE(convert_uint, HALF_VECTOR),
                   T3_PASTE(convert_ushort, HALF_VECTOR), T3_PASTE(as_float, HALF_VECTOR), T3_PASTE(as_uint, HALF_VECTOR))
#endif
#define SHORTS_READ(from) T3_PASTE(vload, VECTOR)(0, from)
#define HALF_SHORTS_READ(from) T3_PASTE(vload, HALF_VECTOR)(0, from)
#define VREAD_0(from) VLOAD(from)
#define VREAD_1(from) VLOAD(from)
#define VREAD_2(from) T3_PASTE(from_half, VECTOR)(SHORTS_READ(from))
#define VREAD_3(from) T3_PASTE(from_bfloat, VECTOR)(SHORTS_READ(from))
#define VREAD_X(from) T3_PASTE(VREAD_, X_TYPE)(from)
#define VREAD_Y(from) T3_PASTE(VREAD_, Y_TYPE)(from)
#define HALF_VREAD_0(from) HALF_VLOAD(from)
#define HALF_VREAD_1(from) HALF_VLOAD(from)
#define HALF_VREAD_2(from) T3_PASTE(from_half, HALF_VECTOR)(HALF_SHORTS_READ(from))
#define HALF_VREAD_3(from) T3_PASTE(from_bfloat, HALF_VECTOR)(HALF_SHORTS_READ(from))
#define HALF_VREAD_Y(from) T3_PASTE(HALF_VREAD_, Y_TYPE)(from)
#define VWRITE_0(value, to) VSTORE(value, to)
#define VWRITE_1(value, to) VSTORE(value, to)
#define VWRITE_2(value, to) VSTORE_SHORT(T3_PASTE(to_half, VECTOR)(value), to)
#define VWRITE_3(value, to) VSTORE_SHORT(T3_PASTE(to_bfloat, VECTOR)(value), to)
#define VWRITE_Y(value, to) T3_PASTE(VWRITE_, Y_TYPE)(value, to)
#define HALF_VWRITE_0(value, to) HALF_VSTORE(value, to)
#define HALF_VWRITE_1(value, to) HALF_VSTORE(value, to)
#define HALF_VWRITE_2(value, to) HALF_VSTORE_SHORT(T3_PASTE(to_half, HALF_VECTOR)(value), to)
#define HALF_VWRITE_3(value, to) HALF_VSTORE_SHORT(T3_PASTE(to_bfloat, HALF_VECTOR)(value), to)
#define HALF_VWRITE_Y(value, to) T3_PASTE(HALF_VWRITE_, Y_TYPE)(value, to)
#ifdef __clang__
typedef T3_PASTE(ushort, VECTOR) t3_unaligned_shorts __attribute__((aligned(2)));
typedef T3_PASTE(ushort, HALF_VECTOR) t3_unaligned_half_shorts __attribute__((aligned(2)));
#define VSTORE_SHORT(value, to) (*(__global t3_unaligned_shorts *)(to) = (value))
#define HALF_VSTORE_SHORT(value, to) (*(__global t3_unaligned_half_shorts *)(to) = (value))
#else
#define VSTORE_SHORT(value, to) T3_PASTE(vstore, VECTOR)(value, 0, to)
#define HALF_VSTORE_SHORT(value, to) T3_PASTE(vstore, HALF_VECTOR)(value, 0, to)
#endif
