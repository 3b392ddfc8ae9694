/* plan.h: a plan and prepared weights from the inside. */
#ifndef T3_PLAN_H
#define T3_PLAN_H

#include <pthread.h>
#include <stdatomic.h>

#include "algo/algo.h"
#include "device/context.h"
#include "plan/launch.h"
#include "program/program.h"

struct tconv3d_plan {
  atomic_int references; /* the caller's handle and every weights */
  tconv3d_context *context;
  const t3_slot *slot;
  t3_problem problem;
  const t3_algorithm *algorithm;
  t3_recipe recipe;
  t3_program *program; /* the context's */
  t3_step pack, run[T3_MAX_LAUNCHES];
  t3_text explanation;
};

struct tconv3d_weights {
  tconv3d_plan *plan;
  cl_mem packed;
  pthread_mutex_t lock; /* guards ready */
  cl_event ready;       /* of the last packing */
};

tconv3d_plan *t3_plan_retain(const tconv3d_plan *plan);

/* Chooses the algorithm for the problem: the named one or the cheapest applicable; says why, a line each, in explanation. */
tconv3d_status t3_choose(const t3_problem *problem, const char *name, const t3_algorithm **algorithm, t3_text *explanation);

#endif
