#include "support/operands.h"

#include <math.h>
#include <stdlib.h>

/* The three tensors of the products. SMALL is the side of i, LARGE that of i*stride - padding + k*dilation: x and y of a
 * transposed layer, y and x of a convolution. Both have w as (channels of SMALL, channels of LARGE in a group, kernel). */
enum side { SMALL, WEIGHT, LARGE, SIDES };

struct form {
  int64_t batch, groups, small_channels, large_channels;
  int64_t small[3], large[3];
};

static struct form form_of(const tconv3d_desc *desc, tconv3d_operation operation) {
  bool convolves = operation == TCONV3D_CONVOLUTION;
  struct form form = {.batch = desc->batch,
                      .groups = desc->groups,
                      .small_channels = convolves ? desc->out_channels : desc->in_channels,
                      .large_channels = convolves ? desc->in_channels : desc->out_channels};
  for (int a = 0; a < 3; ++a) {
    int64_t reach = desc->dilation[a] * (desc->kernel_size[a] - 1) + 1, in = desc->input_size[a];
    const int64_t both = desc->padding[a] + (desc->padding_end[a] < 0 ? desc->padding[a] : desc->padding_end[a]);
    form.large[a] = convolves ? in : (in - 1) * desc->stride[a] - both + reach + desc->output_padding[a];
    form.small[a] = convolves ? (in + both - reach) / desc->stride[a] + 1 : in;
  }
  return form;
}

static size_t product(const int64_t *sizes) {
  return (size_t)(sizes[0] * sizes[1] * sizes[2]);
}

struct counts operand_counts(const tconv3d_desc *desc, tconv3d_operation operation) {
  struct form form = form_of(desc, operation);
  size_t small = (size_t)(form.batch * form.small_channels) * product(form.small);
  size_t large = (size_t)(form.batch * form.large_channels) * product(form.large);
  bool convolves = operation == TCONV3D_CONVOLUTION;
  return (struct counts){.x = convolves ? large : small,
                         .w = (size_t)(form.small_channels * (form.large_channels / form.groups)) * product(desc->kernel_size),
                         .b = (size_t)desc->out_channels,
                         .y = convolves ? small : large};
}

size_t target_count(const tconv3d_desc *desc, tconv3d_operation operation) {
  struct counts counts = operand_counts(desc, operation);
  switch (operation) {
  case TCONV3D_GRAD_INPUT: return counts.x;
  case TCONV3D_GRAD_WEIGHT: return counts.w;
  case TCONV3D_GRAD_BIAS: return counts.b;
  default: return counts.y;
  }
}

float *random_values(struct rng *rng, size_t count, enum values values) {
  float *result = malloc((count + 1) * sizeof *result);
  for (size_t i = 0; result && i < count; ++i)
    result[i] =
        values == VALUES_INTEGER ? (float)rng_between(rng, -4, 4) : (float)((double)(rng_bits(rng) >> 40) * 0x1p-23 - 1);
  return result;
}

bool operands_make(struct operands *operands, const tconv3d_desc *desc, tconv3d_operation operation, struct rng *rng,
                   enum values values) {
  struct counts counts = operand_counts(desc, operation);
  bool forward = operation == TCONV3D_FORWARD || operation == TCONV3D_CONVOLUTION;
  operands->x = random_values(rng, counts.x, values);
  operands->w = random_values(rng, counts.w, values);
  operands->b = desc->has_bias ? random_values(rng, counts.b, values) : NULL;
  operands->y = forward ? NULL : random_values(rng, counts.y, values);
  return operands->x && operands->w && (operands->b || !desc->has_bias) && (operands->y || forward);
}

void operands_free(struct operands *operands) {
  const float *all[] = {operands->x, operands->w, operands->b, operands->y};
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free((void *)(uintptr_t)all[i]);
  *operands = (struct operands){0};
}

/* ---- the judge ---- */

struct walk {
  struct judge *judge;
  const float *values[SIDES]; /* of the target's side: not looked at */
  enum side target;
};

static void add_product(const struct walk *walk, const int64_t at[SIDES]) {
  enum side a = (walk->target + 1) % SIDES, b = (walk->target + 2) % SIDES;
  double value = (double)walk->values[a][at[a]] * (double)walk->values[b][at[b]];
  int64_t to = at[walk->target];
  walk->judge->value[to] += value;
  walk->judge->magnitude[to] += fabs(value);
  walk->judge->products[to] += 1;
}

/* Where i of the small side meets tap k on the large one; -1: outside. */
static int64_t meets(const tconv3d_desc *desc, const struct form *form, int axis, int64_t i, int64_t k) {
  int64_t o = i * desc->stride[axis] - desc->padding[axis] + k * desc->dilation[axis];
  return o < form->large[axis] ? o : -1;
}

/* All positions of one tap; at holds where the channels start and the weight stands. */
static void walk_tap(const struct walk *walk, const tconv3d_desc *desc, const struct form *form, const int64_t k[3],
                     const int64_t at[SIDES]) {
  const int64_t *small = form->small, *large = form->large;
  for (int64_t d = 0; d < small[0]; ++d) {
    int64_t od = meets(desc, form, 0, d, k[0]);
    for (int64_t h = 0; od >= 0 && h < small[1]; ++h) {
      int64_t oh = meets(desc, form, 1, h, k[1]);
      for (int64_t w = 0; oh >= 0 && w < small[2]; ++w) {
        int64_t ow = meets(desc, form, 2, w, k[2]);
        const int64_t here[SIDES] = {[SMALL] = at[SMALL] + (d * small[1] + h) * small[2] + w,
                                     [WEIGHT] = at[WEIGHT],
                                     [LARGE] = at[LARGE] + (od * large[1] + oh) * large[2] + ow};
        if (ow >= 0) add_product(walk, here);
      }
    }
  }
}

/* All taps of channel c of the small side and m of the large one in the group, in image n. */
static void walk_channels(const struct walk *walk, const tconv3d_desc *desc, const struct form *form, int64_t n, int64_t c,
                          int64_t m) {
  int64_t outs = form->large_channels / form->groups, group = c / (form->small_channels / form->groups), taps = 0;
  int64_t k[3];
  for (k[0] = 0; k[0] < desc->kernel_size[0]; ++k[0])
    for (k[1] = 0; k[1] < desc->kernel_size[1]; ++k[1])
      for (k[2] = 0; k[2] < desc->kernel_size[2]; ++k[2]) {
        const int64_t at[SIDES] = {[SMALL] = (n * form->small_channels + c) * (int64_t)product(form->small),
                                   [WEIGHT] = (c * outs + m) * (int64_t)product(desc->kernel_size) + taps++,
                                   [LARGE] = (n * form->large_channels + group * outs + m) * (int64_t)product(form->large)};
        walk_tap(walk, desc, form, k, at);
      }
}

/* b to every element of its channel of y. */
static void add_bias(struct judge *judge, const tconv3d_desc *desc, const float *b) {
  size_t positions = desc->batch ? judge->count / (size_t)(desc->batch * desc->out_channels) : 1;
  for (size_t i = 0; i < judge->count; ++i) {
    double bias = (double)b[i / positions % (size_t)desc->out_channels];
    judge->value[i] += bias;
    judge->magnitude[i] += fabs(bias);
  }
}

static void sum_channels(struct judge *judge, const tconv3d_desc *desc, const float *y, size_t count) {
  size_t positions = desc->batch ? count / (size_t)(desc->batch * desc->out_channels) : 1;
  for (size_t i = 0; i < count; ++i) {
    size_t m = i / positions % (size_t)desc->out_channels;
    judge->value[m] += (double)y[i];
    judge->magnitude[m] += fabs((double)y[i]);
    judge->products[m] += 1;
  }
}

bool operation_judge(struct judge *judge, const tconv3d_desc *desc, tconv3d_operation operation,
                     const struct operands *operands) {
  size_t count = target_count(desc, operation);
  *judge = (struct judge){.count = count,
                          .value = calloc(count + 1, sizeof(double)),
                          .magnitude = calloc(count + 1, sizeof(double)),
                          .products = calloc(count + 1, sizeof(double))};
  if (!judge->value || !judge->magnitude || !judge->products) return false;
  if (operation == TCONV3D_GRAD_BIAS) {
    sum_channels(judge, desc, operands->y, operand_counts(desc, operation).y);
    return true;
  }
  struct form form = form_of(desc, operation);
  bool convolves = operation == TCONV3D_CONVOLUTION, weight = operation == TCONV3D_GRAD_WEIGHT;
  struct walk walk = {.judge = judge,
                      .values = {convolves ? NULL : operands->x, operands->w, convolves ? operands->x : operands->y},
                      .target = weight                         ? WEIGHT
                                : operation == TCONV3D_FORWARD ? LARGE
                                                               : SMALL};
  for (int64_t n = 0; n < form.batch; ++n)
    for (int64_t c = 0; c < form.small_channels; ++c)
      for (int64_t m = 0; m < form.large_channels / form.groups; ++m) walk_channels(&walk, desc, &form, n, c, m);
  if (operands->b && (convolves || operation == TCONV3D_FORWARD)) add_bias(judge, desc, operands->b);
  return true;
}

void judge_add_old(struct judge *judge, double beta, const float *old) {
  for (size_t i = 0; beta != 0.0 && i < judge->count; ++i) {
    judge->value[i] += beta * (double)old[i];
    judge->magnitude[i] += fabs(beta * (double)old[i]);
    judge->products[i] += 1;
  }
}

tconv3d_status reference_of(const tconv3d_desc *desc, tconv3d_operation operation, const struct operands *operands,
                            float *target) {
  const float *x = operands->x, *w = operands->w, *b = operands->b, *gy = operands->y;
  switch (operation) {
  case TCONV3D_GRAD_INPUT: return tconv3d_reference_grad_input(desc, gy, w, target);
  case TCONV3D_GRAD_WEIGHT: return tconv3d_reference_grad_weight(desc, x, gy, target);
  case TCONV3D_GRAD_BIAS: return tconv3d_reference_grad_bias(desc, gy, target);
  case TCONV3D_CONVOLUTION: return tconv3d_reference_convolution(desc, x, w, b, target);
  default: return tconv3d_reference_forward(desc, x, w, b, target);
  }
}

double inner_product(const float *a, const float *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += (double)a[i] * (double)b[i];
  return sum;
}

tconv3d_desc convolution_like(const tconv3d_desc *transposed) {
  tconv3d_desc desc = *transposed;
  struct form form = form_of(transposed, TCONV3D_FORWARD);
  desc.in_channels = transposed->out_channels;
  desc.out_channels = transposed->in_channels;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = form.large[a], desc.output_padding[a] = 0;
  return desc;
}
