/* activation.cl: ACTIVATE(v, T), the activation of v, which is a T: REAL or a vector of it. Required: ACTIVATION (0: none) and,
 * where it is not 0, LOW and HIGH, its constants. f->slope is PReLU's slope of a channel.
 *
 * Floats that need exp or erf have vector forms of their own: a runtime's built-in ones may go lane by lane or branch. With
 * x = n*ln(2) + r, n whole and |r| <= ln(2)/2, exp(x) = 2^n * (1 + q(r)), q a polynomial; 2^n is put together from bits.
 * Results are right to 3 ulp; GELU's below 0, small differences of large numbers, to 1 ulp of v. Inf and NaN go where the
 * formulas take them. Doubles have the built-in functions. */
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
#define LOG2_E 0x1.715476p0f
#define LN_2 0x1.62e43p-1f
/* ln(2) in two parts, the first of so few bits that n times it is exact. */
#define LN_2_HIGH 0x1.63p-1f
#define LN_2_LOW (-0x1.bd0106p-13f)

/* power: 2^(n - 127 + bias) by t = ROUND + n, where that is a normal number, 0 for the exponent below, Inf for the one above.
 * less_one: q(r) = exp(r) - 1. less_one_below: exp(x) - 1 for x up to 0. half_exp: exp(x)/2, Inf from 89.1 on; of use beside a
 * 1/2 that x below -86 does not count with. */
#define DEFINE_EXP(F, U)                                                                        \
  static inline F T3_PASTE(power_, F)(F t, uint bias) {                                         \
    return T3_PASTE(as_, F)((T3_PASTE(as_, U)(t) << 23) + (U)(bias << 23));                     \
  }                                                                                             \
  static inline F T3_PASTE(less_one_, F)(F r) {                                                 \
    F p = fma((F)0x1.6bebf4p-10f, r, (F)0x1.1227bp-7f);                                         \
    p = fma(p, r, (F)0x1.555674p-5f);                                                           \
    p = fma(p, r, (F)0x1.5554bp-3f);                                                            \
    p = fma(p, r, (F)0x1.fffffep-2f);                                                           \
    return fma(r * r, p, r);                                                                    \
  }                                                                                             \
  static inline F T3_PASTE(less_one_below_, F)(F x) {                                           \
    x = (x < (F)-18.0f) ? (F)-18.0f : x; /* -1 from there on */                                 \
    const F t = fma(x, (F)LOG2_E, (F)ROUND), s = T3_PASTE(power_, F)(t, 127);                   \
    return fma(s, T3_PASTE(less_one_, F)(fma(t - (F)ROUND, (F)-LN_2, x)), s - (F)1.0f);         \
  }                                                                                             \
  static inline F T3_PASTE(half_exp_, F)(F x) {                                                 \
    x = (x < (F)-86.0f) ? (F)-86.0f : ((x > (F)89.5f) ? (F)89.5f : x);                          \
    const F t = fma(x, (F)LOG2_E, (F)ROUND), n = t - (F)ROUND, s = T3_PASTE(power_, F)(t, 126); \
    return fma(s, T3_PASTE(less_one_, F)(fma(n, (F)-LN_2_LOW, fma(n, (F)-LN_2_HIGH, x))), s);   \
  }

#if ACTIVATION == 4 /* ELU */
#define DEFINE_ACTIVATED(F, U)                                        \
  static inline F T3_PASTE(activated_, F)(F v) {                      \
    return (v < (F)0) ? (F)LOW * T3_PASTE(less_one_below_, F)(v) : v; \
  }
#elif ACTIVATION == 5 /* SiLU */
#define DEFINE_ACTIVATED(F, U)                                   \
  static inline F T3_PASTE(activated_, F)(F v) {                 \
    return (F)0.5f * v / ((F)0.5f + T3_PASTE(half_exp_, F)(-v)); \
  }
#elif ACTIVATION == 6
/* GELU: v times h or 1 - h, h = erfc(|v|/sqrt(2)) / 2. Its logarithm to base 2 is a polynomial and -1. */
#define DEFINE_ACTIVATED(F, U)                                                     \
  static inline F T3_PASTE(activated_, F)(F v) {                                   \
    const F a = fabs(v);                                                           \
    F g = fma((F)-0x1.7c7ed4p-19f, a, (F)0x1.4a52eap-15f);                         \
    g = fma(g, a, (F)-0x1.8672b4p-13f);                                            \
    g = fma(g, a, (F)-0x1.1f2d4ap-13f);                                            \
    g = fma(g, a, (F)0x1.cee888p-8f);                                              \
    g = fma(g, a, (F)-0x1.ae0c78p-5f);                                             \
    g = fma(g, a, (F)-0x1.d63aacp-2f);                                             \
    g = fma(g, a, (F)-0x1.26aed4p0f) * a;                                          \
    g = (g < (F)-126.0f) ? (F)-126.0f : g;                                         \
    const F t = g + (F)ROUND, s = T3_PASTE(power_, F)(t, 126);                     \
    const F h = fma(s, T3_PASTE(less_one_, F)((g - (t - (F)ROUND)) * (F)LN_2), s); \
    return v * ((v < (F)0) ? h : (F)1.0f - h);                                     \
  }
#elif ACTIVATION == 7 /* sigmoid */
#define DEFINE_ACTIVATED(F, U)                               \
  static inline F T3_PASTE(activated_, F)(F v) {             \
    return (F)0.5f / ((F)0.5f + T3_PASTE(half_exp_, F)(-v)); \
  }
#else
/* tanh: of |v| it is -e / (e + 2), e = exp(-2|v|) - 1. */
#define DEFINE_ACTIVATED(F, U)                                                             \
  static inline F T3_PASTE(activated_, F)(F v) {                                           \
    const F e = T3_PASTE(less_one_below_, F)((F)-2.0f * fabs(v)), y = -e / (e + (F)2.0f);  \
    return T3_PASTE(as_, F)(T3_PASTE(as_, U)(y) | (T3_PASTE(as_, U)(v) & (U)0x80000000u)); \
  }
#endif

DEFINE_EXP(float, uint)
DEFINE_ACTIVATED(float, uint)
#ifdef VECTOR
DEFINE_EXP(VEC, T3_UINT)
DEFINE_ACTIVATED(VEC, T3_UINT)
DEFINE_EXP(HALF_VEC, T3_HALF_UINT)
DEFINE_ACTIVATED(HALF_VEC, T3_HALF_UINT)
#endif
#endif
