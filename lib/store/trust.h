/* trust.h: whose files the cache may use. A program read from the cache is run on the device, so nothing that another user
 * could have written is ever opened. Every function here gives its reason in words when it refuses. */
#ifndef T3_TRUST_H
#define T3_TRUST_H

#include <stdbool.h>
#include <stddef.h>

/* The longest directory name, with its NUL, and room for a file's name behind it. */
enum { T3_DIRECTORY_MAX = 1024, T3_PATH_MAX = T3_DIRECTORY_MAX + 32 };

/* The names of all files that the cache has in its directory. The first is the database itself. */
#define T3_DATABASE_NAME "cache.db"
#define T3_JOURNAL_NAME T3_DATABASE_NAME "-journal"
#define T3_LOCK_NAME "cache.lock"

/* Writes the reason, cut to its capacity (NULL and 0: nobody asks); always false, so that `return t3_refuse(...)` reads well.
 */
bool t3_refuse(char *reason, size_t capacity, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Makes the directory and its parents, each 0700, where they are missing. What fails shows in the check that follows. */
void t3_make_directory(const char *directory);

/* Whether t3_make_directory(directory) could make it, as far as one can tell without trying. */
bool t3_could_make(const char *directory, char *reason, size_t capacity);

/* The directory exists, is this user's and nobody else can write in it. *missing: it is refused for not being there. */
bool t3_trust_directory(const char *directory, bool *missing, char *reason, size_t capacity);

/* The same for each of the cache's files that is there; it must be a regular file. *exists: the database is there. */
bool t3_trust_files(const char *directory, bool *exists, char *reason, size_t capacity);

#endif
