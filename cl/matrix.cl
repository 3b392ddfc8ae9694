/* matrix.cl: products of small matrices by a sub-group's work-items together, C += A B with float32 sums: by an instruction of
 * the device, or by its twin, which is OpenCL C that any device runs. The twin has the same fragments, so that all that is
 * around the instruction runs on any device too.
 *
 * Terms are grouped to words: a word holds two neighbouring terms of float16 or bfloat16, the first one in the low half, or one
 * of TF32 (a float whose low 13 bits are 0). A is MATRIX_M rows x MATRIX_WORDS words, B MATRIX_WORDS words x MATRIX_N columns.
 * Register r of a lane's fragment of A is the word A_WORD(lane, r) of row A_ROW(lane, r), and so on; on devices whose lanes
 * hold single terms (A_TERM), it is the word that holds the lane's term.
 *
 * Required: MULTIPLIER, one of those in multiplier.cl that multiply matrices, SUB_GROUP, TWIN, and X_TYPE for words of two. */

#if MULTIPLIER == MULTIPLY_TF32
#define WORD_TERMS 1
#else
#define WORD_TERMS 2
#endif
#define MATRIX_WORDS 8

#if MULTIPLIER == MULTIPLY_MMA || MULTIPLIER == MULTIPLY_TF32
/* NVIDIA's mma.sync.m16n8k16, and m16n8k8 for TF32. */
#define MATRIX_M 16
#define MATRIX_N 8
#define A_REGISTERS 4
#define B_REGISTERS 2
#define MATRIX_SUMS 4
#define A_ROW(lane, r) ((lane) / 4 + (r) % 2 * 8)
#define A_WORD(lane, r) ((lane) % 4 + (r) / 2 * 4)
#define B_WORD(lane, r) ((lane) % 4 + (r)*4)
#define B_COLUMN(lane, r) ((lane) / 4)
#define SUM_ROW(lane, r) ((lane) / 4 + (r) / 2 * 8)
#define SUM_COLUMN(lane, r) ((lane) % 4 * 2 + (r) % 2)
#else
/* Intel's intel_sub_group_*_matrix_mad_k16 of 8 rows, on devices of sub-groups of 8 and of 16. */
#define MATRIX_M 8
#define MATRIX_N SUB_GROUP
#define A_REGISTERS 8
#define B_REGISTERS 8
#define MATRIX_SUMS 8
#define A_ROW(lane, r) (r)
#if SUB_GROUP == 16
#define A_TERM(lane) ((lane) % 2)
#define A_WORD(lane, r) ((lane) / 2)
#else
#define A_WORD(lane, r) (lane)
#endif
#define B_WORD(lane, r) (r)
#define B_COLUMN(lane, r) (lane)
#define SUM_ROW(lane, r) (r)
#define SUM_COLUMN(lane, r) (lane)
#endif

/* The word of TF32 nearest to a float, ties away from 0, as NVIDIA converts; what is infinite or no number stays so. */
static inline uint to_tf32(float value) {
  const uint bits = as_uint(value), whole = bits & 0xffffe000u;
  const uint quiet = (bits & 0x007fffffu) ? 0x00400000u : 0u;
  return (bits & 0x7f800000u) == 0x7f800000u ? (whole | quiet) : ((bits + 0x1000u) & 0xffffe000u);
}

#if TWIN
/* Through local memory: EXCHANGE words for each sub-group. All work-items of a group come here together. */
#define EXCHANGE ((MATRIX_M + MATRIX_N) * MATRIX_WORDS)
#define PUT_A(exchange, lane, r, word) exchange[A_ROW(lane, r) * MATRIX_WORDS + A_WORD(lane, r)] = (word)
#ifdef A_TERM
#undef PUT_A
#define PUT_A(exchange, lane, r, word)                                                                 \
  ((__local ushort *)exchange)[(A_ROW(lane, r) * MATRIX_WORDS + A_WORD(lane, r)) * 2 + A_TERM(lane)] = \
      (ushort)((word) >> (A_TERM(lane) * 16))
#endif

#if WORD_TERMS == 1
#define WORD_FMA(a, b, sum) fma(as_float(a), as_float(b), sum)
#elif X_TYPE == 2
#define WORD_FMA(a, b, sum)                                             \
  fma(from_half1((ushort)((a) >> 16)), from_half1((ushort)((b) >> 16)), \
      fma(from_half1((ushort)(a)), from_half1((ushort)(b)), sum))
#else
#define WORD_FMA(a, b, sum)                                                 \
  fma(from_bfloat1((ushort)((a) >> 16)), from_bfloat1((ushort)((b) >> 16)), \
      fma(from_bfloat1((ushort)(a)), from_bfloat1((ushort)(b)), sum))
#endif

static inline void matrix_multiply(float *sums, const uint *a, const uint *b, __local uint *exchange, int lane) {
  __local uint *columns = exchange + MATRIX_M * MATRIX_WORDS;
  for (int r = 0; r < A_REGISTERS; ++r) PUT_A(exchange, lane, r, a[r]);
  for (int r = 0; r < B_REGISTERS; ++r) columns[B_COLUMN(lane, r) * MATRIX_WORDS + B_WORD(lane, r)] = b[r];
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int r = 0; r < MATRIX_SUMS; ++r)
    for (int k = 0; k < MATRIX_WORDS; ++k)
      sums[r] =
          WORD_FMA(exchange[SUM_ROW(lane, r) * MATRIX_WORDS + k], columns[SUM_COLUMN(lane, r) * MATRIX_WORDS + k], sums[r]);
  barrier(CLK_LOCAL_MEM_FENCE);
}
#define MATRIX_LOCAL(name, sub_groups) __local uint name[(sub_groups)*EXCHANGE];
#define MATRIX_MULTIPLY(sums, a, b, exchange, sub_group, lane) \
  matrix_multiply(sums, a, b, exchange + (sub_group)*EXCHANGE, lane);
#define MATRIX_UNROLL _Pragma("unroll 1")

#else /* the instruction */
#define MATRIX_LOCAL(name, sub_groups)
#define MATRIX_UNROLL _Pragma("unroll")
#if MULTIPLIER == MULTIPLY_DPAS
#define MATRIX_EIGHT(type, v) (type)((v)[0], (v)[1], (v)[2], (v)[3], (v)[4], (v)[5], (v)[6], (v)[7])
#ifdef A_TERM
#define MATRIX_A(a, lane) as_short8(convert_ushort8((MATRIX_EIGHT(uint8, a) >> (uint8)(A_TERM(lane) * 16)) & (uint8)0xffff))
#else
#define MATRIX_A(a, lane) as_int8(MATRIX_EIGHT(uint8, a))
#endif
#if X_TYPE == 2
#define MATRIX_MAD intel_sub_group_f16_f16_matrix_mad_k16
#else
#define MATRIX_MAD intel_sub_group_bf16_bf16_matrix_mad_k16
#endif
#define MATRIX_MULTIPLY(sums, a, b, exchange, sub_group, lane)                                                     \
  {                                                                                                                \
    const float8 all = MATRIX_MAD(MATRIX_A(a, lane), as_int8(MATRIX_EIGHT(uint8, b)), MATRIX_EIGHT(float8, sums)); \
    sums[0] = all.s0, sums[1] = all.s1, sums[2] = all.s2, sums[3] = all.s3, sums[4] = all.s4, sums[5] = all.s5,    \
    sums[6] = all.s6, sums[7] = all.s7;                                                                            \
  }
#else
#if MULTIPLIER == MULTIPLY_TF32
#define MATRIX_MMA "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
#elif X_TYPE == 2
#define MATRIX_MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#else
#define MATRIX_MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#endif
#define MATRIX_MULTIPLY(sums, a, b, exchange, sub_group, lane)                          \
  __asm__ volatile(MATRIX_MMA " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"  \
                   : "+f"((sums)[0]), "+f"((sums)[1]), "+f"((sums)[2]), "+f"((sums)[3]) \
                   : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]));
#endif
#endif
