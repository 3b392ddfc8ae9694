/* multiplier.cl: how the work-items of a group multiply two tiles in local memory and add the product to their sums; the define
 * MULTIPLIER says which way:
 *
 *   MULTIPLY_FMA        register blocks of multiply-adds, on any device (tile.cl)
 *   MULTIPLY_BROADCAST  the same; the rows' values, which a sub-group shares, are loaded once for it
 *   MULTIPLY_MMA        float16 or bfloat16, by NVIDIA's matrix instruction (matrix.cl)
 *   MULTIPLY_TF32       float32 rounded to TF32, by the same
 *   MULTIPLY_DPAS       float16 or bfloat16, by Intel's matrix extension
 *   MULTIPLY_HALF       multiply-adds in float16 within a tile's terms, added to float32 sums after each
 *
 * All but the first need what a device may lack; with TWIN they do the same in plain OpenCL C. A tile is WORD_ROWS rows of
 * WORDs, of PITCH_N columns or PITCH_M rows of the product, of which TILE_N and TILE_M count; a WORD holds WORD_TERMS terms.
 * With matrices, BLOCK_M x BLOCK_N is a sub-group's part of the tile.
 *
 * Required: what tile.cl asks, MULTIPLIER, and for all but MULTIPLY_FMA TWIN, SUB_GROUP but for MULTIPLY_HALF. */
#define MULTIPLY_FMA 0
#define MULTIPLY_BROADCAST 1
#define MULTIPLY_MMA 2
#define MULTIPLY_TF32 3
#define MULTIPLY_DPAS 4
#define MULTIPLY_HALF 5

#ifndef MULTIPLIER
#error "MULTIPLIER is required"
#endif
#if MULTIPLIER != MULTIPLY_FMA && !defined(TWIN)
#error "TWIN is required"
#endif
#if MULTIPLIER != MULTIPLY_FMA && MULTIPLIER != MULTIPLY_HALF && !defined(SUB_GROUP)
#error "SUB_GROUP is required"
#endif
#define MATRICES (MULTIPLIER == MULTIPLY_MMA || MULTIPLIER == MULTIPLY_TF32 || MULTIPLIER == MULTIPLY_DPAS)

#if MATRICES
#include "matrix.cl"
#elif MULTIPLIER == MULTIPLY_BROADCAST
#include "broadcast.cl"
#endif
