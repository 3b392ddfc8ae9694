/* launch.h: from a launch of a recipe to commands on a queue. A kernel object's arguments belong to one call until it is
 * enqueued, so each step keeps a few kernel objects and lends one to each call. */
#ifndef T3_LAUNCH_H
#define T3_LAUNCH_H

#include <pthread.h>

#include "algo/algo.h"

enum { T3_SPARE_KERNELS = 16 };

typedef struct t3_step {
  const t3_launch *launch;
  cl_program program;
  size_t least_grid; /* work-items of a command at least; those past the launch's own do nothing */
  bool clears;       /* whether a spare kernel's buffers are taken from it: T3_KERNELS_KEEP_BUFFERS */
  pthread_mutex_t lock;
  cl_kernel spare[T3_SPARE_KERNELS];
  int num_spare;
} t3_step;

/* The events of commands that follow one another, each after the one before: the last one's, NULL when there is none or none is
 * wanted, and those before it, in a malloc'd list with room for all of them. */
typedef struct t3_chain {
  cl_event last, *between;
  int count;
} t3_chain;

/* The tensors of one call, by t3_arg_kind; element offsets. */
typedef struct t3_binding {
  cl_mem mem[T3_TENSORS];
  cl_ulong start[T3_TENSORS];
} t3_binding;

void t3_step_init(t3_step *step, const t3_launch *launch, cl_program program);
void t3_step_free(t3_step *step);

/* Enqueues a step of one command after the wait list. event may be NULL. */
tconv3d_status t3_step_enqueue(t3_step *step, cl_command_queue queue, const t3_binding *binding, cl_uint num_events,
                               const cl_event *wait_list, cl_event *event);

/* Enqueues every command of a step as the next ones of a chain; the first of the chain waits for the list. want_last: whether
 * the last command is to have an event. On failure the chain holds those that were enqueued. */
tconv3d_status t3_step_extend(t3_step *step, cl_command_queue queue, const t3_binding *binding, cl_uint num_events,
                              const cl_event *wait_list, bool want_last, t3_chain *chain);

#endif
