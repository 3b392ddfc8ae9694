/* tuning.h: what was measured to be best for a layer on a device, as text in the store.
 *
 *   key    T3_TUNING_PREFIX, then everything that decides a program's code but its source (a device's lines), then the layer:
 *          layer N Cin Cout D,H,W kernel stride padding output_padding dilation groups bias|plain f32
 *          with an operation's name in place of the first word where it is not the forward one
 *   value  ALGORITHM NUMBER... in NANOSECONDS ns
 *
 * Both are for reading by people too: an export shows them as they are. Numbers are whole, so no locale can spoil them. */
#ifndef T3_TUNING_H
#define T3_TUNING_H

#include "algo/algo.h"
#include "store/store.h"

typedef struct t3_tuning {
  char algorithm[32];
  t3_variant variant;
  int64_t nanoseconds; /* of one call, the median; at least 1 */
} t3_tuning;

/* "phase 16 6 2 1 0 0" */
void t3_tuning_name(const char *algorithm, const t3_variant *variant, t3_text *text);

/* The value; and back: true only for a whole and right one. */
void t3_tuning_print(const t3_tuning *tuning, t3_text *text);
bool t3_tuning_parse(const char *text, t3_tuning *tuning);

/* The key's last line, without its end; and back: *at moves past it, and a layer that breaks a rule fails with the rule. */
void t3_layer_print(const t3_layer *computed, tconv3d_operation operation, t3_text *text);
tconv3d_status t3_layer_parse(const char **at, t3_layer *layer, tconv3d_operation *operation);

void t3_tuning_key(const t3_problem *problem, t3_text *key);

/* Looks the problem up: false when there is nothing that could be read. Whether the algorithm and its variant exist, and can
 * serve the problem, is not judged. */
bool t3_tuning_find(t3_store *store, const t3_problem *problem, t3_tuning *tuning);

/* Stores it in the place of what was there; false when it cannot be found again: no store, or a disk that is full. */
bool t3_tuning_keep(t3_store *store, const t3_problem *problem, const t3_tuning *tuning);

#endif
