/* A plan: a validated layer on a device, the algorithm for it, its program built and warmed. Immutable once made. */
#include "plan/plan.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "algo/multiplier.h"
#include "base/checked.h"
#include "base/status.h"
#include "blas/blas.h"
#include "device/quirks.h"
#include "plan/choose.h"
#include "plan/product.h"
#include "plan/rounds.h"
#include "plan/self_test.h"
#include "plan/split.h"
#include "program/offline.h"
#include "program/probe.h"

static void free_steps(tconv3d_plan *plan) {
  t3_step_free(&plan->pack);
  t3_step_free(&plan->pack_channels);
  for (int i = 0; i < T3_MAX_LAUNCHES; ++i) t3_step_free(&plan->run[i]);
}

static void free_plan(tconv3d_plan *plan) {
  free_steps(plan);
  t3_text_free(&plan->recipe.defines);
  t3_text_free(&plan->explanation);
  tconv3d_context_destroy(plan->context);
  free(plan);
}

void tconv3d_plan_destroy(tconv3d_plan *plan) {
  if (plan && atomic_fetch_sub(&plan->references, 1) == 1) free_plan(plan);
}

tconv3d_plan *t3_plan_retain(const tconv3d_plan *plan) {
  tconv3d_plan *shared = (tconv3d_plan *)(uintptr_t)plan; /* the count is the only thing that changes in a plan */
  atomic_fetch_add(&shared->references, 1);
  return shared;
}

static tconv3d_status check_buffer(const t3_slot *slot, const char *what, int64_t bytes) {
  uint64_t limit = slot->info.max_buffer_bytes;
  if ((uint64_t)bytes <= limit) return TCONV3D_OK;
  return t3_fail(TCONV3D_OUT_OF_DEVICE_MEMORY,
                 "%s needs %" PRId64 " bytes in one buffer; device '%s' allows %" PRIu64 " bytes a buffer", what, bytes,
                 slot->info.name, limit);
}

static tconv3d_status check_total(const t3_slot *slot, int64_t total) {
  if ((uint64_t)total <= slot->info.memory_bytes) return TCONV3D_OK;
  return t3_fail(TCONV3D_OUT_OF_DEVICE_MEMORY,
                 "the layer needs %" PRId64 " bytes of device memory; device '%s' has %" PRIu64 " bytes", total,
                 slot->info.name, slot->info.memory_bytes);
}

int64_t t3_x_bytes(const t3_problem *problem) {
  return problem->layer.x.span * (int64_t)t3_type_size(problem->layer.dtype);
}
int64_t t3_w_bytes(const t3_problem *problem) {
  return problem->layer.w.span * (int64_t)t3_type_size(problem->layer.weight_dtype);
}
int64_t t3_y_bytes(const t3_problem *problem) {
  return problem->layer.y.span * (int64_t)t3_type_size(problem->layer.dtype);
}

/* Refuses, before anything is allocated or built, tensors that the device cannot hold. Each span times 16 fits in 63 bits. */
static tconv3d_status check_tensors(const t3_slot *slot, const t3_problem *problem) {
  int64_t x = t3_x_bytes(problem), w = t3_w_bytes(problem), y = t3_y_bytes(problem);
  T3_TRY(check_buffer(slot, "x", x));
  T3_TRY(check_buffer(slot, "w", w));
  T3_TRY(check_buffer(slot, "y", y));
  return check_total(slot, x + w + y);
}

/* What check_recipe asks, without a message. */
bool t3_recipe_fits(const t3_problem *problem, const t3_recipe *recipe) {
  const tconv3d_device_info *device = &problem->device;
  int64_t total = t3_x_bytes(problem) + t3_y_bytes(problem);
  return t3_rounds_fit(problem, recipe) && (uint64_t)recipe->workspace_bytes <= device->max_buffer_bytes &&
         (uint64_t)recipe->packed_bytes <= device->max_buffer_bytes && t3_add(total, recipe->workspace_bytes, &total) &&
         t3_add(total, recipe->packed_bytes, &total) && (uint64_t)total <= device->memory_bytes;
}

static tconv3d_status check_recipe(const t3_slot *slot, const t3_problem *problem, const t3_recipe *recipe) {
  T3_TRY(t3_rounds_check(problem, recipe));
  T3_TRY(check_buffer(slot, "the workspace", recipe->workspace_bytes));
  T3_TRY(check_buffer(slot, "the packed weights", recipe->packed_bytes));
  int64_t total = t3_x_bytes(problem) + t3_y_bytes(problem);
  if (!t3_add(total, recipe->workspace_bytes, &total) || !t3_add(total, recipe->packed_bytes, &total)) total = INT64_MAX;
  return check_total(slot, total);
}

void t3_plan_steps(tconv3d_plan *plan) {
  if (plan->recipe.pack.kernel) t3_step_init(&plan->pack, &plan->recipe.pack, plan->program->cl);
  if (plan->recipe.pack_channels.kernel) t3_step_init(&plan->pack_channels, &plan->recipe.pack_channels, plan->program->cl);
  for (int i = 0; i < plan->recipe.num_run; ++i) t3_step_init(&plan->run[i], &plan->recipe.run[i], plan->program->cl);
  plan->pack.clears = plan->pack_channels.clears = t3_has_quirk(&plan->slot->info, T3_KERNELS_KEEP_BUFFERS);
  for (int i = 0; i < plan->recipe.num_run; ++i) plan->run[i].clears = plan->pack.clears;
}

static tconv3d_status prepare_program(tconv3d_plan *plan) {
  const t3_launch *launches[T3_MAX_LAUNCHES + 2];
  int count = 0;
  if (plan->recipe.pack.kernel) launches[count++] = &plan->recipe.pack;
  if (plan->recipe.pack_channels.kernel) launches[count++] = &plan->recipe.pack_channels;
  for (int i = 0; i < plan->recipe.num_run; ++i)
    if (plan->recipe.run[i].kernel) launches[count++] = &plan->recipe.run[i];
  T3_TRY(t3_program_prepare(plan->context, plan->slot, plan->chosen.algorithm->program, &plan->recipe.defines, launches, count,
                            &plan->program));
  t3_plan_steps(plan);
  return t3_products_warm(plan->context, plan->slot, &plan->recipe);
}

static void explain_recipe(tconv3d_plan *plan) {
  const t3_recipe *recipe = &plan->recipe;
  t3_text_append(&plan->explanation, "%s%s%s\n", plan->chosen.algorithm->name, *recipe->detail ? ": " : ": as it is",
                 recipe->detail);
  t3_text_append(&plan->explanation, "workspace %" PRId64 " bytes, packed weights %" PRId64 " bytes, %d launch%s a call, %s\n",
                 recipe->workspace_bytes, recipe->packed_bytes, recipe->num_run, recipe->num_run == 1 ? "" : "es",
                 recipe->deterministic ? "deterministic" : "not deterministic");
}

int64_t t3_target_bytes(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  switch (t3_work_of(problem->operation)) {
  case T3_LAYER: return t3_y_bytes(problem);
  case T3_WEIGHT_GRADIENT: return t3_w_bytes(problem);
  default: return layer->out_channels * (int64_t)t3_type_size(layer->weight_dtype);
  }
}

/* As finite as a sum is: float32's constants may not overflow it. */
static tconv3d_status check_constant(const t3_problem *problem, const char *name, double value) {
  if (isfinite(value) && (problem->real_size == 8 || fabs(value) <= (double)FLT_MAX)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "options.%s is %g; it must be finite in %s", name, value,
                 problem->real_size == 8 ? "float64" : "float32");
}

static tconv3d_status check_epilogue(const t3_problem *problem) {
  const tconv3d_epilogue *epilogue = &problem->epilogue;
  if (epilogue->activation < TCONV3D_NO_ACTIVATION || epilogue->activation > TCONV3D_CLAMP)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "options.epilogue.activation is %d, which is no tconv3d_activation",
                   (int)epilogue->activation);
  if (epilogue->affine < 0 || epilogue->affine > 2)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "options.epilogue.affine is %d; it must be 0, 1 or 2", epilogue->affine);
  T3_TRY(check_constant(problem, "epilogue.low", epilogue->low));
  T3_TRY(check_constant(problem, "epilogue.high", epilogue->high));
  T3_TRY(check_constant(problem, "epilogue.residual", epilogue->residual));
  if (epilogue->activation == TCONV3D_CLAMP && epilogue->low > epilogue->high)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "options.epilogue.low is %g; it must not be above high, %g", epilogue->low,
                   epilogue->high);
  bool none = !epilogue->activation && !epilogue->affine && epilogue->residual == 0;
  if (none || problem->operation == TCONV3D_FORWARD || problem->operation == TCONV3D_CONVOLUTION) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER, "options.epilogue is not empty; %s has none",
                 tconv3d_operation_name(problem->operation));
}

/* What the type of the sums says about the device. */
static tconv3d_status set_reals(const t3_slot *slot, t3_problem *problem) {
  int64_t width = slot->info.vector_width, fma_width = slot->info.fma_width;
  bool doubles = problem->layer.dtype == TCONV3D_F64;
  if (doubles && !slot->info.float64)
    return t3_fail(TCONV3D_UNSUPPORTED, "dtype is float64; device '%s' computes no doubles", slot->info.name);
  problem->real_size = doubles ? 8 : 4;
  problem->width = doubles ? t3_max(width / 2, 1) : width;
  problem->fma_width = doubles ? t3_max(fma_width / 2, 1) : fma_width;
  problem->registers = width >= 16 ? 32 : 16; /* with the vectors of 512 bits came more of them */
  return TCONV3D_OK;
}

/* Why the problem may not be served by CLBlast; NULL where it may. */
static const char *no_products(const t3_slot *slot, const t3_request *request) {
  if (t3_blas_missing()) return t3_blas_missing();
  if (t3_no_build()) return "CLBlast builds its kernels on the device, which $TCONV3D_NO_BUILD forbids";
  if (!slot->adopted || request->allow_clblast) return NULL;
  return "CLBlast retains the cl_context, which is the caller's (options.allow_clblast is 0)";
}

tconv3d_status t3_problem_init(const t3_slot *slot, const t3_request *request, t3_problem *problem) {
  T3_TRY(t3_layer_of(request->desc, request->operation, &problem->layer));
  problem->operation = request->operation;
  problem->beta = request->beta;
  problem->epilogue = request->epilogue;
  problem->device = slot->info;
  problem->no_products = no_products(slot, request);
  problem->products_welcome = request->allow_clblast;
  problem->reduced_precision = request->reduced_precision;
  T3_TRY(set_reals(slot, problem));
  T3_TRY(check_constant(problem, "beta", request->beta));
  T3_TRY(check_epilogue(problem));
  T3_TRY(check_tensors(slot, problem));
  for (int a = 0; a < 3; ++a) problem->phases[a] = t3_phases_of(&problem->layer.axis[a]);
  problem->share = 1;
  problem->unforeseen = t3_unforeseen(problem);
  return t3_features_there(slot, t3_features_wanted(problem), &problem->features);
}

/* The workspace is allocated once, so that a failure is met here and not by the first call, which finds it in the pool. */
static tconv3d_status reserve_workspace(tconv3d_plan *plan) {
  cl_mem taken;
  if (!plan->recipe.workspace_bytes || !plan->problem.layer.batch) return TCONV3D_OK;
  T3_TRY(t3_pool_take(plan->context->pool, plan->context->cl, (size_t)plan->recipe.workspace_bytes, &taken));
  t3_pool_return(plan->context->pool, taken, NULL);
  return TCONV3D_OK;
}

/* With what was chosen: its recipe is set and its memory checked. */
static tconv3d_status attempt(tconv3d_plan *plan, bool tested, bool reserved) {
  t3_split_launches(&plan->problem, plan->chosen.seconds, &plan->recipe);
  explain_recipe(plan);
  if (!t3_text_ok(&plan->explanation)) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a plan");
  T3_TRY(prepare_program(plan));
  if (tested) T3_TRY(t3_self_test(plan));
  return reserved ? reserve_workspace(plan) : TCONV3D_OK;
}

/* Back to before a choice. */
static void undo(tconv3d_plan *plan) {
  free_steps(plan);
  t3_text_free(&plan->recipe.defines);
  t3_text_free(&plan->explanation);
  plan->recipe = (t3_recipe){0};
}

static tconv3d_status set_recipe(tconv3d_plan *plan) {
  plan->mark = t3_mark_of(plan->mark.problem, &plan->chosen);
  T3_TRY(plan->chosen.algorithm->recipe(&plan->problem, &plan->chosen.variant, &plan->recipe));
  return check_recipe(plan->slot, &plan->problem, &plan->recipe);
}

/* Chooses and attempts until one works. What the device's memory cannot hold by its own word is not tried: others that can were
 * preferred. */
static tconv3d_status settle(tconv3d_plan *plan, const char *algorithm, bool tested, t3_tries *tries) {
  for (tconv3d_status failed = TCONV3D_OK;;) {
    t3_text_append(&plan->explanation, "%s", tries->story.data ? tries->story.data : "");
    char *message = failed ? t3_message_save() : NULL;
    tconv3d_status status =
        t3_choose(&plan->problem, plan->context->store, algorithm, tries, &plan->chosen, &plan->explanation);
    if (status == TCONV3D_OK) status = set_recipe(plan);
    if (status != TCONV3D_OK && failed) {
      t3_message_restore(message);
      return failed;
    }
    free(message);
    if (status != TCONV3D_OK && t3_tries_relent(tries)) {
      undo(plan);
      continue;
    }
    if (status != TCONV3D_OK) return status;
    failed = attempt(plan, tested, true);
    int64_t bytes = plan->recipe.workspace_bytes + plan->recipe.packed_bytes;
    if (failed == TCONV3D_OK || !t3_tries_add(tries, &plan->chosen, bytes, failed)) return failed;
    undo(plan);
  }
}

/* As far as what would be built. */
static tconv3d_status draft(tconv3d_plan *plan, const char *algorithm) {
  T3_TRY(t3_choose(&plan->problem, plan->context->store, algorithm, NULL, &plan->chosen, &plan->explanation));
  T3_TRY(set_recipe(plan));
  explain_recipe(plan);
  return t3_text_ok(&plan->explanation) ? TCONV3D_OK : t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a plan");
}

static tconv3d_status fill_plan(tconv3d_plan *plan, const t3_request *request, const char *algorithm,
                                const t3_candidate *candidate, bool builds) {
  bool tested;
  T3_TRY(t3_self_test_wanted(request->self_test, &tested));
  T3_TRY(t3_problem_init(plan->slot, request, &plan->problem));
  plan->desc = *request->desc;
  plan->mark.problem = t3_problem_hash(&plan->problem);
  if (!builds) return draft(plan, algorithm);
  if (candidate) { /* to be measured: if it fails, it has lost */
    plan->chosen = *candidate;
    t3_text_append(&plan->explanation, "chosen to be measured: %s\n", candidate->algorithm->name);
    T3_TRY(set_recipe(plan));
    return attempt(plan, tested, false);
  }
  t3_tries tries;
  t3_tries_begin(&tries, plan->context, plan->mark.problem, algorithm != NULL);
  return t3_tries_end(&tries, settle(plan, algorithm, tested, &tries));
}

/* builds: else the plan ends where its program would be prepared. */
static tconv3d_status make_plan(tconv3d_context *context, const t3_slot *slot, const t3_request *request, const char *algorithm,
                                const t3_candidate *candidate, bool builds, tconv3d_plan **result) {
  tconv3d_plan *plan = calloc(1, sizeof *plan);
  if (!plan) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a plan");
  atomic_init(&plan->references, 1);
  plan->context = t3_context_retain(context);
  plan->slot = slot;
  tconv3d_status status = fill_plan(plan, request, algorithm, candidate, builds);
  if (status == TCONV3D_OK)
    *result = plan;
  else
    free_plan(plan);
  return status;
}

tconv3d_status t3_plan_make(tconv3d_context *context, const t3_slot *slot, const t3_request *request, const char *algorithm,
                            const t3_candidate *candidate, tconv3d_plan **result) {
  return make_plan(context, slot, request, algorithm, candidate, true, result);
}

tconv3d_status t3_plan_draft(tconv3d_context *context, const t3_slot *slot, const t3_request *request, const char *algorithm,
                             tconv3d_plan **result) {
  return make_plan(context, slot, request, algorithm, NULL, false, result);
}

static tconv3d_status check_options(const tconv3d_plan_options *options) {
  enum { REDUCED = TCONV3D_ALLOW_TF32 | TCONV3D_ALLOW_HALF | TCONV3D_ALLOW_MATRICES };
  if (options->struct_size == sizeof *options && (options->reduced_precision & ~REDUCED))
    return t3_fail(TCONV3D_INVALID_PARAMETER,
                   "options.reduced_precision is %d; it must be a sum of TCONV3D_ALLOW_TF32, _HALF and _MATRICES, or 0",
                   options->reduced_precision);
  if (options->struct_size == sizeof *options) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.struct_size is %zu; TCONV3D_PLAN_OPTIONS_INIT sets it to %zu",
                 options->struct_size, sizeof *options);
}

tconv3d_status t3_plan_ask(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_plan_options *options,
                           const t3_slot **slot, t3_request *request) {
  if (!context) return t3_fail(TCONV3D_INVALID_ARGUMENT, "context is NULL");
  T3_TRY(check_options(options));
  *slot = t3_context_slot(context, options->device);
  if (!*slot) return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.device is not a device of the context");
  *request = (t3_request){.desc = desc,
                          .operation = options->operation,
                          .beta = options->beta,
                          .epilogue = options->epilogue,
                          .self_test = options->self_test,
                          .allow_clblast = options->allow_clblast != 0,
                          .reduced_precision = options->reduced_precision};
  return TCONV3D_OK;
}

const tconv3d_plan_options t3_plan_defaults = TCONV3D_PLAN_OPTIONS_INIT;

tconv3d_status tconv3d_plan_create(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_plan_options *options,
                                   tconv3d_plan **result) {
  const t3_slot *slot;
  t3_request request;
  if (!result) return t3_fail(TCONV3D_INVALID_ARGUMENT, "plan is NULL");
  *result = NULL;
  if (!options) options = &t3_plan_defaults;
  T3_TRY(t3_plan_ask(context, desc, options, &slot, &request));
  return t3_plan_make(context, slot, &request, options->algorithm, NULL, result);
}

tconv3d_status tconv3d_plan_query(const tconv3d_plan *plan, tconv3d_plan_info *info) {
  if (!plan || !info) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", plan ? "info" : "plan");
  const t3_problem *problem = &plan->problem;
  bool swapped = problem->operation == TCONV3D_GRAD_INPUT; /* what is computed leads from gy to gx */
  *info = (tconv3d_plan_info){.algorithm = plan->chosen.algorithm->name,
                              .x_bytes = (uint64_t)(swapped ? t3_y_bytes(problem) : t3_x_bytes(problem)),
                              .w_bytes = (uint64_t)t3_w_bytes(problem),
                              .y_bytes = (uint64_t)(swapped ? t3_x_bytes(problem) : t3_y_bytes(problem)),
                              .workspace_bytes = (uint64_t)plan->recipe.workspace_bytes,
                              .packed_weight_bytes = (uint64_t)plan->recipe.packed_bytes,
                              .deterministic = plan->recipe.deterministic};
  t3_target_shape(&problem->layer, problem->operation, info->output_shape);
  return TCONV3D_OK;
}

const char *tconv3d_plan_explain(const tconv3d_plan *plan) {
  return plan ? plan->explanation.data : "";
}
