/* layer_options.h: the options that describe a layer, the same words in every subcommand. */
#ifndef LAYER_OPTIONS_H
#define LAYER_OPTIONS_H

#include "tconv3d/command.h"

/* What the user gave, PyTorch's defaults elsewhere. */
struct layer_options {
  struct device_options device;
  int64_t stride[3], padding[3], output_padding[3], dilation[3], groups;
  int64_t output_size[3];
  bool has_output_padding, has_output_size;
};

/* --stride --padding --output-padding --dilation --groups --output-size and device_argp's, as an argp or an argp child whose
 * input is a struct layer_options; its start sets the defaults. */
extern const struct argp layer_argp;

/* Puts the options into a descriptor whose channels and sizes are set, finds output_padding where --output-size was given, and
 * checks the whole; shape is y's. Needs no device. */
bool layer_options_apply(const struct layer_options *options, tconv3d_desc *desc, int64_t shape[5], struct fault *fault);

#endif
