/* common.c: see command.h. Parsing is argp's, but every word of an error is this file's: argp and getopt would print several
 * lines under another prefix, so both are silenced and what they stumbled over is found again here. */
#define _GNU_SOURCE
#include "tconv3d/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The argp that command_parse puts above the subcommand's own; a parser reaches it through state->root_argp. */
struct root {
  struct argp argp;
  struct argp_child children[2];
  struct fault *fault;
  void *input;    /* of the subcommand's parser */
  int stopped_at; /* index of the argument after the one that argp stopped at */
};

struct fault *state_fault(const struct argp_state *state) {
  return ((const struct root *)((const char *)state->root_argp - offsetof(struct root, argp)))->fault;
}

error_t parse_fault(const struct argp_state *state, const char *format, ...) {
  char text[sizeof state_fault(state)->text];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  fault_set(state_fault(state), EXIT_WRONG_USE, "%s", text);
  return EINVAL;
}

/* The long options that a word could mean, the way getopt completes them: an exact name alone, else every name it begins. */
struct matches {
  const struct argp_option *found;
  int count;
  bool exact;
  char names[256];
};

static void match_option(const struct argp_option *option, const char *word, size_t length, struct matches *matches) {
  if (!option->name || matches->exact || strncmp(option->name, word, length) != 0) return;
  matches->exact = option->name[length] == 0;
  matches->count = matches->exact ? 1 : matches->count + 1;
  matches->found = option;
  size_t used = strlen(matches->names);
  snprintf(matches->names + used, sizeof matches->names - used, "%s--%s", used ? ", " : "", option->name);
}

static void match_options(const struct argp *argp, const char *word, size_t length, struct matches *matches) {
  for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc || o->group); o++)
    match_option(o, word, length, matches);
  for (const struct argp_child *child = argp->children; child && child->argp; child++)
    match_options(child->argp, word, length, matches);
}

static const struct argp_option *find_letter(const struct argp *argp, char letter) {
  for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc || o->group); o++)
    if (o->key == letter) return o;
  for (const struct argp_child *child = argp->children; child && child->argp; child++) {
    const struct argp_option *found = find_letter(child->argp, letter);
    if (found) return found;
  }
  return NULL;
}

static bool refuse_long(const struct root *root, const char *word) {
  struct matches matches = {0};
  size_t length = strcspn(word, "=");
  match_options(&root->argp, word + 2, length - 2, &matches);
  if (matches.count == 0) return fault_set(root->fault, EXIT_WRONG_USE, "unknown option %.*s", (int)length, word);
  if (matches.count > 1)
    return fault_set(root->fault, EXIT_WRONG_USE, "option %.*s is ambiguous: %s", (int)length, word, matches.names);
  if (!matches.found->arg) return fault_set(root->fault, EXIT_WRONG_USE, "option --%s takes no value", matches.found->name);
  return fault_set(root->fault, EXIT_WRONG_USE, "option --%s needs a value: %s", matches.found->name, matches.found->arg);
}

/* "-abc": the first letter that is no option, or lacks its value; true when every letter is right. */
static bool refuse_letters(const struct root *root, const char *word) {
  for (const char *letter = word + 1; *letter; letter++) {
    const struct argp_option *option = find_letter(&root->argp, *letter);
    if (!option) return fault_set(root->fault, EXIT_WRONG_USE, "unknown option -%c", *letter);
    if (option->arg && letter[1]) return true;
    if (option->arg) return fault_set(root->fault, EXIT_WRONG_USE, "option -%c needs a value: %s", *letter, option->arg);
  }
  return true;
}

/* Says what is wrong with the argument that getopt refused: the last one it has passed, or, when it stopped inside "-abc", the
 * next. */
static void explain_refusal(const struct root *root, int argc, char **argv) {
  const char *next = root->stopped_at < argc ? argv[root->stopped_at] : "", *last = argv[root->stopped_at - 1];
  if (next[0] == '-' && next[1] && next[1] != '-' && next[2] && !refuse_letters(root, next)) return;
  if (strncmp(last, "--", 2) == 0 ? !refuse_long(root, last) : last[0] == '-' && !refuse_letters(root, last)) return;
  fault_set(root->fault, EXIT_WRONG_USE, "the options cannot be understood near '%s'", last);
}

/* argp keeps its help back when it may not print errors; a copy of the state may. Ends the program. */
static void print_help(const struct argp_state *state) {
  struct argp_state talking = *state;
  talking.flags &= ~(unsigned)ARGP_NO_ERRS;
  argp_state_help(&talking, state->out_stream, ARGP_HELP_STD_HELP | ARGP_HELP_EXIT_OK);
}

static error_t parse_root(int key, char *arg, struct argp_state *state) {
  struct root *root = state->input;
  (void)arg;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = root->input; return 0;
  case 'h': print_help(state); return 0;
  case ARGP_KEY_ERROR: root->stopped_at = state->next; return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

bool command_parse(const struct argp *argp, int argc, char **argv, void *input, struct fault *fault) {
  static const struct argp_option options[] = {{"help", 'h', NULL, 0, "print this text", -1}, {0}};
  struct root root = {.argp = {.options = options, .parser = parse_root},
                      .children = {{.argp = argp}},
                      .fault = fault,
                      .input = input,
                      .stopped_at = 1};
  int end = argc;
  root.argp.children = root.children;
  fault->text[0] = 0;
  error_t error = argp_parse(&root.argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, &end, &root);
  if (!error && end == argc) return true;
  if (fault->text[0]) return false;
  if (error == ENOMEM) return fault_set(fault, EXIT_OTHER, "out of memory");
  if (end < argc) return fault_set(fault, EXIT_WRONG_USE, "unexpected argument '%s'", argv[end]);
  explain_refusal(&root, argc, argv);
  return false;
}

/* The number at *text, which moves past it: an optional '-', then digits. False when it does not fit. */
static bool take_number(const char **text, int64_t *number) {
  bool negative = **text == '-';
  const char *digit = *text + negative;
  for (*number = 0; *digit >= '0' && *digit <= '9'; digit++)
    if (__builtin_mul_overflow(*number, 10, number) || __builtin_sub_overflow(*number, *digit - '0', number)) return false;
  *text = digit;
  /* Counted downwards, because the lowest number has no positive counterpart. */
  return negative || !__builtin_sub_overflow(0, *number, number);
}

bool parse_list(const char *option, const char *text, int64_t *list, int capacity, int *count, struct fault *fault) {
  const char *at = text;
  for (*count = 0;; at++) {
    if (*count == capacity)
      return fault_set(fault, EXIT_WRONG_USE, "%s '%s': more than %d number%s", option, text, capacity,
                       capacity > 1 ? "s" : "");
    const char *digit = at + (*at == '-');
    if (*digit < '0' || *digit > '9') break;
    if (!take_number(&at, &list[*count]))
      return fault_set(fault, EXIT_WRONG_USE, "%s '%s': the number at '%s' does not fit in 63 bits", option, text, at);
    ++*count;
    if (*at == 0) return true;
    if (*at != ',') break;
  }
  return fault_set(fault, EXIT_WRONG_USE, "%s '%s': %s needed, nothing else", option, text,
                   capacity > 1 ? "whole numbers with commas between are" : "a whole number is");
}

bool parse_number(const char *option, const char *text, int64_t *number, struct fault *fault) {
  int count;
  return parse_list(option, text, number, 1, &count, fault);
}

bool parse_triple(const char *option, const char *text, int64_t triple[3], struct fault *fault) {
  int64_t list[3];
  int count;
  if (!parse_list(option, text, list, 3, &count, fault)) return false;
  if (count == 2) return fault_set(fault, EXIT_WRONG_USE, "%s '%s': 2 numbers, where 1 or 3 (D,H,W) are needed", option, text);
  for (int axis = 0; axis < 3; axis++) triple[axis] = list[count == 1 ? 0 : axis];
  return true;
}

bool parse_operation(const char *text, tconv3d_operation last, tconv3d_operation *operation, struct fault *fault) {
  char names[128] = "";
  for (*operation = TCONV3D_FORWARD; *operation <= last; ++*operation) {
    const char *name = tconv3d_operation_name(*operation);
    if (!strcmp(text, name)) return true;
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
  }
  return fault_set(fault, EXIT_WRONG_USE, "--op '%s': it must be one of %s", text, names);
}

bool parse_layout(const char *text, tconv3d_desc *desc, struct fault *fault) {
  bool last = !strcmp(text, "ndhwc");
  if (!last && strcmp(text, "ncdhw") != 0)
    return fault_set(fault, EXIT_WRONG_USE, "--layout '%s': it must be ncdhw or ndhwc", text);
  desc->x_layout = desc->y_layout = last ? TCONV3D_CHANNELS_LAST : TCONV3D_DENSE;
  return true;
}

bool check_algorithm(const char *option, const char *name, struct fault *fault) {
  char known[256] = "";
  const char *candidate;
  if (!name) return true;
  for (size_t i = 0; (candidate = tconv3d_algorithm_name(i)) != NULL; i++) {
    if (strcmp(name, candidate) == 0) return true;
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", candidate);
  }
  return fault_set(fault, EXIT_WRONG_USE, "%s '%s': no such algorithm; there are: %s", option, name, known);
}

static error_t parse_device(int key, char *arg, struct argp_state *state) {
  struct device_options *options = state->input;
  switch (key) {
  case 'd': options->device = arg; return *arg ? 0 : parse_fault(state, "--device '': it must name a device");
  case 'a': options->algorithm = arg; return check_algorithm("--algo", arg, state_fault(state)) ? 0 : EINVAL;
  case 'v': options->verbose = true; return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option device_argp_options[] = {
    {"device", 'd', "SELECTOR", 0,
     "part of a platform's or device's name, cpu, gpu, accelerator, or PLATFORM:DEVICE numbers as `tconv3d devices` shows "
     "them; "
     "without it the variable TCONV3D_DEVICE, a selector too, else the first GPU, accelerator or CPU",
     10},
    {"algo", 'a', "NAME", 0, "the algorithm, instead of the automatic choice", 10},
    {"verbose", 'v', NULL, 0, "say on stderr what is used and how long it takes", 10},
    {0},
};
const struct argp device_argp = {.options = device_argp_options, .parser = parse_device};

bool open_context(const struct device_options *options, tconv3d_context **context, tconv3d_device_info *info,
                  struct fault *fault) {
  tconv3d_status status = tconv3d_device_select(options->device, info);
  if (status == TCONV3D_OK) status = tconv3d_context_create(&info->device, 1, context);
  if (status == TCONV3D_OK) return true;
  /* A selector that names nothing is a wrong value of an option; a machine without devices is not. */
  if (status == TCONV3D_NO_DEVICE && options->device && *options->device)
    return fault_set(fault, EXIT_WRONG_USE, "--device '%s': %s", options->device, tconv3d_message());
  return fault_from_status(fault, status);
}

const char *device_type_name(cl_device_type type) {
  static const struct {
    cl_device_type type;
    const char *name;
  } names[] = {{CL_DEVICE_TYPE_GPU, "GPU"}, {CL_DEVICE_TYPE_ACCELERATOR, "accelerator"}, {CL_DEVICE_TYPE_CPU, "CPU"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (type & names[i].type) return names[i].name;
  return "other";
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int command_error(const struct fault *fault) {
  fflush(stdout);
  fprintf(stderr, "tconv3d: error: %s\n", fault->text);
  return fault->exit_code;
}
