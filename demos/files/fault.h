/* fault.h: what went wrong and how the program ends for it. Functions that can fail return false with the fault filled in. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

#include <tconv3d/layer.h>

enum {
  EXIT_DONE = 0,
  EXIT_OTHER = 1,
  EXIT_WRONG_USE = 2
}; /* 2: an option, parameter, shape, type or file of the user's is wrong */

struct fault {
  int exit_code;
  char text[2048]; /* one line that names the option, file or axis */
};

/* Fills in the fault; always false, so that `return fault_set(...)` reads well. */
bool fault_set(struct fault *fault, int exit_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The fault for a failed library call (status, tconv3d_message()): exit code 2 for the user's parameters, 1 for anything else.
 */
bool fault_from_status(struct fault *fault, tconv3d_status status);

#endif
