/* gpu_programs DIR GPU: the specialised sources of the kernels for GPUs, for one of the table below that need not be there:
 * DIR/NUMBER.cl for every variant of every algorithm made for them on a few layers; and on standard output a line for each:
 *   layer operation algorithm variant-numbers predicted-seconds multiplier options kernel work-items file
 * (multiplier: its place in the table of multipliers; options: of the build, with commas) in the order of prediction, so that a
 * layer's first line of a multiplier is what would be chosen of the algorithm. gpu_resources.py compiles them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algo/multiplier.h"
#include "device/quirks.h"
#include "plan/choose.h"
#include "plan/plan.h"
#include "program/program.h"

struct row {
  const char *name;
  int64_t batch, in_channels, out_channels, groups, input[3], kernel[3], stride[3], padding[3];
  tconv3d_dtype dtype;
  tconv3d_layout layout;
  bool epilogue; /* GELU and a residual, of the forward operation */
};

static const struct row portable[] = {
    {"gan3", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"gan4", 8, 64, 1, 1, {32, 32, 32}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"nnunet1", 8, 320, 320, 1, {8, 8, 8}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"nnunet3", 8, 64, 32, 1, {64, 64, 64}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"monai2", 8, 64, 32, 1, {32, 32, 32}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"s1k3", 8, 32, 32, 1, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"s1k3-f16", 8, 32, 32, 1, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, TCONV3D_F16, TCONV3D_DENSE, false},
    {"depthwise", 8, 64, 64, 64, {32, 32, 32}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"brain2", 8, 8, 2, 1, {64, 64, 64}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"gan3-f64", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F64, TCONV3D_DENSE, false},
    {"gan3-last", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_CHANNELS_LAST, true},
    {"nnunet1-last", 8, 320, 320, 1, {8, 8, 8}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_BF16, TCONV3D_CHANNELS_LAST, true},
    {"depthwise-last", 8, 64, 64, 64, {32, 32, 32}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_CHANNELS_LAST, true},
};

/* For the multipliers that features bring: each type, the phases by themselves and merged, and channels that lie side by side.
 */
static const struct row featured[] = {
    {"gan3", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F32, TCONV3D_DENSE, false},
    {"gan3-f16", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F16, TCONV3D_DENSE, false},
    {"gan3-bf16-last", 8, 128, 64, 1, {16, 16, 16}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_BF16, TCONV3D_CHANNELS_LAST, true},
    {"nnunet1-f16", 8, 320, 320, 1, {8, 8, 8}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_F16, TCONV3D_DENSE, false},
    {"nnunet1-last", 8, 320, 320, 1, {8, 8, 8}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, TCONV3D_F32, TCONV3D_CHANNELS_LAST, true},
    {"s1k3-bf16", 8, 32, 32, 1, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, TCONV3D_BF16, TCONV3D_DENSE, false},
    {"gan4-f16", 8, 64, 1, 1, {32, 32, 32}, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, TCONV3D_F16, TCONV3D_DENSE, false},
};

#define FEATURE(name) (1u << T3_##name)
#define SUB_GROUPS(sizes) .sub_group_sizes = (sizes), .sub_groups = 1

/* GPUs of sixty compute units. The portable rows are compiled for those that differ in what is listed without features. */
static const struct gpu {
  const char *name;
  bool portable;
  tconv3d_device_info info;
  t3_feature_set features;
} gpus[] = {
    {"any", true, {.registers = 256, .float64 = 1}, 0},
    {"lanes-64", false, {.registers = 256, .float64 = 1, SUB_GROUPS(64)}, FEATURE(SUBGROUPS_64) | FEATURE(HALF)},
    {"lanes-32", false, {.registers = 256, .float64 = 1, SUB_GROUPS(32)}, FEATURE(SUBGROUPS_32) | FEATURE(HALF)},
    {"mma",
     false,
     {.registers = 256, .float64 = 1, .local_bytes = 48 << 10, SUB_GROUPS(32)},
     FEATURE(MMA_F16) | FEATURE(MMA_BF16) | FEATURE(MMA_TF32)},
    {"xe-lp",
     true,
     {.registers = 128, SUB_GROUPS(8 + 16 + 32), .quirks = T3_REGISTERS_ON_REQUEST},
     FEATURE(SUBGROUPS_8) | FEATURE(SUBGROUPS_16) | FEATURE(HALF)},
    {"xe-hpg",
     true,
     {.registers = 256, SUB_GROUPS(8 + 16 + 32), .quirks = T3_REGISTERS_ON_REQUEST},
     FEATURE(SUBGROUPS_8) | FEATURE(SUBGROUPS_16) | FEATURE(DPAS_8_F16) | FEATURE(DPAS_8_BF16) | FEATURE(HALF)},
    {"xe-hpc",
     true,
     {.registers = 256, .float64 = 1, SUB_GROUPS(16 + 32), .quirks = T3_REGISTERS_ON_REQUEST},
     FEATURE(SUBGROUPS_16) | FEATURE(SUBGROUPS_32) | FEATURE(DPAS_16_F16) | FEATURE(DPAS_16_BF16) | FEATURE(HALF)},
};

static t3_slot slot_of(const struct gpu *gpu) {
  t3_slot slot = {.info = gpu->info};
  slot.info.type = CL_DEVICE_TYPE_GPU;
  slot.info.compute_units = 60, slot.info.vector_width = slot.info.fma_width = 1, slot.info.work_group_size = 1024;
  slot.info.memory_bytes = slot.info.max_buffer_bytes = (uint64_t)1 << 34;
  if (!slot.info.local_bytes) slot.info.local_bytes = 1 << 16;
  return slot;
}

static bool write_text(const char *path, const t3_text *text) {
  FILE *file = fopen(path, "w");
  if (!file) return false;
  bool written = fwrite(text->data, 1, text->size, file) == text->size;
  return !fclose(file) && written;
}

/* The options with commas between, for a line whose words have spaces. */
static void print_options(const t3_text *program) {
  for (const char *c = t3_build_options(program); *c; ++c) putchar(*c == ' ' ? ',' : *c);
}

static void print_line(const t3_problem *problem, const char *name, const t3_candidate *candidate, const t3_recipe *recipe,
                       const t3_text *program, const char *path) {
  printf("%s %s %s ", name, tconv3d_operation_name(problem->operation), candidate->algorithm->name);
  for (int i = 0; i < T3_VARIANT_NUMBERS; ++i) printf("%s%" PRId64, i ? "," : "", candidate->variant.number[i]);
  printf(" %g %" PRId64 " ", candidate->seconds, t3_variant_multiplier(&candidate->variant));
  print_options(program);
  printf(" %s %zu %s\n", recipe->run[0].kernel, recipe->run[0].local, path);
}

static bool write_candidate(const t3_problem *problem, const char *name, const t3_candidate *candidate, const char *directory) {
  static int number;
  char path[4096];
  t3_recipe recipe = {0};
  t3_text text = {0};
  snprintf(path, sizeof path, "%s/%03d.cl", directory, number++);
  bool ok = candidate->algorithm->recipe(problem, &candidate->variant, &recipe) == TCONV3D_OK &&
            t3_program_text(candidate->algorithm->program, &recipe.defines, &text) && write_text(path, &text);
  if (ok) print_line(problem, name, candidate, &recipe, &text, path);
  t3_text_free(&text);
  t3_text_free(&recipe.defines);
  return ok;
}

static bool ask(const t3_slot *slot, const struct row *row, t3_feature_set features, tconv3d_operation operation,
                tconv3d_desc *desc, t3_problem *problem) {
  *desc = (tconv3d_desc)TCONV3D_DESC_INIT;
  desc->batch = row->batch, desc->in_channels = row->in_channels, desc->out_channels = row->out_channels;
  desc->groups = row->groups, desc->dtype = desc->weight_dtype = row->dtype;
  desc->x_layout = desc->y_layout = row->layout;
  for (int a = 0; a < 3; ++a) {
    desc->input_size[a] = row->input[a], desc->kernel_size[a] = row->kernel[a];
    desc->stride[a] = row->stride[a], desc->padding[a] = row->padding[a];
  }
  t3_request request = {.desc = desc, .operation = operation};
  if (row->epilogue && operation == TCONV3D_FORWARD) request.epilogue.activation = TCONV3D_GELU, request.epilogue.residual = 1;
  if (features) request.reduced_precision = TCONV3D_ALLOW_MATRICES | TCONV3D_ALLOW_TF32 | TCONV3D_ALLOW_HALF;
  if (t3_problem_init(slot, &request, problem) != TCONV3D_OK) return false;
  problem->features = features & t3_features_wanted(problem);
  return true;
}

/* Of a row for features only what they bring. */
static bool write_layer(const t3_slot *slot, const struct row *row, t3_feature_set features, tconv3d_operation operation,
                        const char *directory) {
  static const char *const names[] = {"tiled", "points", "tiled_gradient"};
  tconv3d_desc desc;
  t3_problem problem;
  if (!ask(slot, row, features, operation, &desc, &problem)) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const t3_algorithm *algorithm = t3_algorithm_named(names[i]);
    t3_candidate list[T3_MAX_VARIANTS];
    char why[160];
    if (!t3_applicable(&problem, algorithm, why, sizeof why)) continue;
    size_t count = t3_candidates(&problem, algorithm, list);
    for (size_t v = 0; v < count; ++v)
      if (!features == !t3_variant_multiplier(&list[v].variant) && !write_candidate(&problem, row->name, &list[v], directory))
        return false;
  }
  return true;
}

static bool write_rows(const struct gpu *gpu, const struct row *rows, size_t count, t3_feature_set features,
                       const char *directory) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT};
  const t3_slot slot = slot_of(gpu);
  bool ok = true;
  for (size_t i = 0; i < count; ++i)
    for (size_t o = 0; o < 3 && ok && (gpu->info.float64 || rows[i].dtype != TCONV3D_F64); ++o)
      ok = write_layer(&slot, &rows[i], features, operations[o], directory);
  return ok;
}

int main(int argc, char **argv) {
  const struct gpu *gpu = argc == 3 ? gpus : NULL;
  while (gpu && gpu < gpus + sizeof gpus / sizeof *gpus && strcmp(gpu->name, argv[2])) ++gpu;
  if (!gpu || gpu == gpus + sizeof gpus / sizeof *gpus) {
    fprintf(stderr, "usage: gpu_programs DIR GPU, which is one of:");
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; ++i) fprintf(stderr, " %s", gpus[i].name);
    fprintf(stderr, "\n");
    return 2;
  }
  bool ok = !gpu->portable || write_rows(gpu, portable, sizeof portable / sizeof *portable, 0, argv[1]);
  if (ok && gpu->features) ok = write_rows(gpu, featured, sizeof featured / sizeof *featured, gpu->features, argv[1]);
  if (!ok) fprintf(stderr, "gpu_programs: %s\n", tconv3d_message());
  return !ok;
}
