/* split.h: long launches in parts. */
#ifndef T3_SPLIT_H
#define T3_SPLIT_H

#include "algo/algo.h"

/* Sets the parts of the recipe's launches so that no command is predicted to take longer than the limit of the device, where it
 * has one: each launch is taken to need all of the call's predicted seconds. */
void t3_split_launches(const t3_problem *problem, double seconds, t3_recipe *recipe);
/* Cuts every launch of run into so many parts, or as many as it has work-groups. */
void t3_cut_launches(int64_t parts, t3_recipe *recipe);

#endif
