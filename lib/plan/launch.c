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

/* An argument without a value is a NULL pointer; which a kernel is never enqueued with. */
static void clear_buffers(cl_kernel kernel, const t3_launch *launch) {
  cl_uint index = 1;
  for (int i = 0; i < launch->num_args; ++i) {
    bool buffer = launch->args[i].kind != T3_NUMBER;
    if (buffer) clSetKernelArg(kernel, index, sizeof(cl_mem), NULL);
    index += buffer ? 2 : 1;
  }
}

/* The kernel's arguments were captured when it was enqueued, so it is free again at once. */
static void give_back(t3_step *step, cl_kernel kernel) {
  if (step->clears) clear_buffers(kernel, step->launch);
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

static cl_int enqueue_piece(const t3_step *step, cl_kernel kernel, cl_command_queue queue, int64_t index, cl_uint num_events,
                            const cl_event *wait_list, cl_event *event) {
  const t3_launch *launch = step->launch;
  t3_piece piece = t3_piece_at(launch, index);
  if (piece.grid < step->least_grid) piece.grid = step->least_grid;
  return clEnqueueNDRangeKernel(queue, kernel, 1, piece.offset ? &piece.offset : NULL, &piece.grid, &launch->local, num_events,
                                wait_list, event);
}

tconv3d_status t3_step_extend(t3_step *step, cl_command_queue queue, const t3_binding *binding, cl_uint num_events,
                              const cl_event *wait_list, bool want_last, t3_chain *chain) {
  cl_kernel kernel;
  int64_t pieces = t3_num_pieces(step->launch);
  T3_TRY(borrow(step, &kernel));
  const char *call = "clSetKernelArg";
  cl_int error = set_arguments(kernel, step->launch, binding);
  for (int64_t i = 0; i < pieces && error == CL_SUCCESS; ++i) {
    cl_event before = chain->last, done = NULL;
    call = "clEnqueueNDRangeKernel";
    error = enqueue_piece(step, kernel, queue, i, before ? 1 : num_events, before ? &before : wait_list,
                          want_last || i + 1 < pieces ? &done : NULL);
    if (error != CL_SUCCESS) break;
    if (before) chain->between[chain->count++] = before;
    chain->last = done;
  }
  give_back(step, kernel);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, call, step->launch->kernel);
}

tconv3d_status t3_step_enqueue(t3_step *step, cl_command_queue queue, const t3_binding *binding, cl_uint num_events,
                               const cl_event *wait_list, cl_event *event) {
  t3_chain chain = {0};
  T3_TRY(t3_step_extend(step, queue, binding, num_events, wait_list, event != NULL, &chain));
  if (event) *event = chain.last;
  return TCONV3D_OK;
}
