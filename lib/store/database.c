/* How the settings were chosen.
 *
 * journal_mode DELETE, SQLite's own rollback journal: a process killed in the middle of a write leaves the last whole state.
 * The write-ahead log would let readers pass a writer, but it needs shared memory, which home directories on network file
 * systems do not have, and it cannot be read from a read-only directory. Writes here are rare and take milliseconds.
 *
 * synchronous OFF, no fsync: what a power failure may then damage is a cache, checked at every read and replaced when damaged;
 * in return a put costs no wait for the disk.
 *
 * No memory mapping: a file that another process truncates must give an error, not SIGBUS. */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STRING_(x) #x
#define STRING(x) STRING_(x)

/* In the file's header: whose it is ("t3dc") and which layout. A new layout takes the next number, and replaces older files. */
#define APPLICATION_ID 0x74336463
#define LAYOUT 1

/* low and high are the two halves of the key's XXH3 128-bit hash; low, as the row number, finds the row without an index. The
 * value comes last, so that reading the other columns leaves its pages alone. */
#define TABLE_SQL                                                                                                      \
  "CREATE TABLE entry(low INTEGER PRIMARY KEY, high INTEGER NOT NULL, used INTEGER NOT NULL, bytes INTEGER NOT NULL, " \
  "checksum BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL)"
/* Answers "which is the oldest" and "how much is there" without touching the table, whose pages are full of values. */
#define INDEX_SQL "CREATE INDEX recent ON entry(used, bytes)"
#define MARKS_SQL "PRAGMA application_id=" STRING(APPLICATION_ID) "; PRAGMA user_version=" STRING(LAYOUT)
#define BUILD_SQL                                                                                     \
  "PRAGMA page_size=4096; PRAGMA auto_vacuum=NONE; PRAGMA encoding='UTF-8'; PRAGMA synchronous=OFF; " \
  "PRAGMA journal_mode=MEMORY; BEGIN; " MARKS_SQL "; " TABLE_SQL "; " INDEX_SQL "; COMMIT"

enum {
  LOCK_WAIT_MS = 2000,           /* a replacement takes about a millisecond; longer means a stopped process */
  CONNECT_WAIT_MS = 1000,        /* for another process's write to end */
  STEPS_BETWEEN_CHECKS = 100000, /* of SQLite's virtual machine, about a millisecond */
};
#define CPU_LIMIT_NS ((int64_t)10000000000) /* honest operations take well under a second */

static const char *const statement_sql[T3_STATEMENTS] = {
    [T3_FIND] = "SELECT key, value, checksum, used FROM entry WHERE low = ?1 AND high = ?2",
    [T3_TOUCH] = "UPDATE entry SET used = ?2 WHERE low = ?1",
    [T3_REMOVE] = "DELETE FROM entry WHERE low = ?1",
    [T3_INSERT] = "INSERT INTO entry(low, high, used, bytes, checksum, key, value) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [T3_OLDEST] = "SELECT low, bytes FROM entry ORDER BY used LIMIT 1",
    [T3_TOTAL] = "SELECT count(*), coalesce(sum(bytes), 0) FROM entry",
    [T3_EVERY] = "SELECT key, value, checksum FROM entry WHERE used = ?1",
};

static void join(char path[T3_PATH_MAX], const t3_database *database, const char *name) {
  snprintf(path, T3_PATH_MAX, "%s/%s", database->directory, name); /* fits: names have fewer than 32 letters */
}

/* ---- the lock ---- */

static void open_lock(t3_database *database) {
  char path[T3_PATH_MAX];
  join(path, database, T3_LOCK_NAME);
  database->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (database->lock < 0) database->lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Takes LOCK_SH or LOCK_EX, or changes one to the other, without ever waiting for long. Where there is no lock file nobody can
 * write, and sharing needs none. */
static bool take_lock(const t3_database *database, int kind) {
  static const struct timespec pause = {0, 2000000};
  if (database->lock < 0) return kind == LOCK_SH;
  for (int waited = 0; waited < LOCK_WAIT_MS; waited += 2) {
    if (flock(database->lock, kind | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    nanosleep(&pause, NULL);
  }
  return false;
}

static void drop_lock(const t3_database *database) {
  if (database->lock >= 0) flock(database->lock, LOCK_UN);
}

/* ---- what is damage ---- */

bool t3_database_damaged(int result) {
  switch (result & 0xff) {
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_FORMAT:
  case SQLITE_ERROR: /* our statements are right: the tables are not ours */
  case SQLITE_SCHEMA:
  case SQLITE_CONSTRAINT: /* no statement can break one on whole tables */
  case SQLITE_MISMATCH:
  case SQLITE_INTERRUPT: /* a tree with a loop in it */ return true;
  default: return false;
  }
}

static int64_t cpu_time(void) {
  struct timespec t = {0, 0};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* SQLite asks now and then; CPU time, so that a stopped or crowded process is not taken for a damaged file. */
static int is_endless(void *data) {
  const t3_database *database = data;
  return cpu_time() > database->cpu_limit;
}

/* The header's fields that never change. SQLite would obey others: a flipped bit there turns on the write-ahead log, makes the
 * file read-only or moves every page by the tables of auto_vacuum. Read without a lock: files appear whole, by rename. */
static bool header_is_ours(sqlite3 *sqlite) {
#define BYTES32(x) \
  (unsigned char)((x) >> 24 & 255), (unsigned char)((x) >> 16 & 255), (unsigned char)((x) >> 8 & 255), (unsigned char)((x)&255)
  static const struct {
    unsigned char offset, size, bytes[16];
  } fields[] = {
      {0, 16, "SQLite format 3"},                     /* with its NUL */
      {16, 4, {0x10, 0x00, 1, 1}},                    /* pages of 4096 bytes; rollback journal for writing and reading */
      {52, 4, {0}},                                   /* no auto_vacuum */
      {56, 4, {BYTES32(1)}},                          /* UTF-8 */
      {60, 4, {BYTES32(LAYOUT)}},                     /* user_version */
      {64, 8, {0, 0, 0, 0, BYTES32(APPLICATION_ID)}}, /* no incremental vacuum; application_id */
  };
  unsigned char header[100];
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file) || !file || !file->pMethods) return false;
  if (file->pMethods->xRead(file, header, sizeof header, 0) != SQLITE_OK) return false; /* also: the file is shorter */
  for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i)
    if (memcmp(header + fields[i].offset, fields[i].bytes, fields[i].size) != 0) return false;
  return true;
}

/* Exactly our table and index, where a fresh file has them, letter by letter. */
static int check_schema(sqlite3 *sqlite) {
  static const char sql[] = "SELECT count(*), total((name, rootpage, sql) IN (VALUES('entry', 2, '" TABLE_SQL
                            "'), ('recent', 3, '" INDEX_SQL "'))) FROM sqlite_master";
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL);
  if (result) return result;
  bool ours =
      sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) == 2 && sqlite3_column_int(statement, 1) == 2;
  result = sqlite3_finalize(statement);
  return result ? result : ours ? SQLITE_OK : SQLITE_CORRUPT;
}

/* ---- connecting ---- */

/* A database file is input like any other: no schema of its may run code, and sizes that it claims are bounded. */
static int configure(t3_database *database) {
  static const char sql[] = "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; "
                            "PRAGMA journal_mode=DELETE; PRAGMA secure_delete=OFF; PRAGMA cache_size=-2000";
  sqlite3 *sqlite = database->sqlite;
  static const struct {
    int option, value;
  } options[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                 {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                 {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                 {SQLITE_DBCONFIG_ENABLE_VIEW, 0}};
  for (size_t i = 0; i < sizeof options / sizeof *options; ++i)
    sqlite3_db_config(sqlite, options[i].option, options[i].value, NULL); /* an older SQLite without one of them works too */
  const uint64_t row = database->capacity + 65536; /* a row is a key, a value and a few numbers; SQL texts count too */
  sqlite3_limit(sqlite, SQLITE_LIMIT_LENGTH, row < INT32_MAX ? (int)row : INT32_MAX);
  sqlite3_extended_result_codes(sqlite, 1);
  sqlite3_busy_timeout(sqlite, CONNECT_WAIT_MS);
  database->cpu_limit = cpu_time() + CPU_LIMIT_NS;
  sqlite3_progress_handler(sqlite, STEPS_BETWEEN_CHECKS, is_endless, database);
  return sqlite3_exec(sqlite, sql, NULL, NULL, NULL);
}

/* The file may hold far more than its entries only when its books are wrong. */
static bool size_is_plausible(const t3_database *database) {
  struct stat info;
  char path[T3_PATH_MAX];
  join(path, database, T3_DATABASE_NAME);
  return stat(path, &info) || (uint64_t)info.st_size / 4 <= database->capacity + ((uint64_t)1 << 20);
}

static int prepare(t3_database *database) {
  int result = header_is_ours(database->sqlite) && size_is_plausible(database) ? SQLITE_OK : SQLITE_NOTADB;
  if (!result) result = configure(database);
  if (!result) result = check_schema(database->sqlite);
  for (int i = 0; i < T3_STATEMENTS && !result; ++i)
    result =
        sqlite3_prepare_v3(database->sqlite, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &database->statement[i], NULL);
  return result;
}

static void close_sqlite(t3_database *database) {
  for (int i = 0; i < T3_STATEMENTS; ++i) {
    sqlite3_finalize(database->statement[i]);
    database->statement[i] = NULL;
  }
  sqlite3_close(database->sqlite);
  database->sqlite = NULL;
}

void t3_database_disconnect(t3_database *database) {
  close_sqlite(database);
  if (database->lock >= 0) close(database->lock);
  database->lock = -1;
}

typedef enum attachment { ATTACHED, MISSING, DAMAGED, UNUSABLE } attachment;

/* Opens the file that is there. A damaged one stays open, so that a new file cannot get its inode before it is replaced. */
static attachment attach(t3_database *database, char *reason, size_t reason_capacity) {
  char path[T3_PATH_MAX];
  struct stat info;
  join(path, database, T3_DATABASE_NAME);
  if (!take_lock(database, LOCK_SH)) {
    t3_refuse(reason, reason_capacity, "the cache is locked, or its file system has no locks: %s", path);
    return UNUSABLE;
  }
  attachment outcome = ATTACHED;
  int result = SQLITE_OK;
  if (lstat(path, &info) && errno == ENOENT) {
    outcome = MISSING;
    goto done;
  }
  result =
      sqlite3_open_v2(path, &database->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
  if (!result) result = prepare(database);
  if (result) outcome = t3_database_damaged(result) ? DAMAGED : UNUSABLE;
  if (outcome == UNUSABLE) {
    t3_refuse(reason, reason_capacity, "the cache cannot be read (%s): %s", sqlite3_errstr(result), path);
    close_sqlite(database);
  }
done:
  drop_lock(database);
  return outcome;
}

bool t3_database_connect(t3_database *database, char *reason, size_t reason_capacity) {
  bool missing, exists;
  t3_make_directory(database->directory);
  if (!t3_trust_directory(database->directory, &missing, reason, reason_capacity) ||
      !t3_trust_files(database->directory, &exists, reason, reason_capacity))
    return false;
  open_lock(database);
  switch (attach(database, reason, reason_capacity)) {
  case ATTACHED: return true;
  case MISSING:
  case DAMAGED: return t3_database_replace(database, reason, reason_capacity);
  case UNUSABLE: break;
  }
  t3_database_disconnect(database);
  return false;
}

/* ---- replacing ---- */

/* An empty database in a file of its own. */
static bool build(const char *path, const char *journal) {
  sqlite3 *sqlite = NULL;
  unlink(path);
  unlink(journal);
  int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600); /* SQLite would make it 0644 */
  if (file < 0) return false;
  close(file);
  bool built = sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL) ==
                   SQLITE_OK &&
               sqlite3_exec(sqlite, BUILD_SQL, NULL, NULL, NULL) == SQLITE_OK;
  built = sqlite3_close(sqlite) == SQLITE_OK && built;
  if (!built) unlink(path);
  return built;
}

/* The old journals go first: the new file must never meet them. */
static bool put_fresh_in_place(const t3_database *database) {
  static const char *const stale[] = {T3_JOURNAL_NAME, T3_DATABASE_NAME "-wal", T3_DATABASE_NAME "-shm"};
  char fresh[T3_PATH_MAX], journal[T3_PATH_MAX], path[T3_PATH_MAX];
  join(fresh, database, T3_DATABASE_NAME ".new");
  join(journal, database, T3_DATABASE_NAME ".new-journal");
  if (!build(fresh, journal)) return false;
  for (size_t i = 0; i < sizeof stale / sizeof *stale; ++i) {
    join(path, database, stale[i]);
    unlink(path);
  }
  join(path, database, T3_DATABASE_NAME);
  if (rename(fresh, path) == 0) return true;
  unlink(fresh);
  return false;
}

/* Whether the name no longer stands for the open file. */
static bool has_moved(const t3_database *database) {
  int moved = 0;
  return sqlite3_file_control(database->sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

/* With the exclusive lock held: is the file still the one that is to be replaced? */
static bool is_replaced(const t3_database *database) {
  char path[T3_PATH_MAX];
  struct stat info;
  join(path, database, T3_DATABASE_NAME);
  if (lstat(path, &info)) return false; /* none there: a fresh one is wanted */
  return !database->sqlite || has_moved(database);
}

bool t3_database_replace(t3_database *database, char *reason, size_t reason_capacity) {
  const bool fresh = take_lock(database, LOCK_EX) && (is_replaced(database) || put_fresh_in_place(database));
  close_sqlite(database);
  drop_lock(database);
  const attachment outcome = fresh ? attach(database, reason, reason_capacity) : MISSING;
  if (outcome == ATTACHED) return true;
  if (outcome != UNUSABLE)
    t3_refuse(reason, reason_capacity, "the cache is missing or damaged, and no new one can be written: %s",
              database->directory);
  t3_database_disconnect(database);
  return false;
}

/* ---- operations ---- */

bool t3_database_enter(t3_database *database) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!database->sqlite && !t3_database_connect(database, NULL, 0)) return false;
    database->cpu_limit = cpu_time() + CPU_LIMIT_NS;
    if (take_lock(database, LOCK_SH)) {
      if (!has_moved(database)) return true;
      drop_lock(database);
    }
    t3_database_disconnect(database); /* gone or replaced, or the lock file is in strange hands: see what is there now */
  }
  return false;
}

void t3_database_leave(t3_database *database) {
  drop_lock(database);
}
