/* picture.h: an 8-bit RGB picture in memory, and as a PNG file. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>
#include <stdio.h>

#include "files/fault.h"

struct picture {
  int width, height;
  uint8_t *rgb; /* height rows of width pixels of 3 bytes, the top row first; freed by picture_free */
};

/* A black picture. */
bool picture_make(struct picture *picture, int width, int height, struct fault *fault);
void picture_free(struct picture *picture);
static inline uint8_t *picture_at(const struct picture *picture, int x, int y) {
  return picture->rgb + ((size_t)y * (size_t)picture->width + (size_t)x) * 3;
}

/* path is for messages alone. */
bool picture_write_png(const struct picture *picture, FILE *stream, const char *path, struct fault *fault);

#endif
