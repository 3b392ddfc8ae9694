/* Calls for operations used wrongly: each is refused with INVALID_ARGUMENT and a message that names the argument, and the right
 * calls work after all of them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "support/gradient.h"
#include "support/scene.h"

/* A plan of every operation of one layer, and buffers of its tensors. */
struct setting {
  struct rig rig;
  tconv3d_desc desc;
  struct operands host; /* x, w, b and gy */
  struct counts counts;
  tconv3d_plan *forward, *input, *weight, *bias;
  tconv3d_weights *forward_weights, *input_weights;
  tconv3d_buffer x, w, b, gy, y, gx, gw, gb; /* whole buffers */
};

static const size_t enough = 1 << 20; /* bytes, more than any tensor here */

static int set_up(void **state) {
  static struct setting setting;
  struct rig *rig = &setting.rig;
  rig_open(rig);
  setting.desc = scene_layer();
  struct rng rng = {1};
  assert_true(operands_make(&setting.host, &setting.desc, TCONV3D_GRAD_WEIGHT, &rng, VALUES_INTEGER));
  setting.counts = operand_counts(&setting.desc, TCONV3D_GRAD_WEIGHT);
  assert_true(gradient_plan(rig, TCONV3D_FORWARD, NULL, &setting.desc, 0, &setting.forward));
  assert_true(gradient_plan(rig, TCONV3D_GRAD_INPUT, NULL, &setting.desc, 0, &setting.input));
  assert_true(gradient_plan(rig, TCONV3D_GRAD_WEIGHT, NULL, &setting.desc, 0, &setting.weight));
  assert_true(gradient_plan(rig, TCONV3D_GRAD_BIAS, NULL, &setting.desc, 0, &setting.bias));
  assert_ok(tconv3d_weights_create_host(setting.forward, setting.host.w, setting.host.b, &setting.forward_weights));
  assert_ok(tconv3d_weights_create_host(setting.input, setting.host.w, NULL, &setting.input_weights));
  setting.x.mem = scene_buffer(rig, setting.host.x, setting.counts.x * sizeof(float));
  setting.w.mem = scene_buffer(rig, setting.host.w, setting.counts.w * sizeof(float));
  setting.b.mem = scene_buffer(rig, setting.host.b, setting.counts.b * sizeof(float));
  setting.gy.mem = scene_buffer(rig, setting.host.y, setting.counts.y * sizeof(float));
  setting.y.mem = scene_buffer(rig, NULL, setting.counts.y * sizeof(float));
  setting.gx.mem = scene_buffer(rig, NULL, setting.counts.x * sizeof(float));
  setting.gw.mem = scene_buffer(rig, NULL, setting.counts.w * sizeof(float));
  setting.gb.mem = scene_buffer(rig, NULL, setting.counts.b * sizeof(float));
  *state = &setting;
  return 0;
}

static int tear_down(void **state) {
  struct setting *setting = *state;
  const tconv3d_buffer buffers[] = {setting->x, setting->w,  setting->b,  setting->gy,
                                    setting->y, setting->gx, setting->gw, setting->gb};
  tconv3d_plan *const plans[] = {setting->forward, setting->input, setting->weight, setting->bias};
  tconv3d_weights_destroy(setting->forward_weights);
  tconv3d_weights_destroy(setting->input_weights);
  for (size_t i = 0; i < sizeof plans / sizeof *plans; ++i) tconv3d_plan_destroy(plans[i]);
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; ++i)
    if (buffers[i].mem) clReleaseMemObject(buffers[i].mem);
  operands_free(&setting->host);
  rig_close(&setting->rig);
  return 0;
}

/* Whether the name stands in the message as a word of its own. */
static bool names(const char *message, const char *name) {
  size_t length = strlen(name);
  for (const char *at = strstr(message, name); at; at = strstr(at + 1, name)) {
    bool begins = at == message || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
    if (begins && !isalnum((unsigned char)at[length]) && at[length] != '_') return true;
  }
  return false;
}

/* The call must have been refused with this argument's name and each of the words, separated by spaces. */
static void refused(tconv3d_status status, const char *name, const char *words, const char *what) {
  rig_assert_refused(status, TCONV3D_INVALID_ARGUMENT, words, what);
  if (!names(tconv3d_message(), name)) fail_msg("%s: '%s' is not named in '%s'", what, name, tconv3d_message());
}

static tconv3d_status enqueue(const struct setting *setting, const tconv3d_plan *plan, const tconv3d_weights *weights,
                              tconv3d_buffer x, tconv3d_buffer y) {
  cl_event event = NULL;
  tconv3d_status status = tconv3d_enqueue(plan, weights, setting->rig.queue, x, y, NULL, 0, NULL, &event);
  assert_null(event);
  return status;
}

static tconv3d_status differentiate(const struct setting *setting, const tconv3d_plan *plan, tconv3d_buffer x,
                                    tconv3d_buffer gy, tconv3d_buffer gradient) {
  cl_event event = NULL;
  tconv3d_status status = tconv3d_enqueue_gradient(plan, setting->rig.queue, x, gy, gradient, NULL, 0, NULL, &event);
  assert_null(event);
  return status;
}

static void plans_of_another_operation_are_refused(void **state) {
  const struct setting *setting = *state;
  const struct operands *host = &setting->host;
  tconv3d_weights *weights = NULL;
  float *result = calloc(setting->counts.y + setting->counts.x + setting->counts.w, sizeof *result);
  assert_non_null(result);
  refused(enqueue(setting, setting->weight, setting->forward_weights, setting->x, setting->y), "plan", "", "enqueue: weight");
  refused(enqueue(setting, setting->bias, setting->input_weights, setting->gy, setting->gb), "plan", "", "enqueue: bias");
  refused(enqueue(setting, setting->input, setting->forward_weights, setting->gy, setting->gx), "weights", "plan",
          "enqueue: the forward plan's weights");
  refused(differentiate(setting, setting->forward, setting->x, setting->gy, setting->gw), "plan", "", "gradient: forward");
  refused(differentiate(setting, setting->input, setting->x, setting->gy, setting->gx), "plan", "", "gradient: input");
  refused(tconv3d_run(setting->weight, setting->forward_weights, host->x, result), "plan", "", "run: weight");
  refused(tconv3d_run_gradient(setting->forward, host->x, host->y, result), "plan", "", "run gradient: forward");
  refused(tconv3d_run_gradient(setting->input, host->x, host->y, result), "plan", "", "run gradient: input");
  refused(tconv3d_weights_create_host(setting->weight, host->w, NULL, &weights), "plan", "", "weights: weight");
  refused(tconv3d_weights_create(setting->bias, setting->rig.queue, setting->w, NULL, 0, NULL, NULL, &weights), "plan", "",
          "weights: bias");
  assert_null(weights);
  free(result);
}

static void a_bias_for_the_gradient_of_the_input_is_refused(void **state) {
  const struct setting *setting = *state;
  tconv3d_weights *weights = NULL;
  refused(tconv3d_weights_create_host(setting->input, setting->host.w, setting->host.b, &weights), "bias", "", "from the host");
  refused(tconv3d_weights_create(setting->input, setting->rig.queue, setting->w, &setting->b, 0, NULL, NULL, &weights), "bias",
          "", "from buffers");
  assert_null(weights);
}

static void overlapping_tensors_are_refused(void **state) {
  const struct setting *setting = *state;
  const struct counts *counts = &setting->counts;
  cl_mem shared = scene_buffer(&setting->rig, NULL, enough);
  const tconv3d_buffer here = {shared, 0};
  const tconv3d_buffer on_gy = {shared, (counts->y - 1) * sizeof(float)}, on_x = {shared, (counts->x - 1) * sizeof(float)};
  refused(enqueue(setting, setting->input, setting->input_weights, here, here), "overlap", "x y", "gx on gy");
  refused(enqueue(setting, setting->input, setting->input_weights, here, on_gy), "overlap", "x y", "gx on the end of gy");
  refused(differentiate(setting, setting->weight, setting->x, here, here), "gradient", "gy overlap", "gw on gy");
  refused(differentiate(setting, setting->weight, setting->x, here, on_gy), "gradient", "gy overlap", "gw on the end of gy");
  refused(differentiate(setting, setting->weight, here, setting->gy, on_x), "gradient", "x overlap", "gw on the end of x");
  refused(differentiate(setting, setting->bias, setting->x, here, on_gy), "gradient", "gy overlap", "gb on the end of gy");
  assert_cl(clReleaseMemObject(shared));
}

/* Two operands that are only read may be one: of a layer whose x and y have the same shape. */
static void x_and_gy_may_be_the_same_buffer(void **state) {
  const struct setting *setting = *state;
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = desc.out_channels = 2;
  TCONV3D_ALL_AXES(desc.input_size, 4);
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.padding, 1);
  struct rng rng = {2};
  struct operands operands;
  struct judge judge;
  tconv3d_plan *plan;
  cl_event done;
  char why[200];
  assert_true(operands_make(&operands, &desc, TCONV3D_GRAD_WEIGHT, &rng, VALUES_INTEGER));
  const struct operands same = {.x = operands.x, .y = operands.x};
  assert_true(operation_judge(&judge, &desc, TCONV3D_GRAD_WEIGHT, &same));
  assert_true(gradient_plan(&setting->rig, TCONV3D_GRAD_WEIGHT, NULL, &desc, 0, &plan));
  size_t bytes = operand_counts(&desc, TCONV3D_GRAD_WEIGHT).x * sizeof(float);
  const tconv3d_buffer x = {scene_buffer(&setting->rig, operands.x, bytes), 0};
  float *gw = calloc(judge.count, sizeof *gw);
  assert_non_null(gw);
  assert_ok(tconv3d_enqueue_gradient(plan, setting->rig.queue, x, x, setting->gw, NULL, 0, NULL, &done));
  assert_cl(clEnqueueReadBuffer(setting->rig.queue, setting->gw.mem, CL_TRUE, 0, judge.count * sizeof *gw, gw, 1, &done, NULL));
  if (!judge_exact(&judge, gw, why, sizeof why)) fail_msg("%s", why);
  free(gw);
  assert_cl(clReleaseEvent(done));
  assert_cl(clReleaseMemObject(x.mem));
  tconv3d_plan_destroy(plan);
  judge_free(&judge);
  operands_free(&operands);
}

/* ---- one wrong tensor ---- */

/* Calls with the buffer in the place of one argument. */
typedef tconv3d_status with_buffer(const struct setting *setting, tconv3d_buffer buffer);

static tconv3d_status input_from(const struct setting *setting, tconv3d_buffer gy) {
  return enqueue(setting, setting->input, setting->input_weights, gy, setting->gx);
}
static tconv3d_status input_to(const struct setting *setting, tconv3d_buffer gx) {
  return enqueue(setting, setting->input, setting->input_weights, setting->gy, gx);
}
static tconv3d_status weight_of_x(const struct setting *setting, tconv3d_buffer x) {
  return differentiate(setting, setting->weight, x, setting->gy, setting->gw);
}
static tconv3d_status weight_from(const struct setting *setting, tconv3d_buffer gy) {
  return differentiate(setting, setting->weight, setting->x, gy, setting->gw);
}
static tconv3d_status weight_to(const struct setting *setting, tconv3d_buffer gw) {
  return differentiate(setting, setting->weight, setting->x, setting->gy, gw);
}
static tconv3d_status bias_from(const struct setting *setting, tconv3d_buffer gy) {
  return differentiate(setting, setting->bias, (tconv3d_buffer){NULL, 0}, gy, setting->gb);
}
static tconv3d_status bias_to(const struct setting *setting, tconv3d_buffer gb) {
  return differentiate(setting, setting->bias, (tconv3d_buffer){NULL, 0}, setting->gy, gb);
}

static cl_mem flagged(const struct setting *setting, cl_mem_flags flags, size_t bytes) {
  cl_int error;
  cl_mem mem = clCreateBuffer(setting->rig.cl, flags, bytes, NULL, &error);
  assert_cl(error);
  return mem;
}

static void refuse_buffer(const struct setting *setting, with_buffer *call, const char *name, cl_mem_flags flags, size_t size,
                          size_t offset, const char *words) {
  cl_mem mem = flagged(setting, flags, size);
  refused(call(setting, (tconv3d_buffer){mem, offset}), name, words, words);
  assert_cl(clReleaseMemObject(mem));
}

static void a_wrong_tensor_is_refused_by_name(void **state) {
  const struct setting *setting = *state;
  const struct counts *counts = &setting->counts;
  const struct {
    with_buffer *call;
    const char *name;
    size_t count;
    bool written;
  } rows[] = {
      {input_from, "x", counts->y, false},    {input_to, "y", counts->x, true},         {weight_of_x, "x", counts->x, false},
      {weight_from, "gy", counts->y, false},  {weight_to, "gradient", counts->w, true}, {bias_from, "gy", counts->y, false},
      {bias_to, "gradient", counts->b, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    const size_t bytes = rows[i].count * sizeof(float);
    with_buffer *call = rows[i].call;
    const char *name = rows[i].name;
    refused(call(setting, (tconv3d_buffer){NULL, 0}), name, "NULL", "no buffer");
    refuse_buffer(setting, call, name, CL_MEM_READ_WRITE, bytes - 4, 0, "bytes");
    refuse_buffer(setting, call, name, CL_MEM_READ_WRITE, bytes, 4, "bytes offset 4");
    refuse_buffer(setting, call, name, CL_MEM_READ_WRITE, enough, 2, "offset 2 4");
    refuse_buffer(setting, call, name, rows[i].written ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY, enough, 0,
                  rows[i].written ? "CL_MEM_READ_ONLY" : "CL_MEM_WRITE_ONLY");
  }
}

static void a_target_that_cannot_be_read_is_refused_where_beta_reads_it(void **state) {
  const struct setting *setting = *state;
  tconv3d_plan *plan;
  cl_mem target = flagged(setting, CL_MEM_WRITE_ONLY, enough);
  assert_true(gradient_plan(&setting->rig, TCONV3D_GRAD_BIAS, NULL, &setting->desc, 1, &plan));
  refused(differentiate(setting, plan, setting->x, setting->gy, (tconv3d_buffer){target, 0}), "gradient", "CL_MEM_WRITE_ONLY",
          "a target that is only written");
  tconv3d_plan_destroy(plan);
  assert_cl(clReleaseMemObject(target));
}

static void null_handles_queues_and_wait_lists_are_refused_by_name(void **state) {
  const struct setting *setting = *state;
  const tconv3d_buffer x = setting->x, gy = setting->gy, gw = setting->gw;
  cl_command_queue queue = setting->rig.queue;
  const cl_event none = NULL;
  refused(tconv3d_enqueue_gradient(NULL, queue, x, gy, gw, NULL, 0, NULL, NULL), "plan", "NULL", "no plan");
  refused(tconv3d_enqueue_gradient(setting->weight, NULL, x, gy, gw, NULL, 0, NULL, NULL), "queue", "NULL", "no queue");
  refused(tconv3d_enqueue_gradient(setting->weight, queue, x, gy, gw, NULL, 1, NULL, NULL), "wait_list", "num_events",
          "a count without a list");
  refused(tconv3d_enqueue_gradient(setting->weight, queue, x, gy, gw, NULL, 0, &none, NULL), "wait_list", "num_events",
          "a list without a count");
  refused(tconv3d_enqueue_gradient(setting->weight, queue, x, gy, gw, NULL, 1, &none, NULL), "wait_list", "NULL",
          "a list with NULL in it");
  tconv3d_plan_info info;
  assert_ok(tconv3d_plan_query(setting->weight, &info));
  if (!info.workspace_bytes) return;
  cl_mem small = flagged(setting, CL_MEM_READ_WRITE, (size_t)info.workspace_bytes - 1);
  const tconv3d_buffer workspace = {small, 0};
  refused(tconv3d_enqueue_gradient(setting->weight, queue, x, gy, gw, &workspace, 0, NULL, NULL), "workspace", "bytes",
          "a small workspace");
  assert_cl(clReleaseMemObject(small));
}

static void host_arrays_that_are_missing_or_overlap_are_refused_by_name(void **state) {
  const struct setting *setting = *state;
  const struct operands *host = &setting->host;
  float *result = calloc(setting->counts.w + setting->counts.y, sizeof *result);
  assert_non_null(result);
  refused(tconv3d_run_gradient(NULL, host->x, host->y, result), "plan", "NULL", "no plan");
  refused(tconv3d_run_gradient(setting->weight, NULL, host->y, result), "x", "NULL", "no x");
  refused(tconv3d_run_gradient(setting->weight, host->x, NULL, result), "gy", "NULL", "no gy");
  refused(tconv3d_run_gradient(setting->weight, host->x, host->y, NULL), "gradient", "NULL", "no gradient");
  refused(tconv3d_run_gradient(setting->bias, NULL, NULL, result), "gy", "NULL", "bias: no gy");
  refused(tconv3d_run_gradient(setting->bias, NULL, host->y, NULL), "gradient", "NULL", "bias: no gradient");
  refused(tconv3d_run_gradient(setting->weight, host->x, result, result), "gradient", "gy overlap", "gw on gy");
  refused(tconv3d_run_gradient(setting->weight, result, host->y, result), "gradient", "x overlap", "gw on x");
  free(result);
}

/* ---- what a plan cannot be made for ---- */

static void operations_that_are_none_and_output_padding_of_a_convolution_are_refused(void **state) {
  const struct setting *setting = *state;
  tconv3d_plan *plan = NULL;
  tconv3d_desc desc = setting->desc;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.operation = (tconv3d_operation)5;
  rig_assert_refused(tconv3d_plan_create(setting->rig.context, &desc, &options, &plan), TCONV3D_INVALID_PARAMETER,
                     "operation 5", "operation 5");
  options.operation = TCONV3D_CONVOLUTION;
  desc.output_padding[0] = desc.output_padding[2] = 0;
  rig_assert_refused(tconv3d_plan_create(setting->rig.context, &desc, &options, &plan), TCONV3D_INVALID_PARAMETER,
                     "output_padding H 1", "output_padding");
  TCONV3D_ALL_AXES(desc.output_padding, 0);
  desc.kernel_size[1] = desc.input_size[1] + 2 * desc.padding[1] + 1;
  rig_assert_refused(tconv3d_plan_create(setting->rig.context, &desc, &options, &plan), TCONV3D_INVALID_PARAMETER, "H kernel",
                     "a kernel that does not fit");
  assert_null(plan);
}

static void the_references_refuse_null_by_name(void **state) {
  const struct setting *setting = *state;
  const tconv3d_desc *desc = &setting->desc;
  const float *x = setting->host.x, *w = setting->host.w, *b = setting->host.b, *gy = setting->host.y;
  float *result = calloc(setting->counts.x + setting->counts.w + setting->counts.y, sizeof *result);
  assert_non_null(result);
  tconv3d_desc convolution = convolution_like(desc), half = *desc;
  refused(tconv3d_reference_grad_input(desc, NULL, w, result), "gy", "NULL", "input: no gy");
  refused(tconv3d_reference_grad_input(desc, gy, NULL, result), "w", "NULL", "input: no w");
  refused(tconv3d_reference_grad_input(desc, gy, w, NULL), "gx", "NULL", "input: no gx");
  refused(tconv3d_reference_grad_weight(desc, NULL, gy, result), "x", "NULL", "weight: no x");
  refused(tconv3d_reference_grad_weight(desc, x, NULL, result), "gy", "NULL", "weight: no gy");
  refused(tconv3d_reference_grad_weight(desc, x, gy, NULL), "gw", "NULL", "weight: no gw");
  refused(tconv3d_reference_grad_bias(desc, NULL, result), "gy", "NULL", "bias: no gy");
  refused(tconv3d_reference_grad_bias(desc, gy, NULL), "gb", "NULL", "bias: no gb");
  refused(tconv3d_reference_convolution(&convolution, NULL, w, b, result), "x", "NULL", "convolution: no x");
  refused(tconv3d_reference_convolution(&convolution, x, NULL, b, result), "w", "NULL", "convolution: no w");
  refused(tconv3d_reference_convolution(&convolution, x, w, NULL, result), "b", "NULL", "convolution: no b");
  refused(tconv3d_reference_convolution(&convolution, x, w, b, NULL), "y", "NULL", "convolution: no y");
  half.dtype = TCONV3D_F16;
  rig_assert_refused(tconv3d_reference_grad_bias(&half, gy, result), TCONV3D_UNSUPPORTED, "dtype float16", "bias: float16");
  rig_assert_refused(tconv3d_reference_grad_weight(&half, x, gy, result), TCONV3D_UNSUPPORTED, "dtype float16",
                     "weight: float16");
  free(result);
}

static void right_calls_work_after_all_of_these(void **state) {
  const struct setting *setting = *state;
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS};
  tconv3d_plan *const plans[] = {setting->forward, setting->input, setting->weight, setting->bias};
  const tconv3d_buffer targets[] = {setting->y, setting->gx, setting->gw, setting->gb};
  cl_command_queue queue = setting->rig.queue;
  for (size_t i = 0; i < 4; ++i) {
    size_t count = target_count(&setting->desc, operations[i]);
    struct judge judge;
    cl_event done;
    char why[200];
    float *result = calloc(count, sizeof *result);
    assert_non_null(result);
    if (i < 2)
      assert_ok(tconv3d_enqueue(plans[i], i ? setting->input_weights : setting->forward_weights, queue,
                                i ? setting->gy : setting->x, targets[i], NULL, 0, NULL, &done));
    else
      assert_ok(tconv3d_enqueue_gradient(plans[i], queue, setting->x, setting->gy, targets[i], NULL, 0, NULL, &done));
    assert_cl(clEnqueueReadBuffer(queue, targets[i].mem, CL_TRUE, 0, count * sizeof *result, result, 1, &done, NULL));
    assert_true(operation_judge(&judge, &setting->desc, operations[i], &setting->host));
    if (!judge_exact(&judge, result, why, sizeof why)) fail_msg("%s: %s", tconv3d_operation_name(operations[i]), why);
    assert_cl(clReleaseEvent(done));
    judge_free(&judge);
    free(result);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_of_another_operation_are_refused),
      cmocka_unit_test(a_bias_for_the_gradient_of_the_input_is_refused),
      cmocka_unit_test(overlapping_tensors_are_refused),
      cmocka_unit_test(x_and_gy_may_be_the_same_buffer),
      cmocka_unit_test(a_wrong_tensor_is_refused_by_name),
      cmocka_unit_test(a_target_that_cannot_be_read_is_refused_where_beta_reads_it),
      cmocka_unit_test(null_handles_queues_and_wait_lists_are_refused_by_name),
      cmocka_unit_test(host_arrays_that_are_missing_or_overlap_are_refused_by_name),
      cmocka_unit_test(operations_that_are_none_and_output_padding_of_a_convolution_are_refused),
      cmocka_unit_test(the_references_refuse_null_by_name),
      cmocka_unit_test(right_calls_work_after_all_of_these),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
