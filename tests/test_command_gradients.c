/* test_command_gradients.c: `tconv3d grad-input`, `grad-weight` and `grad-bias`, and `tune` and `explain` with --op, on a
 * device: results against the plain-C references, bit for bit, since the arrays hold small whole numbers. What they refuse is
 * in test_command_gradients_refused.c. Without a device these tests are skipped. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/command_layer.h"

#define NEEDS_DEVICE(launch) \
  if (!(launch)->has_device) skip()

/* ---- the three commands on the files of one layer ---- */

/* The types of the files, the bound of their values, and x's and gy's rank: 4 leaves the batch axis out. */
struct files {
  enum npy_type x, w, gy;
  int span, rank;
};
static const struct files plain = {NPY_F32, NPY_F32, NPY_F32, 4, 5};

static void write_files(const struct launch *l, const struct command_layer *layer, const struct files *files) {
  const tconv3d_desc desc = command_layer_desc(layer);
  int64_t x[5] = {layer->batch, layer->in, layer->input[0], layer->input[1], layer->input[2]}, gy[5];
  int64_t w[5] = {layer->in, layer->out / layer->groups, layer->kernel[0], layer->kernel[1], layer->kernel[2]};
  assert_int_equal(tconv3d_output_shape(&desc, gy), TCONV3D_OK);
  launch_numbers(l, "x.npy", files->x, files->rank, x + 5 - files->rank, files->span);
  launch_numbers(l, "gy.npy", files->gy, files->rank, gy + 5 - files->rank, files->span - 1);
  launch_numbers(l, "w.npy", files->w, 5, w, files->span);
}

struct command {
  tconv3d_operation operation;
  const char *files, *target;
};
static const struct command commands[] = {
    {TCONV3D_GRAD_INPUT, "gy.npy w.npy gx.npy", "gx.npy"},
    {TCONV3D_GRAD_WEIGHT, "x.npy gy.npy gw.npy", "gw.npy"},
    {TCONV3D_GRAD_BIAS, "gy.npy gb.npy", "gb.npy"},
};
enum { NUM_COMMANDS = sizeof commands / sizeof *commands, ARGUMENTS = COMMAND_OPTIONS + 200 };

static void arguments_of(const struct command *command, const struct command_layer *layer, char text[ARGUMENTS]) {
  char options[COMMAND_OPTIONS] = "", kernel[100] = "";
  const int64_t *k = layer->kernel;
  if (command->operation != TCONV3D_GRAD_BIAS) command_layer_options(layer, options);
  if (command->operation == TCONV3D_GRAD_WEIGHT)
    snprintf(kernel, sizeof kernel, "--kernel %" PRId64 ",%" PRId64 ",%" PRId64, k[0], k[1], k[2]);
  snprintf(text, ARGUMENTS, "%s %s %s %s", tconv3d_operation_name(command->operation), command->files, kernel, options);
}

static tconv3d_status reference(tconv3d_operation operation, const tconv3d_desc *desc, const struct npy *x, const struct npy *w,
                                const struct npy *gy, float *target) {
  switch (operation) {
  case TCONV3D_GRAD_INPUT: return tconv3d_reference_grad_input(desc, gy->data, w->data, target);
  case TCONV3D_GRAD_WEIGHT: return tconv3d_reference_grad_weight(desc, x->data, gy->data, target);
  default: return tconv3d_reference_grad_bias(desc, gy->data, target);
  }
}

/* What the target must hold: the reference's result in the first file's type, with gy's axes, a weight's or a bias'. */
static void make_expected(const struct launch *l, const struct command *command, const struct command_layer *layer,
                          const struct files *files, struct npy *expected) {
  const tconv3d_desc desc = command_layer_desc(layer);
  const tconv3d_operation operation = command->operation;
  struct npy x, w, gy;
  struct fault fault = {0};
  int64_t shape[5];
  read_float(l, "x.npy", &x);
  read_float(l, "w.npy", &w);
  read_float(l, "gy.npy", &gy);
  assert_int_equal(tconv3d_target_shape(&desc, operation, shape), TCONV3D_OK);
  int rank = operation == TCONV3D_GRAD_BIAS ? 1 : operation == TCONV3D_GRAD_WEIGHT ? 5 : files->rank;
  assert_true(npy_make(expected, NPY_F32, rank, shape + (rank == 4), &fault));
  assert_int_equal(reference(operation, &desc, &x, &w, &gy, expected->data), TCONV3D_OK);
  assert_true(npy_convert(expected, operation == TCONV3D_GRAD_WEIGHT ? files->x : files->gy, &fault));
  npy_free(&x);
  npy_free(&w);
  npy_free(&gy);
}

/* One command on files that are there. */
static void check_command(const struct launch *l, const struct command *command, const struct command_layer *layer,
                          const struct files *files, const char *more) {
  char arguments[ARGUMENTS], all[ARGUMENTS + 64];
  struct npy expected;
  arguments_of(command, layer, arguments);
  snprintf(all, sizeof all, "%s%s", arguments, more);
  command_makes(l, all, command->target);
  make_expected(l, command, layer, files, &expected);
  assert_array(l, all, command->target, &expected);
}

static void check_layer(const struct launch *l, const struct command_layer *layer, const struct files *files) {
  write_files(l, layer, files);
  for (int i = 0; i < NUM_COMMANDS; i++) check_command(l, &commands[i], layer, files, "");
}

/* clang-format off */
static const struct command_layer layers[] = {
    /* N in out groups  input      kernel     stride     padding    out. padding dilation  bias */
    {1,  1, 1,  1,     {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0},   {1, 1, 1}, 1},
    {2,  3, 5,  1,     {3, 4, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0},   {1, 1, 1}, 1},
    {1,  4, 8,  1,     {3, 4, 9}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0},   {1, 1, 1}, 1},
    {1,  4, 6,  2,     {3, 2, 5}, {4, 3, 2}, {2, 3, 1}, {1, 0, 1}, {1, 2, 0},   {1, 1, 2}, 1},
    {2,  3, 2,  1,     {3, 3, 3}, {3, 3, 3}, {2, 2, 2}, {2, 2, 2}, {1, 0, 1},   {2, 2, 2}, 1},
    {1,  6, 6,  6,     {2, 3, 9}, {3, 1, 3}, {1, 2, 1}, {0, 0, 2}, {2, 0, 1},   {3, 1, 2}, 1},
};
/* clang-format on */
enum { NUM_LAYERS = sizeof layers / sizeof *layers };

static void gradients_are_those_of_the_references(void **state) {
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < command_cases(NUM_LAYERS); i++) check_layer(*state, &layers[i], &plain);
}

/* That an algorithm is named is seen by a few of them; that each is right, by other suites. */
static void algorithms_of_an_operation_are_exact_and_others_are_refused_with_a_reason(void **state) {
  enum { RUN = 2 };
  const struct launch *l = *state;
  const char *name;
  NEEDS_DEVICE(l);
  write_files(l, &layers[2], &plain);
  for (int c = 0; c < NUM_COMMANDS; c++) {
    const char *operation = tconv3d_operation_name(commands[c].operation);
    char *candidates = command_candidates(l, operation);
    int served = 0, refused = 0;
    for (size_t i = 0; (name = tconv3d_algorithm_name(i)) != NULL; i++) {
      char arguments[ARGUMENTS], more[64], all[ARGUMENTS + 64], words[64], path[SCRATCH_PATH];
      const enum command_answer answer = command_answer(candidates, name);
      snprintf(more, sizeof more, " --algo %s", name);
      if (answer == COMMAND_SERVES_NAMED) continue;
      if (answer == COMMAND_SERVES) {
        if (served++ < RUN) check_command(l, &commands[c], &layers[2], &plain, more);
        continue;
      }
      arguments_of(&commands[c], &layers[2], arguments);
      snprintf(all, sizeof all, "%s%s", arguments, more);
      snprintf(words, sizeof words, "'%s'|cannot serve this layer: it ", name);
      unlink(scratch_path(&l->scratch, commands[c].target, path));
      launch_refused(l, AS_THEY_ARE, all, 2, words);
      refused++;
    }
    free(candidates);
    assert_true(served > 0 && refused > 0);
  }
}

static void arrays_without_a_batch_axis_give_a_gradient_without_one(void **state) {
  static const struct files files = {NPY_F32, NPY_F32, NPY_F32, 4, 4};
  NEEDS_DEVICE((struct launch *)*state);
  check_layer(*state, &layers[3], &files);
}

/* gx is empty; the others are sums of nothing. */
static void an_empty_batch_gives_an_empty_file_and_zeros(void **state) {
  static const struct files files = {NPY_F16, NPY_F32, NPY_F16, 4, 5};
  const struct launch *l = *state;
  struct command_layer layer = layers[1];
  struct npy gx, gw;
  NEEDS_DEVICE(l);
  layer.batch = 0;
  check_layer(l, &layer, &plain);
  check_layer(l, &layer, &files);
  launch_array(l, "gx.npy", &gx);
  launch_array(l, "gw.npy", &gw);
  assert_int_equal(gx.count, 0);
  assert_int_equal(gw.count, 3 * 5 * 27);
  for (size_t i = 0; i < gw.count * sizeof(uint16_t); i++) assert_int_equal(((char *)gw.data)[i], 0);
  npy_free(&gx);
  npy_free(&gw);
}

/* Sums of such values need more than float16's eleven bits, so rounding twice or to another type would show. */
static void the_result_has_the_first_files_type_and_is_rounded_once(void **state) {
  static const struct files mixes[] = {
      {NPY_F16, NPY_F16, NPY_F16, 20, 5},
      {NPY_F16, NPY_F32, NPY_F32, 20, 5},
      {NPY_F32, NPY_F16, NPY_F16, 20, 4},
      {NPY_F32, NPY_F16, NPY_F32, 60, 5},
  };
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < command_cases(sizeof mixes / sizeof *mixes); i++) check_layer(*state, &layers[2], &mixes[i]);
}

/* x = 1, 2, w = 1, 10, 100 and gy = 1 to 5 with stride 2, worked out by hand: gx[i] = gy[2i] + 10 gy[2i+1] + 100 gy[2i+2],
 * gw[k] = gy[k] + 2 gy[2+k], gb = 15. */
static void gradients_known_by_heart_come_out(void **state) {
  static const float x[] = {1, 2}, w[] = {1, 10, 100}, gy[] = {1, 2, 3, 4, 5};
  static const float gx[] = {321, 543}, gw[] = {7, 10, 13}, gb[] = {15};
  static const struct {
    const char *name;
    const float *values;
    size_t count;
  } inputs[] = {{"x.npy", x, 2}, {"w.npy", w, 3}, {"gy.npy", gy, 5}},
    outputs[] = {{"gx.npy", gx, 2}, {"gw.npy", gw, 3}, {"gb.npy", gb, 1}};
  static const char *const lines[] = {"grad-input gy.npy w.npy gx.npy --stride 1,1,2",
                                      "grad-weight x.npy gy.npy gw.npy --kernel 1,1,3 --stride 1,1,2",
                                      "grad-bias gy.npy gb.npy"};
  const struct launch *l = *state;
  char path[SCRATCH_PATH];
  struct fault fault = {0};
  NEEDS_DEVICE(l);
  for (int i = 0; i < 3; i++) {
    struct npy array = {
        NPY_F32, 5, {1, 1, 1, 1, (int64_t)inputs[i].count}, inputs[i].count, (void *)(uintptr_t)inputs[i].values};
    assert_true(npy_write(scratch_path(&l->scratch, inputs[i].name, path), &array, &fault));
  }
  for (int i = 0; i < 3; i++) {
    struct process_result result;
    struct npy got;
    launch_done(l, AS_THEY_ARE, lines[i], &result);
    process_free(&result);
    launch_array(l, outputs[i].name, &got);
    assert_int_equal(got.count, outputs[i].count);
    assert_memory_equal(got.data, outputs[i].values, got.count * sizeof(float));
    npy_free(&got);
  }
}

static void one_number_stands_for_three_and_an_output_size_for_output_padding(void **state) {
  static const struct command_layer layer = {1, 2, 3, 1, {2, 3, 4}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1};
  static const struct {
    int command;
    const char *arguments;
  } rows[] = {
      {0, "grad-input gy.npy w.npy gx.npy --stride 2 --padding 1 --output-padding 1"},
      {1, "grad-weight x.npy gy.npy gw.npy --kernel 3 --stride 2 --padding 1 --output-padding 1 --dilation 1"},
      {1, "grad-weight x.npy --kernel=3,3,3 gy.npy --stride=2 gw.npy --padding 1 --output-size 4,6,8"},
  };
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  write_files(l, &layer, &plain);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct command *command = &commands[rows[i].command];
    struct process_result result;
    struct npy expected;
    launch_done(l, AS_THEY_ARE, rows[i].arguments, &result);
    process_free(&result);
    make_expected(l, command, &layer, &plain, &expected);
    assert_array(l, rows[i].arguments, command->target, &expected);
  }
}

static void a_gradient_may_replace_what_it_was_made_from(void **state) {
  const struct launch *l = *state;
  struct npy expected;
  struct process_result result;
  NEEDS_DEVICE(l);
  write_files(l, &layers[2], &plain);
  make_expected(l, &commands[0], &layers[2], &plain, &expected);
  launch_done(l, AS_THEY_ARE, "grad-input gy.npy w.npy gy.npy --stride 2", &result);
  process_free(&result);
  assert_array(l, "gy.npy", "gy.npy", &expected);
}

static void verbose_says_on_stderr_what_was_used(void **state) {
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  write_files(l, &layers[0], &plain);
  for (int i = 0; i < NUM_COMMANDS; i++) {
    static const char *const words[] = {"device ", "chosen", "workspace", "plan ", "run "};
    char arguments[ARGUMENTS], all[ARGUMENTS + 16];
    struct process_result result;
    arguments_of(&commands[i], &layers[0], arguments);
    snprintf(all, sizeof all, "%s --verbose", arguments);
    launch(l, AS_THEY_ARE, all, &result);
    assert_int_equal(result.exit_code, 0);
    assert_int_equal(result.out_bytes, 0);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
      if (!strstr(result.err, words[w])) fail_msg("tconv3d %s: no '%s' in: %s", all, words[w], result.err);
    process_free(&result);
  }
}

/* ---- the other commands with --op ---- */

#define EXPLAIN "explain --input 2,3,4,5 --channels 3 --kernel 3 --stride 2 --padding 1 --output-padding 1 --op "

static void explain_tells_what_each_operation_writes(void **state) {
  static const struct {
    const char *arguments, *words;
  } rows[] = {
      {EXPLAIN "grad-input", "(2, 3, 4, 5)|chosen|workspace|packed weights"},
      {EXPLAIN "grad-weight", "(2, 3, 3, 3, 3)|chosen|workspace|packed weights   0 bytes"},
      {EXPLAIN "grad-bias", "(3, 1, 1, 1, 1)|chosen|workspace"},
      {EXPLAIN "forward", "(3, 6, 8, 10)|chosen"},
      {"explain --input 0,3,4,5,6 --channels 4 --kernel 3 --op grad-weight", "(3, 4, 3, 3, 3)"},
  };
  NEEDS_DEVICE((struct launch *)*state);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) launch_says(*state, AS_THEY_ARE, rows[i].arguments, rows[i].words);
}

/* Where no cache can be used, tune says so and there is nothing to look for. */
static bool tunes(const struct launch *l, const char *operation) {
  static const char shapes[] = "tiny 1 2 3 3,4,5 3 2 1 1 1 1\n";
  char arguments[128];
  struct process_result result;
  scratch_write(&l->scratch, "shapes.txt", shapes, sizeof shapes - 1);
  snprintf(arguments, sizeof arguments, "tune --op %s --shapes shapes.txt --seconds 0.001 --candidates 2", operation);
  launch_done(l, AS_THEY_ARE, arguments, &result);
  assert_non_null(strstr(result.out, "\ntiny "));
  bool stored = !strstr(result.out, "not stored");
  process_free(&result);
  return stored;
}

#define TUNED "chosen as tuned (measured "
#define PREDICTED "chosen as the least predicted time"

static void a_tuning_is_used_for_its_operation_alone(void **state) {
  const struct launch *l = *state;
  NEEDS_DEVICE(l);
  launch_says(l, NO_PLATFORM, "cache clear", "");
  launch_says(l, AS_THEY_ARE, EXPLAIN "grad-weight", PREDICTED);
  if (!tunes(l, "grad-weight")) skip();
  launch_says(l, AS_THEY_ARE, EXPLAIN "grad-weight", TUNED);
  launch_says(l, AS_THEY_ARE, EXPLAIN "grad-weight --no-bias", TUNED); /* a bias plays no part in it */
  launch_says(l, AS_THEY_ARE, EXPLAIN "grad-input", PREDICTED);
  launch_says(l, AS_THEY_ARE, EXPLAIN "forward", PREDICTED);
  /* Nor does it matter which command makes the plan. */
  static const struct command_layer tiny = {1, 2, 3, 1, {3, 4, 5}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1};
  char arguments[ARGUMENTS], all[ARGUMENTS + 16];
  struct process_result result;
  write_files(l, &tiny, &plain);
  check_command(l, &commands[1], &tiny, &plain, "");
  arguments_of(&commands[1], &tiny, arguments);
  snprintf(all, sizeof all, "%s --verbose", arguments);
  launch(l, AS_THEY_ARE, all, &result);
  if (!strstr(result.err, TUNED)) fail_msg("tconv3d %s: not as tuned: %s", all, result.err);
  process_free(&result);
}

static void tunings_of_gradients_are_carried_to_another_cache(void **state) {
  static const char *const operations[] = {"grad-weight", "grad-input", "grad-bias"};
  const struct launch *l = *state;
  char arguments[256];
  NEEDS_DEVICE(l);
  launch_says(l, NO_PLATFORM, "cache clear", "");
  for (int i = 0; i < 3; i++)
    if (!tunes(l, operations[i])) skip();
  launch_says(l, NO_PLATFORM, "tune --export tunings.txt", "3 tunings exported to tunings.txt");
  launch_says(
      l, NO_PLATFORM, "tune --export /dev/stdout",
      "tconv3d tunings 1|\ngrad-weight 1 2 3 3,4,5 3,3,3 2,2,2 1,1,1 1,1,1|\ngrad-input 1 2 3 3,4,5|\ngrad-bias 1 2 3 ");
  launch_says(l, NO_PLATFORM, "cache clear", "");
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 3; i++) {
      snprintf(arguments, sizeof arguments, EXPLAIN "%s", operations[i]);
      launch_says(l, AS_THEY_ARE, arguments, round ? TUNED : PREDICTED);
    }
    launch_says(l, NO_PLATFORM, "tune --import tunings.txt", "3 tunings imported from tunings.txt");
  }
}

int main(int argc, char **argv) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_those_of_the_references),
      cmocka_unit_test(algorithms_of_an_operation_are_exact_and_others_are_refused_with_a_reason),
      cmocka_unit_test(arrays_without_a_batch_axis_give_a_gradient_without_one),
      cmocka_unit_test(an_empty_batch_gives_an_empty_file_and_zeros),
      cmocka_unit_test(the_result_has_the_first_files_type_and_is_rounded_once),
      cmocka_unit_test(gradients_known_by_heart_come_out),
      cmocka_unit_test(one_number_stands_for_three_and_an_output_size_for_output_padding),
      cmocka_unit_test(a_gradient_may_replace_what_it_was_made_from),
      cmocka_unit_test(verbose_says_on_stderr_what_was_used),
      cmocka_unit_test(explain_tells_what_each_operation_writes),
      cmocka_unit_test(a_tuning_is_used_for_its_operation_alone),
      cmocka_unit_test(tunings_of_gradients_are_carried_to_another_cache),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, launch_set_up, launch_tear_down);
}
