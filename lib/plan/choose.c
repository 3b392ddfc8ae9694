/* The choice of an algorithm: a named one is used or refused with its reason; else the cheapest of those that apply. */
#include "base/status.h"
#include "plan/plan.h"

static tconv3d_status unknown_name(const char *name) {
  t3_text names = {0};
  for (size_t i = 0; t3_algorithm_at(i); ++i) t3_text_append(&names, "%s%s", i ? ", " : "", t3_algorithm_at(i)->name);
  tconv3d_status status =
      t3_fail(TCONV3D_UNSUPPORTED, "algorithm is '%s'; it must be one of %s", name, names.data ? names.data : "?");
  t3_text_free(&names);
  return status;
}

static tconv3d_status choose_named(const t3_problem *problem, const char *name, const t3_algorithm **algorithm) {
  const t3_algorithm *named = t3_algorithm_named(name);
  if (!named) return unknown_name(name);
  char why[160] = "";
  if (!named->applicable(problem, why, sizeof why))
    return t3_fail(TCONV3D_UNSUPPORTED, "algorithm '%s' cannot serve this layer: %s", name, why);
  *algorithm = named;
  return TCONV3D_OK;
}

/* Whether the device has the memory that the candidate wants. */
static bool fits(const t3_problem *problem, const t3_algorithm *candidate) {
  t3_recipe recipe = {0};
  bool ok = candidate->recipe(problem, &recipe) == TCONV3D_OK && t3_recipe_fits(&problem->device, &problem->layer, &recipe);
  t3_text_free(&recipe.defines);
  return ok;
}

/* The cheapest applicable algorithm that fits into the device, else the cheapest applicable, whose refusal says why; on equal
 * costs the first of the list. */
static const t3_algorithm *cheapest(const t3_problem *problem) {
  const t3_algorithm *best = NULL;
  double best_cost = 0;
  bool best_fits = false;
  char why[160];
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    const t3_algorithm *candidate = t3_algorithm_at(i);
    if (!candidate->applicable(problem, why, sizeof why)) continue;
    double cost = candidate->cost(problem);
    bool fit = fits(problem, candidate);
    if (!best || (fit && !best_fits) || (fit == best_fits && cost < best_cost))
      best = candidate, best_cost = cost, best_fits = fit;
  }
  return best;
}

static void explain(const t3_problem *problem, const t3_algorithm *chosen, bool named, t3_text *explanation) {
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    const t3_algorithm *candidate = t3_algorithm_at(i);
    char why[160] = "";
    if (!candidate->applicable(problem, why, sizeof why)) {
      t3_text_append(explanation, "%s: not applicable: %s\n", candidate->name, why);
      continue;
    }
    if (candidate != chosen && !fits(problem, candidate)) {
      t3_text_append(explanation, "%s: needs more memory than the device has\n", candidate->name);
      continue;
    }
    const char *role = candidate != chosen ? "" : named ? "chosen by name, " : "chosen, the least predicted time that fits, ";
    t3_text_append(explanation, "%s: %spredicted %.3f ms\n", candidate->name, role, 1e3 * candidate->cost(problem));
  }
}

tconv3d_status t3_choose(const t3_problem *problem, const char *name, const t3_algorithm **algorithm, t3_text *explanation) {
  if (name)
    T3_TRY(choose_named(problem, name, algorithm));
  else if (!(*algorithm = cheapest(problem)))
    return t3_fail(TCONV3D_UNSUPPORTED, "no algorithm can serve this layer");
  explain(problem, *algorithm, name, explanation);
  return TCONV3D_OK;
}
