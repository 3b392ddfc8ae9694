/* draw.c: the picture of judge.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files/picture.h"
#include "train/judge.h"

enum {
  PANELS = 4,
  MARGIN = 8,
  PIXELS = 2,    /* of a voxel's side in the whole plane */
  MAGNIFIED = 3, /* how many times more in the part, which so has a third of the plane's rows and columns */
};
/* Where the part lies among the rows and columns that it leaves over. */
static const double part_across = 0.5, part_down = 0.27;

static int compare_floats(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Black and white: percentiles 1 and 99.5 of the truth's middle plane. */
static bool find_window(const float *plane, int64_t count, float window[2], struct fault *fault) {
  float *sorted = malloc((size_t)count * sizeof *sorted);
  if (!sorted) return fault_set(fault, EXIT_OTHER, "not enough memory for the grey window");
  memcpy(sorted, plane, (size_t)count * sizeof *sorted);
  qsort(sorted, (size_t)count, sizeof *sorted, compare_floats);
  window[0] = sorted[count / 100];
  window[1] = sorted[count - 1 - count / 200];
  free(sorted);
  return true;
}

static uint8_t grey_level(float value, const float window[2]) {
  const float span = window[1] - window[0];
  return span > 0 ? (uint8_t)(fminf(fmaxf((value - window[0]) / span, 0), 1) * 255 + 0.5F) : 128;
}

/* A rectangle of voxels as the picture shows it, before the plane is turned into the view. */
struct view {
  int64_t row, column, rows, columns;
  int pixels; /* of a voxel's side */
};

/* The voxels' squares, unsmoothed: how large they are is what is to be seen. */
static void draw_view(const struct judge *judge, const struct grid *grid, const struct view *view, const float window[2],
                      const struct picture *picture, int left, int top) {
  const struct head *head = judge->head;
  for (int y = 0; y < (int)view->rows * view->pixels; ++y)
    for (int x = 0; x < (int)view->columns * view->pixels; ++x) {
      const int64_t row = view->row + y / view->pixels, column = view->column + x / view->pixels;
      const int64_t h = head->back_to_front ? grid->size[1] - 1 - row : row;
      const int64_t w = head->left_to_right ? grid->size[2] - 1 - column : column;
      memset(picture_at(picture, left + x, top + y), grey_level(*grid_at(grid, grid->size[0] / 2, h, w), window), 3);
    }
}

static void draw_panels(const struct judge *judge, const struct view views[2], const float window[2],
                        const struct picture *picture) {
  const struct grid *panels[PANELS] = {&judge->results[WAY_NEAREST], &judge->results[WAY_UNTRAINED],
                                       &judge->results[WAY_TRAINED], &judge->truth};
  for (int p = 0; p < PANELS; ++p) {
    const int left = MARGIN + p * ((int)views[0].columns * PIXELS + MARGIN);
    draw_view(judge, panels[p], &views[0], window, picture, left, MARGIN);
    draw_view(judge, panels[p], &views[1], window, picture, left, 2 * MARGIN + (int)views[0].rows * PIXELS);
  }
}

bool judge_draw(const struct judge *judge, FILE *stream, const char *path, struct fault *fault) {
  const struct grid *truth = &judge->truth;
  const int64_t rows = truth->size[1], columns = truth->size[2], part_rows = rows / MAGNIFIED,
                part_columns = columns / MAGNIFIED;
  const struct view views[2] = {{0, 0, rows, columns, PIXELS},
                                {(int64_t)(part_down * (double)(rows - part_rows)),
                                 (int64_t)(part_across * (double)(columns - part_columns)), part_rows, part_columns,
                                 PIXELS * MAGNIFIED}};
  const int width = MARGIN + PANELS * ((int)columns * PIXELS + MARGIN);
  const int height = 3 * MARGIN + (int)(rows + part_rows * MAGNIFIED) * PIXELS;
  struct picture picture = {.rgb = NULL};
  float window[2];
  bool done = find_window(grid_at(truth, truth->size[0] / 2, 0, 0), rows * columns, window, fault) &&
              picture_make(&picture, width, height, fault);
  if (done) {
    draw_panels(judge, views, window, &picture);
    done = picture_write_png(&picture, stream, path, fault);
  }
  picture_free(&picture);
  return done;
}
