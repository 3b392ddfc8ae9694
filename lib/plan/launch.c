#include "plan/launch.h"

#include "base/status.h"
#include "device/clerror.h"
#include "program/program.h"

void t3_step_init(t3_step *step, const t3_launch *launch, cl_program program) {
  *step = (t3_step){.launch = launch, .program = program};
  pthread_mutex_init(&step->lock, NULL);
}

void t3_step_free(t3_step *step) {
  if (!step->launch) return;
  while (step->num_spare) clReleaseKernel(step->spare[--step->num_spare]);
  pthread_mutex_destroy(&step->lock);
  step->launch = NULL;
}

static tconv3d_status borrow(t3_step *step, cl_kernel *kernel) {
  pthread_mutex_lock(&step->lock);
  *kernel = step->num_spare ? step->spare[--step->num_spare] : NULL;
  pthread_mutex_unlock(&step->lock);
  if (*kernel) return TCONV3D_OK;
  cl_int error;
  *kernel = clCreateKernel(step->program, step->launch->kernel, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateKernel", step->launch->kernel);
}

/* The kernel's arguments were captured when it was enqueued, so it is free again at once. */
static void give_back(t3_step *step, cl_kernel kernel) {
  pthread_mutex_lock(&step->lock);
  if (step->num_spare < T3_SPARE_KERNELS) {
    step->spare[step->num_spare++] = kernel;
    kernel = NULL;
  }
  pthread_mutex_unlock(&step->lock);
  if (kernel) clReleaseKernel(kernel);
}

static cl_int set_arguments(cl_kernel kernel, const t3_launch *launch, const t3_binding *binding) {
  cl_ulong items = (cl_ulong)launch->items;
  cl_uint index = 0;
  cl_int error = clSetKernelArg(kernel, index++, sizeof items, &items);
  for (int i = 0; i < launch->num_args && error == CL_SUCCESS; ++i) {
    const t3_arg *arg = &launch->args[i];
    if (arg->kind == T3_NUMBER) {
      cl_long number = arg->number;
      error = clSetKernelArg(kernel, index++, sizeof number, &number);
      continue;
    }
    cl_ulong start = binding->start[arg->kind] + (cl_ulong)arg->number;
    error = clSetKernelArg(kernel, index++, sizeof(cl_mem), &binding->mem[arg->kind]);
    if (error == CL_SUCCESS) error = clSetKernelArg(kernel, index++, sizeof start, &start);
  }
  return error;
}

tconv3d_status t3_step_enqueue(t3_step *step, cl_command_queue queue, const t3_binding *binding, cl_uint num_events,
                               const cl_event *wait_list, cl_event *event) {
  cl_kernel kernel;
  T3_TRY(borrow(step, &kernel));
  const char *call = "clSetKernelArg";
  cl_int error = set_arguments(kernel, step->launch, binding);
  if (error == CL_SUCCESS) {
    size_t grid = t3_grid(step->launch);
    call = "clEnqueueNDRangeKernel";
    error = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &grid, &step->launch->local, num_events, wait_list, event);
  }
  give_back(step, kernel);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, call, step->launch->kernel);
}
