/* checked.h: size arithmetic that says when it no longer fits. Each returns false on overflow and then leaves *result
 * undefined. */
#ifndef T3_CHECKED_H
#define T3_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool t3_add(int64_t a, int64_t b, int64_t *result) {
  return !__builtin_add_overflow(a, b, result);
}
static inline bool t3_mul(int64_t a, int64_t b, int64_t *result) {
  return !__builtin_mul_overflow(a, b, result);
}

/* *result *= each of the counts. */
static inline bool t3_product(int64_t *result, const int64_t *factors, int count) {
  for (int i = 0; i < count; ++i)
    if (!t3_mul(*result, factors[i], result)) return false;
  return true;
}

static inline int64_t t3_ceil_div(int64_t a, int64_t b) {
  return a / b + (a % b > 0);
}
static inline int64_t t3_round_up(int64_t a, int64_t b) {
  return t3_ceil_div(a, b) * b;
}
static inline int64_t t3_min(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static inline int64_t t3_max(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* The size of the most even parts of count: at least so many parts, and few more, where a part more or less counts. */
static inline int64_t t3_even_part(int64_t count, int64_t parts) {
  int64_t best = t3_ceil_div(count, parts), least = best * parts - count;
  for (int64_t more = parts + 1; more <= parts + t3_min(parts / 4, 64) && least; ++more) {
    int64_t part = t3_ceil_div(count, more), past = part * more - count;
    if (past < least) best = part, least = past;
  }
  return best;
}

#endif
