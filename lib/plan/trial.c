#include "plan/trial.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "store/store.h"

double t3_seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- the bench ---- */

/* Values in [-1, 1) that no compiler or kernel can guess; that they repeat after a mebibyte changes no time. */
enum { CHUNK = 1 << 18 };
static float *make_chunk(void) {
  float *values = malloc(CHUNK * sizeof *values);
  uint32_t state = 1;
  for (int i = 0; values && i < CHUNK; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
  }
  return values;
}

static tconv3d_status make_buffer(const t3_bench *bench, const char *what, int64_t bytes, tconv3d_buffer *buffer) {
  cl_int error;
  cl_mem mem = clCreateBuffer(bench->context->cl, CL_MEM_READ_WRITE, (size_t)t3_max(bytes, 4), NULL, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateBuffer", what);
  *buffer = (tconv3d_buffer){mem, 0};
  return TCONV3D_OK;
}

static tconv3d_status fill_buffer(const t3_bench *bench, const float *chunk, int64_t count, const tconv3d_buffer *buffer) {
  for (int64_t at = 0; at < count; at += CHUNK) {
    size_t size = (size_t)t3_min(count - at, CHUNK) * sizeof *chunk;
    T3_CL_TRY(clEnqueueWriteBuffer,
              (bench->slot->queue, buffer->mem, CL_FALSE, (size_t)at * sizeof *chunk, size, chunk, 0, NULL, NULL));
  }
  return TCONV3D_OK;
}

static tconv3d_status make_tensors(t3_bench *bench, const t3_layer *layer) {
  const struct {
    const char *what;
    int64_t count;
    tconv3d_buffer *buffer;
  } tensors[] = {{"for x", layer->x_count, &bench->x},
                 {"for w", layer->w_count, &bench->weight},
                 {"for b", layer->out_channels, &bench->bias},
                 {"for y", layer->y_count, &bench->y}}; /* filled too: its pages are then there */
  float *chunk = make_chunk();
  if (!chunk) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for values");
  tconv3d_status status = TCONV3D_OK;
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors && status == TCONV3D_OK; ++i) {
    status = make_buffer(bench, tensors[i].what, tensors[i].count * (int64_t)sizeof(float), tensors[i].buffer);
    if (status == TCONV3D_OK) status = fill_buffer(bench, chunk, tensors[i].count, tensors[i].buffer);
  }
  cl_int error = clFinish(bench->slot->queue); /* after a failure too: the writes read the chunk */
  free(chunk);
  return status == TCONV3D_OK && error != CL_SUCCESS ? t3_cl_fail(error, "clFinish", "") : status;
}

tconv3d_status t3_bench_open(tconv3d_context *context, const t3_slot *slot, const t3_layer *layer, t3_bench *bench) {
  *bench = (t3_bench){0};
  T3_TRY(tconv3d_context_adopt(context->cl, &slot->info.device, 1, &bench->context));
  t3_store_close(bench->context->store);
  bench->context->store = NULL;
  bench->slot = t3_context_slot(bench->context, NULL);
  tconv3d_status status = make_tensors(bench, layer);
  if (status != TCONV3D_OK) t3_bench_close(bench);
  return status;
}

void t3_bench_close(t3_bench *bench) {
  const tconv3d_buffer *const buffers[] = {&bench->x, &bench->y, &bench->weight, &bench->bias, &bench->workspace};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; ++i)
    if (buffers[i]->mem) clReleaseMemObject(buffers[i]->mem);
  tconv3d_context_destroy(bench->context);
  *bench = (t3_bench){0};
}

/* ---- a trial ---- */

/* One workspace for all, as only one call runs at a time. */
static tconv3d_status enlarge_workspace(t3_bench *bench, int64_t bytes) {
  tconv3d_buffer larger;
  if (bytes <= bench->workspace_bytes) return TCONV3D_OK;
  T3_TRY(make_buffer(bench, "for the workspace", bytes, &larger));
  if (bench->workspace.mem) clReleaseMemObject(bench->workspace.mem);
  bench->workspace = larger;
  bench->workspace_bytes = bytes;
  return TCONV3D_OK;
}

static tconv3d_status call(const t3_bench *bench, const t3_trial *trial, double *seconds) {
  const tconv3d_buffer *workspace = bench->workspace_bytes ? &bench->workspace : NULL;
  cl_command_queue queue = bench->slot->queue;
  t3_work work = t3_work_of(trial->plan->problem.operation);
  double start = t3_seconds_now();
  if (work == T3_LAYER)
    T3_TRY(tconv3d_enqueue(trial->plan, trial->weights, queue, bench->x, bench->y, workspace, 0, NULL, NULL));
  else
    T3_TRY(tconv3d_enqueue_gradient(trial->plan, queue, bench->x, bench->y,
                                    work == T3_WEIGHT_GRADIENT ? bench->weight : bench->bias, workspace, 0, NULL, NULL));
  T3_CL_TRY(clFinish, (bench->slot->queue));
  *seconds = t3_seconds_now() - start;
  return TCONV3D_OK;
}

static tconv3d_status open_trial(t3_bench *bench, const t3_request *request, t3_trial *trial) {
  double first = 0;
  T3_TRY(t3_plan_make(bench->context, bench->slot, request, NULL, &trial->candidate, &trial->plan));
  T3_TRY(enlarge_workspace(bench, trial->plan->recipe.workspace_bytes));
  if (trial->plan->recipe.pack.kernel)
    T3_TRY(tconv3d_weights_create(trial->plan, bench->slot->queue, bench->weight,
                                  trial->plan->problem.layer.has_bias ? &bench->bias : NULL, 0, NULL, NULL, &trial->weights));
  return call(bench, trial, &first);
}

tconv3d_status t3_trial_open(t3_bench *bench, const t3_request *request, t3_trial *trial) {
  tconv3d_status status = open_trial(bench, request, trial);
  if (status != TCONV3D_OK) t3_trial_close(trial);
  return status;
}

void t3_trial_close(t3_trial *trial) {
  tconv3d_weights_destroy(trial->weights);
  tconv3d_plan_destroy(trial->plan);
  trial->weights = NULL;
  trial->plan = NULL;
}

tconv3d_status t3_trial_run(const t3_bench *bench, t3_trial *trial) {
  double seconds = 0;
  tconv3d_status status = call(bench, trial, &seconds);
  if (status != TCONV3D_OK) {
    t3_trial_close(trial);
    return status;
  }
  if (!trial->runs || seconds < trial->least) trial->least = seconds;
  trial->seconds[trial->runs++] = seconds;
  return TCONV3D_OK;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double t3_trial_median(const t3_trial *trial) {
  double sorted[T3_MAX_RUNS];
  memcpy(sorted, trial->seconds, (size_t)trial->runs * sizeof *sorted);
  qsort(sorted, (size_t)trial->runs, sizeof *sorted, ascending);
  return sorted[trial->runs / 2];
}
