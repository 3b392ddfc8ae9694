/* gradient.h: what the algorithms for gradients of the weight and the bias share: what 32 bits can count, how x is cut into
 * lines, how many chunks of them are worth their partial sums. */
#ifndef T3_GRADIENT_H
#define T3_GRADIENT_H

#include "algo/algo.h"
#include "algo/copies.h"

/* Whether a kernel can count strides, kernel sizes, positions and reaches of each axis in 32 bits; else false with the reason.
 */
bool t3_gradient_check(const t3_problem *problem, char *why, size_t capacity);

/* The widest vectors that kernels are written for. */
int64_t t3_native_width(const t3_problem *problem);

/* x's rows of W of all images, cut into even pieces of at most some length. */
typedef struct t3_lines {
  int64_t piece, pieces; /* positions of each but a row's last; pieces in a row */
  int64_t count;         /* of pieces, all images */
} t3_lines;
t3_lines t3_lines_of(const t3_layer *layer, int64_t longest);

/* Pairs of a position and a tap that meet inside gy, over all such pairs: for an axis, and for taps of W that are left out one
 * by one all the same. */
double t3_meeting(const t3_axis *axis);

#endif
