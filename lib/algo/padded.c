/* The zero-padded copy of x, and the defines of phases by table. */
#include "algo/padded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

int64_t t3_positions(const t3_problem *problem, int axis) {
  return problem->phases[axis].positions;
}

int64_t t3_span(const t3_problem *problem, int axis) {
  return problem->phases[axis].max_offset - problem->phases[axis].min_offset;
}

bool t3_too_much(char *why, size_t capacity, const char *what, int64_t value, int64_t limit) {
  snprintf(why, capacity, "%s is %" PRId64 ", past the %" PRId64 " that its kernel is made for", what, value, limit);
  return false;
}

double t3_inside(const t3_problem *problem, int axis) {
  double part = (double)problem->layer.axis[axis].in / (double)(t3_positions(problem, axis) * t3_step(problem, axis));
  return part < 1 ? part : 1;
}

int64_t t3_used_residues(const t3_problem *problem, int axis) {
  int64_t used = 0;
  for (int64_t r = 0; r < problem->phases[axis].residues; ++r) used += t3_phase_at(&problem->layer.axis[axis], r).taps > 0;
  return used;
}

int64_t t3_taps_of(const t3_problem *problem, int axis) {
  int64_t sum = 0;
  for (int64_t r = 0; r < problem->phases[axis].residues; ++r) sum += t3_phase_at(&problem->layer.axis[axis], r).taps;
  return sum;
}

int64_t t3_most_taps(const t3_problem *problem, int axis) {
  int64_t most = 1;
  for (int64_t r = 0; r < problem->phases[axis].residues; ++r)
    most = t3_max(most, t3_phase_at(&problem->layer.axis[axis], r).taps);
  return most;
}

int64_t t3_step(const t3_problem *problem, int axis) {
  return t3_input_step(&problem->layer.axis[axis]);
}

/* Inputs that so many values of t reach. */
static int64_t reach(const t3_problem *problem, int axis, int64_t positions) {
  return (positions - 1) * t3_step(problem, axis) + 1 + t3_span(problem, axis);
}

/* Whether kernels that count a plane's elements in 32 bits can take x by rows. */
static bool lies_in_rows(const t3_view *x, const t3_axis *axis) {
  int64_t plane;
  return x->stride[T3_AXIS_W] == 1 && t3_mul(llabs(x->stride[T3_AXIS_H]), axis[T3_H].in, &plane) && plane <= INT32_MAX / 2;
}

t3_padded t3_padded_of(const t3_problem *problem, int64_t rows, int64_t pitch, int64_t slack) {
  const t3_axis *axis = problem->layer.axis;
  const t3_view *x = &problem->layer.x;
  int64_t t_w = t3_positions(problem, T3_W), step = t3_step(problem, T3_W);
  t3_padded padded = {.size = {reach(problem, T3_D, t3_positions(problem, T3_D)),
                               reach(problem, T3_H, t3_round_up(t3_positions(problem, T3_H), rows)),
                               pitch ? pitch : reach(problem, T3_W, t_w)},
                      .slack = slack,
                      .copy = slack > 0 || !t3_is_real(problem, t3_input_type(problem)) || !lies_in_rows(x, axis)};
  /* Where a step is taken along a row, all that lies between is loaded too: a row's last vectors so reach further than its
   * taps. */
  int64_t loaded = (t_w + t3_span(problem, T3_W) / step) * step;
  /* Without any offset and where nothing outside x is reached, the copy would be x itself. */
  bool equal = pitch != 0;
  for (int a = 0; a < 3; ++a)
    if (problem->phases[a].min_offset || (equal ? padded.size[a] != axis[a].in : padded.size[a] > axis[a].in))
      padded.copy = true;
  if (loaded > axis[T3_W].in || (equal && x->stride[T3_AXIS_H] != pitch)) padded.copy = true;
  if (padded.copy) padded.slack += t3_max(loaded - reach(problem, T3_W, t_w), 0);
  for (int a = 0; a < 3 && !padded.copy; ++a) padded.size[a] = axis[a].in;
  return padded;
}

bool t3_x_channels_last(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return t3_lies_channels_last(&layer->x, layer->in_channels, layer->axis[T3_W].in);
}

t3_padded t3_padded_values(const t3_problem *problem, bool channels_last) {
  const t3_axis *axis = problem->layer.axis;
  t3_padded padded = {.copy = !t3_is_real(problem, t3_input_type(problem))};
  for (int a = 0; a < 3; ++a) {
    padded.size[a] = reach(problem, a, t3_positions(problem, a));
    if (problem->phases[a].min_offset || padded.size[a] > axis[a].in) padded.copy = true;
  }
  int64_t row;
  bool already = t3_x_channels_last(problem), rows = problem->layer.x.stride[T3_AXIS_W] == 1;
  bool fits = t3_mul(padded.size[T3_W], problem->layer.in_channels, &row) && row <= INT32_MAX / 2;
  if (channels_last && fits && !already && rows) padded.copy = true;
  padded.channels_last = padded.copy && channels_last && fits && (already || rows);
  for (int a = 0; a < 3 && !padded.copy; ++a) padded.size[a] = axis[a].in;
  return padded;
}

/* Whether no row of x but the first and the last can be followed over its ends, for a row's length, out of x. */
static bool rows_lie_apart(const t3_layer *layer) {
  const int64_t *stride = layer->x.stride, row = layer->axis[T3_W].in;
  const int64_t sizes[] = {layer->batch, layer->in_channels, layer->axis[T3_D].in};
  if (!lies_in_rows(&layer->x, layer->axis) || (layer->axis[T3_H].in > 1 && stride[T3_AXIS_H] < row)) return false;
  for (int i = 0; i < 3; ++i)
    if (sizes[i] > 1 && stride[i] && stride[i] < row) return false;
  return true;
}

void t3_read_in_place(const t3_problem *problem, int64_t step, t3_padded *padded) {
  const t3_phases *w = &problem->phases[T3_W];
  const t3_axis *axis = problem->layer.axis;
  int64_t apart = t3_step(problem, T3_W); /* loads begin and end at multiples of it */
  int64_t margin = t3_round_up(t3_max(-w->min_offset, 0), apart);
  int64_t end = (t3_max(t3_positions(problem, T3_W), step) + t3_max(w->max_offset, 0) / apart) * apart;
  if (!padded->copy || !t3_is_real(problem, t3_input_type(problem)) || !rows_lie_apart(&problem->layer) ||
      margin > axis[T3_W].in || end > 2 * axis[T3_W].in)
    return;
  *padded = (t3_padded){.size = {axis[T3_D].in, axis[T3_H].in, axis[T3_W].in},
                        .margin = margin,
                        .edge_width = margin + t3_max(end, axis[T3_W].in)};
}

void t3_read_strides(const t3_problem *problem, const t3_padded *padded, int64_t stride[5]) {
  int64_t channels = problem->layer.in_channels, step = padded->channels_last ? channels : 1;
  memcpy(stride, problem->layer.x.stride, sizeof problem->layer.x.stride);
  if (!padded->copy) return;
  for (int a = T3_W; a >= T3_D; step *= padded->size[a--]) stride[T3_AXIS_D + a] = step;
  stride[T3_AXIS_C] = padded->channels_last ? 1 : step;
  stride[T3_AXIS_N] = padded->channels_last ? step : step * channels;
}

int64_t t3_last_plane(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  const int64_t *stride = layer->x.stride;
  return (t3_max(layer->batch, 1) - 1) * stride[T3_AXIS_N] + (layer->in_channels - 1) * stride[T3_AXIS_C] +
         (layer->axis[T3_D].in - 1) * stride[T3_AXIS_D];
}

t3_arg t3_x_arg(const t3_padded *padded) {
  return (t3_arg){padded->copy ? T3_WORKSPACE : T3_X, 0};
}

t3_arg t3_edge_arg(const t3_padded *padded) {
  return (t3_arg){padded->edge_width ? T3_WORKSPACE : T3_X, 0};
}

const char *t3_reading(const t3_padded *padded) {
  if (padded->edge_width) return "x read in place with its edges masked";
  return padded->copy ? "x copied with zeros around" : "x read in place";
}

/* Elements; false when they overflow. */
static bool padded_count(const t3_problem *problem, const t3_padded *padded, int64_t *count) {
  *count = t3_max(problem->layer.batch, 1);
  return t3_mul(*count, problem->layer.in_channels, count) && t3_product(count, padded->size, 3) &&
         t3_add(*count, padded->slack, count) && *count < INT64_MAX / 16;
}

enum {
  MAX_FACTOR = 1 << 16, /* of a stride or kernel size: they are multiplied by a few hundred positions or weights */
  MAX_SLACK = 8 * 16    /* of a short line's block */
};

static bool check_axis(const t3_problem *problem, int a, char *why, size_t capacity) {
  const t3_axis *axis = &problem->layer.axis[a];
  if (axis->stride > MAX_FACTOR) return t3_too_much(why, capacity, "a stride", axis->stride, MAX_FACTOR);
  if (axis->kernel > MAX_FACTOR) return t3_too_much(why, capacity, "a kernel_size", axis->kernel, MAX_FACTOR);
  int64_t size = t3_max(axis->in, axis->out), reach = t3_max((axis->kernel - 1) * axis->dilation, axis->padding);
  if (size > INT32_MAX / 4) return t3_too_much(why, capacity, "an input or output size", size, INT32_MAX / 4);
  if (reach > INT32_MAX / 4) return t3_too_much(why, capacity, "the reach or the padding of an axis", reach, INT32_MAX / 4);
  return true;
}

bool t3_check_counts(const t3_problem *problem, char *why, size_t capacity) {
  for (int a = 0; a < 3; ++a)
    if (!check_axis(problem, a, why, capacity)) return false;
  return true;
}

bool t3_padded_check(const t3_problem *problem, int64_t most_rows, char *why, size_t capacity) {
  if (!t3_check_counts(problem, why, capacity)) return false;
  t3_padded padded = t3_padded_of(problem, 1, 0, MAX_SLACK);
  padded.size[T3_H] += most_rows - 1; /* what rounding up to any block adds at most */
  int64_t count, plane = padded.size[T3_H];
  if (!t3_mul(plane, padded.size[T3_W], &plane)) plane = INT64_MAX;
  if (plane > INT32_MAX / 2) return t3_too_much(why, capacity, "the padded plane's number of elements", plane, INT32_MAX / 2);
  if (padded_count(problem, &padded, &count)) return true;
  snprintf(why, capacity, "the padded copy of x overflows 63 bits");
  return false;
}

int64_t t3_padded_bytes(const t3_problem *problem, const t3_padded *padded) {
  int64_t count = 0;
  if (padded->edge_width) return 3 * padded->edge_width * problem->real_size;
  return padded->copy && padded_count(problem, padded, &count) ? count * problem->real_size : 0;
}

double t3_pad_seconds(const t3_problem *problem, const t3_padded *padded) {
  return t3_copy_seconds(problem, t3_padded_bytes(problem, padded) / problem->real_size);
}

void t3_add_pad(const t3_problem *problem, const t3_padded *padded, int64_t width, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  const t3_axis *axis = layer->axis;
  if (!padded->copy && !padded->edge_width) return;
  if (padded->edge_width) {
    int64_t last_row = t3_last_plane(problem) + (axis[T3_H].in - 1) * layer->x.stride[T3_AXIS_H];
    t3_launch *edges = &recipe->run[recipe->num_run++];
    *edges = (t3_launch){.kernel = "edges", .local = 1, .items = 1, .rounds = 3 * padded->edge_width};
    T3_ARGS(edges, {T3_X, 0}, {T3_WORKSPACE, 0}, {T3_NUMBER, last_row}, {T3_NUMBER, axis[T3_W].in},
            {T3_NUMBER, padded->edge_width});
    return;
  }
  t3_copy copy = {.from = {T3_X, 0},
                  .to = {T3_WORKSPACE, 0},
                  .view = &layer->x,
                  .batch = layer->batch,
                  .channels = layer->in_channels,
                  .slack = padded->slack,
                  .width = width,
                  .channels_last = padded->channels_last,
                  .alone = true};
  for (int a = 0; a < 3; ++a) {
    copy.size[a] = axis[a].in, copy.first[a] = problem->phases[a].min_offset, copy.padded[a] = padded->size[a];
  }
  t3_add_copy(problem, &copy, recipe);
}

bool t3_y_channels_last(const t3_problem *problem) {
  const int64_t *stride = problem->layer.y.stride;
  return problem->layer.out_channels > 1 && stride[T3_AXIS_C] == 1 && stride[T3_AXIS_W] != 1;
}

bool t3_stores_rows(const t3_problem *problem, char *why, size_t capacity) {
  const int64_t *stride = problem->layer.y.stride;
  if (stride[T3_AXIS_W] == 1 || t3_y_channels_last(problem)) return true;
  snprintf(why, capacity,
           "in what is written neighbours of W are %" PRId64 " elements apart and those of C %" PRId64
           "; it stores rows of either",
           stride[T3_AXIS_W], stride[T3_AXIS_C]);
  return false;
}

/* part: of the last cache that y outgrows. */
static bool streams_past(const t3_problem *problem, int64_t row, int64_t block, uint64_t part) {
  int64_t size = problem->real_size;
  uint64_t y_bytes = (uint64_t)(problem->layer.y_count * size), cache = t3_cache_share(&problem->device);
  bool whole_lines = row * size % T3_CACHE_LINE == 0 && block * size % T3_CACHE_LINE == 0;
  return whole_lines && t3_is_real(problem, t3_target_type(problem)) && problem->beta == 0 && cache && y_bytes > cache / part;
}

bool t3_streams(const t3_problem *problem, int64_t row, int64_t block) {
  return streams_past(problem, row, block, 4);
}

int64_t t3_streams_rows(const t3_problem *problem, int64_t width, int64_t vectors, int64_t m) {
  int64_t row = problem->layer.axis[T3_W].out, outputs = width * t3_output_step(&problem->layer.axis[T3_W]);
  if (t3_y_channels_last(problem)) return m == problem->layer.out_channels && t3_streams(problem, row * m, outputs * m);
  int64_t together = t3_max(T3_CACHE_LINE / (outputs * problem->real_size), 1); /* a line, or more of them in each vector */
  bool fill = vectors % together == 0 && streams_past(problem, row, outputs * together, together == 1 ? 4 : 2);
  return fill ? together : 0;
}

void t3_define_edges(t3_text *defines, const t3_problem *problem, const t3_padded *padded) {
  t3_define(defines, "EDGES", padded->edge_width > 0);
  if (!padded->edge_width) return;
  const t3_axis *w = &problem->layer.axis[T3_W];
  int64_t last = (t3_positions(problem, T3_W) - 1) * t3_step(problem, T3_W);
  t3_define(defines, "MARGIN", padded->margin);
  t3_define(defines, "FREE_OFFSET", t3_max(t3_min(w->in - 1 - last, problem->phases[T3_W].max_offset), -1));
}

void t3_define_min_offsets(t3_text *defines, const t3_problem *problem) {
  const t3_phases *p = problem->phases;
  t3_define_axes(defines, "MIN_OFFSET", (int64_t[]){p[T3_D].min_offset, p[T3_H].min_offset, p[T3_W].min_offset});
}

void t3_define_tables(t3_text *defines, int a, const t3_problem *problem) {
  const t3_axis *axis = &problem->layer.axis[a];
  const t3_phases *phases = &problem->phases[a];
  t3_text start = {0}, tap = {0}, offset = {0};
  int64_t before = 0;
  for (int64_t r = 0; r < phases->residues; ++r) {
    t3_phase phase = t3_phase_at(axis, r);
    t3_text_append(&start, ",%" PRId64, before += phase.taps);
    t3_text_append(&tap, r ? ",%" PRId64 : "%" PRId64, phase.first_tap);
    t3_text_append(&offset, r ? ",%" PRId64 : "%" PRId64, phase.first_offset);
  }
  bool whole = t3_text_ok(&start) && t3_text_ok(&tap) && t3_text_ok(&offset);
  if (whole)
    t3_text_append(defines, "TAP_START_%c=0%s\nFIRST_TAP_%c=%s\nFIRST_OFFSET_%c=%s\n", "DHW"[a], start.data, "DHW"[a], tap.data,
                   "DHW"[a], offset.data);
  else
    defines->failed = true;
  t3_text_append(defines, "RESIDUES_%c=%" PRId64 "\n", "DHW"[a], phases -> residues);
  t3_text_append(defines, "TAP_STEP_%c=%" PRId64 "\nOFFSET_STEP_%c=%" PRId64 "\n", "DHW"[a], phases -> tap_step, "DHW"[a],
                 phases -> offset_step);
  t3_text_free(&start);
  t3_text_free(&tap);
  t3_text_free(&offset);
}
