/* store.h: what outlives a process, as keys and values. A store never fails: what it cannot read is a miss, what it cannot
 * write is lost. A NULL store is a valid one that holds nothing. */
#ifndef T3_STORE_H
#define T3_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tconv3d/tconv3d.h>

typedef struct t3_store t3_store;

#define T3_STORE_CAPACITY ((uint64_t)256 << 20) /* bytes of keys and values; the least recently used go first */

/* What the keys of tunings begin with; those of programs begin otherwise. */
#define T3_TUNING_PREFIX "tuning 1\n"

/* The directory of the cache by the environment, into path; false with the reason when there is none. Creates nothing. */
bool t3_store_location(char *path, size_t capacity, char *reason, size_t reason_capacity);

/* Whether t3_store_open(directory) would find or could make a cache there, judged without making or changing anything; false
 * with the reason when not. *exists: DIR/cache.db is there. */
bool t3_store_check(const char *directory, bool *exists, char *reason, size_t reason_capacity);

/* Opens (making it when missing) DIR/cache.db; NULL with the reason when it cannot be trusted or used. Any number of processes
 * and threads may have it open; one t3_store may be used by several threads at once. After a fork the child's copy holds
 * nothing. */
t3_store *t3_store_open(const char *directory, uint64_t capacity_bytes, char *reason, size_t reason_capacity);
void t3_store_close(t3_store *store);

/* The value under exactly this key, checksum verified, malloc'd for the caller (never NULL, even of size 0); false with *value
 * NULL: a miss. */
bool t3_store_get(t3_store *store, const void *key, size_t key_size, void **value, size_t *value_size);
void t3_store_put(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size);

/* As put, but the entry never grows old: it makes room only when nothing else is left that could. For small things that took
 * long to find out. */
void t3_store_keep(t3_store *store, const void *key, size_t key_size, const void *value, size_t value_size);

/* Visits every sound entry that was put by t3_store_keep and whose key begins with prefix, in any order, until visit returns
 * false; damaged ones are passed over. visit must not use the store. */
typedef bool (*t3_store_visit)(void *user, const void *key, size_t key_size, const void *value, size_t value_size);
void t3_store_each_kept(t3_store *store, const void *prefix, size_t prefix_size, t3_store_visit visit, void *user);

/* How many entries, and the bytes of their keys and values; 0 and 0 when that cannot be read. */
void t3_store_measure(t3_store *store, uint64_t *entries, uint64_t *bytes);
void t3_store_empty(t3_store *store);

#endif
