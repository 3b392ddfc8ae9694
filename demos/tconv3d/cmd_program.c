/* cmd_program.c: `tconv3d program`: a layer's program as files, for a compiler elsewhere (dump), or with the binary that the
 * device's own compiler makes (build). Needs no arrays: sizes are enough. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files/output.h"
#include "tconv3d/sizes_options.h"

enum program_action { PROGRAM_NONE, PROGRAM_DUMP, PROGRAM_BUILD };

struct program_options {
  struct sizes_options sizes;
  enum program_action action;
  const char *folder;
};

enum { KEY_OUT = 768 };

static const struct argp_option program_options_table[] = {
    {"out", KEY_OUT, "DIR", 0, "the folder to write into, made when missing (default: .)", 0}, {0}};

static error_t parse_action(const char *text, struct program_options *options, const struct argp_state *state) {
  static const char *const actions[] = {[PROGRAM_DUMP] = "dump", [PROGRAM_BUILD] = "build"};
  if (options->action) return parse_fault(state, "unexpected argument '%s'", text);
  for (int i = PROGRAM_DUMP; i <= PROGRAM_BUILD; i++)
    if (!strcmp(text, actions[i])) options->action = (enum program_action)i;
  return options->action ? 0 : parse_fault(state, "program '%s': it can dump or build", text);
}

static error_t parse_program(int key, char *arg, struct argp_state *state) {
  struct program_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->sizes; return 0;
  case KEY_OUT: options->folder = arg; return *arg ? 0 : parse_fault(state, "--out '': it must name a folder");
  case ARGP_KEY_ARG: return parse_action(arg, options, state);
  case ARGP_KEY_END: return options->action ? 0 : parse_fault(state, "program needs dump or build");
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child program_children[] = {{.argp = &sizes_argp}, {0}};
static const struct argp program_argp = {
    .options = program_options_table,
    .parser = parse_program,
    .args_doc = "dump|build",
    .doc = "Writes the program of the layer's plan as files of one NAME, which identifies all that decides its code: NAME.cl "
           "(OpenCL C "
           "with all defines at the top), NAME.options (of the build), NAME.key (what NAME is the hash of) and NAME.txt (the "
           "layer, the "
           "algorithm, the device, kernels and grids); build also builds it, and writes NAME.bin with its hash, NAME.sum. With "
           "TCONV3D_BINARY_DIR=DIR "
           "every later plan takes NAME.bin where NAME.key lies beside it; with TCONV3D_NO_BUILD=1 none is built.",
    .children = program_children,
};

struct part {
  const char *ending;
  const void *bytes;
  size_t count;
};

/* Its path, to be freed; NULL without memory. */
static char *part_path(const char *folder, const char *name, const struct part *part) {
  char *path = NULL;
  return asprintf(&path, "%s/%s.%s", folder, name, part->ending) < 0 ? NULL : path;
}

static bool open_part(const char *path, const struct part *part, struct output *output, struct fault *fault) {
  if (!path) return fault_set(fault, EXIT_OTHER, "no memory for a path");
  if (!output_open(output, path, fault)) return false;
  fwrite(part->bytes, 1, part->count, output->stream); /* the commit finds what could not be written */
  return true;
}

enum { MAX_PARTS = 6 };

/* All files are written before the first gets its name. */
static bool write_parts(const char *folder, const char *name, const struct part *parts, size_t count, struct fault *fault) {
  struct output outputs[MAX_PARTS] = {0};
  char *paths[MAX_PARTS] = {0};
  bool done = true;
  for (size_t i = 0; i < count && done; i++)
    done = open_part(paths[i] = part_path(folder, name, &parts[i]), &parts[i], &outputs[i], fault);
  for (size_t i = 0; i < count && done; i++) {
    done = output_commit(&outputs[i], fault);
    if (done) printf("%s\n", paths[i]);
  }
  for (size_t i = 0; i < count; i++) {
    output_abandon(&outputs[i]); /* nothing after a commit */
    free(paths[i]);
  }
  return done;
}

/* The key goes last: without it a binary is not used. */
static bool write_files(const char *folder, const tconv3d_program *program, struct fault *fault) {
  struct part parts[MAX_PARTS] = {
      {"cl", program->source, strlen(program->source)},
      {"options", program->options, strlen(program->options)},
      {"txt", program->description, strlen(program->description)},
  };
  size_t count = 3;
  char sum[80];
  int length = snprintf(sum, sizeof sum, "%s  %s.bin\n", program->binary_hash, program->name);
  if (program->binary) {
    parts[count++] = (struct part){"bin", program->binary, program->binary_bytes};
    parts[count++] = (struct part){"sum", sum, (size_t)length};
  }
  parts[count++] = (struct part){"key", program->key, program->key_bytes};
  if (mkdir(folder, 0777) && errno != EEXIST)
    return fault_set(fault, EXIT_WRONG_USE, "%s: cannot make the folder: %s", folder, strerror(errno));
  return write_parts(folder, program->name, parts, count, fault);
}

static bool write_program(const struct program_options *options, const tconv3d_desc *desc, struct fault *fault) {
  tconv3d_context *context = NULL;
  tconv3d_device_info device;
  tconv3d_program program = {.name = ""};
  if (!open_context(&options->sizes.layer.device, &context, &device, fault)) return false;
  tconv3d_plan_options plan_options = sizes_plan_options(&options->sizes);
  tconv3d_status status = tconv3d_program_create(context, desc, &plan_options, options->action == PROGRAM_BUILD, &program);
  bool done = status == TCONV3D_OK || fault_from_status(fault, status);
  if (done) done = write_files(options->folder ? options->folder : ".", &program, fault);
  tconv3d_program_free(&program);
  tconv3d_context_destroy(context);
  return done;
}

int cmd_program(int argc, char **argv) {
  struct program_options options = {0};
  struct fault fault = {0};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  bool done = command_parse(&program_argp, argc, argv, &options, &fault) &&
              sizes_options_apply(&options.sizes, &desc, &fault) && write_program(&options, &desc, &fault);
  return done ? EXIT_DONE : command_error(&fault);
}
