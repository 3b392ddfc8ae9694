/* test_output.c: outputs of the command appear whole or not at all. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/output.h"
#include "support/scratch.h"

static void an_output_replaces_the_old_file_only_when_it_is_committed(void **state) {
  const struct scratch *scratch = *state;
  char path[SCRATCH_PATH], *text;
  struct output output;
  struct fault fault = {0};
  size_t count;
  scratch_write(scratch, "out", "old", 3);
  assert_int_equal(chmod(scratch_path(scratch, "out", path), 0640), 0);
  int names = scratch_count(scratch);
  assert_true(output_open(&output, path, &fault));
  fputs("new", output.stream);
  output_abandon(&output);
  assert_int_equal(scratch_count(scratch), names);
  text = scratch_read(scratch, "out", &count);
  assert_string_equal(text, "old");
  free(text);
  assert_true(output_open(&output, path, &fault));
  fputs("new", output.stream);
  assert_true(output_commit(&output, &fault));
  output_abandon(&output);
  assert_int_equal(scratch_count(scratch), names);
  text = scratch_read(scratch, "out", &count);
  assert_string_equal(text, "new");
  free(text);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0640);
}

static void a_new_output_takes_its_permissions_from_the_umask(void **state) {
  char path[SCRATCH_PATH];
  struct output output;
  struct fault fault = {0};
  struct stat status;
  mode_t old = umask(027);
  bool opened = output_open(&output, scratch_path(*state, "fresh", path), &fault);
  umask(old);
  assert_true(opened);
  assert_true(output_commit(&output, &fault));
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0640);
}

static void a_link_to_an_output_stays_a_link(void **state) {
  char link[SCRATCH_PATH];
  struct output output;
  struct fault fault = {0};
  struct stat status;
  size_t count;
  scratch_write(*state, "target", "old", 3);
  assert_int_equal(symlink("target", scratch_path(*state, "link", link)), 0);
  assert_true(output_open(&output, link, &fault));
  fputs("new", output.stream);
  assert_true(output_commit(&output, &fault));
  assert_int_equal(lstat(link, &status), 0);
  assert_true(S_ISLNK(status.st_mode));
  char *text = scratch_read(*state, "target", &count);
  assert_string_equal(text, "new");
  free(text);
}

static void an_output_that_cannot_be_is_refused(void **state) {
  static const struct {
    const char *name;
    int exit_code;
  } rows[] = {{"no/such/folder/y", EXIT_WRONG_USE}, {"", EXIT_WRONG_USE}, {"y/", EXIT_WRONG_USE}, {"file/y", EXIT_WRONG_USE}};
  const struct scratch *scratch = *state;
  scratch_write(scratch, "file", "x", 1);
  int names = scratch_count(scratch);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[SCRATCH_PATH];
    struct output output;
    struct fault fault = {0};
    assert_false(output_open(&output, scratch_path(scratch, rows[i].name, path), &fault));
    assert_int_equal(fault.exit_code, rows[i].exit_code);
    assert_non_null(strstr(fault.text, path));
    output_abandon(&output);
    assert_int_equal(scratch_count(scratch), names);
  }
}

static void a_full_disk_is_a_fault_of_the_commit(void **state) {
  struct output output;
  struct fault fault = {0};
  (void)state;
  if (access("/dev/full", W_OK)) skip();
  assert_true(output_open(&output, "/dev/full", &fault));
  fputs("new", output.stream);
  assert_false(output_commit(&output, &fault));
  assert_int_equal(fault.exit_code, EXIT_OTHER);
  assert_non_null(strstr(fault.text, "/dev/full"));
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_output_replaces_the_old_file_only_when_it_is_committed),
      cmocka_unit_test(a_new_output_takes_its_permissions_from_the_umask),
      cmocka_unit_test(a_link_to_an_output_stays_a_link),
      cmocka_unit_test(an_output_that_cannot_be_is_refused),
      cmocka_unit_test(a_full_disk_is_a_fault_of_the_commit),
  };
  return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
