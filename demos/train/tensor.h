/* tensor.h: float32 arrays on the device that the host can look at, and the queue that everything of this program runs on. */
#ifndef TRAIN_TENSOR_H
#define TRAIN_TENSOR_H

#include "tconv3d/command.h"

/* The queue is in-order: each command sees what those before it wrote, so that no events are needed. */
struct engine {
  tconv3d_context *context;
  cl_command_queue queue;
  const struct device_options *options;
};

bool engine_open(const struct device_options *options, struct engine *engine, struct fault *fault);
void engine_close(struct engine *engine);

struct tensor {
  cl_mem mem;
  size_t count;
};

/* count zeros. */
bool tensor_make(const struct engine *engine, size_t count, struct tensor *tensor, struct fault *fault);
void tensor_free(struct tensor *tensor);
static inline tconv3d_buffer tensor_buffer(const struct tensor *tensor) {
  return (tconv3d_buffer){tensor->mem, 0};
}

/* Waits for the queue and shows the values to the host until tensor_unmap; NULL on a fault. CPU devices copy nothing here. */
float *tensor_map(const struct engine *engine, const struct tensor *tensor, cl_map_flags flags, struct fault *fault);
bool tensor_unmap(const struct engine *engine, const struct tensor *tensor, float *values, struct fault *fault);

#endif
