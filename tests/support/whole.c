#include "support/whole.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct arrays {
  float *x, *w, *b, *y, *target, *expected;
  size_t x_count, w_count, b_count, y_count, target_count;
};

static float *make_array(size_t count, size_t shift, int modulus) {
  float *memory = aligned_alloc(128, ((count + shift) * sizeof(float) / 128 + 1) * 128);
  assert_non_null(memory);
  for (size_t i = 0; i < count + shift; ++i) memory[i] = (float)((int)(i * 7 % (size_t)modulus) - modulus / 2);
  return memory;
}

static size_t count_of(const tconv3d_desc *desc, tconv3d_operation operation) {
  int64_t shape[5];
  assert_ok(tconv3d_target_shape(desc, operation, shape));
  return (size_t)(shape[0] * shape[1] * shape[2] * shape[3] * shape[4]);
}

static void make_arrays(const tconv3d_desc *desc, tconv3d_operation operation, size_t shift, struct arrays *a) {
  a->x_count = count_of(desc, TCONV3D_GRAD_INPUT), a->w_count = count_of(desc, TCONV3D_GRAD_WEIGHT);
  a->b_count = count_of(desc, TCONV3D_GRAD_BIAS), a->y_count = count_of(desc, TCONV3D_FORWARD);
  a->target_count = count_of(desc, operation);
  a->x = make_array(a->x_count, shift, 11), a->w = make_array(a->w_count, 0, 5), a->b = make_array(a->b_count, 0, 9);
  a->y = make_array(a->y_count, shift, 7), a->target = make_array(a->target_count, shift, 3);
  a->expected = make_array(a->target_count, 0, 3);
  memset(a->target, 0xff, (a->target_count + shift) * sizeof(float));
}

static void free_arrays(struct arrays *a) {
  free(a->x), free(a->w), free(a->b), free(a->y), free(a->target), free(a->expected);
}

static tconv3d_status expect(const tconv3d_desc *desc, tconv3d_operation operation, size_t shift, const struct arrays *a) {
  switch (operation) {
  case TCONV3D_GRAD_INPUT: return tconv3d_reference_grad_input(desc, a->y + shift, a->w, a->expected);
  case TCONV3D_GRAD_WEIGHT: return tconv3d_reference_grad_weight(desc, a->x + shift, a->y + shift, a->expected);
  case TCONV3D_GRAD_BIAS: return tconv3d_reference_grad_bias(desc, a->y + shift, a->expected);
  default: return tconv3d_reference_forward(desc, a->x + shift, a->w, a->b, a->expected);
  }
}

static tconv3d_status run(const tconv3d_plan *plan, const tconv3d_desc *desc, tconv3d_operation operation, size_t shift,
                          const struct arrays *a) {
  tconv3d_weights *weights;
  if (operation == TCONV3D_GRAD_WEIGHT || operation == TCONV3D_GRAD_BIAS)
    return tconv3d_run_gradient(plan, a->x + shift, a->y + shift, a->target + shift);
  bool forward = operation == TCONV3D_FORWARD;
  tconv3d_status status = tconv3d_weights_create_host(plan, a->w, forward && desc->has_bias ? a->b : NULL, &weights);
  if (status != TCONV3D_OK) return status;
  status = tconv3d_run(plan, weights, (forward ? a->x : a->y) + shift, a->target + shift);
  tconv3d_weights_destroy(weights);
  return status;
}

tconv3d_status whole_run(const tconv3d_plan *plan, const tconv3d_desc *desc, tconv3d_operation operation, size_t shift) {
  struct arrays a;
  make_arrays(desc, operation, shift, &a);
  assert_ok(expect(desc, operation, shift, &a));
  tconv3d_status status = run(plan, desc, operation, shift, &a);
  for (size_t i = 0; i < a.target_count && status == TCONV3D_OK; ++i)
    assert_true(a.target[shift + i] == a.expected[i]); /* a zero may have either sign */
  free_arrays(&a);
  return status;
}
