/* The blocking calls on host arrays. A CPU device works in the arrays themselves when they are aligned as it wants; else they
 * are copied. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "plan/buffers.h"
#include "plan/recovery.h"
#include "plan/smaller.h"

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

/* A blocking call: the arrays as they were given, the target first, then gy or x, then x or a residual that is not the target.
 */
struct host_call {
  const tconv3d_plan *plan;
  const tconv3d_weights *weights; /* NULL where the operation takes none */
  const void *given[MAX_SHARED];
  int count;
  bool gradient; /* with respect to the weight or the bias */
  bool residual; /* the epilogue adds one; it is the target's own where count is 2 */
};

/* The call's tensors by its plan. */
static tconv3d_status operands_of(const struct host_call *call, t3_operand list[MAX_SHARED]) {
  static const int layer[] = {1, 0, 3}, gradient[] = {0, 1, 2};
  const tconv3d_buffer none = {0};
  t3_operands operands;
  if (call->gradient)
    T3_TRY(t3_gradient_operands(call->plan, none, none, none, &operands));
  else
    T3_TRY(t3_layer_operands(call->plan, call->weights, none, call->residual ? &none : NULL, none, &operands));
  for (int i = 0; i < call->count; ++i) list[i] = operands.list[(call->gradient ? gradient : layer)[i]];
  return TCONV3D_OK;
}

static tconv3d_status enqueue_call(const struct host_call *call, const struct shared *list, cl_event *done) {
  const tconv3d_plan *plan = call->plan;
  cl_command_queue queue = plan->slot->queue;
  tconv3d_buffer y = buffer_of(&list[0]), x = buffer_of(&list[1]);
  if (call->gradient) return tconv3d_enqueue_gradient(plan, queue, buffer_of(&list[2]), x, y, NULL, 0, NULL, done);
  if (!call->residual) return tconv3d_enqueue(plan, call->weights, queue, x, y, NULL, 0, NULL, done);
  return tconv3d_enqueue_residual(plan, call->weights, queue, x, call->count > 2 ? buffer_of(&list[2]) : y, y, NULL, 0, NULL,
                                  done);
}

/* The failure of a command says more than that the wait for it failed. */
static tconv3d_status wait_for(cl_event event, const char *what) {
  cl_int error = clWaitForEvents(1, &event), status = CL_COMPLETE;
  if (error == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST &&
      clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL) == CL_SUCCESS && status < 0)
    error = status;
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", what);
}

static tconv3d_status run_shared(const struct host_call *call, const struct shared *list, bool *touched) {
  cl_command_queue queue = call->plan->slot->queue;
  cl_event done, ready = call->weights ? t3_weights_ready(call->weights) : NULL;
  if (ready) { /* waited for here: on the queue, every other call of this device would wait too */
    tconv3d_status packed = wait_for(ready, "for the packing of weights");
    clReleaseEvent(ready);
    if (packed != TCONV3D_OK) return packed;
  }
  *touched = true;
  tconv3d_status status = enqueue_call(call, list, &done);
  if (status != TCONV3D_OK) {
    clFinish(queue); /* launches before the one that failed work in the caller's arrays */
    return status;
  }
  status = wait_for(done, "for the layer's kernels");
  if (status == TCONV3D_OK)
    status = fetch(queue, &list[0], done);
  else
    clFinish(queue);
  clReleaseEvent(done);
  return status;
}

static bool overlap(const struct shared *a, const struct shared *b) {
  const char *from_a = a->data, *from_b = b->data;
  return a->bytes && b->bytes && from_a < from_b + b->bytes && from_b < from_a + a->bytes;
}

static bool target_has_gaps(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  if (t3_work_of(problem->operation) == T3_LAYER) return has_gaps(&layer->y, layer->y_count);
  return problem->operation == TCONV3D_GRAD_WEIGHT && has_gaps(&layer->w, layer->w_count);
}

/* Whether a call that was not finished may have changed what it would read once more. */
static bool reads_target(const struct host_call *call) {
  return call->plan->problem.beta != 0 || (call->residual && call->count == 2);
}

/* Of arrays without bytes nothing is looked at. */
static tconv3d_status list_arrays(const struct host_call *call, struct shared *list) {
  t3_operand operands[MAX_SHARED];
  T3_TRY(operands_of(call, operands));
  for (int i = 0; i < call->count; ++i) list[i] = shared_of(&operands[i], call->given[i]);
  list[0].read_too = reads_target(call) || target_has_gaps(&call->plan->problem);
  for (int i = 0; i < call->count; ++i)
    if (list[i].bytes && !list[i].data) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", list[i].name);
  for (int i = 1; i < call->count; ++i)
    if (overlap(&list[0], &list[i])) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s and %s overlap", list[i].name, list[0].name);
  return TCONV3D_OK;
}

/* touched: whether the target may have been written. */
static tconv3d_status run_once(const struct host_call *call, bool *touched) {
  struct shared list[MAX_SHARED] = {{0}};
  tconv3d_status status = list_arrays(call, list);
  for (int i = 0; i < call->count && status == TCONV3D_OK; ++i)
    if (list[i].bytes) status = share(call->plan, &list[i]);
  if (status == TCONV3D_OK) status = run_shared(call, list, touched);
  for (int i = 0; i < call->count; ++i)
    if (list[i].mem) clReleaseMemObject(list[i].mem);
  return status;
}

/* ---- in portions ---- */

enum { PARTS = 8 }; /* of launches, before images are parted */

/* How much is done at a time: so many images, launches in so many parts, as little workspace as can be. */
struct portion {
  int64_t images, parts;
  bool frugal;
};

/* From image first on so many, with launches in parts. */
static tconv3d_status run_portion(const struct host_call *call, int64_t first, int64_t images, const struct portion *how,
                                  bool *touched) {
  const t3_layer *layer = &call->plan->problem.layer;
  if (images == layer->batch && how->parts == 1) return run_once(call, touched);
  tconv3d_plan *plan = t3_smaller_plan(call->plan, images, how->parts, how->frugal);
  if (!plan) return TCONV3D_UNSUPPORTED;
  struct host_call portion = *call;
  tconv3d_weights lent;
  int64_t size = (int64_t)t3_type_size(layer->dtype);
  portion.plan = plan;
  if (!call->gradient) {
    t3_lent_weights_begin(call->weights, plan, &lent);
    portion.weights = &lent;
    for (int i = 0; i < call->count; ++i) {
      int64_t stride = i == 1 ? layer->x.stride[T3_AXIS_N] : layer->y.stride[T3_AXIS_N];
      if (call->given[i]) portion.given[i] = (const char *)call->given[i] + first * stride * size;
    }
  }
  tconv3d_status status = run_once(&portion, touched);
  if (!call->gradient) t3_lent_weights_end(&lent);
  tconv3d_plan_destroy(plan);
  return status;
}

/* The next smaller portion; false: there is none. Sums over images, as gradients of weights and biases are, cannot be parted by
 * them. */
static bool shrink(const struct host_call *call, struct portion *portion) {
  if (portion->parts == 1)
    portion->parts = PARTS;
  else if (!call->gradient && portion->images > 1)
    portion->images = t3_ceil_div(portion->images, 2);
  else if (!call->gradient && !portion->frugal)
    portion->frugal = true;
  else
    return false;
  return true;
}

static tconv3d_status nothing_smaller(tconv3d_status status, const char *message, int64_t images, int64_t batch) {
  if (message)
    t3_fail(status, "%s (nor did it work in smaller portions, at last %lld of %lld images at a time, launches in %d parts)",
            message, (long long)images, (long long)batch, (int)PARTS);
  return status;
}

/* After a failure that less work at a time might not have, goes on with less from where it was. */
static tconv3d_status go_on(const struct host_call *call, tconv3d_status failed, bool touched) {
  int64_t batch = call->plan->problem.layer.batch, first = 0;
  struct portion portion = {batch, 1, false};
  char *message = t3_message_save();
  while (first < batch && t3_is_recoverable(failed) && !(touched && reads_target(call)) && shrink(call, &portion)) {
    t3_pool_trim(call->plan->context->pool);
    tconv3d_status status = TCONV3D_OK;
    for (touched = false; first < batch && status == TCONV3D_OK; touched = touched && status != TCONV3D_OK) {
      int64_t now = t3_min(portion.images, batch - first);
      status = run_portion(call, first, now, &portion, &touched);
      if (status == TCONV3D_OK) first += now;
    }
    if (status != TCONV3D_OK && status != TCONV3D_UNSUPPORTED) failed = status;
  }
  tconv3d_status status = first < batch ? nothing_smaller(failed, message, portion.images, batch) : TCONV3D_OK;
  if (status == TCONV3D_OK)
    t3_message_restore(message);
  else
    free(message);
  return status;
}

/* An empty target needs no arrays. */
static tconv3d_status run(const struct host_call *call) {
  t3_operand operands[MAX_SHARED];
  bool touched = false;
  T3_TRY(operands_of(call, operands));
  if (!operands[0].bytes) return TCONV3D_OK;
  tconv3d_status status = run_once(call, &touched);
  return status == TCONV3D_OK || !call->plan->problem.layer.batch || !t3_is_recoverable(status) ? status
                                                                                                : go_on(call, status, touched);
}

tconv3d_status tconv3d_run(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x, void *y) {
  return run(&(struct host_call){plan, weights, {y, x}, 2, false, false});
}

tconv3d_status tconv3d_run_residual(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x,
                                    const void *residual, void *y) {
  return run(&(struct host_call){plan, weights, {y, x, residual}, residual == y ? 2 : 3, false, true});
}

tconv3d_status tconv3d_run_gradient(const tconv3d_plan *plan, const void *x, const void *gy, void *gradient) {
  return run(&(struct host_call){plan, NULL, {gradient, gy, x}, 3, true, false});
}
