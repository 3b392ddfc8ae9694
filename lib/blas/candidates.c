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
    {{128, 128}, 32, {16, 8}, {16, 8}, {8, 8}, 0},   {{128, 64}, 32, {16, 8}, {8, 8}, {8, 4}, 0},
    {{64, 64}, 32, {8, 8}, {8, 8}, {8, 4}, 0},       {{128, 128}, 16, {16, 8}, {16, 8}, {8, 8}, 0},
    {{128, 128}, 32, {16, 16}, {16, 16}, {8, 8}, 0}, {{64, 128}, 32, {8, 8}, {8, 8}, {8, 8}, 0},
    {{128, 64}, 32, {16, 8}, {8, 8}, {4, 4}, 1},     {{128, 128}, 32, {16, 8}, {8, 32}, {8, 1}, 0},
    {{64, 128}, 32, {8, 8}, {16, 16}, {4, 8}, 1},    {{128, 32}, 32, {8, 8}, {8, 8}, {8, 4}, 0},
    {{128, 64}, 32, {16, 8}, {8, 8}, {4, 4}, 0},
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
    {32, 2, {16, 16}, {16, 16}, {1, 1}, 0},
    {32, 2, {8, 8}, {8, 8}, {2, 2}, 1},
    {16, 2, {8, 8}, {8, 8}, {2, 2}, 0},
};

static const struct direct_row gpu_direct[] = {
    {32, 2, {8, 8}, {8, 8}, {2, 2}, 1}, {32, 2, {16, 16}, {16, 16}, {2, 2}, 1}, {64, 2, {16, 16}, {16, 16}, {4, 4}, 1},
    {16, 2, {8, 8}, {8, 8}, {1, 1}, 1}, {32, 8, {8, 8}, {16, 16}, {2, 2}, 0},   {64, 8, {8, 8}, {16, 16}, {4, 4}, 0},
};

/* Beside the others: there are four of the direct kernel in each program, and this one compiles in no time. */
static const struct direct_row quick_direct = {8, 1, {8, 8}, {8, 8}, {1, 1}, 0};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void set_xgemm(const struct row *row, t3_blas_parameters *parameters) {
  const int64_t made[] = {0,
                          1,
                          row->depth,
                          INNER,
                          row->loads[0],
                          row->items[0],
                          row->tile[0],
                          row->loads[1],
                          row->items[1],
                          row->tile[1],
                          row->local,
                          row->local,
                          0,
                          0,
                          row->vector[0],
                          row->vector[1]};
  memcpy(parameters->xgemm, made, sizeof made);
}

static void set_direct(const struct direct_row *row, t3_blas_parameters *parameters) {
  const int64_t made[] = {row->inner, row->loads[0], row->items[0],  row->loads[1],  row->items[1],
                          row->pad,   row->pad,      row->vector[0], row->vector[1], row->tile};
  memcpy(parameters->direct, made, sizeof made);
}

/* Of both tables, those of the device's kind first. */
static bool xgemm_at(bool gpu, size_t index, t3_blas_parameters *parameters) {
  const struct row *first = gpu ? gpu_xgemm : cpu_xgemm, *second = gpu ? cpu_xgemm : gpu_xgemm;
  const size_t count = gpu ? COUNT(gpu_xgemm) : COUNT(cpu_xgemm), all = COUNT(gpu_xgemm) + COUNT(cpu_xgemm);
  if (index >= all) return false;
  set_xgemm(index < count ? &first[index] : &second[index - count], parameters);
  set_direct(&quick_direct, parameters);
  parameters->from = 0;
  return true;
}

/* Every fourth step is one for the direct kernel, as long as there are any. */
t3_blas_step t3_blas_candidate(const tconv3d_device_info *device, size_t index, t3_blas_parameters *parameters) {
  enum { TURN = 4 };
  const bool gpu = device->type & CL_DEVICE_TYPE_GPU;
  const size_t most = gpu ? COUNT(gpu_direct) : COUNT(cpu_direct), before = (index + 1) / TURN;
  if (index % TURN != TURN - 1 || before > most)
    return xgemm_at(gpu, index - (before < most ? before : most), parameters) ? T3_BLAS_XGEMM : T3_BLAS_END;
  set_direct(gpu ? &gpu_direct[before - 1] : &cpu_direct[before - 1], parameters);
  parameters->from = T3_BLAS_BETWEEN;
  return T3_BLAS_DIRECT;
}
