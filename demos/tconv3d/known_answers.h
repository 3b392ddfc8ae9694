/* known_answers.h: small layers with whole numbers, whose result is exact on a device that works, whatever the order of its
 * sums. */
#ifndef KNOWN_ANSWERS_H
#define KNOWN_ANSWERS_H

#include "tconv3d/command.h"

struct known_answers {
  int exact, skipped; /* layers that came out right, and those that the algorithm does not serve */
  struct fault fault; /* the first thing wrong, when known_answers_run returned false */
};

/* Runs every layer with the named algorithm on the context's first device, forward or the gradient that it computes, and
 * compares with the plain-C reference. */
bool known_answers_run(tconv3d_context *context, const char *algorithm, struct known_answers *answers);

#endif
