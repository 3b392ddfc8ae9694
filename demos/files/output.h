/* output.h: a file that appears whole or not at all: written beside its place under a temporary name, then renamed. An output
 * that is no regular file (/dev/stdout, a pipe) is written directly. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "files/fault.h"

struct output {
  FILE *stream; /* write here; NULL when not open */
  char *path, *temporary;
};

bool output_open(struct output *output, const char *path, struct fault *fault);
/* Flushes, checks for write errors, renames. On failure the temporary file is gone and an earlier file of that name untouched.
 */
bool output_commit(struct output *output, struct fault *fault);
/* Removes what was written; does nothing after a commit or on a zeroed output. */
void output_abandon(struct output *output);

#endif
