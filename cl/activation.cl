/* activation.cl: ACTIVATE(v, T), the activation of v, which is a T: REAL or a vector of it. Required: ACTIVATION (0: none) and,
 * where it is not 0, LOW and HIGH, its constants. f->slope is PReLU's slope of a channel.
 *
 * Floats that need exp or erf have vector forms of their own: a runtime's built-in ones may go lane by lane or branch. A power
 * of two of n + r, n whole and |r| <= 1/2, is a polynomial of r whose exponent n is added to, as bits. Results are right to 4
 * ulp, tanh's to 6; GELU's below 0, small differences of large numbers, to 1 ulp of v. Inf and NaN
 * go where the formulas take them. Doubles have the built-in functions. */
#if ACTIVATION == 1 /* ReLU */
#define ACTIVATE(v, T) (((v) < (T)0) ? (T)0 : (v))
#elif ACTIVATION == 2 /* leaky ReLU */
#define ACTIVATE(v, T) (((v) < (T)0) ? (v) * (T)LOW : (v))
#elif ACTIVATION == 3 /* PReLU */
#define ACTIVATE(v, T) (((v) < (T)0) ? (v) * (T)f->slope : (v))
#elif ACTIVATION == 9 /* clamp */
#define ACTIVATE(v, T) (((v) < (T)LOW) ? (T)LOW : (((v) > (T)HIGH) ? (T)HIGH : (v)))
#elif ACTIVATION == 0
#define ACTIVATE(v, T) (v)
#elif X_TYPE != 1
#define ACTIVATE(v, T) T3_PASTE(activated_, T)(v)
#elif ACTIVATION == 4 /* ELU */
#define ACTIVATE(v, T) (((v) < (T)0) ? (T)LOW * expm1(v) : (v))
#elif ACTIVATION == 5 /* SiLU */
#define ACTIVATE(v, T) ((v) / ((T)1 + exp(-(v))))
#elif ACTIVATION == 6 /* GELU */
#define ACTIVATE(v, T) ((v) * ((T)0.5 * ((T)1 + erf((v) * (T)0.70710678118654752440))))
#elif ACTIVATION == 7 /* sigmoid */
#define ACTIVATE(v, T) ((T)1 / ((T)1 + exp(-(v))))
#elif ACTIVATION == 8 /* tanh */
#define ACTIVATE(v, T) tanh(v)
#endif

#if ACTIVATION >= 4 && ACTIVATION <= 8 && X_TYPE != 1
/* x + ROUND - ROUND is x rounded to a whole number, which x + ROUND holds in its low bits. */
#define ROUND 0x1.8p23f
/* log2(e) as a float, and what it lacks. */
#define LOG2_E 0x1.715476p0f
#define LOG2_E_LOW 0x1.4ae0cp-26f
#define LN_2 0x1.62e43p-1f
/* Of these two the second one is taken where it is a NaN. */
#define AT_LEAST(least, v) (((least) > (v)) ? (least) : (v))
#define AT_MOST(most, v) (((most) < (v)) ? (most) : (v))

/* two_to: 2^(n + r) by t = ROUND + n. one_and_exp_minus: 1 + exp(-v) for v from LEAST_V on, where it is nearly the greatest
 * float, and Inf below: what is divided by it is then smaller than float's normal numbers, and becomes 0, but -Inf a NaN.
 * less_one_below: exp(x) - 1 for x up to 0; its own polynomial, since it is small where x is, with 2^n by itself: 127 more in
 * what rounds make n an exponent. */
#define DEFINE_EXP(F, U)                                                                               \
  static inline F T3_PASTE(two_to_, F)(F t, F r) {                                                     \
    F p = fma((F)0x1.5bba14p-10f, r, (F)0x1.3cea88p-7f);                                               \
    p = fma(p, r, (F)0x1.c6b752p-5f);                                                                  \
    p = fma(p, r, (F)0x1.ebf9bcp-3f);                                                                  \
    p = fma(p, r, (F)0x1.62e42ap-1f);                                                                  \
    p = fma(p, r, (F)1.0f);                                                                            \
    return T3_PASTE(as_, F)((T3_PASTE(as_, U)(t) << 23) + T3_PASTE(as_, U)(p));                        \
  }                                                                                                    \
  static inline F T3_PASTE(one_and_exp_minus_, F)(F v) {                                               \
    const F x = AT_MOST((F)86.0f, v), t = fma(x, (F)-LOG2_E, (F)ROUND);                                \
    const F r = fma(x, (F)-LOG2_E_LOW, fma(x, (F)-LOG2_E, (F)ROUND - t));                              \
    return (v < (F)LEAST_V) ? (F)INFINITY : (F)1.0f + T3_PASTE(two_to_, F)(t, r);                      \
  }                                                                                                    \
  static inline F T3_PASTE(less_one_below_, F)(F x) {                                                  \
    x = AT_LEAST((F)-18.0f, x); /* -1 from there on */                                                 \
    const F t = fma(x, (F)LOG2_E, (F)(ROUND + 127.0f)), r = fma(t - (F)(ROUND + 127.0f), (F)-LN_2, x); \
    const F s = T3_PASTE(as_, F)(T3_PASTE(as_, U)(t) << 23);                                           \
    const F square = r * r, low = fma((F)0x1.5554bp-3f, r, (F)0x1.fffffep-2f);                         \
    const F high = fma((F)0x1.6bebf4p-10f, square, fma((F)0x1.1227bp-7f, r, (F)0x1.555674p-5f));       \
    const F p = fma(high, square, low);                                                                \
    return fma(s, fma(square, p, r), s - (F)1.0f);                                                     \
  }
#define LEAST_V -88.37f

#if ACTIVATION == 4 /* ELU */
#define DEFINE_ACTIVATED(F, U)                                        \
  static inline F T3_PASTE(activated_, F)(F v) {                      \
    return (v < (F)0) ? (F)LOW * T3_PASTE(less_one_below_, F)(v) : v; \
  }
#elif ACTIVATION == 5 /* SiLU */
#define DEFINE_ACTIVATED(F, U)                     \
  static inline F T3_PASTE(activated_, F)(F v) {   \
    return v / T3_PASTE(one_and_exp_minus_, F)(v); \
  }
#elif ACTIVATION == 6
/* GELU: v times h or 1 - h, h = erfc(|v|/sqrt(2)) / 2, 0 from 2^-127 on. Its logarithm to base 2 is a polynomial and -1. */
#define DEFINE_ACTIVATED(F, U)                                        \
  static inline F T3_PASTE(activated_, F)(F v) {                      \
    const F a = fabs(v);                                              \
    F g = fma((F)-0x1.7c7ed4p-19f, a, (F)0x1.4a52eap-15f);            \
    g = fma(g, a, (F)-0x1.8672b4p-13f);                               \
    g = fma(g, a, (F)-0x1.1f2d4ap-13f);                               \
    g = fma(g, a, (F)0x1.cee888p-8f);                                 \
    g = fma(g, a, (F)-0x1.ae0c78p-5f);                                \
    g = fma(g, a, (F)-0x1.d63aacp-2f);                                \
    g = AT_LEAST((F)-126.0f, fma(g, a, (F)-0x1.26aed4p0f) * a);       \
    const F t = g + (F)(ROUND - 1.0f);                                \
    const F h = T3_PASTE(two_to_, F)(t, g + ((F)(ROUND - 1.0f) - t)); \
    return v * ((v < (F)0) ? h : (F)1.0f - h);                        \
  }
#elif ACTIVATION == 7 /* sigmoid */
#define DEFINE_ACTIVATED(F, U)                           \
  static inline F T3_PASTE(activated_, F)(F v) {         \
    return (F)1.0f / T3_PASTE(one_and_exp_minus_, F)(v); \
  }
#else
/* tanh: v p(v^2) / q(v^2), and 1 from 9.02 on. */
#define DEFINE_ACTIVATED(F, U)                                                      \
  static inline F T3_PASTE(activated_, F)(F v) {                                    \
    const F x = AT_MOST((F)9.02f, AT_LEAST((F)-9.02f, v)), z = x * x;               \
    F p = fma((F)1.3319295731621747e-08f, z, (F)2.0583662652045187e-05f);           \
    p = fma(p, z, (F)0.003494046493692192f);                                        \
    p = fma(p, z, (F)0.13379728316210726f);                                         \
    p = fma(p, z, (F)1.0f);                                                         \
    F q = fma((F)7.762116835001344e-07f, z, (F)0.0003283111703811458f);             \
    q = fma(q, z, (F)0.02587111959624413f);                                         \
    q = fma(q, z, (F)0.4671304357972482f);                                          \
    q = fma(q, z, (F)1.0f);                                                         \
    return AT_MOST((F)1.0f, AT_LEAST((F)-1.0f, x * p / q)); /* rounding passes 1 */ \
  }
#endif

DEFINE_EXP(float, uint)
DEFINE_ACTIVATED(float, uint)
#ifdef VECTOR
DEFINE_EXP(VEC, T3_UINT)
DEFINE_ACTIVATED(VEC, T3_UINT)
#endif
#endif
