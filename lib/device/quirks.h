/* quirks.h: what runtimes do that the standard does not foresee, and that the library does something about. */
#ifndef T3_QUIRKS_H
#define T3_QUIRKS_H

#include <stdbool.h>

#include <tconv3d/tconv3d.h>

/* Bits of tconv3d_device_info.quirks. */
typedef enum t3_quirk {
  T3_CODE_BY_LAUNCH = 1, /* machine code is generated for each size of group, class of grid and kind of offset */
  T3_FAILED_WAIT_CRASHES = 2,
  T3_FEW_ROUNDS = 4, /* after T3_MOST_ROUNDS rounds of all its loops together a work-item's loops end, and results are wrong */
  T3_KERNELS_KEEP_BUFFERS = 8, /* a kernel object holds references to the buffers that were its arguments last */
  T3_REGISTERS_ON_REQUEST = 16 /* registers depend on the size of sub-groups and on an option of the build */
} t3_quirk;

enum { T3_MOST_ROUNDS = 65535 };

/* The bits that the table has for a device whose other members are filled. */
unsigned t3_quirks_of(const tconv3d_device_info *info);

static inline bool t3_has_quirk(const tconv3d_device_info *info, t3_quirk quirk) {
  return info->quirks & quirk;
}

#endif
