/* tile.h: what the algorithms for GPUs share: tiles in local memory with register blocks (cl/tile.cl), what a device holds, and
 * what work-groups are predicted to take. */
#ifndef T3_TILE_H
#define T3_TILE_H

#include "algo/algo.h"

/* m rows x n columns of sums, k terms at a time; block_m x block_n of them are held by a work-item, or, where lanes is above 1,
 * by so many together. */
typedef struct t3_tile {
  int64_t m, n, block_m, block_n, k, lanes;
  int64_t terms;           /* that are one word in local memory; 0: 1 */
  bool gathers, half_sums; /* columns come from addresses of their own; there is a second set of sums, in float16 */
} t3_tile;

static inline bool t3_is_gpu(const t3_problem *problem) {
  return problem->device.type & CL_DEVICE_TYPE_GPU;
}

/* Work-items that hold a tile. */
int64_t t3_tile_items(const t3_tile *tile);

/* Whether the device has the registers for it, as they are estimated. Else it would be slow. */
bool t3_tile_held(const t3_problem *problem, const t3_tile *tile, int64_t items);

/* Whether the device has the work-items and the local memory (values of the sums' type); else false with the reason. */
bool t3_tile_fits(const t3_problem *problem, int64_t items, int64_t local_values, char *why, size_t capacity);

/* Cycles of a lane, summed over the lanes of a work-group, that one term of all of a tile's sums takes; rate: multiply-adds of
 * a lane a cycle. */
double t3_tile_cycles(const t3_tile *tile, int64_t items, double rate);

/* Work for the whole device: work-groups of items work-items, cycles of lanes of each, values that pass between the compute
 * units and the second cache, and between that and memory. */
typedef struct t3_gpu_work {
  double groups, items, cycles, cached, streamed;
} t3_gpu_work;
/* Seconds; on a device that is no GPU so many that such a kernel is never chosen there, though it is right there too. */
double t3_gpu_seconds(const t3_problem *problem, const t3_gpu_work *work);

/* The largest divisor of a block's rows, at most four, whose sums of all work-items find room in so many values. */
int64_t t3_tile_store_rows(const t3_tile *tile, int64_t values);

/* The smallest of the device's sub-groups; 0 where it names none. */
static inline unsigned t3_least_sub_group(const tconv3d_device_info *device) {
  return device->sub_group_sizes & (~device->sub_group_sizes + 1);
}

/* Defines what asks a device that gives registers on request for them: LEAST_SUB_GROUP, ALL_REGISTERS. */
void t3_define_registers(t3_text *defines, const t3_problem *problem);

/* TILE_M, TILE_N, TILE_K, BLOCK_M and BLOCK_N. */
void t3_define_tile(t3_text *defines, const t3_tile *tile);

#endif
