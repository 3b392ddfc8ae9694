#include "support/call.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/layer_line.h"

enum { WHY = 200 };

static void call_fails(const struct call *call, const char *what) {
  char layer[400], layouts[400];
  const struct asked *asked = &call->asked;
  const tconv3d_epilogue *e = &asked->epilogue;
  layer_line_format(&asked->desc, layer, sizeof layer);
  views_format(&asked->desc, layouts, sizeof layouts);
  fail_msg(
      "%s of %s and %s, algorithm %s, seed %llu, beta %g, activation %d (%g, %g), affine %d, residual %g%s\n%s\n%s\n%s\n%s",
      tconv3d_operation_name(asked->operation), typed_name(asked->desc.dtype), typed_name(asked->desc.weight_dtype),
      asked->algorithm ? asked->algorithm : "by choice", (unsigned long long)asked->seed, asked->beta, (int)e->activation,
      e->low, e->high, e->affine, e->residual, asked->in_place ? " in place" : "", layer, layouts, what,
      call->plan ? tconv3d_plan_explain(call->plan) : "");
}

void call_needs(const struct call *call, bool fact, const char *what) {
  if (!fact) call_fails(call, what);
}

void call_ok(const struct call *call, tconv3d_status status) {
  call_needs(call, status == TCONV3D_OK, tconv3d_message());
}

static bool takes_weights(tconv3d_operation operation) {
  return t3_work_of(operation) == T3_LAYER;
}

/* What must serve every layer. */
static const char *last_resort(tconv3d_operation operation) {
  if (takes_weights(operation)) return "direct";
  return operation == TCONV3D_GRAD_WEIGHT ? "each" : "sums";
}

static bool make_plan(struct call *call) {
  const struct asked *asked = &call->asked;
  const t3_slot *slot = t3_context_slot(call->rig->context, NULL);
  const t3_request request = {&asked->desc,   asked->operation,        asked->beta, asked->epilogue, 0,
                              asked->clblast, asked->reduced_precision};
  tconv3d_status status = t3_plan_make(call->rig->context, slot, &request, asked->algorithm, asked->candidate, &call->plan);
  if (status == TCONV3D_UNSUPPORTED && asked->algorithm) {
    call_needs(call, *tconv3d_message() != '\0', "refused without a reason");
    call_needs(call, strcmp(asked->algorithm, last_resort(asked->operation)) != 0, tconv3d_message());
    return false;
  }
  call_ok(call, status);
  return true;
}

static void set(struct call *call, int tensor, tconv3d_dtype type, const struct view *view) {
  call->tensors[tensor].type = type;
  call->tensors[tensor].view = view ? *view : view_row(0);
  call->tensors[tensor].count = call->tensors[tensor].view.count;
}

/* Which tensors the call has, their types, and where they lie, from the descriptor. */
static void name_tensors(struct call *call, const struct views *views) {
  const struct asked *asked = &call->asked;
  const tconv3d_desc *desc = &asked->desc;
  const tconv3d_operation operation = asked->operation;
  bool forward = operation == TCONV3D_CONVOLUTION || operation == TCONV3D_FORWARD, weights = takes_weights(operation);
  const struct view channels = view_row((size_t)desc->out_channels), *x = &views->x, *w = &views->w, *y = &views->y;
  const struct view *per_channel = asked->epilogue.affine ? &channels : NULL;
  set(call, CALL_X, desc->dtype, forward || operation == TCONV3D_GRAD_WEIGHT ? x : NULL);
  set(call, CALL_W, desc->weight_dtype, weights ? w : NULL);
  set(call, CALL_B, desc->weight_dtype, forward && desc->has_bias ? &channels : NULL);
  set(call, CALL_GY, desc->dtype, forward ? NULL : y);
  set(call, CALL_RESIDUAL, desc->dtype, asked->epilogue.residual != 0.0 && !asked->in_place ? y : NULL);
  set(call, CALL_SLOPE, desc->weight_dtype, asked->epilogue.activation == TCONV3D_PRELU ? &channels : NULL);
  set(call, CALL_SCALE, desc->weight_dtype, per_channel);
  set(call, CALL_SHIFT, desc->weight_dtype, per_channel);
  set(call, CALL_TARGET, weights ? desc->dtype : desc->weight_dtype,
      forward                            ? y
      : operation == TCONV3D_GRAD_INPUT  ? x
      : operation == TCONV3D_GRAD_WEIGHT ? w
                                         : &channels);
}

/* What the plan says of itself; and its workspace. */
static void check_info(struct call *call, const struct views *views) {
  const tconv3d_desc *desc = &call->asked.desc, dense = views_densely(desc);
  const tconv3d_plan_info *info = &call->info;
  int64_t shape[5];
  call_ok(call, tconv3d_target_shape(&dense, call->asked.operation, shape));
  call_ok(call, tconv3d_plan_query(call->plan, &call->info));
  call_needs(call, !memcmp(info->output_shape, shape, sizeof shape), "the plan's shape is not the target's");
  bool counts = call->asked.operation != TCONV3D_GRAD_BIAS; /* x and w do */
  call_needs(call,
             info->x_bytes == (counts ? views->x.span * typed_size(desc->dtype) : 0) &&
                 info->w_bytes == (counts ? views->w.span * typed_size(desc->weight_dtype) : 0) &&
                 info->y_bytes == views->y.span * typed_size(desc->dtype),
             "the plan's bytes are not the tensors'");
  size_t real = desc->dtype == TCONV3D_F64 ? sizeof(double) : sizeof(float);
  const struct view workspace = view_row(info->workspace_bytes / real);
  call_needs(call, info->workspace_bytes % real == 0, "the workspace is no whole number of sums");
  set(call, CALL_WORKSPACE, real == sizeof(double) ? TCONV3D_F64 : TCONV3D_F32, &workspace);
}

/* Brings the bits to their places; where several share one, they all become what is there. */
static void place(struct tensor *tensor) {
  size_t size = typed_size(tensor->type);
  view_scatter(&tensor->view, size, tensor->bits, tensor->places);
  view_gather(&tensor->view, size, tensor->places, tensor->bits);
  for (size_t i = 0; i < tensor->count; ++i) tensor->values[i] = typed_value(tensor->type, tensor->bits, i);
}

static void make_values(struct call *call, int index, struct rng *rng) {
  struct tensor *tensor = &call->tensors[index];
  bool target = index == CALL_TARGET, read = !target || call->asked.beta != 0.0 || call->asked.in_place;
  if (index == CALL_WORKSPACE) return;
  if (read)
    tensor->bits = typed_random(tensor->type, rng, tensor->count, call->asked.values);
  else
    tensor->bits = calloc(tensor->count + 1, typed_size(tensor->type));
  call_needs(call, tensor->bits != NULL, "no memory for a tensor");
  for (size_t i = 0; !read && i < tensor->count; ++i) typed_put(tensor->type, tensor->bits, i, (double)NAN);
  tensor->values = typed_values(tensor->type, tensor->bits, tensor->count);
  tensor->places = view_room(&tensor->view, tensor->type, target ? GAPS_OF_NUMBERS : GAPS_OF_NAN);
  call_needs(call, tensor->values && tensor->places, "no memory for values");
  place(tensor);
}

/* Element 0 is at odd multiples of the element's size; that of every second target at a vector or a line of the cache, where
 * kernels may store otherwise. */
static void make_buffer(struct call *call, int index, struct rng *rng) {
  struct tensor *tensor = &call->tensors[index];
  size_t size = typed_size(tensor->type), below = tensor->view.below * size, line = (1024 + below + 63) / 64 * 64;
  size_t first = line + size * (size_t)(2 * rng_between(rng, 0, 63) + 1);
  bool target = index == CALL_TARGET, reads = call->asked.beta != 0.0 || call->asked.in_place;
  if (target && rng_between(rng, 0, 1)) first = line + 16 * (size_t)rng_between(rng, 0, 4);
  cl_mem_flags flags = target && !reads                    ? CL_MEM_WRITE_ONLY
                       : target || index == CALL_WORKSPACE ? CL_MEM_READ_WRITE
                                                           : CL_MEM_READ_ONLY;
  call_needs(call,
             guard_make(&tensor->guarded, call->rig->cl, flags, first - below, index == CALL_WORKSPACE ? NULL : tensor->places,
                        tensor->view.span * size),
             "no memory for a buffer");
}

static tconv3d_buffer buffer_of(const struct call *call, int index) {
  const struct tensor *tensor = &call->tensors[index];
  tconv3d_buffer buffer = guard_buffer(&tensor->guarded);
  buffer.offset += tensor->view.below * typed_size(tensor->type);
  return buffer;
}

void call_buffers(const struct call *call, tconv3d_buffer buffers[TENSORS]) {
  for (int i = 0; i < TENSORS; ++i) buffers[i] = buffer_of(call, i);
  if (call->asked.in_place) buffers[CALL_RESIDUAL] = buffers[CALL_TARGET];
}

void call_set_channels(struct call *call) {
  tconv3d_buffer channels[3];
  const tconv3d_buffer *given[3] = {NULL, NULL, NULL};
  bool any = false;
  for (int i = 0; i < 3; ++i) {
    channels[i] = buffer_of(call, CALL_SLOPE + i);
    if (call->tensors[CALL_SLOPE + i].count) given[i] = &channels[i], any = true;
  }
  if (!any) return;
  call_ok(call, tconv3d_weights_set_channels(call->weights, call->rig->queue, given[0], given[1], given[2], 0, NULL, NULL));
}

static void make_weights(struct call *call) {
  tconv3d_buffer b = buffer_of(call, CALL_B);
  call_ok(call, tconv3d_weights_create(call->plan, call->rig->queue, buffer_of(call, CALL_W),
                                       call->tensors[CALL_B].count ? &b : NULL, 0, NULL, NULL, &call->weights));
  call_set_channels(call);
}

bool call_make(struct call *call, const struct rig *rig, const struct asked *asked) {
  *call = (struct call){.rig = rig, .asked = *asked};
  struct views views;
  if (!make_plan(call)) return false;
  call_needs(call, views_of(&views, &asked->desc, asked->operation), "the layer has no shape");
  name_tensors(call, &views);
  check_info(call, &views);
  struct rng rng = {asked->seed};
  for (int i = 0; i < TENSORS; ++i) {
    make_values(call, i, &rng);
    make_buffer(call, i, &rng);
  }
  call->result = calloc(call->tensors[CALL_TARGET].count + 1, typed_size(call->tensors[CALL_TARGET].type));
  call_needs(call, call->result != NULL, "no memory for the result");
  if (takes_weights(asked->operation)) make_weights(call);
  return true;
}

void call_free(struct call *call) {
  tconv3d_weights_destroy(call->weights);
  tconv3d_plan_destroy(call->plan);
  for (int i = 0; i < TENSORS; ++i) {
    guard_free(&call->tensors[i].guarded);
    free(call->tensors[i].bits);
    free(call->tensors[i].values);
    free(call->tensors[i].places);
  }
  free(call->result);
  *call = (struct call){0};
}

static void write_bits(const struct call *call, int index) {
  const struct tensor *tensor = &call->tensors[index];
  if (tensor->guarded.bytes) assert_true(guard_write(&tensor->guarded, call->rig->queue, tensor->places));
}

void call_write(struct call *call, int index) {
  place(&call->tensors[index]);
  write_bits(call, index);
}

tconv3d_status call_enqueue(const struct call *call, const tconv3d_buffer buffers[TENSORS], cl_event *done) {
  const struct asked *asked = &call->asked;
  const tconv3d_buffer x = buffers[asked->operation == TCONV3D_GRAD_INPUT ? CALL_GY : CALL_X];
  const tconv3d_buffer to = buffers[CALL_TARGET], *workspace = &buffers[CALL_WORKSPACE];
  cl_command_queue queue = call->rig->queue;
  if (asked->epilogue.residual != 0.0)
    return tconv3d_enqueue_residual(call->plan, call->weights, queue, x, buffers[CALL_RESIDUAL], to, workspace, 0, NULL, done);
  if (takes_weights(asked->operation))
    return tconv3d_enqueue(call->plan, call->weights, queue, x, to, workspace, 0, NULL, done);
  return tconv3d_enqueue_gradient(call->plan, queue, x, buffers[CALL_GY], to, workspace, 0, NULL, done);
}

/* Takes the result from what the target's places hold. */
static void take_result(struct call *call, const void *places) {
  const struct tensor *target = &call->tensors[CALL_TARGET];
  size_t size = typed_size(target->type);
  char why[WHY];
  bool kept = view_gaps_kept(&target->view, size, target->places, places, why, sizeof why);
  call_needs(call, kept, why);
  view_gather(&target->view, size, places, call->result);
}

void call_run_in(struct call *call, const tconv3d_buffer buffers[TENSORS]) {
  static const char *const names[TENSORS] = {"x",     "w",     "b",     "gy",         "the residual",
                                             "slope", "scale", "shift", "the target", "workspace"};
  cl_event done;
  void *places = malloc(call->tensors[CALL_TARGET].guarded.bytes + 1);
  call_needs(call, places != NULL, "no memory for the target");
  write_bits(call, CALL_TARGET);
  call_ok(call, call_enqueue(call, buffers, &done));
  cl_int waited = clWaitForEvents(1, &done);
  assert_cl(clReleaseEvent(done));
  call_needs(call, waited == CL_SUCCESS, "the event tells of a failure");
  for (int i = 0; i < TENSORS; ++i) {
    char why[WHY], what[WHY + 20];
    if (guard_read(&call->tensors[i].guarded, call->rig->queue, i == CALL_TARGET ? places : NULL, why, sizeof why)) continue;
    snprintf(what, sizeof what, "%s: %s", names[i], why);
    call_fails(call, what);
  }
  take_result(call, places);
  free(places);
}

void call_run(struct call *call) {
  tconv3d_buffer buffers[TENSORS];
  call_buffers(call, buffers);
  call_run_in(call, buffers);
}

void call_repeat(struct call *call) {
  const struct tensor *target = &call->tensors[CALL_TARGET];
  size_t bytes = target->count * typed_size(target->type);
  void *first = malloc(bytes + 1);
  call_needs(call, first != NULL, "no memory for the first result");
  memcpy(first, call->result, bytes);
  call_run(call);
  call_needs(call, !call->info.deterministic || !memcmp(first, call->result, bytes), "other bits at the second call");
  free(first);
}

void call_sums(const struct call *call, struct exact *exact) {
  const struct tensor *t = call->tensors;
  const struct exact_inputs inputs = {
      .x = t[CALL_X].values, .w = t[CALL_W].values, .b = t[CALL_B].count ? t[CALL_B].values : NULL, .gy = t[CALL_GY].values};
  const tconv3d_desc dense = views_densely(&call->asked.desc);
  call_needs(call, exact_make(exact, &dense, call->asked.operation, &inputs), "no memory for the exact sums");
}
