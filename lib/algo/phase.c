/* phase: dense phases with explicit vectors, the design for CPU devices (cl/phase.cl has the maths and the layout). It wins on
 * any CPU wherever an output row fills a vector; register block and vector width are chosen here by counting. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "base/checked.h"
#include "base/status.h"

/* What one work-item computes at a time: m output channels, h rows, v vectors of width values of t, for all residues of W. */
struct block {
  int64_t width, m, h, v;
};

/* Sizes of the zero-padded copy of x along D, H, W, and whether x itself can be read instead. */
struct padded {
  int64_t size[3];
  bool copy;
};

enum {
  MAX_STRIDE_W = 16,  /* sums of all residues of W are kept at once: more would only spill registers */
  MAX_KERNEL_W = 128, /* taps along W are unrolled: this bounds the code's size */
  MAX_TAPS_DH = 1024, /* kD*kH: a work-item keeps that many row offsets */
  MAX_RESIDUES = 64,  /* of D and H: the length of the tables in the program */
  MAX_UNROLLED = 512  /* multiply-adds in the innermost body */
};

static int64_t positions(const t3_problem *problem, int axis) {
  return problem->phases[axis].positions;
}

static int64_t span(const t3_problem *problem, int axis) {
  return problem->phases[axis].max_offset - problem->phases[axis].min_offset;
}

/* Different input offsets among the taps of W: vectors of x that one row of taps loads. */
static int64_t offsets_w(const t3_problem *problem) {
  return t3_min(span(problem, T3_W) / problem->phases[T3_W].offset_step + 1, problem->layer.axis[T3_W].kernel);
}

/* Cycles that block takes for one useful output position and channel of one tap of D and H and one input channel, waste
 * included; 0 when the block is not to be used. Two multiply-adds and two loads a cycle, results after four. */
static double block_cycles(const t3_problem *problem, const struct block *block, int64_t registers) {
  const t3_axis *w = &problem->layer.axis[T3_W];
  int64_t vectors = block->h * block->v, sums = block->m * vectors * w->stride;
  int64_t products = block->m * vectors * w->kernel;
  bool least = block->m == 1 && vectors == 1;
  if (!least && (sums + vectors + 4 > registers || products > MAX_UNROLLED)) return 0;
  double loads = (double)(offsets_w(problem) * vectors + w->kernel * block->m);
  double latency = 4.0 * (double)t3_ceil_div(w->kernel, w->stride);
  double cycles = (double)products / 2;
  if (cycles < loads / 2) cycles = loads / 2;
  if (cycles < latency) cycles = latency;
  if (sums + vectors + 4 > registers) cycles *= 2; /* spilled at every step */
  int64_t t_w = positions(problem, T3_W), t_h = positions(problem, T3_H), m = problem->layer.group_out;
  double computed =
      (double)t3_round_up(t_w, block->width * block->v) * (double)t3_round_up(t_h, block->h) * (double)t3_round_up(m, block->m);
  double useful = (double)t_w * (double)t_h * (double)m;
  return (cycles + 2) / (double)(block->m * vectors * block->width) * computed / useful; /* 2: the loop itself */
}

static double predicted_cycles(const t3_problem *problem, const struct block *block) {
  return block_cycles(problem, block, problem->device.vector_width >= 16 ? 32 : 16);
}

/* Every block that the registers hold: 32 where the vectors are of 512 bits (AVX-512), else 16. */
static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t ms[] = {8, 6, 4, 3, 2, 1}, counts[] = {1, 2, 3, 4};
  int64_t native = t3_max(t3_min(problem->device.vector_width, 16), 4);
  size_t count = 0;
  for (int64_t width = 4; width <= native; width *= 2)
    for (size_t m = 0; m < sizeof ms / sizeof *ms; ++m)
      for (size_t h = 0; h < sizeof counts / sizeof *counts; ++h)
        for (size_t v = 0; v < sizeof counts / sizeof *counts; ++v) {
          struct block block = {width, ms[m], counts[h], counts[v]};
          if (predicted_cycles(problem, &block) > 0 && count < T3_MAX_VARIANTS)
            list[count++] = (t3_variant){{block.width, block.m, block.h, block.v}};
        }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  return (struct block){variant->number[0], variant->number[1], variant->number[2], variant->number[3]};
}

static struct padded pad_sizes(const t3_problem *problem, const struct block *block) {
  struct padded padded = {{positions(problem, T3_D), t3_round_up(positions(problem, T3_H), block->h),
                           t3_round_up(positions(problem, T3_W), block->width * block->v)},
                          false};
  for (int a = 0; a < 3; ++a) {
    padded.size[a] += span(problem, a);
    /* Without any offset and without rounding up, the copy would be x itself. */
    if (padded.size[a] != problem->layer.axis[a].in || problem->phases[a].min_offset) padded.copy = true;
  }
  return padded;
}

/* Elements of the padded copy; false when they overflow. */
static bool padded_count(const t3_problem *problem, const struct padded *padded, int64_t *count) {
  *count = t3_max(problem->layer.batch, 1);
  return t3_mul(*count, problem->layer.in_channels, count) && t3_product(count, padded->size, 3) && *count < INT64_MAX / 16;
}

static int64_t packed_count(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t taps = 1;
  for (int a = T3_D; a <= T3_H; ++a) {
    int64_t sum = 0;
    for (int64_t r = 0; r < problem->phases[a].residues; ++r) sum += t3_phase_at(&layer->axis[a], r).taps;
    taps *= sum;
  }
  int64_t blocks = layer->groups * t3_ceil_div(layer->group_out, block->m);
  return blocks * block->m * (taps * layer->group_in * layer->axis[T3_W].kernel + 1);
}

static bool refuse(char *why, size_t capacity, const char *what, int64_t value, int64_t limit) {
  snprintf(why, capacity, "%s is %" PRId64 ", past the %" PRId64 " that its kernel is made for", what, value, limit);
  return false;
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_axis *axis = problem->layer.axis;
  if (axis[T3_W].stride > MAX_STRIDE_W) return refuse(why, capacity, "stride of axis W", axis[T3_W].stride, MAX_STRIDE_W);
  if (axis[T3_W].kernel > MAX_KERNEL_W) return refuse(why, capacity, "kernel_size of axis W", axis[T3_W].kernel, MAX_KERNEL_W);
  int64_t taps_dh = axis[T3_D].kernel * axis[T3_H].kernel;
  if (taps_dh > MAX_TAPS_DH) return refuse(why, capacity, "kernel_size of D times that of H", taps_dh, MAX_TAPS_DH);
  for (int a = T3_D; a <= T3_H; ++a)
    if (problem->phases[a].residues > MAX_RESIDUES)
      return refuse(why, capacity, a == T3_D ? "stride of axis D" : "stride of axis H", axis[a].stride, MAX_RESIDUES);
  for (int a = 0; a < 3; ++a)
    if (t3_max(axis[a].in, axis[a].out) > INT32_MAX / 4)
      return refuse(why, capacity, "an input or output size", t3_max(axis[a].in, axis[a].out), INT32_MAX / 4);
  /* The kernel finds the residue and the offset of a tap of W in 32 bits. */
  int64_t reach = t3_max((axis[T3_W].kernel - 1) * axis[T3_W].dilation, axis[T3_W].padding);
  if (reach > INT32_MAX / 4) return refuse(why, capacity, "the reach or the padding of axis W", reach, INT32_MAX / 4);
  struct block block = {16, 1, 4, 4};
  struct padded padded = pad_sizes(problem, &block);
  int64_t count, channel = 1;
  if (!t3_product(&channel, padded.size, 3)) channel = INT64_MAX;
  if (channel > INT32_MAX) return refuse(why, capacity, "the padded channel's number of elements", channel, INT32_MAX);
  if (padded_count(problem, &padded, &count)) return true;
  snprintf(why, capacity, "the padded copy of x overflows 63 bits");
  return false;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  struct block block = block_of(variant);
  double cycles = predicted_cycles(problem, &block), steps;
  /* Every tap of D and H once for each t of its residue: the crop at the borders is ignored. */
  steps = (double)positions(problem, T3_D) * (double)layer->axis[T3_D].kernel * (double)positions(problem, T3_H) *
          (double)layer->axis[T3_H].kernel * (double)positions(problem, T3_W);
  steps *= (double)layer->batch * (double)layer->in_channels * (double)layer->group_out;
  double seconds = steps * cycles * 2 * (double)problem->device.vector_width / t3_device_rate(&problem->device);
  struct padded padded = pad_sizes(problem, &block);
  int64_t count;
  if (padded.copy && padded_count(problem, &padded, &count)) seconds += (double)count * sizeof(float) / 8e9; /* measured */
  /* One work-item a group leaves a GPU's lanes idle. */
  return (problem->device.type & CL_DEVICE_TYPE_GPU ? seconds * 32 : seconds) + 40e-6;
}

/* The tables by residue of axis D or H. */
static void define_tables(t3_text *defines, int a, const t3_axis *axis, const t3_phases *phases) {
  t3_text start = {0}, tap = {0}, offset = {0};
  int64_t before = 0;
  for (int64_t r = 0; r < phases->residues; ++r) {
    t3_phase phase = t3_phase_at(axis, r);
    t3_text_append(&start, ",%" PRId64, before += phase.taps);
    t3_text_append(&tap, r ? ",%" PRId64 : "%" PRId64, phase.first_tap);
    t3_text_append(&offset, r ? ",%" PRId64 : "%" PRId64, phase.first_offset);
  }
  bool whole = t3_text_ok(&start) && t3_text_ok(&tap) && t3_text_ok(&offset);
  if (whole)
    t3_text_append(defines, "TAP_START_%c=0%s\nFIRST_TAP_%c=%s\nFIRST_OFFSET_%c=%s\n", "DHW"[a], start.data, "DHW"[a], tap.data,
                   "DHW"[a], offset.data);
  else
    defines->failed = true;
  t3_text_append(defines, "TAP_STEP_%c=%" PRId64 "\nOFFSET_STEP_%c=%" PRId64 "\n", "DHW"[a], phases -> tap_step, "DHW"[a],
                 phases -> offset_step);
  t3_text_free(&start);
  t3_text_free(&tap);
  t3_text_free(&offset);
}

static void define_all(const t3_problem *problem, const struct block *block, t3_text *defines) {
  const t3_phases *p = problem->phases;
  t3_define_layer(defines, &problem->layer);
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "BLOCK_H", block->h);
  t3_define(defines, "BLOCK_W", block->v);
  t3_define(defines, "RESIDUES_D", p[T3_D].residues);
  t3_define(defines, "RESIDUES_H", p[T3_H].residues);
  t3_define_axes(defines, "MIN_OFFSET", (int64_t[]){p[0].min_offset, p[1].min_offset, p[2].min_offset});
  for (int a = T3_D; a <= T3_H; ++a) define_tables(defines, a, &problem->layer.axis[a], &p[a]);
}

static void add_launches(const t3_problem *problem, const struct block *block, const struct padded *padded, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  int64_t m_blocks = t3_ceil_div(layer->group_out, block->m);
  int64_t phases = problem->phases[T3_D].residues * problem->phases[T3_H].residues;
  const int64_t *size = padded->size;

  recipe->pack = (t3_launch){.kernel = "phase_pack", .local = 1, .items = layer->groups * m_blocks * phases};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  if (padded->copy) {
    t3_launch *pad = &recipe->run[recipe->num_run++];
    *pad = (t3_launch){.kernel = "phase_pad", .local = 1, .items = layer->batch * layer->in_channels * size[T3_D]};
    T3_ARGS(pad, {T3_X, 0}, {T3_WORKSPACE, 0}, {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in},
            {T3_NUMBER, axis[T3_W].in}, {T3_NUMBER, size[T3_D]}, {T3_NUMBER, size[T3_H]}, {T3_NUMBER, size[T3_W]});
  }
  t3_launch *main = &recipe->run[recipe->num_run++];
  int64_t rows = positions(problem, T3_D) * t3_ceil_div(positions(problem, T3_H), block->h);
  *main = (t3_launch){.kernel = "phase", .local = 1, .items = layer->batch * layer->groups * rows * phases * m_blocks};
  T3_ARGS(main, {padded->copy ? T3_WORKSPACE : T3_X, 0}, {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, size[T3_D]},
          {T3_NUMBER, size[T3_H]}, {T3_NUMBER, size[T3_W]}, {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out},
          {T3_NUMBER, axis[T3_W].out});
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  struct block block = block_of(variant);
  struct padded padded = pad_sizes(problem, &block);
  int64_t workspace = 0;
  if (padded.copy && !padded_count(problem, &padded, &workspace))
    return t3_fail(TCONV3D_SIZE_OVERFLOW, "the padded copy of x overflows 63 bits");
  define_all(problem, &block, &recipe->defines);
  recipe->deterministic = true;
  recipe->packed_bytes = packed_count(problem, &block) * (int64_t)sizeof(float);
  recipe->workspace_bytes = workspace * (int64_t)sizeof(float);
  add_launches(problem, &block, &padded, recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " channels x %" PRId64 " rows x %" PRId64 " vectors of %" PRId64 " x %" PRId64 " residues, %s", block.m,
           block.h, block.v, block.width, problem->layer.axis[T3_W].stride,
           padded.copy ? "x copied with zeros around" : "x read in place");
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_phase = {"phase", "phase", applicable, variants, cost, recipe};
