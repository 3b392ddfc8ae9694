/* volume_header.h: a NIfTI header between its bytes and struct volume_header, and the rules that it has to keep. */
#ifndef VOLUME_HEADER_H
#define VOLUME_HEADER_H

#include "files/volume.h"

enum { NIFTI1_BYTES = 348, NIFTI2_BYTES = 540, EXTENSION_FLAG_BYTES = 4 };

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* From the first four bytes: the version (1 or 2) and the byte order; 0 when they begin no NIfTI header. */
int header_version(const unsigned char bytes[4], bool *big);
size_t header_bytes(int version);

/* bytes holds header_bytes(version) of them. Checks everything that reading relies on. */
bool header_decode(const unsigned char *bytes, int version, bool big, const char *path, struct volume_header *header,
                   struct fault *fault);
/* Writes the header in this machine's byte order. */
void header_encode(const struct volume_header *header, unsigned char *bytes);

/* Fills in type, size, count and voxels from the header's datatype and dim, and finds the bytes of data, at most PTRDIFF_MAX.
 */
bool header_measure(struct volume *volume, const char *path, int64_t *bytes, struct fault *fault);

#endif
