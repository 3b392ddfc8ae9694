/* exact.h: what an operation computes from values of any type, in long double, and how far sums may be from it:
 *   gamma(K + 2) * sum |a||b| + K * least normal number,   gamma(n) = n*u / (1 - n*u)
 * or what tconv3d_plan_options permits besides, with K the number of products that reach the element and u of the type of the
 * sums. Storing adds a rounding to the type of the target. Walks the products that define a transposed convolution; written
 * apart from the library. */
#ifndef EXACT_H
#define EXACT_H

#include "support/typed.h"

struct exact {
  size_t count; /* elements of the target */
  long double *value, *magnitude;
  double *products;
  double unit, least;   /* of the sums */
  double reduced, tiny; /* what a call that is permitted less than float32 may be off besides: of the magnitude, of a product */
};

/* The values of what an operation reads; those that it does not read, and b where there is none, are NULL. */
struct exact_inputs {
  const double *x, *w, *b, *gy;
};

/* False when memory runs out; exact_free is right either way. */
bool exact_make(struct exact *exact, const tconv3d_desc *desc, tconv3d_operation operation, const struct exact_inputs *inputs);
void exact_free(struct exact *exact);
/* Adds beta times what the target held. */
void exact_add_old(struct exact *exact, double beta, const double *old);

/* How far sum i may be from its value. */
double exact_bound(const struct exact *exact, size_t i);

/* True when a stored element is what it may be, given the value and how far off it may be before it is stored: within the
 * rounding of its type, Inf where that overflows. A bound of 0 asks for the nearest element. */
bool exact_stored(tconv3d_dtype type, double stored, long double value, double bound);

/* True when all elements are; nearest: with a bound of 0. Else false, with the first that is not in why. */
bool exact_right(const struct exact *exact, tconv3d_dtype type, const void *bits, bool nearest, char *why, size_t capacity);

#endif
