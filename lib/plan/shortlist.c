#include "plan/shortlist.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "plan/choose.h"

/* How much slower than the best prediction may be predicted what is still worth a measurement: predictions have been wrong
 * by 3.
 */
static const double worth_measuring = 4;

typedef struct ranked {
  t3_candidate candidate;
  size_t rank, algorithm; /* 0 for the best of its algorithm; the algorithm's place in the table */
} ranked;

/* Ranks first, so that an algorithm with many variants does not crowd out the others. */
static int by_turns(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  if (x->candidate.seconds != y->candidate.seconds) return x->candidate.seconds < y->candidate.seconds ? -1 : 1;
  return x->algorithm < y->algorithm ? -1 : x->algorithm > y->algorithm;
}

/* Appends the algorithm's best candidates that fit, most at most; how many. */
static size_t add_algorithm(const t3_problem *problem, size_t index, size_t most, ranked *pool) {
  const t3_algorithm *algorithm = t3_algorithm_at(index);
  t3_candidate list[T3_MAX_VARIANTS];
  char why[160];
  if (!t3_applicable(problem, algorithm, why, sizeof why)) return 0;
  size_t count = t3_candidates(problem, algorithm, list), added = 0;
  for (size_t i = 0; i < count && added < most; ++i)
    if (t3_candidate_fits(problem, &list[i])) {
      pool[added] = (ranked){list[i], added, index};
      ++added;
    }
  return added;
}

/* Of the sorted pool the first ones that are worth it. */
static size_t take(const ranked *pool, size_t count, size_t most, t3_candidate *list) {
  size_t taken = 0;
  for (size_t i = 0; i < count && taken < most; ++i)
    if (pool[i].candidate.seconds <= worth_measuring * pool[0].candidate.seconds) list[taken++] = pool[i].candidate;
  return taken;
}

tconv3d_status t3_shortlist(const t3_problem *problem, size_t most, t3_candidate **list, size_t *count) {
  size_t algorithms = 0, pooled = 0;
  while (t3_algorithm_at(algorithms)) ++algorithms;
  ranked *pool = malloc(algorithms * T3_MAX_VARIANTS * sizeof *pool);
  *list = malloc(algorithms * T3_MAX_VARIANTS * sizeof **list);
  *count = 0;
  tconv3d_status status = TCONV3D_OK;
  if (!pool || !*list) status = t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a list of candidates");
  for (size_t i = 0; i < algorithms && status == TCONV3D_OK; ++i) pooled += add_algorithm(problem, i, most, pool + pooled);
  if (status == TCONV3D_OK && !pooled)
    status = t3_fail(TCONV3D_OUT_OF_DEVICE_MEMORY, "no algorithm can serve this layer within the memory of device '%s'",
                     problem->device.name);
  if (status == TCONV3D_OK) {
    qsort(pool, pooled, sizeof *pool, by_turns);
    *count = take(pool, pooled, most, *list);
  } else {
    free(*list);
    *list = NULL;
  }
  free(pool);
  return status;
}
