/* program.h: from a source name and defines to kernels that are ready to run: found in the context, loaded from the directory
 * of binaries or the store, or built; then warmed, because a runtime may generate machine code only at a kernel's first launch.
 */
#ifndef T3_PROGRAM_H
#define T3_PROGRAM_H

#include <tconv3d/tconv3d.h>

#include "algo/algo.h"
#include "base/text.h"
#include "device/context.h"

/* An embedded file of cl/, its includes inlined. */
typedef struct t3_source {
  const char *name, *text;
} t3_source;
extern const t3_source t3_sources[];
extern const size_t t3_num_sources;

typedef struct t3_program {
  cl_program cl;
  cl_device_id device;
  t3_text key;    /* everything that decides the code: see key.c */
  t3_text warmed; /* the launch classes that were run once here, one a line */
  t3_text stored; /* those that the stored binary had been run with */
  bool news;      /* a class was warmed that the stored binary has not seen */
  t3_text wrong;  /* how a self-test failed; empty where none did. Then it is not stored */
  bool offline;   /* from the directory of binaries: nothing of it is stored */
  struct t3_program *next;
} t3_program;

/* Finds or makes the program and warms the launches, on the slot's queue; the context owns it. Blocks while it builds. */
tconv3d_status t3_program_prepare(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *defines,
                                  const t3_launch *const *launches, int num_launches, t3_program **program);

/* Whether a line was noted of the program, here or where its stored binary comes from; notes it, to be stored with the binary.
 * Under the context's building. */
bool t3_program_has(const t3_program *program, const t3_text *line);
void t3_program_note(t3_program *program, const t3_text *line);

/* Stores the context's programs that have news. Only for a context that nobody uses any more: reading a binary is slow. */
void t3_programs_keep(tconv3d_context *context);
void t3_programs_free(t3_program *list);

/* The defines as #define lines, then the source of that name; false: no such source or no memory. */
bool t3_program_text(const char *name, const t3_text *defines, t3_text *text);
/* The identity of what text becomes on the device. */
void t3_program_key(const tconv3d_device_info *device, const t3_text *text, t3_text *key);
/* Of a program's text, which asks by a define for more than the usual ones. */
const char *t3_build_options(const t3_text *text);
/* The XXH3 128-bit hash of bytes in the canonical order, as 32 hexadecimal digits: of a program's key it is the name of its
 * files.
 */
enum { T3_PROGRAM_NAME = 33 };
void t3_hash_name(const void *bytes, size_t size, char name[T3_PROGRAM_NAME]);
static inline void t3_program_name(const t3_text *key, char name[T3_PROGRAM_NAME]) {
  t3_hash_name(key->data, key->size, name);
}

/* Builds from source; the message of a failure holds the whole log. */
tconv3d_status t3_build_source(cl_context cl, const tconv3d_device_info *device, const char *name, const t3_text *text,
                               cl_program *program);
/* options: those that it was made with. NULL when the device does not take the binary. */
cl_program t3_build_binary(cl_context cl, cl_device_id device, const char *options, const void *binary, size_t size);
/* The program's binary for its device, malloc'd; false when the runtime gives none. */
bool t3_program_binary(cl_program program, cl_device_id device, unsigned char **binary, size_t *size);

/* A command of a launch: grid work-items, whole work-groups, from offset on. */
typedef struct t3_piece {
  size_t offset, grid;
} t3_piece;
/* How many there are, at least 1, and each of them. */
int64_t t3_num_pieces(const t3_launch *launch);
t3_piece t3_piece_at(const t3_launch *launch, int64_t index);

/* What code the runtime needs for a command, a line with its end: "KERNEL LOCAL", and on devices that generate code by launch
 * the class of grid ("small" or "large") and "offset" where there is one. */
void t3_launch_class(const tconv3d_device_info *device, const t3_launch *launch, const t3_piece *piece, t3_text *line);
/* The fewest work-items of a grid of the same class. */
size_t t3_least_grid(const tconv3d_device_info *device, const t3_launch *launch, const t3_piece *piece);

/* Runs the piece of the launch once without work-items' work, in its class. */
tconv3d_status t3_warm(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch,
                       const t3_piece *piece);

#endif
