/* The blocking call on host arrays. A CPU device works in the arrays themselves when they are aligned as it wants; else they
 * are copied. */
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"
#include "plan/plan.h"

/* Host memory as a buffer; in_place when the device uses it where it is. */
struct shared {
  cl_mem mem;
  bool in_place;
};

static bool usable_in_place(const t3_slot *slot, const void *data) {
  cl_uint bits = 0;
  if (!(slot->info.type & CL_DEVICE_TYPE_CPU)) return false;
  if (clGetDeviceInfo(slot->info.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL) != CL_SUCCESS || bits < 8)
    return false;
  return (uintptr_t)data % (bits / 8) == 0;
}

static tconv3d_status share(const tconv3d_plan *plan, void *data, uint64_t bytes, bool input, struct shared *shared) {
  shared->in_place = usable_in_place(plan->slot, data);
  cl_mem_flags flags = input ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY;
  if (shared->in_place)
    flags |= CL_MEM_USE_HOST_PTR;
  else if (input)
    flags |= CL_MEM_COPY_HOST_PTR;
  cl_int error;
  shared->mem = clCreateBuffer(plan->context->cl, flags, (size_t)bytes, shared->in_place || input ? data : NULL, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateBuffer", input ? "for x" : "for y");
}

/* Makes y's values visible in the host array. */
static tconv3d_status fetch(cl_command_queue queue, const struct shared *y, void *data, uint64_t bytes, cl_event done) {
  if (!y->in_place) {
    cl_int error = clEnqueueReadBuffer(queue, y->mem, CL_TRUE, 0, (size_t)bytes, data, 1, &done, NULL);
    return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueReadBuffer", "of y");
  }
  cl_int error;
  void *mapped = clEnqueueMapBuffer(queue, y->mem, CL_TRUE, CL_MAP_READ, 0, (size_t)bytes, 1, &done, NULL, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueMapBuffer", "of y");
  cl_event unmapped;
  error = clEnqueueUnmapMemObject(queue, y->mem, mapped, 0, NULL, &unmapped);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueUnmapMemObject", "of y");
  error = clWaitForEvents(1, &unmapped);
  clReleaseEvent(unmapped);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", "for y");
}

static tconv3d_status run_shared(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *x,
                                 const struct shared *y, void *y_data, uint64_t y_bytes) {
  cl_command_queue queue = plan->slot->queue;
  cl_event done, ready = t3_weights_ready(weights);
  if (ready) { /* waited for here: on the queue, every other call of this device would wait too */
    cl_int packed = clWaitForEvents(1, &ready);
    clReleaseEvent(ready);
    if (packed != CL_SUCCESS) return t3_cl_fail(packed, "clWaitForEvents", "for the packing of weights");
  }
  tconv3d_status enqueued =
      tconv3d_enqueue(plan, weights, queue, (tconv3d_buffer){x->mem, 0}, (tconv3d_buffer){y->mem, 0}, NULL, 0, NULL, &done);
  if (enqueued != TCONV3D_OK) {
    clFinish(queue); /* launches before the one that failed work in the caller's arrays */
    return enqueued;
  }
  cl_int error = clWaitForEvents(1, &done);
  tconv3d_status status = error == CL_SUCCESS ? fetch(queue, y, y_data, y_bytes, done)
                                              : t3_cl_fail(error, "clWaitForEvents", "for the layer's kernels");
  clReleaseEvent(done);
  return status;
}

static bool overlap(const char *a, uint64_t bytes_a, const char *b, uint64_t bytes_b) {
  return a < b + bytes_b && b < a + bytes_a;
}

tconv3d_status tconv3d_run(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x, void *y) {
  if (!plan || !weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", plan ? "weights" : "plan");
  if (weights->plan != plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights were prepared for another plan");
  const t3_layer *layer = &plan->problem.layer;
  if (!layer->batch) return TCONV3D_OK;
  if (!x || !y) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", x ? "y" : "x");
  uint64_t x_bytes = (uint64_t)layer->x_count * sizeof(float), y_bytes = (uint64_t)layer->y_count * sizeof(float);
  if (overlap(x, x_bytes, y, y_bytes)) return t3_fail(TCONV3D_INVALID_ARGUMENT, "x and y overlap");
  struct shared shared_x = {0}, shared_y = {0};
  void *readable = (void *)(uintptr_t)x; /* only read: the buffer is CL_MEM_READ_ONLY */
  tconv3d_status status = share(plan, readable, x_bytes, true, &shared_x);
  if (status == TCONV3D_OK) status = share(plan, y, y_bytes, false, &shared_y);
  if (status == TCONV3D_OK) status = run_shared(plan, weights, &shared_x, &shared_y, y, y_bytes);
  if (shared_x.mem) clReleaseMemObject(shared_x.mem);
  if (shared_y.mem) clReleaseMemObject(shared_y.mem);
  return status;
}
