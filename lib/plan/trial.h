/* trial.h: candidates as they really run: plans and weights of a bench of their own, and the time of single calls. */
#ifndef T3_TRIAL_H
#define T3_TRIAL_H

#include "plan/plan.h"

/* What the candidates for one layer share. Their programs go with the bench: those that lose are of no use to anybody, so they
 * reach neither the caller's context nor the store. */
typedef struct t3_bench {
  tconv3d_context *context; /* in the caller's cl_context */
  const t3_slot *slot;
  tconv3d_buffer x, y, weight, bias, workspace;
  int64_t workspace_bytes;
} t3_bench;

enum { T3_MAX_RUNS = 256 }; /* a median needs no more */

typedef struct t3_trial {
  t3_candidate candidate;
  tconv3d_plan *plan; /* NULL: failed */
  tconv3d_weights *weights;
  bool slow; /* measured often enough to see that it will not win */
  int runs;
  double least, seconds[T3_MAX_RUNS]; /* of the runs */
} t3_trial;

tconv3d_status t3_bench_open(tconv3d_context *context, const t3_slot *slot, const t3_layer *layer, t3_bench *bench);
void t3_bench_close(t3_bench *bench);

/* Builds the candidate, packs its weights and calls it once, uncounted. On failure it is closed. */
tconv3d_status t3_trial_open(t3_bench *bench, const t3_request *request, t3_trial *trial);
void t3_trial_close(t3_trial *trial);

/* One call, measured from its enqueue to its completion. On failure the trial is closed. */
tconv3d_status t3_trial_run(const t3_bench *bench, t3_trial *trial);
double t3_trial_median(const t3_trial *trial);

/* Seconds of a clock that only runs forward. */
double t3_seconds_now(void);

#endif
