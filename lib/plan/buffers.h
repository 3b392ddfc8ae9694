/* buffers.h: what a caller hands in, checked before anything is enqueued. */
#ifndef T3_BUFFERS_H
#define T3_BUFFERS_H

#include "plan/plan.h"

/* The queue must be of the plan's context and device. */
tconv3d_status t3_check_queue(const tconv3d_plan *plan, cl_command_queue queue);
/* On devices where what waits for a failed event crashes, such events are refused too. */
tconv3d_status t3_check_wait_list(const tconv3d_plan *plan, cl_uint num_events, const cl_event *wait_list);
/* A tensor as the caller gave it. */
typedef struct t3_operand {
  t3_arg_kind kind;
  const char *name;
  tconv3d_buffer buffer;
  uint64_t bytes, below; /* all that it spans, and how much of that lies below its element 0, where buffer says */
  size_t element;
  bool written;
} t3_operand;

/* refused: the CL_MEM_ flags that its buffer must not have. */
tconv3d_status t3_check_buffer(const tconv3d_plan *plan, const t3_operand *tensor, cl_mem_flags refused);
/* Both already checked. Sub-buffers are followed to their parents. */
tconv3d_status t3_check_disjoint(const t3_operand *a, const t3_operand *b);

/* The tensors of one call. */
enum { T3_MAX_OPERANDS = 5 };
typedef struct t3_operands {
  t3_operand list[T3_MAX_OPERANDS];
  int count;
} t3_operands;

/* Of a plan that takes weights, and of one for a gradient with respect to them or the bias. Refuses NULL, weights of another
 * plan, and a plan of the other kind. Where the batch is 0 nothing of x and gy is looked at. */
tconv3d_status t3_layer_operands(const tconv3d_plan *plan, const tconv3d_weights *weights, tconv3d_buffer x,
                                 const tconv3d_buffer *residual, tconv3d_buffer y, t3_operands *operands);
tconv3d_status t3_gradient_operands(const tconv3d_plan *plan, tconv3d_buffer x, tconv3d_buffer gy, tconv3d_buffer gradient,
                                    t3_operands *operands);

/* Every tensor's buffer, and that what is written overlaps nothing; workspace may be NULL. */
tconv3d_status t3_check_operands(const tconv3d_plan *plan, const t3_operands *operands, const tconv3d_buffer *workspace);

/* Binds the tensor; its offset in elements of so many bytes. */
void t3_bind(t3_binding *binding, t3_arg_kind kind, const tconv3d_buffer *buffer, size_t element);

#endif
