/* cmd_devices.c: `tconv3d devices`: the table of devices, and the functions of device_list.h behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tconv3d/device_list.h"

bool device_list(tconv3d_device_info **list, size_t *count, struct fault *fault) {
  *list = NULL;
  tconv3d_status status = tconv3d_devices(NULL, 0, count);
  if (status == TCONV3D_OK && *count) {
    size_t capacity = *count;
    *list = calloc(capacity, sizeof **list);
    if (!*list) return fault_set(fault, EXIT_OTHER, "out of memory");
    status = tconv3d_devices(*list, capacity, count);
    if (*count > capacity) *count = capacity; /* one more was plugged in between the two calls */
  }
  if (status == TCONV3D_OK) return true;
  free(*list);
  *list = NULL;
  return fault_from_status(fault, status);
}

/* The widest name, so that the last column starts at one place. */
static int name_width(const tconv3d_device_info *list, size_t count) {
  size_t width = strlen("device");
  for (size_t i = 0; i < count; i++)
    if (strlen(list[i].name) > width) width = strlen(list[i].name);
  return (int)width;
}

void device_list_print(const tconv3d_device_info *list, size_t count) {
  int width = name_width(list, count);
  printf("%-8s  %-11s  %5s  %11s  %-*s  %-10s  %s\n", "selector", "type", "units", "memory", width, "device", "usable",
         "platform, version");
  for (size_t i = 0; i < count; i++) {
    const tconv3d_device_info *d = &list[i];
    char selector[32];
    snprintf(selector, sizeof selector, "%u:%u", d->platform_index, d->device_index);
    printf("%-8s  %-11s  %5u  %7.1f GiB  %-*s  %-10s  %s, %s\n", selector, device_type_name(d->type), d->compute_units,
           (double)d->memory_bytes / (1 << 30), width, d->name, d->usable ? "yes" : "no", d->platform_name, d->version);
    if (!d->usable) printf("%-8s  not usable: %s\n", "", d->rejected);
  }
}

int cmd_devices(int argc, char **argv) {
  static const struct argp devices_argp = {.doc = "Lists the OpenCL devices of this machine."};
  struct fault fault = {0};
  tconv3d_device_info *list;
  size_t count;
  if (!command_parse(&devices_argp, argc, argv, NULL, &fault) || !device_list(&list, &count, &fault))
    return command_error(&fault);
  if (count)
    device_list_print(list, count);
  else
    printf("no OpenCL device found; `tconv3d doctor` says what to install\n");
  free(list);
  return EXIT_DONE;
}
