/* bench_report.h: what `tconv3d bench` prints: a table for people, or a JSON object a layer for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <tconv3d/tconv3d.h>

#include "files/fault.h"

/* One layer's figures. Times in seconds. */
struct bench_result {
  const char *name; /* the layer's */
  tconv3d_operation operation;
  const char *type, *layout, *epilogue;
  tconv3d_plan_info plan;
  size_t runs;
  double median, least; /* of a call */
  double cold;          /* from the plan's creation to the end of the first call */
  double warm_plan;     /* a second plan of the same layer */
  double gflop, gbyte;  /* of a call: useful operations; x, w, y and a residual once */
};

struct bench_report {
  const char *device;
  tconv3d_roofline roofline;
  bool json, colour;
  double sum_of_logs; /* of the parts of the roofline */
  size_t layers;
};

/* roofline: zeros where it could not be measured: then nothing is said of it, and in JSON its numbers are null. */
void bench_report_start(struct bench_report *report, const char *device, const tconv3d_roofline *roofline, bool json);
bool bench_report_layer(struct bench_report *report, const struct bench_result *result, struct fault *fault);
void bench_report_end(const struct bench_report *report);

#endif
