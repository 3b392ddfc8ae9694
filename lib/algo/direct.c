/* direct: one work-item gathers one output element. Nothing is prepared but a copy of the weights, so it serves every layer on
 * every device; it is the last resort. */
#include "algo/algo.h"
#include "base/checked.h"

static bool applicable(const t3_problem *problem, char *why, size_t capacity) {
  (void)problem, (void)why, (void)capacity;
  return true;
}

static size_t variants(const t3_problem *problem, t3_variant *list) {
  (void)problem;
  list[0] = (t3_variant){0};
  return 1;
}

/* Taps that are looked at for an output: those of D, and under each of these that meets x those of H, and so on. */
static double tests(const t3_layer *layer) {
  double met = 1, sum = 0;
  for (int a = 0; a < 3; ++a) {
    sum += met * (double)layer->axis[a].kernel;
    met *= (double)layer->axis[a].kernel / (double)t3_output_step(&layer->axis[a]);
  }
  return sum;
}

/* An FPGA's pipeline looks at one tap a cycle, those of other residues too, and takes four channels of it; 250 MHz. */
static double accelerator_seconds(const t3_layer *layer) {
  double rounds = (double)layer->y_count * (double)layer->taps * (double)t3_ceil_div(layer->group_in, 4);
  return rounds / 250e6 + 20e-6;
}

static double cost(const t3_problem *problem, const t3_variant *variant) {
  (void)variant;
  /* Measured on a CPU: 1 to 3 % of the vector peak, as loads are scattered and taps are tested one by one, and a tenth of that
   * where the weights outgrow the second cache. A GPU hides more. */
  const t3_layer *layer = &problem->layer;
  if (problem->device.type & CL_DEVICE_TYPE_ACCELERATOR) return accelerator_seconds(layer);
  double efficiency = problem->device.type & CL_DEVICE_TYPE_GPU ? 0.1 : layer->w_count < 1 << 18 ? 0.02 : 0.002;
  double seconds = t3_layer_flops(layer) / 2 / (t3_device_rate(&problem->device) * efficiency) + 20e-6;
  /* An output's place is found by divisions, however few its taps; a GPU has none of 64 bits. */
  if (!(problem->device.type & CL_DEVICE_TYPE_GPU))
    return seconds + t3_cycles_to_seconds(&problem->device, 40 * (double)layer->y_count);
  return seconds + (double)layer->y_count * (500 + 10 * tests(layer)) / t3_device_rate(&problem->device);
}

/* Work-items a group: a GPU wants whole wavefronts, a CPU only wants few groups. */
static size_t local_size(const tconv3d_device_info *device) {
  size_t wanted = device->type & CL_DEVICE_TYPE_GPU ? 64 : 16;
  return device->work_group_size < wanted ? (size_t)t3_max((int64_t)device->work_group_size, 1) : wanted;
}

static tconv3d_status recipe(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe) {
  (void)variant;
  const t3_layer *layer = &problem->layer;
  const t3_axis *d = &layer->axis[T3_D], *h = &layer->axis[T3_H], *w = &layer->axis[T3_W];
  t3_define_problem(&recipe->defines, problem);
  recipe->deterministic = true;
  size_t local = local_size(&problem->device);
  int64_t packed = layer->w_count + layer->out_channels;
  recipe->pack = (t3_launch){.kernel = "direct_pack", .local = local, .items = packed};
  T3_ARGS(&recipe->pack, {T3_WEIGHT, 0}, {T3_BIAS, 0}, {T3_PACKED, 0}, {T3_NUMBER, layer->has_bias});
  recipe->run[0] = (t3_launch){.kernel = "direct", .local = local, .items = layer->y_count};
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_PACKED, 0}, {T3_Y, 0}, {T3_NUMBER, d->in}, {T3_NUMBER, h->in}, {T3_NUMBER, w->in},
          T3_STRIDES(layer->x.stride), {T3_NUMBER, d->out}, {T3_NUMBER, h->out}, {T3_NUMBER, w->out},
          T3_STRIDES(layer->y.stride));
  recipe->num_run = 1;
  t3_end_recipe(problem, packed, recipe);
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_direct = {"direct", "direct", applicable, variants, cost, recipe, T3_LAYER};
