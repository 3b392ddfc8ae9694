#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(t3_text *text, size_t more) {
  if (text->failed) return false;
  if (more < text->capacity - text->size) return true; /* strictly: one byte stays for the NUL */
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity - text->size <= more) {
    if (capacity > (size_t)-1 / 2) goto fail;
    capacity *= 2;
  }
  char *data = realloc(text->data, capacity);
  if (!data) goto fail;
  text->data = data;
  text->capacity = capacity;
  return true;
fail:
  text->failed = true;
  return false;
}

void t3_text_append_bytes(t3_text *text, const void *bytes, size_t size) {
  if (!reserve(text, size)) return;
  if (size) memcpy(text->data + text->size, bytes, size);
  text->size += size;
  text->data[text->size] = '\0';
}

void t3_text_append_v(t3_text *text, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length < 0 || !reserve(text, (size_t)length)) return;
  vsnprintf(text->data + text->size, (size_t)length + 1, format, args);
  text->size += (size_t)length;
}

void t3_text_append(t3_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  t3_text_append_v(text, format, args);
  va_end(args);
}

void t3_text_free(t3_text *text) {
  free(text->data);
  *text = (t3_text){0};
}
