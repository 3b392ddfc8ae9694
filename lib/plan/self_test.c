/* A driver may build a kernel without a word and run it wrong. So each program computes a small layer of whole numbers once,
 * whose sums are exact in whatever order they are taken, before a plan relies on it. */
#include "plan/self_test.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "plan/known_values.h"
#include "plan/product.h"

enum {
  CHECKED = 1 << 21, /* products that are summed for comparison, about: a few milliseconds */
  LEAST_CHECKED = 64 /* elements, however many products each has */
};

tconv3d_status t3_self_test_wanted(int option, bool *wanted) {
  const char *value = getenv("TCONV3D_SELF_TEST");
  if (option < -1 || option > 1)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "options.self_test is %d; it must be -1, 0 or 1", option);
  *wanted = option >= 0;
  if (option || !value) return TCONV3D_OK;
  if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "the variable TCONV3D_SELF_TEST is '%.32s'; it must be 0 or 1, or not set",
                   value);
  *wanted = *value == '1';
  return TCONV3D_OK;
}

/* ---- what was tested ---- */

/* Adds the lines of a step's classes that passed. */
static void note_class(const tconv3d_plan *plan, const t3_launch *launch, t3_text *line) {
  t3_piece piece = t3_piece_at(launch, 0);
  t3_text_append(line, "right ");
  t3_launch_class(&plan->slot->info, launch, &piece, line);
}

/* The launches of a plan that do anything. */
static int list_launches(const t3_recipe *recipe, const t3_launch **list) {
  int count = 0;
  const t3_launch *const packs[] = {&recipe->pack, &recipe->pack_channels};
  for (int i = 0; i < 2; ++i)
    if (packs[i]->kernel && packs[i]->items) list[count++] = packs[i];
  for (int i = 0; i < recipe->num_run; ++i)
    if (recipe->run[i].items) list[count++] = &recipe->run[i];
  return count;
}

/* Whether all have passed, or notes that they have. Under the context's building. */
static bool has_passed(const tconv3d_plan *plan, bool note) {
  const t3_launch *list[T3_MAX_LAUNCHES + 2];
  int count = list_launches(&plan->recipe, list);
  bool passed = true;
  for (int i = 0; i < count; ++i) {
    t3_text line = {0};
    note_class(plan, list[i], &line);
    bool there = t3_text_ok(&line) && t3_program_has(plan->program, &line);
    if (!there && note && t3_text_ok(&line)) t3_program_note(plan->program, &line);
    passed &= there;
    t3_text_free(&line);
  }
  return passed;
}

/* ---- the run ---- */

struct test {
  tconv3d_plan *plan;
  t3_problem problem;
  t3_recipe recipe;
  t3_known_values known;
};

/* On a queue of its own, between what the warming queue was given before and what it is given next. */
static tconv3d_status run_product(const struct test *test, const t3_launch *launch, const t3_binding *binding) {
  cl_event done;
  T3_CL_TRY(clFinish, (test->plan->slot->warming));
  T3_TRY(t3_product_enqueue(test->plan->context, test->plan->slot, launch, binding, 0, NULL, &done));
  cl_int error = clWaitForEvents(1, &done);
  clReleaseEvent(done);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clWaitForEvents", "of a matrix product");
}

/* A launch in the class in which the plan makes it: machine code may be another for each. */
static tconv3d_status run_launch(const struct test *test, const t3_launch *launch, const t3_launch *real,
                                 const t3_binding *binding) {
  const t3_slot *slot = test->plan->slot;
  if (launch->product.m) return run_product(test, launch, binding);
  if (!launch->kernel || !launch->items) return TCONV3D_OK;
  t3_piece piece = t3_piece_at(real, 0);
  t3_step step;
  t3_step_init(&step, launch, test->plan->program->cl);
  step.least_grid = real->items ? t3_least_grid(&slot->info, real, &piece) : 0;
  tconv3d_status status = t3_step_enqueue(&step, slot->warming, binding, 0, NULL, NULL);
  t3_step_free(&step);
  return status;
}

static tconv3d_status run_all(const struct test *test) {
  const t3_recipe *recipe = &test->recipe, *real = &test->plan->recipe;
  t3_binding binding = {0};
  t3_known_bind(&test->known, &binding);
  T3_TRY(run_launch(test, &recipe->pack, &real->pack, &binding));
  T3_TRY(run_launch(test, &recipe->pack_channels, &real->pack_channels, &binding));
  for (int i = 0; i < recipe->num_run; ++i) T3_TRY(run_launch(test, &recipe->run[i], &real->run[i], &binding));
  return TCONV3D_OK;
}

static tconv3d_status fetch(const struct test *test) {
  const t3_known_tensor *y = &test->known.tensor[T3_Y];
  cl_command_queue queue = test->plan->slot->warming;
  cl_int error = clEnqueueReadBuffer(queue, y->mem, CL_TRUE, 0, t3_known_bytes(y), y->bits, 0, NULL, NULL);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueReadBuffer", "for a self-test");
}

/* ---- the judgement ---- */

static double activated(const tconv3d_epilogue *epilogue, double v, double slope) {
  switch (epilogue->activation) {
  case TCONV3D_RELU: return v < 0 ? 0 : v;
  case TCONV3D_LEAKY_RELU: return v < 0 ? epilogue->low * v : v;
  case TCONV3D_PRELU: return v < 0 ? slope * v : v;
  case TCONV3D_ELU: return v < 0 ? epilogue->low * expm1(v) : v;
  case TCONV3D_SILU: return v / (1 + exp(-v));
  case TCONV3D_GELU: return v / 2 * (1 + erf(v * sqrt(0.5)));
  case TCONV3D_SIGMOID: return 1 / (1 + exp(-v));
  case TCONV3D_TANH: return tanh(v);
  case TCONV3D_CLAMP: return v < epilogue->low ? epilogue->low : v > epilogue->high ? epilogue->high : v;
  default: return v;
  }
}

/* What element i is, by a sum, and how far off it may be: not at all before it is stored, but for the roundings of an epilogue
 * or beta. */
static double finished(const struct test *test, double sum, int64_t i, int64_t m, double *off) {
  const t3_problem *problem = &test->problem;
  const tconv3d_epilogue *epilogue = &problem->epilogue;
  const t3_known_tensor *tensor = test->known.tensor;
  double scale = epilogue->affine ? tensor[T3_SCALE].values[m] : 1, shift = epilogue->affine ? tensor[T3_SHIFT].values[m] : 0;
  double slope = epilogue->activation == TCONV3D_PRELU ? tensor[T3_SLOPE].values[m] : 0, v = sum, most;
  if (epilogue->affine == 1) v = scale * v + shift;
  most = fabs(v);
  v = activated(epilogue, v, slope);
  most += fabs(v);
  if (epilogue->residual != 0) v += epilogue->residual * tensor[T3_RESIDUAL].values[i];
  most += fabs(v);
  if (epilogue->affine == 2) v = scale * v + shift, most *= 1 + fabs(scale);
  if (problem->beta != 0) v += problem->beta * tensor[T3_Y].values[i], most += fabs(problem->beta);
  bool exact = !epilogue->activation && !epilogue->affine && epilogue->residual == 0 && problem->beta == 0;
  *off = exact ? 0 : 1e-5 * (1 + most + fabs(v));
  return v;
}

/* Half a unit in the last place of a type, relative to the number. */
static double rounding_of(tconv3d_dtype dtype) {
  return dtype == TCONV3D_F32 ? 0x1p-24 : dtype == TCONV3D_F64 ? 0x1p-53 : dtype == TCONV3D_F16 ? 0x1p-11 : 0x1p-8;
}

static bool is_right(tconv3d_dtype dtype, double stored, double value, double off) {
  static const double largest[] = {FLT_MAX, DBL_MAX, 65504, FLT_MAX};
  if (!isfinite(value) || fabs(value) + off > largest[dtype] * 0.99) return true; /* only what is stored as it is counts */
  return fabs(stored - value) <= off + rounding_of(dtype) * fabs(value);
}

static tconv3d_status wrong_element(const struct test *test, const int64_t index[5], double stored, double value) {
  t3_text text = {0};
  t3_text_append(&text,
                 "failed its self-test: y[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "] is %.9g instead of %.9g",
                 index[0], index[1], index[2], index[3], index[4], stored, value);
  t3_text_append_bytes(&test->plan->program->wrong, text.data ? text.data : "wrong", text.data ? text.size : 5);
  t3_text_free(&text);
  return TCONV3D_WRONG_RESULT;
}

/* Products that one element sums. */
static int64_t products_of(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  int64_t positions = layer->batch * layer->axis[T3_D].in * layer->axis[T3_H].in * layer->axis[T3_W].in;
  t3_work work = t3_work_of(problem->operation);
  return t3_max(work == T3_LAYER ? layer->group_in * layer->taps : positions, 1);
}

/* All elements, or as many of them as there is time for, spread over the target with both of its ends. */
static tconv3d_status judge(const struct test *test) {
  const t3_known_tensor *tensor = test->known.tensor, *y = &tensor[T3_Y];
  const t3_whole_numbers of = {tensor[T3_X].values, tensor[T3_WEIGHT].values, tensor[T3_BIAS].values, tensor[T3_GY].values};
  int64_t wanted = t3_min(t3_max(CHECKED / products_of(&test->problem), LEAST_CHECKED), y->count);
  for (int64_t n = 0; n < wanted; ++n) {
    int64_t i = wanted == 1 ? 0 : (int64_t)((double)n * (double)(y->count - 1) / (double)(wanted - 1)), index[5];
    double off;
    t3_known_index(y, i, index);
    int64_t sum = t3_element(&test->problem.layer, test->problem.operation, &of, index);
    double value = finished(test, (double)sum, i, index[1], &off), stored = t3_known_element(y, index);
    if (!is_right(y->dtype, stored, value, off)) return wrong_element(test, index, stored, value);
  }
  return TCONV3D_OK;
}

static tconv3d_status run_test(struct test *test) {
  tconv3d_status status = run_all(test);
  if (status == TCONV3D_OK)
    status = fetch(test);
  else
    clFinish(test->plan->slot->warming); /* what was enqueued works in the buffers */
  return status == TCONV3D_OK ? judge(test) : status;
}

/* Without memory for a test nothing is known of the kernel. */
static bool make_values(struct test *test) {
  char *message = t3_message_save();
  tconv3d_status status = t3_known_make(test->plan->context, &test->problem, &test->recipe, &test->known);
  t3_message_restore(message);
  return status == TCONV3D_OK;
}

/* Once the plan's launches are known not to have passed. */
static tconv3d_status test_program(tconv3d_plan *plan) {
  struct test test = {.plan = plan};
  if (!t3_known_layer(plan, &test.problem, &test.recipe)) {
    t3_text_append(&plan->explanation, "not self-tested: no small layer has the same program\n");
    return TCONV3D_OK;
  }
  tconv3d_status status = TCONV3D_OK;
  if (make_values(&test)) {
    status = run_test(&test);
    if (status == TCONV3D_OK) has_passed(plan, true);
  } else {
    t3_text_append(&plan->explanation, "not self-tested: no memory\n");
  }
  t3_known_free(&test.known);
  t3_text_free(&test.recipe.defines);
  return status;
}

tconv3d_status t3_self_test(tconv3d_plan *plan) {
  const t3_layer *layer = &plan->problem.layer;
  if (!layer->batch) return TCONV3D_OK;
  pthread_mutex_lock(&plan->context->building);
  tconv3d_status status = TCONV3D_OK;
  bool wrong = plan->program->wrong.size > 0;
  if (!wrong && !has_passed(plan, false)) status = test_program(plan);
  if (wrong || status == TCONV3D_WRONG_RESULT)
    status = t3_fail(TCONV3D_WRONG_RESULT, "algorithm '%s' %s on device '%s', whose driver %s builds it wrong",
                     plan->chosen.algorithm->name, plan->program->wrong.data, plan->slot->info.name, plan->slot->info.driver);
  pthread_mutex_unlock(&plan->context->building);
  return status;
}
