/* Layers and types that must be refused, and how: the status, and a message that names the parameter, its axis, the value and
 * the rule. The layers that PyTorch judges too stand in goldens/refused.txt. */
#include "support/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/layer_line.h"

#define LARGE INT64_MAX

/* A small valid layer, of which each test breaks one thing. */
static tconv3d_desc valid_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 4;
  desc.out_channels = 6;
  TCONV3D_ALL_AXES(desc.input_size, 5);
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  return desc;
}

static tconv3d_status status_named(const char *name) {
  for (int status = TCONV3D_OK; status <= TCONV3D_OPENCL_ERROR; ++status)
    if (!strcmp(tconv3d_status_name((tconv3d_status)status) + strlen("TCONV3D_"), name)) return (tconv3d_status)status;
  fail_msg("no status is named %s", name);
  return TCONV3D_OK;
}

/* Every call that takes a layer must refuse this one in the same words. */
static void refused_by_all(const struct rig *rig, const tconv3d_desc *desc, tconv3d_status status, const char *words,
                           const char *what) {
  int64_t shape[5] = {-7, -7, -7, -7, -7};
  float values[8] = {0};
  tconv3d_plan *plan = NULL;
  rig_assert_refused(tconv3d_output_shape(desc, shape), status, words, what);
  assert_int_equal(shape[0], -7);
  rig_assert_refused(tconv3d_reference_forward(desc, values, values, values, values), status, words, what);
  rig_assert_refused(tconv3d_plan_create(rig->context, desc, NULL, &plan), status, words, what);
  assert_null(plan);
}

static void check_line(const struct rig *rig, char *text) {
  char what[512], *rest = NULL;
  snprintf(what, sizeof what, "%s", text);
  char *layer = strtok_r(text, "|", &rest), *status = strtok_r(NULL, "| ", &rest), *words = strtok_r(NULL, "|", &rest);
  assert_true(layer && status && words);
  struct layer_line line;
  const char *field = "";
  if (!layer_line_parse(layer, &line, &field)) fail_msg("refused.txt: bad field '%s'", field);
  if (line.output_size[0]) {
    int64_t padding[3] = {-7, -7, -7};
    rig_assert_refused(tconv3d_resolve_output_size(&line.desc, line.output_size, padding), status_named(status), words, what);
    assert_int_equal(padding[0], -7);
  } else {
    refused_by_all(rig, &line.desc, status_named(status), words, what);
  }
}

static void layers_that_pytorch_refuses_are_refused_by_name(void **state) {
  char path[1024], text[512];
  const char *directory = getenv("TCONV3D_GOLDENS");
  snprintf(path, sizeof path, "%s/refused.txt", directory ? directory : "tests/goldens");
  FILE *file = fopen(path, "r");
  if (!file) fail_msg("cannot open %s; TCONV3D_GOLDENS names its directory", path);
  size_t count = 0;
  while (file && fgets(text, sizeof text, file)) {
    if (*text == '#' || *text == '\n') continue;
    check_line(*state, text);
    ++count;
  }
  if (file) fclose(file);
  assert_true(count >= 25);
}

/* One parameter set to a value that makes sizes overflow. member: its place in the descriptor. */
struct overflow {
  const char *what;
  size_t member;
  int64_t value;
  const char *words;
};
#define MEMBER(name) offsetof(tconv3d_desc, name)

static void sizes_that_overflow_are_refused(void **state) {
  static const struct overflow rows[] = {
      {"input size at the limit", MEMBER(input_size[2]), LARGE, "W 63"},
      {"kernel size at the limit", MEMBER(kernel_size[1]), LARGE, "63"},
      {"padding at the limit", MEMBER(padding[0]), LARGE, "padding D 63"},
      {"padding whose double overflows", MEMBER(padding[0]), LARGE / 2 + 1, "padding D 63"},
      {"dilation at the limit", MEMBER(dilation[1]), LARGE, "dilation H 63"},
      {"stride at the limit", MEMBER(stride[2]), LARGE, "stride W 63"},
      {"stride whose spread overflows", MEMBER(stride[2]), LARGE / 4 + 1, "stride W 63"},
      {"in_channels at the limit", MEMBER(in_channels), LARGE, "63"},
      {"out_channels at the limit", MEMBER(out_channels), LARGE, "63"},
      {"batch at the limit", MEMBER(batch), LARGE, "63"},
      {"x whose bytes overflow", MEMBER(batch), LARGE / 500, "63"},
      {"y alone too large", MEMBER(stride[0]), LARGE / 4096, "y 63"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = valid_layer();
    memcpy((char *)&desc + rows[i].member, &rows[i].value, sizeof rows[i].value);
    refused_by_all(*state, &desc, TCONV3D_SIZE_OVERFLOW, rows[i].words, rows[i].what);
  }
}

static void large_values_of_the_whole_range_never_crash(void **state) {
  /* Each member to each extreme: whatever the answer, it must be one of these and come without undefined behaviour. */
  static const size_t members[] = {MEMBER(batch),          MEMBER(in_channels),       MEMBER(out_channels), MEMBER(groups),
                                   MEMBER(input_size[0]),  MEMBER(kernel_size[1]),    MEMBER(stride[2]),    MEMBER(padding[1]),
                                   MEMBER(output_padding), MEMBER(output_padding[2]), MEMBER(dilation[0])};
  static const int64_t values[] = {INT64_MIN, INT64_MIN + 1, -1, INT32_MAX, (int64_t)1 << 32, LARGE / 2, LARGE - 1, LARGE};
  (void)state;
  for (size_t m = 0; m < sizeof members / sizeof *members; ++m)
    for (size_t v = 0; v < sizeof values / sizeof *values; ++v) {
      tconv3d_desc desc = valid_layer();
      int64_t shape[5], padding[3];
      const int64_t wanted[3] = {LARGE, INT64_MIN, 1};
      memcpy((char *)&desc + members[m], &values[v], sizeof values[v]);
      tconv3d_status status = tconv3d_output_shape(&desc, shape);
      assert_true(status == TCONV3D_OK || status == TCONV3D_INVALID_PARAMETER || status == TCONV3D_SIZE_OVERFLOW);
      status = tconv3d_resolve_output_size(&desc, wanted, padding);
      assert_true(status == TCONV3D_INVALID_PARAMETER || status == TCONV3D_SIZE_OVERFLOW);
    }
}

static double now(void) {
  struct timespec time;
  timespec_get(&time, TIME_UTC);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The layer is valid and fits in 63 bits, but not in the device. */
static void a_layer_too_large_for_the_device_is_refused_at_once(void **state) {
  const struct rig *rig = *state;
  static const struct {
    const char *what;
    int64_t input;
    int64_t channels;
    int64_t batch;
  } rows[] = {{"one huge input", 20000, 1, 1}, {"a huge batch", 5, 1, (int64_t)1 << 40}, {"huge weights", 5, 1 << 20, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = valid_layer();
    desc.batch = rows[i].batch;
    desc.in_channels = desc.out_channels = rows[i].channels;
    TCONV3D_ALL_AXES(desc.input_size, rows[i].input);
    double start = now();
    tconv3d_plan *plan = NULL;
    rig_assert_refused(tconv3d_plan_create(rig->context, &desc, NULL, &plan), TCONV3D_OUT_OF_DEVICE_MEMORY, "bytes",
                       rows[i].what);
    assert_null(plan);
    assert_true(now() - start < 5); /* seconds: nothing was allocated, filled or compiled on the way */
    char available[32], largest[32];
    snprintf(available, sizeof available, "%" PRIu64, rig->device.memory_bytes);
    snprintf(largest, sizeof largest, "%" PRIu64, rig->device.max_buffer_bytes);
    if (!strstr(tconv3d_message(), available) && !strstr(tconv3d_message(), largest))
      fail_msg("neither %s nor %s, what the device has, is in '%s'", available, largest, tconv3d_message());
  }
}

static void float64_goes_with_float64_alone(void **state) {
  const struct rig *rig = *state;
  static const tconv3d_dtype others[] = {TCONV3D_F32, TCONV3D_F16, TCONV3D_BF16};
  for (size_t i = 0; i < 2 * sizeof others / sizeof *others; ++i) {
    tconv3d_desc desc = valid_layer();
    desc.dtype = i % 2 ? others[i / 2] : TCONV3D_F64;
    desc.weight_dtype = i % 2 ? TCONV3D_F64 : others[i / 2];
    tconv3d_plan *plan = NULL;
    rig_assert_refused(tconv3d_plan_create(rig->context, &desc, NULL, &plan), TCONV3D_INVALID_PARAMETER,
                       "dtype weight_dtype float64", "type");
    assert_null(plan);
  }
}

static void references_of_other_types_are_refused_by_name(void **state) {
  (void)state;
  float values[1] = {0};
  tconv3d_desc desc = valid_layer();
  desc.dtype = TCONV3D_F16;
  rig_assert_refused(tconv3d_reference_forward(&desc, values, values, values, values), TCONV3D_UNSUPPORTED, "dtype float16",
                     "type");
}

static void numbers_that_are_no_type_or_flag_are_refused(void **state) {
  const struct rig *rig = *state;
  tconv3d_plan *plan = NULL;
  tconv3d_desc desc = valid_layer();
  desc.dtype = (tconv3d_dtype)77;
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, NULL, &plan), TCONV3D_INVALID_PARAMETER, "dtype 77", "dtype");
  desc = valid_layer();
  desc.has_bias = 2;
  refused_by_all(rig, &desc, TCONV3D_INVALID_PARAMETER, "has_bias 2", "has_bias");
}

static void a_descriptor_of_another_size_or_none_is_refused(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = valid_layer();
  desc.struct_size -= 8;
  refused_by_all(rig, &desc, TCONV3D_INVALID_ARGUMENT, "struct_size", "struct_size");
  refused_by_all(rig, NULL, TCONV3D_INVALID_ARGUMENT, "desc", "no descriptor");
  tconv3d_desc zero = {0};
  refused_by_all(rig, &zero, TCONV3D_INVALID_ARGUMENT, "struct_size", "a zeroed descriptor");
}

static void unknown_and_unfit_algorithms_are_refused_with_the_reason(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = valid_layer();
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "no-such-algorithm";
  tconv3d_plan *plan = NULL;
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_UNSUPPORTED,
                     "algorithm no-such-algorithm direct", "algorithm");
  assert_null(plan);
  options.algorithm = "";
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_UNSUPPORTED, "algorithm", "no name");
}

static void the_next_right_call_works(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = valid_layer();
  tconv3d_plan *plan = NULL;
  assert_ok(tconv3d_plan_create(rig->context, &desc, NULL, &plan));
  tconv3d_plan_destroy(plan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_that_pytorch_refuses_are_refused_by_name),
      cmocka_unit_test(sizes_that_overflow_are_refused),
      cmocka_unit_test(large_values_of_the_whole_range_never_crash),
      cmocka_unit_test(a_layer_too_large_for_the_device_is_refused_at_once),
      cmocka_unit_test(float64_goes_with_float64_alone),
      cmocka_unit_test(references_of_other_types_are_refused_by_name),
      cmocka_unit_test(numbers_that_are_no_type_or_flag_are_refused),
      cmocka_unit_test(a_descriptor_of_another_size_or_none_is_refused),
      cmocka_unit_test(unknown_and_unfit_algorithms_are_refused_with_the_reason),
      cmocka_unit_test(the_next_right_call_works),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
