/* The public view of the cache of programs and tunings. */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "store/store.h"
#include "store/trust.h"

/* The directory of a cache that may be used; false with the reason when there is none. */
static bool find_cache(char *directory, size_t capacity, bool *exists, char *reason, size_t reason_capacity) {
  return t3_store_location(directory, capacity, reason, reason_capacity) &&
         t3_store_check(directory, exists, reason, reason_capacity);
}

static bool count_one(void *user, const void *key, size_t key_size, const void *value, size_t value_size) {
  (void)key, (void)key_size, (void)value, (void)value_size;
  ++*(uint64_t *)user;
  return true;
}

/* What an existing cache holds; false with the reason when it turns out to be unusable. */
static bool measure(const char *directory, tconv3d_cache_info *info) {
  t3_store *store = t3_store_open(directory, T3_STORE_CAPACITY, info->reason, sizeof info->reason);
  if (!store) return false;
  t3_store_measure(store, &info->entries, &info->bytes);
  t3_store_each_kept(store, T3_TUNING_PREFIX, strlen(T3_TUNING_PREFIX), count_one, &info->tunings);
  t3_store_close(store);
  return true;
}

tconv3d_status tconv3d_cache_query(tconv3d_cache_info *info) {
  if (!info) return t3_fail(TCONV3D_INVALID_ARGUMENT, "tconv3d_cache_query: info is NULL");
  memset(info, 0, sizeof *info);
  char directory[T3_DIRECTORY_MAX];
  bool exists = false;
  if (!find_cache(directory, sizeof directory, &exists, info->reason, sizeof info->reason)) return TCONV3D_OK;
  if (exists && !measure(directory, info)) return TCONV3D_OK;
  int length = snprintf(info->path, sizeof info->path, "%s/%s", directory, T3_DATABASE_NAME);
  if (length < 0 || (size_t)length >= sizeof info->path) {
    memset(info, 0, sizeof *info);
    t3_refuse(info->reason, sizeof info->reason, "the cache's path is too long: %s", directory);
    return TCONV3D_OK;
  }
  info->capacity_bytes = T3_STORE_CAPACITY;
  return TCONV3D_OK;
}

tconv3d_status tconv3d_cache_clear(void) {
  char directory[T3_DIRECTORY_MAX], reason[192];
  bool exists = false;
  if (!find_cache(directory, sizeof directory, &exists, reason, sizeof reason) || !exists) return TCONV3D_OK;
  t3_store *store = t3_store_open(directory, T3_STORE_CAPACITY, reason, sizeof reason);
  t3_store_empty(store);
  t3_store_close(store);
  return TCONV3D_OK;
}
