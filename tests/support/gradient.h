/* gradient.h: any operation of a layer with one algorithm, as trial.h has it for the forward one: between guard zones at odd
 * offsets, the target full of NaN, or of values where beta is not 0. What goes wrong ends the test with the operation, the
 * algorithm, the seed and the layer. */
#ifndef GRADIENT_H
#define GRADIENT_H

#include "support/guard.h"
#include "support/operands.h"
#include "support/rig.h"

struct gradient {
  const struct rig *rig;
  tconv3d_operation operation;
  const char *algorithm; /* NULL: the automatic choice */
  uint64_t seed;
  double beta;
  tconv3d_desc desc;
  struct operands host;
  struct counts counts;
  size_t count; /* elements of the target */
  float *old, *target;
  struct guarded x, w, b, gy, to, workspace; /* those that the operation takes */
  tconv3d_plan *plan;
  tconv3d_plan_info info;
  tconv3d_weights *weights; /* NULL where the operation takes none */
};

/* The operation's plan; false when a named algorithm refuses it, which it must do with a reason, `direct` only for gradients
 * with respect to the weight and the bias, and the automatic choice never. */
bool gradient_plan(const struct rig *rig, tconv3d_operation operation, const char *algorithm, const tconv3d_desc *desc,
                   double beta, tconv3d_plan **plan);

/* A gradient ready to run, its values from the seed; false when the algorithm refuses. */
bool gradient_make(struct gradient *gradient, const struct rig *rig, tconv3d_operation operation, const char *algorithm,
                   const tconv3d_desc *desc, uint64_t seed, enum values values, double beta);
void gradient_free(struct gradient *gradient);

/* Fills the target with old, runs once, looks at every guard zone, and leaves the result in target. */
void gradient_run(struct gradient *gradient);

/* Judges what the last run left, and the plain-C reference; exact: the error must be 0. */
void gradient_judge(const struct gradient *gradient, bool exact);

/* Replaces one element of a host tensor and of its buffer; weights are not packed again. */
void gradient_poke(const struct gradient *gradient, const struct guarded *guarded, const float *host, size_t at, float value);

/* Ends the test when the fact does not hold, or with the library's message when a call did not succeed. */
void gradient_needs(const struct gradient *gradient, bool fact, const char *what);
void gradient_ok(const struct gradient *gradient, tconv3d_status status);

/* The whole of it with values of one kind: exact with integers, else within the bound; a second call must give the same bits.
 * False when the algorithm refuses. */
bool gradient_check(const struct rig *rig, tconv3d_operation operation, const char *algorithm, const tconv3d_desc *desc,
                    uint64_t seed, enum values values, double beta);

/* With integers and with fractions, by every algorithm and by the automatic choice. */
void gradient_check_all(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, uint64_t seed,
                        double beta);

/* The result of an operation on these operands by the automatic choice, dense on the host, to be freed. */
float *gradient_of(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                   const struct operands *operands);

#endif
