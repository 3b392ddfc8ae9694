#include "base/scan.h"

#include <string.h>

bool t3_scan_literal(const char **at, const char *literal) {
  size_t length = strlen(literal);
  if (strncmp(*at, literal, length) != 0) return false;
  *at += length;
  return true;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool t3_scan_number(const char **at, int64_t *number) {
  bool negative = **at == '-';
  const char *digit = *at + negative;
  int64_t value = 0; /* counted downwards, because the lowest number has no positive counterpart */
  if (!is_digit(*digit)) return false;
  for (; is_digit(*digit); ++digit)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *digit - '0', &value)) return false;
  if (!negative && __builtin_sub_overflow(0, value, &value)) return false;
  *at = digit;
  *number = value;
  return true;
}

bool t3_scan_triple(const char **at, int64_t triple[3]) {
  const char *here = *at;
  for (int a = 0; a < 3; ++a)
    if ((a && !t3_scan_literal(&here, ",")) || !t3_scan_number(&here, &triple[a])) return false;
  *at = here;
  return true;
}

bool t3_scan_word(const char **at, char *word, size_t capacity) {
  size_t length = 0;
  for (const char *c = *at; (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || is_digit(*c) || *c == '_'; ++c) ++length;
  if (length == 0 || length >= capacity) return false;
  memcpy(word, *at, length);
  word[length] = '\0';
  *at += length;
  return true;
}
