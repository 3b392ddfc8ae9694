/* Products by CLBlast: layers of every kind between guard zones, who may use them, calls in flight. CLBlast compiles for
 * seconds once a type, so all tests share one context. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blas/blas.h"
#include "support/call_check.h"
#include "support/layers.h"
#include "support/scene.h"
#include "support/trial.h"

enum { RANDOM_LAYERS = 2, THREADS = 4, CALLS = 3 };

static uint64_t seed = 20241126;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

static tconv3d_plan_options allowed(const char *algorithm) {
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  options.allow_clblast = 1;
  return options;
}

/* Without CLBlast there is one thing to test. */
static void needs_clblast(void) {
  if (t3_blas_missing()) skip();
}

static void an_adopted_context_refuses_unless_the_caller_allows(void **state) {
  const struct rig *rig = *state;
  tconv3d_plan_options options = allowed("gemm");
  tconv3d_desc desc = small_layer();
  tconv3d_plan *plan = NULL;
  if (t3_blas_missing()) {
    rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_UNSUPPORTED, "gemm without CLBlast",
                       "built without");
    skip();
  }
  options.allow_clblast = 0;
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_UNSUPPORTED,
                     "gemm CLBlast allow_clblast", "adopted");
  assert_null(plan);
  options.allow_clblast = 1;
  assert_ok(tconv3d_plan_create(rig->context, &desc, &options, &plan));
  tconv3d_plan_destroy(plan);
}

/* Kernel = stride: x is the matrix. */
static tconv3d_desc single_layer(int64_t batch, int64_t groups) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = batch, desc.groups = groups;
  desc.in_channels = 6, desc.out_channels = 4;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 3 + a, desc.kernel_size[a] = desc.stride[a] = 1 + a;
  desc.has_bias = 1;
  return desc;
}

static void check_layer(const struct rig *rig, tconv3d_desc desc, tconv3d_operation operation) {
  struct asked asked = {.desc = desc, .operation = operation, .algorithm = "gemm", .seed = seed, .clblast = true};
  assert_non_null(call_check_both(rig, asked));
}

static void kernel_equal_to_stride_is_one_product(void **state) {
  const struct rig *rig = *state;
  needs_clblast();
  for (int64_t batch = 1; batch <= 3; batch += 2)
    for (int64_t groups = 1; groups <= 2; ++groups) {
      tconv3d_desc desc = single_layer(batch, groups);
      tconv3d_plan_options options = allowed("gemm");
      tconv3d_plan *plan;
      assert_ok(tconv3d_plan_create(rig->context, &desc, &options, &plan));
      assert_non_null(strstr(tconv3d_plan_explain(plan), "one product"));
      tconv3d_plan_destroy(plan);
      check_layer(rig, desc, TCONV3D_FORWARD);
    }
}

static void random_layers_are_exact_with_integers_and_within_the_bound(void **state) {
  needs_clblast();
  for (uint64_t i = 0; i < RANDOM_LAYERS; ++i) {
    struct rng rng = {seed + i};
    tconv3d_desc desc;
    random_layer(&rng, &desc);
    struct asked asked = {.desc = desc, .algorithm = "gemm", .seed = seed + i, .clblast = true};
    call_check_both(*state, asked); /* a layer of too many phases is refused */
  }
}

static void every_operation_type_and_layout(void **state) {
  needs_clblast();
  const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION};
  for (size_t i = 0; i < 3; ++i) {
    tconv3d_desc desc = small_layer();
    check_layer(*state, desc, operations[i]);
    desc.x_layout = desc.y_layout = TCONV3D_CHANNELS_LAST;
    desc.dtype = desc.weight_dtype = i ? TCONV3D_BF16 : TCONV3D_F16;
    check_layer(*state, desc, operations[i]);
  }
}

static void beta_and_epilogues(void **state) {
  needs_clblast();
  const tconv3d_desc layers[] = {small_layer(), single_layer(2, 1)};
  for (size_t i = 0; i < 2; ++i) {
    struct asked asked = {.desc = layers[i], .algorithm = "gemm", .seed = seed, .beta = 0.5, .clblast = true};
    asked.epilogue.activation = TCONV3D_PRELU;
    asked.epilogue.affine = 1;
    asked.epilogue.residual = 0.5;
    asked.values = VALUES_INTEGER;
    assert_non_null(call_check(*state, &asked));
  }
}

/* ---- calls in flight ---- */

static void gated_calls(const struct rig *rig, const tconv3d_desc *desc, cl_command_queue queue) {
  tconv3d_plan_options options = allowed("gemm");
  tconv3d_plan *plan;
  struct trial trial;
  cl_event gates[2], done[2];
  cl_int error, status;
  assert_ok(tconv3d_plan_create(rig->context, desc, &options, &plan));
  trial_of_plan(&trial, rig, plan, desc, seed, VALUES_INTEGER);
  assert_cl(clFinish(rig->queue));
  for (int i = 0; i < 2; ++i) {
    gates[i] = clCreateUserEvent(rig->cl, &error);
    assert_cl(error);
    cl_command_queue own = i ? rig_queue(rig) : queue; /* the second call must not wait for the first one's gate */
    assert_ok(tconv3d_enqueue(trial.plan, trial.weights, own, guard_buffer(&trial.x), guard_buffer(&trial.y), NULL, 1,
                              &gates[i], &done[i]));
    assert_cl(clFlush(own));
    if (i) assert_cl(clReleaseCommandQueue(own));
  }
  for (int i = 1; i >= 0; --i) {
    const struct timespec moment = {.tv_nsec = 20000000};
    nanosleep(&moment, NULL);
    assert_cl(clGetEventInfo(done[i], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    assert_true(status > CL_COMPLETE);
    assert_cl(clSetUserEventStatus(gates[i], CL_COMPLETE));
    assert_cl(clWaitForEvents(1, &done[i]));
    clReleaseEvent(done[i]);
    clReleaseEvent(gates[i]);
  }
  trial_run(&trial);
  trial_judge(&trial, true);
  trial_free(&trial);
}

static void nothing_runs_before_the_wait_list_and_no_call_waits_for_another(void **state) {
  const struct rig *rig = *state;
  needs_clblast();
  const tconv3d_desc layers[] = {small_layer(), single_layer(2, 1)};
  for (size_t i = 0; i < 2; ++i) {
    cl_int error;
    cl_command_queue in_order = clCreateCommandQueue(rig->cl, rig->device.device, 0, &error);
    assert_cl(error);
    gated_calls(rig, &layers[i], in_order);
    gated_calls(rig, &layers[i], rig->queue);
    assert_cl(clReleaseCommandQueue(in_order));
  }
}

struct worker {
  const struct rig *rig;
  const tconv3d_plan *plan;
  const tconv3d_weights *weights;
  const float *x, *expected;
  size_t count;
  bool right;
};

static void *work(void *argument) {
  struct worker *worker = argument;
  float *y = malloc(worker->count * sizeof *y);
  worker->right = y != NULL;
  for (int i = 0; i < CALLS && worker->right; ++i) {
    memset(y, 0xff, worker->count * sizeof *y);
    worker->right = tconv3d_run(worker->plan, worker->weights, worker->x, y) == TCONV3D_OK &&
                    !memcmp(y, worker->expected, worker->count * sizeof *y);
  }
  free(y);
  return NULL;
}

/* In a context of the library's own, which goes before the plan and the weights do. */
static void four_threads_at_once_in_a_context_of_its_own(void **state) {
  const struct rig *rig = *state;
  needs_clblast();
  tconv3d_desc desc = small_layer();
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "gemm";
  struct tensors host;
  struct rng rng = {seed};
  assert_true(tensors_make(&host, &desc, &rng, VALUES_INTEGER));
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  assert_ok(tconv3d_plan_create(context, &desc, &options, &plan));
  assert_ok(tconv3d_weights_create_host(plan, host.w, desc.has_bias ? host.b : NULL, &weights));
  tconv3d_context_destroy(context);
  assert_ok(tconv3d_reference_forward(&desc, host.x, host.w, desc.has_bias ? host.b : NULL, host.y));
  struct worker workers[THREADS];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    workers[i] = (struct worker){rig, plan, weights, host.x, host.y, host.y_count, false};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; ++i) assert_true(workers[i].right);
  tconv3d_plan_destroy(plan);
  tconv3d_weights_destroy(weights);
  tensors_free(&host);
}

/* What CLBlast retains of a cl_context goes with the last context of the library that used it. */
static void a_context_is_really_released(void **state) {
  struct rig rig;
  (void)state;
  needs_clblast();
  rig_open(&rig);
  cl_uint before = context_count(rig.cl);
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_desc desc = small_layer();
  tconv3d_plan_options options = allowed("gemm");
  assert_ok(tconv3d_context_adopt(rig.cl, NULL, 0, &context));
  assert_ok(tconv3d_plan_create(context, &desc, &options, &plan));
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  assert_context_count(rig.cl, before);
  rig_close(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_adopted_context_refuses_unless_the_caller_allows),
      cmocka_unit_test(kernel_equal_to_stride_is_one_product),
      cmocka_unit_test(random_layers_are_exact_with_integers_and_within_the_bound),
      cmocka_unit_test(every_operation_type_and_layout),
      cmocka_unit_test(beta_and_epilogues),
      cmocka_unit_test(nothing_runs_before_the_wait_list_and_no_call_waits_for_another),
      cmocka_unit_test(four_threads_at_once_in_a_context_of_its_own),
      cmocka_unit_test(a_context_is_really_released),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
