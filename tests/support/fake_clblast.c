#include "support/fake_clblast.h"

#include <clblast_c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fake_clblast fake;
static atomic_int inside;

void fake_reset(void) {
  fake = (struct fake_clblast){.queues = fake.queues};
}

static void enter(void) {
  if (atomic_fetch_add(&inside, 1)) ++fake.overlaps;
}
static void leave(void) {
  atomic_fetch_sub(&inside, 1);
}

static void rest(void) {
  const struct timespec moment = {.tv_nsec = fake.fast_tile ? 8000000 : 1000000};
  if (!fake.fast_tile || fake.tile != fake.fast_tile) nanosleep(&moment, NULL);
}

/* Whether this call is the one that a test chose. */
static bool is_chosen(int *which) {
  return *which < 0 || (*which > 0 && --*which == 0);
}

static void *read_all(cl_command_queue queue, cl_mem mem, size_t *size) {
  clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof *size, size, NULL);
  void *bytes = malloc(*size);
  if (bytes) clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, *size, bytes, 0, NULL, NULL);
  return bytes;
}

/* c = a b by columns, as CLBlast has them: [m] x [k], [k] x [n]. */
struct product {
  size_t m, n, k, start[3], row[3];
  cl_mem mem[3];
};

/* Half a second under sanitizers, were it not for this. */
__attribute__((no_sanitize("address", "undefined"))) static void compute_column(const struct product *p, const float *a,
                                                                                const float *b, size_t column, float *c) {
  memset(c, 0, p->m * sizeof *c);
  for (size_t k = 0; k < p->k; ++k) {
    const float factor = b[p->start[1] + column * p->row[1] + k], *from = a + p->start[0] + k * p->row[0];
    for (size_t m = 0; m < p->m; ++m) c[m] += factor * from[m];
  }
  if (fake.wrong_tile && fake.tile == fake.wrong_tile) c[p->m - 1] += 1;
}

/* Blocks until what the queue waits for has ended: calls of these tests have ended when they are made. */
static void compute(const struct product *p, cl_command_queue queue) {
  size_t size[3];
  float *all[3];
  for (int i = 0; i < 3; ++i) all[i] = read_all(queue, p->mem[i], &size[i]);
  for (size_t column = 0; column < p->n; ++column)
    compute_column(p, all[0], all[1], column, all[2] + p->start[2] + column * p->row[2]);
  clEnqueueWriteBuffer(queue, p->mem[2], CL_TRUE, 0, size[2], all[2], 0, NULL, NULL);
  for (int i = 0; i < 3; ++i) free(all[i]);
}

/* A large product that is there already is not computed once more: it is being timed. */
static bool is_there(const struct product *p, cl_command_queue queue) {
  float first = 0.5f;
  if (p->n < 200) return false;
  clEnqueueReadBuffer(queue, p->mem[2], CL_TRUE, p->start[2] * sizeof first, sizeof first, &first, 0, NULL, NULL);
  return first < 0.5f || first > 0.5f;
}

CLBlastStatusCode __wrap_CLBlastSgemm(CLBlastLayout layout, CLBlastTranspose at, CLBlastTranspose bt, size_t m, size_t n,
                                      size_t k, float alpha, cl_mem a, size_t a_start, size_t a_row, cl_mem b, size_t b_start,
                                      size_t b_row, float beta, cl_mem c, size_t c_start, size_t c_row, cl_command_queue *queue,
                                      cl_event *event);
CLBlastStatusCode __wrap_CLBlastSgemm(CLBlastLayout layout, CLBlastTranspose at, CLBlastTranspose bt, size_t m, size_t n,
                                      size_t k, float alpha, cl_mem a, size_t a_start, size_t a_row, cl_mem b, size_t b_start,
                                      size_t b_row, float beta, cl_mem c, size_t c_start, size_t c_row, cl_command_queue *queue,
                                      cl_event *event) {
  const struct product product = {m, n, k, {a_start, b_start, c_start}, {a_row, b_row, c_row}, {a, b, c}};
  if (layout != CLBlastLayoutColMajor || at != CLBlastTransposeNo || bt != CLBlastTransposeNo || alpha < 1 || beta > 0 || event)
    return CLBlastNotImplemented;
  enter();
  ++fake.products;
  rest();
  bool fails = is_chosen(&fake.failing_product);
  if (!fails && !is_there(&product, *queue)) compute(&product, *queue);
  leave();
  return fails ? (CLBlastStatusCode)fake.product_status : CLBlastSuccess;
}

CLBlastStatusCode __wrap_CLBlastOverrideParameters(const cl_device_id device, const char *kernel,
                                                   const CLBlastPrecision precision, const size_t count, const char **names,
                                                   const size_t *values);
CLBlastStatusCode __wrap_CLBlastOverrideParameters(const cl_device_id device, const char *kernel,
                                                   const CLBlastPrecision precision, const size_t count, const char **names,
                                                   const size_t *values) {
  (void)device, (void)precision;
  enter();
  ++fake.overrides;
  rest();
  bool fails = is_chosen(&fake.failing_override);
  for (size_t i = 0; i < count && !fails; ++i) {
    if (!strcmp(names[i], "MWG")) fake.tile = 1000 * values[i];
    if (!strcmp(names[i], "NWG")) fake.tile += values[i];
    if (!strcmp(names[i], "XGEMM_MIN_INDIRECT_SIZE")) fake.from = values[i];
  }
  fails |= !strcmp(kernel, "Xgemm") && fake.refused_tile && fake.tile == fake.refused_tile;
  leave();
  return fails ? CLBlastInvalidLocalMemUsage : CLBlastSuccess;
}

CLBlastStatusCode __wrap_CLBlastClearCache(void);
CLBlastStatusCode __wrap_CLBlastClearCache(void) {
  enter();
  ++fake.clears;
  leave();
  return CLBlastSuccess;
}

cl_command_queue __real_clCreateCommandQueue(cl_context cl, cl_device_id device, cl_command_queue_properties properties,
                                             cl_int *error);
cl_command_queue __wrap_clCreateCommandQueue(cl_context cl, cl_device_id device, cl_command_queue_properties properties,
                                             cl_int *error);
cl_command_queue __wrap_clCreateCommandQueue(cl_context cl, cl_device_id device, cl_command_queue_properties properties,
                                             cl_int *error) {
  cl_command_queue queue = NULL;
  if (is_chosen(&fake.failing_queue))
    *error = CL_OUT_OF_RESOURCES;
  else
    queue = __real_clCreateCommandQueue(cl, device, properties, error);
  fake.queues += queue != NULL;
  return queue;
}

cl_int __real_clReleaseCommandQueue(cl_command_queue queue);
cl_int __wrap_clReleaseCommandQueue(cl_command_queue queue);
cl_int __wrap_clReleaseCommandQueue(cl_command_queue queue) {
  --fake.queues;
  return __real_clReleaseCommandQueue(queue);
}
