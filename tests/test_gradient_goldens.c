/* The gradients and convolutions that PyTorch computed in float64 (goldens/README.md), against the plain-C references, the
 * judge of the other tests, and the algorithms in turn, a case each. TCONV3D_TEST_EVERY=1 runs every case by every algorithm.
 */
#include "support/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/goldens.h"
#include "support/gradient.h"

enum { WHY = 200 };

struct setting {
  struct rig rig;
  struct goldens layers, convolutions;
  size_t every; /* one of so many cases runs on the device, by one algorithm; 1: all by all */
  size_t runs;
};

/* One operation of a case, and what PyTorch says. */
struct problem {
  const char *name;
  tconv3d_operation operation;
  tconv3d_desc desc;
  struct operands operands;
  const double *expected;
};

typedef void visitor(struct setting *setting, const struct problem *problem, size_t number);

static int set_up(void **state) {
  static struct setting setting;
  *state = &setting;
  const char *every = getenv("TCONV3D_TEST_EVERY");
  const long asked = every ? strtol(every, NULL, 10) : 0;
  setting.every = asked > 0 ? (size_t)asked : 5;
  rig_open(&setting.rig);
  goldens_read(&setting.layers, "cases.txt", "inputs.npy", "outputs.npy");
  goldens_read(&setting.convolutions, "convolutions.txt", "convolution_inputs.npy", "convolution_outputs.npy");
  return 0;
}

static int tear_down(void **state) {
  struct setting *setting = *state;
  rig_close(&setting->rig);
  goldens_free(&setting->layers);
  goldens_free(&setting->convolutions);
  return 0;
}

/* The three gradients of every layer; gradient_inputs.npy and gradient_outputs.npy must hold exactly theirs. */
static size_t visit_gradients(struct setting *setting, visitor *visit) {
  static const tconv3d_operation order[] = {TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};
  const void *inputs, *outputs;
  size_t num_inputs, num_outputs, number = 0;
  void *input_file = goldens_array("gradient_inputs.npy", "<f4", sizeof(float), &inputs, &num_inputs);
  void *output_file = goldens_array("gradient_outputs.npy", "<f8", sizeof(double), &outputs, &num_outputs);
  const float *gy = inputs;
  const double *expected = outputs;
  for (size_t i = 0; i < setting->layers.count; ++i) {
    const struct golden *golden = &setting->layers.cases[i];
    struct problem problem = {.name = golden->line.name, .desc = golden_layer(golden)};
    problem.operands = (struct operands){.x = golden->x, .w = golden->w, .y = gy};
    for (size_t j = 0; j < 3; ++j) { /* a case that is not visited has its place in the files too */
      problem.operation = order[j];
      problem.expected = expected;
      if (i % rig_step(3) == 0) visit(setting, &problem, number++);
      expected += target_count(&problem.desc, order[j]);
    }
    gy += operand_counts(&problem.desc, TCONV3D_GRAD_INPUT).y;
  }
  assert_ptr_equal(gy, (const float *)inputs + num_inputs);
  assert_ptr_equal(expected, (const double *)outputs + num_outputs);
  free(input_file);
  free(output_file);
  return number;
}

static void visit_all(struct setting *setting, visitor *visit) {
  size_t number = visit_gradients(setting, visit);
  for (size_t i = 0; i < setting->convolutions.count; i += rig_step(3)) {
    const struct golden *golden = &setting->convolutions.cases[i];
    struct problem problem = {
        .name = golden->line.name, .operation = TCONV3D_CONVOLUTION, .desc = golden->line.desc, .expected = golden->y};
    problem.operands = (struct operands){.x = golden->x, .w = golden->w, .b = problem.desc.has_bias ? golden->b : NULL};
    visit(setting, &problem, number++);
  }
}

/* The judge's bounds, with PyTorch's values in the place of its own. */
static void make_judge(const struct problem *problem, struct judge *judge) {
  assert_true(operation_judge(judge, &problem->desc, problem->operation, &problem->operands));
  memcpy(judge->value, problem->expected, judge->count * sizeof *judge->value);
}

static void fails(const struct problem *problem, const char *algorithm, const char *why) {
  fail_msg("%s of %s, %s: %s", tconv3d_operation_name(problem->operation), problem->name, algorithm, why);
}

static void check_judge(struct setting *setting, const struct problem *problem, size_t number) {
  (void)setting, (void)number;
  struct judge judge;
  assert_true(operation_judge(&judge, &problem->desc, problem->operation, &problem->operands));
  for (size_t i = 0; i < judge.count; ++i)
    if (!(fabs(judge.value[i] - problem->expected[i]) <= 1e-13 * judge.magnitude[i])) fails(problem, "the judge", "differs");
  judge_free(&judge);
}

static void the_judge_agrees_with_pytorch(void **state) {
  visit_all(*state, check_judge);
}

static void check_reference(struct setting *setting, const struct problem *problem, size_t number) {
  (void)setting, (void)number;
  struct judge judge;
  char why[WHY];
  make_judge(problem, &judge);
  float *result = malloc((judge.count + 1) * sizeof *result);
  assert_non_null(result);
  for (size_t i = 0; i < judge.count; ++i) result[i] = NAN;
  assert_ok(reference_of(&problem->desc, problem->operation, &problem->operands, result));
  for (size_t i = 0; i < judge.count; ++i) { /* one rounding, of a sum in fp64 */
    double error = fabs((double)result[i] - problem->expected[i]);
    if (!(error <= 0x1p-24 * fabs(problem->expected[i]) + 1e-13 * judge.magnitude[i])) fails(problem, "reference", "differs");
  }
  if (!judge_within(&judge, result, why, sizeof why)) fails(problem, "reference", why);
  free(result);
  judge_free(&judge);
}

static void the_references_round_pytorchs_values_once(void **state) {
  visit_all(*state, check_reference);
}

static bool run_problem(struct setting *setting, const struct problem *problem, const char *algorithm) {
  tconv3d_plan *plan;
  tconv3d_weights *weights = NULL;
  struct judge judge;
  char why[WHY];
  const struct operands *operands = &problem->operands;
  if (!gradient_plan(&setting->rig, problem->operation, algorithm, &problem->desc, 0, &plan)) return false;
  make_judge(problem, &judge);
  float *result = malloc((judge.count + 1) * sizeof *result);
  assert_non_null(result);
  for (size_t i = 0; i < judge.count; ++i) result[i] = NAN;
  if (problem->operation == TCONV3D_GRAD_WEIGHT || problem->operation == TCONV3D_GRAD_BIAS) {
    const float *x = problem->operation == TCONV3D_GRAD_BIAS ? NULL : operands->x;
    assert_ok(tconv3d_run_gradient(plan, x, operands->y, result));
  } else {
    assert_ok(tconv3d_weights_create_host(plan, operands->w, operands->b, &weights));
    assert_ok(tconv3d_run(plan, weights, problem->operation == TCONV3D_GRAD_INPUT ? operands->y : operands->x, result));
  }
  ++setting->runs;
  if (!judge_within(&judge, result, why, sizeof why)) fails(problem, algorithm ? algorithm : "by choice", why);
  free(result);
  judge_free(&judge);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  return true;
}

static void run_in_turn(struct setting *setting, const struct problem *problem, size_t number) {
  size_t algorithms = 0;
  while (tconv3d_algorithm_name(algorithms)) ++algorithms;
  if (setting->every == 1) {
    for (size_t i = 0; i <= algorithms; ++i) run_problem(setting, problem, tconv3d_algorithm_name(i));
    return;
  }
  /* Convolutions have fewer cases; gradients come in threes. A refusal leaves the case to the automatic choice, which is the
   * last of the names. */
  bool convolves = problem->operation == TCONV3D_CONVOLUTION;
  size_t every = convolves ? (setting->every + 4) / 5 : setting->every;
  if (number % every) return;
  if (!run_problem(setting, problem, tconv3d_algorithm_name(number / every / (convolves ? 1 : 3) % (algorithms + 1))))
    assert_true(run_problem(setting, problem, NULL));
}

static void the_algorithms_in_turn_are_within_the_bound(void **state) {
  struct setting *setting = *state;
  visit_all(setting, run_in_turn);
  print_message("# %zu runs\n", setting->runs);
  assert_true(setting->runs > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_judge_agrees_with_pytorch),
      cmocka_unit_test(the_references_round_pytorchs_values_once),
      cmocka_unit_test(the_algorithms_in_turn_are_within_the_bound),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
