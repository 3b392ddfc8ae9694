/* tile_product.cl: the product of two tiles in local memory, by the multiplier (multiplier.cl). A kernel declares what it needs
 * with PRODUCT_LOCAL and BLOCK_SUMS, adds a product with ADD_PRODUCT, and lays rows of the sums down in local memory with
 * LAY_SUMS: those that are first_i and after, STORE_ROWS, in each block, at laid[(across * STORE_ROWS + row) * TILE_N +
 * column]. ROW_OF(across, i) is then the row of the tile, for across < ACROSS_M. With SLICES so many work-items share a block
 * and take every SLICES-th term each: their sums lie one after the other, ACROSS_M * STORE_ROWS * TILE_N apart.
 *
 * Required: what tile.cl and multiplier.cl ask, both included before, STORE_ROWS, M_FIRST (1: neighbouring work-items hold
 * neighbouring rows, not columns), and as variables of the kernel item, its place in the group. Optional: SLICES, with
 * MULTIPLY_FMA; PITCH_M and PITCH_N without matrices, multiples of SIDE_M and SIDE_N.
 *
 * A kernel fills the tiles with words: JOIN puts one together from its parts, X_PART or W_PART of a stored value (types.cl). */
#ifndef SLICES
#define SLICES 1
#endif
#if SLICES > 1 && MULTIPLIER != MULTIPLY_FMA
#error "SLICES above 1 are for MULTIPLY_FMA"
#endif
#if TILE_K % SLICES
#error "TILE_K must be whole slices"
#endif

#if MATRICES

#define WORD uint
#define PITCH_M (TILE_M + 8) /* so that rows of words begin in other banks of local memory */
#define PITCH_N (TILE_N + 8)
#define ITEMS (ACROSS_M * ACROSS_N * SUB_GROUP)
#define BLOCKS_M (BLOCK_M / MATRIX_M)
#define BLOCKS_N (BLOCK_N / MATRIX_N)
#undef SIDE_M
#undef ROW_OF
#define SIDE_M MATRIX_M
#define ROW_OF(across, i) ((across)*BLOCK_M + (i))
#if STORE_ROWS != MATRIX_M
#error "STORE_ROWS must be a matrix's rows"
#endif

#define PRODUCT_LOCAL MATRIX_LOCAL(exchange, ACROSS_M *ACROSS_N)
#define BLOCK_SUMS                                                                                          \
  const int lane = item % SUB_GROUP, sub_group = item / SUB_GROUP;                                          \
  const int block_m = sub_group / ACROSS_N, block_n = sub_group % ACROSS_N;                                 \
  float sums[BLOCKS_M][BLOCKS_N][MATRIX_SUMS];                                                              \
  _Pragma("unroll") for (int i = 0; i < BLOCKS_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCKS_N; ++j) \
      _Pragma("unroll") for (int r = 0; r < MATRIX_SUMS; ++r) sums[i][j][r] = 0;
#define ADD_PRODUCT(tile_x, tile_w)                                                                                        \
  MATRIX_UNROLL                                                                                                            \
  for (int k = 0; k < WORD_ROWS; k += MATRIX_WORDS) {                                                                      \
    uint a[BLOCKS_M][A_REGISTERS], b[BLOCKS_N][B_REGISTERS];                                                               \
    _Pragma("unroll") for (int i = 0; i < BLOCKS_M; ++i) _Pragma("unroll") for (int r = 0; r < A_REGISTERS; ++r) a[i][r] = \
        tile_w[(k + A_WORD(lane, r)) * PITCH_M + block_m * BLOCK_M + i * MATRIX_M + A_ROW(lane, r)];                       \
    _Pragma("unroll") for (int j = 0; j < BLOCKS_N; ++j) _Pragma("unroll") for (int r = 0; r < B_REGISTERS; ++r) b[j][r] = \
        tile_x[(k + B_WORD(lane, r)) * PITCH_N + block_n * BLOCK_N + j * MATRIX_N + B_COLUMN(lane, r)];                    \
    MATRIX_UNROLL for (int i = 0; i < BLOCKS_M; ++i) MATRIX_UNROLL for (int j = 0; j < BLOCKS_N; ++j) {                    \
      MATRIX_MULTIPLY(sums[i][j], a[i], b[j], exchange, sub_group, lane)                                                   \
    }                                                                                                                      \
  }
#define LAY_SUMS(laid, first_i)                                                                                           \
  _Pragma("unroll") for (int j = 0; j < BLOCKS_N; ++j) _Pragma("unroll") for (int r = 0; r < MATRIX_SUMS; ++r)            \
      laid[(block_m * STORE_ROWS + SUM_ROW(lane, r)) * TILE_N + block_n * BLOCK_N + j * MATRIX_N + SUM_COLUMN(lane, r)] = \
          sums[(first_i) / MATRIX_M][j][r];

#else /* register blocks */

#define WORD REAL
#define WORD_TERMS 1
#ifndef PITCH_M
#define PITCH_M TILE_M
#define PITCH_N TILE_N
#endif
#define SLICE_ITEMS (ACROSS_M * ACROSS_N)
#define ITEMS (SLICE_ITEMS * SLICES)
#define ROWS_FIRST (M_FIRST && MULTIPLIER != MULTIPLY_BROADCAST) /* else a sub-group shares its rows */

#define BLOCK_SUMS                                                                                          \
  const int slice = SLICES > 1 ? item / SLICE_ITEMS : 0, in_slice = SLICES > 1 ? item % SLICE_ITEMS : item; \
  const int tn = ROWS_FIRST ? in_slice / ACROSS_M : in_slice % ACROSS_N;                                    \
  const int tm = ROWS_FIRST ? in_slice % ACROSS_M : in_slice / ACROSS_N;                                    \
  REAL sums[BLOCK_M][BLOCK_N];                                                                              \
  _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) sums[i][j] = 0;
#define LAY_SUMS(laid, first_i)                                                                              \
  _Pragma("unroll") for (int q = 0; q < STORE_ROWS; ++q) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) \
      laid[((slice * ACROSS_M + tm) * STORE_ROWS + q) * TILE_N + COLUMN_OF(tn, j)] = sums[(first_i) + q][j];

#if MULTIPLIER == MULTIPLY_FMA
#define PRODUCT_LOCAL
#define ADD_PRODUCT(tile_x, tile_w)                                                                                      \
  _Pragma("unroll 4") for (int k = 0; k < TILE_K / SLICES; ++k) {                                                        \
    REAL a[BLOCK_M], b[BLOCK_N];                                                                                         \
    TAKE_ROWS(a, tile_w + (k * SLICES + slice) * PITCH_M, tm)                                                            \
    TAKE_COLUMNS(b, tile_x + (k * SLICES + slice) * PITCH_N, tn)                                                         \
    _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) sums[i][j] = \
        fma(a[i], b[j], sums[i][j]);                                                                                     \
  }
#elif MULTIPLIER == MULTIPLY_BROADCAST
/* A load of a work-item is one value of a row: those of TERMS terms for a sub-group. */
#define TERMS (SUB_GROUP / BLOCK_M)
#define PRODUCT_LOCAL BROADCAST_LOCAL(exchange, ITEMS)
#define ADD_PRODUCT(tile_x, tile_w)                                                                            \
  _Pragma("unroll 1") for (int first_k = 0; first_k < TILE_K; first_k += TERMS) {                              \
    const int lane = item % SUB_GROUP;                                                                         \
    const REAL row = tile_w[min(first_k + lane / BLOCK_M, TILE_K - 1) * PITCH_M + ROW_OF(tm, lane % BLOCK_M)]; \
    BROADCAST_BEGIN(row, exchange)                                                                             \
    _Pragma("unroll") for (int s = 0; s < TERMS; ++s) {                                                        \
      if (first_k + s < TILE_K) {                                                                              \
        REAL b[BLOCK_N];                                                                                       \
        TAKE_COLUMNS(b, tile_x + (first_k + s) * PITCH_N, tn)                                                  \
        _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) {                                                  \
          const REAL a = BROADCAST(row, exchange, s * BLOCK_M + i);                                            \
          _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);           \
        }                                                                                                      \
      }                                                                                                        \
    }                                                                                                          \
    BROADCAST_END                                                                                              \
  }
#else
/* Chains of at most HALF_TERMS terms: no longer ones, so that the error stays where the options' documentation has it. */
#define HALF_TERMS 8
#if TWIN
#define HALF float
#define TO_HALF(v) from_half1(to_half1(v))
#define HALF_FMA(a, b, c) from_half1(to_half1(fma(a, b, c)))
#else
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define HALF half
#define TO_HALF(v) ((half)(v))
#define HALF_FMA(a, b, c) fma(a, b, c)
#endif
#define PRODUCT_LOCAL
#define ADD_PRODUCT(tile_x, tile_w)                                                                                        \
  _Pragma("unroll 1") for (int first_k = 0; first_k < TILE_K; first_k += HALF_TERMS) {                                     \
    HALF few[BLOCK_M][BLOCK_N];                                                                                            \
    _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) few[i][j] = 0; \
    for (int k = first_k; k < min(first_k + HALF_TERMS, TILE_K); ++k) {                                                    \
      REAL a[BLOCK_M], b[BLOCK_N];                                                                                         \
      TAKE_ROWS(a, tile_w + k * PITCH_M, tm)                                                                               \
      TAKE_COLUMNS(b, tile_x + k * PITCH_N, tn)                                                                            \
      _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) few[i][j] =  \
          HALF_FMA(TO_HALF(a[i]), TO_HALF(b[j]), few[i][j]);                                                               \
    }                                                                                                                      \
    _Pragma("unroll") for (int i = 0; i < BLOCK_M; ++i) _Pragma("unroll") for (int j = 0; j < BLOCK_N; ++j) sums[i][j] +=  \
        (REAL)few[i][j];                                                                                                   \
  }
#endif
#endif

#define WORD_ROWS ((TILE_K + WORD_TERMS - 1) / WORD_TERMS)
#if MATRICES && TILE_K % (MATRIX_WORDS * WORD_TERMS)
#error "TILE_K must be whole matrices"
#endif

/* A word from its parts, and a part: a stored value as the multiplier takes it. Words are of two bytes' types, whose values may
 * be moved as bits, or of TF32. */
#if !MATRICES
#define X_PART(from) READ_X(from)
#define W_PART(from) READ_W(from)
#define JOIN(word, part, value) (value)
#elif MULTIPLIER == MULTIPLY_TF32
#define X_PART(from) to_tf32(READ_X(from))
#define W_PART(from) to_tf32(READ_W(from))
#define JOIN(word, part, value) (value)
#else
#define X_PART(from) ((uint) * (from))
#define W_PART(from) ((uint) * (from))
#define JOIN(word, part, value) ((word) | (value) << 16 * (part))
#endif
