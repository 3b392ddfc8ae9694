#include "support/layers.h"

#include <stdbool.h>

const tconv3d_operation all_operations[OPERATIONS] = {TCONV3D_FORWARD, TCONV3D_CONVOLUTION, TCONV3D_GRAD_INPUT,
                                                      TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};

tconv3d_desc small_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.in_channels = 4;
  desc.out_channels = 6;
  desc.groups = 2;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 3 + a, desc.kernel_size[a] = a ? 3 : 2;
  return desc;
}

tconv3d_desc operation_layer(tconv3d_operation operation, int64_t channels) {
  bool convolves = operation == TCONV3D_CONVOLUTION;
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.groups = 2;
  desc.in_channels = convolves ? channels : 4;
  desc.out_channels = convolves ? 4 : channels;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = (const int64_t[]){2, convolves ? 5 : 3, convolves ? 43 : 21}[a];
    desc.kernel_size[a] = (const int64_t[]){1, 2, 3}[a];
    desc.stride[a] = (const int64_t[]){1, 2, 2}[a];
    desc.padding[a] = (const int64_t[]){0, 0, 1}[a];
  }
  return desc;
}

tconv3d_desc cubic_layer(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t stride) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = in_channels;
  desc.out_channels = out_channels;
  TCONV3D_ALL_AXES(desc.input_size, 3);
  TCONV3D_ALL_AXES(desc.kernel_size, kernel);
  TCONV3D_ALL_AXES(desc.stride, stride);
  TCONV3D_ALL_AXES(desc.padding, kernel / 2);
  return desc;
}

tconv3d_desc layer_of_row(const struct layer_row *row) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = row->batch, desc.in_channels = row->in_channels, desc.out_channels = row->out_channels;
  desc.groups = row->groups;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = row->input[a], desc.kernel_size[a] = row->kernel[a], desc.stride[a] = row->stride[a];
    desc.padding[a] = row->padding[a], desc.dilation[a] = row->dilation[a];
  }
  return desc;
}
