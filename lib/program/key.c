/* What decides the code of a program, as one text: two programs with the same key are interchangeable. Everything here has once
 * changed generated code somewhere: the source, the defines (they stand in the source), the options, the platform, the device,
 * its driver, and environment variables that steer a runtime's compiler silently. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "device/device.h"
#include "program/program.h"

extern char **environ;

/* Whether it is among the lines of defines with which a text begins. */
static bool is_defined(const t3_text *text, const char *define) {
  const char *line = text->data;
  while (line && !strncmp(line, "#define ", 8)) {
    if (!strncmp(line, define, strlen(define))) return true;
    line = strchr(line, '\n');
    if (line) ++line;
  }
  return false;
}

const char *t3_build_options(const t3_text *text) {
  return is_defined(text, "#define ALL_REGISTERS 1\n") ? "-cl-std=CL1.2 -cl-intel-256-GRF-per-thread" : "-cl-std=CL1.2";
}

bool t3_program_text(const char *name, const t3_text *defines, t3_text *text) {
  const t3_source *source = t3_sources;
  while (source < t3_sources + t3_num_sources && strcmp(source->name, name)) ++source;
  if (source == t3_sources + t3_num_sources) return false;
  for (const char *line = defines->data; line && *line;) {
    const char *equals = strchr(line, '='), *end = strchr(line, '\n');
    t3_text_append(text, "#define %.*s %.*s\n", (int)(equals - line), line, (int)(end - equals - 1), equals + 1);
    line = end + 1;
  }
  t3_text_append_bytes(text, source->text, strlen(source->text));
  return t3_text_ok(text) && t3_text_ok(defines);
}

/* CL_CONFIG_ and IGC_ (Intel), AMD_OCL_ and POCL_ variables choose targets and passes; where caches lie, what is logged
 * and where threads run changes no code. */
static bool steers_compiler(const char *variable) {
  static const char *const prefixes[] = {"CL_CONFIG_", "POCL_", "AMD_OCL_", "IGC_"};
  static const char *const harmless[] = {"POCL_AFFINITY=",     "POCL_CACHE_DIR=", "POCL_DEBUG",
                                         "POCL_KERNEL_CACHE=", "POCL_DEVICES=",   "POCL_MEMORY_LIMIT="};
  for (size_t i = 0; i < sizeof harmless / sizeof *harmless; ++i)
    if (!strncmp(variable, harmless[i], strlen(harmless[i]))) return false;
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; ++i)
    if (!strncmp(variable, prefixes[i], strlen(prefixes[i]))) return true;
  return false;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append_environment(t3_text *key) {
  size_t all = 0, count = 0;
  while (environ && environ[all]) ++all;
  const char **found = calloc(all + 1, sizeof *found);
  if (!found) {
    key->failed = true;
    return;
  }
  for (size_t i = 0; i < all; ++i)
    if (steers_compiler(environ[i])) found[count++] = environ[i];
  qsort(found, count, sizeof *found, by_text);
  for (size_t i = 0; i < count; ++i) t3_text_append(key, "env %s\n", found[i]);
  free(found);
}

static void append_extensions(const tconv3d_device_info *device, t3_text *key) {
  char extensions[8192];
  t3_device_string(device->device, CL_DEVICE_EXTENSIONS, extensions, sizeof extensions);
  t3_text_append(key, "extensions %s\n", extensions);
}

void t3_program_key(const tconv3d_device_info *device, const t3_text *text, t3_text *key) {
  t3_text_append(key, "tconv3d %s\noptions %s\n", TCONV3D_VERSION, t3_build_options(text));
  t3_text_append(key, "platform %s\n%s\n", device->platform_name, device->platform_version);
  t3_text_append(key, "device %s\n%s\ndriver %s\n", device->name, device->version, device->driver);
  t3_text_append(key, "units %u width %u local %llu\n", device->compute_units, device->vector_width,
                 (unsigned long long)device->local_bytes);
  append_extensions(device, key);
  append_environment(key);
  t3_text_append_bytes(key, text->data, text->size);
}

void t3_hash_name(const void *bytes, size_t size, char name[T3_PROGRAM_NAME]) {
  static const char digits[] = "0123456789abcdef";
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(bytes, size));
  for (size_t i = 0; i < sizeof hash.digest; ++i) {
    name[2 * i] = digits[hash.digest[i] >> 4];
    name[2 * i + 1] = digits[hash.digest[i] & 15];
  }
  name[2 * sizeof hash.digest] = '\0';
}
