/* test_bench.c: `tconv3d bench`: the lists of layers that come with it can be read, and what it prints is what scripts and
 * people were promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/launch.h"

static const char two_layers[] = "first 1 3 2 2,3,4 3 2 1 1 1 1 # a comment\nsecond 1 4 4 2 2,1,2 1 0 0 1 2\n";

/* The layers are checked before a device is looked for, and the lack of one is what the command then complains of. */
static void every_layer_that_comes_with_the_command_is_possible(void **state) {
  static const char *const files[] = {"shapes.txt", "shapes2.txt"};
  const char *folder = getenv("TCONV3D_SHAPES");
  if (!folder || strchr(folder, ' ')) skip();
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
    char arguments[SCRATCH_PATH + 64];
    snprintf(arguments, sizeof arguments, "bench --shapes %s/%s", folder, files[i]);
    launch_refused(*state, NO_PLATFORM, arguments, 1, "OpenCL");
  }
}

static void a_wrong_layer_is_refused_with_its_line(void **state) {
  static const struct {
    const char *text, *words;
  } rows[] = {
      {"", "no shape"},
      {"a 1 3 2 2,3,4 3 2 1 1 1\n", "line 1|10 fields"},
      {"# a comment\na 1 3 2 2,3,4 3 2 1 1 1 1 9\n", "line 2|more than 11"},
      {"a 1 3 2 2,3 3 2 1 1 1 1\n", "line 1|D,H,W|'2,3'"},
      {"a 1 3 2 2,3,4 3 2 1 2 1 1\n", "line 1|output_padding|2"},
      {"a 1 3 2 2,3,4 3 2 1 1 1 2\n", "line 1|groups|2"},
  };
  const struct launch *l = *state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    scratch_write(&l->scratch, "wrong.txt", rows[i].text, strlen(rows[i].text));
    launch_refused(l, NO_PLATFORM, "bench --shapes wrong.txt", 2, rows[i].words);
  }
}

static void measure(const struct launch *l, const char *option, struct process_result *result) {
  char arguments[128];
  scratch_write(&l->scratch, "two.txt", two_layers, strlen(two_layers));
  snprintf(arguments, sizeof arguments, "bench --shapes two.txt --seconds 0.01 %s", option);
  launch_done(l, AS_THEY_ARE, arguments, result);
}

/* Every one of names is a field of line, in their order, and there is no other. */
static void assert_fields(const char *line, const char *const *names, size_t count) {
  size_t fields = 0;
  for (const char *at = line; *at && *at != '\n'; ++at) fields += strncmp(at, "\":", 2) == 0;
  assert_int_equal(fields, count);
  for (size_t i = 0; i < count; ++i) {
    char field[32];
    snprintf(field, sizeof field, "\"%s\":", names[i]);
    line = strstr(line, field);
    if (!line) fail_msg("the field %s is missing or out of order", field);
  }
}

static void json_has_the_fields_in_their_order_and_one_line_a_layer(void **state) {
  static const char *const names[] = {"name",     "op",          "dtype",       "device",    "algo",        "runs",
                                      "median_s", "min_s",       "gflops",      "workspace", "peak_gflops", "copy_gbs",
                                      "cold_s",   "warm_plan_s", "roof_gflops", "layout",    "epilogue"};
  const struct launch *l = *state;
  struct process_result result;
  if (!l->has_device) skip();
  measure(l, "--json", &result);
  char *second = strchr(result.out, '\n');
  assert_non_null(second++);
  assert_ptr_equal(strchr(second, '\n') + 1, result.out + result.out_bytes);
  assert_int_equal(strncmp(result.out, "{\"name\":\"first\"", 15), 0);
  assert_int_equal(strncmp(second, "{\"name\":\"second\"", 16), 0);
  assert_fields(result.out, names, sizeof names / sizeof *names);
  assert_fields(second, names, sizeof names / sizeof *names);
  process_free(&result);
}

/* The number of a field of a line of JSON. */
static double number_of(const char *line, const char *name) {
  char field[32];
  snprintf(field, sizeof field, "\"%s\":", name);
  const char *at = strstr(line, field);
  if (!at) fail_msg("no %s in: %s", field, line);
  return strtod(at + strlen(field), NULL);
}

/* A call computes at most what the roofline's multiply-adds do, timed apart from it; twice that is impossible. */
static void assert_plausible(const char *line, const char *operation) {
  char field[64];
  snprintf(field, sizeof field, "\"op\":\"%s\",", operation);
  if (!strstr(line, field)) fail_msg("no %s in: %s", field, line);
  double median = number_of(line, "median_s"), gflops = number_of(line, "gflops");
  assert_true(number_of(line, "runs") >= 3);
  assert_true(number_of(line, "min_s") > 0 && number_of(line, "min_s") <= median && median < 60);
  assert_true(gflops > 0 && gflops < 2 * number_of(line, "peak_gflops"));
  assert_true(number_of(line, "cold_s") > 0 && number_of(line, "warm_plan_s") > 0 && number_of(line, "copy_gbs") > 0);
  assert_true(number_of(line, "workspace") >= 0 && number_of(line, "roof_gflops") > 0);
}

static void json_names_the_operation_and_its_numbers_are_plausible(void **state) {
  static const char *const operations[] = {"forward", "grad-input", "grad-weight"};
  /* 2 N Cin Cout/groups D H W kD kH kW of the two layers, whichever operation it is. */
  static const double flops[] = {2. * 3 * 2 * 24 * 27, 2. * 4 * 2 * 8 * 4};
  const struct launch *l = *state;
  if (!l->has_device) skip();
  for (size_t i = 0; i < sizeof operations / sizeof *operations; ++i) {
    char option[64];
    struct process_result result;
    snprintf(option, sizeof option, "--json --op %s", operations[i]);
    measure(l, option, &result);
    const char *line = result.out;
    for (int layer = 0; layer < 2; ++layer, line = strchr(line, '\n') + 1) {
      assert_plausible(line, operations[i]);
      double said = number_of(line, "gflops") * number_of(line, "median_s") * 1e9;
      assert_true(said > 0.999 * flops[layer] && said < 1.001 * flops[layer]);
    }
    process_free(&result);
  }
}

static void an_operation_that_cannot_be_measured_is_refused(void **state) {
  const struct launch *l = *state;
  scratch_write(&l->scratch, "two.txt", two_layers, strlen(two_layers));
  launch_refused(l, NO_PLATFORM, "bench --shapes two.txt --op grad-bias --json", 2, "--op|'grad-bias'|grad-weight");
  if (l->has_device)
    launch_refused(l, AS_THEY_ARE, "bench --shapes two.txt --op grad-weight --algo sums --json", 2, "first|'sums'|it computes");
}

static void layouts_and_epilogues_are_measured_or_refused(void **state) {
  static const char *const words[] = {"none", "relu", "prelu", "residual", "affine"};
  const struct launch *l = *state;
  struct process_result result;
  scratch_write(&l->scratch, "two.txt", two_layers, strlen(two_layers));
  launch_refused(l, NO_PLATFORM, "bench --shapes two.txt --layout nhwc", 2, "--layout|'nhwc'|ncdhw or ndhwc");
  launch_refused(l, NO_PLATFORM, "bench --shapes two.txt --epilogue swish", 2, "--epilogue|'swish'|silu|residual");
  if (!l->has_device) skip();
  launch_refused(l, AS_THEY_ARE, "bench --shapes two.txt --epilogue relu --op grad-input --json", 2,
                 "first|epilogue|grad-input");
  for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
    char option[64], end[64];
    const char *layout = i % 4 ? "ncdhw" : "ndhwc";
    snprintf(option, sizeof option, "--layout %s%s%s --json", layout, i ? " --epilogue " : "", i ? words[i] : "");
    measure(l, option, &result);
    snprintf(end, sizeof end, "\"layout\":\"%s\",\"epilogue\":\"%s\"}", layout, words[i]);
    assert_non_null(strstr(result.out, end));
    process_free(&result);
  }
}

static void the_table_ends_with_the_mean_and_has_no_colour_in_a_file(void **state) {
  static const char last[] = "geometric mean of % roof over 2 layers: ";
  const struct launch *l = *state;
  struct process_result result;
  if (!l->has_device) skip();
  measure(l, "", &result);
  char *line = strstr(result.out, last);
  assert_non_null(line);
  char *number = line + strlen(last);
  assert_true(strtod(number, &line) >= 0 && line > number); /* 0 where sanitizers slow tiny layers down */
  assert_string_equal(line, "\n");
  assert_non_null(strstr(result.out, "cold ms"));
  assert_non_null(strstr(result.out, "\nsecond "));
  assert_null(strchr(result.out, '\033'));
  process_free(&result);
}

int main(int argc, char **argv) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_layer_that_comes_with_the_command_is_possible),
      cmocka_unit_test(a_wrong_layer_is_refused_with_its_line),
      cmocka_unit_test(json_has_the_fields_in_their_order_and_one_line_a_layer),
      cmocka_unit_test(json_names_the_operation_and_its_numbers_are_plausible),
      cmocka_unit_test(an_operation_that_cannot_be_measured_is_refused),
      cmocka_unit_test(layouts_and_epilogues_are_measured_or_refused),
      cmocka_unit_test(the_table_ends_with_the_mean_and_has_no_colour_in_a_file),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, launch_set_up, launch_tear_down);
}
