/* whole.h: a layer of whole numbers on host arrays, by any plan for it, whose result must be the reference's exactly. */
#ifndef WHOLE_H
#define WHOLE_H

#include "support/rig.h"

/* Runs the plan, which is for this operation of desc, on host arrays with their first element so many elements past aligned
 * memory. Returns the call's status; when it is OK the result was looked at. Float32 and dense alone. */
tconv3d_status whole_run(const tconv3d_plan *plan, const tconv3d_desc *desc, tconv3d_operation operation, size_t shift);

#endif
