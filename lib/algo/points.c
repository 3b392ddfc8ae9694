/* points: dense phases with a few sums in registers and nothing in local memory, for GPUs (cl/points.cl has the maths and the
 * layout). It wins there where groups have too few channels for a tile: depthwise layers and few output channels. On other
 * devices it is right, and never chosen. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/padded.h"
#include "algo/tile.h"
#include "base/checked.h"

/* m output channels x t values of t, for all residues of W; work-items of a work-group. */
struct block {
  int64_t m, t, local;
};

enum {
  MAX_STRIDE_W = 8,  /* sums of all residues of W are kept at once */
  MAX_KERNEL_W = 32, /* taps along W are unrolled: this bounds the code's size */
  MAX_UNROLLED = 128,
  MAX_BOUNDS = 12, /* conditions of positions under taps of W: on AMD each keeps two scalar registers, of some hundred */
  MAX_SUMS = 16,
  MAX_RESIDUES = 64, /* of D and H: the length of the tables in the program */
  LOCAL = 128
};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_axis *axis = problem->layer.axis;
  if (t3_output_step(&axis[T3_W]) > MAX_STRIDE_W)
    return t3_too_much(why, capacity, "stride of axis W", axis[T3_W].stride, MAX_STRIDE_W);
  if (axis[T3_W].kernel > MAX_KERNEL_W)
    return t3_too_much(why, capacity, "kernel_size of axis W", axis[T3_W].kernel, MAX_KERNEL_W);
  for (int a = T3_D; a <= T3_H; ++a)
    if (problem->phases[a].residues > MAX_RESIDUES)
      return t3_too_much(why, capacity, a == T3_D ? "stride of axis D" : "stride of axis H", axis[a].stride, MAX_RESIDUES);
  return t3_check_counts(problem, why, capacity);
}

/* Work-items by powers of two, as the device has them. */
static int64_t local_size(const t3_problem *problem) {
  int64_t local = LOCAL;
  while (local > 1 && (uint64_t)local > problem->device.work_group_size) local /= 2;
  return local;
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t blocks[][2] = {{4, 2}, {4, 1}, {2, 4}, {2, 2}, {2, 1}, {1, 4}, {1, 2}, {1, 1}};
  const t3_axis *w = &problem->layer.axis[T3_W];
  const unsigned registers = problem->device.registers; /* 0 where nobody knows */
  const int64_t sums = registers && registers < 256 ? MAX_SUMS / 2 : MAX_SUMS;
  size_t count = 0;
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
    int64_t m = blocks[i][0], t = blocks[i][1];
    bool fits = m * t * t3_output_step(w) <= sums && m * t * w->kernel <= MAX_UNROLLED && t * w->kernel <= MAX_BOUNDS &&
                m < 2 * problem->layer.group_out;
    if (fits || m * t == 1) list[count++] = (t3_variant){{m, t, local_size(problem)}};
  }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2]};
}

static int64_t blocks_of(const t3_problem *problem, const struct block *block) {
  return problem->layer.groups * t3_ceil_div(problem->layer.group_out, block->m);
}

/* Terms of a block's sums, all residues together. */
static int64_t terms(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H) * layer->group_in * layer->axis[T3_W].kernel;
}

static int64_t residues(const t3_problem *problem) {
  return problem->phases[T3_D].residues * problem->phases[T3_H].residues;
}

/* Neighbours in memory are groups, and there are some. */
static bool blocks_fastest(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return layer->groups >= 8 && layer->x.stride[T3_AXIS_C] == 1 && layer->x.stride[T3_AXIS_W] != 1 &&
         t3_y_channels_last(problem);
}

/* Along t, of one block and pair of residues: work-groups, or work-items where blocks are fastest. */
static int64_t tiles(const t3_problem *problem, const struct block *block) {
  int64_t positions =
      problem->layer.batch * t3_positions(problem, T3_D) * t3_positions(problem, T3_H) * t3_positions(problem, T3_W);
  return t3_ceil_div(positions, block->t * (blocks_fastest(problem) ? 1 : block->local));
}

static int64_t item_count(const t3_problem *problem, const struct block *block) {
  int64_t count = tiles(problem, block) * residues(problem) * blocks_of(problem, block);
  return blocks_fastest(problem) ? count : count * block->local;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  struct block block = block_of(variant);
  double items = (double)item_count(problem, &block), per_item = (double)terms(problem) / (double)residues(problem);
  /* A multiply-add a cycle; a weight, shared by the work-items, is loaded once for t of them; a value of x costs its bounds,
   * its place and the load, which other taps share. */
  double products = (double)(block.m * block.t), cycles = per_item * (products + (double)block.m + 4 * (double)block.t);
  double stored = products * (double)t3_output_step(&layer->axis[T3_W]);
  t3_gpu_work work = {.groups = items / (double)block.local,
                      .items = (double)block.local,
                      .cycles = (double)block.local * (cycles + 10 * stored + 150),
                      .cached = items * (per_item * (double)block.t / 4 + stored),
                      .streamed = (double)(layer->x_count + layer->y_count + layer->w_count)};
  return t3_gpu_seconds(problem, &work);
}

static void define_all(const t3_problem *problem, const struct block *block, t3_text *defines) {
  t3_define_problem(defines, problem);
  t3_define_registers(defines, problem);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "BLOCK_T", block->t);
  t3_define(defines, "LOCAL", block->local);
  t3_define(defines, "BLOCKS_FASTEST", blocks_fastest(problem));
  for (int a = T3_D; a <= T3_H; ++a) t3_define_tables(defines, a, problem);
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  int64_t blocks = blocks_of(problem, &block), weights = blocks * terms(problem) * block.m;
  int64_t rows = blocks * residues(problem) * layer->group_in * axis[T3_W].kernel * block.m;
  define_all(problem, &block, &recipe->defines);
  recipe->deterministic = true;
  recipe->pack = (t3_launch){.kernel = "points_pack", .local = (size_t)block.local, .items = rows + layer->out_channels};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  recipe->run[0] = (t3_launch){.kernel = "points", .local = (size_t)block.local, .items = item_count(problem, &block)};
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, {T3_NUMBER, axis[T3_D].in},
          {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->x.stride), {T3_NUMBER, axis[T3_D].out},
          {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, T3_STRIDES(layer->y.stride),
          {T3_NUMBER, tiles(problem, &block)});
  recipe->num_run = 1;
  t3_end_recipe(problem, weights + layer->out_channels, recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " channels x %" PRId64 " positions x %" PRId64 " residues a work-item, neighbours along %s", block.m,
           block.t, t3_output_step(&axis[T3_W]), blocks_fastest(problem) ? "channels" : "positions");
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_points = {"points", "points", applicable, variants, cost, recipe, T3_LAYER};
