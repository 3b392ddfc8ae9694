/* Programs from source, from the store and from the context: what identifies them, what a failed build says, what a spoilt
 * store costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blas/blas.h"
#include "plan/plan.h"
#include "store/store.h"

static int open_device(void **state) {
  static tconv3d_device_info device;
  if (tconv3d_device_select(NULL, &device) != TCONV3D_OK) return -1;
  *state = &device;
  return 0;
}

static tconv3d_context *new_context(const tconv3d_device_info *device) {
  tconv3d_context *context;
  assert_int_equal(tconv3d_context_create(&device->device, 1, &context), TCONV3D_OK);
  return context;
}

static tconv3d_desc small_desc(int64_t width) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = 3, desc.out_channels = 2, desc.has_bias = 0;
  desc.input_size[0] = 2, desc.input_size[1] = 3, desc.input_size[2] = width;
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  TCONV3D_ALL_AXES(desc.stride, 2);
  return desc;
}

static size_t count_programs(const tconv3d_context *context) {
  size_t count = 0;
  for (const t3_program *p = context->programs; p; p = p->next) ++count;
  return count;
}

/* The key of a program with the given define; the caller frees it. */
static t3_text key_with(const tconv3d_device_info *device, int64_t value) {
  t3_text defines = {0}, text = {0}, key = {0};
  t3_define(&defines, "GROUPS", value);
  assert_true(t3_program_text("direct", &defines, &text));
  t3_program_key(device, &text, &key);
  assert_true(t3_text_ok(&key));
  t3_text_free(&defines);
  t3_text_free(&text);
  return key;
}

static bool same_key(t3_text a, t3_text b) {
  bool same = a.size == b.size && !memcmp(a.data, b.data, a.size);
  t3_text_free(&a);
  t3_text_free(&b);
  return same;
}

static void the_key_changes_with_a_define_and_with_nothing(void **state) {
  assert_true(same_key(key_with(*state, 1), key_with(*state, 1)));
  assert_false(same_key(key_with(*state, 1), key_with(*state, 2)));
}

static void the_key_changes_with_variables_that_steer_the_compiler_only(void **state) {
  t3_text plain = key_with(*state, 1);
  setenv("CL_CONFIG_CPU_TARGET_ARCH", "core-avx2", 1);
  t3_text steered = key_with(*state, 1);
  unsetenv("CL_CONFIG_CPU_TARGET_ARCH");
  assert_false(same_key(plain, steered));
  static const char *const others[][2] = {{"POCL_CACHE_DIR", "/nonexistent"}, {"POCL_AFFINITY", "0"}};
  for (size_t i = 0; i < 2; ++i) {
    plain = key_with(*state, 1);
    const char *before = getenv(others[i][0]);
    char *kept = before ? strdup(before) : NULL;
    setenv(others[i][0], others[i][1], 1);
    t3_text changed = key_with(*state, 1);
    if (kept)
      setenv(others[i][0], kept, 1);
    else
      unsetenv(others[i][0]);
    free(kept);
    assert_true(same_key(plain, changed));
  }
}

static void every_embedded_source_has_no_include_left(void **state) {
  (void)state;
  assert_true(t3_num_sources >= 3);
  for (size_t i = 0; i < t3_num_sources; ++i) assert_null(strstr(t3_sources[i].text, "#include"));
}

static void a_failed_build_brings_the_whole_log(void **state) {
  const tconv3d_device_info *device = *state;
  tconv3d_context *context = new_context(device);
  t3_text text = {0};
  cl_program program;
  t3_text_append(&text, "__kernel void broken(__global float *y) { y[0] = undeclared_name; }\n");
  assert_int_equal(t3_build_source(context->cl, device, "broken", &text, &program), TCONV3D_BUILD_FAILED);
  assert_non_null(strstr(tconv3d_message(), "broken"));
  assert_non_null(strstr(tconv3d_message(), "undeclared_name"));
  assert_non_null(strstr(tconv3d_message(), "CL_BUILD_PROGRAM_FAILURE"));
  t3_text_free(&text);
  tconv3d_context_destroy(context);
}

static void a_program_without_its_defines_names_what_is_missing(void **state) {
  const tconv3d_device_info *device = *state;
  tconv3d_context *context = new_context(device);
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    t3_text none = {0}, text = {0};
    cl_program program;
    assert_true(t3_program_text(t3_algorithm_at(i)->program, &none, &text));
    assert_int_equal(t3_build_source(context->cl, device, "bare", &text, &program), TCONV3D_BUILD_FAILED);
    assert_non_null(strstr(tconv3d_message(), "required"));
    t3_text_free(&text);
  }
  tconv3d_context_destroy(context);
}

/* An operation that the algorithm serves, by its name. */
/* Without CLBlast its algorithm is refused. */
static bool is_built(size_t algorithm) {
  return strcmp(tconv3d_algorithm_name(algorithm), "gemm") != 0 || !t3_blas_missing();
}

static tconv3d_plan_options options_for(size_t algorithm) {
  static const tconv3d_operation operations[] = {
      [T3_LAYER] = TCONV3D_FORWARD, [T3_WEIGHT_GRADIENT] = TCONV3D_GRAD_WEIGHT, [T3_BIAS_GRADIENT] = TCONV3D_GRAD_BIAS};
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = t3_algorithm_at(algorithm)->name;
  options.operation = operations[t3_algorithm_at(algorithm)->serves];
  return options;
}

static void layers_that_differ_in_depth_and_batch_share_a_program(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_desc flat = small_desc(16), tall = small_desc(16);
  /* As much work, so that the same block is best. */
  flat.input_size[0] = 67, flat.batch = 3, tall.input_size[0] = 100, tall.batch = 2;
  size_t served = 0;
  for (size_t i = 0; tconv3d_algorithm_name(i); ++i) {
    tconv3d_plan_options options = options_for(i);
    tconv3d_plan *first, *second;
    if (!is_built(i)) continue;
    assert_int_equal(tconv3d_plan_create(context, &flat, &options, &first), TCONV3D_OK);
    assert_int_equal(tconv3d_plan_create(context, &tall, &options, &second), TCONV3D_OK);
    assert_int_equal(count_programs(context), ++served);
    assert_ptr_equal(first->program, second->program);
    tconv3d_plan_destroy(first);
    tconv3d_plan_destroy(second);
  }
  tconv3d_context_destroy(context);
}

static void every_launch_is_warm_when_its_plan_is_there(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_desc desc = small_desc(9);
  for (size_t i = 0; tconv3d_algorithm_name(i); ++i) {
    tconv3d_plan_options options = options_for(i);
    tconv3d_plan *plan;
    if (!is_built(i)) continue;
    assert_int_equal(tconv3d_plan_create(context, &desc, &options, &plan), TCONV3D_OK);
    if (plan->recipe.pack.kernel) assert_non_null(strstr(plan->program->warmed.data, plan->recipe.pack.kernel));
    for (int r = 0; r < plan->recipe.num_run; ++r)
      if (plan->recipe.run[r].kernel) assert_non_null(strstr(plan->program->warmed.data, plan->recipe.run[r].kernel));
    tconv3d_plan_destroy(plan);
  }
  tconv3d_context_destroy(context);
}

/* Runs the layer and compares it with the reference. */
static void check_result(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_plan *plan) {
  tconv3d_plan_info info;
  tconv3d_weights *weights;
  assert_int_equal(tconv3d_plan_query(plan, &info), TCONV3D_OK);
  float *x = malloc(info.x_bytes), *w = malloc(info.w_bytes), *y = malloc(info.y_bytes), *expected = malloc(info.y_bytes);
  for (size_t i = 0; i < info.x_bytes / sizeof *x; ++i) x[i] = (float)(i % 7) - 3;
  for (size_t i = 0; i < info.w_bytes / sizeof *w; ++i) w[i] = (float)(i % 5) - 2;
  assert_int_equal(tconv3d_weights_create_host(plan, w, NULL, &weights), TCONV3D_OK);
  assert_int_equal(tconv3d_run(plan, weights, x, y), TCONV3D_OK);
  assert_int_equal(tconv3d_reference_forward(desc, x, w, NULL, expected), TCONV3D_OK);
  assert_memory_equal(y, expected, info.y_bytes);
  tconv3d_weights_destroy(weights);
  free(x), free(w), free(y), free(expected);
  (void)context;
}

/* The key of the program of the layer's plan; the caller frees it. */
static t3_text key_of(const tconv3d_device_info *device, const tconv3d_desc *desc, const char *algorithm) {
  tconv3d_context *context = new_context(device);
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  tconv3d_plan *plan;
  t3_text key = {0};
  assert_int_equal(tconv3d_plan_create(context, desc, &options, &plan), TCONV3D_OK);
  t3_text_append_bytes(&key, plan->program->key.data, plan->program->key.size);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return key;
}

/* Stores a value in place of the program's, as a context of its own. */
static void spoil(const tconv3d_device_info *device, const t3_text *key, const char *value, size_t size) {
  tconv3d_context *context = new_context(device);
  t3_store_put(context->store, key->data, key->size, value, size);
  tconv3d_context_destroy(context);
}

/* How many bytes the store has under the key; 0 when it has nothing. */
static size_t stored_size(const tconv3d_context *context, const t3_text *key) {
  void *value;
  size_t size = 0;
  if (t3_store_get(context->store, key->data, key->size, &value, &size)) free(value);
  return size;
}

static void skip_without_a_store(const tconv3d_device_info *device) {
  tconv3d_context *context = new_context(device);
  bool none = !context->store;
  tconv3d_context_destroy(context);
  if (none) skip();
}

/* A stored value that passes the checksum but is no binary, as after an update of the runtime that changed no version. */
static void a_stored_binary_that_the_device_refuses_is_built_again(void **state) {
  static const char *const values[] = {"", "x", "phase 1 small\n", "classes\n\0not a binary at all"};
  static const size_t sizes[] = {0, 1, 14, 29};
  tconv3d_desc desc = small_desc(7);
  t3_text key = key_of(*state, &desc, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    spoil(*state, &key, values[i], sizes[i]);
    tconv3d_context *context = new_context(*state);
    tconv3d_plan *plan;
    assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
    check_result(context, &desc, plan);
    tconv3d_plan_destroy(plan);
    tconv3d_context_destroy(context);
  }
  t3_text_free(&key);
}

static void a_program_is_stored_when_its_context_is_destroyed_and_not_before(void **state) {
  skip_without_a_store(*state);
  tconv3d_desc desc = small_desc(6);
  t3_text key = key_of(*state, &desc, NULL);
  spoil(*state, &key, "x", 1);
  tconv3d_context *context = new_context(*state);
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  check_result(context, &desc, plan);
  assert_int_equal(stored_size(context, &key), 1);
  tconv3d_context_destroy(context); /* the plan keeps it */
  assert_int_equal(stored_size(context, &key), 1);
  tconv3d_plan_destroy(plan);
  context = new_context(*state);
  assert_true(stored_size(context, &key) > 1);
  tconv3d_context_destroy(context);
  t3_text_free(&key);
}

/* Whether the program that comes from the store for the layer was run with grids of both sizes. */
static bool stored_with_both_grids(const tconv3d_device_info *device, const tconv3d_desc *desc) {
  tconv3d_context *context = new_context(device);
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "direct";
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_plan_create(context, desc, &options, &plan), TCONV3D_OK);
  const char *classes = plan->program->stored.data;
  bool both = classes && strstr(classes, plan->recipe.run[0].kernel) && strstr(classes, "small") && strstr(classes, "large");
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return both;
}

static void what_a_stored_program_was_run_with_adds_up(void **state) {
  skip_without_a_store(*state);
  tconv3d_desc small = small_desc(10), large = small_desc(10);
  large.batch = 500;
  t3_text key = key_of(*state, &small, "direct");
  spoil(*state, &key, "x", 1);
  assert_false(stored_with_both_grids(*state, &small));
  assert_false(stored_with_both_grids(*state, &large));
  assert_true(stored_with_both_grids(*state, &small));
  t3_text_free(&key);
}

static void a_second_context_takes_the_program_from_the_store(void **state) {
  tconv3d_desc desc = small_desc(8);
  tconv3d_context *context = new_context(*state);
  if (!context->store) {
    tconv3d_context_destroy(context);
    skip();
  }
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  context = new_context(*state);
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  /* Only a program that came from the store knows what the stored one had been run with. */
  assert_non_null(plan->program->stored.data);
  check_result(context, &desc, plan);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void without_any_cache_directory_everything_works(void **state) {
  char *kept = strdup(getenv("TCONV3D_CACHE_DIR") ? getenv("TCONV3D_CACHE_DIR") : "");
  setenv("TCONV3D_CACHE_DIR", "/dev/null/nowhere", 1);
  tconv3d_context *context = new_context(*state);
  setenv("TCONV3D_CACHE_DIR", kept, 1);
  free(kept);
  assert_null(context->store);
  tconv3d_desc desc = small_desc(5);
  tconv3d_plan *plan;
  assert_int_equal(tconv3d_plan_create(context, &desc, NULL, &plan), TCONV3D_OK);
  check_result(context, &desc, plan);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
}

static void the_roofline_is_positive(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_roofline roofline = {0};
  assert_int_equal(tconv3d_measure_roofline(context, NULL, &roofline), TCONV3D_OK);
  assert_true(roofline.flops_per_second > 1e6 && roofline.bytes_per_second > 1e6);
  assert_int_equal(tconv3d_measure_roofline(context, NULL, NULL), TCONV3D_INVALID_ARGUMENT);
  tconv3d_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_key_changes_with_a_define_and_with_nothing),
      cmocka_unit_test(the_key_changes_with_variables_that_steer_the_compiler_only),
      cmocka_unit_test(every_embedded_source_has_no_include_left),
      cmocka_unit_test(a_failed_build_brings_the_whole_log),
      cmocka_unit_test(a_program_without_its_defines_names_what_is_missing),
      cmocka_unit_test(layers_that_differ_in_depth_and_batch_share_a_program),
      cmocka_unit_test(every_launch_is_warm_when_its_plan_is_there),
      cmocka_unit_test(a_stored_binary_that_the_device_refuses_is_built_again),
      cmocka_unit_test(a_program_is_stored_when_its_context_is_destroyed_and_not_before),
      cmocka_unit_test(what_a_stored_program_was_run_with_adds_up),
      cmocka_unit_test(a_second_context_takes_the_program_from_the_store),
      cmocka_unit_test(without_any_cache_directory_everything_works),
      cmocka_unit_test(the_roofline_is_positive),
  };
  return cmocka_run_group_tests(tests, open_device, NULL);
}
