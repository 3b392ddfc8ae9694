/* rounds.h: for drivers that end a work-item's loops early (T3_FEW_ROUNDS): how many rounds the loops of kernels with register
 * blocks have. Bounds from above: every loop may count, those that a compiler was asked to unroll too. */
#ifndef T3_ALGO_ROUNDS_H
#define T3_ALGO_ROUNDS_H

#include "algo/algo.h"

/* The sums of m channels, rows of vectors (h x v) and residues: set, copied and stored, in vectors, by lanes where they are
 * turned or a row ends. */
double t3_sums_rounds(int64_t m, int64_t h, int64_t v, int64_t residues, int64_t width);

/* One tap's multiply-adds: loads of h x v vectors, m weights. */
double t3_tap_rounds(int64_t m, int64_t h, int64_t v);

/* As many blocks as wanted, or as a work-item may take where a block has so many rounds; at least one. */
int64_t t3_blocks_in_time(const t3_problem *problem, double block_rounds, int64_t wanted);

/* For a launch: 1 or more. */
int64_t t3_whole_rounds(double rounds);

#endif
