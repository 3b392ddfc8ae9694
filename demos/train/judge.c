/* judge.c: see judge.h. */
#include "train/judge.h"

#include <stdlib.h>
#include <string.h>

#include "tconv3d/interpolate.h"

/* ---- interpolation ---- */

/* The interpolation as the layer that it is, from the planes with what it wants around them to the fine planes. */
static tconv3d_status run(const struct judge *judge, const struct interpolator *interpolator, const float *x, float *y) {
  tconv3d_plan *plan = NULL;
  tconv3d_weights *weights = NULL;
  tconv3d_status status = tconv3d_plan_create(judge->engine->context, &interpolator->desc, NULL, &plan);
  if (status == TCONV3D_OK) status = tconv3d_weights_create_host(plan, interpolator->weight, NULL, &weights);
  if (status == TCONV3D_OK) status = tconv3d_run(plan, weights, x, y);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  return status;
}

/* Fills x from the head and crops y as the decoder does. */
static bool interpolate(const struct judge *judge, const struct interpolator *interpolator, float *x, const struct grid *y,
                        const struct grid *result, struct fault *fault) {
  static const int64_t crop[3] = {DECODER_CROP, DECODER_CROP, DECODER_CROP};
  const struct grid *coarse = &judge->head->coarse;
  struct volume volume = {.type = VOLUME_F32, .count = 1, .data = coarse->values};
  memcpy(volume.size, coarse->size, sizeof volume.size);
  volume.voxels = coarse->size[0] * coarse->size[1] * coarse->size[2];
  interpolator_gather(interpolator, &volume, 0, judge->head->held_out, x);
  const tconv3d_status status = run(judge, interpolator, x, y->values);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  grid_copy(y, crop, result->size, 0, result->values);
  return true;
}

static bool interpolate_by(const struct judge *judge, enum interpolation kind, const struct grid *result, struct fault *fault) {
  const int64_t factor[3] = {2, 2, 2}, *size = judge->head->coarse.size, planes = judge->head->cube;
  const int64_t coarse[3] = {planes, size[1], size[2]}, fine[3] = {2 * planes, 2 * size[1], 2 * size[2]};
  struct interpolator interpolator;
  struct grid x = {.values = NULL}, y = {.values = NULL};
  const bool done = interpolator_make(&interpolator, kind, factor, coarse, fault) &&
                    grid_make(interpolator.desc.input_size, &x, fault) && grid_make(fine, &y, fault) &&
                    interpolate(judge, &interpolator, x.values, &y, result, fault);
  interpolator_free(&interpolator);
  grid_free(&x);
  grid_free(&y);
  return done;
}

bool judge_open(const struct engine *engine, const struct head *head, struct judge *judge, struct fault *fault) {
  int64_t at[3], size[3];
  *judge = (struct judge){.engine = engine, .head = head};
  for (int axis = 0; axis < 3; ++axis) {
    at[axis] = 2 * (axis ? 0 : head->held_out) + DECODER_CROP;
    size[axis] = 2 * (axis ? head->coarse.size[axis] : head->cube) - 2 * DECODER_CROP;
  }
  bool done = grid_make(size, &judge->truth, fault);
  for (int way = 0; done && way < WAY_COUNT; ++way) done = grid_make(size, &judge->results[way], fault);
  if (!done) return false;
  grid_copy(&head->fine, at, size, 0, judge->truth.values);
  return interpolate_by(judge, INTERPOLATE_NEAREST, &judge->results[WAY_NEAREST], fault) &&
         interpolate_by(judge, INTERPOLATE_LINEAR, &judge->results[WAY_LINEAR], fault) &&
         interpolate_by(judge, INTERPOLATE_CUBIC, &judge->results[WAY_CUBIC], fault);
}

void judge_close(struct judge *judge) {
  grid_free(&judge->truth);
  for (int way = 0; way < WAY_COUNT; ++way) grid_free(&judge->results[way]);
}

/* ---- decoding ---- */

/* Where the tile after one begins. Tiles overlap by what the decoder crops; the last one is moved back to end where the planes
 * do. */
static int64_t next_tile(int64_t at, int64_t size) {
  const int64_t next = at + DECODER_IN - DECODER_CROP, last = size - DECODER_IN;
  return at >= last ? size : next < last ? next : last;
}

/* A tile is as deep as the held-out planes, so its result is as deep as all of the result. */
static void put_tile(const struct grid *result, const int64_t at[3], const float *y, float offset) {
  for (int64_t d = 0; d < DECODER_OUT; ++d)
    for (int64_t h = 0; h < DECODER_OUT; ++h) {
      float *row = grid_at(result, d, 2 * at[1] + h, 2 * at[2]);
      for (int64_t w = 0; w < DECODER_OUT; ++w) row[w] = *y++ + offset;
    }
}

static bool decode_tile(const struct judge *judge, const struct decoder *decoder, const int64_t at[3],
                        const struct grid *result, struct fault *fault) {
  const struct tensor *output = decoder_output(decoder);
  float *x = tensor_map(judge->engine, &decoder->x, CL_MAP_WRITE, fault);
  if (!x) return false;
  const float offset = head_cube(judge->head, at, x);
  if (!tensor_unmap(judge->engine, &decoder->x, x, fault) || !decoder_forward(decoder, fault)) return false;
  float *y = tensor_map(judge->engine, output, CL_MAP_READ, fault);
  if (!y) return false;
  put_tile(result, at, y, offset);
  return tensor_unmap(judge->engine, output, y, fault);
}

bool judge_decoder(const struct judge *judge, const struct decoder *decoder, enum way way, struct fault *fault) {
  const int64_t *size = judge->head->coarse.size;
  bool done = true;
  for (int64_t h = 0; h < size[1]; h = next_tile(h, size[1]))
    for (int64_t w = 0; done && w < size[2]; w = next_tile(w, size[2]))
      done = decode_tile(judge, decoder, (const int64_t[3]){judge->head->held_out, h, w}, &judge->results[way], fault);
  return done;
}

double judge_error(const struct judge *judge, enum way way) {
  const struct grid *truth = &judge->truth, *result = &judge->results[way];
  const int64_t count = truth->size[0] * truth->size[1] * truth->size[2];
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double difference = (double)result->values[i] - (double)truth->values[i];
    sum += difference * difference;
  }
  return sum / (double)count;
}
