/* picture.c: see picture.h. */
#include "files/picture.h"

#include <errno.h>
#include <spng.h>
#include <stdlib.h>
#include <string.h>

bool picture_make(struct picture *picture, int width, int height, struct fault *fault) {
  picture->width = width;
  picture->height = height;
  picture->rgb = calloc((size_t)width * (size_t)height, 3);
  return picture->rgb || fault_set(fault, EXIT_OTHER, "not enough memory for a picture of %d x %d pixels", width, height);
}

void picture_free(struct picture *picture) {
  free(picture->rgb);
  picture->rgb = NULL;
}

bool picture_write_png(const struct picture *picture, FILE *stream, const char *path, struct fault *fault) {
  struct spng_ihdr ihdr = {.width = (uint32_t)picture->width,
                           .height = (uint32_t)picture->height,
                           .bit_depth = 8,
                           .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
  const size_t bytes = (size_t)picture->width * (size_t)picture->height * 3;
  spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
  if (!png) return fault_set(fault, EXIT_OTHER, "%s: not enough memory to compress", path);
  errno = 0;
  int error = spng_set_png_file(png, stream);
  if (!error) error = spng_set_ihdr(png, &ihdr);
  if (!error) error = spng_encode_image(png, picture->rgb, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  spng_ctx_free(png);
  if (!error) return true;
  return fault_set(fault, EXIT_OTHER, "%s: cannot write: %s", path, errno ? strerror(errno) : spng_strerror(error));
}
