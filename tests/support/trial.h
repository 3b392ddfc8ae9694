/* trial.h: one layer with one algorithm, between guard zones at offsets that are aligned to one element only, y's
 * sometimes to a vector or a line of the cache; y and the workspace start full of NaN. What goes wrong ends the test with the
 * algorithm, the seed and the layer. */
#ifndef TRIAL_H
#define TRIAL_H

#include "support/guard.h"
#include "support/random_layer.h"
#include "support/rig.h"

struct trial {
  const struct rig *rig;
  const char *algorithm; /* NULL: the automatic choice */
  uint64_t seed;
  tconv3d_desc desc;
  struct tensors host;
  struct guarded x, w, b, y, workspace;
  tconv3d_plan *plan;
  tconv3d_plan_info info;
  tconv3d_weights *weights;
};

/* A trial ready to run, its values from the seed; false when the algorithm refuses the layer, which it must do with a reason
 * and which `direct` and the automatic choice must not do. */
bool trial_make(struct trial *trial, const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed,
                enum values values);
/* The same of a plan that is there already, which becomes the trial's. */
void trial_of_plan(struct trial *trial, const struct rig *rig, tconv3d_plan *plan, const tconv3d_desc *desc, uint64_t seed,
                   enum values values);
void trial_free(struct trial *trial);

/* Runs once, looks at every guard zone, and leaves y in the host tensor. */
void trial_run(struct trial *trial);

/* Judges the y that the last run left; exact: the error must be 0. */
void trial_judge(struct trial *trial, bool exact);

/* Ends the test when the fact does not hold, or with the library's message when a call did not succeed. */
void trial_needs(const struct trial *trial, bool fact, const char *what);
void trial_ok(const struct trial *trial, tconv3d_status status);

/* The whole of it with values of one kind: exact with integers, else within the bound; a second call must give the same bits.
 * False when the algorithm refuses the layer. */
bool trial_check(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed, enum values values);

/* With integers and with fractions, by every algorithm and by the automatic choice. */
void trial_check_all(const struct rig *rig, const tconv3d_desc *desc, uint64_t seed);

#endif
