/* features.h: what some devices can do beyond OpenCL 1.2, and algorithms use where it is there. Whether it is there is never
 * taken on trust: a small kernel is built and run once a context (program/probe.c), when a plan first might use it. */
#ifndef T3_FEATURES_H
#define T3_FEATURES_H

#include <pthread.h>
#include <stdbool.h>

#include <tconv3d/tconv3d.h>

typedef enum t3_feature {
  T3_SUBGROUPS_8, /* a sub-group of so many work-items in a row, and broadcasts in it */
  T3_SUBGROUPS_16,
  T3_SUBGROUPS_32,
  T3_SUBGROUPS_64,
  T3_MMA_F16, /* NVIDIA's matrix instruction */
  T3_MMA_BF16,
  T3_MMA_TF32,
  T3_DPAS_8_F16, /* Intel's matrix extension on sub-groups of 8, and of 16 */
  T3_DPAS_8_BF16,
  T3_DPAS_16_F16,
  T3_DPAS_16_BF16,
  T3_HALF, /* arithmetic in float16 */
  T3_NUM_FEATURES
} t3_feature;

/* Sets of them are bits. This one has all, and the twins in plain OpenCL C of what uses them. */
typedef unsigned t3_feature_set;
enum { T3_TWINS = 1 << T3_NUM_FEATURES };
static inline t3_feature_set t3_feature_bit(t3_feature feature) {
  return 1u << feature;
}

/* Of a device in a context: what was asked so far. Answers stay as they are. */
typedef struct t3_features {
  pthread_mutex_t lock;
  t3_feature_set asked, there;
  char why[T3_NUM_FEATURES][TCONV3D_FEATURE_REASON]; /* not there; "" else */
} t3_features;

t3_features *t3_features_create(void);
void t3_features_free(t3_features *features);

const char *t3_feature_name(t3_feature feature);

/* By the variable TCONV3D_FEATURES: what may be asked for on a device of this type. Where it is not set, everything on GPUs and
 * nothing on others. Errors: INVALID_PARAMETER. */
tconv3d_status t3_features_allowed(cl_device_type type, t3_feature_set *allowed);

#endif
