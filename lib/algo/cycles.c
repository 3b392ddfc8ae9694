#include "algo/cycles.h"

#include "base/checked.h"

enum {
  PLACES = 4096, /* of the first cache: bytes that far apart share a set of its lines */
  WAY = 1 << 17, /* of the second cache: 1 MiB in 8 ways, or more */
  KEPT = 3 << 17 /* of x, beside weights and outputs, in one of 512 KiB: that of processors with few registers */
};

double t3_body_cycles(const t3_problem *problem, int64_t width, double products, double loads, double chain) {
  bool halves = problem->fma_width < problem->width;
  if (halves && width > problem->fma_width) products *= 2;
  double most = products > loads ? products : loads, least = products > loads ? loads : products;
  double cycles = (most + 0.2 * least) / 2;
  cycles = cycles + 1.5 > 4 * chain ? cycles + 1.5 : 4 * chain;
  return halves ? 0.65 * cycles : cycles; /* such a core has a higher clock than the one assumed */
}

double t3_far_cycles(const t3_problem *problem, const t3_padded *padded) {
  const t3_layer *layer = &problem->layer;
  int64_t floats = layer->x_count * problem->real_size / 4, apart = layer->x.stride[T3_AXIS_C] * problem->real_size;
  bool collide = !padded->copy && apart % WAY == 0;
  if (layer->group_in <= 8) return 0;
  if (floats > 32 << 20 || (floats > 3 << 20 && collide)) return 200;
  return floats > 4 << 20 ? 80 : 0;
}

bool t3_few_registers(const t3_problem *problem) {
  return problem->registers < 32;
}

double t3_vector_loads(const t3_problem *problem, int64_t width) {
  if (!t3_few_registers(problem)) return width == 16 ? 2 : 1;
  return 1 + (double)(width * problem->real_size) / T3_CACHE_LINE;
}

bool t3_lines_collide(const t3_problem *problem, const t3_padded *padded) {
  int64_t apart =
      padded->copy ? padded->size[T3_D] * padded->size[T3_H] * padded->size[T3_W] : problem->layer.x.stride[T3_AXIS_C];
  return problem->layer.group_in > 12 && apart && apart * problem->real_size % PLACES == 0;
}

double t3_collision_cycles(const t3_problem *problem, const t3_padded *padded) {
  return t3_few_registers(problem) && t3_lines_collide(problem, padded) ? 12 : 0;
}

double t3_passed_cycles(const t3_problem *problem) {
  const t3_axis *axis = problem->layer.axis;
  int64_t plane = axis[T3_H].in * axis[T3_W].in * problem->layer.group_in * problem->real_size;
  bool stay = plane * t3_min(t3_most_taps(problem, T3_D), axis[T3_D].in) < KEPT;
  return t3_few_registers(problem) && t3_step(problem, T3_W) > 1 && !stay ? 35 : 0;
}

double t3_in_place_cycles(const t3_problem *problem, const t3_padded *padded, double rows, double masks) {
  if (!padded->edge_width) return 0;
  return t3_few_registers(problem) ? rows + 0.5 * masks : 0.2 * rows + 0.1 * masks;
}

double t3_store_cycles(const t3_problem *problem, int64_t vectors, int64_t width, int64_t m) {
  if (t3_y_channels_last(problem)) {
    /* Turned by shuffles or element by element, then stored by positions, unless all channels are there; with few registers a
     * piece of a position counts 14 cycles (fitted to choices of phase). */
    bool shuffled = (m & (m - 1)) == 0 && m <= width;
    double elements = (double)(vectors * width), pieces = elements / (double)m;
    if (problem->layer.out_channels == m) pieces = (double)vectors;
    return (shuffled ? 0.4 : 2) * elements + (t3_few_registers(problem) ? 14 : 4) * pieces + 30;
  }
  int64_t t_w = t3_positions(problem, T3_W);
  double whole = (double)(t_w / width * width) / (double)t3_round_up(t_w, width);
  if (t3_output_step(&problem->layer.axis[T3_W]) > 4) whole = 0;
  return (double)vectors * (4 + (1 - whole) * 1.5 * (double)width) + 30;
}
