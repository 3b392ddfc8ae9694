/* The choice of an algorithm and its variant: what was tuned for this problem on this device, else the least predicted time
 * that fits into the device's memory. A named algorithm is used or refused with its reason. */
#include "plan/choose.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "plan/plan.h"
#include "tune/tuning.h"

static tconv3d_status unknown_name(const char *name) {
  t3_text names = {0};
  for (size_t i = 0; t3_algorithm_at(i); ++i) t3_text_append(&names, "%s%s", i ? ", " : "", t3_algorithm_at(i)->name);
  tconv3d_status status =
      t3_fail(TCONV3D_UNSUPPORTED, "algorithm is '%s'; it must be one of %s", name, names.data ? names.data : "?");
  t3_text_free(&names);
  return status;
}

static tconv3d_status check_name(const t3_problem *problem, const char *name) {
  const t3_algorithm *named = t3_algorithm_named(name);
  if (!named) return unknown_name(name);
  char why[160] = "";
  if (t3_applicable(problem, named, why, sizeof why)) return TCONV3D_OK;
  return t3_fail(TCONV3D_UNSUPPORTED, "algorithm '%s' cannot serve this layer: %s", name, why);
}

static int by_seconds(const void *a, const void *b) {
  const t3_candidate *x = a, *y = b;
  if (x->seconds != y->seconds) return x->seconds < y->seconds ? -1 : 1;
  return memcmp(&x->variant, &y->variant, sizeof x->variant); /* any order will do, if it is always the same */
}

/* Also whether it wants less than what did not fit before. */
static bool candidate_fits(const t3_problem *problem, const t3_tries *tries, const t3_candidate *candidate) {
  t3_recipe recipe = {0};
  bool ok = candidate->algorithm->recipe(problem, &candidate->variant, &recipe) == TCONV3D_OK &&
            t3_recipe_fits(problem, &recipe) && t3_is_less(tries, &recipe);
  t3_text_free(&recipe.defines);
  return ok;
}

bool t3_candidate_fits(const t3_problem *problem, const t3_candidate *candidate) {
  return candidate_fits(problem, NULL, candidate);
}

size_t t3_candidates(const t3_problem *problem, const t3_algorithm *algorithm, t3_candidate *list) {
  t3_variant variants[T3_MAX_VARIANTS];
  size_t count = algorithm->variants(problem, variants);
  for (size_t i = 0; i < count; ++i) list[i] = (t3_candidate){algorithm, variants[i], algorithm->cost(problem, &variants[i])};
  if (count) qsort(list, count, sizeof *list, by_seconds);
  return count;
}

/* The best of one algorithm that may be tried and fits, else the best that may be tried; *fits says which. False when none may
 * be. */
static bool best_of(const t3_problem *problem, const t3_algorithm *algorithm, const t3_tries *tries, t3_candidate *best,
                    bool *fits) {
  t3_candidate list[T3_MAX_VARIANTS];
  size_t count = t3_candidates(problem, algorithm, list), left = 0, i = 0;
  for (size_t j = 0; j < count; ++j)
    if (t3_may_try(tries, &list[j])) list[left++] = list[j];
  while (i < left && !candidate_fits(problem, tries, &list[i])) ++i;
  *fits = i < left;
  if (left) *best = list[*fits ? i : 0];
  return left > 0;
}

/* Chooses and says why in one walk of the table. */
static bool choose(const t3_problem *problem, const char *name, const t3_tries *tries, t3_candidate *chosen,
                   t3_text *explanation) {
  bool found = false, found_fits = false;
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    const t3_algorithm *algorithm = t3_algorithm_at(i);
    char why[160] = "";
    if (!t3_applicable(problem, algorithm, why, sizeof why)) {
      t3_text_append(explanation, "%s: not applicable: %s\n", algorithm->name, why);
      continue;
    }
    bool fits;
    t3_candidate best;
    if (!best_of(problem, algorithm, tries, &best, &fits)) {
      t3_text_append(explanation, "%s: failed before\n", algorithm->name);
      continue;
    }
    t3_text_append(explanation, "%s: predicted %.3f ms%s\n", algorithm->name, 1e3 * best.seconds,
                   fits ? "" : ", but needs more than the device has");
    if (name ? strcmp(name, algorithm->name)
             : found && (fits < found_fits || (fits == found_fits && best.seconds >= chosen->seconds)))
      continue;
    *chosen = best, found = true, found_fits = fits;
  }
  return found;
}

bool t3_is_listed(const t3_problem *problem, const t3_algorithm *algorithm, const t3_variant *variant) {
  t3_variant variants[T3_MAX_VARIANTS];
  size_t count = algorithm->variants(problem, variants), i = 0;
  while (i < count && memcmp(&variants[i], variant, sizeof *variant) != 0) ++i;
  return i < count;
}

/* A tuning is advice from outside: it may be of another build of the library, or from a text that somebody wrote. So it must
 * name what the model could have chosen too; else it is as if there were none. */
static bool tuned_candidate(const t3_problem *problem, const t3_tuning *tuning, t3_candidate *candidate) {
  char why[160];
  const t3_algorithm *algorithm = t3_algorithm_named(tuning->algorithm);
  if (!algorithm || !t3_applicable(problem, algorithm, why, sizeof why)) return false;
  if (!t3_is_listed(problem, algorithm, &tuning->variant)) return false;
  *candidate = (t3_candidate){algorithm, tuning->variant, algorithm->cost(problem, &tuning->variant)};
  return t3_candidate_fits(problem, candidate);
}

static bool choose_tuned(const t3_problem *problem, t3_store *store, const char *name, const t3_tries *tries,
                         t3_candidate *chosen, t3_text *explanation) {
  t3_tuning tuning;
  t3_candidate tuned;
  if (problem->reduced_precision) return false; /* tunings are made without */
  if (!t3_tuning_find(store, problem, &tuning) || (name && strcmp(name, tuning.algorithm) != 0)) return false;
  if (!tuned_candidate(problem, &tuning, &tuned) || !t3_may_try(tries, &tuned)) return false;
  *chosen = tuned;
  t3_text_append(explanation, "chosen %sas tuned (measured %.3f ms): %s\n", name ? "by name and " : "",
                 1e-6 * (double)tuning.nanoseconds, tuned.algorithm->name);
  return true;
}

/* The problem as the prediction may see it. In the first plan of a process that multiplies CLBlast compiles all of its kernels,
 * for tens of seconds on a CPU: nobody is to be surprised by that. */
static t3_problem predictable(const t3_problem *problem, const char *name) {
  t3_problem seen = *problem;
  if (!name && !seen.no_products && !seen.products_welcome)
    seen.no_products =
        "CLBlast compiles for long: it serves where named, where measured to be best, or with options.allow_clblast";
  return seen;
}

tconv3d_status t3_choose(const t3_problem *problem, t3_store *store, const char *name, const t3_tries *tries,
                         t3_candidate *chosen, t3_text *explanation) {
  if (name) T3_TRY(check_name(problem, name));
  const t3_problem seen = predictable(problem, name);
  if (!choose(&seen, name, tries, chosen, explanation))
    return t3_fail(TCONV3D_UNSUPPORTED, "no algorithm can serve this layer");
  if (choose_tuned(problem, store, name, tries, chosen, explanation)) return TCONV3D_OK;
  t3_text_append(explanation, "chosen %s: %s\n", name ? "by name" : "as the least predicted time", chosen->algorithm->name);
  return TCONV3D_OK;
}
