#include "algo/multiplier.h"

#include <stdio.h>
#include <string.h>

#include "algo/tile.h"
#include "device/quirks.h"

#define BROADCAST_ROW(size, feature) \
  { T3_MULTIPLY_BROADCAST, "rows by broadcasts to sub-groups of " #size, size, 0, 0, 1, 1, 0, feature, feature }
#define DPAS_ROW(size, f16, bf16) \
  { T3_MULTIPLY_DPAS, "matrices by sub-groups of " #size, size, 8, size, 2, 8, TCONV3D_ALLOW_MATRICES, f16, bf16 }

/* Rates are those of the makers' figures beside float32's, halved: a guess until they are measured. */
const t3_multiplier t3_multipliers[T3_MULTIPLIERS] = {
    {T3_MULTIPLY_FMA, "", 1, 0, 0, 1, 1, 0, T3_NUM_FEATURES, T3_NUM_FEATURES},
    BROADCAST_ROW(8, T3_SUBGROUPS_8),
    BROADCAST_ROW(16, T3_SUBGROUPS_16),
    BROADCAST_ROW(32, T3_SUBGROUPS_32),
    BROADCAST_ROW(64, T3_SUBGROUPS_64),
    {T3_MULTIPLY_MMA, "matrices by mma.sync", 32, 16, 8, 2, 8, TCONV3D_ALLOW_MATRICES, T3_MMA_F16, T3_MMA_BF16},
    {T3_MULTIPLY_TF32, "matrices of TF32 by mma.sync", 32, 16, 8, 1, 4, TCONV3D_ALLOW_TF32, T3_MMA_TF32, T3_MMA_TF32},
    DPAS_ROW(8, T3_DPAS_8_F16, T3_DPAS_8_BF16),
    DPAS_ROW(16, T3_DPAS_16_F16, T3_DPAS_16_BF16),
    {T3_MULTIPLY_HALF, "short sums in float16", 1, 0, 0, 1, 1.5, TCONV3D_ALLOW_HALF, T3_HALF, T3_HALF},
};

static bool is_short(tconv3d_dtype dtype) {
  return dtype == TCONV3D_F16 || dtype == TCONV3D_BF16;
}

/* Words of two terms hold values as they are stored, so both factors must be of the same short type: then a product of two is
 * exact in float32, and the sums are what they are without matrices but for the order and, on some devices, rounding towards 0.
 * TF32 is for what these do not serve. The factors are x and w; of the gradient of w they are x and gy, which have one type. */
static bool types_suit(const t3_problem *problem, const t3_multiplier *multiplier) {
  tconv3d_dtype x = problem->layer.dtype;
  bool same = t3_work_of(problem->operation) == T3_WEIGHT_GRADIENT || x == problem->layer.weight_dtype;
  bool same_short = same && is_short(x);
  if (problem->real_size != 4) return multiplier->kind == T3_MULTIPLY_FMA;
  if (multiplier->word_terms == 2) return same_short;
  return multiplier->kind != T3_MULTIPLY_TF32 || !same_short;
}

static bool is_permitted(const t3_problem *problem, const t3_multiplier *multiplier) {
  return !multiplier->permission || (problem->reduced_precision & multiplier->permission);
}

static t3_feature_set needed(const t3_problem *problem, const t3_multiplier *multiplier) {
  if (multiplier->kind == T3_MULTIPLY_FMA) return 0;
  return t3_feature_bit(problem->layer.dtype == TCONV3D_BF16 ? multiplier->feature_bf16 : multiplier->feature);
}

/* Where registers depend on the size of sub-groups, the smallest ones have the most. Where a work-item has 128, broadcasts were
 * spilled. */
static bool has_registers(const t3_problem *problem, const t3_multiplier *multiplier) {
  const tconv3d_device_info *device = &problem->device;
  if (multiplier->lanes == 1 || !t3_has_quirk(device, T3_REGISTERS_ON_REQUEST)) return true;
  return (unsigned)multiplier->lanes == t3_least_sub_group(device) && device->registers >= 256;
}

bool t3_multiplier_there(const t3_problem *problem, int64_t number) {
  const t3_multiplier *multiplier = t3_multiplier_of(number);
  t3_feature_set needs = t3_is_twin(number) ? (t3_feature_set)T3_TWINS : needed(problem, multiplier);
  return types_suit(problem, multiplier) && is_permitted(problem, multiplier) && (problem->features & needs) == needs &&
         (t3_is_twin(number) || has_registers(problem, multiplier));
}

t3_feature_set t3_features_wanted(const t3_problem *problem) {
  t3_feature_set wanted = 0;
  if (t3_work_of(problem->operation) == T3_BIAS_GRADIENT) return 0;
  for (int i = 0; i < T3_MULTIPLIERS; ++i)
    if (types_suit(problem, &t3_multipliers[i]) && is_permitted(problem, &t3_multipliers[i]) &&
        has_registers(problem, &t3_multipliers[i]))
      wanted |= needed(problem, &t3_multipliers[i]);
  return wanted;
}

void t3_define_multiplier(t3_text *defines, int64_t number) {
  const t3_multiplier *multiplier = t3_multiplier_of(number);
  t3_define(defines, "MULTIPLIER", multiplier->kind);
  if (multiplier->kind == T3_MULTIPLY_FMA) return;
  t3_define(defines, "TWIN", t3_is_twin(number));
  if (multiplier->lanes > 1) t3_define(defines, "SUB_GROUP", multiplier->lanes);
}

void t3_tell_multiplier(t3_recipe *recipe, int64_t number) {
  size_t used = strlen(recipe->detail);
  if (!number) return;
  snprintf(recipe->detail + used, sizeof recipe->detail - used, ", %s%s", t3_multiplier_of(number)->words,
           t3_is_twin(number) ? ", twin" : "");
}

int64_t t3_exchange_bytes(int64_t number, int64_t items) {
  const t3_multiplier *multiplier = t3_multiplier_of(number);
  if (!t3_is_twin(number) || multiplier->lanes == 1) return 0;
  int64_t words = (multiplier->matrix_m + multiplier->matrix_n) * T3_MATRIX_WORDS;
  return 4 * (multiplier->matrix_m ? items / multiplier->lanes * words : items);
}
