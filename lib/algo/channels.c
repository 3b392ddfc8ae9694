/* channels: dense phases with vectors of output channels, for CPU devices (cl/channels.cl has the maths and the layout). It
 * wins where channels fill its vectors and are many: its lanes do not care for the length of a row. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/cycles.h"
#include "algo/rounds.h"
#include "base/checked.h"

/* How x is read: in place if no tap reaches over its edges, else from a copy with zeros around; with neighbouring channels side
 * by side, if need be from a copy; in place in any case, where taps are left out lane by lane. */
enum reading { AS_IT_LIES, CHANNELS_LAST, IN_PLACE };

/* What one work-item computes at a time: tile positions of vectors vectors of width channels. */
struct block {
  int64_t width, vectors, tile;
  enum reading reading;
};

enum {
  MAX_TAPS = 1024,   /* a work-item keeps two lists of that many */
  MAX_RESIDUES = 64, /* of an axis: the length of the tables in the program */
  /* Weights come from far once for all tiles of a work-item: 48 of them gained up to a fifth over 16, and of two residues of W
   * up to 4 % over 24; their sums and a chunk of weights share the second cache. */
  LEAST_TILES = 16,
  MOST_TILES = 48,
  CHUNK_BYTES = 32 << 10,    /* of weights, in the first cache: up to 7 % faster than 64 KiB, a fifth than 128 */
  LEAST_CHUNK = 4,           /* channels: between chunks sums are loaded and stored */
  ITEMS_A_UNIT = 4,          /* at least, with tiles enough: then compute units end within some 20 % of each other */
  BLOCK_C = 16,              /* channels side by side in x that are taken together: a line of the cache, of float */
  MOST_ADDRESSES = 8,        /* of a tile: a processor has some 16 registers for them and for all else */
  MOST_TURNED = 4,           /* residues of W that cl/lines.cl interleaves by shuffles */
  MOST_TOGETHER = 64,        /* residues: a work-item keeps a list of taps of each */
  RESIDUE_BYTES = 64 << 10,  /* of one residue's weights where all residues take turns */
  TOGETHER_BYTES = 256 << 10 /* of all residues' weights, which then stay in the second cache beside x and y */
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

/* Where x is read. */
static t3_padded padded_of(const t3_problem *problem, enum reading reading) {
  t3_padded padded = t3_padded_values(problem, reading == CHANNELS_LAST);
  if (reading != IN_PLACE) return padded;
  const t3_axis *axis = problem->layer.axis;
  return (t3_padded){.size = {axis[T3_D].in, axis[T3_H].in, axis[T3_W].in}};
}

/* Whether x may be read in place where a copy with zeros around would be made otherwise. */
static bool in_place(const t3_problem *problem) {
  return t3_is_real(problem, t3_input_type(problem)) && t3_padded_values(problem, false).copy;
}

/* Whether what is read has neighbouring channels side by side. */
static bool reads_last(const t3_problem *problem, enum reading reading) {
  t3_padded padded = padded_of(problem, reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  return read[T3_AXIS_C] == 1;
}

/* Of a depthwise layer whose x is channels-last the lanes are its groups, all of them together a group of output channels, each
 * with an x of its own. */
static bool each_its_own(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return layer->group_in * layer->group_out == 1 && layer->groups % 4 == 0 && t3_x_channels_last(problem) &&
         reads_last(problem, CHANNELS_LAST);
}

/* The problem as the blocks are made for it. */
static t3_problem lanes_of(const t3_problem *problem) {
  t3_problem lanes = *problem;
  if (!each_its_own(problem)) return lanes;
  lanes.layer.transposed = false; /* w's first axis is that of y's channels */
  lanes.layer.group_out = lanes.layer.groups;
  lanes.layer.groups = 1;
  return lanes;
}

/* Blocks whose sums, vectors of weights and broadcast value the registers hold: 32 where the vectors are of 512 bits, else 16,
 * for which the longest tiles are too long. Reading in place asks for each position of a tile at an edge whether a tap is
 * inside: too often where only one multiply-add follows. */
static size_t variants(const t3_problem *problem, t3_variant *list) {
  static const int64_t blocks[][2] = {{4, 6}, {4, 5},  {3, 6},  {2, 8},  {2, 6},  {2, 5}, {2, 4},
                                      {3, 4}, {1, 24}, {1, 20}, {1, 16}, {1, 12}, {1, 8}, {1, 4}};
  int64_t native = t3_max(t3_min(problem->width, 16), 4), registers = problem->registers;
  size_t count = 0;
  bool own = each_its_own(problem), already = t3_x_channels_last(problem), can = reads_last(problem, CHANNELS_LAST);
  /* Turning x pays where x is small beside the sums, not where steps are taken along it, and by whole vectors. */
  bool turns = can && t3_step(problem, T3_W) == 1 && problem->layer.in_channels >= native && problem->layer.group_in >= 4;
  const bool offered[] = {!(already && can), already ? can : turns, in_place(problem)};
  for (int64_t reading = AS_IT_LIES; reading <= IN_PLACE; ++reading)
    for (int64_t width = native; offered[reading] && width >= 4; width /= 2)
      for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
        if (blocks[i][0] * (blocks[i][1] + 1) + 1 <= registers && !(own && problem->layer.groups % (width * blocks[i][0])) &&
            !(reading == IN_PLACE && blocks[i][0] == 1 && !own))
          list[count++] = (t3_variant){{width, blocks[i][0], blocks[i][1], reading}};
  return count;
}

static struct block block_of(const t3_variant *variant) {
  const int64_t *n = variant->number;
  return (struct block){n[0], n[1], n[2], (enum reading)n[3]};
}

/* Channels that are taken together under each tap. */
static int64_t channels_together(const t3_problem *problem, const struct block *block) {
  return reads_last(problem, block->reading) ? t3_min(BLOCK_C, problem->layer.group_in) : 1;
}

/* Whether sums are turned and stored by rows of y, a square of positions x channels at a time. */
static bool stores_rows(const t3_problem *problem, const struct block *block) {
  return problem->layer.y.stride[T3_AXIS_W] == 1 && !t3_y_channels_last(problem) &&
         2 * t3_positions(problem, T3_W) >= block->width && t3_output_step(&problem->layer.axis[T3_W]) <= MOST_TURNED;
}

static int64_t all_positions(const t3_problem *problem) {
  return t3_max(problem->layer.batch, 1) * t3_positions(problem, T3_D) * t3_positions(problem, T3_H) *
         t3_positions(problem, T3_W);
}

static int64_t residues_of(const t3_problem *problem) {
  const t3_phases *p = problem->phases;
  return p[T3_D].residues * p[T3_H].residues * p[T3_W].residues;
}

static int64_t channel_blocks(const t3_problem *problem, const struct block *block) {
  return problem->layer.groups * t3_ceil_div(problem->layer.group_out, block->width * block->vectors);
}

static int64_t taps_of(const t3_problem *problem) {
  return t3_most_taps(problem, T3_D) * t3_most_taps(problem, T3_H) * t3_most_taps(problem, T3_W);
}

/* Bytes of the weights of an input channel, for the residue with the most taps. */
static int64_t weight_bytes(const t3_problem *problem, const struct block *block) {
  return taps_of(problem) * block->width * block->vectors * problem->real_size;
}

/* Whether a work-item owns all residues, and takes them by turns at each tile: their x stays in the first cache, and outputs of
 * neighbouring channels and positions are stored soon after one another. For channels-last outputs whose sums need not wait. */
static bool residues_together(const t3_problem *problem, const struct block *block) {
  int64_t all = problem->layer.taps * problem->layer.group_in * block->width * block->vectors * problem->real_size;
  return t3_y_channels_last(problem) && residues_of(problem) <= MOST_TOGETHER && all <= TOGETHER_BYTES &&
         problem->layer.group_in * weight_bytes(problem, block) <= RESIDUE_BYTES;
}

/* Input channels that serve all tiles of a work-item before the next ones do. */
static int64_t chunk_of(const t3_problem *problem, const struct block *block) {
  int64_t together = channels_together(problem, block);
  int64_t channels = t3_max(CHUNK_BYTES / weight_bytes(problem, block), LEAST_CHUNK);
  if (residues_together(problem, block)) channels = problem->layer.group_in + together - 1;
  return t3_max(channels / together, 1) * together;
}

/* Residues that a work-item owns. */
static int64_t residues_owned(const t3_problem *problem, const struct block *block) {
  if (residues_together(problem, block)) return residues_of(problem);
  return stores_rows(problem, block) ? problem->phases[T3_W].residues : 1;
}

/* Whether positions follow one another along rows: else images do, which have the same taps inside x. */
static bool goes_along_rows(const t3_problem *problem, const struct block *block) {
  return stores_rows(problem, block) || t3_positions(problem, T3_W) >= 2 * block->tile;
}

/* Of turning and storing the squares of a tile's positions, all residues of W; a row's last one is another. */
static double square_rounds(const t3_problem *problem, const struct block *block) {
  if (!stores_rows(problem, block)) return 0;
  int64_t stride = t3_output_step(&problem->layer.axis[T3_W]), row = t3_positions(problem, T3_W);
  double width = (double)block->width, turned = (double)stride * (2 * width + 4 * (1 + 2 * width));
  double square = t3_sums_rounds(block->width, 1, 1, stride, block->width) + turned + width;
  return (double)block->vectors * square * (double)(block->tile * t3_ceil_div(row, block->width)) / (double)row;
}

/* Of finding which positions of a tile have the taps of each axis inside x. */
static double listed_rounds(const t3_problem *problem, const struct block *block) {
  int64_t offsets = t3_most_taps(problem, T3_D) + t3_most_taps(problem, T3_H) + t3_most_taps(problem, T3_W);
  return (double)((1 + offsets) * (1 + block->tile));
}

/* Of a tile's loops, for all residues of a work-item. */
static double tile_rounds(const t3_problem *problem, const struct block *block) {
  double taps = (double)taps_of(problem), channels = (double)problem->layer.group_in;
  double chunks = (double)t3_ceil_div(problem->layer.group_in, chunk_of(problem, block));
  double sums = (double)(block->tile * (block->vectors + 1)), lanes = (double)(block->tile * block->vectors * block->width);
  double residue = channels * (1 + taps * (2 + (double)block->vectors + sums)) +
                   chunks * (2 * sums + (double)block->tile + 3 * (taps + 1) + listed_rounds(problem, block)) + 2 * sums +
                   lanes + (double)(2 * block->tile);
  return (double)residues_owned(problem, block) * residue + square_rounds(problem, block);
}

/* Tiles of a work-item: the sums of 96, 144 KiB at most, wait on its stack, of as many as it owns residues of W. */
static int64_t most_tiles(const t3_problem *problem, const struct block *block) {
  return stores_rows(problem, block) ? t3_min(MOST_TILES, 2 * MOST_TILES / residues_owned(problem, block)) : MOST_TILES;
}

/* Positions of a work-item: all of them, or even parts of them, as large as leaves every unit some; whole rows where these are
 * stored and enough. Runtimes hand out half of all work-items at once, so the last ones cannot make up for uneven ones. */
static int64_t run_of(const t3_problem *problem, const struct block *block) {
  int64_t all = all_positions(problem), tiles = t3_ceil_div(all, block->tile), owned = residues_owned(problem, block);
  int64_t others = channel_blocks(problem, block) * residues_of(problem) / owned;
  int64_t wanted = t3_ceil_div(ITEMS_A_UNIT * t3_max(problem->device.compute_units, 1), others);
  int64_t most = t3_blocks_in_time(problem, tile_rounds(problem, block), most_tiles(problem, block));
  int64_t least = t3_max(LEAST_TILES / owned, 1);
  int64_t runs = t3_max(t3_ceil_div(tiles, most), t3_min(wanted, t3_ceil_div(tiles, least)));
  int64_t row = t3_positions(problem, T3_W), rows = most * block->tile / row;
  if (!stores_rows(problem, block) || !rows || all / row < runs) return block->tile * t3_ceil_div(tiles, runs);
  return row * t3_even_part(all / row, t3_max(t3_ceil_div(all / row, rows), runs));
}

static int64_t packed_count(const t3_problem *problem, const struct block *block) {
  const t3_layer *layer = &problem->layer;
  int64_t taps = t3_taps_of(problem, T3_D) * t3_taps_of(problem, T3_H) * t3_taps_of(problem, T3_W);
  return channel_blocks(problem, block) * block->width * block->vectors * (taps * layer->group_in + 1);
}

/* Tiles of one vector of channels may have so many positions that a processor has no registers for their addresses. */
static bool long_tile(const struct block *block) {
  return block->vectors == 1 && block->tile > MOST_ADDRESSES;
}

/* How far apart neighbouring positions of a row lie in what a long tile reads, where that is one value or the channels of one,
 * as in smaller layers by the same program; else 0. */
static int64_t x_step(const t3_problem *problem, const struct block *block) {
  t3_padded padded = padded_of(problem, block->reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  bool dense = read[T3_AXIS_W] == 1 || (read[T3_AXIS_C] == 1 && read[T3_AXIS_W] == problem->layer.in_channels);
  return long_tile(block) && goes_along_rows(problem, block) && dense ? read[T3_AXIS_W] * t3_step(problem, T3_W) : 0;
}

/* How many channels ahead values of x are prefetched, where neighbouring channels lie apart: measured to gain a seventh with
 * long tiles; with more vectors, whose sums take longer, nothing. */
static int64_t ahead(const t3_problem *problem, const struct block *block) {
  return long_tile(block) && channels_together(problem, block) == 1 && problem->unforeseen ? 3 : 0;
}

/* The part of the taps that tiles do not leave out: an axis counts whose positions change no faster than tiles do. */
static double taken(const t3_problem *problem, const struct block *block) {
  double part = 1;
  int64_t inner = goes_along_rows(problem, block) ? 1 : t3_max(problem->layer.batch, 1);
  for (int a = T3_W; a >= T3_D; inner *= t3_positions(problem, a--))
    if (inner >= block->tile) part *= t3_inside(problem, a);
  return part;
}

/* The part of the long tiles whose positions are not all a step apart: those that go on in the next row. */
static double over_ends(const t3_problem *problem, const struct block *block) {
  int64_t row = t3_positions(problem, T3_W);
  if (!long_tile(block)) return 0;
  if (!x_step(problem, block)) return 1;
  double part = row % block->tile ? (double)block->tile / (double)row : 0;
  return part < 1 ? part : 1;
}

/* The part of the tiles that have taps past the edges of an axis; along W a tile has them if one of its positions has. */
static double over_edges(const t3_problem *problem, const struct block *block, int axis) {
  double reach = (double)t3_span(problem, axis) / (double)t3_step(problem, axis);
  if (axis == T3_W && reach > 0) reach += (double)(block->tile - 1);
  double part = reach / (double)t3_positions(problem, axis);
  return part < 1 ? part : 1;
}

/* Cycles of a tile beside its sums where x is read in place: listing the taps of each lane (measured). */
static double list_cycles(const t3_problem *problem, const struct block *block) {
  double inside = 1;
  for (int a = 0; a < 3; ++a) inside *= 1 - over_edges(problem, block, a);
  return (1 - inside) * (double)(residues_of(problem) * (10 * block->tile + 3 * taps_of(problem)));
}

/* What a body gains by channels side by side in x, where multiply-adds count and not loads (measured). */
static double together_factor(const t3_problem *problem, const struct block *block) {
  if (problem->fma_width < problem->width || block->vectors == 1) return 0.95;
  return block->vectors == 2 ? 0.9 : 0.88;
}

/* Of a vector of outputs: as it is, turned with others, some of them past a row's end, or one by one, which takes 2.5 cycles
 * each (measured). */
static double store_cycles(const t3_problem *problem, const struct block *block) {
  if (t3_y_channels_last(problem)) return 4;
  if (!stores_rows(problem, block)) return (double)block->width * 2.5;
  double row = (double)t3_positions(problem, T3_W), width = (double)block->width;
  double squares = (double)t3_ceil_div(t3_positions(problem, T3_W), block->width), whole = floor(row / width) / squares;
  /* Squares of eight are turned with half the shuffles: some four cycles a vector less were measured. */
  return (block->width == 8 ? 10 : 14) * squares * width / row + (1 - whole) * width;
}

/* Cycles of a body for lines of the cache that come from far (measured): with few registers a small part of a row's, whether or
 * not a step is taken along rows; else a fifth of them, and only where one is. */
static double waiting_cycles(const t3_problem *problem, const t3_padded *padded) {
  if (t3_few_registers(problem)) return t3_far_cycles(problem, padded) / 20;
  return t3_step(problem, T3_W) > 1 ? t3_far_cycles(problem, padded) / 5 : 0;
}

static double cost(const t3_problem *asked, const t3_variant *variant) {
  const t3_problem lanes = lanes_of(asked), *problem = &lanes;
  const t3_layer *layer = &problem->layer;
  struct block block = block_of(variant);
  t3_padded padded = padded_of(problem, block.reading);
  /* One tap and input channel of a tile. */
  double products = (double)(block.vectors * block.tile);
  double values = each_its_own(asked) ? products : (double)block.tile * (1 + over_ends(problem, &block));
  double body = t3_body_cycles(problem, block.width, products, (double)(2 * block.vectors) + values, 1);
  /* Measured: lines of the cache and addresses. */
  if (layer->group_in > 1) body *= channels_together(problem, &block) == 1 ? 1.05 : together_factor(problem, &block);
  double listing = 0;
  if (block.reading == IN_PLACE) {
    body *= 1 + 0.2 * over_edges(problem, &block, T3_W); /* lane by lane */
    listing = list_cycles(problem, &block);
  }
  if (channels_together(problem, &block) == 1) body += waiting_cycles(problem, &padded);
  double tiles = (double)t3_ceil_div(all_positions(problem), block.tile);
  tiles *= (double)channel_blocks(problem, &block);
  double stores = (double)(block.tile * block.vectors) * store_cycles(problem, &block);
  double cycles =
      tiles * ((double)(layer->taps * layer->group_in) * taken(problem, &block) * body + listing +
               (double)residues_of(problem) * (stores + 14 * (double)block.tile)); /* finding a position: 14 cycles */
  double runs = (double)t3_ceil_div(all_positions(problem), run_of(problem, &block));
  /* Turning takes about twice as long as copying (measured). */
  double pad_seconds = t3_pad_seconds(problem, &padded);
  if (padded.channels_last && !t3_x_channels_last(problem)) pad_seconds *= 2;
  double weights = (double)packed_count(problem, &block) * (runs > 8 ? 8 : runs); /* the cache serves later ones */
  return t3_cycles_to_seconds(&problem->device, cycles) + t3_stream_seconds(&problem->device, (int64_t)weights) / 2 +
         t3_stream_seconds(&problem->device, layer->y_count) + pad_seconds + 40e-6;
}

static void define_all(const t3_problem *problem, const struct block *block, bool own, t3_text *defines) {
  bool rows = stores_rows(problem, block);
  t3_define_problem(defines, problem);
  t3_define(defines, "EACH_ITS_OWN", own);
  t3_define(defines, "Y_CHANNELS_LAST", t3_y_channels_last(problem));
  t3_define(defines, "ROWS", rows);
  t3_define(defines, "ALONG_ROWS", goes_along_rows(problem, block));
  t3_define(defines, "RESIDUES_TOGETHER", residues_together(problem, block));
  t3_define(defines, "STREAM",
            rows ? t3_streams_rows(problem, block->width, 1)
                 : t3_y_channels_last(problem) && t3_streams(problem, problem->layer.out_channels, block->width));
  t3_define(defines, "IN_PLACE", block->reading == IN_PLACE);
  t3_define(defines, "X_STEP", x_step(problem, block));
  t3_define(defines, "AHEAD", ahead(problem, block));
  t3_define(defines, "VECTOR", block->width);
  t3_define(defines, "VECTORS", block->vectors);
  t3_define(defines, "TILE", block->tile);
  t3_define(defines, "TILES", most_tiles(problem, block));
  t3_define(defines, "BLOCK_C", channels_together(problem, block));
  t3_define(defines, "CHUNK", chunk_of(problem, block));
  t3_define_min_offsets(defines, problem);
  for (int a = 0; a < 3; ++a) t3_define_tables(defines, a, problem);
}

static tconv3d_status recipe(const t3_problem *asked, const t3_variant *variant, t3_recipe *recipe) {
  const t3_problem lanes = lanes_of(asked), *problem = &lanes;
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  struct block block = block_of(variant);
  t3_padded padded = padded_of(problem, block.reading);
  int64_t read[5];
  t3_read_strides(problem, &padded, read);
  int64_t blocks = channel_blocks(problem, &block) * residues_of(problem), run = run_of(problem, &block);
  int64_t owned = residues_owned(problem, &block);
  define_all(problem, &block, each_its_own(asked), &recipe->defines);
  recipe->deterministic = true;
  recipe->workspace_bytes = t3_padded_bytes(problem, &padded);
  recipe->pack = (t3_launch){.kernel = "channels_pack", .local = 1, .items = blocks};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  t3_add_pad(problem, &padded, block.width, recipe);
  t3_launch *main = &recipe->run[recipe->num_run++];
  *main = (t3_launch){.kernel = "channels", .local = 1};
  main->items = blocks / owned * t3_ceil_div(all_positions(problem), run);
  /* Beside the tiles: positions, taps, channel after channel, and squares of rows that a run begins and ends within. */
  double taps = (double)(4 * taps_of(problem) * owned), singly = (double)(2 * block.vectors * block.width);
  double rounds = (double)t3_ceil_div(run, block.tile) * tile_rounds(problem, &block) + taps + singly;
  main->rounds = t3_whole_rounds(rounds + (double)(2 * block.width) * square_rounds(problem, &block) / (double)block.tile);
  T3_ARGS(main, t3_x_arg(&padded), {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, T3_STRIDES(read),
          {T3_NUMBER, axis[T3_D].in}, {T3_NUMBER, axis[T3_H].in}, {T3_NUMBER, axis[T3_W].in}, T3_STRIDES(layer->y.stride),
          {T3_NUMBER, axis[T3_D].out}, {T3_NUMBER, axis[T3_H].out}, {T3_NUMBER, axis[T3_W].out}, {T3_NUMBER, run});
  t3_end_recipe(problem, packed_count(problem, &block), recipe);
  snprintf(recipe->detail, sizeof recipe->detail, "%" PRId64 " positions x %" PRId64 " vectors of %" PRId64 " channels, %s%s",
           block.tile, block.vectors, block.width, t3_reading(&padded), padded.channels_last ? ", channels last" : "");
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_channels = {"channels", "channels", applicable, variants, cost, recipe, T3_LAYER};
