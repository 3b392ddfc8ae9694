/* gemm: matrix products by CLBlast, phase by phase. A phase's outputs are its weights times a matrix of the values of x that
 * its taps meet; only taps that reach the phase are gathered, so nothing is multiplied by an inserted zero. Where kernel =
 * stride x is that matrix itself, and one product serves all phases. It is for GPUs for which CLBlast has good parameters; with
 * those of a device that it does not know it is slow. */
#include <inttypes.h>
#include <stdio.h>

#include "algo/algo.h"
#include "algo/padded.h"
#include "base/checked.h"

enum { GATHER, SINGLE };

/* KiB that the workspace may take, the second number of a variant: the rest is done in slices of positions or images. Less is
 * slower, and for devices or calls that have no more. */
static const int64_t caps[] = {256 << 10, 16 << 10, 1 << 10, 64};
enum { NUM_CAPS = sizeof caps / sizeof *caps };

/* One phase: its taps, positions in an image, and the offset of its first tap along each axis. */
struct phase {
  int64_t residue[3], taps[3], size[3], offset[3], all_taps, positions;
};

static int64_t num_phases(const t3_problem *problem) {
  const t3_phases *p = problem->phases;
  return p[T3_D].residues * p[T3_H].residues * p[T3_W].residues;
}

static struct phase phase_at(const t3_problem *problem, int64_t index) {
  struct phase phase = {.all_taps = 1, .positions = 1};
  for (int a = 2; a >= 0; --a) {
    int64_t residues = problem->phases[a].residues;
    t3_phase one = t3_phase_at(&problem->layer.axis[a], index % residues);
    phase.residue[a] = index % residues;
    phase.taps[a] = one.taps, phase.size[a] = one.positions, phase.offset[a] = one.first_offset;
    phase.all_taps *= one.taps, phase.positions *= one.positions;
    index /= residues;
  }
  return phase;
}

/* Elements of both matrices of a position of all groups; positions in a slice. */
static int64_t column(const t3_layer *layer, const struct phase *phase) {
  return phase->all_taps * layer->in_channels + layer->out_channels;
}
static int64_t cap_of(const t3_problem *problem, int64_t kib) {
  int64_t cap = t3_min(kib << 10, (int64_t)(problem->device.max_buffer_bytes / 2));
  return cap / problem->real_size;
}
static int64_t slice_of(const t3_problem *problem, const struct phase *phase, int64_t kib) {
  int64_t all = problem->layer.batch * phase->positions;
  return t3_max(t3_min(all, cap_of(problem, kib) / column(&problem->layer, phase)), 1);
}
static int64_t slices_of(const t3_problem *problem, const struct phase *phase, int64_t kib) {
  int64_t slice = slice_of(problem, phase, kib), all = problem->layer.batch * phase->positions;
  return all / slice + (all % slice != 0);
}

/* Elements of one image's product if SINGLE, images in a slice, and its launches. */
static int64_t image_of(const t3_problem *problem) {
  return problem->layer.out_channels * problem->layer.taps * problem->layer.axis[T3_D].in * problem->layer.axis[T3_H].in *
         problem->layer.axis[T3_W].in;
}
static int64_t images_of(const t3_problem *problem, int64_t kib) {
  return t3_max(t3_min(problem->layer.batch, cap_of(problem, kib) / t3_max(image_of(problem), 1)), 1);
}
static int64_t single_launches(const t3_problem *problem, int64_t kib) {
  int64_t images = images_of(problem, kib), batch = problem->layer.batch, slices = batch / images + (batch % images != 0);
  return slices + (problem->layer.groups == 1 ? slices : batch);
}

static bool can_be_single(const t3_problem *problem, int64_t kib) {
  const t3_layer *layer = &problem->layer;
  bool meets = layer->transposed && layer->x.dense && t3_is_real(problem, layer->dtype);
  for (int a = 0; a < 3; ++a) {
    const t3_axis *axis = &layer->axis[a];
    meets = meets && !axis->convolves && axis->kernel == axis->stride && !axis->padding &&
            axis->out == axis->in * axis->stride && (axis->dilation == 1 || axis->kernel == 1);
  }
  return meets && image_of(problem) <= cap_of(problem, kib) && single_launches(problem, kib) <= T3_MAX_LAUNCHES;
}

static int64_t gather_launches(const t3_problem *problem, int64_t kib) {
  int64_t count = num_phases(problem), launches = 0;
  for (int64_t i = 0; i < count && i <= T3_MAX_LAUNCHES && launches <= T3_MAX_LAUNCHES; ++i) {
    struct phase phase = phase_at(problem, i);
    launches += slices_of(problem, &phase, kib) * (phase.all_taps ? 3 : 1);
  }
  return launches;
}

static bool can_gather(const t3_problem *problem, int64_t kib) {
  return gather_launches(problem, kib) <= T3_MAX_LAUNCHES;
}

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  const t3_layer *layer = &problem->layer;
  int64_t largest = 0;
  for (int a = 0; a < 3; ++a) largest = t3_max(largest, t3_max(layer->axis[a].kernel, problem->phases[a].residues));
  if (problem->no_products) return snprintf(why, capacity, "%s", problem->no_products), false;
  if (!layer->y_count) return snprintf(why, capacity, "there is nothing to compute"), false;
  if (largest > 1 << 15) return t3_too_much(why, capacity, "a kernel's or a stride's size", largest, 1 << 15);
  if (!t3_padded_check(problem, 1, why, capacity)) return false;
  if (t3_max(layer->x.span, layer->w_count + layer->out_channels) > INT32_MAX)
    return snprintf(why, capacity, "CLBlast counts elements in 32 bits"), false;
  if (can_be_single(problem, caps[0]) || can_gather(problem, caps[0])) return true;
  return snprintf(why, capacity, "it would need more than %d launches a call", T3_MAX_LAUNCHES), false;
}

/* Of the smaller workspaces only those that are smaller for this layer. */
static size_t variants(const t3_problem *problem, t3_variant *list) {
  size_t count = 0;
  for (int64_t i = 0, before = 0; i < NUM_CAPS && can_be_single(problem, caps[i]); ++i) {
    int64_t launches = single_launches(problem, caps[i]);
    if (launches != before) list[count++] = (t3_variant){{SINGLE, caps[i]}};
    before = launches;
  }
  for (int64_t i = 0, before = 0; i < NUM_CAPS && can_gather(problem, caps[i]); ++i) {
    int64_t launches = gather_launches(problem, caps[i]);
    if (launches != before) list[count++] = (t3_variant){{GATHER, caps[i]}};
    before = launches;
  }
  return count;
}

/* Measured with CLBlast's own parameters: 13 to 23 of 200 GFLOP/s on a CPU that it does not know. A GPU's are assumed. */
static double cost(const t3_problem *problem, const t3_variant *variant) {
  const t3_layer *layer = &problem->layer;
  bool gpu = problem->device.type & CL_DEVICE_TYPE_GPU, single = variant->number[0] == SINGLE;
  double efficiency = gpu ? 0.25 : 0.06;
  double gathered = single ? 0 : (double)layer->x_count * (double)layer->taps;
  double moved = (2 * gathered + 3 * (double)layer->y_count) * sizeof(float) / (gpu ? 200e9 : 2e9);
  int64_t kib = variant->number[1];
  double launches = (double)(single ? single_launches(problem, kib) : gather_launches(problem, kib));
  return t3_layer_flops(layer) / 2 / (t3_device_rate(&problem->device) * efficiency) + moved + launches * 30e-6;
}

static size_t local_size(const tconv3d_device_info *device) {
  size_t wanted = device->type & CL_DEVICE_TYPE_GPU ? 64 : 16;
  return device->work_group_size < wanted ? (size_t)t3_max((int64_t)device->work_group_size, 1) : wanted;
}

static t3_launch *next_launch(t3_recipe *recipe) {
  return &recipe->run[recipe->num_run++];
}

/* The residual is an argument of every launch that stores; t3_end_recipe gives it to the last one. */
static void add_residual(const t3_problem *problem, t3_launch *launch) {
  if (problem->epilogue.residual != 0) launch->args[launch->num_args++] = (t3_arg){T3_RESIDUAL, 0};
}

static void gather_slice(const t3_problem *problem, const struct phase *p, int64_t first, int64_t count, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  t3_launch *launch = next_launch(recipe);
  *launch = (t3_launch){
      .kernel = "gemm_gather", .local = local_size(&problem->device), .items = layer->in_channels * p->all_taps * count};
  T3_ARGS(launch, {T3_X, 0}, {T3_WORKSPACE, 0}, {T3_NUMBER, first}, {T3_NUMBER, count}, {T3_NUMBER, p->size[0]},
          {T3_NUMBER, p->size[1]}, {T3_NUMBER, p->size[2]}, {T3_NUMBER, p->taps[1]}, {T3_NUMBER, p->taps[2]},
          {T3_NUMBER, p->all_taps}, {T3_NUMBER, p->offset[0]}, {T3_NUMBER, p->offset[1]}, {T3_NUMBER, p->offset[2]},
          {T3_NUMBER, layer->axis[T3_D].in}, {T3_NUMBER, layer->axis[T3_H].in}, {T3_NUMBER, layer->axis[T3_W].in},
          T3_STRIDES(layer->x.stride));
}

static void multiply_slice(const t3_problem *problem, const struct phase *p, int64_t weights, int64_t count,
                           t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  int64_t m = layer->group_out, k = layer->group_in * p->all_taps;
  t3_launch *launch = next_launch(recipe);
  *launch = (t3_launch){.product = {.m = m,
                                    .n = count,
                                    .k = k,
                                    .batch = layer->groups,
                                    .step = {m * k, k * count, m * count},
                                    .doubles = problem->real_size == 8}};
  T3_ARGS(launch, {T3_PACKED, weights}, {T3_WORKSPACE, 0}, {T3_WORKSPACE, layer->groups * k * count});
}

static void store_slice(const t3_problem *problem, const struct phase *p, int64_t first, int64_t count, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  t3_launch *launch = next_launch(recipe);
  *launch = (t3_launch){.kernel = "gemm_store", .local = local_size(&problem->device), .items = layer->out_channels * count};
  T3_ARGS(launch, {T3_PACKED, 0}, {T3_WORKSPACE, layer->in_channels * p->all_taps * count}, {T3_Y, 0},
          {T3_NUMBER, p->all_taps > 0}, {T3_NUMBER, first}, {T3_NUMBER, count}, {T3_NUMBER, p->size[0]},
          {T3_NUMBER, p->size[1]}, {T3_NUMBER, p->size[2]}, {T3_NUMBER, p->residue[0]}, {T3_NUMBER, p->residue[1]},
          {T3_NUMBER, p->residue[2]}, T3_STRIDES(layer->y.stride));
  add_residual(problem, launch);
}

static void run_gathered(const t3_problem *problem, int64_t kib, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  int64_t phases = num_phases(problem), weights = 0, most = 0;
  for (int64_t i = 0; i < phases; ++i) {
    struct phase phase = phase_at(problem, i);
    int64_t slice = slice_of(problem, &phase, kib), all = layer->batch * phase.positions;
    for (int64_t first = 0; first < all; first += slice) {
      int64_t count = t3_min(slice, all - first);
      if (phase.all_taps) gather_slice(problem, &phase, first, count, recipe);
      if (phase.all_taps) multiply_slice(problem, &phase, weights, count, recipe);
      store_slice(problem, &phase, first, count, recipe);
    }
    weights += phase.all_taps * layer->out_channels * layer->group_in;
    most = t3_max(most, slice * column(layer, &phase));
  }
  recipe->workspace_bytes = most * problem->real_size;
  snprintf(recipe->detail, sizeof recipe->detail, "%" PRId64 " phase%s gathered and multiplied by CLBlast", phases,
           phases == 1 ? "" : "s");
}

/* All images at once, or all groups of each image: neither steps through two axes. */
static void multiply_images(const t3_problem *problem, int64_t first, int64_t images, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  int64_t m = layer->group_out * layer->taps, k = layer->group_in, calls = layer->groups == 1 ? 1 : images;
  int64_t n = layer->axis[T3_D].in * layer->axis[T3_H].in * layer->axis[T3_W].in;
  for (int64_t i = 0; i < calls; ++i) {
    t3_launch *launch = next_launch(recipe);
    *launch = (t3_launch){.product = {.m = m,
                                      .n = n,
                                      .k = k,
                                      .batch = calls == 1 && layer->groups == 1 ? images : layer->groups,
                                      .step = {layer->groups == 1 ? 0 : m * k, k * n, m * n},
                                      .doubles = problem->real_size == 8}};
    T3_ARGS(launch, {T3_PACKED, 0}, {T3_X, (first + i) * layer->in_channels * n},
            {T3_WORKSPACE, i * layer->out_channels * layer->taps * n});
  }
}

static void run_single(const t3_problem *problem, int64_t kib, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  int64_t images = images_of(problem, kib);
  for (int64_t first = 0; first < layer->batch; first += images) {
    int64_t count = t3_min(images, layer->batch - first);
    multiply_images(problem, first, count, recipe);
    t3_launch *launch = next_launch(recipe);
    *launch = (t3_launch){
        .kernel = "gemm_unfold", .local = local_size(&problem->device), .items = layer->y_count / layer->batch * count};
    T3_ARGS(launch, {T3_PACKED, 0}, {T3_WORKSPACE, 0}, {T3_Y, 0}, {T3_NUMBER, first}, {T3_NUMBER, layer->axis[T3_D].in},
            {T3_NUMBER, layer->axis[T3_H].in}, {T3_NUMBER, layer->axis[T3_W].in}, T3_STRIDES(layer->y.stride));
    add_residual(problem, launch);
  }
  recipe->workspace_bytes = images * image_of(problem) * problem->real_size;
  snprintf(recipe->detail, sizeof recipe->detail, "one product by CLBlast on x as it lies, then depth to space");
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  bool single = variant->number[0] == SINGLE;
  int64_t packed = layer->w_count + layer->out_channels;
  t3_define_problem(&recipe->defines, problem);
  t3_define(&recipe->defines, "SINGLE", single);
  for (int a = 0; a < 3; ++a) t3_define_tables(&recipe->defines, a, problem);
  recipe->deterministic = true;
  recipe->pack = (t3_launch){.kernel = "gemm_pack", .local = local_size(&problem->device), .items = packed};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  if (single)
    run_single(problem, variant->number[1], recipe);
  else
    run_gathered(problem, variant->number[1], recipe);
  /* The last launch has its residual: t3_end_recipe adds it once more. */
  if (problem->epilogue.residual != 0) --recipe->run[recipe->num_run - 1].num_args;
  t3_end_recipe(problem, packed, recipe);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_gemm = {"gemm", "gemm", applicable, variants, cost, recipe, T3_LAYER};
