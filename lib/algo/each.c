/* each: one work-item computes one element of the weight's gradient. Nothing is prepared, so it serves every layer on every
 * device; it is the last resort, and for small layers the plain choice on a GPU. */
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

static double cost(const t3_problem *problem, const t3_variant *variant) {
  (void)variant;
  /* Measured on a CPU: some 2 % of the vector peak, as sums are short and gy is read with its stride. A GPU hides more. */
  const t3_layer *layer = &problem->layer;
  bool gpu = problem->device.type & CL_DEVICE_TYPE_GPU;
  double efficiency = gpu ? 0.05 : 0.02, busy = 256 * (double)problem->device.compute_units;
  if (gpu && (double)layer->w_count < busy) efficiency *= (double)layer->w_count / busy; /* lanes without an element */
  return t3_layer_flops(layer) / 2 / (t3_device_rate(&problem->device) * efficiency) + 20e-6;
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
  recipe->run[0] = (t3_launch){.kernel = "each", .local = local_size(&problem->device), .items = layer->w_count};
  T3_ARGS(&recipe->run[0], {T3_X, 0}, {T3_GY, 0}, {T3_Y, 0}, {T3_NUMBER, layer->batch}, {T3_NUMBER, d->in}, {T3_NUMBER, h->in},
          {T3_NUMBER, w->in}, T3_STRIDES(layer->x.stride), {T3_NUMBER, d->out}, {T3_NUMBER, h->out}, {T3_NUMBER, w->out},
          T3_STRIDES(layer->y.stride));
  recipe->num_run = 1;
  return TCONV3D_OK;
}

const t3_algorithm t3_algo_each = {"each", "each", applicable, variants, cost, recipe, T3_WEIGHT_GRADIENT};
