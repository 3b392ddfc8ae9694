/* gpu_programs DIR: the specialised sources of the kernels for GPUs, for a GPU that need not be there: DIR/NUMBER.cl for every
 * variant of every algorithm made for them on a few layers, and on standard output a line for each:
 *   layer operation algorithm variant-numbers predicted-seconds kernel work-items file
 * in the order of prediction, so that a layer's first line is what would be chosen of the algorithm. gpu_resources.py compiles
 * them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static const struct row rows[] = {
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

/* A GPU of sixty compute units. */
static t3_slot gpu(void) {
  t3_slot slot = {.info.type = CL_DEVICE_TYPE_GPU};
  slot.info.compute_units = 60, slot.info.vector_width = slot.info.fma_width = 1, slot.info.work_group_size = 1024;
  slot.info.memory_bytes = slot.info.max_buffer_bytes = (uint64_t)1 << 34;
  slot.info.local_bytes = 1 << 16;
  slot.info.float64 = 1;
  return slot;
}

static bool write_text(const char *path, const t3_text *text) {
  FILE *file = fopen(path, "w");
  if (!file) return false;
  bool written = fwrite(text->data, 1, text->size, file) == text->size;
  return !fclose(file) && written;
}

static bool write_candidate(const t3_problem *problem, const char *name, const t3_candidate *candidate, const char *directory) {
  static int number;
  char path[4096];
  t3_recipe recipe = {0};
  t3_text text = {0};
  snprintf(path, sizeof path, "%s/%03d.cl", directory, number++);
  bool ok = candidate->algorithm->recipe(problem, &candidate->variant, &recipe) == TCONV3D_OK &&
            t3_program_text(candidate->algorithm->program, &recipe.defines, &text) && write_text(path, &text);
  const int64_t *n = candidate->variant.number;
  if (ok)
    printf("%s %s %s %" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 " %g %s %zu %s\n", name,
           tconv3d_operation_name(problem->operation), candidate->algorithm->name, n[0], n[1], n[2], n[3], n[4], n[5],
           candidate->seconds, recipe.run[0].kernel, recipe.run[0].local, path);
  t3_text_free(&text);
  t3_text_free(&recipe.defines);
  return ok;
}

static bool write_layer(const t3_slot *slot, const struct row *row, tconv3d_operation operation, const char *directory) {
  static const char *const names[] = {"tiled", "points", "tiled_gradient"};
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  t3_problem problem;
  desc.batch = row->batch, desc.in_channels = row->in_channels, desc.out_channels = row->out_channels;
  desc.groups = row->groups, desc.dtype = desc.weight_dtype = row->dtype;
  desc.x_layout = desc.y_layout = row->layout;
  for (int a = 0; a < 3; ++a) {
    desc.input_size[a] = row->input[a], desc.kernel_size[a] = row->kernel[a];
    desc.stride[a] = row->stride[a], desc.padding[a] = row->padding[a];
  }
  t3_request request = {.desc = &desc, .operation = operation};
  if (row->epilogue && operation == TCONV3D_FORWARD) request.epilogue.activation = TCONV3D_GELU, request.epilogue.residual = 1;
  if (t3_problem_init(slot, &request, &problem) != TCONV3D_OK) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const t3_algorithm *algorithm = t3_algorithm_named(names[i]);
    t3_candidate list[T3_MAX_VARIANTS];
    char why[160];
    if (!t3_applicable(&problem, algorithm, why, sizeof why)) continue;
    size_t count = t3_candidates(&problem, algorithm, list);
    for (size_t v = 0; v < count; ++v)
      if (!write_candidate(&problem, row->name, &list[v], directory)) return false;
  }
  return true;
}

int main(int argc, char **argv) {
  static const tconv3d_operation operations[] = {TCONV3D_FORWARD, TCONV3D_GRAD_INPUT, TCONV3D_GRAD_WEIGHT};
  const t3_slot slot = gpu();
  bool ok = argc == 2;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (size_t o = 0; o < 3 && ok; ++o) ok = write_layer(&slot, &rows[i], operations[o], argv[1]);
  if (!ok) fprintf(stderr, "gpu_programs: %s\n", argc == 2 ? tconv3d_message() : "usage: gpu_programs DIR");
  return !ok;
}
