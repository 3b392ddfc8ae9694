/* judge.h: how right is right. Per output the exact result and the error that float32 sums may make:
 *   |error| <= gamma(K+2) * (sum |x||w| + |b|) + u*|y| + K * least normal,   u = 2^-24, gamma(n) = n*u / (1 - n*u)
 * with K the number of products that reach the output. Computed by gathering in fp64, independently of the library. */
#ifndef JUDGE_H
#define JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include <tconv3d/layer.h>

struct judge {
  size_t count;      /* outputs */
  double *value;     /* exact but for fp64 rounding; Inf and NaN as the definition has them */
  double *magnitude; /* sum |x||w| + |b| */
  double *products;  /* K */
};

/* False when the layer is invalid or memory runs out; judge_free is right either way. b may be NULL without bias. */
bool judge_make(struct judge *judge, const tconv3d_desc *desc, const float *x, const float *w, const float *b);
void judge_free(struct judge *judge);

/* True when every y is within its bound, and non-finite exactly where value is. Else false, with the first that is not in why.
 */
bool judge_within(const struct judge *judge, const float *y, char *why, size_t capacity);

/* True when every y is value exactly. */
bool judge_exact(const struct judge *judge, const float *y, char *why, size_t capacity);

#endif
