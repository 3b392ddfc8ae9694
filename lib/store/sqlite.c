/* The store in an SQLite file. What is read is believed only after the whole key was compared and the checksum over key and
 * value agrees; what contradicts itself is deleted, row or file, and missed.
 *
 * An entry's bytes are those of its key and value. Times are in microseconds, so that entries of one burst keep their order. A
 * kept entry was used at a time that no clock reaches: so it is the last to go, and the index of ages lists the kept ones. */
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/database.h"

enum {
  GET_WAIT_MS = 500, /* well above any single write, well below the compilation that a miss costs */
  PUT_WAIT_MS = 2000,
};
#define TOUCH_AFTER_US ((int64_t)3600 * 1000000) /* a finer order of age is not worth a write per read */
#define KEPT INT64_MAX                           /* the time of use of a kept entry */

struct t3_store {
  pthread_mutex_t mutex; /* one connection, one user at a time */
  pid_t process;         /* an SQLite connection must not be used after a fork */
  t3_database database;
};

typedef struct record_key {
  const void *bytes;
  size_t size;
  XXH128_hash_t hash;
} record_key;

static record_key make_key(const void *bytes, size_t size) {
  return (record_key){bytes ? bytes : "", size, XXH3_128bits(bytes ? bytes : "", size)};
}

/* Over the key, by its hash as the seed, and the value. */
static XXH128_canonical_t make_checksum(const record_key *key, const void *value, size_t size) {
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits_withSeed(value ? value : "", size, key->hash.low64));
  return checksum;
}

static int64_t now_us(void) {
  struct timespec t = {0, 0};
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- opening ---- */

/* Absolute, so that it stays the same place after a chdir() and is never taken for a "file:" URI; without slashes at its end,
 * behind which lstat() would follow a symbolic link. */
static bool set_directory(char absolute[T3_DIRECTORY_MAX], const char *directory, char *reason, size_t capacity) {
  char here[T3_DIRECTORY_MAX] = "";
  if (!*directory) return t3_refuse(reason, capacity, "the cache directory's name is empty");
  if (*directory != '/' && !getcwd(here, sizeof here)) return t3_refuse(reason, capacity, "the working directory has no name");
  int length = snprintf(absolute, T3_DIRECTORY_MAX, "%s%s%s", here, *here ? "/" : "", directory);
  if (length < 0 || length >= T3_DIRECTORY_MAX)
    return t3_refuse(reason, capacity, "the cache directory's name is longer than %d bytes: %s", T3_DIRECTORY_MAX - 1,
                     directory);
  while (length > 1 && absolute[length - 1] == '/') absolute[--length] = '\0';
  return true;
}

bool t3_store_check(const char *directory, bool *exists, char *reason, size_t reason_capacity) {
  char absolute[T3_DIRECTORY_MAX];
  bool missing = false;
  *exists = false;
  if (!set_directory(absolute, directory, reason, reason_capacity)) return false;
  if (t3_trust_directory(absolute, &missing, reason, reason_capacity))
    return t3_trust_files(absolute, exists, reason, reason_capacity);
  if (!missing || !t3_could_make(absolute, reason, reason_capacity)) return false;
  t3_refuse(reason, reason_capacity, "%s", ""); /* that it is not there yet is no reason */
  return true;
}

t3_store *t3_store_open(const char *directory, uint64_t capacity_bytes, char *reason, size_t reason_capacity) {
  t3_store *store = calloc(1, sizeof *store);
  if (!store || pthread_mutex_init(&store->mutex, NULL)) {
    t3_refuse(reason, reason_capacity, "out of memory");
    goto fail;
  }
  store->process = getpid();
  store->database.lock = -1;
  store->database.capacity = capacity_bytes < INT64_MAX / 4 ? capacity_bytes : INT64_MAX / 4;
  if (!sqlite3_threadsafe())
    t3_refuse(reason, reason_capacity, "this SQLite was built for programs of one thread");
  else if (set_directory(store->database.directory, directory, reason, reason_capacity) &&
           t3_database_connect(&store->database, reason, reason_capacity))
    return store;
  pthread_mutex_destroy(&store->mutex);
fail:
  free(store);
  return NULL;
}

void t3_store_close(t3_store *store) {
  if (!store || store->process != getpid())
    return; /* the parent's connection: closing it here would touch the parent's files */
  t3_database_disconnect(&store->database);
  pthread_mutex_destroy(&store->mutex);
  free(store);
}

/* ---- operations: each is enter(), one call that gives SQLite's result, leave() with that result ---- */

static bool enter(t3_store *store, int wait_ms) {
  if (!store || store->process != getpid()) return false;
  pthread_mutex_lock(&store->mutex);
  if (t3_database_enter(&store->database)) {
    sqlite3_busy_timeout(store->database.sqlite, wait_ms);
    return true;
  }
  pthread_mutex_unlock(&store->mutex);
  return false;
}

/* A result that means damage ends the file. */
static void leave(t3_store *store, int result) {
  if (t3_database_damaged(result))
    t3_database_replace(&store->database, NULL, 0);
  else
    t3_database_leave(&store->database);
  pthread_mutex_unlock(&store->mutex);
}

/* Ends a statement after its last step; SQLITE_OK unless that step failed. */
static int finish(sqlite3_stmt *statement) {
  int result = sqlite3_reset(statement);
  sqlite3_clear_bindings(statement); /* they point into the caller's memory */
  return result;
}

static int execute(sqlite3_stmt *statement) {
  sqlite3_step(statement);
  return finish(statement);
}

static int remove_row(t3_database *database, int64_t low) {
  sqlite3_stmt *statement = database->statement[T3_REMOVE];
  sqlite3_bind_int64(statement, 1, low);
  return execute(statement);
}

static int touch(t3_database *database, int64_t low) {
  sqlite3_stmt *statement = database->statement[T3_TOUCH];
  sqlite3_busy_timeout(database->sqlite, 0); /* the next reader will do */
  sqlite3_bind_int64(statement, 1, low);
  sqlite3_bind_int64(statement, 2, now_us());
  return execute(statement);
}

/* Whether this blob column has exactly these bytes. */
static bool column_is(sqlite3_stmt *statement, int column, const void *bytes, size_t size) {
  if (sqlite3_column_type(statement, column) != SQLITE_BLOB) return false;
  const void *blob = sqlite3_column_blob(statement, column); /* NULL when empty */
  if ((size_t)sqlite3_column_bytes(statement, column) != size) return false;
  return size == 0 || (blob && memcmp(blob, bytes, size) == 0);
}

typedef struct found {
  bool row, sound; /* there is a row; its key and checksum are right */
  void *value;
  size_t size;
  int64_t used;
} found;

/* Takes the value out of the row that FIND stands on, if all of it is as it was put there. */
static void take_row(sqlite3_stmt *statement, const record_key *key, found *entry) {
  entry->row = true;
  if (!column_is(statement, 0, key->bytes, key->size) || sqlite3_column_type(statement, 1) != SQLITE_BLOB) return;
  const void *value = sqlite3_column_blob(statement, 1);
  const size_t size = (size_t)sqlite3_column_bytes(statement, 1);
  if (size > 0 && !value) return;
  const XXH128_canonical_t checksum = make_checksum(key, value, size);
  if (!column_is(statement, 2, &checksum, sizeof checksum)) return;
  entry->sound = true;
  entry->used = sqlite3_column_int64(statement, 3);
  entry->value = malloc(size ? size : 1);
  if (!entry->value) return;
  if (size) memcpy(entry->value, value, size);
  entry->size = size;
}

static int find(t3_database *database, const record_key *key, found *entry) {
  sqlite3_stmt *statement = database->statement[T3_FIND];
  sqlite3_bind_int64(statement, 1, (int64_t)key->hash.low64);
  sqlite3_bind_int64(statement, 2, (int64_t)key->hash.high64);
  if (sqlite3_step(statement) == SQLITE_ROW) take_row(statement, key, entry);
  return finish(statement);
}

/* What a look at the row calls for: a rotten one goes, a used one is young again. */
static int tend(t3_database *database, const record_key *key, const found *entry) {
  const int64_t low = (int64_t)key->hash.low64, now = now_us();
  if (!entry->row) return SQLITE_OK;
  if (!entry->sound) return remove_row(database, low);
  if (entry->used == KEPT) return SQLITE_OK;
  if (entry->used > now || entry->used < now - TOUCH_AFTER_US) return touch(database, low); /* above: the clock was set back */
  return SQLITE_OK;
}

bool t3_store_get(t3_store *store, const void *key, size_t key_size, void **value, size_t *value_size) {
  *value = NULL;
  *value_size = 0;
  if (!enter(store, GET_WAIT_MS)) return false;
  const record_key record = make_key(key, key_size);
  found entry = {0};
  int result = find(&store->database, &record, &entry);
  if (!result) result = tend(&store->database, &record, &entry);
  leave(store, result);
  *value = entry.value;
  *value_size = entry.size;
  return entry.value != NULL;
}

static int total(t3_database *database, int64_t *entries, int64_t *bytes) {
  sqlite3_stmt *statement = database->statement[T3_TOTAL];
  if (sqlite3_step(statement) == SQLITE_ROW) {
    *entries = sqlite3_column_int64(statement, 0);
    *bytes = sqlite3_column_int64(statement, 1);
  }
  int result = finish(statement);
  return result ? result : *entries < 0 || *bytes < 0 ? SQLITE_CORRUPT : SQLITE_OK;
}

/* Deletes the least recently used entry and says how many bytes that gave. */
static int remove_oldest(t3_database *database, int64_t *bytes) {
  sqlite3_stmt *statement = database->statement[T3_OLDEST];
  int64_t low = 0;
  *bytes = -1;
  if (sqlite3_step(statement) == SQLITE_ROW) {
    low = sqlite3_column_int64(statement, 0);
    *bytes = sqlite3_column_int64(statement, 1);
  }
  int result = finish(statement);
  if (!result) result = *bytes < 0 ? SQLITE_CORRUPT : remove_row(database, low);
  if (!result && sqlite3_changes(database->sqlite) != 1) result = SQLITE_CORRUPT; /* the index knows a row that is not there */
  return result;
}

/* Makes room before the new row comes, so that the file hardly outgrows its capacity. */
static int make_room(t3_database *database, uint64_t bytes) {
  int64_t entries = 0, held = 0, freed = 0;
  const int64_t room = (int64_t)(database->capacity - bytes);
  int result = total(database, &entries, &held);
  while (!result && held > room) {
    result = remove_oldest(database, &freed);
    held -= freed;
  }
  return result;
}

static int insert(t3_database *database, const record_key *key, const void *value, size_t size, int64_t used) {
  sqlite3_stmt *statement = database->statement[T3_INSERT];
  const XXH128_canonical_t checksum = make_checksum(key, value, size);
  const int64_t numbers[] = {(int64_t)key->hash.low64, (int64_t)key->hash.high64, used, (int64_t)(key->size + size)};
  int result = SQLITE_OK;
  for (int i = 0; i < 4; ++i) sqlite3_bind_int64(statement, i + 1, numbers[i]);
  result = sqlite3_bind_blob(statement, 5, &checksum, (int)sizeof checksum, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_blob64(statement, 6, key->bytes, key->size, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_blob64(statement, 7, size ? value : "", size, SQLITE_STATIC); /* NULL would be no blob */
  if (!result) return execute(statement);
  finish(statement);
  return result;
}

/* The row just written must be found: in a tree that is damaged in ways that SQLite does not see it may lie where no search
 * goes. */
static int read_back(t3_database *database, const record_key *key) {
  found entry = {0};
  int result = find(database, key, &entry);
  free(entry.value);
  return result ? result : entry.sound ? SQLITE_OK : SQLITE_CORRUPT;
}

static int put_row(t3_database *database, const record_key *key, const void *value, size_t size, int64_t used) {
  int result = sqlite3_exec(database->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!result) result = remove_row(database, (int64_t)key->hash.low64);
  if (!result) result = make_room(database, key->size + size);
  if (!result) result = insert(database, key, value, size, used);
  if (!result) result = read_back(database, key);
  if (!result) result = sqlite3_exec(database->sqlite, "COMMIT", NULL, NULL, NULL);
  if (!sqlite3_get_autocommit(database->sqlite)) sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
  return result;
}

static void put(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size, int64_t used) {
  const record_key record = make_key(key, key_size);
  for (int attempt = 0; attempt < 2; ++attempt) { /* once more into the new file that damage leads to */
    if (!enter(store, PUT_WAIT_MS)) return;
    const uint64_t capacity = store->database.capacity;
    int result = SQLITE_OK;
    if (key_size <= capacity && value_size <= capacity - key_size)
      result = put_row(&store->database, &record, value, value_size, used);
    leave(store, result);
    if (!t3_database_damaged(result)) return;
  }
}

void t3_store_put(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size) {
  put(store, key, key_size, value, value_size, now_us());
}

void t3_store_keep(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size) {
  put(store, key, key_size, value, value_size, KEPT);
}

/* ---- visiting ---- */

struct walk {
  const void *prefix;
  size_t prefix_size;
  t3_store_visit visit;
  void *user;
};

/* The column's bytes, NULL when it is no blob; never NULL for an empty one. */
static const void *column_blob(sqlite3_stmt *statement, int column, size_t *size) {
  if (sqlite3_column_type(statement, column) != SQLITE_BLOB) return NULL;
  const void *blob = sqlite3_column_blob(statement, column);
  *size = (size_t)sqlite3_column_bytes(statement, column);
  return *size ? blob : "";
}

/* Shows the row that EVERY stands on, if it is sound and asked for; false ends the walk. *bytes is what it holds. */
static bool visit_row(sqlite3_stmt *statement, const struct walk *walk, uint64_t *bytes) {
  size_t key_size = 0, size = 0;
  const void *key = column_blob(statement, 0, &key_size), *value = column_blob(statement, 1, &size);
  *bytes = key_size + size;
  if (!key || !value || key_size < walk->prefix_size || memcmp(key, walk->prefix, walk->prefix_size) != 0) return true;
  const record_key record = make_key(key, key_size);
  const XXH128_canonical_t checksum = make_checksum(&record, value, size);
  return !column_is(statement, 2, &checksum, sizeof checksum) || walk->visit(walk->user, key, key_size, value, size);
}

/* More rows than the capacity has room for are a tree that leads to the same pages again and again. */
static int visit_rows(t3_database *database, const struct walk *walk) {
  sqlite3_stmt *statement = database->statement[T3_EVERY];
  uint64_t held = 0, bytes = 0;
  sqlite3_bind_int64(statement, 1, KEPT);
  bool more = true;
  while (more && held <= database->capacity && sqlite3_step(statement) == SQLITE_ROW) {
    more = visit_row(statement, walk, &bytes);
    held += bytes;
  }
  int result = finish(statement);
  return result ? result : held > database->capacity ? SQLITE_CORRUPT : SQLITE_OK;
}

void t3_store_each_kept(t3_store *store, const void *prefix, size_t prefix_size, t3_store_visit visit, void *user) {
  if (!enter(store, GET_WAIT_MS)) return;
  const struct walk walk = {prefix, prefix_size, visit, user};
  leave(store, visit_rows(&store->database, &walk));
}

void t3_store_measure(t3_store *store, uint64_t *entries, uint64_t *bytes) {
  int64_t counted = 0, sum = 0;
  *entries = *bytes = 0;
  if (!enter(store, GET_WAIT_MS)) return;
  int result = total(&store->database, &counted, &sum);
  leave(store, result);
  if (result) return;
  *entries = (uint64_t)counted;
  *bytes = (uint64_t)sum;
}

/* By an empty file in its place: unlike deleting rows, that gives the disk its room back, and works on a damaged file too. */
void t3_store_empty(t3_store *store) {
  if (!enter(store, PUT_WAIT_MS)) return;
  t3_database_replace(&store->database, NULL, 0);
  pthread_mutex_unlock(&store->mutex);
}
