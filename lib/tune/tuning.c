#include "tune/tuning.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "program/program.h"

enum { VALUE_MAX = 256 }; /* a word and numbers of at most 20 letters: longer is none of ours */

void t3_tuning_name(const char *algorithm, const t3_variant *variant, t3_text *text) {
  t3_text_append(text, "%s", algorithm);
  for (int i = 0; i < T3_VARIANT_NUMBERS; ++i) t3_text_append(text, " %" PRId64, variant->number[i]);
}

void t3_tuning_print(const t3_tuning *tuning, t3_text *text) {
  t3_tuning_name(tuning->algorithm, &tuning->variant, text);
  t3_text_append(text, " in %" PRId64 " ns", tuning->nanoseconds);
}

bool t3_tuning_parse(const char *text, t3_tuning *tuning) {
  if (!t3_scan_word(&text, tuning->algorithm, sizeof tuning->algorithm)) return false;
  for (int i = 0; i < T3_VARIANT_NUMBERS; ++i)
    if (!t3_scan_literal(&text, " ") || !t3_scan_number(&text, &tuning->variant.number[i])) return false;
  return t3_scan_literal(&text, " in ") && t3_scan_number(&text, &tuning->nanoseconds) && tuning->nanoseconds >= 1 &&
         t3_scan_literal(&text, " ns") && !*text;
}

/* An empty source leaves of a program's key what is the device's. */
void t3_tuning_key(const t3_problem *problem, t3_text *key) {
  static const t3_text no_source = {0};
  t3_text_append(key, "%s", T3_TUNING_PREFIX);
  t3_program_key(&problem->device, &no_source, key);
  t3_layer_print(&problem->layer, problem->operation, key);
}

static bool find_key(t3_store *store, const t3_text *key, t3_tuning *tuning) {
  void *value;
  size_t size;
  char text[VALUE_MAX];
  if (!t3_text_ok(key) || !t3_store_get(store, key->data, key->size, &value, &size)) return false;
  bool fits = size < sizeof text;
  if (fits) memcpy(text, value, size);
  free(value);
  if (!fits) return false;
  text[size] = '\0';
  return strlen(text) == size && t3_tuning_parse(text, tuning);
}

bool t3_tuning_find(t3_store *store, const t3_problem *problem, t3_tuning *tuning) {
  if (!store) return false;
  t3_text key = {0};
  t3_tuning_key(problem, &key);
  bool found = find_key(store, &key, tuning);
  t3_text_free(&key);
  return found;
}

bool t3_tuning_keep(t3_store *store, const t3_problem *problem, const t3_tuning *tuning) {
  t3_text key = {0}, value = {0};
  t3_tuning found;
  t3_tuning_key(problem, &key);
  t3_tuning_print(tuning, &value);
  bool whole = t3_text_ok(&key) && t3_text_ok(&value);
  if (whole) t3_store_keep(store, key.data, key.size, value.data, value.size);
  bool kept = whole && find_key(store, &key, &found) && !strcmp(found.algorithm, tuning->algorithm) &&
              !memcmp(&found.variant, &tuning->variant, sizeof found.variant);
  t3_text_free(&key);
  t3_text_free(&value);
  return kept;
}
