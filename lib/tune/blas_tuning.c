#include "tune/blas_tuning.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "base/status.h"
#include "blas/blas.h"
#include "program/program.h"

enum { VALUE_MAX = 512 }; /* 28 numbers and a few words: longer is none of ours */

static void print_key(const tconv3d_device_info *device, const char *version, bool doubles, t3_text *key) {
  static const t3_text no_source = {0};
  t3_text_append(key, "%s", T3_TUNING_PREFIX);
  t3_program_key(device, &no_source, key);
  t3_text_append(key, "clblast %s %s", version, doubles ? "f64" : "f32");
}

/* "1.5.3": numbers with points between. */
static bool parse_version(const char **at) {
  size_t length = strspn(*at, "0123456789.");
  *at += length;
  return length > 0 && length < 32;
}

bool t3_blas_line_parse(const char **at) {
  return t3_scan_literal(at, "clblast ") && parse_version(at) && t3_scan_literal(at, " ") &&
         (t3_scan_literal(at, "f32") || t3_scan_literal(at, "f64"));
}

void t3_blas_tuning_print(const t3_blas_tuning *tuning, t3_text *text) {
  t3_blas_print(&tuning->parameters, text);
  t3_text_append(text, " in %" PRId64 " ns", tuning->nanoseconds);
}

bool t3_blas_tuning_parse(const char *text, t3_blas_tuning *tuning) {
  return t3_blas_parse(&text, &tuning->parameters) && t3_scan_literal(&text, " in ") &&
         t3_scan_number(&text, &tuning->nanoseconds) && tuning->nanoseconds >= 1 && t3_scan_literal(&text, " ns") && !*text;
}

/* The value of a key as a string; true if it is one that could be ours. */
static bool is_text(const void *value, size_t size, char text[VALUE_MAX]) {
  if (size >= VALUE_MAX) return false;
  memcpy(text, value, size);
  text[size] = '\0';
  return strlen(text) == size;
}

t3_blas_found t3_blas_tuning_find(t3_store *store, const tconv3d_device_info *device, const char *version, bool doubles,
                                  t3_blas_tuning *tuning) {
  t3_text key = {0};
  void *value = NULL;
  size_t size;
  char text[VALUE_MAX];
  if (!store) return T3_BLAS_NOTHING;
  print_key(device, version, doubles, &key);
  bool there = t3_text_ok(&key) && t3_store_get(store, key.data, key.size, &value, &size);
  t3_text_free(&key);
  if (!there) return T3_BLAS_NOTHING;
  bool sound = is_text(value, size, text) && t3_blas_tuning_parse(text, tuning) &&
               t3_blas_valid(&tuning->parameters, device, doubles ? 8 : 4);
  free(value);
  return sound ? T3_BLAS_FOUND : T3_BLAS_DAMAGED;
}

bool t3_blas_tuning_keep(t3_store *store, const tconv3d_device_info *device, const char *version, bool doubles,
                         const t3_blas_tuning *tuning) {
  t3_text key = {0}, value = {0};
  t3_blas_tuning found;
  print_key(device, version, doubles, &key);
  t3_blas_tuning_print(tuning, &value);
  if (t3_text_ok(&key) && t3_text_ok(&value)) t3_store_keep(store, key.data, key.size, value.data, value.size);
  t3_text_free(&key);
  t3_text_free(&value);
  return t3_blas_tuning_find(store, device, version, doubles, &found) == T3_BLAS_FOUND &&
         !memcmp(&found.parameters, &tuning->parameters, sizeof found.parameters);
}

void t3_blas_use_tuning(t3_store *store, const tconv3d_device_info *device, bool doubles) {
  t3_blas_tuning tuning;
  if (t3_blas_missing() || t3_blas_tuning_find(store, device, t3_blas_version(), doubles, &tuning) != T3_BLAS_FOUND) return;
  char *message = t3_message_save(); /* CLBlast's own parameters serve where it refuses these */
  (void)t3_blas_use(device->device, doubles, &tuning.parameters);
  t3_message_restore(message);
}
