/* Calls in flight: gated by user events, from many threads, outliving the handles they use, failing. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "device/quirks.h"
#include "support/scene.h"

enum { THREADS = 8, CALLS = 6, GATED_CALLS = 24, SCENES = 3 };

/* An event that this test sets. */
static cl_event new_gate(const struct rig *rig) {
  cl_int error;
  cl_event gate = clCreateUserEvent(rig->cl, &error);
  assert_cl(error);
  return gate;
}

static void open_gate(cl_event gate) {
  assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
  assert_cl(clReleaseEvent(gate));
}

static cl_int event_status(cl_event event) {
  cl_int status = 0;
  assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
  return status;
}

/* Long enough that a command which did not wait for its gate would have run. */
static void a_moment(void) {
  const struct timespec moment = {.tv_nsec = 50000000};
  nanosleep(&moment, NULL);
}

static void wait_and_release(cl_event event) {
  assert_cl(clWaitForEvents(1, &event));
  assert_int_equal(event_status(event), CL_COMPLETE);
  assert_cl(clReleaseEvent(event));
}

/* One gated call on this queue; the reads use the rig's own, another one: a blocking read may wait for all of its queue. */
static void check_gated(const struct scene *scene, cl_command_queue queue, const tconv3d_buffer *workspace) {
  cl_event gate = new_gate(scene->rig), done;
  tconv3d_buffer y = {scene_new_y(scene), 0};
  assert_ok(tconv3d_enqueue(scene->plan, scene->weights, queue, scene->x, y, workspace, 1, &gate, &done));
  assert_cl(clFlush(queue));
  a_moment();
  assert_true(event_status(done) > CL_COMPLETE);
  assert_true(scene_untouched(scene, scene->rig->queue, y.mem));
  open_gate(gate);
  wait_and_release(done);
  assert_true(scene_right(scene, scene->rig->queue, y.mem));
  assert_cl(clReleaseMemObject(y.mem));
}

static void nothing_runs_before_the_wait_list_and_enqueue_never_blocks(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  cl_int error;
  scene_open(&scene, rig, 1);
  tconv3d_buffer workspace = {scene_buffer(rig, NULL, scene.info.workspace_bytes + 256), 256};
  cl_command_queue in_order = clCreateCommandQueue(rig->cl, rig->device.device, 0, &error);
  assert_cl(error);
  cl_command_queue out_of_order = rig_queue(rig);
  const cl_command_queue queues[] = {in_order, out_of_order};
  for (size_t i = 0; i < 2; ++i) {
    check_gated(&scene, queues[i], NULL);
    check_gated(&scene, queues[i], &workspace);
    assert_cl(clReleaseCommandQueue(queues[i]));
  }
  assert_cl(clReleaseMemObject(workspace.mem));
  scene_close(&scene);
}

static void an_empty_batch_waits_for_its_wait_list_too(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  scene_open(&scene, rig, 1);
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  tconv3d_desc desc = scene.desc;
  desc.batch = 0;
  assert_ok(tconv3d_plan_create(rig->context, &desc, NULL, &plan));
  assert_ok(tconv3d_weights_create_host(plan, scene.host.w, scene.host.b, &weights));
  cl_event gate = new_gate(rig), done;
  assert_ok(tconv3d_enqueue(plan, weights, rig->queue, scene.x, scene.y, NULL, 1, &gate, &done));
  assert_cl(clFlush(rig->queue));
  a_moment();
  assert_true(event_status(done) > CL_COMPLETE);
  open_gate(gate);
  wait_and_release(done);
  assert_true(scene_untouched(&scene, rig->queue, scene.y.mem));
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  scene_close(&scene);
}

/* The scenes differ in their values alone: calls that shared a workspace would meet each other's x. */
static void many_calls_wait_together_with_workspaces_from_the_pool(void **state) {
  const struct rig *rig = *state;
  struct scene scenes[SCENES];
  for (uint64_t i = 0; i < SCENES; ++i) scene_open(&scenes[i], rig, 20 + i);
  cl_event gate = new_gate(rig), done[GATED_CALLS];
  cl_command_queue queue = rig_queue(rig);
  tconv3d_buffer y[GATED_CALLS];
  for (int i = 0; i < GATED_CALLS; ++i) {
    const struct scene *scene = &scenes[i % SCENES];
    y[i] = (tconv3d_buffer){scene_new_y(scene), 0};
    assert_ok(tconv3d_enqueue(scene->plan, scene->weights, queue, scene->x, y[i], NULL, 1, &gate, &done[i]));
  }
  open_gate(gate);
  for (int i = 0; i < GATED_CALLS; ++i) {
    wait_and_release(done[i]);
    assert_true(scene_right(&scenes[i % SCENES], rig->queue, y[i].mem));
    assert_cl(clReleaseMemObject(y[i].mem));
  }
  assert_cl(clReleaseCommandQueue(queue));
  for (int i = 0; i < SCENES; ++i) scene_close(&scenes[i]);
}

static void calls_wait_for_weights_that_are_still_gated(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_weights *weights;
  scene_open(&scene, rig, 3);
  cl_event gate = new_gate(rig), packed, done;
  /* Other queues for packing and for the call: only the weights' own event ties them. */
  cl_command_queue packing = rig_queue(rig), calling = rig_queue(rig);
  assert_ok(tconv3d_weights_create(scene.plan, packing, scene.w, &scene.b, 1, &gate, &packed, &weights));
  assert_ok(tconv3d_enqueue(scene.plan, weights, calling, scene.x, scene.y, NULL, 0, NULL, &done));
  assert_cl(clFlush(packing));
  assert_cl(clFlush(calling));
  a_moment();
  assert_true(event_status(packed) > CL_COMPLETE);
  assert_true(event_status(done) > CL_COMPLETE);
  tconv3d_weights_destroy(weights);
  open_gate(gate);
  wait_and_release(packed);
  wait_and_release(done);
  assert_true(scene_right(&scene, rig->queue, scene.y.mem));
  assert_cl(clReleaseCommandQueue(packing));
  assert_cl(clReleaseCommandQueue(calling));
  scene_close(&scene);
}

static void an_update_waits_for_the_packing_before_it(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_weights *weights;
  scene_open(&scene, rig, 11);
  cl_event gate = new_gate(rig), done;
  cl_command_queue first = rig_queue(rig), second = rig_queue(rig);
  /* First x's values as weights, which are wrong; the right ones must be packed last whatever queue they come from. */
  const tconv3d_buffer wrong = {scene_buffer(rig, NULL, scene.info.w_bytes), 0};
  assert_ok(tconv3d_weights_create(scene.plan, first, wrong, &scene.b, 1, &gate, NULL, &weights));
  assert_ok(tconv3d_weights_update(weights, second, scene.w, &scene.b, 0, NULL, NULL));
  assert_ok(tconv3d_enqueue(scene.plan, weights, second, scene.x, scene.y, NULL, 0, NULL, &done));
  assert_cl(clFlush(first));
  assert_cl(clFlush(second));
  a_moment();
  open_gate(gate);
  wait_and_release(done);
  assert_true(scene_right(&scene, rig->queue, scene.y.mem));
  tconv3d_weights_destroy(weights);
  assert_cl(clReleaseMemObject(wrong.mem));
  assert_cl(clReleaseCommandQueue(first));
  assert_cl(clReleaseCommandQueue(second));
  scene_close(&scene);
}

/* A blocking call on weights whose packing is still gated. */
struct blocked_run {
  const struct scene *scene;
  const tconv3d_weights *weights;
  float *y;
  tconv3d_status status;
};

static void *run_blocked(void *data) {
  struct blocked_run *run = data;
  run->status = tconv3d_run(run->scene->plan, run->weights, run->scene->host.x, run->y);
  return NULL;
}

static void a_plan_can_be_made_while_a_blocking_call_waits(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  tconv3d_weights *weights;
  tconv3d_plan *plan;
  pthread_t thread;
  scene_open(&scene, rig, 12);
  cl_event gate = new_gate(rig);
  cl_command_queue packing = rig_queue(rig);
  assert_ok(tconv3d_weights_create(scene.plan, packing, scene.w, &scene.b, 1, &gate, NULL, &weights));
  assert_cl(clFlush(packing));
  struct blocked_run run = {&scene, weights, calloc(1, scene.info.y_bytes), TCONV3D_OK};
  assert_int_equal(pthread_create(&thread, NULL, run_blocked, &run), 0);
  a_moment();
  tconv3d_desc other = scene.desc;
  other.dilation[0] = 3, other.output_padding[0] = 2; /* a program of its own, so that it is built and warmed */
  assert_ok(tconv3d_plan_create(rig->context, &other, NULL, &plan));
  open_gate(gate);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_ok(run.status);
  char why[200];
  if (!judge_within(&scene.judge, run.y, why, sizeof why)) fail_msg("%s", why);
  free(run.y);
  tconv3d_plan_destroy(plan);
  tconv3d_weights_destroy(weights);
  assert_cl(clReleaseCommandQueue(packing));
  scene_close(&scene);
}

static void handles_may_go_while_their_calls_are_in_flight(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  cl_int error;
  scene_open(&scene, rig, 4);
  cl_context cl = clCreateContext(NULL, 1, &rig->device.device, NULL, NULL, &error);
  assert_cl(error);
  cl_uint before = context_count(cl);
  struct rig other = {.device = rig->device, .cl = cl};
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  assert_ok(tconv3d_context_adopt(cl, NULL, 0, &other.context));
  other.queue = rig_queue(&other);
  tconv3d_buffer x = {scene_buffer(&other, scene.host.x, scene.host.x_count * sizeof(float)), 0};
  cl_mem y = scene_buffer(&other, NULL, scene.host.y_count * sizeof(float));
  assert_ok(tconv3d_plan_create(other.context, &scene.desc, NULL, &plan));
  assert_ok(tconv3d_weights_create_host(plan, scene.host.w, scene.host.b, &weights));
  cl_event gate = new_gate(&other), done;
  assert_ok(tconv3d_enqueue(plan, weights, other.queue, x, (tconv3d_buffer){y, 0}, NULL, 1, &gate, &done));
  assert_cl(clFlush(other.queue));
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(other.context);
  assert_cl(clReleaseMemObject(x.mem));
  open_gate(gate);
  wait_and_release(done);
  assert_true(scene_right(&scene, other.queue, y));
  assert_cl(clReleaseMemObject(y));
  assert_cl(clReleaseCommandQueue(other.queue));
  assert_context_count(cl, before); /* nothing that the call used is left */
  assert_cl(clReleaseContext(cl));
  scene_close(&scene);
}

static void a_failed_event_of_the_wait_list_fails_the_call_and_frees_all(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  if (t3_has_quirk(&rig->device, T3_FAILED_WAIT_CRASHES)) {
    print_message("# %s: a command whose wait list fails ends the process\n", rig->device.platform_name);
    skip();
  }
  scene_open(&scene, rig, 5);
  cl_uint x_before = mem_count(scene.x.mem), y_before = mem_count(scene.y.mem);
  cl_event gate = new_gate(rig), done;
  cl_command_queue queue = rig_queue(rig);
  assert_ok(tconv3d_enqueue(scene.plan, scene.weights, queue, scene.x, scene.y, NULL, 1, &gate, &done));
  assert_cl(clFlush(queue));
  assert_cl(clSetUserEventStatus(gate, -5));
  assert_cl(clReleaseEvent(gate));
  assert_int_not_equal(clWaitForEvents(1, &done), CL_SUCCESS);
  assert_cl(clReleaseEvent(done));
  assert_true(scene_untouched(&scene, rig->queue, scene.y.mem));
  assert_mem_count(scene.x.mem, x_before);
  assert_mem_count(scene.y.mem, y_before);
  check_gated(&scene, queue, NULL); /* the plan, the weights and the pool serve on */
  assert_cl(clReleaseCommandQueue(queue));
  scene_close(&scene);
}

static void buffers_are_let_go_when_their_calls_end(void **state) {
  const struct rig *rig = *state;
  struct scene scene;
  scene_open(&scene, rig, 6);
  tconv3d_buffer workspace = {scene_buffer(rig, NULL, scene.info.workspace_bytes + 1), 0};
  const cl_mem mems[] = {scene.x.mem, scene.y.mem, scene.w.mem, scene.b.mem, workspace.mem};
  cl_uint before[5];
  for (size_t i = 0; i < 5; ++i) before[i] = mem_count(mems[i]);
  for (int call = 0; call < 3; ++call) {
    tconv3d_weights *weights;
    cl_event done;
    assert_ok(tconv3d_weights_create(scene.plan, rig->queue, scene.w, &scene.b, 0, NULL, NULL, &weights));
    assert_ok(tconv3d_enqueue(scene.plan, weights, rig->queue, scene.x, scene.y, &workspace, 0, NULL, &done));
    wait_and_release(done);
    tconv3d_weights_destroy(weights);
  }
  for (size_t i = 0; i < 5; ++i) assert_mem_count(mems[i], before[i]);
  assert_cl(clReleaseMemObject(workspace.mem));
  scene_close(&scene);
}

/* One thread's work; threads must not end the test themselves, so they count what goes wrong. */
struct worker {
  pthread_t thread;
  const struct scene *scene;
  cl_command_queue queue;
  tconv3d_buffer y[CALLS], workspace[CALLS];
  bool own_workspace;
  int wrong;
};

static void *work(void *arg) {
  struct worker *worker = arg;
  const struct scene *scene = worker->scene;
  cl_event done[CALLS] = {0};
  for (int i = 0; i < CALLS; ++i)
    worker->wrong += tconv3d_enqueue(scene->plan, scene->weights, worker->queue, scene->x, worker->y[i],
                                     worker->own_workspace ? &worker->workspace[i] : NULL, 0, NULL, &done[i]) != TCONV3D_OK;
  for (int i = 0; i < CALLS && !worker->wrong; ++i) {
    worker->wrong += clWaitForEvents(1, &done[i]) != CL_SUCCESS;
    worker->wrong += clReleaseEvent(done[i]) != CL_SUCCESS;
    worker->wrong += !scene_right(scene, worker->queue, worker->y[i].mem);
  }
  return NULL;
}

/* All threads at once, every second one on the same plan and weights; each on its own queue, or all on one. */
static void run_threads(const struct scene scenes[2], cl_command_queue shared, bool own_workspace) {
  struct worker workers[THREADS] = {0};
  for (int t = 0; t < THREADS; ++t) {
    const struct scene *scene = &scenes[t % 2];
    struct worker *worker = &workers[t];
    *worker = (struct worker){.scene = scene, .own_workspace = own_workspace};
    worker->queue = shared ? shared : rig_queue(scene->rig);
    for (int i = 0; i < CALLS; ++i) {
      worker->y[i].mem = scene_new_y(scene);
      worker->workspace[i].mem = scene_buffer(scene->rig, NULL, scene->info.workspace_bytes + 1);
    }
  }
  for (int t = 0; t < THREADS; ++t) assert_int_equal(pthread_create(&workers[t].thread, NULL, work, &workers[t]), 0);
  for (int t = 0; t < THREADS; ++t) assert_int_equal(pthread_join(workers[t].thread, NULL), 0);
  for (int t = 0; t < THREADS; ++t) {
    assert_int_equal(workers[t].wrong, 0);
    if (!shared) assert_cl(clReleaseCommandQueue(workers[t].queue));
    for (int i = 0; i < CALLS; ++i) {
      assert_cl(clReleaseMemObject(workers[t].y[i].mem));
      assert_cl(clReleaseMemObject(workers[t].workspace[i].mem));
    }
  }
}

static void eight_threads_share_plans_on_queues_of_their_own_and_on_one(void **state) {
  const struct rig *rig = *state;
  struct scene scenes[2];
  for (uint64_t i = 0; i < 2; ++i) scene_open(&scenes[i], rig, 30 + i);
  for (int own_workspace = 0; own_workspace < 2; ++own_workspace) {
    run_threads(scenes, NULL, own_workspace);
    run_threads(scenes, rig->queue, own_workspace);
  }
  for (int i = 0; i < 2; ++i) scene_close(&scenes[i]);
}

/* Plans, weights and runs made at once in one context, of a few layers that the threads have in common. */
static void *plan_and_run(void *arg) {
  struct worker *worker = arg;
  const struct scene *scene = worker->scene;
  for (int i = 0; i < 3; ++i) {
    tconv3d_desc desc = scene->desc;
    tconv3d_plan *plan = NULL;
    tconv3d_weights *weights = NULL;
    char why[200];
    float *y = scene->host.y_count ? calloc(scene->host.y_count, sizeof *y) : NULL;
    bool right = y && tconv3d_plan_create(scene->rig->context, &desc, NULL, &plan) == TCONV3D_OK &&
                 tconv3d_weights_create_host(plan, scene->host.w, scene->host.b, &weights) == TCONV3D_OK &&
                 tconv3d_run(plan, weights, scene->host.x, y) == TCONV3D_OK && judge_within(&scene->judge, y, why, sizeof why);
    worker->wrong += !right;
    tconv3d_weights_destroy(weights);
    tconv3d_plan_destroy(plan);
    free(y);
  }
  return NULL;
}

static void eight_threads_make_plans_in_one_context(void **state) {
  struct rig fresh;
  struct scene scene;
  struct worker workers[THREADS] = {0};
  (void)state;
  rig_open(&fresh); /* a context that has no program yet */
  scene_open(&scene, &fresh, 8);
  for (int t = 0; t < THREADS; ++t) {
    workers[t].scene = &scene;
    assert_int_equal(pthread_create(&workers[t].thread, NULL, plan_and_run, &workers[t]), 0);
  }
  for (int t = 0; t < THREADS; ++t) assert_int_equal(pthread_join(workers[t].thread, NULL), 0);
  for (int t = 0; t < THREADS; ++t) assert_int_equal(workers[t].wrong, 0);
  scene_close(&scene);
  rig_close(&fresh);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_runs_before_the_wait_list_and_enqueue_never_blocks),
      cmocka_unit_test(an_empty_batch_waits_for_its_wait_list_too),
      cmocka_unit_test(many_calls_wait_together_with_workspaces_from_the_pool),
      cmocka_unit_test(calls_wait_for_weights_that_are_still_gated),
      cmocka_unit_test(an_update_waits_for_the_packing_before_it),
      cmocka_unit_test(a_plan_can_be_made_while_a_blocking_call_waits),
      cmocka_unit_test(handles_may_go_while_their_calls_are_in_flight),
      cmocka_unit_test(a_failed_event_of_the_wait_list_fails_the_call_and_frees_all),
      cmocka_unit_test(buffers_are_let_go_when_their_calls_end),
      cmocka_unit_test(eight_threads_share_plans_on_queues_of_their_own_and_on_one),
      cmocka_unit_test(eight_threads_make_plans_in_one_context),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
