/* bench_report.c: see bench_report.h. */
#include "tconv3d/bench_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

static bool has_roofline(const struct bench_report *report) {
  return report->roofline.flops_per_second > 0 && report->roofline.bytes_per_second > 0;
}

/* The least time that the roofline allows. */
static double roof_seconds(const struct bench_report *report, const struct bench_result *result) {
  double by_flops = result->gflop * 1e9 / report->roofline.flops_per_second;
  double by_bytes = result->gbyte * 1e9 / report->roofline.bytes_per_second;
  return by_flops > by_bytes ? by_flops : by_bytes;
}

void bench_report_start(struct bench_report *report, const char *device, const tconv3d_roofline *roofline, bool json) {
  *report = (struct bench_report){.device = device, .roofline = *roofline, .json = json};
  report->colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
  if (json) return;
  if (has_roofline(report))
    printf("%s: %.0f GFLOP/s of multiply-adds, copies at %.1f GB/s\n", device, roofline->flops_per_second * 1e-9,
           roofline->bytes_per_second * 1e-9);
  else
    printf("%s: roofline not measured\n", device);
  printf("%-12s %-8s %10s %10s %9s %7s %6s %7s %9s %8s\n", "layer", "algo", "median ms", "min ms", "GFLOP/s", "% peak",
         "% roof", "runs", "cold ms", "plan ms");
}

/* Fields are only ever added at the end: scripts may count on their order. */
static bool print_json(const struct bench_report *report, const struct bench_result *result, struct fault *fault) {
  const struct {
    const char *name, *text; /* text NULL: a number */
    double number;
  } fields[] = {
      {"name", result->name, 0},
      {"op", tconv3d_operation_name(result->operation), 0},
      {"dtype", result->type, 0},
      {"device", report->device, 0},
      {"algo", result->plan.algorithm, 0},
      {"runs", NULL, (double)result->runs},
      {"median_s", NULL, result->median},
      {"min_s", NULL, result->least},
      {"gflops", NULL, result->gflop / result->median},
      {"workspace", NULL, (double)result->plan.workspace_bytes},
      {"peak_gflops", NULL, has_roofline(report) ? report->roofline.flops_per_second * 1e-9 : (double)NAN},
      {"copy_gbs", NULL, has_roofline(report) ? report->roofline.bytes_per_second * 1e-9 : (double)NAN},
      {"cold_s", NULL, result->cold},
      {"warm_plan_s", NULL, result->warm_plan},
      {"roof_gflops", NULL, has_roofline(report) ? result->gflop / roof_seconds(report, result) : (double)NAN},
      {"layout", result->layout, 0},
      {"epilogue", result->epilogue, 0},
  };
  /* cJSON writes NaN, of a roofline that was not measured, as null. */
  cJSON *object = cJSON_CreateObject();
  bool whole = object != NULL;
  for (size_t i = 0; whole && i < sizeof fields / sizeof *fields; ++i)
    whole = fields[i].text ? cJSON_AddStringToObject(object, fields[i].name, fields[i].text) != NULL
                           : cJSON_AddNumberToObject(object, fields[i].name, fields[i].number) != NULL;
  char *text = whole ? cJSON_PrintUnformatted(object) : NULL;
  if (text) puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
  return text ? true : fault_set(fault, EXIT_OTHER, "out of memory");
}

/* Green, yellow or red by the percentage of the roofline; nothing where no person reads. */
static const char *colour_of(const struct bench_report *report, double percent) {
  static const struct {
    double least;
    const char *escape;
  } colours[] = {{85, "\033[32m"}, {70, "\033[33m"}};
  if (!report->colour) return "";
  for (size_t i = 0; i < sizeof colours / sizeof *colours; ++i)
    if (percent >= colours[i].least) return colours[i].escape;
  return "\033[31m";
}

static void print_row(const struct bench_report *report, const struct bench_result *result, double percent) {
  double gflops = result->gflop / result->median;
  if (!has_roofline(report)) {
    printf("%-12s %-8s %10.3f %10.3f %9.2f %7s %6s %7zu %9.1f %8.3f\n", result->name, result->plan.algorithm,
           1e3 * result->median, 1e3 * result->least, gflops, "-", "-", result->runs, 1e3 * result->cold,
           1e3 * result->warm_plan);
    return;
  }
  printf("%-12s %-8s %10.3f %10.3f %9.2f %7.1f %s%6.1f%s %7zu %9.1f %8.3f\n", result->name, result->plan.algorithm,
         1e3 * result->median, 1e3 * result->least, gflops, 1e11 * gflops / report->roofline.flops_per_second,
         colour_of(report, percent), percent, report->colour ? "\033[0m" : "", result->runs, 1e3 * result->cold,
         1e3 * result->warm_plan);
}

bool bench_report_layer(struct bench_report *report, const struct bench_result *result, struct fault *fault) {
  double part = has_roofline(report) ? roof_seconds(report, result) / result->median : 1;
  bool done = true;
  report->sum_of_logs += log(part);
  ++report->layers;
  if (report->json)
    done = print_json(report, result, fault);
  else
    print_row(report, result, 100 * part);
  fflush(stdout);
  return done;
}

void bench_report_end(const struct bench_report *report) {
  if (report->json || !report->layers || !has_roofline(report)) return;
  printf("geometric mean of %% roof over %zu layer%s: %.1f\n", report->layers, report->layers == 1 ? "" : "s",
         100 * exp(report->sum_of_logs / (double)report->layers));
}
