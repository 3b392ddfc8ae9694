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

/* Said in main, before the group of tests that has this set-up and tear-down; its state is the struct launch. The set-up fails
 * when there is no command to test. */
void launch_arguments(int argc, char **argv);
int launch_set_up(void **state);
int launch_tear_down(void **state);

/* Which OpenCL platforms the command sees: the machine's, or none. */
enum launch_platforms { AS_THEY_ARE, NO_PLATFORM };

/* Runs the command with arguments that are separated by spaces. result is to be freed. */
void launch(const struct launch *launch, enum launch_platforms platforms, const char *arguments, struct process_result *result);

/* The command must end with exit_code, one line on stderr with the prefix and each of words' parts (separated by '|'), nothing
 * on stdout, and the folder's names as they were. */
void launch_refused(const struct launch *launch, enum launch_platforms platforms, const char *arguments, int exit_code,
                    const char *words);
/* The same with status 2, row by row, for uses that are wrong whatever the devices are: none can be asked. */
struct refusal {
  const char *arguments, *words;
};
void launch_refuse_all(const struct launch *launch, const struct refusal *rows, size_t count);
#define LAUNCH_REFUSE_ALL(launch, rows) launch_refuse_all(launch, rows, sizeof rows / sizeof *rows)
/* launch_refused without a platform, which also must leave the file of this name as it was before. */
void launch_keeps(const struct launch *launch, const char *name, const char *arguments, int exit_code, const char *words);
/* The command must end with 0 and nothing on stderr; result is to be freed. */
void launch_done(const struct launch *launch, enum launch_platforms platforms, const char *arguments,
                 struct process_result *result);
/* The same, and each of words' parts must be on stdout. */
void launch_says(const struct launch *launch, enum launch_platforms platforms, const char *arguments, const char *words);

/* Writes a float32 or float16 array of small whole numbers from -span to span; float16 holds them exactly. */
void launch_numbers(const struct launch *launch, const char *name, enum npy_type type, int rank, const int64_t *shape,
                    int span);
/* Such float32 arrays from -3 to 3. */
struct launch_file {
  const char *name;
  int rank;
  int64_t shape[6];
};
void launch_files(const struct launch *launch, const struct launch_file *files, size_t count);
#define LAUNCH_FILES(launch, files) launch_files(launch, files, sizeof files / sizeof *files)
/* What is no array: cut.npy (one that is there without its last byte), empty.npy, text.npy, and a FIFO, pipe. */
void launch_no_arrays(const struct launch *launch, const char *to_cut);
/* Reads an array of the folder; to be freed. */
void launch_array(const struct launch *launch, const char *name, struct npy *array);

#endif
