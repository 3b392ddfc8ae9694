#include "support/exact.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* SMALL is the side of i, LARGE that of i*stride - padding + k*dilation: x and y of a transposed layer, y and x of a
 * convolution. Both have w as (channels of SMALL, channels of LARGE in a group, kernel). */
enum side { SMALL, WEIGHT, LARGE, SIDES };

struct walk {
  const tconv3d_desc *desc;
  struct exact *exact;
  const double *values[SIDES]; /* of the target's side: not looked at */
  enum side target;
  int64_t channels[SIDES]; /* of all groups */
  int64_t size[SIDES][3];
};

static int64_t product(const int64_t sizes[3]) {
  return sizes[0] * sizes[1] * sizes[2];
}

static void split(int64_t index, const int64_t sizes[3], int64_t at[3]) {
  for (int a = 2; a >= 0; index /= sizes[a--]) at[a] = index % sizes[a];
}

/* The place on the large side that tap k of i meets; -1: none. */
static int64_t meets(const struct walk *walk, const int64_t i[3], const int64_t k[3]) {
  int64_t place = 0;
  for (int a = 0; a < 3; ++a) {
    int64_t o = i[a] * walk->desc->stride[a] - walk->desc->padding[a] + k[a] * walk->desc->dilation[a];
    if (o < 0 || o >= walk->size[LARGE][a]) return -1;
    place = place * walk->size[LARGE][a] + o;
  }
  return place;
}

static void add(const struct walk *walk, const int64_t at[SIDES]) {
  enum side a = (walk->target + 1) % SIDES, b = (walk->target + 2) % SIDES;
  long double value = (long double)walk->values[a][at[a]] * (long double)walk->values[b][at[b]];
  size_t to = (size_t)at[walk->target];
  walk->exact->value[to] += value;
  walk->exact->magnitude[to] += fabsl(value);
  walk->exact->products[to] += 1;
}

/* All products of channel c of the small side and channel m of the large one in its group, in image n. */
static void walk_channels(const struct walk *walk, int64_t n, int64_t c, int64_t m) {
  int64_t groups = walk->desc->groups, outs = walk->channels[LARGE] / groups, group = c / (walk->channels[SMALL] / groups);
  int64_t small = product(walk->size[SMALL]), large = product(walk->size[LARGE]), taps = product(walk->size[WEIGHT]);
  for (int64_t p = 0; p < small; ++p)
    for (int64_t t = 0; t < taps; ++t) {
      int64_t i[3], k[3];
      split(p, walk->size[SMALL], i);
      split(t, walk->size[WEIGHT], k);
      int64_t place = meets(walk, i, k);
      if (place < 0) continue;
      add(walk, (const int64_t[SIDES]){[SMALL] = (n * walk->channels[SMALL] + c) * small + p,
                                       [WEIGHT] = (c * outs + m) * taps + t,
                                       [LARGE] = (n * walk->channels[LARGE] + group * outs + m) * large + place});
    }
}

static void walk_all(const struct walk *walk) {
  for (int64_t n = 0; n < walk->desc->batch; ++n)
    for (int64_t c = 0; c < walk->channels[SMALL]; ++c)
      for (int64_t m = 0; m < walk->channels[LARGE] / walk->desc->groups; ++m) walk_channels(walk, n, c, m);
}

/* Adds a value to an element: b to those of its channel, gy to the sum of its channel. */
static void add_one(struct exact *exact, size_t to, double value, double counts) {
  exact->value[to] += (long double)value;
  exact->magnitude[to] += fabsl((long double)value);
  exact->products[to] += counts;
}

bool exact_make(struct exact *exact, const tconv3d_desc *desc, tconv3d_operation operation, const struct exact_inputs *inputs) {
  int64_t target[5], y[5];
  bool convolves = operation == TCONV3D_CONVOLUTION, single = desc->dtype != TCONV3D_F64;
  *exact = (struct exact){.unit = single ? 0x1p-24 : 0x1p-53, .least = single ? (double)FLT_MIN : DBL_MIN};
  if (tconv3d_target_shape(desc, operation, target) != TCONV3D_OK) return false;
  if (tconv3d_target_shape(desc, convolves ? operation : TCONV3D_FORWARD, y) != TCONV3D_OK) return false;
  exact->count = (size_t)(target[0] * target[1] * product(target + 2));
  exact->value = calloc(exact->count + 1, sizeof *exact->value);
  exact->magnitude = calloc(exact->count + 1, sizeof *exact->magnitude);
  exact->products = calloc(exact->count + 1, sizeof *exact->products);
  if (!exact->value || !exact->magnitude || !exact->products) return false;
  size_t places = (size_t)product(y + 2), m = (size_t)desc->out_channels, y_count = (size_t)desc->batch * m * places;
  if (operation == TCONV3D_GRAD_BIAS) {
    for (size_t i = 0; i < y_count; ++i) add_one(exact, i / places % m, inputs->gy[i], 1);
    return true;
  }
  struct walk walk = {
      .desc = desc,
      .exact = exact,
      .values = {convolves ? NULL : inputs->x, inputs->w, convolves ? inputs->x : inputs->gy},
      .target = operation == TCONV3D_GRAD_WEIGHT ? WEIGHT
                : operation == TCONV3D_FORWARD   ? LARGE
                                                 : SMALL,
      .channels = {convolves ? desc->out_channels : desc->in_channels, 0, convolves ? desc->in_channels : desc->out_channels}};
  for (int a = 0; a < 3; ++a) {
    walk.size[SMALL][a] = convolves ? y[2 + a] : desc->input_size[a];
    walk.size[WEIGHT][a] = desc->kernel_size[a];
    walk.size[LARGE][a] = convolves ? desc->input_size[a] : y[2 + a];
  }
  walk_all(&walk);
  for (size_t i = 0; inputs->b && i < y_count; ++i) add_one(exact, i, inputs->b[i / places % m], 0);
  return true;
}

void exact_free(struct exact *exact) {
  free(exact->value);
  free(exact->magnitude);
  free(exact->products);
  *exact = (struct exact){0};
}

void exact_add_old(struct exact *exact, double beta, const double *old) {
  for (size_t i = 0; beta != 0.0 && i < exact->count; ++i) add_one(exact, i, beta * old[i], 1);
}

double exact_bound(const struct exact *exact, size_t i) {
  double n = exact->products[i] + 2, u = exact->unit;
  return n * u / (1 - n * u) * (double)exact->magnitude[i] + exact->products[i] * exact->least +
         exact->reduced * (double)exact->magnitude[i] + exact->products[i] * exact->tiny;
}

bool exact_stored(tconv3d_dtype type, double stored, long double value, double bound) {
  if (isnan(value)) return isnan(stored);
  if (isnan(stored)) return false;
  if (isinf(value)) return isinf(stored) && (stored > 0) == (value > 0);
  double low = (double)(value - (long double)bound), high = (double)(value + (long double)bound);
  return stored >= typed_rounded(type, low) && stored <= typed_rounded(type, high);
}

bool exact_right(const struct exact *exact, tconv3d_dtype type, const void *bits, bool nearest, char *why, size_t capacity) {
  for (size_t i = 0; i < exact->count; ++i) {
    double stored = typed_value(type, bits, i), bound = nearest ? 0 : exact_bound(exact, i);
    if (exact_stored(type, stored, exact->value[i], bound)) continue;
    snprintf(why, capacity, "[%zu] is %.17g; before it is stored as %s it must be %.17Lg to within %.3g (%g products)", i,
             stored, typed_name(type), exact->value[i], bound, exact->products[i]);
    return false;
  }
  return true;
}
