/* test_half.c: float16: every value, every rounding, and the conversions of arrays. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "files/half.h"
#include "files/npy.h"

/* From the definition: sign * fraction * 2^exponent. */
static double value_of_half(unsigned half) {
  int exponent = (int)(half >> 10 & 31);
  double fraction = half & 1023, sign = half & 0x8000 ? -1 : 1;
  return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static bool is_nan_half(unsigned half) {
  return (half & 0x7fff) > 0x7c00;
}

static void every_half_becomes_its_float_and_comes_back(void **state) {
  (void)state;
  for (unsigned half = 0; half < 65536; half++) {
    float value = half_to_float((uint16_t)half);
    if (is_nan_half(half)) {
      assert_true(isnan(value));
      assert_int_equal(half_from_double((double)value), half | 0x200);
      continue;
    }
    if ((half & 0x7fff) == 0x7c00)
      assert_true(isinf(value) && (signbit(value) != 0) == (half >> 15));
    else if ((double)value != value_of_half(half) || (signbit(value) != 0) != (half >> 15))
      fail_msg("half %04x becomes %a", half, (double)value);
    if (half_from_double((double)value) != half)
      fail_msg("half %04x comes back as %04x", half, half_from_double((double)value));
  }
}

static void check_rounding(double value, unsigned expected) {
  for (unsigned sign = 0; sign < 2; sign++) {
    unsigned got = half_from_double(sign ? -value : value);
    if (got != (expected | sign << 15))
      fail_msg("%a becomes %04x; nearest is %04x", sign ? -value : value, got, expected | sign << 15);
  }
}

/* Between every two neighbours: the middle goes to the even one, the next doubles on its sides to the nearer one. */
static void every_middle_between_halves_goes_to_the_even_one(void **state) {
  (void)state;
  for (unsigned half = 0; half < 0x7c00; half++) {
    double low = value_of_half(half), high = half == 0x7bff ? 65536 : value_of_half(half + 1), middle = (low + high) / 2;
    check_rounding(middle, half & 1 ? half + 1 : half);
    check_rounding(nextafter(middle, 0), half);
    check_rounding(nextafter(middle, INFINITY), half + 1);
  }
}

static void values_far_outside_become_zero_or_infinity(void **state) {
  (void)state;
  check_rounding(0, 0);
  check_rounding(1e-300, 0);
  check_rounding(5e-324, 0);
  check_rounding(ldexp(1, -26), 0);
  check_rounding(65536, 0x7c00);
  check_rounding(1e300, 0x7c00);
  check_rounding(INFINITY, 0x7c00);
}

static void a_double_is_rounded_to_half_once(void **state) {
  struct npy array;
  struct fault fault = {0};
  static const int64_t shape[] = {1};
  (void)state;
  /* Above the middle of 1 and the next half by less than a float can hold: through a float it would become 1. */
  assert_true(npy_make(&array, NPY_F64, 1, shape, &fault));
  *(double *)array.data = 1 + ldexp(1, -11) + ldexp(1, -40);
  assert_true(npy_convert(&array, NPY_F16, &fault));
  assert_int_equal(*(uint16_t *)array.data, 0x3c01);
  npy_free(&array);
}

static void conversions_keep_what_both_types_hold(void **state) {
  static const int64_t shape[] = {2, 3};
  static const float values[6] = {0, -1.5f, 65504, 5.9604645e-8f, INFINITY, 1024};
  struct npy array;
  struct fault fault = {0};
  (void)state;
  for (int through = NPY_F16; through <= NPY_F64; through++) {
    assert_true(npy_make(&array, NPY_F32, 2, shape, &fault));
    memcpy(array.data, values, sizeof values);
    assert_true(npy_convert(&array, (enum npy_type)through, &fault));
    assert_int_equal(array.type, through);
    assert_int_equal(array.shape[1], 3);
    assert_true(npy_convert(&array, NPY_F32, &fault));
    assert_memory_equal(array.data, values, sizeof values);
    npy_free(&array);
  }
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_half_becomes_its_float_and_comes_back),
      cmocka_unit_test(every_middle_between_halves_goes_to_the_even_one),
      cmocka_unit_test(values_far_outside_become_zero_or_infinity),
      cmocka_unit_test(a_double_is_rounded_to_half_once),
      cmocka_unit_test(conversions_keep_what_both_types_hold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
