/* slices.c: see slices.h. World axes are 0: to the right, 1: to the front, 2: up; voxel axes are 0, 1, 2: the file's x, y, z.
 */
#include "files/slices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  PANELS = 3,
  MARGIN = 8,
  LEAST_SIDE = 256,
  MOST_SIDE = 768,
  SAMPLES = 1 << 20 /* values that the percentiles are taken from at most; more would only cost time */
};

/* Which world axis runs along each panel. All run against the picture: the world's largest coordinate is at the left and at the
 * top. */
static const struct { int across, down, through; } panels[PANELS] = {{0, 1, 2}, {0, 2, 1}, {1, 2, 0}};

/* How a volume's voxels lie in the world. */
struct orientation {
  int voxel_axis[3]; /* of each world axis */
  bool flipped[3];   /* the voxel axis runs against the world axis */
  double spacing[3]; /* of each world axis in mm */
};

/* One panel's slice: values along (down, across) as the file has them. */
struct slice {
  int64_t width, height;
  float *values;
};

static double usable_spacing(double spacing) {
  return isfinite(spacing) && spacing != 0 && fabs(spacing) > 1e-6 && fabs(spacing) < 1e6 ? fabs(spacing) : 1;
}

/* How well voxel axis v points along world axis w, from -1 to 1. */
static double alignment(const double affine[3][4], int w, int v) {
  const double length = sqrt(affine[0][v] * affine[0][v] + affine[1][v] * affine[1][v] + affine[2][v] * affine[2][v]);
  const double cosine = length > 0 ? affine[w][v] / length : 0;
  return isfinite(cosine) ? cosine : 0;
}

/* The assignment of voxel axes to world axes that agrees best, so that an oblique volume still uses each axis once. */
static struct orientation find_orientation(const struct volume_header *header) {
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  double affine[3][4], best = -1;
  struct orientation found = {.voxel_axis = {0, 1, 2}};
  volume_affine(header, affine);
  for (int o = 0; o < 6; ++o) {
    double score = 0;
    for (int w = 0; w < 3; ++w) score += fabs(alignment((const double(*)[4])affine, w, orders[o][w]));
    if (score <= best + 1e-9) continue;
    best = score;
    memcpy(found.voxel_axis, orders[o], sizeof found.voxel_axis);
  }
  for (int w = 0; w < 3; ++w) {
    found.flipped[w] = alignment((const double(*)[4])affine, w, found.voxel_axis[w]) < 0;
    found.spacing[w] = usable_spacing(header->pixdim[found.voxel_axis[w] + 1]);
  }
  return found;
}

static int64_t extent(const struct volume *volume, int voxel_axis) {
  return volume->size[2 - voxel_axis];
}

/* Takes the panel's middle slice, scaled to real values, turned so that it lies as in the picture: its first value is top left.
 */
static bool take_slice(const struct volume *volume, const struct orientation *as, int panel, struct slice *slice,
                       struct fault *fault) {
  const int across = as->voxel_axis[panels[panel].across], down = as->voxel_axis[panels[panel].down];
  const int through = as->voxel_axis[panels[panel].through];
  const int64_t step[3] = {1, volume->size[2], volume->size[2] * volume->size[1]};
  const bool right_to_left = !as->flipped[panels[panel].across], bottom_up = !as->flipped[panels[panel].down];
  double slope, inter;
  volume_scaling(&volume->header, &slope, &inter);
  slice->width = extent(volume, across);
  slice->height = extent(volume, down);
  slice->values = malloc((size_t)(slice->width * slice->height) * sizeof *slice->values);
  if (!slice->values) return fault_set(fault, EXIT_OTHER, "not enough memory for a slice");
  float *to = slice->values;
  for (int64_t row = 0; row < slice->height; ++row)
    for (int64_t column = 0; column < slice->width; ++column, ++to) {
      const int64_t v = bottom_up ? slice->height - 1 - row : row, u = right_to_left ? slice->width - 1 - column : column;
      volume_load(volume, u * step[across] + v * step[down] + extent(volume, through) / 2 * step[through], 1, to);
      *to = (float)(*to * slope + inter);
    }
  return true;
}

/* Linear between the four values around a point in voxel coordinates; the outermost values reach past the border. */
static float sample(const struct slice *slice, double x, double y) {
  x = fmin(fmax(x, 0), (double)(slice->width - 1));
  y = fmin(fmax(y, 0), (double)(slice->height - 1));
  const int64_t left = (int64_t)x, top = (int64_t)y;
  const int64_t right = left + 1 < slice->width ? left + 1 : left, bottom = top + 1 < slice->height ? top + 1 : top;
  const double a = x - (double)left, b = y - (double)top;
  const float *upper = slice->values + top * slice->width, *lower = slice->values + bottom * slice->width;
  /* A weight of 0 must not let a NaN or Inf neighbour in. */
  const double above = a > 0 ? (1 - a) * (double)upper[left] + a * (double)upper[right] : (double)upper[left];
  const double below = a > 0 ? (1 - a) * (double)lower[left] + a * (double)lower[right] : (double)lower[left];
  return (float)(b > 0 ? (1 - b) * above + b * below : above);
}

static int compare_floats(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The grey window: percentiles of the finite values of all slices; unchanged when there are none. */
static bool find_window(const struct slice slices[PANELS], double window[2], struct fault *fault) {
  int64_t total = 0, count = 0;
  for (int p = 0; p < PANELS; ++p) total += slices[p].width * slices[p].height;
  const int64_t stride = total / SAMPLES + 1;
  float *sorted = malloc((size_t)(total / stride + PANELS) * sizeof *sorted);
  if (!sorted) return fault_set(fault, EXIT_OTHER, "not enough memory for the grey window");
  for (int p = 0; p < PANELS; ++p)
    for (int64_t i = 0; i < slices[p].width * slices[p].height; i += stride)
      if (isfinite(slices[p].values[i])) sorted[count++] = slices[p].values[i];
  qsort(sorted, (size_t)count, sizeof *sorted, compare_floats);
  if (count) {
    window[0] = (double)sorted[(int64_t)(0.01 * (double)(count - 1))];
    window[1] = (double)sorted[(int64_t)(0.995 * (double)(count - 1))];
  }
  free(sorted);
  return true;
}

static uint8_t grey_level(double value, const double window[2]) {
  if (isnan(value)) return 0;
  if (!(window[1] > window[0]))
    return value > window[0] ? 255 : value < window[0] ? 0 : 128; /* hardly a second value: mid-grey */
  return (uint8_t)(fmin(fmax((value - window[0]) / (window[1] - window[0]), 0), 1) * 255 + 0.5);
}

/* Where a panel lies in the picture, and how its pixels meet its slice. */
struct frame {
  int left, top, width, height;
};

static int pixels(int64_t voxels, double spacing, double per_mm) {
  return (int)fmax(1, rint((double)voxels * spacing * per_mm));
}

static void lay_out(const struct slices *slices, const struct orientation *as, struct frame frames[PANELS], int *width,
                    int *height) {
  double longest = 0, finest = INFINITY;
  for (int w = 0; w < 3; ++w) {
    longest = fmax(longest, (double)extent(slices->volume, as->voxel_axis[w]) * as->spacing[w]);
    finest = fmin(finest, as->spacing[w]);
  }
  const double side = slices->side ? slices->side : fmin(fmax(longest / finest, LEAST_SIDE), MOST_SIDE);
  *width = MARGIN;
  *height = 0;
  for (int p = 0; p < PANELS; ++p) {
    const int u = panels[p].across, v = panels[p].down;
    frames[p].width = pixels(extent(slices->volume, as->voxel_axis[u]), as->spacing[u], side / longest);
    frames[p].height = pixels(extent(slices->volume, as->voxel_axis[v]), as->spacing[v], side / longest);
    frames[p].left = *width;
    *width += frames[p].width + MARGIN;
    *height = frames[p].height > *height ? frames[p].height : *height;
  }
  for (int p = 0; p < PANELS; ++p) frames[p].top = MARGIN + (*height - frames[p].height) / 2;
  *height += 2 * MARGIN;
}

static float sample_pixel(const struct slice *slice, const struct frame *frame, double x, double y) {
  return sample(slice, (x + 0.5) * (double)slice->width / frame->width - 0.5,
                (y + 0.5) * (double)slice->height / frame->height - 0.5);
}

static void draw_panel(const struct slice *slice, const struct frame *frame, const double window[2], struct picture *picture) {
  for (int y = 0; y < frame->height; ++y)
    for (int x = 0; x < frame->width; ++x) {
      const uint8_t grey = grey_level((double)sample_pixel(slice, frame, x, y), window);
      memset(picture_at(picture, frame->left + x, frame->top + y), grey, 3);
    }
}

/* One pass of the weights 1, 2, 1 along rows or columns, in place, the border repeated. */
static void soften(float *values, int64_t count, int64_t step) {
  float before = values[0];
  for (int64_t i = 0; i < count; ++i) {
    float *at = values + i * step;
    const float here = *at, after = i + 1 < count ? at[step] : here;
    *at = (before + 2 * here + after) / 4;
    before = here;
  }
}

/* Makes a mask's steps a slope about a voxel wide, so that its outline is drawn as a curve and not as a staircase. */
static void soften_slice(const struct slice *slice) {
  for (int64_t row = 0; row < slice->height; ++row) soften(slice->values + row * slice->width, slice->width, 1);
  for (int64_t column = 0; column < slice->width; ++column) soften(slice->values + column, slice->height, slice->width);
}

/* How much of the mask's colour a pixel gets: a tint inside, and a smooth outline. Its distance from the edge in pixels is what
 * the mask's value lacks to 0.5 over the slope there. */
static double mask_strength(const struct slice *mask, const struct frame *frame, int x, int y) {
  static const double tint = 0.22, outline = 0.95, half_width = 1.3;
  const double value = (double)sample_pixel(mask, frame, x, y) - 0.5;
  const double dx = (double)(sample_pixel(mask, frame, x + 1, y) - sample_pixel(mask, frame, x - 1, y)) / 2;
  const double dy = (double)(sample_pixel(mask, frame, x, y + 1) - sample_pixel(mask, frame, x, y - 1)) / 2;
  const double slope = sqrt(dx * dx + dy * dy), inside = value > 0 ? tint : 0;
  const double distance = slope > 0 ? fabs(value) / slope : INFINITY;
  return fmax(inside, outline * fmin(fmax(half_width + 0.5 - distance, 0), 1));
}

static void tint_panel(const struct slice *mask, const struct frame *frame, const uint8_t color[3], struct picture *picture) {
  for (int y = 0; y < frame->height; ++y)
    for (int x = 0; x < frame->width; ++x) {
      const double strength = mask_strength(mask, frame, x, y);
      uint8_t *pixel = picture_at(picture, frame->left + x, frame->top + y);
      for (int c = 0; c < 3; ++c) pixel[c] = (uint8_t)((1 - strength) * pixel[c] + strength * color[c] + 0.5);
    }
}

static bool draw_all(const struct slices *slices, const struct orientation *as, const struct slice grey[PANELS],
                     struct picture *picture, struct fault *fault) {
  struct frame frames[PANELS];
  double window[2] = {0, 1};
  int width, height;
  lay_out(slices, as, frames, &width, &height);
  if (!find_window(grey, window, fault) || !picture_make(picture, width, height, fault)) return false;
  for (int p = 0; p < PANELS; ++p) {
    struct slice mask = {.values = NULL};
    draw_panel(&grey[p], &frames[p], window, picture);
    if (!slices->mask) continue;
    if (!take_slice(slices->mask, as, p, &mask, fault)) return false;
    soften_slice(&mask);
    tint_panel(&mask, &frames[p], slices->color, picture);
    free(mask.values);
  }
  return true;
}

bool slices_draw(const struct slices *slices, struct picture *picture, struct fault *fault) {
  const struct orientation as = find_orientation(&slices->volume->header);
  struct slice grey[PANELS] = {{.values = NULL}};
  bool done = true;
  picture->rgb = NULL;
  for (int p = 0; done && p < PANELS; ++p) done = take_slice(slices->volume, &as, p, &grey[p], fault);
  done = done && draw_all(slices, &as, grey, picture, fault);
  for (int p = 0; p < PANELS; ++p) free(grey[p].values);
  if (!done) picture_free(picture);
  return done;
}

bool slices_write(const struct slices *slices, FILE *stream, const char *path, struct fault *fault) {
  struct picture picture;
  if (!slices_draw(slices, &picture, fault)) return false;
  const bool done = picture_write_png(&picture, stream, path, fault);
  picture_free(&picture);
  return done;
}
