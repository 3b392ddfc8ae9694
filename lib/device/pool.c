#include "device/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"

enum { MAX_FREE = 8 }; /* free buffers kept; a call needs one, so this serves as many calls in flight at a steady state */

struct entry {
  cl_mem buffer;
  size_t bytes;
  bool busy;
  struct entry *next;
};

/* References: the context's, and one for each callback that is still to come. */
struct t3_pool {
  pthread_mutex_t lock;
  int references;
  struct entry *entries;
};

/* What a callback brings back. */
struct homecoming {
  t3_pool *pool;
  cl_mem buffer;
};

t3_pool *t3_pool_create(void) {
  t3_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pool->references = 1;
  pthread_mutex_init(&pool->lock, NULL);
  return pool;
}

/* Drops one reference; the lock is held on entry and gone on return. */
static void unlock_and_drop(t3_pool *pool) {
  bool last = --pool->references == 0;
  pthread_mutex_unlock(&pool->lock);
  if (!last) return;
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

static void release_entry(struct entry *entry) {
  clReleaseMemObject(entry->buffer);
  free(entry);
}

void t3_pool_close(t3_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  struct entry *entries = pool->entries;
  pool->entries = NULL;
  unlock_and_drop(pool);
  while (entries) {
    struct entry *next = entries->next;
    release_entry(entries);
    entries = next;
  }
}

/* The smallest free entry of at least bytes, but none more than four times as large; NULL when there is none. */
static struct entry *find_free(t3_pool *pool, size_t bytes) {
  struct entry *best = NULL;
  for (struct entry *e = pool->entries; e; e = e->next)
    if (!e->busy && e->bytes >= bytes && e->bytes / 4 <= bytes && (!best || e->bytes < best->bytes)) best = e;
  return best;
}

/* Unlinks the oldest free entries past MAX_FREE (new entries go to the front), returned as a list to release without the lock.
 */
static struct entry *trim(t3_pool *pool) {
  struct entry *gone = NULL;
  int kept = 0;
  for (struct entry **at = &pool->entries; *at;) {
    struct entry *e = *at;
    if (e->busy || ++kept <= MAX_FREE) {
      at = &e->next;
      continue;
    }
    *at = e->next;
    e->next = gone;
    gone = e;
  }
  return gone;
}

tconv3d_status t3_pool_take(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer) {
  pthread_mutex_lock(&pool->lock);
  struct entry *entry = find_free(pool, bytes);
  if (entry) entry->busy = true;
  struct entry *gone = entry ? NULL : trim(pool);
  pthread_mutex_unlock(&pool->lock);
  while (gone) {
    struct entry *next = gone->next;
    release_entry(gone);
    gone = next;
  }
  if (entry) {
    *buffer = entry->buffer;
    return TCONV3D_OK;
  }
  entry = calloc(1, sizeof *entry);
  if (!entry) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a workspace's record");
  cl_int error;
  entry->buffer = clCreateBuffer(cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
  if (error != CL_SUCCESS) {
    free(entry);
    return t3_cl_fail(error, "clCreateBuffer", "for a workspace");
  }
  entry->bytes = bytes;
  entry->busy = true;
  pthread_mutex_lock(&pool->lock);
  entry->next = pool->entries;
  pool->entries = entry;
  pthread_mutex_unlock(&pool->lock);
  *buffer = entry->buffer;
  return TCONV3D_OK;
}

/* Marks the buffer free; in a closed pool there is nothing left to mark. */
static void mark_free(t3_pool *pool, cl_mem buffer) {
  for (struct entry *e = pool->entries; e; e = e->next)
    if (e->buffer == buffer) e->busy = false;
}

static void CL_CALLBACK come_home(cl_event event, cl_int status, void *data) {
  (void)event, (void)status;
  struct homecoming *home = data;
  pthread_mutex_lock(&home->pool->lock);
  mark_free(home->pool, home->buffer);
  unlock_and_drop(home->pool);
  free(home);
}

/* Unlinks the buffer's entry and releases it. */
static void give_up(t3_pool *pool, cl_mem buffer) {
  pthread_mutex_lock(&pool->lock);
  struct entry **at = &pool->entries;
  while (*at && (*at)->buffer != buffer) at = &(*at)->next;
  struct entry *entry = *at;
  if (entry) *at = entry->next;
  pthread_mutex_unlock(&pool->lock);
  if (entry) release_entry(entry);
}

void t3_pool_return(t3_pool *pool, cl_mem buffer, cl_event event) {
  if (!event) {
    pthread_mutex_lock(&pool->lock);
    mark_free(pool, buffer);
    pthread_mutex_unlock(&pool->lock);
    return;
  }
  struct homecoming *home = malloc(sizeof *home);
  if (home) {
    *home = (struct homecoming){pool, buffer};
    pthread_mutex_lock(&pool->lock);
    ++pool->references;
    pthread_mutex_unlock(&pool->lock);
    if (clSetEventCallback(event, CL_COMPLETE, come_home, home) == CL_SUCCESS) return;
    pthread_mutex_lock(&pool->lock);
    unlock_and_drop(pool);
    free(home);
  }
  give_up(pool, buffer);
}
