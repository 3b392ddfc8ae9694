/* Layouts as numbers, without a device: strides, what memory they span, which of them a result can have; and the references
 * with tensors in any layout against themselves with dense copies, bit for bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geometry/geometry.h"
#include "support/layers.h"
#include "support/operands.h"
#include "support/rig.h"
#include "support/views.h"

static const uint64_t seed = 20241121;

/* ---- tconv3d_strides ---- */

static void dense_and_channels_last_tensors_have_these_strides(void **state) {
  (void)state;
  static const struct {
    tconv3d_layout layout;
    int64_t shape[5], strides[5];
  } rows[] = {
      {TCONV3D_DENSE, {2, 3, 4, 5, 6}, {360, 120, 30, 6, 1}},
      {TCONV3D_CHANNELS_LAST, {2, 3, 4, 5, 6}, {360, 1, 90, 18, 3}},
      {TCONV3D_DENSE, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}},
      {TCONV3D_CHANNELS_LAST, {7, 1, 1, 1, 9}, {9, 1, 9, 9, 1}},
      {TCONV3D_DENSE, {0, 3, 4, 5, 6}, {360, 120, 30, 6, 1}},
      {TCONV3D_CHANNELS_LAST, {2, 0, 4, 0, 6}, {24, 1, 6, 6, 1}},
      {TCONV3D_DENSE, {INT64_MAX, 1, 1, 1, 1}, {1, 1, 1, 1, 1}},
      {TCONV3D_DENSE, {1, 1, 2, INT64_MAX / 2, 1}, {INT64_MAX - 1, INT64_MAX - 1, INT64_MAX / 2, 1, 1}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    int64_t strides[5] = {-7, -7, -7, -7, -7};
    assert_ok(tconv3d_strides(rows[i].layout, rows[i].shape, strides));
    assert_memory_equal(strides, rows[i].strides, sizeof strides);
  }
}

static void strides_of_no_tensor_are_refused(void **state) {
  (void)state;
  static const int64_t right[5] = {2, 3, 4, 5, 6}, negative[5] = {2, 3, 4, -1, 6}, most[5] = {2, 3, INT64_MIN, 5, 6};
  static const int64_t large[5] = {2, INT64_MAX, 1, 1, 1}, larger[5] = {INT64_MAX, 0, 2, 1, 1};
  static const struct {
    tconv3d_layout layout;
    const int64_t *shape;
    tconv3d_status status;
    const char *words;
  } rows[] = {
      {TCONV3D_DENSE, NULL, TCONV3D_INVALID_ARGUMENT, "shape NULL"},
      {TCONV3D_STRIDED, right, TCONV3D_INVALID_PARAMETER, "layout 2"},
      {(tconv3d_layout)7, right, TCONV3D_INVALID_PARAMETER, "layout 7"},
      {(tconv3d_layout)-1, right, TCONV3D_INVALID_PARAMETER, "layout -1"},
      {TCONV3D_DENSE, negative, TCONV3D_INVALID_PARAMETER, "shape[3] -1"},
      {TCONV3D_CHANNELS_LAST, most, TCONV3D_INVALID_PARAMETER, "shape[2] -9223372036854775808"},
      {TCONV3D_DENSE, large, TCONV3D_SIZE_OVERFLOW, "9223372036854775807 63"},
      {TCONV3D_CHANNELS_LAST, large, TCONV3D_SIZE_OVERFLOW, "9223372036854775807 63"},
      {TCONV3D_DENSE, larger, TCONV3D_SIZE_OVERFLOW, "9223372036854775807 63"},
  };
  int64_t strides[5] = {-7, -7, -7, -7, -7};
  const int64_t kept[5] = {-7, -7, -7, -7, -7};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    rig_assert_refused(tconv3d_strides(rows[i].layout, rows[i].shape, strides), rows[i].status, rows[i].words, rows[i].words);
  assert_memory_equal(strides, kept, sizeof strides);
  rig_assert_refused(tconv3d_strides(TCONV3D_DENSE, right, NULL), TCONV3D_INVALID_ARGUMENT, "strides NULL", "no strides");
  assert_ok(tconv3d_strides(TCONV3D_DENSE, right, strides));
}

/* ---- what memory a layout spans, and whether it can be written ---- */

/* A layer whose x and y have this shape. */
static tconv3d_desc pointwise(const int64_t shape[5]) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = shape[0];
  desc.in_channels = desc.out_channels = shape[1];
  for (int a = 0; a < 3; ++a) desc.input_size[a] = shape[2 + a], desc.kernel_size[a] = 1;
  return desc;
}

static void random_shape_of(struct rng *rng, int64_t shape[5]) {
  for (int i = 0; i < 5; ++i) shape[i] = rng_between(rng, 1, 4);
}

static void random_strides(struct rng *rng, int64_t most, int64_t strides[5]) {
  for (int i = 0; i < 5; ++i) strides[i] = rng_between(rng, -most, most);
}

/* Every index, one place after the other. */
static bool all_apart(const struct view *view) {
  bool *taken = calloc(view->span, sizeof *taken), apart = true;
  assert_non_null(taken);
  for (size_t i = 0; i < view->count; ++i) {
    size_t place = view_place(view, i);
    assert_true(place < view->span);
    apart = apart && !taken[place];
    taken[place] = true;
  }
  free(taken);
  return apart;
}

/* The rule as layer.h has it: for each axis, those of smaller strides, or of equal ones, reach less far than its stride. */
static bool within_the_rule(const struct view *view) {
  for (int i = 0; i < 5; ++i) {
    int64_t reach = 0, stride = llabs(view->stride[i]);
    if (view->shape[i] <= 1) continue;
    for (int j = 0; j < 5; ++j)
      if (j != i && llabs(view->stride[j]) <= stride) reach += (view->shape[j] - 1) * llabs(view->stride[j]);
    if (stride <= reach) return false;
  }
  return true;
}

static void any_strides_are_measured_and_judged_by_the_rule(void **state) {
  (void)state;
  enum { TIMES = 20000 };
  struct rng rng = {seed};
  size_t accepted = 0, apart = 0;
  for (int i = 0; i < TIMES; ++i) {
    int64_t shape[5], target[5];
    random_shape_of(&rng, shape);
    tconv3d_desc desc = pointwise(shape);
    desc.x_layout = desc.y_layout = TCONV3D_STRIDED;
    random_strides(&rng, 100, desc.x_strides);
    random_strides(&rng, i % 2 ? 200 : 12, desc.y_strides);
    struct view view = view_make(TCONV3D_STRIDED, desc.y_strides, shape);
    t3_layer layer;
    assert_ok(t3_layer_init(&desc, &layer));
    assert_int_equal(layer.y.span, view.span);
    assert_int_equal(layer.y.below, view.below);
    assert_int_equal(layer.y_count, view.count);
    bool can_be_written = tconv3d_target_shape(&desc, TCONV3D_FORWARD, target) == TCONV3D_OK, one_each = all_apart(&view);
    assert_int_equal(can_be_written, within_the_rule(&view));
    assert_true(one_each || !can_be_written);
    accepted += can_be_written;
    apart += one_each;
  }
  print_message("# %zu of %d accepted, %zu are apart\n", accepted, TIMES, apart);
  assert_true(accepted > TIMES / 100 && accepted < TIMES / 2);
}

static void crops_permuted_and_flipped_axes_can_be_written(void **state) {
  (void)state;
  struct rng rng = {seed};
  for (int i = 0; i < 4000; ++i) {
    int64_t shape[5], target[5];
    enum view_kind kind = (enum view_kind)(i % VIEW_KINDS);
    random_shape_of(&rng, shape);
    tconv3d_desc desc = pointwise(shape);
    view_random(&rng, kind, shape, &desc.y_layout, desc.y_strides);
    struct view view = view_make(desc.y_layout, desc.y_strides, shape);
    bool right = kind < VIEW_APART || within_the_rule(&view);
    assert_true(all_apart(&view) || !right);
    assert_int_equal(tconv3d_target_shape(&desc, TCONV3D_FORWARD, target), right ? TCONV3D_OK : TCONV3D_INVALID_PARAMETER);
    if (!right) assert_non_null(strstr(tconv3d_message(), "y_strides of axis "));
  }
}

/* Two elements of x, so far apart. */
static tconv3d_status two_apart(int64_t stride) {
  const int64_t shape[5] = {1, 1, 1, 2, 1};
  tconv3d_desc desc = pointwise(shape);
  desc.x_layout = TCONV3D_STRIDED;
  desc.x_strides[3] = stride;
  int64_t ignored[5];
  return tconv3d_output_shape(&desc, ignored);
}

static void strides_count_until_bytes_no_longer_fit_in_63_bits(void **state) {
  (void)state;
  static const int64_t most = INT64_MAX / 32;
  static const struct {
    int64_t stride;
    const char *words;
  } rows[] = {{INT64_MAX / 8, "1152921504606846975"},
              {-(INT64_MAX / 8), "-1152921504606846975"},
              {INT64_MAX, "9223372036854775807"},
              {-INT64_MAX, "-9223372036854775807"},
              {INT64_MIN, "-9223372036854775808"}};
  assert_ok(two_apart(most));
  assert_ok(two_apart(-most));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    char words[80];
    snprintf(words, sizeof words, "x_strides axis H %s 63", rows[i].words);
    rig_assert_refused(two_apart(rows[i].stride), TCONV3D_SIZE_OVERFLOW, words, words);
  }
  const int64_t shape[5] = {2, 1, 2, 2, 2};
  tconv3d_desc desc = pointwise(shape);
  int64_t ignored[5];
  desc.y_layout = TCONV3D_STRIDED;
  for (int i = 0; i < 5; ++i) desc.y_strides[i] = i % 2 ? -most : most; /* each fits, not all together */
  rig_assert_refused(tconv3d_output_shape(&desc, ignored), TCONV3D_SIZE_OVERFLOW, "y_strides axis 63", "a sum of strides");
  desc.y_layout = TCONV3D_CHANNELS_LAST; /* then they are not looked at */
  assert_ok(tconv3d_output_shape(&desc, ignored));
}

static int64_t *strides_of(tconv3d_desc *desc, int tensor) {
  return tensor == 0 ? desc->x_strides : tensor == 1 ? desc->w_strides : desc->y_strides;
}

static void strides_of_the_whole_range_never_crash(void **state) {
  (void)state;
  static const int64_t values[] = {INT64_MIN, INT64_MIN + 1,  -INT64_MAX / 2, INT32_MIN, -1, 0,
                                   1,         INT64_MAX / 16, INT64_MAX - 1,  INT64_MAX};
  static const int64_t shapes[][5] = {{2, 3, 2, 2, 2}, {1, 1, 1, 1, 1}, {0, 2, 1, 2, 1}};
  for (size_t s = 0; s < 3; ++s)
    for (int tensor = 0; tensor < 3; ++tensor)
      for (int axis = 0; axis < 5; ++axis)
        for (size_t v = 0; v < sizeof values / sizeof *values; ++v)
          for (int operation = 0; operation < OPERATIONS; ++operation) {
            tconv3d_desc desc = pointwise(shapes[s]);
            int64_t shape[5];
            desc.x_layout = desc.w_layout = desc.y_layout = TCONV3D_STRIDED;
            for (int i = 0; i < 5; ++i)
              desc.x_strides[i] = desc.w_strides[i] = desc.y_strides[i] = (int64_t[]){64, 16, 4, 2, 1}[i];
            strides_of(&desc, tensor)[axis] = values[v];
            tconv3d_status status = tconv3d_target_shape(&desc, (tconv3d_operation)operation, shape);
            assert_true(status == TCONV3D_OK || status == TCONV3D_INVALID_PARAMETER || status == TCONV3D_SIZE_OVERFLOW);
            if (s == 1) assert_int_equal(status, TCONV3D_OK); /* axes of one element: any number will do */
          }
}

static void layouts_leave_the_shape_and_its_inverse_alone(void **state) {
  (void)state;
  struct rng rng = {seed};
  for (int i = 0; i < 200; ++i) {
    tconv3d_desc desc;
    int64_t dense[5], strided[5], paddings[2][3] = {{0}};
    random_layer(&rng, &desc);
    assert_ok(tconv3d_output_shape(&desc, dense));
    tconv3d_status expected = tconv3d_resolve_output_size(&desc, dense + 2, paddings[0]);
    views_random(&rng, &rng, &desc, TCONV3D_GRAD_BIAS, (struct view_kinds){VIEW_ANY, VIEW_REPEATED, VIEW_WINDOWS});
    assert_ok(tconv3d_output_shape(&desc, strided)); /* though y could not be written so */
    assert_memory_equal(strided, dense, sizeof dense);
    assert_int_equal(tconv3d_resolve_output_size(&desc, dense + 2, paddings[1]), expected);
    assert_memory_equal(paddings[0], paddings[1], sizeof paddings[0]);
  }
}

/* ---- references ---- */

/* A tensor in its layout; its elements are those of dense, but where several share a place: these become one in dense too. */
struct placed {
  struct view view;
  float *dense, *places, *before;
};

static struct placed place_values(struct rng *rng, const struct view *view) {
  struct placed placed = {.view = *view, .dense = random_values(rng, view->count, VALUES_UNIFORM)};
  placed.places = view_room(view, TCONV3D_F32, GAPS_OF_NAN);
  placed.before = malloc((view->span + 1) * sizeof(float));
  assert_true(placed.dense && placed.places && placed.before);
  view_scatter(view, sizeof(float), placed.dense, placed.places);
  view_gather(view, sizeof(float), placed.places, placed.dense);
  memcpy(placed.before, placed.places, view->span * sizeof(float));
  return placed;
}

static void free_placed(struct placed *placed) {
  free(placed->dense);
  free(placed->places);
  free(placed->before);
}

static float *start_of(const struct placed *placed) {
  return placed->places + placed->view.below;
}

/* The results are the same bits, and all else is as it was. */
static void check_target(const struct placed *target, const float *expected) {
  char why[200];
  float *result = calloc(target->view.count + 1, sizeof *result);
  assert_non_null(result);
  view_gather(&target->view, sizeof *result, target->places, result);
  assert_memory_equal(result, expected, target->view.count * sizeof *result);
  if (!view_gaps_kept(&target->view, sizeof(float), target->before, target->places, why, sizeof why)) fail_msg("%s", why);
  free(result);
}

static void check_unchanged(const struct placed *read) {
  assert_memory_equal(read->places, read->before, read->view.span * sizeof(float));
}

static void check_reference(const tconv3d_desc *desc, tconv3d_operation operation, struct rng *rng) {
  struct views views;
  assert_true(views_of(&views, desc, operation));
  const struct view channels = view_row((size_t)desc->out_channels);
  struct placed x = place_values(rng, &views.x), w = place_values(rng, &views.w), y = place_values(rng, &views.y);
  struct placed b = place_values(rng, &channels), *all[] = {&x, &w, &y, &b};
  struct placed *target = operation == TCONV3D_GRAD_INPUT    ? &x
                          : operation == TCONV3D_GRAD_WEIGHT ? &w
                          : operation == TCONV3D_GRAD_BIAS   ? &b
                                                             : &y;
  const struct operands dense = {x.dense, w.dense, b.dense, y.dense};
  const struct operands strided = {start_of(&x), start_of(&w), start_of(&b), start_of(&y)};
  const tconv3d_desc densely = views_densely(desc);
  float *expected = malloc((target->view.count + 1) * sizeof *expected);
  assert_non_null(expected);
  memcpy(expected, target->dense, target->view.count * sizeof *expected);
  assert_ok(reference_of(&densely, operation, &dense, expected));
  assert_ok(reference_of(desc, operation, &strided, start_of(target)));
  check_target(target, expected);
  for (size_t i = 0; i < 4; ++i) {
    if (all[i] != target) check_unchanged(all[i]);
    free_placed(all[i]);
  }
  free(expected);
}

static void references_give_the_bits_of_dense_copies(void **state) {
  (void)state;
  enum { TIMES = 150 };
  for (uint64_t i = 0; i < TIMES; ++i) {
    struct rng rng = {seed + i};
    tconv3d_desc desc;
    tconv3d_operation operation = (tconv3d_operation)(i % OPERATIONS);
    random_layer(&rng, &desc);
    if (operation == TCONV3D_CONVOLUTION) desc = convolution_like(&desc);
    if (i >= TIMES - OPERATIONS) desc.batch = 0;
    const struct view_kinds kinds = {(enum view_kind)rng_between(&rng, 0, VIEW_KINDS - 1),
                                     (enum view_kind)rng_between(&rng, 0, VIEW_KINDS - 1),
                                     (enum view_kind)rng_between(&rng, 0, VIEW_KINDS - 1)};
    views_random(&rng, &rng, &desc, operation, kinds);
    check_reference(&desc, operation, &rng);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dense_and_channels_last_tensors_have_these_strides),
      cmocka_unit_test(strides_of_no_tensor_are_refused),
      cmocka_unit_test(any_strides_are_measured_and_judged_by_the_rule),
      cmocka_unit_test(crops_permuted_and_flipped_axes_can_be_written),
      cmocka_unit_test(strides_count_until_bytes_no_longer_fit_in_63_bits),
      cmocka_unit_test(strides_of_the_whole_range_never_crash),
      cmocka_unit_test(layouts_leave_the_shape_and_its_inverse_alone),
      cmocka_unit_test(references_give_the_bits_of_dense_copies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
