/* tiled_gradient: the gradient of the weight as products of matrices with tiles in local memory, for GPUs (cl/tiled_gradient.cl
 * has the maths and the layout). Sums run over positions, so where channels and taps are few there are few of them: then the
 * positions are cut into chunks, whose sums a second launch adds in their order, and within a work-group into slices. On other
 * devices it is right, and never chosen. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/gradient.h"
#include "algo/multiplier.h"
#include "algo/padded.h"
#include "algo/tile.h"
#include "base/checked.h"

/* A tile, how many work-items share a block, and how tiles are multiplied. */
struct way {
  t3_tile tile;
  int64_t slices;
  int64_t number; /* of the multiplier, or its twin */
  const t3_multiplier *multiplier;
};

enum {
  MAX_TAPS = 1 << 20,     /* counted in 32 bits */
  GROUPS_A_UNIT = 8,      /* then compute units end within some 10 % of each other */
  LEAST_STEPS = 8,        /* of a chunk, beside which its start and end do not count */
  PARTIAL_BYTES = 1 << 28 /* of all chunks' sums */
};

/* m (of x), n (of gy), block_m, block_n, k (positions), slices; work-items are a multiple of k. The last one fits where any
 * does, and is for nothing else: it may lack registers. */
static const int64_t tiles[][6] = {
    {128, 128, 8, 8, 8, 1}, {128, 64, 8, 8, 8, 1}, {64, 128, 8, 8, 8, 1}, {64, 64, 8, 4, 16, 1},  {64, 64, 4, 4, 16, 1},
    {32, 128, 4, 4, 16, 1}, {16, 256, 4, 4, 8, 1}, {64, 32, 4, 4, 16, 1}, {32, 64, 4, 4, 16, 1},  {32, 32, 4, 4, 16, 2},
    {32, 32, 4, 4, 32, 4},  {16, 16, 4, 4, 32, 8}, {64, 8, 4, 4, 32, 4},  {8, 64, 4, 4, 32, 4},   {8, 8, 4, 4, 64, 32},
    {64, 1, 4, 1, 32, 8},   {1, 64, 1, 4, 32, 8},  {4, 4, 4, 4, 64, 64},  {1, 1, 1, 1, 128, 128}, {4, 4, 4, 4, 16, 16},
};
enum { TILES = sizeof tiles / sizeof *tiles };

/* The same for multipliers of matrices of 16 x 8 by 32 lanes, and of 8 x 8 and 8 x 16 by as many; blocks are a sub-group's.
 * Work-items are a multiple of the words of k positions. */
static const t3_matrix_tile matrix_tiles[] = {
    {32, {128, 128, 64, 32, 32}}, {32, {128, 64, 32, 32, 32}}, {32, {64, 128, 32, 32, 32}}, {32, {64, 64, 32, 32, 32}},
    {32, {64, 32, 32, 16, 32}},   {32, {32, 64, 16, 32, 32}},  {32, {32, 32, 16, 16, 32}},  {32, {16, 16, 16, 8, 32}},
    {16, {128, 128, 32, 32, 16}}, {16, {64, 64, 32, 32, 16}},  {16, {32, 64, 16, 32, 32}},  {16, {32, 32, 16, 16, 32}},
    {16, {8, 32, 8, 16, 32}},     {8, {128, 64, 16, 32, 16}},  {8, {64, 64, 16, 16, 16}},   {8, {32, 32, 16, 16, 16}},
    {8, {16, 16, 8, 8, 16}},      {8, {8, 16, 8, 8, 16}},
};
enum { MATRIX_TILES = sizeof matrix_tiles / sizeof *matrix_tiles };

/* Doubles take half the positions at a time: what is fetched ahead counts twice in registers. */
static struct way way_of(const t3_problem *problem, const t3_variant *variant) {
  const int64_t *number = variant->number;
  struct way way = {.slices = number[5] % T3_MULTIPLIER_STEP, .number = t3_variant_multiplier(variant)};
  int64_t k = problem->real_size == 8 ? t3_max(number[4] / 2, way.slices) : number[4];
  way.multiplier = t3_multiplier_of(way.number);
  way.tile = (t3_tile){.m = number[0], .n = number[1], .block_m = number[2], .block_n = number[3], .k = k, .lanes = 1};
  way.tile.terms = way.multiplier->word_terms, way.tile.half_sums = way.multiplier->kind == T3_MULTIPLY_HALF;
  if (t3_has_matrices(way.multiplier)) way.tile.lanes = way.multiplier->lanes;
  return way;
}

static int64_t items_of(const struct way *way) {
  return t3_tile_items(&way->tile) * way->slices;
}

static int64_t store_rows(const struct way *way) {
  return t3_has_matrices(way->multiplier) ? way->multiplier->matrix_m : 1;
}

/* In local memory: two tiles of each, or sums of all slices to be stored; and what a twin exchanges. */
static int64_t local_values(const t3_problem *problem, const struct way *way) {
  const t3_tile *tile = &way->tile;
  int64_t rows = t3_ceil_div(tile->k, way->multiplier->word_terms);
  int64_t laid = way->slices * store_rows(way) * tile->m / tile->block_m * tile->n;
  int64_t exchanged = t3_exchange_bytes(way->number, items_of(way)) / problem->real_size;
  int64_t apart = t3_has_matrices(way->multiplier) ? 8 : 4; /* words between rows, at most */
  return t3_max(2 * (rows * (tile->m + tile->n + 2 * apart) + 8), laid) + exchanged + 4;
}

static bool fits(const t3_problem *problem, const struct way *way, char *why, size_t capacity) {
  return t3_tile_fits(problem, items_of(way), local_values(problem, way), why, capacity);
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  if (layer->taps > MAX_TAPS) return t3_too_much(why, capacity, "kernel_size, all axes", layer->taps, MAX_TAPS);
  t3_variant last = t3_tile_variant(tiles[TILES - 1], tiles[TILES - 1][5], 0);
  struct way least = way_of(problem, &last);
  return t3_gradient_check(problem, why, capacity) && fits(problem, &least, why, capacity);
}

static bool wastes(const t3_problem *problem, const int64_t *tile) {
  return tile[0] >= 2 * t3_max(problem->layer.group_in, 4) || tile[1] >= 2 * t3_max(problem->layer.group_out, 4);
}

static void list_if_good(const t3_problem *problem, const int64_t *t, int64_t slices, int64_t number, t3_variant *list,
                         size_t *count) {
  t3_variant variant = t3_tile_variant(t, slices, number);
  struct way way = way_of(problem, &variant);
  char why[160];
  if (wastes(problem, t) || !t3_tile_held(problem, &way.tile, items_of(&way))) return;
  if (fits(problem, &way, why, sizeof why)) list[(*count)++] = variant;
}

/* What vendors' features make of it, or their twins, beside the portable tiles: by whole blocks, without slices. */
static void list_features(const t3_problem *problem, int64_t number, t3_variant *list, size_t *count) {
  const t3_multiplier *multiplier = t3_multiplier_of(number);
  if (!t3_multiplier_there(problem, number)) return;
  for (size_t i = 0; t3_has_matrices(multiplier) && i < MATRIX_TILES; ++i)
    if (matrix_tiles[i].lanes == multiplier->lanes) list_if_good(problem, matrix_tiles[i].tile, 1, number, list, count);
  for (size_t i = 0; !t3_has_matrices(multiplier) && i < TILES; ++i)
    if (tiles[i][5] == 1 && t3_broadcasts(multiplier, tiles[i])) list_if_good(problem, tiles[i], 1, number, list, count);
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  const int64_t *least = tiles[TILES - 1];
  size_t count = 0;
  for (size_t i = 0; i + 1 < TILES; ++i) list_if_good(problem, tiles[i], tiles[i][5], 0, list, &count);
  if (!count) list[count++] = t3_tile_variant(least, least[5], 0);
  for (int i = 1; problem->features && i < T3_MULTIPLIERS; ++i)
    for (int twin = 0; twin < 2; ++twin) list_features(problem, t3_multiplier_number(i, twin), list, &count);
  return count;
}

static int64_t tile_count(const t3_problem *problem, const struct way *way) {
  const t3_layer *layer = &problem->layer;
  return layer->groups * t3_ceil_div(layer->group_in, way->tile.m) * t3_ceil_div(layer->group_out, way->tile.n) * layer->taps;
}

static int64_t positions(const t3_layer *layer) {
  return layer->batch * layer->axis[T3_D].in * layer->axis[T3_H].in * layer->axis[T3_W].in;
}

/* Of the positions: one while that makes work-groups enough, and none shorter than is worth it. */
static int64_t chunk_count(const t3_problem *problem, const struct way *way) {
  int64_t wanted = GROUPS_A_UNIT * t3_max(problem->device.compute_units, 1);
  int64_t steps = t3_ceil_div(positions(&problem->layer), way->tile.k);
  int64_t most = PARTIAL_BYTES / (problem->layer.w_count * problem->real_size);
  return t3_max(t3_min(t3_min(t3_ceil_div(wanted, tile_count(problem, way)), steps / LEAST_STEPS), most), 1);
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  struct way way = way_of(problem, variant);
  const t3_tile *tile = &way.tile;
  int64_t chunks = chunk_count(problem, &way), items = items_of(&way);
  double terms = (double)t3_round_up(t3_ceil_div(positions(layer), chunks), tile->k), sides = (double)(tile->m + tile->n);
  for (int a = 0; a < 3; ++a) terms *= t3_meeting(&layer->axis[a]);
  /* As t3_tile_cycles, with a position found for all of a side's values at once. */
  double lanes = (double)tile->lanes, rate = way.multiplier->rate;
  double block =
      (double)(tile->block_m * tile->block_n) / lanes / rate + 0.5 * (double)(tile->block_m + tile->block_n) / lanes + 1 / rate;
  double cycles = (double)t3_tile_items(tile) * block + 5 * sides + 30 * (double)t3_ceil_div(items, tile->k);
  double groups = (double)(tile_count(problem, &way) * chunks), stored = (double)(tile->m * tile->n);
  t3_gpu_work work = {.groups = groups,
                      .items = (double)items,
                      .cycles = terms * cycles + (5 + (double)way.slices) * stored + 300 * (double)items,
                      .cached = groups * (terms * sides + stored),
                      .streamed = (double)(layer->x_count + layer->y_count + layer->w_count * (chunks > 1 ? 2 * chunks : 1))};
  double seconds = t3_gpu_seconds(problem, &work) + (chunks > 1 ? 10e-6 : 0);
  return t3_multiplier_seconds(way.number, seconds);
}

static bool channels_last(const t3_view *view, int64_t channels) {
  return channels > 1 && view->stride[T3_AXIS_C] == 1 && view->stride[T3_AXIS_W] != 1;
}

static void add_launches(const t3_problem *problem, const struct way *way, int64_t chunks, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  int64_t items = items_of(way);
  t3_arg to = {chunks > 1 ? T3_WORKSPACE : T3_Y, 0};
  recipe->run[0] =
      (t3_launch){.kernel = "tiled_gradient", .local = (size_t)items, .items = tile_count(problem, way) * chunks * items};
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_GY, 0}, to, {T3_NUMBER, layer->batch}, {T3_NUMBER, axis[T3_D].in},
          {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->x.stride), {T3_NUMBER, axis[T3_D].out},
          {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, T3_STRIDES(layer->y.stride), {T3_NUMBER, chunks});
  recipe->num_run = 1;
  if (chunks == 1) return;
  recipe->workspace_bytes = chunks * layer->w_count * problem->real_size;
  recipe->run[recipe->num_run++] = (t3_launch){
      .kernel = "tiled_gradient_sum", .local = (size_t)t3_min(items, 64), .items = layer->w_count, .rounds = chunks};
  T3_ARGS(&recipe->run[1], {T3_WORKSPACE, 0}, {T3_Y, 0}, {T3_NUMBER, chunks});
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  struct way way = way_of(problem, variant);
  int64_t chunks = chunk_count(problem, &way);
  t3_define_problem(&recipe->defines, problem);
  t3_define_tile(&recipe->defines, &way.tile);
  t3_define_multiplier(&recipe->defines, way.number);
  t3_define_registers(&recipe->defines, problem);
  t3_define(&recipe->defines, "SLICES", way.slices);
  t3_define(&recipe->defines, "STORE_ROWS", store_rows(&way));
  t3_define(&recipe->defines, "PARTIAL", chunks > 1);
  t3_define(&recipe->defines, "X_CHANNELS_LAST", channels_last(&layer->x, layer->group_in));
  t3_define(&recipe->defines, "GY_CHANNELS_LAST", channels_last(&layer->y, layer->group_out));
  recipe->deterministic = true;
  add_launches(problem, &way, chunks, recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "tiles of %" PRId64 " x %" PRId64 " channels, blocks of %" PRId64 " x %" PRId64 ", %" PRId64
           " positions at a time in %" PRId64 " slices, %" PRId64 " chunks",
           way.tile.m, way.tile.n, way.tile.block_m, way.tile.block_n, way.tile.k, way.slices, chunks);
  t3_tell_multiplier(recipe, way.number);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_tiled_gradient = {"tiled_gradient", "tiled_gradient",  applicable, variants, cost,
                                             recipe,           T3_WEIGHT_GRADIENT};
