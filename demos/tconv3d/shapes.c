#include "tconv3d/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tconv3d/command.h"

enum { FIELDS = 11, MAX_LINE = 512 };

#include "shapes.inc" /* builtin_shapes: demos/data/shapes.txt */

/* Splits at blanks up to a comment; how many fields, capacity + 1 when there are more. */
static int split(char *line, char *fields[], int capacity) {
  int count = 0;
  char *rest = NULL;
  line[strcspn(line, "#\n\r")] = '\0';
  for (char *field = strtok_r(line, " \t", &rest); field; field = strtok_r(NULL, " \t", &rest)) {
    if (count == capacity) return capacity + 1;
    fields[count++] = field;
  }
  return count;
}

static bool parse_fields(char *fields[], struct shape *shape, struct fault *fault) {
  tconv3d_desc *desc = &shape->desc;
  *desc = (tconv3d_desc)TCONV3D_DESC_INIT;
  if (strlen(fields[0]) >= sizeof shape->name)
    return fault_set(fault, EXIT_WRONG_USE, "name '%s': longer than %zu letters", fields[0], sizeof shape->name - 1);
  for (const char *c = fields[0]; *c; ++c)
    if (*c < '!' || *c > '~') return fault_set(fault, EXIT_WRONG_USE, "name '%s': it must be printable ASCII", fields[0]);
  strcpy(shape->name, fields[0]);
  return parse_number("N", fields[1], &desc->batch, fault) && parse_number("Cin", fields[2], &desc->in_channels, fault) &&
         parse_number("Cout", fields[3], &desc->out_channels, fault) &&
         parse_triple("D,H,W", fields[4], desc->input_size, fault) &&
         parse_triple("kernel", fields[5], desc->kernel_size, fault) &&
         parse_triple("stride", fields[6], desc->stride, fault) && parse_triple("padding", fields[7], desc->padding, fault) &&
         parse_triple("output_padding", fields[8], desc->output_padding, fault) &&
         parse_triple("dilation", fields[9], desc->dilation, fault) && parse_number("groups", fields[10], &desc->groups, fault);
}

static bool parse_line(char *line, struct shapes *shapes, struct fault *fault) {
  char *fields[FIELDS];
  int count = split(line, fields, FIELDS);
  if (!count) return true;
  if (count != FIELDS)
    return fault_set(fault, EXIT_WRONG_USE, "%s%d fields, where %d are needed", count > FIELDS ? "more than " : "",
                     count > FIELDS ? FIELDS : count, FIELDS);
  struct shape *list = realloc(shapes->list, (shapes->count + 1) * sizeof *list);
  if (!list) return fault_set(fault, EXIT_OTHER, "out of memory");
  shapes->list = list;
  struct shape *shape = &list[shapes->count];
  int64_t output[5];
  if (!parse_fields(fields, shape, fault)) return false;
  tconv3d_status status = tconv3d_output_shape(&shape->desc, output);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  ++shapes->count;
  return true;
}

static bool read_stream(FILE *stream, const char *path, struct shapes *shapes, struct fault *fault) {
  char line[MAX_LINE];
  for (int number = 1; fgets(line, sizeof line, stream); ++number) {
    struct fault inner = {0};
    bool whole = strchr(line, '\n') || feof(stream);
    if (whole && parse_line(line, shapes, &inner)) continue;
    if (!whole) fault_set(&inner, EXIT_WRONG_USE, "longer than %d letters", MAX_LINE - 2);
    return fault_set(fault, inner.exit_code, "--shapes (%s) line %d: %.1500s", path, number, inner.text);
  }
  if (ferror(stream)) return fault_set(fault, EXIT_WRONG_USE, "--shapes (%s): cannot be read", path);
  return shapes->count ? true : fault_set(fault, EXIT_WRONG_USE, "--shapes (%s): no shape in it", path);
}

bool shapes_read(const char *path, struct shapes *shapes, struct fault *fault) {
  *shapes = (struct shapes){0};
  FILE *stream = path ? fopen(path, "r") : fmemopen((void *)(uintptr_t)builtin_shapes, sizeof builtin_shapes - 1, "r");
  if (!stream)
    return fault_set(fault, path ? EXIT_WRONG_USE : EXIT_OTHER, "--shapes (%s): cannot be opened", path ? path : "built-in");
  bool done = read_stream(stream, path ? path : "built-in", shapes, fault);
  fclose(stream);
  if (!done) shapes_free(shapes);
  return done;
}

void shapes_free(struct shapes *shapes) {
  free(shapes->list);
  *shapes = (struct shapes){0};
}
