/* phase: dense phases with explicit vectors, the design for CPU devices (cl/phase.cl has the maths and the layout). It wins on
 * any CPU wherever an output row fills a vector; register block and vector width are chosen here by counting. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "algo/algo.h"
#include "algo/cycles.h"
#include "algo/rounds.h"
#include "base/checked.h"
#include "base/status.h"

/* What one work-item computes at a time: m output channels, h rows, v vectors of width values of t, for all residues of W. How
 * x is walked: by rows of a copy, over whole planes of it (then h is 1), or by rows of x itself. gather: several blocks of m
 * share vectors of x that are laid out first. */
enum walk { ROWS, PLANES, IN_PLACE };
struct block {
  int64_t width, m, h, v, walk, gather;
};

enum {
  MAX_STRIDE_W = 16,  /* sums of all residues of W are kept at once: more would only spill registers */
  MAX_KERNEL_W = 128, /* taps along W are unrolled: this bounds the code's size */
  MAX_TAPS_DH = 1024, /* kD*kH: a work-item keeps that many row offsets */
  MAX_RESIDUES = 64,  /* of D and H: the length of the tables in the program */
  CHUNK = 1 << 17,    /* multiply-adds by channel, of one tap, that a work-item does at least */
  MAX_BLOCK_H = 4,
  SUMS_BYTES = 64 << 10, /* of those blocks: each is away from the first cache once for many channels */
  MAX_UNROLLED = 512     /* multiply-adds in the innermost body */
};

/* Different input offsets among the taps of W; those that are loaded together where a step is taken along a row count once. */
static int64_t offsets_w(const t3_problem *problem) {
  int64_t step = llabs(problem->phases[T3_W].offset_step), apart = t3_step(problem, T3_W);
  return t3_min(t3_span(problem, T3_W) / t3_max(step, apart) + 1, problem->layer.axis[T3_W].kernel);
}

/* Vectors that one row of taps loads and shuffles, for one vector of outputs. Shuffles by step: with AVX-512 each is of two
 * vectors by any lanes; AVX2 has such only within halves, which serves steps of two; how many it needs beyond is an estimate.
 */
static double loads_w(const t3_problem *problem, const struct block *block) {
  static const double shuffles[][5] = {{0, 0, 1, 2, 3}, {0, 0, 1, 5, 6}};
  int64_t step = t3_step(problem, T3_W), taps = problem->layer.axis[T3_W].kernel;
  if (step > 4) return (double)(taps * block->width);
  return (double)(offsets_w(problem) * step) * t3_vector_loads(problem, block->width) +
         shuffles[t3_few_registers(problem)][step] * (double)taps;
}

/* Values between the starts of two rows of x where vectors run over the ends of rows: the zeros after a row are also those
 * before the next one: the greatest position that an output reads must lie before the next row's first value of x, unless rows
 * with all their own zeros are shorter still (x much longer than y). */
static int64_t flat_pitch(const t3_problem *problem) {
  const t3_axis *w = &problem->layer.axis[T3_W];
  int64_t t_w = t3_positions(problem, T3_W), pitch = t3_max(t_w, w->in - problem->phases[T3_W].min_offset);
  for (int64_t r = 0; r < problem->phases[T3_W].residues; ++r) {
    t3_phase phase = t3_phase_at(w, r);
    int64_t highest = w->convolves ? problem->phases[T3_W].max_offset : phase.first_offset;
    if (phase.taps) pitch = t3_max(pitch, phase.positions + highest);
  }
  return t3_min(pitch, t_w + t3_span(problem, T3_W));
}

/* Values of t in a line. */
static int64_t line_length(const t3_problem *problem, const struct block *block) {
  int64_t t_w = t3_positions(problem, T3_W);
  return block->walk == PLANES ? (t3_positions(problem, T3_H) - 1) * flat_pitch(problem) + t_w : t_w;
}

/* Different values of t of one plane that a line-by-line walk computes, and how many of them are outputs. */
static double lanes_used(const t3_problem *problem, const struct block *block) {
  int64_t t_w = t3_positions(problem, T3_W), t_h = t3_positions(problem, T3_H), step = block->width * block->v;
  double useful = (double)t_w * (double)t_h;
  int64_t rows = block->walk == PLANES ? 1 : t3_round_up(t_h, block->h);
  return useful / ((double)rows * (double)t3_round_up(line_length(problem, block), step));
}

/* Sums of a block, its vectors of x, and room for a weight and an address: more than there are registers would be spilled. With
 * three vectors or more in a row compilers load ahead: blocks with less room to spare than this were measured to spill. With 16
 * registers, blocks that read what was laid out, which needs no addresses and no masks, were measured to need one for a weight
 * alone, unless several residues share the vectors. */
static bool in_registers(const t3_problem *problem, const struct block *block) {
  int64_t vectors = block->h * block->v, spare = block->v > 2 ? 6 : 3;
  if (block->gather && t3_few_registers(problem) && t3_used_residues(problem, T3_W) == 1) spare = 1;
  return block->m * vectors * t3_used_residues(problem, T3_W) + vectors + spare <= problem->registers;
}

static t3_padded pad_sizes(const t3_problem *problem, const struct block *block) {
  int64_t step = block->width * block->v, pitch = block->walk == PLANES ? flat_pitch(problem) : 0;
  int64_t slack = line_length(problem, block) < step ? step * t3_step(problem, T3_W) : 0;
  if (block->walk == PLANES) slack += t3_max(t3_positions(problem, T3_W) + t3_span(problem, T3_W) - pitch, 0);
  t3_padded padded = t3_padded_of(problem, block->h, pitch, slack);
  if (block->walk == IN_PLACE) t3_read_in_place(problem, step, &padded);
  return padded;
}

/* Taps of D and H that reach one residue, at most; what one input channel lays out under each: vectors in a row for different
 * offsets of W; and bytes in all. */
static int64_t most_taps(const t3_problem *problem) {
  return t3_most_taps(problem, T3_D) * t3_most_taps(problem, T3_H);
}
static int64_t gathered_w(const t3_problem *problem) {
  return t3_min(t3_span(problem, T3_W) + 1, problem->layer.axis[T3_W].kernel);
}
static int64_t gathered_bytes(const t3_problem *problem, const struct block *block) {
  return most_taps(problem) * gathered_w(problem) * block->h * block->v * block->width * problem->real_size;
}

/* Bytes laid out at a time, at most: in the first cache, beside the sums of the blocks that share them. That of processors with
 * 16 registers is often shared with another thread of the core (measured: a quarter of it is as good as half, and better where
 * lines collide).
 */
static int64_t most_gathered_bytes(const t3_problem *problem) {
  return t3_few_registers(problem) ? 8 << 10 : 16 << 10;
}

static int64_t m_blocks(const t3_problem *problem, const struct block *block) {
  return t3_ceil_div(problem->layer.group_out, block->m);
}

/* Blocks of channels that a work-item takes, even parts of all of them, and input channels at a time. */
static int64_t tile_m(const t3_problem *problem, const struct block *block) {
  int64_t sums =
      block->m * block->h * block->v * block->width * t3_output_step(&problem->layer.axis[T3_W]) * problem->real_size;
  int64_t blocks = m_blocks(problem, block), most = t3_max(SUMS_BYTES / sums, 1);
  return block->gather ? t3_ceil_div(blocks, t3_ceil_div(blocks, most)) : 1;
}
static int64_t channels_at_once(const t3_problem *problem, const struct block *block) {
  int64_t all = problem->layer.group_in, most = t3_max(most_gathered_bytes(problem) / gathered_bytes(problem, block), 1);
  return block->gather ? t3_ceil_div(all, t3_ceil_div(all, most)) : all;
}

/* How many channels ahead rows of x are prefetched, some hundred cycles before they are loaded. */
static int64_t ahead(const t3_problem *problem, const struct block *block) {
  const t3_axis *axis = problem->layer.axis;
  if (!problem->unforeseen) return 0;
  if (block->gather) return channels_at_once(problem, block);
  int64_t products = axis[T3_D].kernel * axis[T3_H].kernel * axis[T3_W].kernel * block->m * block->h * block->v;
  return t3_max(t3_min(512 / products, 8), 1);
}

/* Cycles that it takes to bring a block's rows of x under one tap of D and H, where a step is taken along them: then so much of
 * x is passed over that every line comes from the second cache, and for the first of the blocks of channels that follow one
 * another maybe from further off (measured). What is laid out first is asked for so fast that only lines count, also those that
 * collide. */
static double line_cycles(const t3_problem *problem, const struct block *block, const t3_padded *padded) {
  int64_t step = t3_step(problem, T3_W), bytes = block->v * block->width * step * problem->real_size;
  double lines = (double)bytes / T3_CACHE_LINE, rows = (double)block->h, far = t3_far_cycles(problem, padded);
  double again = t3_collision_cycles(problem, padded) * rows * (block->gather ? lines : 1);
  if (step == 1) return again;
  if (problem->layer.group_in * problem->layer.group_out == 1) return 2 * rows * lines; /* so few rows are foreseen */
  if (block->gather && t3_few_registers(problem)) return 10 * rows * lines + again;
  if (block->gather) return 17 * rows * lines + again;
  double blocks = (double)m_blocks(problem, block);
  if (far == 0) return (17 + t3_passed_cycles(problem) / blocks) * rows * lines + again;
  return rows * (20 + 5 * lines + far / blocks) + again;
}

/* Loads of a body beside those of x and weights, where they count: four of where its rows and weights lie, as compilers make
 * them, fewer for what was laid out under one tap of D and H, and what it prefetches. */
static double other_loads(const t3_problem *problem, const struct block *block) {
  if (!t3_few_registers(problem)) return 0;
  int64_t bytes = block->v * block->width * t3_step(problem, T3_W) * problem->real_size;
  double lines = ahead(problem, block) ? (double)(block->h * (t3_ceil_div(bytes, T3_CACHE_LINE) + 1)) : 0;
  return (block->gather && most_taps(problem) == 1 ? 2 : 4) + (block->gather ? lines / (double)tile_m(problem, block) : lines);
}

/* Cycles of the innermost body of a block: one tap of D and H, one input channel. A load of a whole vector counts twice, as it
 * mostly crosses a line of the cache. What is laid out first is fetched once for all blocks that share it. */
static double body_cycles(const t3_problem *problem, const struct block *block, const t3_padded *padded) {
  const t3_axis *w = &problem->layer.axis[T3_W];
  int64_t vectors = block->h * block->v;
  double products = (double)(block->m * vectors * w->kernel), weights = (double)(w->kernel * block->m);
  double fetched = loads_w(problem, block) * (double)vectors, laid = (double)(gathered_w(problem) * vectors);
  double chain = (double)t3_ceil_div(w->kernel, t3_max(t3_used_residues(problem, T3_W), 1));
  double loads = (block->gather ? laid : fetched) + weights + other_loads(problem, block);
  double cycles = t3_body_cycles(problem, block->width, products, loads, chain);
  double once = t3_in_place_cycles(problem, padded, (double)block->h, (double)((offsets_w(problem) - 1) * vectors));
  double lines = line_cycles(problem, block, padded);
  if (!in_registers(problem, block)) cycles *= 2; /* spilled at every step */
  bool wide = !problem->layer.transposed && block->width > problem->fma_width;
  if (t3_step(problem, T3_W) > 1 || wide)
    cycles *= 1 + (block->m == 1 ? 0.15 : 0.06) * (double)(block->h - 1); /* measured on convolutions */
  if (block->gather && t3_few_registers(problem))
    cycles *= 0.87; /* measured: all loads are of whole lines, from the first cache */
  if (block->gather) return cycles + (once + fetched + laid + lines) / (double)tile_m(problem, block);
  if (t3_lines_collide(problem, padded)) cycles *= 1.15; /* measured: 10 to 30 % */
  return (cycles > lines ? cycles : lines) + once;
}

/* Whether a block is worth building; the least one without gather always is. */
static bool fits(const t3_problem *problem, const struct block *block) {
  int64_t sums = block->m * block->h * block->v;
  if (block->gather && (tile_m(problem, block) == 1 || gathered_bytes(problem, block) > most_gathered_bytes(problem)))
    return false;
  return sums == 1 || (in_registers(problem, block) && sums * problem->layer.axis[T3_W].kernel <= MAX_UNROLLED);
}

/* Adds a block in every way to walk x that says something else. */
static size_t add_variants(const t3_problem *problem, struct block block, t3_variant *list, size_t count) {
  bool planes = block.walk == PLANES;
  for (int walk = planes ? PLANES : ROWS; walk <= (planes ? PLANES : IN_PLACE); walk += 2) {
    block.walk = walk;
    if (walk == IN_PLACE && !pad_sizes(problem, &block).edge_width) continue;
    for (block.gather = 0; block.gather < 2 && count < T3_MAX_VARIANTS; ++block.gather)
      if (fits(problem, &block))
        list[count++] = (t3_variant){{block.width, block.m, block.h, block.v, block.walk, block.gather}};
  }
  return count;
}

/* Every block that the registers hold: 32 where the vectors are of 512 bits (AVX-512), else 16. */
static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t ms[] = {24, 16, 12, 8, 6, 4, 3, 2, 1};
  static const int64_t shapes[][3] = {{0, 1, 1}, {0, 1, 2}, {0, 1, 3}, {0, 1, 4}, {0, 2, 1}, {0, 2, 2}, {0, 3, 1}, {0, 4, 1},
                                      {0, 4, 2}, {1, 1, 1}, {1, 1, 2}, {1, 1, 3}, {1, 1, 4}, {1, 1, 8}}; /* flat, h, v */
  int64_t native = t3_max(t3_min(problem->width, 16), 4);
  /* Then a plane is no line. */
  bool steps = t3_step(problem, T3_H) > 1 || t3_step(problem, T3_W) > 1 || t3_y_channels_last(problem);
  size_t count = 0;
  for (int64_t width = native; width >= 4; width /= 2)
    for (size_t m = 0; m < sizeof ms / sizeof *ms; ++m)
      for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        if (steps && shapes[i][0]) continue;
        struct block block = {width, ms[m], shapes[i][1], shapes[i][2], shapes[i][0] ? PLANES : ROWS, 0};
        count = add_variants(problem, block, list, count);
      }
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2], n[3], n[4], n[5]};
}

static int64_t packed_count(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t taps = t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H);
  int64_t blocks = layer->groups * t3_ceil_div(layer->group_out, block->m);
  return blocks * block->m * (taps * layer->group_in * layer->axis[T3_W].kernel + 1);
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_axis *axis = problem->layer.axis;
  if (t3_output_step(&axis[T3_W]) > MAX_STRIDE_W)
    return t3_too_much(why, capacity, "stride of axis W", axis[T3_W].stride, MAX_STRIDE_W);
  if (axis[T3_W].kernel > MAX_KERNEL_W)
    return t3_too_much(why, capacity, "kernel_size of axis W", axis[T3_W].kernel, MAX_KERNEL_W);
  int64_t taps_dh = axis[T3_D].kernel * axis[T3_H].kernel;
  if (taps_dh > MAX_TAPS_DH) return t3_too_much(why, capacity, "kernel_size of D times that of H", taps_dh, MAX_TAPS_DH);
  for (int a = T3_D; a <= T3_H; ++a)
    if (problem->phases[a].residues > MAX_RESIDUES)
      return t3_too_much(why, capacity, a == T3_D ? "stride of axis D" : "stride of axis H", axis[a].stride, MAX_RESIDUES);
  return t3_stores_rows(problem, why, capacity) && t3_padded_check(problem, MAX_BLOCK_H, why, capacity);
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  struct block block = block_of(variant);
  t3_padded padded = pad_sizes(problem, &block);
  /* Blocks of one residue of D and H; the taps of all residues together are those of the kernel. */
  double planes = (double)t3_positions(problem, T3_D) * (double)layer->batch * (double)layer->groups;
  double lanes = (double)t3_positions(problem, T3_W) * (double)t3_positions(problem, T3_H) / lanes_used(problem, &block);
  double blocks = planes * lanes / (double)(block.width * block.h * block.v) * (double)t3_ceil_div(layer->group_out, block.m);
  double taps = (double)(layer->axis[T3_D].kernel * layer->axis[T3_H].kernel) * t3_inside(problem, T3_D);
  double residues = (double)(problem->phases[T3_D].residues * problem->phases[T3_H].residues);
  double stores =
      t3_store_cycles(problem, block.m * block.h * block.v * t3_output_step(&layer->axis[T3_W]), block.width, block.m);
  double cycles = blocks * (taps * (double)layer->group_in * body_cycles(problem, &block, &padded) + residues * stores);
  double seconds = t3_cycles_to_seconds(&problem->device, cycles) + t3_stream_seconds(&problem->device, layer->y_count);
  return seconds + t3_pad_seconds(problem, &padded) + 40e-6;
}

static void define_all(const t3_problem *problem, const struct block *block, const t3_padded *padded, t3_text *defines) {
  t3_define_problem(defines, problem);
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "BLOCK_M", block->m);
  t3_define(defines, "BLOCK_H", block->h);
  t3_define(defines, "BLOCK_W", block->v);
  t3_define(defines, "FLAT", block->walk == PLANES);
  t3_define(defines, "Y_CHANNELS_LAST", t3_y_channels_last(problem));
  t3_define(defines, "GATHER", block->gather);
  t3_define(defines, "TILE_M", tile_m(problem, block));
  t3_define(defines, "CHANNELS", channels_at_once(problem, block));
  t3_define(defines, "MOST_TAPS_DH", most_taps(problem));
  if (block->gather) t3_define(defines, "GATHERED_W", gathered_w(problem));
  t3_define(defines, "AHEAD", ahead(problem, block));
  t3_define(defines, "STREAM", block->walk == PLANES ? 0 : t3_streams_rows(problem, block->width, block->v, block->m));
  t3_define_edges(defines, problem, padded);
  t3_define_min_offsets(defines, problem);
  for (int a = T3_D; a <= T3_H; ++a) t3_define_tables(defines, a, problem);
}

/* Of one block's loops, for all the blocks of channels that share x. */
static double block_rounds(const t3_problem *problem, const struct block *block) {
  double rows = (double)(most_taps(problem) * problem->layer.group_in);
  double taps =
      rows * (3 + (double)block->h + (double)problem->layer.axis[T3_W].kernel * t3_tap_rounds(block->m, block->h, block->v));
  double chunks = (double)t3_ceil_div(problem->layer.group_in, channels_at_once(problem, block));
  double sums = t3_sums_rounds(block->m, block->h, block->v, t3_output_step(&problem->layer.axis[T3_W]), block->width);
  return (double)tile_m(problem, block) * (taps + chunks * sums + 8);
}

static void add_launches(const t3_problem *problem, const struct block *block, const t3_padded *padded, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  int64_t blocks_m = m_blocks(problem, block), tiles_m = t3_ceil_div(blocks_m, tile_m(problem, block));
  int64_t phases = problem->phases[T3_D].residues * problem->phases[T3_H].residues;
  int64_t read[5];
  t3_read_strides(problem, padded, read);

  recipe->pack = (t3_launch){.kernel = "phase_pack", .local = 1, .items = layer->groups * blocks_m * phases};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  t3_add_pad(problem, padded, block->width, recipe);
  t3_launch *main = &recipe->run[recipe->num_run++];
  /* Work-items of a hundred thousand multiply-adds: enough of them for all cores to end together, not so many that starting
   * them counts. */
  int64_t step = block->width * block->v, length = line_length(problem, block);
  int64_t lines = block->walk == PLANES ? 1 : t3_ceil_div(t3_positions(problem, T3_H), block->h);
  int64_t blocks = t3_max(CHUNK / (step * block->h * block->m * tile_m(problem, block) * layer->group_in), 1);
  blocks = t3_blocks_in_time(problem, block_rounds(problem, block), blocks);
  int64_t chunk = step * (block->walk == PLANES ? blocks : t3_max(blocks, t3_ceil_div(length, step)));
  int64_t run = t3_min(t3_max(blocks * step / t3_max(length, step), 1), lines);
  int64_t rows = t3_positions(problem, T3_D) * t3_ceil_div(lines, run) * t3_max(length / chunk, 1);
  *main = (t3_launch){.kernel = "phase", .local = 1, .items = layer->batch * layer->groups * rows * phases * tiles_m};
  /* A plane's last chunk is nearly two. */
  int64_t most = block->walk == PLANES ? 2 * blocks : run * t3_ceil_div(length, step);
  main->rounds = t3_whole_rounds((double)most * block_rounds(problem, block) + (double)(4 * most_taps(problem)));
  T3_ARGS(main, t3_x_arg(padded), t3_edge_arg(padded), {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, padded->edge_width},
          {T3_NUMBER, t3_last_plane(problem)}, T3_ROW_STRIDES(read), {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in},
          {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->y.stride), {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out},
          {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, lines}, {T3_NUMBER, length}, {T3_NUMBER, chunk}, {T3_NUMBER, run});
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  struct block block = block_of(variant);
  t3_padded padded = pad_sizes(problem, &block);
  define_all(problem, &block, &padded, &recipe->defines);
  recipe->deterministic = true;
  recipe->workspace_bytes = t3_padded_bytes(problem, &padded);
  add_launches(problem, &block, &padded, recipe);
  t3_end_recipe(problem, packed_count(problem, &block), recipe);
  snprintf(recipe->detail, sizeof recipe->detail,
           "%" PRId64 " channels x %" PRId64 " rows x %" PRId64 " vectors of %" PRId64 " x %" PRId64 " residues along %s, %s",
           block.m, block.h, block.v, block.width, t3_output_step(&problem->layer.axis[T3_W]),
           block.walk == PLANES ? "planes" : "rows", t3_reading(&padded));
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_phase = {"phase", "phase", applicable, variants, cost, recipe, T3_LAYER};
