/* outer: the gradient of the weight with vectors of input channels, for CPU devices (cl/outer.cl has the maths and the layout).
 * It wins wherever a group has input channels for a vector: each loaded value meets a whole register block, and rows may have
 * any length. Tensors in the type of the sums and in C order are read where they lie, others from a copy. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/cycles.h"
#include "algo/gradient.h"
#include "algo/rounds.h"
#include "base/checked.h"

/* What the registers hold: sums of vectors vectors of width input channels x m output channels x taps taps of W. */
struct block {
  int64_t width, vectors, m, taps;
};

/* How the work is cut: tiles of registers in a work-item, blocks of tiles, chunks of lines; seconds that this is predicted to
 * take beside the multiply-adds. */
struct cut {
  int64_t c_tiles, m_tiles, blocks, chunks;
  double seconds;
};

enum {
  POSITIONS = 256,      /* at a time: their x and gy stay in the first caches while the sums of a tap come and go */
  MAX_TAPS = 4096,      /* so that the least block is within KEPT */
  KEPT = 1 << 14,       /* floats, sums of a work-item on its stack; 64 KiB */
  TURNED_CHANNELS = 64, /* floats of a position on the stack, 64 KiB for all */
  UNDER_WAY = 8,        /* multiply-adds of a core: two a cycle, each takes four */
  ITEMS_A_UNIT = 8      /* then compute units end within some 10 % of each other */
};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  if (layer->taps > MAX_TAPS) return t3_too_much(why, capacity, "kernel_size, all axes", layer->taps, MAX_TAPS);
  if (layer->w_count > INT64_MAX / 1024)
    return t3_too_much(why, capacity, "the number of weights", layer->w_count, INT64_MAX / 1024);
  return t3_gradient_check(problem, why, capacity);
}

static int64_t tile_floats(const t3_layer *layer, const struct block *block) {
  return block->width * block->vectors * block->m * layer->taps;
}

static int64_t sums_of(const struct block *block) {
  return block->vectors * block->m * block->taps;
}

/* Sums, x's vectors and one broadcast must fit the registers, a tile's sums the stack. */
static bool fits(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  if (sums_of(block) + block->vectors + 1 > problem->registers) return false;
  if (layer->axis[T3_W].kernel % block->taps || tile_floats(layer, block) > KEPT) return false;
  if (block->width * (block->vectors - 1) >= layer->group_in && block->vectors > 1) return false;
  return block->m <= layer->group_out;
}

/* Sets of sums that neighbouring positions add to by turns: as many multiply-adds as are under way at a time, if they fit. */
static int64_t sets_of(const t3_problem *problem, const struct block *block) {
  int64_t sums = sums_of(block), fit = (problem->registers - block->vectors - 1) / sums;
  return t3_max(t3_min(t3_ceil_div(UNDER_WAY, sums), fit), 1);
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t vectors[] = {1, 2, 4}, ms[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16}, taps[] = {1, 2, 3, 4, 5, 7};
  size_t count = 0;
  for (int64_t width = t3_native_width(problem); width >= 4; width /= 2)
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; ++v)
      for (size_t m = 0; m < sizeof ms / sizeof *ms; ++m)
        for (size_t t = 0; t < sizeof taps / sizeof *taps; ++t) {
          struct block block = {width, vectors[v], ms[m], taps[t]};
          bool least = width == 4 && v + m + t == 0;
          if (least || fits(problem, &block)) list[count++] = (t3_variant){{width, vectors[v], ms[m], taps[t]}};
        }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2], n[3]};
}

/* Seconds of the multiply-adds alone, on all compute units. */
static double product_seconds(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  double loads = (double)(block->vectors + block->m * block->taps), sets = (double)sets_of(problem, block);
  double body = t3_body_cycles(problem, block->width, sets * (double)sums_of(block), sets * loads, 1) / sets;
  double tiles = (double)(layer->groups * t3_ceil_div(layer->group_in, block->width * block->vectors)) *
                 (double)t3_ceil_div(layer->group_out, block->m);
  double rows = (double)layer->batch * (double)(axis[T3_D].in * axis[T3_H].in);
  double row = (double)axis[T3_W].in * body + 8; /* a row's start and end */
  rows *= (double)(axis[T3_D].kernel * axis[T3_H].kernel) * t3_meeting(&axis[T3_D]) * t3_meeting(&axis[T3_H]);
  return t3_cycles_to_seconds(&problem->device, tiles * rows * (double)(axis[T3_W].kernel / block->taps) * row);
}

/* What a way to cut the work costs beside its multiply-adds: x turned once for each block of output channels, gy read once for
 * each of input channels, sums kept between steps, partial sums, units that wait for the last. */
static double beside(const t3_problem *problem, const struct block *block, const struct cut *cut, double products) {
  const t3_layer *layer = &problem->layer;
  int64_t c_blocks = t3_ceil_div(layer->group_in, block->width * block->vectors * cut->c_tiles);
  int64_t m_blocks = t3_ceil_div(layer->group_out, block->m * cut->m_tiles);
  double kept = (double)(tile_floats(layer, block) * cut->c_tiles * cut->m_tiles);
  double positions =
      (double)t3_lines_of(layer, POSITIONS).count / (double)cut->chunks * (double)t3_lines_of(layer, POSITIONS).piece;
  double steps = positions / POSITIONS + 1, items = (double)(cut->blocks * cut->chunks);
  double cycles = 0.35 * (double)layer->x_count * (double)m_blocks + items * steps * 2.5 * kept / (double)block->width;
  cycles += items * 2 * kept / (double)block->width;
  double seconds = t3_cycles_to_seconds(&problem->device, cycles);
  seconds += (double)m_blocks * t3_stream_seconds(&problem->device, layer->x_count) / 2;
  seconds += (double)c_blocks * t3_stream_seconds(&problem->device, layer->y_count) / 2;
  seconds += t3_stream_seconds(&problem->device, layer->w_count);
  double partial = 2 * t3_stream_seconds(&problem->device, (int64_t)(kept * items)) + 30e-6;
  if (cut->chunks > 1) seconds += partial * problem->share; /* or a small layer would not be cut as the plan is */
  double units = problem->device.compute_units ? problem->device.compute_units : 1;
  double rounds = (double)t3_ceil_div((int64_t)items, (int64_t)units);
  return seconds + products * (rounds * units / items - 1 + 0.3 / rounds);
}

/* Chunks for so many blocks: one while that makes work-items enough, never more than there are lines. */
static int64_t chunks_for(const t3_problem *problem, int64_t blocks) {
  int64_t wanted = ITEMS_A_UNIT * t3_max(problem->device.compute_units, 1);
  int64_t chunks = t3_ceil_div(wanted, blocks), lines = t3_lines_of(&problem->layer, POSITIONS).count;
  chunks = t3_max(t3_min(chunks, lines), 1);
  int64_t run = t3_max(t3_ceil_div(lines, chunks), 1);
  return t3_max(t3_ceil_div(lines, run), 1);
}

static struct cut cut_of(const t3_problem *problem, const struct block *block, double products) {
  const t3_layer *layer = &problem->layer;
  int64_t c_all = t3_ceil_div(layer->group_in, block->width * block->vectors), m_all = t3_ceil_div(layer->group_out, block->m);
  struct cut best = {.seconds = -1};
  for (int64_t c = 1; c <= c_all && (c == 1 || c * block->width * block->vectors <= TURNED_CHANNELS); ++c)
    for (int64_t m = 1; m <= m_all && (m == 1 || c * m * tile_floats(layer, block) <= KEPT); ++m) {
      if (c * m * tile_floats(layer, block) > KEPT && c * m > 1) continue;
      struct cut cut = {.c_tiles = c, .m_tiles = m};
      cut.blocks = layer->groups * t3_ceil_div(c_all, c) * t3_ceil_div(m_all, m);
      int64_t most = chunks_for(problem, cut.blocks);
      for (cut.chunks = 1; cut.chunks <= most; cut.chunks += t3_max(most - 1, 1)) {
        cut.seconds = beside(problem, block, &cut, products);
        if (best.seconds < 0 || cut.seconds < best.seconds) best = cut;
      }
    }
  return best;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  struct block block = block_of(variant);
  double products = product_seconds(problem, &block);
  return products + cut_of(problem, &block, products).seconds + t3_real_seconds(problem) + 40e-6;
}

static void define_all(const t3_problem *problem, const struct block *block, const struct cut *cut, t3_text *defines) {
  t3_define_problem(defines, problem);
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "VECTORS", block->vectors);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "TAPS_W", block->taps);
  t3_define(defines, "C_TILES", cut->c_tiles);
  t3_define(defines, "M_TILES", cut->m_tiles);
  t3_define(defines, "POSITIONS", POSITIONS);
  t3_define(defines, "SETS", sets_of(problem, block));
  t3_define(defines, "PARTIAL", cut->chunks > 1);
}

/* Of a work-item's loops, for run lines: x is turned, then multiplied under every tap, and tiles are kept step by step. */
static double item_rounds(const t3_problem *problem, const struct block *block, const struct cut *cut, int64_t run) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  t3_lines lines = t3_lines_of(layer, POSITIONS);
  double vectors = (double)block->vectors, m = (double)block->m, taps = (double)block->taps, width = (double)block->width;
  double positions = (double)(run * lines.piece), image = (double)(axis[T3_D].in * axis[T3_H].in * lines.pieces);
  double steps = (double)run / (double)t3_max(POSITIONS / lines.piece, 1) + (double)run / image + 2;
  double turned = vectors * (positions * (width + 8) + (double)run * 8 * width);
  double kept = 8 + 4 * (double)sets_of(problem, block); /* of zeroing, adding and keeping sums */
  double ahead = m * ((double)(lines.piece * axis[T3_W].stride) / 8 + 2);
  double tap = positions * (2 + vectors + taps * (1 + m * (1 + vectors))) + (double)run * (2 + ahead) +
               steps * kept * m * taps * vectors;
  double tiles = (double)(cut->m_tiles * axis[T3_D].kernel * axis[T3_H].kernel * t3_ceil_div(axis[T3_W].kernel, block->taps));
  double stored = (double)(cut->m_tiles * layer->taps) * m * vectors * 4 * width;
  return (double)cut->c_tiles * (turned + tiles * (tap + steps) + stored) + 4 * positions;
}

static void add_launches(const t3_problem *problem, const struct block *block, const struct cut *cut, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  t3_lines lines = t3_lines_of(layer, POSITIONS);
  int64_t rows = cut->m_tiles * block->m * layer->taps, run = t3_max(t3_ceil_div(lines.count, cut->chunks), 1);
  int64_t used = 0;
  t3_arg x = t3_real_arg(problem, T3_X, block->width, &used, recipe);
  t3_arg gy = t3_real_arg(problem, T3_GY, block->width, &used, recipe);
  t3_arg partial = {T3_WORKSPACE, used}, target = cut->chunks > 1 ? partial : (t3_arg){T3_Y, 0};
  recipe->workspace_bytes = used * problem->real_size;
  t3_launch *main = &recipe->run[recipe->num_run++];
  *main = (t3_launch){.kernel = "outer", .local = 1, .items = cut->blocks * cut->chunks};
  main->rounds = t3_whole_rounds(item_rounds(problem, block, cut, run));
  T3_ARGS(main, x, gy, target, {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in},
          {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, lines.count},
          {T3_NUMBER, lines.pieces}, {T3_NUMBER, lines.piece}, {T3_NUMBER, run}, {T3_NUMBER, POSITIONS / lines.piece});
  if (cut->chunks == 1) return;
  int64_t vectors = cut->blocks * cut->c_tiles * block->vectors;
  recipe->workspace_bytes += cut->chunks * vectors * block->width * rows * problem->real_size;
  t3_launch *sum = &recipe->run[recipe->num_run++];
  *sum = (t3_launch){.kernel = "outer_sum",
                     .local = 1,
                     .items = vectors * t3_ceil_div(rows, block->width),
                     .rounds = (cut->chunks + 2) * block->width};
  T3_ARGS(sum, partial, {T3_Y, 0}, {T3_NUMBER, cut->chunks});
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  struct block block = block_of(variant);
  struct cut cut = cut_of(problem, &block, product_seconds(problem, &block));
  define_all(problem, &block, &cut, &recipe->defines);
  recipe->deterministic = true;
  add_launches(problem, &block, &cut, recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " vectors of %" PRId64 " channels x %" PRId64 " channels of gy x %" PRId64 " taps of W, %" PRId64
           " x %" PRId64 " such tiles, %" PRId64 " chunks",
           block.vectors, block.width, block.m, block.taps, cut.c_tiles, cut.m_tiles, cut.chunks);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_outer = {"outer", "outer", applicable, variants, cost, recipe, T3_WEIGHT_GRADIENT};
