/* pipeline: dense phases in one work-item, for FPGAs (cl/pipeline.cl has the maths and the layout). Their compilers make
 * hardware of its loops, where other devices would use one lane of thousands: it is chosen on accelerators alone, and works
 * everywhere. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "algo/algo.h"
#include "algo/padded.h"
#include "base/checked.h"
#include "device/quirks.h"

/* Multiply-adds that the hardware makes at once: output channels x positions of W. */
struct block {
  int64_t m, w;
};

enum {
  MAX_RESIDUES = 64,     /* of an axis: the length of the tables in the program */
  MAX_LINE = 256,        /* registers of a line of x */
  MAX_M = 16,            /* of all blocks */
  MAX_KERNEL = 1 << 16,  /* taps, phases, blocks and channels are counted in 32 bits */
  MAX_CHANNELS = 1 << 24 /* of a layer; rounded up to blocks */
};

static bool check_axis(const t3_problem *problem, int a, char *why, size_t capacity) {
  const t3_axis *axis = &problem->layer.axis[a];
  const t3_phases *phases = &problem->phases[a];
  int64_t furthest = t3_max(llabs(phases->min_offset), llabs(phases->max_offset));
  if (phases->residues > MAX_RESIDUES) return t3_too_much(why, capacity, "a stride", axis->stride, MAX_RESIDUES);
  if (axis->kernel > MAX_KERNEL) return t3_too_much(why, capacity, "a kernel_size", axis->kernel, MAX_KERNEL);
  if (axis->stride > INT32_MAX / 4) return t3_too_much(why, capacity, "a stride", axis->stride, INT32_MAX / 4);
  if (axis->dilation > INT32_MAX / 4) return t3_too_much(why, capacity, "a dilation", axis->dilation, INT32_MAX / 4);
  if (furthest <= INT32_MAX / 4) return true;
  return t3_too_much(why, capacity, "the reach or the padding of an axis", furthest, INT32_MAX / 4);
}

static struct block block_of(const t3_variant *variant) {
  return (struct block){variant->number[0], variant->number[1]};
}

/* Taps of W that one residue has at most. */
static int64_t most_taps(const t3_problem *problem) {
  int64_t most = 1;
  for (int64_t r = 0; r < problem->phases[T3_W].residues; ++r)
    most = t3_max(most, t3_phase_at(&problem->layer.axis[T3_W], r).taps);
  return most;
}

/* Values of x in a row that a tile's taps meet, from the lowest to the highest; 0: too many for registers. */
static int64_t line_length(const t3_problem *problem, const struct block *block) {
  int64_t step = t3_step(problem, T3_W), apart = llabs(problem->phases[T3_W].offset_step);
  int64_t length = (block->w - 1) * step + 1 + (most_taps(problem) - 1) * apart;
  return length <= MAX_LINE ? length : 0;
}

static int64_t m_blocks(const t3_problem *problem, const struct block *block) {
  return t3_ceil_div(problem->layer.group_out, block->m);
}

/* Rounds of the pipelines: a value of x into the line, a tap, a value of y. */
static double rounds(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  double inside = t3_inside(problem, T3_D) * t3_inside(problem, T3_H), positions = (double)layer->batch;
  for (int a = T3_D; a <= T3_H; ++a) positions *= (double)t3_positions(problem, a);
  double lines = positions * (double)(t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H)) * inside *
                 (double)(layer->groups * m_blocks(problem, block) * layer->group_in) *
                 (double)t3_ceil_div(t3_positions(problem, T3_W), block->w);
  int64_t line = line_length(problem, block), taps = t3_taps_of(problem, T3_W);
  double reads = line ? (double)(line * t3_used_residues(problem, T3_W)) : (double)(block->w * taps);
  return lines * (reads + (double)taps) + (double)layer->y_count;
}

/* Rounds of the task's loops, those of unrolled ones included: a compiler may leave them as they are. */
static double all_rounds(const t3_problem *problem, const struct block *block) {
  return (double)(block->m * block->w) * rounds(problem, block);
}

/* Weights are packed by a task too. */
static int64_t packed_weights(const t3_problem *problem, const struct block *block) {
  int64_t taps = t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H) * t3_taps_of(problem, T3_W);
  return problem->layer.groups * m_blocks(problem, block) * block->m * (taps * problem->layer.group_in + 1);
}

/* One work-item does it all. */
static bool ends_in_time(const t3_problem *problem, const struct block *block) {
  if (!t3_has_quirk(&problem->device, T3_FEW_ROUNDS)) return true;
  return all_rounds(problem, block) <= T3_MOST_ROUNDS && 2 * packed_weights(problem, block) <= T3_MOST_ROUNDS;
}

static const struct block blocks[] = {{4, 8}, {8, 8}, {8, 16}, {MAX_M, 16}};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  for (int a = 0; a < 3; ++a)
    if (!check_axis(problem, a, why, capacity)) return false;
  int64_t channels = t3_max(layer->in_channels, layer->out_channels), most = INT64_MAX / 32 / MAX_M;
  if (channels > MAX_CHANNELS) return t3_too_much(why, capacity, "the number of channels", channels, MAX_CHANNELS);
  if (layer->w_count > most) return t3_too_much(why, capacity, "the number of weights", layer->w_count, most);
  if (ends_in_time(problem, &blocks[0])) return true;
  snprintf(why, capacity, "the driver ends a work-item's loops after %d rounds, and one work-item would do all",
           T3_MOST_ROUNDS);
  return false;
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  size_t count = 0;
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
    if (ends_in_time(problem, &blocks[i])) list[count++] = (t3_variant){{blocks[i].m, blocks[i].w}};
  return count;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  struct block block = block_of(variant);
  double clock = 250e6; /* what FPGA compilers reach for pipelines of this kind; a round takes a cycle */
  if (problem->device.type & CL_DEVICE_TYPE_ACCELERATOR) return rounds(problem, &block) / clock + 40e-6;
  /* Elsewhere a round goes step by step, on one lane of the device: too slow ever to be the choice, and the smallest block,
   * which is compiled soonest, before the others. */
  return 0.1 + all_rounds(problem, &block) / 1e8;
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  int64_t line = line_length(problem, &block);
  t3_define_problem(&recipe->defines, problem);
  t3_define(&recipe->defines, "BLOCK_M", block.m);
  t3_define(&recipe->defines, "BLOCK_W", block.w);
  t3_define(&recipe->defines, "LINE", line);
  for (int a = T3_D; a <= T3_W; ++a) t3_define_tables(&recipe->defines, a, problem);
  recipe->deterministic = true;
  recipe->pack = (t3_launch){.kernel = "pipeline_pack", .local = 1, .items = 1, .rounds = 1};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  recipe->run[0] = (t3_launch){.kernel = "pipeline", .local = 1, .items = 1, .rounds = 1}; /* counted above */
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, {T3_NUMBER, axis[T3_D].in},
          {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->x.stride), {T3_NUMBER, axis[T3_D].out},
          {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, T3_STRIDES(layer->y.stride));
  recipe->num_run = 1;
  t3_end_recipe(problem, packed_weights(problem, &block), recipe);
  snprintf(recipe->detail, sizeof recipe->detail, "%" PRId64 " channels x %" PRId64 " positions at once, %s", block.m, block.w,
           line ? "lines of x in a shift register" : "each value of x read for each tap");
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_pipeline = {"pipeline", "pipeline", applicable, variants, cost, recipe, T3_LAYER};
