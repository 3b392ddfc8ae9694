/* geometry.h: the layer as checked numbers, and the phases that make it dense. Pure C, no OpenCL.
 *
 * Along one axis, write an output position as o = stride*t + a with the residue a in [0, stride). Tap k reaches o exactly when
 * (a + padding - k*dilation) mod stride == 0, and then it meets the input at i = t + (a + padding - k*dilation)/stride. So each
 * residue is a dense stride-1 correlation over t. Its taps form an arithmetic progression: with g = gcd(stride, dilation),
 * every (stride/g)-th tap from the first one, each next tap one input offset of dilation/g lower.
 *
 * A convolution is the same the other way round: every output o = t is a residue of its own kind, all taps reach it, and tap k
 * meets the input at i = stride*t - padding + k*dilation. So both are described by a step of the output, a step of the input
 * (one of which is 1) and a progression of input offsets. The gradient with respect to x is a convolution of gy. */
#ifndef T3_GEOMETRY_H
#define T3_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <tconv3d/layer.h>

enum { T3_D, T3_H, T3_W };

typedef struct t3_axis {
  int64_t in, out, kernel, stride, padding, output_padding, dilation;
  bool convolves; /* false: transposed */
  int64_t padding_end;
} t3_axis;

/* Outputs between two of the same residue; inputs that t + 1 lies further than t. */
static inline int64_t t3_output_step(const t3_axis *axis) {
  return axis->convolves ? 1 : axis->stride;
}
static inline int64_t t3_input_step(const t3_axis *axis) {
  return axis->convolves ? axis->stride : 1;
}

/* Where a tensor's elements lie, in elements from that of index 0: stride of each axis, below and span: how far the lowest one
 * is, and how many places there are from it to the highest, both included (0 of an empty tensor). dense: in C order without
 * gaps. */
typedef struct t3_view {
  int64_t stride[5], below, span;
  bool dense;
} t3_view;
enum { T3_AXIS_N, T3_AXIS_C, T3_AXIS_D, T3_AXIS_H, T3_AXIS_W };

/* A validated layer: no product of the sizes below overflows, nor do the byte counts. */
typedef struct t3_layer {
  int64_t batch, in_channels, out_channels, groups;
  int64_t group_in, group_out; /* channels of one group */
  t3_axis axis[3];
  int64_t x_count, w_count, y_count; /* elements */
  int64_t taps;                      /* kD*kH*kW */
  bool has_bias;
  tconv3d_dtype dtype, weight_dtype;
  t3_view x, w, y;
  bool transposed; /* w is (in_channels, group_out, ...), else (out_channels, group_in, ...) */
} t3_layer;

/* Validates by the rules in layer.h. */
tconv3d_status t3_layer_init(const tconv3d_desc *desc, t3_layer *layer);

/* Validates the layouts of a layer whose sizes are set. */
tconv3d_status t3_views_init(const tconv3d_desc *desc, t3_layer *layer);
/* Leaves out x and w, which the gradient of the bias does not read: they span nothing, and are in no key. */
void t3_views_of_bias(t3_layer *layer);
/* Refuses a target two of whose elements are in one place; layer: as the operation computes it. */
tconv3d_status t3_views_check_target(const t3_layer *layer, tconv3d_operation operation);
void t3_x_shape(const t3_layer *layer, int64_t shape[5]);
void t3_w_shape(const t3_layer *layer, int64_t shape[5]);
void t3_y_shape(const t3_layer *layer, int64_t shape[5]);

/* A float32 tensor in C order: the tensor itself where it is dense, else a copy. */
typedef struct t3_dense {
  const t3_view *view;
  int64_t shape[5], count;
  float *data, *copy; /* copy: NULL where there is none */
} t3_dense;
/* The tensor is at element 0, and only read. */
tconv3d_status t3_dense_read(const t3_view *view, const int64_t shape[5], const float *tensor, t3_dense *dense);
/* Room for values that t3_dense_write brings to the tensor. */
tconv3d_status t3_dense_room(const t3_view *view, const int64_t shape[5], float *tensor, t3_dense *dense);
void t3_dense_write(const t3_dense *dense, float *tensor);
void t3_dense_free(t3_dense *dense);

/* All three of a call; y is what is written, or w. t3_dense_layer_free is right after a failure too. */
typedef struct t3_dense_operands {
  t3_dense x, w, y;
} t3_dense_operands;
tconv3d_status t3_dense_layer(const t3_layer *layer, const float *x, const float *w, float *y, t3_dense_operands *dense);
tconv3d_status t3_dense_weights(const t3_layer *layer, const float *x, float *w, const float *y, t3_dense_operands *dense);
void t3_dense_layer_free(t3_dense_operands *dense);

/* Bytes of an element; its name, "float32"; and the short one of files and options, "f32". NULL for a number that is no type.
 */
size_t t3_type_size(tconv3d_dtype dtype);
const char *t3_type_name(tconv3d_dtype dtype);
const char *t3_type_word(tconv3d_dtype dtype);

/* The plain-C references compute float32 alone. */
tconv3d_status t3_layer_check_reference(const tconv3d_desc *desc);

/* The layer as an operation computes it: the descriptor's own, but for a convolution that one, and for the gradient with
 * respect to x the convolution that leads from gy to it. Gradients are of a layer without a bias. */
tconv3d_status t3_layer_of(const tconv3d_desc *desc, tconv3d_operation operation, t3_layer *layer);
/* The shape of what the operation writes; layer: as it computes it. */
void t3_target_shape(const t3_layer *layer, tconv3d_operation operation, int64_t shape[5]);
/* A transposed layer's convolution from gy to gx, and back. */
t3_layer t3_layer_adjoint(const t3_layer *layer);

/* What an operation reads, in C order and as small whole numbers; NULL for what it does not. x and gy: as the layer computes
 * it. */
typedef struct t3_whole_numbers {
  const int8_t *x, *w, *b, *gy;
} t3_whole_numbers;
/* One element of the target, at this index of its shape. layer: as the operation computes it. */
int64_t t3_element(const t3_layer *layer, tconv3d_operation operation, const t3_whole_numbers *of, const int64_t index[5]);

/* Useful floating-point operations: 2 a tap and input element, as if no position were cropped. */
double t3_layer_flops(const t3_layer *layer);

/* What holds for all residues of an axis. Tap k's input offset is -floor((k*dilation - padding)/stride), which falls as k
 * grows: so the extremes over all taps are those of the first and the last one. A convolution's rises. */
typedef struct t3_phases {
  int64_t residues;               /* min(output step, out): those that have an output */
  int64_t positions;              /* values of t of residue 0, which has the most: ceil(out/output step) */
  int64_t tap_step;               /* stride/g; 1 in a convolution */
  int64_t offset_step;            /* dilation/g; -dilation in a convolution */
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
