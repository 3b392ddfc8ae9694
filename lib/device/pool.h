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
/* Gives the buffer back for the time after event, however it ends; at once when event is NULL. The caller keeps its own
 * reference of the event. */
void t3_pool_return(t3_pool *pool, cl_mem buffer, cl_event event);

#endif
