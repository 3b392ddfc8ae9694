#include "support/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/judge.h"
#include "support/layer_line.h"

enum { WHY = 200 };

static void trial_fails(const struct trial *trial, const char *what) {
  char layer[400];
  layer_line_format(&trial->desc, layer, sizeof layer);
  fail_msg("algorithm %s, seed %llu\n%s\n%s\n%s", trial->algorithm ? trial->algorithm : "by choice",
           (unsigned long long)trial->seed, layer, what, trial->plan ? tconv3d_plan_explain(trial->plan) : "");
}

void trial_needs(const struct trial *trial, bool fact, const char *what) {
  if (!fact) trial_fails(trial, what);
}

void trial_ok(const struct trial *trial, tconv3d_status status) {
  trial_needs(trial, status == TCONV3D_OK, tconv3d_message());
}

/* Makes the plan; false when the algorithm refuses the layer, which `direct` and the automatic choice never do. */
static bool make_plan(struct trial *trial) {
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = trial->algorithm;
  tconv3d_status status = tconv3d_plan_create(trial->rig->context, &trial->desc, &options, &trial->plan);
  if (status == TCONV3D_UNSUPPORTED && trial->algorithm) {
    trial_needs(trial, *tconv3d_message() != '\0', "refused without a reason");
    trial_needs(trial, strcmp(trial->algorithm, "direct") != 0, tconv3d_message());
    return false;
  }
  trial_ok(trial, status);
  trial_ok(trial, tconv3d_plan_query(trial->plan, &trial->info));
  if (trial->algorithm) assert_string_equal(trial->info.algorithm, trial->algorithm);
  return true;
}

/* Uploads the host tensors and packs the weights; offsets from the seed, none a multiple of a vector, but for y, for which
 * every second is one of 4 to 16 floats: kernels may store otherwise there. */
static void upload(struct trial *trial) {
  cl_context cl = trial->rig->cl;
  struct rng rng = {trial->seed};
  size_t offset[5];
  for (int i = 0; i < 5; ++i) offset[i] = 1024 + sizeof(float) * (size_t)(2 * rng_between(&rng, 0, 63) + 1);
  if (rng_between(&rng, 0, 1)) offset[3] = 1024 + 16 * (size_t)rng_between(&rng, 0, 4);
  const struct tensors *host = &trial->host;
  bool made = guard_make(&trial->x, cl, CL_MEM_READ_ONLY, offset[0], host->x, host->x_count * sizeof(float)) &&
              guard_make(&trial->w, cl, CL_MEM_READ_ONLY, offset[1], host->w, host->w_count * sizeof(float)) &&
              guard_make(&trial->b, cl, CL_MEM_READ_ONLY, offset[2], host->b, host->b_count * sizeof(float)) &&
              guard_make(&trial->y, cl, CL_MEM_WRITE_ONLY, offset[3], NULL, host->y_count * sizeof(float)) &&
              guard_make(&trial->workspace, cl, CL_MEM_READ_WRITE, offset[4], NULL, trial->info.workspace_bytes);
  trial_needs(trial, made, "no memory for the buffers");
  tconv3d_buffer b = guard_buffer(&trial->b);
  trial_ok(trial, tconv3d_weights_create(trial->plan, trial->rig->queue, guard_buffer(&trial->w),
                                         trial->desc.has_bias ? &b : NULL, 0, NULL, NULL, &trial->weights));
}

static void fill(struct trial *trial, enum values values) {
  struct rng rng = {trial->seed};
  trial_needs(trial, tensors_make(&trial->host, &trial->desc, &rng, values), "the tensors cannot be made");
  upload(trial);
}

bool trial_make(struct trial *trial, const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed,
                enum values values) {
  *trial = (struct trial){.rig = rig, .algorithm = algorithm, .seed = seed, .desc = *desc};
  if (!make_plan(trial)) return false;
  fill(trial, values);
  return true;
}

void trial_of_plan(struct trial *trial, const struct rig *rig, tconv3d_plan *plan, const tconv3d_desc *desc, uint64_t seed,
                   enum values values) {
  *trial = (struct trial){.rig = rig, .seed = seed, .desc = *desc, .plan = plan};
  trial_ok(trial, tconv3d_plan_query(plan, &trial->info));
  trial->algorithm = trial->info.algorithm;
  fill(trial, values);
}

void trial_free(struct trial *trial) {
  tconv3d_weights_destroy(trial->weights);
  tconv3d_plan_destroy(trial->plan);
  struct guarded *guards[] = {&trial->x, &trial->w, &trial->b, &trial->y, &trial->workspace};
  for (size_t i = 0; i < sizeof guards / sizeof *guards; ++i) guard_free(guards[i]);
  tensors_free(&trial->host);
}

void trial_run(struct trial *trial) {
  tconv3d_buffer workspace = guard_buffer(&trial->workspace);
  cl_event done;
  trial_ok(trial, tconv3d_enqueue(trial->plan, trial->weights, trial->rig->queue, guard_buffer(&trial->x),
                                  guard_buffer(&trial->y), &workspace, 0, NULL, &done));
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  const struct {
    const char *name;
    const struct guarded *guarded;
    void *contents;
  } zones[] = {{"x", &trial->x, NULL},
               {"w", &trial->w, NULL},
               {"b", &trial->b, NULL},
               {"workspace", &trial->workspace, NULL},
               {"y", &trial->y, trial->host.y}};
  for (size_t i = 0; i < sizeof zones / sizeof *zones; ++i) {
    char why[WHY], what[WHY + 20];
    if (guard_read(zones[i].guarded, trial->rig->queue, zones[i].contents, why, sizeof why)) continue;
    snprintf(what, sizeof what, "%s: %s", zones[i].name, why);
    trial_fails(trial, what);
  }
}

void trial_judge(struct trial *trial, bool exact) {
  struct judge judge;
  char why[WHY];
  const struct tensors *host = &trial->host;
  trial_needs(trial, judge_make(&judge, &trial->desc, host->x, host->w, host->b), "no memory for the judge");
  bool right = exact ? judge_exact(&judge, host->y, why, sizeof why) : judge_within(&judge, host->y, why, sizeof why);
  trial_needs(trial, right, why);
  float *reference = calloc(host->y_count + 1, sizeof *reference);
  trial_needs(trial, reference != NULL, "no memory for the reference");
  trial_ok(trial, tconv3d_reference_forward(&trial->desc, host->x, host->w, host->b, reference));
  right = exact ? judge_exact(&judge, reference, why, sizeof why) : judge_within(&judge, reference, why, sizeof why);
  trial_needs(trial, right, "the plain-C reference is wrong");
  free(reference);
  judge_free(&judge);
}

/* Runs a second time: a plan that says it is deterministic gives the same bits. */
static void trial_repeat(struct trial *trial) {
  size_t bytes = trial->host.y_count * sizeof(float);
  float *first = malloc(bytes + 1);
  trial_needs(trial, first != NULL, "no memory for the first result");
  memcpy(first, trial->host.y, bytes);
  trial_run(trial);
  trial_needs(trial, !trial->info.deterministic || !memcmp(first, trial->host.y, bytes), "other bits at the second call");
  free(first);
}

bool trial_check(const struct rig *rig, const char *algorithm, const tconv3d_desc *desc, uint64_t seed, enum values values) {
  struct trial trial;
  if (!trial_make(&trial, rig, algorithm, desc, seed, values)) return false;
  trial_run(&trial);
  trial_judge(&trial, values == VALUES_INTEGER);
  if (values == VALUES_UNIFORM) trial_repeat(&trial);
  trial_free(&trial);
  return true;
}

void trial_check_all(const struct rig *rig, const tconv3d_desc *desc, uint64_t seed) {
  const char *name;
  size_t index = 0;
  do {
    name = tconv3d_algorithm_name(index++);
    if (rig_is_foreign(name) && seed % 8) continue;
    if (trial_check(rig, name, desc, seed, VALUES_INTEGER)) trial_check(rig, name, desc, seed, VALUES_UNIFORM);
  } while (name); /* NULL past the last is the automatic choice */
}
