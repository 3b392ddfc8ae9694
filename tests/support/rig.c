#include "support/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rig_open(struct rig *rig) {
  *rig = (struct rig){0};
  assert_ok(tconv3d_device_select(getenv("TCONV3D_TEST_DEVICE"), &rig->device));
  cl_int error;
  rig->cl = clCreateContext(NULL, 1, &rig->device.device, NULL, NULL, &error);
  assert_cl(error);
  rig->queue = rig_queue(rig);
  assert_ok(tconv3d_context_adopt(rig->cl, NULL, 0, &rig->context));
}

void rig_close(struct rig *rig) {
  tconv3d_context_destroy(rig->context);
  if (rig->queue) clReleaseCommandQueue(rig->queue);
  if (rig->cl) clReleaseContext(rig->cl);
  *rig = (struct rig){0};
}

int rig_set_up(void **state) {
  static struct rig rig;
  *state = &rig; /* first: cmocka tears down what could not be set up, too */
  rig_open(&rig);
  return 0;
}

int rig_tear_down(void **state) {
  rig_close(*state);
  return 0;
}

bool rig_is_foreign(const char *algorithm) {
  static const char *const names[] = {"tiled", "points", "tiled_gradient", "pipeline", "gemm"};
  for (size_t i = 0; algorithm && i < sizeof names / sizeof *names; ++i)
    if (!strcmp(algorithm, names[i])) return true;
  return false;
}

size_t rig_step(size_t where_few) {
  return getenv("TCONV3D_TEST_LAYERS") ? where_few : 1;
}

uint64_t rig_number(const char *variable, uint64_t otherwise) {
  const char *text = getenv(variable);
  return text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t rig_seed(uint64_t otherwise) {
  const uint64_t seed = rig_number("TCONV3D_TEST_SEED", otherwise);
  print_message("# TCONV3D_TEST_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

cl_command_queue rig_queue(const struct rig *rig) {
  cl_command_queue_properties can = 0;
  assert_cl(clGetDeviceInfo(rig->device.device, CL_DEVICE_QUEUE_PROPERTIES, sizeof can, &can, NULL));
  cl_int error;
  cl_command_queue queue =
      clCreateCommandQueue(rig->cl, rig->device.device, can & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &error);
  assert_cl(error);
  return queue;
}

void rig_assert_refused(tconv3d_status got, tconv3d_status expected, const char *words, const char *what) {
  if (got != expected)
    fail_msg("%s: got %s, expected %s; the message is '%s'", what, tconv3d_status_name(got), tconv3d_status_name(expected),
             got == TCONV3D_OK ? "" : tconv3d_message());
  char list[256], *rest = NULL;
  snprintf(list, sizeof list, "%s", words);
  for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
    if (!strstr(tconv3d_message(), word)) fail_msg("%s: '%s' is not in the message '%s'", what, word, tconv3d_message());
}
