/* layer.h: one transposed convolution that learns: its parameters, and the plans for its output and for every gradient. */
#ifndef TRAIN_LAYER_H
#define TRAIN_LAYER_H

#include "train/random.h"
#include "train/tensor.h"

struct layer_shape {
  int64_t in, out, kernel, stride, padding; /* the last three along every axis */
};

struct layer {
  const struct engine *engine;
  tconv3d_desc desc;
  tconv3d_plan *forward, *grad_input, *grad_weight, *grad_bias; /* grad_input: only where it is wanted */
  tconv3d_weights *forward_weights, *grad_input_weights;
  struct tensor weight, bias;
  struct tensor weight_velocity, bias_velocity; /* what descending follows: gradients, and the momentum of those before */
  struct tensor y, gy;                          /* gy: the gradient of the loss with respect to y */
};

/* For one image of the given size (D, H, W), with random weights. momentum: how much of the velocity each step keeps.
 * passes_on: whether the gradient with respect to the input is wanted. */
bool layer_open(const struct engine *engine, const struct layer_shape *shape, const int64_t size[3], double momentum,
                bool passes_on, struct random *random, struct layer *layer, struct fault *fault);
void layer_close(struct layer *layer);

/* y from x; on the queue. */
bool layer_forward(const struct layer *layer, const struct tensor *x, struct fault *fault);
/* The velocities from x and gy, and, unless gx is NULL, gx; on the queue. */
bool layer_backward(const struct layer *layer, const struct tensor *x, const struct tensor *gx, struct fault *fault);
/* Parameters - step * velocity, packed anew for both plans that read them. */
bool layer_descend(const struct layer *layer, double step, struct fault *fault);

#endif
