#include "support/layer_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the numbers of a field go. */
struct field {
  const char *key;
  int64_t *numbers;
  int count;
};

/* Exactly count numbers separated by commas. */
static bool parse_numbers(const char *text, int64_t *numbers, int count) {
  for (int i = 0; i < count; ++i) {
    char *end;
    numbers[i] = strtoll(text, &end, 10);
    if (end == text || *end != (i + 1 < count ? ',' : '\0')) return false;
    text = end + 1;
  }
  return true;
}

static bool parse_field(char *text, const struct field *fields, size_t num_fields) {
  char *value = strchr(text, '=');
  if (!value) return false;
  *value++ = '\0';
  for (size_t i = 0; i < num_fields; ++i)
    if (!strcmp(text, fields[i].key)) return parse_numbers(value, fields[i].numbers, fields[i].count);
  return false;
}

bool layer_line_parse(char *text, struct layer_line *line, const char **field) {
  *line = (struct layer_line){.desc = TCONV3D_DESC_INIT};
  tconv3d_desc *desc = &line->desc;
  int64_t channels[2] = {0, 0}, bias = 1;
  const struct field fields[] = {
      {"batch", &desc->batch, 1},
      {"channels", channels, 2},
      {"groups", &desc->groups, 1},
      {"input", desc->input_size, 3},
      {"kernel", desc->kernel_size, 3},
      {"stride", desc->stride, 3},
      {"padding", desc->padding, 3},
      {"output_padding", desc->output_padding, 3},
      {"dilation", desc->dilation, 3},
      {"bias", &bias, 1},
      {"output_size", line->output_size, 3},
      {"output", line->output, 3},
  };
  char *rest = NULL;
  for (char *part = strtok_r(text, " \n", &rest); part; part = strtok_r(NULL, " \n", &rest)) {
    *field = part;
    if (!strncmp(part, "name=", 5))
      snprintf(line->name, sizeof line->name, "%s", part + 5);
    else if (!parse_field(part, fields, sizeof fields / sizeof *fields))
      return false;
  }
  desc->in_channels = channels[0];
  desc->out_channels = channels[1];
  desc->has_bias = (int32_t)bias;
  return true;
}

void layer_line_format(const tconv3d_desc *desc, char *text, size_t capacity) {
  const struct {
    const char *key;
    const int64_t *numbers;
  } axes[] = {{"input", desc->input_size},
              {"kernel", desc->kernel_size},
              {"stride", desc->stride},
              {"padding", desc->padding},
              {"output_padding", desc->output_padding},
              {"dilation", desc->dilation}};
  int used = snprintf(text, capacity, "batch=%" PRId64 " channels=%" PRId64 ",%" PRId64 " groups=%" PRId64, desc->batch,
                      desc->in_channels, desc->out_channels, desc->groups);
  for (size_t i = 0; i < sizeof axes / sizeof *axes && used >= 0 && (size_t)used < capacity; ++i)
    used += snprintf(text + used, capacity - (size_t)used, " %s=%" PRId64 ",%" PRId64 ",%" PRId64, axes[i].key,
                     axes[i].numbers[0], axes[i].numbers[1], axes[i].numbers[2]);
  if (used >= 0 && (size_t)used < capacity) snprintf(text + used, capacity - (size_t)used, " bias=%d", (int)desc->has_bias);
}
