/* Probes of what a device may have beyond OpenCL 1.2 (cl/features.cl). A device's own word, where it has one, only saves the
 * building of what cannot be there; that it is there is believed when a kernel says so by its numbers. */
#include "program/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algo/algo.h"
#include "algo/multiplier.h"
#include "base/status.h"
#include "device/clerror.h"
#include "device/device.h"
#include "program/offline.h"
#include "program/program.h"

enum { SUB_GROUPS = 2, HALF_ITEMS = 32, MOST_VALUES = 1024 };

/* How a feature is asked for: the multiplier that it serves, its lanes, the type of its tensors, and what the device must say,
 * an extension or a vendor's platform. */
struct row {
  t3_multiplier_kind kind;
  int lanes;
  tconv3d_dtype dtype;
  const char *extension, *platform;
};

#define SUB_GROUP_ROW(lanes) \
  { T3_MULTIPLY_BROADCAST, lanes, TCONV3D_F32, NULL, NULL }
#define MMA_ROW(kind, dtype) \
  { kind, 32, dtype, NULL, "NVIDIA" }
#define DPAS_ROW(lanes, dtype) \
  { T3_MULTIPLY_DPAS, lanes, dtype, "cl_intel_subgroup_matrix_multiply_accumulate", NULL }
static const struct row rows[T3_NUM_FEATURES] = {
    [T3_SUBGROUPS_8] = SUB_GROUP_ROW(8),
    [T3_SUBGROUPS_16] = SUB_GROUP_ROW(16),
    [T3_SUBGROUPS_32] = SUB_GROUP_ROW(32),
    [T3_SUBGROUPS_64] = SUB_GROUP_ROW(64),
    [T3_MMA_F16] = MMA_ROW(T3_MULTIPLY_MMA, TCONV3D_F16),
    [T3_MMA_BF16] = MMA_ROW(T3_MULTIPLY_MMA, TCONV3D_BF16),
    [T3_MMA_TF32] = MMA_ROW(T3_MULTIPLY_TF32, TCONV3D_F32),
    [T3_DPAS_8_F16] = DPAS_ROW(8, TCONV3D_F16),
    [T3_DPAS_8_BF16] = DPAS_ROW(8, TCONV3D_BF16),
    [T3_DPAS_16_F16] = DPAS_ROW(16, TCONV3D_F16),
    [T3_DPAS_16_BF16] = DPAS_ROW(16, TCONV3D_BF16),
    [T3_HALF] = {T3_MULTIPLY_HALF, 0, TCONV3D_F16, "cl_khr_fp16", NULL},
};

static int items_of(const struct row *row) {
  return row->lanes ? SUB_GROUPS * row->lanes : HALF_ITEMS;
}

void t3_probe_defines(t3_feature feature, bool twin, t3_text *defines) {
  const struct row *row = &rows[feature];
  t3_define(defines, "X_TYPE", row->dtype);
  t3_define(defines, "MULTIPLIER", row->kind);
  t3_define(defines, "TWIN", twin);
  if (row->lanes) t3_define(defines, "SUB_GROUP", row->lanes);
  t3_define(defines, "ITEMS", items_of(row));
}

/* ---- what the kernel must answer ---- */

/* As the head of cl/features.cl has it. */
static int matrix_answer(const struct row *row, int at) {
  const int rows_of = row->kind == T3_MULTIPLY_DPAS ? 8 : 16, columns = row->kind == T3_MULTIPLY_DPAS ? row->lanes : 8;
  const int terms = row->kind == T3_MULTIPLY_TF32 ? 8 : 16;
  int n = at % columns, m = at / columns % rows_of, s = at / columns / rows_of, sum = m - n;
  for (int k = 0; k < terms; ++k) sum += ((m * 3 + k * 5 + s) % 7 - 3) * ((k * 3 + n * 2 + s) % 5 - 2);
  return sum;
}

static double answer(const struct row *row, int at) {
  if (row->kind == T3_MULTIPLY_HALF) return at * at / 4.0 + at / 2.0;
  if (row->kind != T3_MULTIPLY_BROADCAST) return matrix_answer(row, at);
  double sum = 0;
  for (int lane = 0; lane < row->lanes; ++lane) sum += (at - at % row->lanes + lane) * (lane + 1);
  return sum;
}

static int answers(const struct row *row) {
  if (row->kind == T3_MULTIPLY_HALF || row->kind == T3_MULTIPLY_BROADCAST) return items_of(row);
  return SUB_GROUPS * (row->kind == T3_MULTIPLY_DPAS ? 8 * row->lanes : 16 * 8);
}

/* ---- the run ---- */

static tconv3d_status run_kernel(cl_command_queue queue, cl_kernel kernel, cl_mem out, size_t items, size_t bytes,
                                 float *values) {
  cl_ulong all = items;
  T3_CL_TRY(clSetKernelArg, (kernel, 0, sizeof all, &all));
  T3_CL_TRY(clSetKernelArg, (kernel, 1, sizeof out, &out));
  T3_CL_TRY(clEnqueueNDRangeKernel, (queue, kernel, 1, NULL, &items, &items, 0, NULL, NULL));
  T3_CL_TRY(clEnqueueReadBuffer, (queue, out, CL_TRUE, 0, bytes, values, 0, NULL, NULL));
  return TCONV3D_OK;
}

/* On a queue of its own. */
static tconv3d_status run_program(cl_context cl, cl_device_id device, cl_program program, size_t items, int count,
                                  float *values) {
  cl_int error;
  size_t bytes = (size_t)count * sizeof *values;
  cl_command_queue queue = clCreateCommandQueue(cl, device, 0, &error);
  if (!queue) return t3_cl_fail(error, "clCreateCommandQueue", "for a probe");
  cl_mem out = clCreateBuffer(cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, values, &error);
  cl_kernel kernel = out ? clCreateKernel(program, "feature", &error) : NULL;
  tconv3d_status status = kernel ? run_kernel(queue, kernel, out, items, bytes, values)
                                 : t3_cl_fail(error, out ? "clCreateKernel" : "clCreateBuffer", "for a probe");
  if (kernel) clReleaseKernel(kernel);
  if (out) clReleaseMemObject(out);
  clReleaseCommandQueue(queue);
  return status;
}

static tconv3d_status build_and_run(const t3_slot *slot, t3_feature feature, bool twin, float *values) {
  const struct row *row = &rows[feature];
  t3_text defines = {0}, text = {0};
  cl_context cl;
  cl_program program;
  T3_CL_TRY(clGetCommandQueueInfo, (slot->queue, CL_QUEUE_CONTEXT, sizeof cl, &cl, NULL));
  t3_probe_defines(feature, twin, &defines);
  tconv3d_status status = t3_program_text("features", &defines, &text)
                              ? t3_build_source(cl, &slot->info, "features", &text, &program)
                              : t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a probe");
  t3_text_free(&defines);
  t3_text_free(&text);
  if (status != TCONV3D_OK) return status;
  status = run_program(cl, slot->info.device, program, (size_t)items_of(row), answers(row), values);
  clReleaseProgram(program);
  return status;
}

/* The first line that says something, or the line of an error in a compiler's log. */
static void first_words(const char *message, char *why, size_t capacity) {
  const char *error = strstr(message, "error");
  while (error && error > message && error[-1] != '\n') --error;
  const char *line = error && error > message ? error : message;
  snprintf(why, capacity, "%.*s", (int)strcspn(line, "\n"), line);
}

static bool is_right(const struct row *row, const float *values, char *why, size_t capacity) {
  for (int i = 0; i < answers(row); ++i)
    if (!((double)values[i] == answer(row, i))) {
      snprintf(why, capacity, "its probe gave %g for value %d, which is %g", (double)values[i], i, answer(row, i));
      return false;
    }
  return true;
}

bool t3_probe(const t3_slot *slot, t3_feature feature, bool twin, char *why, size_t capacity) {
  float values[MOST_VALUES] = {0};
  char *message = t3_message_save();
  for (int i = 0; i < MOST_VALUES; ++i) values[i] = -12345;
  tconv3d_status status = build_and_run(slot, feature, twin, values);
  if (status != TCONV3D_OK) first_words(tconv3d_message(), why, capacity);
  t3_message_restore(message);
  if (status != TCONV3D_OK || !is_right(&rows[feature], values, why, capacity)) return false;
  *why = '\0';
  return true;
}

/* ---- what is asked ---- */

static bool has_sub_groups(const tconv3d_device_info *info, int lanes, char *why, size_t capacity) {
  bool chooses = t3_device_extension(info->device, "cl_intel_required_subgroup_size");
  if (!info->sub_groups)
    snprintf(why, capacity, "the device names neither cl_khr_subgroups nor cl_intel_subgroups");
  else if (!(info->sub_group_sizes & (unsigned)lanes))
    snprintf(why, capacity, "the device has no sub-groups of %d", lanes);
  else if (!chooses && info->sub_group_sizes != (unsigned)lanes)
    snprintf(why, capacity, "the device has sub-groups of several sizes and no way to ask for one");
  else
    return true;
  return false;
}

/* What the device says of itself. */
static bool may_have(const tconv3d_device_info *info, const struct row *row, char *why, size_t capacity) {
  if (t3_no_build()) {
    snprintf(why, capacity, "a probe is built on the device, which $TCONV3D_NO_BUILD forbids");
  } else if ((uint64_t)items_of(row) > info->work_group_size) {
    snprintf(why, capacity, "a work-group of the device has %zu work-items at most", info->work_group_size);
  } else if (row->platform && !strstr(info->platform_name, row->platform)) {
    snprintf(why, capacity, "the platform is not %s's", row->platform);
  } else if (row->extension && !t3_device_extension(info->device, row->extension)) {
    snprintf(why, capacity, "the device does not name %s", row->extension);
  } else {
    return row->kind != T3_MULTIPLY_BROADCAST || has_sub_groups(info, row->lanes, why, capacity);
  }
  return false;
}

static void ask(const t3_slot *slot, t3_feature feature) {
  t3_features *features = slot->features;
  char *why = features->why[feature];
  const size_t capacity = sizeof features->why[feature];
  if (may_have(&slot->info, &rows[feature], why, capacity) && t3_probe(slot, feature, false, why, capacity))
    features->there |= t3_feature_bit(feature);
  features->asked |= t3_feature_bit(feature);
}

tconv3d_status t3_features_there(const t3_slot *slot, t3_feature_set wanted, t3_feature_set *there) {
  t3_feature_set allowed;
  *there = 0;
  T3_TRY(t3_features_allowed(slot->info.type, &allowed));
  if (!slot->features) return TCONV3D_OK;
  pthread_mutex_lock(&slot->features->lock);
  t3_feature_set open = wanted & allowed & ~slot->features->asked;
  for (int f = 0; f < T3_NUM_FEATURES; ++f)
    if (open & t3_feature_bit((t3_feature)f)) ask(slot, (t3_feature)f);
  *there = (wanted & allowed & slot->features->there) | (allowed & T3_TWINS);
  pthread_mutex_unlock(&slot->features->lock);
  return TCONV3D_OK;
}

/* ---- for the caller ---- */

static void fill(const t3_slot *slot, t3_feature feature, bool allowed, tconv3d_feature *result) {
  t3_features *features = slot->features;
  pthread_mutex_lock(&features->lock);
  result->there = allowed && (features->there & t3_feature_bit(feature)) != 0;
  snprintf(result->reason, sizeof result->reason, "%s", allowed ? features->why[feature] : "switched off by $TCONV3D_FEATURES");
  pthread_mutex_unlock(&features->lock);
}

tconv3d_status tconv3d_feature_query(tconv3d_context *context, cl_device_id device, size_t index, tconv3d_feature *result) {
  if (!context || !result) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", context ? "feature" : "context");
  const t3_slot *slot = t3_context_slot(context, device);
  if (!slot) return t3_fail(TCONV3D_INVALID_ARGUMENT, "device is not a device of the context");
  const char *variable = getenv("TCONV3D_FEATURES");
  t3_feature_set allowed;
  *result = (tconv3d_feature){0};
  if (index >= T3_NUM_FEATURES) return TCONV3D_OK;
  /* Where nothing is said a CPU is asked here, though plans for it do not ask. */
  T3_TRY(t3_features_allowed(variable && *variable ? slot->info.type : CL_DEVICE_TYPE_GPU, &allowed));
  allowed &= t3_feature_bit((t3_feature)index);
  pthread_mutex_lock(&slot->features->lock);
  if (allowed & ~slot->features->asked) ask(slot, (t3_feature)index);
  pthread_mutex_unlock(&slot->features->lock);
  result->name = t3_feature_name((t3_feature)index);
  fill(slot, (t3_feature)index, allowed != 0, result);
  return TCONV3D_OK;
}
