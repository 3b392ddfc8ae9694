/* test_command_run.c: `tconv3d run` and the other commands on a device: results against the plain-C reference, written whole,
 * in x's type. Inputs are small whole numbers, so float32 results are exact. Without a device these tests are skipped. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/command_layer.h"

/* The types of the three files, the bound of their values, and x's rank: 4 leaves the batch axis out. */
struct files {
  enum npy_type x, w, b;
  int span, rank;
};

static void write_files(const struct launch *l, const struct command_layer *layer, const struct files *files) {
  int64_t x[5] = {layer->batch, layer->in, layer->input[0], layer->input[1], layer->input[2]};
  int64_t w[5] = {layer->in, layer->out / layer->groups, layer->kernel[0], layer->kernel[1], layer->kernel[2]};
  launch_numbers(l, "x.npy", files->x, files->rank, x + 5 - files->rank, files->span);
  launch_numbers(l, "w.npy", files->w, 5, w, files->span);
  launch_numbers(l, "b.npy", files->b, 1, &layer->out, 2);
}

/* What y.npy must hold: the reference's result in x's shape and type. */
static void make_expected(const struct launch *l, const struct command_layer *layer, const struct files *files, struct npy *y) {
  struct npy x, w, b;
  struct fault fault = {0};
  int64_t shape[5];
  tconv3d_desc desc = command_layer_desc(layer);
  read_float(l, "x.npy", &x);
  read_float(l, "w.npy", &w);
  read_float(l, "b.npy", &b);
  assert_int_equal(tconv3d_output_shape(&desc, shape), TCONV3D_OK);
  assert_true(npy_make(y, NPY_F32, files->rank, shape + 5 - files->rank, &fault));
  assert_int_equal(tconv3d_reference_forward(&desc, x.data, w.data, layer->bias ? b.data : NULL, y->data), TCONV3D_OK);
  assert_true(npy_convert(y, files->x, &fault));
  npy_free(&x);
  npy_free(&w);
  npy_free(&b);
}

static void check_layer(const struct launch *l, const struct command_layer *layer, const struct files *files,
                        const char *more) {
  char options[COMMAND_OPTIONS], arguments[COMMAND_OPTIONS + 100];
  struct npy expected;
  write_files(l, layer, files);
  command_layer_options(layer, options);
  snprintf(arguments, sizeof arguments, "run x.npy w.npy y.npy %s%s%s", options, layer->bias ? " --bias b.npy" : "", more);
  command_makes(l, arguments, "y.npy");
  make_expected(l, layer, files, &expected);
  assert_array(l, arguments, "y.npy", &expected);
}

/* clang-format off */
static const struct command_layer layers[] = {
    /* N in out groups  input      kernel     stride     padding    out. padding dilation  bias */
    {1,  1, 1,  1,     {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0},   {1, 1, 1}, 0},
    {2,  3, 5,  1,     {3, 4, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0},   {1, 1, 1}, 1},
    {1,  4, 8,  1,     {3, 4, 9}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0},   {1, 1, 1}, 1},
    {1,  4, 6,  2,     {3, 2, 5}, {4, 3, 2}, {2, 3, 1}, {1, 0, 1}, {1, 2, 0},   {1, 1, 2}, 1},
    {2,  3, 2,  1,     {3, 3, 3}, {3, 3, 3}, {2, 2, 2}, {2, 2, 2}, {1, 0, 1},   {2, 2, 2}, 0},
};
/* clang-format on */
enum { NUM_LAYERS = sizeof layers / sizeof *layers };
static const struct files plain = {NPY_F32, NPY_F32, NPY_F32, 4, 5};

#define NEEDS_DEVICE(launch) \
  if (!(launch)->has_device) skip()

static void results_are_exact_with_algorithms_for_layers(void **state) {
  enum { RUN = 3 }; /* what is right about each algorithm is seen by other suites */
  int served = 0;
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < command_cases(NUM_LAYERS); i++) check_layer(*state, &layers[i], &plain, "");
  const char *name;
  char *candidates = command_candidates(*state, "forward");
  for (size_t i = 0; (name = tconv3d_algorithm_name(i)) != NULL; i++) {
    char more[64];
    if (command_answer(candidates, name) != COMMAND_SERVES) continue;
    snprintf(more, sizeof more, " --algo %s", name);
    if (served++ < RUN) check_layer(*state, &layers[2], &plain, more);
  }
  assert_true(served >= RUN);
  free(candidates);
}

static void an_input_without_a_batch_axis_gives_such_a_result(void **state) {
  static const struct files files = {NPY_F32, NPY_F32, NPY_F32, 4, 4};
  NEEDS_DEVICE((struct launch *)*state);
  check_layer(*state, &layers[2], &files, "");
}

static void an_empty_batch_gives_an_empty_file(void **state) {
  struct command_layer layer = layers[1];
  NEEDS_DEVICE((struct launch *)*state);
  layer.batch = 0;
  check_layer(*state, &layer, &plain, "");
}

static void float16_results_are_rounded_once_and_types_may_be_mixed(void **state) {
  static const struct files mixes[] = {
      {NPY_F16, NPY_F32, NPY_F32, 60, 5},
      {NPY_F16, NPY_F16, NPY_F16, 60, 5},
      {NPY_F32, NPY_F16, NPY_F16, 60, 5},
      {NPY_F32, NPY_F16, NPY_F32, 60, 4},
  };
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < command_cases(sizeof mixes / sizeof *mixes); i++) check_layer(*state, &layers[2], &mixes[i], "");
}

/* x = 1, 2 and w = 1, 10, 100 with stride 2: y = 1, 10, 100 + 2, 20, 200; worked out by hand. */
static void a_result_known_by_heart_comes_out(void **state) {
  static const int64_t x_shape[] = {1, 1, 1, 1, 2}, w_shape[] = {1, 1, 1, 1, 3};
  static const float x_values[] = {1, 2}, w_values[] = {1, 10, 100}, y_values[] = {1, 10, 102, 20, 200};
  const struct launch *l = *state;
  char path[SCRATCH_PATH];
  struct npy x = {NPY_F32, 5, {0}, 2, (void *)(uintptr_t)x_values}, w = {NPY_F32, 5, {0}, 3, (void *)(uintptr_t)w_values}, y;
  struct fault fault = {0};
  struct process_result result;
  NEEDS_DEVICE(l);
  memcpy(x.shape, x_shape, sizeof x_shape);
  memcpy(w.shape, w_shape, sizeof w_shape);
  assert_true(npy_write(scratch_path(&l->scratch, "x.npy", path), &x, &fault));
  assert_true(npy_write(scratch_path(&l->scratch, "w.npy", path), &w, &fault));
  launch_done(l, AS_THEY_ARE, "run x.npy w.npy y.npy --stride 1,1,2", &result);
  process_free(&result);
  launch_array(l, "y.npy", &y);
  assert_int_equal(y.count, 5);
  assert_memory_equal(y.data, y_values, sizeof y_values);
  npy_free(&y);
}

static void an_output_size_chooses_the_output_padding(void **state) {
  const struct launch *l = *state;
  struct npy y;
  struct process_result result;
  static const int64_t sizes[2][3] = {{5, 7, 9}, {6, 8, 10}};
  NEEDS_DEVICE(l);
  static const struct command_layer layer = {1, 2, 3, 1, {3, 4, 5}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 0};
  write_files(l, &layer, &plain);
  for (int i = 0; i < 2; i++) {
    char arguments[128];
    snprintf(arguments, sizeof arguments,
             "run x.npy w.npy y.npy --stride 2 --padding 1 --output-size %" PRId64 ",%" PRId64 ",%" PRId64, sizes[i][0],
             sizes[i][1], sizes[i][2]);
    launch_done(l, AS_THEY_ARE, arguments, &result);
    process_free(&result);
    launch_array(l, "y.npy", &y);
    assert_memory_equal(y.shape + 2, sizes[i], sizeof sizes[i]);
    npy_free(&y);
  }
}

static void the_result_may_replace_an_input(void **state) {
  const struct launch *l = *state;
  struct npy expected;
  struct process_result result;
  NEEDS_DEVICE(l);
  static const struct command_layer layer = {1, 2, 3, 1, {2, 2, 3}, {2, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 0};
  write_files(l, &layer, &plain);
  make_expected(l, &layer, &plain, &expected);
  launch_done(l, AS_THEY_ARE, "run x.npy w.npy x.npy", &result);
  process_free(&result);
  assert_array(l, "x.npy", "x.npy", &expected);
}

static void the_result_can_go_to_stdout(void **state) {
  const struct launch *l = *state;
  struct process_result result;
  NEEDS_DEVICE(l);
  static const struct command_layer layer = {1, 1, 1, 1, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 0};
  write_files(l, &layer, &plain);
  launch_done(l, AS_THEY_ARE, "run x.npy w.npy /dev/stdout", &result);
  assert_int_equal(result.out_bytes, 128 + 8 * sizeof(float));
  assert_memory_equal(result.out, "\x93NUMPY", 6);
  process_free(&result);
}

static void failures_on_a_device_leave_nothing_behind(void **state) {
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  write_files(l, &layers[2], &plain);
  char path[SCRATCH_PATH];
  unlink(scratch_path(&l->scratch, "y.npy", path));
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy y.npy --device nosuchdevice", 2, "--device|'nosuchdevice'");
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy y.npy --device 99:0", 2, "--device|'99:0'");
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy y.npy --device 0:99", 2, "--device|'0:99'");
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy y.npy --stride 20000", 1, "bytes");
  if (!access("/dev/full", W_OK)) launch_refused(l, AS_THEY_ARE, "run x.npy w.npy /dev/full", 1, "/dev/full");
}

static void an_output_that_leads_nowhere_is_refused(void **state) {
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  write_files(l, &layers[2], &plain);
  char link[SCRATCH_PATH], fifo[SCRATCH_PATH];
  scratch_path(&l->scratch, "link.npy", link);
  scratch_path(&l->scratch, "fifo.npy", fifo);
  assert_int_equal(symlink("nowhere/y.npy", link), 0);
  assert_int_equal(mkfifo(fifo, 0600), 0);
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy link.npy", 2, "link.npy");
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy fifo.npy", 2, "fifo.npy"); /* nobody reads it: no waiting */
  launch_refused(l, AS_THEY_ARE, "run x.npy w.npy y.npy --device=", 2, "--device");
  unlink(link);
  unlink(fifo);
}

static void options_may_follow_files_and_path_may_be_bare(void **state) {
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  struct process_result result;
  write_files(l, &layers[2], &plain);
  char *path = strdup(getenv("PATH") ? getenv("PATH") : "");
  setenv("POSIXLY_CORRECT", "1", 1);
  setenv("PATH", "/nonexistent", 1);
  launch_done(l, AS_THEY_ARE, "run x.npy w.npy y.npy --stride 2", &result);
  setenv("PATH", path, 1);
  unsetenv("POSIXLY_CORRECT");
  free(path);
  process_free(&result);
}

static void verbose_says_on_stderr_what_was_used(void **state) {
  const struct launch *l = *state;
  struct process_result result;
  NEEDS_DEVICE(l);
  write_files(l, &layers[2], &plain);
  launch(l, AS_THEY_ARE, "run x.npy w.npy y.npy --stride 2 --verbose", &result);
  assert_int_equal(result.exit_code, 0);
  assert_int_equal(result.out_bytes, 0);
  static const char *const words[] = {"device ", "chosen", "workspace", "plan ", "weights ", "run "};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (!strstr(result.err, words[i])) fail_msg("no '%s' in: %s", words[i], result.err);
  process_free(&result);
}

static void explain_tells_shape_algorithm_and_memory(void **state) {
  static const struct {
    const char *arguments, *words[4];
  } rows[] = {
      {"explain --input 2,4,5,6,7 --channels 8 --kernel 3 --stride 2",
       {"(2, 8, 11, 13, 15)", "chosen", "workspace", "packed weights"}},
      {"explain --input 4,5,6,7 --channels 8 --kernel 3,1,1 --no-bias", {"(8, 7, 6, 7)", "chosen", "algorithm", "device"}},
      {"explain --input 0,4,5,6,7 --channels 8 --kernel 1", {"(0, 8, 5, 6, 7)", "", "", ""}},
      {"explain --input 4,5,6,7 --channels 8 --kernel 3 --stride 2 --output-size 12,13,16", {"(8, 12, 13, 16)", "", "", ""}},
      {"explain --input 4,5,6,7 --channels 8 --kernel 3 --algo direct", {"algorithm        direct", "", "", ""}},
  };
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct process_result result;
    launch_done(*state, AS_THEY_ARE, rows[i].arguments, &result);
    for (int w = 0; w < 4; w++)
      if (!strstr(result.out, rows[i].words[w]))
        fail_msg("tconv3d %s: no '%s' in: %s", rows[i].arguments, rows[i].words[w], result.out);
    process_free(&result);
  }
}

static void the_doctor_finds_a_healthy_machine_healthy(void **state) {
  struct process_result result;
  NEEDS_DEVICE((struct launch *)*state);
  launch_done(*state, AS_THEY_ARE, "doctor", &result);
  static const char *const words[] = {"tconv3d 0.1.0", "OpenCL loader", "0:0", "layers exact", "program cache"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (!strstr(result.out, words[i])) fail_msg("no '%s' in: %s", words[i], result.out);
  static const char *const lines[] = {"\n    each ", "\n    sums "}; /* these serve every gradient of theirs, on any device */
  for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i) {
    const char *line = strstr(result.out, lines[i]);
    assert_non_null(line);
    assert_int_equal(strncmp(line + strcspn(line, ":"), ": 4 layers", 10), 0);
  }
  assert_null(strchr(result.out, '\033')); /* no colour where no person reads */
  process_free(&result);
}

static void tunings_are_found_shown_and_carried_to_another_cache(void **state) {
  static const char shapes[] = "tiny 1 2 3 3,4,5 3 2 1 1 1 1\n";
  static const char explain[] = "explain --input 2,3,4,5 --channels 3 --kernel 3 --stride 2 --padding 1 --output-padding 1";
  const struct launch *l = *state;
  char path[SCRATCH_PATH];
  NEEDS_DEVICE(l);
  char *before = strdup(getenv("TCONV3D_CACHE_DIR") ? getenv("TCONV3D_CACHE_DIR") : "");
  setenv("TCONV3D_CACHE_DIR", scratch_path(&l->scratch, "cache", path), 1);
  scratch_write(&l->scratch, "shapes.txt", shapes, sizeof shapes - 1);
  struct process_result result;
  launch_done(l, AS_THEY_ARE, "cache", &result);
  const bool cached = !strstr(result.out, "no cache");
  process_free(&result);
  launch_says(l, AS_THEY_ARE, "tune --shapes shapes.txt --seconds 0.001 --candidates 2",
              cached ? "layer|ratio|winner|tiny|prediction / tuned|geometric mean" : "tiny|not stored");
  if (cached) {
    launch_says(l, AS_THEY_ARE, explain, "chosen as tuned (measured ");
    launch_says(l, NO_PLATFORM, "tune --export tunings.txt", "1 tuning exported to tunings.txt");
    launch_says(l, NO_PLATFORM, "cache", "of them 1 tunings");
    launch_says(l, NO_PLATFORM, "cache clear", "");
    launch_says(l, AS_THEY_ARE, explain, "chosen as the least predicted time");
    launch_says(l, NO_PLATFORM, "tune --import tunings.txt", "1 tuning imported from tunings.txt");
    launch_says(l, AS_THEY_ARE, explain, "chosen as tuned (measured ");
    launch_says(l, NO_PLATFORM, "tune --export /dev/stdout", "tconv3d tunings 1|layer 1 2 3 3,4,5 3,3,3 2,2,2 1,1,1 1,1,1");
  }
  setenv("TCONV3D_CACHE_DIR", before, 1);
  free(before);
}

int main(int argc, char **argv) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_are_exact_with_algorithms_for_layers),
      cmocka_unit_test(an_input_without_a_batch_axis_gives_such_a_result),
      cmocka_unit_test(an_empty_batch_gives_an_empty_file),
      cmocka_unit_test(float16_results_are_rounded_once_and_types_may_be_mixed),
      cmocka_unit_test(a_result_known_by_heart_comes_out),
      cmocka_unit_test(an_output_size_chooses_the_output_padding),
      cmocka_unit_test(the_result_may_replace_an_input),
      cmocka_unit_test(the_result_can_go_to_stdout),
      cmocka_unit_test(failures_on_a_device_leave_nothing_behind),
      cmocka_unit_test(an_output_that_leads_nowhere_is_refused),
      cmocka_unit_test(options_may_follow_files_and_path_may_be_bare),
      cmocka_unit_test(verbose_says_on_stderr_what_was_used),
      cmocka_unit_test(explain_tells_shape_algorithm_and_memory),
      cmocka_unit_test(tunings_are_found_shown_and_carried_to_another_cache),
      cmocka_unit_test(the_doctor_finds_a_healthy_machine_healthy),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, launch_set_up, launch_tear_down);
}
