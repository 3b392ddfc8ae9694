/* The table of algorithms, and what their files share. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algo/algo.h"

#define ALGO(name) extern const t3_algorithm t3_algo_##name;
#include "algo_list.inc"
#undef ALGO

static const t3_algorithm *const table[] = {
#define ALGO(name) &t3_algo_##name,
#include "algo_list.inc"
#undef ALGO
};

const t3_algorithm *t3_algorithm_at(size_t index) {
  return index < sizeof table / sizeof *table ? table[index] : NULL;
}

const t3_algorithm *t3_algorithm_named(const char *name) {
  for (size_t i = 0; i < sizeof table / sizeof *table; ++i)
    if (!strcmp(table[i]->name, name)) return table[i];
  return NULL;
}

bool t3_applicable(const t3_problem *problem, const t3_algorithm *algorithm, char *why, size_t capacity) {
  static const char *const works[] = {"outputs and gradients of inputs", "gradients of weights", "gradients of a bias"};
  if (algorithm->serves == t3_work_of(problem->operation)) return algorithm->applicable(problem, why, capacity);
  snprintf(why, capacity, "it computes %s only", works[algorithm->serves]);
  return false;
}

const char *tconv3d_algorithm_name(size_t index) {
  const t3_algorithm *algorithm = t3_algorithm_at(index);
  return algorithm ? algorithm->name : NULL;
}

void t3_set_args(t3_launch *launch, const t3_arg *args, size_t count) {
  assert(count < T3_MAX_ARGS); /* with room for a residual */
  memcpy(launch->args, args, count * sizeof *args);
  launch->num_args = (int)count;
}

void t3_define(t3_text *defines, const char *name, int64_t value) {
  /* Parenthesised when negative: a define is pasted into expressions. */
  t3_text_append(defines, value < 0 ? "%s=(%" PRId64 ")\n" : "%s=%" PRId64 "\n", name, value);
}

void t3_define_axes(t3_text *defines, const char *name, const int64_t value[3]) {
  for (int a = 0; a < 3; ++a)
    t3_text_append(defines, value[a] < 0 ? "%s_%c=(%" PRId64 ")\n" : "%s_%c=%" PRId64 "\n", name, "DHW"[a], value[a]);
}

/* A constant of the type of the sums; a device without doubles need not know what one is. */
static void define_real(t3_text *defines, const t3_problem *problem, const char *name, double value) {
  bool single = problem->real_size == 4;
  t3_text_append(defines, "%s=(%a%s)\n", name, single ? (double)(float)value : value, single ? "f" : "");
}

static void define_epilogue(t3_text *defines, const t3_problem *problem) {
  const tconv3d_epilogue *epilogue = &problem->epilogue;
  if (epilogue->activation) {
    t3_define(defines, "ACTIVATION", epilogue->activation);
    define_real(defines, problem, "LOW", epilogue->low);
    define_real(defines, problem, "HIGH", epilogue->high);
  }
  if (epilogue->affine) t3_define(defines, "AFFINE", epilogue->affine);
  if (epilogue->residual != 0) define_real(defines, problem, "RESIDUAL", epilogue->residual);
  if (problem->beta != 0) define_real(defines, problem, "BETA", problem->beta);
}

void t3_define_types(t3_text *defines, const t3_problem *problem) {
  const tconv3d_dtype x = t3_input_type(problem), w = problem->layer.weight_dtype, y = t3_target_type(problem);
  const bool half = x == TCONV3D_F16 || w == TCONV3D_F16 || y == TCONV3D_F16;
  t3_define(defines, "X_TYPE", x);
  t3_define(defines, "W_TYPE", w);
  t3_define(defines, "Y_TYPE", y);
  if (half && problem->device.type & CL_DEVICE_TYPE_GPU) t3_define(defines, "DEVICE_HALF", 1);
  define_epilogue(defines, problem);
}

bool t3_epilogue_has_channels(const tconv3d_epilogue *epilogue) {
  return epilogue->activation == TCONV3D_PRELU || epilogue->affine;
}

enum { CHANNELS_PAST = 16 }; /* the most lanes of a vector: one of the last channels' numbers may reach past them */

void t3_end_recipe(const t3_problem *problem, int64_t packed_count, t3_recipe *recipe) {
  int64_t channels = problem->layer.out_channels;
  if (problem->epilogue.residual != 0) {
    t3_launch *last = &recipe->run[recipe->num_run - 1];
    last->args[last->num_args++] = (t3_arg){T3_RESIDUAL, 0};
  }
  if (t3_epilogue_has_channels(&problem->epilogue)) {
    t3_define(&recipe->defines, "CHANNELS_AT", packed_count);
    t3_define(&recipe->defines, "OUT_CHANNELS", channels);
    t3_define(&recipe->defines, "CHANNELS_PAST", CHANNELS_PAST);
    packed_count += 3 * channels + CHANNELS_PAST;
    recipe->pack_channels = (t3_launch){.kernel = "pack_channels", .local = 1, .items = channels};
    T3_ARGS(&recipe->pack_channels, {T3_SLOPE, 0}, {T3_SCALE, 0}, {T3_SHIFT, 0}, {T3_PACKED, 0});
  }
  recipe->packed_bytes = packed_count * problem->real_size;
}

void t3_define_problem(t3_text *defines, const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  t3_define_types(defines, problem);
  const t3_axis *d = &layer->axis[T3_D], *h = &layer->axis[T3_H], *w = &layer->axis[T3_W];
  const int64_t *weight = layer->w.stride;
  t3_define(defines, "TRANSPOSED", layer->transposed);
  t3_define(defines, "WEIGHT_DENSE", layer->w.dense);
  t3_define(defines, "WEIGHT_0", weight[0]);
  t3_define(defines, "WEIGHT_1", weight[1]);
  t3_define_axes(defines, "WEIGHT", weight + 2);
  t3_define(defines, "GROUPS", layer->groups);
  t3_define(defines, "GROUP_IN", layer->group_in);
  t3_define(defines, "GROUP_OUT", layer->group_out);
  t3_define_axes(defines, "KERNEL", (int64_t[]){d->kernel, h->kernel, w->kernel});
  t3_define_axes(defines, "STRIDE", (int64_t[]){t3_output_step(d), t3_output_step(h), t3_output_step(w)});
  t3_define_axes(defines, "INPUT_STEP", (int64_t[]){t3_input_step(d), t3_input_step(h), t3_input_step(w)});
  t3_define_axes(defines, "PADDING", (int64_t[]){d->padding, h->padding, w->padding});
  t3_define_axes(defines, "DILATION", (int64_t[]){d->dilation, h->dilation, w->dilation});
}

double t3_device_rate(const tconv3d_device_info *device) {
  /* Two vector multiply-adds a cycle at 2.5 GHz on a CPU core; a GPU's compute unit does 64 at 1.5 GHz. */
  bool gpu = device->type & CL_DEVICE_TYPE_GPU;
  double units = device->compute_units ? device->compute_units : 1;
  return units * (gpu ? 64 * 1.5e9 : 2 * (double)device->vector_width * 2.5e9);
}

double t3_cycles_to_seconds(const tconv3d_device_info *device, double cycles) {
  /* One work-item a group leaves a GPU's lanes idle. */
  double units = device->compute_units ? device->compute_units : 1;
  return cycles / (units * 2.5e9) * (device->type & CL_DEVICE_TYPE_GPU ? 32 : 1);
}

uint64_t t3_cache_share(const tconv3d_device_info *device) {
  const uint64_t of_unit = 8 << 20;
  return device->cache_bytes < device->compute_units * of_unit ? device->cache_bytes : device->compute_units * of_unit;
}

bool t3_unforeseen(const t3_problem *problem) {
  enum { FORESEEN_BYTES = 1 << 20 }; /* of x: they stay in the second cache */
  int64_t foreseen = (int64_t)problem->device.cache_bytes;
  if (foreseen <= 0 || foreseen > FORESEEN_BYTES) foreseen = FORESEEN_BYTES;
  return problem->layer.group_in > 8 && problem->layer.x_count * problem->real_size >= foreseen;
}

double t3_stream_seconds(const tconv3d_device_info *device, int64_t floats) {
  double bytes = (double)floats * sizeof(float);
  return bytes / (bytes > (double)device->cache_bytes ? 20e9 : 60e9); /* measured on two cores */
}
