/* Programs for others to build, and the directory of binaries: what identifies one, when it is taken, and what is said when
 * nothing may be built. The command's side, results included, is check_offline.py's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/plan.h"
#include "support/scratch.h"

struct place {
  struct scratch scratch;
  tconv3d_device_info device;
  char *cache; /* TCONV3D_CACHE_DIR as it was, or NULL */
};

/* Each test begins without any cache and with an empty directory of binaries. */
static int set_up(void **state) {
  static struct place place;
  const char *cache = getenv("TCONV3D_CACHE_DIR");
  if (tconv3d_device_select(getenv("TCONV3D_TEST_DEVICE"), &place.device) != TCONV3D_OK) return -1;
  place.cache = cache ? strdup(cache) : NULL;
  scratch_open(&place.scratch);
  setenv("TCONV3D_CACHE_DIR", "/dev/null", 1);
  setenv("TCONV3D_BINARY_DIR", place.scratch.folder, 1);
  unsetenv("TCONV3D_NO_BUILD");
  *state = &place;
  return 0;
}

static int tear_down(void **state) {
  struct place *place = *state;
  unsetenv("TCONV3D_BINARY_DIR");
  unsetenv("TCONV3D_NO_BUILD");
  if (place->cache) setenv("TCONV3D_CACHE_DIR", place->cache, 1);
  free(place->cache);
  scratch_close(&place->scratch);
  return 0;
}

static tconv3d_context *new_context(const struct place *place) {
  tconv3d_context *context;
  assert_int_equal(tconv3d_context_create(&place->device.device, 1, &context), TCONV3D_OK);
  return context;
}

/* So small that a task serves it even where loops end early: T3_FEW_ROUNDS. */
static tconv3d_desc small_desc(int64_t channels) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = channels, desc.out_channels = 2;
  desc.input_size[0] = 2, desc.input_size[1] = 3, desc.input_size[2] = 5;
  TCONV3D_ALL_AXES(desc.kernel_size, 2);
  TCONV3D_ALL_AXES(desc.stride, 2);
  return desc;
}

static tconv3d_plan_options pipelined(void) {
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = "pipeline";
  return options;
}

static tconv3d_program program_of(const struct place *place, int64_t channels, int build) {
  tconv3d_program program;
  tconv3d_context *context = new_context(place);
  tconv3d_desc desc = small_desc(channels);
  tconv3d_plan_options options = pipelined();
  assert_int_equal(tconv3d_program_create(context, &desc, &options, build, &program), TCONV3D_OK);
  tconv3d_context_destroy(context);
  return program;
}

static void write_part(const struct place *place, const char *name, const char *ending, const void *bytes, size_t count) {
  char file[64];
  snprintf(file, sizeof file, "%s.%s", name, ending);
  scratch_write(&place->scratch, file, bytes, count);
}

/* The layer's plan in a context of its own; whether its program is the directory's. */
static tconv3d_status plan_of(const struct place *place, int64_t channels, bool *offline) {
  tconv3d_plan *plan;
  tconv3d_context *context = new_context(place);
  tconv3d_desc desc = small_desc(channels);
  tconv3d_plan_options options = pipelined();
  tconv3d_status status = tconv3d_plan_create(context, &desc, &options, &plan);
  if (status == TCONV3D_OK) *offline = plan->program->offline;
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return status;
}

static void assert_no_binary(tconv3d_status status, const char *name, const char *words) {
  assert_int_equal(status, TCONV3D_NO_BINARY);
  assert_non_null(strstr(tconv3d_message(), name));
  assert_non_null(strstr(tconv3d_message(), words));
  assert_non_null(strstr(tconv3d_message(), "tconv3d program dump"));
  assert_null(strchr(tconv3d_message(), '\n'));
}

static void a_name_is_the_same_at_every_time_and_another_for_another_program(void **state) {
  tconv3d_program first = program_of(*state, 2, 0), again = program_of(*state, 2, 1), other = program_of(*state, 3, 0);
  assert_int_equal(strlen(first.name), 32);
  assert_int_equal(strspn(first.name, "0123456789abcdef"), 32);
  assert_string_equal(first.name, again.name);
  assert_string_equal(first.key, again.key);
  assert_string_equal(first.source, again.source);
  assert_string_not_equal(first.name, other.name);
  assert_null(first.binary);
  assert_string_equal(first.binary_hash, "");
  assert_true(again.binary && again.binary_bytes > 0);
  assert_int_equal(strlen(again.binary_hash), 32);
  assert_int_equal(first.key_bytes, strlen(first.key));
  tconv3d_program_free(&first);
  tconv3d_program_free(&again);
  tconv3d_program_free(&other);
  tconv3d_program_free(&other); /* zeroed: passes */
  tconv3d_program_free(NULL);
}

/* XXH3's 128-bit hash of nothing, from its specification: the names of files outlive a library version. */
static void a_hash_is_written_in_the_canonical_order(void **state) {
  char name[T3_PROGRAM_NAME];
  (void)state;
  t3_hash_name("", 0, name);
  assert_string_equal(name, "99aa06d3014798d86001c324468d497f");
}

static void a_program_says_what_it_is_for(void **state) {
  const struct place *place = *state;
  tconv3d_program program = program_of(place, 2, 0);
  const char *const words[] = {program.name,
                               "layer 1 2 2 2,3,5",
                               place->device.name,
                               "kernel pipeline_pack: 1 work-items",
                               "kernel pipeline: 1 work-items",
                               "GROUP_IN=2"};
  for (size_t i = 0; i < sizeof words / sizeof *words; ++i) assert_non_null(strstr(program.description, words[i]));
  assert_ptr_equal(strstr(program.source, "#define "), program.source);
  assert_null(strstr(program.source, "#include"));
  assert_string_equal(program.options, "-cl-std=CL1.2");
  tconv3d_program_free(&program);
}

static void a_binary_is_taken_beside_its_key_alone(void **state) {
  const struct place *place = *state;
  tconv3d_program program = program_of(place, 2, 1);
  bool offline = true;
  setenv("TCONV3D_NO_BUILD", "1", 1);
  assert_no_binary(plan_of(place, 2, &offline), program.name, "no such file");
  write_part(place, program.name, "bin", program.binary, program.binary_bytes);
  assert_no_binary(plan_of(place, 2, &offline), program.name, ".key");
  write_part(place, program.name, "key", program.key, program.key_bytes - 1);
  assert_no_binary(plan_of(place, 2, &offline), program.name, "another program");
  write_part(place, program.name, "key", program.key, program.key_bytes);
  assert_int_equal(plan_of(place, 2, &offline), TCONV3D_OK);
  assert_true(offline);
  assert_int_equal(plan_of(place, 3, &offline), TCONV3D_NO_BINARY);
  write_part(place, program.name, "sum", program.binary_hash, 32);
  assert_int_equal(plan_of(place, 2, &offline), TCONV3D_OK);
  program.binary_hash[31] ^= 1;
  write_part(place, program.name, "sum", program.binary_hash, 32);
  assert_no_binary(plan_of(place, 2, &offline), program.name, "damaged");
  tconv3d_program_free(&program);
}

/* By choice; which algorithm it is. */
static tconv3d_status choice_of(const struct place *place, char *algorithm, size_t capacity) {
  tconv3d_plan *plan;
  tconv3d_plan_info info = {.algorithm = ""};
  tconv3d_context *context = new_context(place);
  tconv3d_desc desc = small_desc(2);
  tconv3d_status status = tconv3d_plan_create(context, &desc, NULL, &plan);
  if (status == TCONV3D_OK) assert_int_equal(tconv3d_plan_query(plan, &info), TCONV3D_OK);
  snprintf(algorithm, capacity, "%s", info.algorithm);
  tconv3d_plan_destroy(plan);
  tconv3d_context_destroy(context);
  return status;
}

static void the_choice_goes_on_to_what_has_a_binary(void **state) {
  const struct place *place = *state;
  char algorithm[32];
  tconv3d_program preferred, program = program_of(place, 2, 1);
  tconv3d_context *context = new_context(place);
  tconv3d_desc desc = small_desc(2);
  assert_int_equal(tconv3d_program_create(context, &desc, NULL, 0, &preferred), TCONV3D_OK);
  setenv("TCONV3D_NO_BUILD", "1", 1);
  assert_no_binary(choice_of(place, algorithm, sizeof algorithm), preferred.name, "neither has any of the");
  write_part(place, program.name, "bin", program.binary, program.binary_bytes);
  write_part(place, program.name, "key", program.key, program.key_bytes);
  assert_int_equal(choice_of(place, algorithm, sizeof algorithm), TCONV3D_OK);
  assert_string_equal(algorithm, "pipeline");
  tconv3d_program_free(&preferred);
  tconv3d_program_free(&program);
  tconv3d_context_destroy(context);
}

static void what_the_device_refuses_is_built_where_that_is_allowed(void **state) {
  const struct place *place = *state;
  if (strstr(place->device.platform_name, "rusticl")) {
    print_message("# rusticl 22.3 ends the process at bytes that are no binary of its own\n");
    skip();
  }
  tconv3d_program program = program_of(place, 2, 0);
  bool offline = true;
  write_part(place, program.name, "bin", "no binary", 9);
  write_part(place, program.name, "key", program.key, program.key_bytes);
  assert_int_equal(plan_of(place, 2, &offline), TCONV3D_OK);
  assert_false(offline);
  setenv("TCONV3D_NO_BUILD", "1", 1);
  assert_no_binary(plan_of(place, 2, &offline), program.name, "does not take it");
  setenv("TCONV3D_NO_BUILD", "0", 1);
  assert_int_equal(plan_of(place, 2, &offline), TCONV3D_OK);
  tconv3d_program_free(&program);
}

static void nothing_is_built_for_a_measurement_or_a_tuning_either(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_roofline roofline;
  tconv3d_program program;
  tconv3d_desc desc = small_desc(2);
  setenv("TCONV3D_NO_BUILD", "1", 1);
  unsetenv("TCONV3D_BINARY_DIR");
  assert_int_equal(tconv3d_measure_roofline(context, NULL, &roofline), TCONV3D_NO_BINARY);
  assert_non_null(strstr(tconv3d_message(), "TCONV3D_BINARY_DIR, which would name its directory, is not set"));
  assert_int_equal(tconv3d_tune(context, &desc, NULL, NULL), TCONV3D_NO_BINARY);
  assert_int_equal(tconv3d_program_create(context, &desc, NULL, 1, &program), TCONV3D_NO_BINARY);
  assert_null(program.source);
  assert_int_equal(tconv3d_program_create(context, &desc, NULL, 0, &program), TCONV3D_OK);
  tconv3d_program_free(&program);
  tconv3d_context_destroy(context);
}

static void wrong_arguments_are_refused(void **state) {
  tconv3d_context *context = new_context(*state);
  tconv3d_program program;
  tconv3d_desc desc = small_desc(0);
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  assert_int_equal(tconv3d_program_create(NULL, &desc, NULL, 0, &program), TCONV3D_INVALID_ARGUMENT);
  assert_int_equal(tconv3d_program_create(context, &desc, NULL, 0, NULL), TCONV3D_INVALID_ARGUMENT);
  assert_int_equal(tconv3d_program_create(context, &desc, NULL, 0, &program), TCONV3D_INVALID_PARAMETER);
  desc = small_desc(2);
  options.algorithm = "no such";
  assert_int_equal(tconv3d_program_create(context, &desc, &options, 0, &program), TCONV3D_UNSUPPORTED);
  options.struct_size = 1;
  assert_int_equal(tconv3d_program_create(context, &desc, &options, 0, &program), TCONV3D_INVALID_ARGUMENT);
  assert_null(program.key);
  tconv3d_context_destroy(context);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(a_name_is_the_same_at_every_time_and_another_for_another_program),
      T(a_hash_is_written_in_the_canonical_order),
      T(a_program_says_what_it_is_for),
      T(a_binary_is_taken_beside_its_key_alone),
      T(the_choice_goes_on_to_what_has_a_binary),
      T(what_the_device_refuses_is_built_where_that_is_allowed),
      T(nothing_is_built_for_a_measurement_or_a_tuning_either),
      T(wrong_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
