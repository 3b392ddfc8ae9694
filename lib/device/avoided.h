/* avoided.h: what failed in a context and is not to be chosen there again, as marks. A context's list; any thread may call. */
#ifndef T3_AVOIDED_H
#define T3_AVOIDED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A way to compute something: an address that names the algorithm, the numbers of its variant, and a hash of the problem. Marks
 * are compared as bytes and have no padding. */
enum { T3_MARK_NUMBERS = 6 };
typedef struct t3_mark {
  uint64_t algorithm, problem;
  int64_t number[T3_MARK_NUMBERS];
} t3_mark;

enum { T3_MAX_AVOIDED = 64 }; /* then the oldest is forgotten */
typedef struct t3_avoided {
  pthread_mutex_t lock;
  t3_mark list[T3_MAX_AVOIDED];
  size_t count, next;
} t3_avoided;

void t3_avoid(t3_avoided *avoided, const t3_mark *mark);
/* Those of one problem, into a list with room for T3_MAX_AVOIDED; how many. */
size_t t3_avoided_of(t3_avoided *avoided, uint64_t problem, t3_mark *list);

#endif
