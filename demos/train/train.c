/* train.c: a small decoder learns to double the resolution of a head MRI, by plain gradient descent with this library's
 * gradients: no optimiser, no automatic differentiation, no other library. What it has learned is judged on planes of the head
 * that it has never seen, beside interpolation. A seed decides every number: equal runs print equal text. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/output.h"
#include "train/judge.h"

enum { PATH_BYTES = 4096, ROWS = 10, MOST_STEPS = 1000000 };
/* The same at every step. Twice the step size is too much: the ReLUs fall silent, and nothing is learned any more. */
static const double step_size = 0.3, momentum = 0.9;

struct train_options {
  struct device_options device;
  const char *volume, *out;
  int64_t steps, seed;
};

static error_t parse_train(int key, char *arg, struct argp_state *state) {
  struct train_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case 'n':
    if (!parse_number("--steps", arg, &options->steps, state_fault(state))) return EINVAL;
    if (options->steps >= 1 && options->steps <= MOST_STEPS) return 0;
    return parse_fault(state, "--steps: %" PRId64 " must be from 1 to %d", options->steps, MOST_STEPS);
  case 's': return parse_number("--seed", arg, &options->seed, state_fault(state)) ? 0 : EINVAL;
  case 'o': options->out = arg; return 0;
  case ARGP_KEY_ARG:
    if (state->arg_num > 0) return parse_fault(state, "unexpected argument '%s' after VOLUME.nii[.gz]", arg);
    options->volume = arg;
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option train_options_table[] = {
    {"steps", 'n', "N", 0, "how many steps of gradient descent (default 3000)", 0},
    {"seed", 's', "N", 0, "decides the first weights and the cubes that are learned from (default 1)", 0},
    {"out", 'o', "DIR", 0, "where train.png goes (default: here)", 0},
    {0}};
static const struct argp_child train_children[] = {{.argp = &device_argp}, {0}};
static const struct argp train_argp = {
    .options = train_options_table,
    .parser = parse_train,
    .args_doc = "[VOLUME.nii[.gz]]",
    .doc =
        "Trains three transposed convolutions (1 to 8 to 8 to 1 channels; the middle one doubles the resolution) to restore a "
        "head MRI from its 2x2x2 means, by gradient descent on the mean squared error, and compares them with interpolation "
        "on planes held out. Writes train.png, the middle held-out plane with a part of it enlarged: coarse, by the untrained "
        "decoder, by the trained one, and as it is (radiological view).",
    .children = train_children,
};

/* ---- training ---- */

/* FNV-1a over the bits of every loss: equal only if all of them are. */
static uint64_t mix(uint64_t fingerprint, double loss) {
  uint64_t bits;
  memcpy(&bits, &loss, sizeof bits);
  for (int i = 0; i < 64; i += 8) fingerprint = (fingerprint ^ (bits >> i & 255)) * 0x100000001b3u;
  return fingerprint;
}

/* One random cube: from coarse to fine, and a step towards the truth. */
static bool take_step(const struct head *head, const struct decoder *decoder, struct random *random, float *target,
                      double *loss, struct fault *fault) {
  static const int64_t size[3] = {DECODER_OUT, DECODER_OUT, DECODER_OUT};
  int64_t at[3];
  float *x = tensor_map(decoder->engine, &decoder->x, CL_MAP_WRITE, fault);
  if (!x) return false;
  head_place(head, random, at);
  const float offset = head_cube(head, at, x);
  for (int axis = 0; axis < 3; ++axis) at[axis] = 2 * at[axis] + DECODER_CROP;
  grid_copy(&head->fine, at, size, offset, target);
  return tensor_unmap(decoder->engine, &decoder->x, x, fault) && decoder_forward(decoder, fault) &&
         decoder_learn(decoder, target, step_size, loss, fault);
}

/* A row for the first step, then the mean loss of each tenth of the steps: cubes differ too much to show a single one's. */
static bool train(const struct train_options *options, const struct head *head, const struct decoder *decoder,
                  struct random *random, float *target, struct fault *fault) {
  uint64_t fingerprint = 0xcbf29ce484222325u;
  int64_t row = 1, summed = 0;
  double loss, sum = 0;
  for (int64_t step = 1; step <= options->steps; ++step) {
    if (!take_step(head, decoder, random, target, &loss, fault)) return false;
    if (!isfinite(loss)) return fault_set(fault, EXIT_OTHER, "step %" PRId64 ": the loss is no finite number", step);
    fingerprint = mix(fingerprint, loss);
    sum += loss, ++summed;
    if (step > 1 && step < options->steps * row / ROWS) continue;
    printf("%7" PRId64 "  %.6e\n", step, sum / (double)summed);
    sum = 0, summed = 0;
    while (row <= ROWS && step >= options->steps * row / ROWS) ++row;
  }
  printf("fingerprint of every loss: %016" PRIx64 "\n", fingerprint);
  return true;
}

static bool train_decoder(const struct train_options *options, const struct head *head, const struct decoder *decoder,
                          struct random *random, struct fault *fault) {
  float *target = malloc((size_t)DECODER_OUT * DECODER_OUT * DECODER_OUT * sizeof *target);
  if (!target) return fault_set(fault, EXIT_OTHER, "not enough memory for a cube");
  const double start = seconds_now();
  printf("%7s  mean loss since the row before\n", "step");
  const bool done = train(options, head, decoder, random, target, fault);
  if (done && options->device.verbose) fprintf(stderr, "%" PRId64 " steps in %.2f s\n", options->steps, seconds_now() - start);
  free(target);
  return done;
}

/* ---- judging ---- */

static void report(const struct judge *judge) {
  static const char *const names[WAY_COUNT] = {
      [WAY_NEAREST] = "nearest voxel", [WAY_LINEAR] = "trilinear", [WAY_CUBIC] = "cubic",
      [WAY_UNTRAINED] = "untrained",   [WAY_TRAINED] = "trained",
  };
  printf("held-out planes  mean squared error   PSNR dB\n");
  for (int way = 0; way < WAY_COUNT; ++way) {
    const double error = judge_error(judge, (enum way)way);
    printf("%-15s  %18.6e  %8.2f\n", names[way], error, -10 * log10(error)); /* the largest value is 1 */
  }
}

static bool train_and_judge(const struct train_options *options, const struct head *head, const struct engine *engine,
                            struct judge *judge, struct fault *fault) {
  struct random random = {.state = (uint64_t)options->seed};
  struct decoder decoder;
  const bool done =
      decoder_open(engine, momentum, &random, &decoder, fault) && judge_decoder(judge, &decoder, WAY_UNTRAINED, fault) &&
      train_decoder(options, head, &decoder, &random, fault) && judge_decoder(judge, &decoder, WAY_TRAINED, fault);
  decoder_close(&decoder);
  if (done) report(judge);
  return done;
}

/* The picture's file is opened before the work, so that a wrong path is known at once. */
static bool run(const struct train_options *options, struct output *output, struct fault *fault) {
  char path[PATH_BYTES];
  struct head head = {.held_out = 0};
  struct engine engine = {.queue = NULL};
  struct judge judge = {.engine = NULL};
  if (snprintf(path, sizeof path, "%s/train.png", options->out) >= PATH_BYTES)
    return fault_set(fault, EXIT_WRONG_USE, "%.64s...: the path is too long", options->out);
  const bool done = head_read(options->volume, DECODER_IN, &head, fault) && output_open(output, path, fault) &&
                    engine_open(&options->device, &engine, fault) && judge_open(&engine, &head, &judge, fault) &&
                    train_and_judge(options, &head, &engine, &judge, fault) &&
                    judge_draw(&judge, output->stream, path, fault) && output_commit(output, fault);
  if (done) printf("wrote %s\n", path);
  judge_close(&judge);
  engine_close(&engine);
  head_free(&head);
  return done;
}

int main(int argc, char **argv) {
  struct train_options options = {.volume = DEMO_DATA_DIR "/t1_head_1mm.nii.gz", .out = ".", .steps = 3000, .seed = 1};
  struct output output = {.stream = NULL};
  struct fault fault = {0};
  const bool done = command_parse(&train_argp, argc, argv, &options, &fault) && run(&options, &output, &fault);
  output_abandon(&output);
  if (done) return EXIT_DONE;
  fprintf(stderr, "train: error: %s\n", fault.text);
  return fault.exit_code;
}
