/* mask.c: see mask.h. */
#include "brain/mask.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "files/slices.h"

/* Softmax of two channels: the second's share. */
static bool is_brain(float first, float second) {
  return 1 / (1 + exp((double)first - (double)second)) > 0.5;
}

static bool same_sizes(const struct volume *a, const struct volume *b) {
  return !memcmp(a->size, b->size, sizeof a->size) && a->count == 1 && b->count == 1;
}

static int64_t fill(const float *y, struct volume *mask) {
  const int64_t depth = mask->size[2], height = mask->size[1], width = mask->size[0]; /* of the network: x, y, z */
  const float *second = y + mask->voxels;
  uint8_t *to = mask->data;
  int64_t voxels = 0;
  for (int64_t d = 0; d < depth; ++d)
    for (int64_t h = 0; h < height; ++h)
      for (int64_t w = 0; w < width; ++w, ++y, ++second) {
        const uint8_t inside = is_brain(*y, *second);
        to[(w * height + h) * depth + d] = inside;
        voxels += inside;
      }
  return voxels;
}

bool mask_make(const struct npy *y, const struct volume *head, struct volume *mask, int64_t *voxels, struct fault *fault) {
  const int64_t shape[5] = {1, 2, head->size[2], head->size[1], head->size[0]};
  struct volume_header header = head->header;
  if (head->count != 1 || y->rank != 5 || memcmp(y->shape, shape, sizeof shape))
    return fault_set(fault, EXIT_WRONG_USE, "the last layer's output must be (1, 2) times the head's size in x, y, z");
  header.datatype = volume_type_code(VOLUME_U8);
  header.scl_slope = 1;
  header.scl_inter = header.cal_min = 0;
  header.cal_max = 1;
  memset(header.descrip, 0, sizeof header.descrip);
  snprintf(header.descrip, sizeof header.descrip, "brain mask");
  if (!volume_make(mask, &header, fault)) return false;
  *voxels = fill(y->data, mask);
  return true;
}

bool mask_compare(const struct volume *mask, const char *path, int64_t *differing, struct fault *fault) {
  struct volume expected;
  if (!volume_read(path, &expected, fault)) return false;
  const bool comparable = same_sizes(mask, &expected) && expected.type == VOLUME_U8;
  const uint8_t *a = mask->data, *b = expected.data;
  *differing = 0;
  for (int64_t i = 0; comparable && i < mask->voxels; ++i) *differing += a[i] != (b[i] != 0);
  volume_free(&expected);
  return comparable || fault_set(fault, EXIT_WRONG_USE, "%s: must be uint8 of the head's size", path);
}

bool mask_draw(const struct volume *mask, const struct volume *head, FILE *stream, const char *path, struct fault *fault) {
  const struct slices slices = {.volume = head, .mask = mask, .color = {255, 112, 32}, .side = 400};
  return slices_write(&slices, stream, path, fault);
}
