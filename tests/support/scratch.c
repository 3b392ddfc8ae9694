/* scratch.c: see scratch.h. */
#define _GNU_SOURCE
#include "support/scratch.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_open(struct scratch *scratch) {
  const char *base = getenv("TMPDIR");
  snprintf(scratch->folder, sizeof scratch->folder, "%s/tconv3d-test-XXXXXX", base && *base ? base : "/tmp");
  assert_non_null(mkdtemp(scratch->folder));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
  (void)status, (void)kind, (void)walk;
  return remove(path);
}

static void remove_tree(const char *path) {
  chmod(path, 0700); /* a test may have taken the right to change it */
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_close(struct scratch *scratch) {
  remove_tree(scratch->folder);
}

int scratch_set_up(void **state) {
  static struct scratch scratch;
  *state = &scratch; /* first: cmocka tears down what could not be set up, too */
  scratch_open(&scratch);
  return 0;
}

int scratch_tear_down(void **state) {
  scratch_close(*state);
  return 0;
}

const char *scratch_path(const struct scratch *scratch, const char *name, char text[SCRATCH_PATH]) {
  snprintf(text, SCRATCH_PATH, "%s/%s", scratch->folder, name);
  return text;
}

void scratch_write(const struct scratch *scratch, const char *name, const void *bytes, size_t count) {
  char path[SCRATCH_PATH];
  FILE *file = fopen(scratch_path(scratch, name, path), "wb");
  assert_non_null(file);
  size_t written = fwrite(bytes, 1, count, file);
  assert_int_equal(fclose(file), 0);
  assert_int_equal(written, count);
}

char *scratch_read(const struct scratch *scratch, const char *name, size_t *count) {
  char path[SCRATCH_PATH];
  FILE *file = fopen(scratch_path(scratch, name, path), "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  char *bytes = length < 0 ? NULL : malloc((size_t)length + 1);
  *count = bytes ? fread(bytes, 1, (size_t)length, file) : 0;
  fclose(file);
  assert_non_null(bytes);
  bytes[*count] = 0;
  return bytes;
}

int scratch_count(const struct scratch *scratch) {
  int count = -2; /* "." and ".." */
  DIR *folder = opendir(scratch->folder);
  assert_non_null(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

void scratch_remove(const struct scratch *scratch, const char *name) {
  char path[SCRATCH_PATH];
  remove_tree(scratch_path(scratch, name, path));
}
