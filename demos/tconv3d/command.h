/* command.h: what the subcommands of `tconv3d` share. A subcommand is one cmd_NAME.c with one function in the table of main.c;
 * it parses its own arguments with argp and returns the exit status after printing at most one error through command_error().
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <argp.h>
#include <stdint.h>
#include <tconv3d/tconv3d.h>

#include "files/fault.h"

int cmd_run(int argc, char **argv);
int cmd_upsample(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_grad_input(int argc, char **argv);
int cmd_grad_weight(int argc, char **argv);
int cmd_grad_bias(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_program(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_cache(int argc, char **argv);

/* --device, --algo, --verbose, as an argp child whose input is a struct device_options. */
struct device_options {
  const char *device, *algorithm;
  bool verbose;
};
extern const struct argp device_argp;

/* Runs argp with this project's conventions: an unknown or malformed option ends as a fault with EXIT_WRONG_USE, one line, and
 * --help prints to stdout and exits 0. Every parser gives its messages by `return parse_fault(state, "...")`. */
bool command_parse(const struct argp *argp, int argc, char **argv, void *input, struct fault *fault);

/* For a parser that command_parse runs: sets the fault with EXIT_WRONG_USE and returns what argp wants to hear. */
error_t parse_fault(const struct argp_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The fault of the command_parse that runs this parser: `return parse_triple("--stride", text, v, state_fault(state)) ? 0 :
 * EINVAL`. */
struct fault *state_fault(const struct argp_state *state);

/* "2" or "2,1,1" into three numbers; option names it in the fault. Refuses anything else: empty fields, signs with spaces,
 * overflow. Negative numbers pass: the library's message tells the rule. */
bool parse_triple(const char *option, const char *text, int64_t triple[3], struct fault *fault);
bool parse_number(const char *option, const char *text, int64_t *number, struct fault *fault);
/* Up to capacity numbers with commas between; *count is how many. */
bool parse_list(const char *option, const char *text, int64_t *list, int capacity, int *count, struct fault *fault);

/* An operation by its name, from the forward one to the last one named. */
bool parse_operation(const char *text, tconv3d_operation last, tconv3d_operation *operation, struct fault *fault);
/* "ncdhw" or "ndhwc": the layout of x and y. */
bool parse_layout(const char *text, tconv3d_desc *desc, struct fault *fault);

/* Refuses a name that is no algorithm's, with the list of those; NULL passes. device_argp has done it for --algo. */
bool check_algorithm(const char *option, const char *name, struct fault *fault);

/* The context on the device that the options select, with what is known of that device. */
bool open_context(const struct device_options *options, tconv3d_context **context, tconv3d_device_info *info,
                  struct fault *fault);

/* "GPU", "CPU", "accelerator" or "other". */
const char *device_type_name(cl_device_type type);

/* Seconds of a clock that only runs forward. */
double seconds_now(void);

/* Prints "tconv3d: error: TEXT" to stderr and returns the fault's exit code. */
int command_error(const struct fault *fault);

#endif
