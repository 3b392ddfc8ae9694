/* Gradients and convolutions by every algorithm against their definitions: random layers, a factor for what the target held,
 * Inf and NaN, differences of the forward operation, gradients of gradients, no images. TCONV3D_TEST_SEED and
 * TCONV3D_TEST_LAYERS run other and more random layers. A failure prints the seed and the layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/gradient.h"
#include "support/layers.h"

enum { RANDOM_LAYERS = 3, SHAPES = 2 }; /* a layer costs about a dozen compilations of a third of a second */

static const uint64_t default_seed = 20240609;

static const tconv3d_operation operations[] = {TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS, TCONV3D_CONVOLUTION,
                                               TCONV3D_FORWARD};
enum { NEW_OPERATIONS = OPERATIONS - 1 }; /* the last has tests of its own where nothing is added */

/* Layers that the tests share, so that they compile once; a convolution of about the same sizes for that operation. */
static tconv3d_desc layer_of(size_t index, tconv3d_operation operation) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.groups = 1 + (int64_t)index;
  desc.in_channels = index ? 4 : 3;
  desc.out_channels = index ? 6 : 4;
  TCONV3D_ALL_AXES(desc.input_size, 3);
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  desc.input_size[2] = index ? 19 : 21; /* no whole number of vectors or blocks of them */
  desc.output_padding[2] = 1;
  if (index) desc.stride[0] = 1, desc.stride[2] = 3, desc.dilation[1] = 2, desc.kernel_size[2] = 4;
  return operation == TCONV3D_CONVOLUTION ? convolution_like(&desc) : desc;
}
enum { LAYERS = 2 };

static void every_operation_has_a_name_and_a_target(void **state) {
  (void)state;
  static const char *const names[] = {"forward", "grad-input", "grad-weight", "grad-bias", "convolution"};
  tconv3d_desc desc = layer_of(1, TCONV3D_FORWARD);
  desc.output_padding[2] = 0;
  const int64_t expected[][5] = {
      {2, 6, 3, 7, 56}, {2, 4, 3, 3, 19}, {4, 3, 3, 3, 4}, {6, 1, 1, 1, 1}, {2, 6, 3, 1, 6},
  };
  int64_t shape[5] = {7, 7, 7, 7, 7};
  const int64_t kept[5] = {7, 7, 7, 7, 7};
  rig_assert_refused(tconv3d_target_shape(&desc, (tconv3d_operation)5, shape), TCONV3D_INVALID_PARAMETER, "operation 5",
                     "operation 5");
  rig_assert_refused(tconv3d_target_shape(&desc, TCONV3D_FORWARD, NULL), TCONV3D_INVALID_ARGUMENT, "shape NULL", "no shape");
  rig_assert_refused(tconv3d_target_shape(NULL, TCONV3D_FORWARD, shape), TCONV3D_INVALID_ARGUMENT, "desc NULL", "no layer");
  assert_memory_equal(shape, kept, sizeof shape);
  assert_null(tconv3d_operation_name((tconv3d_operation)5));
  assert_null(tconv3d_operation_name((tconv3d_operation)-1));
  for (int i = 0; i < OPERATIONS; ++i) {
    assert_string_equal(tconv3d_operation_name((tconv3d_operation)i), names[i]);
    assert_ok(tconv3d_target_shape(&desc, (tconv3d_operation)i, shape));
    assert_memory_equal(shape, expected[i], sizeof shape);
  }
}

static void random_layers_are_exact_with_integers_and_within_the_bound(void **state) {
  uint64_t first = rig_seed(default_seed);
  uint64_t count = rig_number("TCONV3D_TEST_LAYERS", RANDOM_LAYERS);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    struct rng rng = {seed};
    tconv3d_desc desc;
    const bool added = seed % 3 == 0; /* to what the target held */
    random_layer(&rng, &desc);
    for (int shape = 0; shape < SHAPES; ++shape) {
      for (int i = 0; i < (added ? OPERATIONS : NEW_OPERATIONS); ++i) {
        tconv3d_desc asked = operations[i] == TCONV3D_CONVOLUTION ? convolution_like(&desc) : desc;
        gradient_check_all(*state, operations[i], &asked, seed, added ? -0.5 : 0);
      }
      random_shape(&rng, &desc);
    }
  }
}

/* ---- what the target held ---- */

static void what_the_target_held_is_added_times_beta(void **state) {
  for (int i = 0; i < OPERATIONS; ++i) {
    tconv3d_desc desc = layer_of(0, operations[i]);
    gradient_check_all(*state, operations[i], &desc, default_seed, -0.5);
    assert_true(gradient_check(*state, operations[i], NULL, &desc, default_seed, VALUES_INTEGER, 1));
    assert_true(gradient_check(*state, operations[i], NULL, &desc, default_seed, VALUES_UNIFORM, 1));
  }
}

static void a_beta_that_is_no_finite_number_is_refused(void **state) {
  const struct rig *rig = *state;
  const double values[] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < OPERATIONS; ++i)
    for (size_t v = 0; v < 3; ++v) {
      tconv3d_desc desc = layer_of(0, operations[i]);
      tconv3d_plan *plan = NULL;
      tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
      options.operation = operations[i];
      options.beta = values[v];
      rig_assert_refused(tconv3d_plan_create(rig->context, &desc, &options, &plan), TCONV3D_INVALID_PARAMETER, "beta",
                         tconv3d_operation_name(operations[i]));
      assert_null(plan);
    }
}

/* Calls on host arrays, where they lie as the device wants and where they do not. */
static void host_arrays_hold_what_beta_is_multiplied_with(void **state) {
  for (int i = 0; i < OPERATIONS; ++i)
    for (size_t shift = 0; shift < 2; ++shift) {
      tconv3d_desc desc = layer_of(0, operations[i]);
      struct gradient gradient;
      assert_true(gradient_make(&gradient, *state, operations[i], NULL, &desc, default_seed, VALUES_INTEGER, -0.5));
      size_t bytes = gradient.count * sizeof(float), page = 4096;
      float *whole = aligned_alloc(page, (bytes / page + 2) * page);
      assert_non_null(whole);
      float *target = whole + shift;
      memcpy(target, gradient.old, bytes);
      const struct operands *host = &gradient.host;
      bool bias = operations[i] == TCONV3D_GRAD_BIAS;
      if (gradient.weights)
        gradient_ok(&gradient, tconv3d_run(gradient.plan, gradient.weights,
                                           operations[i] == TCONV3D_GRAD_INPUT ? host->y : host->x, target));
      else
        gradient_ok(&gradient, tconv3d_run_gradient(gradient.plan, bias ? NULL : host->x, host->y, target));
      memcpy(gradient.target, target, bytes);
      gradient_judge(&gradient, true);
      free(whole);
      gradient_free(&gradient);
    }
}

static void an_empty_batch_leaves_beta_times_what_the_target_held(void **state) {
  for (int i = 0; i < NEW_OPERATIONS; ++i) {
    tconv3d_desc desc = layer_of(0, operations[i]);
    desc.batch = 0;
    gradient_check_all(*state, operations[i], &desc, default_seed, 0);
    gradient_check_all(*state, operations[i], &desc, default_seed, -0.5);
  }
}

/* ---- Inf and NaN ---- */

/* Runs with one element of a tensor replaced; finite results must keep the bits they have without it. Returns how many are not
 * finite. */
static size_t check_spoiled(struct gradient *gradient, const struct guarded *guarded, const float *host, size_t at, float value,
                            const float *clean) {
  const float kept = host[at];
  size_t spoiled = 0;
  gradient_poke(gradient, guarded, host, at, value);
  gradient_run(gradient);
  gradient_judge(gradient, false);
  for (size_t i = 0; i < gradient->count; ++i) {
    bool finite = isfinite(gradient->target[i]);
    spoiled += !finite;
    gradient_needs(gradient, !finite || !memcmp(&gradient->target[i], &clean[i], sizeof *clean),
                   "a result beside the footprint changed");
  }
  gradient_poke(gradient, guarded, host, at, kept);
  return spoiled;
}

static void spoil(struct gradient *gradient, const struct guarded *guarded, const float *host, size_t count) {
  const float values[] = {INFINITY, -INFINITY, NAN};
  struct rng rng = {gradient->seed};
  size_t bytes = gradient->count * sizeof(float), spoiled = 0, times = 9;
  float *clean = malloc(bytes);
  assert_non_null(clean);
  gradient_run(gradient);
  memcpy(clean, gradient->target, bytes);
  for (size_t i = 0; i < times; ++i) {
    /* The first and the last element too: they lie at the guard zones. */
    size_t at = i == 0 ? 0 : i == 1 ? count - 1 : (size_t)rng_between(&rng, 0, (int64_t)count - 1);
    spoiled += check_spoiled(gradient, guarded, host, at, values[i % 3], clean);
  }
  gradient_needs(gradient, spoiled > 0 && spoiled < times * gradient->count, "the values reached no results, or all of them");
  free(clean);
}

/* Weights of zero among the others: Inf times one is NaN, not nothing. */
static void pack_zeros(struct gradient *gradient) {
  tconv3d_buffer b = guard_buffer(&gradient->b);
  for (size_t i = 0; i < gradient->counts.w; i += 5) gradient_poke(gradient, &gradient->w, gradient->host.w, i, 0);
  const tconv3d_buffer *bias = gradient->operation == TCONV3D_CONVOLUTION ? &b : NULL;
  gradient_ok(gradient,
              tconv3d_weights_update(gradient->weights, gradient->rig->queue, guard_buffer(&gradient->w), bias, 0, NULL, NULL));
}

static void inf_and_nan_reach_exactly_their_footprint(void **state) {
  for (size_t layer = 0; layer < LAYERS; ++layer)
    for (int i = 0; i < NEW_OPERATIONS; ++i) {
      tconv3d_desc desc = layer_of(layer, operations[i]);
      const char *name;
      size_t index = 0;
      do {
        struct gradient gradient;
        name = tconv3d_algorithm_name(index++);
        if (!gradient_make(&gradient, *state, operations[i], name, &desc, default_seed, VALUES_UNIFORM, 0)) continue;
        if (gradient.weights) pack_zeros(&gradient);
        const struct operands *host = &gradient.host;
        if (operations[i] == TCONV3D_CONVOLUTION || operations[i] == TCONV3D_GRAD_WEIGHT)
          spoil(&gradient, &gradient.x, host->x, gradient.counts.x);
        if (operations[i] != TCONV3D_CONVOLUTION) spoil(&gradient, &gradient.gy, host->y, gradient.counts.y);
        gradient_free(&gradient);
      } while (name);
    }
}

/* ---- gradients as differences ---- */

/* The operations share one number, the sum over x[c][i] * w[c][m][k] * y[m][o]: each gives its derivative with respect to the
 * operand of its target's shape. So it is the inner product of that operand with the result, whichever operation it is. */
static const float **operand_of(struct operands *operands, tconv3d_operation operation) {
  switch (operation) {
  case TCONV3D_GRAD_INPUT: return &operands->x;
  case TCONV3D_GRAD_WEIGHT: return &operands->w;
  case TCONV3D_GRAD_BIAS: return &operands->b;
  default: return &operands->y;
  }
}

static double number_by(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                        struct operands *operands) {
  float *result = gradient_of(rig, operation, desc, operands);
  double number = inner_product(result, *operand_of(operands, operation), target_count(desc, operation));
  free(result);
  return number;
}

/* Moves elements of the operand of derivative's target by 1 to both sides. All values are small integers, so that the numbers
 * are exact. */
static void check_differences(const struct rig *rig, tconv3d_operation by, tconv3d_operation derivative,
                              const tconv3d_desc *desc, struct operands *operands) {
  enum { TIMES = 10 };
  struct rng rng = {default_seed};
  float *expected = gradient_of(rig, derivative, desc, operands);
  float *moved = (float *)(uintptr_t)*operand_of(operands, derivative); /* made by random_values */
  size_t count = target_count(desc, derivative);
  for (size_t i = 0; i < TIMES; ++i) {
    size_t at = i == 0 ? 0 : i == 1 ? count - 1 : (size_t)rng_between(&rng, 0, (int64_t)count - 1);
    const float kept = moved[at];
    moved[at] = kept + 1;
    double more = number_by(rig, by, desc, operands);
    moved[at] = kept - 1;
    double less = number_by(rig, by, desc, operands);
    moved[at] = kept;
    if (fabs((more - less) / 2 - (double)expected[at]) > 0)
      fail_msg("%s[%zu] is %g, the difference by %s is %g", tconv3d_operation_name(derivative), at, (double)expected[at],
               tconv3d_operation_name(by), (more - less) / 2);
  }
  free(expected);
}

/* x, w, b and gy, whatever the operation. */
static struct operands integers(const tconv3d_desc *desc, uint64_t seed) {
  struct rng rng = {seed};
  struct operands operands;
  assert_true(operands_make(&operands, desc, TCONV3D_GRAD_WEIGHT, &rng, VALUES_INTEGER));
  return operands;
}

static void the_gradients_are_differences_of_the_forward_operation(void **state) {
  static const tconv3d_operation derivatives[] = {TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};
  for (size_t layer = 0; layer < LAYERS; ++layer) {
    tconv3d_desc desc = layer_of(layer, TCONV3D_FORWARD);
    struct operands operands = integers(&desc, default_seed);
    for (size_t i = 0; i < 3; ++i) check_differences(*state, TCONV3D_FORWARD, derivatives[i], &desc, &operands);
    operands_free(&operands);
  }
}

static void gradients_of_gradients_are_the_other_operations(void **state) {
  static const tconv3d_operation three[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT};
  for (size_t layer = 0; layer < LAYERS; ++layer) {
    tconv3d_desc desc = layer_of(layer, TCONV3D_FORWARD);
    desc.has_bias = 0;
    struct operands operands = integers(&desc, default_seed + 1);
    double forward = number_by(*state, TCONV3D_FORWARD, &desc, &operands);
    for (size_t by = 1; by < 3; ++by) {
      double other = number_by(*state, three[by], &desc, &operands);
      if (fabs(other - forward) > 0)
        fail_msg("the number is %g by forward and %g by %s", forward, other, tconv3d_operation_name(three[by]));
      for (size_t i = 0; i < 3; ++i)
        if (i != by) check_differences(*state, three[by], three[i], &desc, &operands);
    }
    operands_free(&operands);
  }
}

static void a_convolution_is_the_gradient_of_the_layer_that_it_undoes(void **state) {
  for (size_t layer = 0; layer < LAYERS; ++layer) {
    tconv3d_desc desc = layer_of(layer, TCONV3D_FORWARD), convolution;
    desc.has_bias = 0;
    for (int a = 0; a < 3; ++a) desc.output_padding[a] = 0;
    convolution = convolution_like(&desc);
    struct operands operands = integers(&desc, default_seed + 2);
    struct operands swapped = {.x = operands.y, .w = operands.w};
    float *gx = gradient_of(*state, TCONV3D_GRAD_INPUT, &desc, &operands);
    float *y = gradient_of(*state, TCONV3D_CONVOLUTION, &convolution, &swapped);
    assert_int_equal(target_count(&desc, TCONV3D_GRAD_INPUT), target_count(&convolution, TCONV3D_CONVOLUTION));
    for (size_t i = 0; i < target_count(&desc, TCONV3D_GRAD_INPUT); ++i)
      if (fabsf(gx[i] - y[i]) > 0) fail_msg("gx[%zu] is %g, of the convolution %g", i, (double)gx[i], (double)y[i]);
    free(gx);
    free(y);
    operands_free(&operands);
  }
}

/* ---- events ---- */

static void a_gradient_waits_for_its_list_and_its_event_tells_when_it_is_whole(void **state) {
  const struct rig *rig = *state;
  for (int i = 1; i < 3; ++i) { /* by weight and by bias */
    struct gradient gradient;
    tconv3d_desc desc = layer_of(0, operations[i]);
    assert_true(gradient_make(&gradient, rig, operations[i], NULL, &desc, default_seed, VALUES_INTEGER, 0));
    size_t bytes = gradient.count * sizeof(float);
    cl_int error;
    cl_event start = clCreateUserEvent(rig->cl, &error), done;
    assert_cl(error);
    cl_command_queue other = rig_queue(rig); /* the first may be in order, and waits */
    gradient_ok(&gradient,
                tconv3d_enqueue_gradient(gradient.plan, rig->queue, guard_buffer(&gradient.x), guard_buffer(&gradient.gy),
                                         guard_buffer(&gradient.to), NULL, 1, &start, &done));
    assert_cl(clFlush(rig->queue));
    assert_cl(clEnqueueReadBuffer(other, gradient.to.mem, CL_TRUE, gradient.to.offset, bytes, gradient.target, 0, NULL, NULL));
    gradient_needs(&gradient, guard_untouched(gradient.target, bytes), "it did not wait");
    assert_cl(clSetUserEventStatus(start, CL_COMPLETE));
    assert_cl(clEnqueueReadBuffer(other, gradient.to.mem, CL_TRUE, gradient.to.offset, bytes, gradient.target, 1, &done, NULL));
    gradient_judge(&gradient, true);
    assert_cl(clReleaseEvent(start));
    assert_cl(clReleaseEvent(done));
    assert_cl(clReleaseCommandQueue(other));
    gradient_free(&gradient);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_has_a_name_and_a_target),
      cmocka_unit_test(random_layers_are_exact_with_integers_and_within_the_bound),
      cmocka_unit_test(what_the_target_held_is_added_times_beta),
      cmocka_unit_test(a_beta_that_is_no_finite_number_is_refused),
      cmocka_unit_test(host_arrays_hold_what_beta_is_multiplied_with),
      cmocka_unit_test(an_empty_batch_leaves_beta_times_what_the_target_held),
      cmocka_unit_test(inf_and_nan_reach_exactly_their_footprint),
      cmocka_unit_test(the_gradients_are_differences_of_the_forward_operation),
      cmocka_unit_test(gradients_of_gradients_are_the_other_operations),
      cmocka_unit_test(a_convolution_is_the_gradient_of_the_layer_that_it_undoes),
      cmocka_unit_test(a_gradient_waits_for_its_list_and_its_event_tells_when_it_is_whole),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
