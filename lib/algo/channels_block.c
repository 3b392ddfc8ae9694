/* How a block cuts a layer of the algorithm channels into work-items, and what its loops count. */
#include "algo/algo.h"
#include "algo/channels.h"
#include "algo/rounds.h"
#include "base/checked.h"

enum {
  /* Weights come from far once for all tiles of a work-item: 48 of them gained up to a fifth over 16, and of two residues of W
   * up to 4 % over 24; their sums and a chunk of weights share the second cache. */
  LEAST_TILES = 16,
  MOST_TILES = 48,
  CHUNK_BYTES = 32 << 10,    /* of weights, in the first cache: up to 7 % faster than 64 KiB, a fifth than 128 */
  LEAST_CHUNK = 4,           /* channels: between chunks sums are loaded and stored */
  ITEMS_A_UNIT = 4,          /* at least, with tiles enough: then compute units end within some 20 % of each other */
  BLOCK_C = 16,              /* channels side by side that are taken together, about: a line of the cache, of float */
  MOST_ADDRESSES = 8,        /* of a tile: a processor has some 16 registers for them and for all else */
  MOST_TURNED = 4,           /* residues of W that cl/lines.cl interleaves by shuffles */
  MOST_TOGETHER = 64,        /* residues: a work-item keeps a list of taps of each */
  RESIDUE_BYTES = 64 << 10,  /* of one residue's weights where all residues take turns */
  TOGETHER_BYTES = 256 << 10 /* of all residues' weights, which then stay in the second cache beside x and y */
};

t3_padded t3_channels_padded(const t3_problem *problem, t3_channels_reading reading) {
  t3_padded padded = t3_padded_values(problem, reading == T3_CHANNELS_SIDE_BY_SIDE);
  if (reading != T3_CHANNELS_IN_PLACE) return padded;
  const t3_axis *axis = problem->layer.axis;
  return (t3_padded){.size = {axis[T3_D].in, axis[T3_H].in, axis[T3_W].in}};
}

bool t3_channels_reads_last(const t3_problem *problem, t3_channels_reading reading) {
  t3_padded padded = t3_channels_padded(problem, reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  return read[T3_AXIS_C] == 1;
}

bool t3_channels_each_its_own(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return layer->group_in * layer->group_out == 1 && layer->groups % 4 == 0 && t3_x_channels_last(problem) &&
         t3_channels_reads_last(problem, T3_CHANNELS_SIDE_BY_SIDE);
}

t3_problem t3_channels_lanes(const t3_problem *problem) {
  t3_problem lanes = *problem;
  if (!t3_channels_each_its_own(problem)) return lanes;
  lanes.layer.transposed = false; /* w's first axis is that of y's channels */
  lanes.layer.group_out = lanes.layer.groups;
  lanes.layer.groups = 1;
  return lanes;
}

t3_channels_block t3_channels_block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (t3_channels_block){n[0], n[1], n[2], (t3_channels_reading)n[3], n[4]};
}

int64_t t3_channels_together(const t3_problem *problem, const t3_channels_block *block) {
  int64_t all = problem->layer.group_in, most = BLOCK_C;
  if (!t3_channels_reads_last(problem, block->reading)) most = t3_max(block->apart, 1);
  return t3_ceil_div(all, t3_max((all + most / 2) / most, 1)); /* even parts */
}

double t3_channels_lines(const t3_problem *problem, const t3_channels_block *block) {
  int64_t taps = t3_most_taps(problem, T3_W), row = t3_span(problem, T3_W) + 1 + (block->tile - 1) * t3_step(problem, T3_W);
  if (!t3_channels_goes_along_rows(problem, block)) return (double)block->tile / (double)taps;
  return (1 + (double)(row * problem->real_size) / T3_CACHE_LINE) / (double)taps; /* a row begins anywhere in a line */
}

bool t3_channels_stores_rows(const t3_problem *problem, const t3_channels_block *block) {
  return problem->layer.y.stride[T3_AXIS_W] == 1 && !t3_y_channels_last(problem) &&
         2 * t3_positions(problem, T3_W) >= block->width && t3_output_step(&problem->layer.axis[T3_W]) <= MOST_TURNED;
}

int64_t t3_channels_positions(const t3_problem *problem) {
  return t3_max(problem->layer.batch, 1) * t3_positions(problem, T3_D) * t3_positions(problem, T3_H) *
         t3_positions(problem, T3_W);
}

int64_t t3_channels_residues(const t3_problem *problem) {
  const t3_phases *p = problem->phases;
  return p[T3_D].residues * p[T3_H].residues * p[T3_W].residues;
}

int64_t t3_channels_blocks(const t3_problem *problem, const t3_channels_block *block) {
  return problem->layer.groups * t3_ceil_div(problem->layer.group_out, block->width * block->vectors);
}

int64_t t3_channels_taps(const t3_problem *problem) {
  return t3_most_taps(problem, T3_D) * t3_most_taps(problem, T3_H) * t3_most_taps(problem, T3_W);
}

/* Bytes of the weights of an input channel, for the residue with the most taps. */
static int64_t weight_bytes(const t3_problem *problem, const t3_channels_block *block) {
  return t3_channels_taps(problem) * block->width * block->vectors * problem->real_size;
}

bool t3_channels_residues_together(const t3_problem *problem, const t3_channels_block *block) {
  int64_t all = problem->layer.taps * problem->layer.group_in * block->width * block->vectors * problem->real_size;
  return t3_y_channels_last(problem) && t3_channels_residues(problem) <= MOST_TOGETHER && all <= TOGETHER_BYTES &&
         problem->layer.group_in * weight_bytes(problem, block) <= RESIDUE_BYTES;
}

int64_t t3_channels_chunk(const t3_problem *problem, const t3_channels_block *block) {
  int64_t together = t3_channels_together(problem, block);
  int64_t channels = t3_max(CHUNK_BYTES / weight_bytes(problem, block), LEAST_CHUNK);
  if (t3_channels_residues_together(problem, block)) channels = problem->layer.group_in + together - 1;
  return t3_max(channels / together, 1) * together;
}

int64_t t3_channels_residues_owned(const t3_problem *problem, const t3_channels_block *block) {
  if (t3_channels_residues_together(problem, block)) return t3_channels_residues(problem);
  return t3_channels_stores_rows(problem, block) ? problem->phases[T3_W].residues : 1;
}

bool t3_channels_goes_along_rows(const t3_problem *problem, const t3_channels_block *block) {
  return t3_channels_stores_rows(problem, block) || t3_positions(problem, T3_W) >= 2 * block->tile;
}

double t3_channels_square_rounds(const t3_problem *problem, const t3_channels_block *block) {
  if (!t3_channels_stores_rows(problem, block)) return 0;
  int64_t stride = t3_output_step(&problem->layer.axis[T3_W]), row = t3_positions(problem, T3_W);
  double width = (double)block->width, turned = (double)stride * (2 * width + 4 * (1 + 2 * width));
  double square = t3_sums_rounds(block->width, 1, 1, stride, block->width) + turned + width;
  return (double)block->vectors * square * (double)(block->tile * t3_ceil_div(row, block->width)) / (double)row;
}

/* Of finding which positions of a tile have the taps of each axis inside x. */
static double listed_rounds(const t3_problem *problem, const t3_channels_block *block) {
  int64_t offsets = t3_most_taps(problem, T3_D) + t3_most_taps(problem, T3_H) + t3_most_taps(problem, T3_W);
  return (double)((1 + offsets) * (1 + block->tile));
}

double t3_channels_tile_rounds(const t3_problem *problem, const t3_channels_block *block) {
  double taps = (double)t3_channels_taps(problem), channels = (double)problem->layer.group_in;
  double chunks = (double)t3_ceil_div(problem->layer.group_in, t3_channels_chunk(problem, block));
  double sums = (double)(block->tile * (block->vectors + 1)), lanes = (double)(block->tile * block->vectors * block->width);
  double residue = channels * (1 + taps * (2 + (double)block->vectors + sums)) +
                   chunks * (2 * sums + (double)block->tile + 3 * (taps + 1) + listed_rounds(problem, block)) + 2 * sums +
                   lanes + (double)(2 * block->tile);
  return (double)t3_channels_residues_owned(problem, block) * residue + t3_channels_square_rounds(problem, block);
}

int64_t t3_channels_most_tiles(const t3_problem *problem, const t3_channels_block *block) {
  return t3_channels_stores_rows(problem, block)
             ? t3_min(MOST_TILES, 2 * MOST_TILES / t3_channels_residues_owned(problem, block))
             : MOST_TILES;
}

int64_t t3_channels_run(const t3_problem *problem, const t3_channels_block *block) {
  int64_t all = t3_channels_positions(problem), tiles = t3_ceil_div(all, block->tile),
          owned = t3_channels_residues_owned(problem, block);
  int64_t others = t3_channels_blocks(problem, block) * t3_channels_residues(problem) / owned;
  int64_t wanted = t3_ceil_div(ITEMS_A_UNIT * t3_max(problem->device.compute_units, 1), others);
  int64_t most = t3_blocks_in_time(problem, t3_channels_tile_rounds(problem, block), t3_channels_most_tiles(problem, block));
  int64_t least = t3_max(LEAST_TILES / owned, 1);
  int64_t runs = t3_max(t3_ceil_div(tiles, most), t3_min(wanted, t3_ceil_div(tiles, least)));
  int64_t row = t3_positions(problem, T3_W), rows = most * block->tile / row;
  if (!t3_channels_stores_rows(problem, block) || !rows || all / row < runs) return block->tile * t3_ceil_div(tiles, runs);
  return row * t3_even_part(all / row, t3_max(t3_ceil_div(all / row, rows), runs));
}

int64_t t3_channels_packed_count(const t3_problem *problem, const t3_channels_block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t taps = t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H) * t3_taps_of(problem, T3_W);
  return t3_channels_blocks(problem, block) * block->width * block->vectors * (taps * layer->group_in + 1);
}

bool t3_channels_long_tile(const t3_channels_block *block) {
  return block->vectors == 1 && block->tile > MOST_ADDRESSES;
}

int64_t t3_channels_x_step(const t3_problem *problem, const t3_channels_block *block) {
  t3_padded padded = t3_channels_padded(problem, block->reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  bool dense = read[T3_AXIS_W] == 1 || (read[T3_AXIS_C] == 1 && read[T3_AXIS_W] == problem->layer.in_channels);
  return t3_channels_long_tile(block) && t3_channels_goes_along_rows(problem, block) && dense
             ? read[T3_AXIS_W] * t3_step(problem, T3_W)
             : 0;
}
