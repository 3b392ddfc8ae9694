/* test_train.c: the training demo learns, says the same twice, and refuses wrong use in one line. Its path is argv[1]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/process.h"
#include "support/scratch.h"

enum { MOST_ARGUMENTS = 8 };

static char *program; /* in full, because it runs in another folder */
static struct scratch scratch;

/* Runs the program in the scratch folder with up to MOST_ARGUMENTS - 2 arguments, NULL last. */
static void run(const char *const *arguments, struct process_result *result) {
  const char *all[MOST_ARGUMENTS] = {program};
  for (int i = 0; arguments[i]; ++i) all[i + 1] = arguments[i];
  const struct process process = {.arguments = all, .folder = scratch.folder, .seconds = 300};
  assert_true(process_run(&process, result));
}

static void train(const char *seed, struct process_result *result) {
  const char *const arguments[] = {"--steps", "600", "--seed", seed, NULL};
  run(arguments, result);
  if (result->exit_code != 0) fail_msg("%s", result->err);
  assert_int_equal(result->err_bytes, 0);
}

/* The number after the row's name in what the program printed. */
static double number_after(const char *text, const char *name) {
  double number;
  const char *at = strstr(text, name);
  assert_non_null(at);
  assert_int_equal(sscanf(at + strlen(name), "%lf", &number), 1);
  return number;
}

static void the_loss_falls_and_held_out_planes_are_restored(void **state) {
  (void)state;
  struct process_result result;
  size_t bytes;
  train("1", &result);
  assert_true(number_after(result.out, "\n    600") < number_after(result.out, "\n     60") / 4);
  assert_true(number_after(result.out, "\ntrained") < number_after(result.out, "\nuntrained") / 10);
  assert_true(number_after(result.out, "\ntrilinear") < number_after(result.out, "\nnearest voxel"));
  char *png = scratch_read(&scratch, "train.png", &bytes);
  assert_non_null(png);
  assert_true(bytes > 1000 && !memcmp(png, "\x89PNG\r\n\x1a\n", 8));
  free(png);
  process_free(&result);
}

static void a_seed_decides_every_number(void **state) {
  (void)state;
  struct process_result first, second, other;
  train("7", &first);
  train("7", &second);
  train("8", &other);
  assert_string_equal(first.out, second.out); /* has the fingerprint of every loss's bits in it */
  assert_string_not_equal(first.out, other.out);
  process_free(&first);
  process_free(&second);
  process_free(&other);
}

static void wrong_use_is_one_line_and_leaves_no_file(void **state) {
  (void)state;
  static const struct {
    const char *arguments[4], *word;
  } cases[] = {
      {{"--steps", "0"}, "--steps"},
      {{"--steps", "many"}, "--steps"},
      {{"--seed", "1.5"}, "--seed"},
      {{"--out", "nowhere"}, "nowhere/train.png"},
      {{"--device", "no such device"}, "no such device"},
      {{"absent.nii"}, "absent.nii"},
      {{"one.nii", "two.nii"}, "two.nii"},
  };
  const int before = scratch_count(&scratch);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    struct process_result result;
    run(cases[i].arguments, &result);
    assert_int_equal(result.exit_code, 2);
    assert_non_null(strstr(result.err, cases[i].word));
    assert_int_equal(strncmp(result.err, "train: error: ", 14), 0);
    assert_ptr_equal(strchr(result.err, '\n'), result.err + result.err_bytes - 1);
    process_free(&result);
  }
  assert_int_equal(scratch_count(&scratch), before);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_loss_falls_and_held_out_planes_are_restored),
      cmocka_unit_test(a_seed_decides_every_number),
      cmocka_unit_test(wrong_use_is_one_line_and_leaves_no_file),
  };
  if (argc < 2) return 1;
  program = realpath(argv[1], NULL);
  if (!program) return 1;
  scratch_open(&scratch);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_close(&scratch);
  free(program);
  return failed;
}
