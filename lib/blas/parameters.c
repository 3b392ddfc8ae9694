#include "blas/parameters.h"

#include <inttypes.h>

#include "base/scan.h"

enum { GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM, VWN };
const char *const t3_xgemm_names[T3_XGEMM] = {"GEMMK", "KREG", "KWG", "KWI", "MDIMA", "MDIMC", "MWG", "NDIMB",
                                              "NDIMC", "NWG",  "SA",  "SB",  "STRM",  "STRN",  "VWM", "VWN"};

enum { KWID, MDIMAD, MDIMCD, NDIMBD, NDIMCD, PADA, PADB, VWMD, VWND, WGD };
const char *const t3_direct_names[T3_XGEMM_DIRECT] = {"KWID", "MDIMAD", "MDIMCD", "NDIMBD", "NDIMCD",
                                                      "PADA", "PADB",   "VWMD",   "VWND",   "WGD"};

/* None is above most; which of them may be 0 the rules say. */
static bool in_range(const int64_t *value, int count, int64_t most) {
  for (int i = 0; i < count; ++i)
    if (value[i] < 0 || value[i] > most) return false;
  return true;
}

static bool is_switch(int64_t value) {
  return value == 0 || value == 1;
}

static bool is_width(int64_t value) {
  return value == 1 || value == 2 || value == 4 || value == 8 || value == 16;
}

static bool divides(int64_t part, int64_t whole) {
  return part > 0 && whole > 0 && whole % part == 0;
}

/* A tile of rows and columns of a work-group's items is loaded by the same items in another shape, along is its first side. */
static bool reshapes(int64_t items, int64_t along, int64_t depth) {
  return divides(along, items) && divides(items / along, depth);
}

static bool fits(const tconv3d_device_info *device, int64_t items, int64_t local_bytes) {
  return (uint64_t)items <= device->work_group_size && (uint64_t)local_bytes <= device->local_bytes;
}

/* The rules of the kernel with GEMMK 0 and KREG 1, the only one used here. */
bool t3_xgemm_valid(const int64_t v[T3_XGEMM], const tconv3d_device_info *device, int64_t real_size) {
  if (!in_range(v, T3_XGEMM, 256) || v[GEMMK] != 0 || v[KREG] != 1) return false;
  if (!is_switch(v[SA]) || !is_switch(v[SB]) || !is_switch(v[STRM]) || !is_switch(v[STRN])) return false;
  if (!is_width(v[VWM]) || !is_width(v[VWN])) return false;
  int64_t items = v[MDIMC] * v[NDIMC];
  return divides(v[KWI], v[KWG]) && divides(v[MDIMC] * v[VWM], v[MWG]) && divides(v[NDIMC] * v[VWN], v[NWG]) &&
         divides(v[MDIMA] * v[VWM], v[MWG]) && divides(v[NDIMB] * v[VWN], v[NWG]) && reshapes(items, v[MDIMA], v[KWG]) &&
         reshapes(items, v[NDIMB], v[KWG]) && fits(device, items, (v[SA] * v[MWG] + v[SB] * v[NWG]) * v[KWG] * real_size);
}

bool t3_direct_valid(const int64_t v[T3_XGEMM_DIRECT], const tconv3d_device_info *device, int64_t real_size) {
  if (!in_range(v, T3_XGEMM_DIRECT, 256) || !is_switch(v[PADA]) || !is_switch(v[PADB])) return false;
  if (!is_width(v[VWMD]) || !is_width(v[VWND])) return false;
  int64_t items = v[MDIMCD] * v[NDIMCD], tile = v[WGD];
  return divides(v[KWID], tile) && divides(v[MDIMCD] * v[VWMD], tile) && divides(v[NDIMCD] * v[VWND], tile) &&
         divides(v[MDIMAD] * v[VWMD], tile) && divides(v[NDIMBD] * v[VWND], tile) && reshapes(items, v[MDIMAD], tile) &&
         reshapes(items, v[NDIMBD], tile) && fits(device, items, (2 * tile + v[PADA] + v[PADB]) * tile * real_size);
}

bool t3_blas_valid(const t3_blas_parameters *parameters, const tconv3d_device_info *device, int64_t real_size) {
  return parameters->from >= 0 && parameters->from <= T3_BLAS_FROM_MAX &&
         t3_xgemm_valid(parameters->xgemm, device, real_size) && t3_direct_valid(parameters->direct, device, real_size);
}

static void print_list(const char *name, const int64_t *value, int count, t3_text *text) {
  t3_text_append(text, "%s", name);
  for (int i = 0; i < count; ++i) t3_text_append(text, " %" PRId64, value[i]);
}

void t3_blas_print(const t3_blas_parameters *parameters, t3_text *text) {
  print_list("xgemm", parameters->xgemm, T3_XGEMM, text);
  print_list(" direct", parameters->direct, T3_XGEMM_DIRECT, text);
  print_list(" from", &parameters->from, 1, text);
}

static bool parse_list(const char **at, const char *name, int64_t *value, int count) {
  if (!t3_scan_literal(at, name)) return false;
  for (int i = 0; i < count; ++i)
    if (!t3_scan_literal(at, " ") || !t3_scan_number(at, &value[i])) return false;
  return true;
}

bool t3_blas_parse(const char **at, t3_blas_parameters *parameters) {
  return parse_list(at, "xgemm", parameters->xgemm, T3_XGEMM) &&
         parse_list(at, " direct", parameters->direct, T3_XGEMM_DIRECT) && parse_list(at, " from", &parameters->from, 1);
}
