#include "plan/buffers.h"

#include <inttypes.h>

#include "base/status.h"
#include "device/clerror.h"

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

tconv3d_status t3_check_wait_list(cl_uint num_events, const cl_event *wait_list) {
  if (!num_events != !wait_list)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "num_events is %u but wait_list is %s; they must agree", num_events,
                   wait_list ? "not NULL" : "NULL");
  for (cl_uint i = 0; i < num_events; ++i)
    if (!wait_list[i]) return t3_fail(TCONV3D_INVALID_ARGUMENT, "wait_list[%u] is NULL", i);
  return TCONV3D_OK;
}

tconv3d_status t3_check_buffer(const tconv3d_plan *plan, const char *name, const tconv3d_buffer *buffer, uint64_t bytes,
                               size_t element, cl_mem_flags refused) {
  if (!buffer->mem) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's buffer is NULL", name);
  if (buffer->offset % element)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's offset is %zu bytes; it must be a multiple of the element's %zu", name,
                   buffer->offset, element);
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
  if (buffer->offset > size || size - buffer->offset < bytes)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s needs %" PRIu64 " bytes from offset %zu; its buffer has %zu bytes", name,
                   bytes, buffer->offset, size);
  if (flags & refused)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s's buffer was made with %s; it must allow %s", name,
                   flags & refused & CL_MEM_READ_ONLY ? "CL_MEM_READ_ONLY" : "CL_MEM_WRITE_ONLY",
                   flags & refused & CL_MEM_READ_ONLY ? "writing" : "reading");
  return TCONV3D_OK;
}

/* The buffer that really holds the memory, and where in it. */
static tconv3d_status root_of(const tconv3d_buffer *buffer, cl_mem *root, uint64_t *start) {
  cl_mem parent = NULL;
  size_t origin = 0;
  T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL));
  if (parent) T3_CL_TRY(clGetMemObjectInfo, (buffer->mem, CL_MEM_OFFSET, sizeof origin, &origin, NULL));
  *root = parent ? parent : buffer->mem;
  *start = (uint64_t)origin + buffer->offset;
  return TCONV3D_OK;
}

tconv3d_status t3_check_disjoint(const char *name_a, const tconv3d_buffer *a, uint64_t bytes_a, const char *name_b,
                                 const tconv3d_buffer *b, uint64_t bytes_b) {
  cl_mem root_a = NULL, root_b = NULL;
  uint64_t start_a = 0, start_b = 0;
  T3_TRY(root_of(a, &root_a, &start_a));
  T3_TRY(root_of(b, &root_b, &start_b));
  if (root_a != root_b || start_a >= start_b + bytes_b || start_b >= start_a + bytes_a) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s and %s overlap in their buffer", name_a, name_b);
}

void t3_bind(t3_binding *binding, t3_arg_kind kind, const tconv3d_buffer *buffer, size_t element) {
  binding->mem[kind] = buffer->mem;
  binding->start[kind] = buffer->offset / element;
}
