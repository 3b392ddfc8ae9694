/* typed.h: values of all element types on the host, and what rounding makes of them: written from the definition of the types,
 * without their bits' tricks. Every value of every type is a double. */
#ifndef TYPED_H
#define TYPED_H

#include "support/random_layer.h"

enum { TYPES = 4 };

size_t typed_size(tconv3d_dtype type);
const char *typed_name(tconv3d_dtype type); /* as messages spell it */

double typed_value(tconv3d_dtype type, const void *bits, size_t i);
/* Element i becomes the value nearest to this one, ties to even; past the largest one it is Inf. */
void typed_put(tconv3d_dtype type, void *bits, size_t i, double value);
double typed_rounded(tconv3d_dtype type, double value);
/* The nearest value of a type of so many significant bits whose least normal number is 2^least and whose greatest is below
 * 2^past. */
double rounded_to(double value, int bits, int least, int past);

/* The most that rounding changes a value by: this much of it, or among the subnormal ones this much. */
double typed_unit(tconv3d_dtype type);
double typed_least(tconv3d_dtype type);
double typed_most(tconv3d_dtype type); /* the largest finite value */

/* Random values that the type has, VALUES_UNIFORM or VALUES_INTEGER; NULL when memory runs out. */
void *typed_random(tconv3d_dtype type, struct rng *rng, size_t count, enum values values);
/* The values of count elements; NULL when memory runs out. */
double *typed_values(tconv3d_dtype type, const void *bits, size_t count);

#endif
