/* From text or binary to a built cl_program. */
#include <stdlib.h>

#include "base/status.h"
#include "device/clerror.h"
#include "program/program.h"

/* The whole build log, malloc'd; NULL when there is none. */
static char *build_log(cl_program program, cl_device_id device) {
  size_t size = 0;
  if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS || !size) return NULL;
  char *log = malloc(size + 1);
  if (!log) return NULL;
  if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL) != CL_SUCCESS) size = 0;
  log[size] = '\0';
  return log;
}

static tconv3d_status build_failure(cl_int error, const char *name, const tconv3d_device_info *device, cl_program program) {
  char *log = build_log(program, device->device);
  const char *word = t3_cl_error_name(error);
  tconv3d_status status = t3_fail(
      TCONV3D_BUILD_FAILED, "clBuildProgram of '%s' for device '%s': %s (%d); report this log with the driver's version %s\n%s",
      name, device->name, word ? word : "an error without a standard name", (int)error, device->driver, log ? log : "");
  free(log);
  return status;
}

tconv3d_status t3_build_source(cl_context cl, const tconv3d_device_info *device, const char *name, const t3_text *text,
                               cl_program *program) {
  cl_int error;
  *program = clCreateProgramWithSource(cl, 1, (const char *[]){text->data}, &text->size, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateProgramWithSource", "");
  error = clBuildProgram(*program, 1, &device->device, t3_build_options(text), NULL, NULL);
  if (error == CL_SUCCESS) return TCONV3D_OK;
  tconv3d_status status = build_failure(error, name, device, *program);
  clReleaseProgram(*program);
  *program = NULL;
  return status;
}

cl_program t3_build_binary(cl_context cl, cl_device_id device, const char *options, const void *binary, size_t size) {
  cl_int error, taken = CL_SUCCESS;
  cl_program program = clCreateProgramWithBinary(cl, 1, &device, &size, (const unsigned char *[]){binary}, &taken, &error);
  if (error == CL_SUCCESS && taken == CL_SUCCESS && clBuildProgram(program, 1, &device, options, NULL, NULL) == CL_SUCCESS)
    return program;
  if (program) clReleaseProgram(program);
  return NULL;
}

/* The device's place in the program's list; devices when it is not there. */
static cl_uint device_index(cl_program program, cl_device_id device, cl_uint *devices, cl_device_id *list, size_t bytes) {
  *devices = 0;
  if (clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof *devices, devices, NULL) != CL_SUCCESS) return *devices;
  if (*devices * sizeof *list > bytes) return *devices;
  if (clGetProgramInfo(program, CL_PROGRAM_DEVICES, bytes, list, NULL) != CL_SUCCESS) return *devices;
  cl_uint i = 0;
  while (i < *devices && list[i] != device) ++i;
  return i;
}

bool t3_program_binary(cl_program program, cl_device_id device, unsigned char **binary, size_t *size) {
  enum { MAX_DEVICES = 64 };
  cl_device_id list[MAX_DEVICES];
  size_t sizes[MAX_DEVICES] = {0};
  unsigned char *binaries[MAX_DEVICES] = {NULL};
  cl_uint devices, index = device_index(program, device, &devices, list, sizeof list);
  if (index >= devices || devices > MAX_DEVICES) return false;
  /* Exactly as many as there are: rusticl 22.3 ends the process at room for more. */
  if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, devices * sizeof *sizes, sizes, NULL) != CL_SUCCESS || !sizes[index])
    return false;
  binaries[index] = malloc(sizes[index]); /* NULL for the other devices: not wanted */
  if (!binaries[index]) return false;
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, devices * sizeof *binaries, binaries, NULL) == CL_SUCCESS) {
    *binary = binaries[index];
    *size = sizes[index];
    return true;
  }
  free(binaries[index]);
  return false;
}
