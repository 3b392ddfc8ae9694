/* Reads what export.c writes; nothing is stored before all of it was read. Blank lines, and lines that begin with '#', are
 * passed over, and a line may end as on other systems. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "base/status.h"
#include "tune/blas_tuning.h"
#include "tune/exchange.h"

struct reader {
  t3_text line;      /* the one that is read */
  int64_t number;    /* its number */
  t3_text device;    /* the prefix and the device's lines that hold now */
  bool header, open; /* the header was there; a device was begun, and may get lines until a layer comes */
  t3_entries entries;
};

static tconv3d_status no_memory(void) {
  return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for tunings");
}

static tconv3d_status wrong(const struct reader *reader, const char *rule) {
  return t3_fail(TCONV3D_INVALID_PARAMETER, "tunings, line %" PRId64 ": %s", reader->number, rule);
}

static tconv3d_status read_header(struct reader *reader) {
  reader->header = !strcmp(reader->line.data, T3_TUNINGS_HEADER);
  return reader->header ? TCONV3D_OK : wrong(reader, "the first line must be '" T3_TUNINGS_HEADER "'");
}

static tconv3d_status begin_device(struct reader *reader) {
  t3_text_free(&reader->device);
  t3_text_append(&reader->device, "%s", T3_TUNING_PREFIX);
  reader->open = true;
  return TCONV3D_OK;
}

static tconv3d_status add_to_device(struct reader *reader) {
  if (!reader->open) return wrong(reader, "a line of a device must stand after 'device' or another of its lines");
  t3_text_append(&reader->device, "%s\n", reader->line.data + 2);
  return TCONV3D_OK;
}

/* Frees both. */
static tconv3d_status add_texts(struct reader *reader, t3_text *key, t3_text *value) {
  bool added = t3_text_ok(&reader->device) && t3_text_ok(key) && t3_text_ok(value) &&
               t3_entries_add(&reader->entries, key->data, key->size, value->data, value->size);
  t3_text_free(key);
  t3_text_free(value);
  return added ? TCONV3D_OK : no_memory();
}

static tconv3d_status add_entry(struct reader *reader, const t3_layer *layer, tconv3d_operation operation,
                                const t3_tuning *tuning) {
  t3_text key = {0}, value = {0};
  t3_text_append_bytes(&key, reader->device.data, reader->device.size);
  t3_layer_print(layer, operation, &key); /* as it is looked up, however its numbers were written */
  t3_tuning_print(tuning, &value);
  return add_texts(reader, &key, &value);
}

static tconv3d_status check_device(const struct reader *reader) {
  if (reader->device.size > strlen(T3_TUNING_PREFIX)) return TCONV3D_OK;
  return wrong(reader, "before a layer must stand 'device' and the device's lines");
}

/* Parameters are judged where they are used: what is right for a device is known on that device alone. */
static tconv3d_status read_blas(struct reader *reader) {
  const char *line = reader->line.data, *at = line;
  t3_blas_tuning tuning;
  T3_TRY(check_device(reader));
  if (!t3_blas_line_parse(&at)) return wrong(reader, "after 'clblast' must stand its version and f32 or f64");
  t3_text key = {0}, value = {0};
  t3_text_append_bytes(&key, reader->device.data, reader->device.size);
  t3_text_append_bytes(&key, line, (size_t)(at - line));
  if (!t3_scan_literal(&at, " = ") || !t3_blas_tuning_parse(at, &tuning)) {
    t3_text_free(&key);
    return wrong(reader,
                 "after CLBlast's version must stand ' = xgemm', 16 numbers, 'direct', 10, 'from', 1, and 'in 12345 ns'");
  }
  t3_blas_tuning_print(&tuning, &value);
  reader->open = false;
  return add_texts(reader, &key, &value);
}

static tconv3d_status read_layer(struct reader *reader) {
  const char *at = reader->line.data;
  t3_layer layer;
  tconv3d_operation operation;
  t3_tuning tuning;
  T3_TRY(check_device(reader));
  tconv3d_status status = t3_layer_parse(&at, &layer, &operation);
  if (status != TCONV3D_OK) return wrong(reader, tconv3d_message());
  if (!t3_scan_literal(&at, " = ") || !t3_tuning_parse(at, &tuning))
    return wrong(reader, "after the layer must stand ' = ', an algorithm, 6 numbers, and its time as 'in 12345 ns'");
  reader->open = false;
  return add_entry(reader, &layer, operation, &tuning);
}

/* Begins with "layer" or an operation's name. */
static bool is_layer(const char *line) {
  if (!strncmp(line, "layer ", 6)) return true;
  for (int i = 0; tconv3d_operation_name((tconv3d_operation)i); ++i) {
    const char *name = tconv3d_operation_name((tconv3d_operation)i);
    if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ') return true;
  }
  return false;
}

static tconv3d_status read_line(struct reader *reader) {
  const char *line = reader->line.data;
  if (!*line || *line == '#') return TCONV3D_OK;
  if (!reader->header) return read_header(reader);
  if (!strcmp(line, "device")) return begin_device(reader);
  if (!strncmp(line, "  ", 2)) return add_to_device(reader);
  if (!strncmp(line, "clblast ", 8)) return read_blas(reader);
  if (is_layer(line)) return read_layer(reader);
  return wrong(reader, "it must be 'device', a line of a device after two blanks, or a layer");
}

static tconv3d_status read_text(struct reader *reader, const char *text) {
  while (*text) {
    size_t length = strcspn(text, "\n"), end = length > 0 && text[length - 1] == '\r' ? length - 1 : length;
    t3_text_free(&reader->line);
    t3_text_append_bytes(&reader->line, text, end);
    if (!t3_text_ok(&reader->line)) return no_memory();
    ++reader->number;
    T3_TRY(read_line(reader));
    text += length + (text[length] == '\n');
  }
  if (!reader->number) reader->number = 1;
  return reader->header ? TCONV3D_OK : wrong(reader, "the first line must be '" T3_TUNINGS_HEADER "'");
}

/* Whether the store has the entry now, or an equal one. */
static bool keep_entry(t3_store *store, const t3_entry *entry) {
  void *value;
  size_t size;
  t3_store_keep(store, entry->key, strlen(entry->key), entry->value, strlen(entry->value));
  if (!t3_store_get(store, entry->key, strlen(entry->key), &value, &size)) return false;
  bool same = size == strlen(entry->value) && !memcmp(value, entry->value, size);
  free(value);
  return same;
}

static tconv3d_status keep_all(const t3_entries *entries) {
  char reason[192];
  t3_store *store = t3_open_cache(true, reason, sizeof reason);
  if (!store) return t3_fail(TCONV3D_NO_CACHE, "the tunings cannot be stored: %s", reason);
  size_t kept = 0;
  while (kept < entries->count && keep_entry(store, &entries->list[kept])) ++kept;
  t3_store_close(store);
  if (kept == entries->count) return TCONV3D_OK;
  return t3_fail(TCONV3D_NO_CACHE, "only %zu of %zu tunings could be stored: the cache cannot be written", kept,
                 entries->count);
}

tconv3d_status tconv3d_tunings_import(const char *text, size_t *count) {
  if (!text) return t3_fail(TCONV3D_INVALID_ARGUMENT, "text is NULL");
  struct reader reader = {0};
  tconv3d_status status = read_text(&reader, text);
  if (status == TCONV3D_OK) status = keep_all(&reader.entries);
  if (status == TCONV3D_OK && count) *count = reader.entries.count;
  t3_text_free(&reader.line);
  t3_text_free(&reader.device);
  t3_entries_free(&reader.entries);
  return status;
}
