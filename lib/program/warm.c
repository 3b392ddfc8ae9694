/* The first launch of a kernel, made at plan creation so that the caller's first call has nothing left to compile. PoCL
 * generates machine code for each (local size, small or large grid) at its first launch; other runtimes too load code late. The
 * launch is real but its items argument is 0, so every work-item returns at once. The other numbers are the launch's own:
 * Intel's compiler may divide by one before the work-item returns, which must not be a division by 0. */
#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "device/quirks.h"
#include "program/program.h"

/* PoCL compiles one variant of a kernel for grids of fewer work-items along an axis and one for larger ones. */
enum { SMALL_GRID = 65535 };

static int64_t whole_grid(const t3_launch *launch) {
  return t3_round_up(launch->items, (int64_t)launch->local);
}

int64_t t3_num_pieces(const t3_launch *launch) {
  return launch->part ? t3_max(t3_ceil_div(whole_grid(launch), launch->part), 1) : 1;
}

t3_piece t3_piece_at(const t3_launch *launch, int64_t index) {
  int64_t offset = index * launch->part, left = whole_grid(launch) - offset;
  return (t3_piece){(size_t)offset, (size_t)(launch->part ? t3_min(launch->part, left) : left)};
}

void t3_launch_class(const tconv3d_device_info *device, const t3_launch *launch, const t3_piece *piece, t3_text *line) {
  t3_text_append(line, "%s %zu", launch->kernel, launch->local);
  if (t3_has_quirk(device, T3_CODE_BY_LAUNCH))
    t3_text_append(line, " %s%s", piece->grid >= SMALL_GRID ? "large" : "small", piece->offset ? " offset" : "");
  t3_text_append(line, "\n");
}

size_t t3_least_grid(const tconv3d_device_info *device, const t3_launch *launch, const t3_piece *piece) {
  if (!t3_has_quirk(device, T3_CODE_BY_LAUNCH) || piece->grid < SMALL_GRID) return launch->local;
  return (SMALL_GRID / launch->local + 1) * launch->local;
}

static cl_int set_arguments(cl_kernel kernel, const t3_launch *launch, cl_mem nothing) {
  const cl_ulong zero = 0; /* of items, and where a tensor starts */
  cl_uint index = 0;
  cl_int error = clSetKernelArg(kernel, index++, sizeof zero, &zero);
  for (int i = 0; i < launch->num_args && error == CL_SUCCESS; ++i) {
    const t3_arg *arg = &launch->args[i];
    const cl_ulong number = arg->kind == T3_NUMBER ? (cl_ulong)arg->number : zero;
    if (arg->kind != T3_NUMBER) error = clSetKernelArg(kernel, index++, sizeof nothing, &nothing);
    if (error == CL_SUCCESS) error = clSetKernelArg(kernel, index++, sizeof number, &number);
  }
  return error;
}

static tconv3d_status run_once(const t3_slot *slot, cl_kernel kernel, const t3_launch *launch, const t3_piece *piece,
                               cl_mem nothing) {
  cl_int error = set_arguments(kernel, launch, nothing);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clSetKernelArg", launch->kernel);
  size_t grid = t3_least_grid(&slot->info, launch, piece), offset = launch->local;
  cl_event event;
  error =
      clEnqueueNDRangeKernel(slot->warming, kernel, 1, piece->offset ? &offset : NULL, &grid, &launch->local, 0, NULL, &event);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueNDRangeKernel", launch->kernel);
  error = clWaitForEvents(1, &event);
  clReleaseEvent(event);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", launch->kernel);
}

tconv3d_status t3_warm(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch,
                       const t3_piece *piece) {
  cl_int error;
  cl_kernel kernel = clCreateKernel(program->cl, launch->kernel, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateKernel", launch->kernel);
  cl_mem nothing = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, 64, NULL, &error);
  tconv3d_status status = error == CL_SUCCESS ? run_once(slot, kernel, launch, piece, nothing)
                                              : t3_cl_fail(error, "clCreateBuffer", "for a first launch");
  if (nothing) clReleaseMemObject(nothing);
  clReleaseKernel(kernel);
  return status;
}
