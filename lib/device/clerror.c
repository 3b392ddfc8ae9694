#include "device/clerror.h"

#include "base/status.h"

struct row {
  cl_int error;
  tconv3d_status status;
  const char *name, *advice;
};

#define ROW(error, status, advice) \
  { error, status, #error, advice }
static const struct row rows[] = {
    ROW(CL_DEVICE_NOT_FOUND, TCONV3D_NO_DEVICE, "`tconv3d doctor` lists what is installed"),
    ROW(CL_DEVICE_NOT_AVAILABLE, TCONV3D_DEVICE_LOST, "destroy the context and make a new one, or choose another device"),
    ROW(CL_COMPILER_NOT_AVAILABLE, TCONV3D_BUILD_FAILED, "this device cannot build from source; choose another device"),
    ROW(CL_MEM_OBJECT_ALLOCATION_FAILURE, TCONV3D_OUT_OF_DEVICE_MEMORY, "free device memory or split the batch"),
    ROW(CL_OUT_OF_RESOURCES, TCONV3D_OPENCL_ERROR, "free device memory, or split the batch, or try the algorithm 'direct'"),
    ROW(CL_OUT_OF_HOST_MEMORY, TCONV3D_OUT_OF_HOST_MEMORY, "free host memory or split the batch"),
    ROW(CL_PROFILING_INFO_NOT_AVAILABLE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_MEM_COPY_OVERLAP, TCONV3D_INVALID_ARGUMENT, ""),
    ROW(CL_MAP_FAILURE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_MISALIGNED_SUB_BUFFER_OFFSET, TCONV3D_INVALID_ARGUMENT, ""),
    ROW(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, TCONV3D_OPENCL_ERROR,
        "an earlier command that this one waited for failed"),
    ROW(CL_COMPILE_PROGRAM_FAILURE, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_LINK_PROGRAM_FAILURE, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_BUILD_PROGRAM_FAILURE, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_INVALID_VALUE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_DEVICE_TYPE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_PLATFORM, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_DEVICE, TCONV3D_INVALID_ARGUMENT, "the device must belong to the context and to one platform"),
    ROW(CL_INVALID_CONTEXT, TCONV3D_INVALID_ARGUMENT, "the context, queue, buffers and events must belong together"),
    ROW(CL_INVALID_QUEUE_PROPERTIES, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_COMMAND_QUEUE, TCONV3D_INVALID_ARGUMENT, "the queue must be a live queue of the plan's context"),
    ROW(CL_INVALID_HOST_PTR, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_MEM_OBJECT, TCONV3D_INVALID_ARGUMENT, "the buffer must be a live buffer of the plan's context"),
    ROW(CL_INVALID_BINARY, TCONV3D_BUILD_FAILED, "`tconv3d cache clear` empties the program cache"),
    ROW(CL_INVALID_BUILD_OPTIONS, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_INVALID_PROGRAM, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_PROGRAM_EXECUTABLE, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_INVALID_KERNEL_NAME, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_INVALID_KERNEL_DEFINITION, TCONV3D_BUILD_FAILED, ""),
    ROW(CL_INVALID_KERNEL, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_ARG_INDEX, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_ARG_VALUE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_ARG_SIZE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_KERNEL_ARGS, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_WORK_DIMENSION, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_WORK_GROUP_SIZE, TCONV3D_OPENCL_ERROR, "the device allows fewer work-items a group than it reported"),
    ROW(CL_INVALID_WORK_ITEM_SIZE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_GLOBAL_OFFSET, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_EVENT_WAIT_LIST, TCONV3D_INVALID_ARGUMENT, "num_events and wait_list must agree and the events be live"),
    ROW(CL_INVALID_EVENT, TCONV3D_INVALID_ARGUMENT, "the events must be live events of the plan's context"),
    ROW(CL_INVALID_OPERATION, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_BUFFER_SIZE, TCONV3D_OUT_OF_DEVICE_MEMORY, "the device's largest buffer is smaller; split the batch"),
    ROW(CL_INVALID_GLOBAL_WORK_SIZE, TCONV3D_OPENCL_ERROR, ""),
    ROW(CL_INVALID_PROPERTY, TCONV3D_OPENCL_ERROR, ""),
    {-1001, TCONV3D_NO_DEVICE, "CL_PLATFORM_NOT_FOUND_KHR",
     "install an OpenCL runtime, on Debian for any CPU: pocl-opencl-icd"},
    {-9999, TCONV3D_DEVICE_LOST, "NVIDIA: illegal read or write", "destroy the context and make a new one"},
};
#undef ROW

static const struct row *find(cl_int error) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    if (rows[i].error == error) return &rows[i];
  return NULL;
}

const char *t3_cl_error_name(cl_int error) {
  const struct row *row = find(error);
  return row ? row->name : NULL;
}

tconv3d_status t3_cl_fail(cl_int error, const char *call, const char *what) {
  static const struct row unknown = {0, TCONV3D_OPENCL_ERROR, "an error without a standard name", ""};
  const struct row *row = find(error);
  if (!row) row = &unknown;
  return t3_fail(row->status, "%s%s%s: %s (%d)%s%s", call, *what ? " " : "", what, row->name, (int)error,
                 *row->advice ? "; " : "", row->advice);
}
