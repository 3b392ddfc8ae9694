/* volume.c: volumes from and to files. zlib's gz functions read plain and compressed files alike, told apart by their first
 * bytes; the compressed output goes through deflate into the caller's stream, because only that stream can become a whole file
 * or none. */
#include "files/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

#include "files/output.h"
#include "files/volume_header.h"

enum {
  CHUNK = 1 << 18,
  FIRST_ROOM = 1 << 20,
  GZIP_WINDOW = 15 + 16, /* the largest window, with a gzip header */
  GZIP_LEVEL = 3         /* a head of 57 million voxels: 0.9 s instead of level 6's 1.6 s for 0.2 % more bytes */
};

struct reader {
  gzFile gz;
  const char *path;
  struct fault *fault;
  bool big; /* the file's byte order */
};

/* The machine's memory in bytes, or no limit where it cannot be asked. */
static int64_t machine_memory(void) {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  int64_t bytes;
  return pages > 0 && page > 0 && !__builtin_mul_overflow(pages, page, &bytes) ? bytes : INT64_MAX;
}

static bool out_of_memory(struct fault *fault, const char *path, int64_t bytes) {
  return fault_set(fault, EXIT_OTHER, "%s: not enough memory for %lld bytes of voxels", path, (long long)bytes);
}

/* Up to size bytes, fewer only at the end; *found says how many. A gzip stream that breaks off ends early too, without an
 * error. */
static bool read_some(struct reader *reader, void *to, int64_t size, int64_t *found) {
  *found = 0;
  while (*found < size) {
    const int64_t left = size - *found;
    errno = 0;
    const int got = gzread(reader->gz, (char *)to + *found, (unsigned)(left < CHUNK ? left : CHUNK));
    if (got < 0) {
      int code;
      const char *reason = gzerror(reader->gz, &code);
      const bool system = code == Z_ERRNO && errno;
      return fault_set(reader->fault, system && errno != EISDIR ? EXIT_OTHER : EXIT_WRONG_USE, "%s: cannot read: %s",
                       reader->path, system ? strerror(errno) : reason);
    }
    if (got == 0) break;
    *found += got;
  }
  return true;
}

static bool truncated(const struct reader *reader, const char *what, int64_t expected, int64_t found) {
  return fault_set(reader->fault, EXIT_WRONG_USE, "%s: truncated: %s takes %lld bytes, the file holds %lld", reader->path, what,
                   (long long)expected, (long long)found);
}

static bool read_header(struct reader *reader, struct volume_header *header) {
  unsigned char bytes[NIFTI2_BYTES];
  int64_t found, more;
  if (!read_some(reader, bytes, NIFTI1_BYTES, &found)) return false;
  const int version = found < 4 ? 1 : header_version(bytes, &reader->big);
  if (!version)
    return fault_set(reader->fault, EXIT_WRONG_USE,
                     "%s: not NIfTI: its first number is neither 348 (NIfTI-1) nor 540 (NIfTI-2)", reader->path);
  if (found < NIFTI1_BYTES) return truncated(reader, "the header", (int64_t)header_bytes(version), found);
  if (!read_some(reader, bytes + found, (int64_t)header_bytes(version) - found, &more)) return false;
  if (found + more < (int64_t)header_bytes(version))
    return truncated(reader, "the header", (int64_t)header_bytes(version), found + more);
  return header_decode(bytes, version, reader->big, reader->path, header, reader->fault);
}

static bool skip_to_data(struct reader *reader, const struct volume_header *header) {
  char ignored[4096];
  const int64_t end = (int64_t)header->vox_offset;
  int64_t at = (int64_t)header_bytes(header->version);
  while (at < end) {
    int64_t found;
    const int64_t size = end - at < (int64_t)sizeof ignored ? end - at : (int64_t)sizeof ignored;
    if (!read_some(reader, ignored, size, &found)) return false;
    if ((at += found) < end && found < size) return truncated(reader, "what precedes the data", end, at);
  }
  return true;
}

/* Reads exactly bytes. The room doubles as they arrive, so that a header that promises more than the file holds costs no
 * memory. */
static bool read_data(struct reader *reader, int64_t bytes, void **data) {
  int64_t room = bytes < FIRST_ROOM ? bytes : FIRST_ROOM, filled = 0, found;
  for (;;) {
    void *grown = realloc(*data, (size_t)room);
    if (!grown) return out_of_memory(reader->fault, reader->path, bytes);
    *data = grown;
    if (!read_some(reader, (char *)grown + filled, room - filled, &found)) return false;
    if ((filled += found) < room) return truncated(reader, "its data", bytes, filled);
    if (filled == bytes) return true;
    room = room > bytes / 2 ? bytes : room * 2;
  }
}

/* Nothing may follow the data, and a compressed file must be whole: zlib compares its checksum when the end is read. */
static bool expect_end(struct reader *reader, int64_t bytes) {
  char extra;
  int64_t found;
  int code;
  if (!read_some(reader, &extra, 1, &found)) return false;
  if (found)
    return fault_set(reader->fault, EXIT_WRONG_USE, "%s: holds more than the %lld bytes of data that its header describes",
                     reader->path, (long long)bytes);
  gzerror(reader->gz, &code);
  if (code == Z_BUF_ERROR)
    return fault_set(reader->fault, EXIT_WRONG_USE, "%s: truncated: the gzip stream has no end", reader->path);
  return true;
}

static void swap_bytes(unsigned char *data, int64_t bytes, size_t size) {
  for (unsigned char *value = data; size > 1 && value < data + bytes; value += size)
    for (size_t low = 0, high = size - 1; low < high; ++low, --high) {
      const unsigned char kept = value[low];
      value[low] = value[high], value[high] = kept;
    }
}

static bool read_volume(struct reader *reader, struct volume *volume) {
  int64_t bytes;
  if (!read_header(reader, &volume->header)) return false;
  if (!header_measure(volume, reader->path, &bytes, reader->fault)) return false;
  const int64_t bits = 8 * (int64_t)volume_type_size(volume->type);
  if (volume->header.bitpix != bits)
    return fault_set(reader->fault, EXIT_WRONG_USE, "%s: bitpix is %lld, must be %lld for %s", reader->path,
                     (long long)volume->header.bitpix, (long long)bits, volume_type_name(volume->type));
  if (!skip_to_data(reader, &volume->header)) return false;
  if (!read_data(reader, bytes, &volume->data) || !expect_end(reader, bytes)) return false;
  if (reader->big != HOST_IS_BIG) swap_bytes(volume->data, bytes, volume_type_size(volume->type));
  return true;
}

static bool ends_with(const char *path, const char *ending) {
  const size_t size = strlen(path), part = strlen(ending);
  return size > part && !strcasecmp(path + size - part, ending);
}

bool volume_path(const char *path, bool *gzip) {
  *gzip = ends_with(path, ".nii.gz");
  return *gzip || ends_with(path, ".nii");
}

bool volume_read(const char *path, struct volume *volume, struct fault *fault) {
  memset(volume, 0, sizeof *volume);
  if (ends_with(path, ".hdr") || ends_with(path, ".img"))
    return fault_set(fault, EXIT_WRONG_USE, "%s: .hdr/.img pairs are not read; only single-file NIfTI (.nii, .nii.gz) is",
                     path);
  errno = 0;
  struct reader reader = {.gz = gzopen(path, "rbe"), .path = path, .fault = fault};
  if (!reader.gz)
    return fault_set(fault, errno ? EXIT_WRONG_USE : EXIT_OTHER, "%s: cannot open: %s", path, strerror(errno ? errno : ENOMEM));
  gzbuffer(reader.gz, CHUNK);
  const bool done = read_volume(&reader, volume);
  gzclose_r(reader.gz);
  if (!done) volume_free(volume);
  return done;
}

bool volume_make(struct volume *volume, const struct volume_header *header, struct fault *fault) {
  int64_t bytes;
  memset(volume, 0, sizeof *volume);
  volume->header = *header;
  if (!header_measure(volume, "result", &bytes, fault)) return false;
  for (int i = 1; i < 8; ++i)
    if (volume->header.dim[i] > INT16_MAX) volume->header.version = 2;
  volume->header.bitpix = 8 * (int64_t)volume_type_size(volume->type);
  volume->header.vox_offset = (double)header_bytes(volume->header.version) + EXTENSION_FLAG_BYTES;
  /* An overcommitting system grants any size and ends the program later, where nobody can say why. */
  if (bytes <= machine_memory()) volume->data = calloc((size_t)bytes, 1);
  return volume->data || out_of_memory(fault, "result", bytes);
}

void volume_free(struct volume *volume) {
  free(volume->data);
  memset(volume, 0, sizeof *volume);
}

static bool put(FILE *stream, const void *bytes, size_t size, const char *path, struct fault *fault) {
  errno = 0;
  if (fwrite(bytes, 1, size, stream) == size) return true;
  return fault_set(fault, EXIT_OTHER, "%s: cannot write: %s", path, errno ? strerror(errno) : "unknown error");
}

/* One piece through deflate; flush is Z_FINISH for the last. */
static bool deflate_piece(z_stream *z, const void *bytes, size_t size, int flush, FILE *stream, const char *path,
                          struct fault *fault) {
  unsigned char packed[1 << 14] = {0};
  z->next_in = (Bytef *)(uintptr_t)bytes; /* zlib only reads it, but does not say const */
  z->avail_in = (uInt)size;
  do {
    z->next_out = packed;
    z->avail_out = sizeof packed;
    deflate(z, flush);
    if (!put(stream, packed, sizeof packed - z->avail_out, path, fault)) return false;
  } while (z->avail_out == 0);
  return true;
}

static bool put_compressed(FILE *stream, const void *start, size_t start_size, const unsigned char *data, size_t size,
                           const char *path, struct fault *fault) {
  z_stream z = {.zalloc = NULL};
  if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return fault_set(fault, EXIT_OTHER, "%s: not enough memory to compress", path);
  bool done = deflate_piece(&z, start, start_size, Z_NO_FLUSH, stream, path, fault);
  for (size_t at = 0; done && at < size; at += CHUNK)
    done = deflate_piece(&z, data + at, size - at < CHUNK ? size - at : CHUNK, Z_NO_FLUSH, stream, path, fault);
  done = done && deflate_piece(&z, data, 0, Z_FINISH, stream, path, fault);
  deflateEnd(&z);
  return done;
}

bool volume_write(const struct volume *volume, FILE *stream, bool gzip, const char *path, struct fault *fault) {
  unsigned char start[NIFTI2_BYTES + EXTENSION_FLAG_BYTES] = {0};
  struct volume_header header = volume->header;
  const size_t start_size = header_bytes(header.version) + EXTENSION_FLAG_BYTES;
  const size_t size = (size_t)(volume->count * volume->voxels) * volume_type_size(volume->type);
  header.vox_offset = (double)start_size; /* a volume from a file may have had extensions */
  header_encode(&header, start);
  if (gzip) return put_compressed(stream, start, start_size, volume->data, size, path, fault);
  return put(stream, start, start_size, path, fault) && put(stream, volume->data, size, path, fault);
}

bool volume_save(const struct volume *volume, const char *path, struct fault *fault) {
  bool gzip;
  struct output output;
  if (!volume_path(path, &gzip)) return fault_set(fault, EXIT_WRONG_USE, "%s: must end in .nii or .nii.gz", path);
  if (!output_open(&output, path, fault)) return false;
  if (volume_write(volume, output.stream, gzip, path, fault)) return output_commit(&output, fault);
  output_abandon(&output);
  return false;
}
