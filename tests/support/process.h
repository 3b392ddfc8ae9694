/* process.h: runs a program and keeps what it wrote and how it ended. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>

struct process {
  const char *const *arguments;   /* the program's path first, NULL last */
  const char *const *environment; /* "NAME=value" sets, "NAME" removes, NULL last; NULL: the caller's environment as it is */
  const char *folder;             /* where it runs; NULL: here */
  const char *output;             /* a file that takes its stdout instead of process_result.out; NULL: none */
  double seconds;                 /* it is killed after so long */
};

struct process_result {
  int exit_code; /* -1 when it did not exit by itself */
  int signal;    /* that ended it, 0 for none */
  bool timed_out;
  char *out, *err; /* everything from stdout and stderr, with a zero after it */
  size_t out_bytes, err_bytes;
};

/* False when it could not be started or its output not be read; result is zeroed then. */
bool process_run(const struct process *process, struct process_result *result);
void process_free(struct process_result *result);

#endif
