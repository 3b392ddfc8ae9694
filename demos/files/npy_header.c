/* npy_header.c: see npy_header.h. */
#include "files/npy_header.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The text still to read, and where the first thing wrong with it is put in words. */
struct cursor {
  const char *at, *end;
  char *reason;
};

static const struct {
  const char *descr, *name;
  size_t size;
} types[] = {
    [NPY_F16] = {"<f2", "float16", 2},
    [NPY_F32] = {"<f4", "float32", 4},
    [NPY_F64] = {"<f8", "float64", 8},
};
enum { NUM_TYPES = sizeof types / sizeof *types };

const char *npy_type_name(enum npy_type type) {
  return types[type].name;
}

size_t npy_type_size(enum npy_type type) {
  return types[type].size;
}

static bool wrong(const struct cursor *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(const struct cursor *c, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(c->reason, NPY_REASON_SIZE, format, values);
  va_end(values);
  return false;
}

static void skip_space(struct cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) c->at++;
}

/* Takes the character when it is next, after white space. */
static bool take(struct cursor *c, char expected) {
  skip_space(c);
  if (c->at == c->end || *c->at != expected) return false;
  c->at++;
  return true;
}

static bool take_word(struct cursor *c, const char *word) {
  size_t length = strlen(word);
  skip_space(c);
  if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
  c->at += length;
  return true;
}

/* A quoted string without escapes, copied to text. */
static bool take_string(struct cursor *c, char *text, size_t capacity) {
  skip_space(c);
  if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return wrong(c, "the header is not the literal that NumPy writes");
  char quote = *c->at++;
  size_t length = 0;
  for (; c->at < c->end && *c->at != quote; c->at++) {
    if (*c->at < ' ' || *c->at > '~' || *c->at == '\\') return wrong(c, "the header holds an escape or a control character");
    if (length + 1 >= capacity) return wrong(c, "the header holds a string of more than %zu characters", capacity - 1);
    text[length++] = *c->at;
  }
  text[length] = 0;
  if (c->at == c->end) return wrong(c, "the header ends inside a string");
  c->at++;
  return true;
}

static bool take_descr(struct cursor *c, struct npy *array) {
  char descr[64];
  skip_space(c);
  if (c->at < c->end && *c->at == '[') return wrong(c, "it holds a structured type; float32 and float16 can be used");
  if (!take_string(c, descr, sizeof descr)) return false;
  for (int type = 0; type < NUM_TYPES; type++) {
    if (strcmp(descr, types[type].descr) == 0) {
      array->type = (enum npy_type)type;
      return true;
    }
    if (descr[0] == '>' && strcmp(descr + 1, types[type].descr + 1) == 0)
      return wrong(c, "it holds big-endian %s ('%s'); only little-endian can be read", types[type].name, descr);
  }
  return wrong(c, "its type is '%s'; only '<f4' (float32), '<f2' (float16) and '<f8' (float64) can be read", descr);
}

static bool take_order(struct cursor *c, struct npy *array) {
  (void)array;
  if (take_word(c, "False")) return true;
  if (take_word(c, "True"))
    return wrong(c, "it is in Fortran order; only C order can be read (numpy.ascontiguousarray converts it)");
  return wrong(c, "fortran_order is neither True nor False");
}

static bool take_size(struct cursor *c, int64_t *size) {
  skip_space(c);
  const char *start = c->at;
  if (c->at < c->end && *c->at == '-') return wrong(c, "shape has a negative size");
  *size = 0;
  for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
    if (__builtin_mul_overflow(*size, 10, size) || __builtin_add_overflow(*size, *c->at - '0', size))
      return wrong(c, "shape has a size that does not fit in 63 bits");
  if (c->at == start || (*start == '0' && c->at - start > 1)) return wrong(c, "shape is not a tuple of whole numbers");
  return true;
}

/* "()", "(3,)", "(2, 3)", "(2, 3,)"; "(3)" is a number, no tuple. */
static bool take_shape(struct cursor *c, struct npy *array) {
  bool comma = true;
  array->rank = 0;
  if (!take(c, '(')) return wrong(c, "shape is not a tuple");
  while (!take(c, ')')) {
    if (!comma) return wrong(c, "shape is not a tuple of whole numbers");
    if (array->rank == NPY_MAX_RANK) return wrong(c, "it has more than %d axes", NPY_MAX_RANK);
    if (!take_size(c, &array->shape[array->rank])) return false;
    array->rank++;
    comma = take(c, ',');
  }
  return (array->rank == 1 && !comma) ? wrong(c, "shape is a number, not a tuple") : true;
}

static const struct {
  const char *name;
  bool (*take)(struct cursor *c, struct npy *array);
} keys[] = {{"descr", take_descr}, {"fortran_order", take_order}, {"shape", take_shape}};
enum { NUM_KEYS = sizeof keys / sizeof *keys };

/* One "key: value"; seen marks the keys that were there. */
static bool take_entry(struct cursor *c, struct npy *array, bool seen[NUM_KEYS]) {
  char name[32];
  if (!take_string(c, name, sizeof name)) return false;
  for (int key = 0; key < NUM_KEYS; key++) {
    if (strcmp(name, keys[key].name) != 0) continue;
    if (seen[key]) return wrong(c, "the header gives %s twice", name);
    seen[key] = true;
    if (!take(c, ':')) return wrong(c, "the header has no ':' after %s", name);
    return keys[key].take(c, array);
  }
  return wrong(c, "the header has the unknown key '%s'", name);
}

static bool take_dictionary(struct cursor *c, struct npy *array) {
  bool seen[NUM_KEYS] = {false}, comma = true;
  if (!take(c, '{')) return wrong(c, "the header is not the literal that NumPy writes");
  while (!take(c, '}')) {
    if (!comma) return wrong(c, "the header is not the literal that NumPy writes");
    if (!take_entry(c, array, seen)) return false;
    comma = take(c, ',');
  }
  for (int key = 0; key < NUM_KEYS; key++)
    if (!seen[key]) return wrong(c, "the header has no %s", keys[key].name);
  skip_space(c);
  return c->at == c->end ? true : wrong(c, "the header has text after its end");
}

/* The product of the sizes, whose bytes fit in size_t and in 63 bits; an empty array is legal whatever its other sizes are. */
static bool count_elements(const struct cursor *c, struct npy *array) {
  int64_t count = 1, bytes;
  for (int axis = 0; axis < array->rank; axis++)
    if (array->shape[axis] == 0) count = 0;
  for (int axis = 0; axis < array->rank && count; axis++)
    if (__builtin_mul_overflow(count, array->shape[axis], &count))
      return wrong(c, "shape has more elements than 63 bits can count");
  if (__builtin_mul_overflow(count, (int64_t)npy_type_size(array->type), &bytes) || (uint64_t)bytes > SIZE_MAX / 2)
    return wrong(c, "shape has more bytes than 63 bits can count");
  array->count = (size_t)count;
  return true;
}

bool npy_header_parse(const char *text, size_t length, struct npy *array, char reason[NPY_REASON_SIZE]) {
  struct cursor cursor = {text, text + length, reason};
  return take_dictionary(&cursor, array) && count_elements(&cursor, array);
}

size_t npy_header_format(const struct npy *array, char start[NPY_START_SIZE]) {
  enum { LENGTH_AT = 8, TEXT_AT = 10, ALIGNMENT = 64 };
  size_t at = TEXT_AT;
  memcpy(start, "\x93NUMPY\1\0", LENGTH_AT);
  at += (size_t)snprintf(start + at, NPY_START_SIZE - at, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                         types[array->type].descr);
  for (int axis = 0; axis < array->rank; axis++)
    at += (size_t)snprintf(start + at, NPY_START_SIZE - at, "%s%" PRId64 "%s", axis ? " " : "", array->shape[axis],
                           axis + 1 < array->rank || array->rank == 1 ? "," : "");
  at += (size_t)snprintf(start + at, NPY_START_SIZE - at, "), }");
  size_t end = (at + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  memset(start + at, ' ', end - at - 1);
  start[end - 1] = '\n';
  start[LENGTH_AT] = (char)((end - TEXT_AT) & 255);
  start[LENGTH_AT + 1] = (char)((end - TEXT_AT) >> 8);
  return end;
}
