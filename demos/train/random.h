/* random.h: SplitMix64, so that a seed means the same numbers with every compiler and C library. */
#ifndef TRAIN_RANDOM_H
#define TRAIN_RANDOM_H

#include <stdint.h>

struct random {
  uint64_t state; /* any number is a seed */
};

static inline uint64_t random_bits(struct random *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* From 0 to count - 1. The bias of the remainder, count / 2^64, is of no interest here. */
static inline int64_t random_below(struct random *random, int64_t count) {
  return (int64_t)(random_bits(random) % (uint64_t)count);
}

/* Evenly from -span to span. */
static inline float random_even(struct random *random, double span) {
  return (float)(((double)(random_bits(random) >> 11) * 0x1p-52 - 1) * span);
}

#endif
