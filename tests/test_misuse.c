/* Calls used wrongly: each is refused with INVALID_ARGUMENT and a message that names the argument, and the next right call
 * works. */
#include <stdio.h>
#include <stdlib.h>

#include "support/scene.h"

/* What a call is made of, right at first; then one thing of it is spoilt. */
struct call {
  const struct scene *scene;
  const tconv3d_plan *plan;
  tconv3d_weights *weights;
  cl_command_queue queue;
  tconv3d_buffer x, y, w, b, workspace;
  const tconv3d_buffer *bias, *own_workspace; /* NULL or the buffers above */
  cl_uint num_events;
  const cl_event *wait_list;
  cl_mem extra[2]; /* made for the fault, released with the call */
  struct {
    cl_context cl;
    cl_command_queue queue;
    cl_mem mem;
  } other; /* of another cl_context */
};

typedef tconv3d_status caller(struct call *call);

static const size_t enough = 1 << 20; /* bytes, more than any tensor of the scene */

static int set_up(void **state) {
  static struct rig rig;
  static struct scene scene;
  rig_open(&rig);
  scene_open(&scene, &rig, 1);
  *state = &scene;
  return 0;
}

static int tear_down(void **state) {
  struct scene *scene = *state;
  struct rig rig = *scene->rig;
  scene_close(scene);
  rig_close(&rig);
  return 0;
}

static void call_make(struct call *call, const struct scene *scene) {
  const struct rig *rig = scene->rig;
  cl_int error;
  *call = (struct call){.scene = scene, .plan = scene->plan, .weights = scene->weights, .queue = rig->queue};
  call->x = scene->x;
  call->y = scene->y;
  call->w = scene->w;
  call->b = scene->b;
  call->bias = &call->b;
  call->workspace.mem = scene_buffer(rig, NULL, enough);
  call->own_workspace = &call->workspace;
  call->extra[1] = call->workspace.mem;
  call->other.cl = clCreateContext(NULL, 1, &rig->device.device, NULL, NULL, &error);
  assert_cl(error);
  call->other.queue = clCreateCommandQueue(call->other.cl, rig->device.device, 0, &error);
  assert_cl(error);
  call->other.mem = clCreateBuffer(call->other.cl, CL_MEM_READ_WRITE, enough, NULL, &error);
  assert_cl(error);
}

static void call_free(struct call *call) {
  for (size_t i = 0; i < 2; ++i)
    if (call->extra[i]) clReleaseMemObject(call->extra[i]);
  clReleaseMemObject(call->other.mem);
  clReleaseCommandQueue(call->other.queue);
  clReleaseContext(call->other.cl);
}

static cl_mem sized(struct call *call, cl_mem_flags flags, size_t bytes) {
  cl_int error;
  call->extra[0] = clCreateBuffer(call->scene->rig->cl, flags, bytes, NULL, &error);
  assert_cl(error);
  return call->extra[0];
}

static tconv3d_status enqueue(struct call *call) {
  cl_event event = NULL;
  tconv3d_status status = tconv3d_enqueue(call->plan, call->weights, call->queue, call->x, call->y, call->own_workspace,
                                          call->num_events, call->wait_list, &event);
  assert_null(event);
  return status;
}

static tconv3d_status create(struct call *call) {
  cl_event event = NULL;
  tconv3d_weights *weights = NULL;
  tconv3d_status status =
      tconv3d_weights_create(call->plan, call->queue, call->w, call->bias, call->num_events, call->wait_list, &event, &weights);
  assert_null(event);
  assert_null(weights);
  return status;
}

static tconv3d_status update(struct call *call) {
  cl_event event = NULL;
  tconv3d_status status =
      tconv3d_weights_update(call->weights, call->queue, call->w, call->bias, call->num_events, call->wait_list, &event);
  assert_null(event);
  return status;
}

/* The scene's own call after a refused one. */
static void right_call_works(const struct scene *scene, const char *after) {
  cl_event done;
  assert_ok(tconv3d_enqueue(scene->plan, scene->weights, scene->rig->queue, scene->x, scene->y, NULL, 0, NULL, &done));
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  if (!scene_right(scene, scene->rig->queue, scene->y.mem)) fail_msg("a wrong result after: %s", after);
}

/* The call must be refused in these words, and leave everything as it was. */
static void must_refuse(struct call *call, caller *made, const char *words, const char *what) {
  const struct scene *scene = call->scene;
  rig_assert_refused(made(call), TCONV3D_INVALID_ARGUMENT, words, what);
  call_free(call);
  right_call_works(scene, what);
}

/* ---- what can be wrong with a tensor ---- */

enum fault {
  NO_BUFFER,
  SHORT,
  PAST_THE_END,
  NEAR_THE_LARGEST_OFFSET,
  MISALIGNED,
  OF_ANOTHER_CONTEXT,
  WRITE_ONLY,
  READ_ONLY,
  NONE
};

static const char *const fault_words[] = {
    [NO_BUFFER] = "NULL",
    [SHORT] = "bytes",
    [PAST_THE_END] = "bytes offset 4",
    [NEAR_THE_LARGEST_OFFSET] = "offset",
    [MISALIGNED] = "offset 2 4",
    [OF_ANOTHER_CONTEXT] = "context",
    [WRITE_ONLY] = "CL_MEM_WRITE_ONLY",
    [READ_ONLY] = "CL_MEM_READ_ONLY",
};

static void spoil(struct call *call, tconv3d_buffer *tensor, uint64_t bytes, enum fault fault) {
  switch (fault) {
  case NO_BUFFER: tensor->mem = NULL; break;
  case SHORT: tensor->mem = sized(call, CL_MEM_READ_WRITE, bytes - 4); break;
  case PAST_THE_END: *tensor = (tconv3d_buffer){sized(call, CL_MEM_READ_WRITE, bytes), 4}; break;
  case NEAR_THE_LARGEST_OFFSET: tensor->offset = SIZE_MAX - 3; break;
  case MISALIGNED: *tensor = (tconv3d_buffer){sized(call, CL_MEM_READ_WRITE, enough), 2}; break;
  case OF_ANOTHER_CONTEXT: tensor->mem = call->other.mem; break;
  case WRITE_ONLY: tensor->mem = sized(call, CL_MEM_WRITE_ONLY, enough); break;
  case READ_ONLY: tensor->mem = sized(call, CL_MEM_READ_ONLY, enough); break;
  case NONE: break;
  }
}

/* Each fault in turn, but for the flag that is right for this tensor: reading w from a read-only buffer, say. member: which
 * tensor of struct call. */
static void refuse_faults(const struct scene *scene, caller *made, const char *name, size_t member, uint64_t bytes,
                          enum fault right_flag) {
  for (enum fault fault = NO_BUFFER; fault < NONE; ++fault) {
    struct call call;
    char words[64], what[64];
    if (fault == right_flag) continue;
    call_make(&call, scene);
    spoil(&call, (tconv3d_buffer *)(void *)((char *)&call + member), bytes, fault);
    snprintf(words, sizeof words, "%s %s", name, fault_words[fault]);
    snprintf(what, sizeof what, "fault %d of %s", (int)fault, name);
    must_refuse(&call, made, words, what);
  }
}

static void a_wrong_tensor_is_refused_by_name(void **state) {
  const struct scene *scene = *state;
  const tconv3d_plan_info *info = &scene->info;
  refuse_faults(scene, enqueue, "x", offsetof(struct call, x), info->x_bytes, READ_ONLY);
  refuse_faults(scene, enqueue, "y", offsetof(struct call, y), info->y_bytes, WRITE_ONLY);
  if (info->workspace_bytes) { /* without a need it is not looked at; it is written and read, so that neither flag is right */
    refuse_faults(scene, enqueue, "workspace", offsetof(struct call, workspace), info->workspace_bytes, NONE);
  }
  caller *const packers[] = {create, update};
  for (size_t i = 0; i < 2; ++i) {
    refuse_faults(scene, packers[i], "weight", offsetof(struct call, w), info->w_bytes, READ_ONLY);
    refuse_faults(scene, packers[i], "bias", offsetof(struct call, b), scene->host.b_count * sizeof(float), READ_ONLY);
  }
}

/* ---- what can be wrong with two tensors, and with the rest ---- */

static void x_and_y_are_the_same(struct call *call) {
  call->x.mem = call->y.mem = sized(call, CL_MEM_READ_WRITE, enough);
}

static void y_starts_in_x(struct call *call) {
  x_and_y_are_the_same(call);
  call->y.offset = call->scene->info.x_bytes - 4;
}

static void x_starts_in_y(struct call *call) {
  x_and_y_are_the_same(call);
  call->x.offset = call->scene->info.y_bytes - 4;
}

/* Sub-buffers of one parent may overlap although their handles differ. */
static cl_mem sub_buffer(struct call *call, size_t index, cl_mem parent, size_t origin) {
  const cl_buffer_region region = {origin, enough};
  cl_int error;
  if (call->extra[index]) clReleaseMemObject(call->extra[index]);
  call->extra[index] = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
  assert_cl(error);
  return call->extra[index];
}

static void sub_buffers_overlap(struct call *call) {
  const struct rig *rig = call->scene->rig;
  cl_uint bits = 0;
  assert_cl(clGetDeviceInfo(rig->device.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL));
  cl_mem parent = scene_buffer(rig, NULL, 2 * enough);
  call->own_workspace = NULL; /* its buffer makes room */
  call->x.mem = sub_buffer(call, 0, parent, 0);
  call->y.mem = sub_buffer(call, 1, parent, bits / 8);
  assert_cl(clReleaseMemObject(parent));
}

static void y_is_in_the_workspace(struct call *call) {
  call->y.mem = call->workspace.mem;
}
static void x_is_in_the_workspace(struct call *call) {
  call->x.mem = call->workspace.mem;
}
static void plan_is_null(struct call *call) {
  call->plan = NULL;
}
static void weights_are_null(struct call *call) {
  call->weights = NULL;
}
static void queue_is_null(struct call *call) {
  call->queue = NULL;
}
static void queue_is_foreign(struct call *call) {
  call->queue = call->other.queue;
}
static void bias_is_missing(struct call *call) {
  call->bias = NULL;
}
static void wait_list_is_missing(struct call *call) {
  call->num_events = 1;
}

static void wait_list_is_not_counted(struct call *call) {
  static const cl_event none = NULL;
  call->wait_list = &none;
}

static void wait_list_holds_null(struct call *call) {
  wait_list_is_not_counted(call);
  call->num_events = 1;
}

struct row {
  void (*spoil)(struct call *call);
  const char *words, *what;
};

static void refuse_rows(const struct scene *scene, caller *made, const struct row *rows, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    struct call call;
    call_make(&call, scene);
    rows[i].spoil(&call);
    must_refuse(&call, made, rows[i].words, rows[i].what);
  }
}
#define REFUSE_ROWS(scene, made, rows) refuse_rows(scene, made, rows, sizeof(rows) / sizeof *(rows))

static void overlapping_tensors_are_refused(void **state) {
  static const struct row rows[] = {
      {x_and_y_are_the_same, "x y overlap", "x and y in one place"},
      {y_starts_in_x, "x y overlap", "y on the end of x"},
      {x_starts_in_y, "x y overlap", "x on the end of y"},
      {sub_buffers_overlap, "x y overlap", "x and y in sub-buffers"},
  };
  static const struct row workspace_rows[] = {
      {y_is_in_the_workspace, "y workspace overlap", "y in the workspace"},
      {x_is_in_the_workspace, "x workspace overlap", "x in the workspace"},
  };
  const struct scene *scene = *state;
  REFUSE_ROWS(scene, enqueue, rows);
  if (scene->info.workspace_bytes) REFUSE_ROWS(scene, enqueue, workspace_rows);
}

static void wrong_handles_queues_and_wait_lists_are_refused_by_name(void **state) {
  static const struct row all[] = {
      {queue_is_null, "queue NULL", "no queue"},
      {queue_is_foreign, "queue context", "a queue of another context"},
      {wait_list_is_missing, "wait_list num_events", "a count without a wait list"},
      {wait_list_is_not_counted, "wait_list num_events", "a wait list without a count"},
      {wait_list_holds_null, "wait_list NULL", "a wait list with NULL in it"},
  };
  static const struct row plans[] = {{plan_is_null, "plan NULL", "no plan"}};
  static const struct row weights[] = {{weights_are_null, "weights NULL", "no weights"}};
  static const struct row biases[] = {{bias_is_missing, "bias has_bias", "no bias"}};
  REFUSE_ROWS(*state, enqueue, all);
  REFUSE_ROWS(*state, create, all);
  REFUSE_ROWS(*state, update, all);
  REFUSE_ROWS(*state, enqueue, plans);
  REFUSE_ROWS(*state, create, plans);
  REFUSE_ROWS(*state, enqueue, weights);
  REFUSE_ROWS(*state, update, weights);
  REFUSE_ROWS(*state, create, biases);
  REFUSE_ROWS(*state, update, biases);
}

static void refused(tconv3d_status status, const char *words, const char *what) {
  rig_assert_refused(status, TCONV3D_INVALID_ARGUMENT, words, what);
}

static void null_pointers_are_refused_by_name(void **state) {
  const struct scene *scene = *state;
  const struct tensors *host = &scene->host;
  const struct rig *rig = scene->rig;
  cl_device_id device = rig->device.device;
  tconv3d_context *context = NULL;
  tconv3d_weights *weights = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_plan_info info;
  int64_t triple[3] = {1, 1, 1};
  refused(tconv3d_run(NULL, scene->weights, host->x, host->y), "plan", "run: no plan");
  refused(tconv3d_run(scene->plan, NULL, host->x, host->y), "weights", "run: no weights");
  refused(tconv3d_run(scene->plan, scene->weights, NULL, host->y), "x", "run: no x");
  refused(tconv3d_run(scene->plan, scene->weights, host->x, NULL), "y", "run: no y");
  refused(tconv3d_weights_create_host(NULL, host->w, host->b, &weights), "plan", "weights: no plan");
  refused(tconv3d_weights_create_host(scene->plan, NULL, host->b, &weights), "weight", "weights: no w");
  refused(tconv3d_weights_create_host(scene->plan, host->w, NULL, &weights), "bias has_bias", "weights: no b");
  refused(tconv3d_weights_create_host(scene->plan, host->w, host->b, NULL), "weights", "weights: no result");
  refused(tconv3d_plan_query(NULL, &info), "plan", "query: no plan");
  refused(tconv3d_plan_query(scene->plan, NULL), "info", "query: no info");
  refused(tconv3d_plan_create(NULL, &scene->desc, NULL, &plan), "context", "plan: no context");
  refused(tconv3d_plan_create(rig->context, &scene->desc, NULL, NULL), "plan", "plan: no result");
  refused(tconv3d_context_create(NULL, 1, &context), "devices", "context: no devices");
  refused(tconv3d_context_create(&device, 0, &context), "devices", "context: of no devices");
  refused(tconv3d_context_create(&device, 1, NULL), "context", "context: no result");
  refused(tconv3d_context_adopt(NULL, NULL, 0, &context), "cl", "adopt: no cl_context");
  refused(tconv3d_context_adopt(rig->cl, NULL, 0, NULL), "context", "adopt: no result");
  refused(tconv3d_devices(NULL, 0, NULL), "count", "devices: no count");
  refused(tconv3d_device_select("", NULL), "info", "select: no info");
  refused(tconv3d_cache_query(NULL), "info", "cache: no info");
  refused(tconv3d_output_shape(&scene->desc, NULL), "shape", "shape: no result");
  refused(tconv3d_resolve_output_size(&scene->desc, NULL, triple), "output_size", "resolve: no size");
  refused(tconv3d_resolve_output_size(&scene->desc, triple, NULL), "output_padding", "resolve: no result");
  refused(tconv3d_reference_forward(&scene->desc, NULL, host->w, host->b, host->y), "x", "reference: no x");
  refused(tconv3d_reference_forward(&scene->desc, host->x, host->w, NULL, host->y), "b", "reference: no b");
  assert_true(!context && !weights && !plan);
  right_call_works(scene, "NULL pointers");
}

static void bias_for_a_layer_without_is_refused(void **state) {
  const struct scene *scene = *state;
  tconv3d_desc desc = scene->desc;
  tconv3d_plan *plan;
  tconv3d_weights *weights = NULL;
  desc.has_bias = 0;
  assert_ok(tconv3d_plan_create(scene->rig->context, &desc, NULL, &plan));
  refused(tconv3d_weights_create_host(plan, scene->host.w, scene->host.b, &weights), "bias has_bias", "from the host");
  refused(tconv3d_weights_create(plan, scene->rig->queue, scene->w, &scene->b, 0, NULL, NULL, &weights), "bias has_bias",
          "from buffers");
  assert_null(weights);
  tconv3d_plan_destroy(plan);
}

static void weights_of_another_plan_are_refused(void **state) {
  struct scene *scene = *state;
  tconv3d_plan *plan;
  cl_event event = NULL;
  assert_ok(tconv3d_plan_create(scene->rig->context, &scene->desc, NULL, &plan));
  refused(tconv3d_enqueue(plan, scene->weights, scene->rig->queue, scene->x, scene->y, NULL, 0, NULL, &event), "weights plan",
          "enqueue");
  refused(tconv3d_run(plan, scene->weights, scene->host.x, scene->host.y), "weights plan", "run");
  assert_null(event);
  tconv3d_plan_destroy(plan);
}

static void options_of_another_size_are_refused(void **state) {
  const struct scene *scene = *state;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  tconv3d_plan *plan = NULL;
  options.struct_size += 8;
  refused(tconv3d_plan_create(scene->rig->context, &scene->desc, &options, &plan), "options struct_size", "options");
  assert_null(plan);
}

/* Neighbours that touch but do not overlap are no misuse. */
static void x_and_y_side_by_side_in_one_buffer_are_right(void **state) {
  const struct scene *scene = *state;
  size_t x_bytes = scene->info.x_bytes, y_bytes = scene->info.y_bytes;
  float *y = calloc(1, y_bytes);
  char why[200];
  cl_mem mem = scene_buffer(scene->rig, NULL, x_bytes + y_bytes);
  assert_non_null(y);
  for (int x_first = 0; x_first < 2; ++x_first) {
    const tconv3d_buffer at_x = {mem, x_first ? 0 : y_bytes}, at_y = {mem, x_first ? x_bytes : 0};
    cl_event done;
    cl_command_queue queue = scene->rig->queue;
    assert_cl(clEnqueueWriteBuffer(queue, mem, CL_TRUE, at_x.offset, x_bytes, scene->host.x, 0, NULL, NULL));
    assert_cl(clFinish(queue)); /* a blocking write lets the host go on, not an out-of-order queue */
    assert_ok(tconv3d_enqueue(scene->plan, scene->weights, queue, at_x, at_y, NULL, 0, NULL, &done));
    assert_cl(clEnqueueReadBuffer(queue, mem, CL_TRUE, at_y.offset, y_bytes, y, 1, &done, NULL));
    if (!judge_within(&scene->judge, y, why, sizeof why)) fail_msg("%s", why);
    assert_cl(clReleaseEvent(done));
  }
  assert_cl(clReleaseMemObject(mem));
  free(y);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_wrong_tensor_is_refused_by_name),
      cmocka_unit_test(overlapping_tensors_are_refused),
      cmocka_unit_test(wrong_handles_queues_and_wait_lists_are_refused_by_name),
      cmocka_unit_test(null_pointers_are_refused_by_name),
      cmocka_unit_test(bias_for_a_layer_without_is_refused),
      cmocka_unit_test(weights_of_another_plan_are_refused),
      cmocka_unit_test(options_of_another_size_are_refused),
      cmocka_unit_test(x_and_y_side_by_side_in_one_buffer_are_right),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
