/* broadcast.cl: a value of one lane for its whole sub-group: by a function of the device, or by its twin through local memory,
 * to which all work-items of a group come together. Sub-groups are SUB_GROUP work-items in a row.
 *
 * Required: SUB_GROUP, TWIN. */
#if TWIN
#define BROADCAST_LOCAL(name, items) __local REAL name[items];
/* Lends each work-item's value to the others until the next barrier. */
#define BROADCAST_BEGIN(value, exchange) \
  exchange[get_local_id(0)] = (value);   \
  barrier(CLK_LOCAL_MEM_FENCE);
#define BROADCAST(value, exchange, lane) exchange[get_local_id(0) / SUB_GROUP * SUB_GROUP + (lane)]
#define BROADCAST_END barrier(CLK_LOCAL_MEM_FENCE);
#else
#ifdef cl_intel_subgroups
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#elif defined(cl_khr_subgroups)
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#endif
#define BROADCAST_LOCAL(name, items)
#define BROADCAST_BEGIN(value, exchange)
#define BROADCAST(value, exchange, lane) sub_group_broadcast(value, lane)
#define BROADCAST_END
#endif
