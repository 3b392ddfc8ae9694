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
  const tconv3d_desc desc = layer(2, 100);
  t3_problem problem = problem_on(*state, &desc, TCONV3D_GRAD_WEIGHT, true);
  t3_recipe recipe = {0};
  const t3_algorithm *each = t3_algorithm_named("each");
  assert_ok(each->recipe(&problem, &(t3_variant){0}, &recipe));
  rig_assert_refused(t3_rounds_check(&problem, &recipe), TCONV3D_UNSUPPORTED, "65535 rounds loops", "each, of a large layer");
  problem.device.quirks &= ~(unsigned)T3_FEW_ROUNDS;
  assert_ok(t3_rounds_check(&problem, &recipe));
  t3_text_free(&recipe.defines);
}

/* Next to nothing to multiply, much to store; sums of many channels; long lines and whole planes: where loops do end early,
 * results would show it. By each algorithm that takes the layer there. */
static void long_loops_are_cut_or_refused(void **state) {
  static const struct long_layer {
    int64_t in, out, kernel, stride, input[3];
    tconv3d_operation operation;
  } layers[] = {{1, 1, 1, 1, {1, 64, 1024}, TCONV3D_FORWARD},    {2, 1, 1, 1, {1, 1, 30000}, TCONV3D_GRAD_INPUT},
                {256, 3, 3, 2, {3, 4, 9}, TCONV3D_FORWARD},      {16, 2, 3, 1, {4, 30, 40}, TCONV3D_FORWARD},
                {64, 64, 3, 2, {8, 8, 8}, TCONV3D_GRAD_WEIGHT},  {1, 4, 2, 2, {8, 30, 60}, TCONV3D_GRAD_WEIGHT},
                {3, 2, 1, 1, {2, 100, 200}, TCONV3D_GRAD_WEIGHT}};
  const struct rig *rig = *state;
  for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i) {
    const struct long_layer *l = &layers[i];
    struct asked asked = {.desc = cubic_layer(l->in, l->out, l->kernel, l->stride), .operation = l->operation, .seed = i + 1};
    memcpy(asked.desc.input_size, l->input, sizeof asked.desc.input_size);
    asked.values = VALUES_INTEGER;
    for (size_t a = 0; (asked.algorithm = tconv3d_algorithm_name(a)); ++a) {
      const t3_algorithm *algorithm = t3_algorithm_at(a);
      const t3_problem problem = problem_on(rig, &asked.desc, asked.operation, t3_has_quirk(&rig->device, T3_FEW_ROUNDS));
      t3_candidate list[T3_MAX_VARIANTS];
      t3_recipe recipe = {0};
      if (!serves(rig, &asked, a) || rig_is_foreign(algorithm->name) || !strcmp(algorithm->name, "pipeline")) continue;
      assert_true(t3_candidates(&problem, algorithm, list) > 0);
      assert_ok(algorithm->recipe(&problem, &list[0].variant, &recipe));
      t3_text_free(&recipe.defines);
      if (t3_rounds_fit(&problem, &recipe)) assert_non_null(call_check(rig, &asked));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_task_is_refused_unless_its_loops_end_in_time),
      cmocka_unit_test(what_is_chosen_ends_in_time),
      cmocka_unit_test(a_sum_that_no_way_ends_in_time_is_refused_with_both_numbers),
      cmocka_unit_test(long_loops_are_cut_or_refused),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
