/* One call on the caller's queue: the recipe's launches chained by events. The first waits for the caller's list and the
 * weights; the last one's event is the call's. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "device/clerror.h"
#include "plan/buffers.h"
#include "plan/product.h"

cl_event t3_weights_ready(const tconv3d_weights *weights) {
  tconv3d_weights *shared = (tconv3d_weights *)(uintptr_t)weights; /* locking is not a change that a caller could see */
  pthread_mutex_lock(&shared->lock);
  cl_event ready = shared->ready;
  if (ready) clRetainEvent(ready);
  pthread_mutex_unlock(&shared->lock);
  return ready;
}

tconv3d_status t3_gather_waits(const tconv3d_weights *weights, cl_uint num_events, const cl_event *wait_list, t3_waits *waits) {
  *waits = (t3_waits){.list = malloc(((size_t)num_events + 1) * sizeof(cl_event)), .count = num_events};
  if (!waits->list) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a wait list");
  if (num_events) memcpy(waits->list, wait_list, num_events * sizeof *wait_list);
  waits->ready = weights ? t3_weights_ready(weights) : NULL;
  if (waits->ready) waits->list[waits->count++] = waits->ready;
  return TCONV3D_OK;
}

void t3_release_waits(t3_waits *waits) {
  if (waits->ready) clReleaseEvent(waits->ready);
  free(waits->list);
}

/* The events of a call's launches as far as they were enqueued: the last one's, NULL when there is none or none is wanted, and
 * those before. */
struct chain {
  cl_event last, between[T3_MAX_BETWEEN];
  int count;
};

_Static_assert((int)T3_MAX_BETWEEN >= (int)T3_MAX_LAUNCHES,
               "each launch but the last one, and what a product in front waits for");

/* A product is on another queue: what it waits for must be on its way to the device, and if it is the first launch it waits for
 * a marker, which stands for the list and for the commands before it on an in-order queue. */
static tconv3d_status enqueue_product(tconv3d_plan *plan, int index, cl_command_queue queue, const t3_binding *binding,
                                      const t3_waits *waits, struct chain *chain, cl_event *done) {
  if (!chain->last)
    T3_CL_TRY(clEnqueueMarkerWithWaitList, (queue, waits->count, waits->count ? waits->list : NULL, &chain->last));
  T3_CL_TRY(clFlush, (queue));
  return t3_product_enqueue(plan->context, plan->slot, &plan->recipe.run[index], binding, 1, &chain->last, done);
}

static tconv3d_status enqueue_steps(tconv3d_plan *plan, cl_command_queue queue, const t3_binding *binding,
                                    const t3_waits *waits, bool want_last, struct chain *chain) {
  for (int i = 0; i < plan->recipe.num_run; ++i) {
    bool first = i == 0, final = i == plan->recipe.num_run - 1;
    cl_event done = NULL;
    cl_uint count = first ? waits->count : 1;
    const cl_event *list = first ? (count ? waits->list : NULL) : &chain->last;
    if (plan->recipe.run[i].kernel)
      T3_TRY(t3_step_enqueue(&plan->run[i], queue, binding, count, list, final && !want_last ? NULL : &done));
    else
      T3_TRY(enqueue_product(plan, i, queue, binding, waits, chain, &done));
    if (chain->last) chain->between[chain->count++] = chain->last;
    chain->last = done;
  }
  return TCONV3D_OK;
}

static tconv3d_status run_steps(tconv3d_plan *plan, const t3_operands *operands, cl_command_queue queue,
                                const tconv3d_buffer *workspace, const t3_waits *waits, cl_event *event) {
  t3_binding binding = {0};
  bool pooled = !workspace && plan->recipe.workspace_bytes;
  cl_mem taken = NULL;
  if (pooled) T3_TRY(t3_pool_take(plan->context->pool, plan->context->cl, (size_t)plan->recipe.workspace_bytes, &taken));
  for (int i = 0; i < operands->count; ++i) {
    const t3_operand *operand = &operands->list[i];
    t3_bind(&binding, operand->kind, &operand->buffer, operand->element);
  }
  t3_bind(&binding, T3_WORKSPACE, pooled || !workspace ? &(tconv3d_buffer){taken, 0} : workspace,
          (size_t)plan->problem.real_size);
  struct chain chain = {0};
  bool kept = pooled || plan->recipe.num_run > 1; /* until the last launch has ended */
  tconv3d_status status = enqueue_steps(plan, queue, &binding, waits, kept || event, &chain);
  /* After a failure the workspace waits for what was enqueued before it. */
  if (pooled)
    t3_pool_return(plan->context->pool, taken, chain.last, chain.between, chain.count);
  else
    t3_pool_keep(plan->context->pool, chain.last, chain.between, chain.count);
  if (status == TCONV3D_OK && event)
    *event = chain.last;
  else if (chain.last)
    clReleaseEvent(chain.last);
  return status;
}

static tconv3d_status enqueue_marker(cl_command_queue queue, const t3_waits *waits, cl_event *event) {
  cl_int error = clEnqueueMarkerWithWaitList(queue, waits->count, waits->count ? waits->list : NULL, event);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueMarkerWithWaitList", "");
}

/* weights: NULL where the operation takes none. */
static tconv3d_status enqueue_call(const tconv3d_plan *plan, const tconv3d_weights *weights, const t3_operands *operands,
                                   cl_command_queue queue, const tconv3d_buffer *workspace, cl_uint num_events,
                                   const cl_event *wait_list, cl_event *event) {
  tconv3d_plan *shared = (tconv3d_plan *)(uintptr_t)plan; /* only its spare kernels change, behind locks */
  bool nothing = !t3_target_bytes(&plan->problem);
  T3_TRY(t3_check_queue(plan, queue));
  if (!nothing) T3_TRY(t3_check_operands(plan, operands, workspace));
  T3_TRY(t3_check_wait_list(num_events, wait_list));
  t3_waits waits;
  T3_TRY(t3_gather_waits(weights, num_events, wait_list, &waits));
  tconv3d_status status =
      nothing ? enqueue_marker(queue, &waits, event) : run_steps(shared, operands, queue, workspace, &waits, event);
  t3_release_waits(&waits);
  return status;
}

tconv3d_status tconv3d_enqueue(const tconv3d_plan *plan, const tconv3d_weights *weights, cl_command_queue queue,
                               tconv3d_buffer x, tconv3d_buffer y, const tconv3d_buffer *workspace, cl_uint num_events,
                               const cl_event *wait_list, cl_event *event) {
  t3_operands operands;
  T3_TRY(t3_layer_operands(plan, weights, x, NULL, y, &operands));
  return enqueue_call(plan, weights, &operands, queue, workspace, num_events, wait_list, event);
}

tconv3d_status tconv3d_enqueue_residual(const tconv3d_plan *plan, const tconv3d_weights *weights, cl_command_queue queue,
                                        tconv3d_buffer x, tconv3d_buffer residual, tconv3d_buffer y,
                                        const tconv3d_buffer *workspace, cl_uint num_events, const cl_event *wait_list,
                                        cl_event *event) {
  t3_operands operands;
  T3_TRY(t3_layer_operands(plan, weights, x, &residual, y, &operands));
  return enqueue_call(plan, weights, &operands, queue, workspace, num_events, wait_list, event);
}

tconv3d_status tconv3d_enqueue_gradient(const tconv3d_plan *plan, cl_command_queue queue, tconv3d_buffer x, tconv3d_buffer gy,
                                        tconv3d_buffer gradient, const tconv3d_buffer *workspace, cl_uint num_events,
                                        const cl_event *wait_list, cl_event *event) {
  t3_operands operands;
  T3_TRY(t3_gradient_operands(plan, x, gy, gradient, &operands));
  return enqueue_call(plan, NULL, &operands, queue, workspace, num_events, wait_list, event);
}
