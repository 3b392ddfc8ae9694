/* Tensors past 2^31 elements and 2^32 bytes: a volume of one channel, doubled along every axis in float16. Where the device
 * allows no such buffer, one of just 2^31 elements. Skipped, saying so, where the device or the machine has too little memory.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/rig.h"

enum { DEPTH = 515, LESS_DEPTH = 512, HEIGHT = 512, WIDTH = 1024, PATTERN = 64, SAMPLES = 4096 };

/* Powers of two in float16: every product is exact, and all outputs around a position differ. */
static uint16_t power(int exponent) {
  return (uint16_t)((exponent + 15) << 10);
}

static uint16_t x_at(uint64_t i) {
  return power((int)(i % PATTERN % 7));
}

static const int weight_exponents[8] = {0, 1, -1, 2, -2, 3, -3, 4};

static uint16_t y_at(uint64_t o) {
  const uint64_t w = o % (2 * WIDTH), h = o / (2 * WIDTH) % (2 * HEIGHT), d = o / (2 * WIDTH) / (2 * HEIGHT);
  const uint64_t i = (d / 2 * HEIGHT + h / 2) * WIDTH + w / 2;
  return (uint16_t)(x_at(i) + weight_exponents[d % 2 * 4 + h % 2 * 2 + w % 2] * 1024);
}

static tconv3d_desc large_layer(int64_t depth) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = desc.out_channels = 1;
  memcpy(desc.input_size, (int64_t[]){depth, HEIGHT, WIDTH}, sizeof desc.input_size);
  TCONV3D_ALL_AXES(desc.kernel_size, 2);
  TCONV3D_ALL_AXES(desc.stride, 2);
  desc.has_bias = 0;
  desc.dtype = desc.weight_dtype = TCONV3D_F16;
  return desc;
}

/* Skips the test unless there is memory for all of it, and as much again left. */
static void need_memory(const struct rig *rig, const tconv3d_plan_info *info) {
  uint64_t needed = info->x_bytes + info->y_bytes + info->workspace_bytes;
  uint64_t free_bytes = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
  bool there = rig->device.max_buffer_bytes >= info->y_bytes && rig->device.memory_bytes >= needed && free_bytes / 2 >= needed;
  if (there) return;
  print_message("# skipped: %llu bytes are needed, the device allows %llu a buffer, %llu of memory are free\n",
                (unsigned long long)needed, (unsigned long long)rig->device.max_buffer_bytes, (unsigned long long)free_bytes);
  skip();
}

static cl_mem make_buffer(const struct rig *rig, size_t bytes, cl_mem_flags flags) {
  cl_int error;
  cl_mem mem = clCreateBuffer(rig->cl, flags, bytes, NULL, &error);
  assert_cl(error);
  return mem;
}

/* The pattern repeats; x_at takes the index within it. */
static void fill_x(const struct rig *rig, cl_mem x, size_t bytes) {
  uint16_t pattern[PATTERN];
  for (uint64_t i = 0; i < PATTERN; ++i) pattern[i] = x_at(i);
  assert_cl(clEnqueueFillBuffer(rig->queue, x, pattern, sizeof pattern, 0, bytes, 0, NULL, NULL));
  assert_cl(clFinish(rig->queue));
}

static void check_samples(const struct rig *rig, cl_mem y, uint64_t count) {
  const uint64_t starts[] = {0,
                             (UINT64_C(1) << 30) - SAMPLES / 2,
                             (UINT64_C(1) << 31) - SAMPLES, /* and on from there, where there is more */
                             count > (UINT64_C(1) << 31) ? (UINT64_C(1) << 31) : 0,
                             count / 2,
                             count - 3 * 2 * WIDTH,
                             count - SAMPLES};
  uint16_t samples[SAMPLES];
  for (size_t s = 0; s < sizeof starts / sizeof *starts; ++s) {
    assert_cl(clEnqueueReadBuffer(rig->queue, y, CL_TRUE, starts[s] * sizeof *samples, sizeof samples, samples, 0, NULL, NULL));
    for (uint64_t i = 0; i < SAMPLES; ++i)
      if (samples[i] != y_at(starts[s] + i))
        fail_msg("y[%llu] is 0x%04x; it must be 0x%04x", (unsigned long long)(starts[s] + i), samples[i], y_at(starts[s] + i));
  }
}

static void outputs_past_two_to_the_31_elements_are_right(void **state) {
  (void)state;
  struct rig rig;
  rig_open(&rig);
  tconv3d_desc desc = large_layer(DEPTH);
  tconv3d_plan *plan;
  tconv3d_plan_info info;
  tconv3d_weights *weights;
  uint16_t w[8];
  for (int k = 0; k < 8; ++k) w[k] = power(weight_exponents[k]);
  tconv3d_status status = tconv3d_plan_create(rig.context, &desc, NULL, &plan);
  if (status == TCONV3D_OUT_OF_DEVICE_MEMORY) {
    print_message("# %s\n", tconv3d_message());
    desc = large_layer(LESS_DEPTH);
    status = tconv3d_plan_create(rig.context, &desc, NULL, &plan);
  }
  if (status == TCONV3D_OUT_OF_DEVICE_MEMORY) {
    print_message("# skipped: %s\n", tconv3d_message());
    rig_close(&rig);
    skip();
  }
  assert_int_equal(status, TCONV3D_OK);
  assert_ok(tconv3d_plan_query(plan, &info));
  assert_true(info.y_bytes / 2 >= (UINT64_C(1) << 31));
  if (!strcmp(info.algorithm, "direct")) fail_msg("no fast algorithm:\n%s", tconv3d_plan_explain(plan));
  need_memory(&rig, &info);
  assert_ok(tconv3d_weights_create_host(plan, w, NULL, &weights));
  tconv3d_buffer x = {make_buffer(&rig, info.x_bytes, CL_MEM_READ_WRITE), 0};
  tconv3d_buffer y = {make_buffer(&rig, info.y_bytes, CL_MEM_READ_WRITE), 0};
  fill_x(&rig, x.mem, info.x_bytes);
  assert_ok(tconv3d_enqueue(plan, weights, rig.queue, x, y, NULL, 0, NULL, NULL));
  assert_cl(clFinish(rig.queue));
  check_samples(&rig, y.mem, info.y_bytes / 2);
  clReleaseMemObject(x.mem);
  clReleaseMemObject(y.mem);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  rig_close(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(outputs_past_two_to_the_31_elements_are_right)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
