/* volume.h: medical image volumes: NIfTI-1 and NIfTI-2, single file (.nii, .nii.gz), either byte order, integer or float
 * voxels.
 *
 * Files are untrusted. This is a small reader of its own over zlib rather than nifticlib, which trusts the header it is given:
 * an impossible dim[0] or vox_offset crashes it, and it allocates what the header claims before it knows what the file holds.
 * Here every size is checked first, and memory grows only with the bytes that really arrive. Header extensions are skipped and
 * not kept. */
#ifndef VOLUME_H
#define VOLUME_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "files/fault.h"

enum volume_type {
  VOLUME_U8,
  VOLUME_I8,
  VOLUME_I16,
  VOLUME_U16,
  VOLUME_I32,
  VOLUME_U32,
  VOLUME_I64,
  VOLUME_U64,
  VOLUME_F32,
  VOLUME_F64,
  VOLUME_TYPE_COUNT
};

/* The header's fields, one form for NIfTI-1 and NIfTI-2, with the standard's names and its axis order: 0, 1, 2 are x, y, z, x
 * fastest. */
struct volume_header {
  int version;    /* 1 or 2 */
  int64_t dim[8]; /* dim[0]: number of axes, 1 to 7; the axes past it are 1 */
  int64_t datatype, bitpix, dim_info, intent_code, slice_start, slice_end, slice_code, xyzt_units, qform_code, sform_code;
  double vox_offset, pixdim[8], intent_p[3], scl_slope, scl_inter, cal_max, cal_min, slice_duration, toffset;
  double quatern[3], qoffset[3], srow[3][4];
  char descrip[80], aux_file[24], intent_name[16];
};

struct volume {
  struct volume_header header;
  enum volume_type type;
  int64_t size[3]; /* D, H, W: the file's z, y, x */
  int64_t count;   /* how many 3D volumes: the product of the axes past the third */
  int64_t voxels;  /* of one 3D volume */
  void *data;      /* count x D x H x W stored values in this machine's byte order; freed by volume_free */
};

const char *volume_type_name(enum volume_type type); /* "uint8" */
size_t volume_type_size(enum volume_type type);
int64_t volume_type_code(enum volume_type type); /* the header's datatype */

/* Every fault is EXIT_WRONG_USE but for memory and failed reads. */
bool volume_read(const char *path, struct volume *volume, struct fault *fault);

/* Makes a volume of zeros as the header describes it: datatype and dim are checked as a file's are, bitpix and vox_offset
 * follow. A header whose sizes do not fit NIfTI-1 becomes version 2. */
bool volume_make(struct volume *volume, const struct volume_header *header, struct fault *fault);
void volume_free(struct volume *volume);

/* True for .nii and .nii.gz; *gzip tells them apart. */
bool volume_path(const char *path, bool *gzip);
/* Writes to an open stream, in this machine's byte order; path is for messages alone. */
bool volume_write(const struct volume *volume, FILE *stream, bool gzip, const char *path, struct fault *fault);
/* Writes a whole file or none; the path's ending chooses the compression. */
bool volume_save(const struct volume *volume, const char *path, struct fault *fault);

/* Stored values first to first + count - 1 (counted over all 3D volumes) as float32, rounded once. */
void volume_load(const struct volume *volume, int64_t first, int64_t count, float *values);
/* The reverse: integer types get the nearest integer (halves to even), clamped to their range; NaN becomes 0. */
void volume_store(struct volume *volume, int64_t first, int64_t count, const float *values);

/* real value = stored value * slope + inter; 1 and 0 when the header gives no usable scaling. */
void volume_scaling(const struct volume_header *header, double *slope, double *inter);

/* World coordinates in mm (x to the right, y to the front, z up) of voxel (i, j, k) along the file's x, y, z: affine * (i, j,
 * k, 1). By sform, else by qform; false when the header has neither: then by the spacing alone. */
bool volume_affine(const struct volume_header *header, double affine[3][4]);
void volume_qform(const struct volume_header *header, double affine[3][4]);

#endif
