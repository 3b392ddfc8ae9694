/* test_devices.c: the variables that select a device and limit its launches, and what is known of a device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/rig.h"

static tconv3d_status select_by(const char *variable, const char *selector, tconv3d_device_info *info) {
  if (variable)
    setenv("TCONV3D_DEVICE", variable, 1);
  else
    unsetenv("TCONV3D_DEVICE");
  return tconv3d_device_select(selector, info);
}

static void the_variable_selects_where_no_selector_does(void **state) {
  const struct rig *rig = *state;
  tconv3d_device_info info;
  char place[32];
  snprintf(place, sizeof place, "%u:%u", rig->device.platform_index, rig->device.device_index);
  static const char *const none[] = {NULL, ""};
  for (size_t i = 0; i < 2; ++i) {
    assert_ok(select_by(place, none[i], &info));
    assert_ptr_equal(info.device, rig->device.device);
    rig_assert_refused(select_by("no such device", none[i], &info), TCONV3D_NO_DEVICE,
                       "TCONV3D_DEVICE 'no such device' found:", "variable");
  }
  assert_ok(select_by("no such device", place, &info)); /* a selector counts more */
  assert_ok(select_by("", NULL, &info));
  rig_assert_refused(select_by("cpu", "no such device", &info), TCONV3D_NO_DEVICE, "'no such device'", "selector");
  assert_null(strstr(tconv3d_message(), "TCONV3D_DEVICE"));
  unsetenv("TCONV3D_DEVICE");
}

static void the_limit_of_launches_is_a_whole_number_above_0(void **state) {
  const struct rig *rig = *state;
  static const char *const wrong[] = {"", "0", "-1", "1.5", "fast", "99999999999999999999"};
  tconv3d_device_info info;
  char place[32];
  snprintf(place, sizeof place, "%u:%u", rig->device.platform_index, rig->device.device_index);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    setenv("TCONV3D_MAX_LAUNCH_US", wrong[i], 1);
    rig_assert_refused(tconv3d_device_select(place, &info), TCONV3D_NO_DEVICE, "TCONV3D_MAX_LAUNCH_US whole number", wrong[i]);
  }
  setenv("TCONV3D_MAX_LAUNCH_US", "250", 1);
  assert_ok(tconv3d_device_select(place, &info));
  assert_true(info.max_launch_seconds > 249e-6 && info.max_launch_seconds < 251e-6);
  unsetenv("TCONV3D_MAX_LAUNCH_US");
  assert_ok(tconv3d_device_select(place, &info));
  assert_true(info.watchdog ? info.max_launch_seconds == 0.25 : info.max_launch_seconds == 0);
}

static void facts_agree_with_what_they_are_facts_of(void **state) {
  const tconv3d_device_info *info = &((const struct rig *)*state)->device;
  assert_true(info->address_bits == 32 || info->address_bits == 64);
  if (!(info->type & CL_DEVICE_TYPE_GPU)) assert_int_equal(info->watchdog, 0);
  size_t size = 0, quirks = 0;
  assert_cl(clGetDeviceInfo(info->device, CL_DEVICE_EXTENSIONS, 0, NULL, &size));
  char *extensions = malloc(size + 1);
  assert_non_null(extensions);
  assert_cl(clGetDeviceInfo(info->device, CL_DEVICE_EXTENSIONS, size, extensions, NULL));
  extensions[size] = '\0';
  assert_int_equal(info->float16, strstr(extensions, "cl_khr_fp16") != NULL);
  assert_int_equal(info->int_dot, strstr(extensions, "cl_khr_integer_dot_product") != NULL);
  free(extensions);
  while (tconv3d_device_quirk(info, quirks)) ++quirks;
  assert_int_equal(quirks, __builtin_popcount(info->quirks));
  if (strstr(info->platform_name, "Portable Computing Language")) assert_true(quirks > 0);
  assert_null(tconv3d_device_quirk(NULL, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_variable_selects_where_no_selector_does),
      cmocka_unit_test(the_limit_of_launches_is_a_whole_number_above_0),
      cmocka_unit_test(facts_agree_with_what_they_are_facts_of),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
