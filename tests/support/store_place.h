/* store_place.h: what the tests of the program store share: a fresh directory for each test, values that follow from their
 * number, and a clock that can be set ahead. In a build without SQLite the tests that need a file are skipped. */
#ifndef STORE_PLACE_H
#define STORE_PLACE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "store/store.h"
#include "support/scratch.h"

enum { NOBODY = 65534, MEGABYTE = 1 << 20 };
#define ROOM ((uint64_t)64 << 20)

typedef struct place {
  struct scratch scratch;
  char cache[SCRATCH_PATH], file[SCRATCH_PATH], journal[SCRATCH_PATH]; /* not made yet */
} place;

int make_place(void **state);
int remove_place(void **state);
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

/* How many seconds the wall clock of this program is ahead; each test begins with 0. */
extern time_t clock_ahead;

bool without_sqlite(void);

/* The store in the place's cache directory. Fails the test when it does not open. */
t3_store *open_store(const place *here, uint64_t capacity);

/* Bytes that depend on the number alone, never on luck. */
void fill(unsigned char *bytes, size_t size, uint64_t number);

/* An entry whose key is the number and whose value follows from it. */
typedef enum answer { MISS, RIGHT, WRONG } answer;
void put_number(t3_store *store, uint64_t number, size_t size);
answer get_number(t3_store *store, uint64_t number, size_t size);

/* A new file in the place of any there was, its owner's alone, as the store makes them. */
void write_file(const char *path, const void *bytes, size_t size);
/* The bytes of the place's file, to be freed. */
unsigned char *read_image(const place *here, size_t *size);

/* Waits for a child that has to end with status 0. */
void child_succeeds(pid_t child);

/* A database of a few small entries, numbers 0 to SMALL_ENTRIES - 1, as bytes. */
enum { SMALL_ENTRIES = 3 };
extern const size_t small_sizes[SMALL_ENTRIES];
unsigned char *small_image(const place *here, size_t *size);

#endif
