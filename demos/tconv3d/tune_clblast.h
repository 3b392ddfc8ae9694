/* tune_clblast.h: the part of `tconv3d tune` that searches CLBlast's parameters. */
#ifndef TUNE_CLBLAST_H
#define TUNE_CLBLAST_H

#include <stdbool.h>
#include <tconv3d/tconv3d.h>

#include "files/fault.h"

struct clblast_job {
  bool wanted;
  tconv3d_dtype dtype;
  double seconds;
};

/* On the context's first device; prints what was reached before and after. */
bool tune_clblast(tconv3d_context *context, const struct clblast_job *job, struct fault *fault);

#endif
