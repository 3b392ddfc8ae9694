/* pool.h: workspaces that wait for their next call. A buffer is taken for one call and comes back when the call's event
 * completes; that happens on a thread of the runtime, where this file calls no OpenCL function at all (a runtime may hold locks
 * there). */
#ifndef T3_POOL_H
#define T3_POOL_H

#include <tconv3d/tconv3d.h>

typedef struct t3_pool t3_pool;

t3_pool *t3_pool_create(void); /* NULL: no memory */
/* Releases every buffer, those in flight too (the runtime keeps these until their commands end), and lets go of the pool. */
void t3_pool_close(t3_pool *pool);

/* A buffer of at least bytes, made in cl when none is free. */
tconv3d_status t3_pool_take(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer);
/* Brings the buffer back when event completes, however it ends; at once when event is NULL. The caller keeps its own reference
 * of the event. If that cannot be arranged, the buffer is given up instead: the runtime frees it in time. */
void t3_pool_return(t3_pool *pool, cl_mem buffer, cl_event event);

#endif
