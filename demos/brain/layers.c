/* layers.c: see layers.h. */
#include "brain/layers.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 15, PATH_BYTES = 4096 };

#define SHAPE "(%" SCNd64 ", %" SCNd64 ", %" SCNd64 ", %" SCNd64 ", %" SCNd64 ")"
#define INTO_SHAPE(to) &(to)[0], &(to)[1], &(to)[2], &(to)[3], &(to)[4]

static bool parse_layer(const char *line, struct layer *layer) {
  const tconv3d_desc defaults = TCONV3D_DESC_INIT;
  int64_t x[5], w[5], stride, padding, output_padding;
  char bias[4];
  const int found = sscanf(line,
                           "%31s " SHAPE " " SHAPE " stride %" SCNd64 " padding %" SCNd64 " output_padding %" SCNd64
                           " bias %3s output " SHAPE " sum %lf sum|y| %lf",
                           layer->name, INTO_SHAPE(x), INTO_SHAPE(w), &stride, &padding, &output_padding, bias,
                           INTO_SHAPE(layer->output), &layer->sum, &layer->magnitude);
  if (found != 22 || (strcmp(bias, "yes") && strcmp(bias, "no"))) return false;
  tconv3d_desc *desc = &layer->desc;
  *desc = defaults;
  desc->batch = x[0];
  desc->in_channels = x[1];
  desc->out_channels = w[1];
  memcpy(desc->input_size, x + 2, sizeof desc->input_size);
  memcpy(desc->kernel_size, w + 2, sizeof desc->kernel_size);
  TCONV3D_ALL_AXES(desc->stride, stride);
  TCONV3D_ALL_AXES(desc->padding, padding);
  TCONV3D_ALL_AXES(desc->output_padding, output_padding);
  desc->has_bias = !strcmp(bias, "yes");
  return w[0] == x[1];
}

static bool parse_line(const char *line, struct layers *layers) {
  if (sscanf(line, "mask voxels %" SCNd64, &layers->mask_voxels) == 1) return true;
  return layers->count < MOST_LAYERS && parse_layer(line, &layers->list[layers->count++]);
}

bool layers_read(const char *dir, struct layers *layers, struct fault *fault) {
  char path[PATH_BYTES], line[512];
  int number = 0;
  bool done = true;
  memset(layers, 0, sizeof *layers);
  layers->mask_voxels = -1;
  snprintf(path, sizeof path, "%s/layers.txt", dir);
  FILE *file = fopen(path, "r");
  if (!file) return fault_set(fault, EXIT_WRONG_USE, "%s: cannot open: %s", path, strerror(errno));
  while (done && fgets(line, sizeof line, file)) {
    ++number;
    done = parse_line(line, layers) || fault_set(fault, EXIT_WRONG_USE, "%s: line %d is no layer", path, number);
  }
  fclose(file);
  if (done && (layers->count == 0 || layers->mask_voxels < 0))
    done = fault_set(fault, EXIT_WRONG_USE, "%s: no layers, or no line `mask voxels V`", path);
  return done;
}

/* Reads one array and checks that it has the shape that the list gives it. */
static bool read_array(const char *dir, const struct layer *layer, const char *part, int rank, const int64_t *shape,
                       struct npy *array, struct fault *fault) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s_%s.npy", dir, layer->name, part);
  if (!npy_read(path, part, array, fault)) return false;
  if (array->rank != rank || memcmp(array->shape, shape, (size_t)rank * sizeof *shape))
    return fault_set(fault, EXIT_WRONG_USE, "%s: its shape is not the one in layers.txt", path);
  return npy_convert(array, NPY_F32, fault);
}

struct arrays {
  struct npy x, w, b;
};

static bool read_arrays(const char *dir, const struct layer *layer, struct arrays *arrays, struct fault *fault) {
  const tconv3d_desc *desc = &layer->desc;
  const int64_t *in = desc->input_size, *k = desc->kernel_size;
  const int64_t x[5] = {desc->batch, desc->in_channels, in[0], in[1], in[2]};
  const int64_t w[5] = {desc->in_channels, desc->out_channels, k[0], k[1], k[2]};
  return read_array(dir, layer, "input", 5, x, &arrays->x, fault) &&
         read_array(dir, layer, "weight", 5, w, &arrays->w, fault) &&
         (!desc->has_bias || read_array(dir, layer, "bias", 1, &desc->out_channels, &arrays->b, fault));
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The first run is not counted: it may touch memory for the first time. */
static bool time_runs(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x, void *y, double *median,
                      struct fault *fault) {
  double seconds[RUNS];
  for (int run = -1; run < RUNS; ++run) {
    const double start = seconds_now();
    const tconv3d_status status = tconv3d_run(plan, weights, x, y);
    if (status != TCONV3D_OK) return fault_from_status(fault, status);
    if (run >= 0) seconds[run] = seconds_now() - start;
  }
  qsort(seconds, RUNS, sizeof *seconds, compare_doubles);
  *median = seconds[RUNS / 2];
  return true;
}

static double deviation(const struct layer *layer, const struct npy *y) {
  double sum = 0, magnitude = 0;
  const float *values = y->data;
  for (size_t i = 0; i < y->count; ++i) {
    sum += (double)values[i];
    magnitude += fabs((double)values[i]);
  }
  return fmax(fabs(sum - layer->sum), fabs(magnitude - layer->magnitude)) / layer->magnitude;
}

static double operations(const tconv3d_desc *desc) {
  double count = 2.0 * (double)desc->batch * (double)desc->in_channels * (double)(desc->out_channels / desc->groups);
  for (int axis = 0; axis < 3; ++axis) count *= (double)desc->input_size[axis] * (double)desc->kernel_size[axis];
  return count;
}

static bool run_plan(const struct layer *layer, const tconv3d_plan *plan, const struct arrays *arrays, struct npy *y,
                     struct measurement *measurement, struct fault *fault) {
  tconv3d_plan_info info;
  tconv3d_weights *weights = NULL;
  tconv3d_status status = tconv3d_plan_query(plan, &info);
  if (status == TCONV3D_OK) status = tconv3d_weights_create_host(plan, arrays->w.data, arrays->b.data, &weights);
  bool done = status == TCONV3D_OK || fault_from_status(fault, status);
  if (done && memcmp(info.output_shape, layer->output, sizeof layer->output))
    done =
        fault_set(fault, EXIT_WRONG_USE, "layers.txt: %s: the output's shape does not follow from the parameters", layer->name);
  done = done && npy_make(y, NPY_F32, 5, info.output_shape, fault) &&
         time_runs(plan, weights, arrays->x.data, y->data, &measurement->seconds, fault);
  if (done) {
    measurement->algorithm = info.algorithm;
    measurement->gflops = operations(&layer->desc) / measurement->seconds * 1e-9;
    measurement->off = deviation(layer, y);
  }
  tconv3d_weights_destroy(weights);
  return done;
}

bool layer_run(const struct layer *layer, const char *dir, tconv3d_context *context, const struct device_options *device,
               struct npy *y, struct measurement *measurement, struct fault *fault) {
  struct arrays arrays = {.x = {.data = NULL}};
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  tconv3d_plan *plan = NULL;
  options.algorithm = device->algorithm;
  bool done = read_arrays(dir, layer, &arrays, fault);
  if (done) {
    const tconv3d_status status = tconv3d_plan_create(context, &layer->desc, &options, &plan);
    done = status == TCONV3D_OK || fault_from_status(fault, status);
  }
  if (done && device->verbose) fprintf(stderr, "%s:\n%s\n", layer->name, tconv3d_plan_explain(plan));
  done = done && run_plan(layer, plan, &arrays, y, measurement, fault);
  tconv3d_plan_destroy(plan);
  npy_free(&arrays.x);
  npy_free(&arrays.w);
  npy_free(&arrays.b);
  return done;
}
