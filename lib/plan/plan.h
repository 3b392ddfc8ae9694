/* plan.h: a plan and prepared weights from the inside. */
#ifndef T3_PLAN_H
#define T3_PLAN_H

#include <pthread.h>
#include <stdatomic.h>

#include "algo/algo.h"
#include "device/context.h"
#include "plan/launch.h"
#include "program/program.h"

/* What a plan is asked for. */
typedef struct t3_request {
  const tconv3d_desc *desc;
  tconv3d_operation operation;
  double beta;
  tconv3d_epilogue epilogue;
  int self_test; /* as tconv3d_plan_options has it */
  bool allow_clblast;
  int reduced_precision; /* as tconv3d_plan_options has it */
} t3_request;

struct tconv3d_plan {
  atomic_int references; /* the caller's handle and every weights */
  tconv3d_context *context;
  const t3_slot *slot;
  tconv3d_desc desc;
  t3_problem problem;
  t3_mark mark; /* of the problem and what was chosen */
  t3_candidate chosen;
  t3_recipe recipe;
  t3_program *program; /* the context's */
  t3_step pack, pack_channels, run[T3_MAX_LAUNCHES];
  t3_text explanation;
};

struct tconv3d_weights {
  tconv3d_plan *plan;
  cl_mem packed;
  bool channels;        /* have what the plan's epilogue takes for each channel */
  pthread_mutex_t lock; /* guards ready */
  cl_event ready;       /* of the last packing */
};

/* What a command that uses weights waits for: the caller's list, then the weights' last packing. */
typedef struct t3_waits {
  cl_event *list; /* malloc'd */
  cl_uint count;
  cl_event ready; /* the last of list, retained; NULL when there is none */
} t3_waits;
/* weights may be NULL. */
tconv3d_status t3_gather_waits(const tconv3d_weights *weights, cl_uint num_events, const cl_event *wait_list, t3_waits *waits);
void t3_release_waits(t3_waits *waits);
/* The event of the weights' last packing, retained; NULL when there was none. */
cl_event t3_weights_ready(const tconv3d_weights *weights);

/* Readies a plan's steps for a recipe and a program that are set. */
void t3_plan_steps(tconv3d_plan *plan);

tconv3d_plan *t3_plan_retain(const tconv3d_plan *plan);

/* Makes a plan, by t3_choose with the algorithm's name (may be NULL) or, where given, with this candidate of the problem. */
tconv3d_status t3_plan_make(tconv3d_context *context, const t3_slot *slot, const t3_request *request, const char *algorithm,
                            const t3_candidate *candidate, tconv3d_plan **plan);

/* The same by t3_choose, without its program: what would be built, on a device that perhaps cannot build it. Good for nothing
 * but looking at it. */
tconv3d_status t3_plan_draft(tconv3d_context *context, const t3_slot *slot, const t3_request *request, const char *algorithm,
                             tconv3d_plan **plan);

/* From the arguments of a public call, options not NULL: the device's slot and the request, once they are checked. */
tconv3d_status t3_plan_ask(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_plan_options *options,
                           const t3_slot **slot, t3_request *request);
extern const tconv3d_plan_options t3_plan_defaults;

/* What a plan is asked for, validated; refuses tensors that the device cannot hold. */
tconv3d_status t3_problem_init(const t3_slot *slot, const t3_request *request, t3_problem *problem);

/* Bytes from the lowest element of a tensor to its highest, both included; of what a plan writes. */
int64_t t3_x_bytes(const t3_problem *problem);
int64_t t3_w_bytes(const t3_problem *problem);
int64_t t3_y_bytes(const t3_problem *problem);
int64_t t3_target_bytes(const t3_problem *problem);

/* Whether the device can hold the tensors and what the recipe needs, as tconv3d_plan_create refuses it. */
bool t3_recipe_fits(const t3_problem *problem, const t3_recipe *recipe);

#endif
