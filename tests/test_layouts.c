/* Tensors that do not lie densely: every operation by every algorithm that takes them, on buffers and on host arrays, with
 * crops, permuted, flipped and repeated axes, windows that overlap, of all types, and with what the target held. Against long
 * double; all places between the elements must keep what they hold. TCONV3D_TEST_SEED and TCONV3D_TEST_LAYERS run other and
 * more random layers. A failure prints the seed, the layer and the strides. */
#include <string.h>

#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"

enum { RANDOM_LAYERS = 3 };

static uint64_t seed = 20241120;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

/* A vector of channels and a part in each group of the larger tensor. Without zeros around x in convolutions, of which there is
 * one behind a gradient with respect to the input too. */
static tconv3d_desc layer_of(tconv3d_operation operation) {
  tconv3d_desc desc = operation_layer(operation, 20);
  if (operation == TCONV3D_CONVOLUTION || operation == TCONV3D_GRAD_INPUT) desc.padding[2] = 0;
  return desc;
}

/* ---- every algorithm ---- */

/* Kinds of what is read, of w, and of what is written. w's layouts and the factors are few, as each may mean other programs. */
static const struct {
  struct view_kinds kinds;
  double beta;
} cases[] = {
    {{VIEW_PADDED, VIEW_LAST, VIEW_PADDED}, 0},
    {{VIEW_ROWS_APART, VIEW_LAST, VIEW_PADDED}, 0},
    {{VIEW_ROWS, VIEW_LAST, VIEW_ROWS}, 0},
    {{VIEW_WINDOWS, VIEW_LAST, VIEW_WINDOWS}, 0},
    {{VIEW_REPEATED, VIEW_LAST, VIEW_REPEATED}, 0},
    {{VIEW_LAST, VIEW_LAST, VIEW_LAST}, 0},
    {{VIEW_LAST_PADDED, VIEW_LAST, VIEW_LAST_PADDED}, 0},
    {{VIEW_LAST_WINDOWS, VIEW_LAST, VIEW_LAST_WINDOWS}, 0},
    {{VIEW_STEPS, VIEW_LAST, VIEW_PERMUTED}, 0},
    {{VIEW_FLIPPED, VIEW_ANY, VIEW_FLIPPED}, -0.5},
    {{VIEW_ANY, VIEW_ANY, VIEW_STEPS}, -0.5},
    {{VIEW_PERMUTED, VIEW_ANY, VIEW_ANY}, -0.5},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The call of a case; w's strides depend on the kind alone. */
static struct asked asked_for(size_t index, tconv3d_operation operation) {
  struct asked asked = {.desc = layer_of(operation), .operation = operation, .seed = seed + index, .beta = cases[index].beta};
  struct rng rng = {seed + index}, of_w = {seed + (uint64_t)cases[index].kinds.w};
  struct view_kinds kinds = cases[index].kinds;
  if (operation == TCONV3D_GRAD_INPUT) kinds.x = cases[index].kinds.y, kinds.y = cases[index].kinds.x;
  views_random(&rng, &of_w, &asked.desc, operation, kinds);
  return asked;
}

/* How many views were served by the algorithms that are made for them, and by reading x where it lies. */
static size_t rows_by_phase, last_by_channels, in_place_served;

static void count_served(const struct asked *asked, const char *algorithm) {
  const tconv3d_desc *desc = &asked->desc;
  struct views views;
  assert_true(views_of(&views, desc, asked->operation));
  bool rows = views.x.stride[4] == 1 && views.y.stride[4] == 1, strided = desc->x_layout == TCONV3D_STRIDED;
  bool last = desc->x_layout == TCONV3D_CHANNELS_LAST && desc->y_layout == TCONV3D_CHANNELS_LAST;
  rows_by_phase += rows && strided && !strcmp(algorithm, "phase");
  last_by_channels += last && !strcmp(algorithm, "channels");
  in_place_served += asked->candidate != NULL;
}

/* In place where that can be done, as it depends most on where x lies. */
static void check_all(const struct rig *rig, struct asked asked) {
  size_t index = 0, served = 0;
  do {
    t3_candidate candidate;
    bool in_place = find_variant(rig, &asked, index, "x read in place", &candidate);
    asked.algorithm = tconv3d_algorithm_name(index++);
    asked.candidate = in_place ? &candidate : NULL;
    const char *algorithm = call_check_both(rig, asked);
    if (algorithm) count_served(&asked, algorithm);
    served += algorithm != NULL;
  } while (asked.algorithm); /* NULL past the last is the automatic choice */
  assert_true(served >= 2);
}

static void every_operation_is_right_by_every_algorithm_in_every_layout(void **state) {
  rows_by_phase = last_by_channels = in_place_served = 0;
  for (size_t i = 0; i < OPERATIONS; ++i)
    for (size_t c = 0; c < CASES; ++c) check_all(*state, asked_for(c, all_operations[i]));
  assert_true(rows_by_phase > 0);
  assert_true(last_by_channels > 0);
  assert_true(in_place_served > 0);
}

static void an_empty_batch_leaves_beta_times_what_the_target_held(void **state) {
  for (size_t i = 0; i < OPERATIONS; ++i) {
    struct asked asked = {.desc = layer_of(all_operations[i]), .operation = all_operations[i], .seed = seed, .beta = -0.5};
    struct rng rng = {seed}, of_w = {seed + VIEW_ANY};
    asked.desc.batch = 0;
    views_random(&rng, &of_w, &asked.desc, all_operations[i], (struct view_kinds){VIEW_ANY, VIEW_ANY, VIEW_ANY});
    assert_non_null(call_check_both(*state, asked));
  }
}

/* ---- dense strides ---- */

/* Those of axes of one element may be anything. */
static void strides_that_are_dense_are_served_as_a_dense_layout(void **state) {
  for (size_t i = 0; i < OPERATIONS; ++i) {
    struct asked asked = {.desc = layer_of(all_operations[i]), .operation = all_operations[i]};
    tconv3d_desc *desc = &asked.desc;
    desc->batch = 1;
    const struct asked dense = asked;
    struct views views;
    assert_true(views_of(&views, desc, all_operations[i]));
    desc->x_layout = desc->w_layout = desc->y_layout = TCONV3D_STRIDED;
    memcpy(desc->x_strides, views.x.stride, sizeof desc->x_strides);
    memcpy(desc->w_strides, views.w.stride, sizeof desc->w_strides);
    memcpy(desc->y_strides, views.y.stride, sizeof desc->y_strides);
    desc->x_strides[0] = 7, desc->y_strides[0] = INT64_MIN, desc->w_strides[2] = -1;
    for (size_t a = 0; t3_algorithm_at(a); ++a) assert_int_equal(serves(*state, &asked, a), serves(*state, &dense, a));
    if (all_operations[i] == TCONV3D_FORWARD) assert_non_null(call_check_both(*state, asked));
  }
}

/* ---- random layers ---- */

static bool is_small(const tconv3d_desc *desc) {
  int64_t shape[5], products = desc->in_channels / desc->groups;
  for (int a = 0; a < 3; ++a) products *= desc->kernel_size[a];
  assert_ok(tconv3d_output_shape(desc, shape));
  for (int a = 0; a < 5; ++a) products *= shape[a];
  return products <= 1 << 15;
}

/* Kinds that go together: rows, channels last, anything. */
static struct view_kinds random_kinds(struct rng *rng) {
  static const enum view_kind rows[] = {VIEW_ROWS_APART, VIEW_PADDED, VIEW_ROWS, VIEW_WINDOWS, VIEW_REPEATED};
  static const enum view_kind last[] = {VIEW_LAST, VIEW_LAST, VIEW_LAST_PADDED, VIEW_LAST_PADDED, VIEW_LAST_WINDOWS};
  static const enum view_kind others[] = {VIEW_ANY, VIEW_FLIPPED, VIEW_STEPS, VIEW_PERMUTED, VIEW_REPEATED};
  static const enum view_kind *const lists[] = {rows, last, others};
  const enum view_kind *list = lists[rng_between(rng, 0, 2)], *any = lists[rng_between(rng, 0, 2)];
  enum view_kind x = list[rng_between(rng, 0, 4)], y = list[rng_between(rng, 0, 4)];
  return (struct view_kinds){x, any[rng_between(rng, 0, 4)], y};
}

/* By any variant of any algorithm. */
static void check_any(const struct rig *rig, struct asked asked, struct rng *rng) {
  size_t algorithms = 0, a;
  while (t3_algorithm_at(algorithms)) ++algorithms;
  do a = (size_t)rng_between(rng, 0, (int64_t)algorithms - 1);
  while (!serves(rig, &asked, a));
  const t3_candidate candidate = any_variant(rig, &asked, a, rng);
  asked.candidate = &candidate;
  assert_non_null(call_check_both(rig, asked));
}

static void random_layers_in_random_layouts_are_right(void **state) {
  uint64_t count = rig_number("TCONV3D_TEST_LAYERS", RANDOM_LAYERS);
  for (uint64_t i = 0; i < count; ++i) {
    struct rng rng = {seed + i};
    struct asked asked = {.operation = all_operations[i % OPERATIONS], .seed = seed + i};
    do random_layer(&rng, &asked.desc);
    while (!is_small(&asked.desc));
    if (asked.operation == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
    views_random(&rng, &rng, &asked.desc, asked.operation, random_kinds(&rng));
    asked.beta = rng_between(&rng, 0, 2) ? 0 : 0.5;
    check_any(*state, asked, &rng);
  }
}

/* ---- types ---- */

/* By the algorithm of choice. */
static void tensors_of_every_type_lie_in_any_layout(void **state) {
  static const tconv3d_dtype pairs[][2] = {{TCONV3D_F16, TCONV3D_F16}, {TCONV3D_BF16, TCONV3D_F32}, {TCONV3D_F64, TCONV3D_F64}};
  static const struct view_kinds kinds[] = {
      {VIEW_ROWS, VIEW_PADDED, VIEW_PADDED}, {VIEW_LAST_PADDED, VIEW_PADDED, VIEW_LAST}, {VIEW_ANY, VIEW_ANY, VIEW_ANY}};
  const struct rig *rig = *state;
  for (size_t i = 0; i < OPERATIONS; ++i) {
    const tconv3d_operation operation = all_operations[i];
    struct asked asked = {.desc = layer_of(operation), .operation = operation, .seed = seed + i};
    struct rng rng = {seed + i};
    if (i % 3 == 2 && !rig->device.float64) continue;
    asked.desc.dtype = pairs[i % 3][0];
    asked.desc.weight_dtype = pairs[i % 3][1];
    views_random(&rng, &rng, &asked.desc, operation, kinds[i % 2 ? 1 : i / 2]);
    assert_non_null(call_check_both(rig, asked));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_is_right_by_every_algorithm_in_every_layout),
      cmocka_unit_test(an_empty_batch_leaves_beta_times_what_the_target_held),
      cmocka_unit_test(strides_that_are_dense_are_served_as_a_dense_layout),
      cmocka_unit_test(random_layers_in_random_layouts_are_right),
      cmocka_unit_test(tensors_of_every_type_lie_in_any_layout),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
