/* Rounds of loops, see rounds.h. A nest of loops has its innermost rounds, and at each level above at most as many again. */
#include "algo/rounds.h"

#include "base/checked.h"
#include "device/quirks.h"

double t3_sums_rounds(int64_t m, int64_t h, int64_t v, int64_t residues, int64_t width) {
  double sums = (double)m * (double)h * (double)v * (double)residues;
  return 12 * sums + 3 * sums * (double)width; /* three nests of four levels; lanes turned, interleaved and stored */
}

double t3_tap_rounds(int64_t m, int64_t h, int64_t v) {
  double rows = (double)h + (double)h * (double)v;
  return 1 + 2 * rows + (double)m * (1 + rows); /* vectors of x are loaded, or laid out before and loaded */
}

int64_t t3_blocks_in_time(const t3_problem *problem, double block_rounds, int64_t wanted) {
  if (!t3_has_quirk(&problem->device, T3_FEW_ROUNDS)) return wanted;
  double most = T3_MOST_ROUNDS / 2 / block_rounds; /* and as many for what is not a block's */
  return most < (double)wanted ? t3_max((int64_t)most, 1) : wanted;
}

int64_t t3_whole_rounds(double rounds) {
  return rounds < 1e15 ? (int64_t)rounds + 1 : (int64_t)1e15;
}
