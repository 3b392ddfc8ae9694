/* Activations against PyTorch's values for zeros, Inf, NaN and numbers of all magnitudes, through a layer of one tap: by whole
 * vectors and value by value, in every type. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/call.h"
#include "support/goldens.h"

/* The rows of activations.npy after the inputs, and the constants that they were made with. */
static const struct {
  const char *name;
  tconv3d_activation activation;
  double low, high;
} rows[] = {{"relu", TCONV3D_RELU, 0, 0},       {"leaky_relu", TCONV3D_LEAKY_RELU, 0.0625, 0},
            {"prelu", TCONV3D_PRELU, 0, 0},     {"elu", TCONV3D_ELU, 1.5, 0},
            {"silu", TCONV3D_SILU, 0, 0},       {"gelu", TCONV3D_GELU, 0, 0},
            {"sigmoid", TCONV3D_SIGMOID, 0, 0}, {"tanh", TCONV3D_TANH, 0, 0},
            {"clamp", TCONV3D_CLAMP, -0.5, 2}};
enum { ROWS = sizeof rows / sizeof *rows };
static const double slope = 0.25;

struct setting {
  struct rig rig;
  void *file;
  const double *table;
  size_t count; /* of a row */
  bool flushes; /* the device takes float32's subnormal numbers for 0 */
};

static int set_up(void **state) {
  static struct setting setting;
  const void *data;
  size_t values;
  cl_device_fp_config can = 0;
  rig_open(&setting.rig);
  assert_cl(clGetDeviceInfo(setting.rig.device.device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof can, &can, NULL));
  setting.flushes = !(can & CL_FP_DENORM);
  setting.file = goldens_array("activations.npy", "<f8", sizeof(double), &data, &values);
  assert_int_equal(values % (ROWS + 1), 0);
  setting.table = data;
  setting.count = values / (ROWS + 1);
  *state = &setting;
  return 0;
}

static int tear_down(void **state) {
  struct setting *setting = *state;
  free(setting->file);
  rig_close(&setting->rig);
  return 0;
}

/* How far what is stored may be from PyTorch's value before it is rounded to its type: some ulp; of v for GELU, which PyTorch
 * too computes as v times a small difference; results that float32 has only as subnormal numbers, or v times such ones, may be
 * 0, and what is exact on devices that have no such numbers. */
static double allowed(const struct setting *setting, tconv3d_dtype type, tconv3d_activation activation, double v,
                      double expected) {
  bool single = type != TCONV3D_F64;
  double unit = single ? 0x1p-24 : 0x1p-53, least = single ? (double)FLT_MIN : DBL_MIN, ulps = single ? 4 : 16;
  if (single && setting->flushes) least *= 2; /* v too may have become 0, and slopes are up to 1.5 */
  bool exact = activation == TCONV3D_RELU || activation == TCONV3D_CLAMP;
  if (exact || isinf(v)) return exact && single && setting->flushes && fabs(v) < FLT_MIN ? least : 0;
  return 2 * ulps * unit * (fabs(expected) + (activation == TCONV3D_GELU ? fabs(v) / 2 : 0)) + least * (1 + fabs(v));
}

static void check_row(const struct setting *setting, size_t row, tconv3d_dtype type, const char *algorithm) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  double w, b, a;
  size_t count = setting->count;
  void *x = calloc(count, typed_size(type)), *y = calloc(count, typed_size(type));
  assert_true(x && y);
  desc.in_channels = desc.out_channels = 1;
  desc.dtype = desc.weight_dtype = type;
  TCONV3D_ALL_AXES(desc.input_size, 1);
  TCONV3D_ALL_AXES(desc.kernel_size, 1);
  desc.input_size[2] = (int64_t)count;
  options.algorithm = algorithm;
  options.epilogue.activation = rows[row].activation;
  options.epilogue.low = rows[row].low;
  options.epilogue.high = rows[row].high;
  typed_put(type, &w, 0, 1);
  typed_put(type, &b, 0, -0.0);
  typed_put(type, &a, 0, slope);
  for (size_t i = 0; i < count; ++i) typed_put(type, x, i, setting->table[i]);
  assert_ok(tconv3d_plan_create(setting->rig.context, &desc, &options, &plan));
  assert_ok(tconv3d_weights_create_host(plan, &w, &b, &weights));
  if (rows[row].activation == TCONV3D_PRELU) assert_ok(tconv3d_weights_set_channels_host(weights, &a, NULL, NULL));
  assert_ok(tconv3d_run(plan, weights, x, y));
  for (size_t i = 0; i < count; ++i) {
    double v = setting->table[i], expected = setting->table[(row + 1) * count + i], got = typed_value(type, y, i);
    double given = typed_value(type, x, i);
    if (given < v || given > v) continue; /* not a number that the type has */
    if (exact_stored(type, got, (long double)expected, allowed(setting, type, rows[row].activation, v, expected))) continue;
    fail_msg("%s of the %s %.9g by %s is %.17g; PyTorch has %.17g", rows[row].name, typed_name(type), v, algorithm, got,
             expected);
  }
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  free(x);
  free(y);
}

static void activations_are_pytorchs_in_float32_by_vectors(void **state) {
  for (size_t row = 0; row < ROWS; ++row) check_row(*state, row, TCONV3D_F32, "phase");
}

static void activations_are_pytorchs_in_float32_one_by_one(void **state) {
  for (size_t row = 0; row < ROWS; ++row) check_row(*state, row, TCONV3D_F32, "direct");
}

static void activations_are_pytorchs_in_float64(void **state) {
  const struct setting *setting = *state;
  for (size_t row = 0; setting->rig.device.float64 && row < ROWS; ++row)
    check_row(setting, row, TCONV3D_F64, row % 2 ? "phase" : "direct");
}

static void activations_are_pytorchs_in_short_types(void **state) {
  for (size_t row = 0; row < ROWS; ++row) check_row(*state, row, row % 2 ? TCONV3D_F16 : TCONV3D_BF16, "phase");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(activations_are_pytorchs_in_float32_by_vectors),
      cmocka_unit_test(activations_are_pytorchs_in_float32_one_by_one),
      cmocka_unit_test(activations_are_pytorchs_in_float64),
      cmocka_unit_test(activations_are_pytorchs_in_short_types),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
