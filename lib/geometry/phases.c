/* The phases of one axis; the formulas stand in geometry.h. */
#include "base/checked.h"
#include "geometry/geometry.h"

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* a/b rounded down; b > 0. */
static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

/* The lowest tap k with (a + padding - k*dilation) mod stride == 0 below the kernel's size; the kernel's size when there is
 * none. Taps repeat after tap_step, so no more than that are looked at. */
static int64_t first_tap(const t3_axis *axis, int64_t residue, int64_t tap_step) {
  int64_t step = axis->dilation % axis->stride;
  int64_t rest = (residue + axis->padding % axis->stride) % axis->stride;
  for (int64_t k = 0; k < t3_min(axis->kernel, tap_step); ++k) {
    if (rest == 0) return k;
    rest -= step;
    if (rest < 0) rest += axis->stride;
  }
  return axis->kernel;
}

/* The input offset of tap k, for whatever residue it reaches. */
static int64_t offset_of(const t3_axis *axis, int64_t k) {
  return -floor_div(k * axis->dilation - axis->padding, axis->stride);
}

/* Every tap reaches every output; offsets rise. */
static t3_phases phases_of_convolution(const t3_axis *axis) {
  return (t3_phases){.residues = 1,
                     .positions = axis->out,
                     .tap_step = 1,
                     .offset_step = -axis->dilation,
                     .min_offset = -axis->padding,
                     .max_offset = (axis->kernel - 1) * axis->dilation - axis->padding};
}

t3_phases t3_phases_of(const t3_axis *axis) {
  if (axis->convolves) return phases_of_convolution(axis);
  int64_t divisor = gcd(axis->stride, axis->dilation);
  return (t3_phases){.residues = t3_min(axis->stride, axis->out),
                     .positions = t3_ceil_div(axis->out, axis->stride),
                     .tap_step = axis->stride / divisor,
                     .offset_step = axis->dilation / divisor,
                     .min_offset = offset_of(axis, axis->kernel - 1),
                     .max_offset = offset_of(axis, 0)};
}

t3_phase t3_phase_at(const t3_axis *axis, int64_t residue) {
  if (axis->convolves) return (t3_phase){.taps = axis->kernel, .first_offset = -axis->padding, .positions = axis->out};
  int64_t tap_step = axis->stride / gcd(axis->stride, axis->dilation);
  int64_t tap = first_tap(axis, residue, tap_step);
  t3_phase phase = {.positions = t3_ceil_div(axis->out - residue, axis->stride)};
  if (tap >= axis->kernel) return phase;
  phase.first_tap = tap;
  phase.taps = t3_ceil_div(axis->kernel - tap, tap_step);
  phase.first_offset = offset_of(axis, tap);
  return phase;
}
