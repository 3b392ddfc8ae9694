/* sums: the gradient of the bias, on any device: as fast as gy can be read. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/copies.h"
#include "algo/padded.h"
#include "base/checked.h"

enum { CHUNK = 1 << 14, GPU_CHUNK = 1 << 8 }; /* values of a work-item: a CPU wants few, a GPU many of them */

static int64_t chunk_of(const t3_problem *problem) {
  return problem->device.type & CL_DEVICE_TYPE_GPU ? GPU_CHUNK : CHUNK;
}

static int64_t positions_of(const t3_layer *layer) {
  return layer->axis[T3_D].out * layer->axis[T3_H].out * layer->axis[T3_W].out;
}

/* Partial sums of a channel. */
static int64_t partial_sums(const t3_problem *problem) {
  return problem->layer.batch * t3_ceil_div(positions_of(&problem->layer), chunk_of(problem));
}

/* Other types are converted as they are read. */
static bool is_copied(const t3_problem *problem) {
  return problem->layer.batch && !problem->layer.y.dense;
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
  int64_t positions = positions_of(layer), chunk = chunk_of(problem), partial = partial_sums(problem);
  bool gpu = problem->device.type & CL_DEVICE_TYPE_GPU;
  size_t local = gpu && problem->device.work_group_size >= 64 ? 64 : 1;
  t3_define_types(&recipe->defines, problem);
  t3_define(&recipe->defines, "VECTOR", 16);
  t3_define(&recipe->defines, "COPIED", is_copied(problem));
  t3_define(&recipe->defines, "GROUPS", layer->groups);
  t3_define(&recipe->defines, "GROUP_OUT", layer->group_out);
  recipe->deterministic = true;
  int64_t used = 0;
  t3_arg gy = is_copied(problem) ? t3_real_arg(problem, T3_GY, 16, &used, recipe) : (t3_arg){T3_GY, 0};
  t3_arg sums = {T3_WORKSPACE, used};
  recipe->workspace_bytes = (used + t3_max(layer->out_channels * partial, 1)) * problem->real_size;
  if (partial) { /* else the batch is empty, and a launch of nothing is an error */
    t3_launch *parts = &recipe->run[recipe->num_run++];
    *parts = (t3_launch){.kernel = "sums", .local = local, .items = layer->out_channels * partial};
    T3_ARGS(parts, gy, sums, {T3_NUMBER, layer->batch}, {T3_NUMBER, positions}, {T3_NUMBER, t3_ceil_div(positions, chunk)},
            {T3_NUMBER, chunk});
  }
  t3_launch *total = &recipe->run[recipe->num_run++];
  *total = (t3_launch){.kernel = "sums_total", .local = local, .items = layer->out_channels};
  T3_ARGS(total, sums, {T3_Y, 0}, {T3_NUMBER, partial});
  snprintf(recipe->detail, sizeof recipe->detail, "%" PRId64 " partial sums of %" PRId64 " values a channel", partial, chunk);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_sums = {"sums", "sums", applicable, variants, cost, recipe, T3_BIAS_GRADIENT};
