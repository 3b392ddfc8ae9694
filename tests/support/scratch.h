/* scratch.h: a folder of the test's own, with what the tests of files need. Every failure here ends the test through cmocka. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

struct scratch {
  char folder[256];
};

void scratch_open(struct scratch *scratch);  /* below $TMPDIR, else /tmp */
void scratch_close(struct scratch *scratch); /* removes it with all it holds */

/* The same as set-up and tear-down of a group that shares one folder, which is its state. */
int scratch_set_up(void **state);
int scratch_tear_down(void **state);

/* "FOLDER/NAME" in text, which it returns. */
enum { SCRATCH_PATH = 512 };
const char *scratch_path(const struct scratch *scratch, const char *name, char text[SCRATCH_PATH]);

void scratch_write(const struct scratch *scratch, const char *name, const void *bytes, size_t count);
/* To be freed; *count bytes with a zero after them. NULL where there is no such file. */
char *scratch_read(const struct scratch *scratch, const char *name, size_t *count);
/* How many names the folder holds, hidden ones too. */
int scratch_count(const struct scratch *scratch);
/* Removes what has this name, with all it holds, whatever its own permissions are. */
void scratch_remove(const struct scratch *scratch, const char *name);

#endif
