/* tile.cl: register blocks over tiles in local memory, what the tiled kernels share. A tile has TILE_M rows, TILE_N columns and
 * at a time TILE_K terms of each sum. A work-item holds BLOCK_M rows x BLOCK_N columns of it, by vectors of four where they
 * divide the block: vectors of neighbouring work-items are neighbours, so that local memory is read in order.
 *
 * Required: TILE_M TILE_N TILE_K BLOCK_M BLOCK_N; TILE_ and BLOCK_N are multiples of BLOCK_N, TILE_M of BLOCK_M. */
#if !defined(TILE_M) || !defined(TILE_N) || !defined(TILE_K) || !defined(BLOCK_M) || !defined(BLOCK_N)
#error "TILE_ M, N and K and BLOCK_ M and N are required"
#endif

#define ACROSS_M (TILE_M / BLOCK_M)
#define ACROSS_N (TILE_N / BLOCK_N)

/* Values of a block that lie side by side. */
#define SIDE_M (BLOCK_M % 4 ? 1 : 4)
#define SIDE_N (BLOCK_N % 4 ? 1 : 4)
/* Which row of the tile is row i of the block of work-item tm; columns likewise. */
#define ROW_OF(tm, i) (((i) / SIDE_M * ACROSS_M + (tm)) * SIDE_M + (i) % SIDE_M)
#define COLUMN_OF(tn, j) (((j) / SIDE_N * ACROSS_N + (tn)) * SIDE_N + (j) % SIDE_N)

/* Takes a block's rows, or columns, of one term: count values. Macros: in functions clang 14 unrolls the loops too late to keep
 * the values in registers on some GPUs. */
#define TAKE_FOURS(values, from, count, across, t)                                                              \
  _Pragma("unroll") for (int v = 0; v < (count) / 4; ++v) {                                                     \
    const REAL4 four = ((__local const REAL4 *)(from))[v * (across) + (t)];                                     \
    values[4 * v] = four.x, values[4 * v + 1] = four.y, values[4 * v + 2] = four.z, values[4 * v + 3] = four.w; \
  }
#define TAKE_ONES(values, from, count, across, t) \
  _Pragma("unroll") for (int v = 0; v < (count); ++v) values[v] = (from)[v * (across) + (t)];
#if BLOCK_M % 4
#define TAKE_ROWS(values, from, tm) TAKE_ONES(values, from, BLOCK_M, ACROSS_M, tm)
#else
#define TAKE_ROWS(values, from, tm) TAKE_FOURS(values, from, BLOCK_M, ACROSS_M, tm)
#endif
#if BLOCK_N % 4
#define TAKE_COLUMNS(values, from, tn) TAKE_ONES(values, from, BLOCK_N, ACROSS_N, tn)
#else
#define TAKE_COLUMNS(values, from, tn) TAKE_FOURS(values, from, BLOCK_N, ACROSS_N, tn)
#endif
