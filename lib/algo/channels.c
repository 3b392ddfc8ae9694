/* channels: dense phases with vectors of output channels, for CPU devices (cl/channels.cl has the maths and the layout). It
 * wins where channels fill its vectors and are many: its lanes do not care for the length of a row. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/channels.h"
#include "algo/rounds.h"
#include "base/checked.h"

enum {
  MAX_TAPS = 1024,  /* a work-item keeps two lists of that many */
  MAX_RESIDUES = 64 /* of an axis: the length of the tables in the program */
};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_axis *axis = problem->layer.axis;
  if (problem->layer.taps > MAX_TAPS) return t3_too_much(why, capacity, "kernel_size, all axes", problem->layer.taps, MAX_TAPS);
  int64_t outputs = t3_max(problem->layer.batch, 1);
  for (int a = 0; a < 3; ++a) {
    if (problem->phases[a].residues > MAX_RESIDUES) return t3_too_much(why, capacity, "stride", axis[a].stride, MAX_RESIDUES);
    if (!t3_mul(outputs, axis[a].out, &outputs)) outputs = INT64_MAX;
  }
  if (outputs > INT32_MAX)
    return t3_too_much(why, capacity, "the number of elements of an output channel, all images", outputs, INT32_MAX);
  return t3_padded_check(problem, 1, why, capacity);
}

/* Whether x may be read in place where a copy with zeros around would be made otherwise. */
static bool in_place(const t3_problem *problem) {
  return t3_is_real(problem, t3_input_type(problem)) && t3_padded_values(problem, false).copy;
}

/* Adds a variant, and those that take several channels together that lie apart: few, which are best where their lines share a
 * set of the first cache, and as many as were measured to be best elsewhere. */
static size_t add_variants(const t3_problem *problem, t3_variant variant, t3_variant *list, size_t count) {
  const int64_t apart[] = {0, 4, t3_step(problem, T3_W) == 1 ? 16 : 8};
  int64_t before = 0;
  for (size_t i = 0; i < sizeof apart / sizeof *apart; ++i) {
    variant.number[4] = apart[i];
    const t3_channels_block block = t3_channels_block_of(&variant);
    int64_t together = t3_channels_together(problem, &block);
    if (together > before) list[count++] = variant;
    before = t3_max(before, together);
  }
  return count;
}

/* Blocks whose sums, vectors of weights and broadcast value the registers hold: 32 where the vectors are of 512 bits, else 16,
 * for which the longest tiles are too long. Reading in place asks for each position of a tile at an edge whether a tap is
 * inside: too often where only one multiply-add follows. */
static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t blocks[][2] = {{4, 6}, {4, 5},  {3, 6},  {2, 8},  {2, 6},  {2, 5}, {2, 4},
                                      {3, 4}, {1, 24}, {1, 20}, {1, 16}, {1, 12}, {1, 8}, {1, 4}};
  int64_t native = t3_max(t3_min(problem->width, 16), 4), registers = problem->registers;
  size_t count = 0;
  bool own = t3_channels_each_its_own(problem), already = t3_x_channels_last(problem),
       can = t3_channels_reads_last(problem, T3_CHANNELS_SIDE_BY_SIDE);
  /* Turning x pays where x is small beside the sums, not where steps are taken along it, and by whole vectors. */
  bool turns = can && t3_step(problem, T3_W) == 1 && problem->layer.in_channels >= native && problem->layer.group_in >= 4;
  const bool offered[] = {!(already && can), already ? can : turns, in_place(problem)};
  for (int64_t reading = T3_CHANNELS_AS_IT_LIES; reading <= T3_CHANNELS_IN_PLACE; ++reading)
    for (int64_t width = native; offered[reading] && width >= 4; width /= 2)
      for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
        if (blocks[i][0] * (blocks[i][1] + 1) + 1 <= registers && !(own && problem->layer.groups % (width * blocks[i][0])) &&
            !(reading == T3_CHANNELS_IN_PLACE && blocks[i][0] == 1 && !own))
          count = add_variants(problem, (t3_variant){{width, blocks[i][0], blocks[i][1], reading}}, list, count);
  return count;
}

/* How many channels ahead values of x are prefetched, where neighbouring channels lie apart: measured to gain a seventh with
 * long tiles; with more vectors, whose sums take longer, nothing. */
static int64_t ahead(const t3_problem *problem, const t3_channels_block *block) {
  return t3_channels_long_tile(block) && t3_channels_together(problem, block) == 1 && problem->unforeseen ? 3 : 0;
}

static void define_all(const t3_problem *problem, const t3_channels_block *block, bool own, t3_text *defines) {
  bool rows = t3_channels_stores_rows(problem, block);
  t3_define_problem(defines, problem);
  t3_define(defines, "EACH_ITS_OWN", own);
  t3_define(defines, "Y_CHANNELS_LAST", t3_y_channels_last(problem));
  t3_define(defines, "ROWS", rows);
  t3_define(defines, "ALONG_ROWS", t3_channels_goes_along_rows(problem, block));
  t3_define(defines, "RESIDUES_TOGETHER", t3_channels_residues_together(problem, block));
  t3_define(defines, "STREAM",
            rows ? t3_streams_rows(problem, block->width, 1, 1)
                 : t3_y_channels_last(problem) && t3_streams(problem, problem->layer.out_channels, block->width));
  t3_define(defines, "IN_PLACE", block->reading == T3_CHANNELS_IN_PLACE);
  t3_define(defines, "X_STEP", t3_channels_x_step(problem, block));
  t3_define(defines, "AHEAD", ahead(problem, block));
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "VECTORS", block->vectors);
  t3_define(defines, "TILE", block->tile);
  t3_define(defines, "TILES", t3_channels_most_tiles(problem, block));
  t3_define(defines, "SIDE_BY_SIDE", t3_channels_reads_last(problem, block->reading));
  t3_define(defines, "BLOCK_C", t3_channels_together(problem, block));
  t3_define(defines, "CHUNK", t3_channels_chunk(problem, block));
  t3_define_min_offsets(defines, problem);
  for (int a = 0; a < 3; ++a) t3_define_tables(defines, a, problem);
}

static tconv3d_status recipe(const t3_problem *asked, const t3_variant *variant, t3_recipe *recipe) {
  const t3_problem lanes = t3_channels_lanes(asked), *problem = &lanes;
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  t3_channels_block block = t3_channels_block_of(variant);
  t3_padded padded = t3_channels_padded(problem, block.reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  int64_t blocks = t3_channels_blocks(problem, &block) * t3_channels_residues(problem), run = t3_channels_run(problem, &block);
  int64_t owned = t3_channels_residues_owned(problem, &block);
  define_all(problem, &block, t3_channels_each_its_own(asked), &recipe->defines);
  recipe->deterministic = true;
  recipe->workspace_bytes = t3_padded_bytes(problem, &padded);
  recipe->pack = (t3_launch){.kernel = "channels_pack", .local = 1, .items = blocks};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  t3_add_pad(problem, &padded, block.width, recipe);
  t3_launch *main = &recipe->run[recipe->num_run++];
  *main = (t3_launch){.kernel = "channels", .local = 1};
  main->items = blocks / owned * t3_ceil_div(t3_channels_positions(problem), run);
  /* Beside the tiles: positions, taps, channel after channel, and squares of rows that a run begins and ends within. */
  double taps = (double)(4 * t3_channels_taps(problem) * owned), singly = (double)(2 * block.vectors * block.width);
  double rounds = (double)t3_ceil_div(run, block.tile) * t3_channels_tile_rounds(problem, &block) + taps + singly;
  main->rounds =
      t3_whole_rounds(rounds + (double)(2 * block.width) * t3_channels_square_rounds(problem, &block) / (double)block.tile);
  T3_ARGS(main, t3_x_arg(&padded), {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, T3_STRIDES(read),
          {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->y.stride),
          {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, run});
  t3_end_recipe(problem, t3_channels_packed_count(problem, &block), recipe);
  int64_t together = t3_channels_together(problem, &block);
  int written = snprintf(recipe->detail, sizeof recipe->detail,
                         "%" PRId64 " positions x %" PRId64 " vectors of %" PRId64 " channels, %s%s", block.tile, block.vectors,
                         block.width, t3_reading(&padded), padded.channels_last ? ", channels last" : "");
  if (together > 1 && written > 0 && (size_t)written < sizeof recipe->detail)
    snprintf(recipe->detail + written, sizeof recipe->detail - (size_t)written, ", %" PRId64 " input channels at once",
             together);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_channels = {"channels", "channels", applicable, variants, t3_channels_cost, recipe, T3_LAYER};
