/* decoder.c: see decoder.h. The layers, forwards and back, are the library's; what stands between them, the ReLUs, the loss and
 * the step, is done by the host. */
#include "train/decoder.h"

/* in, out, kernel, stride, padding. The first and the last layer are filters; the one between doubles the resolution. Padding 2
 * keeps of each just the outputs that every tap reaches. */
static const struct layer_shape shapes[DECODER_LAYERS] = {
    {1, 8, 3, 1, 2},
    {8, 8, 4, 2, 2},
    {8, 1, 3, 1, 2},
};

bool decoder_open(const struct engine *engine, double momentum, struct random *random, struct decoder *decoder,
                  struct fault *fault) {
  int64_t shape[5] = {1, 1, DECODER_IN, DECODER_IN, DECODER_IN};
  *decoder = (struct decoder){.engine = engine};
  bool done = tensor_make(engine, (size_t)DECODER_IN * DECODER_IN * DECODER_IN, &decoder->x, fault);
  for (int i = 0; done && i < DECODER_LAYERS; ++i) {
    struct layer *layer = &decoder->layers[i];
    done = layer_open(engine, &shapes[i], shape + 2, momentum, i > 0, random, layer, fault);
    if (!done) break;
    const tconv3d_status status = tconv3d_output_shape(&layer->desc, shape);
    done = status == TCONV3D_OK || fault_from_status(fault, status);
  }
  return done;
}

void decoder_close(struct decoder *decoder) {
  for (int i = 0; i < DECODER_LAYERS; ++i) layer_close(&decoder->layers[i]);
  tensor_free(&decoder->x);
}

/* ---- the host's part ---- */

static bool relu(const struct engine *engine, const struct tensor *y, struct fault *fault) {
  float *values = tensor_map(engine, y, CL_MAP_READ | CL_MAP_WRITE, fault);
  if (!values) return false;
  for (size_t i = 0; i < y->count; ++i) values[i] = values[i] > 0 ? values[i] : 0;
  return tensor_unmap(engine, y, values, fault);
}

/* gy becomes 0 where y, which has passed the ReLU, is 0. */
static bool relu_backward(const struct engine *engine, const struct tensor *y, const struct tensor *gy, struct fault *fault) {
  float *gradient = tensor_map(engine, gy, CL_MAP_READ | CL_MAP_WRITE, fault);
  float *values = gradient ? tensor_map(engine, y, CL_MAP_READ, fault) : NULL;
  for (size_t i = 0; values && i < y->count; ++i) gradient[i] = values[i] > 0 ? gradient[i] : 0;
  const bool unmapped = !values || tensor_unmap(engine, y, values, fault);
  return (!gradient || tensor_unmap(engine, gy, gradient, fault)) && unmapped && values;
}

/* The loss, and its gradient with respect to the output: 2 (y - target) / count. */
static bool compare(const struct engine *engine, const struct layer *last, const float *target, double *loss,
                    struct fault *fault) {
  const size_t count = last->y.count;
  float *gradient = tensor_map(engine, &last->gy, CL_MAP_WRITE, fault);
  float *values = gradient ? tensor_map(engine, &last->y, CL_MAP_READ, fault) : NULL;
  double sum = 0;
  for (size_t i = 0; values && i < count; ++i) {
    const float difference = values[i] - target[i];
    sum += (double)difference * (double)difference;
    gradient[i] = 2 * difference / (float)count;
  }
  *loss = sum / (double)count;
  const bool unmapped = !values || tensor_unmap(engine, &last->y, values, fault);
  return (!gradient || tensor_unmap(engine, &last->gy, gradient, fault)) && unmapped && values;
}

/* ---- the chain ---- */

/* What layer i reads. */
static const struct tensor *input_of(const struct decoder *decoder, int i) {
  return i ? &decoder->layers[i - 1].y : &decoder->x;
}

bool decoder_forward(const struct decoder *decoder, struct fault *fault) {
  bool done = true;
  for (int i = 0; done && i < DECODER_LAYERS; ++i) {
    const struct layer *layer = &decoder->layers[i];
    done = layer_forward(layer, input_of(decoder, i), fault) &&
           (i == DECODER_LAYERS - 1 || relu(decoder->engine, &layer->y, fault));
  }
  return done;
}

static bool backward(const struct decoder *decoder, struct fault *fault) {
  bool done = true;
  for (int i = DECODER_LAYERS - 1; done && i >= 0; --i) {
    const struct layer *before = i ? &decoder->layers[i - 1] : NULL;
    done = layer_backward(&decoder->layers[i], input_of(decoder, i), before ? &before->gy : NULL, fault) &&
           (!before || relu_backward(decoder->engine, &before->y, &before->gy, fault));
  }
  return done;
}

/* Every gradient is taken before any parameter moves. */
bool decoder_learn(const struct decoder *decoder, const float *target, double step, double *loss, struct fault *fault) {
  bool done = compare(decoder->engine, &decoder->layers[DECODER_LAYERS - 1], target, loss, fault) && backward(decoder, fault);
  for (int i = 0; done && i < DECODER_LAYERS; ++i) done = layer_descend(&decoder->layers[i], step, fault);
  return done;
}
