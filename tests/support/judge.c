#include "support/judge.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One output's place: image, channel, and where it lies along D, H and W. */
struct place {
  int64_t n, m, o[3];
};

/* The input position that tap k meets at output position o along one axis; -1 when there is none. */
static int64_t meets(const tconv3d_desc *desc, int axis, int64_t o, int64_t k) {
  int64_t distance = o + desc->padding[axis] - k * desc->dilation[axis];
  if (distance < 0 || distance % desc->stride[axis]) return -1;
  int64_t i = distance / desc->stride[axis];
  return i < desc->input_size[axis] ? i : -1;
}

/* Adds the products of one tap over the group's input channels. x and w start at the group's first channel. */
static void add_tap(const tconv3d_desc *desc, const float *x, const float *w, struct judge *judge, size_t index) {
  const int64_t *in = desc->input_size, *k = desc->kernel_size;
  int64_t channels = desc->in_channels / desc->groups, outs = desc->out_channels / desc->groups;
  for (int64_t c = 0; c < channels; ++c) {
    double product = (double)x[c * in[0] * in[1] * in[2]] * (double)w[c * outs * k[0] * k[1] * k[2]];
    judge->value[index] += product;
    judge->magnitude[index] += fabs(product);
    judge->products[index] += 1;
  }
}

static void judge_output(const tconv3d_desc *desc, const float *x, const float *w, const struct place *at, struct judge *judge,
                         size_t index) {
  const int64_t *in = desc->input_size, *k = desc->kernel_size;
  int64_t channels = desc->in_channels / desc->groups, outs = desc->out_channels / desc->groups;
  int64_t group = at->m / outs;
  x += (at->n * desc->in_channels + group * channels) * in[0] * in[1] * in[2];
  w += (group * channels * outs + at->m % outs) * k[0] * k[1] * k[2];
  for (int64_t kd = 0; kd < k[0]; ++kd) {
    int64_t id = meets(desc, 0, at->o[0], kd);
    if (id < 0) continue;
    for (int64_t kh = 0; kh < k[1]; ++kh) {
      int64_t ih = meets(desc, 1, at->o[1], kh);
      if (ih < 0) continue;
      for (int64_t kw = 0; kw < k[2]; ++kw) {
        int64_t iw = meets(desc, 2, at->o[2], kw);
        if (iw >= 0) add_tap(desc, x + (id * in[1] + ih) * in[2] + iw, w + (kd * k[1] + kh) * k[2] + kw, judge, index);
      }
    }
  }
}

bool judge_make(struct judge *judge, const tconv3d_desc *desc, const float *x, const float *w, const float *b) {
  *judge = (struct judge){0};
  int64_t shape[5];
  if (tconv3d_output_shape(desc, shape) != TCONV3D_OK) return false;
  judge->count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3] * shape[4]);
  judge->value = calloc(judge->count + 1, sizeof(double));
  judge->magnitude = calloc(judge->count + 1, sizeof(double));
  judge->products = calloc(judge->count + 1, sizeof(double));
  if (!judge->value || !judge->magnitude || !judge->products) return false;
  for (size_t i = 0; i < judge->count; ++i) {
    int64_t rest = (int64_t)i;
    struct place at = {0};
    for (int a = 2; a >= 0; --a) {
      at.o[a] = rest % shape[2 + a];
      rest /= shape[2 + a];
    }
    at.m = rest % shape[1];
    at.n = rest / shape[1];
    if (desc->has_bias) {
      judge->value[i] = (double)b[at.m];
      judge->magnitude[i] = fabs((double)b[at.m]);
    }
    judge_output(desc, x, w, &at, judge, i);
  }
  return true;
}

void judge_free(struct judge *judge) {
  free(judge->value);
  free(judge->magnitude);
  free(judge->products);
  *judge = (struct judge){0};
}

static double bound(const struct judge *judge, size_t i) {
  const double u = 0x1p-24, n = judge->products[i] + 2;
  return n * u / (1 - n * u) * judge->magnitude[i] + u * fabs(judge->value[i]) + judge->products[i] * (double)FLT_MIN;
}

/* Whether y is what the definition gives where that is no number: a NaN, or an infinity of the same sign. */
static bool same_non_finite(double value, float y) {
  return isnan(value) ? isnan(y) : isinf(y) && (y > 0) == (value > 0);
}

static bool within(const struct judge *judge, size_t i, float y) {
  if (!isfinite(judge->value[i])) return same_non_finite(judge->value[i], y);
  /* Partial sums may pass the largest float32, and then anything non-finite is right. */
  if (judge->magnitude[i] > (double)FLT_MAX && !isfinite(y)) return true;
  return fabs((double)y - judge->value[i]) <= bound(judge, i); /* false for a NaN */
}

bool judge_within(const struct judge *judge, const float *y, char *why, size_t capacity) {
  for (size_t i = 0; i < judge->count; ++i) {
    if (within(judge, i, y[i])) continue;
    snprintf(why, capacity, "y[%zu] is %.9g; it must be %.9g to within %.3g (%g products)", i, (double)y[i], judge->value[i],
             bound(judge, i), judge->products[i]);
    return false;
  }
  return true;
}

bool judge_exact(const struct judge *judge, const float *y, char *why, size_t capacity) {
  for (size_t i = 0; i < judge->count; ++i) {
    double error = (double)y[i] - judge->value[i];
    if (error <= 0 && error >= 0) continue;
    snprintf(why, capacity, "y[%zu] is %.9g; it must be exactly %.9g (%g products)", i, (double)y[i], judge->value[i],
             judge->products[i]);
    return false;
  }
  return true;
}
