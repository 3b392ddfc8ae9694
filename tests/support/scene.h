/* scene.h: one small layer made ready to run: plan, weights, tensors on the host and on the device, and the judge of the
 * result. */
#ifndef SCENE_H
#define SCENE_H

#include "support/judge.h"
#include "support/random_layer.h"
#include "support/rig.h"

struct scene {
  const struct rig *rig;
  tconv3d_desc desc;
  struct tensors host;
  struct judge judge; /* of host's tensors */
  tconv3d_plan *plan;
  tconv3d_plan_info info;
  tconv3d_weights *weights;
  tconv3d_buffer x, w, b, y; /* whole buffers, x, w and b filled */
};

/* Report what fails through cmocka. The same seed gives the same values; the layer is always the same. */
void scene_open(struct scene *scene, const struct rig *rig, uint64_t seed);
void scene_close(struct scene *scene);

/* The layer alone: batch 2, grouped, strided, with bias, and a copy of x with most algorithms. */
tconv3d_desc scene_layer(void);

/* A buffer of the rig's context with these contents (NULL: undefined). */
cl_mem scene_buffer(const struct rig *rig, const void *contents, size_t bytes);

/* A y of the scene's size, full of NaN, for a call of its own. */
cl_mem scene_new_y(const struct scene *scene);

/* Whether y in mem (offset 0) holds the layer's result. Reads on the queue, blocking. Usable from any thread. */
bool scene_right(const struct scene *scene, cl_command_queue queue, cl_mem y);

/* Whether y in mem is still what scene_new_y filled it with. */
bool scene_untouched(const struct scene *scene, cl_command_queue queue, cl_mem y);

/* Waits at most ten seconds for a reference count to become what it was: a runtime may let go of
 * objects in flight a little after the events that one can wait for. */
void assert_context_count(cl_context context, cl_uint expected);
void assert_mem_count(cl_mem mem, cl_uint expected);
cl_uint context_count(cl_context context);
cl_uint mem_count(cl_mem mem);

#endif
