/* operands.h: what the operations of a layer read, and how right is right for each of them (judge.h has the bound). The judge
 * walks the products x[c][i] * w[c][m][k] * y[m][i*stride - padding + k*dilation] that define a transposed convolution and all
 * that follows from it, and adds each to the one of the three that is asked for; written apart from the library. */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "support/judge.h"
#include "support/random_layer.h"

/* Host tensors of a layer's shapes. y is what a gradient reads as gy, NULL for the others; b is NULL without bias. */
struct operands {
  const float *x, *w, *b, *y;
};

/* How many elements they have. */
struct counts {
  size_t x, w, b, y; /* b: as with a bias */
};
struct counts operand_counts(const tconv3d_desc *desc, tconv3d_operation operation);
/* Of what the operation writes. */
size_t target_count(const tconv3d_desc *desc, tconv3d_operation operation);

/* Values from the seed; operands_free frees them, and is right after a failure too. */
bool operands_make(struct operands *operands, const tconv3d_desc *desc, tconv3d_operation operation, struct rng *rng,
                   enum values values);
void operands_free(struct operands *operands);
/* VALUES_UNIFORM or VALUES_INTEGER; NULL when memory runs out. */
float *random_values(struct rng *rng, size_t count, enum values values);

/* False when memory runs out; judge_free is right either way. The operation without its bias when operands has no b. */
bool operation_judge(struct judge *judge, const tconv3d_desc *desc, tconv3d_operation operation,
                     const struct operands *operands);
/* The same with beta times what the target held. */
void judge_add_old(struct judge *judge, double beta, const float *old);

/* The plain-C reference of the operation. */
tconv3d_status reference_of(const tconv3d_desc *desc, tconv3d_operation operation, const struct operands *operands,
                            float *target);

/* The sum of a*b. */
double inner_product(const float *a, const float *b, size_t count);

/* The convolution whose input has the size of the transposed layer's output, and whose output about that of its input. */
tconv3d_desc convolution_like(const tconv3d_desc *transposed);

#endif
