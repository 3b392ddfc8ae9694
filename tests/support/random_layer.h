/* random_layer.h: layers and tensors from a seed. The same seed gives the same test on every machine. */
#ifndef RANDOM_LAYER_H
#define RANDOM_LAYER_H

#include <stdbool.h>
#include <stddef.h>

#include <tconv3d/layer.h>

struct rng {
  uint64_t state;
};

uint64_t rng_bits(struct rng *rng);
int64_t rng_between(struct rng *rng, int64_t least, int64_t most);

/* A valid layer: every parameter varies, the tensors stay small enough for a plain-C check. */
void random_layer(struct rng *rng, tconv3d_desc *desc);
/* Another batch and input size for the same layer. */
void random_shape(struct rng *rng, tconv3d_desc *desc);

enum values {
  VALUES_UNIFORM, /* in [-1, 1) */
  VALUES_INTEGER, /* in [-4, 4]: every sum is exact in float32 */
  VALUES_HUGE,    /* sums come near the largest float32, and no nearer */
  VALUES_TINY     /* x, b and the sums are subnormal */
};

/* Host tensors of a layer's shapes. b is NULL without bias; y is there for results. */
struct tensors {
  float *x, *w, *b, *y;
  size_t x_count, w_count, b_count, y_count;
};

/* False when the layer is invalid or memory runs out; tensors_free is right either way. */
bool tensors_make(struct tensors *tensors, const tconv3d_desc *desc, struct rng *rng, enum values values);
void tensors_free(struct tensors *tensors);

#endif
