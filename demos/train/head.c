/* head.c: see head.h. */
#include "train/head.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 100 };          /* to find a cube in the head: a volume that is nearly all air gets what comes last */
static const double air = 0.1; /* a cube that is darker on average has little in it to learn from */

bool grid_make(const int64_t size[3], struct grid *grid, struct fault *fault) {
  memcpy(grid->size, size, sizeof grid->size);
  grid->values = malloc((size_t)(size[0] * size[1] * size[2]) * sizeof *grid->values);
  return grid->values || fault_set(fault, EXIT_OTHER, "not enough memory for the head");
}

void grid_free(struct grid *grid) {
  free(grid->values);
  grid->values = NULL;
}

void grid_copy(const struct grid *from, const int64_t at[3], const int64_t size[3], float offset, float *to) {
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h) {
      const float *row = grid_at(from, at[0] + d, at[1] + h, at[2]);
      for (int64_t w = 0; w < size[2]; ++w) *to++ = row[w] - offset;
    }
}

/* ---- reading ---- */

/* The file's first 3D volume in real values; an odd size loses its last plane, row or column. */
static bool take_fine(const struct volume *volume, struct grid *fine, struct fault *fault) {
  const int64_t size[3] = {volume->size[0] / 2 * 2, volume->size[1] / 2 * 2, volume->size[2] / 2 * 2};
  double slope, inter;
  if (!grid_make(size, fine, fault)) return false;
  volume_scaling(&volume->header, &slope, &inter);
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h) {
      float *row = grid_at(fine, d, h, 0);
      volume_load(volume, (d * volume->size[1] + h) * volume->size[2], size[2], row);
      for (int64_t w = 0; w < size[2]; ++w) row[w] = (float)((double)row[w] * slope + inter);
    }
  return true;
}

static bool normalise(const char *path, const struct grid *grid, struct fault *fault) {
  const int64_t count = grid->size[0] * grid->size[1] * grid->size[2];
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = grid->values[i] > largest ? grid->values[i] : largest;
  if (largest <= 0) return fault_set(fault, EXIT_WRONG_USE, "%s: there is no value above 0 in it", path);
  for (int64_t i = 0; i < count; ++i) grid->values[i] /= largest;
  return true;
}

static float mean_of_8(const struct grid *fine, int64_t d, int64_t h, int64_t w) {
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += *grid_at(fine, 2 * d + (i >> 2), 2 * h + (i >> 1 & 1), 2 * w + (i & 1));
  return sum / 8;
}

static bool make_coarse(const struct grid *fine, struct grid *coarse, struct fault *fault) {
  const int64_t size[3] = {fine->size[0] / 2, fine->size[1] / 2, fine->size[2] / 2};
  if (!grid_make(size, coarse, fault)) return false;
  float *to = coarse->values;
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h)
      for (int64_t w = 0; w < size[2]; ++w) *to++ = mean_of_8(fine, d, h, w);
  return true;
}

/* Room for a cube on both sides of the held-out planes. */
static bool check_size(const char *path, const struct volume *volume, int64_t cube, struct fault *fault) {
  const int64_t least[3] = {2 * 3 * cube, 2 * cube, 2 * cube};
  bool enough = true;
  for (int axis = 0; axis < 3; ++axis) enough = enough && volume->size[axis] >= least[axis];
  return enough || fault_set(fault, EXIT_WRONG_USE,
                             "%s: it has %" PRId64 " x %" PRId64 " x %" PRId64 " voxels (D, H, W); at least %" PRId64
                             " x %" PRId64 " x %" PRId64 " are needed",
                             path, volume->size[0], volume->size[1], volume->size[2], least[0], least[1], least[2]);
}

bool head_read(const char *path, int64_t cube, struct head *head, struct fault *fault) {
  struct volume volume;
  double affine[3][4];
  if (!volume_read(path, &volume, fault)) return false;
  volume_affine(&volume.header, affine);
  head->left_to_right = affine[0][0] > 0;
  head->back_to_front = affine[1][1] > 0;
  const bool done = check_size(path, &volume, cube, fault) && take_fine(&volume, &head->fine, fault) &&
                    normalise(path, &head->fine, fault) && make_coarse(&head->fine, &head->coarse, fault);
  volume_free(&volume);
  head->cube = cube;
  head->held_out = done ? (head->coarse.size[0] - cube) / 2 : 0;
  return done;
}

void head_free(struct head *head) {
  grid_free(&head->fine);
  grid_free(&head->coarse);
}

/* ---- cubes ---- */

static double mean(const struct grid *grid, const int64_t at[3], int64_t side) {
  double sum = 0;
  for (int64_t d = 0; d < side; ++d)
    for (int64_t h = 0; h < side; ++h)
      for (int64_t w = 0; w < side; ++w) sum += (double)*grid_at(grid, at[0] + d, at[1] + h, at[2] + w);
  return sum / (double)(side * side * side);
}

/* A random first plane: below the held-out ones, or from their end on. */
static int64_t place_plane(const struct head *head, struct random *random) {
  const int64_t end = head->held_out + head->cube;
  const int64_t below = head->held_out - head->cube + 1, above = head->coarse.size[0] - end - head->cube + 1;
  const int64_t d = random_below(random, below + above);
  return d < below ? d : end + d - below;
}

void head_place(const struct head *head, struct random *random, int64_t at[3]) {
  for (int i = 0; i < TRIES; ++i) {
    at[0] = place_plane(head, random);
    for (int axis = 1; axis < 3; ++axis) at[axis] = random_below(random, head->coarse.size[axis] - head->cube + 1);
    if (mean(&head->coarse, at, head->cube) > air) return;
  }
}

float head_cube(const struct head *head, const int64_t at[3], float *x) {
  const int64_t size[3] = {head->cube, head->cube, head->cube};
  const float offset = (float)mean(&head->coarse, at, head->cube);
  grid_copy(&head->coarse, at, size, offset, x);
  return offset;
}
