/* What the library does around CLBlast, with one in its place that fails, is slow or wrong as a test wants: the other
 * algorithms serve, nothing is left behind, parameters are told once, the search takes the best. */
#include "support/store_place.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clblast_c.h>

#include "blas/blas.h"
#include "plan/plan.h"
#include "support/fake_clblast.h"
#include "support/rig.h"
#include "support/whole.h"
#include "tune/blas_tuning.h"
#include "tune/tuning.h"

static tconv3d_device_info device;

static int select_device(void **state) {
  (void)state;
  return tconv3d_device_select(getenv("TCONV3D_TEST_DEVICE"), &device) == TCONV3D_OK ? 0 : -1;
}

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2, desc.in_channels = 3, desc.out_channels = 4;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 3 + a, desc.kernel_size[a] = 3, desc.stride[a] = 2, desc.padding[a] = 1;
  desc.has_bias = 1;
  return desc;
}

/* A cache in the place of the test, and what CLBlast is. */
static tconv3d_context *open_context(const place *here) {
  tconv3d_context *context;
  setenv("TCONV3D_CACHE_DIR", here->cache, 1);
  fake_reset();
  assert_ok(tconv3d_context_create(&device.device, 1, &context));
  return context;
}

static tconv3d_status make_plan(tconv3d_context *context, const char *algorithm, int allow, tconv3d_plan **plan) {
  tconv3d_desc desc = make_layer();
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm, options.allow_clblast = allow;
  return tconv3d_plan_create(context, &desc, &options, plan);
}

static void check(const tconv3d_plan *plan) {
  tconv3d_desc desc = make_layer();
  assert_ok(whole_run(plan, &desc, TCONV3D_FORWARD, 0));
}

static const char *algorithm_of(const tconv3d_plan *plan) {
  tconv3d_plan_info info;
  assert_ok(tconv3d_plan_query(plan, &info));
  return info.algorithm;
}

static int count_queues(tconv3d_context *context) {
  tconv3d_context_destroy(context);
  return fake.queues;
}

/* The layer's tuning says gemm. */
static void tune_for_gemm(tconv3d_context *context) {
  tconv3d_plan *plan;
  if (!context->store) skip();
  assert_ok(make_plan(context, "gemm", 0, &plan));
  t3_tuning tuning = {.algorithm = "gemm", .variant = plan->chosen.variant, .nanoseconds = 1};
  assert_true(t3_tuning_keep(context->store, &plan->problem, &tuning));
  tconv3d_plan_destroy(plan);
  t3_blas_forget();
}

/* ---- choice ---- */

static void prediction_passes_over_it_unless_allowed_and_a_tuning_does_not(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_plan *plan;
  assert_ok(make_plan(context, NULL, 0, &plan));
  assert_non_null(strstr(tconv3d_plan_explain(plan), "gemm: not applicable: CLBlast compiles for long:"));
  assert_int_equal(fake.products, 0);
  tconv3d_plan_destroy(plan);
  assert_ok(make_plan(context, NULL, 1, &plan));
  assert_non_null(strstr(tconv3d_plan_explain(plan), "gemm: predicted"));
  tconv3d_plan_destroy(plan);
  tune_for_gemm(context);
  assert_ok(make_plan(context, NULL, 0, &plan));
  assert_string_equal(algorithm_of(plan), "gemm");
  check(plan);
  tconv3d_plan_destroy(plan);
  assert_int_equal(count_queues(context), 0);
}

/* ---- failures ---- */

/* At plan creation another algorithm serves and says why: of each product that its first run and the self-test make once, then
 * of the first for every reason. */
static void a_product_that_fails_at_plan_creation_is_replaced(void **state) {
  static const struct {
    int status;
    const char *words;
  } rows[] = {{CLBlastOpenCLBuildProgramFailure, "its kernels do not compile"},
              {CLBlastTempBufferAllocFailure, "no memory for a temporary buffer"},
              {CLBlastInvalidLocalThreadsTotal, "its work-groups are larger than the device's"},
              {-12345, "unspecified (status -12345)"}};
  for (size_t row = 0; row < sizeof rows / sizeof *rows; ++row) {
    int failures = 0;
    for (int n = 1;; ++n) {
      tconv3d_context *context = open_context(*state);
      tune_for_gemm(context);
      tconv3d_plan *plan;
      fake.products = 0, fake.failing_product = n, fake.product_status = rows[row].status;
      tconv3d_context_destroy(context);
      assert_ok(tconv3d_context_create(&device.device, 1, &context)); /* in which no program has passed its test */
      assert_ok(make_plan(context, NULL, 0, &plan));
      bool failed = fake.failing_product == 0;
      if (failed) {
        ++failures;
        assert_string_not_equal(algorithm_of(plan), "gemm");
        const char *story = strstr(tconv3d_plan_explain(plan), "gemm ");
        if (!story || !strstr(story, rows[row].words)) fail_msg("no reason in: %s", tconv3d_plan_explain(plan));
      } else {
        assert_string_equal(algorithm_of(plan), "gemm");
      }
      fake.failing_product = 0;
      check(plan);
      tconv3d_plan_destroy(plan);
      assert_int_equal(count_queues(context), 0);
      if (!failed || row) break;
    }
    assert_true(failures > (row ? 0 : 2));
  }
}

static void named_and_failing_it_is_an_error_that_says_why(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_plan *plan = NULL;
  fake.failing_product = -1, fake.product_status = CLBlastOpenCLOutOfResources;
  rig_assert_refused(make_plan(context, "gemm", 0, &plan), TCONV3D_OUT_OF_DEVICE_MEMORY, "CLBlast's product resources",
                     "a named gemm");
  assert_null(plan);
  fake_reset();
  assert_ok(make_plan(context, "gemm", 0, &plan));
  check(plan);
  tconv3d_plan_destroy(plan);
  assert_int_equal(count_queues(context), 0);
}

static void a_queue_that_cannot_be_made_is_like_a_product_that_fails(void **state) {
  int failures = 0;
  for (int n = 1;; ++n) {
    tconv3d_context *context = open_context(*state);
    tconv3d_plan *plan;
    tune_for_gemm(context);
    fake.failing_queue = n;
    assert_ok(make_plan(context, NULL, 0, &plan));
    bool failed = fake.failing_queue == 0;
    fake.failing_queue = 0;
    if (failed) {
      ++failures;
      assert_string_not_equal(algorithm_of(plan), "gemm");
      assert_non_null(strstr(tconv3d_plan_explain(plan), "clCreateCommandQueue for a matrix product: CL_OUT_OF_RESOURCES"));
    }
    check(plan);
    tconv3d_plan_destroy(plan);
    assert_int_equal(count_queues(context), 0);
    if (!failed) break;
  }
  assert_true(failures > 1);
}

/* In a blocking call: one failure is made good in portions, all of them are an error, and the plan is as good as before. */
static void a_call_that_fails_goes_on_in_portions_or_says_why(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_plan *plan;
  tconv3d_desc desc = make_layer();
  assert_ok(make_plan(context, "gemm", 0, &plan));
  for (int n = 1; n <= 3; ++n) {
    fake.failing_product = n, fake.product_status = CLBlastOpenCLOutOfResources;
    check(plan);
    assert_int_equal(fake.failing_product, 0);
  }
  fake.failing_product = -1;
  rig_assert_refused(whole_run(plan, &desc, TCONV3D_FORWARD, 0), TCONV3D_OUT_OF_DEVICE_MEMORY,
                     "CLBlast's product resources smaller portions", "a call");
  fake.failing_product = 0, fake.failing_queue = -1;
  rig_assert_refused(whole_run(plan, &desc, TCONV3D_FORWARD, 0), TCONV3D_OPENCL_ERROR, "clCreateCommandQueue", "a call");
  fake_reset();
  check(plan);
  tconv3d_plan_destroy(plan);
  assert_int_equal(count_queues(context), 0);
}

/* A result that is wrong without a word is found before a plan relies on it. */
static void a_wrong_product_is_found_by_the_self_test(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_plan *plan;
  fake.wrong_tile = fake.tile = 999;
  rig_assert_refused(make_plan(context, "gemm", 0, &plan), TCONV3D_WRONG_RESULT, "gemm self-test instead", "wrong products");
  assert_int_equal(count_queues(context), 0);
}

/* ---- the lock and the caches ---- */

static void *call_often(void *argument) {
  for (int i = 0; i < 4; ++i) check(argument);
  return NULL;
}

static void no_two_calls_are_inside_clblast_at_once(void **state) {
  enum { THREADS = 4 };
  tconv3d_context *contexts[THREADS];
  tconv3d_plan *plans[THREADS];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    contexts[i] = open_context(*state); /* in contexts of their own: the lock is the process's */
    assert_ok(make_plan(contexts[i], "gemm", 0, &plans[i]));
  }
  fake_reset();
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_create(&threads[i], NULL, call_often, plans[i]), 0);
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  assert_true(fake.products >= 4 * THREADS);
  assert_int_equal(fake.overlaps, 0);
  for (int i = 0; i < THREADS; ++i) tconv3d_plan_destroy(plans[i]);
  for (int i = 0; i < THREADS; ++i) tconv3d_context_destroy(contexts[i]);
  assert_int_equal(fake.queues, 0);
  assert_int_equal(fake.clears, THREADS); /* each lets go of what CLBlast retains of it */
}

static void a_context_that_never_multiplied_leaves_the_caches_alone(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_plan *plan;
  assert_ok(make_plan(context, "direct", 1, &plan));
  check(plan);
  tconv3d_plan_destroy(plan);
  assert_int_equal(count_queues(context), 0);
  assert_int_equal(fake.products + fake.clears + fake.overrides, 0);
}

/* ---- parameters ---- */

static t3_blas_tuning tuning_at(size_t index) {
  t3_blas_tuning tuning = {.nanoseconds = 1000};
  assert_int_equal(t3_blas_candidate(&device, index < 3 ? index : index + 1, &tuning.parameters), T3_BLAS_XGEMM);
  tuning.parameters.from = (int64_t)(100 + index);
  return tuning;
}

static void keep_tuning(tconv3d_context *context, size_t index) {
  t3_blas_tuning tuning = tuning_at(index);
  if (!context->store) skip();
  assert_true(t3_blas_tuning_keep(context->store, &device, t3_blas_version(), false, &tuning));
}

static void plan_and_check(tconv3d_context *context) {
  tconv3d_plan *plan;
  assert_ok(make_plan(context, "gemm", 0, &plan));
  check(plan);
  tconv3d_plan_destroy(plan);
}

static void stored_parameters_are_told_once_before_the_first_product(void **state) {
  tconv3d_context *context = open_context(*state);
  keep_tuning(context, 1);
  tconv3d_plan *plan = NULL;
  fake.failing_product = 1, fake.product_status = CLBlastUnexpectedError; /* the first is enough to see what came before it */
  assert_int_equal(make_plan(context, "gemm", 0, &plan), TCONV3D_OPENCL_ERROR);
  assert_int_equal(fake.products, 1);
  assert_int_equal(fake.overrides, 3);
  assert_int_equal(fake.from, 101);
  for (int i = 0; i < 2; ++i) plan_and_check(context);
  assert_int_equal(fake.overrides, 3);
  keep_tuning(context, 2);
  plan_and_check(context);
  assert_int_equal(fake.overrides, 6);
  assert_int_equal(fake.from, 102);
  /* An earlier program launched by new sizes would compute nonsense. */
  assert_true(fake.clears >= 2);
  assert_int_equal(count_queues(context), 0);
}

static void parameters_that_clblast_refuses_do_no_harm(void **state) {
  tconv3d_context *context = open_context(*state);
  t3_blas_parameters used;
  for (int n = 1; n <= 3; ++n) {
    keep_tuning(context, 2 + (size_t)n);
    fake.failing_override = n;
    plan_and_check(context);
    assert_int_equal(fake.failing_override, 0);
    assert_false(t3_blas_used(device.device, false, &used));
    plan_and_check(context); /* is told all of it again */
    assert_true(t3_blas_used(device.device, false, &used));
  }
  assert_int_equal(count_queues(context), 0);
}

/* ---- the search ---- */

static int count_steps(size_t done, size_t total, void *user) {
  assert_true(done <= total);
  return ++*(int *)user < 0;
}

static tconv3d_status search(tconv3d_context *context, double seconds, tconv3d_clblast_result *result) {
  tconv3d_clblast_options options = TCONV3D_CLBLAST_OPTIONS_INIT;
  int steps = 0;
  options.seconds = seconds, options.progress = count_steps, options.user = &steps;
  tconv3d_status status = tconv3d_tune_clblast(context, &options, result);
  if (status == TCONV3D_OK) assert_true(steps > 2);
  return status;
}

static size_t tile_at(size_t index) {
  t3_blas_parameters candidate;
  assert_int_equal(t3_blas_candidate(&device, index, &candidate), T3_BLAS_XGEMM);
  return (size_t)(1000 * candidate.xgemm[6] + candidate.xgemm[9]); /* MWG, NWG */
}

static void the_search_takes_the_fastest_that_is_right_and_allowed(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_clblast_result result;
  tconv3d_clblast_info info;
  const size_t tile = tile_at(1);
  if (!context->store) skip();
  fake.fast_tile = tile, fake.wrong_tile = tile_at(2), fake.refused_tile = tile_at(0);
  assert_true(fake.wrong_tile != tile && fake.refused_tile != tile && fake.wrong_tile != fake.refused_tile);
  assert_ok(search(context, 60, &result));
  assert_true(result.better && result.stored && result.after > 1.2 * result.before && result.before > 0);
  assert_true(result.measured > 2 && result.skipped > 1);
  t3_blas_tuning best;
  assert_int_equal(t3_blas_tuning_find(context->store, &device, t3_blas_version(), false, &best), T3_BLAS_FOUND);
  assert_int_equal(1000 * best.parameters.xgemm[6] + best.parameters.xgemm[9], tile);
  assert_ok(tconv3d_clblast_query(device.device, TCONV3D_F32, &info));
  assert_true(info.tuned && info.flops_per_second > 0);
  assert_string_equal(info.parameters, result.parameters);
  /* Once more: what is no better is not stored, and the earlier ones serve on. */
  fake.refused_tile = 0;
  assert_ok(search(context, 1e-6, &result));
  assert_true(!result.better && !result.stored && result.measured == 1);
  assert_int_equal(fake.tile, tile);
  assert_int_equal(fake.overlaps, 0);
  assert_int_equal(count_queues(context), 0);
}

static int cancel(size_t done, size_t total, void *user) {
  (void)done, (void)total;
  return ++*(int *)user == 3;
}

static void the_search_can_be_cancelled_and_refuses_bad_options(void **state) {
  tconv3d_context *context = open_context(*state);
  tconv3d_clblast_options options = TCONV3D_CLBLAST_OPTIONS_INIT;
  t3_blas_tuning found;
  int calls = 0;
  options.progress = cancel, options.user = &calls;
  assert_int_equal(tconv3d_tune_clblast(context, &options, NULL), TCONV3D_CANCELLED);
  assert_int_equal(t3_blas_tuning_find(context->store, &device, t3_blas_version(), false, &found), T3_BLAS_NOTHING);
  rig_assert_refused(tconv3d_tune_clblast(NULL, NULL, NULL), TCONV3D_INVALID_ARGUMENT, "context NULL", "no context");
  options.progress = NULL, options.seconds = 0;
  rig_assert_refused(tconv3d_tune_clblast(context, &options, NULL), TCONV3D_INVALID_ARGUMENT, "options.seconds", "no time");
  options.seconds = 1, options.dtype = TCONV3D_F16;
  rig_assert_refused(tconv3d_tune_clblast(context, &options, NULL), TCONV3D_INVALID_PARAMETER, "options.dtype", "half");
  options.dtype = TCONV3D_F32, options.struct_size = 1;
  rig_assert_refused(tconv3d_tune_clblast(context, &options, NULL), TCONV3D_INVALID_ARGUMENT, "struct_size", "struct_size");
  assert_int_equal(count_queues(context), 0);
}

static void where_every_product_fails_the_search_does_too(void **state) {
  tconv3d_context *context = open_context(*state);
  fake.failing_product = -1, fake.product_status = CLBlastOpenCLBuildProgramFailure;
  rig_assert_refused(tconv3d_tune_clblast(context, NULL, NULL), TCONV3D_OPENCL_ERROR, "CLBlast compile", "all products fail");
  fake_reset();
  fake.failing_override = -1;
  rig_assert_refused(tconv3d_tune_clblast(context, NULL, NULL), TCONV3D_OPENCL_ERROR, "CLBlast takes no parameters",
                     "all parameters refused");
  for (int n = 1; n <= 3; ++n) {
    fake_reset();
    fake.failing_queue = n;
    tconv3d_status status = search(context, 1e-6, NULL);
    assert_true(status == TCONV3D_OK || fake.failing_queue == 0);
  }
  assert_int_equal(count_queues(context), 0);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(prediction_passes_over_it_unless_allowed_and_a_tuning_does_not),
      STORE_TEST(a_product_that_fails_at_plan_creation_is_replaced),
      STORE_TEST(named_and_failing_it_is_an_error_that_says_why),
      STORE_TEST(a_queue_that_cannot_be_made_is_like_a_product_that_fails),
      STORE_TEST(a_call_that_fails_goes_on_in_portions_or_says_why),
      STORE_TEST(a_wrong_product_is_found_by_the_self_test),
      STORE_TEST(no_two_calls_are_inside_clblast_at_once),
      STORE_TEST(a_context_that_never_multiplied_leaves_the_caches_alone),
      STORE_TEST(stored_parameters_are_told_once_before_the_first_product),
      STORE_TEST(parameters_that_clblast_refuses_do_no_harm),
      STORE_TEST(the_search_takes_the_fastest_that_is_right_and_allowed),
      STORE_TEST(the_search_can_be_cancelled_and_refuses_bad_options),
      STORE_TEST(where_every_product_fails_the_search_does_too),
  };
  return cmocka_run_group_tests_name("products", tests, select_device, NULL);
}
