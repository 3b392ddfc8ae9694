/* pool.h: workspaces that wait for their next call. A buffer is taken for one call and is free again once the call's event has
 * ended, which is asked when the next buffer is wanted: nothing runs on the runtime's threads. Any thread may call. */
#ifndef T3_POOL_H
#define T3_POOL_H

#include <tconv3d/tconv3d.h>

typedef struct t3_pool t3_pool;

t3_pool *t3_pool_create(void); /* NULL: no memory */
/* Releases every buffer, those in flight too: the runtime keeps the memory until their commands end. */
void t3_pool_close(t3_pool *pool);

/* A buffer of at least bytes, made in cl when none is free. */
tconv3d_status t3_pool_take(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer);
/* The buffer is free again once event has ended (NULL: now). between: the events of the call's count launches before that one,
 * taken over and released with it: PoCL 3.1 crashes when the last reference of an event goes while its failure is passed on to
 * the command that waits for it. */
enum { T3_MAX_BETWEEN = 96 };
void t3_pool_return(t3_pool *pool, cl_mem buffer, cl_event event, const cl_event *between, int count);
/* The same of a call whose workspace is the caller's: only its events are kept. */
void t3_pool_keep(t3_pool *pool, cl_event event, const cl_event *between, int count);

#endif
