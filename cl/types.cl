/* types.cl: the types of tensors in memory and of sums. X_TYPE, W_TYPE and Y_TYPE are those of x, of w and b, and of what is
 * written: 0 float32, 1 float64, 2 float16, 3 bfloat16; float32 where a program does not say. Sums are REAL: double where all
 * tensors are, else float. The two short types are read and written as bits, so that no device needs an extension for them, and
 * a result is rounded once, to nearest, ties to even. With DEVICE_HALF single values of float16 go by OpenCL's own functions,
 * which are one instruction on GPUs; on CPUs they are calls. */
#ifndef X_TYPE
#define X_TYPE 0
#endif
#ifndef W_TYPE
#define W_TYPE 0
#endif
#ifndef Y_TYPE
#define Y_TYPE 0
#endif

#ifndef DEVICE_HALF
#define DEVICE_HALF 0
#endif

#define STORED_0 float
#define STORED_1 double
#define STORED_2 ushort
#define STORED_3 ushort
#define X_STORED T3_PASTE(STORED_, X_TYPE)
#define W_STORED T3_PASTE(STORED_, W_TYPE)
#define Y_STORED T3_PASTE(STORED_, Y_TYPE)

#if X_TYPE == 1
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define REAL double
#define REAL_BITS long
#define REAL_BYTES 8
#else
#define REAL float
#define REAL_BITS int
#define REAL_BYTES 4
#endif

#define REAL4 T3_PASTE(REAL, 4)

/* A short value's bits and its float, for scalars and vectors alike: F, U and S are the float, uint and ushort of one length,
 * TO_U and TO_S the conversions to them, AS_F and AS_U those of bits. Every value of both types is a float. Of float16 H,
 * CAST_H and CAST_F are the type and the conversions of a compiler whose target has instructions for them (F16C). */
#if defined(__clang__) && defined(__F16C__) && defined(__FLT16_MANT_DIG__)
#define TARGET_HALF 1
#define DEFINE_HALF(N, F, U, S, TO_U, TO_S, AS_F, AS_U, H, CAST_H, CAST_F) \
  static inline F T3_PASTE(from_half, N)(S value) {                        \
    return CAST_F(__builtin_astype(value, H));                             \
  }                                                                        \
  static inline S T3_PASTE(to_half, N)(F value) {                          \
    return __builtin_astype(CAST_H(value), S);                             \
  }
#else
#define TARGET_HALF 0
#define DEFINE_HALF(N, F, U, S, TO_U, TO_S, AS_F, AS_U, H, CAST_H, CAST_F)                              \
  static inline F T3_PASTE(from_half, N)(S value) {                                                     \
    const U bits = TO_U(value), sign = (bits & 0x8000u) << 16, rest = (bits & 0x7fffu) << 13;           \
    const U normal = rest + ((rest >= (U)0x0f800000u) ? (U)0x70000000u : (U)0x38000000u);               \
    const U tiny = AS_U(AS_F(rest + (U)0x38800000u) - (F)0x1p-14f);                                     \
    return AS_F(sign | ((rest < (U)0x00800000u) ? tiny : normal));                                      \
  }                                                                                                     \
  static inline S T3_PASTE(to_half, N)(F value) {                                                       \
    const U bits = AS_U(value), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;               \
    const U normal = (rest + (U)0xc8000fffu + ((rest >> 13) & 1u)) >> 13;                               \
    const U tiny = AS_U(AS_F(rest) + (F)0.5f) - (U)0x3f000000u;                                         \
    const U large = (rest > (U)0x7f800000u) ? (U)0x7e00u : (U)0x7c00u;                                  \
    return TO_S(sign | ((rest >= (U)0x47800000u) ? large : ((rest < (U)0x38800000u) ? tiny : normal))); \
  }
#endif
#define DEFINE_BFLOAT(N, F, U, S, TO_U, TO_S, AS_F, AS_U)                                           \
  static inline F T3_PASTE(from_bfloat, N)(S value) {                                               \
    return AS_F(TO_U(value) << 16);                                                                 \
  }                                                                                                 \
  static inline S T3_PASTE(to_bfloat, N)(F value) {                                                 \
    const U bits = AS_U(value), rounded = bits + (U)0x7fffu + ((bits >> 16) & 1u);                  \
    return TO_S((((bits & 0x7fffffffu) > (U)0x7f800000u) ? (bits | (U)0x400000u) : rounded) >> 16); \
  }
DEFINE_HALF(1, float, uint, ushort, (uint), (ushort), as_float, as_uint, _Float16, (_Float16), (float))
DEFINE_BFLOAT(1, float, uint, ushort, (uint), (ushort), as_float, as_uint)

/* One value at from, as REAL. */
#define READ_0(from) (*(from))
#define READ_1(from) (*(from))
#if DEVICE_HALF
#define READ_2(from) vload_half(0, (__global const half *)(from))
#else
#define READ_2(from) from_half1(*(from))
#endif
#define READ_3(from) from_bfloat1(*(from))
#define READ_X(from) T3_PASTE(READ_, X_TYPE)(from)
#define READ_W(from) T3_PASTE(READ_, W_TYPE)(from)
#define READ_Y(from) T3_PASTE(READ_, Y_TYPE)(from)

#define WRITE_0(value, to) (*(to) = (value))
#define WRITE_1(value, to) (*(to) = (value))
#if DEVICE_HALF
#define WRITE_2(value, to) vstore_half_rte(value, 0, (__global half *)(to))
#else
#define WRITE_2(value, to) (*(to) = to_half1(value))
#endif
#define WRITE_3(value, to) (*(to) = to_bfloat1(value))
#define WRITE_Y(value, to) T3_PASTE(WRITE_, Y_TYPE)(value, to)
