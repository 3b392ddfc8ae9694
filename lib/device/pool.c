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
  t3_flight flight; /* last is retained */
  struct entry *next;
};

struct t3_pool {
  pthread_mutex_t lock;
  struct entry *entries;
  t3_avoided *avoided;
};

t3_pool *t3_pool_create(t3_avoided *avoided) {
  t3_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pool->avoided = avoided;
  pthread_mutex_init(&pool->lock, NULL);
  return pool;
}

static void release_events(struct entry *entry) {
  t3_flight *flight = &entry->flight;
  if (flight->last) clReleaseEvent(flight->last);
  while (flight->count) clReleaseEvent(flight->between[--flight->count]);
  free(flight->between);
  flight->last = NULL, flight->between = NULL;
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

/* Whether an event's status says that the command itself failed. By CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, and PoCL by
 * -1, runtimes say that something failed which the command waited for: that is not the candidate's fault. */
static bool is_own_failure(cl_int status) {
  return status < -1 && status != CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

/* Whether nobody uses it any more: taken by no call, and its last command done or failed. */
static bool is_free(t3_pool *pool, struct entry *entry) {
  cl_int status = CL_QUEUED;
  if (entry->taken) return false;
  if (!entry->flight.last) return true;
  if (clGetEventInfo(entry->flight.last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL) != CL_SUCCESS ||
      status > CL_COMPLETE)
    return false;
  if (is_own_failure(status)) t3_avoid(pool->avoided, &entry->flight.mark);
  release_events(entry);
  return true;
}

/* The smallest free entry of at least bytes, but none more than four times as large; NULL when there is none. */
static struct entry *find_free(t3_pool *pool, size_t bytes) {
  struct entry *best = NULL;
  for (struct entry *e = pool->entries; e; e = e->next)
    if (e->buffer && e->bytes >= bytes && e->bytes / 4 <= bytes && (!best || e->bytes < best->bytes) && is_free(pool, e))
      best = e;
  return best;
}

/* Unlinks the free entries without a buffer, and the oldest ones past so many (new entries go to the front), returned as a list
 * to release without the lock. */
static struct entry *trim(t3_pool *pool, int most) {
  struct entry *gone = NULL;
  int kept = 0;
  for (struct entry **at = &pool->entries; *at;) {
    struct entry *e = *at;
    if (!is_free(pool, e) || (e->buffer && ++kept <= most)) {
      at = &e->next;
      continue;
    }
    *at = e->next;
    e->next = gone;
    gone = e;
  }
  return gone;
}

void t3_pool_trim(t3_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  struct entry *gone = trim(pool, 0);
  pthread_mutex_unlock(&pool->lock);
  release_list(gone);
}

void t3_pool_poll(t3_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  for (struct entry *e = pool->entries; e; e = e->next) is_free(pool, e);
  pthread_mutex_unlock(&pool->lock);
}

static void add_entry(t3_pool *pool, struct entry *entry) {
  pthread_mutex_lock(&pool->lock);
  entry->next = pool->entries;
  pool->entries = entry;
  pthread_mutex_unlock(&pool->lock);
}

static tconv3d_status make_buffer(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer) {
  cl_int error;
  *buffer = clCreateBuffer(cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
  if (error != CL_SUCCESS) {
    t3_pool_trim(pool);
    *buffer = clCreateBuffer(cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
  }
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateBuffer", "for a workspace");
}

tconv3d_status t3_pool_take(t3_pool *pool, cl_context cl, size_t bytes, cl_mem *buffer) {
  pthread_mutex_lock(&pool->lock);
  struct entry *entry = find_free(pool, bytes);
  if (entry) entry->taken = true;
  struct entry *gone = entry ? NULL : trim(pool, MAX_FREE);
  pthread_mutex_unlock(&pool->lock);
  release_list(gone);
  if (entry) {
    *buffer = entry->buffer;
    return TCONV3D_OK;
  }
  entry = calloc(1, sizeof *entry);
  if (!entry) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a workspace's record");
  tconv3d_status status = make_buffer(pool, cl, bytes, &entry->buffer);
  if (status != TCONV3D_OK) {
    free(entry);
    return status;
  }
  entry->bytes = bytes;
  entry->taken = true;
  *buffer = entry->buffer;
  add_entry(pool, entry);
  return TCONV3D_OK;
}

static void keep_events(struct entry *entry, const t3_flight *flight) {
  entry->flight = *flight;
  if (flight->last) clRetainEvent(flight->last);
}

void t3_pool_return(t3_pool *pool, cl_mem buffer, const t3_flight *flight) {
  pthread_mutex_lock(&pool->lock);
  for (struct entry *e = pool->entries; e; e = e->next)
    if (e->buffer == buffer) {
      if (flight) keep_events(e, flight);
      e->taken = false;
    }
  pthread_mutex_unlock(&pool->lock);
}

void t3_pool_keep(t3_pool *pool, const t3_flight *flight) {
  struct entry *entry = calloc(1, sizeof *entry);
  if (!entry) { /* without memory they go at once: nearly always that is as good */
    for (int i = 0; i < flight->count; ++i) clReleaseEvent(flight->between[i]);
    free(flight->between);
    return;
  }
  keep_events(entry, flight);
  pthread_mutex_lock(&pool->lock);
  struct entry *gone = trim(pool, MAX_FREE);
  pthread_mutex_unlock(&pool->lock);
  release_list(gone);
  add_entry(pool, entry);
}
