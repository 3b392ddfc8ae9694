/* decoder.h: the network: three transposed convolutions with ReLUs between, which double the resolution of a cube.
 *
 * The layers' paddings crop whatever the cube's border would have left incomplete, so that a cube teaches nothing about zeros
 * around it: side n becomes 2n - 2 * DECODER_CROP. */
#ifndef TRAIN_DECODER_H
#define TRAIN_DECODER_H

#include "train/layer.h"

enum {
  DECODER_LAYERS = 3,
  DECODER_IN = 16,  /* the input's side */
  DECODER_CROP = 4, /* of the refined input, at each end */
  DECODER_OUT = 2 * (DECODER_IN - DECODER_CROP)
};

struct decoder {
  const struct engine *engine;
  struct tensor x;
  struct layer layers[DECODER_LAYERS];
};

bool decoder_open(const struct engine *engine, double momentum, struct random *random, struct decoder *decoder,
                  struct fault *fault);
void decoder_close(struct decoder *decoder);

/* The last layer's output. */
static inline const struct tensor *decoder_output(const struct decoder *decoder) {
  return &decoder->layers[DECODER_LAYERS - 1].y;
}

/* The output from decoder->x. */
bool decoder_forward(const struct decoder *decoder, struct fault *fault);
/* After decoder_forward: one step of gradient descent on the loss, the mean of (output - target)^2. */
bool decoder_learn(const struct decoder *decoder, const float *target, double step, double *loss, struct fault *fault);

#endif
