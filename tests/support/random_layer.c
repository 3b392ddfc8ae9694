#include "support/random_layer.h"

#include <math.h>
#include <stdlib.h>

enum {
  MAX_PRODUCTS = 1 << 21, /* multiply-adds of one layer: some milliseconds in plain C */
  MAX_OUTPUTS = 1 << 16
};

/* splitmix64: any seed will do, 0 too. */
uint64_t rng_bits(struct rng *rng) {
  uint64_t z = rng->state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

int64_t rng_between(struct rng *rng, int64_t least, int64_t most) {
  return least + (int64_t)(rng_bits(rng) % (uint64_t)(most - least + 1));
}

/* One of a few numbers, the common ones of which stand there more often. */
#define PICK(rng, ...) pick(rng, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
static int64_t pick(struct rng *rng, const int64_t *from, size_t count) {
  return from[rng_between(rng, 0, (int64_t)count - 1)];
}

static void random_channels(struct rng *rng, tconv3d_desc *desc) {
  desc->groups = PICK(rng, 1, 1, 1, 1, 2, 3, 5);
  desc->in_channels = desc->groups * PICK(rng, 1, 1, 2, 3, 4, 5, 8, 9);
  desc->out_channels = desc->groups * PICK(rng, 1, 1, 2, 3, 4, 5, 7, 8, 9, 12);
  desc->has_bias = rng_between(rng, 0, 3) > 0;
}

static void random_axis(struct rng *rng, tconv3d_desc *desc, int a) {
  desc->kernel_size[a] = PICK(rng, 1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7);
  desc->stride[a] = PICK(rng, 1, 1, 2, 2, 2, 3, 4, 5);
  desc->dilation[a] = PICK(rng, 1, 1, 1, 1, 2, 3, 4);
  desc->padding[a] = PICK(rng, 0, 0, 1, 1, 1, 2, 3, 4);
  desc->padding_end[a] = PICK(rng, -1, -1, -1, -1, 0, 1, 2, 5);
  int64_t most = (desc->stride[a] > desc->dilation[a] ? desc->stride[a] : desc->dilation[a]) - 1;
  desc->output_padding[a] = PICK(rng, 0, 0, 1, 2, 3, 4);
  if (desc->output_padding[a] > most) desc->output_padding[a] = most;
}

/* Whether the layer is valid and not too much work for the plain-C check. */
static bool small(const tconv3d_desc *desc) {
  int64_t shape[5];
  if (tconv3d_output_shape(desc, shape) != TCONV3D_OK) return false;
  int64_t outputs = shape[0] * shape[1] * shape[2] * shape[3] * shape[4];
  int64_t products = desc->in_channels / desc->groups;
  for (int a = 0; a < 3; ++a) products *= desc->kernel_size[a];
  return outputs <= MAX_OUTPUTS && outputs * products <= MAX_PRODUCTS;
}

static void draw_shape(struct rng *rng, tconv3d_desc *desc) {
  desc->batch = PICK(rng, 1, 1, 1, 2, 3);
  desc->input_size[0] = rng_between(rng, 1, 6);
  desc->input_size[1] = rng_between(rng, 1, 9);
  desc->input_size[2] = rng_between(rng, 1, 40);
}

void random_shape(struct rng *rng, tconv3d_desc *desc) {
  const tconv3d_desc before = *desc;
  for (int tries = 0; tries < 100; ++tries) {
    draw_shape(rng, desc);
    if (small(desc)) return;
  }
  *desc = before;
}

void random_layer(struct rng *rng, tconv3d_desc *desc) {
  do {
    *desc = (tconv3d_desc)TCONV3D_DESC_INIT;
    random_channels(rng, desc);
    for (int a = 0; a < 3; ++a) random_axis(rng, desc, a);
    draw_shape(rng, desc);
  } while (!small(desc));
}

static float uniform(struct rng *rng) {
  return (float)((double)(rng_bits(rng) >> 40) * 0x1p-23 - 1);
}

/* count values times 2^exponent; NULL for no values or no memory. */
static float *make_values(struct rng *rng, size_t count, enum values values, int exponent) {
  float *result = calloc(count ? count : 1, sizeof *result);
  for (size_t i = 0; result && i < count; ++i) {
    float value = values == VALUES_INTEGER ? (float)rng_between(rng, -4, 4) : uniform(rng);
    result[i] = ldexpf(value, exponent);
  }
  return result;
}

bool tensors_make(struct tensors *tensors, const tconv3d_desc *desc, struct rng *rng, enum values values) {
  /* Powers of two of x, w and b. Huge: 2^118 a product leaves room for 2^9 of them. Tiny: below the least normal, 2^-126. */
  static const int exponents[][3] = {[VALUES_UNIFORM] = {0, 0, 0},
                                     [VALUES_INTEGER] = {0, 0, 0},
                                     [VALUES_HUGE] = {60, 58, 118},
                                     [VALUES_TINY] = {-130, 0, -130}};
  *tensors = (struct tensors){0};
  int64_t shape[5];
  if (tconv3d_output_shape(desc, shape) != TCONV3D_OK) return false;
  const int64_t *in = desc->input_size, *k = desc->kernel_size;
  tensors->x_count = (size_t)(desc->batch * desc->in_channels * in[0] * in[1] * in[2]);
  tensors->w_count = (size_t)(desc->in_channels * (desc->out_channels / desc->groups) * k[0] * k[1] * k[2]);
  tensors->b_count = desc->has_bias ? (size_t)desc->out_channels : 0;
  tensors->y_count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3] * shape[4]);
  tensors->x = make_values(rng, tensors->x_count, values, exponents[values][0]);
  tensors->w = make_values(rng, tensors->w_count, values, exponents[values][1]);
  if (desc->has_bias) tensors->b = make_values(rng, tensors->b_count, values, exponents[values][2]);
  tensors->y = calloc(tensors->y_count ? tensors->y_count : 1, sizeof *tensors->y);
  return tensors->x && tensors->w && tensors->y && (tensors->b || !desc->has_bias);
}

void tensors_free(struct tensors *tensors) {
  free(tensors->x);
  free(tensors->w);
  free(tensors->b);
  free(tensors->y);
  *tensors = (struct tensors){0};
}
