#include "support/call_check.h"

#include <string.h>

enum { WHY = 300 };

/* What happens to a sum before it is stored; with small integers and halves all of it is exact in float32. */
static double finished(const struct call *call, double v, size_t i, size_t m) {
  const struct tensor *t = call->tensors;
  const tconv3d_epilogue *e = &call->asked.epilogue;
  double old = t[CALL_TARGET].values[i];
  if (e->affine == 1) v = t[CALL_SCALE].values[m] * v + t[CALL_SHIFT].values[m];
  if (e->activation == TCONV3D_PRELU && v < 0) v *= t[CALL_SLOPE].values[m];
  if (e->residual != 0.0) v += e->residual * (call->asked.in_place ? old : t[CALL_RESIDUAL].values[i]);
  if (e->affine == 2) v = t[CALL_SCALE].values[m] * v + t[CALL_SHIFT].values[m];
  return call->asked.beta != 0.0 ? v + call->asked.beta * old : v;
}

static void judge(const struct call *call) {
  const struct tensor *target = &call->tensors[CALL_TARGET];
  const bool nearest = call->asked.values == VALUES_INTEGER;
  struct exact exact;
  char why[WHY];
  call_sums(call, &exact);
  if (call->asked.reduced_precision & TCONV3D_ALLOW_TF32) exact.reduced = 0x1p-10 + 0x1p-22;
  if (call->asked.reduced_precision & TCONV3D_ALLOW_HALF) exact.reduced = 12 * 0x1p-11, exact.tiny = 0x1p-20;
  if (nearest) {
    size_t batch = (size_t)target->view.shape[0], channels = (size_t)target->view.shape[1];
    size_t places = target->count ? target->count / batch / channels : 1;
    for (size_t i = 0; i < exact.count; ++i)
      exact.value[i] = (long double)finished(call, (double)exact.value[i], i, i / places % channels);
  } else {
    exact_add_old(&exact, call->asked.beta, target->values);
  }
  call_needs(call, exact_right(&exact, target->type, call->result, nearest, why, sizeof why), why);
  exact_free(&exact);
}

const char *call_check(const struct rig *rig, const struct asked *asked) {
  struct call call;
  if (!call_make(&call, rig, asked)) return NULL;
  call_run(&call);
  judge(&call);
  if (asked->values == VALUES_UNIFORM) call_repeat(&call);
  if (rig_number("TCONV3D_TEST_HOST_MEMORY", 1)) { /* 0: for checkers that cannot follow values there */
    for (size_t shift = 0; shift < 2; ++shift) call_run_host(&call, shift);
    call_run_at_the_end(&call);
  }
  const char *algorithm = call.info.algorithm;
  call_free(&call);
  return algorithm;
}

const char *call_check_both(const struct rig *rig, struct asked asked) {
  asked.values = VALUES_INTEGER;
  if (!call_check(rig, &asked)) return NULL;
  asked.values = VALUES_UNIFORM;
  return call_check(rig, &asked);
}

t3_problem problem_of(const struct rig *rig, const struct asked *asked) {
  t3_problem problem;
  const t3_request request = {&asked->desc,   asked->operation,        asked->beta, asked->epilogue, 0,
                              asked->clblast, asked->reduced_precision};
  assert_ok(t3_problem_init(t3_context_slot(rig->context, NULL), &request, &problem));
  return problem;
}

bool serves(const struct rig *rig, const struct asked *asked, size_t algorithm) {
  char why[WHY];
  const t3_problem problem = problem_of(rig, asked);
  return t3_algorithm_at(algorithm) && t3_applicable(&problem, t3_algorithm_at(algorithm), why, sizeof why);
}

size_t algorithm_at(const char *name) {
  size_t at = 0;
  while (strcmp(tconv3d_algorithm_name(at), name) != 0) ++at;
  return at;
}

bool find_variant(const struct rig *rig, const struct asked *asked, size_t algorithm, const char *words,
                  t3_candidate *candidate) {
  t3_candidate list[T3_MAX_VARIANTS];
  if (!serves(rig, asked, algorithm)) return false;
  const t3_problem problem = problem_of(rig, asked);
  size_t count = t3_candidates(&problem, t3_algorithm_at(algorithm), list);
  for (size_t i = 0; i < count; ++i) {
    t3_recipe recipe = {0};
    *candidate = list[i];
    assert_ok(candidate->algorithm->recipe(&problem, &candidate->variant, &recipe));
    bool said = strstr(recipe.detail, words) != NULL;
    t3_text_free(&recipe.defines);
    if (said) return true;
  }
  return false;
}

t3_candidate any_variant(const struct rig *rig, const struct asked *asked, size_t algorithm, struct rng *rng) {
  t3_candidate list[T3_MAX_VARIANTS];
  const t3_problem problem = problem_of(rig, asked);
  size_t count = t3_candidates(&problem, t3_algorithm_at(algorithm), list);
  return list[rng_between(rng, 0, (int64_t)count - 1)];
}
