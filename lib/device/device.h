/* device.h: what is known of a device, read once. */
#ifndef T3_DEVICE_H
#define T3_DEVICE_H

#include <stdbool.h>

#include <tconv3d/tconv3d.h>

/* Fills info for one device; indexes are left 0. Never fails: what cannot be read stays 0 or "", and usable says no. Reads
 * TCONV3D_VECTOR_WIDTH and TCONV3D_MAX_LAUNCH_US. */
void t3_device_read(cl_device_id device, tconv3d_device_info *info);

/* The native float vector width that the runtime reports, at least 1: never overridden. */
unsigned t3_device_reported_width(cl_device_id device);

/* Whether a device names the extension. */
bool t3_device_extension(cl_device_id device, const char *name);

/* A device's string into text, always ended; "" when it cannot be read. */
void t3_device_string(cl_device_id device, cl_device_info what, char *text, size_t capacity);

#endif
