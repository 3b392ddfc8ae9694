/* multiplier.h: the ways to multiply tiles in local memory (cl/multiplier.cl): which there are, what each needs of the layer
 * and of the device. */
#ifndef T3_MULTIPLIER_H
#define T3_MULTIPLIER_H

#include "algo/algo.h"

/* As cl/multiplier.cl numbers them. */
typedef enum t3_multiplier_kind {
  T3_MULTIPLY_FMA,
  T3_MULTIPLY_BROADCAST,
  T3_MULTIPLY_MMA,
  T3_MULTIPLY_TF32,
  T3_MULTIPLY_DPAS,
  T3_MULTIPLY_HALF
} t3_multiplier_kind;

typedef struct t3_multiplier {
  t3_multiplier_kind kind;
  const char *words;                /* for explain */
  int64_t lanes;                    /* of the sub-group that works together; 1: each work-item by itself */
  int64_t matrix_m, matrix_n;       /* of one instruction; 0: none */
  int64_t word_terms;               /* terms of a sum in a word of a tile; a matrix has eight words */
  double rate;                      /* multiply-adds of a lane a cycle, about */
  int permission;                   /* of tconv3d_plan_options.reduced_precision; 0: none is needed */
  t3_feature feature, feature_bf16; /* needed, the second one with bfloat16 where that is another; without meaning for FMA */
} t3_multiplier;

enum { T3_MULTIPLIERS = 10, T3_MATRIX_WORDS = 8 };
extern const t3_multiplier t3_multipliers[T3_MULTIPLIERS]; /* [0]: FMA. A place in it is part of variants: it stays */

/* A multiplier of the table, or its twin, as one number; which it is. */
static inline int64_t t3_multiplier_number(int index, bool twin) {
  return index + (twin ? 32 : 0);
}

/* The variant of a tile (m, n, block_m, block_n, k), a number of the algorithm's own below T3_MULTIPLIER_STEP, and a
 * multiplier; and the multiplier of a variant. */
enum { T3_MULTIPLIER_STEP = 256 };
static inline t3_variant t3_tile_variant(const int64_t *tile, int64_t own, int64_t number) {
  return (t3_variant){{tile[0], tile[1], tile[2], tile[3], tile[4], own + T3_MULTIPLIER_STEP * number}};
}
static inline int64_t t3_variant_multiplier(const t3_variant *variant) {
  return variant->number[T3_VARIANT_NUMBERS - 1] / T3_MULTIPLIER_STEP;
}

static inline const t3_multiplier *t3_multiplier_of(int64_t number) {
  return &t3_multipliers[number % 32 < T3_MULTIPLIERS ? number % 32 : 0];
}
static inline bool t3_is_twin(int64_t number) {
  return number / 32 % 2;
}

/* A tile for multipliers of matrices by so many lanes: its blocks are a sub-group's. */
typedef struct t3_matrix_tile {
  int64_t lanes, tile[5];
} t3_matrix_tile;

static inline bool t3_has_matrices(const t3_multiplier *multiplier) {
  return multiplier->matrix_m > 0;
}

/* Predicted seconds of a variant: with a twin so many that it is never chosen. */
static inline double t3_multiplier_seconds(int64_t number, double seconds) {
  return t3_is_twin(number) ? 1e6 * (seconds + 1) : seconds;
}

/* Whether work-items of a tile (m, n, block_m, block_n) can multiply as a multiplier without matrices does: a sub-group must
 * share its rows, and load whole columns of terms. */
static inline bool t3_broadcasts(const t3_multiplier *multiplier, const int64_t *tile) {
  return multiplier->lanes == 1 || (tile[1] / tile[3] % multiplier->lanes == 0 && multiplier->lanes % tile[2] == 0);
}

/* Whether its types are the problem's and it is permitted, and it or its twin is there. */
bool t3_multiplier_there(const t3_problem *problem, int64_t number);

/* What the problem's algorithms might use. */
t3_feature_set t3_features_wanted(const t3_problem *problem);

/* MULTIPLIER, and SUB_GROUP and TWIN where it has them. */
void t3_define_multiplier(t3_text *defines, int64_t number);

/* Adds what multiplies to a recipe's detail. */
void t3_tell_multiplier(t3_recipe *recipe, int64_t number);

/* Bytes of local memory that a twin needs for its exchange, by so many work-items. */
int64_t t3_exchange_bytes(int64_t number, int64_t items);

#endif
