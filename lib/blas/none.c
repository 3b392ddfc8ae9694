/* What stands for CLBlast where the library was built without it. */
#include "base/status.h"
#include "blas/blas.h"

const char *t3_blas_missing(void) {
  return "it needs CLBlast, which the library was built without";
}

const char *t3_blas_version(void) {
  return "";
}

tconv3d_status t3_blas_use(cl_device_id device, bool doubles, const t3_blas_parameters *parameters) {
  (void)device, (void)doubles, (void)parameters;
  return t3_fail(TCONV3D_UNSUPPORTED, "CLBlast's parameters: %s", t3_blas_missing());
}

bool t3_blas_used(cl_device_id device, bool doubles, t3_blas_parameters *parameters) {
  (void)device, (void)doubles, (void)parameters;
  return false;
}

tconv3d_status t3_blas_multiply(cl_command_queue queue, const t3_matrices *matrices) {
  (void)queue, (void)matrices;
  return t3_fail(TCONV3D_UNSUPPORTED, "a matrix product: %s", t3_blas_missing());
}

void t3_blas_forget(void) {}
