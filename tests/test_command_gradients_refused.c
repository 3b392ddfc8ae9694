/* test_command_gradients_refused.c: wrong uses of `tconv3d grad-input`, `grad-weight` and `grad-bias`: exit status 2, one line
 * of error that names the option, file or axis, and no file. They are refused before any device is opened, so all but the last
 * test run without OpenCL platforms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/launch.h"

/* The files of a layer whose y has the size 4, 5, 6. */
static void write_files(const struct launch *l) {
  static const struct launch_file files[] = {
      {"x.npy", 5, {2, 4, 2, 3, 4}}, {"w.npy", 5, {4, 3, 3, 3, 3}}, {"gy.npy", 5, {2, 3, 4, 5, 6}}};
  LAUNCH_FILES(l, files);
}

static void wrong_arguments_are_refused_by_name(void **state) {
  static const struct refusal rows[] = {
      {"grad-input", "grad-input|3 files|GY.npy W.npy GX.npy|0 given"},
      {"grad-input gy.npy w.npy", "3 files|2 given"},
      {"grad-input gy.npy w.npy gx.npy more.npy", "'more.npy'|GY.npy W.npy GX.npy"},
      {"grad-weight --kernel 3", "grad-weight|3 files|X.npy GY.npy GW.npy|0 given"},
      {"grad-weight x.npy gy.npy --kernel 3", "3 files|2 given"},
      {"grad-weight x.npy gy.npy gw.npy more.npy --kernel 3", "'more.npy'"},
      {"grad-weight x.npy gy.npy gw.npy", "--kernel|missing"},
      {"grad-bias", "grad-bias|2 files|GY.npy GB.npy|0 given"},
      {"grad-bias gy.npy", "2 files|1 given"},
      {"grad-bias gy.npy gb.npy more.npy", "'more.npy'"},
      {"grad-weight x.npy gy.npy gw.npy --kernel", "--kernel|value"},
      {"grad-weight x.npy gy.npy gw.npy --kernel three", "--kernel|'three'"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3,3", "--kernel|'3,3'"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3,3,3,3", "--kernel|'3,3,3,3'"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3.0", "--kernel|'3.0'"},
      {"grad-weight x.npy gy.npy gw.npy --kernel=", "--kernel"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 9223372036854775808", "--kernel|63 bits"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --bias b.npy", "--bias"},
      {"grad-input gy.npy w.npy gx.npy --kernel 3", "--kernel"},
      {"grad-input gy.npy w.npy gx.npy --stride 1,2", "--stride|'1,2'"},
      {"grad-input gy.npy w.npy gx.npy --output-size 4,5,6", "--output-size|--output-padding"},
      {"grad-input gy.npy w.npy gx.npy --output-size 4,5,6 --output-padding 0", "--output-size|--output-padding"},
      {"grad-input gy.npy w.npy gx.npy --op forward", "--op"},
      {"grad-input gy.npy w.npy gx.npy --device=", "--device"},
      {"grad-input gy.npy w.npy gx.npy --algo nosuch", "--algo|'nosuch'|phase|sums"},
      {"grad-bias gy.npy gb.npy --stride 2", "--stride"},
      {"grad-bias gy.npy gb.npy --groups 3", "--groups"},
      {"grad-bias gy.npy gb.npy --algo nosuch", "--algo|'nosuch'"},
  };
  write_files(*state);
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void options_that_do_not_lead_to_gy_are_refused(void **state) {
  static const struct refusal rows[] = {
      {"grad-input gy.npy w.npy gx.npy --stride 0", "stride|axis D|0"},
      {"grad-input gy.npy w.npy gx.npy --stride -1", "stride|-1"},
      {"grad-input gy.npy w.npy gx.npy --stride 1,1,-9223372036854775807", "stride|axis W"},
      {"grad-input gy.npy w.npy gx.npy --dilation 0", "dilation|0"},
      {"grad-input gy.npy w.npy gx.npy --padding -1", "padding|-1"},
      {"grad-input gy.npy w.npy gx.npy --output-padding -1", "output_padding|-1"},
      {"grad-input gy.npy w.npy gx.npy --output-padding 1", "output_padding|1"},
      {"grad-input gy.npy w.npy gx.npy --groups 0", "groups|0"},
      {"grad-input gy.npy w.npy gx.npy --groups -1", "groups|-1"},
      {"grad-input gy.npy w.npy gx.npy --groups 2", "GY (gy.npy)|3|W (w.npy)|--groups 2"},
      {"grad-input gy.npy w.npy gx.npy --groups 9223372036854775807", "GY (gy.npy)|--groups"},
      {"grad-input gy.npy w.npy gx.npy --stride 2", "GY (gy.npy)|size 4|axis D|--stride 2|no input size"},
      {"grad-input gy.npy w.npy gx.npy --stride 1,1,2", "GY (gy.npy)|size 6|axis W|no input size"},
      {"grad-input gy.npy w.npy gx.npy --dilation 4", "GY|axis D|--dilation 4|no input size"},
      {"grad-input gy.npy w.npy gx.npy --output-padding 0,0,4", "GY|axis W|--output-padding 4|no input size"},
      {"grad-input gy.npy w.npy gx.npy --stride 9223372036854775807", "GY|--stride 9223372036854775807|no input size"},
      {"grad-input gy.npy w.npy gx.npy --padding 9223372036854775807", "GY|--padding 9223372036854775807|no input size"},
      {"grad-input gy.npy w.npy gx.npy --padding 4611686018427387900", "63 bits|axis D"},
      {"grad-input gy.npy w.npy gx.npy --padding 1000000000000", "63 bits"},
      {"grad-input gy.npy w.npy gx.npy --dilation 9223372036854775807", "GY|--dilation 9223372036854775807|no input size"},
      {"grad-input gy.npy w.npy gx.npy --output-padding 9223372036854775807", "GY|--output-padding 9223372036854775807"},
      {"grad-input gy3.npy w.npy gx.npy --stride 9223372036854775807", "63 bits|axis D"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 0", "kernel_size|0"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3,-3,3", "kernel_size|axis H|-3"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 9223372036854775807", "63 bits|axis D"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --stride 9223372036854775807", "63 bits|axis D"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --dilation 9223372036854775807", "63 bits|axis D"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --stride 0", "stride|0"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --stride 1,-2,1", "stride|axis H|-2"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --padding 9", "output size|axis D"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --groups 2", "groups|2|3"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --groups 9223372036854775807", "groups"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 2", "GY (gy.npy)|size 4|axis D|3"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3,3,2", "GY (gy.npy)|size 6|axis W|5"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --stride 1,2,1", "GY (gy.npy)|size 5|axis H|7|--output-padding"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --output-size 5,5,6", "axis D|5"},
      {"grad-weight x.npy gy.npy gw.npy --kernel 3 --output-size 4 --output-padding 0", "--output-size|--output-padding"},
  };
  static const int64_t gy3[] = {2, 3, 3, 3, 3};
  write_files(*state);
  launch_numbers(*state, "gy3.npy", NPY_F32, 5, gy3, 3);
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void write_wrong_arrays(const struct launch *l) {
  static const struct launch_file arrays[] = {
      {"r0.npy", 0, {0}},
      {"r1.npy", 1, {3}},
      {"r3.npy", 3, {4, 5, 6}},
      {"r6.npy", 6, {1, 2, 3, 4, 5, 6}},
      {"w4.npy", 4, {4, 3, 3, 3}},
      {"w2.npy", 5, {4, 2, 3, 3, 3}},
      {"we.npy", 5, {4, 3, 3, 0, 3}},
      {"w0.npy", 5, {0, 3, 3, 3, 3}},
      {"gy4.npy", 4, {3, 4, 5, 6}},
      {"gyn1.npy", 5, {1, 3, 4, 5, 6}},
      {"gyn0.npy", 5, {0, 3, 4, 5, 6}},
      {"gye.npy", 5, {2, 3, 4, 0, 6}},
      {"gyc.npy", 5, {2, 0, 4, 5, 6}},
      {"xc.npy", 5, {2, 0, 2, 3, 4}},
  };
  LAUNCH_FILES(l, arrays);
  launch_no_arrays(l, "gy.npy");
}

static void arrays_that_do_not_fit_are_refused_with_their_file(void **state) {
  static const struct refusal rows[] = {
      {"grad-input nothing.npy w.npy gx.npy", "GY (nothing.npy)"},
      {"grad-input gy.npy nothing.npy gx.npy", "W (nothing.npy)"},
      {"grad-weight nothing.npy gy.npy gw.npy --kernel 3", "X (nothing.npy)"},
      {"grad-weight x.npy nothing.npy gw.npy --kernel 3", "GY (nothing.npy)"},
      {"grad-bias nothing.npy gb.npy", "GY (nothing.npy)"},
      {"grad-input cut.npy w.npy gx.npy", "GY (cut.npy)|truncated"},
      {"grad-input text.npy w.npy gx.npy", "GY (text.npy)|.npy"},
      {"grad-input gy.npy text.npy gx.npy", "W (text.npy)|.npy"},
      {"grad-weight x.npy cut.npy gw.npy --kernel 3", "GY (cut.npy)|truncated"},
      {"grad-weight empty.npy gy.npy gw.npy --kernel 3", "X (empty.npy)"},
      {"grad-bias cut.npy gb.npy", "GY (cut.npy)|truncated"},
      {"grad-bias empty.npy gb.npy", "GY (empty.npy)"},
      {"grad-bias . gb.npy", "GY (.)|directory"},
      {"grad-bias pipe gb.npy", "GY (pipe)|regular"},
      {"grad-input r3.npy w.npy gx.npy", "GY (r3.npy)|3 axes"},
      {"grad-input gy.npy w4.npy gx.npy", "W (w4.npy)|4 axes"},
      {"grad-weight r6.npy gy.npy gw.npy --kernel 3", "X (r6.npy)|6 axes"},
      {"grad-weight x.npy r0.npy gw.npy --kernel 3", "GY (r0.npy)|0 axes"},
      {"grad-bias r1.npy gb.npy", "GY (r1.npy)|1 axis"},
      {"grad-input gy.npy w2.npy gx.npy", "GY (gy.npy)|3|W (w2.npy)|2|axis 1"},
      {"grad-input gyc.npy w.npy gx.npy", "GY (gyc.npy)|0 channels"},
      {"grad-input gye.npy w.npy gx.npy", "GY (gye.npy)|size 0|axis H"},
      {"grad-input gy.npy we.npy gx.npy", "kernel_size|axis H|0"},
      {"grad-input gy.npy w0.npy gx.npy", "in_channels|0"},
      {"grad-weight x.npy gy4.npy gw.npy --kernel 3", "X (x.npy)|5 axes|GY (gy4.npy)|4"},
      {"grad-weight x.npy gyn1.npy gw.npy --kernel 3", "X (x.npy)|2|axis 0|GY (gyn1.npy)|1"},
      {"grad-weight x.npy gyn0.npy gw.npy --kernel 3", "X (x.npy)|2|axis 0|GY (gyn0.npy)|0"},
      {"grad-weight x.npy gye.npy gw.npy --kernel 3", "GY (gye.npy)|size 0|axis H"},
      {"grad-weight x.npy gyc.npy gw.npy --kernel 3", "out_channels|0"},
      {"grad-weight xc.npy gy.npy gw.npy --kernel 3", "in_channels|0"},
      {"grad-bias gye.npy gb.npy", "GY (gye.npy)|size 0|axis H"},
      {"grad-bias gyc.npy gb.npy", "out_channels|0"},
  };
  write_files(*state);
  write_wrong_arrays(*state);
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void an_output_that_cannot_be_written_is_refused_before_the_work(void **state) {
  static const struct refusal rows[] = {
      {"grad-input gy.npy w.npy no/such/folder/gx.npy", "no/such/folder/gx.npy"},
      {"grad-weight x.npy gy.npy no/such/folder/gw.npy --kernel 3", "no/such/folder/gw.npy"},
      {"grad-bias gy.npy no/such/folder/gb.npy", "no/such/folder/gb.npy"},
      {"grad-input gy.npy w.npy .", "."},
      {"grad-bias gy.npy gy.npy/gb.npy", "gy.npy/gb.npy"},
      {"grad-bias gy.npy gb.npy/", "gb.npy/"},
  };
  write_files(*state);
  LAUNCH_REFUSE_ALL(*state, rows);
}

static void a_failure_keeps_the_result_of_before(void **state) {
  static const struct {
    const char *arguments;
    int status;
  } rows[] = {
      {"grad-input gy.npy w.npy kept.npy", 1}, /* no platform: the output is open by then */
      {"grad-weight x.npy gy.npy kept.npy --kernel 3", 1},
      {"grad-bias gy.npy kept.npy", 1},
      {"grad-bias gy.npy kept.npy --device cpu", 2},
      {"grad-input gy.npy w.npy kept.npy --stride 2", 2},
      {"grad-weight x.npy gy.npy kept.npy --kernel 2", 2},
      {"grad-weight x.npy gy.npy kept.npy", 2},
  };
  write_files(*state);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    launch_keeps(*state, "kept.npy", rows[i].arguments, rows[i].status, "");
}

static void failures_on_a_device_leave_nothing_behind(void **state) {
  static const int64_t one[] = {1, 1, 1, 1, 1};
  const struct launch *l = *state;
  if (!l->has_device) skip();
  write_files(l);
  launch_numbers(l, "one.npy", NPY_F32, 5, one, 3);
  launch_refused(l, AS_THEY_ARE, "grad-input gy.npy w.npy gx.npy --device nosuchdevice", 2, "--device|'nosuchdevice'");
  launch_refused(l, AS_THEY_ARE, "grad-bias gy.npy gb.npy --device 99:0", 2, "--device|'99:0'");
  launch_refused(l, AS_THEY_ARE, "grad-input one.npy one.npy gx.npy --padding 20000", 1, "bytes"); /* gx of 256 TB */
  if (!access("/dev/full", W_OK)) launch_refused(l, AS_THEY_ARE, "grad-bias gy.npy /dev/full", 1, "/dev/full");
}

int main(int argc, char **argv) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_arguments_are_refused_by_name),
      cmocka_unit_test(options_that_do_not_lead_to_gy_are_refused),
      cmocka_unit_test(arrays_that_do_not_fit_are_refused_with_their_file),
      cmocka_unit_test(an_output_that_cannot_be_written_is_refused_before_the_work),
      cmocka_unit_test(a_failure_keeps_the_result_of_before),
      cmocka_unit_test(failures_on_a_device_leave_nothing_behind),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, launch_set_up, launch_tear_down);
}
