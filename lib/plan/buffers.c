#include "plan/buffers.h"

#include <inttypes.h>

#include "base/status.h"
#include "device/clerror.h"
#include "device/quirks.h"

tconv3d_status t3_check_queue(const tconv3d_plan *plan, cl_command_queue queue) {
  if (!queue) return t3_fail(TCONV3D_INVALID_ARGUMENT, "queue is NULL");
  cl_context context = NULL;
  cl_device_id device = NULL;
  T3_CL_TRY(clGetCommandQueueInfo, (queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL));
  T3_CL_TRY(clGetCommandQueueInfo, (queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL));
  if (context != plan->context->cl) return t3_fail(TCONV3D_INVALID_ARGUMENT, "queue is of another cl_context than the plan");
  if (device != plan->slot->info.device) return t3_fail(TCONV3D_INVALID_ARGUMENT, "queue is of another device than the plan");
  return TCONV3D_OK;
}

static tconv3d_status check_event(cl_uint index, cl_event event) {
  cl_int status = CL_COMPLETE;
  T3_CL_TRY(clGetEventInfo, (event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
  if (status >= CL_COMPLETE) return TCONV3D_OK;
  return t3_fail(TCONV3D_OPENCL_ERROR, "wait_list[%u] has failed, its status is %d; nothing may wait for it on this device",
                 index, (int)status);
}

tconv3d_status t3_check_wait_list(const tconv3d_plan *plan, cl_uint num_events, const cl_event *wait_list) {
  if (!num_events != !wait_list)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "num_events is %u but wait_list is %s; they must agree", num_events,
                   wait_list ? "not NULL" : "NULL");
  for (cl_uint i = 0; i < num_events; ++i)
    if (!wait_list[i]) return t3_fail(TCONV3D_INVALID_ARGUMENT, "wait_list[%u] is NULL", i);
  bool crashes = t3_has_quirk(&plan->slot->info, T3_FAILED_WAIT_CRASHES);
  for (cl_uint i = 0; i < num_events && crashes; ++i) T3_TRY(check_event(i, wait_list[i]));
  return TCONV3D_OK;
}

/* All that the tensor spans, counted from below its element 0. */
static tconv3d_status check_span(const t3_operand *tensor, size_t size) {
  const tconv3d_buffer *buffer = &tensor->buffer;
  if (buffer->offset < tensor->below)
    return t3_fail(TCONV3D_INVALID_ARGUMENT,
                   "%s's offset is %zu bytes; its negative strides need %" PRIu64 " bytes of the buffer before it",
                   tensor->name, buffer->offset, tensor->below);
  uint64_t first = buffer->offset - tensor->below;
  if (first <= size && size - first >= tensor->bytes) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s needs %" PRIu64 " bytes from offset %" PRIu64 "; its buffer has %zu bytes",
                 tensor->name, tensor->bytes, first, size);
}

tconv3d_status t3_check_buffer(const tconv3d_plan *plan, const t3_operand *tensor, cl_mem_flags refused) {
  const tconv3d_buffer *buffer = &tensor->buffer;
  const char *name = tensor->name;
  if (!buffer->mem) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's buffer is NULL", name);
  if (buffer->offset % tensor->element)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's offset is %zu bytes; it must be a multiple of the element's %zu", name,
                   buffer->offset, tensor->element);
  size_t size = 0;
  cl_context context = NULL;
  cl_mem_flags flags = 0;
  cl_mem_object_type type = 0;
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_TYPE, sizeof type, &type, NULL));
  if (type != CL_MEM_OBJECT_BUFFER) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's cl_mem is no buffer", name);
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_SIZE, sizeof size, &size, NULL));
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_CONTEXT, sizeof context, &context, NULL));
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_FLAGS, sizeof flags, &flags, NULL));
  if (context != plan->context->cl)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's buffer is of another cl_context than the plan", name);
  T3_TRY(check_span(tensor, size));
  if (!(flags & refused)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's buffer was made with %s; it must allow %s", name,
                 flags & refused & CL_MEM_READ_ONLY ? "CL_MEM_READ_ONLY" : "CL_MEM_WRITE_ONLY",
                 flags & refused & CL_MEM_READ_ONLY ? "writing" : "reading");
}

/* The buffer that really holds the memory, and where in it the tensor's lowest element is. */
static tconv3d_status root_of(const t3_operand *tensor, cl_mem *root, uint64_t *start) {
  const tconv3d_buffer *buffer = &tensor->buffer;
  cl_mem parent = NULL;
  size_t origin = 0;
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL));
  if (parent) T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_OFFSET, sizeof origin, &origin, NULL));
  *root = parent ? parent : buffer->mem;
  *start = (uint64_t)origin + buffer->offset - tensor->below;
  return TCONV3D_OK;
}

tconv3d_status t3_check_disjoint(const t3_operand *a, const t3_operand *b) {
  cl_mem root_a = NULL, root_b = NULL;
  uint64_t start_a = 0, start_b = 0;
  T3_TRY(root_of(a, &root_a, &start_a));
  T3_TRY(root_of(b, &root_b, &start_b));
  if (root_a != root_b || start_a >= start_b + b->bytes || start_b >= start_a + a->bytes) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s and %s overlap in their buffer", a->name, b->name);
}

void t3_bind(t3_binding *binding, t3_arg_kind kind, const tconv3d_buffer *buffer, size_t element) {
  binding->mem[kind] = buffer->mem;
  binding->start[kind] = buffer->offset / element;
}
