/* sizes_options.h: a layer by its sizes alone, without arrays, and what is to be computed: for explain and program. */
#ifndef SIZES_OPTIONS_H
#define SIZES_OPTIONS_H

#include "tconv3d/layer_options.h"

struct sizes_options {
  struct layer_options layer;
  int64_t input[5], channels, kernel[3];
  int input_rank;
  bool has_channels, has_kernel, no_bias;
  tconv3d_operation operation;
  tconv3d_dtype dtype;
  tconv3d_desc layouts; /* whose layouts are taken */
};

/* --input --channels --kernel --layout --dtype --op --no-bias and layer_argp's, as an argp or an argp child whose input is a
 * struct sizes_options, zeroed. Refuses a layer that is not complete. */
extern const struct argp sizes_argp;

/* The descriptor, checked; needs no device. */
bool sizes_options_apply(const struct sizes_options *options, tconv3d_desc *desc, struct fault *fault);
/* What a plan of it is asked for, without a device. */
tconv3d_plan_options sizes_plan_options(const struct sizes_options *options);

#endif
