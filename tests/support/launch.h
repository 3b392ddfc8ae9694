/* launch.h: the command under test, as a user meets it: arguments in one string, a folder with files, exit status and output.
 * The command's path is argv[1] of the test program, or TCONV3D_COMMAND. Every failure here ends the test through cmocka. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdint.h>

#include "files/npy.h"
#include "support/process.h"
#include "support/scratch.h"

struct launch {
  struct scratch scratch; /* where the command runs and its files lie */
  char *command;
  bool has_device; /* `tconv3d devices` shows a usable one */
};

/* Both are cmocka's group functions' work; false when there is no command to test. */
bool launch_open(struct launch *launch, int argc, char **argv);
void launch_close(struct launch *launch);

/* Which OpenCL platforms the command sees: the machine's, or none. */
enum launch_platforms { AS_THEY_ARE, NO_PLATFORM };

/* Runs the command with arguments that are separated by spaces. result is to be freed. */
void launch(const struct launch *launch, enum launch_platforms platforms, const char *arguments, struct process_result *result);

/* The command must end with exit_code, one line on stderr with the prefix and each of words' parts (separated by '|'), nothing
 * on stdout, and the folder's names as they were. */
void launch_refused(const struct launch *launch, enum launch_platforms platforms, const char *arguments, int exit_code,
                    const char *words);
/* The command must end with 0 and nothing on stderr; result is to be freed. */
void launch_done(const struct launch *launch, enum launch_platforms platforms, const char *arguments,
                 struct process_result *result);
/* The same, and each of words' parts must be on stdout. */
void launch_says(const struct launch *launch, enum launch_platforms platforms, const char *arguments, const char *words);

/* Writes a float32 or float16 array of small whole numbers from -span to span; float16 holds them exactly. */
void launch_numbers(const struct launch *launch, const char *name, enum npy_type type, int rank, const int64_t *shape,
                    int span);
/* Reads an array of the folder; to be freed. */
void launch_array(const struct launch *launch, const char *name, struct npy *array);

#endif
