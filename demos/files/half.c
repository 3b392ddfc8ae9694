/* half.c: see half.h. A half is a sign, 5 exponent bits (bias 15) and 10 fraction bits. */
#include "files/half.h"

#include <math.h>
#include <string.h>

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  uint32_t bits;
  float value;
  if (exponent == 0) {
    value = (float)fraction * 0x1p-24f; /* zero or subnormal: a multiple of the smallest step, exact as a float */
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
  } else if (exponent == 31) {
    bits = sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0u);
  } else {
    bits = sign | (exponent + 127 - 15) << 23 | fraction << 13;
  }
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* significand / 2^shift to the nearest integer, ties to even; shift >= 1. */
static uint64_t round_shift(uint64_t significand, unsigned shift) {
  if (shift > 54) return 0; /* below half of the smallest step, for a significand of 53 bits */
  uint64_t whole = significand >> shift, rest = significand & (((uint64_t)1 << shift) - 1), middle = (uint64_t)1 << (shift - 1);
  return whole + (rest > middle || (rest == middle && (whole & 1)));
}

uint16_t half_from_double(double value) {
  uint64_t bits = bits_of(value), fraction = bits & (((uint64_t)1 << 52) - 1);
  uint16_t sign = (uint16_t)(bits >> 48 & 0x8000u);
  int exponent = (int)(bits >> 52 & 2047) - 1023;
  if (exponent == 1024) return (uint16_t)(sign | 0x7c00u | (fraction ? 0x200u | fraction >> 42 : 0));
  if (exponent >= 16) return sign | 0x7c00u;
  if (exponent < -26) return sign; /* below a quarter of the smallest step, a double's subnormals included */
  uint64_t significand = fraction | (uint64_t)1 << 52;
  /* Normal: 10 of 52 fraction bits stay. Subnormal: counted in the smallest step, 2^-24. A carry out of the fraction walks into
   * the exponent, from the largest half to infinity too, because the fields lie side by side. */
  if (exponent < -14) return (uint16_t)(sign | round_shift(significand, (unsigned)(52 - 24 - exponent)));
  uint64_t rounded = round_shift(significand, 42) - 1024;
  return (uint16_t)(sign | (((uint64_t)(exponent + 15) << 10) + rounded));
}
