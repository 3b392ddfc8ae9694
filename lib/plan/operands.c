/* Which tensors a call of each kind of plan takes, and their checks. */
#include "base/status.h"
#include "plan/buffers.h"

static tconv3d_status check_work(const tconv3d_plan *plan, bool gradient, const char *call) {
  if ((t3_work_of(plan->problem.operation) != T3_LAYER) == gradient) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is for %s; %s is the call for it",
                 tconv3d_operation_name(plan->problem.operation), call);
}

/* Of a problem's tensor, by its view; every element of one type. */
static t3_operand operand(t3_arg_kind kind, const char *name, tconv3d_buffer buffer, const t3_view *view, tconv3d_dtype type) {
  size_t size = t3_type_size(type);
  return (t3_operand){kind, name, buffer, (uint64_t)view->span * size, (uint64_t)view->below * size, size, kind == T3_Y};
}

/* What a call writes. */
static t3_operand target(const t3_problem *problem, const char *name, tconv3d_buffer buffer) {
  const t3_layer *layer = &problem->layer;
  const t3_view bias = {.span = layer->out_channels};
  t3_work work = t3_work_of(problem->operation);
  const t3_view *view = work == T3_LAYER ? &layer->y : work == T3_WEIGHT_GRADIENT ? &layer->w : &bias;
  return operand(T3_Y, name, buffer, view, t3_target_type(problem));
}

static tconv3d_status check_residual(const tconv3d_plan *plan, bool given) {
  if ((plan->problem.epilogue.residual != 0) == given) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT,
                 given
                     ? "residual is given but the plan's epilogue adds none"
                     : "plan's epilogue adds a residual; tconv3d_enqueue_residual or tconv3d_run_residual is the call for it");
}

tconv3d_status t3_layer_operands(const tconv3d_plan *plan, const tconv3d_weights *weights, tconv3d_buffer x,
                                 const tconv3d_buffer *residual, tconv3d_buffer y, t3_operands *operands) {
  if (!plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is NULL");
  T3_TRY(check_work(plan, false, "tconv3d_enqueue_gradient or tconv3d_run_gradient"));
  if (!weights) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights is NULL");
  if (weights->plan != plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "weights were prepared for another plan");
  if (plan->recipe.pack_channels.kernel && !weights->channels)
    return t3_fail(TCONV3D_INVALID_ARGUMENT,
                   "weights lack what the plan's epilogue has for each channel; tconv3d_weights_set_channels sets it");
  T3_TRY(check_residual(plan, residual != NULL));
  const t3_problem *problem = &plan->problem;
  const t3_layer *layer = &problem->layer;
  *operands = (t3_operands){.list = {operand(T3_X, "x", x, &layer->x, layer->dtype),
                                     target(problem, "y", y),
                                     {T3_PACKED, "weights", {weights->packed, 0}, 0, 0, (size_t)problem->real_size, false}},
                            .count = 3};
  if (residual) operands->list[operands->count++] = operand(T3_RESIDUAL, "residual", *residual, &layer->y, layer->dtype);
  return TCONV3D_OK;
}

tconv3d_status t3_gradient_operands(const tconv3d_plan *plan, tconv3d_buffer x, tconv3d_buffer gy, tconv3d_buffer gradient,
                                    t3_operands *operands) {
  if (!plan) return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is NULL");
  T3_TRY(check_work(plan, true, "tconv3d_enqueue or tconv3d_run"));
  const t3_problem *problem = &plan->problem;
  const t3_layer *layer = &problem->layer;
  const t3_view nothing = {.span = 0};
  bool x_counts = problem->operation == TCONV3D_GRAD_WEIGHT, empty = !layer->batch;
  /* A kernel's argument must be some buffer, even if nothing of it is read. */
  *operands = (t3_operands){
      .list = {target(problem, "gradient", gradient), operand(T3_GY, "gy", empty ? gradient : gy, &layer->y, layer->dtype),
               operand(T3_X, "x", empty || !x_counts ? gradient : x, x_counts ? &layer->x : &nothing, layer->dtype)},
      .count = 3};
  return TCONV3D_OK;
}

static tconv3d_status check_one(const tconv3d_plan *plan, const t3_operand *operand) {
  cl_mem_flags refused = operand->written ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY;
  if (operand->written && plan->problem.beta != 0) refused |= CL_MEM_WRITE_ONLY;
  return t3_check_buffer(plan, operand, refused);
}

/* A residual may be what it is added to. */
static bool is_in_place(const t3_operand *a, const t3_operand *b) {
  return a->kind == T3_Y && b->kind == T3_RESIDUAL && a->buffer.mem == b->buffer.mem && a->buffer.offset == b->buffer.offset;
}

tconv3d_status t3_check_operands(const tconv3d_plan *plan, const t3_operands *operands, const tconv3d_buffer *workspace) {
  const t3_operand *list = operands->list;
  for (int i = 0; i < operands->count; ++i)
    if (list[i].bytes) T3_TRY(check_one(plan, &list[i]));
  for (int i = 0; i < operands->count; ++i)
    for (int j = i + 1; j < operands->count; ++j)
      if ((list[i].written || list[j].written) && list[i].bytes && list[j].bytes && !is_in_place(&list[i], &list[j]))
        T3_TRY(t3_check_disjoint(&list[i], &list[j]));
  uint64_t bytes = (uint64_t)plan->recipe.workspace_bytes;
  if (!workspace || !bytes) return TCONV3D_OK;
  t3_operand own = {T3_WORKSPACE, "workspace", *workspace, bytes, 0, (size_t)plan->problem.real_size, true};
  T3_TRY(t3_check_buffer(plan, &own, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY));
  for (int i = 0; i < operands->count; ++i)
    if (list[i].bytes) T3_TRY(t3_check_disjoint(&list[i], &own));
  return TCONV3D_OK;
}
