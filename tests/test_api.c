/* The public calls used rightly: shapes, names, messages, devices, contexts, queues, weights, host arrays. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/scene.h"

/* ---- numbers and names ---- */

static void version_is_that_of_the_header(void **state) {
  char expected[32];
  (void)state;
  snprintf(expected, sizeof expected, "%d.%d.%d", TCONV3D_VERSION_MAJOR, TCONV3D_VERSION_MINOR, TCONV3D_VERSION_PATCH);
  assert_string_equal(tconv3d_version(), expected);
}

static void every_status_has_its_own_name(void **state) {
  (void)state;
  assert_string_equal(tconv3d_status_name(TCONV3D_OK), "TCONV3D_OK");
  assert_string_equal(tconv3d_status_name(TCONV3D_NO_BINARY), "TCONV3D_NO_BINARY");
  for (int a = TCONV3D_OK; a <= TCONV3D_NO_BINARY; ++a) {
    assert_int_equal(strncmp(tconv3d_status_name((tconv3d_status)a), "TCONV3D_", 8), 0);
    for (int b = TCONV3D_OK; b < a; ++b)
      assert_string_not_equal(tconv3d_status_name((tconv3d_status)a), tconv3d_status_name((tconv3d_status)b));
  }
  assert_string_equal(tconv3d_status_name((tconv3d_status)(TCONV3D_NO_BINARY + 1)), "TCONV3D_UNKNOWN_STATUS");
  assert_string_equal(tconv3d_status_name((tconv3d_status)-1), "TCONV3D_UNKNOWN_STATUS");
}

static void algorithms_have_different_names_and_an_end(void **state) {
  size_t count = 0;
  (void)state;
  while (tconv3d_algorithm_name(count)) ++count;
  assert_true(count >= 2);
  assert_null(tconv3d_algorithm_name(count + 1));
  assert_null(tconv3d_algorithm_name(SIZE_MAX));
  for (size_t a = 0; a < count; ++a)
    for (size_t b = 0; b < a; ++b) assert_string_not_equal(tconv3d_algorithm_name(a), tconv3d_algorithm_name(b));
}

/* The size of y along an axis by counting: from the lowest to the highest position that an input and a tap reach, less the
 * cropped ends, and output_padding more. */
static int64_t counted_size(const tconv3d_desc *desc, int a) {
  int64_t lowest = 0, highest = 0;
  for (int64_t i = 0; i < desc->input_size[a]; ++i)
    for (int64_t k = 0; k < desc->kernel_size[a]; ++k) {
      int64_t o = i * desc->stride[a] + k * desc->dilation[a];
      if (o > highest) highest = o;
    }
  int64_t end = desc->padding_end[a] < 0 ? desc->padding[a] : desc->padding_end[a];
  return highest - lowest + 1 - desc->padding[a] - end + desc->output_padding[a];
}

static void output_shapes_agree_with_counting(void **state) {
  struct rng rng = {1};
  (void)state;
  for (int i = 0; i < 2000; ++i) {
    tconv3d_desc desc;
    int64_t shape[5];
    random_layer(&rng, &desc);
    assert_ok(tconv3d_output_shape(&desc, shape));
    assert_int_equal(shape[0], desc.batch);
    assert_int_equal(shape[1], desc.out_channels);
    for (int a = 0; a < 3; ++a) assert_int_equal(shape[2 + a], counted_size(&desc, a));
  }
}

/* The output_padding in [0, stride) that makes size of axis a; -1 when there is none. */
static int64_t searched_padding(tconv3d_desc desc, int a, int64_t size) {
  for (desc.output_padding[a] = 0; desc.output_padding[a] < desc.stride[a]; ++desc.output_padding[a])
    if (size >= 1 && counted_size(&desc, a) == size) return desc.output_padding[a];
  return -1;
}

static void output_sizes_resolve_to_the_padding_that_a_search_finds(void **state) {
  struct rng rng = {2};
  (void)state;
  for (int i = 0; i < 2000; ++i) {
    tconv3d_desc desc;
    int64_t shape[5], padding[3] = {-7, -7, -7};
    random_layer(&rng, &desc);
    TCONV3D_ALL_AXES(desc.output_padding, 0);
    if (tconv3d_output_shape(&desc, shape) != TCONV3D_OK) continue; /* nothing left without output_padding */
    int64_t *wanted = shape + 2;
    int axis = i % 3;
    wanted[axis] += rng_between(&rng, -2, desc.stride[axis] + 1);
    int64_t expected = searched_padding(desc, axis, wanted[axis]);
    tconv3d_status status = tconv3d_resolve_output_size(&desc, wanted, padding);
    assert_int_equal(status, expected < 0 ? TCONV3D_INVALID_PARAMETER : TCONV3D_OK);
    assert_int_equal(padding[axis], expected < 0 ? -7 : expected);
  }
}

static void *fail_in_a_thread(void *arg) {
  char *copy = arg;
  int64_t shape[5];
  if (*tconv3d_message() == '\0') tconv3d_output_shape(NULL, shape);
  snprintf(copy, 100, "%s", tconv3d_message());
  return NULL;
}

static void each_thread_has_its_own_message(void **state) {
  char theirs[100] = "", mine[100];
  pthread_t thread;
  tconv3d_desc desc = scene_layer();
  int64_t shape[5];
  (void)state;
  desc.stride[1] = 0;
  assert_int_equal(tconv3d_output_shape(&desc, shape), TCONV3D_INVALID_PARAMETER);
  snprintf(mine, sizeof mine, "%s", tconv3d_message());
  assert_int_equal(pthread_create(&thread, NULL, fail_in_a_thread, theirs), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_non_null(strstr(theirs, "desc"));
  assert_string_equal(tconv3d_message(), mine);
  desc.stride[1] = 1;
  desc.output_padding[1] = 0;
  assert_ok(tconv3d_output_shape(&desc, shape));
  assert_string_equal(tconv3d_message(), mine); /* a success keeps it */
}

/* ---- devices and contexts ---- */

static void selectors_find_the_device_by_number_type_and_name(void **state) {
  const struct rig *rig = *state;
  tconv3d_device_info list[16], found;
  size_t count = 0;
  assert_ok(tconv3d_devices(NULL, 0, &count));
  assert_true(count >= 1);
  assert_ok(tconv3d_devices(list, 16, &count));
  for (size_t i = 0; i < count && i < 16; ++i) {
    char selector[32];
    if (!list[i].usable) continue;
    snprintf(selector, sizeof selector, "%u:%u", list[i].platform_index, list[i].device_index);
    assert_ok(tconv3d_device_select(selector, &found));
    assert_ptr_equal(found.device, list[i].device);
    assert_true(found.vector_width >= 1 && found.compute_units >= 1 && found.max_buffer_bytes > 0);
  }
  assert_ok(tconv3d_device_select(rig->device.name, &found));
  assert_string_equal(found.name, rig->device.name);
  assert_ok(tconv3d_device_select("", &found));
  rig_assert_refused(tconv3d_device_select("no such device", &found), TCONV3D_NO_DEVICE, "device found", "a wrong name");
  rig_assert_refused(tconv3d_device_select("99:0", &found), TCONV3D_NO_DEVICE, "99:0", "a wrong number");
}

/* Runs the scene's layer with host arrays in this context. */
static void run_in(const struct scene *scene, tconv3d_context *context) {
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  char why[200];
  assert_ok(tconv3d_plan_create(context, &scene->desc, NULL, &plan));
  assert_ok(tconv3d_weights_create_host(plan, scene->host.w, scene->host.b, &weights));
  assert_ok(tconv3d_run(plan, weights, scene->host.x, scene->host.y));
  if (!judge_within(&scene->judge, scene->host.y, why, sizeof why)) fail_msg("%s", why);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
}

static void a_context_of_its_own_computes(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_context *context;
  scene_open(&scene, rig, 1);
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  assert_non_null(tconv3d_context_cl(context));
  assert_ptr_not_equal(tconv3d_context_cl(context), rig->cl);
  run_in(&scene, context);
  tconv3d_context_destroy(context);
  scene_close(&scene);
}

static void an_adopted_context_is_the_callers_and_is_let_go(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  cl_int error;
  scene_open(&scene, rig, 1);
  cl_context cl = clCreateContext(NULL, 1, &rig->device.device, NULL, NULL, &error);
  assert_cl(error);
  cl_uint before = context_count(cl);
  for (int i = 0; i < 2; ++i) { /* with all devices, then with a named one */
    tconv3d_context *context;
    assert_ok(tconv3d_context_adopt(cl, i ? &rig->device.device : NULL, (size_t)i, &context));
    assert_ptr_equal(tconv3d_context_cl(context), cl);
    assert_true(context_count(cl) > before);
    run_in(&scene, context);
    tconv3d_context_destroy(context);
    assert_context_count(cl, before);
  }
  assert_cl(clReleaseContext(cl));
  scene_close(&scene);
}

static void objects_may_be_destroyed_in_any_order(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  char why[200];
  scene_open(&scene, rig, 1);
  assert_ok(tconv3d_context_create(&rig->device.device, 1, &context));
  assert_ok(tconv3d_plan_create(context, &scene.desc, NULL, &plan));
  tconv3d_context_destroy(context);
  assert_ok(tconv3d_weights_create_host(plan, scene.host.w, scene.host.b, &weights));
  assert_ok(tconv3d_run(plan, weights, scene.host.x, scene.host.y));
  assert_true(judge_within(&scene.judge, scene.host.y, why, sizeof why));
  tconv3d_plan_destroy(plan);
  tconv3d_weights_destroy(weights);
  scene_close(&scene);
  tconv3d_weights_destroy(NULL);
  tconv3d_plan_destroy(NULL);
  tconv3d_context_destroy(NULL);
}

/* ---- plans ---- */

static void a_plan_tells_its_figures_and_reasons(void **state) {
  struct scene scene;
  int64_t shape[5];
  scene_open(&scene, *state, 1);
  assert_ok(tconv3d_output_shape(&scene.desc, shape));
  assert_memory_equal(scene.info.output_shape, shape, sizeof shape);
  assert_int_equal(scene.info.x_bytes, scene.host.x_count * sizeof(float));
  assert_int_equal(scene.info.w_bytes, scene.host.w_count * sizeof(float));
  assert_int_equal(scene.info.y_bytes, scene.host.y_count * sizeof(float));
  assert_true(scene.info.packed_weight_bytes > 0);
  const char *name, *explained = tconv3d_plan_explain(scene.plan);
  assert_non_null(strstr(explained, scene.info.algorithm));
  for (size_t i = 0; (name = tconv3d_algorithm_name(i)); ++i)
    if (!strstr(explained, name)) fail_msg("%s is not in '%s'", name, explained);
  scene_close(&scene);
}

static void named_algorithms_and_devices_are_used(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = scene_layer();
  const char *name;
  for (size_t i = 0; (name = tconv3d_algorithm_name(i)); ++i) {
    tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
    tconv3d_plan_info info;
    tconv3d_plan *plan;
    options.algorithm = name;
    options.device = rig->device.device;
    tconv3d_status status = tconv3d_plan_create(rig->context, &desc, &options, &plan);
    if (status == TCONV3D_UNSUPPORTED) continue;
    assert_ok(status);
    assert_ok(tconv3d_plan_query(plan, &info));
    assert_string_equal(info.algorithm, name);
    tconv3d_plan_destroy(plan);
  }
}

/* ---- queues, weights, host arrays ---- */

static void in_order_and_out_of_order_queues_give_the_result(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  cl_int error;
  scene_open(&scene, rig, 3);
  cl_command_queue in_order = clCreateCommandQueue(rig->cl, rig->device.device, 0, &error);
  assert_cl(error);
  const cl_command_queue queues[] = {in_order, rig->queue};
  for (size_t i = 0; i < 4; ++i) { /* each with an event, and without one */
    cl_event done = NULL;
    tconv3d_buffer y = {scene_new_y(&scene), 0};
    assert_ok(tconv3d_enqueue(scene.plan, scene.weights, queues[i % 2], scene.x, y, NULL, 0, NULL, i < 2 ? &done : NULL));
    if (done)
      assert_cl(clWaitForEvents(1, &done));
    else
      assert_cl(clFinish(queues[i % 2]));
    assert_true(scene_right(&scene, rig->queue, y.mem));
    if (done) assert_cl(clReleaseEvent(done));
    assert_cl(clReleaseMemObject(y.mem));
  }
  assert_cl(clReleaseCommandQueue(in_order));
  scene_close(&scene);
}

static void weights_made_on_a_queue_are_waited_for(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_weights *weights;
  cl_event packed, done;
  scene_open(&scene, rig, 4);
  assert_ok(tconv3d_weights_create(scene.plan, rig->queue, scene.w, &scene.b, 0, NULL, &packed, &weights));
  assert_ok(tconv3d_enqueue(scene.plan, weights, rig->queue, scene.x, scene.y, NULL, 0, NULL, &done));
  assert_cl(clWaitForEvents(1, &done));
  cl_int status = 1;
  assert_cl(clGetEventInfo(packed, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
  assert_int_equal(status, CL_COMPLETE);
  assert_true(scene_right(&scene, rig->queue, scene.y.mem));
  assert_cl(clReleaseEvent(packed));
  assert_cl(clReleaseEvent(done));
  tconv3d_weights_destroy(weights);
  scene_close(&scene);
}

static void updated_weights_serve_the_calls_after_the_update(void **state) {
  const struct rig *rig = *state;
  struct scene old, new;
  cl_event first, updated, second;
  scene_open(&old, rig, 5);
  scene_open(&new, rig, 6);
  tconv3d_buffer again = {scene_new_y(&new), 0};
  assert_ok(tconv3d_enqueue(old.plan, old.weights, rig->queue, old.x, old.y, NULL, 0, NULL, &first));
  assert_ok(tconv3d_weights_update(old.weights, rig->queue, new.w, &new.b, 1, &first, &updated));
  assert_ok(tconv3d_enqueue(old.plan, old.weights, rig->queue, new.x, again, NULL, 0, NULL, &second));
  const cl_event events[] = {first, updated, second};
  assert_cl(clWaitForEvents(3, events));
  assert_true(scene_right(&old, rig->queue, old.y.mem));
  assert_true(scene_right(&new, rig->queue, again.mem));
  for (size_t i = 0; i < 3; ++i) assert_cl(clReleaseEvent(events[i]));
  assert_cl(clReleaseMemObject(again.mem));
  scene_close(&old);
  scene_close(&new);
}

static void host_arrays_of_any_alignment_give_the_result(void **state) {
  struct scene scene;
  scene_open(&scene, *state, 7);
  const struct tensors *host = &scene.host;
  static const size_t shifts[][2] = {{0, 0}, {1, 0}, {0, 1}, {3, 5}, {32, 16}}; /* of x and y, in elements from 4096 bytes */
  size_t x_bytes = host->x_count * sizeof(float), y_bytes = host->y_count * sizeof(float);
  for (size_t i = 0; i < sizeof shifts / sizeof *shifts; ++i) {
    float *x = aligned_alloc(4096, (x_bytes + 8191) / 4096 * 4096), *y = aligned_alloc(4096, (y_bytes + 8191) / 4096 * 4096);
    assert_true(x && y);
    float *x_here = x + shifts[i][0], *y_here = y + shifts[i][1];
    memcpy(x_here, host->x, x_bytes);
    for (size_t o = 0; o <= host->y_count; ++o) y_here[o] = NAN;
    for (int call = 0; call < 2; ++call) {
      char why[200];
      assert_ok(tconv3d_run(scene.plan, scene.weights, x_here, y_here));
      if (!judge_within(&scene.judge, y_here, why, sizeof why)) fail_msg("%s", why);
      assert_memory_equal(x_here, host->x, x_bytes);
      assert_true(isnan(y_here[host->y_count]));
    }
    free(x);
    free(y);
  }
  scene_close(&scene);
}

static void a_layer_without_bias_takes_none(void **state) {
  const struct rig *rig = *state;
  tconv3d_desc desc = scene_layer();
  struct tensors host;
  struct judge judge;
  struct rng rng = {8};
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  char why[200];
  desc.has_bias = 0;
  assert_true(tensors_make(&host, &desc, &rng, VALUES_UNIFORM) && judge_make(&judge, &desc, host.x, host.w, NULL));
  assert_ok(tconv3d_plan_create(rig->context, &desc, NULL, &plan));
  assert_ok(tconv3d_weights_create_host(plan, host.w, NULL, &weights));
  assert_ok(tconv3d_run(plan, weights, host.x, host.y));
  assert_true(judge_within(&judge, host.y, why, sizeof why));
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  judge_free(&judge);
  tensors_free(&host);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_is_that_of_the_header),
      cmocka_unit_test(every_status_has_its_own_name),
      cmocka_unit_test(algorithms_have_different_names_and_an_end),
      cmocka_unit_test(output_shapes_agree_with_counting),
      cmocka_unit_test(output_sizes_resolve_to_the_padding_that_a_search_finds),
      cmocka_unit_test(each_thread_has_its_own_message),
      cmocka_unit_test(selectors_find_the_device_by_number_type_and_name),
      cmocka_unit_test(a_context_of_its_own_computes),
      cmocka_unit_test(an_adopted_context_is_the_callers_and_is_let_go),
      cmocka_unit_test(objects_may_be_destroyed_in_any_order),
      cmocka_unit_test(a_plan_tells_its_figures_and_reasons),
      cmocka_unit_test(named_algorithms_and_devices_are_used),
      cmocka_unit_test(in_order_and_out_of_order_queues_give_the_result),
      cmocka_unit_test(weights_made_on_a_queue_are_waited_for),
      cmocka_unit_test(updated_weights_serve_the_calls_after_the_update),
      cmocka_unit_test(host_arrays_of_any_alignment_give_the_result),
      cmocka_unit_test(a_layer_without_bias_takes_none),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
