/* The directory of offline binaries; see offline.h. */
#include "program/offline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static const char *binary_directory(void) {
  const char *directory = getenv("TCONV3D_BINARY_DIR");
  return directory && *directory ? directory : NULL;
}

bool t3_no_build(void) {
  const char *value = getenv("TCONV3D_NO_BUILD");
  return value && *value && strcmp(value, "0") != 0;
}

/* The bytes of DIRECTORY/NAME.ENDING; false when they cannot be read. */
static bool read_file(const char *directory, const char *name, const char *ending, t3_text *bytes) {
  t3_text path = {0};
  t3_text_append(&path, "%s/%s.%s", directory, name, ending);
  FILE *file = t3_text_ok(&path) ? fopen(path.data, "rb") : NULL;
  t3_text_free(&path);
  if (!file) return false;
  char piece[1 << 14];
  size_t count;
  while ((count = fread(piece, 1, sizeof piece, file)) > 0) t3_text_append_bytes(bytes, piece, count);
  bool whole = !ferror(file); /* a directory of that name opens, and fails here */
  fclose(file);
  return whole && t3_text_ok(bytes);
}

static bool has_key(const char *directory, const char *name, const t3_text *key, bool *there) {
  t3_text beside = {0};
  *there = read_file(directory, name, "key", &beside);
  bool same = *there && beside.size == key->size && !memcmp(beside.data, key->data, key->size);
  t3_text_free(&beside);
  return same;
}

/* True without a sum. */
static bool has_sum(const char *directory, const char *name, const t3_text *binary) {
  char hash[T3_PROGRAM_NAME];
  t3_text beside = {0};
  t3_hash_name(binary->data, binary->size, hash);
  bool there = read_file(directory, name, "sum", &beside);
  bool same = beside.size >= sizeof hash - 1 && !memcmp(beside.data, hash, sizeof hash - 1);
  t3_text_free(&beside);
  return !there || same;
}

static t3_offline read_binary(const char *directory, const t3_text *key, t3_text *binary) {
  char name[T3_PROGRAM_NAME];
  bool there;
  t3_program_name(key, name);
  if (!read_file(directory, name, "bin", binary)) return T3_OFFLINE_MISSING;
  if (!has_key(directory, name, key, &there)) return there ? T3_OFFLINE_OTHER_KEY : T3_OFFLINE_KEYLESS;
  return has_sum(directory, name, binary) ? T3_OFFLINE_LOADED : T3_OFFLINE_DAMAGED;
}

cl_program t3_offline_load(cl_context cl, cl_device_id device, const t3_text *key, const char *options, t3_offline *outcome) {
  const char *directory = binary_directory();
  cl_program program = NULL;
  t3_text binary = {0};
  *outcome = directory ? read_binary(directory, key, &binary) : T3_OFFLINE_UNSET;
  if (*outcome == T3_OFFLINE_LOADED) {
    program = binary.size ? t3_build_binary(cl, device, options, binary.data, binary.size) : NULL;
    if (!program) *outcome = T3_OFFLINE_REFUSED;
  }
  t3_text_free(&binary);
  return program;
}

tconv3d_status t3_offline_fail(const char *program, const t3_text *key, t3_offline outcome) {
  static const char *const words[] = {
      [T3_OFFLINE_UNSET] = "TCONV3D_BINARY_DIR, which would name its directory, is not set",
      [T3_OFFLINE_MISSING] = "there is no such file",
      [T3_OFFLINE_KEYLESS] = "the file with its key, of the same name but .key, is not beside it",
      [T3_OFFLINE_OTHER_KEY] = "the key in the .key file beside it is another program's",
      [T3_OFFLINE_DAMAGED] = "its hash is not the one in the .sum file beside it, so it is damaged",
      [T3_OFFLINE_REFUSED] = "the device does not take it, so it is damaged or another device's",
      [T3_OFFLINE_LOADED] = "it was loaded",
  };
  char name[T3_PROGRAM_NAME];
  const char *directory = binary_directory();
  t3_program_name(key, name);
  return t3_fail(TCONV3D_NO_BINARY,
                 "TCONV3D_NO_BUILD is set, so the binary of '%s' must be at %s/%s.bin: %s; `tconv3d program dump` writes what "
                 "an offline compiler needs to make it",
                 program, directory ? directory : "$TCONV3D_BINARY_DIR", name, words[outcome]);
}
