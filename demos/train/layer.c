/* layer.c: see layer.h. */
#include "train/layer.h"

#include <math.h>
#include <stdio.h>

/* ---- parameters ---- */

/* He's rule for values of which a ReLU drops half: variance 2 / products of an output. An output of a transposed convolution
 * meets kernel / stride taps along each axis. */
static double weight_span(const struct layer_shape *shape) {
  const double taps = (double)shape->kernel / (double)shape->stride;
  return sqrt(3 * 2 / ((double)shape->in * taps * taps * taps)); /* an even distribution's variance is span^2 / 3 */
}

static bool fill(const struct engine *engine, const struct tensor *tensor, double span, struct random *random,
                 struct fault *fault) {
  float *values = tensor_map(engine, tensor, CL_MAP_WRITE, fault);
  if (!values) return false;
  for (size_t i = 0; i < tensor->count; ++i) values[i] = random_even(random, span);
  return tensor_unmap(engine, tensor, values, fault);
}

static bool make_parameters(struct layer *layer, const struct layer_shape *shape, struct random *random, struct fault *fault) {
  const size_t weights = (size_t)(shape->in * shape->out * shape->kernel * shape->kernel * shape->kernel);
  const size_t biases = (size_t)shape->out;
  return tensor_make(layer->engine, weights, &layer->weight, fault) &&
         tensor_make(layer->engine, biases, &layer->bias, fault) &&
         tensor_make(layer->engine, weights, &layer->weight_velocity, fault) &&
         tensor_make(layer->engine, biases, &layer->bias_velocity, fault) &&
         fill(layer->engine, &layer->weight, weight_span(shape), random, fault);
}

/* ---- plans ---- */

static tconv3d_desc describe(const struct layer_shape *shape, const int64_t size[3]) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = shape->in;
  desc.out_channels = shape->out;
  for (int axis = 0; axis < 3; ++axis) desc.input_size[axis] = size[axis];
  TCONV3D_ALL_AXES(desc.kernel_size, shape->kernel);
  TCONV3D_ALL_AXES(desc.stride, shape->stride);
  TCONV3D_ALL_AXES(desc.padding, shape->padding);
  return desc;
}

static bool make_plan(const struct layer *layer, tconv3d_operation operation, double beta, tconv3d_plan **plan,
                      struct fault *fault) {
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.operation = operation;
  options.beta = beta;
  /* An algorithm that the user names is for the forward layers: not every one of them has gradients. */
  if (operation == TCONV3D_FORWARD) options.algorithm = layer->engine->options->algorithm;
  const tconv3d_status status = tconv3d_plan_create(layer->engine->context, &layer->desc, &options, plan);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (layer->engine->options->verbose)
    fprintf(stderr, "%s:\n%s\n", tconv3d_operation_name(operation), tconv3d_plan_explain(*plan));
  return true;
}

/* Plans for the parameters' gradients write gradient + momentum * what the target held: the target is the velocity, and no
 * array of gradients is needed. */
static bool make_plans(struct layer *layer, double momentum, bool passes_on, struct fault *fault) {
  return make_plan(layer, TCONV3D_FORWARD, 0, &layer->forward, fault) &&
         make_plan(layer, TCONV3D_GRAD_WEIGHT, momentum, &layer->grad_weight, fault) &&
         make_plan(layer, TCONV3D_GRAD_BIAS, momentum, &layer->grad_bias, fault) &&
         (!passes_on || make_plan(layer, TCONV3D_GRAD_INPUT, 0, &layer->grad_input, fault));
}

static bool pack(struct layer *layer, struct fault *fault) {
  const tconv3d_buffer weight = tensor_buffer(&layer->weight), bias = tensor_buffer(&layer->bias);
  const cl_command_queue queue = layer->engine->queue;
  tconv3d_status status = tconv3d_weights_create(layer->forward, queue, weight, &bias, 0, NULL, NULL, &layer->forward_weights);
  if (status == TCONV3D_OK && layer->grad_input)
    status = tconv3d_weights_create(layer->grad_input, queue, weight, NULL, 0, NULL, NULL, &layer->grad_input_weights);
  return status == TCONV3D_OK || fault_from_status(fault, status);
}

bool layer_open(const struct engine *engine, const struct layer_shape *shape, const int64_t size[3], double momentum,
                bool passes_on, struct random *random, struct layer *layer, struct fault *fault) {
  tconv3d_plan_info info;
  *layer = (struct layer){.engine = engine, .desc = describe(shape, size)};
  if (!make_parameters(layer, shape, random, fault) || !make_plans(layer, momentum, passes_on, fault) || !pack(layer, fault))
    return false;
  const tconv3d_status status = tconv3d_plan_query(layer->forward, &info);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  const size_t count = info.y_bytes / sizeof(float);
  return tensor_make(engine, count, &layer->y, fault) && tensor_make(engine, count, &layer->gy, fault);
}

void layer_close(struct layer *layer) {
  struct tensor *tensors[] = {&layer->weight,        &layer->bias, &layer->weight_velocity,
                              &layer->bias_velocity, &layer->y,    &layer->gy};
  tconv3d_weights_destroy(layer->forward_weights);
  tconv3d_weights_destroy(layer->grad_input_weights);
  tconv3d_plan_destroy(layer->forward);
  tconv3d_plan_destroy(layer->grad_input);
  tconv3d_plan_destroy(layer->grad_weight);
  tconv3d_plan_destroy(layer->grad_bias);
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors; ++i) tensor_free(tensors[i]);
}

/* ---- a step ---- */

bool layer_forward(const struct layer *layer, const struct tensor *x, struct fault *fault) {
  const tconv3d_status status = tconv3d_enqueue(layer->forward, layer->forward_weights, layer->engine->queue, tensor_buffer(x),
                                                tensor_buffer(&layer->y), NULL, 0, NULL, NULL);
  return status == TCONV3D_OK || fault_from_status(fault, status);
}

bool layer_backward(const struct layer *layer, const struct tensor *x, const struct tensor *gx, struct fault *fault) {
  const tconv3d_buffer from = tensor_buffer(x), gy = tensor_buffer(&layer->gy);
  const tconv3d_buffer weight = tensor_buffer(&layer->weight_velocity), bias = tensor_buffer(&layer->bias_velocity);
  const cl_command_queue queue = layer->engine->queue;
  tconv3d_status status = tconv3d_enqueue_gradient(layer->grad_weight, queue, from, gy, weight, NULL, 0, NULL, NULL);
  if (status == TCONV3D_OK) status = tconv3d_enqueue_gradient(layer->grad_bias, queue, from, gy, bias, NULL, 0, NULL, NULL);
  if (status == TCONV3D_OK && gx)
    status = tconv3d_enqueue(layer->grad_input, layer->grad_input_weights, queue, gy, tensor_buffer(gx), NULL, 0, NULL, NULL);
  return status == TCONV3D_OK || fault_from_status(fault, status);
}

static bool descend(const struct engine *engine, const struct tensor *values, const struct tensor *velocity, double step,
                    struct fault *fault) {
  float *to = tensor_map(engine, values, CL_MAP_READ | CL_MAP_WRITE, fault);
  float *from = to ? tensor_map(engine, velocity, CL_MAP_READ, fault) : NULL;
  for (size_t i = 0; from && i < values->count; ++i) to[i] -= (float)step * from[i];
  const bool unmapped = !from || tensor_unmap(engine, velocity, from, fault);
  return (!to || tensor_unmap(engine, values, to, fault)) && unmapped && from;
}

bool layer_descend(const struct layer *layer, double step, struct fault *fault) {
  const tconv3d_buffer weight = tensor_buffer(&layer->weight), bias = tensor_buffer(&layer->bias);
  const cl_command_queue queue = layer->engine->queue;
  if (!descend(layer->engine, &layer->weight, &layer->weight_velocity, step, fault) ||
      !descend(layer->engine, &layer->bias, &layer->bias_velocity, step, fault))
    return false;
  tconv3d_status status = tconv3d_weights_update(layer->forward_weights, queue, weight, &bias, 0, NULL, NULL);
  if (status == TCONV3D_OK && layer->grad_input)
    status = tconv3d_weights_update(layer->grad_input_weights, queue, weight, NULL, 0, NULL, NULL);
  return status == TCONV3D_OK || fault_from_status(fault, status);
}
