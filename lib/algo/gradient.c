/* What the algorithms for gradients share. */
#include "algo/gradient.h"

#include "algo/padded.h"
#include "base/checked.h"

enum { MAX_FACTOR = 1 << 16 }; /* of a stride or kernel size, as in padded.c */

static bool check_axis(const t3_axis *axis, char *why, size_t capacity) {
  if (axis->stride > MAX_FACTOR) return t3_too_much(why, capacity, "a stride", axis->stride, MAX_FACTOR);
  if (axis->kernel > MAX_FACTOR) return t3_too_much(why, capacity, "a kernel_size", axis->kernel, MAX_FACTOR);
  int64_t size = t3_max(axis->in * axis->stride, axis->out), reach = t3_max((axis->kernel - 1) * axis->dilation, axis->padding);
  if (size > INT32_MAX / 4) return t3_too_much(why, capacity, "an input or output size", size, INT32_MAX / 4);
  if (reach > INT32_MAX / 4) return t3_too_much(why, capacity, "the reach or the padding of an axis", reach, INT32_MAX / 4);
  return true;
}

bool t3_gradient_check(const t3_problem *problem, char *why, size_t capacity) {
  for (int a = 0; a < 3; ++a)
    if (!check_axis(&problem->layer.axis[a], why, capacity)) return false;
  return true;
}

int64_t t3_native_width(const t3_problem *problem) {
  return t3_max(t3_min(problem->width, 16), 4);
}

t3_lines t3_lines_of(const t3_layer *layer, int64_t longest) {
  const t3_axis *axis = layer->axis;
  t3_lines lines = {.pieces = t3_ceil_div(axis[T3_W].in, longest)};
  lines.piece = t3_ceil_div(axis[T3_W].in, lines.pieces);
  lines.pieces = t3_ceil_div(axis[T3_W].in, lines.piece);
  lines.count = layer->batch * axis[T3_D].in * axis[T3_H].in * lines.pieces;
  return lines;
}

double t3_meeting(const t3_axis *axis) {
  double pairs = 0;
  for (int64_t k = 0; k < axis->kernel; ++k) {
    int64_t first = k * axis->dilation - axis->padding;
    int64_t begin = first < 0 ? t3_ceil_div(-first, axis->stride) : 0;
    int64_t end = first < axis->out ? t3_min((axis->out - 1 - first) / axis->stride + 1, axis->in) : 0;
    if (end > begin) pairs += (double)(end - begin);
  }
  return pairs / ((double)axis->kernel * (double)axis->in);
}
