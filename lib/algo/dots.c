/* dots: the gradient of the weight with vectors of positions, for CPU devices (cl/dots.cl has the maths and the layout). It
 * wins where a group has too few input channels for outer's vectors: depthwise layers above all. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/cycles.h"
#include "algo/gradient.h"
#include "algo/rounds.h"
#include "base/checked.h"

/* What one work-item computes at a time: c x m channels at h taps of H and all of W, with vectors of width positions. */
struct block {
  int64_t width, c, m, h;
};

/* How the work is cut: parts of a plane's rows, and chunks of run slabs, which are such parts. */
struct cut {
  int64_t parts, height, slabs, blocks, chunks, run;
};

enum {
  MAX_TAPS_W = 8,    /* they are unrolled: this bounds the code's size */
  KEPT = 1 << 14,    /* floats, sums of a work-item on its stack; 64 KiB */
  MAX_TAPS = 4096,   /* so that the least block is within KEPT */
  MAX_UNROLLED = 32, /* loads of gy in the innermost body: compiling them takes half a second */
  ITEMS_A_UNIT = 8   /* then compute units end within some 10 % of each other */
};

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *w = &layer->axis[T3_W];
  if (w->kernel > MAX_TAPS_W) return t3_too_much(why, capacity, "kernel_size of axis W", w->kernel, MAX_TAPS_W);
  if (layer->taps > MAX_TAPS) return t3_too_much(why, capacity, "kernel_size, all axes", layer->taps, MAX_TAPS);
  if (layer->w_count > INT64_MAX / 1024)
    return t3_too_much(why, capacity, "the number of weights", layer->w_count, INT64_MAX / 1024);
  return t3_gradient_check(problem, why, capacity);
}

/* Taps of H that meet one row of gy. */
static int64_t shared_taps(const t3_axis *h) {
  return t3_ceil_div(h->kernel, t3_phases_of(h).tap_step);
}

/* Sums, vectors of x, one of gy. */
static bool fits(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t taps = layer->axis[T3_W].kernel, sums = block->c * block->m * block->h * taps;
  if (sums + block->c * block->h + 2 > problem->registers) return false;
  if (block->c * block->m * layer->taps * block->width > KEPT || block->m * taps > MAX_UNROLLED) return false;
  return block->c <= layer->group_in && block->m <= layer->group_out && block->h <= shared_taps(&layer->axis[T3_H]);
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t channels[] = {1, 2, 3, 4, 6, 8}, taps[] = {1, 2, 3, 4};
  size_t count = 0;
  for (int64_t width = t3_native_width(problem); width >= 4; width /= 2)
    for (size_t c = 0; c < sizeof channels / sizeof *channels; ++c)
      for (size_t m = 0; m < sizeof channels / sizeof *channels; ++m)
        for (size_t h = 0; h < sizeof taps / sizeof *taps; ++h) {
          struct block block = {width, channels[c], channels[m], taps[h]};
          bool least = width == 4 && c + m + h == 0;
          if (least || fits(problem, &block)) list[count++] = (t3_variant){{width, channels[c], channels[m], taps[h]}};
        }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2], n[3]};
}

/* Of a slab's loops: on all rows, columns and taps; at edges vectors are read lane by lane. */
static double slab_rounds(const t3_problem *problem, const struct block *block, int64_t height) {
  const t3_axis *axis = problem->layer.axis, *w = &axis[T3_W];
  t3_phases h = t3_phases_of(&axis[T3_H]);
  double c = (double)block->c, m = (double)block->m, taps = (double)block->h, width = (double)block->width;
  double taps_w = (double)w->kernel, sums = taps * taps_w * c * m, lines = (double)w->stride * width / 8 + 2;
  double row = 3 + m * lines + taps * (1 + c) + m * taps_w * (2 + taps * (1 + c)) + (taps * c + m * taps_w) * width;
  double rows = (double)height + (taps - 1) * (double)h.offset_step;
  double strips = floor(rows / 4) + 1, columns = (double)t3_ceil_div(w->in, block->width);
  double tile = 8 * sums + width + strips + columns * (strips * (taps_w + 2) + rows * row);
  double tiles = (double)(t3_min(h.tap_step, axis[T3_H].kernel) * t3_ceil_div(shared_taps(&axis[T3_H]), block->h));
  return 1 + (double)axis[T3_D].kernel * (1 + (double)axis[T3_H].kernel + tiles * tile);
}

/* Planes are whole unless they are too few for the compute units. */
static struct cut cut_of(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  int64_t wanted = ITEMS_A_UNIT * t3_max(problem->device.compute_units, 1), planes = layer->batch * axis[T3_D].in;
  struct cut cut = {.parts = 1, .chunks = 1};
  cut.blocks = layer->groups * t3_ceil_div(layer->group_in, block->c) * t3_ceil_div(layer->group_out, block->m);
  int64_t chunks = t3_ceil_div(wanted, cut.blocks);
  if (planes && chunks > planes) cut.parts = t3_min(t3_ceil_div(chunks, planes), axis[T3_H].in);
  cut.height = t3_ceil_div(axis[T3_H].in, cut.parts);
  cut.parts = t3_ceil_div(axis[T3_H].in, cut.height);
  cut.slabs = planes * cut.parts;
  cut.run = t3_blocks_in_time(problem, slab_rounds(problem, block, cut.height), t3_max(t3_ceil_div(cut.slabs, chunks), 1));
  cut.chunks = t3_max(t3_ceil_div(cut.slabs, cut.run), 1);
  return cut;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  struct cut cut = cut_of(problem, &block);
  /* One row of gy in a column: what is shuffled or put together element by element counts as multiply-adds do. */
  int64_t stride = axis[T3_W].stride, taps = axis[T3_W].kernel, sums = block.c * block.m * block.h * taps;
  double shuffles = (double)(block.m * taps) * (stride == 1   ? 0
                                                : stride <= 4 ? (double)(stride - 1)
                                                              : 2.0 * (double)block.width);
  double loads = (double)(block.m * (taps + stride - 1) + block.c * block.h);
  double lines = 1.5 * (double)(block.m * stride + block.c); /* new ones, from the second cache */
  double body = t3_body_cycles(problem, block.width, (double)sums + shuffles, loads, 1) + 4 + lines;
  double rows = (double)(cut.slabs * (cut.height + block.h - 1));
  double columns = (double)t3_ceil_div(axis[T3_W].in, block.width);
  double tiles = (double)t3_phases_of(&axis[T3_H]).tap_step;
  tiles = tiles < (double)axis[T3_H].kernel ? tiles : (double)axis[T3_H].kernel;
  tiles *= (double)t3_ceil_div(shared_taps(&axis[T3_H]), block.h) * (double)axis[T3_D].kernel * t3_meeting(&axis[T3_D]);
  double cycles = (double)cut.blocks * tiles * (rows * columns * body + (double)cut.slabs * (double)sums * 2);
  cycles += (double)(cut.chunks * layer->w_count) * 20;
  /* What another block of channels reads again comes from a cache, or half as dear. */
  double again_x = (double)(t3_ceil_div(layer->group_out, block.m) - 1) / 2,
         again_y = (double)(t3_ceil_div(layer->group_in, block.c) - 1) / 2;
  double seconds = t3_cycles_to_seconds(&problem->device, cycles);
  seconds += (1 + again_x) * t3_stream_seconds(&problem->device, layer->x_count);
  seconds += (1 + again_y) * t3_stream_seconds(&problem->device, layer->y_count);
  return seconds + t3_real_seconds(problem) + (cut.chunks > 1 ? 50e-6 : 40e-6);
}

static void define_all(const t3_problem *problem, const struct block *block, const struct cut *cut, t3_text *defines) {
  t3_phases phases = t3_phases_of(&problem->layer.axis[T3_H]);
  t3_define_problem(defines, problem);
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "BLOCK_C", block->c);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "TAPS_H", block->h);
  t3_define(defines, "TAP_STEP_H", phases.tap_step);
  t3_define(defines, "OFFSET_STEP_H", phases.offset_step);
  t3_define(defines, "PARTIAL", cut->chunks > 1);
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  struct cut cut = cut_of(problem, &block);
  define_all(problem, &block, &cut, &recipe->defines);
  recipe->deterministic = true;
  int64_t used = 0;
  t3_arg x = t3_real_arg(problem, T3_X, block.width, &used, recipe);
  t3_arg gy = t3_real_arg(problem, T3_GY, block.width, &used, recipe);
  t3_arg partial = {T3_WORKSPACE, used}, target = cut.chunks > 1 ? partial : (t3_arg){T3_Y, 0};
  recipe->workspace_bytes = used * problem->real_size;
  t3_launch *main = &recipe->run[recipe->num_run++];
  *main = (t3_launch){.kernel = "dots", .local = 1, .items = cut.blocks * cut.chunks};
  main->rounds = t3_whole_rounds((double)cut.run * slab_rounds(problem, &block, cut.height) +
                                 (double)(block.c * block.m * layer->taps * (4 + 2 * block.width)));
  T3_ARGS(main, x, gy, target, {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in},
          {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, layer->batch},
          {T3_NUMBER, cut.slabs}, {T3_NUMBER, cut.parts}, {T3_NUMBER, cut.height}, {T3_NUMBER, cut.run});
  if (cut.chunks > 1) {
    recipe->workspace_bytes += cut.chunks * layer->w_count * problem->real_size;
    t3_launch *sum = &recipe->run[recipe->num_run++];
    *sum = (t3_launch){
        .kernel = "dots_sum", .local = 1, .items = t3_ceil_div(layer->w_count, 64), .rounds = 64 * (cut.chunks + 1)};
    T3_ARGS(sum, partial, {T3_Y, 0}, {T3_NUMBER, layer->w_count}, {T3_NUMBER, cut.chunks});
  }
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " x %" PRId64 " channels x %" PRId64 " taps of H x vectors of %" PRId64 " positions, %" PRId64 " chunks",
           block.c, block.m, block.h, block.width, cut.chunks);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_dots = {"dots", "dots", applicable, variants, cost, recipe, T3_WEIGHT_GRADIENT};
