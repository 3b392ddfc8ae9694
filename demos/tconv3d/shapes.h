/* shapes.h: layers to measure, from a text file: a line each,
 *   name N Cin Cout D,H,W kernel stride padding output_padding dilation groups
 * where a triple is D,H,W and one number stands for three; '#' begins a comment. */
#ifndef SHAPES_H
#define SHAPES_H

#include <tconv3d/tconv3d.h>

#include "files/fault.h"

struct shape {
  char name[32];
  tconv3d_desc desc;
};

struct shapes {
  struct shape *list;
  size_t count;
};

/* path NULL: the built-in list, demos/data/shapes.txt. */
bool shapes_read(const char *path, struct shapes *shapes, struct fault *fault);
void shapes_free(struct shapes *shapes);

#endif
