/* Every operation by every algorithm on the device at hand: one test for each pair, whose cases are random layers in random
 * layouts by any variant, against the definition, on buffers and host arrays between guard zones, and of outputs
 * one more with an epilogue. It is made for other OpenCL implementations than the suite's own: tests/runtimes.py runs it on
 * each and makes a table of the lines "# matrix". A pair of which the algorithm refuses every layer is skipped, with the
 * reason. TCONV3D_TEST_LAYERS is the number of cases of a pair, TCONV3D_TEST_PRODUCTS how many products a layer may have,
 * TCONV3D_TEST_SEED runs others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"
#include "support/random_layer.h"

enum { CASES = 4, PRODUCTS = 1 << 14, TRIES = 4000, REFUSED = 500, MAX_ALGORITHMS = 32 };

/* What one test is about. */
struct pair {
  size_t algorithm;
  tconv3d_operation operation;
  char name[64];
};

static struct rig rig;
static uint64_t seed = 20261124;

static int set_up(void **state) {
  (void)state;
  seed = rig_seed(seed);
  rig_open(&rig);
  print_message("# device %s, %s\n", rig.device.name, rig.device.platform_version);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  rig_close(&rig);
  return 0;
}

static bool is_small(const tconv3d_desc *desc) {
  int64_t shape[5], products = desc->in_channels / desc->groups;
  for (int a = 0; a < 3; ++a) products *= desc->kernel_size[a];
  assert_ok(tconv3d_output_shape(desc, shape));
  for (int a = 0; a < 5; ++a) products *= shape[a];
  return products <= (int64_t)rig_number("TCONV3D_TEST_PRODUCTS", PRODUCTS);
}

/* A layer in C order, channels last or with gaps, with or without beta; the same for every algorithm. */
static void draw(struct rng *rng, struct asked *asked) {
  static const enum view_kind kinds[] = {VIEW_DENSE, VIEW_DENSE, VIEW_LAST, VIEW_ROWS_APART, VIEW_PERMUTED};
  do random_layer(rng, &asked->desc);
  while (!is_small(&asked->desc));
  if (asked->operation == TCONV3D_CONVOLUTION) asked->desc = convolution_like(&asked->desc);
  enum view_kind x = kinds[rng_between(rng, 0, 4)], y = kinds[rng_between(rng, 0, 4)];
  views_random(rng, rng, &asked->desc, asked->operation, (struct view_kinds){x, kinds[rng_between(rng, 0, 4)], y});
  asked->beta = rng_between(rng, 0, 2) ? 0 : 0.5;
}

static void skip_pair(const struct pair *pair, const struct asked *asked) {
  char why[160];
  const t3_problem problem = problem_of(&rig, asked);
  (void)t3_applicable(&problem, t3_algorithm_at(pair->algorithm), why, sizeof why);
  print_message("# matrix %s refused: %s\n", pair->name, why);
  skip();
}

/* Again with an epilogue whose results are exact: PReLU, affine before or after a residual; by any variant that serves then. */
static void check_epilogue(const struct pair *pair, struct asked asked, struct rng *rng) {
  if (asked.operation != TCONV3D_FORWARD && asked.operation != TCONV3D_CONVOLUTION) return;
  asked.epilogue.activation = TCONV3D_PRELU, asked.epilogue.residual = 0.5;
  asked.epilogue.affine = (int)rng_between(rng, 1, 2);
  assert_true(serves(&rig, &asked, pair->algorithm));
  const t3_candidate candidate = any_variant(&rig, &asked, pair->algorithm, rng);
  asked.candidate = &candidate, asked.values = VALUES_INTEGER;
  assert_non_null(call_check(&rig, &asked));
}

static void check_pair(void **state) {
  const struct pair *pair = *state;
  uint64_t wanted = rig_number("TCONV3D_TEST_LAYERS", CASES), passed = 0;
  for (uint64_t i = 0; i < TRIES && passed < wanted; ++i) {
    struct rng rng = {seed + i};
    struct asked asked = {.operation = pair->operation, .seed = seed + i};
    draw(&rng, &asked);
    if (!serves(&rig, &asked, pair->algorithm)) {
      if (!passed && i == REFUSED) skip_pair(pair, &asked);
      continue;
    }
    const t3_candidate candidate = any_variant(&rig, &asked, pair->algorithm, &rng);
    asked.candidate = &candidate;
    assert_non_null(call_check_both(&rig, asked));
    if (!passed++) check_epilogue(pair, asked, &rng);
  }
  assert_true(passed == wanted);
  print_message("# matrix %s %llu\n", pair->name, (unsigned long long)passed);
}

int main(void) {
  static struct pair pairs[MAX_ALGORITHMS * OPERATIONS];
  static struct CMUnitTest tests[MAX_ALGORITHMS * OPERATIONS];
  size_t count = 0;
  const t3_algorithm *algorithm;
  for (size_t a = 0; (algorithm = t3_algorithm_at(a)) && a < MAX_ALGORITHMS; ++a)
    for (size_t o = 0; o < OPERATIONS; ++o) {
      if (algorithm->serves != t3_work_of(all_operations[o])) continue;
      struct pair *pair = &pairs[count];
      *pair = (struct pair){a, all_operations[o], ""};
      snprintf(pair->name, sizeof pair->name, "%s %s", tconv3d_operation_name(pair->operation), algorithm->name);
      tests[count++] = (struct CMUnitTest){pair->name, check_pair, NULL, NULL, pair};
    }
  cmocka_set_test_filter(getenv("TCONV3D_TEST_ONLY"));
  return _cmocka_run_group_tests("matrix", tests, count, set_up, tear_down);
}
