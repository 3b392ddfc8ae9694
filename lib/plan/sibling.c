#include "plan/sibling.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "plan/choose.h"

static bool same_text(const t3_text *a, const t3_text *b) {
  return t3_text_ok(a) && t3_text_ok(b) && a->size == b->size && (!a->size || !memcmp(a->data, b->data, a->size));
}

static bool same_launch(const t3_launch *a, const t3_launch *b) {
  if (!a->kernel || !b->kernel) return !a->kernel && !b->kernel;
  return !strcmp(a->kernel, b->kernel) && a->local == b->local;
}

static bool same_program(const t3_recipe *a, const t3_recipe *b) {
  bool same = same_text(&a->defines, &b->defines) && a->num_run == b->num_run && a->packed_bytes == b->packed_bytes &&
              same_launch(&a->pack, &b->pack) && same_launch(&a->pack_channels, &b->pack_channels);
  for (int i = 0; i < a->num_run && same; ++i) same = same_launch(&a->run[i], &b->run[i]);
  return same;
}

/* A cache as large for this y as the device's is for the plan's: what a kernel does depends on whether y outgrows it. */
static void scale_cache(const t3_problem *from, t3_problem *problem) {
  double part = (double)problem->layer.y_count / (double)from->layer.y_count;
  uint64_t cache = from->device.cache_bytes;
  problem->device.cache_bytes = (uint64_t)((double)cache * part);
  if (cache && !problem->device.cache_bytes) problem->device.cache_bytes = 1;
}

static bool make(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe) {
  char why[160];
  const t3_problem *from = &plan->problem;
  const t3_request request = {
      desc, from->operation, from->beta, from->epilogue, 0, !from->no_products, from->reduced_precision};
  if (t3_problem_init(plan->slot, &request, problem) != TCONV3D_OK || !from->layer.y_count) return false;
  scale_cache(from, problem);
  return t3_applicable(problem, plan->chosen.algorithm, why, sizeof why) &&
         t3_is_listed(problem, plan->chosen.algorithm, &plan->chosen.variant) &&
         plan->chosen.algorithm->recipe(problem, &plan->chosen.variant, recipe) == TCONV3D_OK;
}

bool t3_sibling(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe) {
  char *message = t3_message_save();
  *recipe = (t3_recipe){0};
  bool done = make(plan, desc, problem, recipe) && same_program(&plan->recipe, recipe);
  if (!done) t3_text_free(&recipe->defines);
  t3_message_restore(message);
  return done;
}
