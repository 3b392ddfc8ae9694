/* npy.h: NumPy's .npy files, as numpy.lib.format defines versions 1.0, 2.0 and 3.0: C order, little-endian, float32, float64 or
 * float16, up to NPY_MAX_RANK axes. Headers are untrusted: every size is checked before anything is allocated or read, against
 * the file's real size too. */
#ifndef NPY_H
#define NPY_H

#include <stddef.h>
#include <stdint.h>

#include "files/fault.h"
#include "files/output.h"

enum { NPY_MAX_RANK = 8 };
enum npy_type { NPY_F16, NPY_F32, NPY_F64 };

struct npy {
  enum npy_type type;
  int rank;
  int64_t shape[NPY_MAX_RANK];
  size_t count; /* elements: the product of shape */
  void *data;   /* count elements of type, aligned to 128 bytes; freed by npy_free */
};

const char *npy_type_name(enum npy_type type); /* "float32" */
size_t npy_type_size(enum npy_type type);

/* label names the array in messages ("X"): "X (path): ...". Every fault is EXIT_WRONG_USE but for memory. */
bool npy_read(const char *path, const char *label, struct npy *array, struct fault *fault);
bool npy_write(const char *path, const struct npy *array, struct fault *fault);
/* The same into an output that is open already, for a path that is to be refused before the work is done; the caller commits.
 */
bool npy_write_to(struct output *output, const struct npy *array, struct fault *fault);
void npy_free(struct npy *array);

/* Makes count elements of room for the given type and shape; contents undefined. */
bool npy_make(struct npy *array, enum npy_type type, int rank, const int64_t *shape, struct fault *fault);
/* Converts in place to another type, rounding to nearest even once; float16 <-> float32 exact where representable, Inf and NaN
 * kept. */
bool npy_convert(struct npy *array, enum npy_type type, struct fault *fault);

#endif
