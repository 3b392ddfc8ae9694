/* Weights packed for a plan by a kernel on the caller's queue. The packing's event stays with them, so that calls on any queue
 * wait for it. */
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"
#include "plan/buffers.h"

static void set_ready(tconv3d_weights *weights, cl_event event) {
  pthread_mutex_lock(&weights->lock);
  cl_event before = weights->ready;
  weights->ready = event;
  pthread_mutex_unlock(&weights->lock);
  if (before) clReleaseEvent(before);
}

/* A packing that failed is nothing to wait for: the next one would fail with it. */
static void forget_failed(tconv3d_weights *weights) {
  cl_int status = CL_COMPLETE;
  cl_event ready = t3_weights_ready(weights);
  if (!ready) return;
  clGetEventInfo(ready, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
  clReleaseEvent(ready);
  if (status < 0) set_ready(weights, NULL);
}

static tconv3d_status check_takes_weights(const tconv3d_plan *plan) {
  if (plan->recipe.pack.kernel) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is for %s, which takes no weights",
                 tconv3d_operation_name(plan->problem.operation));
}

/* bias: the buffer or array that was given. */
static tconv3d_status check_bias(const tconv3d_plan *plan, const void *bias) {
  if (plan->problem.layer.has_bias == (bias != NULL)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT,
                 bias ? "bias is given but the plan's has_bias is 0" : "bias is NULL but the plan's has_bias is 1");
}

/* A buffer with a number for each output channel. */
static tconv3d_status check_channels(const tconv3d_plan *plan, const char *name, const tconv3d_buffer *buffer) {
  size_t size = t3_type_size(plan->problem.layer.weight_dtype);
  uint64_t bytes = (uint64_t)plan->problem.layer.out_channels * size;
  return t3_check_buffer(plan, &(t3_operand){T3_BIAS, name, *buffer, bytes, 0, size, false}, CL_MEM_WRITE_ONLY);
}

static tconv3d_status check_inputs(const tconv3d_plan *plan, cl_command_queue queue, const tconv3d_buffer *weight,
                                   const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list) {
  const t3_layer *layer = &plan->problem.layer;
  T3_TRY(check_takes_weights(plan));
  T3_TRY(t3_check_queue(plan, queue));
  T3_TRY(t3_check_wait_list(plan, num_events, wait_list));
  size_t size = t3_type_size(layer->weight_dtype);
  const t3_operand w = {T3_WEIGHT, "weight", *weight, (uint64_t)t3_w_bytes(&plan->problem), (uint64_t)layer->w.below * size,
                        size,      false};
  T3_TRY(t3_check_buffer(plan, &w, CL_MEM_WRITE_ONLY));
  T3_TRY(check_bias(plan, bias));
  if (!bias) return TCONV3D_OK;
  return check_channels(plan, "bias", bias);
}

/* Runs one of the plan's packings after the one before: it writes the same buffer, maybe on another queue. */
static tconv3d_status enqueue_packing(tconv3d_weights *weights, t3_step *step, cl_command_queue queue, t3_binding *binding,
                                      cl_uint num_events, const cl_event *wait_list, cl_event *event) {
  t3_bind(binding, T3_PACKED, &(tconv3d_buffer){weights->packed, 0}, (size_t)weights->plan->problem.real_size);
  cl_event packed = NULL;
  forget_failed(weights);
  t3_waits waits;
  T3_TRY(t3_gather_waits(weights, num_events, wait_list, &waits));
  tconv3d_status status = t3_step_enqueue(step, queue, binding, waits.count, waits.count ? waits.list : NULL, &packed);
  t3_release_waits(&waits);
  if (status != TCONV3D_OK) return status;
  if (event) {
    clRetainEvent(packed);
    *event = packed;
  }
  set_ready(weights, packed);
  return TCONV3D_OK;
}

static tconv3d_status pack_weights(tconv3d_weights *weights, cl_command_queue queue, const tconv3d_buffer *weight,
                                   const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list, cl_event *event) {
  t3_binding binding = {0};
  size_t size = t3_type_size(weights->plan->problem.layer.weight_dtype);
  t3_bind(&binding, T3_WEIGHT, weight, size);
  t3_bind(&binding, T3_BIAS, bias ? bias : weight, size); /* not read without a bias, but a kernel argument must be something */
  return enqueue_packing(weights, &weights->plan->pack, queue, &binding, num_events, wait_list, event);
}

/* What the epilogue takes for each channel: each must be there exactly when it is taken. */
struct channels {
  t3_arg_kind kind;
  const char *name;
  bool taken;
  const void *given;
};

static void list_channels(const tconv3d_plan *plan, const void *slope, const void *scale, const void *shift,
                          struct channels list[3]) {
  const tconv3d_epilogue *epilogue = &plan->problem.epilogue;
  list[0] = (struct channels){T3_SLOPE, "slope", epilogue->activation == TCONV3D_PRELU, slope};
  list[1] = (struct channels){T3_SCALE, "scale", epilogue->affine, scale};
  list[2] = (struct channels){T3_SHIFT, "shift", epilogue->affine, shift};
}

static tconv3d_status check_taken(const tconv3d_plan *plan, const struct channels list[3]) {
  if (!plan->recipe.pack_channels.kernel)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "the plan's epilogue takes no numbers of channels");
  for (int i = 0; i < 3; ++i)
    if (list[i].taken != (list[i].given != NULL))
      return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is %s the plan's epilogue takes %s", list[i].name,
                     list[i].given ? "given but" : "NULL but", list[i].taken ? "it" : "none");
  return TCONV3D_OK;
}

tconv3d_status tconv3d_weights_set_channels(tconv3d_weights *weights, cl_command_queue queue, const tconv3d_buffer *slope,
                                            const tconv3d_buffer *scale, const tconv3d_buffer *shift, cl_uint num_events,
                                            const cl_event *wait_list, cl_event *event) {
  if (!weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights is NULL");
  const tconv3d_plan *plan = weights->plan;
  struct channels list[3];
  list_channels(plan, slope, scale, shift, list);
  T3_TRY(check_taken(plan, list));
  T3_TRY(t3_check_queue(plan, queue));
  T3_TRY(t3_check_wait_list(plan, num_events, wait_list));
  t3_binding binding = {0};
  const tconv3d_buffer *any = slope ? slope : scale;
  for (int i = 0; i < 3; ++i) {
    if (list[i].taken) T3_TRY(check_channels(plan, list[i].name, list[i].given));
    t3_bind(&binding, list[i].kind, list[i].taken ? list[i].given : any, t3_type_size(plan->problem.layer.weight_dtype));
  }
  T3_TRY(enqueue_packing(weights, &weights->plan->pack_channels, queue, &binding, num_events, wait_list, event));
  weights->channels = true;
  return TCONV3D_OK;
}

void tconv3d_weights_destroy(tconv3d_weights *weights) {
  if (!weights) return;
  if (weights->ready) clReleaseEvent(weights->ready);
  if (weights->packed) clReleaseMemObject(weights->packed);
  pthread_mutex_destroy(&weights->lock);
  tconv3d_plan_destroy(weights->plan);
  free(weights);
}

/* Weights without values. */
static tconv3d_status make(const tconv3d_plan *plan, tconv3d_weights **result) {
  tconv3d_weights *weights = calloc(1, sizeof *weights);
  if (!weights) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for weights");
  weights->plan = t3_plan_retain(plan);
  pthread_mutex_init(&weights->lock, NULL);
  cl_int error;
  weights->packed = clCreateBuffer(plan->context->cl, CL_MEM_READ_WRITE, (size_t)plan->recipe.packed_bytes, NULL, &error);
  if (error == CL_SUCCESS) {
    *result = weights;
    return TCONV3D_OK;
  }
  tconv3d_weights_destroy(weights);
  return t3_cl_fail(error, "clCreateBuffer", "for packed weights");
}

tconv3d_status tconv3d_weights_create(const tconv3d_plan *plan, cl_command_queue queue, tconv3d_buffer weight,
                                      const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list,
                                      cl_event *event, tconv3d_weights **result) {
  if (!result || !plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", result ? "plan" : "weights");
  *result = NULL;
  T3_TRY(check_inputs(plan, queue, &weight, bias, num_events, wait_list));
  tconv3d_weights *weights = NULL;
  T3_TRY(make(plan, &weights));
  tconv3d_status status = pack_weights(weights, queue, &weight, bias, num_events, wait_list, event);
  if (status == TCONV3D_OK)
    *result = weights;
  else
    tconv3d_weights_destroy(weights);
  return status;
}

tconv3d_status tconv3d_weights_update(tconv3d_weights *weights, cl_command_queue queue, tconv3d_buffer weight,
                                      const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list,
                                      cl_event *event) {
  if (!weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights is NULL");
  T3_TRY(check_inputs(weights->plan, queue, &weight, bias, num_events, wait_list));
  return pack_weights(weights, queue, &weight, bias, num_events, wait_list, event);
}

/* A copy of count elements, below of which lie before the one at data. */
static tconv3d_status host_copy(const tconv3d_plan *plan, const void *data, int64_t count, int64_t below, const char *what,
                                tconv3d_buffer *buffer) {
  cl_int error;
  size_t size = t3_type_size(plan->problem.layer.weight_dtype);
  buffer->offset = (size_t)below * size;
  void *first = (void *)((uintptr_t)data - buffer->offset); /* only read: CL_MEM_COPY_HOST_PTR */
  buffer->mem = clCreateBuffer(plan->context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, (size_t)count * size, first, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateBuffer", what);
}

static tconv3d_status pack_and_wait(const tconv3d_plan *plan, tconv3d_buffer weight, const tconv3d_buffer *bias,
                                    tconv3d_weights **result) {
  cl_event event;
  T3_TRY(tconv3d_weights_create(plan, plan->slot->queue, weight, bias, 0, NULL, &event, result));
  cl_int error = clWaitForEvents(1, &event);
  clReleaseEvent(event);
  if (error == CL_SUCCESS) return TCONV3D_OK;
  tconv3d_weights_destroy(*result);
  *result = NULL;
  return t3_cl_fail(error, "clWaitForEvents", "for the packing of weights");
}

tconv3d_status tconv3d_weights_set_channels_host(tconv3d_weights *weights, const void *slope, const void *scale,
                                                 const void *shift) {
  if (!weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights is NULL");
  const tconv3d_plan *plan = weights->plan;
  struct channels list[3];
  tconv3d_buffer buffers[3] = {{0}};
  list_channels(plan, slope, scale, shift, list);
  T3_TRY(check_taken(plan, list));
  tconv3d_status status = TCONV3D_OK;
  for (int i = 0; i < 3 && status == TCONV3D_OK; ++i)
    if (list[i].taken) status = host_copy(plan, list[i].given, plan->problem.layer.out_channels, 0, list[i].name, &buffers[i]);
  const tconv3d_buffer *given[3];
  for (int i = 0; i < 3; ++i) given[i] = list[i].taken ? &buffers[i] : NULL;
  cl_event event = NULL;
  if (status == TCONV3D_OK)
    status = tconv3d_weights_set_channels(weights, plan->slot->queue, given[0], given[1], given[2], 0, NULL, &event);
  if (status == TCONV3D_OK) {
    cl_int error = clWaitForEvents(1, &event);
    if (error != CL_SUCCESS) status = t3_cl_fail(error, "clWaitForEvents", "for the packing of channels");
    clReleaseEvent(event);
  }
  for (int i = 0; i < 3; ++i)
    if (buffers[i].mem) clReleaseMemObject(buffers[i].mem);
  return status;
}

tconv3d_status tconv3d_weights_create_host(const tconv3d_plan *plan, const void *weight, const void *bias,
                                           tconv3d_weights **result) {
  if (!result || !plan || !weight)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", !result ? "weights" : !plan ? "plan" : "weight");
  *result = NULL;
  const t3_layer *layer = &plan->problem.layer;
  T3_TRY(check_takes_weights(plan));
  T3_TRY(check_bias(plan, bias));
  tconv3d_buffer w = {0}, b = {0};
  tconv3d_status status = host_copy(plan, weight, layer->w.span, layer->w.below, "for the weights", &w);
  if (status == TCONV3D_OK && bias) status = host_copy(plan, bias, layer->out_channels, 0, "for the bias", &b);
  if (status == TCONV3D_OK) status = pack_and_wait(plan, w, bias ? &b : NULL, result);
  if (w.mem) clReleaseMemObject(w.mem);
  if (b.mem) clReleaseMemObject(b.mem);
  return status;
}
