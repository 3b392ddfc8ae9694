/* layers.h: the layers of a network as a text file lists them, each with its real input and the sums its output must have. */
#ifndef LAYERS_H
#define LAYERS_H

#include "files/npy.h"
#include "tconv3d/command.h"

enum { MOST_LAYERS = 16 };

struct layer {
  char name[32]; /* NAME_input.npy, NAME_weight.npy and NAME_bias.npy lie beside the list */
  tconv3d_desc desc;
  int64_t output[5];
  double sum, magnitude; /* of y and of |y|, in fp64 */
};

struct layers {
  struct layer list[MOST_LAYERS];
  int count;
  int64_t mask_voxels; /* that the network calls brain */
};

/* Reads DIR/layers.txt: a line a layer, `name (N, C, D, H, W) (C_in, C_out, kD, kH, kW) stride S padding P output_padding Q
 * bias yes|no output (...) sum S sum|y| M`, and a line `mask voxels V`. */
bool layers_read(const char *dir, struct layers *layers, struct fault *fault);

struct measurement {
  const char *algorithm; /* static storage */
  double seconds;        /* median of one call, host arrays in and out */
  double gflops;         /* 2 * N * C_in * C_out/groups * D * H * W * kD * kH * kW a call */
  double off;            /* the larger of |sum - expected| and |sum|y| - expected|, as a part of sum|y| */
};

/* Reads the layer's arrays from dir and runs it several times with device's algorithm; y (freed by the caller, also after a
 * fault) is the result. */
bool layer_run(const struct layer *layer, const char *dir, tconv3d_context *context, const struct device_options *device,
               struct npy *y, struct measurement *measurement, struct fault *fault);

#endif
