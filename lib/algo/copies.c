#include "algo/copies.h"

#include "base/checked.h"

/* Channels that are turned at a time. */
static int64_t turned_channels(const t3_copy *copy) {
  int64_t channels = copy->channels;
  bool all = copy->alone && channels < copy->width && !(channels & (channels - 1)) && copy->view->stride[T3_AXIS_W] == channels;
  return all ? channels : copy->width;
}

/* Which kernel makes it, with how many work-items; and what brings it into the program. */
static void choose_kernel(const t3_copy *copy, t3_launch *launch, t3_text *defines) {
  const int64_t *stride = copy->view->stride;
  int64_t planes = copy->batch * copy->padded[T3_D];
  bool turned = copy->channels > 1 && stride[T3_AXIS_C] == 1 && stride[T3_AXIS_W] != 1;
  if (copy->channels_last) {
    *launch = (t3_launch){.kernel = "pad_last", .local = 1, .items = planes * copy->padded[T3_H]};
    t3_define(defines, "PAD_LAST", 1);
  } else if (turned) {
    int64_t channels = turned_channels(copy);
    *launch = (t3_launch){.kernel = "pad_turned", .local = 1, .items = planes * t3_ceil_div(copy->channels, channels)};
    t3_define(defines, "PAD_TURNED", channels);
  } else {
    *launch = (t3_launch){.kernel = "pad", .local = 1, .items = planes * copy->channels};
  }
}

void t3_add_copy(const t3_copy *copy, t3_recipe *recipe) {
  t3_launch *launch = &recipe->run[recipe->num_run++];
  const int64_t *size = copy->size, *first = copy->first, *padded = copy->padded, *stride = copy->view->stride;
  choose_kernel(copy, launch, &recipe->defines);
  T3_ARGS(launch, copy->from, copy->to, {T3_NUMBER, copy->channels}, {T3_NUMBER, size[0]}, {T3_NUMBER, size[1]},
          {T3_NUMBER, size[2]}, {T3_NUMBER, first[0]}, {T3_NUMBER, first[1]}, {T3_NUMBER, first[2]}, {T3_NUMBER, padded[0]},
          {T3_NUMBER, padded[1]}, {T3_NUMBER, padded[2]}, {T3_NUMBER, copy->slack}, T3_STRIDES(stride));
}

static bool is_copied(const t3_problem *problem, t3_arg_kind kind) {
  const t3_layer *layer = &problem->layer;
  const t3_view *view = kind == T3_X ? &layer->x : &layer->y;
  return layer->batch && !(t3_is_real(problem, t3_input_type(problem)) && view->dense);
}

t3_arg t3_real_arg(const t3_problem *problem, t3_arg_kind kind, int64_t width, int64_t *used, t3_recipe *recipe) {
  const t3_layer *layer = &problem->layer;
  bool x = kind == T3_X;
  t3_arg arg = {kind, 0}, to = {T3_WORKSPACE, *used};
  if (!is_copied(problem, kind)) return arg;
  t3_copy copy = {.from = arg, .to = to, .view = x ? &layer->x : &layer->y, .batch = layer->batch, .width = width};
  copy.channels = x ? layer->in_channels : layer->out_channels;
  for (int a = 0; a < 3; ++a) copy.size[a] = copy.padded[a] = x ? layer->axis[a].in : layer->axis[a].out;
  t3_add_copy(&copy, recipe);
  *used += x ? layer->x_count : layer->y_count;
  return to;
}
