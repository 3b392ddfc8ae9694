/* call.h: one call of any operation with tensors of any types and layouts and any epilogue, by one algorithm or one variant of
 * it: between guard zones at offsets that are multiples of an element only, NaN between the elements of what is read, the
 * target full of NaN unless it is read. What goes wrong ends the test with all that was asked for. Linked with the library's
 * inside. */
#ifndef CALL_H
#define CALL_H

#include "plan/choose.h"
#include "plan/plan.h"
#include "support/exact.h"
#include "support/guard.h"
#include "support/rig.h"
#include "support/views.h"

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
  bool in_place;         /* the residual lies in y's own memory */
  int reduced_precision; /* options.reduced_precision */
  bool clblast;          /* options.allow_clblast: the rig's cl_context is not the library's */
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
  struct view view;
  size_t count; /* 0: the call has none */
  void *bits;   /* in C order; of the target: what it held before */
  double *values;
  void *places;           /* what the buffer holds: the bits where the layout has them, and what lies between them */
  struct guarded guarded; /* all places */
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
 * never one that is there to serve all layers: `direct`, `each` for gradients with respect to the weight, `sums` to the bias.
 */
bool call_make(struct call *call, const struct rig *rig, const struct asked *asked);
void call_free(struct call *call);

/* Fills the target with what it held, runs once, looks at every guard zone and between the target's elements, and leaves what
 * was written in result. */
void call_run(struct call *call);
/* Runs again: the same bits must come. */
void call_repeat(struct call *call);

/* The buffers of all tensors at their elements 0, and the enqueueing alone, of any buffers. */
void call_buffers(const struct call *call, tconv3d_buffer buffers[TENSORS]);
tconv3d_status call_enqueue(const struct call *call, const tconv3d_buffer buffers[TENSORS], cl_event *done);

/* call_run with these buffers. */
void call_run_in(struct call *call, const tconv3d_buffer buffers[TENSORS]);

/* The same call on host arrays, each with its lowest element so many elements past the first byte that may be read; call_run's
 * bits must come again, and nothing else may change. */
void call_run_host(const struct call *call, size_t shift);
/* The same call with each of x, gy and the residual in turn where its highest element ends what may be read. */
void call_run_at_the_end(struct call *call);

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
