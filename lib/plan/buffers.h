/* buffers.h: what a caller hands in, checked before anything is enqueued. */
#ifndef T3_BUFFERS_H
#define T3_BUFFERS_H

#include "plan/plan.h"

/* The queue must be of the plan's context and device. */
tconv3d_status t3_check_queue(const tconv3d_plan *plan, cl_command_queue queue);
tconv3d_status t3_check_wait_list(cl_uint num_events, const cl_event *wait_list);
/* name for messages; bytes: how many the tensor has; refused: the CL_MEM_ flags that it must not have. */
tconv3d_status t3_check_buffer(const tconv3d_plan *plan, const char *name, const tconv3d_buffer *buffer, uint64_t bytes,
                               cl_mem_flags refused);
/* Both already checked. Sub-buffers are followed to their parents. */
tconv3d_status t3_check_disjoint(const char *name_a, const tconv3d_buffer *a, uint64_t bytes_a, const char *name_b,
                                 const tconv3d_buffer *b, uint64_t bytes_b);

/* Binds the tensor; its offset in elements. */
void t3_bind(t3_binding *binding, t3_arg_kind kind, const tconv3d_buffer *buffer);

#endif
