/* goldens.h: cases that PyTorch computed, as goldens/README.md describes the files. TCONV3D_GOLDENS names their directory.
 * Every failure here ends the test through cmocka. */
#ifndef GOLDENS_H
#define GOLDENS_H

#include <stddef.h>

#include "support/layer_line.h"

enum { MAX_GOLDENS = 200 };

/* One case: the layer and its tensors, which lie in the arrays of struct goldens. */
struct golden {
  struct layer_line line;
  const float *x, *w, *b;
  const double *y;
};

struct goldens {
  struct golden cases[MAX_GOLDENS];
  size_t count;
  void *inputs, *outputs; /* whole files */
};

void goldens_read(struct goldens *goldens, const char *cases, const char *inputs, const char *outputs);
void goldens_free(struct goldens *goldens);

/* The layer with the output_padding that its output_size asks for. */
tconv3d_desc golden_layer(const struct golden *golden);

/* A whole .npy file of one dimension, to be freed; *data is where its elements start. type: "<f4" or "<f8". */
void *goldens_array(const char *name, const char *type, size_t element, const void **data, size_t *count);

#endif
