#include "support/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

struct faults faults;

/* Programs whose build is to fail: there are few in a test. */
enum { MAX_DOOMED = 64 };
static cl_program doomed[MAX_DOOMED];
static size_t num_doomed;

void faults_clear(void) {
  faults = (struct faults){0};
}

static bool is_listed(const char *list, const char *name) {
  char word[96];
  snprintf(word, sizeof word, ",%s,", name);
  return list && strstr(list, word);
}

/* The name of the program that a text is of, which ends in one of the embedded sources. */
static const char *program_name(const char *text, size_t size) {
  for (size_t i = 0; i < t3_num_sources; ++i) {
    size_t length = strlen(t3_sources[i].text);
    if (length <= size && !memcmp(text + size - length, t3_sources[i].text, length)) return t3_sources[i].name;
  }
  return "";
}

/* text, for free(), with right replaced by wrong everywhere. */
static char *replaced(const char *text, const char *right, const char *wrong) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, right)) != NULL; at += strlen(right)) ++count;
  char *spoilt = malloc(strlen(text) + count * strlen(wrong) + 1), *to = spoilt;
  for (const char *at; spoilt && (at = strstr(text, right)) != NULL; text = at + strlen(right))
    to += sprintf(to, "%.*s%s", (int)(at - text), text, wrong);
  if (spoilt) strcpy(to, text);
  return spoilt;
}

/* Every other work-item does what its neighbour does, and multiply-adds get their sign wrong: either is in every kernel. */
static char *spoil(const char *text) {
  char *once = replaced(text, "get_global_id(0)", "(get_global_id(0)|1)");
  char *twice = once ? replaced(once, " fma(", " -fma(") : NULL;
  free(once);
  return twice;
}

typedef void(CL_CALLBACK *program_notify)(cl_program, void *);
cl_program __real_clCreateProgramWithSource(cl_context cl, cl_uint count, const char **texts, const size_t *sizes,
                                            cl_int *error);
cl_program __wrap_clCreateProgramWithSource(cl_context cl, cl_uint count, const char **texts, const size_t *sizes,
                                            cl_int *error);
cl_program __wrap_clCreateProgramWithSource(cl_context cl, cl_uint count, const char **texts, const size_t *sizes,
                                            cl_int *error) {
  const char *name = program_name(texts[0], sizes[0]);
  char *spoilt = is_listed(faults.wrong, name) ? spoil(texts[0]) : NULL;
  const char *text = spoilt ? spoilt : texts[0];
  size_t size = strlen(text);
  cl_program program = __real_clCreateProgramWithSource(cl, count, &text, &size, error);
  if (is_listed(faults.unbuildable, name) && num_doomed < MAX_DOOMED) doomed[num_doomed++] = program;
  ++faults.builds;
  free(spoilt);
  return program;
}

cl_int __real_clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                             program_notify notify, void *data);
cl_int __wrap_clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                             program_notify notify, void *data);
cl_int __wrap_clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                             program_notify notify, void *data) {
  for (size_t i = 0; i < num_doomed; ++i)
    if (doomed[i] == program) {
      doomed[i] = doomed[--num_doomed];
      return CL_BUILD_PROGRAM_FAILURE;
    }
  return __real_clBuildProgram(program, count, devices, options, notify, data);
}

cl_int __real_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event) {
  char name[96] = "";
  ++faults.launches;
  faults.offsets += offset && *offset;
  clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
  if (is_listed(faults.unlaunchable, name)) return CL_OUT_OF_RESOURCES;
  return __real_clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, count, list, event);
}

cl_mem __real_clCreateBuffer(cl_context cl, cl_mem_flags flags, size_t size, void *host, cl_int *error);
cl_mem __wrap_clCreateBuffer(cl_context cl, cl_mem_flags flags, size_t size, void *host, cl_int *error);
cl_mem __wrap_clCreateBuffer(cl_context cl, cl_mem_flags flags, size_t size, void *host, cl_int *error) {
  if (!faults.largest || size <= faults.largest) return __real_clCreateBuffer(cl, flags, size, host, error);
  if (error) *error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
  return NULL;
}

cl_int __real_clGetEventInfo(cl_event event, cl_event_info what, size_t size, void *value, size_t *needed);
cl_int __wrap_clGetEventInfo(cl_event event, cl_event_info what, size_t size, void *value, size_t *needed);
cl_int __wrap_clGetEventInfo(cl_event event, cl_event_info what, size_t size, void *value, size_t *needed) {
  cl_int error = __real_clGetEventInfo(event, what, size, value, needed);
  cl_int *status = value;
  if (error == CL_SUCCESS && what == CL_EVENT_COMMAND_EXECUTION_STATUS && status && *status == CL_COMPLETE &&
      faults.event_status)
    *status = faults.event_status;
  return error;
}
