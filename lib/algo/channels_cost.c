/* What the algorithm channels is predicted to take on a CPU, in cycles and seconds. */
#include <math.h>

#include "algo/algo.h"
#include "algo/channels.h"
#include "algo/cycles.h"
#include "base/checked.h"

/* The part of the taps that tiles do not leave out: an axis counts whose positions change no faster than tiles do. */
static double taken(const t3_problem *problem, const t3_channels_block *block) {
  double part = 1;
  int64_t inner = t3_channels_goes_along_rows(problem, block) ? 1 : t3_max(problem->layer.batch, 1);
  for (int a = T3_W; a >= T3_D; inner *= t3_positions(problem, a--))
    if (inner >= block->tile) part *= t3_inside(problem, a);
  return part;
}

/* The part of the long tiles whose positions are not all a step apart: those that go on in the next row. */
static double over_ends(const t3_problem *problem, const t3_channels_block *block) {
  int64_t row = t3_positions(problem, T3_W);
  if (!t3_channels_long_tile(block)) return 0;
  if (!t3_channels_x_step(problem, block)) return 1;
  double part = row % block->tile ? (double)block->tile / (double)row : 0;
  return part < 1 ? part : 1;
}

/* The part of the tiles that have taps past the edges of an axis; along W a tile has them if one of its positions has. */
static double over_edges(const t3_problem *problem, const t3_channels_block *block, int axis) {
  double reach = (double)t3_span(problem, axis) / (double)t3_step(problem, axis);
  if (axis == T3_W && reach > 0) reach += (double)(block->tile - 1);
  double part = reach / (double)t3_positions(problem, axis);
  return part < 1 ? part : 1;
}

/* Cycles of a tile beside its sums where x is read in place: listing the taps of each lane (measured). */
static double list_cycles(const t3_problem *problem, const t3_channels_block *block) {
  double inside = 1;
  for (int a = 0; a < 3; ++a) inside *= 1 - over_edges(problem, block, a);
  return (1 - inside) * (double)(t3_channels_residues(problem) * (10 * block->tile + 3 * t3_channels_taps(problem)));
}

/* What a body gains by channels side by side in x, where multiply-adds count and not loads (measured). */
static double together_factor(const t3_problem *problem, const t3_channels_block *block) {
  if (problem->fma_width < problem->width || block->vectors == 1) return 0.95;
  return block->vectors == 2 ? 0.9 : 0.88;
}

/* The same for several channels that lie apart: each has lines of its own. Measured with few registers only; lines that share
 * a set of the first cache leave it again where they are more than its ways. */
static double apart_factor(const t3_problem *problem, const t3_channels_block *block, const t3_padded *padded) {
  if (!t3_few_registers(problem)) return 1.1;
  if (t3_lines_collide(problem, padded)) return block->apart > 4 ? 1.25 : 0.95;
  double lines = 0.6 + 0.65 * t3_channels_lines(problem, block) + (block->apart > 4 ? 0 : 0.08);
  return fmax(together_factor(problem, block) * lines, 0.8); /* multiply-adds alone take nearly as long */
}

/* Of what a body loses by addresses and lines of the cache, or gains. */
static double order_factor(const t3_problem *problem, const t3_channels_block *block, const t3_padded *padded) {
  if (problem->layer.group_in == 1) return 1;
  if (t3_channels_together(problem, block) == 1) return 1.05;
  return t3_channels_reads_last(problem, block->reading) ? together_factor(problem, block)
                                                         : apart_factor(problem, block, padded);
}

/* Of a vector of outputs: as it is, turned with others, some of them past a row's end, or one by one, which takes 2.5 cycles
 * each (measured). */
static double store_cycles(const t3_problem *problem, const t3_channels_block *block) {
  if (t3_y_channels_last(problem)) return 4;
  if (!t3_channels_stores_rows(problem, block)) return (double)block->width * 2.5;
  double row = (double)t3_positions(problem, T3_W), width = (double)block->width;
  double squares = (double)t3_ceil_div(t3_positions(problem, T3_W), block->width), whole = floor(row / width) / squares;
  /* Squares of eight are turned with half the shuffles: some four cycles a vector less were measured. */
  return (block->width == 8 ? 10 : 14) * squares * width / row + (1 - whole) * width;
}

/* Cycles of a body for lines of the cache that come from far (measured): with few registers for all of x that a tile reads, and
 * for the part of a row's that come by where a step is taken; else a fifth of a row's, and only where one is. */
static double waiting_cycles(const t3_problem *problem, const t3_channels_block *block, const t3_padded *padded) {
  double far = t3_far_cycles(problem, padded), step = (double)t3_step(problem, T3_W);
  if (!t3_few_registers(problem)) return step > 1 ? far / 5 : 0;
  double lines = (double)(block->tile * problem->real_size) * step / T3_CACHE_LINE;
  double rows = lines * (double)(t3_step(problem, T3_D) * t3_step(problem, T3_H)), most = far > 0 ? 20 : 0;
  double passed = t3_passed_cycles(problem) * lines / (double)t3_most_taps(problem, T3_W);
  return (most * rows / (double)t3_channels_taps(problem) + passed) /
         (double)(t3_channels_blocks(problem, block) / problem->layer.groups);
}

double t3_channels_cost(const t3_problem *asked, const t3_variant *variant) {
  const t3_problem lanes = t3_channels_lanes(asked), *problem = &lanes;
  const t3_layer *layer = &problem->layer;
  t3_channels_block block = t3_channels_block_of(variant);
  t3_padded padded = t3_channels_padded(problem, block.reading);
  /* One tap and input channel of a tile. */
  double products = (double)(block.vectors * block.tile);
  double values = t3_channels_each_its_own(asked) ? products : (double)block.tile * (1 + over_ends(problem, &block));
  double body = t3_body_cycles(problem, block.width, products, (double)(2 * block.vectors) + values, 1);
  body *= order_factor(problem, &block, &padded);
  double listing = 0;
  if (block.reading == T3_CHANNELS_IN_PLACE) {
    body *= 1 + 0.2 * over_edges(problem, &block, T3_W); /* lane by lane */
    listing = list_cycles(problem, &block);
  }
  if (!t3_channels_reads_last(problem, block.reading)) body += waiting_cycles(problem, &block, &padded);
  double tiles = (double)t3_ceil_div(t3_channels_positions(problem), block.tile);
  tiles *= (double)t3_channels_blocks(problem, &block);
  double stores = (double)(block.tile * block.vectors) * store_cycles(problem, &block);
  double cycles =
      tiles * ((double)(layer->taps * layer->group_in) * taken(problem, &block) * body + listing +
               (double)t3_channels_residues(problem) * (stores + 14 * (double)block.tile)); /* finding a position: 14 cycles */
  double runs = (double)t3_ceil_div(t3_channels_positions(problem), t3_channels_run(problem, &block));
  /* Turning takes about twice as long as copying (measured). */
  double pad_seconds = t3_pad_seconds(problem, &padded);
  if (padded.channels_last && !t3_x_channels_last(problem)) pad_seconds *= 2;
  double weights = (double)t3_channels_packed_count(problem, &block) * (runs > 8 ? 8 : runs); /* the cache serves later ones */
  return t3_cycles_to_seconds(&problem->device, cycles) + t3_stream_seconds(&problem->device, (int64_t)weights) / 2 +
         t3_stream_seconds(&problem->device, layer->y_count) + pad_seconds + 40e-6;
}
