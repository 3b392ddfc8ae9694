/* self_test.h: the known-answer test of a plan's program. */
#ifndef T3_SELF_TEST_H
#define T3_SELF_TEST_H

#include "plan/plan.h"

/* Whether plans are tested: by an option (0: by the variable TCONV3D_SELF_TEST, else yes). */
tconv3d_status t3_self_test_wanted(int option, bool *wanted);

/* Runs the plan's program on a small layer with known values, unless each of its launches has passed before, in this context or
 * where the stored binary comes from; notes what passed with the program. WRONG_RESULT when an element is wrong: then the
 * program is marked, and no plan uses it any more. Adds a line on what was done to the plan's explanation. Blocks. */
tconv3d_status t3_self_test(tconv3d_plan *plan);

/* A problem with few positions that the plan's program serves as it is, and its recipe, whose defines are the caller's to free;
 * false when none was found. */
bool t3_known_layer(const tconv3d_plan *plan, t3_problem *problem, t3_recipe *recipe);

#endif
