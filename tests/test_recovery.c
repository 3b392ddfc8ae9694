/* test_recovery.c: what cannot be built, launched or allocated is replaced at plan creation; blocking calls go on in smaller
 * portions; what failed asynchronously is avoided from then on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/quirks.h"
#include "plan/plan.h"
#include "support/faults.h"
#include "support/whole.h"

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 4, desc.in_channels = 8, desc.out_channels = 6;
  desc.input_size[0] = 6, desc.input_size[1] = 8, desc.input_size[2] = 40;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  return desc;
}

static tconv3d_context *new_context(const struct rig *rig) {
  tconv3d_context *context;
  faults_clear();
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  return context;
}

static tconv3d_status make_plan(tconv3d_context *context, const char *algorithm, tconv3d_operation operation,
                                tconv3d_plan **plan) {
  tconv3d_desc desc = make_layer();
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm, options.operation = operation;
  return tconv3d_plan_create(context, &desc, &options, plan);
}

static void check(const tconv3d_plan *plan, tconv3d_operation operation) {
  tconv3d_desc desc = make_layer();
  assert_ok(whole_run(plan, &desc, operation, 0));
}

/* The automatic choice without any fault. */
static const t3_algorithm *usual_choice(const struct rig *rig, tconv3d_operation operation, int64_t *workspace) {
  tconv3d_context *context = new_context(rig);
  tconv3d_plan *plan;
  assert_ok(make_plan(context, NULL, operation, &plan));
  const t3_algorithm *algorithm = plan->chosen.algorithm;
  if (workspace) *workspace = plan->recipe.workspace_bytes;
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return algorithm;
}

static void what_cannot_be_built_or_launched_is_replaced(void **state) {
  for (int launch = 0; launch < 2; ++launch)
    for (int operation = TCONV3D_FORWARD; operation <= TCONV3D_GRAD_WEIGHT; ++operation) {
      const t3_algorithm *usual = usual_choice(*state, (tconv3d_operation)operation, NULL);
      tconv3d_context *context = new_context(*state);
      tconv3d_plan *plan;
      char name[64];
      snprintf(name, sizeof name, ",%s,", usual->program);
      *(launch ? &faults.unlaunchable : &faults.unbuildable) = name;
      assert_ok(make_plan(context, NULL, (tconv3d_operation)operation, &plan));
      assert_ptr_not_equal(plan->chosen.algorithm, usual);
      assert_non_null(strstr(tconv3d_plan_explain(plan), launch ? "CL_OUT_OF_RESOURCES" : "CL_BUILD_PROGRAM_FAILURE"));
      check(plan, (tconv3d_operation)operation);
      tconv3d_plan_destroy(plan);
      tconv3d_context_destroy(context);
    }
}

static void a_success_leaves_the_message_alone(void **state) {
  const t3_algorithm *usual = usual_choice(*state, TCONV3D_FORWARD, NULL);
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  char name[64];
  assert_int_equal(make_plan(NULL, NULL, TCONV3D_FORWARD, &plan), TCONV3D_INVALID_ARGUMENT);
  assert_string_equal(tconv3d_message(), "context is NULL");
  snprintf(name, sizeof name, ",%s,", usual->program);
  faults.unbuildable = name;
  assert_ok(make_plan(context, NULL, TCONV3D_FORWARD, &plan));
  assert_string_equal(tconv3d_message(), "context is NULL");
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void tries_are_bounded_and_end_with_an_error_that_lists_them(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  char all[512] = ",";
  for (size_t i = 0; t3_algorithm_at(i); ++i) strcat(strcat(all, t3_algorithm_at(i)->program), ",");
  faults.unbuildable = all;
  rig_assert_refused(make_plan(context, NULL, TCONV3D_FORWARD, &plan), TCONV3D_BUILD_FAILED,
                     "CL_BUILD_PROGRAM_FAILURE candidates were tried: direct phase", "automatic");
  assert_true(faults.builds > 2 && faults.builds <= 16);
  faults.builds = 0;
  rig_assert_refused(make_plan(context, "phase", TCONV3D_FORWARD, &plan), TCONV3D_BUILD_FAILED, "phase tried", "named");
  assert_true(faults.builds > 1 && faults.builds <= 4);
  assert_null(strstr(tconv3d_message(), "direct"));
  /* Once the fault is gone the context is as good as ever, though all of it was avoided. */
  faults_clear();
  assert_ok(make_plan(context, "direct", TCONV3D_FORWARD, &plan));
  check(plan, TCONV3D_FORWARD);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void a_workspace_that_cannot_be_had_leads_to_less_of_it(void **state) {
  int64_t wanted = 0;
  const t3_algorithm *usual = usual_choice(*state, TCONV3D_GRAD_WEIGHT, &wanted);
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  if (!wanted) {
    tconv3d_context_destroy(context);
    if (t3_has_quirk(&((const struct rig *)*state)->device, T3_FEW_ROUNDS)) skip(); /* where few sums may be long */
    fail_msg("%s wants no workspace; this test needs another layer", usual->name);
  }
  faults.largest = (size_t)wanted - 1;
  assert_ok(make_plan(context, NULL, TCONV3D_GRAD_WEIGHT, &plan));
  assert_true(plan->recipe.workspace_bytes < wanted);
  assert_non_null(strstr(tconv3d_plan_explain(plan), "CL_MEM_OBJECT_ALLOCATION_FAILURE"));
  faults_clear();
  check(plan, TCONV3D_GRAD_WEIGHT);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void a_blocking_call_parts_the_batch_where_buffers_are_too_large(void **state) {
  tconv3d_desc desc = make_layer();
  for (int operation = TCONV3D_FORWARD; operation <= TCONV3D_GRAD_INPUT; ++operation)
    for (size_t i = 0; tconv3d_algorithm_name(i); ++i)
      for (size_t shift = 0; shift < 2; ++shift) {
        tconv3d_context *context = new_context(*state);
        tconv3d_plan *plan;
        tconv3d_plan_info info;
        if (make_plan(context, tconv3d_algorithm_name(i), (tconv3d_operation)operation, &plan) == TCONV3D_OK) {
          assert_ok(tconv3d_plan_query(plan, &info));
          size_t larger = (size_t)(info.x_bytes > info.y_bytes ? info.x_bytes : info.y_bytes);
          faults.largest = larger / 2; /* two of four images */
          assert_ok(whole_run(plan, &desc, (tconv3d_operation)operation, shift));
          faults.largest = larger / 4 - 1; /* not even one */
          rig_assert_refused(whole_run(plan, &desc, (tconv3d_operation)operation, shift), TCONV3D_OUT_OF_DEVICE_MEMORY,
                             "CL_MEM_OBJECT_ALLOCATION_FAILURE smaller portions 1 of 4 images", tconv3d_algorithm_name(i));
          tconv3d_plan_destroy(plan);
        }
        tconv3d_context_destroy(context);
      }
}

/* beta: what was written may not be read again. */
static void what_reads_its_target_is_not_computed_twice(void **state) {
  tconv3d_desc desc = make_layer();
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "direct", options.operation = TCONV3D_GRAD_INPUT, options.beta = 1;
  assert_ok(tconv3d_plan_create(context, &desc, &options, &plan));
  faults.launches = 0;
  faults.unlaunchable = ",direct,";
  rig_assert_refused(whole_run(plan, &desc, TCONV3D_GRAD_INPUT, 0), TCONV3D_OPENCL_ERROR, "CL_OUT_OF_RESOURCES", "beta");
  int launches = faults.launches;
  assert_int_equal(launches, 2); /* the packing, and once */
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void what_failed_asynchronously_is_avoided_by_the_next_plan(void **state) {
  const struct rig *rig = *state;
  tconv3d_context *context = new_context(rig);
  tconv3d_plan *plan, *next, *other;
  assert_ok(make_plan(context, NULL, TCONV3D_FORWARD, &plan));
  check(plan, TCONV3D_FORWARD);
  faults.event_status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST; /* nobody's fault here */
  assert_ok(make_plan(context, NULL, TCONV3D_FORWARD, &next));
  assert_memory_equal(&next->chosen.variant, &plan->chosen.variant, sizeof next->chosen.variant);
  tconv3d_plan_destroy(next);
  faults_clear();
  check(plan, TCONV3D_FORWARD);
  faults.event_status = CL_OUT_OF_RESOURCES;
  assert_ok(make_plan(context, NULL, TCONV3D_FORWARD, &next));
  faults_clear();
  bool same = next->chosen.algorithm == plan->chosen.algorithm &&
              !memcmp(&next->chosen.variant, &plan->chosen.variant, sizeof next->chosen.variant);
  assert_false(same);
  check(next, TCONV3D_FORWARD);
  /* Other layers get what they get where nothing failed. */
  tconv3d_context *unspoilt = new_context(rig);
  tconv3d_plan *expected;
  tconv3d_desc desc = make_layer();
  desc.batch = 3;
  assert_ok(tconv3d_plan_create(context, &desc, NULL, &other));
  assert_ok(tconv3d_plan_create(unspoilt, &desc, NULL, &expected));
  assert_ptr_equal(other->chosen.algorithm, expected->chosen.algorithm);
  assert_memory_equal(&other->chosen.variant, &expected->chosen.variant, sizeof other->chosen.variant);
  tconv3d_plan_destroy(plan), tconv3d_plan_destroy(next), tconv3d_plan_destroy(other), tconv3d_plan_destroy(expected);
  tconv3d_context_destroy(context), tconv3d_context_destroy(unspoilt);
}

int main(void) {
  setenv("TCONV3D_CACHE_DIR", "/dev/null", 1); /* spoilt programs must not get into a cache */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_cannot_be_built_or_launched_is_replaced),
      cmocka_unit_test(a_success_leaves_the_message_alone),
      cmocka_unit_test(tries_are_bounded_and_end_with_an_error_that_lists_them),
      cmocka_unit_test(a_workspace_that_cannot_be_had_leads_to_less_of_it),
      cmocka_unit_test(a_blocking_call_parts_the_batch_where_buffers_are_too_large),
      cmocka_unit_test(what_reads_its_target_is_not_computed_twice),
      cmocka_unit_test(what_failed_asynchronously_is_avoided_by_the_next_plan),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
