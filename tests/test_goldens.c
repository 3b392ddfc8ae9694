/* The golden cases that PyTorch computed in float64 (goldens/README.md), against every algorithm that accepts the layer, the
 * automatic choice, the plain-C reference, and the gathering that judges the other tests. */
#include "support/rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/judge.h"
#include "support/layer_line.h"

enum { MAX_CASES = 200, WHY = 200 };

/* One case: the layer and its tensors, which lie in the arrays of struct goldens. */
struct golden {
  struct layer_line line;
  const float *x, *w, *b;
  const double *y;
};

struct goldens {
  struct rig rig;
  struct golden cases[MAX_CASES];
  size_t count;
  void *inputs, *outputs; /* whole files */
};

static FILE *open_file(const char *name) {
  char path[1024];
  const char *directory = getenv("TCONV3D_GOLDENS");
  snprintf(path, sizeof path, "%s/%s", directory ? directory : "tests/goldens", name);
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("cannot open %s; TCONV3D_GOLDENS names its directory", path);
  return file;
}

/* A whole .npy file of one dimension; *data is where its elements start. Written by generate.py: version 1.0, little-endian. */
static void *read_npy(const char *name, const char *type, size_t element, const void **data, size_t *count) {
  FILE *file = open_file(name);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  long size = ftell(file);
  rewind(file);
  unsigned char *bytes = size > 10 ? malloc((size_t)size) : NULL;
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
  fclose(file);
  assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
  size_t start = 10 + (size_t)bytes[8] + ((size_t)bytes[9] << 8);
  assert_true(start < (size_t)size && start % 64 == 0 && ((size_t)size - start) % element == 0);
  bytes[start - 1] = '\0';
  assert_non_null(strstr((char *)bytes + 10, type));
  *data = bytes + start;
  *count = ((size_t)size - start) / element;
  return bytes;
}

static size_t product(const int64_t *sizes, size_t count) {
  size_t result = 1;
  for (size_t i = 0; i < count; ++i) result *= (size_t)sizes[i];
  return result;
}

/* Places the case's tensors at the cursors and moves these on. */
static void place(struct golden *golden, const float **inputs, const double **outputs) {
  const tconv3d_desc *desc = &golden->line.desc;
  golden->x = *inputs;
  golden->w = golden->x + (size_t)(desc->batch * desc->in_channels) * product(desc->input_size, 3);
  golden->b = golden->w + (size_t)(desc->in_channels * desc->out_channels / desc->groups) * product(desc->kernel_size, 3);
  *inputs = golden->b + (desc->has_bias ? desc->out_channels : 0);
  golden->y = *outputs;
  *outputs += (size_t)(desc->batch * desc->out_channels) * product(golden->line.output, 3);
}

static void read_cases(struct goldens *goldens) {
  const void *inputs, *outputs;
  size_t num_inputs, num_outputs;
  goldens->inputs = read_npy("inputs.npy", "<f4", sizeof(float), &inputs, &num_inputs);
  goldens->outputs = read_npy("outputs.npy", "<f8", sizeof(double), &outputs, &num_outputs);
  const float *input = inputs;
  const double *output = outputs;
  FILE *file = open_file("cases.txt");
  char text[1024];
  while (fgets(text, sizeof text, file)) {
    assert_true(goldens->count < MAX_CASES);
    struct golden *golden = &goldens->cases[goldens->count++];
    const char *field = "";
    if (!layer_line_parse(text, &golden->line, &field)) fail_msg("cases.txt:%zu: bad field '%s'", goldens->count, field);
    place(golden, &input, &output);
  }
  fclose(file);
  assert_ptr_equal(input, (const float *)inputs + num_inputs);
  assert_ptr_equal(output, (const double *)outputs + num_outputs);
}

static int set_up(void **state) {
  struct goldens *goldens = calloc(1, sizeof *goldens);
  if (!goldens) return -1;
  *state = goldens;
  rig_open(&goldens->rig);
  read_cases(goldens);
  return 0;
}

static int tear_down(void **state) {
  struct goldens *goldens = *state;
  rig_close(&goldens->rig);
  free(goldens->inputs);
  free(goldens->outputs);
  free(goldens);
  return 0;
}

/* The layer with the output_padding that its output_size asks for. */
static tconv3d_desc layer_of(const struct golden *golden) {
  tconv3d_desc desc = golden->line.desc;
  if (golden->line.output_size[0])
    assert_ok(tconv3d_resolve_output_size(&golden->line.desc, golden->line.output_size, desc.output_padding));
  return desc;
}

/* The judge's bounds, with PyTorch's values in the place of its own. */
static void make_judge(const struct golden *golden, const tconv3d_desc *desc, struct judge *judge) {
  assert_true(judge_make(judge, desc, golden->x, golden->w, golden->b));
  memcpy(judge->value, golden->y, judge->count * sizeof *golden->y);
}

static void every_case_has_pytorchs_shape(void **state) {
  struct goldens *goldens = *state;
  assert_true(goldens->count >= 60);
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = layer_of(golden);
    int64_t shape[5];
    assert_ok(tconv3d_output_shape(&desc, shape));
    int64_t expected[5] = {desc.batch, desc.out_channels, golden->line.output[0], golden->line.output[1],
                           golden->line.output[2]};
    if (memcmp(shape, expected, sizeof shape)) fail_msg("%s: another shape than PyTorch's", golden->line.name);
  }
}

static void the_judge_agrees_with_pytorch(void **state) {
  struct goldens *goldens = *state;
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = layer_of(golden);
    struct judge judge;
    assert_true(judge_make(&judge, &desc, golden->x, golden->w, golden->b));
    for (size_t o = 0; o < judge.count; ++o)
      if (!(fabs(judge.value[o] - golden->y[o]) <= 1e-13 * judge.magnitude[o]))
        fail_msg("%s: y[%zu] is %.17g, PyTorch has %.17g", golden->line.name, o, judge.value[o], golden->y[o]);
    judge_free(&judge);
  }
}

static void the_reference_is_within_the_bound(void **state) {
  struct goldens *goldens = *state;
  for (size_t i = 0; i < goldens->count; ++i) {
    const struct golden *golden = &goldens->cases[i];
    tconv3d_desc desc = layer_of(golden);
    struct judge judge;
    char why[WHY];
    make_judge(golden, &desc, &judge);
    float *y = calloc(judge.count + 1, sizeof *y);
    assert_non_null(y);
    assert_ok(tconv3d_reference_forward(&desc, golden->x, golden->w, desc.has_bias ? golden->b : NULL, y));
    if (!judge_within(&judge, y, why, sizeof why)) fail_msg("%s: %s", golden->line.name, why);
    free(y);
    judge_free(&judge);
  }
}

/* Runs one case with one algorithm (NULL: the automatic choice); false when the algorithm refuses the layer. */
static bool run_case(const struct goldens *goldens, const struct golden *golden, const char *algorithm) {
  tconv3d_desc desc = layer_of(golden);
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  options.algorithm = algorithm;
  tconv3d_plan *plan;
  tconv3d_status status = tconv3d_plan_create(goldens->rig.context, &desc, &options, &plan);
  if (status == TCONV3D_UNSUPPORTED && algorithm) return false;
  assert_ok(status);
  tconv3d_weights *weights;
  assert_ok(tconv3d_weights_create_host(plan, golden->w, desc.has_bias ? golden->b : NULL, &weights));
  struct judge judge;
  make_judge(golden, &desc, &judge);
  float *y = malloc((judge.count + 1) * sizeof *y);
  assert_non_null(y);
  for (size_t i = 0; i < judge.count; ++i) y[i] = NAN;
  assert_ok(tconv3d_run(plan, weights, golden->x, y));
  char why[WHY];
  if (!judge_within(&judge, y, why, sizeof why))
    fail_msg("%s, algorithm %s: %s\n%s", golden->line.name, algorithm ? algorithm : "by choice", why,
             tconv3d_plan_explain(plan));
  free(y);
  judge_free(&judge);
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  return true;
}

static void every_algorithm_is_within_the_bound(void **state) {
  struct goldens *goldens = *state;
  const char *name;
  for (size_t a = 0; (name = tconv3d_algorithm_name(a)); ++a) {
    size_t ran = 0;
    for (size_t i = 0; i < goldens->count; ++i) ran += run_case(goldens, &goldens->cases[i], name);
    print_message("# %s: %zu of %zu cases\n", name, ran, goldens->count);
    assert_true(ran > 0);
  }
}

static void the_automatic_choice_serves_every_case(void **state) {
  struct goldens *goldens = *state;
  for (size_t i = 0; i < goldens->count; ++i) assert_true(run_case(goldens, &goldens->cases[i], NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_case_has_pytorchs_shape),          cmocka_unit_test(the_judge_agrees_with_pytorch),
      cmocka_unit_test(the_reference_is_within_the_bound),      cmocka_unit_test(every_algorithm_is_within_the_bound),
      cmocka_unit_test(the_automatic_choice_serves_every_case),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
