/* What happens to a result before it is stored: random epilogues by random variants of every algorithm, against the same steps
 * in double with the error that each may make; in place, per channel, given twice, past the caches, and by the blocking calls.
 * TCONV3D_TEST_SEED runs other epilogues and variants. A failure prints the seed and the layer. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/call.h"

static uint64_t seed = 20241104;

enum { ACTIVATIONS = 10 };

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

/* ---- the epilogue, exactly enough ---- */

/* A number and how far off what is computed may be. */
struct number {
  long double value;
  double bound;
};

struct finish {
  const struct asked *asked;
  double unit, least; /* of the sums' type */
  double slope, scale, shift;
};

static double constant(const struct finish *f, double value) {
  return typed_rounded(f->asked->desc.dtype == TCONV3D_F64 ? TCONV3D_F64 : TCONV3D_F32, value);
}

/* a*b + c, rounded once; b is exact. */
static struct number multiply_add(const struct finish *f, struct number a, double b, long double c) {
  struct number result = {a.value * b + c, a.bound * fabs(b)};
  result.bound += f->unit * ((double)fabsl(result.value) + result.bound) + f->least;
  return result;
}

static long double activated(const struct finish *f, long double v) {
  double low = constant(f, f->asked->epilogue.low), high = constant(f, f->asked->epilogue.high);
  switch (f->asked->epilogue.activation) {
  case TCONV3D_RELU: return v < 0 ? 0 : v;
  case TCONV3D_LEAKY_RELU: return v < 0 ? v * low : v;
  case TCONV3D_PRELU: return v < 0 ? v * f->slope : v;
  case TCONV3D_ELU: return v < 0 ? low * expm1l(v) : v;
  case TCONV3D_SILU: return v / (1 + expl(-v));
  case TCONV3D_GELU: return v / 2 * erfcl(-v * sqrtl(0.5L));
  case TCONV3D_SIGMOID: return 1 / (1 + expl(-v));
  case TCONV3D_TANH: return tanhl(v);
  case TCONV3D_CLAMP: return v < low ? low : v > high ? high : v;
  default: return v;
  }
}

/* The most that the activation grows a difference by. */
static double steepness(const struct finish *f) {
  switch (f->asked->epilogue.activation) {
  case TCONV3D_LEAKY_RELU:
  case TCONV3D_ELU: return fmax(1, fabs(constant(f, f->asked->epilogue.low)));
  case TCONV3D_PRELU: return fmax(1, fabs(f->slope));
  case TCONV3D_SILU:
  case TCONV3D_GELU: return 1.2;
  case TCONV3D_SIGMOID: return 0.25;
  default: return 1;
  }
}

/* A few ulp of the result; GELU's below 0 is a small difference of large numbers. OpenCL allows built-in ones 16 ulp. */
static double evaluation_error(const struct finish *f, double v, double result) {
  double ulps = f->asked->desc.dtype == TCONV3D_F64 ? 16 : 4;
  switch (f->asked->epilogue.activation) {
  case TCONV3D_NO_ACTIVATION:
  case TCONV3D_RELU:
  case TCONV3D_CLAMP: return 0;
  case TCONV3D_GELU: return 2 * ulps * f->unit * (fabs(result) + fabs(v) / 2) + f->least;
  default: return 2 * ulps * f->unit * fabs(result) + f->least;
  }
}

static struct number activate(const struct finish *f, struct number v) {
  long double result = activated(f, v.value);
  double bound = v.bound * steepness(f), size = (double)fabsl(result) + bound;
  return (struct number){result, bound + evaluation_error(f, (double)v.value, size)};
}

static struct number finished(const struct finish *f, struct number v, double residual, double old) {
  const tconv3d_epilogue *e = &f->asked->epilogue;
  if (e->affine == 1) v = multiply_add(f, v, f->scale, f->shift);
  v = activate(f, v);
  if (e->residual != 0.0) v = multiply_add(f, v, 1, (long double)constant(f, e->residual) * residual);
  if (e->affine == 2) v = multiply_add(f, v, f->scale, f->shift);
  if (f->asked->beta != 0.0) v = multiply_add(f, v, 1, (long double)constant(f, f->asked->beta) * old);
  return v;
}

static double value_at(const struct tensor *tensor, size_t i) {
  return tensor->count ? tensor->values[i] : 0;
}

static void judge(const struct call *call) {
  const struct asked *asked = &call->asked;
  const struct tensor *t = call->tensors, *target = &t[CALL_TARGET];
  struct exact sums;
  char why[300];
  call_sums(call, &sums);
  size_t channels = (size_t)asked->desc.out_channels, places = sums.count / (size_t)asked->desc.batch / channels;
  for (size_t i = 0; i < sums.count; ++i) {
    size_t m = i / places % channels;
    const struct finish f = {.asked = asked,
                             .unit = sums.unit,
                             .least = sums.least,
                             .slope = value_at(&t[CALL_SLOPE], m),
                             .scale = value_at(&t[CALL_SCALE], m),
                             .shift = value_at(&t[CALL_SHIFT], m)};
    double old = target->values[i], residual = asked->in_place ? old : value_at(&t[CALL_RESIDUAL], i);
    const struct number v = finished(&f, (struct number){sums.value[i], exact_bound(&sums, i)}, residual, old);
    double stored = typed_value(target->type, call->result, i);
    if (exact_stored(target->type, stored, v.value, v.bound)) continue;
    snprintf(why, sizeof why,
             "y[%zu] of channel %zu is %.17g; before it is stored it must be %.17Lg to within %.3g, of the sum %.17Lg", i, m,
             stored, v.value, v.bound, sums.value[i]);
    call_needs(call, false, why);
  }
  exact_free(&sums);
}

/* ---- layers and epilogues ---- */

static tconv3d_desc layer_of(tconv3d_operation operation) {
  bool convolves = operation == TCONV3D_CONVOLUTION;
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.groups = 2;
  desc.in_channels = 4;
  desc.out_channels = 10;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = (const int64_t[]){2, 5, 21}[a]; /* no whole number of vectors */
    desc.kernel_size[a] = (const int64_t[]){1, 2, 3}[a];
    desc.stride[a] = convolves ? 1 : (const int64_t[]){1, 2, 2}[a];
    desc.padding[a] = (const int64_t[]){0, 0, 1}[a];
  }
  return desc;
}

/* Everything but the activation is random; constants that float32 has and that it has not. */
static tconv3d_epilogue random_epilogue(struct rng *rng, size_t activation) {
  static const double lows[] = {0.25, 0.1, -0.5}, residuals[] = {0, 1, 0, -0.3};
  tconv3d_epilogue e = {.activation = (tconv3d_activation)activation, .affine = (int)rng_between(rng, 0, 2)};
  e.low = activation == TCONV3D_CLAMP ? -0.7 : lows[rng_between(rng, 0, 2)];
  e.high = 0.9;
  e.residual = residuals[rng_between(rng, 0, 3)];
  return e;
}

static void check_call(const struct rig *rig, const struct asked *asked) {
  struct call call;
  assert_true(call_make(&call, rig, asked));
  call_run(&call);
  judge(&call);
  call_repeat(&call);
  call_free(&call);
}

/* One of an algorithm's variants, from the seed: lines by rows or whole planes, x copied or in place, any block. */
static bool pick_variant(const struct rig *rig, struct asked *asked, const t3_algorithm *algorithm, struct rng *rng,
                         t3_candidate *candidate) {
  t3_problem problem;
  char why[160];
  t3_candidate list[T3_MAX_VARIANTS];
  const t3_request request = {&asked->desc, asked->operation, asked->beta, asked->epilogue, 0, 0, 0};
  assert_ok(t3_problem_init(t3_context_slot(rig->context, NULL), &request, &problem));
  if (!t3_applicable(&problem, algorithm, why, sizeof why)) return false;
  size_t count = t3_candidates(&problem, algorithm, list);
  *candidate = list[rng_between(rng, 0, (int64_t)count - 1)];
  asked->candidate = candidate;
  return true;
}

/* So many epilogues by each algorithm, all activations in turn. */
static void check_random(const struct rig *rig, tconv3d_operation operation, tconv3d_dtype dtype, tconv3d_dtype weight_dtype,
                         size_t times, size_t first) {
  struct rng rng = {seed + first};
  const t3_algorithm *algorithm;
  for (size_t a = 0; (algorithm = t3_algorithm_at(a)); ++a)
    for (size_t i = 0; i < (rig_is_foreign(algorithm->name) ? (times + 1) / 2 : times * (a ? 1 : 2));
         ++i) { /* the first has most */
      t3_candidate candidate;
      struct asked asked = {.desc = layer_of(operation), .operation = operation, .seed = seed + i};
      asked.desc.dtype = dtype;
      asked.desc.weight_dtype = weight_dtype;
      asked.epilogue = random_epilogue(&rng, (first + i) % ACTIVATIONS);
      asked.beta = rng_between(&rng, 0, 3) ? 0 : 0.3;
      asked.in_place = asked.epilogue.residual != 0.0 && rng_between(&rng, 0, 1);
      if (!pick_variant(rig, &asked, algorithm, &rng, &candidate)) break;
      check_call(rig, &asked);
    }
}

/* What is done to a sum is the same code for both operations: each has half of the activations. */
static void random_epilogues_are_right_by_every_algorithm(void **state) {
  check_random(*state, TCONV3D_FORWARD, TCONV3D_F32, TCONV3D_F32, 5, 0);
}

static void random_epilogues_of_convolutions_are_right(void **state) {
  check_random(*state, TCONV3D_CONVOLUTION, TCONV3D_F32, TCONV3D_F32, 5, 5);
}

static void random_epilogues_of_other_types_are_right(void **state) {
  const struct rig *rig = *state;
  check_random(rig, TCONV3D_FORWARD, TCONV3D_F16, TCONV3D_F16, 1, 4);
  check_random(rig, TCONV3D_CONVOLUTION, TCONV3D_BF16, TCONV3D_F32, 1, 2);
  if (rig->device.float64) check_random(rig, TCONV3D_FORWARD, TCONV3D_F64, TCONV3D_F64, 2, 5);
}

/* Lines of one vector and a part, so that a line's last block computes again what the block before has stored; whole planes as
 * lines, whose vectors run over the ends of rows. Every variant of vectors as wide as the device's. */
static void a_residual_in_its_own_place_is_added_once(void **state) {
  const struct rig *rig = *state;
  struct asked asked = {
      .desc = layer_of(TCONV3D_FORWARD), .seed = seed, .epilogue = {.activation = TCONV3D_GELU, .residual = 1}};
  asked.in_place = true;
  t3_problem problem;
  const t3_request request = {&asked.desc, asked.operation, 0, asked.epilogue, 0, 0, 0};
  assert_ok(t3_problem_init(t3_context_slot(rig->context, NULL), &request, &problem));
  for (size_t a = 0; t3_algorithm_at(a); ++a) {
    char why[160];
    t3_candidate list[T3_MAX_VARIANTS];
    if (!t3_applicable(&problem, t3_algorithm_at(a), why, sizeof why)) continue;
    size_t count = t3_candidates(&problem, t3_algorithm_at(a), list);
    size_t step = rig_is_foreign(t3_algorithm_at(a)->name) ? count : count / 3 + 1;
    for (size_t i = 0; i < count; i += step) {
      asked.candidate = &list[i];
      check_call(rig, &asked);
    }
  }
}

/* Rows of sums that become channels side by side: a block's channels alone in y, or beside others, or fewer than a block. Past
 * the last of them a vector holds whatever is there. */
static void channels_side_by_side_are_activated(void **state) {
  static const char *const names[] = {"phase", "rows", "channels"};
  enum { DEPTHWISE = 4 };
  static const int64_t channels[] = {2, 4, 8, 19, 1};
  const t3_algorithm *algorithm;
  struct rng rng = {seed};
  for (size_t a = 0; a < 3; ++a)
    for (size_t i = 0; i <= DEPTHWISE; ++i) {
      t3_candidate candidate;
      struct asked asked = {.desc = layer_of(TCONV3D_FORWARD), .seed = seed + i};
      asked.desc.groups = i == DEPTHWISE ? 20 : i == 3 ? 2 : 1;
      if (i == DEPTHWISE) asked.desc.in_channels = 20, asked.desc.x_layout = TCONV3D_CHANNELS_LAST;
      asked.desc.out_channels = channels[i] * asked.desc.groups;
      asked.desc.y_layout = TCONV3D_CHANNELS_LAST;
      asked.epilogue = random_epilogue(&rng, i >= 3 ? TCONV3D_PRELU : TCONV3D_ELU + (a + i) % 3);
      asked.epilogue.affine = (int)(a + i) % 3;
      asked.in_place = asked.epilogue.residual != 0.0 && i % 2;
      algorithm = t3_algorithm_named(names[a]);
      assert_true(pick_variant(*state, &asked, algorithm, &rng, &candidate));
      check_call(*state, &asked);
    }
}

/* A device that says it has next to no cache: whole lines of rows are stored past it. */
static void results_stored_past_the_caches_are_finished_too(void **state) {
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  uint64_t cache_bytes = slot->info.cache_bytes;
  static const char *const names[] = {"phase", "rows"};
  slot->info.cache_bytes = 1;
  for (uint64_t i = 0; i < 8; ++i) {
    struct asked asked = {.desc = layer_of(TCONV3D_FORWARD), .algorithm = names[i % 2], .seed = seed + i};
    asked.desc.input_size[2] = 24;
    asked.desc.kernel_size[2] = 2; /* rows of y of three lines of the cache */
    asked.desc.padding[2] = 0;
    asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_SILU, .affine = 2, .residual = 0.5};
    asked.in_place = i / 2 % 2;
    check_call(rig, &asked);
  }
  for (uint64_t i = 0; i < 6; ++i) { /* vectors of channels, at lines of the cache or not */
    struct asked asked = {.desc = layer_of(TCONV3D_FORWARD), .algorithm = "channels", .seed = seed + i};
    asked.desc.groups = 1;
    asked.desc.out_channels = 32;
    asked.desc.y_layout = TCONV3D_CHANNELS_LAST;
    asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_TANH, .affine = (int)i % 3, .residual = i / 3 ? 0.5 : 0};
    check_call(rig, &asked);
  }
  slot->info.cache_bytes = cache_bytes;
}

/* ---- numbers of channels ---- */

static void numbers_of_channels_may_be_given_again(void **state) {
  const struct rig *rig = *state;
  struct asked asked = {
      .desc = layer_of(TCONV3D_FORWARD), .seed = seed, .epilogue = {.activation = TCONV3D_PRELU, .affine = 1}};
  struct call call;
  assert_true(call_make(&call, rig, &asked));
  call_run(&call);
  judge(&call);
  for (int tensor = CALL_SLOPE; tensor <= CALL_SHIFT; ++tensor) {
    struct tensor *t = &call.tensors[tensor];
    for (size_t m = 0; m < t->count; ++m) typed_put(t->type, t->bits, m, (double)m - 3.5 * tensor);
    call_write(&call, tensor);
  }
  call_run(&call); /* what was packed is still the old */
  call_set_channels(&call);
  call_run(&call);
  judge(&call);
  /* New weights leave them as they are. */
  struct tensor *w = &call.tensors[CALL_W];
  for (size_t i = 0; i < w->count; ++i) typed_put(w->type, w->bits, i, -w->values[i]);
  call_write(&call, CALL_W);
  tconv3d_buffer b = guard_buffer(&call.tensors[CALL_B].guarded);
  call_ok(&call, tconv3d_weights_update(call.weights, rig->queue, guard_buffer(&w->guarded), &b, 0, NULL, NULL));
  call_run(&call);
  judge(&call);
  call_free(&call);
}

/* ---- blocking calls ---- */

/* The same bits as from the call's buffers, where arrays lie as the device wants them and where they do not. */
static void check_blocking(const struct call *call, size_t shift, bool in_place) {
  const struct tensor *t = call->tensors, *target = &t[CALL_TARGET];
  size_t bytes = target->guarded.bytes, page = 4096, element = typed_size(target->type);
  char *whole = aligned_alloc(page, (bytes / page + 2) * page), *y = whole + shift * element;
  tconv3d_weights *weights;
  assert_non_null(whole);
  call_ok(call, tconv3d_weights_create_host(call->plan, t[CALL_W].bits, t[CALL_B].count ? t[CALL_B].bits : NULL, &weights));
  call_ok(call, tconv3d_weights_set_channels_host(weights, t[CALL_SLOPE].count ? t[CALL_SLOPE].bits : NULL,
                                                  t[CALL_SCALE].count ? t[CALL_SCALE].bits : NULL,
                                                  t[CALL_SHIFT].count ? t[CALL_SHIFT].bits : NULL));
  memset(y, 0x7f, bytes);
  if (call->asked.beta != 0.0) memcpy(y, target->bits, bytes);
  if (call->asked.epilogue.residual == 0.0) {
    call_ok(call, tconv3d_run(call->plan, weights, t[CALL_X].bits, y));
  } else {
    if (in_place) memcpy(y, t[CALL_RESIDUAL].bits, bytes);
    call_ok(call, tconv3d_run_residual(call->plan, weights, t[CALL_X].bits, in_place ? y : t[CALL_RESIDUAL].bits, y));
  }
  call_needs(call, !memcmp(y, call->result, bytes), "the blocking call gives other bits");
  tconv3d_weights_destroy(weights);
  free(whole);
}

static void blocking_calls_give_the_same_bits(void **state) {
  static const tconv3d_dtype types[] = {TCONV3D_F32, TCONV3D_F16};
  for (size_t i = 0; i < 4; ++i) {
    struct asked asked = {.desc = layer_of(TCONV3D_FORWARD), .seed = seed + i};
    asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = (int)i % 2, .residual = i / 2 ? 0.5 : 0};
    asked.desc.dtype = types[i % 2];
    asked.beta = i == 1 ? 0.5 : 0;
    struct call call;
    assert_true(call_make(&call, *state, &asked));
    call_run(&call);
    judge(&call);
    for (size_t shift = 0; shift < 2; ++shift) {
      check_blocking(&call, shift, false);
      if (asked.epilogue.residual != 0.0) check_blocking(&call, shift, true);
    }
    call_free(&call);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_epilogues_are_right_by_every_algorithm),
      cmocka_unit_test(random_epilogues_of_convolutions_are_right),
      cmocka_unit_test(random_epilogues_of_other_types_are_right),
      cmocka_unit_test(a_residual_in_its_own_place_is_added_once),
      cmocka_unit_test(channels_side_by_side_are_activated),
      cmocka_unit_test(results_stored_past_the_caches_are_finished_too),
      cmocka_unit_test(numbers_of_channels_may_be_given_again),
      cmocka_unit_test(blocking_calls_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
