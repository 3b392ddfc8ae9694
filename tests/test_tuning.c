/* Tunings in the store and as a text: what is used, what is ignored, what is refused. */
#include "support/store_place.h"

#include <stdlib.h>
#include <string.h>

#include "plan/choose.h"
#include "plan/plan.h"
#include "tune/tuning.h"

static tconv3d_device_info device;

static int select_device(void **state) {
  (void)state;
  return tconv3d_device_select(NULL, &device) == TCONV3D_OK ? 0 : -1;
}

static t3_problem make_problem(int64_t width) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  t3_problem problem;
  t3_slot slot = {.info = device};
  desc.in_channels = 4, desc.out_channels = 6;
  desc.input_size[0] = 2, desc.input_size[1] = 3, desc.input_size[2] = width;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  assert_int_equal(t3_problem_init(&slot, &(t3_request){.desc = &desc}, &problem), TCONV3D_OK);
  return problem;
}

/* The library's own cache lies in the place too. */
static t3_store *open_cache(const place *here) {
  setenv("TCONV3D_CACHE_DIR", here->cache, 1);
  return open_store(here, T3_STORE_CAPACITY);
}

static t3_candidate predicted(const t3_problem *problem, const char *name) {
  t3_candidate candidate;
  t3_text explanation = {0};
  assert_int_equal(t3_choose(problem, NULL, name, NULL, &candidate, &explanation), TCONV3D_OK);
  assert_null(strstr(explanation.data, "tuned"));
  t3_text_free(&explanation);
  return candidate;
}

static bool same(const t3_candidate *a, const t3_candidate *b) {
  return a->algorithm == b->algorithm && !memcmp(&a->variant, &b->variant, sizeof a->variant);
}

/* An algorithm with more than one variant, and its variant that is predicted to be the slowest of those that fit. */
static t3_candidate unlikely(const t3_problem *problem) {
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    t3_candidate list[T3_MAX_VARIANTS];
    char why[160];
    if (!t3_applicable(problem, t3_algorithm_at(i), why, sizeof why)) continue;
    size_t count = t3_candidates(problem, t3_algorithm_at(i), list);
    while (count > 1 && !t3_candidate_fits(problem, &list[count - 1])) --count;
    if (count > 1) return list[count - 1];
  }
  fail_msg("no algorithm has two variants");
  return (t3_candidate){0};
}

static t3_tuning tuning_of(const t3_candidate *candidate) {
  t3_tuning tuning = {.variant = candidate->variant, .nanoseconds = 1500000};
  strcpy(tuning.algorithm, candidate->algorithm->name);
  return tuning;
}

/* Chooses with the store; whether the tuning was used. */
static bool uses_tuning(const t3_problem *problem, t3_store *store, const char *name, t3_candidate *chosen) {
  t3_text explanation = {0};
  assert_int_equal(t3_choose(problem, store, name, NULL, chosen, &explanation), TCONV3D_OK);
  bool used = strstr(explanation.data, "tuned (measured 1.500 ms): ") != NULL;
  t3_text_free(&explanation);
  return used;
}

static void a_stored_tuning_is_used_and_explained(void **state) {
  t3_store *store = open_cache(*state);
  t3_problem problem = make_problem(9);
  t3_candidate tuned = unlikely(&problem), chosen;
  t3_tuning tuning = tuning_of(&tuned);
  assert_false(uses_tuning(&problem, store, NULL, &chosen));
  assert_true(t3_tuning_keep(store, &problem, &tuning));
  assert_true(uses_tuning(&problem, store, NULL, &chosen));
  assert_true(same(&chosen, &tuned));
  t3_store_close(store);
}

static void a_plan_is_made_as_tuned(void **state) {
  t3_store *store = open_cache(*state);
  t3_problem problem = make_problem(5);
  t3_candidate tuned = unlikely(&problem);
  t3_tuning tuning = tuning_of(&tuned);
  assert_true(t3_tuning_keep(store, &problem, &tuning));
  t3_store_close(store);
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 4, desc.out_channels = 6;
  desc.input_size[0] = 2, desc.input_size[1] = 3, desc.input_size[2] = 5;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  tconv3d_context *context;
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_context_create(&device.device, 1, &context), TCONV3D_OK);
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  assert_true(same(&plan->chosen, &tuned));
  assert_non_null(strstr(tconv3d_plan_explain(plan), "chosen as tuned (measured 1.500 ms): "));
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void a_tuning_serves_a_named_algorithm_only_when_it_is_its_own(void **state) {
  t3_store *store = open_cache(*state);
  t3_problem problem = make_problem(9);
  t3_candidate tuned = unlikely(&problem), chosen;
  t3_tuning tuning = tuning_of(&tuned);
  assert_true(t3_tuning_keep(store, &problem, &tuning));
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    const t3_algorithm *algorithm = t3_algorithm_at(i);
    char why[160];
    if (!t3_applicable(&problem, algorithm, why, sizeof why)) continue;
    assert_int_equal(uses_tuning(&problem, store, algorithm->name, &chosen), algorithm == tuned.algorithm);
    assert_ptr_equal(chosen.algorithm, algorithm);
  }
  t3_store_close(store);
}

static void what_is_no_tuning_of_this_build_is_ignored(void **state) {
  static const char *const values[] = {
      "",
      "garbage",
      "nosuch 0 0 0 0 0 0 in 1500000 ns",
      "direct 7 7 7 7 7 7 in 1500000 ns",
      "phase 5 5 5 5 5 5 in 1500000 ns",
      "phase -1 -1 -1 -1 -1 -1 in 1500000 ns",
      "phase 9223372036854775807 1 1 1 0 0 in 1500000 ns",
      "phase 9223372036854775808 1 1 1 0 0 in 1500000 ns",
      "direct 0 0 0 0 0 0 in 99999999999999999999 ns",
      "direct 0 0 0 0 0 0 in 0 ns",
      "direct 0 0 0 0 0 0 in -5 ns",
      "direct 0 0 0 0 0 0 in 1500000 ms",
      "direct 0 0 0 0 0 0 in 1500000 ns ",
      "direct 0 0 0 0 0 in 1500000 ns",
      "direct 0 0 0 0 0 0 0 in 1500000 ns",
      " direct 0 0 0 0 0 0 in 1500000 ns",
      "direct  0 0 0 0 0 0 in 1500000 ns",
      "an_algorithm_of_a_very_long_name_indeed 0 0 0 0 0 0 in 1500000 ns",
      "direct 000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000000000000000000000000000000000000000000 0 0 0 0 0 in 1500000 ns"};
  t3_store *store = open_cache(*state);
  t3_problem problem = make_problem(9);
  t3_candidate expected = predicted(&problem, NULL), chosen;
  t3_text key = {0};
  t3_tuning_key(&problem, &key);
  for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
    t3_store_keep(store, key.data, key.size, values[i], strlen(values[i]));
    if (uses_tuning(&problem, store, NULL, &chosen)) fail_msg("used: %s", values[i]);
    assert_true(same(&chosen, &expected));
  }
  static const char cut[] = "direct 0 0 0 0 0 0 in 1500000 ns\0more";
  t3_store_keep(store, key.data, key.size, cut, sizeof cut);
  assert_false(uses_tuning(&problem, store, NULL, &chosen));
  t3_store_keep(store, key.data, key.size, cut, strlen(cut)); /* the right one, so that the wrong ones prove something */
  assert_true(uses_tuning(&problem, store, NULL, &chosen));
  t3_text_free(&key);
  t3_store_close(store);
}

static void another_device_driver_layer_or_compiler_setting_has_its_own_tuning(void **state) {
  t3_store *store = open_cache(*state);
  const t3_problem problem = make_problem(9);
  t3_problem other[] = {problem, problem, problem, problem, problem, problem, problem, make_problem(10)};
  const size_t count = sizeof other / sizeof *other;
  t3_candidate tuned = unlikely(&problem);
  t3_tuning tuning = tuning_of(&tuned), found;
  strcat(other[0].device.driver, "1");
  strcat(other[1].device.name, "1");
  strcat(other[2].device.platform_version, "1");
  ++other[3].device.compute_units;
  ++other[4].device.vector_width;
  other[5].layer.has_bias = !other[5].layer.has_bias;
  ++other[6].layer.batch;
  assert_true(t3_tuning_keep(store, &problem, &tuning));
  for (size_t i = 0; i < count; ++i)
    if (t3_tuning_find(store, &other[i], &found)) fail_msg("problem %zu finds a tuning that is not its own", i);
  setenv("POCL_TEST_SETTING", "1", 1);
  assert_false(t3_tuning_find(store, &problem, &found));
  unsetenv("POCL_TEST_SETTING");
  assert_true(t3_tuning_find(store, &problem, &found));
  assert_int_equal(found.nanoseconds, 1500000);
  assert_false(t3_tuning_find(NULL, &problem, &found));
  assert_false(t3_tuning_keep(NULL, &problem, &tuning));
  t3_store_close(store);
}

/* ---- as a text ---- */

static char *exported(size_t expected) {
  char *text;
  size_t count = 99;
  assert_int_equal(tconv3d_tunings_export(&text, &count), TCONV3D_OK);
  assert_int_equal(count, expected);
  return text;
}

static void tunings_come_back_from_their_text(void **state) {
  t3_store *store = open_cache(*state);
  t3_problem problems[4];
  for (int i = 0; i < 4; ++i) problems[i] = make_problem(7 + i);
  strcpy(problems[1].device.name, "another device"); /* kept, and used where it belongs */
  strcpy(problems[2].device.driver, "text with\n\na line between, and a = \xff");
  for (int i = 0; i < 4; ++i) {
    t3_tuning tuning = {.algorithm = "phase", .variant = {{i, -i, INT64_MAX, INT64_MIN, 0, 5}}, .nanoseconds = i + 1};
    assert_true(t3_tuning_keep(store, &problems[i], &tuning));
  }
  put_number(store, 1, 100); /* a program */
  char *text = exported(4);
  assert_int_equal(tconv3d_cache_clear(), TCONV3D_OK);
  free(exported(0));
  size_t count = 0;
  assert_int_equal(tconv3d_tunings_import(text, &count), TCONV3D_OK);
  assert_int_equal(count, 4);
  for (int i = 0; i < 4; ++i) {
    t3_tuning found;
    assert_true(t3_tuning_find(store, &problems[i], &found));
    assert_int_equal(found.nanoseconds, i + 1);
    assert_int_equal(found.variant.number[1], -i);
    assert_int_equal(found.variant.number[3], INT64_MIN);
  }
  char *again = exported(4);
  assert_string_equal(text, again);
  tconv3d_cache_info info;
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_int_equal(info.tunings, 4);
  assert_int_equal(info.entries, 4);
  free(text), free(again);
  t3_store_close(store);
}

#define HEAD "tconv3d tunings 1\n"
#define DEVICE "device\n  platform P\n"
#define LAYER "layer 1 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 bias f32"
#define GOOD LAYER " = phase 16 6 2 1 0 0 in 12345 ns\n"

static void a_text_may_be_edited_by_hand(void **state) {
  t3_store_close(open_cache(*state));
  size_t count = 0;
  assert_int_equal(tconv3d_tunings_import("\n# a comment\r\n" HEAD
                                          "\r\n\r\ndevice\r\n  platform P\r\n# between\n  driver D\n" GOOD
                                          "layer 01 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 plain f32 = direct 0 0 0 0 0 00 "
                                          "in 5 ns",
                                          &count),
                   TCONV3D_OK);
  assert_int_equal(count, 2);
  char *text = exported(2);
  assert_string_equal(text, HEAD "\ndevice\n  platform P\n  driver D\n" GOOD
                                 "layer 1 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 plain f32 = direct 0 0 0 0 0 0 in 5 ns\n");
  free(text);
  assert_int_equal(tconv3d_tunings_import(HEAD, &count), TCONV3D_OK);
  assert_int_equal(count, 0);
  free(exported(2));
}

static void a_wrong_text_is_refused_by_its_line_and_stores_nothing(void **state) {
  static const struct {
    const char *text, *line, *rule;
  } rows[] = {
      {"", "line 1:", "tconv3d tunings 1"},
      {"# nothing else\n", "line 1:", "tconv3d tunings 1"},
      {"tconv3d tunings 2\n" DEVICE GOOD, "line 1:", "tconv3d tunings 1"},
      {"tconv3d tunings 1 \n" DEVICE GOOD, "line 1:", "tconv3d tunings 1"},
      {DEVICE GOOD, "line 1:", "tconv3d tunings 1"},
      {HEAD GOOD, "line 2:", "device"},
      {HEAD "device\n" GOOD, "line 3:", "device"},
      {HEAD "  platform P\n" GOOD, "line 2:", "device"},
      {HEAD DEVICE GOOD "  driver D\n", "line 5:", "device"},
      {HEAD DEVICE GOOD "layers\n", "line 5:", "device"},
      {HEAD DEVICE GOOD " " GOOD, "line 5:", "device"},
      {HEAD DEVICE GOOD HEAD, "line 5:", "device"},
      {HEAD DEVICE GOOD LAYER "\n", "line 5:", "algorithm"},
      {HEAD DEVICE GOOD LAYER " = \n", "line 5:", "algorithm"},
      {HEAD DEVICE GOOD LAYER " = phase\n", "line 5:", "6 numbers"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 in 12345 ns\n", "line 5:", "6 numbers"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 6 7 in 12345 ns\n", "line 5:", "6 numbers"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 6 in 1.5 ns\n", "line 5:", "ns"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 6 in 0 ns\n", "line 5:", "ns"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 99999999999999999999 in 5 ns\n", "line 5:", "numbers"},
      {HEAD DEVICE GOOD LAYER " = ph-ase 1 2 3 4 5 6 in 5 ns\n", "line 5:", "algorithm"},
      {HEAD DEVICE GOOD LAYER " = phase 1 2 3 4 5 6 in 5 ns x\n", "line 5:", "ns"},
      {HEAD DEVICE GOOD "layer 1 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 bias f33 = phase 1 2 3 4 5 6 in 5 ns\n",
       "line 5:", "f32"},
      {HEAD DEVICE GOOD "layer 1 4 6 9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 bias f32 = phase 1 2 3 4 5 6 in 5 ns\n",
       "line 5:", "D,H,W"},
      {HEAD DEVICE GOOD "layer 1 4 6 2,3,9 3,3,3 2,0,2 0,0,0 0,0,0 1,1,1 1 bias f32 = phase 1 2 3 4 5 6 in 5 ns\n",
       "line 5:", "stride of axis H"},
      {HEAD DEVICE GOOD "layer 1 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 5 bias f32 = phase 1 2 3 4 5 6 in 5 ns\n",
       "line 5:", "groups"},
      {HEAD DEVICE GOOD "layer 9223372036854775808 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 bias f32 = phase 1 2 3 4 5 6 in 5 "
                        "ns\n",
       "line 5:", "layer"},
      {HEAD DEVICE GOOD "layer 9223372036854775807 4 6 2,3,9 3,3,3 2,2,2 0,0,0 0,0,0 1,1,1 1 bias f32 = phase 1 2 3 4 5 6 in 5 "
                        "ns\n",
       "line 5:", "63 bits"},
  };
  t3_store_close(open_cache(*state));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    size_t count = 7;
    assert_int_equal(tconv3d_tunings_import(rows[i].text, &count), TCONV3D_INVALID_PARAMETER);
    assert_int_equal(count, 7);
    if (!strstr(tconv3d_message(), rows[i].line) || !strstr(tconv3d_message(), rows[i].rule))
      fail_msg("text %zu: no '%s' and '%s' in: %s", i, rows[i].line, rows[i].rule, tconv3d_message());
  }
  free(exported(0));
  assert_int_equal(tconv3d_tunings_import(NULL, NULL), TCONV3D_INVALID_ARGUMENT);
  assert_int_equal(tconv3d_tunings_export(NULL, NULL), TCONV3D_INVALID_ARGUMENT);
}

static void rows_that_are_no_tunings_are_left_out_of_the_text(void **state) {
  static const struct {
    const char *key, *value;
  } rows[] = {
      {T3_TUNING_PREFIX, "phase 1 2 3 4 5 6 in 5 ns"},
      {T3_TUNING_PREFIX "platform P\n", "phase 1 2 3 4 5 6 in 5 ns"},
      {T3_TUNING_PREFIX "platform P\nlayer 1", "phase 1 2 3 4 5 6 in 5 ns"},
      {T3_TUNING_PREFIX LAYER, "phase 1 2 3 4 5 6 in 5 ns"},
      {T3_TUNING_PREFIX "platform P\n" LAYER, "phase"},
      {T3_TUNING_PREFIX "platform P\n" LAYER " ", "phase 1 2 3 4 5 6 in 5 ns"},
  };
  t3_store *store = open_cache(*state);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    t3_store_keep(store, rows[i].key, strlen(rows[i].key), rows[i].value, strlen(rows[i].value));
  assert_int_equal(tconv3d_tunings_import("wrong", NULL), TCONV3D_INVALID_PARAMETER);
  char *message = strdup(tconv3d_message()), *text = exported(0);
  assert_string_equal(text, HEAD);
  assert_string_equal(tconv3d_message(), message); /* a call that succeeds leaves it */
  free(message), free(text);
  t3_store_close(store);
}

static void without_a_cache_nothing_is_exported_and_an_import_says_why(void **state) {
  (void)state;
  setenv("TCONV3D_CACHE_DIR", "/dev/null/nowhere", 1);
  char *text = exported(0);
  assert_string_equal(text, HEAD);
  free(text);
  assert_int_equal(tconv3d_tunings_import(HEAD DEVICE GOOD, NULL), TCONV3D_NO_CACHE);
  assert_non_null(strstr(tconv3d_message(), "cannot be stored"));
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(a_stored_tuning_is_used_and_explained),
      STORE_TEST(a_plan_is_made_as_tuned),
      STORE_TEST(a_tuning_serves_a_named_algorithm_only_when_it_is_its_own),
      STORE_TEST(what_is_no_tuning_of_this_build_is_ignored),
      STORE_TEST(another_device_driver_layer_or_compiler_setting_has_its_own_tuning),
      STORE_TEST(tunings_come_back_from_their_text),
      STORE_TEST(a_text_may_be_edited_by_hand),
      STORE_TEST(a_wrong_text_is_refused_by_its_line_and_stores_nothing),
      STORE_TEST(rows_that_are_no_tunings_are_left_out_of_the_text),
      STORE_TEST(without_a_cache_nothing_is_exported_and_an_import_says_why),
  };
  return cmocka_run_group_tests_name("tuning", tests, select_device, NULL);
}
