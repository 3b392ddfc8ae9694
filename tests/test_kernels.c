/* Every algorithm against the plain definition: random layers, Inf and NaN, huge, tiny and no values. TCONV3D_TEST_SEED and
 * TCONV3D_TEST_LAYERS run other and more random layers. A failure prints the seed and the layer. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/layers.h"
#include "support/trial.h"

enum { RANDOM_LAYERS = 8, SHAPES = 2 }; /* a layer costs about a second of compilation: these take a quarter of one */

static const uint64_t default_seed = 20240607;

static void random_layers_are_exact_with_integers_and_within_the_bound(void **state) {
  uint64_t first = rig_seed(default_seed);
  uint64_t count = rig_number("TCONV3D_TEST_LAYERS", RANDOM_LAYERS);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    struct rng rng = {seed};
    tconv3d_desc desc;
    random_layer(&rng, &desc);
    for (int shape = 0; shape < SHAPES; ++shape) {
      trial_check_all(*state, &desc, seed);
      random_shape(&rng, &desc);
    }
  }
}

/* A few layers of different kinds that the tests of special values share, so that they compile once. */
static tconv3d_desc special_layer(size_t index) {
  tconv3d_desc desc = index % 2 ? cubic_layer(3, 4, 3, 2) : cubic_layer(2, 5, 3, 1);
  desc.batch = 2;
  desc.input_size[2] = 11;
  if (index == 2) TCONV3D_ALL_AXES(desc.dilation, 2);
  if (index == 3) desc.groups = 1, desc.out_channels = 1, desc.kernel_size[2] = 5, desc.stride[2] = 3;
  if (index == 4) desc.groups = desc.in_channels = desc.out_channels = 4;
  return desc;
}
enum { SPECIAL_LAYERS = 5 };

/* Calls test for each special layer and algorithm, and with the automatic choice. */
static void for_special_layers(const struct rig *rig,
                               void test(const struct rig *, const char *, const tconv3d_desc *, uint64_t)) {
  for (size_t i = 0; i < SPECIAL_LAYERS; ++i) {
    tconv3d_desc desc = special_layer(i);
    const char *name;
    size_t index = 0;
    do {
      name = tconv3d_algorithm_name(index++);
      test(rig, name, &desc, default_seed + i);
    } while (name);
  }
}

/* Runs with one element of x or b replaced; finite results must keep the bits they have without it. */
static void check_spoiled(struct trial *trial, struct guarded *guarded, float *host, size_t at, float value) {
  const float kept = host[at];
  size_t bytes = trial->host.y_count * sizeof(float);
  float *clean = malloc(bytes + 1);
  trial_needs(trial, clean != NULL, "no memory for the clean result");
  memcpy(clean, trial->host.y, bytes);
  host[at] = value;
  size_t offset = guarded->offset + at * sizeof value;
  assert_cl(clEnqueueWriteBuffer(trial->rig->queue, guarded->mem, CL_TRUE, offset, sizeof value, &value, 0, NULL, NULL));
  assert_cl(clFinish(trial->rig->queue)); /* a blocking write lets the host go on, not an out-of-order queue */
  if (guarded == &trial->b) {
    tconv3d_buffer b = guard_buffer(&trial->b);
    trial_ok(trial, tconv3d_weights_update(trial->weights, trial->rig->queue, guard_buffer(&trial->w), &b, 0, NULL, NULL));
  }
  trial_run(trial);
  trial_judge(trial, false);
  size_t spoiled = 0;
  for (size_t i = 0; i < trial->host.y_count; ++i) {
    bool finite = isfinite(trial->host.y[i]);
    spoiled += !finite;
    trial_needs(trial, !finite || !memcmp(&trial->host.y[i], &clean[i], sizeof *clean),
                "an output beside the footprint changed");
  }
  trial_needs(trial, spoiled > 0 && spoiled < trial->host.y_count, "the value reached all or no outputs");
  host[at] = kept;
  assert_cl(clEnqueueWriteBuffer(trial->rig->queue, guarded->mem, CL_TRUE, offset, sizeof kept, &kept, 0, NULL, NULL));
  assert_cl(clFinish(trial->rig->queue));
  memcpy(trial->host.y, clean, bytes);
  free(clean);
}

static void spoil_x(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed) {
  const float values[] = {INFINITY, -INFINITY, NAN};
  struct trial trial;
  struct rng rng = {seed};
  if (!trial_make(&trial, rig, algorithm, desc, seed, VALUES_UNIFORM)) return;
  trial_run(&trial);
  for (int i = 0; i < 9; ++i) {
    /* The first and the last element too: they lie at the guard zones. */
    size_t last = trial.host.x_count - 1;
    size_t at = i == 0 ? 0 : i == 1 ? last : (size_t)rng_between(&rng, 0, (int64_t)last);
    check_spoiled(&trial, &trial.x, trial.host.x, at, values[i % 3]);
  }
  trial_free(&trial);
}

static void inf_and_nan_in_x_reach_exactly_their_footprint(void **state) {
  for_special_layers(*state, spoil_x);
}

static void spoil_bias(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed) {
  const float values[] = {INFINITY, -INFINITY, NAN};
  struct trial trial;
  if (desc->out_channels < 2 || !trial_make(&trial, rig, algorithm, desc, seed, VALUES_UNIFORM)) return;
  trial_run(&trial);
  for (size_t i = 0; i < 3; ++i) check_spoiled(&trial, &trial.b, trial.host.b, i % trial.host.b_count, values[i]);
  trial_free(&trial);
}

static void inf_and_nan_in_the_bias_fill_exactly_their_channel(void **state) {
  for_special_layers(*state, spoil_bias);
}

static void check_extremes(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed) {
  trial_check(rig, algorithm, desc, seed, VALUES_HUGE);
  trial_check(rig, algorithm, desc, seed, VALUES_TINY);
}

static void huge_and_subnormal_values_stay_within_the_bound(void **state) {
  for_special_layers(*state, check_extremes);
}

static void check_overflow(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed) {
  struct trial trial;
  if (!trial_make(&trial, rig, algorithm, desc, seed, VALUES_HUGE)) return;
  for (size_t i = 0; i < trial.host.x_count; ++i) trial.host.x[i] = i % 2 ? FLT_MAX : 1.0f;
  assert_cl(clEnqueueWriteBuffer(rig->queue, trial.x.mem, CL_TRUE, trial.x.offset, trial.x.bytes, trial.host.x, 0, NULL, NULL));
  assert_cl(clFinish(rig->queue));
  trial_run(&trial);
  trial_judge(&trial, false);
  trial_free(&trial);
}

static void sums_past_the_largest_float_overflow_where_they_may(void **state) {
  for_special_layers(*state, check_overflow);
}

static void check_empty(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed) {
  tconv3d_desc empty = *desc;
  empty.batch = 0;
  trial_check(rig, algorithm, &empty, seed, VALUES_UNIFORM);
}

static void an_empty_batch_completes_and_writes_nothing(void **state) {
  for_special_layers(*state, check_empty);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_layers_are_exact_with_integers_and_within_the_bound),
      cmocka_unit_test(inf_and_nan_in_x_reach_exactly_their_footprint),
      cmocka_unit_test(inf_and_nan_in_the_bias_fill_exactly_their_channel),
      cmocka_unit_test(huge_and_subnormal_values_stay_within_the_bound),
      cmocka_unit_test(sums_past_the_largest_float_overflow_where_they_may),
      cmocka_unit_test(an_empty_batch_completes_and_writes_nothing),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
