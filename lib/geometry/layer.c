/* Validation by PyTorch's rules and the sizes that follow, all in checked 64-bit arithmetic. */
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/status.h"
#include "geometry/geometry.h"

static const char axis_name[] = "DHW";

static tconv3d_status at_least(const char *name, int64_t value, int64_t least) {
  if (value >= least) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "%s is %" PRId64 "; it must be at least %" PRId64, name, value, least);
}

static tconv3d_status axis_at_least(const char *name, int axis, int64_t value, int64_t least) {
  if (value >= least) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "%s of axis %c is %" PRId64 "; it must be at least %" PRId64, name, axis_name[axis],
                 value, least);
}

static tconv3d_status check_struct(const tconv3d_desc *desc) {
  if (!desc) return t3_fail(TCONV3D_INVALID_ARGUMENT, "desc is NULL");
  if (desc->struct_size != sizeof *desc)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "desc.struct_size is %zu; TCONV3D_DESC_INIT sets it to %zu", desc->struct_size,
                   sizeof *desc);
  return TCONV3D_OK;
}

static tconv3d_status check_type(const char *name, tconv3d_dtype dtype) {
  if (t3_type_name(dtype)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "%s is %d, which is no tconv3d_dtype", name, (int)dtype);
}

static tconv3d_status check_types(const tconv3d_desc *desc) {
  T3_TRY(check_type("dtype", desc->dtype));
  T3_TRY(check_type("weight_dtype", desc->weight_dtype));
  if ((desc->dtype == TCONV3D_F64) == (desc->weight_dtype == TCONV3D_F64)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "dtype is %s and weight_dtype %s; float64 goes with float64 alone",
                 t3_type_name(desc->dtype), t3_type_name(desc->weight_dtype));
}

tconv3d_status t3_layer_check_reference(const tconv3d_desc *desc) {
  if (desc->dtype == TCONV3D_F32 && desc->weight_dtype == TCONV3D_F32) return TCONV3D_OK;
  return t3_fail(TCONV3D_UNSUPPORTED, "dtype is %s and weight_dtype %s; the reference computes float32 only",
                 t3_type_name(desc->dtype), t3_type_name(desc->weight_dtype));
}

static tconv3d_status check_channels(const tconv3d_desc *desc) {
  T3_TRY(at_least("batch", desc->batch, 0));
  T3_TRY(at_least("in_channels", desc->in_channels, 1));
  T3_TRY(at_least("out_channels", desc->out_channels, 1));
  T3_TRY(at_least("groups", desc->groups, 1));
  if (desc->in_channels % desc->groups)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "in_channels is %" PRId64 "; it must be divisible by groups %" PRId64,
                   desc->in_channels, desc->groups);
  if (desc->out_channels % desc->groups)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "out_channels is %" PRId64 "; it must be divisible by groups %" PRId64,
                   desc->out_channels, desc->groups);
  T3_TRY(check_types(desc));
  if (desc->has_bias != 0 && desc->has_bias != 1)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "has_bias is %d; it must be 0 or 1", (int)desc->has_bias);
  return TCONV3D_OK;
}

/* Everything of one axis but output_padding and the output size. */
static tconv3d_status check_axis(const tconv3d_desc *desc, int a) {
  T3_TRY(axis_at_least("input size", a, desc->input_size[a], 1));
  T3_TRY(axis_at_least("kernel_size", a, desc->kernel_size[a], 1));
  T3_TRY(axis_at_least("stride", a, desc->stride[a], 1));
  T3_TRY(axis_at_least("dilation", a, desc->dilation[a], 1));
  T3_TRY(axis_at_least("padding_end", a, desc->padding_end[a], -1));
  return axis_at_least("padding", a, desc->padding[a], 0);
}

static int64_t padding_end(const tconv3d_desc *desc, int a) {
  return desc->padding_end[a] < 0 ? desc->padding[a] : desc->padding_end[a];
}

static tconv3d_status check_output_padding(const tconv3d_desc *desc, int a) {
  int64_t q = desc->output_padding[a], s = desc->stride[a], d = desc->dilation[a];
  T3_TRY(axis_at_least("output_padding", a, q, 0));
  if (q < t3_max(s, d)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER,
                 "output_padding of axis %c is %" PRId64 "; it must be less than max(stride %" PRId64 ", dilation %" PRId64 ")",
                 axis_name[a], q, s, d);
}

/* out = (in-1)*stride - padding - padding_end + dilation*(kernel-1) + output_padding + 1; the phase offsets fit when the sum of
 * the magnitudes does. */
static tconv3d_status output_size(const tconv3d_desc *desc, int a, int64_t output_padding, int64_t *out) {
  int64_t spread, reach, cropped, sum;
  bool fits = t3_mul(desc->input_size[a] - 1, desc->stride[a], &spread) &&
              t3_mul(desc->kernel_size[a] - 1, desc->dilation[a], &reach) &&
              t3_add(desc->padding[a], padding_end(desc, a), &cropped) && t3_add(spread, reach, &sum) &&
              t3_add(sum, output_padding, &sum) && t3_add(sum, 1, &sum);
  int64_t magnitude;
  if (!fits || !t3_add(sum, cropped, &magnitude) || !t3_add(magnitude, desc->stride[a], &magnitude))
    return t3_fail(TCONV3D_SIZE_OVERFLOW,
                   "output size of axis %c does not fit in 63 bits (input size %" PRId64 ", kernel_size %" PRId64
                   ", stride %" PRId64 ", padding %" PRId64 ", dilation %" PRId64 ")",
                   axis_name[a], desc->input_size[a], desc->kernel_size[a], desc->stride[a], desc->padding[a],
                   desc->dilation[a]);
  *out = sum - cropped;
  return TCONV3D_OK;
}

/* Elements of a tensor, whose bytes must fit too: 16 leaves room for every type and for sums of a few tensors. */
static tconv3d_status count(const char *name, const int64_t factors[5], int64_t *result) {
  int64_t bytes;
  *result = 1;
  if (t3_product(result, factors, 5) && t3_mul(*result, 16, &bytes)) return TCONV3D_OK;
  return t3_fail(TCONV3D_SIZE_OVERFLOW,
                 "%s of shape (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                 ") has more bytes than fit in 63 bits",
                 name, factors[0], factors[1], factors[2], factors[3], factors[4]);
}

static tconv3d_status count_elements(t3_layer *layer) {
  int64_t first = layer->transposed ? layer->in_channels : layer->out_channels;
  int64_t second = layer->transposed ? layer->group_out : layer->group_in;
  const t3_axis *d = &layer->axis[T3_D], *h = &layer->axis[T3_H], *w = &layer->axis[T3_W];
  /* With batch 0 the other sizes must make sense all the same. */
  int64_t batch = t3_max(layer->batch, 1);
  T3_TRY(count("x", (int64_t[]){batch, layer->in_channels, d->in, h->in, w->in}, &layer->x_count));
  T3_TRY(count("w", (int64_t[]){first, second, d->kernel, h->kernel, w->kernel}, &layer->w_count));
  T3_TRY(count("y", (int64_t[]){batch, layer->out_channels, d->out, h->out, w->out}, &layer->y_count));
  if (!layer->batch) layer->x_count = layer->y_count = 0;
  layer->taps = d->kernel * h->kernel * w->kernel;
  return TCONV3D_OK;
}

static tconv3d_status fill_axis(const tconv3d_desc *desc, int a, t3_axis *axis) {
  T3_TRY(check_axis(desc, a));
  T3_TRY(check_output_padding(desc, a));
  *axis = (t3_axis){.in = desc->input_size[a],
                    .kernel = desc->kernel_size[a],
                    .stride = desc->stride[a],
                    .padding = desc->padding[a],
                    .output_padding = desc->output_padding[a],
                    .dilation = desc->dilation[a],
                    .padding_end = padding_end(desc, a)};
  T3_TRY(output_size(desc, a, axis->output_padding, &axis->out));
  if (axis->out >= 1) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER,
                 "output size of axis %c is %" PRId64 " (input size %" PRId64 ", kernel_size %" PRId64 ", stride %" PRId64
                 ", padding %" PRId64 ", output_padding %" PRId64 ", dilation %" PRId64 "); it must be at least 1",
                 axis_name[a], axis->out, axis->in, axis->kernel, axis->stride, axis->padding, axis->output_padding,
                 axis->dilation);
}

static t3_layer layer_channels(const tconv3d_desc *desc) {
  return (t3_layer){.batch = desc->batch,
                    .in_channels = desc->in_channels,
                    .out_channels = desc->out_channels,
                    .groups = desc->groups,
                    .group_in = desc->in_channels / desc->groups,
                    .group_out = desc->out_channels / desc->groups,
                    .has_bias = desc->has_bias,
                    .dtype = desc->dtype,
                    .weight_dtype = desc->weight_dtype,
                    .transposed = true};
}

tconv3d_status t3_layer_init(const tconv3d_desc *desc, t3_layer *layer) {
  T3_TRY(check_struct(desc));
  T3_TRY(check_channels(desc));
  *layer = layer_channels(desc);
  for (int a = 0; a < 3; ++a) T3_TRY(fill_axis(desc, a, &layer->axis[a]));
  T3_TRY(count_elements(layer));
  return t3_views_init(desc, layer);
}

/* Sizes of one axis of nn.Conv3d; in and reach as of a transposed layer, whose checks hold here too. */
static tconv3d_status convolved_size(const tconv3d_desc *desc, int a, t3_axis *axis) {
  T3_TRY(check_axis(desc, a));
  if (desc->output_padding[a])
    return t3_fail(TCONV3D_INVALID_PARAMETER, "output_padding of axis %c is %" PRId64 "; a convolution has none", axis_name[a],
                   desc->output_padding[a]);
  T3_TRY(output_size(desc, a, 0, &axis->out)); /* for its checks: every magnitude here is less */
  *axis = (t3_axis){.in = desc->input_size[a],
                    .kernel = desc->kernel_size[a],
                    .stride = desc->stride[a],
                    .padding = desc->padding[a],
                    .dilation = desc->dilation[a],
                    .convolves = true,
                    .padding_end = padding_end(desc, a)};
  int64_t room = axis->in + axis->padding + axis->padding_end - axis->dilation * (axis->kernel - 1) - 1;
  axis->out = room < 0 ? 0 : room / axis->stride + 1;
  if (room >= 0) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER,
                 "output size of axis %c is %" PRId64 " (input size %" PRId64 ", kernel_size %" PRId64 ", padding %" PRId64
                 ", dilation %" PRId64 "); it must be at least 1",
                 axis_name[a], axis->out, axis->in, axis->kernel, axis->padding, axis->dilation);
}

static tconv3d_status convolution_init(const tconv3d_desc *desc, t3_layer *layer) {
  T3_TRY(check_struct(desc));
  T3_TRY(check_channels(desc));
  *layer = layer_channels(desc);
  layer->transposed = false;
  for (int a = 0; a < 3; ++a) T3_TRY(convolved_size(desc, a, &layer->axis[a]));
  T3_TRY(count_elements(layer));
  return t3_views_init(desc, layer);
}

t3_layer t3_layer_adjoint(const t3_layer *layer) {
  t3_layer adjoint = *layer;
  adjoint.transposed = !layer->transposed;
  adjoint.has_bias = false;
  adjoint.in_channels = layer->out_channels, adjoint.out_channels = layer->in_channels;
  adjoint.group_in = layer->group_out, adjoint.group_out = layer->group_in;
  adjoint.x_count = layer->y_count, adjoint.y_count = layer->x_count;
  adjoint.x = layer->y, adjoint.y = layer->x;
  for (int a = 0; a < 3; ++a) {
    adjoint.axis[a].convolves = !layer->axis[a].convolves;
    adjoint.axis[a].in = layer->axis[a].out, adjoint.axis[a].out = layer->axis[a].in;
  }
  return adjoint;
}

tconv3d_status t3_layer_of(const tconv3d_desc *desc, tconv3d_operation operation, t3_layer *layer) {
  if (!tconv3d_operation_name(operation))
    return t3_fail(TCONV3D_INVALID_PARAMETER, "operation is %d, which is no tconv3d_operation", (int)operation);
  bool convolution = operation == TCONV3D_CONVOLUTION;
  T3_TRY(convolution ? convolution_init(desc, layer) : t3_layer_init(desc, layer));
  if (operation != TCONV3D_FORWARD && !convolution) layer->has_bias = false; /* it plays no part, nor in a tuning's key */
  if (operation == TCONV3D_GRAD_INPUT) *layer = t3_layer_adjoint(layer);
  if (operation == TCONV3D_GRAD_BIAS) t3_views_of_bias(layer);
  return t3_views_check_target(layer, operation);
}

/* Of the transposed layer's x or the convolution's y: one product each per tap and pair of channels. */
double t3_layer_flops(const t3_layer *layer) {
  double positions = (double)(layer->transposed ? layer->x_count : layer->y_count);
  return 2.0 * positions * (double)(layer->transposed ? layer->group_out : layer->group_in) * (double)layer->taps;
}

tconv3d_status tconv3d_output_shape(const tconv3d_desc *desc, int64_t shape[5]) {
  if (!shape) return t3_fail(TCONV3D_INVALID_ARGUMENT, "shape is NULL");
  t3_layer layer;
  T3_TRY(t3_layer_init(desc, &layer));
  shape[0] = layer.batch;
  shape[1] = layer.out_channels;
  for (int a = 0; a < 3; ++a) shape[2 + a] = layer.axis[a].out;
  return TCONV3D_OK;
}

tconv3d_status tconv3d_resolve_output_size(const tconv3d_desc *desc, const int64_t wanted[3], int64_t output_padding[3]) {
  T3_TRY(check_struct(desc));
  if (!wanted || !output_padding)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", wanted ? "output_padding" : "output_size");
  T3_TRY(check_channels(desc));
  int64_t result[3];
  for (int a = 0; a < 3; ++a) {
    int64_t least, most;
    T3_TRY(check_axis(desc, a));
    T3_TRY(output_size(desc, a, 0, &least));
    if (!t3_add(least, desc->stride[a] - 1, &most)) most = INT64_MAX;
    if (most < 1)
      return t3_fail(TCONV3D_INVALID_PARAMETER,
                     "output size of axis %c is at most %" PRId64 " with any output_padding; it must be at least 1",
                     axis_name[a], most);
    if (wanted[a] < t3_max(least, 1) || wanted[a] > most)
      return t3_fail(TCONV3D_INVALID_PARAMETER,
                     "output_size of axis %c is %" PRId64 "; it must be from %" PRId64 " to %" PRId64, axis_name[a], wanted[a],
                     t3_max(least, 1), most);
    result[a] = wanted[a] - least;
  }
  memcpy(output_padding, result, sizeof result);
  return TCONV3D_OK;
}
