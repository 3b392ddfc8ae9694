/* Where a driver ends loops early, what might need more rounds is refused. The count is an estimate from above: such a driver
 * says nothing, and neither does a self-test, whose layer is small. */
#include "plan/rounds.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/status.h"
#include "device/quirks.h"

/* Every loop may count, unrolled ones too. A round for each multiply-add is enough for them all: vectors have four sums at
 * least, kernels without them take several channels at a time. */
static double rounds_of_run(const t3_problem *problem, const t3_launch *launch) {
  const t3_layer *layer = &problem->layer;
  if (!launch->kernel || !launch->items) return 0;
  if (launch->rounds) return (double)launch->rounds;
  double adds = t3_layer_flops(layer) / 2;
  return (adds + (double)layer->x_count + (double)layer->y_count) / (double)launch->items;
}

static double rounds_of_pack(const t3_problem *problem, const t3_recipe *recipe) {
  const t3_launch *pack = &recipe->pack;
  if (!pack->kernel || !pack->items) return 0;
  if (pack->rounds) return (double)pack->rounds;
  return 2 * (double)(recipe->packed_bytes / problem->real_size) / (double)pack->items;
}

static double most_rounds(const t3_problem *problem, const t3_recipe *recipe) {
  double most = rounds_of_pack(problem, recipe);
  for (int i = 0; i < recipe->num_run; ++i) {
    double rounds = rounds_of_run(problem, &recipe->run[i]);
    if (rounds > most) most = rounds;
  }
  return most;
}

bool t3_rounds_fit(const t3_problem *problem, const t3_recipe *recipe) {
  return !t3_has_quirk(&problem->device, T3_FEW_ROUNDS) || most_rounds(problem, recipe) <= T3_MOST_ROUNDS;
}

tconv3d_status t3_rounds_check(const t3_problem *problem, const t3_recipe *recipe) {
  if (t3_rounds_fit(problem, recipe)) return TCONV3D_OK;
  return t3_fail(TCONV3D_UNSUPPORTED,
                 "a work-item may need %.0f rounds of its loops; the driver of device '%s' ends them after %d",
                 most_rounds(problem, recipe), problem->device.name, T3_MOST_ROUNDS);
}
