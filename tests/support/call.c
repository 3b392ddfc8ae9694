#include "support/call.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/layer_line.h"

enum { WHY = 200 };

static void call_fails(const struct call *call, const char *what) {
  char layer[400];
  const struct asked *asked = &call->asked;
  const tconv3d_epilogue *e = &asked->epilogue;
  layer_line_format(&asked->desc, layer, sizeof layer);
  fail_msg("%s of %s and %s, algorithm %s, seed %llu, beta %g, activation %d (%g, %g), affine %d, residual %g%s\n%s\n%s\n%s",
           tconv3d_operation_name(asked->operation), typed_name(asked->desc.dtype), typed_name(asked->desc.weight_dtype),
           asked->algorithm ? asked->algorithm : "by choice", (unsigned long long)asked->seed, asked->beta, (int)e->activation,
           e->low, e->high, e->affine, e->residual, asked->in_place ? " in place" : "", layer, what,
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

static bool make_plan(struct call *call) {
  const struct asked *asked = &call->asked;
  const t3_slot *slot = t3_context_slot(call->rig->context, NULL);
  const t3_request request = {&asked->desc, asked->operation, asked->beta, asked->epilogue};
  tconv3d_status status = t3_plan_make(call->rig->context, slot, &request, asked->algorithm, asked->candidate, &call->plan);
  if (status == TCONV3D_UNSUPPORTED && asked->algorithm) {
    call_needs(call, *tconv3d_message() != '\0', "refused without a reason");
    call_needs(call, strcmp(asked->algorithm, "direct") != 0 || !takes_weights(asked->operation), tconv3d_message());
    return false;
  }
  call_ok(call, status);
  return true;
}

static size_t product(const int64_t shape[5]) {
  return (size_t)(shape[0] * shape[1] * shape[2] * shape[3] * shape[4]);
}

static void set(struct call *call, int tensor, tconv3d_dtype type, size_t count) {
  call->tensors[tensor].type = type;
  call->tensors[tensor].count = count;
}

/* Which tensors the call has, and their types and sizes, from the descriptor. */
static void name_tensors(struct call *call) {
  const struct asked *asked = &call->asked;
  const tconv3d_desc *desc = &asked->desc;
  const int64_t *in = desc->input_size, *kernel = desc->kernel_size;
  bool convolves = asked->operation == TCONV3D_CONVOLUTION, forward = convolves || asked->operation == TCONV3D_FORWARD;
  bool weights = takes_weights(asked->operation), bias = forward && desc->has_bias;
  int64_t y[5], target[5];
  call_ok(call, tconv3d_target_shape(desc, convolves ? asked->operation : TCONV3D_FORWARD, y));
  call_ok(call, tconv3d_target_shape(desc, asked->operation, target));
  size_t m = (size_t)desc->out_channels, w = (size_t)(desc->in_channels * desc->out_channels / desc->groups);
  size_t x = (size_t)(desc->batch * desc->in_channels * in[0] * in[1] * in[2]);
  set(call, CALL_X, desc->dtype, forward || asked->operation == TCONV3D_GRAD_WEIGHT ? x : 0);
  set(call, CALL_W, desc->weight_dtype, weights ? w * (size_t)(kernel[0] * kernel[1] * kernel[2]) : 0);
  set(call, CALL_B, desc->weight_dtype, bias ? m : 0);
  set(call, CALL_GY, desc->dtype, forward ? 0 : product(y));
  set(call, CALL_RESIDUAL, desc->dtype, asked->epilogue.residual != 0.0 && !asked->in_place ? product(y) : 0);
  set(call, CALL_SLOPE, desc->weight_dtype, asked->epilogue.activation == TCONV3D_PRELU ? m : 0);
  set(call, CALL_SCALE, desc->weight_dtype, asked->epilogue.affine ? m : 0);
  set(call, CALL_SHIFT, desc->weight_dtype, asked->epilogue.affine ? m : 0);
  set(call, CALL_TARGET, weights ? desc->dtype : desc->weight_dtype, product(target));
  call_ok(call, tconv3d_plan_query(call->plan, &call->info));
  size_t real = asked->desc.dtype == TCONV3D_F64 ? sizeof(double) : sizeof(float);
  set(call, CALL_WORKSPACE, real == sizeof(double) ? TCONV3D_F64 : TCONV3D_F32, call->info.workspace_bytes / real);
  call_needs(call, call->info.workspace_bytes % real == 0, "the workspace is no whole number of sums");
  call_needs(call, !memcmp(call->info.output_shape, target, sizeof target), "the plan's shape is not the target's");
  call_needs(call,
             call->info.x_bytes == x * typed_size(desc->dtype) && call->info.y_bytes == product(y) * typed_size(desc->dtype),
             "the plan's bytes are not the tensors'");
}

static void make_values(struct call *call, struct tensor *tensor, bool read, struct rng *rng) {
  if (read)
    tensor->bits = typed_random(tensor->type, rng, tensor->count, call->asked.values);
  else
    tensor->bits = calloc(tensor->count + 1, typed_size(tensor->type));
  call_needs(call, tensor->bits != NULL, "no memory for a tensor");
  for (size_t i = 0; !read && i < tensor->count; ++i) typed_put(tensor->type, tensor->bits, i, (double)NAN);
  tensor->values = typed_values(tensor->type, tensor->bits, tensor->count);
  call_needs(call, tensor->values != NULL, "no memory for values");
}

/* Odd multiples of the element's size; every second target lies at a vector or a line of the cache, where kernels may store
 * otherwise. */
static void make_buffer(struct call *call, int index, struct rng *rng) {
  struct tensor *tensor = &call->tensors[index];
  size_t size = typed_size(tensor->type), offset = 1024 + size * (size_t)(2 * rng_between(rng, 0, 63) + 1);
  bool target = index == CALL_TARGET, reads = call->asked.beta != 0.0 || call->asked.in_place;
  if (target && rng_between(rng, 0, 1)) offset = 1024 + 16 * (size_t)rng_between(rng, 0, 4);
  cl_mem_flags flags = target && !reads                    ? CL_MEM_WRITE_ONLY
                       : target || index == CALL_WORKSPACE ? CL_MEM_READ_WRITE
                                                           : CL_MEM_READ_ONLY;
  call_needs(call,
             guard_make(&tensor->guarded, call->rig->cl, flags, offset, index == CALL_WORKSPACE ? NULL : tensor->bits,
                        tensor->count * size),
             "no memory for a buffer");
}

static tconv3d_buffer buffer_of(const struct call *call, int tensor) {
  return guard_buffer(&call->tensors[tensor].guarded);
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
  if (!make_plan(call)) return false;
  name_tensors(call);
  struct rng rng = {asked->seed};
  for (int i = 0; i < TENSORS; ++i) {
    struct tensor *tensor = &call->tensors[i];
    make_values(call, tensor, i != CALL_WORKSPACE && (i != CALL_TARGET || asked->beta != 0.0 || asked->in_place), &rng);
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
  }
  free(call->result);
  *call = (struct call){0};
}

static void write_bits(const struct call *call, int index) {
  const struct tensor *tensor = &call->tensors[index];
  cl_command_queue queue = call->rig->queue;
  size_t bytes = tensor->guarded.bytes;
  if (!bytes) return;
  assert_cl(
      clEnqueueWriteBuffer(queue, tensor->guarded.mem, CL_TRUE, tensor->guarded.offset, bytes, tensor->bits, 0, NULL, NULL));
  assert_cl(clFinish(queue)); /* a blocking write lets the host go on, not an out-of-order queue */
}

void call_write(struct call *call, int index) {
  struct tensor *tensor = &call->tensors[index];
  for (size_t i = 0; i < tensor->count; ++i) tensor->values[i] = typed_value(tensor->type, tensor->bits, i);
  write_bits(call, index);
}

static tconv3d_status enqueue(const struct call *call, cl_event *done) {
  const struct asked *asked = &call->asked;
  const tconv3d_buffer x = buffer_of(call, asked->operation == TCONV3D_GRAD_INPUT ? CALL_GY : CALL_X);
  const tconv3d_buffer to = buffer_of(call, CALL_TARGET), workspace = buffer_of(call, CALL_WORKSPACE);
  cl_command_queue queue = call->rig->queue;
  if (asked->epilogue.residual != 0.0)
    return tconv3d_enqueue_residual(call->plan, call->weights, queue, x, asked->in_place ? to : buffer_of(call, CALL_RESIDUAL),
                                    to, &workspace, 0, NULL, done);
  if (takes_weights(asked->operation))
    return tconv3d_enqueue(call->plan, call->weights, queue, x, to, &workspace, 0, NULL, done);
  return tconv3d_enqueue_gradient(call->plan, queue, x, buffer_of(call, CALL_GY), to, &workspace, 0, NULL, done);
}

void call_run(struct call *call) {
  static const char *const names[TENSORS] = {"x",     "w",     "b",     "gy",         "the residual",
                                             "slope", "scale", "shift", "the target", "workspace"};
  cl_event done;
  write_bits(call, CALL_TARGET);
  call_ok(call, enqueue(call, &done));
  cl_int waited = clWaitForEvents(1, &done);
  assert_cl(clReleaseEvent(done));
  call_needs(call, waited == CL_SUCCESS, "the event tells of a failure");
  for (int i = 0; i < TENSORS; ++i) {
    char why[WHY], what[WHY + 20];
    if (guard_read(&call->tensors[i].guarded, call->rig->queue, i == CALL_TARGET ? call->result : NULL, why, sizeof why))
      continue;
    snprintf(what, sizeof what, "%s: %s", names[i], why);
    call_fails(call, what);
  }
}

void call_repeat(struct call *call) {
  size_t bytes = call->tensors[CALL_TARGET].guarded.bytes;
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
  call_needs(call, exact_make(exact, &call->asked.desc, call->asked.operation, &inputs), "no memory for the exact sums");
}
