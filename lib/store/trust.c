/* The checks go by name with lstat(): opening a file to look at it and closing it again would drop the POSIX locks that another
 * connection of this process holds on it. Going by name is safe, because once the directory is known to be writable by this
 * user alone, no other user can exchange what a name in it stands for. */
#include "store/trust.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool t3_refuse(char *reason, size_t capacity, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(reason, capacity, format, args);
  va_end(args);
  if (length < 0 && capacity) reason[0] = '\0';
  return false;
}

void t3_make_directory(const char *directory) {
  char path[T3_DIRECTORY_MAX];
  size_t length = strlen(directory);
  if (length == 0 || length >= sizeof path) return;
  memcpy(path, directory, length + 1);
  for (size_t i = 1; i < length; ++i) { /* from 1: "/" itself is there */
    if (path[i] != '/') continue;
    path[i] = '\0';
    mkdir(path, 0700);
    path[i] = '/';
  }
  mkdir(path, 0700);
}

bool t3_could_make(const char *directory, char *reason, size_t capacity) {
  char path[T3_DIRECTORY_MAX];
  size_t length = strlen(directory);
  if (length == 0 || length >= sizeof path) return t3_refuse(reason, capacity, "the path is too long: %s", directory);
  memcpy(path, directory, length + 1);
  int failed;
  do { /* up to the nearest parent that is there */
    while (length > 0 && path[length - 1] != '/') --length;
    while (length > 1 && path[length - 1] == '/') --length;
    memcpy(path + length, length ? "" : ".", length ? 1 : 2);
    failed = access(path, W_OK | X_OK) ? errno : 0;
  } while (failed == ENOENT && length > 1);
  if (failed) return t3_refuse(reason, capacity, "the cache directory cannot be made (%s): %s", strerror(failed), directory);
  return true;
}

/* Long paths may cut a reason short, so the path always comes last. */
static bool trust_owner(const struct stat *info, const char *what, const char *path, char *reason, size_t capacity) {
  if (info->st_uid != geteuid())
    return t3_refuse(reason, capacity, "%s is owned by user %lu, not by user %lu: %s", what, (unsigned long)info->st_uid,
                     (unsigned long)geteuid(), path);
  return true;
}

static bool trust_mode(const struct stat *info, const char *what, const char *path, char *reason, size_t capacity) {
  if (info->st_mode & (S_IWGRP | S_IWOTH))
    return t3_refuse(reason, capacity, "%s is writable by others than its owner (mode %04o): %s", what,
                     (unsigned)info->st_mode & 07777, path);
  return true;
}

bool t3_trust_directory(const char *directory, bool *missing, char *reason, size_t capacity) {
  static const char what[] = "the cache directory";
  struct stat link, target;
  bool here = lstat(directory, &link) == 0;
  *missing = !here && errno == ENOENT;
  if (!here || stat(directory, &target))
    return t3_refuse(reason, capacity, "%s cannot be used (%s): %s", what, strerror(errno), directory);
  /* A symbolic link of the user's own is fine: people move ~/.cache to a larger disk. */
  if (!trust_owner(&link, "the cache directory's symbolic link", directory, reason, capacity)) return false;
  if (!S_ISDIR(target.st_mode)) return t3_refuse(reason, capacity, "%s is not a directory: %s", what, directory);
  return trust_owner(&target, what, directory, reason, capacity) && trust_mode(&target, what, directory, reason, capacity);
}

static bool trust_file(const char *path, const char *what, bool *exists, char *reason, size_t capacity) {
  struct stat info;
  *exists = lstat(path, &info) == 0;
  if (!*exists && errno == ENOENT) return true;
  if (!*exists) return t3_refuse(reason, capacity, "%s cannot be used (%s): %s", what, strerror(errno), path);
  if (!S_ISREG(info.st_mode)) return t3_refuse(reason, capacity, "%s is not a regular file: %s", what, path);
  return trust_owner(&info, what, path, reason, capacity) && trust_mode(&info, what, path, reason, capacity);
}

bool t3_trust_files(const char *directory, bool *exists, char *reason, size_t capacity) {
  /* The -wal and -shm files appear in one case only: a damaged header that asks for them. */
  static const char *const names[] = {T3_DATABASE_NAME, T3_JOURNAL_NAME, T3_LOCK_NAME, T3_DATABASE_NAME "-wal",
                                      T3_DATABASE_NAME "-shm"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    char path[T3_PATH_MAX], what[64];
    bool here = false;
    int length = snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    if (length < 0 || (size_t)length >= sizeof path) return t3_refuse(reason, capacity, "the path is too long: %s", directory);
    snprintf(what, sizeof what, "the cache file %s", names[i]);
    if (!trust_file(path, what, &here, reason, capacity)) return false;
    if (i == 0) *exists = here;
  }
  return true;
}
