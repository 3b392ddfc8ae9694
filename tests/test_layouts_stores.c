/* What is stored in tensors that do not lie densely: epilogues with a residual in y's layout, in place too, channels side by
 * side in whole vectors and parts of them, stores past the caches, and tuning. TCONV3D_TEST_SEED runs other values and strides.
 * A failure prints the seed, the layer and the strides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/quirks.h"
#include "support/call_check.h"

static uint64_t seed = 20241123;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

/* Rows of y of 2*width. */
static tconv3d_desc layer_of(int64_t in_channels, int64_t out_channels, int64_t groups, int64_t width) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.groups = groups;
  desc.in_channels = in_channels;
  desc.out_channels = out_channels;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = (const int64_t[]){2, 3, width}[a];
    desc.kernel_size[a] = (const int64_t[]){1, 2, 2}[a];
    desc.stride[a] = (const int64_t[]){1, 2, 2}[a];
  }
  return desc;
}

/* What is wanted of a call beside the layer. */
struct row {
  const char *algorithm, *variant; /* NULL: by all that take it, and by choice; words of its explanation that are wanted */
  struct view_kinds kinds;
};

static size_t check_row(const struct rig *rig, struct asked asked, const struct row *row) {
  struct rng rng = {asked.seed};
  size_t served = 0;
  views_random(&rng, &rng, &asked.desc, asked.operation, row->kinds);
  asked.values = VALUES_INTEGER;
  for (size_t a = 0; (asked.algorithm = tconv3d_algorithm_name(a)); ++a) {
    t3_candidate candidate;
    if (row->algorithm && strcmp(row->algorithm, asked.algorithm) != 0) continue;
    asked.candidate = row->variant && find_variant(rig, &asked, a, row->variant, &candidate) ? &candidate : NULL;
    served += call_check(rig, &asked) != NULL;
  }
  asked.candidate = NULL;
  return row->algorithm ? served : served + (call_check(rig, &asked) != NULL);
}

/* An algorithm has a variant whose explanation has these words, and it computes what is right. */
static void assert_variant(const struct rig *rig, struct asked asked, size_t algorithm, const char *words) {
  t3_candidate candidate;
  assert_true(serves(rig, &asked, algorithm));
  assert_true(find_variant(rig, &asked, algorithm, words, &candidate));
  asked.candidate = &candidate;
  asked.values = VALUES_INTEGER;
  assert_non_null(call_check(rig, &asked));
}

/* ---- epilogues ---- */

static void residuals_lie_as_y_does_with_rows_from_channels(void **state) {
  static const struct row row = {NULL, "x read in place", {VIEW_LAST, VIEW_REPEATED, VIEW_PADDED}};
  struct asked asked = {.desc = layer_of(4, 6, 2, 21), .seed = seed, .beta = -0.5};
  asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = 1, .residual = 0.5};
  assert_true(check_row(*state, asked, &row) > 2);
}

static void residuals_in_place_are_added_once_with_channels_last(void **state) {
  static const struct row row = {NULL, "x read in place", {VIEW_ROWS_APART, VIEW_REPEATED, VIEW_LAST_PADDED}};
  struct asked asked = {.desc = layer_of(4, 22, 2, 21), .seed = seed + 1, .in_place = true};
  asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = 2, .residual = 0.5};
  assert_true(check_row(*state, asked, &row) > 2);
}

static void residuals_in_place_lie_in_any_layout(void **state) {
  static const struct row row = {"direct", NULL, {VIEW_ANY, VIEW_DENSE, VIEW_ANY}};
  struct asked asked = {.desc = layer_of(4, 6, 2, 21), .seed = seed + 2, .in_place = true, .beta = 2};
  asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = 1, .residual = 1};
  assert_int_equal(check_row(*state, asked, &row), 1);
  asked.desc.batch = 0;
  assert_int_equal(check_row(*state, asked, &row), 1);
}

/* ---- channels ---- */

/* Each channel with its own x; in parts of vectors and in whole ones. */
static void depthwise_layers_go_with_channels_last(void **state) {
  static const struct row rows[] = {{"channels", NULL, {VIEW_LAST_PADDED, VIEW_DENSE, VIEW_LAST}},
                                    {"channels", NULL, {VIEW_LAST, VIEW_DENSE, VIEW_ROWS}},
                                    {"channels", NULL, {VIEW_ROWS, VIEW_DENSE, VIEW_LAST_PADDED}}};
  static const int64_t channels[] = {20, 16, 16};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    struct asked asked = {.desc = layer_of(channels[i], channels[i], channels[i], 5), .seed = seed + i};
    assert_int_equal(check_row(*state, asked, &rows[i]), 1);
  }
}

/* Several residues of each axis, not all with an output at its end; images along rows and, with short ones, beside each other;
 * depthwise and not. */
static void residues_take_turns_with_channels_last(void **state) {
  static const struct row row = {"channels", NULL, {VIEW_LAST, VIEW_DENSE, VIEW_LAST_PADDED}};
  static const int64_t groups[] = {1, 1, 16, 2}, outs[] = {21, 16, 16, 10}, widths[] = {13, 3, 14, 2};
  for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
    struct asked asked = {.desc = layer_of(16, outs[i], groups[i], widths[i]), .seed = seed + i, .beta = i % 2 ? 0.5 : 0};
    for (int a = 0; a < 3; ++a) asked.desc.stride[a] = 2 + (a == 2), asked.desc.kernel_size[a] = 3, asked.desc.padding[a] = 1;
    asked.epilogue = (tconv3d_epilogue){.activation = TCONV3D_PRELU, .affine = 1};
    assert_int_equal(check_row(*state, asked, &row), 1);
  }
}

/* Rows of x turned so that channels lie side by side, in whole squares of a vector and in parts, rows shorter than a vector,
 * two groups, and chunks of channels the last of which is short; of all types, and channels last to begin with. */
static void x_is_turned_for_vectors_of_channels(void **state) {
  static const struct turned {
    int64_t channels, groups, kernel, width;
  } layers[] = {{21, 1, 2, 19}, {42, 2, 2, 3}, {40, 1, 3, 5}};
  static const enum view_kind kinds[] = {VIEW_PADDED, VIEW_ROWS, VIEW_WINDOWS, VIEW_ROWS_APART, VIEW_LAST_PADDED};
  static const tconv3d_dtype types[] = {TCONV3D_F32, TCONV3D_F16, TCONV3D_BF16, TCONV3D_F64};
  const struct rig *rig = *state;
  struct rng rng = {seed};
  size_t channels_at = algorithm_at("channels");
  for (size_t i = 0; i < 3; ++i)
    for (size_t k = 0; k < 5; ++k) {
      struct asked asked = {.desc = layer_of(layers[i].channels, 18, layers[i].groups, layers[i].width), .seed = seed + k};
      asked.desc.dtype = asked.desc.weight_dtype = types[(i + k) % 4];
      for (int a = 0; a < 3; ++a) asked.desc.kernel_size[a] = layers[i].kernel, asked.desc.padding[a] = layers[i].kernel - 2;
      if (layers[i].kernel == 3) asked.desc.stride[1] = asked.desc.stride[2] = 1; /* all 27 taps reach each output */
      views_random(&rng, &rng, &asked.desc, asked.operation, (struct view_kinds){kinds[k], VIEW_DENSE, VIEW_ROWS});
      if (asked.desc.dtype == TCONV3D_F64 && !rig->device.float64) continue;
      if (i == 2 && t3_has_quirk(&rig->device, T3_FEW_ROUNDS)) continue; /* it has too many */
      assert_true(serves(rig, &asked, channels_at));
      t3_candidate candidate;
      bool turns = false;
      for (size_t w = i + k; w < i + k + 3 && !turns; ++w) { /* of one width or, where the device has no such, another */
        char words[80];
        snprintf(words, sizeof words, "vectors of %d channels, x copied with zeros around, channels last", 4 << w % 3);
        turns = find_variant(rig, &asked, channels_at, words, &candidate);
      }
      assert_true(turns);
      asked.candidate = &candidate;
      asked.values = VALUES_INTEGER;
      assert_non_null(call_check(rig, &asked));
    }
}

/* Several channels at once that lie apart: in one part or in even ones, the last of which may be short, in groups, with steps
 * along x and without; copied, also from other types than that of the sums, and in place. */
static void channels_that_lie_apart_are_taken_at_once(void **state) {
  static const struct apart {
    int64_t channels, groups, stride;
    bool in_place;
    const char *words;
  } layers[] = {{21, 1, 1, false, "copied with zeros around, 21 input channels at once"},
                {25, 1, 1, true, "in place, 13 input channels at once"},
                {42, 2, 2, true, "in place, 21 input channels at once"},
                {10, 1, 2, false, "copied with zeros around, 4 input channels at once"}};
  static const enum view_kind kinds[] = {VIEW_DENSE, VIEW_PADDED, VIEW_ROWS_APART};
  static const tconv3d_dtype types[] = {TCONV3D_F32, TCONV3D_F16, TCONV3D_F64};
  const struct rig *rig = *state;
  struct rng rng = {seed};
  size_t at = algorithm_at("channels");
  if (t3_has_quirk(&rig->device, T3_FEW_ROUNDS)) skip(); /* these have too many */
  for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i)
    for (size_t k = 0; k < 3; ++k) {
      const struct apart *layer = &layers[i];
      struct asked asked = {.desc = layer_of(layer->channels, 18, layer->groups, 19), .seed = seed + k};
      asked.desc.dtype = asked.desc.weight_dtype = types[layer->in_place ? 0 : k];
      for (int a = 0; a < 3; ++a)
        asked.desc.kernel_size[a] = 3, asked.desc.padding[a] = 1, asked.desc.stride[a] = layer->stride;
      if (asked.desc.dtype == TCONV3D_F64 && !rig->device.float64) continue;
      views_random(&rng, &rng, &asked.desc, asked.operation, (struct view_kinds){kinds[k], VIEW_DENSE, kinds[(i + k) % 3]});
      assert_variant(rig, asked, at, layer->words);
    }
}

/* The same of a convolution that takes steps along x, with channels last in what is written. */
static void channels_of_a_convolution_with_steps_are_taken_at_once(void **state) {
  const struct rig *rig = *state;
  struct rng rng = {seed};
  if (t3_has_quirk(&rig->device, T3_FEW_ROUNDS)) skip();
  for (int last = 0; last < 2; ++last) {
    struct asked asked = {.desc = layer_of(20, 18, 1, 19), .operation = TCONV3D_GRAD_INPUT, .seed = seed};
    for (int a = 0; a < 3; ++a) asked.desc.kernel_size[a] = 3, asked.desc.padding[a] = 1, asked.desc.stride[a] = 2;
    views_random(&rng, &rng, &asked.desc, asked.operation,
                 (struct view_kinds){last ? VIEW_LAST : VIEW_PADDED, VIEW_DENSE, VIEW_PADDED});
    assert_variant(rig, asked, algorithm_at("channels"), "9 input channels at once");
  }
}

/* Blocks of rows turned into channels: of any variant, with nothing beside a block's channels, and with more. */
static void blocks_of_rows_are_turned_into_channels(void **state) {
  static const int64_t channels[] = {4, 16, 6};
  static const enum view_kind kinds[] = {VIEW_LAST, VIEW_LAST, VIEW_LAST_PADDED};
  const struct rig *rig = *state;
  struct rng rng = {seed};
  for (size_t a = 0; t3_algorithm_at(a); ++a)
    for (size_t i = 0; i < 3; ++i) {
      struct asked asked = {.desc = layer_of(3, channels[i], 1, 21), .seed = seed + i};
      views_random(&rng, &rng, &asked.desc, asked.operation, (struct view_kinds){VIEW_ROWS_APART, VIEW_DENSE, kinds[i]});
      if (!serves(rig, &asked, a)) continue;
      const t3_candidate candidate = any_variant(rig, &asked, a, &rng);
      asked.candidate = &candidate;
      assert_non_null(call_check_both(rig, asked));
    }
}

/* ---- past the caches ---- */

/* A device that says it has next to no cache: whole lines of the cache are stored past it, where they are whole. */
static void results_stored_past_the_caches_keep_what_lies_between(void **state) {
  static const struct row rows[] = {{"phase", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_PADDED}},
                                    {"phase", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_ROWS}},
                                    {"rows", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_PADDED}},
                                    {"rows", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_ROWS}},
                                    {"phase", "4 channels x", {VIEW_PADDED, VIEW_DENSE, VIEW_LAST}},
                                    {"rows", "4 channels x", {VIEW_PADDED, VIEW_DENSE, VIEW_LAST}},
                                    {"channels", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_LAST}},
                                    {"channels", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_LAST_PADDED}},
                                    {"channels", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_PADDED}},
                                    {"channels", NULL, {VIEW_PADDED, VIEW_DENSE, VIEW_ROWS}}};
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  uint64_t cache_bytes = slot->info.cache_bytes;
  slot->info.cache_bytes = 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (uint64_t s = 0; s < 4; ++s) { /* y lies at a line of the cache, or not */
      struct asked asked = {.desc = i < 6 || i > 7 ? layer_of(2, 4, 1, 24) : layer_of(2, 32, 1, 5), .seed = seed + 10 * i + s};
      assert_int_equal(check_row(rig, asked, &rows[i]), 1);
    }
  slot->info.cache_bytes = cache_bytes;
}

/* Whether a program is told to store so, where the device has vectors as these words say; then results are right too. That
 * lines are filled whole shows in speed alone. */
static bool stores_together(const struct rig *rig, struct asked asked, const char *algorithm, const char *words,
                            const char *define) {
  t3_candidate candidate;
  t3_recipe recipe = {0};
  if (!find_variant(rig, &asked, algorithm_at(algorithm), words, &candidate)) return false;
  const t3_problem problem = problem_of(rig, &asked);
  assert_ok(candidate.algorithm->recipe(&problem, &candidate.variant, &recipe));
  assert_non_null(strstr(recipe.defines.data, define));
  t3_text_free(&recipe.defines);
  assert_variant(rig, asked, algorithm_at(algorithm), words);
  return true;
}

/* Vectors that fill a line only together: pairs of them, or four; not those of which two fill three lines. */
static void neighbouring_vectors_fill_lines_past_the_caches(void **state) {
  static const struct together {
    const char *algorithm, *words;
    int64_t stride;
    const char *define;
  } rows[] = {{"phase", "x 2 vectors of 8 x 1 residues along rows", 1, "\nSTREAM=2\n"},
              {"phase", "x 4 vectors of 4 x 1 residues along rows", 1, "\nSTREAM=4\n"},
              {"phase", "1 channels x 1 rows x 2 vectors of 8 x 3 residues along rows", 3, "\nSTREAM=0\n"},
              {"rows", "x 2 vectors of 8 x 2 residues", 1, "\nSTREAM=2\n"},
              {"rows", "x 4 vectors of 4 x 2 residues", 1, "\nSTREAM=4\n"}};
  static const enum view_kind kinds[] = {VIEW_PADDED, VIEW_ROWS};
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  uint64_t cache_bytes = slot->info.cache_bytes;
  int done = 0;
  slot->info.cache_bytes = 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (uint64_t s = 0; s < 4; ++s) { /* y lies at a line of the cache, or not */
      struct asked asked = {.desc = layer_of(2, 4, 1, 48), .seed = seed + 10 * i + s};
      struct rng rng = {asked.seed};
      asked.desc.stride[2] = asked.desc.kernel_size[2] = rows[i].stride;
      views_random(&rng, &rng, &asked.desc, asked.operation, (struct view_kinds){VIEW_PADDED, VIEW_DENSE, kinds[s % 2]});
      done += stores_together(rig, asked, rows[i].algorithm, rows[i].words, rows[i].define);
    }
  slot->info.cache_bytes = cache_bytes;
  assert_true(done >= 4); /* one of them at least */
}

/* ---- tuning ---- */

/* It measures in tensors of its own, which must have room for all strides. */
static void layers_in_any_layout_can_be_tuned(void **state) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_WEIGHT};
  const struct rig *rig = *state;
  for (size_t i = 0; i < 2; ++i) {
    tconv3d_desc desc = layer_of(4, 6, 2, 21);
    tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
    tconv3d_tune_result result;
    struct rng rng = {seed};
    views_random(&rng, &rng, &desc, operations[i], (struct view_kinds){VIEW_FLIPPED, VIEW_FLIPPED, VIEW_FLIPPED});
    options.operation = operations[i];
    options.seconds = 1e-3;
    options.max_candidates = 1;
    assert_ok(tconv3d_tune(rig->context, &desc, &options, &result));
    assert_true(result.measured > 0);
    assert_int_equal(result.skipped, 0);
  }
}

/* A layer is tuned in one layout: its plan is, that of the same layer in another is not; and the text of all tunings is right.
 */
static void a_tuning_is_of_one_layout(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = layer_of(6, 8, 2, 19);
  tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
  tconv3d_tune_result result;
  options.seconds = 1e-3;
  options.max_candidates = 1;
  desc.x_layout = desc.y_layout = desc.w_layout = TCONV3D_CHANNELS_LAST;
  assert_ok(tconv3d_tune(rig->context, &desc, &options, &result));
  if (!result.stored) skip();
  char *text = NULL;
  size_t exported = 0, imported = 0;
  assert_ok(tconv3d_tunings_export(&text, &exported));
  assert_ok(tconv3d_tunings_import(text, &imported));
  assert_int_equal(exported, imported);
  free(text);
  for (int dense = 0; dense < 3; ++dense) { /* 2: w alone is another */
    tconv3d_plan *plan = NULL;
    if (dense == 1) desc.y_layout = TCONV3D_DENSE;
    if (dense == 2) desc.y_layout = TCONV3D_CHANNELS_LAST, desc.w_layout = TCONV3D_DENSE;
    assert_ok(tconv3d_plan_create(rig->context, &desc, NULL, &plan));
    assert_int_equal(strstr(tconv3d_plan_explain(plan), "chosen as tuned") != NULL, dense == 0);
    tconv3d_plan_destroy(plan);
  }
}

static void the_gradient_of_the_bias_has_no_layouts_of_x_and_w(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = layer_of(6, 8, 2, 17);
  tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
  tconv3d_tune_result result;
  options.seconds = 1e-3;
  options.operation = TCONV3D_GRAD_BIAS;
  assert_ok(tconv3d_tune(rig->context, &desc, &options, &result));
  if (!result.stored) skip();
  tconv3d_plan_options plan_options = TCONV3D_PLAN_OPTIONS_INIT;
  plan_options.operation = TCONV3D_GRAD_BIAS;
  for (int of_y = 0; of_y < 2; ++of_y) {
    tconv3d_plan *plan = NULL;
    desc.x_layout = desc.w_layout = TCONV3D_CHANNELS_LAST;
    desc.y_layout = of_y ? TCONV3D_CHANNELS_LAST : TCONV3D_DENSE;
    assert_ok(tconv3d_plan_create(rig->context, &desc, &plan_options, &plan));
    assert_int_equal(strstr(tconv3d_plan_explain(plan), "chosen as tuned") != NULL, !of_y);
    tconv3d_plan_destroy(plan);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(residuals_lie_as_y_does_with_rows_from_channels),
      cmocka_unit_test(residuals_in_place_are_added_once_with_channels_last),
      cmocka_unit_test(residuals_in_place_lie_in_any_layout),
      cmocka_unit_test(depthwise_layers_go_with_channels_last),
      cmocka_unit_test(residues_take_turns_with_channels_last),
      cmocka_unit_test(x_is_turned_for_vectors_of_channels),
      cmocka_unit_test(channels_that_lie_apart_are_taken_at_once),
      cmocka_unit_test(channels_of_a_convolution_with_steps_are_taken_at_once),
      cmocka_unit_test(blocks_of_rows_are_turned_into_channels),
      cmocka_unit_test(results_stored_past_the_caches_keep_what_lies_between),
      cmocka_unit_test(neighbouring_vectors_fill_lines_past_the_caches),
      cmocka_unit_test(layers_in_any_layout_can_be_tuned),
      cmocka_unit_test(a_tuning_is_of_one_layout),
      cmocka_unit_test(the_gradient_of_the_bias_has_no_layouts_of_x_and_w),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
