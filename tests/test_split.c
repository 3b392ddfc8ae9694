/* test_split.c: launches predicted to take longer than the limit are made in parts, and give the same results. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"
#include "support/faults.h"
#include "support/whole.h"

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2, desc.in_channels = 4, desc.out_channels = 5;
  desc.input_size[0] = 6, desc.input_size[1] = 7, desc.input_size[2] = 20;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  return desc;
}

/* By a plan made under the limit, "" for none; how many launches its call needed. */
static int count_launches(const struct rig *rig, const char *limit, const char *algorithm, tconv3d_operation operation,
                          int *offsets) {
  tconv3d_desc desc = make_layer();
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm, options.operation = operation;
  if (*limit) setenv("TCONV3D_MAX_LAUNCH_US", limit, 1);
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  unsetenv("TCONV3D_MAX_LAUNCH_US");
  if (tconv3d_plan_create(context, &desc, &options, &plan) == TCONV3D_UNSUPPORTED) {
    tconv3d_context_destroy(context);
    return 0;
  }
  assert_non_null(plan);
  int64_t commands = 0;
  for (int i = 0; i < plan->recipe.num_run; ++i)
    if (plan->recipe.run[i].kernel) commands += t3_num_pieces(&plan->recipe.run[i]); /* a product's are not ours */
  faults_clear();
  assert_ok(whole_run(plan, &desc, operation, 0));
  int packs = plan->recipe.pack.kernel ? 1 : 0, launches = faults.launches - packs;
  assert_int_equal(launches, commands);
  *offsets = faults.offsets;
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return launches;
}

static void every_algorithm_is_right_in_parts(void **state) {
  int served = 0;
  for (int operation = TCONV3D_FORWARD; operation < TCONV3D_CONVOLUTION; ++operation)
    for (size_t i = 0; tconv3d_algorithm_name(i); ++i) {
      int offsets, whole = count_launches(*state, "", tconv3d_algorithm_name(i), (tconv3d_operation)operation, &offsets);
      if (!whole) continue;
      assert_int_equal(offsets, 0);
      int parts = count_launches(*state, "1", tconv3d_algorithm_name(i), (tconv3d_operation)operation, &offsets);
      int fewer = count_launches(*state, "20", tconv3d_algorithm_name(i), (tconv3d_operation)operation, &offsets);
      assert_true(parts >= fewer && fewer >= whole);
      /* A task is one work-item. */
      if (parts <= whole && strcmp(tconv3d_algorithm_name(i), "pipeline") != 0)
        fail_msg("%s: no launch was parted", tconv3d_algorithm_name(i));
      ++served;
    }
  assert_true(served >= 10);
}

static void a_call_in_flight_keeps_the_events_of_its_parts(void **state) {
  const struct rig *rig = *state;
  int offsets;
  assert_true(count_launches(rig, "1", "direct", TCONV3D_FORWARD, &offsets) > 8);
  assert_true(offsets > 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_algorithm_is_right_in_parts),
      cmocka_unit_test(a_call_in_flight_keeps_the_events_of_its_parts),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
