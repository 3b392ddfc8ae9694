/* lines.cl: for kernels whose vectors hold VECTOR neighbouring t of W: what a tap of W does, and how the sums of all STRIDE_W
 * residues become a piece of a row of y. Required: TRANSPOSED, KERNEL_ STRIDE_ PADDING_ DILATION_ for W, VECTOR, STREAM (not 0:
 * y outgrows the caches, so it is stored past them; so many vectors of t fill lines of them together). */
#include "epilogue.cl"

#if !defined(STRIDE_W) || !defined(PADDING_W) || !defined(DILATION_W) || !defined(VECTOR) || !defined(STREAM)
#error "STRIDE_W, PADDING_W, DILATION_W, VECTOR and STREAM are required"
#endif
#if VECTOR != 4 && VECTOR != 8 && VECTOR != 16
#error "VECTOR is 4, 8 or 16"
#endif

/* Output i of VECTOR*STRIDE_W interleaved ones is value i/STRIDE_W of residue i%STRIDE_W. For two residues PAIR(j) makes vector
 * j of them; for four it is used twice. For three, MIX takes the first two residues, then ADD the third. */
#if defined(__clang__) && STRIDE_W >= 2 && STRIDE_W <= 4
#define SHUFFLES 1
#define PAIR_LANE(j, l) (((j)*VECTOR + (l)) / 2 + ((l) % 2 ? VECTOR : 0))
#define PAIR(j, a, b) __builtin_shufflevector(a, b, LANES(PAIR_LANE, j))
#define MIX_LANE(j, l) (((j)*VECTOR + (l)) / 3 + (((j)*VECTOR + (l)) % 3 == 1 ? VECTOR : 0))
#define ADD_LANE(j, l) (((j)*VECTOR + (l)) % 3 == 2 ? VECTOR + ((j)*VECTOR + (l)) / 3 : (l))
#define TRIPLE(j, a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, LANES(MIX_LANE, j)), c, LANES(ADD_LANE, j))
#endif

/* VECTOR*STRIDE_W sums of one m, h and v, one residue after another. */
typedef union {
  VEC vector[STRIDE_W];
  REAL lane[STRIDE_W * VECTOR];
} line_t;

/* Outputs in the order of a row of y, which interleave makes of them, and room for a vector that begins at the last. */
typedef union {
  VEC vector[STRIDE_W + 1];
  REAL lane[(STRIDE_W + 1) * VECTOR];
} row_t;

static inline void interleave(const line_t *sums, row_t *row) {
  const VEC *s = sums->vector;
#if STRIDE_W == 1
  row->vector[0] = s[0];
#elif defined(SHUFFLES) && STRIDE_W == 2
  row->vector[0] = PAIR(0, s[0], s[1]);
  row->vector[1] = PAIR(1, s[0], s[1]);
#elif defined(SHUFFLES) && STRIDE_W == 3
  row->vector[0] = TRIPLE(0, s[0], s[1], s[2]);
  row->vector[1] = TRIPLE(1, s[0], s[1], s[2]);
  row->vector[2] = TRIPLE(2, s[0], s[1], s[2]);
#elif defined(SHUFFLES)
  const VEC even[2] = {PAIR(0, s[0], s[2]), PAIR(1, s[0], s[2])}, odd[2] = {PAIR(0, s[1], s[3]), PAIR(1, s[1], s[3])};
  row->vector[0] = PAIR(0, even[0], odd[0]);
  row->vector[1] = PAIR(1, even[0], odd[0]);
  row->vector[2] = PAIR(0, even[1], odd[1]);
  row->vector[3] = PAIR(1, even[1], odd[1]);
#else
  for (int i = 0; i < STRIDE_W * VECTOR; ++i) row->lane[i] = sums->lane[i % STRIDE_W * VECTOR + i / STRIDE_W];
#endif
}

/* The outputs in their order, activated, and then zeros. */
static inline void outputs_of(const line_t *sums, row_t *row, const finish_t *f) {
  interleave(sums, row);
  row->vector[STRIDE_W] = 0;
#pragma unroll
  for (int i = 0; i < STRIDE_W; ++i) row->vector[i] = activated_vector(row->vector[i], f);
}

/* Stores count activated values, at least 1; a vector more of them must be there. The rest of what ends within a vector is
 * stored in halves, the last two of which may overlap where storing twice does no harm; what is converted to be stored, by way
 * of a vector. (Halves put together in memory, to be read as a vector, would wait for their stores.) */
#if Y_TYPE < 2
static inline void store_piece(__global Y_STORED *to, const REAL *from, int count, const finish_t *f) {
  int i = 0;
  for (; i + VECTOR <= count; i += VECTOR) STORE_VECTOR(PRIVATE_VLOAD(from + i), to + i, vector, f);
  if (count - i >= VECTOR / 2) {
    HALF_VSTORE(finished_half(to + i, PRIVATE_HALF_VLOAD(from + i), f), to + i);
    i += VECTOR / 2;
  }
  if (i == count) return;
  if (!STORES_ONCE && count >= VECTOR / 2) {
    __global Y_STORED *last = to + count - VECTOR / 2;
    HALF_VSTORE(finished_half(last, PRIVATE_HALF_VLOAD(from + count - VECTOR / 2), f), last);
    return;
  }
  for (; i < count; ++i) store_one(to + i, from[i], f);
}
#else
static inline void store_piece(__global Y_STORED *to, const REAL *from, int count, const finish_t *f) {
  int i = 0;
  for (; i + VECTOR <= count; i += VECTOR) STORE_VECTOR(PRIVATE_VLOAD(from + i), to + i, vector, f);
  if (STORES_ONCE) {
    for (; i < count; ++i) store_one(to + i, from[i], f);
  } else if (i < count) {
    const union {
      Y_VEC vector;
      Y_STORED lane[VECTOR];
    } part = {ROUNDED_Y(finished_vector(to + i, PRIVATE_VLOAD(from + i), f))};
    for (int l = 0; i + l < count; ++l) to[i + l] = part.lane[l];
  }
}
#endif

/* A line's last block starts where it still ends with the line, so it computes again what the block before has stored: these
 * first values of t are passed over where a result depends on what it replaces. */
#if STORES_ONCE
#define DONE_BEFORE(next, first) ((next) - (first))
#else
#define DONE_BEFORE(next, first) 0
#endif

/* Stores VECTOR values of t, interleaved: count outputs, all VECTOR*STRIDE_W of them but at a row's end. v: how many vectors
 * that are stored before them lie before them in the row. */
static inline void store_outputs(__global Y_STORED *to, const line_t *sums, int count, int v, const finish_t *f) {
  if (count >= STRIDE_W * VECTOR) {
    row_t whole; /* of its own, so that it stays in registers */
    outputs_of(sums, &whole, f);
#ifdef STORE_PAST_CACHE
    /* All of them or none: they, or they and their neighbours, fill lines of the cache together, and a line that is filled in
     * part that way is slow. */
    if (((size_t)to & (LINE_BYTES - 1)) == v % STREAM * sizeof(whole.vector[0]) * STRIDE_W) {
#pragma unroll
      for (int i = 0; i < STRIDE_W; ++i) STORE_PAST_CACHE(whole.vector[i], to + i * VECTOR, vector, f);
      return;
    }
#endif
#pragma unroll
    for (int i = 0; i < STRIDE_W; ++i) STORE_VECTOR(whole.vector[i], to + i * VECTOR, vector, f);
    return;
  }
  row_t row;
  outputs_of(sums, &row, f);
  store_piece(to, row.lane, count, f);
}

/* The same without the first done values of t. */
static inline void store_after(__global Y_STORED *to, const line_t *sums, int count, int done, int v, const finish_t *f) {
  if (done <= 0) {
    store_outputs(to, sums, count, v, f);
    return;
  }
  row_t row;
  outputs_of(sums, &row, f);
  count = min(count, STRIDE_W * VECTOR) - done * STRIDE_W;
  if (count > 0) store_piece(to + done * STRIDE_W, row.lane + done * STRIDE_W, count, f);
}

/* The same VECTOR values of t of several output channels, for a y whose channels lie side by side (Y_CHANNELS_LAST). */
#if Y_CHANNELS_LAST
#define TURNED (STRIDE_W * VECTOR * BLOCK_M)

/* With room for a vector that begins at the last. */
typedef union {
  VEC vector[STRIDE_W * BLOCK_M + 1];
  REAL lane[TURNED + VECTOR];
} turned_t;

/* lane[output * channels + channel], and then zeros; the channels' lines are apart lines apart. */
static inline void turn_lines(const line_t *lines, int apart, int channels, turned_t *turned) {
#pragma unroll
  for (int l = 0; l < VECTOR; ++l) turned->lane[STRIDE_W * VECTOR * channels + l] = 0;
#if (BLOCK_M & (BLOCK_M - 1)) == 0 && BLOCK_M <= VECTOR
  if (channels == BLOCK_M) {
    row_t rows[BLOCK_M];
#pragma unroll
    for (int m = 0; m < BLOCK_M; ++m) interleave(lines + m * apart, &rows[m]);
#pragma unroll
    for (int a = 0; a < STRIDE_W; ++a) {
      VEC piece[VECTOR];
#pragma unroll
      for (int m = 0; m < BLOCK_M; ++m) piece[m] = rows[m].vector[a];
      turn_lanes(piece, BLOCK_M, BLOCK_M);
#pragma unroll
      for (int m = 0; m < BLOCK_M; ++m) turned->vector[a * BLOCK_M + m] = piece[m];
    }
    return;
  }
#endif
  for (int m = 0; m < channels; ++m)
#pragma unroll
    for (int a = 0; a < STRIDE_W; ++a)
#pragma unroll
      for (int t = 0; t < VECTOR; ++t) turned->lane[(t * STRIDE_W + a) * channels + m] = lines[m * apart].lane[a * VECTOR + t];
}

/* Stores the channels of one output, m the first of them. */
static inline void store_channels_of(__global Y_STORED *to, const REAL *from, int channels, __global const REAL *packed, uint m,
                                     __global const Y_STORED *y, __global const Y_STORED *residuals) {
  int i = 0;
  for (; i + VECTOR <= channels; i += VECTOR) {
    const finish_channels_t f = finish_channels_of(packed, m + i, y, residuals);
    STORE_VECTOR(PRIVATE_VLOAD(from + i), to + i, channels, &f);
  }
  for (; i < channels; ++i) {
    const finish_t f = finish_of(packed, m + i, y, residuals);
    store_one(to + i, from[i], &f);
  }
}

/* Outputs from begin to before end, where there is nothing between y's channels and nothing but them. */
static inline void store_run(__global Y_STORED *to, const turned_t *turned, int begin, int end, const finish_t *f) {
#ifdef STORE_PAST_CACHE
  if (begin == 0 && end * BLOCK_M == TURNED && ((size_t)to & (LINE_BYTES - 1)) == 0) {
#pragma unroll
    for (int i = 0; i < STRIDE_W * BLOCK_M; ++i) STORE_PAST_CACHE(turned->vector[i], to + i * VECTOR, vector, f);
    return;
  }
#endif
  if (begin < end) store_piece(to + begin * BLOCK_M, turned->lane + begin * BLOCK_M, (end - begin) * BLOCK_M, f);
}

/* to: where the first channel m of the first output goes; y_w: how far apart outputs are; lines: within the whole block's, as
 * one array, since a driver may take an index past an inner array for one that never comes (Mesa does). Lines are activated in
 * their place. */
static inline void store_turned(__global Y_STORED *to, long y_w, line_t *lines, int apart, int channels, int count, int done,
                                __global const REAL *packed, uint m, __global const Y_STORED *y,
                                __global const Y_STORED *residuals) {
#if ACTIVATES
#pragma unroll 1
  for (int i = 0; i < channels; ++i) {
    const finish_t f = finish_of(packed, m + i, y, residuals);
#pragma unroll
    for (int a = 0; a < STRIDE_W; ++a) lines[i * apart].vector[a] = activated_vector(lines[i * apart].vector[a], &f);
  }
#endif
  turned_t turned;
  turn_lines(lines, apart, channels, &turned);
  const REAL *from = turned.lane;
  const int end = min(count, STRIDE_W * VECTOR), begin = max(done, 0) * STRIDE_W;
#if AFFINE == 2
  for (int p = begin; p < end; ++p) store_channels_of(to + p * y_w, from + p * channels, channels, packed, m, y, residuals);
#else
  const finish_t f = finish_of(packed, m, y, residuals);
  if (channels == BLOCK_M && y_w == BLOCK_M)
    store_run(to, &turned, begin, end, &f);
  else if (channels == BLOCK_M)
    for (int p = begin; p < end; ++p) store_piece(to + p * y_w, from + p * BLOCK_M, BLOCK_M, &f);
  else
    for (int p = begin; p < end; ++p) store_piece(to + p * y_w, from + p * channels, channels, &f);
#endif
}
#endif
