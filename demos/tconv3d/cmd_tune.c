/* cmd_tune.c: `tconv3d tune`: measures the candidates for each layer of a list and keeps the fastest in the cache, and carries
 * what was found from one cache to another as a text. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/output.h"
#include "tconv3d/command.h"
#include "tconv3d/progress.h"
#include "tconv3d/shapes.h"
#include "tconv3d/tune_clblast.h"

struct tune_options {
  struct device_options device;
  const char *shapes, *export_path, *import_path;
  double seconds;
  int64_t candidates;
  struct clblast_job clblast;
  tconv3d_operation operation;
  tconv3d_desc layouts; /* whose layouts are taken */
};

enum {
  KEY_SHAPES = 512,
  KEY_SECONDS,
  KEY_CANDIDATES,
  KEY_EXPORT,
  KEY_IMPORT,
  KEY_OP,
  KEY_LAYOUT,
  KEY_CLBLAST,
  KEY_CLBLAST_SECONDS
};

static const struct argp_option tune_option_table[] = {
    {"shapes", KEY_SHAPES, "FILE", 0,
     "the layers to tune (default: bench's built-in list, but none with --import, --export or --clblast), a line each: name N "
     "Cin Cout "
     "D,H,W kernel stride padding output_padding dilation groups",
     0},
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "of x and y: ncdhw (default) or ndhwc", 0},
    {"op", KEY_OP, "OP", 0, "forward (default), grad-input, grad-weight or grad-bias", 0},
    {"seconds", KEY_SECONDS, "S", 0, "how long to measure each candidate (default 0.1)", 0},
    {"candidates", KEY_CANDIDATES, "N", 0, "how many candidates to measure at most for each layer (default 12)", 0},
    {"clblast", KEY_CLBLAST, "TYPE", OPTION_ARG_OPTIONAL,
     "search parameters for CLBlast's matrix products on this device, before any layers; TYPE of sums: f32 (default) or f64",
     0},
    {"clblast-seconds", KEY_CLBLAST_SECONDS, "S", 0, "how long that may take (default 150)", 0},
    {"import", KEY_IMPORT, "FILE", 0, "first, take the tunings of FILE into the cache", 0},
    {"export", KEY_EXPORT, "FILE", 0, "at last, write all tunings in the cache to FILE", 0},
    {0},
};

static error_t parse_seconds(const char *option, const char *text, double most, double *seconds,
                             const struct argp_state *state) {
  char *end;
  *seconds = strtod(text, &end);
  if (*text && !*end && *seconds > 0 && *seconds <= most) return 0;
  return parse_fault(state, "%s '%s': it must be a number above 0 and up to %g", option, text, most);
}

static error_t parse_clblast(const char *text, struct clblast_job *job, const struct argp_state *state) {
  job->wanted = true;
  job->dtype = text && !strcmp(text, "f64") ? TCONV3D_F64 : TCONV3D_F32;
  if (!text || !strcmp(text, "f32") || !strcmp(text, "f64")) return 0;
  return parse_fault(state, "--clblast '%s': it must be f32 or f64", text);
}

static error_t parse_candidates(const char *text, int64_t *candidates, const struct argp_state *state) {
  if (!parse_number("--candidates", text, candidates, state_fault(state))) return EINVAL;
  return *candidates > 0 ? 0 : parse_fault(state, "--candidates '%s': it must be at least 1", text);
}

static error_t parse_tune(int key, char *arg, struct argp_state *state) {
  struct tune_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case KEY_SHAPES: options->shapes = arg; return 0;
  case KEY_SECONDS: return parse_seconds("--seconds", arg, 3600, &options->seconds, state);
  case KEY_CLBLAST: return parse_clblast(arg, &options->clblast, state);
  case KEY_CLBLAST_SECONDS: return parse_seconds("--clblast-seconds", arg, 86400, &options->clblast.seconds, state);
  case KEY_CANDIDATES: return parse_candidates(arg, &options->candidates, state);
  case KEY_OP: return parse_operation(arg, TCONV3D_GRAD_BIAS, &options->operation, state_fault(state)) ? 0 : EINVAL;
  case KEY_LAYOUT: return parse_layout(arg, &options->layouts, state_fault(state)) ? 0 : EINVAL;
  case KEY_EXPORT: options->export_path = arg; return 0;
  case KEY_IMPORT: options->import_path = arg; return 0;
  case ARGP_KEY_SUCCESS:
    return options->device.algorithm ? parse_fault(state, "--algo: tune compares all algorithms, it takes none by name") : 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child tune_children[] = {{.argp = &device_argp}, {0}};
static const struct argp tune_argp = {
    .options = tune_option_table,
    .parser = parse_tune,
    .doc =
        "Measures for each layer the candidates that are predicted to be fast, and keeps the fastest in the cache, for every "
        "later use of that layer on this device. Let the machine do nothing else meanwhile. `tconv3d cache clear` removes "
        "all tunings too; --export before keeps them.",
    .children = tune_children,
};

/* ---- carrying ---- */

/* The whole file as a string, to be freed; NULL with the fault. */
static char *read_all(FILE *stream, const char *path, struct fault *fault) {
  size_t capacity = 1 << 16, size = 0, got = 1;
  char *text = malloc(capacity);
  while (text && got) {
    got = fread(text + size, 1, capacity - size - 1, stream);
    size += got;
    if (size + 1 < capacity) continue;
    char *larger = realloc(text, capacity *= 2);
    if (!larger) free(text);
    text = larger;
  }
  if (!text) {
    fault_set(fault, EXIT_OTHER, "out of memory");
    return NULL;
  }
  text[size] = '\0';
  if (!ferror(stream) && strlen(text) == size) return text;
  fault_set(fault, EXIT_WRONG_USE, "--import (%s): %s", path, ferror(stream) ? "cannot be read" : "it is no text");
  free(text);
  return NULL;
}

static bool import_tunings(const char *path, struct fault *fault) {
  FILE *stream = fopen(path, "r");
  if (!stream) return fault_set(fault, EXIT_WRONG_USE, "--import (%s): cannot be opened: %s", path, strerror(errno));
  char *text = read_all(stream, path, fault);
  fclose(stream);
  if (!text) return false;
  size_t count;
  tconv3d_status status = tconv3d_tunings_import(text, &count);
  free(text);
  if (status == TCONV3D_OK) {
    printf("%zu tuning%s imported from %s\n", count, count == 1 ? "" : "s", path);
    return true;
  }
  struct fault inner = {0};
  fault_from_status(&inner, status);
  return fault_set(fault, inner.exit_code, "--import (%s): %.1500s", path, inner.text);
}

/* To an output that was opened before the long work, so that a wrong path is known at once. */
static bool export_tunings(struct output *output, const char *path, struct fault *fault) {
  char *text;
  size_t count = 0;
  tconv3d_status status = tconv3d_tunings_export(&text, &count);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  fputs(text, output->stream);
  free(text);
  if (!output_commit(output, fault)) return false;
  /* Not on the stdout that the text itself may have gone to. */
  if (strncmp(path, "/dev/", 5) != 0) printf("%zu tuning%s exported to %s\n", count, count == 1 ? "" : "s", path);
  return true;
}

/* ---- tuning ---- */

enum { SHAPE_STEPS = 1000 }; /* of the bar, for each layer */

struct bar {
  struct progress progress;
  int64_t before; /* steps of the layers that are done */
};

static int show_progress(size_t done, size_t total, void *user) {
  struct bar *bar = user;
  int64_t steps = bar->before + (int64_t)((double)done / (double)total * SHAPE_STEPS);
  progress_step(&bar->progress, steps - bar->progress.done);
  return 0;
}

struct summary {
  double log_ratios, worst;
  size_t count;
  char worst_name[sizeof((struct shape *)NULL)->name];
};

static void add_ratio(struct summary *summary, const struct shape *shape, double ratio) {
  summary->log_ratios += log(ratio);
  if (!summary->count++ || ratio > summary->worst) {
    summary->worst = ratio;
    memcpy(summary->worst_name, shape->name, sizeof summary->worst_name);
  }
}

static void print_row(const struct shape *shape, const tconv3d_tune_result *result, struct summary *summary) {
  char predicted[32] = "failed", ratio[32] = "-";
  if (result->predicted_seconds > 0) {
    double gain = result->predicted_seconds / result->seconds;
    snprintf(predicted, sizeof predicted, "%.3f", 1e3 * result->predicted_seconds);
    snprintf(ratio, sizeof ratio, "%.3f", gain);
    add_ratio(summary, shape, gain);
  }
  printf("%-12s %12s %10.3f %7s  %s\n", shape->name, predicted, 1e3 * result->seconds, ratio, result->winner);
}

static void print_summary(const struct summary *summary) {
  if (summary->count)
    printf("prediction / tuned: %.3f by geometric mean, at worst %.3f (%s)\n",
           exp(summary->log_ratios / (double)summary->count), summary->worst, summary->worst_name);
}

static bool tune_all(tconv3d_context *context, const struct tune_options *options, const struct shapes *shapes,
                     struct fault *fault) {
  struct bar bar = {0};
  struct summary summary = {0};
  tconv3d_tune_options tune = TCONV3D_TUNE_OPTIONS_INIT;
  tune.seconds = options->seconds, tune.max_candidates = (size_t)options->candidates;
  tune.progress = show_progress, tune.user = &bar;
  tune.operation = options->operation;
  bool done = true, stored = true;
  printf("%-12s %12s %10s %7s  %s\n", "layer", "predicted ms", "tuned ms", "ratio", "winner");
  progress_start(&bar.progress, (int64_t)shapes->count * SHAPE_STEPS, "tune");
  for (size_t i = 0; done && i < shapes->count; ++i) {
    tconv3d_tune_result result;
    tconv3d_desc desc = shapes->list[i].desc;
    desc.x_layout = options->layouts.x_layout, desc.y_layout = options->layouts.y_layout;
    tconv3d_status status = tconv3d_tune(context, &desc, &tune, &result);
    progress_hide(&bar.progress);
    struct fault inner = {0};
    done = status == TCONV3D_OK ? true : fault_from_status(&inner, status);
    if (done)
      print_row(&shapes->list[i], &result, &summary);
    else
      fault_set(fault, inner.exit_code, "%s: %.1900s", shapes->list[i].name, inner.text);
    fflush(stdout);
    stored = stored && done && result.stored;
    bar.before += SHAPE_STEPS;
  }
  progress_end(&bar.progress);
  if (done) print_summary(&summary);
  if (done && !stored) printf("not stored: no cache can be used; `tconv3d cache` says why\n");
  return done;
}

static bool tune_on(const struct tune_options *options, const struct shapes *shapes, struct fault *fault) {
  tconv3d_context *context;
  tconv3d_device_info device;
  if (!open_context(&options->device, &context, &device, fault)) return false;
  printf("%s\n", device.name);
  bool done = (!options->clblast.wanted || tune_clblast(context, &options->clblast, fault)) &&
              (!shapes || tune_all(context, options, shapes, fault));
  tconv3d_context_destroy(context);
  return done;
}

/* A wrong list of layers is known before a device is asked for. */
static bool tune_on_device(const struct tune_options *options, struct fault *fault) {
  struct shapes shapes;
  bool layers = options->shapes || !(options->import_path || options->export_path || options->clblast.wanted);
  if (!layers) return !options->clblast.wanted || tune_on(options, NULL, fault);
  if (!shapes_read(options->shapes, &shapes, fault)) return false;
  bool done = tune_on(options, &shapes, fault);
  shapes_free(&shapes);
  return done;
}

int cmd_tune(int argc, char **argv) {
  struct tune_options options = {.seconds = 0.1, .candidates = 12, .clblast = {.seconds = 150}};
  struct fault fault = {0};
  struct output output = {0};
  if (!command_parse(&tune_argp, argc, argv, &options, &fault)) return command_error(&fault);
  bool done = (!options.export_path || output_open(&output, options.export_path, &fault)) &&
              (!options.import_path || import_tunings(options.import_path, &fault)) && tune_on_device(&options, &fault) &&
              (!options.export_path || export_tunings(&output, options.export_path, &fault));
  output_abandon(&output);
  return done ? EXIT_DONE : command_error(&fault);
}
