/* Tuning on a device: what is measured, what it leaves behind, and that results stay right. Times themselves are not judged. */
#include "support/store_place.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/choose.h"
#include "plan/plan.h"
#include "plan/shortlist.h"
#include "tune/tuning.h"

static tconv3d_device_info device;

static int select_device(void **state) {
  (void)state;
  return tconv3d_device_select(NULL, &device) == TCONV3D_OK ? 0 : -1;
}

static tconv3d_context *new_context(const char *cache) {
  tconv3d_context *context;
  setenv("TCONV3D_CACHE_DIR", cache, 1);
  assert_int_equal(tconv3d_context_create(&device.device, 1, &context), TCONV3D_OK);
  return context;
}

static tconv3d_desc small_desc(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2, desc.in_channels = 2, desc.out_channels = 4;
  desc.input_size[0] = 2, desc.input_size[1] = 3, desc.input_size[2] = 5;
  desc.kernel_size[0] = 1, desc.kernel_size[1] = 2, desc.kernel_size[2] = 3;
  return desc;
}

static tconv3d_tune_options quick(size_t candidates) {
  tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
  options.seconds = 0.001, options.max_candidates = candidates;
  return options;
}

static size_t stored_tunings(void) {
  tconv3d_cache_info info;
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  return (size_t)info.tunings;
}

/* The layer as the plan computes it, on whole numbers, which are exact. */
static void check_result(const tconv3d_desc *desc, const tconv3d_plan *plan) {
  tconv3d_plan_info info;
  tconv3d_weights *weights;
  float b[16];
  assert_int_equal(tconv3d_plan_query(plan, &info), TCONV3D_OK);
  float *x = malloc(info.x_bytes), *w = malloc(info.w_bytes), *y = malloc(info.y_bytes), *expected = malloc(info.y_bytes);
  assert_true(x && w && y && expected);
  for (size_t i = 0; i < info.x_bytes / sizeof *x; ++i) x[i] = (float)(i % 7) - 3;
  for (size_t i = 0; i < info.w_bytes / sizeof *w; ++i) w[i] = (float)(i % 5) - 2;
  for (size_t i = 0; i < 16; ++i) b[i] = (float)i;
  assert_int_equal(tconv3d_weights_create_host(plan, w, desc->has_bias ? b : NULL, &weights), TCONV3D_OK);
  assert_int_equal(tconv3d_run(plan, weights, x, y), TCONV3D_OK);
  assert_int_equal(tconv3d_reference_forward(desc, x, w, b, expected), TCONV3D_OK);
  assert_memory_equal(y, expected, info.y_bytes);
  tconv3d_weights_destroy(weights);
  free(x), free(w), free(y), free(expected);
}

static void tune_and_check(tconv3d_context *context, const tconv3d_desc *desc) {
  tconv3d_tune_options options = quick(3);
  tconv3d_tune_result result;
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_tune(context, desc, &options, &result), TCONV3D_OK);
  assert_true(result.measured >= 1 && result.measured + result.skipped <= 3);
  assert_true(result.seconds > 0 && result.seconds <= result.predicted_seconds);
  assert_int_equal(strncmp(result.winner, result.algorithm, strlen(result.algorithm)), 0);
  assert_int_equal(result.stored, context->store != NULL);
  assert_int_equal(tconv3d_plan_create(context, desc, NULL, &plan), TCONV3D_OK);
  assert_int_equal(strstr(tconv3d_plan_explain(plan), "chosen as tuned (measured ") != NULL, result.stored);
  t3_text name = {0};
  t3_tuning_name(plan->chosen.algorithm->name, &plan->chosen.variant, &name);
  assert_string_equal(name.data, result.stored ? result.winner : result.predicted);
  t3_text_free(&name);
  check_result(desc, plan);
  tconv3d_plan_destroy(plan);
}

static void tuned_layers_compute_what_they_did(void **state) {
  const place *here = *state;
  if (without_sqlite()) skip();
  tconv3d_context *context = new_context(here->cache);
  tconv3d_desc descs[3] = {small_desc(), small_desc(), small_desc()};
  TCONV3D_ALL_AXES(descs[1].stride, 2);
  descs[1].groups = 2, descs[1].has_bias = 0;
  TCONV3D_ALL_AXES(descs[2].dilation, 2);
  TCONV3D_ALL_AXES(descs[2].padding, 1);
  for (size_t i = 0; i < 3; ++i) {
    descs[i].input_size[0] = 3;
    tune_and_check(context, &descs[i]);
    assert_int_equal(stored_tunings(), i + 1);
  }
  tune_and_check(context, &descs[0]); /* again: it replaces the first */
  assert_int_equal(stored_tunings(), 3);
  tconv3d_context_destroy(context);
}

static void without_a_cache_tuning_measures_and_says_that_nothing_is_stored(void **state) {
  (void)state;
  tconv3d_context *context = new_context("/dev/null/nowhere");
  tconv3d_desc desc = small_desc();
  assert_null(context->store);
  tune_and_check(context, &desc);
  tconv3d_tune_options options = quick(1);
  options.device = device.device;
  assert_int_equal(tconv3d_tune(context, &desc, &options, NULL), TCONV3D_OK);
  tconv3d_context_destroy(context);
}

/* What a progress callback saw, and when it is to cancel. */
struct watch {
  size_t calls, done, total, cancel_at;
  bool orderly;
};

static int watch_progress(size_t done, size_t total, void *user) {
  struct watch *watch = user;
  watch->orderly = watch->orderly && done <= total && (!watch->calls || (done >= watch->done && total == watch->total));
  watch->done = done, watch->total = total;
  return ++watch->calls == watch->cancel_at;
}

static void progress_goes_from_nothing_to_all_and_may_cancel(void **state) {
  const place *here = *state;
  tconv3d_context *context = new_context(here->cache);
  tconv3d_desc desc = small_desc();
  tconv3d_tune_options options = quick(2);
  tconv3d_tune_result untouched = {.measured = 77};
  struct watch watch = {.orderly = true};
  options.progress = watch_progress, options.user = &watch;
  static const size_t cancel_at[] = {1, 2, 3, 5};
  for (size_t i = 0; i < sizeof cancel_at / sizeof *cancel_at; ++i) {
    watch = (struct watch){.orderly = true, .cancel_at = cancel_at[i]};
    assert_int_equal(tconv3d_tune(context, &desc, &options, &untouched), TCONV3D_CANCELLED);
    assert_int_equal(watch.calls, cancel_at[i]);
    assert_int_equal(stored_tunings(), 0);
    assert_int_equal(untouched.measured, 77);
  }
  watch = (struct watch){.orderly = true};
  assert_int_equal(tconv3d_tune(context, &desc, &options, NULL), TCONV3D_OK);
  assert_true(watch.orderly && watch.calls > 4);
  assert_int_equal(watch.done, watch.total);
  assert_int_equal(stored_tunings(), without_sqlite() ? 0 : 1);
  tconv3d_context_destroy(context);
}

static void the_losers_programs_stay_out_of_the_context_and_the_cache(void **state) {
  const place *here = *state;
  if (without_sqlite()) skip();
  tconv3d_context *context = new_context(here->cache);
  tconv3d_desc desc = small_desc();
  tconv3d_tune_options options = quick(2);
  tconv3d_cache_info info;
  assert_int_equal(tconv3d_tune(context, &desc, &options, NULL), TCONV3D_OK);
  assert_null(context->programs);
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_int_equal(info.entries, 1);
  assert_int_equal(info.tunings, 1);
  tconv3d_context_destroy(context);
}

static void the_shortlist_begins_with_the_prediction_and_has_every_near_algorithm(void **state) {
  (void)state;
  tconv3d_desc desc = small_desc();
  t3_problem problem;
  t3_slot slot = {.info = device};
  t3_candidate predicted, *list;
  t3_text explanation = {0};
  assert_int_equal(t3_problem_init(&slot, &(t3_request){.desc = &desc}, &problem), TCONV3D_OK);
  assert_int_equal(t3_choose(&problem, NULL, NULL, NULL, &predicted, &explanation), TCONV3D_OK);
  t3_text_free(&explanation);
  for (size_t most = 1; most <= 12; ++most) {
    size_t count;
    assert_int_equal(t3_shortlist(&problem, most, &list, &count), TCONV3D_OK);
    assert_true(count >= 1 && count <= most);
    assert_ptr_equal(list[0].algorithm, predicted.algorithm);
    assert_memory_equal(&list[0].variant, &predicted.variant, sizeof predicted.variant);
    for (size_t i = 0; i < count; ++i) {
      assert_true(t3_candidate_fits(&problem, &list[i]));
      assert_true(list[i].seconds <= 4 * list[0].seconds);
      for (size_t k = 0; k < i; ++k)
        assert_true(list[i].algorithm != list[k].algorithm || memcmp(&list[i].variant, &list[k].variant, sizeof(t3_variant)));
    }
    free(list);
  }
}

static void a_success_leaves_the_threads_message(void **state) {
  const place *here = *state;
  tconv3d_context *context = new_context(here->cache);
  tconv3d_desc desc = small_desc();
  tconv3d_tune_options options = quick(1);
  assert_int_equal(tconv3d_cache_query(NULL), TCONV3D_INVALID_ARGUMENT);
  assert_int_equal(tconv3d_tune(context, &desc, &options, NULL), TCONV3D_OK);
  assert_non_null(strstr(tconv3d_message(), "tconv3d_cache_query"));
  tconv3d_context_destroy(context);
}

static void wrong_wishes_are_refused_by_name(void **state) {
  const place *here = *state;
  tconv3d_context *context = new_context(here->cache);
  const tconv3d_desc good = small_desc();
  tconv3d_desc empty = good, wrong = good, mixed = good;
  empty.batch = 0, wrong.stride[1] = 0, mixed.dtype = TCONV3D_F64;
  const struct {
    const tconv3d_desc *desc;
    size_t struct_size, candidates;
    double seconds;
    cl_device_id device;
    tconv3d_status status;
    const char *word;
  } rows[] = {
      {&good, 3, 1, 0.1, NULL, TCONV3D_INVALID_ARGUMENT, "struct_size"},
      {&good, 0, 0, 0.1, NULL, TCONV3D_INVALID_ARGUMENT, "max_candidates"},
      {&good, 0, 1, 0, NULL, TCONV3D_INVALID_ARGUMENT, "seconds"},
      {&good, 0, 1, -1, NULL, TCONV3D_INVALID_ARGUMENT, "seconds"},
      {&good, 0, 1, (double)NAN, NULL, TCONV3D_INVALID_ARGUMENT, "seconds"},
      {&good, 0, 1, (double)INFINITY, NULL, TCONV3D_INVALID_ARGUMENT, "seconds"},
      {&good, 0, 1, 0.1, (cl_device_id)&wrong, TCONV3D_INVALID_ARGUMENT, "device"},
      {NULL, 0, 1, 0.1, NULL, TCONV3D_INVALID_ARGUMENT, "desc"},
      {&empty, 0, 1, 0.1, NULL, TCONV3D_INVALID_PARAMETER, "batch"},
      {&wrong, 0, 1, 0.1, NULL, TCONV3D_INVALID_PARAMETER, "stride"},
      {&mixed, 0, 1, 0.1, NULL, TCONV3D_INVALID_PARAMETER, "dtype"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
    if (rows[i].struct_size) options.struct_size = rows[i].struct_size;
    options.seconds = rows[i].seconds, options.max_candidates = rows[i].candidates, options.device = rows[i].device;
    assert_int_equal(tconv3d_tune(context, rows[i].desc, &options, NULL), rows[i].status);
    if (!strstr(tconv3d_message(), rows[i].word)) fail_msg("row %zu: no '%s' in: %s", i, rows[i].word, tconv3d_message());
  }
  assert_int_equal(tconv3d_tune(NULL, &good, NULL, NULL), TCONV3D_INVALID_ARGUMENT);
  tconv3d_context_destroy(context);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(tuned_layers_compute_what_they_did),
      STORE_TEST(without_a_cache_tuning_measures_and_says_that_nothing_is_stored),
      STORE_TEST(progress_goes_from_nothing_to_all_and_may_cancel),
      STORE_TEST(the_losers_programs_stay_out_of_the_context_and_the_cache),
      STORE_TEST(the_shortlist_begins_with_the_prediction_and_has_every_near_algorithm),
      STORE_TEST(a_success_leaves_the_threads_message),
      STORE_TEST(wrong_wishes_are_refused_by_name),
  };
  return cmocka_run_group_tests_name("tune", tests, select_device, NULL);
}
