/* A library without CLBlast, whichever way this build has it: lib/blas/none.c is linked in the place of the other. */
#include "blas/blas.h"
#include "support/rig.h"

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = desc.out_channels = 2;
  TCONV3D_ALL_AXES(desc.input_size, 3);
  TCONV3D_ALL_AXES(desc.kernel_size, 2);
  return desc;
}

static void its_algorithm_is_refused_and_the_others_serve(void **state) {
  const struct rig *rig = *state;
  const tconv3d_desc desc = make_layer();
  tconv3d_plan *plan = NULL;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "gemm", options.allow_clblast = 1;
  rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_UNSUPPORTED,
                     "gemm built without CLBlast", "a named gemm");
  assert_null(plan);
  options.algorithm = NULL;
  assert_ok(tconv3d_plan_create(rig->context, &desc, &options, &plan));
  tconv3d_plan_destroy(plan);
}

static void nothing_is_tuned(void **state) {
  const struct rig *rig = *state;
  tconv3d_clblast_info info = {.version = "x", .tuned = 1};
  rig_assert_refused(tconv3d_tune_clblast(rig->context, NULL, NULL), TCONV3D_UNSUPPORTED, "CLBlast built without",
                     "tuning CLBlast");
  assert_ok(tconv3d_clblast_query(rig->device.device, TCONV3D_F32, &info));
  assert_string_equal(info.version, "");
  assert_int_equal(info.tuned, 0);
}

/* None of these is called by the rest of the library where products are refused. */
static void its_calls_refuse_too(void **state) {
  const struct rig *rig = *state;
  t3_blas_parameters parameters;
  assert_int_equal(t3_blas_candidate(&rig->device, 0, &parameters), T3_BLAS_XGEMM);
  rig_assert_refused(t3_blas_use(rig->device.device, false, &parameters), TCONV3D_UNSUPPORTED, "built without", "parameters");
  rig_assert_refused(t3_blas_multiply(rig->queue, &(t3_matrices){0}), TCONV3D_UNSUPPORTED, "built without", "a product");
  assert_false(t3_blas_used(rig->device.device, false, &parameters));
  t3_blas_forget();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(its_algorithm_is_refused_and_the_others_serve),
      cmocka_unit_test(nothing_is_tuned),
      cmocka_unit_test(its_calls_refuse_too),
  };
  return cmocka_run_group_tests_name("no_blas", tests, rig_set_up, rig_tear_down);
}
