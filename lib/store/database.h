/* database.h: one connection to DIR/cache.db, and how that file is made, checked, shared and replaced. For the store alone.
 *
 * The file is never made or mended in place: a fresh database is built under another name and renamed over it, so that nobody
 * ever sees half a database. Every use holds DIR/cache.lock shared, and a replacement holds it exclusively, because SQLite's
 * own locks sit on the file that is being replaced, and its journal goes by name: without this a new file could meet an old
 * one's journal. */
#ifndef T3_DATABASE_H
#define T3_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/trust.h"

/* The prepared statements, with their parameters and result columns. */
typedef enum t3_statement {
  T3_FIND,   /* low, high -> key, value, checksum, used */
  T3_TOUCH,  /* low, used */
  T3_REMOVE, /* low */
  T3_INSERT, /* low, high, used, bytes, checksum, key, value */
  T3_OLDEST, /* -> low, bytes */
  T3_TOTAL,  /* -> entries, bytes */
  T3_EVERY,  /* used -> key, value, checksum */
  T3_STATEMENTS
} t3_statement;

typedef struct t3_database {
  char directory[T3_DIRECTORY_MAX];
  uint64_t capacity;
  sqlite3 *sqlite; /* NULL: not connected */
  sqlite3_stmt *statement[T3_STATEMENTS];
  int lock;          /* DIR/cache.lock; -1: it cannot be made there, so the cache is read only */
  int64_t cpu_limit; /* the thread's CPU time, in ns, at which the operation in progress is taken for endless */
} t3_database;

/* Connects, making or replacing the file where it must; false with the reason. *database is zeroed but for directory (absolute)
 * and capacity, and lock -1; it must not move while connected. */
bool t3_database_connect(t3_database *database, char *reason, size_t reason_capacity);
void t3_database_disconnect(t3_database *database);

/* Begins an operation: shares the lock, and connects anew when the file was deleted or replaced since. On success
 * t3_database_leave() must follow. */
bool t3_database_enter(t3_database *database);
void t3_database_leave(t3_database *database);

/* Whether this result of an SQLite call on this database means that the file is damaged or not ours. */
bool t3_database_damaged(int result);

/* Puts an empty database in the place of the connected one, unless another process was faster, or in the place of none. Gives
 * up the lock, if held. False with the reason: it stays as it was, and unconnected. */
bool t3_database_replace(t3_database *database, char *reason, size_t reason_capacity);

#endif
