/* Devices that end a work-item's loops early: what is chosen there, and what is refused. On the device at hand, as if it were
 * one. */
#include <string.h>

#include "device/quirks.h"
#include "plan/choose.h"
#include "plan/rounds.h"
#include "support/call_check.h"
#include "support/layers.h"

static t3_problem problem_on(const struct rig *rig, const tconv3d_desc *desc, tconv3d_operation operation, bool ends_early) {
  const struct asked asked = {.desc = *desc, .operation = operation};
  t3_problem problem = problem_of(rig, &asked);
  problem.device.quirks &= ~(unsigned)T3_FEW_ROUNDS;
  if (ends_early) problem.device.quirks |= T3_FEW_ROUNDS;
  return problem;
}

static tconv3d_desc layer(int64_t channels, int64_t size) {
  tconv3d_desc desc = cubic_layer(channels, 2 * channels, 3, 2);
  TCONV3D_ALL_AXES(desc.input_size, size);
  return desc;
}

/* Whether the chosen candidate's work-items end in time. */
static bool chosen_fits(const t3_problem *problem) {
  t3_candidate chosen;
  t3_text explanation = {0};
  t3_recipe recipe = {0};
  assert_ok(t3_choose(problem, NULL, NULL, NULL, &chosen, &explanation));
  assert_ok(chosen.algorithm->recipe(problem, &chosen.variant, &recipe));
  bool fits = t3_rounds_fit(problem, &recipe);
  assert_int_equal(t3_rounds_check(problem, &recipe), fits ? TCONV3D_OK : TCONV3D_UNSUPPORTED);
  t3_text_free(&recipe.defines);
  t3_text_free(&explanation);
  return fits;
}

static void a_task_is_refused_unless_its_loops_end_in_time(void **state) {
  const t3_algorithm *pipeline = t3_algorithm_named("pipeline");
  const tconv3d_desc tiny = layer(1, 2), larger = layer(8, 12);
  char why[160] = "";
  t3_problem problem = problem_on(*state, &larger, TCONV3D_FORWARD, false);
  assert_true(t3_applicable(&problem, pipeline, why, sizeof why));
  problem = problem_on(*state, &larger, TCONV3D_FORWARD, true);
  assert_false(t3_applicable(&problem, pipeline, why, sizeof why));
  assert_non_null(strstr(why, "65535 rounds"));
  problem = problem_on(*state, &tiny, TCONV3D_FORWARD, true);
  assert_true(t3_applicable(&problem, pipeline, why, sizeof why));
  t3_variant list[T3_MAX_VARIANTS], all[T3_MAX_VARIANTS];
  size_t few = pipeline->variants(&problem, list);
  problem = problem_on(*state, &tiny, TCONV3D_FORWARD, false);
  assert_true(few >= 1 && few < pipeline->variants(&problem, all));
}

static void what_is_chosen_ends_in_time(void **state) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};
  for (int64_t size = 2; size <= 64; size *= 2)
    for (size_t o = 0; o < sizeof operations / sizeof *operations; ++o) {
      const tconv3d_desc desc = layer(16, size);
      const t3_problem problem = problem_on(*state, &desc, operations[o], true);
      assert_true(chosen_fits(&problem));
    }
}

static void a_sum_that_no_way_ends_in_time_is_refused_with_both_numbers(void **state) {
  const tconv3d_desc desc = layer(2, 400);
  t3_problem problem = problem_on(*state, &desc, TCONV3D_GRAD_WEIGHT, true);
  t3_recipe recipe = {0};
  const t3_algorithm *each = t3_algorithm_named("each");
  assert_ok(each->recipe(&problem, &(t3_variant){0}, &recipe));
  rig_assert_refused(t3_rounds_check(&problem, &recipe), TCONV3D_UNSUPPORTED, "65535 rounds loops", "each, of a large layer");
  problem.device.quirks &= ~(unsigned)T3_FEW_ROUNDS;
  assert_ok(t3_rounds_check(&problem, &recipe));
  t3_text_free(&recipe.defines);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_task_is_refused_unless_its_loops_end_in_time),
      cmocka_unit_test(what_is_chosen_ends_in_time),
      cmocka_unit_test(a_sum_that_no_way_ends_in_time_is_refused_with_both_numbers),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
