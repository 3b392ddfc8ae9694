/* The program store on damaged files, and on files and disks that cannot be written. */
#include "support/store_place.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- damaged files ---- */

/* With these bytes as the file: no wrong value, and a put and get that work. */
static void survives(const place *here, const void *bytes, size_t size, const char *what, size_t where) {
  write_file(here->file, bytes, size);
  t3_store *store = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
  bool sound = store != NULL;
  for (uint64_t i = 0; i < SMALL_ENTRIES && sound; ++i) sound = get_number(store, i, small_sizes[i]) != WRONG;
  const uint64_t number = where % 2 ? SMALL_ENTRIES - 1 : SMALL_ENTRIES; /* an old key and a new one by turns */
  put_number(store, number, 1500);
  sound = sound && get_number(store, number, 1500) == RIGHT;
  t3_store_close(store);
  if (!sound) fail_msg("%s %zu of %zu bytes is not survived", what, where, size);
}

static void any_flipped_bit_gives_the_right_value_or_a_miss(void **state) {
  const place *here = *state;
  size_t size;
  unsigned char *image = small_image(here, &size);
  for (size_t i = 0; i < size; ++i) {
    const unsigned char was = image[i];
    image[i] = (unsigned char)(was ^ 1u << i % 8);
    survives(here, image, size, "a flipped bit in byte", i);
    image[i] = was;
  }
  for (size_t i = 0; i < 8 * 108; ++i) { /* every bit of the file's and the first page's header */
    const unsigned char was = image[i / 8];
    image[i / 8] = (unsigned char)(was ^ 1u << i % 8);
    survives(here, image, size, "a flipped bit, number", i);
    image[i / 8] = was;
  }
  free(image);
}

struct seen {
  size_t right, wrong;
};

static bool look_at(void *user, const void *key, size_t key_size, const void *value, size_t value_size) {
  struct seen *seen = user;
  bool right = key_size == 6 && !memcmp(key, "kept ", 5) && value_size == 40;
  for (size_t i = 0; i < value_size && right; ++i) right = ((const char *)value)[i] == ((const char *)key)[5];
  ++*(right ? &seen->right : &seen->wrong);
  return true;
}

static void damage_hides_kept_entries_and_never_changes_them(void **state) {
  const place *here = *state;
  char key[] = "kept a", value[40];
  size_t size, hidden = 0;
  t3_store *store = open_store(here, ROOM);
  for (; key[5] < 'd'; ++key[5]) {
    memset(value, key[5], sizeof value);
    t3_store_keep(store, key, 6, value, sizeof value);
  }
  t3_store_close(store);
  unsigned char *image = read_image(here, &size);
  for (size_t i = 0; i < size; i += image[i] ? 1 : 5) {
    struct seen seen = {0, 0};
    const unsigned char was = image[i];
    image[i] = (unsigned char)(was ^ 1u << i % 8);
    write_file(here->file, image, size);
    store = open_store(here, ROOM);
    t3_store_each_kept(store, "kept ", 5, look_at, &seen);
    t3_store_close(store);
    if (seen.wrong || seen.right > 3) fail_msg("a flipped bit in byte %zu shows a wrong entry", i);
    hidden += 3 - seen.right;
    image[i] = was;
  }
  assert_true(hidden > 0);
  free(image);
}

static void many_wrong_bytes_at_once_give_the_right_value_or_a_miss(void **state) {
  const place *here = *state;
  size_t size;
  unsigned char *image = small_image(here, &size), *damaged = malloc(size);
  assert_non_null(damaged);
  for (unsigned seed = 1; seed <= 300; ++seed) {
    unsigned char random[3 * 32];
    fill(random, sizeof random, seed);
    memcpy(damaged, image, size);
    for (size_t i = 0; i < 1 + seed % 32; ++i) {
      size_t at = ((size_t)random[3 * i] << 8 | random[3 * i + 1]) % size;
      if (seed % 2) at = at / 4096 * 4096 + at % 128; /* the heads of the pages, where the structure is */
      damaged[at] = random[3 * i + 2];
    }
    survives(here, damaged, size, "damage with the seed", seed);
  }
  free(damaged);
  free(image);
}

static void a_file_cut_anywhere_is_survived(void **state) {
  const place *here = *state;
  size_t size;
  unsigned char *image = small_image(here, &size);
  for (size_t length = 0; length < size; length += length < 128 || length % 4096 > 4090 || length % 4096 < 4 ? 1 : 61)
    survives(here, image, length, "the cut at", length);
  free(image);
}

static void a_file_of_garbage_is_replaced(void **state) {
  static const size_t sizes[] = {1, 100, 512, 4096, 100000};
  const place *here = *state;
  unsigned char *garbage = calloc(1, 100000);
  t3_store_close(open_store(here, ROOM));
  assert_non_null(garbage);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) survives(here, garbage, sizes[i], "zeros, all", sizes[i]);
  fill(garbage, 100000, 1);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) survives(here, garbage, sizes[i], "garbage, all", sizes[i]);
  memcpy(garbage, "SQLite format 3", 16);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) survives(here, garbage, sizes[i], "garbage, all", sizes[i]);
  free(garbage);
}

/* Changes a text of the file that stands there once. */
static void edit(unsigned char *image, size_t size, const char *from, const char *to) {
  for (size_t i = 0; i + strlen(from) <= size; ++i)
    if (memcmp(image + i, from, strlen(from)) == 0) {
      memcpy(image + i, to, strlen(from));
      return;
    }
  fail_msg("the file has no \"%s\"", from);
}

static void a_database_of_another_layout_is_replaced(void **state) {
  static const struct {
    const char *from, *to;
  } edits[] = {{"entry(low", "entrz(low"},
               {"low INTEGER PRIMARY KEY", "low INTEGER  UNIQUE   "},
               {"used INTEGER", "used    TEXT"},
               {"value BLOB NOT NULL", "value BLOB DEFAULT 1"},
               {"recent ON entry(used, bytes)", "recent ON entry(used, high) "}};
  const place *here = *state;
  size_t size;
  unsigned char *image = small_image(here, &size), *changed = malloc(size);
  assert_non_null(changed);
  for (size_t i = 0; i < sizeof edits / sizeof *edits; ++i) {
    memcpy(changed, image, size);
    edit(changed, size, edits[i].from, edits[i].to);
    survives(here, changed, size, "edit", i);
  }
  memcpy(changed, image, size);
  changed[63] = 200; /* user_version: a layout of later times */
  survives(here, changed, size, "another user_version, byte", 63);
  free(changed);
  free(image);
}

static void a_journal_of_garbage_is_survived(void **state) {
  static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
  const place *here = *state;
  unsigned char journal[3000];
  size_t size;
  unsigned char *image = small_image(here, &size);
  for (unsigned seed = 0; seed < 8; ++seed) {
    fill(journal, sizeof journal, seed);
    if (seed % 2) memcpy(journal, magic, sizeof magic);
    if (seed & 2) memcpy(journal + 8, "\0\0\0\1\0\0\0\0\0\0\0\1\0\0\2\0\0\0\20\0", 20); /* "the file had one page" */
    write_file(here->journal, journal, sizeof journal);
    survives(here, image, size, "a journal of garbage, seed", seed);
  }
  free(image);
}

static void damage_under_an_open_store_is_survived(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM);
  for (uint64_t round = 0; round < 6; ++round) {
    unsigned char garbage[9000];
    fill(garbage, sizeof garbage, round);
    put_number(store, round, 30000);
    assert_int_equal(get_number(store, round, 30000), RIGHT);
    int file = open(here->file, O_WRONLY);
    assert_true(file >= 0);
    if (round % 3 == 0) assert_int_equal(ftruncate(file, round ? 5000 : 0), 0);
    if (round % 3 == 1) assert_int_equal(pwrite(file, garbage, sizeof garbage, 0), (ssize_t)sizeof garbage);
    if (round % 3 == 2) assert_int_equal(pwrite(file, garbage, sizeof garbage, 4096), (ssize_t)sizeof garbage);
    close(file);
    assert_int_not_equal(get_number(store, round, 30000), WRONG);
    put_number(store, round, 100); /* may be what finds the damage */
    assert_int_not_equal(get_number(store, round, 100), WRONG);
    put_number(store, round, 100);
    assert_int_equal(get_number(store, round, 100), RIGHT);
  }
  t3_store_close(store);
}

static void a_cache_deleted_while_open_is_made_again(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM);
  put_number(store, 1, 100);
  assert_int_equal(unlink(here->file), 0);
  assert_int_equal(get_number(store, 1, 100), MISS);
  put_number(store, 1, 100);
  assert_int_equal(get_number(store, 1, 100), RIGHT);
  scratch_remove(&here->scratch, "cache");
  assert_int_equal(get_number(store, 1, 100), MISS);
  put_number(store, 1, 100);
  assert_int_equal(get_number(store, 1, 100), RIGHT);
  scratch_remove(&here->scratch, "cache");
  write_file(here->cache, "in the way", 10);
  put_number(store, 1, 100);
  assert_int_equal(get_number(store, 1, 100), MISS);
  unlink(here->cache);
  put_number(store, 1, 100);
  assert_int_equal(get_number(store, 1, 100), RIGHT);
  t3_store_close(store);
}

/* ---- files that cannot be written ---- */

/* As a user that permissions hold for: root drops to nobody. */
static bool drop_root(void) {
  return geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void read_only(const place *here, mode_t directory, mode_t file, answer expected) {
  char path[SCRATCH_PATH];
  t3_store *store = open_store(here, ROOM);
  put_number(store, 1, 5000);
  t3_store_close(store);
  scratch_path(&here->scratch, "cache/cache.lock", path);
  assert_int_equal(chmod(here->file, file) | chmod(path, file) | chmod(here->cache, directory), 0);
  if (geteuid() == 0) {
    const char *const all[] = {path, here->file, here->cache, here->scratch.folder};
    for (int i = 0; i < 4; ++i) assert_int_equal(chown(all[i], NOBODY, NOBODY), 0);
  }
  pid_t child = fork();
  if (child == 0) {
    bool sound = drop_root();
    t3_store *own = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
    sound = sound && get_number(own, 1, 5000) == expected;
    clock_ahead = 7200; /* old enough for a touch, which cannot be written */
    sound = sound && get_number(own, 1, 5000) == expected;
    put_number(own, 2, 100);
    sound = sound && get_number(own, 2, 100) == MISS;
    t3_store_empty(own);
    sound = sound && get_number(own, 1, 5000) == expected;
    t3_store_close(own);
    _exit(!sound);
  }
  child_succeeds(child);
}

static void a_read_only_directory_is_read(void **state) {
  read_only(*state, 0500, 0400, RIGHT);
}
static void a_writable_file_in_a_read_only_directory_is_read(void **state) {
  read_only(*state, 0500, 0600, RIGHT);
}
static void an_unreadable_file_is_a_miss(void **state) {
  read_only(*state, 0700, 0000, MISS);
}

static void damage_in_a_read_only_directory_is_a_miss(void **state) {
  const place *here = *state;
  size_t size;
  unsigned char *image = small_image(here, &size);
  fill(image + 4096, 4096, 1);
  write_file(here->file, image, size);
  free(image);
  assert_int_equal(chmod(here->cache, 0500), 0);
  if (geteuid() == 0) {
    const char *const all[] = {here->file, here->cache, here->scratch.folder};
    for (int i = 0; i < 3; ++i) assert_int_equal(chown(all[i], NOBODY, NOBODY), 0);
  }
  pid_t child = fork();
  if (child == 0) {
    bool sound = drop_root();
    t3_store *own = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
    for (uint64_t i = 0; i < SMALL_ENTRIES; ++i) sound = sound && get_number(own, i, small_sizes[i]) == MISS;
    put_number(own, 0, 10);
    t3_store_close(own);
    _exit(!sound);
  }
  child_succeeds(child);
}

static void a_full_disk_costs_only_the_new_entries(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM);
  put_number(store, 1, 5000);
  t3_store_close(store);
  pid_t child = fork();
  if (child == 0) {
    const struct rlimit limit = {40000, 40000}; /* bytes of any file */
    signal(SIGXFSZ, SIG_IGN);
    bool sound = setrlimit(RLIMIT_FSIZE, &limit) == 0;
    t3_store *own = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
    for (uint64_t i = 10; i < 20; ++i) put_number(own, i, 20000);
    put_number(own, 20, 3 * MEGABYTE);
    sound = sound && get_number(own, 1, 5000) == RIGHT && get_number(own, 20, 3 * MEGABYTE) == MISS;
    t3_store_close(own);
    _exit(!sound);
  }
  child_succeeds(child);
  store = open_store(here, ROOM);
  assert_int_equal(get_number(store, 1, 5000), RIGHT);
  t3_store_close(store);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(any_flipped_bit_gives_the_right_value_or_a_miss),
      STORE_TEST(damage_hides_kept_entries_and_never_changes_them),
      STORE_TEST(many_wrong_bytes_at_once_give_the_right_value_or_a_miss),
      STORE_TEST(a_file_cut_anywhere_is_survived),
      STORE_TEST(a_file_of_garbage_is_replaced),
      STORE_TEST(a_database_of_another_layout_is_replaced),
      STORE_TEST(a_journal_of_garbage_is_survived),
      STORE_TEST(damage_under_an_open_store_is_survived),
      STORE_TEST(a_cache_deleted_while_open_is_made_again),
      STORE_TEST(a_read_only_directory_is_read),
      STORE_TEST(a_writable_file_in_a_read_only_directory_is_read),
      STORE_TEST(an_unreadable_file_is_a_miss),
      STORE_TEST(damage_in_a_read_only_directory_is_a_miss),
      STORE_TEST(a_full_disk_costs_only_the_new_entries),
  };
  return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
