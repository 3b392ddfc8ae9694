/* progress.h: a bar with the time that is left, on stderr when that is a terminal; elsewhere every call does nothing. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
  bool shown;
  const char *label; /* kept: must outlive the bar */
  int64_t total, done;
  double start, drawn; /* seconds_now() at the start and at the last drawing */
};

/* total: how many steps make the whole, in any unit. */
void progress_start(struct progress *progress, int64_t total, const char *label);
void progress_step(struct progress *progress, int64_t steps);
/* Wipes the bar until the next step, so that a line can be printed in between. */
void progress_hide(struct progress *progress);
/* Wipes the bar for good, so that what is printed next begins on a clean line. */
void progress_end(struct progress *progress);

#endif
