/* parameters.h: the numbers by which CLBlast's kernels for matrix products are made: what they may be, as a text, and which are
 * worth a measurement. Needs no CLBlast. */
#ifndef T3_BLAS_PARAMETERS_H
#define T3_BLAS_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tconv3d/tconv3d.h>

#include "base/text.h"

enum { T3_XGEMM = 16, T3_XGEMM_DIRECT = 10, T3_BLAS_FROM_MAX = 1 << 20 };

/* In CLBlast's order, which is that of the names. */
extern const char *const t3_xgemm_names[T3_XGEMM];
extern const char *const t3_direct_names[T3_XGEMM_DIRECT];

/* xgemm: of the kernel for large products, which wants whole tiles and lays matrices out for it before; direct: of the one that
 * takes them as they are. Products of fewer multiply-adds than from^3 are computed by the latter. */
typedef struct t3_blas_parameters {
  int64_t xgemm[T3_XGEMM], direct[T3_XGEMM_DIRECT], from;
} t3_blas_parameters;

/* Whether kernels can be made by them on the device, for sums of real_size bytes: tiles that divide, local memory, work-groups.
 */
bool t3_xgemm_valid(const int64_t xgemm[T3_XGEMM], const tconv3d_device_info *device, int64_t real_size);
bool t3_direct_valid(const int64_t direct[T3_XGEMM_DIRECT], const tconv3d_device_info *device, int64_t real_size);
bool t3_blas_valid(const t3_blas_parameters *parameters, const tconv3d_device_info *device, int64_t real_size);

/* "xgemm N... direct N... from N"; and back: *at moves past it, whether valid or not. */
void t3_blas_print(const t3_blas_parameters *parameters, t3_text *text);
bool t3_blas_parse(const char **at, t3_blas_parameters *parameters);

/* The candidates of a device's kind in the order in which they are to be tried, those for other kinds after them. A step is
 * about one kernel, as it takes one build: XGEMM has a direct one that is quick to compile and not used; DIRECT sets that one
 * and leaves xgemm as it is, from at T3_BLAS_BETWEEN. END: there are no more, nothing is set. */
enum { T3_BLAS_BETWEEN = 256 };
typedef enum t3_blas_step { T3_BLAS_END, T3_BLAS_XGEMM, T3_BLAS_DIRECT } t3_blas_step;
t3_blas_step t3_blas_candidate(const tconv3d_device_info *device, size_t index, t3_blas_parameters *parameters);

#endif
