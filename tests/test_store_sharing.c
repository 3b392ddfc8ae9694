/* The program store used by several processes and threads at once, some of which are killed. */
#include "support/store_place.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HAMMER_KEYS = 24, HAMMER_ROUNDS = 300 };

static size_t hammer_size(uint64_t number) {
  return (size_t)(number * number * 97);
} /* up to 51 KiB */

/* Puts and gets in an order of its own; false for a wrong value, or when hardly anything was found. */
static bool hammer(t3_store *store, uint64_t seed) {
  unsigned char order[HAMMER_ROUNDS];
  int hits = 0;
  fill(order, sizeof order, seed);
  for (int i = 0; i < HAMMER_ROUNDS; ++i) {
    const uint64_t number = order[i] % HAMMER_KEYS;
    answer got = get_number(store, number, hammer_size(number));
    if (got == WRONG) return false;
    hits += got == RIGHT;
    if (got == MISS || i % 4 == 0) put_number(store, number, hammer_size(number));
  }
  return hits > HAMMER_ROUNDS / 2;
}

static void hammer_with(const place *here, int processes) {
  pid_t children[4];
  if (without_sqlite()) skip();
  for (int i = 0; i < processes; ++i) {
    children[i] = fork();
    if (children[i]) continue;
    t3_store *store = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
    bool sound = store && hammer(store, (uint64_t)i);
    t3_store_close(store);
    _exit(!sound);
  }
  for (int i = 0; i < processes; ++i) child_succeeds(children[i]);
  t3_store *store = open_store(here, ROOM);
  for (uint64_t i = 0; i < HAMMER_KEYS; ++i) assert_int_equal(get_number(store, i, hammer_size(i)), RIGHT);
  t3_store_close(store);
}

static void two_processes_at_once_find_right_values(void **state) {
  hammer_with(*state, 2);
}
static void four_processes_at_once_find_right_values(void **state) {
  hammer_with(*state, 4);
}

static void three_processes_share_a_file_that_is_damaged_again_and_again(void **state) {
  const place *here = *state;
  pid_t children[3];
  if (without_sqlite()) skip();
  for (int i = 0; i < 3; ++i) {
    children[i] = fork();
    if (children[i]) continue;
    t3_store *store = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
    bool sound = store != NULL;
    for (uint64_t round = 0; round < 150 && sound; ++round) {
      put_number(store, round % HAMMER_KEYS, hammer_size(round % HAMMER_KEYS));
      for (uint64_t k = 0; k < HAMMER_KEYS && sound; k += 5) sound = get_number(store, k, hammer_size(k)) != WRONG;
      if (round % 10 || i) continue;
      int file = open(here->file, O_WRONLY);
      if (file >= 0 && pwrite(file, "garbage", 7, (off_t)(round / 10 % 5 * 2048)) != 7) sound = false;
      if (file >= 0) close(file);
    }
    t3_store_close(store);
    _exit(!sound);
  }
  for (int i = 0; i < 3; ++i) child_succeeds(children[i]);
  size_t size;
  unsigned char *image = small_image(here, &size); /* the store works again */
  free(image);
}

static void *hammer_thread(void *data) {
  return hammer(data, (uint64_t)(uintptr_t)&data) ? NULL : data;
}

static void four_threads_use_one_store(void **state) {
  pthread_t threads[4];
  void *result;
  t3_store *store = open_store(*state, ROOM);
  for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, hammer_thread, store), 0);
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_null(result);
  }
  t3_store_close(store);
}

static void a_process_killed_while_it_writes_leaves_a_usable_store(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM);
  put_number(store, 999, 50000);
  for (unsigned round = 0; round < 12; ++round) {
    pid_t child = fork();
    if (child == 0) {
      t3_store *own = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
      for (uint64_t i = 0;; i = (i + 1) % 20) put_number(own, i, MEGABYTE);
    }
    nanosleep(&(struct timespec){0, 5000000 + 3700000 * (long)round}, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(get_number(store, 999, 50000), RIGHT); /* what was there before is still there */
    for (uint64_t i = 0; i < 20; ++i) assert_int_not_equal(get_number(store, i, MEGABYTE), WRONG);
    put_number(store, 100 + round, 10);
    assert_int_equal(get_number(store, 100 + round, 10), RIGHT);
  }
  t3_store_close(store);
}

static void a_process_killed_while_it_replaces_the_file_leaves_a_usable_store(void **state) {
  const place *here = *state;
  t3_store *store = open_store(here, ROOM);
  for (unsigned round = 0; round < 12; ++round) {
    pid_t child = fork();
    if (child == 0) {
      t3_store *own = t3_store_open(here->cache, ROOM, (char[1]){0}, 1);
      for (uint64_t i = 0;; ++i) {
        t3_store_empty(own);
        put_number(own, i, 100);
      }
    }
    nanosleep(&(struct timespec){0, 3000000 + 1300000 * (long)round}, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    put_number(store, round, 10);
    assert_int_equal(get_number(store, round, 10), RIGHT);
  }
  t3_store_close(store);
}

static void after_a_fork_the_childs_copy_holds_nothing(void **state) {
  t3_store *store = open_store(*state, ROOM);
  put_number(store, 1, 100);
  pid_t child = fork();
  if (child == 0) {
    uint64_t entries, bytes;
    bool nothing = get_number(store, 1, 100) == MISS;
    put_number(store, 2, 100);
    t3_store_measure(store, &entries, &bytes);
    t3_store_empty(store);
    t3_store_close(store);
    _exit(!(nothing && entries == 0));
  }
  child_succeeds(child);
  assert_int_equal(get_number(store, 1, 100), RIGHT);
  assert_int_equal(get_number(store, 2, 100), MISS);
  t3_store_close(store);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      STORE_TEST(two_processes_at_once_find_right_values),
      STORE_TEST(four_processes_at_once_find_right_values),
      STORE_TEST(three_processes_share_a_file_that_is_damaged_again_and_again),
      STORE_TEST(four_threads_use_one_store),
      STORE_TEST(a_process_killed_while_it_writes_leaves_a_usable_store),
      STORE_TEST(a_process_killed_while_it_replaces_the_file_leaves_a_usable_store),
      STORE_TEST(after_a_fork_the_childs_copy_holds_nothing),
  };
  return cmocka_run_group_tests_name("store_sharing", tests, NULL, NULL);
}
