#include "device/features.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static const char *const names[T3_NUM_FEATURES] = {
    [T3_SUBGROUPS_8] = "subgroups-8",   [T3_SUBGROUPS_16] = "subgroups-16", [T3_SUBGROUPS_32] = "subgroups-32",
    [T3_SUBGROUPS_64] = "subgroups-64", [T3_MMA_F16] = "mma-f16",           [T3_MMA_BF16] = "mma-bf16",
    [T3_MMA_TF32] = "mma-tf32",         [T3_DPAS_8_F16] = "dpas-8-f16",     [T3_DPAS_8_BF16] = "dpas-8-bf16",
    [T3_DPAS_16_F16] = "dpas-16-f16",   [T3_DPAS_16_BF16] = "dpas-16-bf16", [T3_HALF] = "half",
};

static const t3_feature_set everything = T3_TWINS - 1;

const char *t3_feature_name(t3_feature feature) {
  return feature < T3_NUM_FEATURES ? names[feature] : NULL;
}

t3_features *t3_features_create(void) {
  t3_features *features = calloc(1, sizeof *features);
  if (features) pthread_mutex_init(&features->lock, NULL);
  return features;
}

void t3_features_free(t3_features *features) {
  if (!features) return;
  pthread_mutex_destroy(&features->lock);
  free(features);
}

/* A word is a name or the beginning of names up to a '-': "mma" stands for all that NVIDIA's instruction takes. */
static t3_feature_set named(const char *word, size_t length) {
  t3_feature_set found = 0;
  for (int f = 0; f < T3_NUM_FEATURES; ++f)
    if (!strncmp(names[f], word, length) && (!names[f][length] || names[f][length] == '-'))
      found |= t3_feature_bit((t3_feature)f);
  return found;
}

static bool is_word(const char *word, size_t length, const char *other) {
  return strlen(other) == length && !strncmp(word, other, length);
}

/* "none", "all", or names with commas between; "twins" for tests. */
static bool parse(const char *value, t3_feature_set *set) {
  *set = 0;
  for (const char *word = value;; ++word) {
    size_t length = strcspn(word, ",");
    t3_feature_set more = !length                          ? 0
                          : is_word(word, length, "all")   ? everything
                          : is_word(word, length, "twins") ? (t3_feature_set)T3_TWINS
                                                           : named(word, length);
    if (!more && !is_word(word, length, "none")) return false;
    *set |= more;
    word += length;
    if (!*word) return true;
  }
}

tconv3d_status t3_features_allowed(cl_device_type type, t3_feature_set *allowed) {
  const char *value = getenv("TCONV3D_FEATURES");
  *allowed = type & CL_DEVICE_TYPE_GPU ? everything : 0;
  if (!value || !*value || parse(value, allowed)) return TCONV3D_OK;
  return t3_fail(TCONV3D_INVALID_PARAMETER,
                 "the variable TCONV3D_FEATURES is '%.64s'; it must be none, all, or names such as subgroups, mma, mma-tf32, "
                 "dpas, half with commas between, or not set",
                 value);
}
