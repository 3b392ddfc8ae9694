/* npy.c: see npy.h; the header's text is npy_header.c's. */
#include "files/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/half.h"
#include "files/npy_header.h"
#include "files/output.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error ".npy data are read and written as they lie in memory: little-endian"
#endif

enum { ALIGNMENT = 128, MAX_HEADER = 1 << 16 };

/* An open file while it is read: whose faults begin with "LABEL (PATH): ". */
struct source {
  int file;
  const char *label, *path;
  struct fault *fault;
};

static bool refuse(const struct source *source, const char *reason) {
  return fault_set(source->fault, EXIT_WRONG_USE, "%s (%s): %s", source->label, source->path, reason);
}

static bool refuse_errno(const struct source *source, const char *what, int error) {
  return fault_set(source->fault, EXIT_WRONG_USE, "%s (%s): cannot %s: %s", source->label, source->path, what, strerror(error));
}

static bool read_all(const struct source *source, void *to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = read(source->file, (char *)to + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse_errno(source, "read", errno);
    if (got == 0) return refuse(source, "it became shorter while it was read");
    done += (size_t)got;
  }
  return true;
}

/* Magic, version and the header's length: 2 bytes of it in version 1, 4 in versions 2 and 3. *start is where the text begins.
 */
static bool read_start(const struct source *source, int64_t file_bytes, size_t *start, size_t *length) {
  unsigned char head[12];
  if (file_bytes < 10) return refuse(source, "it is no .npy file: too short for one");
  if (!read_all(source, head, 8)) return false;
  if (memcmp(head, "\x93NUMPY", 6) != 0) return refuse(source, "it is no .npy file: the first bytes are not \\x93NUMPY");
  if (head[6] < 1 || head[6] > 3 || head[7] != 0)
    return fault_set(source->fault, EXIT_WRONG_USE, "%s (%s): .npy version %u.%u; 1.0, 2.0 and 3.0 can be read", source->label,
                     source->path, head[6], head[7]);
  size_t digits = head[6] == 1 ? 2 : 4;
  *start = 8 + digits;
  *length = 0;
  if (file_bytes < (int64_t)*start) return refuse(source, "it ends inside its header");
  if (!read_all(source, head + 8, digits)) return false;
  for (size_t i = 0; i < digits; i++) *length |= (size_t)head[8 + i] << (8 * i);
  if (*length > MAX_HEADER) return refuse(source, "its header is longer than 65536 bytes");
  if (file_bytes - (int64_t)*start < (int64_t)*length) return refuse(source, "it ends inside its header");
  return true;
}

static bool read_header(const struct source *source, size_t length, struct npy *array) {
  char reason[NPY_REASON_SIZE] = "";
  char *text = malloc(length + 1);
  if (!text) return fault_set(source->fault, EXIT_OTHER, "%s (%s): out of memory", source->label, source->path);
  bool done = read_all(source, text, length) && (npy_header_parse(text, length, array, reason) || refuse(source, reason));
  free(text);
  return done;
}

/* The file must hold exactly what its header says: a shorter one was cut, a longer one is not what it claims to be. */
static bool check_length(const struct source *source, const struct npy *array, int64_t data_bytes) {
  int64_t expected = (int64_t)(array->count * npy_type_size(array->type));
  if (expected == data_bytes) return true;
  return fault_set(source->fault, EXIT_WRONG_USE,
                   "%s (%s): its header promises %" PRId64 " bytes of data, the file has %" PRId64 "%s", source->label,
                   source->path, expected, data_bytes, data_bytes < expected ? ": it is truncated" : "");
}

static bool read_open(const struct source *source, struct npy *array) {
  struct stat status;
  size_t start = 0, length = 0;
  struct npy header = {0};
  if (fstat(source->file, &status)) return refuse_errno(source, "read", errno);
  if (S_ISDIR(status.st_mode)) return refuse(source, "it is a directory");
  if (!S_ISREG(status.st_mode)) return refuse(source, "it is not a regular file");
  if (!read_start(source, status.st_size, &start, &length) || !read_header(source, length, &header) ||
      !check_length(source, &header, status.st_size - (int64_t)(start + length)))
    return false;
  if (!npy_make(array, header.type, header.rank, header.shape, source->fault)) return false;
  return read_all(source, array->data, array->count * npy_type_size(array->type));
}

bool npy_read(const char *path, const char *label, struct npy *array, struct fault *fault) {
  memset(array, 0, sizeof *array);
  /* Without O_NONBLOCK a pipe that nobody writes would hang the open. */
  struct source source = {open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), label, path, fault};
  if (source.file < 0) return refuse_errno(&source, "open", errno);
  bool done = read_open(&source, array);
  close(source.file);
  if (!done) npy_free(array);
  return done;
}

bool npy_write_to(struct output *output, const struct npy *array, struct fault *fault) {
  char start[NPY_START_SIZE];
  size_t length = npy_header_format(array, start);
  errno = 0;
  if (fwrite(start, 1, length, output->stream) == length &&
      fwrite(array->data, npy_type_size(array->type), array->count, output->stream) == array->count)
    return true;
  return fault_set(fault, EXIT_OTHER, "%s: cannot write: %s", output->path, strerror(errno ? errno : EIO));
}

bool npy_write(const char *path, const struct npy *array, struct fault *fault) {
  struct output output;
  if (!output_open(&output, path, fault)) return false;
  bool done = npy_write_to(&output, array, fault) && output_commit(&output, fault);
  output_abandon(&output);
  return done;
}

void npy_free(struct npy *array) {
  free(array->data);
  memset(array, 0, sizeof *array);
}

bool npy_make(struct npy *array, enum npy_type type, int rank, const int64_t *shape, struct fault *fault) {
  size_t count = 1, bytes;
  memset(array, 0, sizeof *array);
  for (int axis = 0; axis < rank; axis++)
    if (shape[axis] == 0) count = 0;
  for (int axis = 0; axis < rank && count; axis++)
    if (__builtin_mul_overflow(count, shape[axis], &count))
      return fault_set(fault, EXIT_OTHER, "out of memory: array too large");
  if (__builtin_mul_overflow(count, npy_type_size(type), &bytes) || bytes > SIZE_MAX / 2)
    return fault_set(fault, EXIT_OTHER, "out of memory: array too large");
  array->data = aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
  if (!array->data) return fault_set(fault, EXIT_OTHER, "out of memory: an array of %zu bytes", bytes);
  array->type = type;
  array->rank = rank;
  array->count = count;
  if (rank > 0) memcpy(array->shape, shape, (size_t)rank * sizeof *shape);
  return true;
}

static double load(const struct npy *array, size_t i) {
  switch (array->type) {
  case NPY_F16: return half_to_float(((const uint16_t *)array->data)[i]);
  case NPY_F32: return ((const float *)array->data)[i];
  default: return ((const double *)array->data)[i];
  }
}

/* Each pair of types rounds at most once: a double holds the source exactly. */
static void store(struct npy *array, size_t i, double value) {
  switch (array->type) {
  case NPY_F16: ((uint16_t *)array->data)[i] = half_from_double(value); break;
  case NPY_F32: ((float *)array->data)[i] = (float)value; break;
  default: ((double *)array->data)[i] = value; break;
  }
}

bool npy_convert(struct npy *array, enum npy_type type, struct fault *fault) {
  struct npy converted;
  if (array->type == type) return true;
  if (!npy_make(&converted, type, array->rank, array->shape, fault)) return false;
  for (size_t i = 0; i < array->count; i++) store(&converted, i, load(array, i));
  npy_free(array);
  *array = converted;
  return true;
}
