/* test_command.c: what `tconv3d` promises to scripts: exit status, one line of error, nothing on stdout and no file after a
 * failure. Wrong uses are refused before any device is opened, so all of them run without OpenCL platforms. */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/launch.h"

/* ---- help and version ---- */

static void help_and_version_go_to_stdout(void **state) {
  static const struct refusal rows[] = {
      {"--version", "tconv3d 0.1.0\n"},
      {"-V", "tconv3d 0.1.0\n"},
      {"--help", "Usage: tconv3d|run|grad-input|grad-weight|grad-bias|upsample|bench|explain|devices|doctor|cache|tune"},
      {"-h", "Usage: tconv3d"},
      {"help", "Usage: tconv3d"},
      {"run --help",
       "Usage: tconv3d run|X.npy W.npy Y.npy|--bias|--stride|--padding|--output-padding|--dilation|--groups|--output-size"},
      {"run --help", "--device|--algo|--verbose"},
      {"help run", "Usage: tconv3d run"},
      {"run --stride 2 x --help", "Usage: tconv3d run"},
      {"grad-input --help",
       "Usage: tconv3d grad-input|GY.npy W.npy GX.npy|--stride|--padding|--output-padding|--dilation|--groups"},
      {"grad-weight --help",
       "Usage: tconv3d grad-weight|X.npy GY.npy GW.npy|--kernel|--stride|--output-padding|--groups|--algo"},
      {"grad-bias --help", "Usage: tconv3d grad-bias|GY.npy GB.npy|--device|--algo|--verbose"},
      {"help grad-bias", "Usage: tconv3d grad-bias"},
      {"upsample --help", "Usage: tconv3d upsample|--factor|--kernel|--png"},
      {"bench --help", "Usage: tconv3d bench|--shapes|--op|forward|grad-input|grad-weight|--seconds|--json|--algo"},
      {"tune --help",
       "Usage: tconv3d tune|--shapes|--op|grad-bias|--seconds|--candidates|--clblast|--export|--import|--device|cache clear"},
      {"explain --help", "Usage: tconv3d explain|--input|--channels|--kernel|--op|grad-bias"},
      {"devices --help", "Usage: tconv3d devices"},
      {"doctor --help", "Usage: tconv3d doctor"},
      {"cache --help", "Usage: tconv3d cache|show|clear"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct process_result result;
    launch_done(*state, NO_PLATFORM, rows[i].arguments, &result);
    char words[256];
    snprintf(words, sizeof words, "%s", rows[i].words);
    for (char *rest = words, *word; (word = strsep(&rest, "|")) != NULL;)
      if (!strstr(result.out, word)) fail_msg("tconv3d %s: no '%s' in: %s", rows[i].arguments, word, result.out);
    process_free(&result);
  }
}

static void a_stdout_that_is_full_is_an_error(void **state) {
  const struct launch *l = *state;
  if (access("/dev/full", W_OK)) skip();
  static const char *const options[] = {"--version", "--help"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    const char *arguments[] = {l->command, "run", options[i], NULL};
    if (strcmp(options[i], "--version") == 0) arguments[1] = options[i], arguments[2] = NULL;
    struct process process = {arguments, NULL, l->scratch.folder, "/dev/full", 60};
    struct process_result result;
    assert_true(process_run(&process, &result));
    assert_int_equal(result.exit_code, 1);
    assert_string_equal(result.err, "tconv3d: error: cannot write to standard output\n");
    process_free(&result);
  }
}

/* ---- wrong words ---- */

static void commands_that_are_not_there_are_refused(void **state) {
  static const struct refusal rows[] = {
      {"", "command"},
      {"bogus", "'bogus'"},
      {"--bogus", "'--bogus'"},
      {"-x", "'-x'"},
      {"ru", "'ru'"},
      {"run-", "'run-'"},
      {"help bogus", "'bogus'"},
      {"grad gy.npy w.npy gx.npy", "'grad'"},
      {"grad-inputs gy.npy w.npy gx.npy", "'grad-inputs'"},
      {"convolution x.npy w.npy y.npy", "'convolution'"},
  };
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void options_that_are_wrong_are_refused_by_name(void **state) {
  static const struct refusal rows[] = {
      {"run --bogus x.npy w.npy y.npy", "--bogus"},
      {"run --bogus=3 x.npy w.npy y.npy", "--bogus"},
      {"run x.npy w.npy y.npy -q", "-q"},
      {"run -vq x.npy w.npy y.npy", "-q"},
      {"run -qv x.npy w.npy y.npy", "-q"},
      {"run --out 3 x.npy w.npy y.npy", "--out|ambiguous|--output-size|--output-padding"},
      {"run x.npy w.npy y.npy --stride", "--stride|value"},
      {"run x.npy w.npy y.npy --strid", "--stride|value"},
      {"run x.npy w.npy y.npy -d", "-d|value"},
      {"run --verbose=1 x.npy w.npy y.npy", "--verbose|no value"},
      {"run --stride= x.npy w.npy y.npy", "--stride"},
      {"run --stride two x.npy w.npy y.npy", "--stride|'two'"},
      {"run --stride 2.0 x.npy w.npy y.npy", "--stride|'2.0'"},
      {"run --stride 2x x.npy w.npy y.npy", "--stride|'2x'"},
      {"run --stride +2 x.npy w.npy y.npy", "--stride|'+2'"},
      {"run --stride 2,2 x.npy w.npy y.npy", "--stride|'2,2'"},
      {"run --stride 2,2,2,2 x.npy w.npy y.npy", "--stride|'2,2,2,2'"},
      {"run --stride 2,,2 x.npy w.npy y.npy", "--stride|'2,,2'"},
      {"run --stride ,2,2 x.npy w.npy y.npy", "--stride|',2,2'"},
      {"run --stride 2,2, x.npy w.npy y.npy", "--stride|'2,2,'"},
      {"run --stride - x.npy w.npy y.npy", "--stride|'-'"},
      {"run --stride -,1,1 x.npy w.npy y.npy", "--stride|'-,1,1'"},
      {"run --stride 9223372036854775808 x.npy w.npy y.npy", "--stride|63 bits"},
      {"run --padding 99999999999999999999999 x.npy w.npy y.npy", "--padding|63 bits"},
      {"run --groups 1,1 x.npy w.npy y.npy", "--groups|'1,1'"},
      {"run --groups one x.npy w.npy y.npy", "--groups|'one'"},
      {"run --output-size 4 --output-padding 0 x.npy w.npy y.npy", "--output-size|--output-padding"},
      {"run --algo nosuch x.npy w.npy y.npy", "--algo|'nosuch'|phase|direct"},
      {"run", "three files"},
      {"run x.npy", "three files"},
      {"run x.npy w.npy", "three files"},
      {"run x.npy w.npy y.npy z.npy", "'z.npy'"},
      {"explain", "--input"},
      {"explain --input 1,2,3,3,3 --kernel 3", "--channels"},
      {"explain --input 1,2,3,3,3 --channels 3", "--kernel"},
      {"explain --input 1,2,3 --channels 3 --kernel 3", "--input|'1,2,3'"},
      {"explain --input 1,2,3,4,5,6 --channels 3 --kernel 3", "--input|'1,2,3,4,5,6'"},
      {"explain --input 1,2,3,3,3 --channels 3 --kernel 3 --algo nosuch", "--algo|'nosuch'"},
      {"explain x --input 1,2,3,3,3 --channels 3 --kernel 3", "'x'"},
      {"explain --input 1,2,3,3,3 --channels 3 --kernel 3 --op nosuch", "--op|'nosuch'|grad-weight, grad-bias"},
      {"devices x", "'x'"},
      {"devices --all", "--all"},
      {"doctor x", "'x'"},
      {"cache burn", "'burn'"},
      {"cache show clear", "'clear'"},
      {"upsample", "tconv3d: error:"},
      {"upsample nothing.nii y.nii", "nothing.nii"},
      {"upsample --bogus a b", "--bogus"},
      {"bench --bogus", "--bogus"},
      {"bench --algo nosuch", "'nosuch'"},
      {"bench --op", "--op|value"},
      {"bench --op nosuch", "--op|'nosuch'|forward, grad-input, grad-weight"},
      {"bench --op grad-bias", "--op|'grad-bias'|forward, grad-input, grad-weight"},
      {"bench --op convolution", "--op|'convolution'"},
      {"bench --shapes nothing.txt", "nothing.txt"},
      {"tune x", "'x'"},
      {"tune --op nosuch", "--op|'nosuch'|grad-weight, grad-bias"},
      {"tune --op convolution", "--op|'convolution'"},
      {"tune --seconds 0", "--seconds|'0'"},
      {"tune --seconds soon", "--seconds|'soon'"},
      {"tune --candidates 0", "--candidates|'0'"},
      {"tune --candidates few", "--candidates|'few'"},
      {"tune --algo phase", "--algo"},
      {"tune --clblast=f16", "--clblast|'f16'|f32 or f64"},
      {"tune --clblast-seconds 0", "--clblast-seconds|'0'"},
      {"tune --clblast --clblast-seconds 1e9", "--clblast-seconds|'1e9'|86400"},
      {"tune --shapes nothing.txt", "nothing.txt"},
      {"tune --import nothing.txt", "--import|nothing.txt"},
      {"tune --export nowhere/tunings.txt", "nowhere/tunings.txt"},
  };
  LAUNCH_REFUSE_ALL(*state, rows);
}

/* ---- wrong layers ---- */

static void layers_that_break_a_rule_are_refused_without_a_device(void **state) {
  static const struct refusal rows[] = {
      {"run x.npy w.npy y.npy --stride 0", "stride|0|at least 1"},
      {"run x.npy w.npy y.npy --stride 1,0,1", "stride|axis H"},
      {"run x.npy w.npy y.npy --stride -1", "stride|-1"},
      {"run x.npy w.npy y.npy --dilation 0", "dilation|0"},
      {"run x.npy w.npy y.npy --padding -1", "padding|-1"},
      {"run x.npy w.npy y.npy --padding=-1", "padding|-1"},
      {"run x.npy w.npy y.npy --padding 0,0,-2", "padding|axis W|-2"},
      {"run x.npy w.npy y.npy --output-padding 1", "output_padding|1"},
      {"run x.npy w.npy y.npy --stride 2 --output-padding 0,2,0", "output_padding|axis H|2"},
      {"run x.npy w.npy y.npy --output-padding -1", "output_padding|-1"},
      {"run x.npy w.npy y.npy --padding 9", "output size|axis D"},
      {"run x.npy w.npy y.npy --groups 0", "groups|0"},
      {"run x.npy w.npy y.npy --groups -3", "groups|-3"},
      {"run x.npy w.npy y.npy --groups 3", "groups|3|4"},
      {"run x.npy w.npy y.npy --groups 9223372036854775807", "groups"},
      {"run x.npy w.npy y.npy --stride 2 --output-size 4,6,8", "axis D|4"},
      {"run x.npy w.npy y.npy --stride 2 --output-size 5,7,11", "axis W|11"},
      {"run x.npy w.npy y.npy --output-size -5", "-5"},
      {"run x.npy w.npy y.npy --stride 9223372036854775807", "63 bits|axis D"},
      {"run x.npy w.npy y.npy --dilation 9223372036854775807", "63 bits|axis D"},
      {"run x.npy w.npy y.npy --stride 1000000000000", "63 bits"},
      {"explain --input 1,2,3,3,3 --channels 3 --kernel 0", "kernel_size|0"},
      {"explain --input 1,2,3,3,3 --channels 0 --kernel 3", "out_channels|0"},
      {"explain --input 1,0,3,3,3 --channels 3 --kernel 3", "in_channels|0"},
      {"explain --input -1,2,3,3,3 --channels 3 --kernel 3", "batch|-1"},
      {"explain --input 2,3,0,3 --channels 3 --kernel 3", "input size|axis H"},
      {"explain --input 1,2,3,3,3 --channels 3 --kernel 3 --groups 2", "groups|2|3"},
  };
  static const int64_t x[] = {1, 4, 2, 3, 4}, w[] = {4, 3, 3, 3, 3};
  launch_numbers(*state, "x.npy", NPY_F32, 5, x, 5);
  launch_numbers(*state, "w.npy", NPY_F32, 5, w, 3);
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void arrays_that_do_not_fit_are_refused_without_a_device(void **state) {
  static const struct launch_file arrays[] = {
      {"x.npy", 5, {1, 4, 2, 3, 4}},
      {"w.npy", 5, {4, 3, 3, 3, 3}},
      {"w5.npy", 5, {5, 3, 3, 3, 3}},
      {"r3.npy", 3, {2, 3, 4}},
      {"r6.npy", 6, {1, 1, 4, 2, 3, 4}},
      {"r0.npy", 0, {0}},
      {"w4.npy", 4, {4, 3, 3, 3}},
      {"b4.npy", 1, {4}},
      {"b2.npy", 2, {3, 1}},
      {"xe.npy", 5, {1, 4, 0, 3, 4}},
      {"we.npy", 5, {4, 3, 3, 0, 3}},
      {"wc.npy", 5, {4, 0, 3, 3, 3}},
      {"x0.npy", 5, {1, 0, 2, 3, 4}},
      {"w0.npy", 5, {0, 3, 3, 3, 3}},
      {"b.npy", 1, {3}},
  };
  static const struct refusal rows[] = {
      {"run nothing.npy w.npy y.npy", "X|nothing.npy"},
      {"run x.npy nothing.npy y.npy", "W|nothing.npy"},
      {"run x.npy w.npy y.npy --bias nothing.npy", "bias|nothing.npy"},
      {"run . w.npy y.npy", "X|directory"},
      {"run pipe w.npy y.npy", "X|pipe|regular"},
      {"run text.npy w.npy y.npy", "X|text.npy|.npy"},
      {"run x.npy text.npy y.npy", "W|text.npy|.npy"},
      {"run empty.npy w.npy y.npy", "X|empty.npy"},
      {"run cut.npy w.npy y.npy", "X|cut.npy|truncated"},
      {"run r3.npy w.npy y.npy", "X|r3.npy|3 axes"},
      {"run r6.npy w.npy y.npy", "X|r6.npy|6 axes"},
      {"run r0.npy w.npy y.npy", "X|r0.npy|0 axes"},
      {"run x.npy w4.npy y.npy", "W|w4.npy|4 axes"},
      {"run x.npy w5.npy y.npy", "X (x.npy)|4|W (w5.npy)|5"},
      {"run x.npy w.npy y.npy --bias b4.npy", "bias|b4.npy|4|3"},
      {"run x.npy w.npy y.npy --groups 2 --bias b.npy", "bias|b.npy|3|6"},
      {"run x.npy w.npy y.npy --bias b2.npy", "bias|b2.npy|2 axes"},
      {"run xe.npy w.npy y.npy", "input size|axis D|0"},
      {"run x.npy we.npy y.npy", "kernel_size|axis H|0"},
      {"run x.npy wc.npy y.npy", "out_channels|0"},
      {"run x0.npy w0.npy y.npy", "in_channels|0"},
      {"run x.npy w.npy no/such/folder/y.npy", "no/such/folder/y.npy"},
      {"run x.npy w.npy .", "."},
      {"run x.npy w.npy text.npy/y.npy", "text.npy/y.npy"},
      {"run x.npy w.npy y.npy/", "y.npy/"},
  };
  LAUNCH_FILES(*state, arrays);
  launch_no_arrays(*state, "x.npy");
  LAUNCH_REFUSE_ALL(*state, rows);
}

/* ---- no device ---- */

static void without_a_platform_every_command_says_so(void **state) {
  static const int64_t x[] = {1, 2, 2, 2, 2}, w[] = {2, 1, 1, 1, 1};
  const struct launch *l = *state;
  struct process_result result;
  launch_numbers(l, "x.npy", NPY_F32, 5, x, 5);
  launch_numbers(l, "w.npy", NPY_F32, 5, w, 3);
  launch_refused(l, NO_PLATFORM, "run x.npy w.npy y.npy", 1, "OpenCL");
  launch_refused(l, NO_PLATFORM, "run x.npy w.npy y.npy --device cpu", 2, "--device|'cpu'|OpenCL");
  launch_refused(l, NO_PLATFORM, "explain --input 1,2,3,3,3 --channels 2 --kernel 3", 1, "OpenCL");
  launch_done(l, NO_PLATFORM, "devices", &result);
  assert_non_null(strstr(result.out, "no OpenCL device"));
  process_free(&result);
  launch(l, NO_PLATFORM, "doctor", &result);
  assert_int_equal(result.exit_code, 1);
  assert_non_null(strstr(result.out, "pocl-opencl-icd"));
  assert_non_null(strstr(result.out, "\nCLBlast          "));
  process_free(&result);
  launch_keeps(l, "y.npy", "run x.npy w.npy y.npy", 1, "OpenCL");
}

/* What the doctor says of the environment tells whether the command asked for it. */
static bool binds_threads(const struct launch *l) {
  struct process_result result;
  launch(l, NO_PLATFORM, "doctor", &result);
  const bool binds = strstr(result.out, "POCL_AFFINITY=1") != NULL;
  process_free(&result);
  return binds;
}

/* PoCL would bind them to processors that whoever started the command keeps it from. */
static void threads_are_bound_where_there_is_one_for_each_processor(void **state) {
  cpu_set_t allowed, one;
  if (getenv("POCL_AFFINITY") || getenv("POCL_MAX_PTHREAD_COUNT") || sched_getaffinity(0, sizeof allowed, &allowed) ||
      CPU_COUNT(&allowed) != sysconf(_SC_NPROCESSORS_CONF))
    skip();
  assert_true(binds_threads(*state));
  setenv("POCL_MAX_PTHREAD_COUNT", "1", 1); /* PoCL ends the process if there are more than processors */
  const bool binds_some = binds_threads(*state);
  unsetenv("POCL_MAX_PTHREAD_COUNT");
  assert_false(binds_some);
  if (CPU_COUNT(&allowed) == 1) return;
  size_t last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &allowed)) --last;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  const bool binds = binds_threads(*state);
  assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  assert_false(binds);
}

static void a_text_that_is_no_list_of_tunings_is_refused_by_its_line(void **state) {
  static const char no_device[] = "tconv3d tunings 1\n\nlayer 1 1 1 1,1,1\n", binary[] = "tconv3d tunings 1\n\0\n";
  const struct launch *l = *state;
  scratch_write(&l->scratch, "tunings.txt", no_device, sizeof no_device - 1);
  launch_refused(l, NO_PLATFORM, "tune --import tunings.txt", 2, "--import (tunings.txt)|line 3|device");
  launch_refused(l, NO_PLATFORM, "tune --import tunings.txt --export new.txt", 2, "--import (tunings.txt)|line 3");
  scratch_write(&l->scratch, "tunings.txt", binary, sizeof binary - 1);
  launch_refused(l, NO_PLATFORM, "tune --import tunings.txt", 2, "--import (tunings.txt)|no text");
}

static void the_cache_is_shown_and_cleared_without_a_device(void **state) {
  struct process_result result;
  static const char *const commands[] = {"cache", "cache show", "cache clear", "cache"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    launch_done(*state, NO_PLATFORM, commands[i], &result);
    process_free(&result);
  }
}

int main(int argc, char **argv) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(help_and_version_go_to_stdout),
      cmocka_unit_test(a_stdout_that_is_full_is_an_error),
      cmocka_unit_test(commands_that_are_not_there_are_refused),
      cmocka_unit_test(options_that_are_wrong_are_refused_by_name),
      cmocka_unit_test(layers_that_break_a_rule_are_refused_without_a_device),
      cmocka_unit_test(arrays_that_do_not_fit_are_refused_without_a_device),
      cmocka_unit_test(without_a_platform_every_command_says_so),
      cmocka_unit_test(threads_are_bound_where_there_is_one_for_each_processor),
      cmocka_unit_test(a_text_that_is_no_list_of_tunings_is_refused_by_its_line),
      cmocka_unit_test(the_cache_is_shown_and_cleared_without_a_device),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, launch_set_up, launch_tear_down);
}
