/* blas.h: matrix products by CLBlast; without it, the same calls that refuse. CLBlast keeps caches and parameters for the whole
 * process and its calls are not safe beside each other, so each of these calls holds one lock for the process. */
#ifndef T3_BLAS_H
#define T3_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include <tconv3d/tconv3d.h>

#include "blas/parameters.h"

/* c = a times b, batch times: a is [m][k], b is [k][n] with rows b_row apart, c is [m][n], all row-major. Starts and steps
 * (from one matrix of the batch to the next; 0: the same) are in elements. */
typedef struct t3_matrices {
  size_t m, n, k, b_row, batch;
  cl_mem mem[3]; /* a, b, c */
  size_t start[3], step[3];
  bool doubles;
} t3_matrices;

/* NULL where products can be computed, else why not. */
const char *t3_blas_missing(void);

/* CLBlast's version, as "1.5.3"; "" without it. Static storage. */
const char *t3_blas_version(void);

/* Makes the process's products on a device by these parameters, which are valid for it, from now on; nothing happens if they
 * are those already. What was compiled before for any device is compiled again. There is no way back to CLBlast's own. */
tconv3d_status t3_blas_use(cl_device_id device, bool doubles, const t3_blas_parameters *parameters);

/* Whether t3_blas_use was called for the device, and with what at last. */
bool t3_blas_used(cl_device_id device, bool doubles, t3_blas_parameters *parameters);

/* Enqueues a product on an in-order queue of the library's own, which may compile first. After a failure some of its commands
 * may be on the queue; they write no c. */
tconv3d_status t3_blas_multiply(cl_command_queue queue, const t3_matrices *matrices);

/* Lets go of what is cached for any context: CLBlast retains every cl_context it was used with until then. */
void t3_blas_forget(void);

#endif
