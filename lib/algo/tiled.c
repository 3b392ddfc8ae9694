/* tiled: implicit GEMM over phases with tiles in local memory, for GPUs (cl/tiled.cl has the maths and the layout). It wins
 * there wherever a group has channels for a register block; where phases have one tap each and share x (kernel = stride) they
 * become one product. On other devices it is right, and never chosen: their local memory is no faster than their caches. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/multiplier.h"
#include "algo/padded.h"
#include "algo/tile.h"
#include "base/checked.h"

/* A tile, how its terms are cut into taps and channels, whether phases are merged, and how tiles are multiplied. */
struct way {
  t3_tile tile;
  int64_t taps, channels;
  bool merged;
  int64_t number; /* of the multiplier, or its twin */
  const t3_multiplier *multiplier;
};

enum {
  MAX_RESIDUES = 64,      /* of an axis: the length of the tables in the program */
  MAX_WEIGHTS = 1 << 30,  /* of a group, all taps: steps are counted in 32 bits */
  MAX_PADDING_PART = 16,  /* columns, or rows, that a tile may have for each that there is */
  SHARED_BYTES = 2 << 20, /* of weights: what a GPU's second cache keeps beside x */
  COLUMNS_FIRST = 8,
  PITCH = 8 /* words between rows of a tile of matrices */
};

static int64_t residues(const t3_problem *problem) {
  const t3_phases *p = problem->phases;
  return p[T3_D].residues * p[T3_H].residues * p[T3_W].residues;
}

/* Positions of residues 0, which have the most. */
static int64_t positions(const t3_problem *problem) {
  return problem->layer.batch * t3_positions(problem, T3_D) * t3_positions(problem, T3_H) * t3_positions(problem, T3_W);
}

/* Whether every phase has one tap, all with the same offsets, and as many positions as the first. */
static bool merges(const t3_problem *problem) {
  if (residues(problem) == 1) return false;
  for (int a = 0; a < 3; ++a) {
    const t3_axis *axis = &problem->layer.axis[a];
    const t3_phase first = t3_phase_at(axis, 0);
    for (int64_t r = 0; r < problem->phases[a].residues; ++r) {
      t3_phase phase = t3_phase_at(axis, r);
      if (phase.taps != 1 || phase.first_offset != first.first_offset || phase.positions != first.positions) return false;
    }
  }
  return true;
}

static int64_t rows_of(const t3_problem *problem, bool merged) {
  return problem->layer.group_out * (merged ? residues(problem) : 1);
}

/* Terms at a time, near those wanted: even parts of the channels of one tap, or taps of all channels; in matrices whole ones,
 * filled with zeros. */
static struct way way_of(const t3_problem *problem, const t3_variant *variant) {
  const int64_t *number = variant->number;
  struct way way = {
      .taps = 1, .channels = 1, .merged = number[5] % T3_MULTIPLIER_STEP, .number = t3_variant_multiplier(variant)};
  way.multiplier = t3_multiplier_of(way.number);
  way.tile = (t3_tile){number[0], number[1], number[2], number[3], number[4], 1, .gathers = true};
  way.tile.terms = way.multiplier->word_terms, way.tile.half_sums = way.multiplier->kind == T3_MULTIPLY_HALF;
  int64_t channels = problem->layer.group_in, wanted = way.tile.k;
  int64_t whole = t3_has_matrices(way.multiplier) ? way.multiplier->word_terms * T3_MATRIX_WORDS : 1;
  if (t3_has_matrices(way.multiplier)) way.tile.lanes = way.multiplier->lanes;
  way.channels = channels < wanted ? channels : t3_ceil_div(channels, t3_ceil_div(channels, wanted));
  way.taps =
      channels < wanted && !way.merged
          ? t3_min(wanted / channels, t3_most_taps(problem, T3_D) * t3_most_taps(problem, T3_H) * t3_most_taps(problem, T3_W))
          : 1;
  if (way.taps == 1) way.channels = t3_round_up(way.channels, whole);
  way.tile.k = t3_round_up(way.taps * way.channels, whole);
  return way;
}

/* Rows of words of a tile, and words from one to the next. */
static int64_t word_rows(const struct way *way) {
  return t3_ceil_div(way->tile.k, way->multiplier->word_terms);
}
static int64_t pitch_of(const struct way *way, int64_t side) {
  return side + (t3_has_matrices(way->multiplier) ? PITCH : 0);
}

static int64_t tile_values(const struct way *way) {
  return 2 * t3_round_up(word_rows(way) * (pitch_of(way, way->tile.m) + pitch_of(way, way->tile.n)), 4);
}

static int64_t store_rows(const struct way *way) {
  return t3_has_matrices(way->multiplier) ? way->multiplier->matrix_m : t3_tile_store_rows(&way->tile, tile_values(way));
}

/* In local memory: two tiles, or sums to be stored; where columns lie in y; and what a twin exchanges. */
static int64_t local_values(const t3_problem *problem, const struct way *way) {
  int64_t stored = store_rows(way) * way->tile.m / way->tile.block_m * way->tile.n;
  int64_t bytes = way->tile.n * 8 + t3_exchange_bytes(way->number, t3_tile_items(&way->tile));
  return t3_max(tile_values(way), stored) + bytes / problem->real_size + 4;
}

static bool fits(const t3_problem *problem, const struct way *way, char *why, size_t capacity) {
  return t3_tile_fits(problem, t3_tile_items(&way->tile), local_values(problem, way), why, capacity);
}

static bool is_good(const t3_problem *problem, const struct way *way) {
  char why[160];
  return t3_tile_held(problem, &way->tile, t3_tile_items(&way->tile)) && fits(problem, way, why, sizeof why);
}

/* m, n, block_m, block_n, k. The last one fits where any does, and is for nothing else: it may lack registers. */
static const int64_t tiles[][5] = {
    {128, 128, 8, 8, 8}, {128, 64, 8, 8, 8}, {64, 128, 8, 8, 8}, {64, 64, 8, 4, 16}, {64, 64, 4, 4, 16},
    {32, 256, 8, 8, 8},  {32, 128, 4, 8, 8}, {32, 64, 4, 4, 16}, {32, 32, 4, 4, 16}, {16, 256, 4, 4, 8},
    {16, 128, 4, 4, 16}, {16, 64, 4, 4, 16}, {8, 256, 4, 4, 8},  {8, 128, 4, 4, 8},  {4, 256, 4, 4, 8},
    {2, 256, 2, 4, 8},   {1, 256, 1, 4, 8},  {16, 16, 4, 4, 16}, {4, 32, 2, 4, 8},
};
enum { TILES = sizeof tiles / sizeof *tiles };

/* The same for multipliers of matrices of 16 x 8 by 32 lanes, and of 8 x 8 and 8 x 16 by as many; blocks are a sub-group's. A
 * multiplier is served by the rows of its lanes. Work-items must divide n, or n them. */
static const t3_matrix_tile matrix_tiles[] = {
    {32, {128, 128, 64, 32, 32}}, {32, {64, 128, 32, 32, 32}}, {32, {128, 64, 32, 32, 32}}, {32, {64, 64, 32, 32, 32}},
    {32, {32, 128, 16, 32, 32}},  {32, {32, 64, 16, 32, 32}},  {32, {16, 128, 16, 32, 32}}, {32, {16, 64, 16, 16, 32}},
    {16, {128, 128, 32, 32, 32}}, {16, {64, 128, 32, 32, 16}}, {16, {64, 64, 32, 32, 16}},  {16, {32, 128, 16, 32, 16}},
    {16, {16, 64, 16, 16, 32}},   {16, {8, 64, 8, 16, 32}},    {8, {128, 64, 16, 32, 16}},  {8, {64, 64, 16, 16, 16}},
    {8, {32, 64, 16, 16, 16}},    {8, {16, 64, 16, 16, 16}},   {8, {8, 64, 8, 16, 16}},
};
enum { MATRIX_TILES = sizeof matrix_tiles / sizeof *matrix_tiles };

/* A tile much larger than what there is computes next to nothing. */
static bool wastes(const t3_problem *problem, const int64_t tile[5], bool merged) {
  return tile[0] >= 2 * t3_max(rows_of(problem, merged), 4) || tile[1] >= MAX_PADDING_PART * t3_max(positions(problem), 16);
}

static void list_if_good(const t3_problem *problem, const int64_t *t, int merged, int64_t number, t3_variant *list,
                         size_t *count) {
  t3_variant variant = t3_tile_variant(t, merged, number);
  struct way way = way_of(problem, &variant);
  if (is_good(problem, &way)) list[(*count)++] = variant;
}

/* What vendors' features make of it, or their twins, beside the portable tiles. */
static void list_features(const t3_problem *problem, int64_t number, int merged, t3_variant *list, size_t *count) {
  const t3_multiplier *multiplier = t3_multiplier_of(number);
  bool matrices = t3_has_matrices(multiplier);
  if (!t3_multiplier_there(problem, number)) return;
  for (size_t i = 0; i < (size_t)(matrices ? MATRIX_TILES : TILES - 1); ++i) {
    const int64_t *t = matrices ? matrix_tiles[i].tile : tiles[i];
    if (matrices ? matrix_tiles[i].lanes != multiplier->lanes : !t3_broadcasts(multiplier, t)) continue;
    if (!wastes(problem, t, merged)) list_if_good(problem, t, merged, number, list, count);
  }
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  size_t count = 0;
  for (int merged = 0; merged <= (merges(problem) ? 1 : 0); ++merged) {
    for (size_t i = 0; i + 1 < TILES; ++i)
      if (!wastes(problem, tiles[i], merged)) list_if_good(problem, tiles[i], merged, 0, list, &count);
    if (!count) list[count++] = t3_tile_variant(tiles[TILES - 1], merged, 0);
    for (int i = 1; problem->features && i < T3_MULTIPLIERS; ++i)
      for (int twin = 0; twin < 2; ++twin) list_features(problem, t3_multiplier_number(i, twin), merged, list, &count);
  }
  return count;
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  for (int a = 0; a < 3; ++a)
    if (problem->phases[a].residues > MAX_RESIDUES)
      return t3_too_much(why, capacity, "a stride", layer->axis[a].stride, MAX_RESIDUES);
  if (!t3_check_counts(problem, why, capacity)) return false;
  int64_t weights = layer->w_count / layer->groups;
  if (weights > MAX_WEIGHTS) return t3_too_much(why, capacity, "the number of a group's weights", weights, MAX_WEIGHTS);
  t3_variant least = t3_tile_variant(tiles[TILES - 1], 0, 0);
  struct way way = way_of(problem, &least);
  return fits(problem, &way, why, capacity);
}

static int64_t m_tiles(const t3_problem *problem, const struct way *way) {
  return t3_ceil_div(rows_of(problem, way->merged), way->tile.m);
}

/* Steps of all phases, as the kernel counts them. */
static int64_t tile_steps(const t3_problem *problem, const struct way *way) {
  int64_t taps = t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H) * t3_taps_of(problem, T3_W);
  if (way->merged) taps = 1;
  if (way->taps > 1) taps = taps / way->taps + residues(problem);
  return taps * t3_ceil_div(problem->layer.group_in, way->channels);
}

static int64_t weight_count(const t3_problem *problem, const struct way *way) {
  return problem->layer.groups * m_tiles(problem, way) * tile_steps(problem, way) * word_rows(way) * pitch_of(way, way->tile.m);
}

/* Tiles of positions that follow one another: enough that weights which the second cache does not keep serve some of them. */
static int64_t columns_first(const t3_problem *problem, const struct way *way) {
  return weight_count(problem, way) * problem->real_size > SHARED_BYTES ? COLUMNS_FIRST : 1;
}

static int64_t group_count(const t3_problem *problem, const struct way *way) {
  int64_t n_tiles = t3_ceil_div(positions(problem), way->tile.n), phases = way->merged ? 1 : residues(problem);
  return problem->layer.groups * m_tiles(problem, way) * phases * t3_round_up(n_tiles, columns_first(problem, way));
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  struct way way = way_of(problem, variant);
  int64_t items = t3_tile_items(&way.tile), phases = way.merged ? 1 : residues(problem);
  double terms = (double)(tile_steps(problem, &way) * way.tile.k) / (double)phases; /* of a sum, on average */
  double groups = (double)group_count(problem, &way), stored = (double)(way.tile.m * way.tile.n);
  t3_gpu_work work = {.groups = groups,
                      .items = (double)items,
                      .cycles =
                          terms * t3_tile_cycles(&way.tile, items, way.multiplier->rate) + 10 * stored + 200 * (double)items,
                      .cached = groups * (terms * (double)(way.tile.m + way.tile.n) + stored),
                      .streamed = (double)(layer->x_count + layer->y_count + layer->w_count)};
  double seconds = t3_gpu_seconds(problem, &work);
  return t3_multiplier_seconds(way.number, seconds);
}

static bool x_channels_last(const t3_layer *layer) {
  return layer->group_in > 1 && layer->x.stride[T3_AXIS_C] == 1 && layer->x.stride[T3_AXIS_W] != 1;
}

static void define_all(const t3_problem *problem, const struct way *way, t3_text *defines) {
  t3_define_problem(defines, problem);
  t3_define_tile(defines, &way->tile);
  t3_define_multiplier(defines, way->number);
  t3_define_registers(defines, problem);
  t3_define(defines, "TAPS_AT_ONCE", way->taps);
  t3_define(defines, "CHANNELS_AT_ONCE", way->channels);
  t3_define(defines, "MERGED", way->merged);
  t3_define(defines, "STORE_ROWS", store_rows(way));
  t3_define(defines, "COLUMNS_FIRST", columns_first(problem, way));
  t3_define(defines, "X_CHANNELS_LAST", x_channels_last(&problem->layer));
  t3_define(defines, "Y_CHANNELS_LAST", t3_y_channels_last(problem));
  for (int a = 0; a < 3; ++a) t3_define_tables(defines, a, problem);
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct way way = way_of(problem, variant);
  int64_t items = t3_tile_items(&way.tile), phases = way.merged ? 1 : residues(problem);
  int64_t places = layer->groups * m_tiles(problem, &way) * phases * t3_ceil_div(layer->group_in, way.channels) *
                   word_rows(&way) * pitch_of(&way, way.tile.m);
  define_all(problem, &way, &recipe->defines);
  recipe->deterministic = true;
  recipe->pack = (t3_launch){.kernel = "tiled_pack", .local = (size_t)t3_min(items, 64), .items = places + layer->out_channels};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  recipe->run[0] = (t3_launch){.kernel = "tiled", .local = (size_t)items, .items = group_count(problem, &way) * items};
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, {T3_NUMBER, axis[T3_D].in},
          {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->x.stride), {T3_NUMBER, axis[T3_D].out},
          {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, T3_STRIDES(layer->y.stride),
          {T3_NUMBER, t3_ceil_div(positions(problem), way.tile.n)});
  recipe->num_run = 1;
  t3_end_recipe(problem, weight_count(problem, &way) + layer->out_channels, recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "tiles of %" PRId64 " %s x %" PRId64 " positions, blocks of %" PRId64 " x %" PRId64 ", %" PRId64 " taps x %" PRId64
           " channels at a time",
           way.tile.m, way.merged ? "channels and phases" : "channels", way.tile.n, way.tile.block_m, way.tile.block_n,
           way.taps, way.channels);
  t3_tell_multiplier(recipe, way.number);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_tiled = {"tiled", "tiled", applicable, variants, cost, recipe, T3_LAYER};
