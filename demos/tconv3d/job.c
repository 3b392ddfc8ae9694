/* job.c: see job.h. */
#include "tconv3d/job.h"

#include <stdio.h>
#include <string.h>

bool job_read(const char *path, const char *label, int least, int most, const char *axes, struct npy *array,
              struct fault *fault) {
  if (!npy_read(path, label, array, fault)) return false;
  if (array->rank >= least && array->rank <= most) return true;
  return fault_set(fault, EXIT_WRONG_USE, "%s (%s): it has %d ax%s; %s needed", label, path, array->rank,
                   array->rank == 1 ? "is" : "es", axes);
}

tconv3d_dtype job_type(enum npy_type type) {
  static const tconv3d_dtype types[] = {[NPY_F16] = TCONV3D_F16, [NPY_F32] = TCONV3D_F32, [NPY_F64] = TCONV3D_F64};
  return types[type];
}

bool job_convert(struct npy *array, enum npy_type type, struct fault *fault) {
  if (!array->data || (array->type == NPY_F64) == (type == NPY_F64)) return true;
  return npy_convert(array, type == NPY_F64 ? NPY_F64 : NPY_F32, fault);
}

/* Seconds of each step, for --verbose. */
struct times {
  double plan, weights, run;
};

static void report(const tconv3d_device_info *info, const tconv3d_plan *plan, const struct times *times) {
  const char *text = tconv3d_plan_explain(plan);
  size_t length = strlen(text);
  fprintf(stderr, "device %u:%u %s (%s)\n%s%s", info->platform_index, info->device_index, info->name, info->platform_name, text,
          length && text[length - 1] != '\n' ? "\n" : "");
  fprintf(stderr, "plan %.4f s, weights %.4f s, run %.4f s\n", times->plan, times->weights, times->run);
}

static tconv3d_status run_layer(const struct job *job, const tconv3d_plan *plan, struct times *times) {
  tconv3d_weights *weights = NULL;
  const void *input = job->operation == TCONV3D_GRAD_INPUT ? job->gy : job->x;
  double start = seconds_now();
  tconv3d_status status = tconv3d_weights_create_host(plan, job->weight, job->bias, &weights);
  double packed = seconds_now();
  if (status == TCONV3D_OK) status = tconv3d_run(plan, weights, input, job->target->data);
  times->weights = packed - start;
  times->run = seconds_now() - packed;
  tconv3d_weights_destroy(weights);
  return status;
}

static tconv3d_status run_gradient(const struct job *job, const tconv3d_plan *plan, struct times *times) {
  double start = seconds_now();
  tconv3d_status status = tconv3d_run_gradient(plan, job->x, job->gy, job->target->data);
  times->run = seconds_now() - start;
  return status;
}

bool job_run(const struct job *job, struct fault *fault) {
  tconv3d_context *context = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_device_info info;
  struct times times = {0};
  if (!open_context(job->device, &context, &info, fault)) return false;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = job->device->algorithm;
  options.operation = job->operation;
  double start = seconds_now();
  tconv3d_status status = tconv3d_plan_create(context, job->desc, &options, &plan);
  times.plan = seconds_now() - start;
  bool gradient = job->operation == TCONV3D_GRAD_WEIGHT || job->operation == TCONV3D_GRAD_BIAS;
  bool done = status == TCONV3D_OK ? npy_make(job->target, job->target_type, job->target_rank, job->target_shape, fault)
                                   : fault_from_status(fault, status);
  if (done) status = gradient ? run_gradient(job, plan, &times) : run_layer(job, plan, &times);
  if (done && status != TCONV3D_OK) done = fault_from_status(fault, status);
  if (done && job->device->verbose) report(&info, plan, &times);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return done;
}
