/* mask.h: from the network's last output to a mask in the head's space, and the picture of both. */
#ifndef MASK_H
#define MASK_H

#include "files/npy.h"
#include "files/volume.h"

/* Where the softmax over y's two channels gives the second more than 0.5: 1, elsewhere 0, as uint8 in head's geometry. y is
 * (1, 2, X, Y, Z): the network's axes D, H, W are the file's x, y, z, the reverse of the file's own order. */
bool mask_make(const struct npy *y, const struct volume *head, struct volume *mask, int64_t *voxels, struct fault *fault);

/* How many voxels differ from the mask in the file at path, which must have the same sizes. */
bool mask_compare(const struct volume *mask, const char *path, int64_t *differing, struct fault *fault);

/* The mask's outline and a tint over the head's middle slices; path is for messages alone. */
bool mask_draw(const struct volume *mask, const struct volume *head, FILE *stream, const char *path, struct fault *fault);

#endif
