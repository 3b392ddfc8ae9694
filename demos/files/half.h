/* half.h: IEEE 754 binary16, as bits. Pure functions. */
#ifndef HALF_H
#define HALF_H

#include <stdint.h>

/* Exact. A NaN keeps its sign and the bits of its payload, and becomes quiet. */
float half_to_float(uint16_t half);

/* Rounded once, to the nearest, ties to even: a double holds every float exactly, so this serves both. Beyond the largest half
 * by half a step or more: infinity. A NaN keeps its sign and its payload's upper bits, and stays a NaN. */
uint16_t half_from_double(double value);

#endif
