/* exchange.h: tunings on their way between the store and a text. */
#ifndef T3_EXCHANGE_H
#define T3_EXCHANGE_H

#include "tune/tuning.h"

#define T3_TUNINGS_HEADER "tconv3d tunings 1"

/* A row of the store, both parts malloc'd and ended with NUL. */
typedef struct t3_entry {
  char *key, *value;
} t3_entry;

typedef struct t3_entries {
  t3_entry *list;
  size_t count, capacity;
  bool failed; /* no memory for one of them */
} t3_entries;

/* NULL, and failed, without memory. */
t3_entry *t3_entries_add(t3_entries *entries, const void *key, size_t key_size, const void *value, size_t value_size);
void t3_entries_drop_last(t3_entries *entries);
void t3_entries_free(t3_entries *entries);

/* The last line of the key, the layer; NULL when the key has no other line. */
const char *t3_entry_layer(const t3_entry *entry);

/* The store that the environment names, made when missing only for whom makes; NULL with the reason. */
t3_store *t3_open_cache(bool make, char *reason, size_t capacity);

#endif
