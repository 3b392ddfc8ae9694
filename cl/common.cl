/* common.cl: what every kernel here shares. A tensor argument is a buffer and the element where the tensor starts in it. Every
 * kernel's first argument is the number of its work-items; those past it, and all of them when it is 0, do nothing. */

/* Functions here are all inlined, so how vectors wider than the processor's are passed does not matter; clang would print on
 * stderr that it had a warning. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpsabi"
#endif

#define T3_PASTE_(a, b) a##b
#define T3_PASTE(a, b) T3_PASTE_(a, b)

/* A kernel whose work-items are work-groups of their own: a CPU core takes one at a time. */
#define T3_SINGLE __attribute__((reqd_work_group_size(1, 1, 1))) __kernel

/* Before a kernel: asks for sub-groups of SUB_GROUP work-items where an instruction or a function needs that size, else of
 * LEAST_SUB_GROUP where the device's compiler gives the work-items of these the most registers. */
#if !defined(cl_intel_required_subgroup_size)
#define SUB_GROUPS
#elif defined(SUB_GROUP) && !TWIN
#define SUB_GROUPS __attribute__((intel_reqd_sub_group_size(SUB_GROUP)))
#elif defined(LEAST_SUB_GROUP)
#define SUB_GROUPS __attribute__((intel_reqd_sub_group_size(LEAST_SUB_GROUP)))
#else
#define SUB_GROUPS
#endif

#include "types.cl"

/* The explicit vector of VECTOR sums, where a program defines VECTOR. vloadN and vstoreN need no alignment, but PoCL 3.1
 * builds them from single elements, which its compiler then joins badly; a type of lower alignment says the same in one
 * instruction. */
#ifdef VECTOR
#define VEC T3_PASTE(REAL, VECTOR)
#if VECTOR == 16
#define HALF_VECTOR 8
#elif VECTOR == 8
#define HALF_VECTOR 4
#else
#define HALF_VECTOR 2
#endif
#define HALF_VEC T3_PASTE(REAL, HALF_VECTOR)
#define INT_VEC T3_PASTE(REAL_BITS, VECTOR)
#define AS_VEC T3_PASTE(T3_PASTE(as_, REAL), VECTOR)
#define AS_INT_VEC T3_PASTE(T3_PASTE(as_, REAL_BITS), VECTOR)
#ifdef __clang__
typedef VEC t3_unaligned_vec __attribute__((aligned(sizeof(REAL))));
#define VLOAD(from) (*(__global const t3_unaligned_vec *)(from))
#define VSTORE(value, to) (*(__global t3_unaligned_vec *)(to) = (value))
#define PRIVATE_VLOAD(from) (*(__private const t3_unaligned_vec *)(from))
typedef HALF_VEC t3_unaligned_half_vec __attribute__((aligned(sizeof(REAL))));
#define HALF_VLOAD(from) (*(__global const t3_unaligned_half_vec *)(from))
#define HALF_VSTORE(value, to) (*(__global t3_unaligned_half_vec *)(to) = (value))
#define PRIVATE_HALF_VLOAD(from) (*(__private const t3_unaligned_half_vec *)(from))
#else
#define VLOAD(from) T3_PASTE(vload, VECTOR)(0, from)
#define VSTORE(value, to) T3_PASTE(vstore, VECTOR)(value, 0, to)
#define PRIVATE_VLOAD(from) T3_PASTE(vload, VECTOR)(0, from)
#define HALF_VLOAD(from) T3_PASTE(vload, HALF_VECTOR)(0, from)
#define HALF_VSTORE(value, to) T3_PASTE(vstore, HALF_VECTOR)(value, 0, to)
#define PRIVATE_HALF_VLOAD(from) T3_PASTE(vload, HALF_VECTOR)(0, from)
#endif
#include "stored_vectors.cl"
#endif

/* f(j, 0), f(j, 1) and so on for every lane. */
#ifdef VECTOR
#if VECTOR == 4
#define LANES(f, j) f(j, 0), f(j, 1), f(j, 2), f(j, 3)
#elif VECTOR == 8
#define LANES(f, j) f(j, 0), f(j, 1), f(j, 2), f(j, 3), f(j, 4), f(j, 5), f(j, 6), f(j, 7)
#else
#define LANES(f, j)                                                                                                       \
  f(j, 0), f(j, 1), f(j, 2), f(j, 3), f(j, 4), f(j, 5), f(j, 6), f(j, 7), f(j, 8), f(j, 9), f(j, 10), f(j, 11), f(j, 12), \
      f(j, 13), f(j, 14), f(j, 15)
#endif
#endif

/* x modulo n in [0, n) for constant arguments. */
#define T3_MOD(x, n) ((((x) % (n)) + (n)) % (n))

/* Asks for the line of the cache at an address, which may lie outside of its tensor, ahead of its use, for the first cache (3)
 * or the second (2): where kernels read many short runs of memory the hardware foresees little. Only where the compiler
 * targets a processor: runtimes that compile to an intermediate form need not know the instruction (Mesa's translator to SPIR-V
 * 15 ends the process, Oclgrind drops the kernel). */
#if defined(__x86_64__) || defined(__aarch64__)
#define PREFETCH(address, cache) __builtin_prefetch((const void *)(size_t)(address), 0, cache)
#else
#define PREFETCH(address, cache)
#endif
#define CACHE_LINE (64 / (int)sizeof(REAL))
