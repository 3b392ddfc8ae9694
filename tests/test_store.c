/* The program store: what it keeps and for how long, whom it trusts, where it lies, and the public view of it. */
#include "support/store_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what it keeps ---- */

static void a_value_comes_back_as_it_was_put(void **state) {
  static const size_t sizes[] = {0, 1, 16, 4095, 70000, 20 * MEGABYTE};
  t3_store *store = open_store(*state, ROOM);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) put_number(store, i, sizes[i]);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) assert_int_equal(get_number(store, i, sizes[i]), RIGHT);
  t3_store_close(store);
  store = open_store(*state, ROOM);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) assert_int_equal(get_number(store, i, sizes[i]), RIGHT);
  t3_store_close(store);
}

static void keys_differ_by_every_byte_and_their_length(void **state) {
  static const char keys[] = "abcabd\0\0";
  static const struct { size_t from, size; } parts[] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {3, 3}, {3, 4}, {3, 5}};
  t3_store *store = open_store(*state, ROOM);
  void *value;
  size_t size;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
    assert_false(t3_store_get(store, keys + parts[i].from, parts[i].size, &value, &size));
    assert_null(value);
    t3_store_put(store, keys + parts[i].from, parts[i].size, &i, sizeof i);
  }
  for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
    assert_true(t3_store_get(store, keys + parts[i].from, parts[i].size, &value, &size));
    assert_int_equal(size, sizeof i);
    assert_memory_equal(value, &i, sizeof i);
    free(value);
  }
  t3_store_close(store);
}

static void a_second_put_under_a_key_replaces_the_first(void **state) {
  t3_store *store = open_store(*state, ROOM);
  uint64_t entries, bytes;
  put_number(store, 7, 5000);
  put_number(store, 7, 100);
  assert_int_equal(get_number(store, 7, 100), RIGHT);
  t3_store_measure(store, &entries, &bytes);
  assert_int_equal(entries, 1);
  assert_int_equal(bytes, sizeof(uint64_t) + 100);
  t3_store_close(store);
}

static void emptying_leaves_nothing_and_gives_the_disk_its_room_back(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM), *other = open_store(here, ROOM);
  struct stat info;
  uint64_t entries, bytes;
  put_number(store, 1, MEGABYTE);
  assert_int_equal(get_number(other, 1, MEGABYTE), RIGHT);
  t3_store_empty(store);
  assert_int_equal(get_number(store, 1, MEGABYTE), MISS);
  assert_int_equal(get_number(other, 1, MEGABYTE), MISS);
  t3_store_measure(other, &entries, &bytes);
  assert_int_equal(entries, 0);
  assert_int_equal(bytes, 0);
  assert_int_equal(stat(here->file, &info), 0);
  assert_true(info.st_size < 65536);
  put_number(other, 2, 10);
  assert_int_equal(get_number(store, 2, 10), RIGHT);
  t3_store_close(other);
  t3_store_close(store);
}

static void beyond_the_capacity_the_oldest_entries_go_first(void **state) {
  t3_store *store = open_store(*state, 1000);
  uint64_t entries, bytes;
  for (uint64_t i = 0; i < 4; ++i) put_number(store, i, 242); /* 250 bytes each with the key: 1000 in all */
  for (uint64_t i = 0; i < 4; ++i) assert_int_equal(get_number(store, i, 242), RIGHT);
  put_number(store, 4, 242);
  assert_int_equal(get_number(store, 0, 242), MISS);
  put_number(store, 5, 300);
  assert_int_equal(get_number(store, 1, 242), MISS);
  assert_int_equal(get_number(store, 2, 242), MISS);
  for (uint64_t i = 3; i < 5; ++i) assert_int_equal(get_number(store, i, 242), RIGHT);
  put_number(store, 6, 992);
  t3_store_measure(store, &entries, &bytes);
  assert_int_equal(entries, 1);
  assert_int_equal(bytes, 1000);
  put_number(store, 7, 993); /* more than all the room there is: not stored, and nothing pushed out for it */
  assert_int_equal(get_number(store, 7, 993), MISS);
  assert_int_equal(get_number(store, 6, 992), RIGHT);
  t3_store_close(store);
}

static void an_entry_read_after_an_hour_counts_as_used(void **state) {
  t3_store *store = open_store(*state, 1000);
  for (uint64_t i = 0; i < 4; ++i) put_number(store, i, 242);
  clock_ahead = 1800;
  assert_int_equal(get_number(store, 1, 242), RIGHT); /* half an hour: not worth a write */
  clock_ahead = 3700;
  assert_int_equal(get_number(store, 0, 242), RIGHT);
  put_number(store, 4, 242);
  assert_int_equal(get_number(store, 1, 242), MISS);
  assert_int_equal(get_number(store, 0, 242), RIGHT);
  clock_ahead = -1000000; /* set back: what seems to come from the future is used now */
  assert_int_equal(get_number(store, 0, 242), RIGHT);
  clock_ahead = -900000;
  put_number(store, 5, 242);
  assert_int_equal(get_number(store, 0, 242), MISS);
  t3_store_close(store);
}

struct names {
  char text[64]; /* the keys that were shown, as they came */
  size_t most;   /* how many may come */
};

static bool add_name(void *user, const void *key, size_t key_size, const void *value, size_t value_size) {
  struct names *names = user;
  assert_int_equal(value_size, 3);
  assert_memory_equal(value, key, 3); /* each value is its key's first three letters */
  strncat(names->text, key, key_size);
  return --names->most > 0;
}

static struct names kept_names(t3_store *store, const char *prefix, size_t most) {
  struct names names = {"", most};
  t3_store_each_kept(store, prefix, strlen(prefix), add_name, &names);
  return names;
}

static void kept_entries_are_shown_by_the_beginning_of_their_keys(void **state) {
  t3_store *store = open_store(*state, ROOM);
  put_number(store, 1, 100);
  t3_store_put(store, "one-", 4, "one", 3);
  t3_store_keep(store, "two-", 4, "two", 3);
  assert_string_equal(kept_names(store, "", 9).text, "two-");
  t3_store_keep(store, "twin", 4, "twi", 3);
  t3_store_keep(store, "one-", 4, "one", 3);
  assert_string_equal(kept_names(store, "one-", 9).text, "one-");
  assert_string_equal(kept_names(store, "one-x", 9).text, "");
  assert_int_equal(strlen(kept_names(store, "tw", 9).text), 8);
  assert_int_equal(strlen(kept_names(store, "", 9).text), 12);
  assert_int_equal(strlen(kept_names(store, "", 2).text), 8); /* the visitor said: enough */
  assert_int_equal(get_number(store, 1, 100), RIGHT);
  t3_store_close(store);
}

static void kept_entries_outlive_all_others(void **state) {
  t3_store *store = open_store(*state, 1000);
  uint64_t entries, bytes;
  void *value;
  size_t size;
  t3_store_keep(store, "kept", 4, "kep", 3);
  for (uint64_t i = 0; i < 9; ++i) put_number(store, i, 242);
  assert_true(t3_store_get(store, "kept", 4, &value, &size)); /* which makes it no younger */
  free(value);
  for (uint64_t i = 0; i < 9; ++i) put_number(store, i, 242);
  assert_string_equal(kept_names(store, "", 9).text, "kept");
  put_number(store, 10, 985);
  assert_string_equal(kept_names(store, "", 9).text, "kept");
  put_number(store, 11, 992); /* all the room there is */
  assert_string_equal(kept_names(store, "", 9).text, "");
  t3_store_measure(store, &entries, &bytes);
  assert_int_equal(entries, 1);
  t3_store_close(store);
}

static void no_store_is_a_store_that_holds_nothing(void **state) {
  (void)state;
  t3_store_keep(NULL, "key", 3, "key", 3);
  assert_string_equal(kept_names(NULL, "", 9).text, "");
  uint64_t entries = 1, bytes = 1;
  size_t size = 1;
  void *value = &size;
  t3_store_put(NULL, "key", 3, "value", 5);
  assert_false(t3_store_get(NULL, "key", 3, &value, &size));
  assert_null(value);
  assert_int_equal(size, 0);
  t3_store_measure(NULL, &entries, &bytes);
  assert_int_equal(entries, 0);
  assert_int_equal(bytes, 0);
  t3_store_empty(NULL);
  t3_store_close(NULL);
}

/* ---- whom it trusts ---- */

static void refuses(const char *directory, const char *why) {
  char reason[192] = "";
  if (without_sqlite()) skip();
  assert_null(t3_store_open(directory, ROOM, reason, sizeof reason));
  if (!strstr(reason, why)) fail_msg("the reason is \"%s\", without \"%s\"", reason, why);
}

static void the_cache_is_made_for_its_owner_alone(void **state) {
  const place *here = *state;
  struct stat info;
  char deep[SCRATCH_PATH], reason[192];
  if (without_sqlite()) skip();
  const mode_t before = umask(0);
  scratch_path(&here->scratch, "a/b//c/", deep);
  t3_store *store = t3_store_open(deep, ROOM, reason, sizeof reason);
  umask(before);
  assert_non_null(store);
  t3_store_close(store);
  static const char *const names[] = {"a", "a/b", "a/b/c", "a/b/c/cache.db", "a/b/c/cache.lock"};
  for (int i = 0; i < 5; ++i) {
    char path[SCRATCH_PATH];
    assert_int_equal(stat(scratch_path(&here->scratch, names[i], path), &info), 0);
    assert_int_equal(info.st_mode & 07777, i < 3 ? 0700 : 0600);
  }
}

static void what_others_can_write_is_refused(void **state) {
  const place *here = *state;
  t3_store_close(open_store(here, ROOM));
  assert_int_equal(chmod(here->cache, 0770), 0);
  refuses(here->cache, "writable by others");
  assert_int_equal(chmod(here->cache, 0707), 0);
  refuses(here->cache, "writable by others");
  assert_int_equal(chmod(here->cache, 0755), 0); /* to be read by others is no harm */
  t3_store_close(open_store(here, ROOM));
  assert_int_equal(chmod(here->file, 0620), 0);
  refuses(here->cache, "writable by others");
  assert_int_equal(chmod(here->file, 0600), 0);
  write_file(here->journal, "", 0);
  assert_int_equal(chmod(here->journal, 0666), 0);
  refuses(here->cache, "cache.db-journal");
}

static void what_others_own_is_refused(void **state) {
  const place *here = *state;
  char link[SCRATCH_PATH];
  if (geteuid() != 0) skip(); /* only root can give files away */
  t3_store_close(open_store(here, ROOM));
  assert_int_equal(chown(here->file, NOBODY, NOBODY), 0);
  refuses(here->cache, "owned by user 65534");
  assert_int_equal(chown(here->file, 0, 0) | chown(here->cache, NOBODY, NOBODY), 0);
  refuses(here->cache, "owned by user 65534");
  assert_int_equal(chown(here->cache, 0, 0), 0);
  scratch_path(&here->scratch, "link", link);
  assert_int_equal(symlink("cache", link) | lchown(link, NOBODY, NOBODY), 0);
  refuses(link, "symbolic link");
  strcat(link, "/");
  refuses(link, "symbolic link");
}

static void what_is_no_file_is_refused(void **state) {
  const place *here = *state;
  char other[SCRATCH_PATH];
  t3_store_close(open_store(here, ROOM));
  scratch_path(&here->scratch, "other.db", other);
  assert_int_equal(rename(here->file, other) | symlink(other, here->file), 0);
  refuses(here->cache, "not a regular file");
  assert_int_equal(unlink(here->file) | mkfifo(here->file, 0600), 0);
  refuses(here->cache, "not a regular file");
  assert_int_equal(unlink(here->file) | mkdir(here->journal, 0700), 0);
  refuses(here->cache, "not a regular file");
  refuses(other, "not a directory");
  refuses("", "empty");
}

static void a_directory_behind_the_users_own_link_is_used(void **state) {
  const place *here = *state;
  char link[SCRATCH_PATH], reason[192];
  t3_store_close(open_store(here, ROOM));
  scratch_path(&here->scratch, "link", link);
  assert_int_equal(symlink("cache", link), 0);
  t3_store *store = t3_store_open(link, ROOM, reason, sizeof reason);
  assert_non_null(store);
  put_number(store, 1, 10);
  t3_store_close(store);
  store = open_store(here, ROOM);
  assert_int_equal(get_number(store, 1, 10), RIGHT);
  t3_store_close(store);
}

static void a_relative_directory_stays_the_same_after_a_chdir(void **state) {
  const place *here = *state;
  char before[512], reason[192];
  if (without_sqlite()) skip();
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(here->scratch.folder), 0);
  t3_store *store = t3_store_open("file:x?mode=ro", ROOM, reason, sizeof reason); /* a name, no URI */
  assert_int_equal(chdir(before), 0);
  assert_non_null(store);
  put_number(store, 1, 10);
  char path[SCRATCH_PATH];
  scratch_path(&here->scratch, "file:x?mode=ro/cache.db", path);
  assert_int_equal(unlink(path), 0);
  put_number(store, 1, 10);
  assert_int_equal(get_number(store, 1, 10), RIGHT);
  assert_int_equal(access(path, F_OK), 0);
  t3_store_close(store);
}

/* ---- where it is, and the public view ---- */

static void set_variable(const char *name, const char *value) {
  if (value)
    setenv(name, value, 1);
  else
    unsetenv(name);
}

static void set_places(const char *own, const char *xdg, const char *home) {
  set_variable("TCONV3D_CACHE_DIR", own);
  set_variable("XDG_CACHE_HOME", xdg);
  set_variable("HOME", home);
}

static void the_environment_says_where_the_cache_is(void **state) {
  (void)state;
  static const struct {
    const char *own, *xdg, *home, *expected;
  } cases[] = {
      {"/o", "/x", "/h", "/o"},
      {"o/rel", "/x", "/h", "o/rel"},
      {"", "/x", "/h", "/x/tconv3d"},
      {NULL, "/x", "/h", "/x/tconv3d"},
      {NULL, "x", "/h", "/h/.cache/tconv3d"},
      {NULL, "", "/h", "/h/.cache/tconv3d"},
      {NULL, NULL, "/h", "/h/.cache/tconv3d"},
      {NULL, NULL, "h", NULL},
      {"", "", "", NULL},
      {NULL, NULL, NULL, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char path[64] = "", reason[192] = "";
    set_places(cases[i].own, cases[i].xdg, cases[i].home);
    assert_int_equal(t3_store_location(path, sizeof path, reason, sizeof reason), cases[i].expected != NULL);
    if (cases[i].expected)
      assert_string_equal(path, cases[i].expected);
    else
      assert_true(reason[0]);
  }
  char path[10], reason[192] = "";
  set_places(NULL, NULL, "/h");
  assert_false(t3_store_location(path, sizeof path, reason, sizeof reason));
  assert_non_null(strstr(reason, "HOME is too long"));
}

static void a_query_makes_nothing_and_counts_what_is_there(void **state) {
  const place *here = *state;
  tconv3d_cache_info info;
  set_places(here->cache, NULL, NULL);
  if (without_sqlite()) skip();
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_string_equal(info.path, here->file);
  assert_string_equal(info.reason, "");
  assert_int_equal(info.entries, 0);
  assert_int_equal(info.capacity_bytes, T3_STORE_CAPACITY);
  assert_int_equal(tconv3d_cache_clear(), TCONV3D_OK);
  assert_int_equal(access(here->cache, F_OK), -1);
  t3_store *store = open_store(here, T3_STORE_CAPACITY);
  put_number(store, 1, 100);
  put_number(store, 2, 0);
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_int_equal(info.entries, 2);
  assert_int_equal(info.bytes, 116);
  assert_int_equal(tconv3d_cache_clear(), TCONV3D_OK);
  assert_int_equal(get_number(store, 1, 100), MISS);
  t3_store_close(store);
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_int_equal(info.entries, 0);
  assert_string_equal(info.path, here->file);
}

static void a_query_says_why_there_is_no_cache(void **state) {
  const place *here = *state;
  tconv3d_cache_info info;
  char long_name[1200];
  set_places(NULL, NULL, NULL);
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_string_equal(info.path, "");
  assert_non_null(strstr(info.reason, "XDG_CACHE_HOME"));
  assert_int_equal(tconv3d_cache_clear(), TCONV3D_OK);
  static const size_t lengths[] = {1014, 1016, 1022, 1023, 1100};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
    memset(long_name, '/', lengths[i]);
    for (size_t k = 1; k < lengths[i]; k += 2) long_name[k] = 'n';
    memcpy(long_name, here->scratch.folder, strlen(here->scratch.folder));
    long_name[lengths[i]] = '\0';
    set_places(long_name, NULL, NULL);
    assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
    if (without_sqlite()) skip();
    assert_int_equal(info.path[0] != '\0', lengths[i] < 1015);
    assert_int_equal(info.reason[0] != '\0', lengths[i] >= 1015);
  }
  write_file(here->cache, "in the way", 10);
  set_places(here->cache, NULL, NULL);
  assert_int_equal(tconv3d_cache_query(&info), TCONV3D_OK);
  assert_string_equal(info.path, "");
  assert_non_null(strstr(info.reason, "not a directory"));
  assert_int_equal(tconv3d_cache_query(NULL), TCONV3D_INVALID_ARGUMENT);
  assert_non_null(strstr(tconv3d_message(), "info"));
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(a_value_comes_back_as_it_was_put),
      STORE_TEST(keys_differ_by_every_byte_and_their_length),
      STORE_TEST(a_second_put_under_a_key_replaces_the_first),
      STORE_TEST(emptying_leaves_nothing_and_gives_the_disk_its_room_back),
      STORE_TEST(beyond_the_capacity_the_oldest_entries_go_first),
      STORE_TEST(an_entry_read_after_an_hour_counts_as_used),
      STORE_TEST(kept_entries_are_shown_by_the_beginning_of_their_keys),
      STORE_TEST(kept_entries_outlive_all_others),
      STORE_TEST(no_store_is_a_store_that_holds_nothing),
      STORE_TEST(the_cache_is_made_for_its_owner_alone),
      STORE_TEST(what_others_can_write_is_refused),
      STORE_TEST(what_others_own_is_refused),
      STORE_TEST(what_is_no_file_is_refused),
      STORE_TEST(a_directory_behind_the_users_own_link_is_used),
      STORE_TEST(a_relative_directory_stays_the_same_after_a_chdir),
      STORE_TEST(the_environment_says_where_the_cache_is),
      STORE_TEST(a_query_makes_nothing_and_counts_what_is_there),
      STORE_TEST(a_query_says_why_there_is_no_cache),
  };
  return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
