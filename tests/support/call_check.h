/* call_check.h: calls in any layout from beginning to end: made, run on buffers, on host arrays and at the end of memory, and
 * judged; and which variants of an algorithm there are for them. What goes wrong ends the test. */
#ifndef CALL_CHECK_H
#define CALL_CHECK_H

#include "support/call.h"

/* With fractions within the error bound, for calls without an epilogue; with integers exactly: an epilogue's activation must
 * be none or PReLU then, and its constants halves. Returns the algorithm's name; NULL when the named one refuses. */
const char *call_check(const struct rig *rig, const struct asked *asked);
/* With integers and with fractions. */
const char *call_check_both(const struct rig *rig, struct asked asked);

/* The index of an algorithm that there is. */
size_t algorithm_at(const char *name);
t3_problem problem_of(const struct rig *rig, const struct asked *asked);
/* Whether the algorithm of this index takes the call; not past the last. */
bool serves(const struct rig *rig, const struct asked *asked, size_t algorithm);
/* Of an algorithm's variants the best of which tconv3d_plan_explain would say these words; false when there is none or it
 * refuses. */
bool find_variant(const struct rig *rig, const struct asked *asked, size_t algorithm, const char *words,
                  t3_candidate *candidate);
/* Any variant of an algorithm that takes the call. */
t3_candidate any_variant(const struct rig *rig, const struct asked *asked, size_t algorithm, struct rng *rng);

#endif
