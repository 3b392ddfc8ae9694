/* All stored tunings as one text, each device's together:
 *
 *   tconv3d tunings 1
 *   device
 *     platform Portable Computing Language     the device's lines of the keys, two blanks before each
 *   layer ... = phase 16 6 2 1 0 0 in 12345 ns     a line each, of the device above
 *   clblast 1.5.3 f32 = xgemm ... in 12345 ns      its parameters for CLBlast, if any
 *
 * In the order of the keys, so that equal stores give equal texts. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "tune/blas_tuning.h"
#include "tune/exchange.h"

static int by_key(const void *a, const void *b) {
  const t3_entry *x = a, *y = b;
  return strcmp(x->key, y->key);
}

static bool is_blas(const t3_entry *entry, const char *line) {
  t3_blas_tuning tuning;
  return t3_blas_line_parse(&line) && !*line && t3_blas_tuning_parse(entry->value, &tuning);
}

static bool is_layer(const t3_entry *entry, const char *line) {
  t3_tuning tuning;
  t3_layer layer;
  tconv3d_operation operation;
  return t3_tuning_parse(entry->value, &tuning) && t3_layer_parse(&line, &layer, &operation) == TCONV3D_OK && !*line;
}

/* Keeps what visit_entry is shown, if it is a text that an import would take; a NUL inside ends it there. */
static bool is_ours(const t3_entry *entry, size_t key_size, size_t value_size) {
  const char *line = t3_entry_layer(entry);
  return strlen(entry->key) == key_size && strlen(entry->value) == value_size && line &&
         (is_blas(entry, line) || is_layer(entry, line));
}

static bool visit_entry(void *user, const void *key, size_t key_size, const void *value, size_t value_size) {
  t3_entries *entries = user;
  t3_entry *entry = t3_entries_add(entries, key, key_size, value, value_size);
  if (entry && !is_ours(entry, key_size, value_size)) t3_entries_drop_last(entries);
  return !entries->failed;
}

/* "  LINE\n" for each of the device's lines. */
static void print_device(const char *device, size_t size, t3_text *text) {
  t3_text_append(text, "\ndevice\n");
  for (const char *end = device + size; device < end;) {
    const char *stop = memchr(device, '\n', (size_t)(end - device));
    size_t length = (size_t)((stop ? stop : end) - device);
    t3_text_append(text, "  %.*s\n", (int)length, device);
    device += length + 1;
  }
}

static void print_entries(const t3_entries *entries, t3_text *text) {
  const char *before = "";
  size_t before_size = 0;
  t3_text_append(text, "%s\n", T3_TUNINGS_HEADER);
  for (size_t i = 0; i < entries->count; ++i) {
    const t3_entry *entry = &entries->list[i];
    const char *device = entry->key + strlen(T3_TUNING_PREFIX), *layer = t3_entry_layer(entry);
    size_t size = (size_t)(layer - device);
    if (size != before_size || memcmp(device, before, size) != 0) print_device(device, size, text);
    t3_text_append(text, "%s = %s\n", layer, entry->value);
    before = device, before_size = size;
  }
}

tconv3d_status tconv3d_tunings_export(char **text, size_t *count) {
  if (!text) return t3_fail(TCONV3D_INVALID_ARGUMENT, "text is NULL");
  *text = NULL;
  char reason[192];
  t3_entries entries = {0};
  t3_text printed = {0};
  char *message = t3_message_save();
  t3_store *store = t3_open_cache(false, reason, sizeof reason); /* NULL holds nothing */
  t3_store_each_kept(store, T3_TUNING_PREFIX, strlen(T3_TUNING_PREFIX), visit_entry, &entries);
  t3_store_close(store);
  t3_message_restore(message);
  if (entries.count) qsort(entries.list, entries.count, sizeof *entries.list, by_key);
  print_entries(&entries, &printed);
  bool whole = !entries.failed && t3_text_ok(&printed);
  if (whole && count) *count = entries.count;
  if (whole)
    *text = printed.data;
  else
    t3_text_free(&printed);
  t3_entries_free(&entries);
  return whole ? TCONV3D_OK : t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for the text of the tunings");
}
