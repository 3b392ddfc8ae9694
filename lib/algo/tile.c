#include "algo/tile.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checked.h"
#include "device/quirks.h"

enum {
  REGISTERS = 200, /* of 32 bits, for a work-item: 255 at most on NVIDIA, 256 on AMD */
  ADDRESSES = 40   /* of them for places, counters and what is in flight; as clang reports for amdgcn */
};

static int64_t lanes_of(const t3_tile *tile) {
  return t3_max(tile->lanes, 1);
}

int64_t t3_tile_items(const t3_tile *tile) {
  return tile->m / tile->block_m * (tile->n / tile->block_n) * lanes_of(tile);
}

/* Sums, a row and a column of them, and what is fetched while they are computed. */
static int64_t registers(const t3_problem *problem, const t3_tile *tile, int64_t items) {
  int64_t fetched = t3_ceil_div(tile->k * (tile->m + tile->n), items), lanes = lanes_of(tile);
  int64_t sides = (tile->block_m + tile->block_n) * (lanes > 1 ? 8 : 1); /* eight words of each row and column of matrices */
  int64_t values = tile->block_m * tile->block_n / lanes + t3_ceil_div(sides, lanes) + fetched;
  return values * problem->real_size / 4 + ADDRESSES;
}

/* The same as Intel's compiler needs them, in half registers. A gathered word of matrices is two values; all of them are in
 * flight, each with half a register of address. The limits, 13/16 and 17/16 of half as many as there are, are fitted to which
 * tiles spill on Xe-LP, Xe-HPG and Xe-HPC, not derived; float64 on 128 registers (Gen9) spills every tile but the smallest. */
static bool held_on_request(const t3_problem *problem, const t3_tile *tile, int64_t items) {
  int64_t lanes = lanes_of(tile), terms = t3_max(tile->terms, 1), size = problem->real_size / 4;
  int64_t sides = (tile->block_m + tile->block_n) * (lanes > 1 ? 8 : 1), rows = t3_ceil_div(tile->k, terms);
  int64_t sums = tile->block_m * tile->block_n / lanes, x = t3_ceil_div(rows * tile->n, items);
  int64_t halves = 2 * size * (sums + t3_ceil_div(sides, lanes) + t3_ceil_div(rows * tile->m, items));
  if (tile->half_sums) halves += sums;
  halves += tile->gathers ? x * terms * (2 * size + 1) : 2 * size * x;
  return halves <= (int64_t)problem->device.registers * (lanes > 1 ? 17 : 13) / 16;
}

static bool lacks(char *why, size_t capacity, const char *what, int64_t wanted, int64_t there) {
  snprintf(why, capacity, "its least tile needs %" PRId64 " %s and the device has %" PRId64, wanted, what, there);
  return false;
}

bool t3_tile_fits(const t3_problem *problem, int64_t items, int64_t local_values, char *why, size_t capacity) {
  const tconv3d_device_info *device = &problem->device;
  int64_t bytes = local_values * problem->real_size;
  if ((uint64_t)items > device->work_group_size)
    return lacks(why, capacity, "work-items a group", items, (int64_t)device->work_group_size);
  if ((uint64_t)bytes > device->local_bytes)
    return lacks(why, capacity, "bytes of local memory", bytes, (int64_t)device->local_bytes);
  return true;
}

bool t3_tile_held(const t3_problem *problem, const t3_tile *tile, int64_t items) {
  if (t3_has_quirk(&problem->device, T3_REGISTERS_ON_REQUEST)) return held_on_request(problem, tile, items);
  return registers(problem, tile, items) <= REGISTERS;
}

/* Multiply-adds at their rate; local memory gives half a value, as vectors; a gathered value costs its bounds, its place, a
 * load and a store. */
double t3_tile_cycles(const t3_tile *tile, int64_t items, double rate) {
  double lanes = (double)lanes_of(tile), block = (double)(tile->block_m * tile->block_n) / lanes / rate;
  double sides = (double)(tile->block_m + tile->block_n) / lanes;
  return (double)items * (block + 0.5 * sides + 1 / rate) + 8 * (double)tile->n + 2 * (double)tile->m;
}

double t3_gpu_seconds(const t3_problem *problem, const t3_gpu_work *work) {
  /* A compute unit: 64 lanes at 1.5 GHz (as t3_device_rate), which some 256 work-items keep busy; 30 GB/s of the second cache
   * and 10 GB/s of memory. */
  const double lanes = 64, clock = 1.5e9, busy = 256, from_cache = 30e9, from_memory = 10e9;
  double units = problem->device.compute_units ? problem->device.compute_units : 1, size = (double)problem->real_size;
  double rounds = (double)t3_ceil_div((int64_t)work->groups, (int64_t)units);
  double idle = busy / (rounds * work->items), compute = rounds * work->cycles / lanes / clock * (idle > 1 ? idle : 1);
  double moved = size * (work->cached / from_cache + work->streamed / from_memory) / units;
  double seconds = compute > moved ? compute + 0.3 * moved : moved + 0.3 * compute;
  return t3_is_gpu(problem) ? seconds + 10e-6 : 1e6 * (seconds + 1);
}

int64_t t3_tile_store_rows(const t3_tile *tile, int64_t values) {
  int64_t rows = 4;
  while (rows > 1 && (tile->block_m % rows || rows * tile->m / tile->block_m * tile->n > values)) rows /= 2;
  return rows;
}

void t3_define_registers(t3_text *defines, const t3_problem *problem) {
  const tconv3d_device_info *device = &problem->device;
  const unsigned least = t3_least_sub_group(device);
  if (!t3_has_quirk(device, T3_REGISTERS_ON_REQUEST)) return;
  if (least) t3_define(defines, "LEAST_SUB_GROUP", least);
  if (device->registers > 128) t3_define(defines, "ALL_REGISTERS", 1);
}

void t3_define_tile(t3_text *defines, const t3_tile *tile) {
  t3_define(defines, "TILE_M", tile->m);
  t3_define(defines, "TILE_N", tile->n);
  t3_define(defines, "TILE_K", tile->k);
  t3_define(defines, "BLOCK_M", tile->block_m);
  t3_define(defines, "BLOCK_N", tile->block_n);
}
