/* Which tensors a call of each kind of plan takes, and their checks. */
#include "base/status.h"
#include "plan/buffers.h"

static tconv3d_status check_work(const tconv3d_plan *plan, bool gradient, const char *call) {
  if ((t3_work_of(plan->problem.operation) != T3_LAYER) == gradient) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is for %s; %s is the call for it",
                 tconv3d_operation_name(plan->problem.operation), call);
}

tconv3d_status t3_layer_operands(const tconv3d_plan *plan, const tconv3d_weights *weights, tconv3d_buffer x, tconv3d_buffer y,
                                 t3_operands *operands) {
  if (!plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is NULL");
  T3_TRY(check_work(plan, false, "tconv3d_enqueue_gradient or tconv3d_run_gradient"));
  if (!weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights is NULL");
  if (weights->plan != plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights were prepared for another plan");
  const t3_layer *layer = &plan->problem.layer;
  *operands = (t3_operands){.list = {{T3_X, "x", x, (uint64_t)layer->x_count * sizeof(float), false},
                                     {T3_Y, "y", y, (uint64_t)t3_target_bytes(&plan->problem), true},
                                     {T3_PACKED, "weights", {weights->packed, 0}, 0, false}},
                            .count = 3};
  return TCONV3D_OK;
}

tconv3d_status t3_gradient_operands(const tconv3d_plan *plan, tconv3d_buffer x, tconv3d_buffer gy, tconv3d_buffer gradient,
                                    t3_operands *operands) {
  if (!plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is NULL");
  T3_TRY(check_work(plan, true, "tconv3d_enqueue or tconv3d_run"));
  const t3_layer *layer = &plan->problem.layer;
  bool x_counts = plan->problem.operation == TCONV3D_GRAD_WEIGHT, empty = !layer->batch;
  /* A kernel's argument must be some buffer, even if nothing of it is read. */
  *operands = (t3_operands){
      .list = {{T3_Y, "gradient", gradient, (uint64_t)t3_target_bytes(&plan->problem), true},
               {T3_GY, "gy", empty ? gradient : gy, (uint64_t)layer->y_count * sizeof(float), false},
               {T3_X, "x", empty || !x_counts ? gradient : x, x_counts ? (uint64_t)layer->x_count * sizeof(float) : 0, false}},
      .count = 3};
  return TCONV3D_OK;
}

static tconv3d_status check_one(const tconv3d_plan *plan, const t3_operand *operand) {
  cl_mem_flags refused = operand->written ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY;
  if (operand->written && plan->problem.beta != 0) refused |= CL_MEM_WRITE_ONLY;
  return t3_check_buffer(plan, operand->name, &operand->buffer, operand->bytes, refused);
}

tconv3d_status t3_check_operands(const tconv3d_plan *plan, const t3_operands *operands, const tconv3d_buffer *workspace) {
  const uint64_t workspace_bytes = (uint64_t)plan->recipe.workspace_bytes;
  const t3_operand *list = operands->list;
  for (int i = 0; i < operands->count; ++i)
    if (list[i].bytes) T3_TRY(check_one(plan, &list[i]));
  for (int i = 0; i < operands->count; ++i)
    for (int j = i + 1; j < operands->count; ++j)
      if ((list[i].written || list[j].written) && list[i].bytes && list[j].bytes)
        T3_TRY(t3_check_disjoint(list[i].name, &list[i].buffer, list[i].bytes, list[j].name, &list[j].buffer, list[j].bytes));
  if (!workspace || !workspace_bytes) return TCONV3D_OK;
  T3_TRY(t3_check_buffer(plan, "workspace", workspace, workspace_bytes, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY));
  for (int i = 0; i < operands->count; ++i)
    if (list[i].bytes)
      T3_TRY(t3_check_disjoint(list[i].name, &list[i].buffer, list[i].bytes, "workspace", workspace, workspace_bytes));
  return TCONV3D_OK;
}
