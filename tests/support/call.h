/* call.h: one call of any operation with tensors of any types and any epilogue, by one algorithm or one variant of it: between
 * guard zones at offsets that are multiples of an element only, the target full of NaN unless it is read. What goes wrong ends
 * the test with all that was asked for. Linked with the library's inside. */
#ifndef CALL_H
#define CALL_H

#include "plan/choose.h"
#include "plan/plan.h"
#include "support/exact.h"
#include "support/guard.h"
#include "support/rig.h"

/* What a call is asked for. */
struct asked {
  tconv3d_desc desc;
  tconv3d_operation operation;
  const char *algorithm;         /* NULL: the automatic choice, or the candidate's */
  const t3_candidate *candidate; /* NULL: the algorithm's best */
  uint64_t seed;
  enum values values;
  double beta;
  tconv3d_epilogue epilogue;
  bool in_place; /* the residual lies in y's own memory */
};

/* The tensors that a call may have; the target is named by its role, as x, w, b and gy are what is read. */
enum {
  CALL_X,
  CALL_W,
  CALL_B,
  CALL_GY,
  CALL_RESIDUAL,
  CALL_SLOPE,
  CALL_SCALE,
  CALL_SHIFT,
  CALL_TARGET,
  CALL_WORKSPACE,
  TENSORS
};
struct tensor {
  tconv3d_dtype type;
  size_t count; /* 0: the call has none */
  void *bits;   /* of the target: what it held before */
  double *values;
  struct guarded guarded;
};

struct call {
  const struct rig *rig;
  struct asked asked;
  struct tensor tensors[TENSORS];
  void *result; /* the target's bits after a run */
  tconv3d_plan *plan;
  tconv3d_plan_info info;
  tconv3d_weights *weights; /* NULL where the operation takes none */
};

/* A call ready to run, all values from the seed; false when a named algorithm refuses it, which it must do with a reason, and
 * `direct` only for gradients with respect to the weight and the bias. */
bool call_make(struct call *call, const struct rig *rig, const struct asked *asked);
void call_free(struct call *call);

/* Fills the target with what it held, runs once, looks at every guard zone, and leaves what was written in result. */
void call_run(struct call *call);
/* Runs again: the same bits must come. */
void call_repeat(struct call *call);

/* The exact sums of the call's values, without what the target held. */
void call_sums(const struct call *call, struct exact *exact);

/* Gives the weights what the epilogue has for each channel, once more. */
void call_set_channels(struct call *call);

/* Writes all of a tensor's bits to its buffer again, after they were changed, and finds its values. */
void call_write(struct call *call, int tensor);

/* Ends the test when the fact does not hold, or with the library's message when a call did not succeed. */
void call_needs(const struct call *call, bool fact, const char *what);
void call_ok(const struct call *call, tconv3d_status status);

#endif
