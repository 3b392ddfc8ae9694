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

/* Whether both take the same program and packed weights. */
static bool same_ground(const t3_recipe *a, const t3_recipe *b) {
  return same_text(&a->defines, &b->defines) && a->packed_bytes == b->packed_bytes && same_launch(&a->pack, &b->pack) &&
         same_launch(&a->pack_channels, &b->pack_channels);
}

static bool same_launches(const t3_recipe *a, const t3_recipe *b) {
  bool same = a->num_run == b->num_run;
  for (int i = 0; i < a->num_run && same; ++i) same = same_launch(&a->run[i], &b->run[i]);
  return same;
}

/* Whether each of b's is one of a's too, of which there may be more or fewer. */
static bool known_launches(const t3_recipe *a, const t3_recipe *b) {
  bool known = true;
  for (int i = 0; i < b->num_run && known; ++i) {
    int j = 0;
    while (j < a->num_run && !same_launch(&a->run[j], &b->run[i])) ++j;
    known = j < a->num_run;
  }
  return known;
}

/* A cache as large for this y as the device's is for the plan's, of which it counts on a part: what a kernel does depends on
 * whether y outgrows it. */
static void scale_cache(const t3_problem *from, t3_problem *problem) {
  uint64_t cache = t3_cache_share(&from->device);
  problem->device.cache_bytes = (uint64_t)((double)cache * problem->share);
  if (cache && !problem->device.cache_bytes) problem->device.cache_bytes = 1;
}

static bool make_problem(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem) {
  char why[160];
  const t3_problem *from = &plan->problem;
  const t3_request request = {
      desc, from->operation, from->beta, from->epilogue, 0, !from->no_products, from->reduced_precision};
  if (t3_problem_init(plan->slot, &request, problem) != TCONV3D_OK || !from->layer.y_count) return false;
  problem->share = (double)problem->layer.y_count / (double)from->layer.y_count;
  problem->unforeseen = from->unforeseen;
  scale_cache(from, problem);
  return t3_applicable(problem, plan->chosen.algorithm, why, sizeof why);
}

static bool make_recipe(const tconv3d_plan *plan, const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  *recipe = (t3_recipe){0};
  bool made = plan->chosen.algorithm->recipe(problem, variant, recipe) == TCONV3D_OK && same_ground(&plan->recipe, recipe);
  if (!made) t3_text_free(&recipe->defines);
  return made;
}

bool t3_sibling(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe) {
  char *message = t3_message_save();
  const t3_candidate *chosen = &plan->chosen;
  bool made = make_problem(plan, desc, problem) && t3_is_listed(problem, chosen->algorithm, &chosen->variant) &&
              make_recipe(plan, problem, &chosen->variant, recipe);
  bool done = made && same_launches(&plan->recipe, recipe);
  if (made && !done) t3_text_free(&recipe->defines);
  t3_message_restore(message);
  return done;
}

bool t3_frugal_sibling(const tconv3d_plan *plan, const tconv3d_desc *desc, t3_problem *problem, t3_recipe *recipe) {
  char *message = t3_message_save();
  t3_variant variants[T3_MAX_VARIANTS];
  bool made = make_problem(plan, desc, problem), done = false;
  size_t count = made ? plan->chosen.algorithm->variants(problem, variants) : 0;
  t3_recipe one;
  for (size_t i = 0; i < count; ++i) {
    if (!make_recipe(plan, problem, &variants[i], &one)) continue;
    bool better = known_launches(&plan->recipe, &one) && (!done || one.workspace_bytes < recipe->workspace_bytes);
    if (better && done) t3_text_free(&recipe->defines);
    if (better) *recipe = one, done = true;
    if (!better) t3_text_free(&one.defines);
  }
  t3_message_restore(message);
  return done;
}
