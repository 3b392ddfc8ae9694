/* shortlist.h: which candidates are worth measuring. */
#ifndef T3_SHORTLIST_H
#define T3_SHORTLIST_H

#include "algo/algo.h"

/* Up to most candidates that fit into the device's memory, into *list, malloc'd: the prediction's choice first, then by turns
 * the next best of each algorithm. Fails when none fits, or without memory. */
tconv3d_status t3_shortlist(const t3_problem *problem, size_t most, t3_candidate **list, size_t *count);

#endif
