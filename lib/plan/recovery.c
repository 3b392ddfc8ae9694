#include "plan/recovery.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/status.h"
#include "tune/tuning.h"

enum {
  MAX_TRIES = 16, /* of one plan: a minute of builds at worst */
  MOST_OF_NAMED = 4,
  MOST_OF_ONE = 2 /* what fails twice would mostly fail in its other variants too */
};

uint64_t t3_problem_hash(const t3_problem *problem) {
  t3_text text = {0};
  t3_layer_print(&problem->layer, problem->operation, &text);
  t3_text_append(&text, " on %p", (const void *)problem->device.device);
  uint64_t hash = text.data ? XXH3_64bits(text.data, text.size) : 0;
  t3_text_free(&text);
  return hash;
}

t3_mark t3_mark_of(uint64_t problem, const t3_candidate *candidate) {
  _Static_assert(T3_MARK_NUMBERS == (int)T3_VARIANT_NUMBERS, "a mark has a variant's numbers");
  t3_mark mark = {(uint64_t)(uintptr_t)candidate->algorithm, problem, {0}};
  memcpy(mark.number, candidate->variant.number, sizeof mark.number);
  return mark;
}

void t3_tries_begin(t3_tries *tries, tconv3d_context *context, uint64_t problem, bool named) {
  tries->context = context;
  tries->problem = problem;
  tries->num_failed = 0;
  tries->most_of_one = named ? MOST_OF_NAMED : MOST_OF_ONE;
  tries->num_missing = 0;
  tries->missing = NULL;
  tries->most_bytes = INT64_MAX;
  tries->story = (t3_text){0};
  tries->message = t3_message_save();
  t3_pool_poll(context->pool);
  tries->num_earlier = t3_avoided_of(&context->avoided, problem, tries->earlier);
}

/* What was preferred is what somebody has to make a binary of. */
static tconv3d_status tell_missing(const t3_tries *tries) {
  return t3_fail(TCONV3D_NO_BINARY, "%s; neither has any of the %zu candidates that were tried next",
                 tries->missing ? tries->missing : "no memory for a message", tries->num_missing - 1);
}

/* The last failure's whole message after those before it, a line of each. */
static tconv3d_status tell_all(const t3_tries *tries, tconv3d_status status) {
  if (tries->num_failed < 2) return status;
  if (tries->num_missing == tries->num_failed) return tell_missing(tries);
  t3_text text = {0};
  t3_text_append(&text, "%s\n%zu candidates were tried:\n%s", tconv3d_message(), tries->num_failed,
                 tries->story.data ? tries->story.data : "");
  if (t3_text_ok(&text)) t3_fail(status, "%s", text.data);
  t3_text_free(&text);
  return status;
}

tconv3d_status t3_tries_end(t3_tries *tries, tconv3d_status status) {
  if (status != TCONV3D_OK)
    tell_all(tries, status);
  else if (tries->num_failed && tries->message)
    t3_message_restore(tries->message), tries->message = NULL;
  free(tries->message);
  free(tries->missing);
  t3_text_free(&tries->story);
  return status;
}

static bool same_candidate(const t3_candidate *a, const t3_candidate *b) {
  return a->algorithm == b->algorithm && !memcmp(&a->variant, &b->variant, sizeof a->variant);
}

bool t3_may_try(const t3_tries *tries, const t3_candidate *candidate) {
  size_t of_this = 0;
  if (!tries || (!tries->num_failed && !tries->num_earlier)) return true;
  t3_mark mark = t3_mark_of(tries->problem, candidate);
  for (size_t i = 0; i < tries->num_earlier; ++i) {
    if (!memcmp(&tries->earlier[i], &mark, sizeof mark)) return false;
    of_this += tries->earlier[i].algorithm == mark.algorithm;
  }
  for (size_t i = 0; i < tries->num_failed; ++i) {
    if (same_candidate(&tries->failed[i], candidate)) return false;
    of_this += tries->failed[i].algorithm == candidate->algorithm;
  }
  return of_this < tries->most_of_one;
}

bool t3_is_less(const t3_tries *tries, const t3_recipe *recipe) {
  return !tries || recipe->workspace_bytes + recipe->packed_bytes < tries->most_bytes;
}

bool t3_is_recoverable(tconv3d_status status) {
  return status == TCONV3D_BUILD_FAILED || status == TCONV3D_OUT_OF_DEVICE_MEMORY || status == TCONV3D_OUT_OF_HOST_MEMORY ||
         status == TCONV3D_OPENCL_ERROR || status == TCONV3D_WRONG_RESULT;
}

bool t3_tries_add(t3_tries *tries, const t3_candidate *candidate, int64_t bytes, tconv3d_status status) {
  const char *message = tconv3d_message();
  t3_text name = {0};
  t3_mark mark = t3_mark_of(tries->problem, candidate);
  bool missing = status == TCONV3D_NO_BINARY;
  if (!missing && !t3_is_recoverable(status)) return false;
  if (missing && !tries->num_missing++) tries->missing = t3_message_save();
  if (status == TCONV3D_OUT_OF_DEVICE_MEMORY && bytes) tries->most_bytes = bytes;
  t3_avoid(&tries->context->avoided, &mark);
  tries->failed[tries->num_failed++] = *candidate;
  t3_tuning_name(candidate->algorithm->name, &candidate->variant, &name);
  t3_text_append(&tries->story, "%s: %.*s: dropped\n", name.data ? name.data : candidate->algorithm->name,
                 (int)strcspn(message, "\n"), message);
  t3_text_free(&name);
  return tries->num_failed < MAX_TRIES;
}

bool t3_tries_relent(t3_tries *tries) {
  bool any = tries->num_earlier > 0;
  tries->num_earlier = 0;
  return any;
}
