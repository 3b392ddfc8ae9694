/* algo.h: what an algorithm is. One lib/algo/NAME.c (why, predicate, cost, recipe, entry), one cl/NAME.cl, one word in the list
 * of meson.build. Nothing else in the library, the tests or the bench knows an algorithm by name. */
#ifndef T3_ALGO_H
#define T3_ALGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tconv3d/tconv3d.h>

#include "base/text.h"
#include "device/features.h"
#include "geometry/geometry.h"

/* What kinds of work there are: outputs from one tensor and weights, or a gradient from two tensors. */
typedef enum t3_work { T3_LAYER, T3_WEIGHT_GRADIENT, T3_BIAS_GRADIENT } t3_work;
static inline t3_work t3_work_of(tconv3d_operation operation) {
  return operation == TCONV3D_GRAD_WEIGHT ? T3_WEIGHT_GRADIENT : operation == TCONV3D_GRAD_BIAS ? T3_BIAS_GRADIENT : T3_LAYER;
}

/* What is asked: an operation of a layer on a device, with its phase tables. */
typedef struct t3_problem {
  tconv3d_operation operation;
  t3_layer layer; /* as the operation computes it: of a gradient with respect to x, the convolution of gy */
  double beta;    /* added to the result: beta times what the target holds, unless 0 */
  t3_phases phases[3];
  tconv3d_device_info device;
  tconv3d_epilogue epilogue;
  int reduced_precision;   /* as tconv3d_plan_options has it */
  t3_feature_set features; /* of those that t3_features_wanted names, what the device has */
  const char *no_products; /* why matrix products may not be used, static; NULL where they may */
  bool products_welcome;   /* they may be chosen by prediction alone, though CLBlast compiles for long */
  double share;            /* 1; of a smaller layer that shall share a plan's program: its part of that plan's work */
  bool unforeseen;         /* as t3_unforeseen finds it for what is asked; smaller layers that share the program take it over */
  /* Of sums: bytes of one, vectors of the device and of its multiply-add units in sums, registers for such vectors. */
  int64_t real_size, width, fma_width, registers;
} t3_problem;

/* Types in memory of x and gy, and of what is written. */
static inline tconv3d_dtype t3_input_type(const t3_problem *problem) {
  return problem->layer.dtype;
}
static inline tconv3d_dtype t3_target_type(const t3_problem *problem) {
  return t3_work_of(problem->operation) == T3_LAYER ? problem->layer.dtype : problem->layer.weight_dtype;
}
/* Whether a type is that of the sums, so that kernels can read it as it is. */
static inline bool t3_is_real(const t3_problem *problem, tconv3d_dtype dtype) {
  return dtype == TCONV3D_F64 || (dtype == TCONV3D_F32 && problem->real_size == 4);
}

/* A kernel argument: a tensor (passed as a cl_mem and the element it starts at, a ulong) or a number (a long). */
typedef enum t3_arg_kind {
  T3_X,
  T3_Y,
  T3_WEIGHT,
  T3_BIAS,
  T3_PACKED,
  T3_WORKSPACE,
  T3_GY,
  T3_RESIDUAL,
  T3_SLOPE,
  T3_SCALE,
  T3_SHIFT,
  T3_TENSORS,
  T3_NUMBER
} t3_arg_kind;
typedef struct t3_arg {
  t3_arg_kind kind;
  int64_t number; /* of a tensor: elements after its start, in the workspace or what is packed */
} t3_arg;

enum { T3_MAX_ARGS = 32, T3_MAX_LAUNCHES = 96 };

/* A product of matrices, batch times: the launch's three arguments are a [m][k], b [k][n] and the result [m][n], row-major
 * without gaps, of the type of the sums. step: elements from one matrix of the batch to the next, 0 for the same. */
typedef struct t3_matmul {
  int64_t m, n, k, batch, step[3];
  bool doubles;
} t3_matmul;

/* One kernel launch: items work-items in a row, in work-groups of local. The kernel's first argument is items, a ulong; with 0
 * it must do nothing, which is how a plan makes the runtime generate its code. A kernel finds its place by get_global_id(0)
 * alone: a long launch is made in parts, each with an offset, and then get_group_id(0) starts at 0 in each of them. Or, where
 * kernel is NULL, a product. A recipe's last launch is a kernel's. */
typedef struct t3_launch {
  const char *kernel; /* NULL: a product */
  t3_matmul product;
  size_t local;
  int64_t items;
  int64_t rounds; /* of all loops of a work-item, at most; 0: about its part of the layer's multiply-adds and of x and y */
  int64_t part;   /* work-items of a command at most, a multiple of local; 0: all in one. The plan's to set */
  t3_arg args[T3_MAX_ARGS];
  int num_args;
} t3_launch;

/* How an algorithm serves a problem: a program, and what to launch. Launches of run follow one another. */
typedef struct t3_recipe {
  t3_text defines; /* "NAME=value\n" lines, in a fixed order: part of the program's identity */
  int64_t packed_bytes, workspace_bytes;
  t3_launch pack;          /* from WEIGHT and BIAS to PACKED; without a kernel where there are no weights */
  t3_launch pack_channels; /* from SLOPE, SCALE and SHIFT to PACKED; without a kernel where the epilogue has none */
  t3_launch run[T3_MAX_LAUNCHES];
  int num_run;
  bool deterministic;
  char detail[160]; /* for explain: the blocks chosen and so on */
} t3_recipe;

/* One way in which an algorithm can serve a problem, block sizes above all: numbers whose meaning is the algorithm's own; those
 * that it does not use are 0. */
enum { T3_VARIANT_NUMBERS = 6, T3_MAX_VARIANTS = 512 };
typedef struct t3_variant {
  int64_t number[T3_VARIANT_NUMBERS];
} t3_variant;

typedef struct t3_algorithm {
  const char *name, *program; /* program: the stem of its file in cl/ */
  /* True when the problem can be served; else the reason, one line, in why. */
  bool (*applicable)(const t3_problem *problem, char *why, size_t capacity);
  /* The variants that can serve an applicable problem, at least one and at most T3_MAX_VARIANTS, in any order; how many. */
  size_t (*variants)(const t3_problem *problem, t3_variant *list);
  /* Predicted seconds of one call. Like recipe it is asked only for one of the variants listed for the problem. */
  double (*cost)(const t3_problem *problem, const t3_variant *variant);
  tconv3d_status (*recipe)(const t3_problem *problem, const t3_variant *variant, t3_recipe *recipe);
  t3_work serves;
} t3_algorithm;

/* An algorithm and how it would serve a problem. */
typedef struct t3_candidate {
  const t3_algorithm *algorithm;
  t3_variant variant;
  double seconds; /* predicted */
} t3_candidate;

/* All of them in the order of preference; NULL past the last. */
const t3_algorithm *t3_algorithm_at(size_t index);
const t3_algorithm *t3_algorithm_named(const char *name);

/* Whether the algorithm is for this kind of work and applicable; else false with the reason. */
bool t3_applicable(const t3_problem *problem, const t3_algorithm *algorithm, char *why, size_t capacity);

/* Adds a launch's arguments: T3_ARGS(launch, {T3_X}, {T3_NUMBER, 5}). */
#define T3_ARGS(launch, ...) t3_set_args(launch, (t3_arg[]){__VA_ARGS__}, sizeof((t3_arg[]){__VA_ARGS__}) / sizeof(t3_arg))
void t3_set_args(t3_launch *launch, const t3_arg *args, size_t count);
/* Strides among them: all five, or those before W's. */
#define T3_ROW_STRIDES(s)                                          \
  {T3_NUMBER, (s)[0]}, {T3_NUMBER, (s)[1]}, {T3_NUMBER, (s)[2]}, { \
    T3_NUMBER, (s)[3]                                              \
  }
#define T3_STRIDES(s)  \
  T3_ROW_STRIDES(s), { \
    T3_NUMBER, (s)[4]  \
  }

/* The defines that every algorithm's program has: types, groups, channels and the parameters of each axis, the epilogue and
 * beta.
 */
void t3_define_problem(t3_text *defines, const t3_problem *problem);
/* The same without what is the layer's. */
void t3_define_types(t3_text *defines, const t3_problem *problem);
void t3_define(t3_text *defines, const char *name, int64_t value);
/* NAME_D, NAME_H, NAME_W. */
void t3_define_axes(t3_text *defines, const char *name, const int64_t value[3]);

/* Whether it takes numbers of each output channel. */
bool t3_epilogue_has_channels(const tconv3d_epilogue *epilogue);

/* Once a layer's recipe has its launches, of which the last one stores: where packed_count weights are followed by what the
 * epilogue has for each channel, the residual as the last argument, and the bytes of both. */
void t3_end_recipe(const t3_problem *problem, int64_t packed_count, t3_recipe *recipe);

/* Bytes of the last cache that a layer may count on: a virtual machine is told its host's, which serves others too. */
uint64_t t3_cache_share(const tconv3d_device_info *device);
/* Whether x outgrows the second cache and has so many channels that no processor foresees the next one's values: those are
 * worth prefetching (measured: up to half of the time; with few channels it costs instead). */
bool t3_unforeseen(const t3_problem *problem);

/* Multiply-adds that a device does a second at best, by its compute units, clock (assumed) and vectors; for costs only. */
double t3_device_rate(const tconv3d_device_info *device);
/* The same for cycles of one CPU core, spread over all of them, and for floats that go to or from memory. */
double t3_cycles_to_seconds(const tconv3d_device_info *device, double cycles);
double t3_stream_seconds(const tconv3d_device_info *device, int64_t floats);

#endif
