/* main.c: `tconv3d`: finds the subcommand in a table and hands it the rest of the arguments. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tconv3d/command.h"

/* In the order of the help. */
static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"run", cmd_run, "run a layer on .npy files"},
    {"grad-input", cmd_grad_input, "the gradient with respect to a layer's input"},
    {"grad-weight", cmd_grad_weight, "the gradient with respect to its weight"},
    {"grad-bias", cmd_grad_bias, "the gradient with respect to its bias"},
    {"upsample", cmd_upsample, "enlarge a NIfTI volume"},
    {"bench", cmd_bench, "measure the speed of layers"},
    {"tune", cmd_tune, "find the fastest way for layers by measuring, for later use"},
    {"explain", cmd_explain, "say what would be done for a layer, and why"},
    {"program", cmd_program, "write a layer's program for an offline compiler, or build it"},
    {"devices", cmd_devices, "list the OpenCL devices"},
    {"doctor", cmd_doctor, "check this machine, with known answers on every device"},
    {"cache", cmd_cache, "show or empty the cache of built programs and tunings"},
};
enum { NUM_COMMANDS = sizeof commands / sizeof *commands };

/* A full disk or a closed pipe behind stdout must not end as a success, argp's exit after --help included. */
static void check_stdout(void) {
  if (!fflush(stdout) && !ferror(stdout)) return;
  fprintf(stderr, "tconv3d: error: cannot write to standard output\n");
  _exit(EXIT_OTHER);
}

static int print_help(void) {
  printf("Usage: tconv3d COMMAND [ARGUMENTS]\n\n"
         "3D transposed convolution (PyTorch's nn.ConvTranspose3d) on OpenCL devices.\n\n");
  for (int i = 0; i < NUM_COMMANDS; i++) printf("  %-11s %s\n", commands[i].name, commands[i].summary);
  printf("\n`tconv3d COMMAND --help` tells a command's arguments; --version prints the version.\n"
         "Exit status: 0 done, 2 wrong use or an invalid parameter or file, 1 anything else.\n");
  return EXIT_DONE;
}

static int print_version(void) {
  printf("tconv3d %s\n", tconv3d_version());
  return EXIT_DONE;
}

static int refuse(const char *what, const char *name, const char *rule) {
  struct fault fault = {0};
  fault_set(&fault, EXIT_WRONG_USE, "%s '%s' %s", what, name, rule);
  return command_error(&fault);
}

static int run_command(const char *name, int argc, char **argv) {
  char shown[64]; /* what argp calls the program in its usage line */
  for (int i = 0; i < NUM_COMMANDS; i++) {
    if (strcmp(name, commands[i].name) != 0) continue;
    snprintf(shown, sizeof shown, "tconv3d %s", name);
    argv[0] = shown;
    return commands[i].run(argc, argv);
  }
  return refuse(*name == '-' ? "the option" : "the command", name, "is unknown; `tconv3d --help` lists the commands");
}

/* `tconv3d help [COMMAND]` */
static int help_command(int argc, char **argv) {
  char option[] = "--help";
  char *arguments[] = {argv[0], option, NULL};
  return argc > 1 ? run_command(argv[1], 2, arguments) : print_help();
}

static bool is_one_of(const char *word, const char *first, const char *second) {
  return strcmp(word, first) == 0 || strcmp(word, second) == 0;
}

/* A file that is opened must not become one of the standard streams, or messages end up in it. Closed stdout stays unwritable.
 */
static void open_standard_streams(void) {
  static const int modes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
  for (int stream = 0; stream < 3; stream++)
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", modes[stream]) < 0) exit(EXIT_OTHER);
}

/* PoCL aborts the process when it finds no linker, so its usual places are searched last; and options may follow files here,
 * whatever POSIXLY_CORRECT wants. */
static void set_environment(void) {
  const char *path = getenv("PATH");
  char *longer = NULL;
  unsetenv("POSIXLY_CORRECT");
  if (asprintf(&longer, "%s%s/usr/bin:/bin", path ? path : "", path && *path ? ":" : "") < 0) return;
  setenv("PATH", longer, 1);
  free(longer);
}

/* PoCL leaves its threads to the system, which in every third process had two of them share a core for whole calls, with
 * another one idle (measured: 20 ms instead of 12.9). It binds them if asked, though to all processors, whatever a caller
 * allowed. */
static void bind_threads(void) {
  cpu_set_t allowed;
  if (getenv("POCL_MAX_PTHREAD_COUNT")) return; /* more than processors, it would end here; fewer, be on the first ones */
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) == sysconf(_SC_NPROCESSORS_CONF))
    setenv("POCL_AFFINITY", "1", 0);
}

int main(int argc, char **argv) {
  open_standard_streams();
  set_environment();
  bind_threads();
  atexit(check_stdout);
  if (argc < 2) {
    struct fault fault = {0};
    fault_set(&fault, EXIT_WRONG_USE, "no command is given; `tconv3d --help` lists the commands");
    return command_error(&fault);
  }
  if (is_one_of(argv[1], "--help", "-h")) return print_help();
  if (is_one_of(argv[1], "--version", "-V")) return print_version();
  if (strcmp(argv[1], "help") == 0) return help_command(argc - 1, argv + 1);
  return run_command(argv[1], argc - 1, argv + 1);
}
