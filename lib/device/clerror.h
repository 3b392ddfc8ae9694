/* clerror.h: an OpenCL error as a status and a message that names the call, the error and what to do. */
#ifndef T3_CLERROR_H
#define T3_CLERROR_H

#include <tconv3d/tconv3d.h>

/* "CL_OUT_OF_RESOURCES"; "error -9999" style text for an unknown one is made by t3_cl_fail. NULL when unknown. */
const char *t3_cl_error_name(cl_int error);

/* The status for a failed call; call is its name, what says on what ("for kernel 'phase'"), "" when there is nothing to add. */
tconv3d_status t3_cl_fail(cl_int error, const char *call, const char *what);

/* Passes on a failed OpenCL call: T3_CL_TRY(clFlush, (queue)). */
#define T3_CL_TRY(function, arguments)                                            \
  do {                                                                            \
    cl_int t3_cl_error = function arguments;                                      \
    if (t3_cl_error != CL_SUCCESS) return t3_cl_fail(t3_cl_error, #function, ""); \
  } while (0)

#endif
