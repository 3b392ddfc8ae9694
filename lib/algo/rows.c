/* rows: dense phases with vectors of positions and all residues of H at once, for CPU devices (cl/rows.cl has the maths and the
 * layout). It wins where output channels are few: there phase loads a value of x nearly as often as it multiplies it. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/cycles.h"
#include "algo/rounds.h"
#include "base/checked.h"

/* What one work-item computes at a time: m output channels, h values of t of H, v vectors of width values of t of W, for all
 * residues of H and W; in_place: without the copy of x. */
struct block {
  int64_t width, m, h, v, in_place;
};

enum {
  MAX_STRIDES = 16, /* of H times W: sums of all residues are kept at once */
  MAX_TAPS_HW = 64, /* they are unrolled: this bounds the code's size */
  MAX_BLOCK_H = 6,
  MAX_RESIDUES = 64,  /* of D: the length of the tables in the program */
  MAX_UNROLLED = 400, /* multiply-adds in the innermost body: compiling them takes half a second */
  CHUNK = 1 << 16     /* multiply-adds of one tap of D that a work-item does, about */
};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_axis *axis = problem->layer.axis, *h = &axis[T3_H], *w = &axis[T3_W];
  if (!problem->layer.transposed) {
    snprintf(why, capacity, "it has no convolutions");
    return false;
  }
  if (h->stride > MAX_STRIDES || w->stride > MAX_STRIDES || h->stride * w->stride > MAX_STRIDES)
    return t3_too_much(why, capacity, "the greatest stride of axes H and W", t3_max(h->stride, w->stride), 4);
  if (h->kernel > MAX_TAPS_HW || w->kernel > MAX_TAPS_HW || h->kernel * w->kernel > MAX_TAPS_HW)
    return t3_too_much(why, capacity, "the greatest kernel_size of axes H and W", t3_max(h->kernel, w->kernel), 8);
  if (problem->phases[T3_D].residues > MAX_RESIDUES)
    return t3_too_much(why, capacity, "stride of axis D", axis[T3_D].stride, MAX_RESIDUES);
  if (t3_span(problem, T3_H) > MAX_TAPS_HW) /* rows that it would hold */
    return t3_too_much(why, capacity, "the reach of axis H in x", t3_span(problem, T3_H), MAX_TAPS_HW);
  return t3_stores_rows(problem, why, capacity) && t3_padded_check(problem, MAX_BLOCK_H, why, capacity);
}

/* Sums, the rows of x under one tap of W, and room for weights: with less of it blocks were measured to spill. */
static bool in_registers(const t3_problem *problem, const struct block *block) {
  int64_t sums = block->m * block->h * block->v * t3_used_residues(problem, T3_H) * t3_used_residues(problem, T3_W);
  return sums + (block->h + t3_span(problem, T3_H)) * block->v + 5 <= problem->registers;
}

static t3_padded pad_sizes(const t3_problem *problem, const struct block *block) {
  int64_t step = block->width * block->v;
  t3_padded padded = t3_padded_of(problem, block->h, 0, t3_positions(problem, T3_W) < step ? step : 0);
  if (block->in_place) t3_read_in_place(problem, step, &padded);
  return padded;
}

/* Adds a block, and the same in place where that says something else. */
static size_t add_variants(const t3_problem *problem, struct block block, t3_variant *list, size_t count) {
  for (block.in_place = 0; block.in_place < 2; ++block.in_place)
    if (count < T3_MAX_VARIANTS && (!block.in_place || pad_sizes(problem, &block).edge_width))
      list[count++] = (t3_variant){{block.width, block.m, block.h, block.v, block.in_place}};
  return count;
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t ms[] = {1, 2, 3, 4},
                       shapes[][2] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {6, 1}, {1, 2}, {2, 2}, {1, 3}, {1, 4}};
  const t3_axis *axis = problem->layer.axis;
  int64_t native = t3_max(t3_min(problem->width, 16), 4);
  size_t count = 0;
  for (int64_t width = native; width >= 4; width /= 2)
    for (size_t m = 0; m < sizeof ms / sizeof *ms; ++m)
      for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        struct block block = {width, ms[m], shapes[i][0], shapes[i][1], 0};
        int64_t unrolled = block.m * block.h * block.v * axis[T3_H].kernel * axis[T3_W].kernel;
        bool least = block.m * block.h * block.v == 1;
        if (least || (in_registers(problem, &block) && unrolled <= MAX_UNROLLED))
          count = add_variants(problem, block, list, count);
      }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2], n[3], n[4]};
}

static int64_t packed_count(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t blocks = layer->groups * t3_ceil_div(layer->group_out, block->m) * block->m;
  return blocks * (t3_taps_of(problem, T3_D) * layer->axis[T3_H].kernel * layer->axis[T3_W].kernel * layer->group_in + 1);
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  t3_padded padded = pad_sizes(problem, &block);
  /* One tap of D and one input channel of a block, as in phase.c. */
  int64_t vectors = block.h * block.v, rows = block.h + t3_span(problem, T3_H);
  double products = (double)(block.m * vectors * axis[T3_H].kernel * axis[T3_W].kernel);
  int64_t offsets = t3_min(t3_span(problem, T3_W) / problem->phases[T3_W].offset_step + 1, axis[T3_W].kernel);
  double loads = (double)(offsets * rows * block.v) * t3_vector_loads(problem, block.width);
  loads += (double)(axis[T3_H].kernel * axis[T3_W].kernel * block.m);
  if (t3_few_registers(problem)) loads += (double)(2 + rows); /* of addresses, which then wait in memory */
  int64_t residues = t3_used_residues(problem, T3_H) * t3_used_residues(problem, T3_W);
  double chain = (double)t3_ceil_div(axis[T3_H].kernel * axis[T3_W].kernel, t3_max(residues, 1));
  double body = t3_body_cycles(problem, block.width, products, loads, chain);
  double lines = t3_collision_cycles(problem, &padded) * (double)rows;
  if (body < lines) body = lines;
  body += t3_in_place_cycles(problem, &padded, (double)rows, (double)((offsets - 1) * rows * block.v));
  if (!in_registers(problem, &block)) body *= 2;
  if (problem->fma_width == 16) body *= 1.08; /* measured beside phase, where 512 bits are multiplied and added at once */
  double blocks = (double)t3_ceil_div(t3_positions(problem, T3_W), block.width * block.v);
  blocks *= (double)t3_ceil_div(t3_positions(problem, T3_H), block.h) * (double)t3_positions(problem, T3_D);
  blocks *= (double)(layer->batch * layer->groups * t3_ceil_div(layer->group_out, block.m));
  int64_t outputs = block.m * vectors * axis[T3_H].stride * axis[T3_W].stride;
  double stores = t3_store_cycles(problem, outputs, block.width, block.m);
  double cycles = blocks * ((double)(axis[T3_D].kernel * layer->group_in) * t3_inside(problem, T3_D) * body +
                            (double)problem->phases[T3_D].residues * stores);
  return t3_cycles_to_seconds(&problem->device, cycles) + t3_stream_seconds(&problem->device, layer->y_count) +
         t3_pad_seconds(problem, &padded) + 40e-6;
}

static void define_all(const t3_problem *problem, const struct block *block, const t3_padded *padded, t3_text *defines) {
  t3_define_problem(defines, problem);
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "BLOCK_H", block->h);
  t3_define(defines, "BLOCK_W", block->v);
  t3_define(defines, "SPAN_H", t3_span(problem, T3_H));
  t3_define(defines, "Y_CHANNELS_LAST", t3_y_channels_last(problem));
  t3_define(defines, "STREAM", t3_streams_rows(problem, block->width, block->v, block->m));
  t3_define_edges(defines, problem, padded);
  t3_define_min_offsets(defines, problem);
  t3_define_tables(defines, T3_D, problem);
}

/* Of one block's loops. */
static double block_rounds(const t3_problem *problem, const struct block *block) {
  const t3_axis *axis = problem->layer.axis, *h = &axis[T3_H], *w = &axis[T3_W];
  int64_t rows = block->h + t3_span(problem, T3_H);
  double row = t3_tap_rounds(0, rows, block->v) + (double)h->kernel * t3_tap_rounds(block->m, block->h, block->v);
  double taps = (double)(t3_most_taps(problem, T3_D) * problem->layer.group_in) * (2 + (double)rows + (double)w->kernel * row);
  return taps + t3_sums_rounds(block->m, block->h, block->v, h->stride * w->stride, block->width) +
         (double)(w->kernel * (block->v + 1)) + 4;
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  t3_padded padded = pad_sizes(problem, &block);
  int64_t blocks = t3_ceil_div(layer->group_out, block.m) * problem->phases[T3_D].residues;
  int64_t length = t3_positions(problem, T3_W), lines = t3_ceil_div(t3_positions(problem, T3_H), block.h);
  int64_t work = t3_round_up(length, block.width * block.v) * block.h * block.m * axis[T3_H].kernel * axis[T3_W].kernel;
  double line_rounds = (double)t3_ceil_div(length, block.width * block.v) * block_rounds(problem, &block);
  int64_t run = t3_blocks_in_time(problem, line_rounds, t3_min(t3_max(CHUNK / (work * layer->group_in), 1), lines));
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  define_all(problem, &block, &padded, &recipe->defines);
  recipe->deterministic = true;
  recipe->workspace_bytes = t3_padded_bytes(problem, &padded);
  recipe->pack = (t3_launch){.kernel = "rows_pack", .local = 1, .items = layer->groups * blocks};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  t3_add_pad(problem, &padded, block.width, recipe);
  t3_launch *main = &recipe->run[recipe->num_run++];
  *main = (t3_launch){.kernel = "rows", .local = 1};
  main->items = layer->batch * layer->groups * t3_positions(problem, T3_D) * t3_ceil_div(lines, run) * blocks;
  main->rounds = t3_whole_rounds((double)run * line_rounds + (double)(2 * t3_most_taps(problem, T3_D)));
  T3_ARGS(main, t3_x_arg(&padded), t3_edge_arg(&padded), {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, padded.edge_width},
          {T3_NUMBER, t3_last_plane(problem)}, T3_ROW_STRIDES(read), {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in},
          {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->y.stride), {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out},
          {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, lines}, {T3_NUMBER, length}, {T3_NUMBER, run});
  t3_end_recipe(problem, packed_count(problem, &block), recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " channels x %" PRId64 " rows x %" PRId64 " vectors of %" PRId64 " x %" PRId64 " residues, %s", block.m,
           block.h, block.v, block.width, axis[T3_H].stride * axis[T3_W].stride, t3_reading(&padded));
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_rows = {"rows", "rows", applicable, variants, cost, recipe, T3_LAYER};
