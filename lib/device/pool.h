/* pool.h: workspaces that wait for their next call, and the events of calls in flight. A buffer is taken for one call and is
 * free again once the call's event has ended, which is asked when the next buffer is wanted: nothing runs on the runtime's
 * threads. An event that turns out to have failed puts its call's mark on the context's list. Any thread may call. */
#ifndef T3_POOL_H
#define T3_POOL_H

#include <tconv3d/tconv3d.h>

#include "device/avoided.h"

typedef struct t3_pool t3_pool;

/* avoided outlives the pool. NULL: no memory. */
t3_pool *t3_pool_create(t3_avoided *avoided);
/* Releases every buffer, those in flight too: the runtime keeps the memory until their commands end. */
void t3_pool_close(t3_pool *pool);

/* A buffer of at least bytes, made in cl when none is free; where that fails, once more without the free ones. */
tconv3d_status t3_pool_take(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer);
/* Gives the memory of free buffers back to the device. */
void t3_pool_trim(t3_pool *pool);

/* What a call leaves in flight. last: the event of its last command, NULL where there is none. between: those of the count
 * commands before that one, in a malloc'd list, all taken over and released with it: PoCL 3.1 crashes when the last reference
 * of an event goes while its failure is passed on to the command that waits for it. */
typedef struct t3_flight {
  cl_event last, *between;
  int count;
  t3_mark mark;
} t3_flight;
/* The buffer is free again once the flight's last event has ended (NULL: now). flight may be NULL. */
void t3_pool_return(t3_pool *pool, cl_mem buffer, const t3_flight *flight);
/* The same of a call that has no buffer of the pool's: only its events are kept. */
void t3_pool_keep(t3_pool *pool, const t3_flight *flight);

/* Asks every event that is kept, so that failures are on the list. */
void t3_pool_poll(t3_pool *pool);

#endif
