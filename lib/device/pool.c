#include "device/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"

enum { MAX_FREE = 8 }; /* free buffers kept; a call needs one, so this serves as many calls in flight at a steady state */

/* Free when it is not taken and its last user's event has ended. The event is asked when a buffer is wanted: a callback would
 * be no better, and some runtimes never call it for a command that failed. */
struct entry {
  cl_mem buffer; /* NULL: only events are kept */
  size_t bytes;
  bool taken;
  cl_event until;                   /* retained; NULL when nothing is to be waited for */
  cl_event between[T3_MAX_BETWEEN]; /* of the launches before that one, retained as long */
  int num_between;
  struct entry *next;
};

struct t3_pool {
  pthread_mutex_t lock;
  struct entry *entries;
};

t3_pool *t3_pool_create(void) {
  t3_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pthread_mutex_init(&pool->lock, NULL);
  return pool;
}

static void release_events(struct entry *entry) {
  if (entry->until) clReleaseEvent(entry->until);
  while (entry->num_between) clReleaseEvent(entry->between[--entry->num_between]);
  entry->until = NULL;
}

static void release_entry(struct entry *entry) {
  release_events(entry);
  if (entry->buffer) clReleaseMemObject(entry->buffer); /* commands still in flight keep the memory */
  free(entry);
}

static void release_list(struct entry *entries) {
  while (entries) {
    struct entry *next = entries->next;
    release_entry(entries);
    entries = next;
  }
}

void t3_pool_close(t3_pool *pool) {
  if (!pool) return;
  release_list(pool->entries);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

/* Whether nobody uses it any more: taken by no call, and its last command done or failed. */
static bool is_free(struct entry *entry) {
  cl_int status = CL_QUEUED;
  if (entry->taken) return false;
  if (!entry->until) return true;
  if (clGetEventInfo(entry->until, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL) != CL_SUCCESS ||
      status > CL_COMPLETE)
    return false;
  release_events(entry);
  return true;
}

/* The smallest free entry of at least bytes, but none more than four times as large; NULL when there is none. */
static struct entry *find_free(t3_pool *pool, size_t bytes) {
  struct entry *best = NULL;
  for (struct entry *e = pool->entries; e; e = e->next)
    if (e->buffer && e->bytes >= bytes && e->bytes / 4 <= bytes && (!best || e->bytes < best->bytes) && is_free(e)) best = e;
  return best;
}

/* Unlinks the free entries without a buffer, and the oldest ones past MAX_FREE (new entries go to the front), returned as a
 * list to release without the lock.
 */
static struct entry *trim(t3_pool *pool) {
  struct entry *gone = NULL;
  int kept = 0;
  for (struct entry **at = &pool->entries; *at;) {
    struct entry *e = *at;
    if (!is_free(e) || (e->buffer && ++kept <= MAX_FREE)) {
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
  if (entry) entry->taken = true;
  struct entry *gone = entry ? NULL : trim(pool);
  pthread_mutex_unlock(&pool->lock);
  release_list(gone);
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
  entry->taken = true;
  pthread_mutex_lock(&pool->lock);
  entry->next = pool->entries;
  pool->entries = entry;
  pthread_mutex_unlock(&pool->lock);
  *buffer = entry->buffer;
  return TCONV3D_OK;
}

static void keep_events(struct entry *entry, cl_event event, const cl_event *between, int count) {
  if (event) clRetainEvent(event);
  entry->until = event;
  for (int i = 0; i < count; ++i) entry->between[i] = between[i];
  entry->num_between = count;
}

void t3_pool_return(t3_pool *pool, cl_mem buffer, cl_event event, const cl_event *between, int count) {
  pthread_mutex_lock(&pool->lock);
  for (struct entry *e = pool->entries; e; e = e->next)
    if (e->buffer == buffer) {
      keep_events(e, event, between, count);
      e->taken = false;
    }
  pthread_mutex_unlock(&pool->lock);
}

void t3_pool_keep(t3_pool *pool, cl_event event, const cl_event *between, int count) {
  struct entry *entry = count ? calloc(1, sizeof *entry) : NULL;
  if (!entry) { /* without memory they go at once: nearly always that is as good */
    for (int i = 0; i < count; ++i) clReleaseEvent(between[i]);
    return;
  }
  keep_events(entry, event, between, count);
  pthread_mutex_lock(&pool->lock);
  struct entry *gone = trim(pool);
  entry->next = pool->entries;
  pool->entries = entry;
  pthread_mutex_unlock(&pool->lock);
  release_list(gone);
}
