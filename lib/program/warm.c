/* The first launch of a kernel, made at plan creation so that the caller's first call has nothing left to compile. PoCL
 * generates machine code for each (local size, small or large grid) at its first launch; other runtimes too load code late. The
 * launch is real but its items argument is 0, so every work-item returns at once. */
#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "program/program.h"

enum { SMALL_GRID = 65535 };

size_t t3_grid(const t3_launch *launch) {
  return (size_t)t3_round_up(launch->items, (int64_t)launch->local);
}

bool t3_grid_is_large(const t3_launch *launch) {
  return t3_grid(launch) >= SMALL_GRID;
}

/* The smallest grid of the same class as the real one. */
static size_t warm_grid(const t3_launch *launch) {
  if (!t3_grid_is_large(launch)) return launch->local;
  return (SMALL_GRID / launch->local + 1) * launch->local;
}

static cl_int set_arguments(cl_kernel kernel, const t3_launch *launch, cl_mem nothing) {
  const cl_ulong zero = 0;
  cl_uint index = 0;
  cl_int error = clSetKernelArg(kernel, index++, sizeof zero, &zero);
  for (int i = 0; i < launch->num_args && error == CL_SUCCESS; ++i) {
    if (launch->args[i].kind < T3_TENSORS) error = clSetKernelArg(kernel, index++, sizeof nothing, &nothing);
    if (error == CL_SUCCESS) error = clSetKernelArg(kernel, index++, sizeof zero, &zero);
  }
  return error;
}

static tconv3d_status run_once(const t3_slot *slot, cl_kernel kernel, const t3_launch *launch, cl_mem nothing) {
  cl_int error = set_arguments(kernel, launch, nothing);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clSetKernelArg", launch->kernel);
  size_t grid = warm_grid(launch);
  cl_event event;
  error = clEnqueueNDRangeKernel(slot->warming, kernel, 1, NULL, &grid, &launch->local, 0, NULL, &event);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueNDRangeKernel", launch->kernel);
  error = clWaitForEvents(1, &event);
  clReleaseEvent(event);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", launch->kernel);
}

tconv3d_status t3_warm(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch) {
  cl_int error;
  cl_kernel kernel = clCreateKernel(program->cl, launch->kernel, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateKernel", launch->kernel);
  cl_mem nothing = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, 64, NULL, &error);
  tconv3d_status status =
      error == CL_SUCCESS ? run_once(slot, kernel, launch, nothing) : t3_cl_fail(error, "clCreateBuffer", "for a first launch");
  if (nothing) clReleaseMemObject(nothing);
  clReleaseKernel(kernel);
  return status;
}
