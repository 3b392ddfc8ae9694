#include "plan/smaller.h"

#include <stdlib.h>

#include "base/checked.h"
#include "plan/sibling.h"
#include "plan/split.h"

static bool set_recipe(const tconv3d_plan *from, int64_t parts, bool frugal, tconv3d_plan *plan) {
  if (!(frugal ? t3_frugal_sibling : t3_sibling)(from, &plan->desc, &plan->problem, &plan->recipe)) return false;
  double part = t3_layer_flops(&plan->problem.layer) / t3_layer_flops(&from->problem.layer);
  plan->chosen.seconds *= part;
  t3_split_launches(&plan->problem, plan->chosen.seconds, &plan->recipe);
  for (int i = 0; i < plan->recipe.num_run; ++i) parts = t3_max(parts, t3_num_pieces(&plan->recipe.run[i]));
  t3_cut_launches(parts, &plan->recipe);
  return true;
}

tconv3d_plan *t3_smaller_plan(const tconv3d_plan *from, int64_t batch, int64_t parts, bool frugal) {
  tconv3d_plan *plan = calloc(1, sizeof *plan);
  if (!plan) return NULL;
  atomic_init(&plan->references, 1);
  plan->context = t3_context_retain(from->context);
  plan->slot = from->slot;
  plan->desc = from->desc;
  plan->desc.batch = batch;
  plan->chosen = from->chosen;
  plan->mark = from->mark;
  plan->program = from->program;
  if (set_recipe(from, parts, frugal, plan)) {
    t3_plan_steps(plan);
    return plan;
  }
  tconv3d_plan_destroy(plan);
  return NULL;
}

void t3_lent_weights_begin(const tconv3d_weights *weights, tconv3d_plan *smaller, tconv3d_weights *lent) {
  *lent = (tconv3d_weights){.plan = smaller, .packed = weights->packed, .channels = weights->channels};
  pthread_mutex_init(&lent->lock, NULL);
  lent->ready = t3_weights_ready(weights);
}

void t3_lent_weights_end(tconv3d_weights *lent) {
  if (lent->ready) clReleaseEvent(lent->ready);
  pthread_mutex_destroy(&lent->lock);
}
