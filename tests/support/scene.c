#include "support/scene.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

tconv3d_desc scene_layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = 2;
  desc.in_channels = 4;
  desc.out_channels = 6;
  desc.groups = 2;
  for (int a = 0; a < 3; ++a) desc.input_size[a] = 4 + a;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  TCONV3D_ALL_AXES(desc.output_padding, 1);
  return desc;
}

cl_mem scene_buffer(const struct rig *rig, const void *contents, size_t bytes) {
  cl_int error;
  cl_mem_flags flags = CL_MEM_READ_WRITE | (contents ? CL_MEM_COPY_HOST_PTR : 0);
  /* The flag says that contents is only read; the parameter's type does not. */
  cl_mem mem = clCreateBuffer(rig->cl, flags, bytes, (void *)(uintptr_t)contents, &error);
  assert_cl(error);
  return mem;
}

cl_mem scene_new_y(const struct scene *scene) {
  size_t count = scene->host.y_count;
  float *nans = malloc(count * sizeof *nans);
  assert_non_null(nans);
  for (size_t i = 0; i < count; ++i) nans[i] = NAN;
  cl_mem mem = scene_buffer(scene->rig, nans, count * sizeof *nans);
  free(nans);
  return mem;
}

void scene_open(struct scene *scene, const struct rig *rig, uint64_t seed) {
  *scene = (struct scene){.rig = rig, .desc = scene_layer()};
  struct rng rng = {seed};
  struct tensors *host = &scene->host;
  assert_true(tensors_make(host, &scene->desc, &rng, VALUES_UNIFORM));
  assert_true(judge_make(&scene->judge, &scene->desc, host->x, host->w, host->b));
  assert_ok(tconv3d_plan_create(rig->context, &scene->desc, NULL, &scene->plan));
  assert_ok(tconv3d_plan_query(scene->plan, &scene->info));
  assert_ok(tconv3d_weights_create_host(scene->plan, host->w, host->b, &scene->weights));
  scene->x.mem = scene_buffer(rig, host->x, host->x_count * sizeof(float));
  scene->w.mem = scene_buffer(rig, host->w, host->w_count * sizeof(float));
  scene->b.mem = scene_buffer(rig, host->b, host->b_count * sizeof(float));
  scene->y.mem = scene_new_y(scene);
}

void scene_close(struct scene *scene) {
  tconv3d_weights_destroy(scene->weights);
  tconv3d_plan_destroy(scene->plan);
  const tconv3d_buffer buffers[] = {scene->x, scene->w, scene->b, scene->y};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; ++i)
    if (buffers[i].mem) clReleaseMemObject(buffers[i].mem);
  judge_free(&scene->judge);
  tensors_free(&scene->host);
  *scene = (struct scene){0};
}

/* y on the host, for the caller to free; NULL when it cannot be read. */
static float *read_y(const struct scene *scene, cl_command_queue queue, cl_mem mem) {
  size_t bytes = scene->host.y_count * sizeof(float);
  float *y = malloc(bytes);
  if (y && clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, bytes, y, 0, NULL, NULL) == CL_SUCCESS) return y;
  free(y);
  return NULL;
}

bool scene_right(const struct scene *scene, cl_command_queue queue, cl_mem mem) {
  char why[200];
  float *y = read_y(scene, queue, mem);
  bool right = y && judge_within(&scene->judge, y, why, sizeof why);
  if (y && !right) print_error("%s\n", why);
  free(y);
  return right;
}

bool scene_untouched(const struct scene *scene, cl_command_queue queue, cl_mem mem) {
  float *y = read_y(scene, queue, mem);
  size_t untouched = 0;
  while (y && untouched < scene->host.y_count && isnan(y[untouched])) ++untouched;
  free(y);
  return untouched == scene->host.y_count;
}

cl_uint context_count(cl_context context) {
  cl_uint count = 0;
  assert_cl(clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL));
  return count;
}

cl_uint mem_count(cl_mem mem) {
  cl_uint count = 0;
  assert_cl(clGetMemObjectInfo(mem, CL_MEM_REFERENCE_COUNT, sizeof count, &count, NULL));
  return count;
}

static const struct timespec moment = {.tv_nsec = 10000000};
enum { MOMENTS = 1000 };

void assert_context_count(cl_context context, cl_uint expected) {
  for (int i = 0; i < MOMENTS && context_count(context) != expected; ++i) nanosleep(&moment, NULL);
  assert_int_equal(context_count(context), expected);
}

void assert_mem_count(cl_mem mem, cl_uint expected) {
  for (int i = 0; i < MOMENTS && mem_count(mem) != expected; ++i) nanosleep(&moment, NULL);
  assert_int_equal(mem_count(mem), expected);
}
