/* device_list.h: every OpenCL device, for the subcommands that show them. */
#ifndef DEVICE_LIST_H
#define DEVICE_LIST_H

#include "tconv3d/command.h"

/* *list is to be freed; NULL with *count 0 where there is no device. */
bool device_list(tconv3d_device_info **list, size_t *count, struct fault *fault);

/* A table: selector, type, units, memory, version, name and platform, and why a device cannot be used. */
void device_list_print(const tconv3d_device_info *list, size_t count);

/* What is known of a device, a line a kind, and what the library does differently there. */
void device_facts_print(const tconv3d_device_info *device);

#endif
