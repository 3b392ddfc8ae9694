/* Every algorithm against the plain definition where blocks and vectors end: rows around the vector widths, channels around the
 * block sizes, and parameters far past what a layer has. */
#include "support/layers.h"
#include "support/trial.h"

static const uint64_t default_seed = 20240608;

static void rows_around_the_vector_widths_are_right(void **state) {
  static const int64_t widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i += rig_step(4)) {
    const int64_t stride = 1 + (int64_t)((i + i / 3) % 3); /* each meets whole vectors, and one lane more and less */
    tconv3d_desc desc = cubic_layer(2, 3, 3, stride);
    desc.input_size[0] = 1;
    desc.input_size[2] = widths[i];
    desc.output_padding[2] = (int64_t)i / stride % stride; /* width*stride - stride + 1 + this outputs */
    trial_check_all(*state, &desc, default_seed + i);
  }
}

static void channels_around_the_block_sizes_are_right(void **state) {
  static const int64_t channels[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13};
  const size_t count = sizeof channels / sizeof *channels;
  for (size_t i = 0; i < count; i += rig_step(4)) {
    tconv3d_desc desc = cubic_layer(channels[i], channels[(i * 3 + 1) % count], 3, 2);
    desc.input_size[2] = 9;
    trial_check_all(*state, &desc, default_seed + i);
  }
}

static void an_algorithm_that_refuses_says_why_and_direct_takes_all(void **state) {
  /* Parameters far past what a layer has, one axis at a time. */
  for (int axis = 0; axis < 3; ++axis)
    for (int what = 0; what < 3; ++what) {
      tconv3d_desc desc = cubic_layer(2, 2, 3, 2);
      if (what == 0) desc.stride[axis] = 100;
      if (what == 1) desc.kernel_size[axis] = 200;
      if (what == 2) desc.dilation[axis] = 90, desc.padding[axis] = 80;
      trial_check_all(*state, &desc, default_seed);
    }
}

static void parameters_past_32_bits_are_refused_or_right(void **state) {
  /* Offsets wrapped around here once, and the kernel read far outside x. */
  tconv3d_desc desc = cubic_layer(1, 1, 1, 1);
  desc.kernel_size[2] = 5, desc.stride[2] = 15;
  desc.dilation[2] = 1100000000, desc.padding[2] = 2200000000;
  trial_check_all(*state, &desc, default_seed);
  desc = cubic_layer(1, 1, 1, 1);
  desc.kernel_size[2] = 2, desc.input_size[2] = 1;
  desc.dilation[2] = INT64_C(1) << 60, desc.padding[2] = INT64_C(1) << 59;
  trial_check_all(*state, &desc, default_seed);
}

static void huge_strides_of_any_axis_are_refused_or_right(void **state) {
  /* Rows past a plane's end were multiplied by the stride in 32 bits here once. */
  static const int64_t strides[] = {65536, 65537, 268435456, 2147483647, INT64_C(1) << 32};
  for (int axis = 0; axis < 3; ++axis)
    for (size_t i = 0; i < sizeof strides / sizeof *strides; ++i) {
      tconv3d_desc desc = cubic_layer(1, 2, 1, 1);
      desc.input_size[axis] = 1, desc.input_size[2] = axis == 2 ? 1 : 20;
      desc.stride[axis] = strides[i], desc.output_padding[axis] = ((int64_t)i + axis) % 2;
      trial_check_all(*state, &desc, default_seed);
    }
}

static void a_layer_whose_copy_does_not_fit_is_served_by_another_algorithm(void **state) {
  tconv3d_desc desc = cubic_layer(16, 4, 3, 1);
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 8, desc.dilation[a] = 300, desc.padding[a] = 300;
  assert_true(trial_check(*state, NULL, &desc, default_seed, VALUES_INTEGER));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_around_the_vector_widths_are_right),
      cmocka_unit_test(channels_around_the_block_sizes_are_right),
      cmocka_unit_test(an_algorithm_that_refuses_says_why_and_direct_takes_all),
      cmocka_unit_test(parameters_past_32_bits_are_refused_or_right),
      cmocka_unit_test(huge_strides_of_any_axis_are_refused_or_right),
      cmocka_unit_test(a_layer_whose_copy_does_not_fit_is_served_by_another_algorithm),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
