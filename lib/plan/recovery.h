/* recovery.h: what a plan's creation does after a candidate failed: which others it may try, and what it says at the end. */
#ifndef T3_RECOVERY_H
#define T3_RECOVERY_H

#include "algo/algo.h"
#include "device/context.h"

/* Candidates that failed, in this creation and earlier in the context. */
typedef struct t3_tries {
  tconv3d_context *context;
  uint64_t problem;                /* its hash, as marks have it */
  t3_mark earlier[T3_MAX_AVOIDED]; /* in the context */
  size_t num_earlier;
  t3_candidate failed[T3_MAX_AVOIDED]; /* here */
  size_t num_failed, most_of_one;      /* of one algorithm, before its other variants are left alone */
  int64_t most_bytes;                  /* of workspace and packed weights: less than what did not fit */
  size_t num_missing;                  /* of those that failed here: without a binary where nothing may be built */
  char *missing;                       /* the first one's message */
  t3_text story;                       /* a line for each that failed here */
  char *message;                       /* of the thread, before the first */
} t3_tries;

/* What a hash of the problem is for marks; the mark of one of its candidates. */
uint64_t t3_problem_hash(const t3_problem *problem);
t3_mark t3_mark_of(uint64_t problem, const t3_candidate *candidate);

/* named: whether one algorithm alone may be tried. */
void t3_tries_begin(t3_tries *tries, tconv3d_context *context, uint64_t problem, bool named);
/* The message is as it was before the failures when status is OK, else it has all of them. */
tconv3d_status t3_tries_end(t3_tries *tries, tconv3d_status status);

/* Whether the candidate may be tried. tries may be NULL. */
bool t3_may_try(const t3_tries *tries, const t3_candidate *candidate);
/* Whether what the recipe needs is less than what did not fit. */
bool t3_is_less(const t3_tries *tries, const t3_recipe *recipe);

/* Notes that the candidate, which needs so many bytes, failed with this status and the thread's message. True when another may
 * be tried: the failure is one that another might not have, and there were not too many. */
bool t3_tries_add(t3_tries *tries, const t3_candidate *candidate, int64_t bytes, tconv3d_status status);
/* Nothing is left to try: what failed earlier in the context may be tried again. False when there is none of that. */
bool t3_tries_relent(t3_tries *tries);

/* Whether less work at a time, or another candidate, might not have failed so. */
bool t3_is_recoverable(tconv3d_status status);

#endif
