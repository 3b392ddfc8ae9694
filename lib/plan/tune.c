/* Tuning: which candidate is fastest, by measuring. The candidates are called by turns, once each in a round and every other
 * round backwards, so that whatever else the machine does meanwhile hits all of them alike. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "plan/shortlist.h"
#include "plan/trial.h"
#include "tune/tuning.h"

enum {
  LEAST_ROUNDS = 3, /* the fewest that have a median */
  STEPS = 100       /* of progress for building a candidate, and as many for measuring it */
};

/* What is that much slower than the fastest, best run against best run, will not win: the others get its time. */
static const double hopeless = 1.5;

/* A difference that measuring again might turn round is no reason to leave the prediction. */
static const double clearly_faster = 0.99;

struct tuner {
  const tconv3d_tune_options *options;
  t3_problem problem;
  t3_bench bench;
  t3_trial *trials; /* the first is the prediction's choice */
  size_t count;
  tconv3d_status failed; /* of the last trial that did */
};

static tconv3d_status report(const struct tuner *tuner, double done) {
  const tconv3d_tune_options *options = tuner->options;
  size_t total = 2 * STEPS * tuner->count;
  if (!options->progress || !options->progress((size_t)(done * STEPS), total, options->user)) return TCONV3D_OK;
  return t3_fail(TCONV3D_CANCELLED, "the tuning was cancelled");
}

/* What fails is passed over; its plan is NULL from then on. */
static tconv3d_status open_trials(struct tuner *tuner, const t3_request *request) {
  for (size_t i = 0; i < tuner->count; ++i) {
    T3_TRY(report(tuner, (double)i));
    tconv3d_status status = t3_trial_open(&tuner->bench, request, &tuner->trials[i]);
    if (status != TCONV3D_OK) tuner->failed = status;
  }
  return TCONV3D_OK;
}

static bool is_measured(const t3_trial *trial) {
  return trial->plan && !trial->slow;
}

/* part: how much of the time for measuring has passed. */
static tconv3d_status run_round(struct tuner *tuner, bool backwards, double part) {
  for (size_t i = 0; i < tuner->count; ++i) {
    t3_trial *trial = &tuner->trials[backwards ? tuner->count - 1 - i : i];
    if (!is_measured(trial)) continue;
    T3_TRY(report(tuner, (double)tuner->count * (1 + part)));
    tconv3d_status status = t3_trial_run(&tuner->bench, trial);
    if (status != TCONV3D_OK) tuner->failed = status;
  }
  return TCONV3D_OK;
}

static void drop_hopeless(struct tuner *tuner) {
  double least = 0;
  for (size_t i = 0; i < tuner->count; ++i)
    if (is_measured(&tuner->trials[i]) && (least <= 0 || tuner->trials[i].least < least)) least = tuner->trials[i].least;
  for (size_t i = 1; i < tuner->count; ++i) /* the first is wanted for comparison */
    if (tuner->trials[i].plan && tuner->trials[i].least > hopeless * least) tuner->trials[i].slow = true;
}

static tconv3d_status measure(struct tuner *tuner) {
  double start = t3_seconds_now(), wanted = tuner->options->seconds * (double)tuner->count, part = 0;
  for (int round = 0; round < T3_MAX_RUNS && (round < LEAST_ROUNDS || part < 1); ++round) {
    T3_TRY(run_round(tuner, round % 2, part < 0.99 ? part : 0.99));
    if (round + 1 >= LEAST_ROUNDS) drop_hopeless(tuner);
    part = (t3_seconds_now() - start) / wanted;
  }
  return report(tuner, 2 * (double)tuner->count);
}

/* NULL when none has run. */
static const t3_trial *find_winner(const struct tuner *tuner) {
  const t3_trial *best = tuner->trials[0].plan ? &tuner->trials[0] : NULL;
  for (size_t i = 1; i < tuner->count; ++i) {
    const t3_trial *trial = &tuner->trials[i];
    double margin = best == tuner->trials ? clearly_faster : 1;
    if (is_measured(trial) && (!best || t3_trial_median(trial) < margin * t3_trial_median(best))) best = trial;
  }
  return best;
}

static void print_name(const t3_candidate *candidate, char *name, size_t capacity) {
  t3_text text = {0};
  t3_tuning_name(candidate->algorithm->name, &candidate->variant, &text);
  snprintf(name, capacity, "%s", text.data ? text.data : candidate->algorithm->name);
  t3_text_free(&text);
}

static void fill_result(const struct tuner *tuner, const t3_trial *winner, bool stored, tconv3d_tune_result *result) {
  const t3_trial *first = &tuner->trials[0];
  *result = (tconv3d_tune_result){.algorithm = winner->candidate.algorithm->name,
                                  .seconds = t3_trial_median(winner),
                                  .predicted_seconds = first->plan ? t3_trial_median(first) : 0,
                                  .stored = stored};
  print_name(&winner->candidate, result->winner, sizeof result->winner);
  print_name(&first->candidate, result->predicted, sizeof result->predicted);
  for (size_t i = 0; i < tuner->count; ++i) ++*(tuner->trials[i].plan ? &result->measured : &result->skipped);
}

static bool store_winner(const struct tuner *tuner, t3_store *store, const t3_trial *winner) {
  double nanoseconds = 1e9 * t3_trial_median(winner);
  t3_tuning tuning = {.variant = winner->candidate.variant, .nanoseconds = nanoseconds >= 1 ? (int64_t)nanoseconds : 1};
  snprintf(tuning.algorithm, sizeof tuning.algorithm, "%s", winner->candidate.algorithm->name);
  return t3_tuning_keep(store, &tuner->problem, &tuning);
}

static tconv3d_status judge(const struct tuner *tuner, t3_store *store, tconv3d_tune_result *result) {
  const t3_trial *winner = find_winner(tuner);
  if (!winner) return tuner->failed; /* whose message stands */
  bool stored = store_winner(tuner, store, winner);
  if (result) fill_result(tuner, winner, stored, result);
  return TCONV3D_OK;
}

static tconv3d_status make_trials(struct tuner *tuner) {
  t3_candidate *list;
  T3_TRY(t3_shortlist(&tuner->problem, tuner->options->max_candidates, &list, &tuner->count));
  tuner->trials = calloc(tuner->count, sizeof *tuner->trials);
  for (size_t i = 0; tuner->trials && i < tuner->count; ++i) tuner->trials[i].candidate = list[i];
  free(list);
  return tuner->trials ? TCONV3D_OK : t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a list of candidates");
}

static tconv3d_status tune(struct tuner *tuner, tconv3d_context *context, const t3_slot *slot, const t3_request *request,
                           tconv3d_tune_result *result) {
  T3_TRY(make_trials(tuner));
  T3_TRY(t3_bench_open(context, slot, &tuner->problem.layer, &tuner->bench));
  T3_TRY(open_trials(tuner, request));
  T3_TRY(measure(tuner));
  return judge(tuner, context->store, result);
}

static void close_tuner(struct tuner *tuner) {
  for (size_t i = 0; tuner->trials && i < tuner->count; ++i) t3_trial_close(&tuner->trials[i]);
  t3_bench_close(&tuner->bench);
  free(tuner->trials);
}

static tconv3d_status check_options(const tconv3d_tune_options *options) {
  if (options->struct_size != sizeof *options)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.struct_size is %zu; TCONV3D_TUNE_OPTIONS_INIT sets it to %zu",
                   options->struct_size, sizeof *options);
  if (!(options->seconds > 0 && options->seconds <= 3600))
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.seconds is %g; it must be above 0 and at most 3600", options->seconds);
  if (!options->max_candidates) return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.max_candidates is 0; it must be at least 1");
  return TCONV3D_OK;
}

tconv3d_status tconv3d_tune(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_tune_options *options,
                            tconv3d_tune_result *result) {
  static const tconv3d_tune_options defaults = TCONV3D_TUNE_OPTIONS_INIT;
  if (!context) return t3_fail(TCONV3D_INVALID_ARGUMENT, "context is NULL");
  if (!options) options = &defaults;
  T3_TRY(check_options(options));
  const t3_slot *slot = t3_context_slot(context, options->device);
  if (!slot) return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.device is not a device of the context");
  struct tuner tuner = {.options = options};
  t3_request request = {.desc = desc, .operation = options->operation};
  T3_TRY(t3_problem_init(slot, &request, &tuner.problem));
  if (!tuner.problem.layer.batch) return t3_fail(TCONV3D_INVALID_PARAMETER, "batch is 0; there is nothing to measure");
  char *message = t3_message_save();
  tconv3d_status status = tune(&tuner, context, slot, &request, result);
  close_tuner(&tuner);
  if (status == TCONV3D_OK)
    t3_message_restore(message);
  else
    free(message);
  return status;
}
