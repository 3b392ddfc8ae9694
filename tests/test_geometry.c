/* The phases of an axis against the definition of the layer, one tap and one output at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "geometry/geometry.h"

static int64_t out_size(const t3_axis *a) {
  return (a->in - 1) * a->stride - 2 * a->padding + a->dilation * (a->kernel - 1) + a->output_padding + 1;
}

/* Walks every axis with small parameters that the layer's rules allow. */
static void for_every_axis(void (*check)(const t3_axis *)) {
  for (int64_t stride = 1; stride <= 6; ++stride)
    for (int64_t dilation = 1; dilation <= 6; ++dilation)
      for (int64_t kernel = 1; kernel <= 5; ++kernel)
        for (int64_t padding = 0; padding <= 7; ++padding)
          for (int64_t in = 1; in <= 5; ++in)
            for (int64_t q = 0; q < (stride > dilation ? stride : dilation); ++q) {
              t3_axis axis = {in, 0, kernel, stride, padding, q, dilation, false, padding};
              axis.out = out_size(&axis);
              if (axis.out >= 1) check(&axis);
            }
}

/* The input position that tap k meets at output o by the definition; false when none. */
static int meets(const t3_axis *axis, int64_t o, int64_t k, int64_t *i) {
  int64_t from = o + axis->padding - k * axis->dilation;
  *i = from / axis->stride;
  return from % axis->stride == 0;
}

static void check_taps(const t3_axis *axis) {
  t3_phases phases = t3_phases_of(axis);
  for (int64_t o = 0; o < axis->out; ++o) {
    int64_t a = o % axis->stride, t = o / axis->stride;
    t3_phase phase = t3_phase_at(axis, a);
    assert_true(a < phases.residues && t < phase.positions && phase.positions <= phases.positions);
    int64_t next = 0;
    for (int64_t k = 0; k < axis->kernel; ++k) {
      int64_t i;
      if (!meets(axis, o, k, &i)) continue;
      assert_true(next < phase.taps);
      assert_int_equal(k, phase.first_tap + next * phases.tap_step);
      assert_int_equal(i, t + phase.first_offset - next * phases.offset_step);
      assert_in_range(i - t - phases.min_offset, 0, phases.max_offset - phases.min_offset);
      ++next;
    }
    assert_int_equal(next, phase.taps);
  }
}

static void every_tap_of_every_output_stands_in_its_phase(void **state) {
  (void)state;
  for_every_axis(check_taps);
}

static void check_positions(const t3_axis *axis) {
  t3_phases phases = t3_phases_of(axis);
  int64_t positions = 0, most = 0;
  for (int64_t a = 0; a < phases.residues; ++a) {
    t3_phase phase = t3_phase_at(axis, a);
    positions += phase.positions;
    if (phase.positions > most) most = phase.positions;
  }
  assert_int_equal(positions, axis->out);
  assert_int_equal(most, phases.positions);
}

static void the_residues_share_out_every_output_once(void **state) {
  (void)state;
  for_every_axis(check_positions);
}

static void taps_of_stride_2_dilation_2_reach_one_residue_only(void **state) {
  (void)state;
  t3_axis axis = {.in = 24, .out = 48, .kernel = 3, .stride = 2, .padding = 2, .output_padding = 1, .dilation = 2};
  assert_int_equal(t3_phase_at(&axis, 0).taps, 3);
  assert_int_equal(t3_phase_at(&axis, 1).taps, 0);
}

static void a_kernel_smaller_than_the_stride_leaves_residues_without_taps(void **state) {
  (void)state;
  t3_axis axis = {.in = 4, .out = 16, .kernel = 2, .stride = 4, .output_padding = 2, .dilation = 1};
  int64_t expected[] = {1, 1, 0, 0};
  for (int64_t a = 0; a < 4; ++a) assert_int_equal(t3_phase_at(&axis, a).taps, expected[a]);
}

static void huge_parameters_neither_overflow_nor_take_long(void **state) {
  (void)state;
  t3_axis axis = {.in = 1, .kernel = 3, .stride = INT64_C(1) << 40, .padding = 5, .dilation = INT64_C(1) << 41};
  axis.out = out_size(&axis);
  t3_phases phases = t3_phases_of(&axis);
  assert_int_equal(phases.residues, INT64_C(1) << 40);
  assert_int_equal(phases.min_offset, -3);
  t3_phase phase = t3_phase_at(&axis, (INT64_C(1) << 40) - 5);
  assert_int_equal(phase.taps, 3);
  assert_int_equal(phase.first_offset, 1);
}

/* PyTorch's default arguments but for the sizes. */
static tconv3d_desc small_desc(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2, desc.in_channels = 6, desc.out_channels = 4, desc.groups = 2;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 3 + a, desc.kernel_size[a] = 2;
  return desc;
}

static void a_layer_knows_its_counts(void **state) {
  (void)state;
  tconv3d_desc desc = small_desc();
  t3_layer layer;
  assert_int_equal(t3_layer_init(&desc, &layer), TCONV3D_OK);
  assert_int_equal(layer.group_in, 3);
  assert_int_equal(layer.group_out, 2);
  assert_int_equal(layer.taps, 8);
  assert_int_equal(layer.x_count, 2 * 6 * 3 * 4 * 5);
  assert_int_equal(layer.w_count, 6 * 2 * 8);
  assert_int_equal(layer.y_count, 2 * 4 * 4 * 5 * 6);
  assert_true(t3_layer_flops(&layer) == 2.0 * 720 * 2 * 8);
}

static void an_empty_batch_counts_nothing_but_keeps_the_rules(void **state) {
  (void)state;
  tconv3d_desc desc = small_desc();
  t3_layer layer;
  desc.batch = 0;
  assert_int_equal(t3_layer_init(&desc, &layer), TCONV3D_OK);
  assert_int_equal(layer.x_count, 0);
  assert_int_equal(layer.y_count, 0);
  assert_int_equal(layer.w_count, 6 * 2 * 8);
  desc.input_size[1] = 0;
  assert_int_equal(t3_layer_init(&desc, &layer), TCONV3D_INVALID_PARAMETER);
}

static void layers_of_fewer_axes_are_layers_of_three(void **state) {
  (void)state;
  int64_t shape[5];
  tconv3d_desc image = tconv3d_desc_2d(3, 4, 5, (int64_t[]){6, 7}, (int64_t[]){3, 2});
  TCONV3D_2D_AXES(image.stride, 2);
  assert_int_equal(tconv3d_output_shape(&image, shape), TCONV3D_OK);
  assert_memory_equal(shape, ((int64_t[]){3, 5, 1, 13, 14}), sizeof shape);
  tconv3d_desc line = tconv3d_desc_1d(2, 4, 5, 9, 4);
  TCONV3D_1D_AXES(line.stride, 2);
  TCONV3D_1D_AXES(line.padding, 1);
  assert_int_equal(tconv3d_output_shape(&line, shape), TCONV3D_OK);
  assert_memory_equal(shape, ((int64_t[]){2, 5, 1, 1, 18}), sizeof shape);
}

static void padding_may_differ_at_both_ends(void **state) {
  (void)state;
  int64_t shape[5];
  tconv3d_desc desc = tconv3d_desc_1d(1, 1, 1, 9, 4);
  desc.stride[2] = 2, desc.padding[2] = 1, desc.padding_end[2] = 3;
  assert_int_equal(tconv3d_output_shape(&desc, shape), TCONV3D_OK);
  assert_int_equal(shape[4], 8 * 2 - 1 - 3 + 4);
  desc.padding_end[2] = -2;
  assert_int_equal(tconv3d_output_shape(&desc, shape), TCONV3D_INVALID_PARAMETER);
  assert_non_null(strstr(tconv3d_message(), "padding_end of axis W is -2; it must be at least -1"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_of_fewer_axes_are_layers_of_three),
      cmocka_unit_test(padding_may_differ_at_both_ends),
      cmocka_unit_test(every_tap_of_every_output_stands_in_its_phase),
      cmocka_unit_test(the_residues_share_out_every_output_once),
      cmocka_unit_test(taps_of_stride_2_dilation_2_reach_one_residue_only),
      cmocka_unit_test(a_kernel_smaller_than_the_stride_leaves_residues_without_taps),
      cmocka_unit_test(huge_parameters_neither_overflow_nor_take_long),
      cmocka_unit_test(a_layer_knows_its_counts),
      cmocka_unit_test(an_empty_batch_counts_nothing_but_keeps_the_rules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
