/* epilogue.cl: from a sum to what is stored, for scalars and vectors alike:
 *   v = sum; AFFINE 1: v = scale[m]*v + shift[m]; v = activation(v); RESIDUAL: v += RESIDUAL * residual; AFFINE 2: as AFFINE 1;
 *   BETA: v += BETA * what the target held
 * all of them optional, in REAL; the result is rounded to Y's type once. A NaN stays one under every activation.
 *
 * What comes before the residual is "activated": a function of the sum and its channel. Kernels with vectors do it to whole
 * ones, also where only a part is stored: single values would need another copy of the code, whose constants a compiler keeps
 * in registers while sums are computed (LLVM 15 does, and sums no longer fit).
 *
 * Defines: ACTIVATION (0: none), LOW and HIGH (its constants), AFFINE, and where they are not 0 RESIDUAL and BETA. CHANNELS_AT
 * is where packed holds, after the weights, slope[m], scale[m] and shift[m] of all OUT_CHANNELS channels, and CHANNELS_PAST
 * zeros. */
#ifndef ACTIVATION
#define ACTIVATION 0
#endif
#ifndef AFFINE
#define AFFINE 0
#endif
#define PER_CHANNEL (ACTIVATION == 3 || AFFINE)
#define ACTIVATES (ACTIVATION || AFFINE == 1)

/* More arguments of a kernel that stores results, the last ones. */
#ifdef RESIDUAL
#define RESIDUAL_ARGS , __global const Y_STORED *residual, ulong residual_start
#define RESIDUAL_OF(y, y_start) ((residual) + (residual_start))
#define Y_RESTRICT /* the residual may lie in y's own memory */
#else
#define RESIDUAL_ARGS
#define RESIDUAL_OF(y, y_start) ((y) + (y_start))
#define Y_RESTRICT restrict
#endif

/* What one output channel needs; y and residual: where those tensors start. */
typedef struct {
  REAL slope, scale, shift;
  __global const Y_STORED *y, *residual;
} finish_t;

/* packed: where it starts; m: of all output channels. */
static inline finish_t finish_of(__global const REAL *packed, uint m, __global const Y_STORED *y,
                                 __global const Y_STORED *residual) {
  finish_t f = {0, 1, 0, y, residual};
#if PER_CHANNEL
  packed += CHANNELS_AT + m;
  f.slope = packed[0], f.scale = packed[OUT_CHANNELS], f.shift = packed[2 * OUT_CHANNELS];
#endif
  return f;
}

#ifdef VECTOR
/* The same for VECTOR neighbouring output channels. */
typedef struct {
  VEC slope, scale, shift;
  __global const Y_STORED *y, *residual;
} finish_channels_t;

static inline finish_channels_t finish_channels_of(__global const REAL *packed, uint m, __global const Y_STORED *y,
                                                   __global const Y_STORED *residual) {
  finish_channels_t f = {(VEC)0, (VEC)1, (VEC)0, y, residual};
#if PER_CHANNEL
  packed += CHANNELS_AT + m;
  f.slope = VLOAD(packed), f.scale = VLOAD(packed + OUT_CHANNELS), f.shift = VLOAD(packed + 2 * OUT_CHANNELS);
#endif
  return f;
}
#endif

#include "activation.cl"

#if AFFINE == 1
#define AFFINE_FIRST(v, T) v = fma(v, (T)f->scale, (T)f->shift);
#else
#define AFFINE_FIRST(v, T)
#endif
#if AFFINE == 2
#define AFFINE_LAST(v, T) v = fma(v, (T)f->scale, (T)f->shift);
#else
#define AFFINE_LAST(v, T)
#endif
#ifdef RESIDUAL
#define ADD_RESIDUAL(v, T, READ) v = fma((T)RESIDUAL, READ(f->residual + (to - f->y)), v);
#else
#define ADD_RESIDUAL(v, T, READ)
#endif
#ifdef BETA
#define ADD_TARGET(v, T, READ) v = fma((T)BETA, READ(to), v);
#else
#define ADD_TARGET(v, T, READ)
#endif

/* activated_: what comes before the residual, of the sum alone. finished_: the rest, which reads what belongs to the place to.
 */
#define DEFINE_ACTIVATION(LENGTH, T, F)                           \
  static inline T T3_PASTE(activated_, LENGTH)(T v, const F *f) { \
    AFFINE_FIRST(v, T)                                            \
    return ACTIVATE(v, T);                                        \
  }
#define DEFINE_FINISH(LENGTH, T, F, READ)                                                     \
  static inline T T3_PASTE(finished_, LENGTH)(__global const Y_STORED *to, T v, const F *f) { \
    ADD_RESIDUAL(v, T, READ)                                                                  \
    AFFINE_LAST(v, T)                                                                         \
    ADD_TARGET(v, T, READ)                                                                    \
    return v;                                                                                 \
  }
DEFINE_ACTIVATION(one, REAL, finish_t)
DEFINE_FINISH(one, REAL, finish_t, READ_Y)
#ifdef VECTOR
DEFINE_ACTIVATION(vector, VEC, finish_t)
DEFINE_FINISH(vector, VEC, finish_t, VREAD_Y)
DEFINE_ACTIVATION(channels, VEC, finish_channels_t)
DEFINE_FINISH(channels, VEC, finish_channels_t, VREAD_Y)
#if Y_TYPE < 2
DEFINE_FINISH(half, HALF_VEC, finish_t, HALF_VLOAD)
#endif
#endif

/* store_one: what is activated already; store_sum: a sum. */
static inline void store_one(__global Y_STORED *to, REAL v, const finish_t *f) {
  WRITE_Y(finished_one(to, v, f), to);
}

static inline void store_sum(__global Y_STORED *to, REAL sum, const finish_t *f) {
  store_one(to, activated_one(sum, f), f);
}

#ifdef VECTOR
/* Stores what is activated already. Where y outgrows the caches (STREAM) whole lines of them may be stored past them. */
#define STORE_VECTOR(v, to, LENGTH, f) VWRITE_Y(T3_PASTE(finished_, LENGTH)(to, v, f), to)
#if STREAM && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define LINE_BYTES 64
#define STORE_PAST_CACHE(v, to, LENGTH, f) \
  __builtin_nontemporal_store(T3_PASTE(finished_, LENGTH)(to, v, f), (__global VEC *)(to)) /* of sums' type */
#endif
#endif
#endif

/* Whether storing reads what it replaces, or may: then nothing may be stored twice. */
#if defined(BETA) || defined(RESIDUAL)
#define STORES_ONCE 1
#else
#define STORES_ONCE 0
#endif

/* One work-item packs an output channel's parameters; arguments that are not used may be any buffer. */
T3_SINGLE void pack_channels(ulong items, __global const W_STORED *slope, ulong slope_start, __global const W_STORED *scale,
                             ulong scale_start, __global const W_STORED *shift, ulong shift_start, __global REAL *packed,
                             ulong packed_start) {
#if PER_CHANNEL
  const ulong m = get_global_id(0);
  if (m >= items) return;
  packed += packed_start + CHANNELS_AT + m;
  packed[0] = ACTIVATION == 3 ? READ_W(slope + slope_start + m) : (REAL)0;
  packed[OUT_CHANNELS] = AFFINE ? READ_W(scale + scale_start + m) : (REAL)1;
  packed[2 * OUT_CHANNELS] = AFFINE ? READ_W(shift + shift_start + m) : (REAL)0;
  if (m + 1 == OUT_CHANNELS) /* a vector of the last channels reaches past them */
    for (int l = 0; l < CHANNELS_PAST; ++l) packed[2 * OUT_CHANNELS + 1 + l] = 0;
#endif
}
