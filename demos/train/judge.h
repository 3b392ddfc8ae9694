/* judge.h: the held-out planes at full resolution: the truth, and what several ways make of the coarse ones. */
#ifndef TRAIN_JUDGE_H
#define TRAIN_JUDGE_H

#include "train/decoder.h"
#include "train/head.h"

enum way { WAY_NEAREST, WAY_LINEAR, WAY_CUBIC, WAY_UNTRAINED, WAY_TRAINED, WAY_COUNT };

struct judge {
  const struct engine *engine;
  const struct head *head;
  struct grid truth, results[WAY_COUNT]; /* all of one size: what a decoder keeps of the held-out planes */
};

/* Fills in the truth and the interpolations' results. */
bool judge_open(const struct engine *engine, const struct head *head, struct judge *judge, struct fault *fault);
void judge_close(struct judge *judge);

/* Fills in the decoder's result as that of the given way. */
bool judge_decoder(const struct judge *judge, const struct decoder *decoder, enum way way, struct fault *fault);

/* The mean squared difference from the truth. */
double judge_error(const struct judge *judge, enum way way);

/* Draws the middle plane, radiological view: below the whole of it an enlarged part. From left to right: the coarse voxels, the
 * decoder's before and after its training, the truth; path is for messages alone. */
bool judge_draw(const struct judge *judge, FILE *stream, const char *path, struct fault *fault);

#endif
