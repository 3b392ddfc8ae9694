/* layers.h: the layers that several tests take as they are or begin with, and the operations they are computed by. */
#ifndef LAYERS_H
#define LAYERS_H

#include <tconv3d/layer.h>

enum { OPERATIONS = 5 };
extern const tconv3d_operation all_operations[OPERATIONS];

/* Two groups, sizes that differ: y is (2, 6, 4, 6, 7) of the transposed layer, (2, 6, 2, 2, 3) of the convolution; w is
 * (4, 3, 2, 3, 3) and (6, 2, 2, 3, 3). */
tconv3d_desc small_layer(void);

/* Two groups, strides, rows that end in parts of vectors; the larger tensor, which a convolution reads, has so many channels,
 * the other 4. */
tconv3d_desc operation_layer(tconv3d_operation operation, int64_t channels);

/* The same along all axes, 3 positions of each. */
tconv3d_desc cubic_layer(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t stride);

/* A layer as a line of a test's table; what is not in it is as in TCONV3D_DESC_INIT. */
struct layer_row {
  int64_t batch, in_channels, out_channels, groups, input[3], kernel[3], stride[3], padding[3], dilation[3];
};
tconv3d_desc layer_of_row(const struct layer_row *row);

#endif
