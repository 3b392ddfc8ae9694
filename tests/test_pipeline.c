/* The task for FPGAs alone, so that an emulator, which compiles slowly, can be asked for it: every variant, operation, type and
 * layout, epilogues, rows that fit into its shift register and rows that do not. The suites that walk all algorithms meet it
 * too. */
#include <string.h>

#include "support/call_check.h"
#include "support/layers.h"

static const uint64_t seed = 20240611;

static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION};
enum { SERVED = sizeof operations / sizeof *operations };

static void each_variant_is_right_for_each_operation_type_and_layout(void **state) {
  static const tconv3d_dtype types[] = {TCONV3D_F32, TCONV3D_F16, TCONV3D_BF16, TCONV3D_F64};
  const struct rig *rig = *state;
  const size_t pipeline = algorithm_at("pipeline");
  for (size_t i = 0; i < SERVED; ++i)
    for (size_t t = 0; t < (rig->device.float64 ? 4u : 3u); ++t) {
      struct rng rng = {seed + 4 * i + t}, of_w = {seed + i};
      struct asked asked = {
          .desc = operation_layer(operations[i], t % 2 ? 6 : 18), .operation = operations[i], .seed = seed + t};
      t3_variant variants[T3_MAX_VARIANTS];
      asked.desc.dtype = asked.desc.weight_dtype = types[t];
      if (t) views_random(&rng, &of_w, &asked.desc, operations[i], (struct view_kinds){VIEW_ANY, VIEW_ANY, VIEW_ANY});
      t3_problem problem = problem_of(rig, &asked);
      size_t count = t3_algorithm_at(pipeline)->variants(&problem, variants);
      assert_true(count > 1);
      t3_candidate candidate = {t3_algorithm_at(pipeline), variants[(i + t) % count], 0};
      asked.candidate = &candidate;
      asked.beta = t % 2 ? 0.5 : 0;
      assert_string_equal(call_check_both(rig, asked), "pipeline");
    }
}

static void epilogues_are_right(void **state) {
  for (int affine = 1; affine <= 2; ++affine) {
    struct asked asked = {.desc = operation_layer(TCONV3D_FORWARD, 6), .algorithm = "pipeline", .seed = seed};
    asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = affine, .residual = affine == 1 ? 0.5 : 0};
    asked.values = VALUES_INTEGER;
    assert_string_equal(call_check(*state, &asked), "pipeline");
  }
}

static void lines_that_no_register_holds_are_right(void **state) {
  struct asked asked = {.desc = operation_layer(TCONV3D_FORWARD, 6), .algorithm = "pipeline", .seed = seed};
  asked.desc.dilation[2] = 300;
  asked.desc.stride[2] = 1;
  assert_string_equal(call_check_both(*state, asked), "pipeline");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_variant_is_right_for_each_operation_type_and_layout),
      cmocka_unit_test(epilogues_are_right),
      cmocka_unit_test(lines_that_no_register_holds_are_right),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
