/* Layouts that must be refused, by every call that takes a layer, and how: targets with two elements in one place, layouts that
 * are none, strides past all sizes and past the device's memory. Each is named with its axis and its value. */
#include <stdio.h>
#include <string.h>

#include "support/layers.h"
#include "support/operands.h"
#include "support/rig.h"
#include "support/views.h"

/* ---- layouts of a descriptor ---- */

static tconv3d_status plan_of(const struct rig *rig, const tconv3d_desc *desc, tconv3d_operation operation) {
  tconv3d_plan *plan = NULL;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.operation = operation;
  tconv3d_status status = tconv3d_plan_create(rig->context, desc, &options, &plan);
  assert_int_equal(plan != NULL, status == TCONV3D_OK);
  tconv3d_plan_destroy(plan);
  return status;
}

static tconv3d_status tune_of(const struct rig *rig, const tconv3d_desc *desc, tconv3d_operation operation) {
  tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
  options.operation = operation;
  return tconv3d_tune(rig->context, desc, &options, NULL);
}

/* Every call that takes a layer and an operation must refuse this one with the phrase. */
static void refused_by_all(const struct rig *rig, const tconv3d_desc *desc, tconv3d_operation operation, tconv3d_status status,
                           const char *phrase) {
  float values[8] = {0}, target[8] = {-7, -7, -7, -7, -7, -7, -7, -7};
  const struct operands operands = {values, values, values, values};
  int64_t shape[5] = {-7, -7, -7, -7, -7};
  for (int call = 0; call < 4; ++call) {
    tconv3d_status got = call == 0   ? tconv3d_target_shape(desc, operation, shape)
                         : call == 1 ? reference_of(desc, operation, &operands, target)
                         : call == 2 ? plan_of(rig, desc, operation)
                                     : tune_of(rig, desc, operation);
    rig_assert_refused(got, status, "", phrase);
    if (!strstr(tconv3d_message(), phrase)) fail_msg("'%s' is not in the message '%s'", phrase, tconv3d_message());
  }
  for (int i = 0; i < 5; ++i) assert_int_equal(shape[i], -7);
  for (int i = 0; i < 8; ++i) assert_true(target[i] >= -7 && target[i] <= -7);
}

/* Makes one of the three tensors strided, its strides those of a dense one. */
static int64_t *make_strided(tconv3d_desc *desc, char tensor, tconv3d_operation operation) {
  struct views views;
  assert_true(views_of(&views, desc, operation));
  const struct view *view = tensor == 'x' ? &views.x : tensor == 'w' ? &views.w : &views.y;
  int64_t *strides = tensor == 'x' ? desc->x_strides : tensor == 'w' ? desc->w_strides : desc->y_strides;
  *(tensor == 'x' ? &desc->x_layout : tensor == 'w' ? &desc->w_layout : &desc->y_layout) = TCONV3D_STRIDED;
  memcpy(strides, view->stride, sizeof view->stride);
  return strides;
}

/* One stride of a dense target, changed. */
struct change {
  tconv3d_operation operation;
  char tensor;
  int axis;
  int64_t stride;
  const char *phrase;
};
static const struct change apart[] = {
    {TCONV3D_FORWARD, 'y', 4, 0, "y_strides of axis W is 0"},
    {TCONV3D_FORWARD, 'y', 2, 0, "y_strides of axis D is 0"},
    {TCONV3D_FORWARD, 'y', 3, 6, "y_strides of axis H is 6"},
    {TCONV3D_FORWARD, 'y', 3, -6, "y_strides of axis H is -6"},
    {TCONV3D_FORWARD, 'y', 2, 41, "y_strides of axis D is 41"},
    {TCONV3D_FORWARD, 'y', 1, 167, "y_strides of axis C is 167"},
    {TCONV3D_FORWARD, 'y', 0, -1007, "y_strides of axis N is -1007"},
    {TCONV3D_CONVOLUTION, 'y', 3, 2, "y_strides of axis H is 2"},
    {TCONV3D_CONVOLUTION, 'y', 0, 0, "y_strides of axis N is 0"},
    {TCONV3D_GRAD_INPUT, 'x', 3, -4, "x_strides of axis H is -4"},
    {TCONV3D_GRAD_INPUT, 'x', 1, 0, "x_strides of axis C is 0"},
    {TCONV3D_GRAD_WEIGHT, 'w', 0, 53, "w_strides of axis 0 is 53"},
    {TCONV3D_GRAD_WEIGHT, 'w', 1, -17, "w_strides of axis 1 is -17"},
    {TCONV3D_GRAD_WEIGHT, 'w', 2, 8, "w_strides of axis kD is 8"},
    {TCONV3D_GRAD_WEIGHT, 'w', 3, 0, "w_strides of axis kH is 0"},
    {TCONV3D_GRAD_WEIGHT, 'w', 4, 0, "w_strides of axis kW is 0"},
};
enum { CHANGES = sizeof apart / sizeof *apart };

static void targets_with_two_elements_in_one_place_are_refused_by_axis(void **state) {
  for (size_t i = 0; i < CHANGES; ++i) {
    tconv3d_desc desc = small_layer();
    int64_t shape[5], *strides = make_strided(&desc, apart[i].tensor, apart[i].operation);
    strides[apart[i].axis] = apart[i].stride;
    refused_by_all(*state, &desc, apart[i].operation, TCONV3D_INVALID_PARAMETER, apart[i].phrase);
    if (apart[i].operation != TCONV3D_CONVOLUTION) assert_ok(tconv3d_output_shape(&desc, shape));
    /* One more place and they are apart. */
    if (apart[i].stride) strides[apart[i].axis] += apart[i].stride < 0 ? -1 : 1;
    if (apart[i].stride) assert_ok(tconv3d_target_shape(&desc, apart[i].operation, shape));
  }
}

static bool writes(tconv3d_operation operation, char tensor) {
  if (tensor == 'y') return operation == TCONV3D_FORWARD || operation == TCONV3D_CONVOLUTION;
  return operation == (tensor == 'x' ? TCONV3D_GRAD_INPUT : TCONV3D_GRAD_WEIGHT);
}

static void what_is_only_read_may_have_elements_in_one_place(void **state) {
  (void)state;
  for (size_t i = 0; i < CHANGES; ++i)
    for (int operation = 0; operation < OPERATIONS; ++operation) {
      bool convolves = operation == TCONV3D_CONVOLUTION;
      if (writes((tconv3d_operation)operation, apart[i].tensor)) continue;
      if (convolves != (apart[i].operation == TCONV3D_CONVOLUTION)) continue; /* y has another shape */
      tconv3d_desc desc = small_layer();
      int64_t shape[5];
      make_strided(&desc, apart[i].tensor, apart[i].operation)[apart[i].axis] = apart[i].stride;
      assert_ok(tconv3d_target_shape(&desc, (tconv3d_operation)operation, shape));
    }
}

static void layouts_that_are_none_are_refused_by_all_operations(void **state) {
  static const int values[] = {7, 3, -1};
  for (int operation = 0; operation < OPERATIONS; ++operation)
    for (int tensor = 0; tensor < 3; ++tensor)
      for (size_t v = 0; v < 3; ++v) {
        char phrase[40];
        tconv3d_desc desc = small_layer();
        *(tensor == 0 ? &desc.x_layout : tensor == 1 ? &desc.w_layout : &desc.y_layout) = (tconv3d_layout)values[v];
        snprintf(phrase, sizeof phrase, "%c_layout is %d", "xwy"[tensor], values[v]);
        refused_by_all(*state, &desc, (tconv3d_operation)operation, TCONV3D_INVALID_PARAMETER, phrase);
      }
}

static void strides_past_63_bits_are_refused_by_axis(void **state) {
  static const struct {
    char tensor;
    int axis;
    int64_t stride;
    const char *phrase;
  } rows[] = {
      {'x', 0, INT64_MIN, "x_strides of axis N is -9223372036854775808"},
      {'x', 4, INT64_MAX, "x_strides of axis W is 9223372036854775807"},
      {'y', 1, INT64_MIN + 1, "y_strides of axis C is -9223372036854775807"},
      {'y', 3, INT64_MAX / 5, "y_strides of axis H is 1844674407370955161"},
      {'w', 0, INT64_MAX / 3, "w_strides of axis 0 is 3074457345618258602"},
      {'w', 2, INT64_MIN / 2, "w_strides of axis kD is -4611686018427387904"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (int operation = 0; operation < OPERATIONS; ++operation) {
      tconv3d_desc desc = small_layer();
      make_strided(&desc, rows[i].tensor, (tconv3d_operation)operation)[rows[i].axis] = rows[i].stride;
      refused_by_all(*state, &desc, (tconv3d_operation)operation, TCONV3D_SIZE_OVERFLOW, rows[i].phrase);
    }
}

/* They fit in 63 bits, but not in the device. */
static void a_view_too_large_for_the_device_is_refused(void **state) {
  static const char tensors[] = {'x', 'w', 'y'};
  for (size_t i = 0; i < 3; ++i) {
    tconv3d_desc desc = small_layer();
    make_strided(&desc, tensors[i], TCONV3D_FORWARD)[i == 1] = -(INT64_C(1) << 50);
    rig_assert_refused(plan_of(*state, &desc, TCONV3D_FORWARD), TCONV3D_OUT_OF_DEVICE_MEMORY, "bytes", "a wide view");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets_with_two_elements_in_one_place_are_refused_by_axis),
      cmocka_unit_test(what_is_only_read_may_have_elements_in_one_place),
      cmocka_unit_test(layouts_that_are_none_are_refused_by_all_operations),
      cmocka_unit_test(strides_past_63_bits_are_refused_by_axis),
      cmocka_unit_test(a_view_too_large_for_the_device_is_refused),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
