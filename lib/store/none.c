/* The store of a build without SQLite: it holds nothing. */
#include "store/store.h"
#include "store/trust.h"

static const char why[] = "this build of the library is without SQLite";

bool t3_store_check(const char *directory, bool *exists, char *reason, size_t reason_capacity) {
  (void)directory;
  *exists = false;
  return t3_refuse(reason, reason_capacity, "%s", why);
}

t3_store *t3_store_open(const char *directory, uint64_t capacity_bytes, char *reason, size_t reason_capacity) {
  (void)directory, (void)capacity_bytes;
  t3_refuse(reason, reason_capacity, "%s", why);
  return NULL;
}

void t3_store_close(t3_store *store) {
  (void)store;
}

bool t3_store_get(t3_store *store, const void *key, size_t key_size, void **value, size_t *value_size) {
  (void)store, (void)key, (void)key_size;
  *value = NULL;
  *value_size = 0;
  return false;
}

void t3_store_put(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size) {
  (void)store, (void)key, (void)key_size, (void)value, (void)value_size;
}

void t3_store_keep(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size) {
  t3_store_put(store, key, key_size, value, value_size);
}

void t3_store_each_kept(t3_store *store, const void *prefix, size_t prefix_size, t3_store_visit visit, void *user) {
  (void)store, (void)prefix, (void)prefix_size, (void)visit, (void)user;
}

void t3_store_measure(t3_store *store, uint64_t *entries, uint64_t *bytes) {
  (void)store;
  *entries = *bytes = 0;
}

void t3_store_empty(t3_store *store) {
  (void)store;
}
