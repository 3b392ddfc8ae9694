#include "plan/split.h"

#include "base/checked.h"

enum { MAX_PARTS = 1024 }; /* each is a command with an event of its own */

void t3_cut_launches(int64_t parts, t3_recipe *recipe) {
  for (int i = 0; i < recipe->num_run; ++i) {
    t3_launch *launch = &recipe->run[i];
    if (!launch->kernel) continue;
    int64_t groups = t3_ceil_div(launch->items, (int64_t)launch->local), part = t3_ceil_div(groups, parts);
    launch->part = groups > part ? part * (int64_t)launch->local : 0;
  }
}

void t3_split_launches(const t3_problem *problem, double seconds, t3_recipe *recipe) {
  double limit = problem->device.max_launch_seconds;
  if (limit > 0 && seconds > limit)
    t3_cut_launches((int64_t)t3_max((int64_t)(seconds / limit < MAX_PARTS ? seconds / limit + 1 : MAX_PARTS), 2), recipe);
}
