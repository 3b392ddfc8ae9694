/* What a device is: read once, when it is listed or a context is made on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <CL/cl_ext.h>

#include "base/scan.h"
#include "device/device.h"
#include "device/quirks.h"

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

bool t3_device_extension(cl_device_id device, const char *name) {
  char all[8192];
  size_t length = strlen(name);
  t3_device_string(device, CL_DEVICE_EXTENSIONS, all, sizeof all);
  for (const char *at = all; (at = strstr(at, name)) != NULL; at += length)
    if ((at == all || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
  return false;
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

/* The sizes added up: the list that Intel's and newer runtimes give, else the one size of NVIDIA's or AMD's lanes. */
static unsigned sub_group_sizes(cl_device_id device) {
  size_t list[16], bytes = 0;
  unsigned sum = 0;
  if (t3_device_extension(device, "cl_intel_required_subgroup_size") &&
      clGetDeviceInfo(device, CL_DEVICE_SUB_GROUP_SIZES_INTEL, sizeof list, list, &bytes) == CL_SUCCESS)
    for (size_t i = 0; i < bytes / sizeof *list; ++i) sum |= (unsigned)list[i];
  if (!sum && t3_device_extension(device, "cl_nv_device_attribute_query"))
    sum = (unsigned)device_number(device, CL_DEVICE_WARP_SIZE_NV, sizeof(cl_uint));
  if (!sum && t3_device_extension(device, "cl_amd_device_attribute_query"))
    sum = (unsigned)device_number(device, CL_DEVICE_WAVEFRONT_WIDTH_AMD, sizeof(cl_uint));
  return sum;
}

/* Splitting a launch of a quarter of a second costs nothing that could be measured, a killed one costs the context: so a GPU is
 * taken to have a watchdog unless its driver says that it has none. */
static int has_watchdog(const tconv3d_device_info *info) {
  cl_bool timeout = CL_TRUE;
  if (!(info->type & CL_DEVICE_TYPE_GPU)) return 0;
  if (t3_device_extension(info->device, "cl_nv_device_attribute_query"))
    clGetDeviceInfo(info->device, CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV, sizeof timeout, &timeout, NULL);
  return timeout != CL_FALSE;
}

enum { PREFERRED_MULTIPLE = 0x1067 }; /* CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE of OpenCL 3.0 */

static void read_features(tconv3d_device_info *info) {
  cl_device_id device = info->device;
  info->address_bits = (unsigned)device_number(device, CL_DEVICE_ADDRESS_BITS, sizeof(cl_uint));
  info->clock_mhz = (unsigned)device_number(device, CL_DEVICE_MAX_CLOCK_FREQUENCY, sizeof(cl_uint));
  info->cache_line_bytes = (unsigned)device_number(device, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, sizeof(cl_uint));
  info->preferred_multiple = (unsigned)device_number(device, PREFERRED_MULTIPLE, sizeof(size_t));
  info->sub_group_sizes = sub_group_sizes(device);
  info->float16 = t3_device_extension(device, "cl_khr_fp16");
  info->int_dot = t3_device_extension(device, "cl_khr_integer_dot_product");
  info->sub_groups = t3_device_extension(device, "cl_khr_subgroups") || t3_device_extension(device, "cl_intel_subgroups");
  info->host_memory = device_number(device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(cl_bool)) != 0;
  info->dedicated_local = device_number(device, CL_DEVICE_LOCAL_MEM_TYPE, sizeof(cl_device_local_mem_type)) == CL_LOCAL;
}

/* By the watchdog, or by TCONV3D_MAX_LAUNCH_US; a wrong value is handled as that of TCONV3D_VECTOR_WIDTH is. */
static bool set_launch_limit(tconv3d_device_info *info) {
  static const char variable[] = "TCONV3D_MAX_LAUNCH_US";
  const char *value = getenv(variable), *at = value;
  int64_t microseconds;
  info->watchdog = has_watchdog(info);
  info->max_launch_seconds = info->watchdog ? 0.25 : 0;
  if (!value) return true;
  if (t3_scan_number(&at, &microseconds) && !*at && microseconds > 0) {
    info->max_launch_seconds = 1e-6 * (double)microseconds;
    return true;
  }
  snprintf(info->rejected, sizeof info->rejected, "the variable %s is '%.32s'; it must be a whole number above 0, or not set",
           variable, value);
  return false;
}

/* As the compilers use them; no query of OpenCL tells. Of Intel's GPUs those with the matrix extension have a mode with twice
 * the registers, for half the work-items. */
static unsigned gpu_registers(const tconv3d_device_info *info) {
  if (!(info->type & CL_DEVICE_TYPE_GPU)) return 0;
  bool many = t3_device_extension(info->device, "cl_intel_subgroup_matrix_multiply_accumulate");
  return t3_has_quirk(info, T3_REGISTERS_ON_REQUEST) && !many ? 128 : 256;
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
  read_features(info);
  info->quirks = t3_quirks_of(info);
  info->registers = gpu_registers(info);
  const char *why = rejection(info);
  info->usable = !why && override_width(info) && set_launch_limit(info);
  info->fma_width = fma_width(info);
  if (why) snprintf(info->rejected, sizeof info->rejected, "%s", why);
}
