#include "device/quirks.h"

#include <stdio.h>
#include <string.h>

/* One row a quirk and the devices that have it. platform, name and driver: parts of the names, "" for any; below: the first
 * version of the driver, MAJOR.MINOR, without it, {0, 0} for none yet. Only what changes what the library does stands here.
 * Known and without a row, as every device gets what they ask for: PoCL 3.1 refuses a NULL local size (no launch has one),
 * never calls back for a command that failed by its wait list (nothing is a callback), and crashes when an event's last
 * reference goes while its failure is passed on (the pool keeps them). */
struct row {
  const char *platform, *name, *driver;
  cl_device_type type;
  int below[2];
  t3_quirk quirk;
  const char *reason;
};

static const struct row rows[] = {
    {"Portable Computing Language",
     "",
     "",
     CL_DEVICE_TYPE_ALL,
     {0, 0},
     T3_CODE_BY_LAUNCH,
     "generates a kernel's code at its first launch, for each size of group, grids above and below 65535 work-items, and "
     "launches "
     "with an offset: every plan launches each of its classes once"},
    {"Intel(R) OpenCL",
     "",
     "",
     CL_DEVICE_TYPE_CPU,
     {0, 0},
     T3_FAILED_WAIT_CRASHES,
     "its out-of-order queues crash at the next enqueue after a command whose wait list failed: events that have failed are "
     "refused before anything is enqueued"},
    {"Intel(R) FPGA Emulation",
     "",
     "",
     CL_DEVICE_TYPE_ACCELERATOR,
     {0, 0},
     T3_FAILED_WAIT_CRASHES,
     "its out-of-order queues crash at the next enqueue after a command whose wait list failed: events that have failed are "
     "refused before anything is enqueued"},
    {"rusticl",
     "",
     "",
     CL_DEVICE_TYPE_ALL,
     {0, 0},
     T3_KERNELS_KEEP_BUFFERS,
     "its kernel objects keep the buffers that were their arguments last: a call's are taken from them at once"},
    {"Intel(R) OpenCL",
     "",
     "",
     CL_DEVICE_TYPE_GPU,
     {0, 0},
     T3_REGISTERS_ON_REQUEST,
     "its compiler prefers large sub-groups with few registers for each work-item, and where these do not suffice it puts "
     "arrays into memory: kernels with blocks of sums ask for the smallest sub-groups, and for all registers"},
    {"",
     "llvmpipe",
     "",
     CL_DEVICE_TYPE_ALL,
     {0, 0},
     T3_FEW_ROUNDS,
     "ends a work-item's loops without a word after 65535 rounds of all of them together: what may need more is not launched"},
};
enum { NUM_ROWS = sizeof rows / sizeof *rows };

static bool is_older(const char *driver, const int below[2]) {
  int major = 0, minor = 0;
  if (!below[0]) return true;
  return sscanf(driver, "%d.%d", &major, &minor) == 2 && (major < below[0] || (major == below[0] && minor < below[1]));
}

static bool applies(const struct row *row, const tconv3d_device_info *info) {
  return strstr(info->platform_name, row->platform) && strstr(info->name, row->name) && strstr(info->driver, row->driver) &&
         (info->type & row->type) && is_older(info->driver, row->below);
}

unsigned t3_quirks_of(const tconv3d_device_info *info) {
  unsigned quirks = 0;
  for (size_t i = 0; i < NUM_ROWS; ++i)
    if (applies(&rows[i], info)) quirks |= rows[i].quirk;
  return quirks;
}

const char *tconv3d_device_quirk(const tconv3d_device_info *info, size_t index) {
  for (size_t i = 0; info && i < NUM_ROWS; ++i)
    if ((info->quirks & rows[i].quirk) && applies(&rows[i], info) && !index--) return rows[i].reason;
  return NULL;
}
