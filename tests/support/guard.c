#include "support/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZONE_AFTER = 4096 }; /* more than any tile or vector that a kernel might read or write too much */

static const uint32_t sentinel = 0x7fc5a5a5; /* a quiet NaN */

/* What byte i of a buffer is filled with; elements need not begin where a word does. */
static unsigned char filling(size_t i) {
  return ((const unsigned char *)&sentinel)[i % sizeof sentinel];
}

static void fill(unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[i] = filling(i);
}

/* The first byte of a zone that is not as it was; end when all are. */
static size_t first_change(const unsigned char *bytes, size_t begin, size_t end) {
  size_t i = begin;
  while (i < end && bytes[i] == filling(i)) ++i;
  return i;
}

bool guard_untouched(const void *host, size_t bytes) {
  return first_change(host, 0, bytes) == bytes;
}

/* The whole buffer as the host would have it, to be freed: contents (NULL: as the zones) between its zones. */
static unsigned char *between_zones(const struct guarded *guarded, const void *contents) {
  size_t size = guarded->offset + guarded->bytes + ZONE_AFTER;
  unsigned char *host = malloc(size);
  if (!host) return NULL;
  fill(host, size);
  if (contents && guarded->bytes) memcpy(host + guarded->offset, contents, guarded->bytes);
  return host;
}

bool guard_make(struct guarded *guarded, cl_context context, cl_mem_flags flags, size_t offset, const void *contents,
                size_t bytes) {
  *guarded = (struct guarded){.offset = offset, .bytes = bytes};
  unsigned char *host = between_zones(guarded, contents);
  if (!host) return false;
  cl_int error;
  guarded->mem = clCreateBuffer(context, flags | CL_MEM_COPY_HOST_PTR, offset + bytes + ZONE_AFTER, host, &error);
  free(host);
  return error == CL_SUCCESS;
}

bool guard_write(const struct guarded *guarded, cl_command_queue queue, const void *contents) {
  unsigned char *host = between_zones(guarded, contents);
  if (!host) return false;
  size_t size = guarded->offset + guarded->bytes + ZONE_AFTER;
  cl_int error = clEnqueueWriteBuffer(queue, guarded->mem, CL_TRUE, 0, size, host, 0, NULL, NULL);
  if (error == CL_SUCCESS) error = clFinish(queue); /* a blocking write lets the host go on, not an out-of-order queue */
  free(host);
  return error == CL_SUCCESS;
}

void guard_free(struct guarded *guarded) {
  if (guarded->mem) clReleaseMemObject(guarded->mem);
  *guarded = (struct guarded){0};
}

bool guard_read(const struct guarded *guarded, cl_command_queue queue, void *contents, char *why, size_t capacity) {
  size_t end = guarded->offset + guarded->bytes, size = end + ZONE_AFTER;
  unsigned char *host = malloc(size);
  if (!host) {
    snprintf(why, capacity, "no memory to read the buffer back");
    return false;
  }
  cl_int error = clEnqueueReadBuffer(queue, guarded->mem, CL_TRUE, 0, size, host, 0, NULL, NULL);
  size_t before = first_change(host, 0, guarded->offset), after = first_change(host, end, size);
  bool intact = error == CL_SUCCESS && before == guarded->offset && after == size;
  if (error != CL_SUCCESS)
    snprintf(why, capacity, "reading the buffer back failed with error %d", (int)error);
  else if (before < guarded->offset)
    snprintf(why, capacity, "written %zu bytes before the tensor", guarded->offset - before);
  else if (after < size)
    snprintf(why, capacity, "written %zu bytes past the tensor's end", after - end);
  if (contents && guarded->bytes) memcpy(contents, host + guarded->offset, guarded->bytes);
  free(host);
  return intact;
}
