#include "support/gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/layer_line.h"

enum { WHY = 200 };

static void gradient_fails(const struct gradient *gradient, const char *what) {
  char layer[400];
  layer_line_format(&gradient->desc, layer, sizeof layer);
  fail_msg("%s, algorithm %s, seed %llu, beta %g\n%s\n%s\n%s", tconv3d_operation_name(gradient->operation),
           gradient->algorithm ? gradient->algorithm : "by choice", (unsigned long long)gradient->seed, gradient->beta, layer,
           what, gradient->plan ? tconv3d_plan_explain(gradient->plan) : "");
}

void gradient_needs(const struct gradient *gradient, bool fact, const char *what) {
  if (!fact) gradient_fails(gradient, what);
}

void gradient_ok(const struct gradient *gradient, tconv3d_status status) {
  gradient_needs(gradient, status == TCONV3D_OK, tconv3d_message());
}

static bool takes_weights(tconv3d_operation operation) {
  return operation != TCONV3D_GRAD_WEIGHT && operation != TCONV3D_GRAD_BIAS;
}

static bool takes_bias(tconv3d_operation operation, const tconv3d_desc *desc) {
  return desc->has_bias && (operation == TCONV3D_FORWARD || operation == TCONV3D_CONVOLUTION);
}

bool gradient_plan(const struct rig *rig, tconv3d_operation operation, const char *algorithm, const tconv3d_desc *desc,
                   double beta, tconv3d_plan **plan) {
  const struct gradient asked = {.operation = operation, .algorithm = algorithm, .beta = beta, .desc = *desc};
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  options.operation = operation;
  options.beta = beta;
  tconv3d_status status = tconv3d_plan_create(rig->context, desc, &options, plan);
  if (status == TCONV3D_UNSUPPORTED && algorithm) {
    gradient_needs(&asked, *tconv3d_message() != '\0', "refused without a reason");
    gradient_needs(&asked, strcmp(algorithm, "direct") != 0 || !takes_weights(operation), tconv3d_message());
    return false;
  }
  gradient_ok(&asked, status);
  return true;
}

/* What the plan says of itself. */
static void check_info(struct gradient *gradient) {
  int64_t shape[5];
  const tconv3d_plan_info *info = &gradient->info;
  const struct counts *counts = &gradient->counts;
  gradient_ok(gradient, tconv3d_plan_query(gradient->plan, &gradient->info));
  gradient_ok(gradient, tconv3d_target_shape(&gradient->desc, gradient->operation, shape));
  gradient_needs(gradient, !memcmp(shape, info->output_shape, sizeof shape), "the plan's shape is not the target's");
  size_t count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3] * shape[4]);
  gradient_needs(gradient, count == gradient->count, "the target's shape is wrong");
  gradient_needs(gradient, !gradient->algorithm || !strcmp(info->algorithm, gradient->algorithm), "another algorithm");
  size_t x_and_w = gradient->operation != TCONV3D_GRAD_BIAS ? sizeof(float) : 0; /* they play no part in that */
  gradient_needs(gradient,
                 info->x_bytes == counts->x * x_and_w && info->w_bytes == counts->w * x_and_w &&
                     info->y_bytes == counts->y * sizeof(float),
                 "the plan's bytes are not the tensors'");
}

/* Odd offsets from the seed, but for the target, for which every second is one of a vector or a line: kernels may store
 * otherwise there. */
static void upload(struct gradient *gradient) {
  cl_context cl = gradient->rig->cl;
  struct rng rng = {gradient->seed};
  size_t offset[6];
  for (int i = 0; i < 6; ++i) offset[i] = 1024 + sizeof(float) * (size_t)(2 * rng_between(&rng, 0, 63) + 1);
  if (rng_between(&rng, 0, 1)) offset[4] = 1024 + 16 * (size_t)rng_between(&rng, 0, 4);
  const struct operands *host = &gradient->host;
  const struct counts *counts = &gradient->counts;
  const size_t element = sizeof(float);
  cl_mem_flags flags = gradient->beta != 0.0 ? CL_MEM_READ_WRITE : CL_MEM_WRITE_ONLY;
  bool made = guard_make(&gradient->x, cl, CL_MEM_READ_ONLY, offset[0], host->x, counts->x * element) &&
              guard_make(&gradient->w, cl, CL_MEM_READ_ONLY, offset[1], host->w, counts->w * element) &&
              guard_make(&gradient->b, cl, CL_MEM_READ_ONLY, offset[2], host->b, host->b ? counts->b * element : 0) &&
              guard_make(&gradient->gy, cl, CL_MEM_READ_ONLY, offset[3], host->y, host->y ? counts->y * element : 0) &&
              guard_make(&gradient->to, cl, flags, offset[4], NULL, gradient->count * element) &&
              guard_make(&gradient->workspace, cl, CL_MEM_READ_WRITE, offset[5], NULL, gradient->info.workspace_bytes);
  gradient_needs(gradient, made, "no memory for the buffers");
  if (!takes_weights(gradient->operation)) return;
  tconv3d_buffer b = guard_buffer(&gradient->b);
  const tconv3d_buffer *bias = takes_bias(gradient->operation, &gradient->desc) ? &b : NULL;
  gradient_ok(gradient, tconv3d_weights_create(gradient->plan, gradient->rig->queue, guard_buffer(&gradient->w), bias, 0, NULL,
                                               NULL, &gradient->weights));
}

bool gradient_make(struct gradient *gradient, const struct rig *rig, tconv3d_operation operation, const char *algorithm,
                   const tconv3d_desc *desc, uint64_t seed, enum values values, double beta) {
  *gradient = (struct gradient){.rig = rig, .operation = operation, .algorithm = algorithm, .seed = seed, .beta = beta};
  gradient->desc = *desc;
  gradient->counts = operand_counts(desc, operation);
  gradient->count = target_count(desc, operation);
  if (!gradient_plan(rig, operation, algorithm, desc, beta, &gradient->plan)) return false;
  check_info(gradient);
  struct rng rng = {seed};
  bool made = operands_make(&gradient->host, desc, operation, &rng, values);
  gradient->old = random_values(&rng, gradient->count, values);
  gradient->target = calloc(gradient->count + 1, sizeof *gradient->target);
  gradient_needs(gradient, made && gradient->old && gradient->target, "no memory for the tensors");
  for (size_t i = 0; beta == 0.0 && i < gradient->count; ++i) gradient->old[i] = NAN;
  upload(gradient);
  return true;
}

void gradient_free(struct gradient *gradient) {
  tconv3d_weights_destroy(gradient->weights);
  tconv3d_plan_destroy(gradient->plan);
  struct guarded *guards[] = {&gradient->x, &gradient->w, &gradient->b, &gradient->gy, &gradient->to, &gradient->workspace};
  for (size_t i = 0; i < sizeof guards / sizeof *guards; ++i) guard_free(guards[i]);
  operands_free(&gradient->host);
  free(gradient->old);
  free(gradient->target);
  *gradient = (struct gradient){0};
}

static void write_buffer(const struct gradient *gradient, const struct guarded *guarded, size_t at, const float *values,
                         size_t count) {
  if (!count) return;
  cl_command_queue queue = gradient->rig->queue;
  size_t offset = guarded->offset + at * sizeof *values;
  assert_cl(clEnqueueWriteBuffer(queue, guarded->mem, CL_TRUE, offset, count * sizeof *values, values, 0, NULL, NULL));
  assert_cl(clFinish(queue)); /* a blocking write lets the host go on, not an out-of-order queue */
}

void gradient_poke(const struct gradient *gradient, const struct guarded *guarded, const float *host, size_t at, float value) {
  ((float *)(uintptr_t)host)[at] = value; /* host tensors are the gradient's own */
  write_buffer(gradient, guarded, at, &value, 1);
}

static tconv3d_status enqueue(const struct gradient *gradient, cl_event *done) {
  const tconv3d_buffer nothing = {NULL, 0}, x = guard_buffer(&gradient->x), gy = guard_buffer(&gradient->gy);
  const tconv3d_buffer to = guard_buffer(&gradient->to), workspace = guard_buffer(&gradient->workspace);
  cl_command_queue queue = gradient->rig->queue;
  if (takes_weights(gradient->operation))
    return tconv3d_enqueue(gradient->plan, gradient->weights, queue, gradient->operation == TCONV3D_GRAD_INPUT ? gy : x, to,
                           &workspace, 0, NULL, done);
  return tconv3d_enqueue_gradient(gradient->plan, queue, gradient->operation == TCONV3D_GRAD_BIAS ? nothing : x, gy, to,
                                  &workspace, 0, NULL, done);
}

void gradient_run(struct gradient *gradient) {
  cl_event done;
  write_buffer(gradient, &gradient->to, 0, gradient->old, gradient->count);
  gradient_ok(gradient, enqueue(gradient, &done));
  cl_int waited = clWaitForEvents(1, &done);
  assert_cl(clReleaseEvent(done));
  gradient_needs(gradient, waited == CL_SUCCESS, "the event tells of a failure");
  const struct {
    const char *name;
    const struct guarded *guarded;
    void *contents;
  } zones[] = {{"x", &gradient->x, NULL},
               {"w", &gradient->w, NULL},
               {"b", &gradient->b, NULL},
               {"gy", &gradient->gy, NULL},
               {"the target", &gradient->to, gradient->target},
               {"workspace", &gradient->workspace, NULL}};
  for (size_t i = 0; i < sizeof zones / sizeof *zones; ++i) {
    char why[WHY], what[WHY + 20];
    if (guard_read(zones[i].guarded, gradient->rig->queue, zones[i].contents, why, sizeof why)) continue;
    snprintf(what, sizeof what, "%s: %s", zones[i].name, why);
    gradient_fails(gradient, what);
  }
}

/* The target is y[] in why, whatever it is. */
static bool right(const struct judge *judge, const float *target, bool exact, char *why) {
  return exact ? judge_exact(judge, target, why, WHY) : judge_within(judge, target, why, WHY);
}

void gradient_judge(const struct gradient *gradient, bool exact) {
  struct judge judge;
  char why[WHY];
  gradient_needs(gradient, operation_judge(&judge, &gradient->desc, gradient->operation, &gradient->host),
                 "no memory for the judge");
  float *reference = calloc(gradient->count + 1, sizeof *reference);
  gradient_needs(gradient, reference != NULL, "no memory for the reference");
  gradient_ok(gradient, reference_of(&gradient->desc, gradient->operation, &gradient->host, reference));
  gradient_needs(gradient, right(&judge, reference, exact, why), "the plain-C reference is wrong");
  free(reference);
  judge_add_old(&judge, gradient->beta, gradient->old);
  gradient_needs(gradient, right(&judge, gradient->target, exact, why), why);
  judge_free(&judge);
}

/* Runs a second time: a plan that says it is deterministic gives the same bits. */
static void repeat(struct gradient *gradient) {
  size_t bytes = gradient->count * sizeof(float);
  float *first = malloc(bytes + 1);
  gradient_needs(gradient, first != NULL, "no memory for the first result");
  memcpy(first, gradient->target, bytes);
  gradient_run(gradient);
  gradient_needs(gradient, !gradient->info.deterministic || !memcmp(first, gradient->target, bytes),
                 "other bits at the second call");
  free(first);
}

bool gradient_check(const struct rig *rig, tconv3d_operation operation, const char *algorithm, const tconv3d_desc *desc,
                    uint64_t seed, enum values values, double beta) {
  struct gradient gradient;
  if (!gradient_make(&gradient, rig, operation, algorithm, desc, seed, values, beta)) return false;
  gradient_run(&gradient);
  gradient_judge(&gradient, values == VALUES_INTEGER);
  if (values == VALUES_UNIFORM) repeat(&gradient);
  gradient_free(&gradient);
  return true;
}

void gradient_check_all(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, uint64_t seed,
                        double beta) {
  const char *name;
  size_t index = 0, served = 0;
  do {
    name = tconv3d_algorithm_name(index++);
    if (!gradient_check(rig, operation, name, desc, seed, VALUES_INTEGER, beta)) continue;
    gradient_check(rig, operation, name, desc, seed, VALUES_UNIFORM, beta);
    ++served;
  } while (name);           /* NULL past the last is the automatic choice */
  assert_true(served >= 2); /* what it chooses has a name */
}

float *gradient_of(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                   const struct operands *operands) {
  tconv3d_plan *plan;
  tconv3d_weights *weights = NULL;
  float *result = calloc(target_count(desc, operation) + 1, sizeof *result);
  assert_non_null(result);
  assert_true(gradient_plan(rig, operation, NULL, desc, 0, &plan));
  if (takes_weights(operation)) {
    const float *bias = takes_bias(operation, desc) ? operands->b : NULL;
    assert_ok(tconv3d_weights_create_host(plan, operands->w, bias, &weights));
    assert_ok(tconv3d_run(plan, weights, operation == TCONV3D_GRAD_INPUT ? operands->y : operands->x, result));
  } else {
    assert_ok(tconv3d_run_gradient(plan, operation == TCONV3D_GRAD_BIAS ? NULL : operands->x, operands->y, result));
  }
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  return result;
}
