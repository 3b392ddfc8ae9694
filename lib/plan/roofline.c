/* What a device reaches with nothing but multiply-adds, and with nothing but copying (cl/probe.cl): the two limits that a layer
 * is judged by. The best of several runs, because a shared machine only ever takes time away. */
#include <time.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/clerror.h"
#include "device/device.h"
#include "plan/launch.h"
#include "program/program.h"

enum { LEAST_RUNS = 5, SUMS = 12 };

/* Long enough for an operating system to spread a runtime's threads over the cores: runs of 10 ms in all showed half the peak.
 */
static const double least_seconds = 0.25;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds of the best run, after one run that touches the memory. */
static tconv3d_status best_time(const t3_slot *slot, const t3_program *program, const t3_launch *launch,
                                const t3_binding *binding, double *best) {
  t3_step step;
  t3_step_init(&step, launch, program->cl);
  tconv3d_status status = TCONV3D_OK;
  *best = 1e9;
  double end = now() + least_seconds;
  for (int i = 0; i <= LEAST_RUNS || now() < end; ++i) {
    double start = now();
    status = t3_step_enqueue(&step, slot->queue, binding, 0, NULL, NULL);
    if (status != TCONV3D_OK) break;
    cl_int error = clFinish(slot->queue);
    if (error != CL_SUCCESS) {
      status = t3_cl_fail(error, "clFinish", launch->kernel);
      break;
    }
    double seconds = now() - start;
    if (i && seconds < *best) *best = seconds;
  }
  t3_step_free(&step);
  return status;
}

struct probe {
  t3_launch launch;
  double work;   /* operations or bytes of one run */
  int64_t bytes; /* of each of its buffers */
};

static struct probe fma_probe(const tconv3d_device_info *device, int64_t vector) {
  bool gpu = device->type & CL_DEVICE_TYPE_GPU;
  int64_t items = t3_max(device->compute_units, 1) * (gpu ? 2048 : 8), rounds = gpu ? 4096 : 100000;
  struct probe probe = {.launch = {.kernel = "probe_fma", .local = gpu ? 64 : 1, .items = items},
                        .work = 2.0 * SUMS * (double)(items * rounds * vector),
                        .bytes = items * vector * (int64_t)sizeof(float)};
  T3_ARGS(&probe.launch, {T3_Y, 0}, {T3_NUMBER, rounds});
  return probe;
}

/* 256 MiB each way, past most caches, or less where memory is short. */
static struct probe copy_probe(const tconv3d_device_info *device, int64_t vector) {
  bool gpu = device->type & CL_DEVICE_TYPE_GPU;
  uint64_t most = device->memory_bytes / 8 < device->max_buffer_bytes ? device->memory_bytes / 8 : device->max_buffer_bytes;
  int64_t chunk = gpu ? 4 : 1024, piece = chunk * vector * (int64_t)sizeof(float);
  int64_t items = t3_max(t3_min((int64_t)256 << 20, (int64_t)most) / piece, 1);
  struct probe probe = {.launch = {.kernel = "probe_copy", .local = gpu ? 64 : 1, .items = items},
                        .work = 2.0 * (double)(items * piece),
                        .bytes = items * piece};
  T3_ARGS(&probe.launch, {T3_X, 0}, {T3_Y, 0}, {T3_NUMBER, chunk});
  return probe;
}

static tconv3d_status run_probe(tconv3d_context *context, const t3_slot *slot, const t3_program *program,
                                const struct probe *probe, double *rate) {
  t3_binding binding = {0};
  tconv3d_status status = TCONV3D_OK;
  for (t3_arg_kind kind = T3_X; kind <= T3_Y && status == TCONV3D_OK; ++kind) {
    cl_int error;
    binding.mem[kind] = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, (size_t)probe->bytes, NULL, &error);
    if (error != CL_SUCCESS) status = t3_cl_fail(error, "clCreateBuffer", "for a probe");
  }
  double seconds = 1;
  if (status == TCONV3D_OK) status = best_time(slot, program, &probe->launch, &binding, &seconds);
  if (status == TCONV3D_OK) *rate = probe->work / seconds;
  for (t3_arg_kind kind = T3_X; kind <= T3_Y; ++kind)
    if (binding.mem[kind]) clReleaseMemObject(binding.mem[kind]);
  return status;
}

/* Raises the limits to what the device reaches with vectors of this width. */
static tconv3d_status measure_width(tconv3d_context *context, const t3_slot *slot, int64_t width, tconv3d_roofline *best) {
  int64_t vector = t3_max(t3_min(width, 16), 4);
  struct probe fma = fma_probe(&slot->info, vector), copy = copy_probe(&slot->info, vector);
  t3_text defines = {0};
  t3_define(&defines, "VECTOR", vector);
  t3_define(&defines, "SUMS", SUMS);
  t3_program *program = NULL;
  tconv3d_status status =
      t3_program_prepare(context, slot, "probe", &defines, (const t3_launch *[]){&fma.launch, &copy.launch}, 2, &program);
  t3_text_free(&defines);
  double flops = 0, bytes = 0;
  if (status == TCONV3D_OK) status = run_probe(context, slot, program, &fma, &flops);
  if (status == TCONV3D_OK) status = run_probe(context, slot, program, &copy, &bytes);
  if (flops > best->flops_per_second) best->flops_per_second = flops;
  if (bytes > best->bytes_per_second) best->bytes_per_second = bytes;
  return status;
}

tconv3d_status tconv3d_measure_roofline(tconv3d_context *context, cl_device_id device, tconv3d_roofline *roofline) {
  if (!context || !roofline) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", context ? "roofline" : "context");
  const t3_slot *slot = t3_context_slot(context, device);
  if (!slot) return t3_fail(TCONV3D_INVALID_ARGUMENT, "device is not a device of the context");
  /* The limits are the device's, not the kernels': where TCONV3D_VECTOR_WIDTH narrows the kernels they must not fall with it,
   * and where it widens them because the runtime reports too little they must not stay low. So both widths are tried. */
  int64_t reported = t3_device_reported_width(slot->info.device), set = slot->info.vector_width;
  tconv3d_roofline measured = {0};
  T3_TRY(measure_width(context, slot, reported, &measured));
  if (set != reported) T3_TRY(measure_width(context, slot, set, &measured));
  *roofline = measured;
  return TCONV3D_OK;
}
