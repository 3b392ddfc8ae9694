/* sibling.h: a plan's program at work on other sizes of its layer. */
#ifndef T3_SIBLING_H
#define T3_SIBLING_H

#include "plan/plan.h"

/* The problem of desc, a layer that differs from the plan's in sizes alone, and its recipe by the plan's candidate, if the
 * plan's program and packed weights serve it as they are: the same defines, launches of the same kernels by groups of the same
 * size, the same bytes of packed weights. Else false, and nothing is to be freed; recipe->defines is the caller's to free. The
 * thread's message stays as it is. */
bool t3_sibling(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe);

/* The same by that variant of the plan's algorithm that wants the least workspace, which may make other numbers of the same
 * launches. */
bool t3_frugal_sibling(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe);

#endif
