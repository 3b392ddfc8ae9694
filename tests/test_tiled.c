/* The kernels for GPUs, which no CPU device is given by choice: every tile that is listed for a layer, over the layers for which
 * they differ, each time with other types, layouts and epilogues; and where tiles end in the midst of what is large.
 * TCONV3D_TEST_SEED runs others. A failure prints the seed and the layer. */
#include <string.h>

#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"

static uint64_t seed = 20241126;

static int set_up(void **state) {
  seed = rig_seed(seed);
  return rig_set_up(state);
}

/* The algorithms made for GPUs. */
static const char *const names[] = {"tiled", "points", "tiled_gradient"};
enum { NAMES = sizeof names / sizeof *names };

struct row {
  int64_t batch, in_channels, out_channels, groups, input[3], kernel[3], stride[3], padding[3], dilation[3];
  int64_t output_padding, more_padding_end;
};

static const struct row rows[] = {
    {2, 20, 40, 1, {2, 3, 11}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 0, 0},
    {3, 9, 33, 1, {1, 2, 5}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, 0, 0},     /* kernel = stride */
    {1, 17, 130, 1, {2, 3, 50}, {1, 3, 2}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}, 0, 0},  /* stride 1, more than a tile */
    {2, 6, 9, 3, {2, 3, 7}, {3, 2, 4}, {3, 1, 4}, {1, 0, 2}, {1, 1, 1}, 1, 0},      /* groups, strides 3 and 4 */
    {1, 3, 2, 1, {2, 4, 9}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 0, 1},      /* few channels, ends padded more */
    {2, 5, 5, 5, {3, 3, 6}, {3, 3, 3}, {1, 2, 1}, {1, 1, 2}, {1, 1, 2}, 0, 0},      /* depthwise, dilation */
    {1, 12, 8, 1, {2, 3, 6}, {2, 3, 3}, {2, 2, 2}, {0, 2, 1}, {2, 2, 3}, 0, 0},     /* phases without a tap */
    {2, 16, 1, 1, {2, 2, 9}, {2, 2, 3}, {2, 2, 3}, {0, 0, 0}, {1, 1, 1}, 1, 0},     /* kernel = stride but not everywhere */
};
enum { ROWS = sizeof rows / sizeof *rows };

static tconv3d_desc desc_of(const struct row *row) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.batch = row->batch, desc.in_channels = row->in_channels, desc.out_channels = row->out_channels;
  desc.groups = row->groups, desc.has_bias = 1;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = row->input[a], desc.kernel_size[a] = row->kernel[a], desc.stride[a] = row->stride[a];
    desc.padding[a] = row->padding[a], desc.dilation[a] = row->dilation[a];
  }
  desc.output_padding[2] = row->output_padding;
  if (row->more_padding_end) desc.padding_end[1] = row->padding[1] + row->more_padding_end;
  return desc;
}

/* Types, layouts, epilogue and beta at random. Kinds of layout are those that kernels tell apart, and any. */
static void vary(const struct rig *rig, struct rng *rng, struct asked *asked) {
  static const tconv3d_dtype types[][2] = {{TCONV3D_F32, TCONV3D_F32},   {TCONV3D_F16, TCONV3D_F16},
                                           {TCONV3D_BF16, TCONV3D_F32},  {TCONV3D_F32, TCONV3D_F16},
                                           {TCONV3D_BF16, TCONV3D_BF16}, {TCONV3D_F64, TCONV3D_F64}};
  static const enum view_kind kinds[] = {VIEW_DENSE, VIEW_LAST, VIEW_ANY, VIEW_LAST_PADDED};
  const int64_t pair = rng_between(rng, 0, rig->device.float64 ? 5 : 4);
  const bool forward = asked->operation == TCONV3D_FORWARD || asked->operation == TCONV3D_CONVOLUTION;
  asked->desc.dtype = types[pair][0], asked->desc.weight_dtype = types[pair][1];
  struct view_kinds views = {kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)], kinds[rng_between(rng, 0, 3)]};
  views_random(rng, rng, &asked->desc, asked->operation, views);
  asked->beta = rng_between(rng, 0, 3) ? 0 : 0.5;
  if (!forward || rng_between(rng, 0, 1)) return;
  asked->epilogue.activation = rng_between(rng, 0, 1) ? TCONV3D_PRELU : TCONV3D_NO_ACTIVATION;
  asked->epilogue.affine = (int)rng_between(rng, 0, 2);
  asked->epilogue.residual = rng_between(rng, 0, 1) ? 0.5 : 0;
  asked->in_place = asked->epilogue.residual != 0 && rng_between(rng, 0, 1);
}

static bool has_epilogue(const tconv3d_epilogue *e) {
  return e->activation || e->affine || e->residual != 0;
}

/* Variants number first, first + step and so on of all that the algorithm lists; TCONV3D_TEST_EVERY=1: all of them. */
static size_t check_variants(const struct rig *rig, const struct asked *plain, const t3_algorithm *algorithm, size_t first,
                             size_t step, struct rng *rng) {
  t3_candidate list[T3_MAX_VARIANTS];
  char why[160];
  const t3_problem problem = problem_of(rig, plain);
  if (!t3_applicable(&problem, algorithm, why, sizeof why)) return 0;
  size_t count = t3_candidates(&problem, algorithm, list);
  for (size_t i = first; i < count; i += step) {
    struct asked asked = *plain;
    vary(rig, rng, &asked);
    t3_candidate now[T3_MAX_VARIANTS]; /* wider sums may leave fewer, or none */
    const t3_problem varied = problem_of(rig, &asked);
    if (!t3_applicable(&varied, algorithm, why, sizeof why)) continue;
    size_t left = t3_candidates(&varied, algorithm, now);
    asked.candidate = &now[i < left ? i : left - 1];
    asked.values = VALUES_INTEGER;
    assert_non_null(call_check(rig, &asked));
    asked.values = VALUES_UNIFORM;
    if (!has_epilogue(&asked.epilogue)) assert_non_null(call_check(rig, &asked));
  }
  return count;
}

static void check_operation(const struct rig *rig, tconv3d_operation operation, size_t step) {
  if (rig_number("TCONV3D_TEST_EVERY", 0) == 1) step = 1;
  for (size_t n = 0; n < NAMES; ++n) {
    const t3_algorithm *algorithm = t3_algorithm_named(names[n]);
    size_t listed = 0;
    for (size_t i = 0; i < ROWS; ++i) {
      struct rng rng = {seed + i};
      struct asked asked = {.desc = desc_of(&rows[i]), .operation = operation, .seed = seed + i};
      if (operation == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
      if (operation != TCONV3D_FORWARD && operation != TCONV3D_CONVOLUTION) asked.desc.has_bias = 0;
      listed += check_variants(rig, &asked, algorithm, (size_t)rng_between(&rng, 0, (int64_t)step - 1), step, &rng);
    }
    assert_int_equal(listed > 0, algorithm->serves == t3_work_of(operation));
  }
}

static void tiles_of_the_forward_operation_are_right(void **state) {
  check_operation(*state, TCONV3D_FORWARD, 8);
}

static void tiles_of_gradients_and_the_convolution_are_right(void **state) {
  static const tconv3d_operation others[] = {TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION};
  for (size_t i = 0; i < 3; ++i) check_operation(*state, others[i], i ? 16 : 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_of_the_forward_operation_are_right),
      cmocka_unit_test(tiles_of_gradients_and_the_convolution_are_right),
  };
  return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
