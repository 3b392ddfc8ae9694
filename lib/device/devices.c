/* Enumeration and selection. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "base/status.h"
#include "base/text.h"
#include "device/clerror.h"
#include "device/device.h"

void t3_device_string(cl_device_id device, cl_device_info what, char *text, size_t capacity) {
  size_t size = 0;
  char *all = NULL;
  text[0] = '\0';
  if (clGetDeviceInfo(device, what, 0, NULL, &size) != CL_SUCCESS || !size || !(all = malloc(size))) return;
  if (clGetDeviceInfo(device, what, size, all, NULL) == CL_SUCCESS) {
    all[size - 1] = '\0';
    snprintf(text, capacity, "%s", all);
  }
  free(all);
}

static void platform_string(cl_platform_id platform, cl_platform_info what, char *text, size_t capacity) {
  char all[1024] = "";
  text[0] = '\0';
  if (clGetPlatformInfo(platform, what, sizeof all, all, NULL) != CL_SUCCESS) return;
  all[sizeof all - 1] = '\0';
  snprintf(text, capacity, "%.*s", (int)capacity - 1, all);
}

static uint64_t device_number(cl_device_id device, cl_device_info what, size_t size) {
  uint64_t number =
      0; /* smaller values land in the low bytes on little-endian hosts, the only ones OpenCL runtimes exist for */
  return clGetDeviceInfo(device, what, size, &number, NULL) == CL_SUCCESS ? number : 0;
}

unsigned t3_device_reported_width(cl_device_id device) {
  unsigned width = (unsigned)device_number(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof(cl_uint));
  return width ? width : 1;
}

/* Sets a CPU's vector width by TCONV3D_VECTOR_WIDTH, because some runtimes report one width for AVX2 and AVX-512 alike. A wrong
 * value makes the device unusable, with the reason: measuring at a width that nobody asked for would be worse. */
static bool override_width(tconv3d_device_info *info) {
  static const char variable[] = "TCONV3D_VECTOR_WIDTH";
  static const struct {
    const char *text;
    unsigned width;
  } widths[] = {{"4", 4}, {"8", 8}, {"16", 16}};
  const char *value = info->type & CL_DEVICE_TYPE_CPU ? getenv(variable) : NULL;
  if (!value) return true;
  for (size_t i = 0; i < sizeof widths / sizeof *widths; ++i)
    if (!strcmp(value, widths[i].text)) {
      info->vector_width = widths[i].width;
      return true;
    }
  snprintf(info->rejected, sizeof info->rejected, "the variable %s is '%.32s'; it must be 4, 8 or 16, or not set", variable,
           value);
  return false;
}

/* AMD's family 19h with 512-bit vectors (Zen 4) computes them in two halves. No query of OpenCL tells, and an OpenCL CPU device
 * is the host's own. Other cores are taken to have whole units. */
static unsigned fma_width(const tconv3d_device_info *info) {
#if defined(__x86_64__) || defined(__i386__)
  unsigned a, b, c, d, family = 0;
  bool cpu = info->type & CL_DEVICE_TYPE_CPU && info->vector_width >= 16;
  if (cpu && __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && __get_cpuid(1, &a, &b, &c, &d))
    family = ((a >> 8) & 0xf) + ((a >> 20) & 0xff);
  if (family == 0x19) return info->vector_width / 2;
#endif
  return info->vector_width;
}

/* Why the library cannot use a device; NULL when it can. */
static const char *rejection(const tconv3d_device_info *info) {
  cl_bool little = 0, compiler = 0, available = 0;
  clGetDeviceInfo(info->device, CL_DEVICE_ENDIAN_LITTLE, sizeof little, &little, NULL);
  clGetDeviceInfo(info->device, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
  clGetDeviceInfo(info->device, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
  int major = 0, minor = 0;
  if (!available) return "the runtime says it is not available";
  if (sscanf(info->version, "OpenCL %d.%d", &major, &minor) != 2) return "its OpenCL version cannot be read";
  if (major < 1 || (major == 1 && minor < 2)) return "it offers less than OpenCL 1.2";
  if (!compiler) return "it has no compiler for OpenCL C";
  if (!little) return "it is big-endian";
  if (!info->memory_bytes || !info->max_buffer_bytes) return "it reports no memory";
  return NULL;
}

void t3_device_read(cl_device_id device, tconv3d_device_info *info) {
  *info = (tconv3d_device_info){.device = device};
  clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof info->platform, &info->platform, NULL);
  clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof info->type, &info->type, NULL);
  info->compute_units = (unsigned)device_number(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint));
  info->vector_width = t3_device_reported_width(device);
  info->work_group_size = device_number(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
  info->memory_bytes = device_number(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong));
  info->max_buffer_bytes = device_number(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
  info->local_bytes = device_number(device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong));
  info->cache_bytes = device_number(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cl_ulong));
  info->float64 = device_number(device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof(cl_device_fp_config)) != 0;
  platform_string(info->platform, CL_PLATFORM_NAME, info->platform_name, sizeof info->platform_name);
  platform_string(info->platform, CL_PLATFORM_VERSION, info->platform_version, sizeof info->platform_version);
  t3_device_string(device, CL_DEVICE_NAME, info->name, sizeof info->name);
  t3_device_string(device, CL_DEVICE_VERSION, info->version, sizeof info->version);
  t3_device_string(device, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
  const char *why = rejection(info);
  info->usable = !why && override_width(info);
  info->fma_width = fma_width(info);
  if (why) snprintf(info->rejected, sizeof info->rejected, "%s", why);
}

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

static tconv3d_status nothing_found(const tconv3d_device_info *list, size_t count, const char *selector) {
  if (!count)
    return t3_fail(
        TCONV3D_NO_DEVICE,
        "no OpenCL device found; install a runtime, on Debian for any CPU: pocl-opencl-icd (PoCL hides its device when it "
        "cannot write its cache: then set POCL_CACHE_DIR to a writable directory)");
  t3_text found = {0};
  for (size_t i = 0; i < count; ++i)
    t3_text_append(&found, "%s%u:%u %s%s%s", i ? ", " : "", list[i].platform_index, list[i].device_index, list[i].name,
                   list[i].usable ? "" : " which cannot be used: ", list[i].rejected);
  tconv3d_status status = t3_fail(TCONV3D_NO_DEVICE, "no usable OpenCL device matches '%s'; found: %s",
                                  selector ? selector : "", found.data ? found.data : "?");
  t3_text_free(&found);
  return status;
}

tconv3d_status tconv3d_device_select(const char *selector, tconv3d_device_info *info) {
  if (!info) return t3_fail(TCONV3D_INVALID_ARGUMENT, "info is NULL");
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
      status = nothing_found(list, count, selector);
  }
  free(list);
  return status;
}
