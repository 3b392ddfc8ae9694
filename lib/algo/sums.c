/* sums: the gradient of the bias, on any device: as fast as gy can be read, where it lies. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "base/checked.h"

enum {
  CHUNK = 1 << 14,    /* values of a work-item: a CPU wants few, a GPU many of them */
  GPU_CHUNK = 1 << 8, /* the same there */
  VECTOR = 16         /* of the program: lanes are neighbours in memory, positions or channels */
};

/* How gy is cut: its positions as rows (of neighbours: axes that go on in one another's step are one), rows as even pieces,
 * runs of pieces as chunks. A channel of an image, or a block of channels whose values are neighbours, has chunks of its own.
 */
struct cut {
  int64_t size[3], stride[3]; /* the last axis is a row */
  int64_t piece, pieces, lines, run, chunks, channels;
};

static void join_axes(struct cut *cut) {
  int64_t *size = cut->size, *stride = cut->stride;
  for (int a = T3_H; a >= T3_D; --a) {
    if (size[a] == 1) continue;
    if (size[T3_W] == 1)
      stride[T3_W] = stride[a];
    else if (stride[a] != size[T3_W] * stride[T3_W])
      break;
    size[T3_W] *= size[a], size[a] = 1;
  }
}

static struct cut cut_of(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  bool gpu = problem->device.type & CL_DEVICE_TYPE_GPU;
  struct cut cut = {.channels = 1};
  for (int a = 0; a < 3; ++a) cut.size[a] = layer->axis[a].out, cut.stride[a] = layer->y.stride[T3_AXIS_D + a];
  join_axes(&cut);
  if (layer->out_channels >= VECTOR && layer->y.stride[T3_AXIS_C] == 1 && cut.stride[T3_W] != 1) cut.channels = VECTOR;
  int64_t chunk = gpu ? GPU_CHUNK : CHUNK / cut.channels;
  cut.pieces = t3_ceil_div(cut.size[T3_W], chunk), cut.piece = t3_ceil_div(cut.size[T3_W], cut.pieces);
  cut.lines = cut.size[T3_D] * cut.size[T3_H] * cut.pieces;
  cut.run = t3_max(chunk / cut.piece, 1), cut.chunks = t3_ceil_div(cut.lines, cut.run);
  return cut;
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  (void)problem, (void)why, (void)capacity; /* there are fewer partial sums than gy has values, whose bytes are checked */
  return true;
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  (void)problem;
  list[0] = (t3_variant){0};
  return 1;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  (void)variant;
  return t3_stream_seconds(&problem->device, problem->layer.y_count) + 60e-6;
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  (void)variant;
  const t3_layer *layer = &problem->layer;
  const int64_t *stride = layer->y.stride;
  struct cut cut = cut_of(problem);
  int64_t partial = layer->batch * cut.chunks;
  bool gpu = problem->device.type & CL_DEVICE_TYPE_GPU;
  size_t local = gpu && problem->device.work_group_size >= 64 ? 64 : 1;
  t3_define_types(&recipe->defines, problem);
  t3_define(&recipe->defines, "VECTOR", VECTOR);
  t3_define(&recipe->defines, "CHANNELS", cut.channels);
  recipe->deterministic = true;
  recipe->workspace_bytes = t3_max(layer->out_channels * partial, 1) * problem->real_size;
  if (partial) { /* else the batch is empty, and a launch of nothing is an error */
    t3_launch *parts = &recipe->run[recipe->num_run++];
    int64_t blocks = t3_ceil_div(layer->out_channels, cut.channels);
    *parts = (t3_launch){
        .kernel = "sums", .local = local, .items = blocks * partial, .rounds = cut.run * (cut.piece / 4 + 6) + cut.channels};
    T3_ARGS(parts, {T3_GY, 0}, {T3_WORKSPACE, 0}, {T3_NUMBER, layer->batch}, {T3_NUMBER, layer->out_channels},
            {T3_NUMBER, stride[T3_AXIS_N]}, {T3_NUMBER, stride[T3_AXIS_C]}, {T3_NUMBER, cut.size[T3_H]},
            {T3_NUMBER, cut.size[T3_W]}, {T3_NUMBER, cut.stride[T3_D]}, {T3_NUMBER, cut.stride[T3_H]},
            {T3_NUMBER, cut.stride[T3_W]}, {T3_NUMBER, cut.lines}, {T3_NUMBER, cut.pieces}, {T3_NUMBER, cut.piece},
            {T3_NUMBER, cut.run}, {T3_NUMBER, cut.chunks});
  }
  t3_launch *total = &recipe->run[recipe->num_run++];
  *total = (t3_launch){.kernel = "sums_total", .local = local, .items = layer->out_channels, .rounds = partial / 4 + 4};
  T3_ARGS(total, {T3_WORKSPACE, 0}, {T3_Y, 0}, {T3_NUMBER, partial});
  snprintf(recipe->detail, sizeof recipe->detail, "%" PRId64 " partial sums of %" PRId64 " x %" PRId64 " values a channel",
           partial, cut.run, cut.piece);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_sums = {"sums", "sums", applicable, variants, cost, recipe, T3_BIAS_GRADIENT};
