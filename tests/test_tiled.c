/* The kernels for GPUs, which no CPU device is given by choice: every tile that is listed for a layer, over the layers for
 * which they differ, each time with other types, layouts and epilogues; and where tiles end in the midst of what is large.
 * TCONV3D_TEST_SEED runs others. A failure prints the seed and the layer. */
#include <string.h>

#include "algo/multiplier.h"
#include "base/checked.h"
#include "device/quirks.h"
#include "plan/choose.h"
#include "program/program.h"
#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"

static uint64_t seed = 20241126;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

/* The algorithms made for GPUs. */
static const char *const names[] = {"tiled", "points", "tiled_gradient"};
enum { NAMES = sizeof names / sizeof *names };

struct row {
  struct layer_row sizes;
  int64_t output_padding, more_padding_end;
};

static const struct row rows[] = {
    {{2, 20, 40, 1, {2, 3, 11}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, 0, 0},
    {{3, 9, 33, 1, {1, 2, 5}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}}, 0, 0},    /* kernel = stride */
    {{1, 17, 130, 1, {2, 3, 50}, {1, 3, 2}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}}, 0, 0}, /* stride 1, more than a tile */
    {{2, 6, 9, 3, {2, 3, 7}, {3, 2, 4}, {3, 1, 4}, {1, 0, 2}, {1, 1, 1}}, 1, 0},     /* groups, strides 3 and 4 */
    {{1, 3, 2, 1, {2, 4, 9}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, 0, 1},     /* few channels, ends padded more */
    {{2, 5, 5, 5, {3, 3, 6}, {3, 3, 3}, {1, 2, 1}, {1, 1, 2}, {1, 1, 2}}, 0, 0},     /* depthwise, dilation */
    {{1, 12, 8, 1, {2, 3, 6}, {2, 3, 3}, {2, 2, 2}, {0, 2, 1}, {2, 2, 3}}, 0, 0},    /* phases without a tap */
    {{2, 16, 1, 1, {2, 2, 9}, {2, 2, 3}, {2, 2, 3}, {0, 0, 0}, {1, 1, 1}}, 1, 0},    /* kernel = stride but not everywhere */
};
enum { ROWS = sizeof rows / sizeof *rows };

static tconv3d_desc desc_of(const struct row *row) {
  tconv3d_desc desc = layer_of_row(&row->sizes);
  desc.has_bias = 1;
  desc.output_padding[2] = row->output_padding;
  if (row->more_padding_end) desc.padding_end[1] = row->sizes.padding[1] + row->more_padding_end;
  return desc;
}

/* Types, layouts, epilogue and beta at random. Kinds of layout are those that kernels tell apart, and any. */
static void vary(const struct rig *rig, struct rng *rng, struct asked *asked) {
  static const tconv3d_dtype types[][2] = {{TCONV3D_F32, TCONV3D_F32},   {TCONV3D_F16, TCONV3D_F16},
                                           {TCONV3D_BF16, TCONV3D_F32},  {TCONV3D_F32, TCONV3D_F16},
                                           {TCONV3D_BF16, TCONV3D_BF16}, {TCONV3D_F64, TCONV3D_F64}};
  static const enum view_kind kinds[] = {VIEW_DENSE, VIEW_LAST, VIEW_ANY, VIEW_LAST_PADDED};
  const int64_t pair = rng_between(rng, 0, rig->device.float64 ? 5 : 4);
  const bool forward = asked->operation == TCONV3D_FORWARD || asked->operation == TCONV3D_CONVOLUTION;
  asked->desc.dtype = types[pair][0], asked->desc.weight_dtype = types[pair][1];
  struct view_kinds views = {kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)]};
  views_random(rng, rng, &asked->desc, asked->operation, views);
  asked->beta = rng_between(rng, 0, 3) ? 0 : 0.5;
  if (!forward || rng_between(rng, 0, 1)) return;
  asked->epilogue.activation = rng_between(rng, 0, 1) ? TCONV3D_PRELU : TCONV3D_NO_ACTIVATION;
  asked->epilogue.affine = (int)rng_between(rng, 0, 2);
  asked->epilogue.residual = rng_between(rng, 0, 1) ? 0.5 : 0;
  asked->in_place = asked->epilogue.residual != 0 && rng_between(rng, 0, 1);
}

static bool has_epilogue(const tconv3d_epilogue *e) {
  return e->activation || e->affine || e->residual != 0;
}

/* Variants number first, first + step and so on of all that the algorithm lists; TCONV3D_TEST_EVERY=1: all of them. */
static size_t check_variants(const struct rig *rig, const struct asked *plain, const t3_algorithm *algorithm, size_t first,
                             size_t step, struct rng *rng) {
  t3_candidate list[T3_MAX_VARIANTS];
  char why[160];
  const t3_problem problem = problem_of(rig, plain);
  if (!t3_applicable(&problem, algorithm, why, sizeof why)) return 0;
  size_t count = t3_candidates(&problem, algorithm, list);
  for (size_t i = first; i < count; i += step) {
    struct asked asked = *plain;
    vary(rig, rng, &asked);
    t3_candidate now[T3_MAX_VARIANTS]; /* wider sums may leave fewer, or none */
    const t3_problem varied = problem_of(rig, &asked);
    if (!t3_applicable(&varied, algorithm, why, sizeof why)) continue;
    size_t left = t3_candidates(&varied, algorithm, now);
    asked.candidate = &now[i < left ? i : left - 1];
    asked.values = VALUES_INTEGER;
    assert_non_null(call_check(rig, &asked));
    asked.values = VALUES_UNIFORM;
    if (!has_epilogue(&asked.epilogue)) assert_non_null(call_check(rig, &asked));
  }
  return count;
}

static void check_operation(const struct rig *rig, tconv3d_operation operation, size_t step) {
  if (rig_number("TCONV3D_TEST_EVERY", 0) == 1) step = 1;
  for (size_t n = 0; n < NAMES; ++n) {
    const t3_algorithm *algorithm = t3_algorithm_named(names[n]);
    size_t listed = 0;
    for (size_t i = 0; i < ROWS; ++i) {
      struct rng rng = {seed + i};
      struct asked asked = {.desc = desc_of(&rows[i]), .operation = operation, .seed = seed + i};
      if (operation == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
      if (operation != TCONV3D_FORWARD && operation != TCONV3D_CONVOLUTION) asked.desc.has_bias = 0;
      listed += check_variants(rig, &asked, algorithm, (size_t)rng_between(&rng, 0, (int64_t)step - 1), step, &rng);
    }
    assert_int_equal(listed > 0, algorithm->serves == t3_work_of(operation));
  }
}

static void tiles_of_the_forward_operation_are_right(void **state) {
  check_operation(*state, TCONV3D_FORWARD, 8);
}

static void tiles_of_gradients_and_the_convolution_are_right(void **state) {
  static const tconv3d_operation others[] = {TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION};
  for (size_t i = 0; i < 3; ++i) check_operation(*state, others[i], i ? 16 : 8);
}

/* ---- choice ---- */

/* The device with other limits, as a GPU or as it is. */
static t3_problem problem_on(const struct rig *rig, const struct asked *asked, bool gpu, uint64_t local_bytes, uint64_t items) {
  t3_problem problem = problem_of(rig, asked);
  if (gpu) problem.device.type = CL_DEVICE_TYPE_GPU, problem.device.compute_units = 60;
  if (local_bytes) problem.device.local_bytes = local_bytes;
  if (items) problem.device.work_group_size = items;
  return problem;
}

static bool is_for_gpus(const char *name) {
  for (size_t n = 0; n < NAMES; ++n)
    if (!strcmp(names[n], name)) return true;
  return false;
}

static void a_gpu_is_given_them_and_other_devices_are_not(void **state) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_CONVOLUTION};
  for (size_t i = 0; i < ROWS; ++i)
    for (size_t o = 0; o < 4; ++o)
      for (int gpu = 0; gpu < 2; ++gpu) {
        struct asked asked = {.desc = desc_of(&rows[i]), .operation = operations[o]};
        if (operations[o] == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
        asked.desc.has_bias = 0, asked.desc.batch = 16;
        for (int a = 0; a < 3; ++a) asked.desc.input_size[a] *= 4;
        t3_problem problem = problem_on(*state, &asked, gpu, 1 << 15, 1024);
        problem.device.quirks &= ~(unsigned)T3_FEW_ROUNDS; /* where others' loops end early, these are left */
        t3_candidate chosen;
        t3_text explanation = {0};
        assert_ok(t3_choose(&problem, NULL, NULL, NULL, &chosen, &explanation));
        if (is_for_gpus(chosen.algorithm->name) != gpu)
          fail_msg("layer %zu, %s, %s:\n%s", i, tconv3d_operation_name(operations[o]), gpu ? "GPU" : "as it is",
                   explanation.data);
        t3_text_free(&explanation);
      }
}

static void small_devices_are_given_tiles_that_fit_or_a_reason(void **state) {
  static const struct {
    uint64_t local_bytes, items;
    bool fits;
  } limits[] = {{32 << 10, 1024, true}, {16 << 10, 256, true}, {8 << 10, 64, true}, {32 << 10, 2, false}, {512, 256, false}};
  for (size_t n = 0; n < NAMES; n += 2) /* points needs nothing */
    for (size_t i = 0; i < sizeof limits / sizeof *limits; ++i) {
      const t3_algorithm *algorithm = t3_algorithm_named(names[n]);
      struct asked asked = {.desc = desc_of(&rows[0])};
      char why[160] = "";
      asked.desc.has_bias = 0;
      if (algorithm->serves == T3_WEIGHT_GRADIENT) asked.operation = TCONV3D_GRAD_WEIGHT;
      const t3_problem problem = problem_on(*state, &asked, false, limits[i].local_bytes, limits[i].items);
      assert_int_equal(t3_applicable(&problem, algorithm, why, sizeof why), limits[i].fits);
      if (!limits[i].fits) assert_non_null(strstr(why, limits[i].items == 2 ? "work-items" : "local memory"));
      t3_candidate list[T3_MAX_VARIANTS];
      size_t count = limits[i].fits ? t3_candidates(&problem, algorithm, list) : 0;
      for (size_t v = 0; v < count; ++v) {
        t3_recipe recipe = {0};
        assert_ok(algorithm->recipe(&problem, &list[v].variant, &recipe));
        assert_in_range(recipe.run[0].local, 1, limits[i].items);
        t3_text_free(&recipe.defines);
      }
    }
}

/* What a program of the variant asks of the compiler must be what the device gives. */
static void check_asked(const t3_problem *problem, const t3_candidate *candidate) {
  const bool on_request = t3_has_quirk(&problem->device, T3_REGISTERS_ON_REQUEST);
  t3_recipe recipe = {0};
  t3_text text = {0};
  assert_ok(candidate->algorithm->recipe(problem, &candidate->variant, &recipe));
  assert_true(t3_program_text(candidate->algorithm->program, &recipe.defines, &text));
  assert_int_equal(strstr(recipe.defines.data, "LEAST_SUB_GROUP=8\n") != NULL, on_request);
  assert_int_equal(strstr(t3_build_options(&text), "256-GRF") != NULL, on_request && problem->device.registers == 256);
  t3_text_free(&text);
  t3_text_free(&recipe.defines);
}

/* Tiles of the device have blocks of so many sums at most, and only these lanes work together; 1: none do. */
static void check_tile(const t3_candidate *candidate, int64_t lanes, int64_t *block) {
  const int64_t *n = candidate->variant.number;
  const t3_multiplier *multiplier = t3_multiplier_of(t3_variant_multiplier(&candidate->variant));
  assert_true(multiplier->lanes == 1 || !lanes || multiplier->lanes == lanes);
  if (multiplier->lanes == 1) *block = t3_max(*block, n[2] * n[3]);
}

/* As Intel's GPUs do. Those with fewer registers get smaller blocks and no broadcasts. */
static void a_device_that_gives_registers_on_request_is_asked_for_them(void **state) {
  static const struct {
    unsigned quirks, registers;
    int64_t block, lanes;
  } devices[] = {{0, 256, 64, 0}, {T3_REGISTERS_ON_REQUEST, 256, 64, 8}, {T3_REGISTERS_ON_REQUEST, 128, 16, 1}};
  for (size_t i = 0; i < sizeof devices / sizeof *devices; ++i) {
    int64_t block = 0;
    for (size_t n = 0; n < NAMES; ++n) {
      const t3_algorithm *algorithm = t3_algorithm_named(names[n]);
      struct asked asked = {.desc = desc_of(&rows[0])};
      asked.desc.in_channels = asked.desc.out_channels = 128, asked.desc.input_size[2] = 64, asked.desc.has_bias = 0;
      if (algorithm->serves == T3_WEIGHT_GRADIENT) asked.operation = TCONV3D_GRAD_WEIGHT;
      t3_problem problem = problem_on(*state, &asked, true, 1 << 16, 1024);
      problem.device.quirks = devices[i].quirks, problem.device.registers = devices[i].registers;
      problem.device.sub_group_sizes = 8 + 16 + 32;
      problem.features = T3_TWINS - 1;
      t3_candidate list[T3_MAX_VARIANTS];
      size_t count = t3_candidates(&problem, algorithm, list);
      assert_true(count > 1);
      for (size_t v = 0; v < count; ++v) {
        check_asked(&problem, &list[v]);
        if (strcmp(names[n], "points")) check_tile(&list[v], devices[i].lanes, &block);
      }
    }
    assert_int_equal(block, devices[i].block);
  }
}

static void the_least_tiles_are_right_on_a_device_that_has_no_room_for_others(void **state) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_WEIGHT};
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  const tconv3d_device_info whole = slot->info;
  slot->info.work_group_size = 16, slot->info.local_bytes = 6 << 10;
  for (size_t i = 0; i < 6; ++i) {
    struct asked asked = {.desc = desc_of(&rows[i / 2]), .operation = operations[i % 2], .seed = seed};
    asked.algorithm = names[i % 2 ? 2 : 0];
    if (i % 2) asked.desc.has_bias = 0;
    assert_non_null(call_check_both(rig, asked));
  }
  slot->info = whole;
}

static void positions_are_found_over_many_images(void **state) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 2, desc.out_channels = 3, desc.batch = 700;
  TCONV3D_ALL_AXES(desc.input_size, 1);
  TCONV3D_ALL_AXES(desc.kernel_size, 2);
  TCONV3D_ALL_AXES(desc.stride, 1);
  for (size_t n = 0; n < NAMES; ++n) {
    struct asked asked = {.desc = desc, .algorithm = names[n], .seed = seed};
    if (t3_algorithm_named(names[n])->serves == T3_WEIGHT_GRADIENT) asked.operation = TCONV3D_GRAD_WEIGHT;
    assert_non_null(call_check_both(*state, asked));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_of_the_forward_operation_are_right),
      cmocka_unit_test(tiles_of_gradients_and_the_convolution_are_right),
      cmocka_unit_test(a_gpu_is_given_them_and_other_devices_are_not),
      cmocka_unit_test(small_devices_are_given_tiles_that_fit_or_a_reason),
      cmocka_unit_test(a_device_that_gives_registers_on_request_is_asked_for_them),
      cmocka_unit_test(the_least_tiles_are_right_on_a_device_that_has_no_room_for_others),
      cmocka_unit_test(positions_are_found_over_many_images),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
