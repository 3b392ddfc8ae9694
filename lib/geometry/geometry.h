/* geometry.h: the layer as checked numbers, and the phases that make it dense. Pure C, no OpenCL.
 *
 * Along one axis, write an output position as o = stride*t + a with the residue a in [0, stride). Tap k reaches o exactly when
 * (a + padding - k*dilation) mod stride == 0, and then it meets the input at i = t + (a + padding - k*dilation)/stride. So each
 * residue is a dense stride-1 correlation over t. Its taps form an arithmetic progression: with g = gcd(stride, dilation),
 * every (stride/g)-th tap from the first one, each next tap one input offset of dilation/g lower. */
#ifndef T3_GEOMETRY_H
#define T3_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <tconv3d/layer.h>

enum { T3_D, T3_H, T3_W };

typedef struct t3_axis {
  int64_t in, out, kernel, stride, padding, output_padding, dilation;
} t3_axis;

/* A validated layer: no product of the sizes below overflows, nor do the byte counts. */
typedef struct t3_layer {
  int64_t batch, in_channels, out_channels, groups;
  int64_t group_in, group_out; /* channels of one group */
  t3_axis axis[3];
  int64_t x_count, w_count, y_count; /* elements */
  int64_t taps;                      /* kD*kH*kW */
  bool has_bias;
} t3_layer;

/* Validates by the rules in layer.h. Accepts every data type by name; t3_layer_check_types refuses those not computed yet. */
tconv3d_status t3_layer_init(const tconv3d_desc *desc, t3_layer *layer);
tconv3d_status t3_layer_check_types(const tconv3d_desc *desc);

/* Useful floating-point operations: 2 a tap and input element, as if no position were cropped. */
double t3_layer_flops(const t3_layer *layer);

/* What holds for all residues of an axis. Tap k's input offset is -floor((k*dilation - padding)/stride), which falls as k
 * grows: so the extremes over all taps are those of the first and the last one. */
typedef struct t3_phases {
  int64_t residues;               /* min(stride, out): those that have an output */
  int64_t positions;              /* values of t of residue 0, which has the most: ceil(out/stride) */
  int64_t tap_step;               /* stride/g */
  int64_t offset_step;            /* dilation/g */
  int64_t min_offset, max_offset; /* of input offsets i - t */
} t3_phases;

/* One residue of one axis. */
typedef struct t3_phase {
  int64_t taps;         /* how many taps reach it; 0: these outputs are bias alone */
  int64_t first_tap;    /* the lowest of them */
  int64_t first_offset; /* input offset of the first tap; each next one is offset_step lower */
  int64_t positions;    /* values of t of this residue */
} t3_phase;

t3_phases t3_phases_of(const t3_axis *axis);
/* residue: from 0 to residues - 1. */
t3_phase t3_phase_at(const t3_axis *axis, int64_t residue);

#endif
