/* The blocking calls on host arrays. A CPU device works in the arrays themselves when they are aligned as it wants; else they
 * are copied. */
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"
#include "plan/buffers.h"

/* Host memory as a buffer; in_place when the device uses it where it is. */
struct shared {
  const char *name;
  void *data; /* its lowest element */
  uint64_t bytes, below;
  bool target, in_place;
  bool read_too; /* a target that is a residual as well, or holds other values between its own */
  cl_mem mem;
};

enum { MAX_SHARED = 3 };

static bool usable_in_place(const t3_slot *slot, const void *data) {
  cl_uint bits = 0;
  if (!(slot->info.type & CL_DEVICE_TYPE_CPU)) return false;
  if (clGetDeviceInfo(slot->info.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL) != CL_SUCCESS || bits < 8)
    return false;
  return (uintptr_t)data % (bits / 8) == 0;
}

/* An array given by its element 0, which the call reads or writes as the operand says. */
static struct shared shared_of(const t3_operand *operand, const void *data) {
  char *first = data ? (char *)(uintptr_t)data - operand->below : NULL;
  return (struct shared){operand->name, first, operand->bytes, operand->below, operand->written, false, false, NULL};
}

static tconv3d_buffer buffer_of(const struct shared *shared) {
  return (tconv3d_buffer){shared->mem, (size_t)shared->below};
}

/* Whether there are places between a target's elements, which are to stay as they are. */
static bool has_gaps(const t3_view *view, int64_t count) {
  return view->span != count;
}

static tconv3d_status share(const tconv3d_plan *plan, struct shared *shared) {
  bool read = !shared->target || shared->read_too || plan->problem.beta != 0;
  shared->in_place = usable_in_place(plan->slot, shared->data);
  cl_mem_flags flags = !shared->target ? CL_MEM_READ_ONLY : read ? CL_MEM_READ_WRITE : CL_MEM_WRITE_ONLY;
  if (shared->in_place)
    flags |= CL_MEM_USE_HOST_PTR;
  else if (read)
    flags |= CL_MEM_COPY_HOST_PTR;
  cl_int error;
  void *data = shared->in_place || read ? shared->data : NULL;
  shared->mem = clCreateBuffer(plan->context->cl, flags, (size_t)shared->bytes, data, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateBuffer", shared->name);
}

/* Makes the target's values visible in the host array. */
static tconv3d_status fetch(cl_command_queue queue, const struct shared *target, cl_event done) {
  size_t bytes = (size_t)target->bytes;
  if (!target->in_place) {
    cl_int error = clEnqueueReadBuffer(queue, target->mem, CL_TRUE, 0, bytes, target->data, 1, &done, NULL);
    return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueReadBuffer", target->name);
  }
  cl_int error;
  void *mapped = clEnqueueMapBuffer(queue, target->mem, CL_TRUE, CL_MAP_READ, 0, bytes, 1, &done, NULL, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueMapBuffer", target->name);
  cl_event unmapped;
  error = clEnqueueUnmapMemObject(queue, target->mem, mapped, 0, NULL, &unmapped);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueUnmapMemObject", target->name);
  error = clWaitForEvents(1, &unmapped);
  clReleaseEvent(unmapped);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", target->name);
}

/* What run_shared enqueues: list holds the target first, then gy or x, then x or a residual that is not the target. */
typedef tconv3d_status enqueue_fn(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *list,
                                  cl_event *done);

static tconv3d_status enqueue_layer(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *list,
                                    cl_event *done) {
  return tconv3d_enqueue(plan, weights, plan->slot->queue, buffer_of(&list[1]), buffer_of(&list[0]), NULL, 0, NULL, done);
}

static tconv3d_status enqueue_residual(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *list,
                                       cl_event *done) {
  const struct shared *residual = list[2].mem ? &list[2] : &list[0];
  return tconv3d_enqueue_residual(plan, weights, plan->slot->queue, buffer_of(&list[1]), buffer_of(residual),
                                  buffer_of(&list[0]), NULL, 0, NULL, done);
}

static tconv3d_status enqueue_gradient(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *list,
                                       cl_event *done) {
  (void)weights;
  return tconv3d_enqueue_gradient(plan, plan->slot->queue, buffer_of(&list[2]), buffer_of(&list[1]), buffer_of(&list[0]), NULL,
                                  0, NULL, done);
}

static tconv3d_status run_shared(const tconv3d_plan *plan, const tconv3d_weights *weights, const struct shared *list,
                                 enqueue_fn *enqueue) {
  cl_command_queue queue = plan->slot->queue;
  cl_event done, ready = weights ? t3_weights_ready(weights) : NULL;
  if (ready) { /* waited for here: on the queue, every other call of this device would wait too */
    cl_int packed = clWaitForEvents(1, &ready);
    clReleaseEvent(ready);
    if (packed != CL_SUCCESS) return t3_cl_fail(packed, "clWaitForEvents", "for the packing of weights");
  }
  tconv3d_status enqueued = enqueue(plan, weights, list, &done);
  if (enqueued != TCONV3D_OK) {
    clFinish(queue); /* launches before the one that failed work in the caller's arrays */
    return enqueued;
  }
  cl_int error = clWaitForEvents(1, &done);
  tconv3d_status status =
      error == CL_SUCCESS ? fetch(queue, &list[0], done) : t3_cl_fail(error, "clWaitForEvents", "for the layer's kernels");
  clReleaseEvent(done);
  return status;
}

static bool overlap(const struct shared *a, const struct shared *b) {
  const char *from_a = a->data, *from_b = b->data;
  return a->bytes && b->bytes && from_a < from_b + b->bytes && from_b < from_a + a->bytes;
}

/* list: the target, then what is read; arrays without bytes are passed over. */
static tconv3d_status run_on_host(const tconv3d_plan *plan, const tconv3d_weights *weights, struct shared *list, int count,
                                  enqueue_fn *enqueue) {
  for (int i = 0; i < count; ++i)
    if (list[i].bytes && !list[i].data) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", list[i].name);
  for (int i = 1; i < count; ++i)
    if (overlap(&list[0], &list[i])) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s and %s overlap", list[i].name, list[0].name);
  tconv3d_status status = TCONV3D_OK;
  for (int i = 0; i < count && status == TCONV3D_OK; ++i)
    if (list[i].bytes) status = share(plan, &list[i]);
  if (status == TCONV3D_OK) status = run_shared(plan, weights, list, enqueue);
  for (int i = 0; i < count; ++i)
    if (list[i].mem) clReleaseMemObject(list[i].mem);
  return status;
}

static bool y_has_gaps(const tconv3d_plan *plan) {
  return has_gaps(&plan->problem.layer.y, plan->problem.layer.y_count);
}

tconv3d_status tconv3d_run(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x, void *y) {
  t3_operands operands;
  T3_TRY(t3_layer_operands(plan, weights, (tconv3d_buffer){0}, NULL, (tconv3d_buffer){0}, &operands));
  const t3_operand *of = operands.list;
  if (!of[1].bytes) return TCONV3D_OK;
  struct shared list[MAX_SHARED] = {shared_of(&of[1], y), shared_of(&of[0], x)};
  list[0].read_too = y_has_gaps(plan);
  return run_on_host(plan, weights, list, 2, enqueue_layer);
}

tconv3d_status tconv3d_run_residual(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x,
                                    const void *residual, void *y) {
  t3_operands operands;
  T3_TRY(t3_layer_operands(plan, weights, (tconv3d_buffer){0}, &(tconv3d_buffer){0}, (tconv3d_buffer){0}, &operands));
  const t3_operand *of = operands.list;
  if (!of[1].bytes) return TCONV3D_OK;
  bool in_place = residual == y;
  struct shared list[MAX_SHARED] = {shared_of(&of[1], y), shared_of(&of[0], x), shared_of(&of[3], residual)};
  list[0].read_too = in_place || y_has_gaps(plan);
  return run_on_host(plan, weights, list, in_place ? 2 : 3, enqueue_residual);
}

tconv3d_status tconv3d_run_gradient(const tconv3d_plan *plan, const void *x, const void *gy, void *gradient) {
  t3_operands operands;
  T3_TRY(t3_gradient_operands(plan, (tconv3d_buffer){0}, (tconv3d_buffer){0}, (tconv3d_buffer){0}, &operands));
  const t3_operand *of = operands.list;
  struct shared list[MAX_SHARED] = {shared_of(&of[0], gradient), shared_of(&of[1], gy), shared_of(&of[2], x)};
  const t3_layer *layer = &plan->problem.layer;
  list[0].read_too = plan->problem.operation == TCONV3D_GRAD_WEIGHT && has_gaps(&layer->w, layer->w_count);
  return run_on_host(plan, NULL, list, 3, enqueue_gradient);
}
