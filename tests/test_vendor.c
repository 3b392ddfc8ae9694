/* What devices may have beyond OpenCL 1.2, and the variants of the GPU kernels that use it. Their twins, in plain OpenCL C with
 * the same packing, fragments and edges, run on every device: they must be right here. Where the device has the real thing,
 * that must be right too; which it has is printed. TCONV3D_TEST_SEED runs others, TCONV3D_TEST_EVERY=1 all variants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algo/multiplier.h"
#include "plan/choose.h"
#include "program/probe.h"
#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"

enum { BOTH = TCONV3D_ALLOW_TF32 | TCONV3D_ALLOW_HALF, ALL = BOTH | TCONV3D_ALLOW_MATRICES };
static uint64_t seed = 20261126;

/* Everything, on devices of every kind, and twins. */
static int set_up(void **state) {
  seed = rig_seed(seed);
  setenv("TCONV3D_FEATURES", "all,twins", 1);
  return rig_set_up(state);
}

static const t3_slot *slot_of(const struct rig *rig) {
  return t3_context_slot(rig->context, NULL);
}

/* ---- probes ---- */

static void twins_answer_every_probe(void **state) {
  for (int f = 0; f < T3_NUM_FEATURES; ++f) {
    char why[TCONV3D_FEATURE_REASON] = "";
    if (!t3_probe(slot_of(*state), (t3_feature)f, true, why, sizeof why))
      fail_msg("%s: %s", t3_feature_name((t3_feature)f), why);
  }
}

static void a_feature_is_there_or_has_a_reason(void **state) {
  const struct rig *rig = *state;
  tconv3d_feature feature, again;
  size_t count = 0;
  for (; tconv3d_feature_query(rig->context, NULL, count, &feature) == TCONV3D_OK && feature.name; ++count) {
    print_message("# feature %s: %s\n", feature.name, feature.there ? "there" : feature.reason);
    assert_string_equal(feature.name, t3_feature_name((t3_feature)count));
    assert_int_equal(feature.there, !*feature.reason);
    assert_ok(tconv3d_feature_query(rig->context, rig->device.device, count, &again));
    assert_memory_equal(&again, &feature, sizeof feature);
  }
  assert_int_equal(count, T3_NUM_FEATURES);
  rig_assert_refused(tconv3d_feature_query(NULL, NULL, 0, &feature), TCONV3D_INVALID_ARGUMENT, "context NULL", "context");
  rig_assert_refused(tconv3d_feature_query(rig->context, NULL, 0, NULL), TCONV3D_INVALID_ARGUMENT, "feature NULL", "feature");
}

/* A kernel that cannot be built here is an answer like any other. (Not tried: another vendor's assembly, at which compilers end
 * the process. That is why a platform's name is asked first.) */
static void what_cannot_be_built_is_absent_with_the_reason(void **state) {
  char why[TCONV3D_FEATURE_REASON] = "";
  const struct rig *rig = *state;
  if (t3_probe(slot_of(rig), T3_DPAS_16_F16, false, why, sizeof why)) skip();
  assert_true(*why != '\0');
  print_message("# %s\n", why);
}

/* ---- the variable ---- */

static tconv3d_desc layer_of(tconv3d_dtype dtype, tconv3d_dtype weights) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 24, desc.out_channels = 40, desc.dtype = dtype, desc.weight_dtype = weights;
  TCONV3D_ALL_AXES(desc.input_size, 4);
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  return desc;
}

/* The algorithm of an operation that multiplies tiles, and the multiplier of one of its variants. */
static const t3_algorithm *tiled_of(tconv3d_operation operation) {
  return t3_algorithm_named(operation == TCONV3D_GRAD_WEIGHT ? "tiled_gradient" : "tiled");
}

/* How many of its variants have this multiplier; kind -1: any but the portable one. */
static size_t listed(const t3_problem *problem, int kind, bool twin) {
  t3_candidate list[T3_MAX_VARIANTS];
  size_t count = t3_candidates(problem, tiled_of(problem->operation), list), found = 0;
  for (size_t i = 0; i < count; ++i) {
    int64_t number = t3_variant_multiplier(&list[i].variant);
    found += number && t3_is_twin(number) == twin && (kind < 0 || (int)t3_multiplier_of(number)->kind == kind);
  }
  return found;
}

static void the_variable_switches_features_off_and_wrong_words_are_refused(void **state) {
  const struct rig *rig = *state;
  struct asked asked = {.desc = layer_of(TCONV3D_F32, TCONV3D_F32), .reduced_precision = BOTH};
  tconv3d_plan *plan;
  static const char *const off[] = {"none", "none,none"};
  for (size_t i = 0; i < 2; ++i) {
    setenv("TCONV3D_FEATURES", off[i], 1);
    const t3_problem problem = problem_of(rig, &asked);
    assert_int_equal(problem.features, 0);
    assert_int_equal(listed(&problem, -1, false) + listed(&problem, -1, true), 0);
    tconv3d_feature feature;
    assert_ok(tconv3d_feature_query(rig->context, NULL, 0, &feature));
    assert_true(!feature.there && strstr(feature.reason, "TCONV3D_FEATURES"));
  }
  static const char *const wrong[] = {"subgroup", "mma,", ",all", "mma-", "All", " mma"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    setenv("TCONV3D_FEATURES", wrong[i], 1);
    rig_assert_refused(tconv3d_plan_create(rig->context, &asked.desc, NULL, &plan), TCONV3D_INVALID_PARAMETER,
                       "TCONV3D_FEATURES must none all", wrong[i]);
  }
  setenv("TCONV3D_FEATURES", "half,mma-tf32,twins", 1);
  t3_feature_set allowed;
  assert_ok(t3_features_allowed(CL_DEVICE_TYPE_CPU, &allowed));
  assert_int_equal(allowed, t3_feature_bit(T3_HALF) | t3_feature_bit(T3_MMA_TF32) | T3_TWINS);
  setenv("TCONV3D_FEATURES", "mma", 1);
  assert_ok(t3_features_allowed(CL_DEVICE_TYPE_CPU, &allowed));
  assert_int_equal(allowed, t3_feature_bit(T3_MMA_F16) | t3_feature_bit(T3_MMA_BF16) | t3_feature_bit(T3_MMA_TF32));
  unsetenv("TCONV3D_FEATURES");
  assert_ok(t3_features_allowed(CL_DEVICE_TYPE_CPU, &allowed));
  assert_int_equal(allowed, 0);
  assert_ok(t3_features_allowed(CL_DEVICE_TYPE_GPU, &allowed));
  assert_int_equal(allowed, T3_TWINS - 1);
  setenv("TCONV3D_FEATURES", "all,twins", 1);
}

/* ---- what is listed ---- */

static void each_multiplier_serves_its_types_and_asks_for_permission(void **state) {
  const struct rig *rig = *state;
  static const struct {
    tconv3d_dtype x, w;
    int permitted;
    bool fma, matrices, tf32, half;
    tconv3d_operation operation;
  } cases[] = {
      {TCONV3D_F32, TCONV3D_F32, 0, true, false, false, false, TCONV3D_FORWARD},
      {TCONV3D_F32, TCONV3D_F32, TCONV3D_ALLOW_TF32, true, false, true, false, TCONV3D_FORWARD},
      {TCONV3D_F32, TCONV3D_F32, TCONV3D_ALLOW_HALF, true, false, false, true, TCONV3D_FORWARD},
      {TCONV3D_F16, TCONV3D_F16, 0, true, false, false, false, TCONV3D_FORWARD},
      {TCONV3D_F16, TCONV3D_F16, TCONV3D_ALLOW_MATRICES, true, true, false, false, TCONV3D_FORWARD},
      {TCONV3D_BF16, TCONV3D_BF16, ALL, true, true, false, true, TCONV3D_FORWARD},
      {TCONV3D_F16, TCONV3D_F32, TCONV3D_ALLOW_MATRICES, true, false, false, false,
       TCONV3D_FORWARD}, /* w, of another type, may not be rounded */
      {TCONV3D_F16, TCONV3D_BF16, TCONV3D_ALLOW_TF32, true, false, true, false, TCONV3D_FORWARD},
      {TCONV3D_F64, TCONV3D_F64, ALL, false, false, false, false, TCONV3D_FORWARD},
      /* Its factors are x and gy: w's type is that of the result alone. */
      {TCONV3D_F16, TCONV3D_F32, TCONV3D_ALLOW_MATRICES, true, true, false, false, TCONV3D_GRAD_WEIGHT},
      {TCONV3D_F32, TCONV3D_F16, BOTH, true, false, true, true, TCONV3D_GRAD_WEIGHT},
      {TCONV3D_F64, TCONV3D_F64, ALL, false, false, false, false, TCONV3D_GRAD_WEIGHT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    if (cases[i].x == TCONV3D_F64 && !rig->device.float64) continue;
    struct asked asked = {.desc = layer_of(cases[i].x, cases[i].w), .reduced_precision = cases[i].permitted};
    asked.operation = cases[i].operation;
    const t3_problem problem = problem_of(rig, &asked);
    assert_int_equal(listed(&problem, T3_MULTIPLY_BROADCAST, true) > 0, cases[i].fma);
    assert_int_equal(listed(&problem, T3_MULTIPLY_MMA, true) > 0, cases[i].matrices);
    assert_int_equal(listed(&problem, T3_MULTIPLY_DPAS, true) > 0, cases[i].matrices);
    assert_int_equal(listed(&problem, T3_MULTIPLY_TF32, true) > 0, cases[i].tf32);
    assert_int_equal(listed(&problem, T3_MULTIPLY_HALF, true) > 0, cases[i].half);
  }
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  tconv3d_desc desc = layer_of(TCONV3D_F32, TCONV3D_F32);
  tconv3d_plan *plan;
  options.reduced_precision = 8;
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_INVALID_PARAMETER,
                     "options.reduced_precision 8", "an unknown permission");
}

/* On a GPU with all features the choice is a real one where it is best, and never a twin. */
static void twins_are_never_chosen(void **state) {
  const struct rig *rig = *state;
  for (int i = 0; i < 8; ++i) {
    const tconv3d_dtype dtype = (tconv3d_dtype)(i % 4);
    if (dtype == TCONV3D_F64) continue;
    struct asked asked = {.desc = layer_of(dtype, dtype), .reduced_precision = ALL};
    asked.operation = i / 4 ? TCONV3D_GRAD_WEIGHT : TCONV3D_FORWARD;
    asked.desc.batch = 16, asked.desc.in_channels = asked.desc.out_channels = 128;
    TCONV3D_ALL_AXES(asked.desc.input_size, 16);
    t3_problem problem = problem_of(rig, &asked);
    problem.device.type = CL_DEVICE_TYPE_GPU, problem.device.compute_units = 60;
    problem.device.local_bytes = 1 << 16, problem.device.work_group_size = 1024, problem.device.quirks = 0;
    for (int real = 0; real < 2; ++real) {
      t3_candidate chosen;
      t3_text explanation = {0};
      problem.features = T3_TWINS | (real ? T3_TWINS - 1 : 0);
      assert_ok(t3_choose(&problem, NULL, tiled_of(problem.operation)->name, NULL, &chosen, &explanation));
      t3_text_free(&explanation);
      assert_false(t3_is_twin(t3_variant_multiplier(&chosen.variant)));
      if (!real) assert_int_equal(t3_variant_multiplier(&chosen.variant), 0);
      if (real) assert_true(t3_multiplier_of(t3_variant_multiplier(&chosen.variant))->matrix_m > 0);
    }
  }
}

/* ---- results ---- */

static const struct layer_row rows[] = {
    {2, 20, 40, 1, {2, 3, 11}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
    {3, 9, 33, 1, {1, 2, 5}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}},    /* kernel = stride */
    {1, 37, 130, 1, {2, 3, 50}, {1, 3, 2}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}}, /* more than a tile, of channels too */
    {2, 6, 18, 2, {2, 3, 7}, {3, 2, 4}, {3, 1, 4}, {1, 0, 2}, {1, 1, 1}},    /* groups, a few taps at once */
    {1, 33, 20, 1, {2, 3, 6}, {2, 3, 3}, {2, 2, 2}, {0, 2, 1}, {2, 2, 3}},   /* dilation, phases without a tap */
    {1, 3, 12, 1, {2, 3, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},    /* several taps of few channels */
    {1, 70, 34, 1, {2, 3, 9}, {1, 2, 2}, {1, 2, 1}, {0, 0, 1}, {1, 1, 1}},   /* more than a tile of input channels */
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Types that the multiplier takes, any layouts, epilogue and beta. */
static void vary(struct rng *rng, const t3_multiplier *multiplier, struct asked *asked) {
  static const tconv3d_dtype any[][2] = {
      {TCONV3D_F32, TCONV3D_F32}, {TCONV3D_F16, TCONV3D_F32}, {TCONV3D_F32, TCONV3D_BF16}, {TCONV3D_BF16, TCONV3D_F16}};
  static const enum view_kind kinds[] = {VIEW_DENSE, VIEW_LAST, VIEW_ANY, VIEW_LAST_PADDED};
  const bool finishes = asked->operation == TCONV3D_FORWARD || asked->operation == TCONV3D_CONVOLUTION;
  const int64_t pair = rng_between(rng, 0, 3);
  tconv3d_dtype both = pair % 2 ? TCONV3D_F16 : TCONV3D_BF16;
  asked->desc.dtype = multiplier->word_terms == 2 ? both : any[pair][0];
  asked->desc.weight_dtype = multiplier->word_terms == 2 ? both : any[pair][1];
  asked->reduced_precision = multiplier->permission;
  struct view_kinds views = {kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)]};
  views_random(rng, rng, &asked->desc, asked->operation, views);
  asked->beta = rng_between(rng, 0, 3) ? 0 : 0.5;
  if (!finishes || rng_between(rng, 0, 1)) return;
  asked->epilogue.activation = rng_between(rng, 0, 1) ? TCONV3D_PRELU : TCONV3D_NO_ACTIVATION;
  asked->epilogue.affine = (int)rng_between(rng, 0, 2);
  asked->epilogue.residual = rng_between(rng, 0, 1) ? 0.5 : 0;
}

static bool has_epilogue(const tconv3d_epilogue *e) {
  return e->activation || e->affine || e->residual != 0;
}

/* Of the variants that have this multiplier one, or all; how many there were. */
static size_t check_layer(const struct rig *rig, const struct asked *plain, int64_t number, struct rng *rng) {
  t3_candidate list[T3_MAX_VARIANTS];
  struct asked asked = *plain;
  vary(rng, t3_multiplier_of(number), &asked);
  const t3_problem problem = problem_of(rig, &asked);
  size_t count = t3_candidates(&problem, tiled_of(problem.operation), list), found = 0;
  for (size_t i = 0; i < count; ++i)
    if (t3_variant_multiplier(&list[i].variant) == number) list[found++] = list[i];
  bool every = rig_number("TCONV3D_TEST_EVERY", 0) == 1;
  size_t first = found && !every ? (size_t)rng_between(rng, 0, (int64_t)found - 1) : 0;
  for (size_t i = first; i < (every ? found : found ? first + 1 : 0); ++i) {
    asked.candidate = &list[i];
    asked.values = VALUES_INTEGER;
    assert_non_null(call_check(rig, &asked));
    asked.values = VALUES_UNIFORM;
    if (!has_epilogue(&asked.epilogue)) assert_non_null(call_check(rig, &asked));
  }
  return found;
}

/* What is computed, and by how many layers for each multiplier: kernels take long to compile. */
static const struct work {
  tconv3d_operation operations[4];
  size_t layers;
} of_layers = {{TCONV3D_FORWARD, TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION}, 2},
  of_weights = {{TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_WEIGHT}, 1};

static void check_multipliers(const struct rig *rig, const struct work *work, bool twin) {
  const tconv3d_operation *operations = work->operations;
  const size_t layers = work->layers > 1 ? work->layers / rig_step(2) : 1;
  const bool every = rig_number("TCONV3D_TEST_EVERY", 0) == 1;
  for (int m = 1; m < T3_MULTIPLIERS; ++m) {
    const int64_t number = t3_multiplier_number(m, twin);
    size_t checked = 0;
    for (size_t turn = 0; turn < ROWS && (every || checked < layers); ++turn) {
      const size_t i = (turn + (size_t)m) % ROWS;
      struct rng rng = {seed + i + 100 * (uint64_t)m};
      struct asked asked = {.desc = layer_of_row(&rows[i]), .operation = operations[(i + (size_t)m) % 4], .seed = seed + i};
      asked.desc.has_bias = asked.operation == TCONV3D_FORWARD || asked.operation == TCONV3D_CONVOLUTION;
      if (asked.operation == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
      checked += check_layer(rig, &asked, number, &rng) > 0;
    }
    const char *name = tiled_of(operations[0])->name;
    print_message("# %s, multiplier %d%s: %s: %zu layers\n", name, m, twin ? ", twin" : "", t3_multipliers[m].words, checked);
    if (twin) assert_true(checked >= layers);
  }
}

static void twins_are_right(void **state) {
  check_multipliers(*state, &of_layers, true);
}

static void twins_are_right_in_the_gradient_of_the_weight(void **state) {
  check_multipliers(*state, &of_weights, true);
}

static void what_the_device_has_is_right(void **state) {
  check_multipliers(*state, &of_layers, false);
  check_multipliers(*state, &of_weights, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(twins_answer_every_probe),
      cmocka_unit_test(a_feature_is_there_or_has_a_reason),
      cmocka_unit_test(what_cannot_be_built_is_absent_with_the_reason),
      cmocka_unit_test(the_variable_switches_features_off_and_wrong_words_are_refused),
      cmocka_unit_test(each_multiplier_serves_its_types_and_asks_for_permission),
      cmocka_unit_test(twins_are_never_chosen),
      cmocka_unit_test(twins_are_right),
      cmocka_unit_test(twins_are_right_in_the_gradient_of_the_weight),
      cmocka_unit_test(what_the_device_has_is_right),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
