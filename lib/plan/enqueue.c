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

/* A product is on another queue: what it waits for must be on its way to the device, and if it is the first launch it waits for
 * a marker, which stands for the list and for the commands before it on an in-order queue. */
static tconv3d_status extend_by_product(tconv3d_plan *plan, const t3_launch *launch, cl_command_queue queue,
                                        const t3_binding *binding, const t3_waits *waits, t3_chain *chain) {
  cl_event done = NULL;
  if (!chain->last)
    T3_CL_TRY(clEnqueueMarkerWithWaitList, (queue, waits->count, waits->count ? waits->list : NULL, &chain->last));
  T3_CL_TRY(clFlush, (queue));
  T3_TRY(t3_product_enqueue(plan->context, plan->slot, launch, binding, 1, &chain->last, &done));
  chain->between[chain->count++] = chain->last;
  chain->last = done;
  return TCONV3D_OK;
}

static tconv3d_status enqueue_steps(tconv3d_plan *plan, cl_command_queue queue, const t3_binding *binding,
                                    const t3_waits *waits, t3_chain *chain) {
  int64_t commands = 0;
  for (int i = 0; i < plan->recipe.num_run; ++i)
    commands += plan->recipe.run[i].kernel ? t3_num_pieces(&plan->recipe.run[i]) : 2;
  chain->between = commands > 1 ? malloc((size_t)commands * sizeof(cl_event)) : NULL;
  if (commands > 1 && !chain->between) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a call's events");
  for (int i = 0; i < plan->recipe.num_run; ++i)
    if (plan->recipe.run[i].kernel)
      T3_TRY(t3_step_extend(&plan->run[i], queue, binding, waits->count, waits->count ? waits->list : NULL, true, chain));
    else
      T3_TRY(extend_by_product(plan, &plan->recipe.run[i], queue, binding, waits, chain));
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
  t3_chain chain = {0};
  tconv3d_status status = enqueue_steps(plan, queue, &binding, waits, &chain);
  /* Until the last command has ended; after a failure the workspace waits for what was enqueued before it. */
  const t3_flight flight = {chain.last, chain.between, chain.count, plan->mark};
  if (pooled)
    t3_pool_return(plan->context->pool, taken, &flight);
  else
    t3_pool_keep(plan->context->pool, &flight);
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
  T3_TRY(t3_check_wait_list(plan, num_events, wait_list));
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
