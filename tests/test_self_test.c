/* test_self_test.c: a program that computes wrong values is found before a plan relies on it, is dropped, and the next
 * algorithm serves; what passed is not tested again. Programs are spoilt by their source, as a driver's compiler might spoil
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/quirks.h"
#include "plan/plan.h"
#include "support/faults.h"
#include "support/layers.h"
#include "support/rig.h"
#include "support/scratch.h"

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 4, desc.out_channels = 6;
  desc.input_size[0] = 5, desc.input_size[1] = 6, desc.input_size[2] = 40;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  return desc;
}

/* A task is refused where loops end early. What CLBlast computes wrongly test_products has: here each context would have it
 * compile again. */
static bool is_served(const struct rig *rig, size_t algorithm) {
  const char *name = tconv3d_algorithm_name(algorithm);
  if (!strcmp(name, "pipeline")) return !t3_has_quirk(&rig->device, T3_FEW_ROUNDS);
  return strcmp(name, "gemm") != 0;
}

static tconv3d_operation operation_of(size_t algorithm) {
  static const tconv3d_operation operations[] = {
      [T3_LAYER] = TCONV3D_FORWARD, [T3_WEIGHT_GRADIENT] = TCONV3D_GRAD_WEIGHT, [T3_BIAS_GRADIENT] = TCONV3D_GRAD_BIAS};
  return operations[t3_algorithm_at(algorithm)->serves];
}

static tconv3d_context *new_context(const struct rig *rig) {
  tconv3d_context *context;
  faults_clear();
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  return context;
}

static tconv3d_status make_plan(tconv3d_context *context, const char *algorithm, tconv3d_operation operation, int self_test,
                                tconv3d_plan **plan) {
  tconv3d_desc desc = make_layer();
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm, options.operation = operation, options.self_test = self_test;
  return tconv3d_plan_create(context, &desc, &options, plan);
}

static void every_spoilt_program_is_found(void **state) {
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    const t3_algorithm *algorithm = t3_algorithm_at(i);
    if (!is_served(*state, i)) continue;
    tconv3d_context *context = new_context(*state);
    tconv3d_plan *plan = NULL;
    char spoilt[64];
    snprintf(spoilt, sizeof spoilt, ",%s,", algorithm->program);
    faults.wrong = spoilt;
    rig_assert_refused(make_plan(context, algorithm->name, operation_of(i), 1, &plan), TCONV3D_WRONG_RESULT,
                       "failed its self-test: y[ instead of", algorithm->name);
    assert_non_null(strstr(tconv3d_message(), algorithm->name));
    assert_null(plan);
    tconv3d_context_destroy(context);
  }
}

static void without_the_test_a_spoilt_program_is_believed(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  faults.wrong = ",phase,";
  assert_ok(make_plan(context, "phase", TCONV3D_FORWARD, -1, &plan));
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

/* y of an automatic plan, which must be right. */
static void check_forward(const tconv3d_plan *plan) {
  tconv3d_desc desc = make_layer();
  tconv3d_weights *weights;
  int64_t shape[5];
  assert_ok(tconv3d_output_shape(&desc, shape));
  size_t in = 4 * 5 * 6 * 40, w_count = 4 * 6 * 27, out = (size_t)(shape[1] * shape[2] * shape[3] * shape[4]);
  float *x = malloc(in * sizeof *x), *w = malloc(w_count * sizeof *w), b[6] = {1, 2, 3, 4, 5, 6};
  float *y = malloc(out * sizeof *y), *expected = malloc(out * sizeof *expected);
  assert_true(x && w && y && expected);
  for (size_t i = 0; i < in; ++i) x[i] = (float)(i % 11) - 5;
  for (size_t i = 0; i < w_count; ++i) w[i] = (float)(i % 7) - 3;
  assert_ok(tconv3d_reference_forward(&desc, x, w, b, expected));
  assert_ok(tconv3d_weights_create_host(plan, w, b, &weights));
  assert_ok(tconv3d_run(plan, weights, x, y));
  for (size_t i = 0; i < out; ++i) assert_true(y[i] == expected[i]); /* a zero may have either sign */
  tconv3d_weights_destroy(weights);
  free(x), free(w), free(y), free(expected);
}

static void a_wrong_kernel_is_dropped_and_the_next_serves(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan, *first, *again;
  tconv3d_plan_info info;
  assert_ok(make_plan(context, NULL, TCONV3D_FORWARD, 1, &first));
  assert_ok(tconv3d_plan_query(first, &info));
  char spoilt[64], dropped[64];
  snprintf(spoilt, sizeof spoilt, ",%s,", info.algorithm);
  snprintf(dropped, sizeof dropped, "%s ", info.algorithm);
  tconv3d_context *other = new_context(*state);
  faults.wrong = spoilt;
  assert_ok(make_plan(other, NULL, TCONV3D_FORWARD, 1, &plan));
  const char *why = tconv3d_plan_explain(plan);
  assert_non_null(strstr(why, dropped));
  assert_non_null(strstr(why, "failed its self-test: y["));
  assert_non_null(strstr(why, ": dropped\n"));
  const char *instead = plan->chosen.algorithm->name;
  assert_string_not_equal(instead, info.algorithm);
  check_forward(plan);
  /* The next plan of the layer does not try it again. */
  int builds = faults.builds;
  assert_ok(make_plan(other, NULL, TCONV3D_FORWARD, 1, &again));
  assert_string_equal(again->chosen.algorithm->name, instead);
  assert_null(strstr(tconv3d_plan_explain(again), "dropped"));
  assert_int_equal(faults.builds, builds);
  check_forward(again);
  tconv3d_plan_destroy(first), tconv3d_plan_destroy(plan), tconv3d_plan_destroy(again);
  tconv3d_context_destroy(context), tconv3d_context_destroy(other);
}

static void when_all_are_wrong_the_error_lists_them(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  char all[512] = ",";
  for (size_t i = 0; t3_algorithm_at(i); ++i) strcat(strcat(all, t3_algorithm_at(i)->program), ",");
  faults.wrong = all;
  rig_assert_refused(make_plan(context, NULL, TCONV3D_FORWARD, 1, &plan), TCONV3D_WRONG_RESULT, "candidates were tried", "all");
  for (size_t i = 0; t3_algorithm_at(i); ++i)
    if (t3_algorithm_at(i)->serves == T3_LAYER && is_served(*state, i))
      assert_non_null(strstr(tconv3d_message(), t3_algorithm_at(i)->name));
  assert_null(plan);
  tconv3d_context_destroy(context);
}

static void what_passed_is_not_tested_again(void **state) {
  struct scratch here;
  char cache[SCRATCH_PATH];
  scratch_open(&here);
  char *before = getenv("TCONV3D_CACHE_DIR") ? strdup(getenv("TCONV3D_CACHE_DIR")) : NULL;
  setenv("TCONV3D_CACHE_DIR", scratch_path(&here, "cache", cache), 1);
  int launches[2][2];
  for (int process = 0; process < 2; ++process) {
    tconv3d_context *context = new_context(*state);
    tconv3d_plan *plan;
    for (int turn = 0; turn < 2; ++turn) {
      faults.launches = 0;
      assert_ok(make_plan(context, "direct", TCONV3D_FORWARD, 1, &plan));
      launches[process][turn] = faults.launches;
      tconv3d_plan_destroy(plan);
    }
    tconv3d_context_destroy(context);
  }
  if (before) setenv("TCONV3D_CACHE_DIR", before, 1);
  free(before);
  scratch_close(&here);
  assert_int_equal(launches[0][0], 4); /* two kernels, each run without work and with known values */
  assert_int_equal(launches[0][1], 0);
  assert_int_equal(launches[1][0], 2); /* from the cache: without work alone */
  assert_int_equal(launches[1][1], 0);
}

static void the_variable_and_the_option_switch_it(void **state) {
  static const struct {
    const char *variable;
    int option, launches; /* of direct's two kernels, each run without work at least */
  } rows[] = {{NULL, 0, 4}, {"1", 0, 4}, {"0", 0, 2}, {"0", 1, 4}, {"1", -1, 2}, {NULL, -1, 2}, {"", 1, 4}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_context *context = new_context(*state);
    tconv3d_plan *plan;
    if (rows[i].variable)
      setenv("TCONV3D_SELF_TEST", rows[i].variable, 1);
    else
      unsetenv("TCONV3D_SELF_TEST");
    assert_ok(make_plan(context, "direct", TCONV3D_FORWARD, rows[i].option, &plan));
    assert_int_equal(faults.launches, rows[i].launches);
    tconv3d_plan_destroy(plan);
    tconv3d_context_destroy(context);
  }
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  for (size_t i = 0; i < 3; ++i) {
    setenv("TCONV3D_SELF_TEST", (const char *[]){"", "2", "yes"}[i], 1);
    rig_assert_refused(make_plan(context, NULL, TCONV3D_FORWARD, 0, &plan), TCONV3D_INVALID_PARAMETER, "TCONV3D_SELF_TEST 0 1",
                       "variable");
  }
  unsetenv("TCONV3D_SELF_TEST");
  rig_assert_refused(make_plan(context, NULL, TCONV3D_FORWARD, 2, &plan), TCONV3D_INVALID_PARAMETER, "self_test 2 -1, 0 or 1",
                     "option");
  tconv3d_context_destroy(context);
}

/* A layer whose images lie apart and whose rows do, too, x mirrored along H. */
static void stride_layer(tconv3d_desc *desc) {
  const int64_t x[] = {4 * 5 * 6 * 50, 5 * 6 * 50, 6 * 50, -50, 1}, y[] = {6 * 9 * 11 * 90, 9 * 11 * 90, 11 * 90, 90, 1};
  desc->batch = 3, desc->x_layout = desc->y_layout = TCONV3D_STRIDED;
  memcpy(desc->x_strides, x, sizeof x), memcpy(desc->y_strides, y, sizeof y);
}

static void check_kind(const struct rig *rig, const char *kind, const tconv3d_desc *desc, tconv3d_plan_options options) {
  options.self_test = 1;
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    if (!strcmp(t3_algorithm_at(i)->name, "gemm")) continue;
    tconv3d_context *context = new_context(rig);
    tconv3d_plan *plan = NULL;
    options.algorithm = t3_algorithm_at(i)->name;
    tconv3d_status status = tconv3d_plan_create(context, desc, &options, &plan);
    if (status != TCONV3D_OK && status != TCONV3D_UNSUPPORTED)
      fail_msg("%s by %s: %s", kind, options.algorithm, tconv3d_message());
    const char *why = tconv3d_plan_explain(plan);
    if (strstr(why, "not self-tested") || strstr(why, "dropped")) fail_msg("%s by %s: %s", kind, options.algorithm, why);
    tconv3d_plan_destroy(plan);
    tconv3d_context_destroy(context);
  }
}

/* Each program is tested, by every algorithm that serves the layer. */
static void layers_of_every_kind_are_tested_and_pass(void **state) {
  const struct rig *rig = *state;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT, gradient = options;
  tconv3d_desc desc = make_layer(), strided = make_layer();
  stride_layer(&strided);
  check_kind(rig, "strided", &strided, options);
  tconv3d_desc repeated = make_layer(); /* elements of w share places */
  const int64_t w[] = {3, 0, 14, 1, 0};
  repeated.w_layout = TCONV3D_STRIDED;
  memcpy(repeated.w_strides, w, sizeof w);
  check_kind(rig, "repeated weights", &repeated, options);
  gradient.operation = TCONV3D_GRAD_WEIGHT;
  check_kind(rig, "strided gradient", &strided, gradient);
  gradient.operation = TCONV3D_GRAD_BIAS;
  check_kind(rig, "strided bias", &strided, gradient);
  desc.x_layout = desc.y_layout = TCONV3D_CHANNELS_LAST;
  check_kind(rig, "channels last", &desc, options);
  /* Whose values are prefetched: also a smaller layer's by the same program. */
  const struct layer_row images = {8, 12, 16, 1, {4, 32, 48}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
  desc = layer_of_row(&images);
  check_kind(rig, "many images", &desc, options);
  const int64_t crop[] = {17 * 33 * 34 * 36, 1, 33 * 34 * 36, 34 * 36, 36};
  const struct layer_row cropped = {4, 32, 16, 1, {16, 32, 32}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}};
  desc = layer_of_row(&cropped);
  desc.x_layout = TCONV3D_STRIDED;
  memcpy(desc.x_strides, crop, sizeof crop);
  check_kind(rig, "a channels-last crop", &desc, options);
  desc = make_layer(), desc.dtype = TCONV3D_F16, desc.weight_dtype = TCONV3D_BF16;
  gradient.operation = TCONV3D_GRAD_WEIGHT;
  check_kind(rig, "float16", &desc, gradient);
  desc.dtype = TCONV3D_BF16, gradient.operation = TCONV3D_GRAD_INPUT;
  check_kind(rig, "bfloat16", &desc, gradient);
  desc = make_layer(), options.epilogue = (tconv3d_epilogue){TCONV3D_PRELU, 1, 0, 0, 0.5}, options.beta = 0.75;
  check_kind(rig, "PReLU", &desc, options);
  options.epilogue = (tconv3d_epilogue){TCONV3D_GELU, 2, 0, 0, 0}, options.operation = TCONV3D_CONVOLUTION;
  check_kind(rig, "GELU", &desc, options);
  desc.groups = 2, desc.input_size[2] = 100, gradient.operation = TCONV3D_GRAD_WEIGHT;
  TCONV3D_ALL_AXES(desc.dilation, 2);
  desc.dtype = desc.weight_dtype = rig->device.float64 ? TCONV3D_F64 : TCONV3D_F32;
  check_kind(rig, "grouped", &desc, gradient);
}

int main(void) {
  setenv("TCONV3D_CACHE_DIR", "/dev/null", 1); /* spoilt programs must not get into a cache */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_spoilt_program_is_found),
      cmocka_unit_test(without_the_test_a_spoilt_program_is_believed),
      cmocka_unit_test(a_wrong_kernel_is_dropped_and_the_next_serves),
      cmocka_unit_test(when_all_are_wrong_the_error_lists_them),
      cmocka_unit_test(what_passed_is_not_tested_again),
      cmocka_unit_test(the_variable_and_the_option_switch_it),
      cmocka_unit_test(layers_of_every_kind_are_tested_and_pass),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
