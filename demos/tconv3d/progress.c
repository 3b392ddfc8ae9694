/* progress.c: see progress.h. */
#include "tconv3d/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tconv3d/command.h"

enum { BAR_WIDTH = 32 };
static const double redraw_seconds = 0.1; /* often enough to look alive, seldom enough to cost nothing */

static void draw(const struct progress *progress, double now) {
  char bar[BAR_WIDTH + 1];
  double share = progress->total > 0 ? (double)progress->done / (double)progress->total : 1, passed = now - progress->start;
  if (share > 1) share = 1;
  size_t filled = (size_t)(share * BAR_WIDTH);
  memset(bar, '#', filled);
  memset(bar + filled, '.', BAR_WIDTH - filled);
  bar[BAR_WIDTH] = 0;
  fprintf(stderr, "\r%s [%s] %3.0f%%", progress->label, bar, 100 * share);
  if (share > 0) {
    int64_t left = (int64_t)(passed / share * (1 - share) + 0.5);
    fprintf(stderr, " %lld:%02lld left ", (long long)(left / 60), (long long)(left % 60));
  }
  fflush(stderr);
}

void progress_start(struct progress *progress, int64_t total, const char *label) {
  double now = seconds_now();
  *progress = (struct progress){isatty(STDERR_FILENO) != 0, label, total, 0, now, now};
  if (progress->shown) draw(progress, now);
}

void progress_step(struct progress *progress, int64_t steps) {
  progress->done += steps;
  if (!progress->shown) return;
  double now = seconds_now();
  if (now - progress->drawn < redraw_seconds && progress->done < progress->total) return;
  draw(progress, now);
  progress->drawn = now;
}

void progress_hide(struct progress *progress) {
  if (!progress->shown) return;
  fprintf(stderr, "\r\033[K");
  fflush(stderr);
  progress->drawn = 0;
}

void progress_end(struct progress *progress) {
  progress_hide(progress);
  progress->shown = false;
}
