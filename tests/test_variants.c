/* Every variant that an algorithm for CPUs lists is right, not only the one that the prediction picks on this machine: all of
 * them on one layer of odd sizes, and some of them, picked at random, on layers where blocks, rows and planes end in the midst
 * of vectors. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/context.h"
#include "device/quirks.h"
#include "plan/choose.h"
#include "plan/plan.h"
#include "support/call_check.h"
#include "support/layers.h"
#include "support/operands.h"
#include "support/trial.h"

static const uint64_t default_seed = 20240609;

typedef void check(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, const t3_candidate *candidate,
                   uint64_t seed);

/* The plan of this very candidate; NULL where the device ends its loops too early. */
static tconv3d_plan *plan_of(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                             const t3_candidate *candidate) {
  tconv3d_plan *plan;
  const t3_request request = {.desc = desc, .operation = operation};
  tconv3d_status status = t3_plan_make(rig->context, t3_context_slot(rig->context, NULL), &request, NULL, candidate, &plan);
  if (status == TCONV3D_UNSUPPORTED && t3_has_quirk(&rig->device, T3_FEW_ROUNDS)) return NULL;
  assert_ok(status);
  return plan;
}

static void check_result(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                         const t3_candidate *candidate, uint64_t seed) {
  static const enum values kinds[] = {VALUES_INTEGER, VALUES_UNIFORM};
  for (size_t i = 0; i < 2; ++i) {
    tconv3d_plan *plan = plan_of(rig, operation, desc, candidate);
    if (!plan) return;
    struct trial trial;
    trial_of_plan(&trial, rig, plan, desc, seed, kinds[i]);
    trial_run(&trial);
    trial_judge(&trial, kinds[i] == VALUES_INTEGER);
    trial_free(&trial);
  }
}

/* Of any operation, with integers: the last bit must be right, but for a zero's sign. */
static void check_operation(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                            const t3_candidate *candidate, uint64_t seed) {
  struct rng rng = {seed};
  struct operands host;
  tconv3d_weights *weights = NULL;
  tconv3d_plan *plan = plan_of(rig, operation, desc, candidate);
  if (!plan) return;
  const size_t count = target_count(desc, operation);
  float *expected = malloc((count + 1) * sizeof *expected), *got = malloc((count + 1) * sizeof *got);
  assert_true(expected && got && operands_make(&host, desc, operation, &rng, VALUES_INTEGER));
  assert_ok(reference_of(desc, operation, &host, expected));
  memset(got, 0xff, count * sizeof *got);
  if (t3_work_of(operation) == T3_LAYER) {
    assert_ok(tconv3d_weights_create_host(plan, host.w, operation == TCONV3D_CONVOLUTION ? host.b : NULL, &weights));
    assert_ok(tconv3d_run(plan, weights, operation == TCONV3D_GRAD_INPUT ? host.y : host.x, got));
  } else {
    assert_ok(tconv3d_run_gradient(plan, host.x, host.y, got));
  }
  for (size_t i = 0; i < count; ++i)
    if (!(got[i] == expected[i]))
      fail_msg("%s, seed %llu: element %zu of %zu is %g, not %g\n%s", tconv3d_operation_name(operation),
               (unsigned long long)seed, i, count, (double)got[i], (double)expected[i], tconv3d_plan_explain(plan));
  tconv3d_weights_destroy(weights);
  tconv3d_plan_destroy(plan);
  operands_free(&host);
  free(expected);
  free(got);
}

/* Runs on an x that fills whole pages of memory, between pages that nobody may touch. */
static void check_reads(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc,
                        const t3_candidate *candidate, uint64_t seed) {
  tconv3d_plan *plan = plan_of(rig, operation, desc, candidate);
  if (!plan) return;
  struct trial trial;
  trial_of_plan(&trial, rig, plan, desc, seed, VALUES_UNIFORM);
  size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = trial.host.x_count * sizeof(float);
  assert_int_equal(bytes % page, 0);
  unsigned char *pages = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(pages, MAP_FAILED);
  assert_int_equal(mprotect(pages + page, bytes, PROT_READ | PROT_WRITE), 0);
  memcpy(pages + page, trial.host.x, bytes);
  cl_int error;
  tconv3d_buffer workspace = guard_buffer(&trial.workspace),
                 x = {clCreateBuffer(rig->cl, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, bytes, pages + page, &error), 0};
  assert_cl(error);
  cl_event done;
  trial_ok(&trial, tconv3d_enqueue(plan, trial.weights, rig->queue, x, guard_buffer(&trial.y), &workspace, 0, NULL, &done));
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  assert_cl(clReleaseMemObject(x.mem));
  trial_free(&trial);
  assert_int_equal(munmap(pages, bytes + 2 * page), 0);
}

/* At most `most` candidates of each algorithm that serves the operation, from a random place in its list onwards. */
static void check_all(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, size_t most, uint64_t seed,
                      check *check_one) {
  const t3_request request = {.desc = desc, .operation = operation};
  t3_problem problem;
  assert_int_equal(t3_problem_init(t3_context_slot(rig->context, NULL), &request, &problem), TCONV3D_OK);
  struct rng rng = {seed};
  for (size_t i = 0; t3_algorithm_at(i); ++i) {
    char why[160];
    t3_candidate list[T3_MAX_VARIANTS];
    if (rig_is_foreign(t3_algorithm_at(i)->name)) continue; /* tests of their own walk their variants */
    if (!t3_applicable(&problem, t3_algorithm_at(i), why, sizeof why)) continue;
    size_t count = t3_candidates(&problem, t3_algorithm_at(i), list);
    assert_in_range(count, 1, T3_MAX_VARIANTS);
    size_t step = count / most + 1, at = (size_t)rng_between(&rng, 0, (int64_t)step - 1);
    for (; at < count; at += step) check_one(rig, operation, desc, &list[at], seed);
  }
}

static void check_layer(const struct rig *rig, const tconv3d_desc *desc, size_t most, uint64_t seed, check *check_one) {
  check_all(rig, TCONV3D_FORWARD, desc, most, seed, check_one);
}

static void many_variants_are_right_on_a_layer_of_odd_sizes(void **state) {
  static const struct layer_row row = {2, 3, 7, 1, {2, 5, 19}, {2, 3, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}};
  tconv3d_desc desc = layer_of_row(&row);
  check_layer(*state, &desc, 4, default_seed, check_result);
}

static void some_variants_are_right_wherever_vectors_rows_and_planes_end(void **state) {
  static const struct layer_row rows[] = {
      {1, 2, 33, 1, {2, 4, 4}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* short rows, channels past two vectors */
      {19, 9, 17, 1, {1, 1, 1}, {4, 4, 4}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}}, /* one value becomes a cube, many images */
      {5, 3, 18, 1, {1, 2, 3}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* tiles of several images and places */
      {1, 2, 3, 1, {1, 3, 70}, {1, 2, 2}, {1, 1, 1}, {0, 0, 33}, {1, 1, 1}}, /* x much longer than y */
      {1, 2, 3, 1, {2, 4, 7}, {2, 3, 4}, {1, 1, 1}, {0, 0, 3}, {1, 1, 1}},   /* outputs fewer than inputs: cropped rows */
      {1, 2, 3, 1, {2, 5, 9}, {3, 3, 5}, {2, 2, 3}, {1, 1, 4}, {1, 1, 2}},   /* the same with stride and dilation */
      {1, 40, 17, 1, {3, 1, 5}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, /* input channels in several chunks */
      {3, 2, 5, 1, {2, 3, 17}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}},  /* kernel = stride: x in place */
      {1, 3, 3, 1, {1, 6, 16}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}},  /* the same, whole vectors */
      {1, 3, 3, 1, {1, 7, 130}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}}, /* one tap, rows past every block */
      {2, 6, 6, 6, {3, 5, 15}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* depthwise */
      {1, 4, 8, 4, {2, 5, 9}, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 1}},   /* depthwise with multiplier */
      {1, 2, 3, 1, {2, 4, 23}, {3, 3, 3}, {2, 2, 2}, {2, 2, 2}, {2, 2, 2}},  /* phases without a tap */
      {1, 2, 3, 1, {2, 3, 7}, {5, 5, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}},   /* stride 3: stores by elements */
      {1, 2, 2, 1, {2, 3, 31}, {3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {2, 3, 1}},  /* taps outside x */
      {1, 1, 1, 1, {2, 2, 2}, {1, 1, 1}, {4, 4, 4}, {0, 0, 0}, {1, 1, 1}},   /* holes */
      {2, 5, 37, 1, {2, 3, 21}, {2, 3, 4}, {1, 2, 3}, {0, 1, 0}, {1, 1, 1}}, /* turned squares, three residues */
      {1, 70, 20, 1, {2, 2, 18}, {3, 3, 3}, {2, 2, 4}, {1, 1, 1}, {1, 1, 1}} /* the same by chunks, a residue without a tap */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i += rig_step(3)) {
    tconv3d_desc desc = layer_of_row(&rows[i]);
    check_layer(*state, &desc, 1, default_seed + i, check_result);
  }
}

/* What variants of phase and channels say by their numbers. */
static bool lays_out(const t3_variant *phase) {
  return phase->number[5];
}

/* In vectors of 32 bytes, whose lanes may be swapped. */
static bool lays_out_halves(const t3_variant *phase) {
  return lays_out(phase) && phase->number[0] == 8;
}

static bool is_long(const t3_variant *channels) {
  return channels->number[2] >= 12;
}

static bool reads_in_place(const t3_variant *channels) {
  return channels->number[3] == 2;
}

static bool is_either(const t3_variant *channels) {
  return is_long(channels) || reads_in_place(channels);
}

typedef bool meant(const t3_variant *variant);

/* An algorithm's candidates that are meant, of which there must be some. */
static size_t candidates_of(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, const char *algorithm,
                            meant *is_meant, t3_candidate *list) {
  const t3_request request = {.desc = desc, .operation = operation};
  t3_problem problem;
  assert_int_equal(t3_problem_init(t3_context_slot(rig->context, NULL), &request, &problem), TCONV3D_OK);
  size_t count = t3_candidates(&problem, t3_algorithm_named(algorithm), list), kept = 0;
  for (size_t i = 0; i < count; ++i)
    if (is_meant(&list[i].variant)) list[kept++] = list[i];
  assert_true(kept);
  return kept;
}

/* At most three of them, from all over their list. */
static void check_where(const struct rig *rig, tconv3d_operation operation, const tconv3d_desc *desc, const char *algorithm,
                        meant *is_meant, uint64_t seed, check *check_one) {
  enum { MOST = 3 };
  t3_candidate list[T3_MAX_VARIANTS];
  size_t count = candidates_of(rig, operation, desc, algorithm, is_meant, list);
  for (size_t i = 0; i < count; i += (count + MOST - 1) / MOST) check_one(rig, operation, desc, &list[i], seed);
}

/* x read in place although taps reach over its edges, by tiles that end in the midst of rows, planes and images. */
static void channels_in_place_are_right_and_read_nothing_else(void **state) {
  static const struct layer_row rows[] = {
      {1, 4, 20, 1, {4, 16, 16}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, /* whole pages, as all but the last two */
      {4, 8, 33, 1, {2, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},   /* rows shorter than a tile: images first */
      {2, 16, 40, 2, {2, 4, 16}, {2, 3, 5}, {1, 2, 3}, {1, 2, 2}, {1, 1, 2}},
      {3, 5, 37, 1, {2, 3, 13}, {5, 5, 5}, {3, 2, 1}, {2, 2, 2}, {1, 1, 2}},
      {1, 40, 17, 1, {3, 1, 25}, {3, 3, 3}, {2, 2, 2}, {2, 1, 2}, {1, 1, 1}}, /* input channels in several chunks */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = layer_of_row(&rows[i]);
    check_where(*state, TCONV3D_FORWARD, &desc, "channels", reads_in_place, default_seed + i, check_result);
    if (i < 3) check_where(*state, TCONV3D_FORWARD, &desc, "channels", reads_in_place, default_seed + i, check_reads);
  }
}

/* The same and long tiles, picked at random, of tensors that lie otherwise, by every operation that they serve. */
static void channels_are_right_wherever_tensors_lie(void **state) {
  static const struct layer_row rows[] = {
      {2, 16, 16, 16, {3, 5, 30}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, /* depthwise: groups are lanes */
      {2, 12, 17, 1, {2, 4, 48}, {2, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 1}},
      {3, 6, 20, 2, {2, 3, 19}, {1, 3, 4}, {1, 1, 3}, {0, 1, 2}, {1, 2, 1}},
  };
  static const enum view_kind kinds[] = {VIEW_LAST, VIEW_LAST_PADDED, VIEW_FLIPPED, VIEW_STEPS};
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_CONVOLUTION};
  const struct rig *rig = *state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (size_t o = 0; o < sizeof operations / sizeof *operations; ++o)
      for (size_t k = i % 2; k < sizeof kinds / sizeof *kinds; k += 2) {
        struct rng rng = {default_seed + i};
        struct asked asked = {.operation = operations[o], .desc = layer_of_row(&rows[i]), .seed = default_seed + i + k};
        if (operations[o] == TCONV3D_CONVOLUTION) asked.desc = convolution_like(&asked.desc);
        views_random(&rng, &rng, &asked.desc, operations[o], (struct view_kinds){kinds[k], VIEW_DENSE, kinds[k]});
        t3_candidate list[T3_MAX_VARIANTS];
        size_t count = candidates_of(rig, operations[o], &asked.desc, "channels", is_either, list);
        asked.candidate = &list[rng_between(&rng, 0, (int64_t)count - 1)];
        assert_non_null(call_check_both(rig, asked));
      }
}

/* Long tiles of one vector of channels, whose positions are a step apart unless a row ends within them. */
static void long_tiles_are_right(void **state) {
  static const struct layer_row rows[] = {
      {1, 3, 16, 1, {2, 2, 40}, {2, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}}, /* whole rows */
      {2, 9, 7, 1, {1, 3, 53}, {1, 2, 4}, {1, 1, 2}, {0, 0, 1}, {1, 1, 1}},  /* rows that end within tiles; prefetched */
      {1, 4, 24, 2, {2, 3, 48}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
  };
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  uint64_t cache_bytes = slot->info.cache_bytes;
  slot->info.cache_bytes = 1; /* so x is unforeseen */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = layer_of_row(&rows[i]);
    check_where(rig, TCONV3D_FORWARD, &desc, "channels", is_long, default_seed + i, check_result);
  }
  slot->info.cache_bytes = cache_bytes;
}

/* A device that says it has next to no cache: every y outgrows it, so whole lines of rows are stored past it. */
static void stores_past_the_caches_are_right(void **state) {
  static const struct layer_row rows[] = {
      {1, 2, 5, 1, {2, 5, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* two rows of y a line of x, whole lines */
      {1, 2, 3, 1, {2, 6, 16}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}},  /* the same without zeros around x */
      {1, 12, 9, 1, {2, 3, 18}, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, /* channels that are prefetched */
      {2, 3, 4, 1, {2, 3, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
      {1, 2, 3, 1, {2, 3, 24}, {3, 3, 4}, {1, 1, 4}, {1, 1, 0}, {1, 1, 1}}, /* rows of six lines, blocks that overlap */
  };
  const struct rig *rig = *state;
  t3_slot *slot = (t3_slot *)(uintptr_t)t3_context_slot(rig->context, NULL);
  uint64_t cache_bytes = slot->info.cache_bytes;
  slot->info.cache_bytes = 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = layer_of_row(&rows[i]);
    check_layer(rig, &desc, 1, default_seed + i, check_result);
    if (rows[i].in_channels > 8) /* rows of x laid out for several blocks, which take turns at prefetching */
      check_where(rig, TCONV3D_FORWARD, &desc, "phase", lays_out, default_seed + i, check_result);
  }
  slot->info.cache_bytes = cache_bytes;
}

static void no_kernel_reads_outside_x(void **state) {
  static const struct layer_row rows[] = {
      {1, 4, 3, 1, {2, 8, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
      {1, 4, 3, 1, {4, 16, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 2}}, /* taps reach out by two */
      {1, 2, 2, 1, {1, 2, 256}, {1, 1, 6}, {1, 1, 3}, {0, 0, 2}, {1, 1, 1}}, /* rows that are first and last of a plane */
      {2, 8, 5, 1, {4, 4, 4}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},   /* rows shorter than a vector */
      {4, 32, 2, 2, {1, 1, 8}, {2, 3, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    tconv3d_desc desc = layer_of_row(&rows[i]);
    check_layer(*state, &desc, 1, default_seed + i, check_reads);
  }
}

/* TCONV3D_TEST_EVERY=1: ten times as many variants. */
static void some_variants_of_gradients_and_convolutions_are_exact(void **state) {
  static const struct layer_row rows[] = {
      {2, 3, 7, 1, {2, 5, 19}, {2, 3, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
      {1, 18, 5, 1, {2, 4, 9}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* channels past a vector */
      {3, 5, 33, 1, {1, 3, 6}, {3, 1, 6}, {1, 1, 3}, {1, 0, 2}, {1, 1, 1}},  /* a step of three, several images */
      {1, 8, 12, 4, {2, 5, 9}, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 2}},  /* groups, dilation */
      {2, 6, 6, 6, {3, 5, 15}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},  /* depthwise */
      {1, 2, 3, 1, {1, 3, 170}, {1, 2, 2}, {1, 1, 4}, {0, 0, 3}, {1, 1, 5}}, /* rows in pieces, a step of four */
      {1, 2, 3, 1, {2, 3, 7}, {5, 5, 5}, {3, 3, 5}, {1, 1, 1}, {1, 1, 1}},   /* a step of five */
  };
  static const tconv3d_operation operations[] = {TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT, TCONV3D_GRAD_BIAS,
                                                 TCONV3D_CONVOLUTION};
  const char *every = getenv("TCONV3D_TEST_EVERY");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i += rig_step(3))
    for (size_t o = 0; o < sizeof operations / sizeof *operations; ++o) {
      tconv3d_desc desc = layer_of_row(&rows[i]);
      const bool same = operations[o] == TCONV3D_CONVOLUTION; /* the kernels are those of the gradient of the input */
      if ((same || operations[o] == TCONV3D_GRAD_BIAS) && i % 2 && !every) continue;
      if (same) desc = convolution_like(&desc);
      check_all(*state, operations[o], &desc, every && atoi(every) == 1 ? 10 : 1, default_seed + i, check_operation);
    }
}

/* Sums of some channels wait in memory for those of the others. */
static void what_is_laid_out_a_step_apart_is_right(void **state) {
  static const struct layer_row row = {1, 20, 24, 1, {1, 3, 19}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}};
  const struct rig *rig = *state;
  if (t3_context_slot(rig->context, NULL)->info.vector_width < 8) skip();
  tconv3d_desc desc = layer_of_row(&row);
  check_where(rig, TCONV3D_GRAD_INPUT, &desc, "phase", lays_out_halves, default_seed, check_operation);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_variants_are_right_on_a_layer_of_odd_sizes),
      cmocka_unit_test(some_variants_are_right_wherever_vectors_rows_and_planes_end),
      cmocka_unit_test(stores_past_the_caches_are_right),
      cmocka_unit_test(channels_in_place_are_right_and_read_nothing_else),
      cmocka_unit_test(channels_are_right_wherever_tensors_lie),
      cmocka_unit_test(long_tiles_are_right),
      cmocka_unit_test(no_kernel_reads_outside_x),
      cmocka_unit_test(some_variants_of_gradients_and_convolutions_are_exact),
      cmocka_unit_test(what_is_laid_out_a_step_apart_is_right),
  };
  return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
