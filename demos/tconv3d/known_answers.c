/* known_answers.c: see known_answers.h. */
#include "tconv3d/known_answers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct layer {
  const char *name;
  int64_t batch, in, out, groups, input[3], kernel[3], stride[3], padding[3], output_padding[3], dilation[3];
  int bias;
} layers[] = {
    /*                  N in out groups  input      kernel     stride     padding    out. padding dilation  bias */
    {"a plain layer",   1, 3, 4, 1,     {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0},   {1, 1, 1}, 1},
    {"stride 2",        2, 4, 8, 1,     {3, 4, 9}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0},   {1, 1, 1}, 1},
    {"dilated groups",  1, 6, 4, 2,     {3, 4, 5}, {3, 4, 3}, {2, 2, 3}, {0, 1, 2}, {1, 0, 1},   {2, 1, 2}, 0},
    {"depthwise",       1, 8, 8, 8,     {2, 3, 4}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {0, 0, 0},   {1, 1, 1}, 1},
};
/* clang-format on */

static tconv3d_desc desc_of(const struct layer *layer) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = layer->batch;
  desc.in_channels = layer->in;
  desc.out_channels = layer->out;
  desc.groups = layer->groups;
  desc.has_bias = layer->bias;
  memcpy(desc.input_size, layer->input, sizeof desc.input_size);
  memcpy(desc.kernel_size, layer->kernel, sizeof desc.kernel_size);
  memcpy(desc.stride, layer->stride, sizeof desc.stride);
  memcpy(desc.padding, layer->padding, sizeof desc.padding);
  memcpy(desc.output_padding, layer->output_padding, sizeof desc.output_padding);
  memcpy(desc.dilation, layer->dilation, sizeof desc.dilation);
  return desc;
}

struct tensors {
  float *x, *w, *b, *gy, *expected, *got;
};

/* Whole numbers from -span to span, in an order without a short period that a wrong stride could hit. */
static float *numbers(int64_t count, int64_t factor, int64_t span) {
  float *values = malloc((size_t)count * sizeof *values);
  for (int64_t i = 0; values && i < count; i++) values[i] = (float)((i * factor + i / 13) % (2 * span + 1) - span);
  return values;
}

static int64_t volume(const int64_t size[3]) {
  return size[0] * size[1] * size[2];
}

static int64_t count_of(const int64_t shape[5]) {
  return shape[0] * shape[1] * volume(shape + 2);
}

static bool make_tensors(const tconv3d_desc *desc, int64_t y_count, int64_t target_count, struct tensors *t,
                         struct fault *fault) {
  t->x = numbers(desc->batch * desc->in_channels * volume(desc->input_size), 7, 5);
  t->w = numbers(desc->in_channels * (desc->out_channels / desc->groups) * volume(desc->kernel_size), 5, 3);
  t->b = numbers(desc->out_channels, 3, 2);
  t->gy = numbers(y_count, 11, 4);
  t->expected = numbers(target_count, 1, 1);
  t->got = numbers(target_count, 1, 1);
  bool made = t->x && t->w && t->b && t->gy && t->expected && t->got;
  return made ? true : fault_set(fault, EXIT_OTHER, "out of memory");
}

static void free_tensors(struct tensors *t) {
  free(t->x);
  free(t->w);
  free(t->b);
  free(t->gy);
  free(t->expected);
  free(t->got);
}

static bool compare(const char *name, int64_t count, const struct tensors *t, struct fault *fault) {
  for (int64_t i = 0; i < count; i++)
    if (!(t->got[i] == t->expected[i]))
      return fault_set(fault, EXIT_OTHER, "%s: element %" PRId64 " of the result is %g; it must be %g", name, i,
                       (double)t->got[i], (double)t->expected[i]);
  return true;
}

static tconv3d_status refer(const tconv3d_desc *desc, tconv3d_operation operation, const struct tensors *t) {
  if (operation == TCONV3D_GRAD_WEIGHT) return tconv3d_reference_grad_weight(desc, t->x, t->gy, t->expected);
  if (operation == TCONV3D_GRAD_BIAS) return tconv3d_reference_grad_bias(desc, t->gy, t->expected);
  return tconv3d_reference_forward(desc, t->x, t->w, desc->has_bias ? t->b : NULL, t->expected);
}

static tconv3d_status run_plan(const tconv3d_plan *plan, const tconv3d_desc *desc, tconv3d_operation operation,
                               const struct tensors *t) {
  if (operation != TCONV3D_FORWARD) return tconv3d_run_gradient(plan, t->x, t->gy, t->got);
  tconv3d_weights *weights = NULL;
  tconv3d_status status = tconv3d_weights_create_host(plan, t->w, desc->has_bias ? t->b : NULL, &weights);
  if (status == TCONV3D_OK) status = tconv3d_run(plan, weights, t->x, t->got);
  tconv3d_weights_destroy(weights);
  return status;
}

/* The plan of the first of these operations that the algorithm serves. */
static tconv3d_status plan_of(tconv3d_context *context, const char *algorithm, const tconv3d_desc *desc,
                              tconv3d_operation *operation, tconv3d_plan **plan) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};
  tconv3d_status status = TCONV3D_UNSUPPORTED;
  for (size_t i = 0; status == TCONV3D_UNSUPPORTED && i < sizeof operations / sizeof *operations; i++) {
    tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
    options.algorithm = algorithm;
    options.operation = *operation = operations[i];
    options.self_test = -1; /* every result is looked at here */
    status = tconv3d_plan_create(context, desc, &options, plan);
  }
  return status;
}

/* A plan that is refused because the algorithm does not serve the layer counts as skipped, not as wrong. */
static bool run_layer(tconv3d_context *context, const char *algorithm, const char *name, const tconv3d_desc *desc,
                      struct known_answers *answers) {
  struct tensors tensors = {0};
  tconv3d_plan *plan = NULL;
  tconv3d_operation operation;
  int64_t y[5], target[5];
  tconv3d_status status = plan_of(context, algorithm, desc, &operation, &plan);
  if (status == TCONV3D_UNSUPPORTED) {
    answers->skipped++;
    return true;
  }
  if (status == TCONV3D_OK) status = tconv3d_output_shape(desc, y);
  if (status == TCONV3D_OK) status = tconv3d_target_shape(desc, operation, target);
  bool done = status == TCONV3D_OK && make_tensors(desc, count_of(y), count_of(target), &tensors, &answers->fault);
  if (done) {
    status = refer(desc, operation, &tensors);
    if (status == TCONV3D_OK) status = run_plan(plan, desc, operation, &tensors);
    done = status == TCONV3D_OK && compare(name, count_of(target), &tensors, &answers->fault);
  }
  if (status != TCONV3D_OK) fault_from_status(&answers->fault, status);
  answers->exact += done;
  free_tensors(&tensors);
  tconv3d_plan_destroy(plan);
  return done;
}

bool known_answers_run(tconv3d_context *context, const char *algorithm, struct known_answers *answers) {
  memset(answers, 0, sizeof *answers);
  bool done = true;
  for (size_t i = 0; done && i < sizeof layers / sizeof *layers; i++) {
    tconv3d_desc desc = desc_of(&layers[i]);
    done = run_layer(context, algorithm, layers[i].name, &desc, answers);
  }
  return done;
}
