/* test_width.c: TCONV3D_VECTOR_WIDTH: what it sets, and that a wrong value is said and never passed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/scene.h"

/* Runs the scene's layer in this context with every algorithm. */
static void scene_run(const struct scene *scene, tconv3d_context *context) {
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  for (size_t i = 0; (options.algorithm = tconv3d_algorithm_name(i)) != NULL; ++i) {
    tconv3d_plan *plan;
    tconv3d_weights *weights;
    char why[200];
    tconv3d_status status = tconv3d_plan_create(context, &scene->desc, &options, &plan);
    if (status == TCONV3D_UNSUPPORTED) continue;
    assert_ok(status);
    assert_ok(tconv3d_weights_create_host(plan, scene->host.w, scene->host.b, &weights));
    assert_ok(tconv3d_run(plan, weights, scene->host.x, scene->host.y));
    if (!judge_within(&scene->judge, scene->host.y, why, sizeof why)) fail_msg("%s: %s", options.algorithm, why);
    tconv3d_weights_destroy(weights);
    tconv3d_plan_destroy(plan);
  }
}

/* The rig's device as it is read with the variable at value; NULL: not set. */
static tconv3d_status select_at_width(const struct rig *rig, const char *value, tconv3d_device_info *info) {
  static const char variable[] = "TCONV3D_VECTOR_WIDTH";
  char selector[32];
  snprintf(selector, sizeof selector, "%u:%u", rig->device.platform_index, rig->device.device_index);
  if (value)
    setenv(variable, value, 1);
  else
    unsetenv(variable);
  return tconv3d_device_select(selector, info);
}

static void the_vector_width_of_a_cpu_can_be_set(void **state) {
  static const unsigned widths[] = {4, 8, 16};
  const struct rig *rig = *state;
  if (!(rig->device.type & CL_DEVICE_TYPE_CPU)) skip();
  struct scene scene;
  tconv3d_context *context;
  tconv3d_device_info info;
  scene_open(&scene, rig, 1);
  for (size_t i = 0; i < sizeof widths / sizeof *widths; ++i) {
    char value[8];
    snprintf(value, sizeof value, "%u", widths[i]);
    assert_ok(select_at_width(rig, value, &info));
    assert_int_equal(info.vector_width, widths[i]);
    assert_ok(tconv3d_context_create(&info.device, 1, &context));
    scene_run(&scene, context);
    tconv3d_context_destroy(context);
  }
  assert_ok(select_at_width(rig, NULL, &info));
  scene_close(&scene);
}

static void a_wrong_vector_width_is_refused_with_the_rule(void **state) {
  static const char *const values[] = {"", "0", "2", "32", "08", "8 ", "0x8", "-4", "wide", "4,8"};
  const struct rig *rig = *state;
  if (!(rig->device.type & CL_DEVICE_TYPE_CPU)) skip();
  tconv3d_device_info info;
  tconv3d_context *context;
  for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
    char quoted[16];
    snprintf(quoted, sizeof quoted, "'%s'", values[i]);
    rig_assert_refused(select_at_width(rig, values[i], &info), TCONV3D_NO_DEVICE, "TCONV3D_VECTOR_WIDTH 4, 8 or 16", values[i]);
    rig_assert_refused(tconv3d_context_create(&rig->device.device, 1, &context), TCONV3D_UNSUPPORTED,
                       "TCONV3D_VECTOR_WIDTH 4, 8 or 16", values[i]);
    assert_non_null(strstr(tconv3d_message(), quoted));
  }
  assert_ok(select_at_width(rig, NULL, &info));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_vector_width_of_a_cpu_can_be_set),
      cmocka_unit_test(a_wrong_vector_width_is_refused_with_the_rule),
  };
  unsetenv("TCONV3D_VECTOR_WIDTH");
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
