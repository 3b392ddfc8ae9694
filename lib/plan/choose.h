/* choose.h: from a problem to the candidate that serves it. */
#ifndef T3_CHOOSE_H
#define T3_CHOOSE_H

#include "algo/algo.h"
#include "plan/recovery.h"
#include "store/store.h"

/* All variants of an applicable algorithm, the least predicted time first; list has room for T3_MAX_VARIANTS. */
size_t t3_candidates(const t3_problem *problem, const t3_algorithm *algorithm, t3_candidate *list);

/* Whether the algorithm lists exactly this variant for the problem. */
bool t3_is_listed(const t3_problem *problem, const t3_algorithm *algorithm, const t3_variant *variant);

/* Whether the device has the memory that the candidate wants. */
bool t3_candidate_fits(const t3_problem *problem, const t3_candidate *candidate);

/* Chooses for the problem, within the named algorithm unless name is NULL: what the store has as tuned, if that can serve, else
 * by prediction; never what was tried and failed. Says why, a line each, in explanation. store and tries may be NULL. */
tconv3d_status t3_choose(const t3_problem *problem, t3_store *store, const char *name, const t3_tries *tries,
                         t3_candidate *chosen, t3_text *explanation);

#endif
