/* layer.cl: what every program of a layer is told about it, and where its weights lie. Required: GROUPS GROUP_IN GROUP_OUT,
 * TRANSPOSED (0: a convolution), KERNEL_ STRIDE_ INPUT_STEP_ PADDING_ DILATION_ each for D H W (STRIDE_ is the step of y,
 * INPUT_STEP_ that of x: one of them is 1), the weights' strides WEIGHT_0 WEIGHT_1 WEIGHT_D WEIGHT_H WEIGHT_W, and WEIGHT_DENSE
 * (1: these are those of C order). */
#if !defined(GROUPS) || !defined(GROUP_IN) || !defined(GROUP_OUT) || !defined(TRANSPOSED)
#error "GROUPS, GROUP_IN, GROUP_OUT and TRANSPOSED are required"
#endif
#if !defined(KERNEL_D) || !defined(KERNEL_H) || !defined(KERNEL_W) || !defined(STRIDE_D) || !defined(STRIDE_H) || \
    !defined(STRIDE_W)
#error "KERNEL_ and STRIDE_ D, H and W are required"
#endif
#if !defined(INPUT_STEP_D) || !defined(INPUT_STEP_H) || !defined(INPUT_STEP_W) || !defined(PADDING_D) || \
    !defined(PADDING_H) || !defined(PADDING_W) || !defined(DILATION_D) || !defined(DILATION_H) || !defined(DILATION_W)
#error "INPUT_STEP_, PADDING_ and DILATION_ D, H and W are required"
#endif
#if !defined(WEIGHT_DENSE) || !defined(WEIGHT_0) || !defined(WEIGHT_1) || !defined(WEIGHT_D) || !defined(WEIGHT_H) || \
    !defined(WEIGHT_W)
#error "WEIGHT_ DENSE, 0, 1, D, H and W are required"
#endif

/* Where the weight of input channel c and output channel m of a group lies: w is (channels in, channels out of a group, kernel)
 * in a transposed layer and the other way round in a convolution, with the strides WEIGHT_0, WEIGHT_1, WEIGHT_D, _H and _W. */
#if TRANSPOSED
#define WEIGHT_CHANNELS(group, c, m) (((long)(group)*GROUP_IN + (c)) * WEIGHT_0 + (long)(m)*WEIGHT_1)
#else
#define WEIGHT_CHANNELS(group, c, m) (((long)(group)*GROUP_OUT + (m)) * WEIGHT_0 + (long)(c)*WEIGHT_1)
#endif
#define WEIGHT_AT(group, c, m, d, h, w) \
  (WEIGHT_CHANNELS(group, c, m) + (long)(d)*WEIGHT_D + (long)(h)*WEIGHT_H + (long)(w)*WEIGHT_W)

/* The same for element i of w in C order, as it lies if WEIGHT_DENSE. */
static inline long weight_place(ulong i) {
#if WEIGHT_DENSE
  return (long)i;
#else
  const long w = i % KERNEL_W, h = i / KERNEL_W % KERNEL_H, d = i / ((ulong)KERNEL_W * KERNEL_H) % KERNEL_D;
  const long channels = i / ((ulong)KERNEL_W * KERNEL_H * KERNEL_D), second = TRANSPOSED ? GROUP_OUT : GROUP_IN;
  return channels / second * WEIGHT_0 + channels % second * WEIGHT_1 + d * WEIGHT_D + h * WEIGHT_H + w * WEIGHT_W;
#endif
}
