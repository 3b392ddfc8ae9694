/* layer_line.h: a layer as one line of text, `channels=2,3 input=4,5,6 kernel=3,3,3 stride=2,2,2`: PyTorch's defaults for what
 * is not given. The form of the golden files and of the layers that failing tests print. */
#ifndef LAYER_LINE_H
#define LAYER_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include <tconv3d/layer.h>

struct layer_line {
  char name[64];
  tconv3d_desc desc;
  int64_t output_size[3]; /* as given to forward(); all 0 when not given */
  int64_t output[3];      /* the spatial size that PyTorch made; all 0 when not given */
};

/* Reads fields separated by spaces; changes text. False with the field that is wrong in *field. */
bool layer_line_parse(char *text, struct layer_line *line, const char **field);

/* The descriptor as such a line. */
void layer_line_format(const tconv3d_desc *desc, char *text, size_t capacity);

#endif
