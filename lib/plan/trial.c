#include "plan/trial.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "store/store.h"
#include "tune/blas_tuning.h"

double t3_seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- the bench ---- */

/* Values in [-1, 1) that no compiler or kernel can guess, as bytes of a type; that they repeat changes no time. */
enum { CHUNK = 1 << 18 };
static void *make_chunk(tconv3d_dtype dtype) {
  size_t size = t3_type_size(dtype);
  char *values = malloc(CHUNK * size);
  uint32_t state = 1;
  for (size_t i = 0; values && i < CHUNK; ++i) {
    state = state * 1664525u + 1013904223u;
    double real = (double)(state >> 8) / 8388608.0 - 1.0;
    float single = (float)real;
    uint16_t half = (uint16_t)((state >> 16 & 0x83ff) | (dtype == TCONV3D_F16 ? 0x3800 : 0x3f00)); /* some half to one */
    const void *const as[] = {&single, &real, &half, &half};
    memcpy(values + i * size, as[dtype], size);
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

/* Ends when all is written, as the chunk is then freed. */
static tconv3d_status fill_buffer(const t3_bench *bench, tconv3d_dtype dtype, int64_t count, const tconv3d_buffer *buffer) {
  size_t element = t3_type_size(dtype);
  void *chunk = make_chunk(dtype);
  if (!chunk) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for values");
  cl_int error = CL_SUCCESS;
  for (int64_t at = 0; at < count && error == CL_SUCCESS; at += CHUNK)
    error = clEnqueueWriteBuffer(bench->slot->queue, buffer->mem, CL_TRUE, (size_t)at * element,
                                 (size_t)t3_min(count - at, CHUNK) * element, chunk, 0, NULL, NULL);
  free(chunk);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueWriteBuffer", "");
}

static tconv3d_status make_tensors(t3_bench *bench, const t3_layer *layer) {
  const struct {
    const char *what;
    tconv3d_dtype dtype;
    int64_t count, below;
    tconv3d_buffer *buffer;
  } tensors[] = {{"for x", layer->dtype, layer->x.span, layer->x.below, &bench->x},
                 {"for w", layer->weight_dtype, layer->w.span, layer->w.below, &bench->weight},
                 {"for b", layer->weight_dtype, layer->out_channels, 0, &bench->bias},
                 {"for y", layer->dtype, layer->y.span, layer->y.below, &bench->y}}; /* filled too: its pages are then there */
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors; ++i) {
    int64_t size = (int64_t)t3_type_size(tensors[i].dtype);
    T3_TRY(make_buffer(bench, tensors[i].what, tensors[i].count * size, tensors[i].buffer));
    T3_TRY(fill_buffer(bench, tensors[i].dtype, tensors[i].count, tensors[i].buffer));
    tensors[i].buffer->offset = (size_t)(tensors[i].below * size);
  }
  return TCONV3D_OK;
}

tconv3d_status t3_bench_open(tconv3d_context *context, const t3_slot *slot, const t3_layer *layer, t3_bench *bench) {
  *bench = (t3_bench){0};
  T3_TRY(tconv3d_context_adopt(context->cl, &slot->info.device, 1, &bench->context));
  t3_blas_use_tuning(context->store, &slot->info, layer->dtype == TCONV3D_F64); /* while there is a store */
  t3_store_close(bench->context->store);
  bench->context->store = NULL;
  bench->slot = t3_context_slot(bench->context, NULL);
  bench->context->slots[0].adopted = slot->adopted; /* what may be used in the caller's may be here */
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
