/* Every OpenCL call that the library makes, made to fail once: the failure comes back as a status whose message names the
 * error, nothing is leaked or left unusable (the sanitizers' build of this test looks), and the next attempt works. The linker
 * wraps the calls (tests/meson.build): each __wrap_NAME below counts, and fails the one that the test chose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "algo/algo.h"

static int calls, failing_call; /* counted from 1; 0: none fails */
static const char *failed_name;
/* References to OpenCL objects that the library holds: leak checkers cannot tell them from the runtime's own. */
static int alive;

static bool fails(const char *name) {
  bool now = ++calls == failing_call;
  if (now) failed_name = name;
  return now;
}

static cl_int counted(cl_int error, bool made) {
  alive += made && error == CL_SUCCESS;
  return error;
}

/* A call that returns its status. made: whether it makes a reference; before: what is really done even when it fails. */
#define WRAP_STATUS(name, parameters, arguments, made, before)        \
  cl_int __real_##name parameters;                                    \
  cl_int __wrap_##name parameters;                                    \
  cl_int __wrap_##name parameters {                                   \
    if (!fails(#name)) return counted(__real_##name arguments, made); \
    before;                                                           \
    return CL_OUT_OF_RESOURCES;                                       \
  }
/* A call that returns an object and its status through error. made: whether that is a reference to give back. */
#define WRAP_OBJECT(type, name, parameters, arguments, made) \
  type __real_##name parameters;                             \
  type __wrap_##name parameters;                             \
  type __wrap_##name parameters {                            \
    if (!fails(#name)) {                                     \
      type object = __real_##name arguments;                 \
      alive += made && object;                               \
      return object;                                         \
    }                                                        \
    if (error) *error = CL_OUT_OF_RESOURCES;                 \
    return NULL;                                             \
  }

/* Retaining and releasing never fail here; they are counted. */
#define WRAP_COUNT(name, type, change) \
  cl_int __real_##name(type object);   \
  cl_int __wrap_##name(type object);   \
  cl_int __wrap_##name(type object) {  \
    alive += change;                   \
    return __real_##name(object);      \
  }

typedef void(CL_CALLBACK *context_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *program_notify)(cl_program, void *);

WRAP_OBJECT(cl_context, clCreateContext,
            (const cl_context_properties *properties, cl_uint count, const cl_device_id *devices, context_notify notify,
             void *data, cl_int *error),
            (properties, count, devices, notify, data, error), true)
WRAP_OBJECT(cl_command_queue, clCreateCommandQueue,
            (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *error),
            (context, device, properties, error), true)
WRAP_OBJECT(cl_mem, clCreateBuffer, (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error),
            (context, flags, size, host, error), true)
WRAP_OBJECT(cl_program, clCreateProgramWithSource,
            (cl_context context, cl_uint count, const char **strings, const size_t *lengths, cl_int *error),
            (context, count, strings, lengths, error), true)
WRAP_OBJECT(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *error), (program, name, error), true)
WRAP_OBJECT(void *, clEnqueueMapBuffer,
            (cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags, size_t offset, size_t size,
             cl_uint count, const cl_event *list, cl_event *event, cl_int *error),
            (queue, buffer, blocking, flags, offset, size, count, list, event, error), false)
WRAP_STATUS(clBuildProgram,
            (cl_program program, cl_uint count, const cl_device_id *devices, const char *options, program_notify notify,
             void *data),
            (program, count, devices, options, notify, data), false, (void)0)
/* A kernel's first arguments stand for all of them, of which there are many. */
cl_int __real_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value);
cl_int __wrap_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value);
cl_int __wrap_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
  return index < 2 && fails("clSetKernelArg") ? CL_OUT_OF_RESOURCES : __real_clSetKernelArg(kernel, index, size, value);
}
WRAP_STATUS(clEnqueueNDRangeKernel,
            (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset, const size_t *global,
             const size_t *local, cl_uint count, const cl_event *list, cl_event *event),
            (queue, kernel, dimensions, offset, global, local, count, list, event), event != NULL, (void)0)
WRAP_STATUS(clEnqueueMarkerWithWaitList, (cl_command_queue queue, cl_uint count, const cl_event *list, cl_event *event),
            (queue, count, list, event), event != NULL, (void)0)
WRAP_STATUS(clEnqueueReadBuffer,
            (cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size, void *data, cl_uint count,
             const cl_event *list, cl_event *event),
            (queue, buffer, blocking, offset, size, data, count, list, event), event != NULL, (void)0)
WRAP_STATUS(clEnqueueUnmapMemObject,
            (cl_command_queue queue, cl_mem buffer, void *data, cl_uint count, const cl_event *list, cl_event *event),
            (queue, buffer, data, count, list, event), event != NULL,
            __real_clEnqueueUnmapMemObject(queue, buffer, data, count, list, NULL))
WRAP_STATUS(clGetMemObjectInfo, (cl_mem buffer, cl_mem_info what, size_t size, void *value, size_t *needed),
            (buffer, what, size, value, needed), false, (void)0)
WRAP_STATUS(clGetCommandQueueInfo,
            (cl_command_queue queue, cl_command_queue_info what, size_t size, void *value, size_t *needed),
            (queue, what, size, value, needed), false, (void)0)
/* A wait that fails has waited all the same: the host arrays are the test's again. */
WRAP_STATUS(clWaitForEvents, (cl_uint count, const cl_event *list), (count, list), false, __real_clWaitForEvents(count, list))

WRAP_COUNT(clRetainContext, cl_context, 1)
WRAP_COUNT(clRetainEvent, cl_event, 1)
WRAP_COUNT(clReleaseContext, cl_context, -1)
WRAP_COUNT(clReleaseCommandQueue, cl_command_queue, -1)
WRAP_COUNT(clReleaseMemObject, cl_mem, -1)
WRAP_COUNT(clReleaseProgram, cl_program, -1)
WRAP_COUNT(clReleaseKernel, cl_kernel, -1)
WRAP_COUNT(clReleaseEvent, cl_event, -1)

enum { IN = 2 * 3 * 4 * 5, WEIGHTS = 2 * 3 * 27, OUT = 3 * 5 * 7 * 9 };
static _Alignas(128) float x[IN + 1], w[WEIGHTS], b[3], gy[OUT + 1], y[OUT + 1], expected[OUT];

static tconv3d_desc make_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 2, desc.out_channels = 3;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 3 + a, desc.kernel_size[a] = 3, desc.stride[a] = 2, desc.padding[a] = 1;
  return desc;
}

static tconv3d_status run_layer(const tconv3d_plan *plan, size_t first) {
  tconv3d_weights *weights = NULL;
  tconv3d_status status = tconv3d_weights_create_host(plan, w, b, &weights);
  if (status == TCONV3D_OK) status = tconv3d_run(plan, weights, x + first, y + first);
  tconv3d_weights_destroy(weights);
  return status;
}

/* From nothing to a result in y, a gradient's too; the arrays start at element first (0: aligned, so that the device works in
 * them; then the kernels are tested as well). */
static tconv3d_status whole_run(cl_device_id device, const char *algorithm, tconv3d_operation operation, size_t first) {
  tconv3d_desc desc = make_layer();
  tconv3d_context *context = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  options.operation = operation;
  options.self_test = first ? -1 : 1;
  tconv3d_status status = tconv3d_context_create(&device, 1, &context);
  if (status == TCONV3D_OK) status = tconv3d_plan_create(context, &desc, &options, &plan);
  if (status == TCONV3D_OK && operation == TCONV3D_FORWARD)
    status = run_layer(plan, first);
  else if (status == TCONV3D_OK)
    status = tconv3d_run_gradient(plan, x + first, gy + first, y + first);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return status;
}

/* The bytes of what the operation writes. */
static size_t fill(tconv3d_operation operation, size_t first) {
  tconv3d_desc desc = make_layer();
  for (int i = 0; i < IN; ++i) x[(size_t)i + first] = (float)(i % 11) - 5;
  for (int i = 0; i < WEIGHTS; ++i) w[i] = (float)(i % 7) - 3;
  for (int i = 0; i < 3; ++i) b[i] = (float)i;
  for (int i = 0; i < OUT; ++i) gy[(size_t)i + first] = (float)(i % 5) - 2;
  if (operation == TCONV3D_GRAD_WEIGHT) {
    assert_int_equal(tconv3d_reference_grad_weight(&desc, x + first, gy + first, expected), TCONV3D_OK);
    return sizeof w;
  }
  if (operation == TCONV3D_GRAD_BIAS) {
    assert_int_equal(tconv3d_reference_grad_bias(&desc, gy + first, expected), TCONV3D_OK);
    return sizeof b;
  }
  assert_int_equal(tconv3d_reference_forward(&desc, x + first, w, b, expected), TCONV3D_OK);
  return sizeof expected;
}

/* Fails call after call, from number on and step apart, until a run needs none of them any more. What failed may be made good
 * by another variant or in smaller portions; else the message names the call. */
static void fail_calls(cl_device_id device, const t3_algorithm *algorithm, size_t first, int number, int step) {
  static const tconv3d_operation operations[] = {
      [T3_LAYER] = TCONV3D_FORWARD, [T3_WEIGHT_GRADIENT] = TCONV3D_GRAD_WEIGHT, [T3_BIAS_GRADIENT] = TCONV3D_GRAD_BIAS};
  const tconv3d_operation operation = operations[algorithm->serves];
  const size_t bytes = fill(operation, first);
  int made_good = 0;
  for (int n = number;; n += step) {
    calls = 0, failing_call = n, failed_name = NULL;
    memset(y, 0xff, sizeof y);
    tconv3d_status status = whole_run(device, algorithm->name, operation, first);
    failing_call = 0;
    if (alive) fail_msg("after call %d, %s, failed, %d references are left", n, failed_name ? failed_name : "none", alive);
    if (status == TCONV3D_OK)
      assert_memory_equal(y + first, expected, bytes);
    else if (!failed_name || !strstr(tconv3d_message(), failed_name) || !strstr(tconv3d_message(), "CL_OUT_OF_RESOURCES"))
      fail_msg("call %d, %s, failed and the message was: %s", n, failed_name ? failed_name : "none", tconv3d_message());
    if (status == TCONV3D_OK && !failed_name) break;
    made_good += status == TCONV3D_OK;
    assert_true(n < 1000);
  }
  assert_true(calls > 20 && (step > 1 || made_good > 0));
}

static int open_device(void **state) {
  static tconv3d_device_info device;
  *state = &device;
  return tconv3d_device_select(NULL, &device) == TCONV3D_OK ? 0 : -1;
}

/* One algorithm of each kind of work. A plan deals with launches and not with algorithms, so these stand for the others. */
static const char *const names[] = {"phase", "outer", "sums"};
static bool is_named(const t3_algorithm *algorithm) {
  for (size_t n = 0; n < sizeof names / sizeof *names; ++n)
    if (!strcmp(algorithm->name, names[n])) return true;
  return false;
}

/* Of the algorithms for other devices one stands for all, and of the others' calls some stand for all. Each failure is met in a
 * context of its own, in which CLBlast would compile for seconds: test_products has gemm's failures. */
static void every_failed_call_is_named_and_leaves_nothing_behind(void **state) {
  const tconv3d_device_info *device = *state;
  static const char *const others[] = {"points", "pipeline", "tiled_gradient", "gemm"};
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    bool other = false;
    for (size_t o = 0; o < sizeof others / sizeof *others; ++o) other |= !strcmp(t3_algorithm_at(i)->name, others[o]);
    if (other) continue;
    if (is_named(t3_algorithm_at(i)))
      fail_calls(device->device, t3_algorithm_at(i), 0, 1, 1);
    else
      fail_calls(device->device, t3_algorithm_at(i), 0, 1 + (int)i % 3, 3);
  }
}

static void so_is_every_failed_call_where_arrays_are_copied(void **state) {
  const tconv3d_device_info *device = *state;
  for (size_t i = 0; t3_algorithm_at(i); ++i)
    if (is_named(t3_algorithm_at(i))) fail_calls(device->device, t3_algorithm_at(i), 1, 1, 1);
}

static void a_plan_outlives_each_failure_of_its_calls(void **state) {
  const tconv3d_device_info *device = *state;
  tconv3d_desc desc = make_layer();
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  fill(TCONV3D_FORWARD, 0);
  assert_int_equal(tconv3d_context_create(&device->device, 1, &context), TCONV3D_OK);
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  assert_int_equal(tconv3d_weights_create_host(plan, w, b, &weights), TCONV3D_OK);
  for (int n = 1, last = 0; !last; ++n) {
    calls = 0, failing_call = n, failed_name = NULL;
    tconv3d_status status = tconv3d_run(plan, weights, x, y);
    last = !failed_name;
    failing_call = 0;
    if (status != TCONV3D_OK) assert_non_null(strstr(tconv3d_message(), failed_name));
    if (status == TCONV3D_OK) assert_memory_equal(y, expected, sizeof expected);
    memset(y, 0xff, sizeof y);
    assert_int_equal(tconv3d_run(plan, weights, x, y), TCONV3D_OK);
    assert_memory_equal(y, expected, sizeof expected);
  }
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  assert_int_equal(alive, 0);
}

/* A candidate whose call fails is passed over; what all of them need fails the tuning. */
static void tuning_leaves_nothing_behind_whichever_call_fails(void **state) {
  const tconv3d_device_info *device = *state;
  tconv3d_desc desc = make_layer();
  tconv3d_tune_options options = TCONV3D_TUNE_OPTIONS_INIT;
  options.seconds = 1e-6, options.max_candidates = 2;
  size_t passed_over = 0, failures = 0;
  for (int n = 1, last = 0; !last; n += n < 12 ? 1 : 9) {
    tconv3d_context *context;
    tconv3d_tune_result result;
    assert_int_equal(tconv3d_context_create(&device->device, 1, &context), TCONV3D_OK);
    calls = 0, failing_call = n, failed_name = NULL;
    tconv3d_status status = tconv3d_tune(context, &desc, &options, &result);
    last = !failed_name;
    failing_call = 0;
    tconv3d_context_destroy(context);
    assert_int_equal(alive, 0);
    failures += status != TCONV3D_OK;
    if (status != TCONV3D_OK) assert_non_null(strstr(tconv3d_message(), "CL_OUT_OF_RESOURCES"));
    if (status == TCONV3D_OK) passed_over += result.skipped;
    if (status == TCONV3D_OK) assert_int_equal(result.measured + result.skipped, 2);
    assert_true(n < 2000);
  }
  assert_true(passed_over > 0 && failures > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_failed_call_is_named_and_leaves_nothing_behind),
      cmocka_unit_test(so_is_every_failed_call_where_arrays_are_copied),
      cmocka_unit_test(tuning_leaves_nothing_behind_whichever_call_fails),
      cmocka_unit_test(a_plan_outlives_each_failure_of_its_calls),
  };
  return cmocka_run_group_tests(tests, open_device, NULL);
}
