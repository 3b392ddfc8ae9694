#include "plan/product.h"

#include "base/checked.h"
#include "base/status.h"
#include "blas/blas.h"
#include "device/clerror.h"
#include "tune/blas_tuning.h"

static t3_matrices matrices_of(const t3_launch *launch, const t3_binding *binding) {
  const t3_matmul *product = &launch->product;
  t3_matrices matrices = {.m = (size_t)product->m,
                          .n = (size_t)product->n,
                          .k = (size_t)product->k,
                          .b_row = (size_t)product->n,
                          .batch = (size_t)product->batch,
                          .doubles = product->doubles};
  for (int i = 0; i < 3; ++i) {
    const t3_arg *arg = &launch->args[i];
    matrices.mem[i] = binding->mem[arg->kind];
    matrices.start[i] = (size_t)binding->start[arg->kind] + (size_t)arg->number;
    matrices.step[i] = (size_t)product->step[i];
  }
  return matrices;
}

static tconv3d_status enqueue_on(cl_command_queue queue, const t3_matrices *matrices, cl_uint num_events,
                                 const cl_event *wait_list, cl_event *event) {
  if (num_events) T3_CL_TRY(clEnqueueBarrierWithWaitList, (queue, num_events, wait_list, NULL));
  T3_TRY(t3_blas_multiply(queue, matrices));
  T3_CL_TRY(clEnqueueMarkerWithWaitList, (queue, 0, NULL, event)); /* after all of CLBlast's commands */
  cl_int error = clFlush(queue);
  if (error == CL_SUCCESS) return TCONV3D_OK;
  clReleaseEvent(*event);
  *event = NULL;
  return t3_cl_fail(error, "clFlush", "after a matrix product");
}

/* A queue for each product: on one that calls share, a call whose events are late would hold up those after it, which its
 * caller may want first. The runtime keeps a released queue until its commands end. */
static tconv3d_status with_queue(tconv3d_context *context, const t3_slot *slot, const t3_matrices *matrices, cl_uint num_events,
                                 const cl_event *wait_list, cl_event *event) {
  cl_int error;
  cl_command_queue queue = clCreateCommandQueue(context->cl, slot->info.device, 0, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateCommandQueue", "for a matrix product");
  atomic_store(&context->multiplies, true);
  tconv3d_status status = enqueue_on(queue, matrices, num_events, wait_list, event);
  clReleaseCommandQueue(queue);
  return status;
}

tconv3d_status t3_product_enqueue(tconv3d_context *context, const t3_slot *slot, const t3_launch *launch,
                                  const t3_binding *binding, cl_uint num_events, const cl_event *wait_list, cl_event *event) {
  t3_matrices matrices = matrices_of(launch, binding);
  for (int i = 0; i < 3; ++i)
    if (matrices.start[i] > INT32_MAX)
      return t3_fail(TCONV3D_UNSUPPORTED, "a tensor starts at element %zu of its buffer; CLBlast counts them in 32 bits",
                     matrices.start[i]);
  return with_queue(context, slot, &matrices, num_events, wait_list, event);
}

static bool same_sizes(const t3_matmul *a, const t3_matmul *b) {
  return a->m == b->m && a->n == b->n && a->k == b->k && a->batch == b->batch;
}

/* One matrix after the other in a buffer of its own. */
static tconv3d_status warm(tconv3d_context *context, const t3_slot *slot, const t3_matmul *product) {
  int64_t size[3] = {product->m * product->k, product->k * product->n, product->m * product->n}, total = 0;
  int64_t real = product->doubles ? 8 : 4, batch = product->batch > 1 ? 2 : 1;
  t3_launch launch = {.product = *product};
  launch.product.batch = batch; /* another number of them is the same code */
  for (int i = 0; i < 3; ++i) {
    launch.args[i] = (t3_arg){T3_WORKSPACE, total};
    launch.product.step[i] = size[i];
    total += batch * size[i];
  }
  cl_int error;
  t3_binding binding = {0};
  binding.mem[T3_WORKSPACE] = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, (size_t)(total * real), NULL, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateBuffer", "for a first matrix product");
  cl_event event = NULL;
  tconv3d_status status = t3_product_enqueue(context, slot, &launch, &binding, 0, NULL, &event);
  if (status == TCONV3D_OK) {
    error = clWaitForEvents(1, &event);
    clReleaseEvent(event);
    if (error != CL_SUCCESS) status = t3_cl_fail(error, "clWaitForEvents", "of a first matrix product");
  }
  clReleaseMemObject(binding.mem[T3_WORKSPACE]);
  return status;
}

tconv3d_status t3_products_warm(tconv3d_context *context, const t3_slot *slot, const t3_recipe *recipe) {
  const t3_matmul *first = NULL;
  for (int i = 0; i < recipe->num_run && !first; ++i)
    if (recipe->run[i].product.m) first = &recipe->run[i].product;
  if (first) t3_blas_use_tuning(context->store, &slot->info, first->doubles);
  for (int i = 0; i < recipe->num_run; ++i) {
    const t3_matmul *product = &recipe->run[i].product;
    bool done = product->m == 0;
    for (int j = 0; j < i && !done; ++j) done = same_sizes(product, &recipe->run[j].product);
    if (!done) T3_TRY(warm(context, slot, product));
  }
  return TCONV3D_OK;
}
