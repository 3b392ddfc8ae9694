/* head.h: a head MRI at two resolutions, and the cubes of it that are learned from.
 *
 * A coarse voxel is the mean of 2x2x2 fine ones, as a scanner with larger voxels would have seen them. The middle planes of the
 * head are held out: no cube that is learned from touches them. Axes are D, H, W: the file's z, y, x. */
#ifndef TRAIN_HEAD_H
#define TRAIN_HEAD_H

#include "files/volume.h"
#include "train/random.h"

struct grid {
  int64_t size[3];
  float *values; /* dense */
};

bool grid_make(const int64_t size[3], struct grid *grid, struct fault *fault);
void grid_free(struct grid *grid);
static inline float *grid_at(const struct grid *grid, int64_t d, int64_t h, int64_t w) {
  return grid->values + (d * grid->size[1] + h) * grid->size[2] + w;
}
/* The box of the given size at a place of from, less an offset. */
void grid_copy(const struct grid *from, const int64_t at[3], const int64_t size[3], float offset, float *to);

struct head {
  struct grid fine, coarse;          /* 1 is the largest value; fine is twice as large as coarse along every axis */
  int64_t cube;                      /* side of a coarse cube, and how many coarse planes are held out */
  int64_t held_out;                  /* the first of those */
  bool left_to_right, back_to_front; /* how w and h run, as far as the file says */
};

/* A head too small for such cubes is refused. */
bool head_read(const char *path, int64_t cube, struct head *head, struct fault *fault);
void head_free(struct head *head);

/* The place of a random coarse cube outside the held-out planes, and in the head rather than in the air around it. */
void head_place(const struct head *head, struct random *random, int64_t at[3]);

/* The coarse cube at a place, less its mean, which is returned. What a decoder learns of a cube does not depend on its
 * brightness, and steps can be longer: the mean would be what the loss depends on most. */
float head_cube(const struct head *head, const int64_t at[3], float *x);

#endif
