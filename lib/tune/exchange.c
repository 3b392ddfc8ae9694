#include "tune/exchange.h"

#include <stdlib.h>
#include <string.h>

/* strndup stops at a NUL, which whoever counts will notice. */
t3_entry *t3_entries_add(t3_entries *entries, const void *key, size_t key_size, const void *value, size_t value_size) {
  if (entries->count == entries->capacity) {
    size_t capacity = entries->capacity ? 2 * entries->capacity : 16;
    t3_entry *list = realloc(entries->list, capacity * sizeof *list);
    if (!list) goto fail;
    entries->list = list;
    entries->capacity = capacity;
  }
  t3_entry *entry = &entries->list[entries->count++];
  *entry = (t3_entry){strndup(key, key_size), strndup(value, value_size)};
  if (entry->key && entry->value) return entry;
  t3_entries_drop_last(entries);
fail:
  entries->failed = true;
  return NULL;
}

void t3_entries_drop_last(t3_entries *entries) {
  const t3_entry *last = &entries->list[--entries->count];
  free(last->key);
  free(last->value);
}

void t3_entries_free(t3_entries *entries) {
  while (entries->count) t3_entries_drop_last(entries);
  free(entries->list);
  *entries = (t3_entries){0};
}

const char *t3_entry_layer(const t3_entry *entry) {
  const char *last = strrchr(entry->key, '\n');
  return last && last >= entry->key + strlen(T3_TUNING_PREFIX) ? last + 1 : NULL;
}

t3_store *t3_open_cache(bool make, char *reason, size_t capacity) {
  char directory[1024];
  bool exists = false;
  if (!t3_store_location(directory, sizeof directory, reason, capacity) ||
      !t3_store_check(directory, &exists, reason, capacity) || (!exists && !make))
    return NULL;
  return t3_store_open(directory, T3_STORE_CAPACITY, reason, capacity);
}
