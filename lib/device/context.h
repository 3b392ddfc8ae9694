/* context.h: one cl_context, its devices with a queue of the library's own on each, and what was built and kept for it. */
#ifndef T3_CONTEXT_H
#define T3_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tconv3d/tconv3d.h>

#include "device/features.h"
#include "device/pool.h"

struct t3_program;
struct t3_store;

typedef struct t3_slot {
  bool adopted; /* the cl_context is a caller's */
  tconv3d_device_info info;
  cl_command_queue queue;   /* in-order; for blocking calls */
  cl_command_queue warming; /* for first launches, which must not wait behind a call; used under building */
  t3_features *features;    /* what the device was asked for; NULL where no device stands behind the slot */
} t3_slot;

struct tconv3d_context {
  atomic_int references; /* the caller's handle and every plan */
  pid_t process;         /* that made it: a forked child may only let it go */
  cl_context cl;
  t3_slot *slots;
  size_t num_slots;
  t3_pool *pool;
  pthread_mutex_t building;    /* guards programs; held while a program is found, built or warmed */
  struct t3_program *programs; /* a list */
  struct t3_store *store;      /* may be NULL */
  atomic_bool multiplies;      /* CLBlast was used in it, and so retains the cl_context */
  t3_avoided avoided;
};

tconv3d_context *t3_context_retain(tconv3d_context *context);

/* The slot of a device; the first one for NULL; NULL when the device is not in the context. */
const t3_slot *t3_context_slot(const tconv3d_context *context, cl_device_id device);

#endif
