#include "tconv3d/tune_clblast.h"

#include <stdio.h>

#include "tconv3d/progress.h"

static int show_progress(size_t done, size_t total, void *user) {
  struct progress *progress = user;
  progress->total = (int64_t)total;
  progress_step(progress, (int64_t)done - progress->done);
  return 0;
}

static void print_result(const struct clblast_job *job, const tconv3d_clblast_result *result) {
  const char *type = job->dtype == TCONV3D_F64 ? "float64" : "float32";
  printf("CLBlast, product 512 x 512 x 512 of %s: before %.1f GFLOP/s, after %.1f GFLOP/s\n", type, 1e-9 * result->before,
         1e-9 * result->after);
  printf("%zu candidates measured, %zu skipped; best: %s\n", result->measured, result->skipped, result->parameters);
  if (!result->better)
    printf("not stored: no candidate is at least 1 %% faster\n");
  else if (!result->stored)
    printf("not stored: no cache can be used; `tconv3d cache` says why\n");
}

bool tune_clblast(tconv3d_context *context, const struct clblast_job *job, struct fault *fault) {
  struct progress progress;
  tconv3d_clblast_result result;
  tconv3d_clblast_options options = TCONV3D_CLBLAST_OPTIONS_INIT;
  options.seconds = job->seconds, options.dtype = job->dtype;
  options.progress = show_progress, options.user = &progress;
  progress_start(&progress, 1000, "tune CLBlast");
  tconv3d_status status = tconv3d_tune_clblast(context, &options, &result);
  progress_end(&progress);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  print_result(job, &result);
  return true;
}
