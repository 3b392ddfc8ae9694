/* slices.h: the three orthogonal slices through the middle of a volume, side by side: axial, coronal, sagittal.
 *
 * Radiological view by the header's world coordinates: the patient's right is on the left of the axial and coronal slices, the
 * front on the left of the sagittal one and at the top of the axial one, up is up. Without world coordinates x, y, z are taken
 * to run to the right, to the front and up. Lengths are true to the spacing. */
#ifndef SLICES_H
#define SLICES_H

#include <stdio.h>

#include "files/picture.h"
#include "files/volume.h"

struct slices {
  const struct volume *volume; /* its first 3D volume is drawn, grey from percentile 1 to 99.5 of the slices' values */
  const struct volume *mask;   /* NULL or a volume of the same sizes: where it is over 0.5 it is tinted, with an outline */
  uint8_t color[3];            /* of the mask */
  int side;                    /* wanted length of the longest side of a slice in pixels; 0: one pixel a voxel, within reason */
};

bool slices_draw(const struct slices *slices, struct picture *picture, struct fault *fault);
/* Draws and writes a PNG; path is for messages alone. */
bool slices_write(const struct slices *slices, FILE *stream, const char *path, struct fault *fault);

#endif
