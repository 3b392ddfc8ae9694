/* Matrix products by CLBlast. The lock, and the list of parameters that it guards, are the one piece of global state in the
 * library: CLBlast's caches and parameters are the process's, so what guards them must be too. It is initialised statically and
 * held while CLBlast enqueues or compiles, never while a command runs. */
#include <clblast_c.h>
#include <pthread.h>
#include <string.h>

#include "base/status.h"
#include "blas/blas.h"

static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

/* What CLBlast was told, as it must not be told twice: each time it forgets what it compiled. For devices beyond these there
 * are no parameters. */
enum { MAX_TOLD = 32 };
static struct told {
  cl_device_id device;
  bool doubles;
  t3_blas_parameters parameters;
} told[MAX_TOLD];
static size_t num_told;

#define STRING_(x) #x
#define STRING(x) STRING_(x)
const char *t3_blas_version(void) {
#ifdef CLBLAST_VERSION_MAJOR
  return STRING(CLBLAST_VERSION_MAJOR) "." STRING(CLBLAST_VERSION_MINOR) "." STRING(CLBLAST_VERSION_PATCH);
#else
  return "unknown"; /* its headers have not always said it */
#endif
}

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

/* c, row by row, is its own transpose column by column: (a b)^T = b^T a^T. CLBlast's kernels want columns, so that only the
 * smaller matrix, of weights, is transposed before, and c never. */
static CLBlastStatusCode single(cl_command_queue queue, const t3_matrices *p) {
  const CLBlastTranspose no = CLBlastTransposeNo;
  if (p->batch == 1)
    return CLBlastSgemm(CLBlastLayoutColMajor, no, no, p->n, p->m, p->k, 1, p->mem[1], p->start[1], p->b_row, p->mem[0],
                        p->start[0], p->k, 0, p->mem[2], p->start[2], p->n, &queue, NULL);
  return CLBlastSgemmStridedBatched(CLBlastLayoutColMajor, no, no, p->n, p->m, p->k, 1, p->mem[1], p->start[1], p->b_row,
                                    p->step[1], p->mem[0], p->start[0], p->k, p->step[0], 0, p->mem[2], p->start[2], p->n,
                                    p->step[2], p->batch, &queue, NULL);
}

static CLBlastStatusCode doubled(cl_command_queue queue, const t3_matrices *p) {
  const CLBlastTranspose no = CLBlastTransposeNo;
  if (p->batch == 1)
    return CLBlastDgemm(CLBlastLayoutColMajor, no, no, p->n, p->m, p->k, 1, p->mem[1], p->start[1], p->b_row, p->mem[0],
                        p->start[0], p->k, 0, p->mem[2], p->start[2], p->n, &queue, NULL);
  return CLBlastDgemmStridedBatched(CLBlastLayoutColMajor, no, no, p->n, p->m, p->k, 1, p->mem[1], p->start[1], p->b_row,
                                    p->step[1], p->mem[0], p->start[0], p->k, p->step[0], 0, p->mem[2], p->start[2], p->n,
                                    p->step[2], p->batch, &queue, NULL);
}

/* ---- parameters ---- */

static struct told *find_told(cl_device_id device, bool doubles) {
  for (size_t i = 0; i < num_told; ++i)
    if (told[i].device == device && told[i].doubles == doubles) return &told[i];
  return NULL;
}

static CLBlastStatusCode override(cl_device_id device, bool doubles, const char *kernel, int count, const char *const *names,
                                  const int64_t *values) {
  const char *name[T3_XGEMM];
  size_t value[T3_XGEMM];
  for (int i = 0; i < count; ++i) name[i] = names[i], value[i] = (size_t)values[i];
  return CLBlastOverrideParameters(device, kernel, doubles ? CLBlastPrecisionDouble : CLBlastPrecisionSingle, (size_t)count,
                                   name, value);
}

/* All kernels' or, for who calls, none's: after a failure the next call tells all of it again. Programs of before are dropped
 * by us, whatever this version of CLBlast drops: one of them launched with other tiles would compute nonsense. */
static CLBlastStatusCode tell(cl_device_id device, bool doubles, const t3_blas_parameters *parameters) {
  static const char *const from[] = {"XGEMM_MIN_INDIRECT_SIZE"};
  CLBlastStatusCode code = override(device, doubles, "Xgemm", T3_XGEMM, t3_xgemm_names, parameters->xgemm);
  if (code == CLBlastSuccess)
    code = override(device, doubles, "XgemmDirect", T3_XGEMM_DIRECT, t3_direct_names, parameters->direct);
  if (code == CLBlastSuccess) code = override(device, doubles, "GemmRoutine", 1, from, &parameters->from);
  CLBlastClearCache();
  return code;
}

tconv3d_status t3_blas_use(cl_device_id device, bool doubles, const t3_blas_parameters *parameters) {
  CLBlastStatusCode code = CLBlastSuccess;
  pthread_mutex_lock(&process_lock);
  struct told *known = find_told(device, doubles);
  bool room = known || num_told < MAX_TOLD;
  if (room && (!known || memcmp(&known->parameters, parameters, sizeof *parameters) != 0)) {
    if (!known) known = &told[num_told++], *known = (struct told){.device = device, .doubles = doubles};
    code = tell(device, doubles, parameters);
    known->parameters = code == CLBlastSuccess ? *parameters : (t3_blas_parameters){.from = -1};
  }
  pthread_mutex_unlock(&process_lock);
  if (!room) return t3_fail(TCONV3D_UNSUPPORTED, "CLBlast's parameters: there are more than %d devices", (int)MAX_TOLD);
  if (code == CLBlastSuccess) return TCONV3D_OK;
  return t3_fail(status_of(code), "CLBlast takes no parameters: %s (status %d)", words_of(code), (int)code);
}

bool t3_blas_used(cl_device_id device, bool doubles, t3_blas_parameters *parameters) {
  pthread_mutex_lock(&process_lock);
  const struct told *known = find_told(device, doubles);
  bool used = known && known->parameters.from >= 0;
  if (used) *parameters = known->parameters;
  pthread_mutex_unlock(&process_lock);
  return used;
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
