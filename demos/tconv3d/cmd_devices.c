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

static void print_sizes(unsigned sizes) {
  for (unsigned size = 1; size && size <= sizes; size *= 2)
    if (sizes & size) printf(" %u", size);
}

static void print_features(const tconv3d_device_info *d) {
  const struct {
    const char *name;
    int has;
  } features[] = {{"float64", d->float64},         {"float16", d->float16},
                  {"sub-groups", d->sub_groups},   {"integer dot", d->int_dot},
                  {"host memory", d->host_memory}, {"dedicated local memory", d->dedicated_local},
                  {"launch watchdog", d->watchdog}};
  const char *between = "";
  printf("    features   ");
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    if (features[i].has) printf("%s%s", between, features[i].name);
    if (features[i].has) between = ", ";
  }
  printf("%s\n", *between ? "" : "none of those that are looked for");
}

/* Asked by small kernels, on devices of any type. */
static void print_probed(const tconv3d_device_info *d) {
  tconv3d_context *context;
  tconv3d_feature feature;
  if (!d->usable || tconv3d_context_create(&d->device, 1, &context) != TCONV3D_OK) return;
  for (size_t i = 0; tconv3d_feature_query(context, NULL, i, &feature) == TCONV3D_OK && feature.name; i++)
    printf("    %-10s %s: %s\n", i ? "" : "probed", feature.name, feature.there ? "there" : feature.reason);
  tconv3d_context_destroy(context);
}

void device_facts_print(const tconv3d_device_info *d) {
  const char *quirk;
  printf("  %u:%u %s, driver %s\n", d->platform_index, d->device_index, d->name, d->driver);
  printf("    memory     %.1f GiB, %.1f GiB a buffer, %u KiB local, %u KiB cache, lines of %u bytes, addresses of %u bits\n",
         (double)d->memory_bytes / (1 << 30), (double)d->max_buffer_bytes / (1 << 30), (unsigned)(d->local_bytes >> 10),
         (unsigned)(d->cache_bytes >> 10), d->cache_line_bytes, d->address_bits);
  printf("    groups     up to %zu work-items, in multiples of %u, vectors of %u floats, %u MHz, sub-groups of",
         d->work_group_size, d->preferred_multiple, d->vector_width, d->clock_mhz);
  print_sizes(d->sub_group_sizes);
  printf("%s\n", d->sub_group_sizes ? "" : " unknown size");
  print_features(d);
  if (d->max_launch_seconds > 0) printf("    launches   of %g ms at most\n", 1e3 * d->max_launch_seconds);
  for (size_t i = 0; (quirk = tconv3d_device_quirk(d, i)) != NULL; i++) printf("    quirk      %s\n", quirk);
  print_probed(d);
}

static error_t parse_devices(int key, char *arg, struct argp_state *state) {
  (void)arg;
  if (key != 'v') return ARGP_ERR_UNKNOWN;
  *(bool *)state->input = true;
  return 0;
}

int cmd_devices(int argc, char **argv) {
  static const struct argp_option options[] = {{"verbose", 'v', NULL, 0, "print all that is known of each device", 0}, {0}};
  static const struct argp devices_argp = {
      .options = options, .parser = parse_devices, .doc = "Lists the OpenCL devices of this machine."};
  bool verbose = false;
  struct fault fault = {0};
  tconv3d_device_info *list;
  size_t count;
  if (!command_parse(&devices_argp, argc, argv, &verbose, &fault) || !device_list(&list, &count, &fault))
    return command_error(&fault);
  if (count)
    device_list_print(list, count);
  else
    printf("no OpenCL device found; `tconv3d doctor` says what to install\n");
  for (size_t i = 0; verbose && i < count; i++) device_facts_print(&list[i]);
  free(list);
  return EXIT_DONE;
}
