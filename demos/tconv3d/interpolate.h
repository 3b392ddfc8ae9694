/* interpolate.h: resampling a volume to a whole multiple of its size as a transposed convolution.
 *
 * Every voxel is divided into factor equal parts per axis and the result's voxels are those parts, so the centre of result
 * voxel o lies at input coordinate (o + 0.5) / factor - 0.5. A transposed convolution of stride factor whose taps sample an
 * interpolation kernel at these distances computes just that. Axes are in the order D, H, W. */
#ifndef INTERPOLATE_H
#define INTERPOLATE_H

#include <tconv3d/layer.h>

#include "files/volume.h"

enum { INTERPOLATE_MAX_FACTOR = 16, INTERPOLATE_MAX_TAPS = 4 * INTERPOLATE_MAX_FACTOR };

enum interpolation {
  INTERPOLATE_NEAREST, /* each part is the voxel it lies in */
  INTERPOLATE_LINEAR,  /* between the 2 nearest voxels of each axis */
  INTERPOLATE_CUBIC    /* Keys' kernel with a = -0.5 (Catmull-Rom), 4 voxels of each axis; may overshoot at edges */
};

/* "nearest", "linear" or "cubic". */
bool interpolation_find(const char *name, enum interpolation *kind);

/* One axis of the layer. */
struct axis_taps {
  int64_t taps, padding;
  int64_t reach; /* how many voxels beyond each end of the input the kernel asks for */
  double weight[INTERPOLATE_MAX_TAPS];
};
void interpolate_axis(enum interpolation kind, int64_t factor, struct axis_taps *axis);

struct interpolator {
  int64_t factor[3], reach[3];
  tconv3d_desc desc; /* for a block of the planned size with reach voxels more at each end; its output is factor x block */
  float *weight;     /* freed by interpolator_free */
};

/* Plans for blocks of the given size. */
bool interpolator_make(struct interpolator *interpolator, enum interpolation kind, const int64_t factor[3],
                       const int64_t block[3], struct fault *fault);
void interpolator_free(struct interpolator *interpolator);

/* The block of whole planes from plane first of 3D volume index, as the layer's input. Beyond the volume's faces the nearest
 * voxel is repeated: the weights that reach a voxel always sum to 1, so intensities at the border are neither darkened nor
 * drawn to 0. */
void interpolator_gather(const struct interpolator *interpolator, const struct volume *volume, int64_t index, int64_t first,
                         float *x);

/* The result's header: sizes and spacing, and world coordinates (sform, qform) under which every part stays where it was in its
 * voxel. */
bool interpolate_header(const struct volume_header *from, const int64_t factor[3], struct volume_header *to,
                        struct fault *fault);

#endif
