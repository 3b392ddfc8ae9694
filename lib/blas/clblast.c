/* Matrix products by CLBlast. The lock is the one piece of global state in the library: CLBlast's caches and parameters are the
 * process's, so what guards them must be too. It is initialised statically and held while CLBlast enqueues or compiles, never
 * while a command runs. */
#include <clblast_c.h>
#include <pthread.h>

#include "base/status.h"
#include "blas/blas.h"

static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

const char *t3_blas_missing(void) {
  return NULL;
}

static const char *words_of(CLBlastStatusCode code) {
  static const struct {
    CLBlastStatusCode code;
    const char *words;
  } table[] = {
      {CLBlastOpenCLCompilerNotAvailable, "the device has no compiler"},
      {CLBlastTempBufferAllocFailure, "no memory for a temporary buffer"},
      {CLBlastOpenCLOutOfResources, "out of resources"},
      {CLBlastOpenCLOutOfHostMemory, "out of host memory"},
      {CLBlastOpenCLBuildProgramFailure, "its kernels do not compile"},
      {CLBlastInvalidBinary, "invalid binary"},
      {CLBlastInvalidLocalThreadsTotal, "its work-groups are larger than the device's"},
      {CLBlastInvalidLocalThreadsDim, "its work-groups are larger than the device's along an axis"},
      {CLBlastInvalidBufferSize, "invalid buffer size"},
      {CLBlastInvalidLocalMemUsage, "it needs more local memory than the device has"},
      {CLBlastNoDoublePrecision, "the device computes no doubles"},
      {CLBlastInsufficientMemoryA, "matrix a reaches beyond its buffer"},
      {CLBlastInsufficientMemoryB, "matrix b reaches beyond its buffer"},
      {CLBlastInsufficientMemoryC, "matrix c reaches beyond its buffer"},
      {CLBlastDatabaseError, "it has no parameters for the device"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; ++i)
    if (table[i].code == code) return table[i].words;
  return "unspecified";
}

static tconv3d_status status_of(CLBlastStatusCode code) {
  switch (code) {
  case CLBlastTempBufferAllocFailure:
  case CLBlastOpenCLOutOfResources: return TCONV3D_OUT_OF_DEVICE_MEMORY;
  case CLBlastOpenCLOutOfHostMemory: return TCONV3D_OUT_OF_HOST_MEMORY;
  default: return TCONV3D_OPENCL_ERROR;
  }
}

static CLBlastStatusCode single(cl_command_queue queue, const t3_matrices *p) {
  const CLBlastTranspose no = CLBlastTransposeNo;
  if (p->batch == 1)
    return CLBlastSgemm(CLBlastLayoutRowMajor, no, no, p->m, p->n, p->k, 1, p->mem[0], p->start[0], p->k, p->mem[1],
                        p->start[1], p->b_row, 0, p->mem[2], p->start[2], p->n, &queue, NULL);
  return CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, no, no, p->m, p->n, p->k, 1, p->mem[0], p->start[0], p->k,
                                    p->step[0], p->mem[1], p->start[1], p->b_row, p->step[1], 0, p->mem[2], p->start[2], p->n,
                                    p->step[2], p->batch, &queue, NULL);
}

static CLBlastStatusCode doubled(cl_command_queue queue, const t3_matrices *p) {
  const CLBlastTranspose no = CLBlastTransposeNo;
  if (p->batch == 1)
    return CLBlastDgemm(CLBlastLayoutRowMajor, no, no, p->m, p->n, p->k, 1, p->mem[0], p->start[0], p->k, p->mem[1],
                        p->start[1], p->b_row, 0, p->mem[2], p->start[2], p->n, &queue, NULL);
  return CLBlastDgemmStridedBatched(CLBlastLayoutRowMajor, no, no, p->m, p->n, p->k, 1, p->mem[0], p->start[0], p->k,
                                    p->step[0], p->mem[1], p->start[1], p->b_row, p->step[1], 0, p->mem[2], p->start[2], p->n,
                                    p->step[2], p->batch, &queue, NULL);
}

tconv3d_status t3_blas_multiply(cl_command_queue queue, const t3_matrices *matrices) {
  pthread_mutex_lock(&process_lock);
  CLBlastStatusCode code = (matrices->doubles ? doubled : single)(queue, matrices);
  pthread_mutex_unlock(&process_lock);
  if (code == CLBlastSuccess) return TCONV3D_OK;
  return t3_fail(status_of(code), "CLBlast's matrix product %zu x %zu x %zu: %s (status %d)", matrices->m, matrices->n,
                 matrices->k, words_of(code), (int)code);
}

void t3_blas_forget(void) {
  pthread_mutex_lock(&process_lock);
  CLBlastClearCache();
  pthread_mutex_unlock(&process_lock);
}
