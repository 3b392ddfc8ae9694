#include "support/typed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Significant bits, the exponents of the least normal number and of the one past the greatest, and how long the fraction is. */
static const struct {
  const char *name;
  size_t size;
  int bits, least, past;
} types[TYPES] = {[TCONV3D_F32] = {"float32", 4, 24, -126, 128},
                  [TCONV3D_F64] = {"float64", 8, 53, -1022, 1024},
                  [TCONV3D_F16] = {"float16", 2, 11, -14, 16},
                  [TCONV3D_BF16] = {"bfloat16", 2, 8, -126, 128}};

size_t typed_size(tconv3d_dtype type) {
  return types[type].size;
}

const char *typed_name(tconv3d_dtype type) {
  return types[type].name;
}

/* From the definition: sign * fraction * 2^exponent, of 16 bits. */
static double value_of_short(tconv3d_dtype type, unsigned bits) {
  int length = types[type].bits - 1, exponents = 15 - length, exponent = (int)(bits >> length) & ((1 << exponents) - 1);
  double fraction = bits & ((1u << length) - 1), sign = bits & 0x8000u ? -1 : 1;
  if (exponent == (1 << exponents) - 1) return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
  if (!exponent) return sign * ldexp(fraction, types[type].least - length);
  return sign * ldexp(fraction + ldexp(1, length), exponent - 1 + types[type].least - length);
}

double typed_value(tconv3d_dtype type, const void *bits, size_t i) {
  float single;
  double real;
  uint16_t shorts;
  const char *at = (const char *)bits + i * types[type].size;
  switch (type) {
  case TCONV3D_F32: memcpy(&single, at, sizeof single); return (double)single;
  case TCONV3D_F64: memcpy(&real, at, sizeof real); return real;
  default: memcpy(&shorts, at, sizeof shorts); return value_of_short(type, shorts);
  }
}

double rounded_to(double value, int bits, int least, int past) {
  int exponent;
  if (!isfinite(value)) return value;
  (void)frexp(value, &exponent); /* of 2^(exponent - 1) and more */
  if (exponent - 1 < least) exponent = least + 1;
  double whole = nearbyint(ldexp(value, bits - exponent)), result = ldexp(whole, exponent - bits);
  return fabs(result) < ldexp(1, past - 1) * 2 ? result : copysign((double)INFINITY, value);
}

double typed_rounded(tconv3d_dtype type, double value) {
  return type == TCONV3D_F64 ? value : rounded_to(value, types[type].bits, types[type].least, types[type].past);
}

/* The bits of a value that the type has. */
static uint16_t bits_of_short(tconv3d_dtype type, double value) {
  int length = types[type].bits - 1, exponents = 15 - length, exponent;
  unsigned sign = signbit(value) ? 0x8000u : 0, most = ((1u << exponents) - 1) << length;
  if (isnan(value)) return (uint16_t)(sign | most | 1u << (length - 1));
  if (isinf(value)) return (uint16_t)(sign | most);
  double magnitude = fabs(value);
  (void)frexp(magnitude, &exponent);
  if (magnitude < ldexp(1, types[type].least)) return (uint16_t)(sign | (unsigned)ldexp(magnitude, length - types[type].least));
  unsigned fraction = (unsigned)ldexp(magnitude, length + 1 - exponent) - (1u << length);
  return (uint16_t)(sign | (unsigned)(exponent - types[type].least) << length | fraction);
}

void typed_put(tconv3d_dtype type, void *bits, size_t i, double value) {
  double nearest = typed_rounded(type, value);
  float single = (float)nearest;
  uint16_t shorts = type == TCONV3D_F16 || type == TCONV3D_BF16 ? bits_of_short(type, nearest) : 0;
  const void *const as[TYPES] = {
      [TCONV3D_F32] = &single, [TCONV3D_F64] = &nearest, [TCONV3D_F16] = &shorts, [TCONV3D_BF16] = &shorts};
  memcpy((char *)bits + i * types[type].size, as[type], types[type].size);
}

double typed_unit(tconv3d_dtype type) {
  return ldexp(1, -types[type].bits);
}

double typed_least(tconv3d_dtype type) {
  return ldexp(1, types[type].least - types[type].bits);
}

double typed_most(tconv3d_dtype type) {
  return ldexp(ldexp(1, types[type].bits) - 1, types[type].past - types[type].bits);
}

void *typed_random(tconv3d_dtype type, struct rng *rng, size_t count, enum values values) {
  void *bits = calloc(count + 1, types[type].size);
  for (size_t i = 0; bits && i < count; ++i)
    typed_put(type, bits, i,
              values == VALUES_INTEGER ? (double)rng_between(rng, -4, 4) : (double)(rng_bits(rng) >> 11) * 0x1p-52 - 1);
  return bits;
}

double *typed_values(tconv3d_dtype type, const void *bits, size_t count) {
  double *values = malloc((count + 1) * sizeof *values);
  for (size_t i = 0; values && i < count; ++i) values[i] = typed_value(type, bits, i);
  return values;
}
