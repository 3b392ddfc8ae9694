/* Tuning CLBlast's parameters: a walk through a table, as far as there is time. CLBlast builds all kernels of its product for
 * each set of parameters, ten seconds and more on a CPU, so that one step is about one kernel: the one for large products, on a
 * large and a small one; or the direct kernel, on the small one, to see whether it is worth its compilation. A set whose
 * product is wrong, or that CLBlast refuses, is passed over. In a context of its own, so that a caller's cl_context is left
 * alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "blas/blas.h"
#include "device/clerror.h"
#include "device/device.h"
#include "plan/trial.h"
#include "tune/blas_tuning.h"
#include "tune/exchange.h"

enum {
  LARGE = 512, /* rows and columns of each matrix */
  SMALL = 208, /* below T3_BLAS_BETWEEN, and no whole tiles */
  RUNS = 20,
  CHECKED = 64 /* elements of a product that are compared */
};
static const double most_seconds = 0.7;    /* of runs of one product: the longer, the likelier an undisturbed one */
static const double clearly_faster = 1.01; /* what is less is no reason to store anything */
static const double hardly_slower = 0.9;   /* small products may lose no more */

/* FLOP/s of both products; 0: not measured. */
struct rates {
  double large, small;
};

struct search {
  const tconv3d_clblast_options *options;
  tconv3d_context *context; /* of its own */
  const t3_slot *slot;
  cl_mem mem[3];
  size_t real_size;
  double start;
  t3_blas_parameters best;        /* of each kernel */
  int64_t quick[T3_XGEMM_DIRECT]; /* the direct one beside the best xgemm */
  struct rates xgemm;
  double direct;
  size_t measured, skipped;
};

/* ---- one product ---- */

/* Whole numbers, whose sums are exact in any order; no two rows or columns nearby are alike. */
static int value_of(int matrix, size_t row, size_t column) {
  return (int)((row * 7 + column * 3 + (size_t)matrix * 2 + row * column % 5) % 9) - 4;
}

static void put_real(const struct search *search, void *memory, size_t index, double value) {
  float single = (float)value;
  memcpy((char *)memory + index * search->real_size, search->real_size == 8 ? (const void *)&value : (const void *)&single,
         search->real_size);
}

static double get_real(const struct search *search, const void *memory, size_t index) {
  float single;
  double value;
  memcpy(search->real_size == 8 ? (void *)&value : (void *)&single, (const char *)memory + index * search->real_size,
         search->real_size);
  return search->real_size == 8 ? value : (double)single;
}

/* Matrices of n rows and columns, c full of what no product is. */
static tconv3d_status write_matrices(const struct search *search, size_t n) {
  void *values = malloc(n * n * search->real_size);
  cl_int error = CL_SUCCESS;
  if (!values) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for matrices");
  for (int matrix = 0; matrix < 3 && error == CL_SUCCESS; ++matrix) {
    for (size_t i = 0; i < n * n; ++i) put_real(search, values, i, matrix == 2 ? 0.5 : value_of(matrix, i / n, i % n));
    error = clEnqueueWriteBuffer(search->slot->queue, search->mem[matrix], CL_TRUE, 0, n * n * search->real_size, values, 0,
                                 NULL, NULL);
  }
  free(values);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clEnqueueWriteBuffer", "");
}

static bool is_product(const struct search *search, const void *c, size_t n) {
  for (size_t check = 0; check < CHECKED; ++check) {
    size_t i = check * (n * n - 1) / (CHECKED - 1), row = i / n, column = i % n;
    int sum = 0;
    for (size_t k = 0; k < n; ++k) sum += value_of(0, row, k) * value_of(1, k, column);
    if (get_real(search, c, i) != sum) return false;
  }
  return true;
}

static tconv3d_status check_product(const struct search *search, size_t n) {
  void *c = malloc(n * n * search->real_size);
  if (!c) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a matrix");
  cl_int error =
      clEnqueueReadBuffer(search->slot->queue, search->mem[2], CL_TRUE, 0, n * n * search->real_size, c, 0, NULL, NULL);
  bool right = error == CL_SUCCESS && is_product(search, c, n);
  free(c);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clEnqueueReadBuffer", "of a matrix product");
  return right ? TCONV3D_OK : t3_fail(TCONV3D_WRONG_RESULT, "CLBlast's product %zu x %zu x %zu is wrong", n, n, n);
}

static tconv3d_status multiply(const struct search *search, size_t n, double *seconds) {
  const t3_matrices matrices = {.m = n,
                                .n = n,
                                .k = n,
                                .b_row = n,
                                .batch = 1,
                                .mem = {search->mem[0], search->mem[1], search->mem[2]},
                                .doubles = search->real_size == 8};
  double start = t3_seconds_now();
  atomic_store(&search->context->multiplies, true);
  tconv3d_status status = t3_blas_multiply(search->slot->queue, &matrices);
  cl_int error = clFinish(search->slot->queue);
  *seconds = t3_seconds_now() - start;
  if (status != TCONV3D_OK) return status;
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clFinish", "after a matrix product");
}

/* The FLOP/s of the fastest run, once the product is known to be right; the first run compiles. */
static tconv3d_status measure(const struct search *search, size_t n, double *rate) {
  double first, least = 0, total = 0;
  T3_TRY(write_matrices(search, n));
  T3_TRY(multiply(search, n, &first));
  T3_TRY(check_product(search, n));
  for (int run = 0; run < RUNS && total < most_seconds; ++run) {
    double seconds;
    T3_TRY(multiply(search, n, &seconds));
    if (!run || seconds < least) least = seconds;
    total += seconds;
  }
  *rate = 2.0 * (double)n * (double)n * (double)n / least;
  return TCONV3D_OK;
}

/* ---- the walk ---- */

static double time_passed(const struct search *search) {
  return (t3_seconds_now() - search->start) / search->options->seconds;
}

static tconv3d_status report(const struct search *search, double part) {
  const tconv3d_clblast_options *options = search->options;
  enum { STEPS = 1000 };
  if (!options->progress || !options->progress((size_t)((part < 1 ? part : 1) * STEPS), STEPS, options->user))
    return TCONV3D_OK;
  return t3_fail(TCONV3D_CANCELLED, "the tuning was cancelled");
}

static tconv3d_status use(const struct search *search, const t3_blas_parameters *parameters) {
  return t3_blas_use(search->slot->info.device, search->real_size == 8, parameters);
}

static tconv3d_status measure_both(const struct search *search, struct rates *rates) {
  T3_TRY(measure(search, LARGE, &rates->large));
  return measure(search, SMALL, &rates->small);
}

static tconv3d_status try_xgemm(struct search *search, const t3_blas_parameters *candidate) {
  struct rates rates;
  T3_TRY(use(search, candidate));
  T3_TRY(measure_both(search, &rates));
  if (rates.large <= search->xgemm.large) return TCONV3D_OK;
  memcpy(search->best.xgemm, candidate->xgemm, sizeof candidate->xgemm);
  memcpy(search->quick, candidate->direct, sizeof candidate->direct);
  search->xgemm = rates;
  return TCONV3D_OK;
}

static tconv3d_status try_direct(struct search *search, const t3_blas_parameters *candidate) {
  double rate;
  T3_TRY(use(search, candidate));
  T3_TRY(measure(search, SMALL, &rate));
  if (rate <= search->direct) return TCONV3D_OK;
  memcpy(search->best.direct, candidate->direct, sizeof candidate->direct);
  search->direct = rate;
  return TCONV3D_OK;
}

/* The direct kernel is tried beside the best of the others, which is there when its first turn comes. */
static tconv3d_status try_candidate(struct search *search, t3_blas_step step, t3_blas_parameters *candidate) {
  if (step == T3_BLAS_DIRECT) memcpy(candidate->xgemm, search->best.xgemm, sizeof candidate->xgemm);
  if (!t3_blas_valid(candidate, &search->slot->info, (int64_t)search->real_size)) {
    ++search->skipped;
    return TCONV3D_OK;
  }
  tconv3d_status status = (step == T3_BLAS_DIRECT ? try_direct : try_xgemm)(search, candidate);
  ++*(status == TCONV3D_OK ? &search->measured : &search->skipped);
  return status;
}

/* At least one is measured, however long CLBlast's own parameters have taken. */
static tconv3d_status walk(struct search *search) {
  t3_blas_parameters candidate;
  t3_blas_step step;
  tconv3d_status failed = t3_fail(TCONV3D_UNSUPPORTED, "no parameters for CLBlast's products are made for this device");
  for (size_t i = 0; (step = t3_blas_candidate(&search->slot->info, i, &candidate)) != T3_BLAS_END; ++i) {
    double part = time_passed(search);
    if (part >= 1 && search->measured) break;
    T3_TRY(report(search, part));
    tconv3d_status status = try_candidate(search, step, &candidate);
    if (status != TCONV3D_OK) failed = status;
  }
  return search->measured ? TCONV3D_OK : failed;
}

/* The direct kernel has its place only where it is faster; where that is on large products too, it does all. */
static tconv3d_status measure_best(struct search *search, struct rates *after) {
  bool direct = search->direct > search->xgemm.small;
  if (!direct) memcpy(search->best.direct, search->quick, sizeof search->quick);
  search->best.from = !direct ? 0 : search->direct > search->xgemm.large ? T3_BLAS_FROM_MAX : T3_BLAS_BETWEEN;
  T3_TRY(use(search, &search->best));
  return measure_both(search, after);
}

static bool keep(const struct search *search, t3_store *store, double after) {
  double nanoseconds = 2e9 * LARGE * LARGE * LARGE / after;
  const t3_blas_tuning tuning = {search->best, nanoseconds >= 1 ? (int64_t)nanoseconds : 1};
  return t3_blas_tuning_keep(store, &search->slot->info, t3_blas_version(), search->real_size == 8, &tuning);
}

static void print_parameters(const t3_blas_parameters *parameters, char *text, size_t capacity) {
  t3_text printed = {0};
  t3_blas_print(parameters, &printed);
  snprintf(text, capacity, "%s", printed.data ? printed.data : "");
  t3_text_free(&printed);
}

static bool is_better(const struct rates *before, const struct rates *after) {
  return after->large > clearly_faster * before->large && after->small > hardly_slower * before->small;
}

/* What served before serves on where nothing better was found, or the search broke off. */
static tconv3d_status search_all(struct search *search, t3_store *store, tconv3d_clblast_result *result) {
  t3_blas_parameters earlier;
  const cl_device_id device = search->slot->info.device;
  const bool doubles = search->real_size == 8;
  struct rates before = {0}, after = {0};
  t3_blas_use_tuning(store, &search->slot->info, doubles);
  bool had = t3_blas_used(device, doubles, &earlier);
  T3_TRY(report(search, 0));
  (void)measure_both(search, &before); /* 0: they do not even work */
  tconv3d_status status = walk(search);
  if (status == TCONV3D_OK) status = measure_best(search, &after);
  bool better = status == TCONV3D_OK && is_better(&before, &after);
  if (!better && had) (void)t3_blas_use(device, doubles, &earlier);
  if (status != TCONV3D_OK) return status;
  *result = (tconv3d_clblast_result){.before = before.large,
                                     .after = after.large,
                                     .measured = search->measured,
                                     .skipped = search->skipped,
                                     .better = better,
                                     .stored = better && keep(search, store, after.large)};
  print_parameters(&search->best, result->parameters, sizeof result->parameters);
  return report(search, 1);
}

/* ---- the calls ---- */

static tconv3d_status open_search(struct search *search, cl_device_id device) {
  T3_TRY(tconv3d_context_create(&device, 1, &search->context));
  search->slot = t3_context_slot(search->context, NULL);
  for (int i = 0; i < 3; ++i) {
    cl_int error;
    search->mem[i] = clCreateBuffer(search->context->cl, CL_MEM_READ_WRITE, LARGE * LARGE * search->real_size, NULL, &error);
    if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateBuffer", "for a matrix");
  }
  return TCONV3D_OK;
}

static void close_search(struct search *search) {
  for (int i = 0; i < 3; ++i)
    if (search->mem[i]) clReleaseMemObject(search->mem[i]);
  tconv3d_context_destroy(search->context);
}

static tconv3d_status check_options(const tconv3d_clblast_options *options, const t3_slot *slot) {
  if (options->struct_size != sizeof *options)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.struct_size is %zu; TCONV3D_CLBLAST_OPTIONS_INIT sets it to %zu",
                   options->struct_size, sizeof *options);
  if (!(options->seconds > 0 && options->seconds <= 86400))
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.seconds is %g; it must be above 0 and at most 86400", options->seconds);
  if (!slot) return t3_fail(TCONV3D_INVALID_ARGUMENT, "options.device is not a device of the context");
  if (options->dtype != TCONV3D_F32 && options->dtype != TCONV3D_F64)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "options.dtype is %d; sums are TCONV3D_F32 or TCONV3D_F64", (int)options->dtype);
  if (options->dtype == TCONV3D_F64 && !slot->info.float64)
    return t3_fail(TCONV3D_UNSUPPORTED, "options.dtype is float64; device '%s' computes no doubles", slot->info.name);
  if (t3_blas_missing()) return t3_fail(TCONV3D_UNSUPPORTED, "CLBlast cannot be tuned: %s", t3_blas_missing());
  return TCONV3D_OK;
}

tconv3d_status tconv3d_tune_clblast(tconv3d_context *context, const tconv3d_clblast_options *options,
                                    tconv3d_clblast_result *result) {
  static const tconv3d_clblast_options defaults = TCONV3D_CLBLAST_OPTIONS_INIT;
  tconv3d_clblast_result own;
  if (!context) return t3_fail(TCONV3D_INVALID_ARGUMENT, "context is NULL");
  if (!options) options = &defaults;
  const t3_slot *slot = t3_context_slot(context, options->device);
  T3_TRY(check_options(options, slot));
  struct search search = {.options = options, .real_size = options->dtype == TCONV3D_F64 ? 8 : 4, .start = t3_seconds_now()};
  char *message = t3_message_save();
  tconv3d_status status = open_search(&search, slot->info.device);
  if (status == TCONV3D_OK) status = search_all(&search, context->store, result ? result : &own);
  close_search(&search);
  if (status == TCONV3D_OK)
    t3_message_restore(message);
  else
    free(message);
  return status;
}

tconv3d_status tconv3d_clblast_query(cl_device_id device, tconv3d_dtype dtype, tconv3d_clblast_info *info) {
  if (!info) return t3_fail(TCONV3D_INVALID_ARGUMENT, "info is NULL");
  if (dtype != TCONV3D_F32 && dtype != TCONV3D_F64)
    return t3_fail(TCONV3D_INVALID_PARAMETER, "dtype is %d; sums are TCONV3D_F32 or TCONV3D_F64", (int)dtype);
  tconv3d_device_info facts = {0};
  t3_blas_tuning tuning;
  char reason[192];
  *info = (tconv3d_clblast_info){0};
  snprintf(info->version, sizeof info->version, "%s", t3_blas_version());
  if (!*info->version || !device) return TCONV3D_OK;
  t3_device_read(device, &facts);
  t3_store *store = t3_open_cache(false, reason, sizeof reason);
  t3_blas_found found = t3_blas_tuning_find(store, &facts, info->version, dtype == TCONV3D_F64, &tuning);
  t3_store_close(store);
  info->tuned = found == T3_BLAS_FOUND, info->damaged = found == T3_BLAS_DAMAGED;
  if (!info->tuned) return TCONV3D_OK;
  info->flops_per_second = 2e9 * LARGE * LARGE * LARGE / (double)tuning.nanoseconds;
  print_parameters(&tuning.parameters, info->parameters, sizeof info->parameters);
  return TCONV3D_OK;
}
