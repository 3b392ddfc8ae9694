/* The golden cases that PyTorch computed in float64 (goldens/README.md), against every algorithm that accepts the layer, the
 * automatic choice, the plain-C reference, and the gathering that judges the other tests. */
#include "support/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/goldens.h"
#include "support/judge.h"

enum { WHY = 200 };

struct setting {
  struct rig rig;
  struct goldens goldens;
};

static int set_up(void **state) {
  static struct setting setting;
  *state = &setting;
  rig_open(&setting.rig);
  goldens_read(&setting.goldens, "cases.txt", "inputs.npy", "outputs.npy");
  return 0;
}

static int tear_down(void **state) {
  struct setting *setting = *state;
  rig_close(&setting->rig);
  goldens_free(&setting->goldens);
  return 0;
}

/* The judge's bounds, with PyTorch's values in the place of its own. */
static void make_judge(const struct golden *golden, const tconv3d_desc *desc, struct judge *judge) {
  assert_true(judge_make(judge, desc, golden->x, golden->w, golden->b));
  memcpy(judge->value, golden->y, judge->count * sizeof *golden->y);
}

static void every_case_has_pytorchs_shape(void **state) {
  const struct goldens *goldens = &((struct setting *)*state)->goldens;
  assert_true(goldens->count >= 60);
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = golden_layer(golden);
    int64_t shape[5];
    assert_ok(tconv3d_output_shape(&desc, shape));
    int64_t expected[5] = {desc.batch, desc.out_channels, golden->line.output[0], golden->line.output[1],
                           golden->line.output[2]};
    if (memcmp(shape, expected, sizeof shape)) fail_msg("%s: another shape than PyTorch's", golden->line.name);
  }
}

static void the_judge_agrees_with_pytorch(void **state) {
  const struct goldens *goldens = &((struct setting *)*state)->goldens;
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = golden_layer(golden);
    struct judge judge;
    assert_true(judge_make(&judge, &desc, golden->x, golden->w, golden->b));
    for (size_t o = 0; o < judge.count; ++o)
      if (!(fabs(judge.value[o] - golden->y[o]) <= 1e-13 * judge.magnitude[o]))
        fail_msg("%s: y[%zu] is %.17g, PyTorch has %.17g", golden->line.name, o, judge.value[o], golden->y[o]);
    judge_free(&judge);
  }
}

static void the_reference_is_within_the_bound(void **state) {
  const struct goldens *goldens = &((struct setting *)*state)->goldens;
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = golden_layer(golden);
    struct judge judge;
    char why[WHY];
    make_judge(golden, &desc, &judge);
    float *y = calloc(judge.count + 1, sizeof *y);
    assert_non_null(y);
    assert_ok(tconv3d_reference_forward(&desc, golden->x, golden->w, desc.has_bias ? golden->b : NULL, y));
    if (!judge_within(&judge, y, why, sizeof why)) fail_msg("%s: %s", golden->line.name, why);
    free(y);
    judge_free(&judge);
  }
}

/* Runs one case with one algorithm (NULL: the automatic choice); false when the algorithm refuses the layer. */
static bool run_case(const struct rig *rig, const struct golden *golden, const char *algorithm) {
  tconv3d_desc desc = golden_layer(golden);
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  tconv3d_plan *plan;
  tconv3d_status status = tconv3d_plan_create(rig->context, &desc, &options, &plan);
  if (status == TCONV3D_UNSUPPORTED && algorithm) return false;
  assert_ok(status);
  tconv3d_weights *weights;
  assert_ok(tconv3d_weights_create_host(plan, golden->w, desc.has_bias ? golden->b : NULL, &weights));
  struct judge judge;
  make_judge(golden, &desc, &judge);
  float *y = malloc((judge.count + 1) * sizeof *y);
  assert_non_null(y);
  for (size_t i = 0; i < judge.count; ++i) y[i] = NAN;
  assert_ok(tconv3d_run(plan, weights, golden->x, y));
  char why[WHY];
  if (!judge_within(&judge, y, why, sizeof why))
    fail_msg("%s, algorithm %s: %s\n%s", golden->line.name, algorithm ? algorithm : "by choice", why,
             tconv3d_plan_explain(plan));
  free(y);
  judge_free(&judge);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  return true;
}

/* From how many cases one is an algorithm's: that with most ways to walk x has every second. */
static size_t step_of(const char *algorithm) {
  return (rig_is_foreign(algorithm) ? 7 : strcmp(algorithm, "phase") ? 4 : 2) * rig_step(3);
}

static void every_algorithm_is_within_the_bound(void **state) {
  struct setting *setting = *state;
  const struct goldens *goldens = &setting->goldens;
  const char *name;
  size_t serving = 0;
  for (size_t a = 0; (name = tconv3d_algorithm_name(a)); ++a) {
    size_t ran = 0;
    for (size_t i = a % step_of(name); i < goldens->count; i += step_of(name))
      ran += run_case(&setting->rig, &goldens->cases[i], name);
    print_message("# %s: %zu of %zu cases\n", name, ran, goldens->count);
    serving += ran > 0;
  }
  assert_true(serving >= 4); /* the others serve other operations */
}

static void the_automatic_choice_serves_the_other_cases(void **state) {
  struct setting *setting = *state;
  const struct goldens *goldens = &setting->goldens;
  /* Those that `phase`, the first of the algorithms, was not tried on. */
  for (size_t i = 1; i < goldens->count; i += 2 * rig_step(3)) assert_true(run_case(&setting->rig, &goldens->cases[i], NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_case_has_pytorchs_shape),
      cmocka_unit_test(the_judge_agrees_with_pytorch),
      cmocka_unit_test(the_reference_is_within_the_bound),
      cmocka_unit_test(every_algorithm_is_within_the_bound),
      cmocka_unit_test(the_automatic_choice_serves_the_other_cases),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
