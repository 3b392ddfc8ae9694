#include "algo/copies.h"

#include "base/checked.h"

/* Channels that are turned at a time. */
static int64_t turned_channels(const t3_copy *copy) {
  int64_t channels = copy->channels;
  bool all = copy->alone && channels < copy->width && !(channels & (channels - 1)) && copy->view->stride[T3_AXIS_W] == channels;
  return all ? channels : copy->width;
}

enum { ITEMS_A_UNIT = 8 }; /* then compute units end within some 10 % of each other */

bool t3_lies_channels_last(const t3_view *view, int64_t channels, int64_t width) {
  return channels > 1 && view->stride[T3_AXIS_C] == 1 && (view->stride[T3_AXIS_W] != 1 || width == 1);
}

/* Which kernel makes it, and how many channels a work-item takes; what brings it into the program. */
static const char *choose_kernel(const t3_copy *copy, bool last, int64_t *channels, t3_text *defines) {
  if (last == copy->channels_last) {
    *channels = last ? copy->channels : 1;
    if (last) t3_define(defines, "PAD_LAST", 1);
    return last ? "pad_last" : "pad";
  }
  *channels = last ? turned_channels(copy) : copy->channels;
  t3_define(defines, last ? "PAD_TURNED" : "PAD_TO_LAST", last ? *channels : 1);
  return last ? "pad_turned" : "pad_to_last";
}

void t3_add_copy(const t3_problem *problem, const t3_copy *copy, t3_recipe *recipe) {
  t3_launch *launch = &recipe->run[recipe->num_run++];
  const int64_t *size = copy->size, *first = copy->first, *padded = copy->padded, *stride = copy->view->stride;
  bool last = t3_lies_channels_last(copy->view, copy->channels, size[T3_W]);
  int64_t channels;
  *launch = (t3_launch){.kernel = choose_kernel(copy, last, &channels, &recipe->defines), .local = 1};
  /* Parts of planes: planes alone would leave compute units idle where there are few, as in layers of one or two axes. */
  int64_t planes = copy->batch * padded[T3_D] * t3_ceil_div(copy->channels, channels);
  int64_t wanted = ITEMS_A_UNIT * t3_max(problem->device.compute_units, 1);
  int64_t rows = t3_ceil_div(padded[T3_H], t3_min(t3_ceil_div(wanted, t3_max(planes, 1)), padded[T3_H]));
  int64_t parts = t3_ceil_div(padded[T3_H], rows);
  launch->items = planes * parts;
  launch->rounds = channels * rows * (padded[T3_W] + 2) + copy->slack;
  if (copy->channels_last && !last) /* by squares of width, which take some rounds to turn */
    launch->rounds = 2 * rows * t3_round_up(channels, copy->width) * (t3_round_up(padded[T3_W], copy->width) + 2);
  T3_ARGS(launch, copy->from, copy->to, {T3_NUMBER, copy->channels}, {T3_NUMBER, size[0]}, {T3_NUMBER, size[1]},
          {T3_NUMBER, size[2]}, {T3_NUMBER, first[0]}, {T3_NUMBER, first[1]}, {T3_NUMBER, first[2]}, {T3_NUMBER, padded[0]},
          {T3_NUMBER, padded[1]}, {T3_NUMBER, padded[2]}, {T3_NUMBER, copy->slack}, {T3_NUMBER, parts}, {T3_NUMBER, rows},
          T3_STRIDES(stride));
}

static bool is_copied(const t3_problem *problem, t3_arg_kind kind) {
  const t3_layer *layer = &problem->layer;
  const t3_view *view = kind == T3_X ? &layer->x : &layer->y;
  return layer->batch && !(t3_is_real(problem, t3_input_type(problem)) && view->dense);
}

double t3_copy_seconds(const t3_problem *problem, int64_t count) {
  return count ? t3_stream_seconds(&problem->device, 2 * count) + 30e-6 : 0; /* 30 us: the launch, measured */
}

double t3_real_seconds(const t3_problem *problem) {
  const t3_layer *layer = &problem->layer;
  return (is_copied(problem, T3_X) ? t3_copy_seconds(problem, layer->x_count) : 0) +
         (is_copied(problem, T3_GY) ? t3_copy_seconds(problem, layer->y_count) : 0);
}

t3_arg t3_real_arg(const t3_problem *problem, t3_arg_kind kind, int64_t width, int64_t *used, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  bool x = kind == T3_X;
  t3_arg arg = {kind, 0}, to = {T3_WORKSPACE, *used};
  if (!is_copied(problem, kind)) return arg;
  t3_copy copy = {.from = arg, .to = to, .view = x ? &layer->x : &layer->y, .batch = layer->batch, .width = width};
  copy.channels = x ? layer->in_channels : layer->out_channels;
  for (int a = 0; a < 3; ++a) copy.size[a] = copy.padded[a] = x ? layer->axis[a].in : layer->axis[a].out;
  t3_add_copy(problem, &copy, recipe);
  *used += x ? layer->x_count : layer->y_count;
  return to;
}
