/* text.h: a string that grows. An allocation failure makes the text "failed": appends do nothing, t3_text_ok is false. */
#ifndef T3_TEXT_H
#define T3_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct t3_text {
  char *data; /* always ends in NUL once anything was appended; NULL before that */
  size_t size, capacity;
  bool failed;
} t3_text;

void t3_text_append(t3_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void t3_text_append_v(t3_text *text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void t3_text_append_bytes(t3_text *text, const void *bytes, size_t size);
void t3_text_free(t3_text *text);
static inline bool t3_text_ok(const t3_text *text) {
  return !text->failed;
}

#endif
