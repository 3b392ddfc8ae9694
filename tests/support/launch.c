/* launch.c: see launch.h. */
#define _GNU_SOURCE
#include "support/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The doctor has every algorithm built, CLBlast among them, which takes minutes on a loaded machine under a sanitizer; a hang
 * takes for ever. */
static const double limit_seconds = 900;

static const char *command_path;

void launch_arguments(int argc, char **argv) {
  command_path = argc > 1 ? argv[1] : getenv("TCONV3D_COMMAND");
}

int launch_set_up(void **state) {
  static struct launch launch;
  char path[SCRATCH_PATH];
  struct process_result result;
  *state = &launch; /* first: cmocka tears down what could not be set up, too */
  if (!command_path) {
    print_error("the command's path is missing: give it as the first argument or in TCONV3D_COMMAND\n");
    return -1;
  }
  launch.command = realpath(command_path, NULL);
  assert_non_null(launch.command);
  scratch_open(&launch.scratch);
  /* What every test's environment names: a cache of this test's own, and a folder without drivers. The OpenCL runtime's cache
   * is the suite's: no command reads it, and CLBlast's kernels alone take a minute to compile. */
  static const char *const folders[] = {".cache", ".drivers"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    assert_int_equal(mkdir(scratch_path(&launch.scratch, folders[i], path), 0700), 0);
  launch_done(&launch, AS_THEY_ARE, "devices", &result);
  launch.has_device = strstr(result.out, " yes ") != NULL;
  process_free(&result);
  return 0;
}

int launch_tear_down(void **state) {
  struct launch *launch = *state;
  scratch_close(&launch->scratch);
  free(launch->command);
  return 0;
}

enum { MAX_WORDS = 64 };

/* Cuts text at its spaces into words[1], words[2] and so on; NULL after the last. */
static void split(char *text, const char *words[MAX_WORDS]) {
  size_t count = 1;
  char *rest = NULL;
  for (char *word = strtok_r(text, " ", &rest); word && count < MAX_WORDS - 1; word = strtok_r(NULL, " ", &rest))
    words[count++] = word;
  words[count] = NULL;
}

/* The leak checker looks at a process that has ended well, and gives up when a thread of the OpenCL runtime ends at that
 * moment. A command that had said nothing before was done then. */
static void pass_over_the_leak_checker(struct process_result *result) {
  const char *given_up = strstr(result->err, "LeakSanitizer has encountered a fatal error");
  const char *begin = strstr(result->err, "Tracer caught signal");
  if (!given_up || begin != result->err) return;
  result->exit_code = 0;
  result->err[0] = '\0';
  result->err_bytes = 0;
}

void launch(const struct launch *launch, enum launch_platforms platforms, const char *arguments,
            struct process_result *result) {
  char cache[SCRATCH_PATH + 32], drivers[SCRATCH_PATH + 32];
  const char *words[MAX_WORDS] = {launch->command}, *environment[8];
  char *copy = strdup(arguments);
  assert_non_null(copy);
  split(copy, words);
  snprintf(cache, sizeof cache, "TCONV3D_CACHE_DIR=%s/.cache", launch->scratch.folder);
  snprintf(drivers, sizeof drivers, "OCL_ICD_VENDORS=%s/.drivers", launch->scratch.folder);
  size_t count = 0;
  environment[count++] = cache;
  environment[count++] = "POSIXLY_CORRECT";
  environment[count++] = "ARGP_HELP_FMT";
  if (platforms == NO_PLATFORM) environment[count++] = drivers;
  environment[count] = NULL;
  struct process process = {words, environment, launch->scratch.folder, NULL, limit_seconds};
  bool ran = process_run(&process, result);
  free(copy);
  assert_true(ran);
  pass_over_the_leak_checker(result);
  if (result->timed_out) fail_msg("tconv3d %s: did not end in %.0f seconds", arguments, limit_seconds);
  if (result->exit_code < 0) fail_msg("tconv3d %s: ended by signal %d: %s", arguments, result->signal, result->err);
}

/* Every part of words, which are separated by '|', is in text. */
static bool has_words(const char *text, const char *words) {
  char copy[512];
  snprintf(copy, sizeof copy, "%s", words);
  for (char *rest = copy, *word; (word = strsep(&rest, "|")) != NULL;)
    if (!strstr(text, word)) return false;
  return true;
}

static bool is_one_line(const char *text) {
  const char *end = strchr(text, '\n');
  return end && end[1] == 0;
}

void launch_refused(const struct launch *l, enum launch_platforms platforms, const char *arguments, int exit_code,
                    const char *words) {
  static const char prefix[] = "tconv3d: error: ";
  struct process_result result;
  int names = scratch_count(&l->scratch);
  launch(l, platforms, arguments, &result);
  if (result.exit_code != exit_code)
    fail_msg("tconv3d %s: exit status %d, expected %d: %s", arguments, result.exit_code, exit_code, result.err);
  if (strncmp(result.err, prefix, strlen(prefix)) != 0 || !is_one_line(result.err))
    fail_msg("tconv3d %s: not one line of error: '%s'", arguments, result.err);
  if (!has_words(result.err, words)) fail_msg("tconv3d %s: '%s' lacks one of '%s'", arguments, result.err, words);
  if (result.out_bytes) fail_msg("tconv3d %s: stdout is not empty: %s", arguments, result.out);
  if (scratch_count(&l->scratch) != names) fail_msg("tconv3d %s: left a file behind", arguments);
  process_free(&result);
}

void launch_refuse_all(const struct launch *l, const struct refusal *rows, size_t count) {
  for (size_t i = 0; i < count; i++) launch_refused(l, NO_PLATFORM, rows[i].arguments, 2, rows[i].words);
}

void launch_keeps(const struct launch *l, const char *name, const char *arguments, int exit_code, const char *words) {
  static const char before[] = "earlier";
  size_t count;
  scratch_write(&l->scratch, name, before, strlen(before));
  launch_refused(l, NO_PLATFORM, arguments, exit_code, words);
  char *after = scratch_read(&l->scratch, name, &count);
  if (!after || strcmp(after, before) != 0) fail_msg("tconv3d %s: %s is not what it was", arguments, name);
  free(after);
}

void launch_done(const struct launch *l, enum launch_platforms platforms, const char *arguments,
                 struct process_result *result) {
  launch(l, platforms, arguments, result);
  if (result->exit_code != 0) fail_msg("tconv3d %s: exit status %d: %s", arguments, result->exit_code, result->err);
  if (result->err_bytes) fail_msg("tconv3d %s: stderr is not empty: %s", arguments, result->err);
}

void launch_says(const struct launch *l, enum launch_platforms platforms, const char *arguments, const char *words) {
  struct process_result result;
  launch_done(l, platforms, arguments, &result);
  if (!has_words(result.out, words)) fail_msg("tconv3d %s: one of '%s' is missing in: %s", arguments, words, result.out);
  process_free(&result);
}

void launch_numbers(const struct launch *launch, const char *name, enum npy_type type, int rank, const int64_t *shape,
                    int span) {
  char path[SCRATCH_PATH];
  struct npy array;
  struct fault fault = {0};
  assert_true(npy_make(&array, NPY_F32, rank, shape, &fault));
  for (size_t i = 0; i < array.count; i++)
    ((float *)array.data)[i] = (float)((int)((i * 7 + i / 11) % (size_t)(2 * span + 1)) - span);
  bool done = npy_convert(&array, type, &fault) && npy_write(scratch_path(&launch->scratch, name, path), &array, &fault);
  npy_free(&array);
  assert_true(done);
}

void launch_files(const struct launch *launch, const struct launch_file *files, size_t count) {
  for (size_t i = 0; i < count; i++) launch_numbers(launch, files[i].name, NPY_F32, files[i].rank, files[i].shape, 3);
}

void launch_no_arrays(const struct launch *launch, const char *to_cut) {
  char path[SCRATCH_PATH];
  size_t count;
  char *whole = scratch_read(&launch->scratch, to_cut, &count);
  assert_non_null(whole);
  scratch_write(&launch->scratch, "cut.npy", whole, count - 1);
  free(whole);
  scratch_write(&launch->scratch, "empty.npy", "", 0);
  scratch_write(&launch->scratch, "text.npy", "this is a text\n", 15);
  assert_int_equal(mkfifo(scratch_path(&launch->scratch, "pipe", path), 0600), 0);
}

void launch_array(const struct launch *launch, const char *name, struct npy *array) {
  char path[SCRATCH_PATH];
  struct fault fault = {0};
  if (!npy_read(scratch_path(&launch->scratch, name, path), name, array, &fault)) fail_msg("%s", fault.text);
}
