/* interpolate.c: kernels, borders and geometry of upsampling. */
#include "tconv3d/interpolate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double box(double t) {
  return t < 0.5 ? 1 : 0;
}

static double triangle(double t) {
  return t < 1 ? 1 - t : 0;
}

static double keys(double t) {
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

static const struct {
  const char *name;
  double (*value)(double distance); /* distance >= 0, in input voxels */
  int64_t width;                    /* of its support, in input voxels */
  int64_t reach;
} kernels[] = {
    [INTERPOLATE_NEAREST] = {"nearest", box, 1, 0},
    [INTERPOLATE_LINEAR] = {"linear", triangle, 2, 1},
    [INTERPOLATE_CUBIC] = {"cubic", keys, 4, 2},
};

bool interpolation_find(const char *name, enum interpolation *kind) {
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; ++i)
    if (!strcmp(kernels[i].name, name)) {
      *kind = (enum interpolation)i;
      return true;
    }
  return false;
}

/* Tap k of input voxel i lands on o = i * factor - padding + k, at distance (k - (taps - 1) / 2) / factor from i's centre once
 * padding is (taps - factor) / 2. With an odd factor and an even width the two outermost taps would be the kernel's zeros: they
 * are left out, because 0 * Inf is NaN, and taps - factor is even then. Factor 1 is the voxel itself whatever the kernel. */
void interpolate_axis(enum interpolation kind, int64_t factor, struct axis_taps *axis) {
  const int64_t width = kernels[kind].width * factor;
  const bool zero_ends = factor % 2 && width % 2 == 0;
  memset(axis, 0, sizeof *axis);
  axis->taps = factor == 1 ? 1 : width - zero_ends;
  axis->padding = (axis->taps - factor) / 2;
  axis->reach = factor == 1 ? 0 : kernels[kind].reach;
  for (int64_t k = 0; k < axis->taps; ++k)
    axis->weight[k] = kernels[kind].value(fabs((double)(2 * k - axis->taps + 1)) / (double)(2 * factor));
}

/* The separable kernel as one dense 3D weight: the layer's phases meet only the taps that an output voxel really has. */
static float *outer_product(const struct axis_taps axes[3]) {
  float *weight = malloc((size_t)(axes[0].taps * axes[1].taps * axes[2].taps) * sizeof *weight);
  float *next = weight;
  if (!weight) return NULL;
  for (int64_t d = 0; d < axes[0].taps; ++d)
    for (int64_t h = 0; h < axes[1].taps; ++h)
      for (int64_t w = 0; w < axes[2].taps; ++w) *next++ = (float)(axes[0].weight[d] * axes[1].weight[h] * axes[2].weight[w]);
  return weight;
}

bool interpolator_make(struct interpolator *interpolator, enum interpolation kind, const int64_t factor[3],
                       const int64_t block[3], struct fault *fault) {
  struct axis_taps axes[3];
  const tconv3d_desc defaults = TCONV3D_DESC_INIT;
  memset(interpolator, 0, sizeof *interpolator);
  tconv3d_desc *desc = &interpolator->desc;
  *desc = defaults;
  desc->in_channels = desc->out_channels = 1;
  desc->has_bias = 0;
  for (int axis = 0; axis < 3; ++axis) {
    interpolate_axis(kind, factor[axis], &axes[axis]);
    interpolator->factor[axis] = desc->stride[axis] = factor[axis];
    interpolator->reach[axis] = axes[axis].reach;
    desc->input_size[axis] = block[axis] + 2 * axes[axis].reach;
    desc->kernel_size[axis] = axes[axis].taps;
    desc->padding[axis] = axes[axis].padding + axes[axis].reach * factor[axis]; /* crops what the repeated voxels add */
  }
  interpolator->weight = outer_product(axes);
  return interpolator->weight || fault_set(fault, EXIT_OTHER, "not enough memory for the interpolation weights");
}

void interpolator_free(struct interpolator *interpolator) {
  free(interpolator->weight);
  interpolator->weight = NULL;
}

static int64_t inside(int64_t at, int64_t size) {
  return at < 0 ? 0 : at < size ? at : size - 1;
}

void interpolator_gather(const struct interpolator *interpolator, const struct volume *volume, int64_t index, int64_t first,
                         float *x) {
  const int64_t *size = volume->size, *reach = interpolator->reach, *padded = interpolator->desc.input_size;
  for (int64_t d = 0; d < padded[0]; ++d)
    for (int64_t h = 0; h < padded[1]; ++h, x += padded[2]) {
      const int64_t plane = inside(first + d - reach[0], size[0]), row = inside(h - reach[1], size[1]);
      volume_load(volume, index * volume->voxels + (plane * size[1] + row) * size[2], size[2], x + reach[2]);
      for (int64_t w = 0; w < reach[2]; ++w) {
        x[w] = x[reach[2]];
        x[reach[2] + size[2] + w] = x[reach[2] + size[2] - 1];
      }
    }
}

/* The centre of the first part lies at 0.5 / factor - 0.5 of the input's voxel coordinates. */
static double first_centre(int64_t factor) {
  return 0.5 / (double)factor - 0.5;
}

static bool multiply_sizes(const int64_t xyz[3], struct volume_header *to, struct fault *fault) {
  static const char names[] = "xyz";
  for (int axis = 0; axis < 3; ++axis) {
    if (__builtin_mul_overflow(to->dim[axis + 1], xyz[axis], &to->dim[axis + 1]))
      return fault_set(fault, EXIT_WRONG_USE, "--factor: %c is too long for a factor of %lld", names[axis],
                       (long long)xyz[axis]);
    to->pixdim[axis + 1] /= (double)xyz[axis];
    if (xyz[axis] > 1 && to->dim[0] < axis + 1) to->dim[0] = axis + 1; /* a picture that becomes a volume */
  }
  return true;
}

static void move_origin(const double affine[3][4], const int64_t xyz[3], double origin[3]) {
  for (int row = 0; row < 3; ++row) {
    origin[row] = affine[row][3];
    for (int axis = 0; axis < 3; ++axis) origin[row] += affine[row][axis] * first_centre(xyz[axis]);
  }
}

/* Slice timing counts acquired slices. Cut in parts, the result's planes are no longer those. */
static void settle_slices(const int64_t xyz[3], struct volume_header *to) {
  const int64_t slice_axis = to->dim_info >> 4 & 3; /* 1, 2, 3: x, y, z; 0: not known */
  if (slice_axis && xyz[slice_axis - 1] == 1) return;
  to->slice_code = to->slice_start = to->slice_end = 0;
  to->slice_duration = 0;
}

bool interpolate_header(const struct volume_header *from, const int64_t factor[3], struct volume_header *to,
                        struct fault *fault) {
  const int64_t xyz[3] = {factor[2], factor[1], factor[0]};
  *to = *from;
  if (!multiply_sizes(xyz, to, fault)) return false;
  if (from->qform_code > 0) { /* the rotation stays; its columns shrink with pixdim */
    double affine[3][4];
    volume_qform(from, affine);
    move_origin((const double(*)[4])affine, xyz, to->qoffset);
  }
  if (from->sform_code > 0) {
    double origin[3];
    move_origin(from->srow, xyz, origin);
    for (int row = 0; row < 3; ++row) {
      for (int axis = 0; axis < 3; ++axis) to->srow[row][axis] /= (double)xyz[axis];
      to->srow[row][3] = origin[row];
    }
  }
  if (factor[0] > 1 || factor[1] > 1 || factor[2] > 1) settle_slices(xyz, to);
  return true;
}
