/* stored_vectors.cl: vectors of VECTOR values of tensors in memory, where they need not be aligned. X_VEC and Y_VEC are such
 * vectors as they are stored, WIDE_ makes sums' type of them, ROUNDED_ the contrary. */
#define T3_UINT T3_PASTE(uint, VECTOR)
#define T3_USHORT T3_PASTE(ushort, VECTOR)
#if X_TYPE != 1
#if TARGET_HALF
typedef _Float16 t3_float16s __attribute__((ext_vector_type(VECTOR)));
#endif
#define CAST_FLOAT16S(v) __builtin_convertvector(v, t3_float16s)
#define CAST_VEC(v) __builtin_convertvector(v, VEC)
DEFINE_HALF(VECTOR, VEC, T3_UINT, T3_USHORT, T3_PASTE(convert_uint, VECTOR), T3_PASTE(convert_ushort, VECTOR),
            T3_PASTE(as_float, VECTOR), T3_PASTE(as_uint, VECTOR), t3_float16s, CAST_FLOAT16S, CAST_VEC)
DEFINE_BFLOAT(VECTOR, VEC, T3_UINT, T3_USHORT, T3_PASTE(convert_uint, VECTOR), T3_PASTE(convert_ushort, VECTOR),
              T3_PASTE(as_float, VECTOR), T3_PASTE(as_uint, VECTOR))
#endif
#if X_TYPE < 2
#define X_VEC VEC
#else
#define X_VEC T3_USHORT
#endif
#if Y_TYPE < 2
#define Y_VEC VEC
#else
#define Y_VEC T3_USHORT
#endif
#define WIDE_0(v) (v)
#define WIDE_1(v) (v)
#define WIDE_2(v) T3_PASTE(from_half, VECTOR)(v)
#define WIDE_3(v) T3_PASTE(from_bfloat, VECTOR)(v)
#define WIDE_X(v) T3_PASTE(WIDE_, X_TYPE)(v)
#define WIDE_Y(v) T3_PASTE(WIDE_, Y_TYPE)(v)
#define ROUNDED_0(v) (v)
#define ROUNDED_1(v) (v)
#define ROUNDED_2(v) T3_PASTE(to_half, VECTOR)(v)
#define ROUNDED_3(v) T3_PASTE(to_bfloat, VECTOR)(v)
#define ROUNDED_Y(v) T3_PASTE(ROUNDED_, Y_TYPE)(v)

#ifdef __clang__
typedef X_VEC t3_unaligned_x __attribute__((aligned(sizeof(X_STORED))));
typedef Y_VEC t3_unaligned_y __attribute__((aligned(sizeof(Y_STORED))));
#define X_VLOAD(from) (*(__global const t3_unaligned_x *)(from))
#define Y_VLOAD(from) (*(__global const t3_unaligned_y *)(from))
#define Y_VSTORE(value, to) (*(__global t3_unaligned_y *)(to) = (value))
#else
#define X_VLOAD(from) T3_PASTE(vload, VECTOR)(0, from)
#define Y_VLOAD(from) T3_PASTE(vload, VECTOR)(0, from)
#define Y_VSTORE(value, to) T3_PASTE(vstore, VECTOR)(value, 0, to)
#endif
#define VREAD_X(from) WIDE_X(X_VLOAD(from))
#define VREAD_Y(from) WIDE_Y(Y_VLOAD(from))
#define VWRITE_Y(value, to) Y_VSTORE(ROUNDED_Y(value), to)
