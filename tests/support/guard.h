/* guard.h: device buffers between guard zones. A zone is full of one NaN with its own bits: a kernel that reads it spoils its
 * result, a kernel that writes it is found out. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include <tconv3d/tconv3d.h>

struct guarded {
  cl_mem mem;
  size_t offset, bytes; /* where the tensor lies */
};

/* A buffer with a tensor at offset (the zone before it) and a zone after it. contents NULL: the tensor is full
 * of the same NaN. False when memory runs out. */
bool guard_make(struct guarded *guarded, cl_context context, cl_mem_flags flags, size_t offset, const void *contents,
                size_t bytes);
void guard_free(struct guarded *guarded);

/* Writes the tensor and its zones anew, blocking. Whole, because Oclgrind 21.10 takes what the host has not written last of a
 * buffer for uninitialised. False when memory runs out or the write fails. */
bool guard_write(const struct guarded *guarded, cl_command_queue queue, const void *contents);

static inline tconv3d_buffer guard_buffer(const struct guarded *guarded) {
  return (tconv3d_buffer){guarded->mem, guarded->offset};
}

/* Reads the tensor to contents (NULL: only the zones are looked at), blocking. False when a zone was written, with where in
 * why, or when reading fails. */
bool guard_read(const struct guarded *guarded, cl_command_queue queue, void *contents, char *why, size_t capacity);

/* True when every word of the tensor at host is still the NaN it was filled with. */
bool guard_untouched(const void *host, size_t bytes);

#endif
