/* rounds.h: whether a recipe's work-items end within the rounds that a driver lets their loops have (T3_FEW_ROUNDS). */
#ifndef T3_ROUNDS_H
#define T3_ROUNDS_H

#include "algo/algo.h"

/* On a device without the quirk any recipe's do. */
bool t3_rounds_fit(const t3_problem *problem, const t3_recipe *recipe);

/* The same as an error that says so. */
tconv3d_status t3_rounds_check(const t3_problem *problem, const t3_recipe *recipe);

#endif
