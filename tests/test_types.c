/* Tensors of every type: the conversions of the short ones value by value, and every operation by every algorithm between
 * tensors and weights of all types that go together, against long double. TCONV3D_TEST_SEED runs other values. A failure prints
 * the seed and the layer. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/quirks.h"
#include "plan/plan.h"
#include "support/call.h"
#include "support/layers.h"

static uint64_t seed = 20241103;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

static const tconv3d_dtype shorts[] = {TCONV3D_F16, TCONV3D_BF16};

/* ---- conversions ---- */

/* One tap of weight 1, channels in and out, rows of so many positions. */
static tconv3d_desc pointwise(int64_t channels_in, int64_t channels_out, int64_t rows, int64_t positions) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = channels_in;
  desc.out_channels = channels_out;
  desc.input_size[0] = 1;
  desc.input_size[1] = rows;
  desc.input_size[2] = positions;
  TCONV3D_ALL_AXES(desc.kernel_size, 1);
  return desc;
}

/* A plan by the algorithm, false where it refuses. One made for GPUs is planned as if the device were a GPU, whose own
 * functions convert float16. */
static bool plan_by(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, tconv3d_operation operation,
                    tconv3d_plan **plan) {
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  const cl_device_type type = slot->info.type;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  options.operation = operation;
  if (rig_is_foreign(algorithm)) slot->info.type = CL_DEVICE_TYPE_GPU;
  tconv3d_status status = tconv3d_plan_create(rig->context, desc, &options, plan);
  slot->info.type = type;
  if (status == TCONV3D_UNSUPPORTED) return false;
  assert_ok(status);
  if (rig_is_foreign(algorithm) && (desc->dtype == TCONV3D_F16 || desc->weight_dtype == TCONV3D_F16))
    assert_non_null(strstr((*plan)->recipe.defines.data, "DEVICE_HALF=1\n"));
  return true;
}

/* Plans of one operation by every algorithm that serves it. */
static void for_plans(const struct rig *rig, const tconv3d_desc *desc, tconv3d_operation operation,
                      void use(const tconv3d_plan *, const tconv3d_desc *, void *), void *user) {
  const char *name;
  size_t served = 0;
  for (size_t i = 0; (name = tconv3d_algorithm_name(i)); ++i) {
    tconv3d_plan *plan;
    if (!plan_by(rig, name, desc, operation, &plan)) continue;
    use(plan, desc, user);
    tconv3d_plan_destroy(plan);
    ++served;
  }
  assert_true(served > 0 || t3_has_quirk(&rig->device, T3_FEW_ROUNDS)); /* such a device refuses long sums */
}

/* Whether the device takes float32's subnormal numbers for 0. */
static bool flushes(const struct rig *rig) {
  cl_device_fp_config can = 0;
  assert_cl(clGetDeviceInfo(rig->device.device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof can, &can, NULL));
  return !(can & CL_FP_DENORM);
}

/* y = 1*x - 0: all 65536 values come back as they were, but for the sign of a zero, which a sum may lose. */
static void check_identity(const tconv3d_plan *plan, const tconv3d_desc *desc, void *user) {
  enum { VALUES = 65536 };
  const bool flush = flushes(user);
  tconv3d_plan_info info;
  tconv3d_weights *weights;
  uint16_t w = 0, b = 0x8000;
  typed_put(desc->dtype, &w, 0, 1);
  uint16_t *x = malloc(VALUES * sizeof *x), *y = malloc(VALUES * sizeof *y);
  assert_true(x && y);
  for (unsigned i = 0; i < VALUES; ++i) x[i] = (uint16_t)i, y[i] = 0x5555;
  assert_ok(tconv3d_plan_query(plan, &info));
  assert_ok(tconv3d_weights_create_host(plan, &w, &b, &weights));
  assert_ok(tconv3d_run(plan, weights, x, y));
  for (unsigned i = 0; i < VALUES; ++i) {
    double value = typed_value(desc->dtype, x, i);
    bool nan = isnan(value), zero = flush ? fabs(value) < FLT_MIN : !(i & 0x7fffu);
    if (nan ? isnan(typed_value(desc->dtype, y, i)) : zero ? !(y[i] & 0x7fffu) : y[i] == i) continue;
    fail_msg("%s: %s %04x becomes %04x", info.algorithm, typed_name(desc->dtype), i, y[i]);
  }
  tconv3d_weights_destroy(weights);
  free(x);
  free(y);
}

static void every_short_value_passes_through_a_layer_unchanged(void **state) {
  for (size_t i = 0; i < 2; ++i) {
    tconv3d_desc desc = pointwise(1, 1, 64, 1024);
    desc.dtype = desc.weight_dtype = shorts[i];
    for_plans(*state, &desc, TCONV3D_FORWARD, check_identity, *state);
  }
}

/* float32 values at and beside what rounding to a short type turns on. Subnormal ones only where the device keeps them. */
static float delicate_value(const struct rig *rig, struct rng *rng, tconv3d_dtype type, size_t i) {
  static const unsigned edges[] = {0,    1,      2,      0x3fe,  0x3ff,  0x400,  0x7e,  0x7f,
                                   0x80, 0x7bfe, 0x7bff, 0x7f7e, 0x7f7f, 0x3c00, 0x3f80};
  uint64_t random = rng_bits(rng);
  uint16_t bits[2];
  uint32_t whole = (uint32_t)(random >> 32);
  float value;
  bits[0] = (uint16_t)(i % 5 ? random & 0x7fffu : edges[random % (sizeof edges / sizeof *edges)]);
  bits[1] = (uint16_t)(bits[0] + 1);
  double low = typed_value(type, bits, 0), high = typed_value(type, bits, 1);
  if (isinf(high)) high = ldexp(1, type == TCONV3D_F16 ? 16 : 128);
  double middle = isfinite(low) && isfinite(high) ? low + (high - low) / 2 : low; /* a float32 too */
  switch (i % 4) {
  case 0: memcpy(&value, &whole, sizeof value); break; /* any bits at all */
  case 1: value = (float)middle; break;
  case 2: value = nextafterf((float)middle, random >> 40 & 1 ? INFINITY : 0); break;
  default: value = nextafterf((float)low, random >> 40 & 1 ? INFINITY : 0); break;
  }
  if (flushes(rig) && fabsf(value) < FLT_MIN) value = 0;
  return random >> 41 & 1 ? -value : value;
}

enum { DELICATE = 6000, POSITIONS = 27 }; /* a row: a vector of 16, half a one, three values */

static void assert_rounded(const tconv3d_plan *plan, tconv3d_dtype type, float value, const void *bits, size_t i) {
  tconv3d_plan_info info;
  double got = typed_value(type, bits, i), nearest = typed_rounded(type, (double)value);
  if (isnan(value) ? isnan(got) : got >= nearest && got <= nearest) return;
  assert_ok(tconv3d_plan_query(plan, &info));
  fail_msg("%s: %a becomes the %s %a; nearest is %a", info.algorithm, (double)value, typed_name(type), got, nearest);
}

/* y = 1*0 + b at every place of channel m, with b in float32 and y in a short type. */
static void check_stored_bias(const tconv3d_plan *plan, const tconv3d_desc *desc, void *user) {
  const float *b = user;
  uint16_t x[POSITIONS] = {0}, *y = calloc(DELICATE * POSITIONS, sizeof *y);
  float *w = malloc(DELICATE * sizeof *w);
  tconv3d_weights *weights;
  assert_true(y && w);
  for (size_t m = 0; m < DELICATE; ++m) w[m] = 1;
  assert_ok(tconv3d_weights_create_host(plan, w, b, &weights));
  assert_ok(tconv3d_run(plan, weights, x, y));
  for (size_t i = 0; i < DELICATE * POSITIONS; ++i) assert_rounded(plan, desc->dtype, b[i / POSITIONS], y, i);
  tconv3d_weights_destroy(weights);
  free(w);
  free(y);
}

/* gw[c] = x[c] * 1, and gb[m] = gy[m] alone, from float32 to a short type. */
static void check_stored_gradient(const tconv3d_plan *plan, const tconv3d_desc *desc, void *user) {
  const float *values = user, one = 1;
  bool weight = desc->in_channels > 1;
  uint16_t *gradient = calloc(DELICATE, sizeof *gradient);
  assert_non_null(gradient);
  assert_ok(tconv3d_run_gradient(plan, weight ? values : NULL, weight ? &one : values, gradient));
  for (size_t i = 0; i < DELICATE; ++i) assert_rounded(plan, desc->weight_dtype, values[i], gradient, i);
  free(gradient);
}

static void float32_is_rounded_to_short_types_once_and_to_nearest(void **state) {
  for (size_t t = 0; t < 2; ++t) {
    struct rng rng = {seed + t};
    float *values = malloc(DELICATE * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < DELICATE; ++i) values[i] = delicate_value(*state, &rng, shorts[t], i);
    tconv3d_desc layer = pointwise(1, DELICATE, 1, POSITIONS), weight = pointwise(DELICATE, 1, 1, 1);
    layer.dtype = shorts[t];
    for_plans(*state, &layer, TCONV3D_FORWARD, check_stored_bias, values);
    weight.weight_dtype = shorts[t];
    for_plans(*state, &weight, TCONV3D_GRAD_WEIGHT, check_stored_gradient, values);
    tconv3d_desc bias = pointwise(1, DELICATE, 1, 1);
    bias.weight_dtype = shorts[t];
    for_plans(*state, &bias, TCONV3D_GRAD_BIAS, check_stored_gradient, values);
    free(values);
  }
}

/* ---- operations ---- */

static tconv3d_desc layer_of(tconv3d_operation operation, tconv3d_dtype dtype, tconv3d_dtype weight_dtype) {
  tconv3d_desc desc = operation_layer(operation, 6);
  desc.dtype = dtype;
  desc.weight_dtype = weight_dtype;
  return desc;
}

/* False when the algorithm refuses. */
static bool check_call(const struct rig *rig, const struct asked *asked) {
  char why[300];
  struct call call;
  struct exact exact;
  if (!call_make(&call, rig, asked)) return false;
  const struct tensor *target = &call.tensors[CALL_TARGET];
  call_run(&call);
  call_sums(&call, &exact);
  exact_add_old(&exact, asked->beta, target->values);
  bool right = exact_right(&exact, target->type, call.result, asked->values == VALUES_INTEGER, why, sizeof why);
  call_needs(&call, right, why);
  if (asked->values == VALUES_UNIFORM) call_repeat(&call);
  exact_free(&exact);
  call_free(&call);
  return true;
}

/* With integers, whose sums are exact and rounded once, and with fractions. */
static bool check_both(const struct rig *rig, struct asked asked) {
  asked.values = VALUES_INTEGER;
  if (!check_call(rig, &asked)) return false;
  asked.values = VALUES_UNIFORM;
  return check_call(rig, &asked);
}

static void every_operation_is_right_by_every_algorithm_in_each_type(void **state) {
  static const tconv3d_dtype types[] = {TCONV3D_F64, TCONV3D_F16, TCONV3D_BF16};
  const struct rig *rig = *state;
  for (size_t t = rig->device.float64 ? 0 : 1; t < 3; ++t)
    for (size_t i = 0; i < OPERATIONS; ++i) {
      const char *name;
      size_t served = 0;
      for (size_t a = 0; (name = tconv3d_algorithm_name(a)); ++a) {
        if (rig_is_foreign(name) && (t + i + a) % 3) continue; /* each meets every type by some operation */
        struct asked asked = {.desc = layer_of(all_operations[i], types[t], types[t]),
                              .operation = all_operations[i],
                              .algorithm = name,
                              .seed = seed + a,
                              .beta = (t + a) % 3 ? 0 : 1};
        served += check_both(rig, asked);
      }
      assert_true(served > 0);
    }
}

/* Each pair by other algorithms for each operation, so that every algorithm meets several. */
static void tensors_and_weights_of_different_types_go_together(void **state) {
  static const tconv3d_dtype pairs[][2] = {{TCONV3D_F16, TCONV3D_F32},  {TCONV3D_BF16, TCONV3D_F16},
                                           {TCONV3D_F32, TCONV3D_BF16}, {TCONV3D_BF16, TCONV3D_F32},
                                           {TCONV3D_F32, TCONV3D_F16},  {TCONV3D_F16, TCONV3D_BF16}};
  enum { PAIRS = sizeof pairs / sizeof *pairs };
  for (size_t p = 0; p < PAIRS; ++p)
    for (size_t i = 0; i < OPERATIONS; ++i) {
      struct asked asked = {.desc = layer_of(all_operations[i], pairs[p][0], pairs[p][1]),
                            .operation = all_operations[i],
                            .seed = seed + p,
                            .beta = (p + i) % 3 ? 0 : -0.5};
      size_t count = 0, at = p;
      while (tconv3d_algorithm_name(count)) ++count;
      do asked.algorithm = tconv3d_algorithm_name(at++ % count);
      while (!check_both(*state, asked));
    }
}

static void the_automatic_choice_serves_every_type(void **state) {
  for (size_t i = 0; i < OPERATIONS; ++i) {
    struct asked asked = {
        .desc = layer_of(all_operations[i], shorts[i % 2], shorts[i % 2]), .operation = all_operations[i], .seed = seed};
    assert_true(check_both(*state, asked));
    asked.desc.batch = 0;
    assert_true(check_both(*state, asked));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_short_value_passes_through_a_layer_unchanged),
      cmocka_unit_test(float32_is_rounded_to_short_types_once_and_to_nearest),
      cmocka_unit_test(every_operation_is_right_by_every_algorithm_in_each_type),
      cmocka_unit_test(tensors_and_weights_of_different_types_go_together),
      cmocka_unit_test(the_automatic_choice_serves_every_type),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
