#include "support/views.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AXES = 5, LAST_AXIS = AXES - 1 };

/* Axes by the size of their strides: the one whose elements are neighbours first. */
static const int dense_order[AXES] = {4, 3, 2, 1, 0}, last_order[AXES] = {1, 4, 3, 2, 0};

/* ---- where elements lie ---- */

struct view view_make(tconv3d_layout layout, const int64_t strides[5], const int64_t shape[5]) {
  struct view view = {.count = 1, .span = 1};
  int64_t next = 1;
  for (int i = 0; i < AXES; ++i) {
    int axis = (layout == TCONV3D_CHANNELS_LAST ? last_order : dense_order)[i];
    int64_t size = shape[axis], stride = strides && layout == TCONV3D_STRIDED ? strides[axis] : next;
    view.shape[axis] = size;
    view.count *= (size_t)size;
    next *= size;
    if (size <= 1) continue;
    view.stride[axis] = stride;
    view.span += (size_t)((size - 1) * llabs(stride));
    if (stride < 0) view.below += (size_t)((size - 1) * -stride);
  }
  if (!view.count) view.below = view.span = 0;
  return view;
}

struct view view_row(size_t count) {
  return view_make(TCONV3D_DENSE, NULL, (const int64_t[AXES]){1, 1, 1, 1, (int64_t)count});
}

size_t view_place(const struct view *view, size_t i) {
  int64_t place = (int64_t)view->below, rest = (int64_t)i;
  for (int axis = LAST_AXIS; axis >= 0; rest /= view->shape[axis--]) place += rest % view->shape[axis] * view->stride[axis];
  return (size_t)place;
}

tconv3d_desc views_densely(const tconv3d_desc *desc) {
  tconv3d_desc dense = *desc;
  dense.x_layout = dense.w_layout = dense.y_layout = TCONV3D_DENSE;
  return dense;
}

bool views_of(struct views *views, const tconv3d_desc *desc, tconv3d_operation operation) {
  bool convolves = operation == TCONV3D_CONVOLUTION;
  const tconv3d_desc dense = views_densely(desc);
  const int64_t *in = desc->input_size, *kernel = desc->kernel_size, outs = desc->out_channels, ins = desc->in_channels;
  const int64_t x[AXES] = {desc->batch, ins, in[0], in[1], in[2]};
  int64_t w[AXES] = {ins, outs / desc->groups, kernel[0], kernel[1], kernel[2]}, y[AXES];
  if (convolves) w[0] = outs, w[1] = ins / desc->groups;
  if (tconv3d_target_shape(&dense, convolves ? operation : TCONV3D_FORWARD, y) != TCONV3D_OK) return false;
  views->x = view_make(desc->x_layout, desc->x_strides, x);
  views->w = view_make(desc->w_layout, desc->w_strides, w);
  views->y = view_make(desc->y_layout, desc->y_strides, y);
  return true;
}

static int format_one(const char *name, tconv3d_layout layout, const int64_t s[AXES], char *text, size_t capacity) {
  if (layout == TCONV3D_DENSE) return 0;
  if (layout != TCONV3D_STRIDED) return snprintf(text, capacity, " %s=last", name);
  return snprintf(text, capacity, " %s=%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, name, s[0], s[1], s[2], s[3],
                  s[4]);
}

void views_format(const tconv3d_desc *desc, char *text, size_t capacity) {
  size_t used = (size_t)snprintf(text, capacity, "layouts:");
  if (used < capacity) used += (size_t)format_one("x", desc->x_layout, desc->x_strides, text + used, capacity - used);
  if (used < capacity) used += (size_t)format_one("w", desc->w_layout, desc->w_strides, text + used, capacity - used);
  if (used < capacity) format_one("y", desc->y_layout, desc->y_strides, text + used, capacity - used);
}

/* ---- values ---- */

void *view_room(const struct view *view, tconv3d_dtype type, enum gaps gaps) {
  void *places = malloc((view->span + 1) * typed_size(type));
  for (size_t i = 0; places && i < view->span; ++i)
    typed_put(type, places, i, gaps == GAPS_OF_NAN ? (double)NAN : -1000.5 - (double)(i % 997));
  return places;
}

void view_scatter(const struct view *view, size_t size, const void *dense, void *places) {
  for (size_t i = 0; i < view->count; ++i)
    memcpy((char *)places + view_place(view, i) * size, (const char *)dense + i * size, size);
}

void view_gather(const struct view *view, size_t size, const void *places, void *dense) {
  for (size_t i = 0; i < view->count; ++i)
    memcpy((char *)dense + i * size, (const char *)places + view_place(view, i) * size, size);
}

bool view_gaps_kept(const struct view *view, size_t size, const void *before, const void *after, char *why, size_t capacity) {
  bool *taken = calloc(view->span + 1, sizeof *taken);
  size_t i = 0;
  for (size_t e = 0; taken && e < view->count; ++e) taken[view_place(view, e)] = true;
  while (taken && i < view->span &&
         (taken[i] || !memcmp((const char *)before + i * size, (const char *)after + i * size, size)))
    ++i;
  bool kept = taken && i == view->span;
  if (!kept) snprintf(why, capacity, "place %zu of %zu, which no element is in, was written", i, view->span);
  free(taken);
  return kept;
}

/* ---- random layouts ---- */

enum order { C_ORDER, CHANNELS_FIRST_IN_MEMORY, ROWS_FIRST, ANY_ORDER };
enum flips { NO_FLIPS, FLIPS_BUT_OF_THE_FIRST, FLIPS, FLIPS_AND_OF_THE_FIRST };

/* The first axis is that of the smallest stride, which is first_step. Others may take up to so many steps at once, and leave
 * up to so many places after what lies before them. */
static const struct rules {
  enum order order;
  enum flips flips;
  int64_t first_step, steps, gaps;
} rules_of[VIEW_KINDS] = {
    [VIEW_LAST_PADDED] = {CHANNELS_FIRST_IN_MEMORY, FLIPS_BUT_OF_THE_FIRST, 1, 1, 3},
    [VIEW_PADDED] = {C_ORDER, NO_FLIPS, 1, 1, 3},
    [VIEW_ROWS_APART] = {ROWS_FIRST, NO_FLIPS, 1, 2, 3},
    [VIEW_ROWS] = {ROWS_FIRST, FLIPS_BUT_OF_THE_FIRST, 1, 2, 3},
    [VIEW_PERMUTED] = {ANY_ORDER, NO_FLIPS, 1, 1, 0},
    [VIEW_FLIPPED] = {C_ORDER, FLIPS_AND_OF_THE_FIRST, 1, 1, 0},
    [VIEW_STEPS] = {C_ORDER, NO_FLIPS, 2, 2, 0},
    [VIEW_ANY] = {ANY_ORDER, FLIPS, 2, 2, 3},
    [VIEW_WINDOWS] = {ROWS_FIRST, FLIPS_BUT_OF_THE_FIRST, 1, 1, 3},
    [VIEW_REPEATED] = {ROWS_FIRST, NO_FLIPS, 1, 1, 3},
    [VIEW_LAST_WINDOWS] = {CHANNELS_FIRST_IN_MEMORY, FLIPS_BUT_OF_THE_FIRST, 1, 1, 3},
};

static void choose_order(struct rng *rng, enum order rule, int order[AXES]) {
  memcpy(order, rule == CHANNELS_FIRST_IN_MEMORY ? last_order : dense_order, sizeof dense_order);
  for (int i = LAST_AXIS, least = rule == ROWS_FIRST; rule >= ROWS_FIRST && i > least; --i) {
    int other = (int)rng_between(rng, least, i), axis = order[i];
    order[i] = order[other], order[other] = axis;
  }
}

static bool is_flipped(struct rng *rng, enum flips rule, bool first) {
  if (rule == NO_FLIPS || (first && rule == FLIPS_BUT_OF_THE_FIRST)) return false;
  return (first && rule == FLIPS_AND_OF_THE_FIRST) || rng_between(rng, 0, 1);
}

/* Every element in a place of its own. */
static void lay_out(struct rng *rng, const struct rules *rules, const int64_t shape[AXES], int64_t strides[AXES]) {
  static const int64_t anything[] = {0, 1, -1, 12345, INT64_MAX, INT64_MIN};
  int order[AXES];
  int64_t reach = 0;
  bool first = true;
  choose_order(rng, rules->order, order);
  for (int i = 0; i < AXES; ++i) {
    int axis = order[i];
    strides[axis] = anything[rng_between(rng, 0, sizeof anything / sizeof *anything - 1)];
    if (shape[axis] <= 1) continue;
    int64_t stride = first ? rules->first_step : (reach + 1 + rng_between(rng, 0, rules->gaps));
    if (!first) stride *= rng_between(rng, 0, 2) ? 1 : rules->steps;
    reach += (shape[axis] - 1) * stride;
    strides[axis] = is_flipped(rng, rules->flips, first) ? -stride : stride;
    first = false;
  }
}

/* A random axis of more than one element, from the first to last; -1: there is none. */
static int long_axis(struct rng *rng, const int64_t shape[AXES], int last) {
  int start = (int)rng_between(rng, 0, last);
  for (int i = 0; i <= last; ++i)
    if (shape[(start + i) % (last + 1)] > 1) return (start + i) % (last + 1);
  return -1;
}

void view_random(struct rng *rng, enum view_kind kind, const int64_t shape[5], tconv3d_layout *layout, int64_t strides[5]) {
  *layout = kind == VIEW_DENSE ? TCONV3D_DENSE : kind == VIEW_LAST ? TCONV3D_CHANNELS_LAST : TCONV3D_STRIDED;
  if (*layout != TCONV3D_STRIDED) {
    for (int i = 0; i < AXES; ++i) strides[i] = INT64_MIN; /* not looked at */
    return;
  }
  lay_out(rng, &rules_of[kind], shape, strides);
  if (kind == VIEW_WINDOWS) {
    int axis = long_axis(rng, shape, LAST_AXIS - 1);
    if (axis >= 0) strides[axis] = rng_between(rng, 0, 1) ? 1 : -1;
  }
  if (kind == VIEW_LAST_WINDOWS && shape[LAST_AXIS] > 1) strides[LAST_AXIS] = rng_between(rng, -2, 2);
  for (int64_t times = rng_between(rng, 1, 2); kind == VIEW_REPEATED && times; --times) {
    int axis = long_axis(rng, shape, LAST_AXIS);
    if (axis >= 0) strides[axis] = 0;
  }
}

static enum view_kind writable(enum view_kind kind, bool written) {
  if (!written || kind < VIEW_APART) return kind;
  return kind == VIEW_LAST_WINDOWS ? VIEW_LAST_PADDED : VIEW_ROWS;
}

void views_random(struct rng *rng, struct rng *of_w, tconv3d_desc *desc, tconv3d_operation operation, struct view_kinds kinds) {
  struct views views;
  bool forward = operation == TCONV3D_FORWARD || operation == TCONV3D_CONVOLUTION;
  *desc = views_densely(desc);
  if (!views_of(&views, desc, operation)) return;
  view_random(of_w, writable(kinds.w, operation == TCONV3D_GRAD_WEIGHT), views.w.shape, &desc->w_layout, desc->w_strides);
  view_random(rng, writable(kinds.x, operation == TCONV3D_GRAD_INPUT), views.x.shape, &desc->x_layout, desc->x_strides);
  view_random(rng, writable(kinds.y, forward), views.y.shape, &desc->y_layout, desc->y_strides);
}
