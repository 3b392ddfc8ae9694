/* job.h: one computation from arrays to an array, as the commands that work on .npy files need it. */
#ifndef JOB_H
#define JOB_H

#include "files/npy.h"
#include "tconv3d/layer_options.h"

/* What is read stays NULL where the operation does not take it. The descriptor has the
 * arrays' types. */
struct job {
  const struct device_options *device;
  const tconv3d_desc *desc;
  tconv3d_operation operation;
  const void *x, *weight, *bias, *gy;
  struct npy *target; /* made once a plan has found that the device can hold it all, of this type and shape */
  enum npy_type target_type;
  int target_rank;
  const int64_t *target_shape;
};

/* Reads an array with least to most axes; label and axes ("5 (N, C, D, H, W) are") are for
 * messages. */
bool job_read(const char *path, const char *label, int least, int most, const char *axes, struct npy *array,
              struct fault *fault);

tconv3d_dtype job_type(enum npy_type type);
/* Brings an array that goes with one of this type into a type that can: float64 goes with itself alone. An empty one passes. */
bool job_convert(struct npy *array, enum npy_type type, struct fault *fault);

/* Computes on the device that is selected; --verbose says on stderr what was done and how long it took. */
bool job_run(const struct job *job, struct fault *fault);

#endif
