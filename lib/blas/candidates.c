/* Which parameters are worth a measurement: tables, the most promising first, since there is time for some of them only. On a
 * CPU a work-group is a loop of one core, which wants a large tile and whole vectors; local memory is memory like any other. A
 * GPU wants groups of 64 to 256 items and tiles in local memory. */
#include <string.h>

#include "blas/parameters.h"

enum { INNER = 2 }; /* KWI: steps of depth unrolled */

struct row {
  int64_t tile[2], depth;     /* MWG, NWG; KWG */
  int64_t items[2], loads[2]; /* MDIMC, NDIMC; MDIMA, NDIMB */
  int64_t vector[2], local;   /* VWM, VWN; SA and SB */
};

/* Found among 90 random sets on PoCL, and their neighbours. */
static const struct row cpu_xgemm[] = {
    /* tile   depth   items     loads    vectors  local */
    {{128, 64}, 32, {16, 8}, {8, 8}, {4, 4}, 0},     {{128, 128}, 32, {16, 8}, {16, 8}, {8, 8}, 0},
    {{64, 64}, 32, {8, 8}, {8, 8}, {8, 4}, 0},       {{128, 64}, 32, {16, 8}, {8, 8}, {8, 4}, 1},
    {{64, 128}, 32, {8, 8}, {8, 8}, {8, 8}, 0},      {{128, 128}, 32, {16, 16}, {16, 16}, {8, 8}, 0},
    {{128, 64}, 32, {16, 8}, {8, 16}, {1, 4}, 0},    {{128, 128}, 32, {16, 8}, {8, 32}, {8, 1}, 0},
    {{64, 128}, 32, {8, 8}, {16, 16}, {4, 8}, 1},    {{128, 32}, 32, {8, 8}, {8, 8}, {8, 4}, 0},
    {{128, 128}, 16, {16, 16}, {16, 16}, {8, 8}, 1},
};

static const struct row gpu_xgemm[] = {
    {{64, 64}, 32, {8, 8}, {8, 8}, {4, 4}, 1},       {{128, 128}, 16, {16, 16}, {16, 16}, {4, 4}, 1},
    {{128, 64}, 16, {16, 8}, {16, 8}, {4, 4}, 1},    {{64, 64}, 16, {16, 16}, {16, 16}, {2, 2}, 1},
    {{128, 128}, 16, {16, 16}, {32, 32}, {2, 2}, 1}, {{128, 128}, 32, {16, 16}, {16, 16}, {8, 4}, 1},
    {{64, 128}, 16, {8, 16}, {8, 16}, {4, 4}, 1},    {{128, 64}, 32, {8, 8}, {16, 16}, {4, 4}, 1},
    {{64, 64}, 32, {8, 8}, {8, 8}, {4, 4}, 0},       {{128, 128}, 32, {8, 16}, {16, 16}, {4, 2}, 1},
    {{32, 32}, 16, {8, 8}, {8, 8}, {2, 2}, 1},       {{128, 64}, 32, {16, 16}, {16, 16}, {4, 4}, 0},
};

struct direct_row {
  int64_t tile, inner, items[2], loads[2], vector[2], pad; /* WGD, KWID, ..., PADA and PADB */
};

static const struct direct_row cpu_direct[] = {
    {32, 2, {8, 8}, {8, 8}, {4, 4}, 0},
    {64, 2, {8, 8}, {8, 8}, {8, 8}, 0},
    {32, 2, {16, 8}, {16, 8}, {2, 4}, 0},
    {16, 2, {8, 8}, {8, 8}, {2, 2}, 0},
};

static const struct direct_row gpu_direct[] = {
    {32, 2, {8, 8}, {8, 8}, {2, 2}, 1}, {32, 2, {16, 16}, {16, 16}, {2, 2}, 1}, {64, 2, {16, 16}, {16, 16}, {4, 4}, 1},
    {16, 2, {8, 8}, {8, 8}, {1, 1}, 1}, {32, 8, {8, 8}, {16, 16}, {2, 2}, 0},   {64, 8, {8, 8}, {16, 16}, {4, 4}, 0},
};

/* Beside the rest of the others, as there are four of the direct kernel in each program: it compiles in no time. */
static const struct direct_row quick_direct = {8, 1, {8, 8}, {8, 8}, {1, 1}, 0};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Of both tables, those of the device's kind first; NULL past the last. */
static const struct row *xgemm_at(bool gpu, size_t index) {
  const struct row *first = gpu ? gpu_xgemm : cpu_xgemm, *second = gpu ? cpu_xgemm : gpu_xgemm;
  const size_t count = gpu ? COUNT(gpu_xgemm) : COUNT(cpu_xgemm), all = COUNT(gpu_xgemm) + COUNT(cpu_xgemm);
  return index < count ? &first[index] : index < all ? &second[index - count] : NULL;
}

static const struct direct_row *direct_at(bool gpu, size_t index) {
  const struct direct_row *table = gpu ? gpu_direct : cpu_direct;
  return index < (gpu ? COUNT(gpu_direct) : COUNT(cpu_direct)) ? &table[index] : &quick_direct;
}

bool t3_blas_candidate(const tconv3d_device_info *device, size_t index, t3_blas_parameters *parameters) {
  const bool gpu = device->type & CL_DEVICE_TYPE_GPU;
  const struct row *x = xgemm_at(gpu, index);
  const struct direct_row *d = direct_at(gpu, index);
  if (!x) return false;
  const t3_blas_parameters made = {
      .xgemm = {0, 1, x->depth, INNER, x->loads[0], x->items[0], x->tile[0], x->loads[1], x->items[1], x->tile[1], x->local,
                x->local, 0, 0, x->vector[0], x->vector[1]},
      .direct = {d->inner, d->loads[0], d->items[0], d->loads[1], d->items[1], d->pad, d->pad, d->vector[0], d->vector[1],
                 d->tile},
  };
  memcpy(parameters, &made, sizeof made);
  return true;
}
