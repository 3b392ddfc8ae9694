/* A layer as one line, in the order of the shape files that `tconv3d bench` reads. */
#include <inttypes.h>

#include "base/scan.h"
#include "base/status.h"
#include "tune/tuning.h"

static void print_axes(const t3_layer *layer, size_t member, t3_text *text) {
  for (int a = 0; a < 3; ++a) {
    const int64_t *value = (const int64_t *)(const void *)((const char *)&layer->axis[a] + member);
    t3_text_append(text, "%c%" PRId64, a ? ',' : ' ', *value);
  }
}

static bool ends_alike(const t3_layer *layer) {
  for (int a = 0; a < 3; ++a)
    if (layer->axis[a].padding_end != layer->axis[a].padding) return false;
  return true;
}

static void print_strides(const char *name, const t3_view *view, t3_text *text) {
  if (view->dense) return;
  t3_text_append(text, " %s", name);
  for (int i = 0; i < 5; ++i) t3_text_append(text, "%c%" PRId64, i ? ',' : ' ', view->stride[i]);
}

/* "layer" stands for the forward operation. */
static const char *word_of(tconv3d_operation operation) {
  return operation == TCONV3D_FORWARD ? "layer" : tconv3d_operation_name(operation);
}

void t3_layer_print(const t3_layer *computed, tconv3d_operation operation, t3_text *text) {
  t3_layer own = operation == TCONV3D_GRAD_INPUT ? t3_layer_adjoint(computed) : *computed, *layer = &own;
  static const size_t members[] = {offsetof(t3_axis, in),      offsetof(t3_axis, kernel),         offsetof(t3_axis, stride),
                                   offsetof(t3_axis, padding), offsetof(t3_axis, output_padding), offsetof(t3_axis, dilation)};
  t3_text_append(text, "%s %" PRId64 " %" PRId64 " %" PRId64, word_of(operation), layer->batch, layer->in_channels,
                 layer->out_channels);
  for (size_t i = 0; i < sizeof members / sizeof *members; ++i) print_axes(layer, members[i], text);
  t3_text_append(text, " %" PRId64 " %s %s", layer->groups, layer->has_bias ? "bias" : "plain", t3_type_word(layer->dtype));
  if (layer->weight_dtype != layer->dtype) t3_text_append(text, " %s", t3_type_word(layer->weight_dtype));
  if (!ends_alike(layer)) {
    t3_text_append(text, " end");
    print_axes(layer, offsetof(t3_axis, padding_end), text);
  }
  print_strides("x", &layer->x, text);
  print_strides("w", &layer->w, text);
  print_strides("y", &layer->y, text);
}

static bool scan_operation(const char **at, tconv3d_operation *operation) {
  for (int i = 0; word_of((tconv3d_operation)i); ++i) {
    *operation = (tconv3d_operation)i;
    const char *begin = *at;
    if (t3_scan_literal(at, word_of(*operation)) && **at == ' ') return true;
    *at = begin;
  }
  return false;
}

/* A blank and a type's word. */
static bool scan_type(const char **at, tconv3d_dtype *dtype) {
  for (int i = 0; t3_type_word((tconv3d_dtype)i); ++i) {
    const char *begin = *at, *word = t3_type_word((tconv3d_dtype)i);
    if (t3_scan_literal(at, " ") && t3_scan_literal(at, word)) {
      *dtype = (tconv3d_dtype)i;
      return true;
    }
    *at = begin;
  }
  return false;
}

/* Of the tensor of this name, if it is not dense. */
static bool scan_strides(const char **at, const char *name, tconv3d_layout *layout, int64_t strides[5]) {
  const char *begin = *at;
  if (!t3_scan_literal(at, " ") || !t3_scan_literal(at, name) || !t3_scan_literal(at, " ")) {
    *at = begin;
    return true;
  }
  *layout = TCONV3D_STRIDED;
  for (int i = 0; i < 5; ++i)
    if ((i && !t3_scan_literal(at, ",")) || !t3_scan_number(at, &strides[i])) return false;
  return true;
}

static bool scan_desc(const char **at, tconv3d_operation *operation, tconv3d_desc *desc) {
  int64_t *const counts[] = {&desc->batch, &desc->in_channels, &desc->out_channels};
  int64_t *const triples[] = {desc->input_size, desc->kernel_size,    desc->stride,
                              desc->padding,    desc->output_padding, desc->dilation};
  if (!scan_operation(at, operation)) return false;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i)
    if (!t3_scan_literal(at, " ") || !t3_scan_number(at, counts[i])) return false;
  for (size_t i = 0; i < sizeof triples / sizeof *triples; ++i)
    if (!t3_scan_literal(at, " ") || !t3_scan_triple(at, triples[i])) return false;
  if (!t3_scan_literal(at, " ") || !t3_scan_number(at, &desc->groups)) return false;
  desc->has_bias = t3_scan_literal(at, " bias");
  if (!desc->has_bias && !t3_scan_literal(at, " plain")) return false;
  if (!scan_type(at, &desc->dtype)) return false;
  desc->weight_dtype = desc->dtype;
  (void)scan_type(at, &desc->weight_dtype);
  if (t3_scan_literal(at, " end") && !(t3_scan_literal(at, " ") && t3_scan_triple(at, desc->padding_end))) return false;
  return scan_strides(at, "x", &desc->x_layout, desc->x_strides) && scan_strides(at, "w", &desc->w_layout, desc->w_strides) &&
         scan_strides(at, "y", &desc->y_layout, desc->y_strides);
}

tconv3d_status t3_layer_parse(const char **at, t3_layer *layer, tconv3d_operation *operation) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  if (scan_desc(at, operation, &desc)) return t3_layer_of(&desc, *operation, layer);
  return t3_fail(TCONV3D_INVALID_PARAMETER,
                 "a layer must be written as OPERATION N Cin Cout D,H,W kernel stride padding output_padding dilation groups "
                 "bias|plain TYPE, a blank between, each of the six in the middle as D,H,W, and where they differ the weights' "
                 "type, end and padding_end, x, w or y and five strides; OPERATION is layer or another's name, TYPE f32, f64, "
                 "f16 or bf16");
}
