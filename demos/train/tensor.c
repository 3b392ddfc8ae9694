/* tensor.c: see tensor.h. */
#include "train/tensor.h"

#include <stdio.h>

static bool succeeded(const char *call, cl_int error, struct fault *fault) {
  return error == CL_SUCCESS || fault_set(fault, EXIT_OTHER, "%s failed with error %d", call, (int)error);
}

bool engine_open(const struct device_options *options, struct engine *engine, struct fault *fault) {
  tconv3d_device_info device;
  cl_int error;
  *engine = (struct engine){.options = options};
  if (!open_context(options, &engine->context, &device, fault)) return false;
  printf("device: %s (%s)\n", device.name, device.platform_name);
  engine->queue = clCreateCommandQueue(tconv3d_context_cl(engine->context), device.device, 0, &error);
  return succeeded("clCreateCommandQueue", error, fault);
}

void engine_close(struct engine *engine) {
  if (engine->queue) clReleaseCommandQueue(engine->queue);
  tconv3d_context_destroy(engine->context);
  *engine = (struct engine){.queue = NULL};
}

bool tensor_make(const struct engine *engine, size_t count, struct tensor *tensor, struct fault *fault) {
  const cl_mem_flags flags = CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR;
  const float zero = 0;
  cl_int error;
  tensor->count = count;
  tensor->mem = clCreateBuffer(tconv3d_context_cl(engine->context), flags, count * sizeof(float), NULL, &error);
  if (!succeeded("clCreateBuffer", error, fault)) return false;
  error = clEnqueueFillBuffer(engine->queue, tensor->mem, &zero, sizeof zero, 0, count * sizeof(float), 0, NULL, NULL);
  return succeeded("clEnqueueFillBuffer", error, fault);
}

void tensor_free(struct tensor *tensor) {
  if (tensor->mem) clReleaseMemObject(tensor->mem);
  tensor->mem = NULL;
}

float *tensor_map(const struct engine *engine, const struct tensor *tensor, cl_map_flags flags, struct fault *fault) {
  cl_int error;
  float *values =
      clEnqueueMapBuffer(engine->queue, tensor->mem, CL_TRUE, flags, 0, tensor->count * sizeof(float), 0, NULL, NULL, &error);
  return succeeded("clEnqueueMapBuffer", error, fault) ? values : NULL;
}

bool tensor_unmap(const struct engine *engine, const struct tensor *tensor, float *values, struct fault *fault) {
  return succeeded("clEnqueueUnmapMemObject", clEnqueueUnmapMemObject(engine->queue, tensor->mem, values, 0, NULL, NULL),
                   fault);
}
