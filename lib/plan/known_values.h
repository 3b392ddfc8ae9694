/* known_values.h: what a self-test reads and writes: small whole numbers, which every algorithm sums exactly, in buffers of the
 * problem's types and layouts. */
#ifndef T3_KNOWN_VALUES_H
#define T3_KNOWN_VALUES_H

#include "plan/plan.h"

/* A tensor by its role; bits: as the buffer holds it from its lowest element on. */
typedef struct t3_known_tensor {
  bool there;
  tconv3d_dtype dtype;
  t3_view view;
  int64_t shape[5], count;
  int8_t *values; /* in C order */
  unsigned char *bits;
  cl_mem mem;
} t3_known_tensor;

typedef struct t3_known_values {
  t3_known_tensor tensor[T3_TENSORS]; /* by t3_arg_kind; T3_PACKED and T3_WORKSPACE have a buffer alone */
} t3_known_values;

/* Makes everything that the recipe's launches take; t3_known_free is right after a failure too. What a target holds before is
 * NaN, unless beta asks for it; so is what lies between the elements of what is read. */
tconv3d_status t3_known_make(const tconv3d_context *context, const t3_problem *problem, const t3_recipe *recipe,
                             t3_known_values *known);
void t3_known_free(t3_known_values *known);
void t3_known_bind(const t3_known_values *known, t3_binding *binding);

/* The bytes of what a tensor spans; one element of it, as it stands in bits, at an index of its shape. */
size_t t3_known_bytes(const t3_known_tensor *tensor);
double t3_known_element(const t3_known_tensor *tensor, const int64_t index[5]);

/* The index of element i in C order. */
void t3_known_index(const t3_known_tensor *tensor, int64_t i, int64_t index[5]);

#endif
