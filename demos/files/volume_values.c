/* volume_values.c: the voxel types and what their stored values mean. */
#include <math.h>

#include "files/volume.h"

/* Through double, which holds every float32 and every limit but those of the 64-bit types. There the limit rounds up to 2^63 or
 * 2^64, hence >= and not >: at the limit the answer is the type's largest value either way. */
static double round_clamped(float value) {
  return isnan(value) ? 0 : rint((double)value);
}

#define CONVERT_INTEGER(name, type, least, most)                                                               \
  static void load_##name(const void *data, int64_t first, int64_t count, float *values) {                     \
    const type *from = (const type *)data + first;                                                             \
    for (int64_t i = 0; i < count; ++i) values[i] = (float)from[i];                                            \
  }                                                                                                            \
  static void store_##name(void *data, int64_t first, int64_t count, const float *values) {                    \
    type *to = (type *)data + first;                                                                           \
    for (int64_t i = 0; i < count; ++i) {                                                                      \
      const double value = round_clamped(values[i]);                                                           \
      to[i] = value <= (double)(least) ? (type)(least) : value >= (double)(most) ? (type)(most) : (type)value; \
    }                                                                                                          \
  }
#define CONVERT_FLOAT(name, type)                                                           \
  static void load_##name(const void *data, int64_t first, int64_t count, float *values) {  \
    const type *from = (const type *)data + first;                                          \
    for (int64_t i = 0; i < count; ++i) values[i] = (float)from[i];                         \
  }                                                                                         \
  static void store_##name(void *data, int64_t first, int64_t count, const float *values) { \
    type *to = (type *)data + first;                                                        \
    for (int64_t i = 0; i < count; ++i) to[i] = (type)values[i];                            \
  }

CONVERT_INTEGER(u8, uint8_t, 0, UINT8_MAX)
CONVERT_INTEGER(i8, int8_t, INT8_MIN, INT8_MAX)
CONVERT_INTEGER(i16, int16_t, INT16_MIN, INT16_MAX)
CONVERT_INTEGER(u16, uint16_t, 0, UINT16_MAX)
CONVERT_INTEGER(i32, int32_t, INT32_MIN, INT32_MAX)
CONVERT_INTEGER(u32, uint32_t, 0, UINT32_MAX)
CONVERT_INTEGER(i64, int64_t, INT64_MIN, INT64_MAX)
CONVERT_INTEGER(u64, uint64_t, 0, UINT64_MAX)
CONVERT_FLOAT(f32, float)
CONVERT_FLOAT(f64, double)

static const struct {
  const char *name;
  size_t size;
  int64_t code;
  void (*load)(const void *data, int64_t first, int64_t count, float *values);
  void (*store)(void *data, int64_t first, int64_t count, const float *values);
} types[VOLUME_TYPE_COUNT] = {
    [VOLUME_U8] = {"uint8", 1, 2, load_u8, store_u8},       [VOLUME_I8] = {"int8", 1, 256, load_i8, store_i8},
    [VOLUME_I16] = {"int16", 2, 4, load_i16, store_i16},    [VOLUME_U16] = {"uint16", 2, 512, load_u16, store_u16},
    [VOLUME_I32] = {"int32", 4, 8, load_i32, store_i32},    [VOLUME_U32] = {"uint32", 4, 768, load_u32, store_u32},
    [VOLUME_I64] = {"int64", 8, 1024, load_i64, store_i64}, [VOLUME_U64] = {"uint64", 8, 1280, load_u64, store_u64},
    [VOLUME_F32] = {"float32", 4, 16, load_f32, store_f32}, [VOLUME_F64] = {"float64", 8, 64, load_f64, store_f64},
};

const char *volume_type_name(enum volume_type type) {
  return types[type].name;
}
size_t volume_type_size(enum volume_type type) {
  return types[type].size;
}
int64_t volume_type_code(enum volume_type type) {
  return types[type].code;
}

void volume_load(const struct volume *volume, int64_t first, int64_t count, float *values) {
  types[volume->type].load(volume->data, first, count, values);
}

void volume_store(struct volume *volume, int64_t first, int64_t count, const float *values) {
  types[volume->type].store(volume->data, first, count, values);
}

void volume_scaling(const struct volume_header *header, double *slope, double *inter) {
  const bool usable = isfinite(header->scl_slope) && header->scl_slope != 0 && isfinite(header->scl_inter);
  *slope = usable ? header->scl_slope : 1;
  *inter = usable ? header->scl_inter : 0;
}

/* The rotation of the unit quaternion (a, b, c, d), whose a >= 0 is not stored; pixdim[0] < 0 turns the third axis over. */
void volume_qform(const struct volume_header *header, double affine[3][4]) {
  double b = header->quatern[0], c = header->quatern[1], d = header->quatern[2];
  const double rest = 1 - (b * b + c * c + d * d);
  const double a = rest > 0 ? sqrt(rest) : 0;
  if (rest < 0) { /* rounding, or a careless writer: the half turn nearest to it */
    const double length = sqrt(b * b + c * c + d * d);
    b /= length, c /= length, d /= length;
  }
  const double rotation[3][3] = {{a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
                                 {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
                                 {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};
  for (int row = 0; row < 3; ++row) {
    for (int axis = 0; axis < 3; ++axis) {
      const double turned = axis == 2 && header->pixdim[0] < 0 ? -1 : 1;
      affine[row][axis] = rotation[row][axis] * header->pixdim[axis + 1] * turned;
    }
    affine[row][3] = header->qoffset[row];
  }
}

bool volume_affine(const struct volume_header *header, double affine[3][4]) {
  if (header->sform_code <= 0 && header->qform_code > 0) {
    volume_qform(header, affine);
    return true;
  }
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 4; ++column) {
      const double spacing = row == column ? header->pixdim[row + 1] : 0;
      affine[row][column] = header->sform_code > 0 ? header->srow[row][column] : spacing;
    }
  return header->sform_code > 0;
}
