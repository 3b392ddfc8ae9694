/* Tensors of any layout given wrongly to calls: buffers that hold one element too few or start too early, ranges that overlap,
 * host arrays that are missing. Each is refused by name, nothing is written, and the next right call works. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/call.h"
#include "support/layers.h"

static const uint64_t seed = 20241122;

/* A call whose tensors all start above their lowest places, and what is right for it. */
struct scene {
  struct call call;
  tconv3d_buffer buffers[TENSORS];
  void *right;
  size_t bytes; /* of right */
};

static void scene_make(struct scene *scene, const struct rig *rig, tconv3d_operation operation, double residual) {
  static const char *const algorithms[] = {"direct", "direct", "each", "sums", "direct"};
  struct asked asked = {.desc = small_layer(), .operation = operation, .algorithm = algorithms[operation], .seed = seed};
  struct rng rng = {seed};
  asked.values = VALUES_INTEGER;
  asked.epilogue.residual = residual;
  views_random(&rng, &rng, &asked.desc, operation, (struct view_kinds){VIEW_FLIPPED, VIEW_FLIPPED, VIEW_FLIPPED});
  /* Longer steps, so that there are gaps too. */
  for (int i = 0; i < 5; ++i) asked.desc.x_strides[i] *= 2, asked.desc.w_strides[i] *= 2, asked.desc.y_strides[i] *= 2;
  assert_true(call_make(&scene->call, rig, &asked));
  call_run(&scene->call);
  call_buffers(&scene->call, scene->buffers);
  const struct tensor *target = &scene->call.tensors[CALL_TARGET];
  struct exact exact;
  char why[300];
  call_sums(&scene->call, &exact);
  for (size_t i = 0; residual != 0.0 && i < exact.count; ++i)
    exact.value[i] += (long double)(residual * scene->call.tensors[CALL_RESIDUAL].values[i]);
  call_needs(&scene->call, exact_right(&exact, target->type, scene->call.result, true, why, sizeof why), why);
  exact_free(&exact);
  scene->bytes = target->count * typed_size(target->type);
  scene->right = malloc(scene->bytes);
  assert_non_null(scene->right);
  memcpy(scene->right, scene->call.result, scene->bytes);
}

static void scene_free(struct scene *scene) {
  free(scene->right);
  call_free(&scene->call);
}

/* The scene's own call gives what it gave. */
static void next_call_works(struct scene *scene, const char *after) {
  memset(scene->call.result, 0, scene->bytes);
  call_run(&scene->call);
  if (memcmp(scene->call.result, scene->right, scene->bytes)) fail_msg("a wrong result after: %s", after);
}

/* With one buffer in the place of a tensor's own: the call, or for w and b the packing. */
static tconv3d_status call_with(struct scene *scene, int tensor, tconv3d_buffer buffer) {
  struct call *call = &scene->call;
  tconv3d_buffer buffers[TENSORS];
  cl_command_queue queue = call->rig->queue;
  cl_event done = NULL;
  tconv3d_status status;
  memcpy(buffers, scene->buffers, sizeof buffers);
  buffers[tensor] = buffer;
  if (tensor == CALL_W)
    status = tconv3d_weights_update(call->weights, queue, buffer, call->tensors[CALL_B].count ? &buffers[CALL_B] : NULL, 0,
                                    NULL, &done);
  else
    status = call_enqueue(call, buffers, &done);
  assert_int_equal(done != NULL, status == TCONV3D_OK);
  if (!done) return status;
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  return status;
}

static cl_mem memory(const struct scene *scene, size_t bytes) {
  cl_int error;
  cl_mem mem = clCreateBuffer(scene->call.rig->cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
  assert_cl(error);
  return mem;
}

/* A tensor's places in other memory. */
static void put_places(const struct scene *scene, int index, cl_mem mem, size_t offset) {
  const struct tensor *tensor = &scene->call.tensors[index];
  cl_command_queue queue = scene->call.rig->queue;
  assert_cl(clEnqueueWriteBuffer(queue, mem, CL_TRUE, offset, tensor->guarded.bytes, tensor->places, 0, NULL, NULL));
  assert_cl(clFinish(queue));
}

/* The target's elements from other memory. */
static void assert_right_at(const struct scene *scene, cl_mem mem, size_t offset) {
  const struct tensor *target = &scene->call.tensors[CALL_TARGET];
  char why[200];
  unsigned char *places = malloc(target->guarded.bytes), *result = malloc(scene->bytes);
  assert_true(places && result);
  assert_cl(clEnqueueReadBuffer(scene->call.rig->queue, mem, CL_TRUE, offset, target->guarded.bytes, places, 0, NULL, NULL));
  view_gather(&target->view, sizeof(float), places, result);
  call_needs(&scene->call, !memcmp(result, scene->right, scene->bytes), "a wrong result in other memory");
  bool kept = view_gaps_kept(&target->view, sizeof(float), target->places, places, why, sizeof why);
  call_needs(&scene->call, kept, why);
  free(places);
  free(result);
}

/* name: as messages have it. */
static void check_range(struct scene *scene, int tensor, const char *name) {
  const struct tensor *of = &scene->call.tensors[tensor];
  const size_t element = sizeof(float), bytes = of->guarded.bytes, below = of->view.below * element;
  char offset[60], size[60];
  snprintf(offset, sizeof offset, "%s offset", name);
  snprintf(size, sizeof size, "%s bytes %zu", name, bytes);
  assert_true(below > 0 && below < bytes);
  cl_mem exact = memory(scene, bytes), small = memory(scene, bytes - element), large = memory(scene, 4 * bytes);
  const struct {
    tconv3d_buffer buffer;
    const char *words;
  } rows[] = {{{small, below}, size},
              {{small, below - element}, offset},
              {{exact, below + element}, size},
              {{exact, below - element}, offset},
              {{large, below - element}, offset},
              {{large, 0}, offset},
              {{large, below + 3 * bytes + element}, size},
              {{large, SIZE_MAX - 3}, name},
              {{large, SIZE_MAX / 2 - 3}, name}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    rig_assert_refused(call_with(scene, tensor, rows[i].buffer), TCONV3D_INVALID_ARGUMENT, rows[i].words, name);
    next_call_works(scene, rows[i].words);
  }
  put_places(scene, tensor, exact, 0);
  put_places(scene, tensor, large, 3 * bytes);
  const tconv3d_buffer fitting[] = {{exact, below}, {large, 3 * bytes + below}};
  for (size_t i = 0; i < 2; ++i) {
    call_ok(&scene->call, call_with(scene, tensor, fitting[i]));
    if (tensor == CALL_TARGET) assert_right_at(scene, fitting[i].mem, fitting[i].offset - below);
    next_call_works(scene, "a buffer that fits");
  }
  assert_cl(clReleaseMemObject(exact));
  assert_cl(clReleaseMemObject(small));
  assert_cl(clReleaseMemObject(large));
}

static void buffers_must_hold_all_from_the_lowest_element_to_the_highest(void **state) {
  static const struct {
    tconv3d_operation operation;
    double residual;
    int tensor;
    const char *name;
  } rows[] = {
      {TCONV3D_FORWARD, 1, CALL_X, "x"},          {TCONV3D_FORWARD, 1, CALL_W, "weight"},
      {TCONV3D_FORWARD, 1, CALL_TARGET, "y"},     {TCONV3D_FORWARD, 1, CALL_RESIDUAL, "residual"},
      {TCONV3D_GRAD_INPUT, 0, CALL_GY, "x"},      {TCONV3D_GRAD_INPUT, 0, CALL_TARGET, "y"},
      {TCONV3D_GRAD_WEIGHT, 0, CALL_X, "x"},      {TCONV3D_GRAD_WEIGHT, 0, CALL_GY, "gy"},
      {TCONV3D_GRAD_BIAS, 0, CALL_GY, "gy"},      {TCONV3D_GRAD_WEIGHT, 0, CALL_TARGET, "gradient"},
      {TCONV3D_CONVOLUTION, 0, CALL_TARGET, "y"},
  };
  struct scene scene = {.right = NULL};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    scene_make(&scene, *state, rows[i].operation, rows[i].residual);
    check_range(&scene, rows[i].tensor, rows[i].name);
    scene_free(&scene);
  }
}

/* ---- ranges that overlap ---- */

/* Two tensors in one buffer, the second's lowest place so many bytes past the first's. */
static tconv3d_status call_in_one(struct scene *scene, cl_mem mem, const int tensors[2], const size_t at[2]) {
  tconv3d_buffer buffers[TENSORS];
  cl_event done = NULL;
  memcpy(buffers, scene->buffers, sizeof buffers);
  for (int i = 0; i < 2; ++i) {
    const struct view *view = &scene->call.tensors[tensors[i]].view;
    buffers[tensors[i]] = (tconv3d_buffer){mem, at[i] + view->below * sizeof(float)};
    put_places(scene, tensors[i], mem, at[i]);
  }
  tconv3d_status status = call_enqueue(&scene->call, buffers, &done);
  assert_int_equal(done != NULL, status == TCONV3D_OK);
  if (!done) return status;
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  return status;
}

/* other: a tensor that is read. */
static void check_overlap(struct scene *scene, int other, const char *words) {
  const int tensors[2] = {other, CALL_TARGET};
  const struct tensor *of = &scene->call.tensors[other], *target = &scene->call.tensors[CALL_TARGET];
  const size_t element = sizeof(float), read = of->guarded.bytes, written = target->guarded.bytes;
  cl_mem mem = memory(scene, read + 2 * written);
  const size_t overlapping[][2] = {{written, written},           /* from the lowest on */
                                   {written, written + element}, /* between the elements */
                                   {written, written + read - element},
                                   {written, element}};
  for (size_t i = other == CALL_RESIDUAL; i < 4; ++i) { /* y's own memory is right for a residual */
    rig_assert_refused(call_in_one(scene, mem, tensors, overlapping[i]), TCONV3D_INVALID_ARGUMENT, words, words);
    next_call_works(scene, words);
  }
  const size_t beside[][2] = {{written, written + read}, {written, 0}};
  for (size_t i = 0; i < 2; ++i) {
    call_ok(&scene->call, call_in_one(scene, mem, tensors, beside[i]));
    assert_right_at(scene, mem, beside[i][1]);
  }
  assert_cl(clReleaseMemObject(mem));
}

static void ranges_that_overlap_are_refused_and_neighbours_are_not(void **state) {
  struct scene scene = {.right = NULL};
  scene_make(&scene, *state, TCONV3D_FORWARD, 1);
  check_overlap(&scene, CALL_X, "x y overlap");
  check_overlap(&scene, CALL_RESIDUAL, "residual y overlap");
  scene_free(&scene);
  scene_make(&scene, *state, TCONV3D_GRAD_WEIGHT, 0);
  check_overlap(&scene, CALL_X, "x gradient overlap");
  check_overlap(&scene, CALL_GY, "gy gradient overlap");
  scene_free(&scene);
  scene_make(&scene, *state, TCONV3D_GRAD_INPUT, 0);
  check_overlap(&scene, CALL_GY, "x y overlap");
  scene_free(&scene);
}

/* A residual in y's place is no overlap, but one a step beside it is. */
static void a_residual_is_y_itself_or_apart_from_it(void **state) {
  struct scene scene = {.right = NULL};
  scene_make(&scene, *state, TCONV3D_FORWARD, 1);
  const struct tensor *y = &scene.call.tensors[CALL_TARGET], *residual = &scene.call.tensors[CALL_RESIDUAL];
  const size_t bytes = y->guarded.bytes, below = y->view.below * sizeof(float);
  cl_mem mem = memory(&scene, bytes);
  put_places(&scene, CALL_RESIDUAL, mem, 0);
  scene.buffers[CALL_TARGET] = (tconv3d_buffer){mem, below};
  call_ok(&scene.call, call_with(&scene, CALL_RESIDUAL, scene.buffers[CALL_TARGET]));
  float *places = malloc(bytes), *result = malloc(scene.bytes);
  assert_true(places && result);
  assert_cl(clEnqueueReadBuffer(scene.call.rig->queue, mem, CL_TRUE, 0, bytes, places, 0, NULL, NULL));
  view_gather(&y->view, sizeof(float), places, result);
  assert_memory_equal(result, scene.right, scene.bytes);
  char why[200];
  if (!view_gaps_kept(&y->view, sizeof(float), residual->places, places, why, sizeof why)) fail_msg("%s", why);
  free(places);
  free(result);
  assert_cl(clReleaseMemObject(mem));
  scene_free(&scene);
}

/* ---- host arrays ---- */

static void host_arrays_that_are_missing_or_overlap_are_refused(void **state) {
  struct scene scene = {.right = NULL};
  scene_make(&scene, *state, TCONV3D_FORWARD, 0);
  const struct call *call = &scene.call;
  const struct tensor *x = &call->tensors[CALL_X], *y = &call->tensors[CALL_TARGET];
  tconv3d_weights *weights = NULL;
  float *array = calloc(x->view.span + 2 * y->view.span, sizeof *array), *in = array + y->view.span;
  assert_non_null(array);
  float *x0 = in + x->view.below, *y0 = in + y->view.below;
  rig_assert_refused(tconv3d_run(call->plan, call->weights, NULL, y0), TCONV3D_INVALID_ARGUMENT, "x NULL", "no x");
  rig_assert_refused(tconv3d_run(call->plan, call->weights, x0, NULL), TCONV3D_INVALID_ARGUMENT, "y NULL", "no y");
  rig_assert_refused(tconv3d_weights_create_host(call->plan, NULL, x0, &weights), TCONV3D_INVALID_ARGUMENT, "weight NULL",
                     "no weight");
  assert_null(weights);
  const int64_t span_x = (int64_t)x->view.span, span_y = (int64_t)y->view.span;
  const int64_t overlapping[] = {0, 1, span_x - 1, 1 - span_y}, beside[] = {span_x, -span_y};
  for (size_t i = 0; i < 4; ++i) {
    rig_assert_refused(tconv3d_run(call->plan, call->weights, x0, y0 + overlapping[i]), TCONV3D_INVALID_ARGUMENT, "x y overlap",
                       "y on x");
    for (size_t p = 0; p < x->view.span + 2 * y->view.span; ++p) assert_true(array[p] >= 0 && array[p] <= 0);
  }
  for (size_t i = 0; i < 2; ++i) {
    memcpy(in, x->places, x->view.span * sizeof *in);
    call_ok(call, tconv3d_run(call->plan, call->weights, x0, y0 + beside[i]));
    float *result = malloc(scene.bytes);
    assert_non_null(result);
    view_gather(&y->view, sizeof *result, in + beside[i], result);
    assert_memory_equal(result, scene.right, scene.bytes);
    assert_memory_equal(in, x->places, x->view.span * sizeof *in);
    free(result);
  }
  free(array);
  next_call_works(&scene, "host arrays");
  scene_free(&scene);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buffers_must_hold_all_from_the_lowest_element_to_the_highest),
      cmocka_unit_test(ranges_that_overlap_are_refused_and_neighbours_are_not),
      cmocka_unit_test(a_residual_is_y_itself_or_apart_from_it),
      cmocka_unit_test(host_arrays_that_are_missing_or_overlap_are_refused),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
