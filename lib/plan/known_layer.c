/* The small layer that a self-test runs: the plan's own with fewer images and positions, chosen so that the plan's program
 * serves it. Channels, kernel and all else are part of the program and stay. */
#include <stdlib.h>

#include "base/checked.h"
#include "plan/self_test.h"
#include "plan/sibling.h"

enum { VECTOR = 16 }; /* sizes along W keep their remainder: whether rows are whole lines of a cache is part of programs */

/* What the run may take by the plan's own prediction, and how many multiply-adds it may be at most where fewer do not do. */
static const double seconds_wanted = 3e-3, most_products = 1.2e9;

/* Wanted positions along D, H and W. Rows of several blocks of vectors, more planes than one, and both ends of each axis;
 * blocks have up to 128 positions. */
static const int64_t wanted[][3] = {{3, 6, 144}, {3, 6, 80}, {3, 5, 48}, {2, 4, 80},  {2, 4, 48}, {2, 3, 48},
                                    {2, 3, 32},  {2, 2, 32}, {2, 2, 16}, {4, 8, 144}, {5, 9, 272}};

struct candidate {
  tconv3d_desc desc;
  double products;
  bool dear; /* more than wanted */
};

/* The least input size with so many positions, and not past what taps reach, that leaves the plan's remainder. */
static int64_t shrunk_size(const tconv3d_desc *desc, bool convolution, int a, int64_t positions) {
  int64_t size = desc->input_size[a], step = convolution ? desc->stride[a] : 1;
  int64_t reach = desc->dilation[a] * (desc->kernel_size[a] - 1) + 1;
  int64_t least = convolution ? reach + (positions - 1) * step : t3_max(positions, t3_ceil_div(reach, desc->stride[a]) + 1);
  int64_t by = step * (a == T3_W ? VECTOR : 1);
  return least >= size ? size : size - (size - least) / by * by;
}

/* Strides in the order of the plan's, but only as far apart as the sizes need, and with a gap where there was one. */
static void shrink_strides(const int64_t from[5], const int64_t from_shape[5], const int64_t shape[5], int64_t strides[5]) {
  bool done[5] = {false};
  int64_t next = 0, end = 0; /* where the next axis may begin, in steps of this one and in the plan's */
  for (int turn = 0; turn < 5; ++turn) {
    int axis = -1;
    for (int a = 0; a < 5; ++a)
      if (!done[a] && (axis < 0 || llabs(from[a]) < llabs(from[axis]))) axis = a;
    int64_t size = llabs(from[axis]), step = size ? t3_max(next + (next && size != end), t3_min(size, 2)) : 0;
    if (size && !next) step = t3_min(size, 2);
    strides[axis] = from[axis] < 0 ? -step : step;
    done[axis] = true;
    if (size) next = step * shape[axis], end = size * from_shape[axis];
  }
}

static void shrink_layout(tconv3d_layout layout, const int64_t from_shape[5], const int64_t shape[5], int64_t strides[5]) {
  int64_t from[5];
  if (layout != TCONV3D_STRIDED) return;
  for (int a = 0; a < 5; ++a) from[a] = strides[a];
  shrink_strides(from, from_shape, shape, strides);
}

static void shapes_of(const t3_layer *layer, bool swapped, int64_t x[5], int64_t y[5]) {
  t3_x_shape(layer, swapped ? y : x);
  t3_y_shape(layer, swapped ? x : y);
}

/* Of the sizes alone; layouts follow once the output's size is known. */
static struct candidate candidate_of(const tconv3d_plan *plan, const int64_t positions[3]) {
  struct candidate candidate = {.desc = plan->desc};
  tconv3d_desc *desc = &candidate.desc;
  bool convolution = plan->problem.operation == TCONV3D_CONVOLUTION;
  desc->batch = t3_min(desc->batch, 2);
  candidate.products = (double)(desc->batch * desc->in_channels) * (double)(desc->out_channels / desc->groups);
  for (int a = 0; a < 3; ++a) {
    if (positions) desc->input_size[a] = shrunk_size(desc, convolution, a, positions[a]);
    double places = (double)desc->input_size[a] / (double)(convolution ? desc->stride[a] : 1);
    candidate.products *= places * (double)desc->kernel_size[a];
  }
  double rate = t3_layer_flops(&plan->problem.layer) / 2 / plan->chosen.seconds;
  candidate.dear = candidate.products > seconds_wanted * rate;
  return candidate;
}

/* What is within the budget comes first, the most of it at first; then the least of the others. */
static int by_use(const void *a, const void *b) {
  const struct candidate *x = a, *y = b;
  if (x->dear != y->dear) return x->dear ? 1 : -1;
  if (x->products == y->products) return 0;
  return (x->products > y->products) == x->dear ? 1 : -1;
}

static bool take(const tconv3d_plan *plan, struct candidate *candidate, t3_problem *problem, t3_recipe *recipe) {
  tconv3d_desc *desc = &candidate->desc, dense = *desc;
  const t3_problem *of = &plan->problem;
  bool swapped = of->operation == TCONV3D_GRAD_INPUT;
  int64_t x_from[5], y_from[5], x[5], y[5];
  t3_layer layer;
  dense.x_layout = dense.y_layout = dense.w_layout = TCONV3D_DENSE;
  if (t3_layer_of(&dense, of->operation, &layer) != TCONV3D_OK) return false;
  shapes_of(&of->layer, swapped, x_from, y_from);
  shapes_of(&layer, swapped, x, y);
  shrink_layout(desc->x_layout, x_from, x, desc->x_strides);
  shrink_layout(desc->y_layout, y_from, y, desc->y_strides);
  return t3_sibling(plan, desc, problem, recipe);
}

bool t3_known_layer(const tconv3d_plan *plan, t3_problem *problem, t3_recipe *recipe) {
  enum { WANTED = sizeof wanted / sizeof *wanted };
  struct candidate list[WANTED + 1];
  for (int i = 0; i < WANTED; ++i) list[i] = candidate_of(plan, wanted[i]);
  list[WANTED] = candidate_of(plan, NULL);
  qsort(list, WANTED + 1, sizeof *list, by_use);
  for (int i = 0; i <= WANTED; ++i) {
    if (list[i].products > most_products) return false;
    if (i && list[i].products == list[i - 1].products) continue; /* the same sizes again */
    if (take(plan, &list[i], problem, recipe)) return true;
  }
  return false;
}
