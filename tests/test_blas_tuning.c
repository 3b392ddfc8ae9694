/* CLBlast's parameters as numbers and texts: what may be told to it, what is stored, what is believed. Needs no CLBlast. */
#include "support/store_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blas/blas.h"
#include "tune/blas_tuning.h"
#include "tune/exchange.h"

static tconv3d_device_info device;

static int select_device(void **state) {
  (void)state;
  return tconv3d_device_select(getenv("TCONV3D_TEST_DEVICE"), &device) == TCONV3D_OK ? 0 : -1;
}

/* A device that can have any of them. */
static tconv3d_device_info large_device(cl_device_type type) {
  return (tconv3d_device_info){.type = type, .work_group_size = 1024, .local_bytes = 48 << 10};
}

static t3_blas_tuning first_tuning(void) {
  t3_blas_tuning tuning = {.nanoseconds = 2684355};
  assert_int_equal(t3_blas_candidate(&device, 0, &tuning.parameters), T3_BLAS_XGEMM);
  tuning.parameters.from = 256;
  return tuning;
}

/* ---- which are right ---- */

static void every_candidate_is_right_and_each_is_listed_once(void **state) {
  static const cl_device_type types[] = {CL_DEVICE_TYPE_CPU, CL_DEVICE_TYPE_GPU};
  size_t counts[2] = {0};
  (void)state;
  for (int t = 0; t < 2; ++t) {
    const tconv3d_device_info large = large_device(types[t]);
    t3_blas_parameters list[64];
    size_t directs = 0;
    for (t3_blas_step step; (step = t3_blas_candidate(&large, counts[t], &list[counts[t]])) != T3_BLAS_END;) {
      t3_blas_parameters *now = &list[counts[t]];
      assert_int_equal(now->from, step == T3_BLAS_DIRECT ? T3_BLAS_BETWEEN : 0);
      directs += step == T3_BLAS_DIRECT;
      if (step == T3_BLAS_DIRECT) {
        assert_true(counts[t] > 0);
        memcpy(now->xgemm, list[counts[t] - 1].xgemm, sizeof now->xgemm); /* as the search does */
      }
      if (!t3_xgemm_valid(now->xgemm, &large, 4)) fail_msg("xgemm of candidate %zu of kind %d", counts[t], t);
      if (!t3_direct_valid(now->direct, &large, 4)) fail_msg("direct of candidate %zu of kind %d", counts[t], t);
      for (size_t i = 0; i < counts[t]; ++i) assert_memory_not_equal(now, &list[i], sizeof *now);
      assert_true(++counts[t] < 64);
    }
    assert_true(directs > 1);
  }
  assert_true(counts[0] > 8 && counts[1] > 8);
  t3_blas_parameters cpu, gpu;
  const tconv3d_device_info devices[] = {large_device(types[0]), large_device(types[1])};
  assert_int_equal(t3_blas_candidate(&devices[0], 0, &cpu), T3_BLAS_XGEMM);
  assert_int_equal(t3_blas_candidate(&devices[1], 0, &gpu), T3_BLAS_XGEMM);
  assert_memory_not_equal(&cpu, &gpu, sizeof cpu);
}

/* In the order of the names. */
static const t3_blas_parameters right = {
    .xgemm = {0, 1, 32, 2, 8, 16, 128, 8, 8, 64, 1, 1, 0, 0, 4, 4}, .direct = {2, 8, 8, 8, 8, 0, 0, 4, 4, 32}, .from = 256};

static void what_does_not_divide_or_fit_is_wrong(void **state) {
  static const struct {
    int kernel; /* 0: xgemm, 1: direct, 2: from */
    int index;
    int64_t value;
  } rows[] = {
      {0, 0, 1}, /* another kernel */
      {0, 1, 2}, /* registers, of that one */
      {0, 2, 0},   {0, 2, 31},  {0, 3, 3},  {0, 4, 0},   {0, 4, 64}, {0, 5, 12},        {0, 6, 96}, {0, 6, -128},
      {0, 6, 512}, {0, 7, 3},   {0, 8, 0},  {0, 9, 8},   {0, 10, 2}, {0, 12, 2},        {0, 14, 3}, {0, 14, 16},
      {0, 15, 0},  {0, 15, 32}, {1, 0, 0},  {1, 0, 3},   {1, 1, 16}, {1, 2, 5},         {1, 3, -8}, {1, 5, 2},
      {1, 7, 0},   {1, 8, 8},   {1, 9, 24}, {1, 9, 512}, {2, 0, -1}, {2, 0, INT64_MAX},
  };
  const tconv3d_device_info large = large_device(CL_DEVICE_TYPE_GPU);
  (void)state;
  assert_true(t3_blas_valid(&right, &large, 4));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    t3_blas_parameters wrong = right;
    *(rows[i].kernel == 0   ? &wrong.xgemm[rows[i].index]
      : rows[i].kernel == 1 ? &wrong.direct[rows[i].index]
                            : &wrong.from) = rows[i].value;
    if (t3_blas_valid(&wrong, &large, 4)) fail_msg("row %zu is taken for right", i);
  }
  tconv3d_device_info small = large;
  small.work_group_size = 127;
  assert_false(t3_blas_valid(&right, &small, 4));
  small = large, small.local_bytes = 24575; /* (128 + 64) * 32 * 4 */
  assert_false(t3_blas_valid(&right, &small, 4));
  small.local_bytes = 24576;
  assert_true(t3_blas_valid(&right, &small, 4));
  assert_false(t3_blas_valid(&right, &small, 8));
}

/* ---- as a text ---- */

static void a_tuning_comes_back_from_its_text(void **state) {
  static const char *const wrong[] = {
      "",
      "xgemm",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 ns",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 0 ns",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 ns ",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 in 5 ns",
  };
  t3_text text = {0};
  t3_blas_tuning tuning = {right, 5}, back;
  (void)state;
  t3_blas_tuning_print(&tuning, &text);
  assert_string_equal(text.data, "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 ns");
  assert_true(t3_blas_tuning_parse(text.data, &back));
  assert_memory_equal(&back, &tuning, sizeof back);
  t3_text_free(&text);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
    if (t3_blas_tuning_parse(wrong[i], &back)) fail_msg("text %zu is taken for right", i);
}

/* ---- in the store ---- */

static t3_store *open_cache(const place *here) {
  setenv("TCONV3D_CACHE_DIR", here->cache, 1);
  return open_store(here, T3_STORE_CAPACITY);
}

static void each_device_driver_version_and_type_has_its_own(void **state) {
  t3_store *store = open_cache(*state);
  t3_blas_tuning tuning = first_tuning(), found;
  tconv3d_device_info other = device;
  assert_int_equal(t3_blas_tuning_find(store, &device, "1.5.3", false, &found), T3_BLAS_NOTHING);
  assert_true(t3_blas_tuning_keep(store, &device, "1.5.3", false, &tuning));
  assert_int_equal(t3_blas_tuning_find(store, &device, "1.5.3", false, &found), T3_BLAS_FOUND);
  assert_memory_equal(&found, &tuning, sizeof found);
  assert_int_equal(t3_blas_tuning_find(store, &device, "1.6.3", false, &found), T3_BLAS_NOTHING);
  assert_int_equal(t3_blas_tuning_find(store, &device, "1.5.3", true, &found), T3_BLAS_NOTHING);
  strcpy(other.driver, "another");
  assert_int_equal(t3_blas_tuning_find(store, &other, "1.5.3", false, &found), T3_BLAS_NOTHING);
  other = device, strcpy(other.name, "another");
  assert_int_equal(t3_blas_tuning_find(store, &other, "1.5.3", false, &found), T3_BLAS_NOTHING);
  assert_int_equal(t3_blas_tuning_find(NULL, &device, "1.5.3", false, &found), T3_BLAS_NOTHING);
  t3_store_close(store);
}

/* The stored row's key, by the text of an export: "device" and two blanks are what the text adds. */
static char *key_of(t3_store *store) {
  t3_blas_tuning tuning = first_tuning();
  char *text, *key = calloc(1, 1 << 16);
  assert_true(t3_blas_tuning_keep(store, &device, *t3_blas_version() ? t3_blas_version() : "1.5.3", false, &tuning));
  assert_int_equal(tconv3d_tunings_export(&text, NULL), TCONV3D_OK);
  strcat(key, T3_TUNING_PREFIX);
  for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    char *equals = strstr(line, " = ");
    if (!strncmp(line, "  ", 2)) strcat(strcat(key, line + 2), "\n");
    if (strncmp(line, "clblast ", 8) != 0) continue;
    assert_non_null(equals);
    *equals = '\0';
    strcat(key, line);
  }
  free(text);
  return key;
}

static void what_is_damaged_is_seen_and_not_believed(void **state) {
  static const char *const values[] = {
      "",
      "nonsense",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 n",
      "xgemm 0 1 31 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 ns",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 31 from 256 in 5 ns",
      "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from -5 in 5 ns",
  };
  t3_store *store = open_cache(*state);
  char *key = key_of(store);
  t3_blas_tuning found;
  tconv3d_clblast_info info;
  const bool there = *t3_blas_version();
  assert_int_equal(tconv3d_clblast_query(device.device, TCONV3D_F32, &info), TCONV3D_OK);
  assert_string_equal(info.version, t3_blas_version());
  assert_true(info.tuned == there && !info.damaged);
  for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
    t3_store_keep(store, key, strlen(key), values[i], strlen(values[i]));
    assert_int_equal(t3_blas_tuning_find(store, &device, there ? info.version : "1.5.3", false, &found), T3_BLAS_DAMAGED);
    assert_int_equal(tconv3d_clblast_query(device.device, TCONV3D_F32, &info), TCONV3D_OK);
    assert_true(!info.tuned && info.damaged == there && info.flops_per_second == 0 && !*info.parameters);
    if (there) t3_blas_use_tuning(store, &device, false);
    t3_blas_parameters used;
    assert_false(t3_blas_used(device.device, false, &used));
  }
  assert_int_equal(tconv3d_clblast_query(NULL, TCONV3D_F32, &info), TCONV3D_OK);
  assert_int_equal(tconv3d_clblast_query(NULL, TCONV3D_F16, &info), TCONV3D_INVALID_PARAMETER);
  assert_int_equal(tconv3d_clblast_query(NULL, TCONV3D_F32, NULL), TCONV3D_INVALID_ARGUMENT);
  free(key);
  t3_store_close(store);
}

/* ---- on their way to another cache ---- */

static void an_export_carries_them_and_an_import_takes_them(void **state) {
  t3_store *store = open_cache(*state);
  t3_blas_tuning tuning = first_tuning(), found;
  char *text, *again;
  size_t count = 0;
  assert_true(t3_blas_tuning_keep(store, &device, "1.5.3", false, &tuning));
  tuning.nanoseconds = 7;
  assert_true(t3_blas_tuning_keep(store, &device, "1.5.3", true, &tuning) || !t3_blas_valid(&tuning.parameters, &device, 8));
  assert_int_equal(tconv3d_tunings_export(&text, &count), TCONV3D_OK);
  assert_int_equal(count, 2);
  assert_non_null(strstr(text, "\nclblast 1.5.3 f32 = xgemm 0 1 "));
  assert_int_equal(tconv3d_cache_clear(), TCONV3D_OK);
  assert_int_equal(tconv3d_tunings_import(text, &count), TCONV3D_OK);
  assert_int_equal(count, 2);
  assert_int_equal(t3_blas_tuning_find(store, &device, "1.5.3", false, &found), T3_BLAS_FOUND);
  assert_int_equal(found.nanoseconds, 2684355);
  assert_int_equal(tconv3d_tunings_export(&again, &count), TCONV3D_OK);
  assert_string_equal(text, again);
  free(text), free(again);
  t3_store_close(store);
}

#define HEAD "tconv3d tunings 1\ndevice\n  platform P\n"
#define VALUE "xgemm 0 1 32 2 8 16 128 8 8 64 1 1 0 0 4 4 direct 2 8 8 8 8 0 0 4 4 32 from 256 in 5 ns"

static void a_wrong_line_is_refused(void **state) {
  static const char *const texts[] = {
      "tconv3d tunings 1\n\nclblast 1.5.3 f32 = " VALUE "\n",
      HEAD "clblast 1.5.3 = " VALUE "\n",
      HEAD "clblast x f32 = " VALUE "\n",
      HEAD "clblast 1.5.3 f32 " VALUE "\n",
      HEAD "clblast 1.5.3 f32 = phase 16 6 2 1 0 0 in 12345 ns\n",
      HEAD "clblast 1.5.3 f32 = " VALUE " \n",
  };
  size_t count = 9;
  t3_store_close(open_cache(*state));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    if (tconv3d_tunings_import(texts[i], &count) != TCONV3D_INVALID_PARAMETER) fail_msg("text %zu is taken", i);
    assert_non_null(strstr(tconv3d_message(), i ? "line 4" : "line 3"));
  }
  assert_int_equal(tconv3d_tunings_import(HEAD "clblast 1.5.3 f32 = " VALUE, &count), TCONV3D_OK);
  assert_int_equal(count, 1);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_candidate_is_right_and_each_is_listed_once),
      cmocka_unit_test(what_does_not_divide_or_fit_is_wrong),
      cmocka_unit_test(a_tuning_comes_back_from_its_text),
      STORE_TEST(each_device_driver_version_and_type_has_its_own),
      STORE_TEST(what_is_damaged_is_seen_and_not_believed),
      STORE_TEST(an_export_carries_them_and_an_import_takes_them),
      STORE_TEST(a_wrong_line_is_refused),
  };
  return cmocka_run_group_tests_name("blas_tuning", tests, select_device, NULL);
}
