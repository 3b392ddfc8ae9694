/* faults.h: OpenCL calls that a test makes fail, or makes work wrong, through the linker (tests/meson.build wraps them), and
 * how many launches there were. All of it is off until a test sets it. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include <CL/cl.h>

struct faults {
  const char *wrong;        /* names of programs with commas around, ",phase,rows,": they are built from a spoilt source */
  const char *unbuildable;  /* the same: building them fails */
  const char *unlaunchable; /* the same of kernels: launching them fails */
  size_t largest;           /* bytes of a buffer, larger ones are refused; 0: no limit */
  cl_int event_status;      /* what every event that has ended is said to have; 0: its own */
  int launches, offsets;    /* counted: all launches, and those with an offset */
  int builds;               /* from source */
};
extern struct faults faults;

/* All off, all counts 0. */
void faults_clear(void);

#endif
