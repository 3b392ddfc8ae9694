#define _GNU_SOURCE 1 /* syscall */
#include "support/store_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the place of the C library's, so that entries can be hours old. */
time_t clock_ahead;

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += clock_ahead;
  return result;
}

int make_place(void **state) {
  place *here = calloc(1, sizeof *here);
  if (!here) return -1;
  scratch_open(&here->scratch);
  scratch_path(&here->scratch, "cache", here->cache);
  scratch_path(&here->scratch, "cache/cache.db", here->file);
  scratch_path(&here->scratch, "cache/cache.db-journal", here->journal);
  clock_ahead = 0;
  *state = here;
  return 0;
}

int remove_place(void **state) {
  place *here = *state;
  scratch_remove(&here->scratch, "cache"); /* by itself: it may be one that cannot be written */
  scratch_close(&here->scratch);
  free(here);
  return 0;
}

bool without_sqlite(void) {
  char reason[192] = "";
  bool exists;
  return !t3_store_check("/", &exists, reason, sizeof reason) && strstr(reason, "without SQLite");
}

t3_store *open_store(const place *here, uint64_t capacity) {
  char reason[192] = "";
  if (without_sqlite()) skip();
  t3_store *store = t3_store_open(here->cache, capacity, reason, sizeof reason);
  if (!store) fail_msg("the store does not open: %s", reason);
  return store;
}

void fill(unsigned char *bytes, size_t size, uint64_t number) {
  uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = (unsigned char)(state >> 56);
  }
}

void put_number(t3_store *store, uint64_t number, size_t size) {
  unsigned char *value = malloc(size + 1);
  if (!value) return;
  fill(value, size, number);
  t3_store_put(store, &number, sizeof number, value, size);
  free(value);
}

answer get_number(t3_store *store, uint64_t number, size_t size) {
  void *value;
  size_t got;
  if (!t3_store_get(store, &number, sizeof number, &value, &got)) return MISS;
  unsigned char *expected = malloc(size + 1);
  if (expected) fill(expected, size, number);
  bool right = expected && got == size && (size == 0 || memcmp(value, expected, size) == 0);
  free(expected);
  free(value);
  return right ? RIGHT : WRONG;
}

void write_file(const char *path, const void *bytes, size_t size) {
  unlink(path);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes, size), (ssize_t)size);
  close(file);
}

unsigned char *read_image(const place *here, size_t *size) {
  char *bytes = scratch_read(&here->scratch, "cache/cache.db", size);
  assert_non_null(bytes);
  return (unsigned char *)bytes;
}

void child_succeeds(pid_t child) {
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("a child ended with wait status %#x", (unsigned)status);
}

const size_t small_sizes[SMALL_ENTRIES] = {5, 0, 900};

unsigned char *small_image(const place *here, size_t *size) {
  t3_store *store = open_store(here, ROOM);
  for (uint64_t i = 0; i < SMALL_ENTRIES; ++i) put_number(store, i, small_sizes[i]);
  t3_store_close(store);
  return read_image(here, size);
}
