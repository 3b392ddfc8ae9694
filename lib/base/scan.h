/* scan.h: reading texts from outside, strictly: each function moves *at past what it read, or leaves it and returns false.
 * Nothing here depends on the locale. */
#ifndef T3_SCAN_H
#define T3_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exactly these letters. */
bool t3_scan_literal(const char **at, const char *literal);

/* An optional '-' and decimal digits that fit in 64 bits. */
bool t3_scan_number(const char **at, int64_t *number);

/* Three numbers with commas between. */
bool t3_scan_triple(const char **at, int64_t triple[3]);

/* One or more letters, digits and '_', fewer than capacity. */
bool t3_scan_word(const char **at, char *word, size_t capacity);

#endif
