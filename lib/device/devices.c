/* Enumeration and selection. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "device/clerror.h"
#include "device/device.h"

static tconv3d_status list_platforms(cl_platform_id **platforms, cl_uint *count) {
  *platforms = NULL;
  cl_int error = clGetPlatformIDs(0, NULL, count);
  if (error == -1001)
    *count = 0; /* the loader's word for "none installed" */
  else if (error != CL_SUCCESS)
    return t3_cl_fail(error, "clGetPlatformIDs", "");
  if (!*count) return TCONV3D_OK;
  *platforms = calloc(*count, sizeof **platforms);
  if (!*platforms) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for %u platforms", *count);
  error = clGetPlatformIDs(*count, *platforms, NULL);
  if (error == CL_SUCCESS) return TCONV3D_OK;
  free(*platforms);
  *platforms = NULL;
  return t3_cl_fail(error, "clGetPlatformIDs", "");
}

/* Adds one platform's devices to the list from *count on. A platform that fails here is one without devices. */
static tconv3d_status list_platform(cl_platform_id platform, unsigned index, tconv3d_device_info *list, size_t capacity,
                                    size_t *count) {
  cl_uint devices = 0;
  if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &devices) != CL_SUCCESS || !devices) return TCONV3D_OK;
  cl_device_id *ids = calloc(devices, sizeof(cl_device_id));
  if (!ids) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for %u devices", devices);
  if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, devices, ids, NULL) != CL_SUCCESS) devices = 0;
  for (cl_uint i = 0; i < devices; ++i, ++*count) {
    if (*count >= capacity) continue;
    t3_device_read(ids[i], &list[*count]);
    list[*count].platform_index = index;
    list[*count].device_index = i;
  }
  free(ids);
  return TCONV3D_OK;
}

tconv3d_status tconv3d_devices(tconv3d_device_info *list, size_t capacity, size_t *count) {
  if (!count || (!list && capacity)) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", count ? "list" : "count");
  cl_platform_id *platforms;
  cl_uint num_platforms;
  size_t found = 0;
  tconv3d_status status = list_platforms(&platforms, &num_platforms);
  for (cl_uint p = 0; status == TCONV3D_OK && p < num_platforms; ++p)
    status = list_platform(platforms[p], p, list, capacity, &found);
  free(platforms);
  if (status == TCONV3D_OK) *count = found;
  return status;
}

static bool contains(const char *text, const char *part) {
  size_t length = strlen(part);
  for (; *text; ++text) {
    size_t i = 0;
    while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) ++i;
    if (i == length) return true;
  }
  return false;
}

static cl_device_type type_named(const char *selector) {
  static const struct {
    const char *name;
    cl_device_type type;
  } types[] = {{"cpu", CL_DEVICE_TYPE_CPU}, {"gpu", CL_DEVICE_TYPE_GPU}, {"accelerator", CL_DEVICE_TYPE_ACCELERATOR}};
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i)
    if (strlen(selector) == strlen(types[i].name) && contains(types[i].name, selector)) return types[i].type;
  return 0;
}

static bool matches(const tconv3d_device_info *info, const char *selector) {
  unsigned p, d;
  int end = 0;
  if (sscanf(selector, "%u:%u%n", &p, &d, &end) == 2 && !selector[end] && isdigit((unsigned char)*selector))
    return info->platform_index == p && info->device_index == d;
  cl_device_type type = type_named(selector);
  if (type) return info->type & type;
  return contains(info->platform_name, selector) || contains(info->name, selector);
}

/* The index of the first usable device that the selector names; count when there is none. */
static size_t pick(const tconv3d_device_info *list, size_t count, const char *selector) {
  static const cl_device_type order[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU,
                                         CL_DEVICE_TYPE_ALL};
  if (selector && *selector) {
    for (size_t i = 0; i < count; ++i)
      if (list[i].usable && matches(&list[i], selector)) return i;
    return count;
  }
  for (size_t t = 0; t < sizeof order / sizeof *order; ++t)
    for (size_t i = 0; i < count; ++i)
      if (list[i].usable && (list[i].type & order[t])) return i;
  return count;
}

/* variable: where the selector came from, NULL for an argument. */
static tconv3d_status nothing_found(const tconv3d_device_info *list, size_t count, const char *selector, const char *variable) {
  if (!count)
    return t3_fail(
        TCONV3D_NO_DEVICE,
        "no OpenCL device found; install a runtime, on Debian for any CPU: pocl-opencl-icd (PoCL hides its device when it "
        "cannot write its cache: then set POCL_CACHE_DIR to a writable directory)");
  t3_text found = {0};
  for (size_t i = 0; i < count; ++i)
    t3_text_append(&found, "%s%u:%u %s%s%s", i ? ", " : "", list[i].platform_index, list[i].device_index, list[i].name,
                   list[i].usable ? "" : " which cannot be used: ", list[i].rejected);
  tconv3d_status status =
      t3_fail(TCONV3D_NO_DEVICE, "no usable OpenCL device matches '%s'%s%s; found: %s", selector ? selector : "",
              variable ? ", the value of the variable " : "", variable ? variable : "", found.data ? found.data : "?");
  t3_text_free(&found);
  return status;
}

tconv3d_status tconv3d_device_select(const char *selector, tconv3d_device_info *info) {
  if (!info) return t3_fail(TCONV3D_INVALID_ARGUMENT, "info is NULL");
  const char *variable = selector && *selector ? NULL : "TCONV3D_DEVICE", *value = variable ? getenv(variable) : NULL;
  if (value && *value)
    selector = value;
  else
    variable = NULL;
  size_t count, capacity;
  T3_TRY(tconv3d_devices(NULL, 0, &capacity));
  tconv3d_device_info *list = calloc(capacity + 1, sizeof *list);
  if (!list) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for %zu devices", capacity);
  tconv3d_status status = tconv3d_devices(list, capacity, &count);
  if (status == TCONV3D_OK) {
    if (count > capacity) count = capacity; /* one appeared between the two calls */
    size_t index = pick(list, count, selector);
    if (index < count)
      *info = list[index];
    else
      status = nothing_found(list, count, selector, variable);
  }
  free(list);
  return status;
}
