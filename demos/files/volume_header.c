/* volume_header.c: one table describes both header layouts; decoding and encoding walk it. Offsets are those of the NIfTI-1.1
 * and NIfTI-2 standards. Numbers are taken apart byte by byte, so that no structure layout or alignment matters. */
#include "files/volume_header.h"

#include <math.h>
#include <string.h>

/* How a field lies in the file (the letter) and in struct volume_header: integers as int64_t, reals as double, text as char. */
enum place { INTEGER, REAL, TEXT };
struct layout {
  short offset;
  char kind; /* b: uint8, s: int16, i: int32, l: int64, f: float32, d: float64, c: bytes */
};
struct field {
  size_t member;
  enum place place;
  short count;
  struct layout layout[2]; /* NIfTI-1, NIfTI-2 */
};

#define MEMBER(name) offsetof(struct volume_header, name)
static const struct field fields[] = {
    {MEMBER(dim), INTEGER, 8, {{40, 's'}, {16, 'l'}}},           {MEMBER(datatype), INTEGER, 1, {{70, 's'}, {12, 's'}}},
    {MEMBER(bitpix), INTEGER, 1, {{72, 's'}, {14, 's'}}},        {MEMBER(dim_info), INTEGER, 1, {{39, 'b'}, {524, 'b'}}},
    {MEMBER(intent_code), INTEGER, 1, {{68, 's'}, {504, 'i'}}},  {MEMBER(slice_start), INTEGER, 1, {{74, 's'}, {224, 'l'}}},
    {MEMBER(slice_end), INTEGER, 1, {{120, 's'}, {232, 'l'}}},   {MEMBER(slice_code), INTEGER, 1, {{122, 'b'}, {496, 'i'}}},
    {MEMBER(xyzt_units), INTEGER, 1, {{123, 'b'}, {500, 'i'}}},  {MEMBER(qform_code), INTEGER, 1, {{252, 's'}, {344, 'i'}}},
    {MEMBER(sform_code), INTEGER, 1, {{254, 's'}, {348, 'i'}}},  {MEMBER(vox_offset), REAL, 1, {{108, 'f'}, {168, 'l'}}},
    {MEMBER(pixdim), REAL, 8, {{76, 'f'}, {104, 'd'}}},          {MEMBER(intent_p), REAL, 3, {{56, 'f'}, {80, 'd'}}},
    {MEMBER(scl_slope), REAL, 1, {{112, 'f'}, {176, 'd'}}},      {MEMBER(scl_inter), REAL, 1, {{116, 'f'}, {184, 'd'}}},
    {MEMBER(cal_max), REAL, 1, {{124, 'f'}, {192, 'd'}}},        {MEMBER(cal_min), REAL, 1, {{128, 'f'}, {200, 'd'}}},
    {MEMBER(slice_duration), REAL, 1, {{132, 'f'}, {208, 'd'}}}, {MEMBER(toffset), REAL, 1, {{136, 'f'}, {216, 'd'}}},
    {MEMBER(quatern), REAL, 3, {{256, 'f'}, {352, 'd'}}},        {MEMBER(qoffset), REAL, 3, {{268, 'f'}, {376, 'd'}}},
    {MEMBER(srow), REAL, 12, {{280, 'f'}, {400, 'd'}}},          {MEMBER(descrip), TEXT, 80, {{148, 'c'}, {240, 'c'}}},
    {MEMBER(aux_file), TEXT, 24, {{228, 'c'}, {320, 'c'}}},      {MEMBER(intent_name), TEXT, 16, {{328, 'c'}, {508, 'c'}}},
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static const struct {
  short bytes, magic_offset, magic_bytes;
  char single[9], pair[9]; /* magic of a single file and of a .hdr/.img pair */
} versions[2] = {
    {NIFTI1_BYTES, 344, 4, "n+1", "ni1"},
    {NIFTI2_BYTES, 4, 8, "n+2\0\r\n\032\n", "ni2\0\r\n\032\n"},
};

static int kind_size(char kind) {
  switch (kind) {
  case 's': return 2;
  case 'i':
  case 'f': return 4;
  case 'l':
  case 'd': return 8;
  default: return 1;
  }
}

static uint64_t get_bytes(const unsigned char *bytes, int size, bool big) {
  uint64_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | bytes[big ? i : size - 1 - i];
  return value;
}

static void put_bytes(unsigned char *bytes, int size, bool big, uint64_t value) {
  for (int i = 0; i < size; ++i) bytes[big ? size - 1 - i : i] = (unsigned char)(value >> 8 * i);
}

static int64_t get_integer(const unsigned char *bytes, char kind, bool big) {
  uint64_t raw = get_bytes(bytes, kind_size(kind), big);
  switch (kind) {
  case 's': return (int16_t)raw;
  case 'i': return (int32_t)raw;
  default: return (int64_t)raw;
  }
}

static double get_real(const unsigned char *bytes, char kind, bool big) {
  if (kind == 'l') return (double)get_integer(bytes, kind, big);
  uint64_t raw = get_bytes(bytes, kind_size(kind), big);
  if (kind == 'f') {
    const uint32_t bits = (uint32_t)raw;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  double value;
  memcpy(&value, &raw, sizeof value);
  return value;
}

static uint64_t real_bits(char kind, double real) {
  if (kind == 'l') return (uint64_t)(int64_t)real;
  uint64_t bits = 0;
  if (kind == 'f') {
    float value = (float)real;
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
  }
  memcpy(&bits, &real, sizeof bits);
  return bits;
}

int header_version(const unsigned char bytes[4], bool *big) {
  for (int version = 1; version <= 2; ++version)
    for (int order = 0; order < 2; ++order)
      if (get_bytes(bytes, 4, order != 0) == (uint64_t)versions[version - 1].bytes) {
        *big = order != 0;
        return version;
      }
  return 0;
}

size_t header_bytes(int version) {
  return (size_t)versions[version - 1].bytes;
}

static void decode_fields(const unsigned char *bytes, int version, bool big, struct volume_header *header) {
  for (int f = 0; f < FIELD_COUNT; ++f) {
    const struct layout layout = fields[f].layout[version - 1];
    const unsigned char *from = bytes + layout.offset;
    char *member = (char *)header + fields[f].member;
    for (int i = 0; i < fields[f].count; ++i, from += kind_size(layout.kind)) switch (fields[f].place) {
      case INTEGER: ((int64_t *)(void *)member)[i] = get_integer(from, layout.kind, big); break;
      case REAL: ((double *)(void *)member)[i] = get_real(from, layout.kind, big); break;
      case TEXT: member[i] = (char)*from; break;
      }
  }
}

void header_encode(const struct volume_header *header, unsigned char *bytes) {
  const int v = header->version - 1;
  memset(bytes, 0, (size_t)versions[v].bytes);
  put_bytes(bytes, 4, HOST_IS_BIG, (uint64_t)versions[v].bytes);
  memcpy(bytes + versions[v].magic_offset, versions[v].single, (size_t)versions[v].magic_bytes);
  if (v == 0) bytes[38] = 'r'; /* "regular", unused by NIfTI, expected by ANALYZE readers */
  for (int f = 0; f < FIELD_COUNT; ++f) {
    const struct layout layout = fields[f].layout[v];
    const int size = kind_size(layout.kind);
    unsigned char *to = bytes + layout.offset;
    const char *member = (const char *)header + fields[f].member;
    for (int i = 0; i < fields[f].count; ++i, to += size) switch (fields[f].place) {
      case INTEGER: put_bytes(to, size, HOST_IS_BIG, (uint64_t)((const int64_t *)(const void *)member)[i]); break;
      case REAL: put_bytes(to, size, HOST_IS_BIG, real_bits(layout.kind, ((const double *)(const void *)member)[i])); break;
      case TEXT: *to = (unsigned char)member[i]; break;
      }
  }
}

static bool check_magic(const unsigned char *bytes, int version, const char *path, struct fault *fault) {
  const unsigned char *magic = bytes + versions[version - 1].magic_offset;
  const size_t size = (size_t)versions[version - 1].magic_bytes;
  if (!memcmp(magic, versions[version - 1].single, size)) return true;
  if (!memcmp(magic, versions[version - 1].pair, size))
    return fault_set(fault, EXIT_WRONG_USE, "%s: half of a .hdr/.img pair; only single-file NIfTI (.nii, .nii.gz) is read",
                     path);
  return fault_set(fault, EXIT_WRONG_USE,
                   "%s: no NIfTI magic (ANALYZE 7.5 files are not read; a single-file NIfTI has \"n+%d\")", path, version);
}

static bool check_dim(struct volume_header *header, const char *path, struct fault *fault) {
  if (header->dim[0] < 1 || header->dim[0] > 7)
    return fault_set(fault, EXIT_WRONG_USE, "%s: dim[0] is %lld, must be 1 to 7", path, (long long)header->dim[0]);
  for (int i = 1; i < 8; ++i) {
    if (i > header->dim[0]) header->dim[i] = 1;
    if (header->dim[i] < 1)
      return fault_set(fault, EXIT_WRONG_USE, "%s: dim[%d] is %lld, must be at least 1", path, i, (long long)header->dim[i]);
  }
  return true;
}

/* 0 stands for "right after the header" in some writers' files, among them templates in wide use. */
static bool check_offset(struct volume_header *header, const char *path, struct fault *fault) {
  const double first = (double)header_bytes(header->version) + EXTENSION_FLAG_BYTES, last = 9007199254740992.0;
  if (header->vox_offset == 0) header->vox_offset = first;
  if (!(header->vox_offset >= first && header->vox_offset <= last) || header->vox_offset != floor(header->vox_offset))
    return fault_set(fault, EXIT_WRONG_USE, "%s: vox_offset is %.17g, must be 0 or a whole number from %.0f to 2^53", path,
                     header->vox_offset, first);
  return true;
}

bool header_decode(const unsigned char *bytes, int version, bool big, const char *path, struct volume_header *header,
                   struct fault *fault) {
  memset(header, 0, sizeof *header);
  if (!check_magic(bytes, version, path, fault)) return false;
  header->version = version;
  decode_fields(bytes, version, big, header);
  return check_dim(header, path, fault) && check_offset(header, path, fault);
}

static const struct {
  int64_t code;
  const char *name;
} refused_types[] = {{1, "1-bit binary"},  {32, "complex64"},    {128, "RGB24"},  {1536, "float128"},
                     {1792, "complex128"}, {2048, "complex256"}, {2304, "RGBA32"}};

static bool find_type(const struct volume_header *header, const char *path, enum volume_type *type, struct fault *fault) {
  for (int i = 0; i < VOLUME_TYPE_COUNT; ++i)
    if (volume_type_code((enum volume_type)i) == header->datatype) {
      *type = (enum volume_type)i;
      return true;
    }
  const char *name = "unknown";
  for (size_t i = 0; i < sizeof refused_types / sizeof *refused_types; ++i)
    if (refused_types[i].code == header->datatype) name = refused_types[i].name;
  return fault_set(fault, EXIT_WRONG_USE,
                   "%s: datatype %lld (%s) is not supported; integers of 8 to 64 bits, float32, float64 are", path,
                   (long long)header->datatype, name);
}

bool header_measure(struct volume *volume, const char *path, int64_t *bytes, struct fault *fault) {
  struct volume_header *header = &volume->header;
  if (!check_dim(header, path, fault) || !find_type(header, path, &volume->type, fault)) return false;
  for (int axis = 0; axis < 3; ++axis) volume->size[axis] = header->dim[3 - axis];
  int64_t total = (int64_t)volume_type_size(volume->type);
  bool fits = true;
  for (int i = 1; i < 8; ++i) fits = fits && !__builtin_mul_overflow(total, header->dim[i], &total);
  if (!fits || (uint64_t)total > PTRDIFF_MAX)
    return fault_set(fault, EXIT_WRONG_USE, "%s: dim describes more bytes than fit in %d bits", path,
                     (int)(8 * sizeof(ptrdiff_t)) - 1);
  volume->voxels = header->dim[1] * header->dim[2] * header->dim[3];
  volume->count = header->dim[4] * header->dim[5] * header->dim[6] * header->dim[7];
  *bytes = total;
  return true;
}
