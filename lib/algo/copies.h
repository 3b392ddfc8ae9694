/* copies.h: copies of x and gy that kernels read instead, made by the kernels of cl/pad.cl. */
#ifndef T3_COPIES_H
#define T3_COPIES_H

#include "algo/algo.h"

/* A tensor, and the copy of it with zeros around: sizes are along D, H and W, first is where the copy begins in the tensor. */
typedef struct t3_copy {
  t3_arg from, to;
  const t3_view *view;
  int64_t batch, channels, size[3], first[3], padded[3], slack, width; /* width: of the program's vectors */
  bool channels_last, alone;                                           /* the copy is so; it is the only one in its program */
} t3_copy;

/* Whether so many channels lie side by side, and not as many positions of W. */
bool t3_lies_channels_last(const t3_view *view, int64_t channels, int64_t width);

/* Adds the launch and the define of its kernel. */
void t3_add_copy(const t3_problem *problem, const t3_copy *copy, t3_recipe *recipe);

/* Predicted seconds of a copy of so many elements; 0 is none. */
double t3_copy_seconds(const t3_problem *problem, int64_t count);

/* How kernels for gradients read x (T3_X) or gy (T3_GY) if they take the type of the sums in C order: the tensor itself, or a
 * copy in the workspace, whose launch is added; *used is how many elements of the workspace are taken. */
t3_arg t3_real_arg(const t3_problem *problem, t3_arg_kind kind, int64_t width, int64_t *used, t3_recipe *recipe);
/* Predicted seconds of the copies of both. */
double t3_real_seconds(const t3_problem *problem);

#endif
