/* smaller.h: a plan's work in smaller portions, after the whole of it failed. */
#ifndef T3_SMALLER_H
#define T3_SMALLER_H

#include "plan/plan.h"

/* A plan for so many images that takes the plan's own weights, and whose launches are made in at least so many parts each.
 * frugal: with as little workspace as its program can do with.
 * NULL: the plan's program does not serve that, or there is no memory for it. Destroyed as any plan. */
tconv3d_plan *t3_smaller_plan(const tconv3d_plan *plan, int64_t batch, int64_t parts, bool frugal);

/* The weights as those of a smaller plan. t3_lent_weights_end gives them back. */
void t3_lent_weights_begin(const tconv3d_weights *weights, tconv3d_plan *smaller, tconv3d_weights *lent);
void t3_lent_weights_end(tconv3d_weights *lent);

#endif
