/* cycles.h: what the cores of CPU devices take for the loops of phase, rows, channels, outer and dots: measured, not derived.
 */
#ifndef T3_CYCLES_H
#define T3_CYCLES_H

#include "algo/padded.h"

/* Cycles of a loop's body of so many vector multiply-adds and loads: two of either a cycle, fewer multiply-adds of vectors that
 * a core halves, and what goes beside the greater of them is not quite free (measured); results come after four cycles, while
 * the loop itself takes one or two. */
double t3_body_cycles(const t3_problem *problem, int64_t width, double products, double loads, double chain);

/* What a kernel that steps along rows of x waits for one of them from beyond the second cache, in cycles, where rows of many
 * channels are read by turns: too far apart to be foreseen, and where channels lie a multiple of a cache's way apart, also in
 * each other's places in it (measured). */
double t3_far_cycles(const t3_problem *problem, const t3_padded *padded);

/* Whether vectors are those of processors with 16 registers for them, taken for all but AVX-512: bodies are small there, so
 * that loads count for more than multiply-adds; masks lie in memory; and the second cache is taken for one of 512 KiB in 8 ways
 * or less. Where such terms are added they were fitted on a Zen 3. */
bool t3_few_registers(const t3_problem *problem);

/* What a load of a vector that begins anywhere counts for: with few registers one and the part of such loads that crosses a
 * line of the cache; else two of 16 lanes, one of less. */
double t3_vector_loads(const t3_problem *problem, int64_t width);

/* Whether the values of one position lie a multiple of 4 KiB apart in more channels than the first cache has ways: then they
 * drive one another out of its sets. */
bool t3_lines_collide(const t3_problem *problem, const t3_padded *padded);

/* What a row of x waits for its line where lines collide and the second cache loses them too: with few registers (measured). */
double t3_collision_cycles(const t3_problem *problem, const t3_padded *padded);

/* What a line of x waits for on its way from beyond the second cache, by the first of the blocks of channels that read it:
 * where a step is taken along rows, and the planes that a plane of outputs meets do not stay there; with few registers
 * (measured where t3_far_cycles was 0: on 8 and 32 channels of 8 and 14 MB). */
double t3_passed_cycles(const t3_problem *problem);

/* What a body takes longer for finding so many rows of x in place and masking so many vectors (measured); 0 otherwise. */
double t3_in_place_cycles(const t3_problem *problem, const t3_padded *padded, double rows, double masks);

/* What storing vectors of outputs, of m channels each, costs beside their sums, in cycles: each goes through memory; what
 * cannot be stored as whole vectors of a row goes element by element. */
double t3_store_cycles(const t3_problem *problem, int64_t vectors, int64_t width, int64_t m);

#endif
