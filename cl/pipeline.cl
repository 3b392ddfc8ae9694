/* pipeline.cl: dense phases in one work-item, for devices that turn a loop into a pipeline of hardware: FPGAs. The kernel is a
 * task, a grid of one work-item that never asks for its index, by which FPGA compilers know one; it is plain OpenCL C 1.2.
 *
 * The phases are those of phase.cl. The task walks (image, block of BLOCK_M output channels, d, h, residue of W, tile of
 * BLOCK_W positions of it) and adds, for each tap of D and H that is inside x, each input channel and each tap of W,
 *
 *   sums[m][i] += packed[m] * line[i*INPUT_STEP_W]
 *
 * as BLOCK_M*BLOCK_W multiply-adds at once. line is a shift register: a row's values of x go in at its end one after the other,
 * in the order in which they lie, zeros where the row has ended; the next tap of W finds its values SHIFT places further, so
 * the register is shifted and no index into it, or into sums, is known only at run time: both become registers. Where taps lie
 * so far apart that the register would be too long (LINE 0) each value is read for each tap. When a tile is done its sums leave
 * the registers for a memory of their own, from which one store at a time takes them: one epilogue in hardware and not
 * BLOCK_M*BLOCK_W.
 *
 * packed holds the weights in the order of use: [group][m block][residue d][residue h][residue w][tap d][tap h][c][tap w, those
 * that meet lower inputs first][BLOCK_M], then the bias [group][m block][BLOCK_M]; channels past the last are zero and never
 * stored. x and y may lie anywhere. Required: what layer.cl asks, what phases.cl asks for D, H and W, BLOCK_M BLOCK_W LINE. */
#include "common.cl"
#include "epilogue.cl"
#include "layer.cl"
#include "phases.cl"

#if !defined(BLOCK_M) || !defined(BLOCK_W) || !defined(LINE)
#error "BLOCK_M, BLOCK_W and LINE are required"
#endif

#define M_BLOCKS ((GROUP_OUT + BLOCK_M - 1) / BLOCK_M)
#define TAPS_D ((ulong)tap_start_d[RESIDUES_D])
#define TAPS_H ((ulong)tap_start_h[RESIDUES_H])
#define TAPS_W ((ulong)tap_start_w[RESIDUES_W])
#define BLOCK_WEIGHTS (TAPS_D * TAPS_H * TAPS_W * GROUP_IN * BLOCK_M)

/* A transposed layer's input offsets fall from tap to tap, a convolution's rise. */
#define FALLS (OFFSET_STEP_W > 0)
#define SHIFT (FALLS ? OFFSET_STEP_W : -(OFFSET_STEP_W))

/* The taps of one axis that reach a residue: how many, how many of earlier residues, the first one and its input offset. */
typedef struct {
  int count, before, first, offset;
} taps_t;

static inline taps_t taps_at(__constant const int *start, __constant const int *first, __constant const int *offset,
                             int residue) {
  const taps_t taps = {start[residue + 1] - start[residue], start[residue], first[residue], offset[residue]};
  return taps;
}

#define TAPS_OF_D(a) taps_at(tap_start_d, first_tap_d, first_offset_d, a)
#define TAPS_OF_H(a) taps_at(tap_start_h, first_tap_h, first_offset_h, a)
#define TAPS_OF_W(a) taps_at(tap_start_w, first_tap_w, first_offset_w, a)

/* Where the weights of a residue start in a block. */
static inline ulong phase_start(taps_t d, taps_t h, taps_t w) {
  const ulong before = d.before * TAPS_H * TAPS_W + (ulong)d.count * (h.before * TAPS_W + (ulong)h.count * w.before);
  return before * GROUP_IN * BLOCK_M;
}

/* A task too: it writes packed from its beginning to its end. */
T3_SINGLE void pipeline_pack(ulong items, __global const W_STORED *restrict w, ulong w_start,
                             __global const W_STORED *restrict b, ulong b_start, __global REAL *restrict packed,
                             ulong packed_start, long has_bias) {
  if (items == 0) return;
  __global REAL *to = packed + packed_start;
  for (int block = 0; block < GROUPS * M_BLOCKS; ++block) {
    const int first_m = block % M_BLOCKS * BLOCK_M;
    for (int phase = 0; phase < RESIDUES_D * RESIDUES_H * RESIDUES_W; ++phase) {
      const taps_t d = TAPS_OF_D(phase / (RESIDUES_H * RESIDUES_W)), h = TAPS_OF_H(phase / RESIDUES_W % RESIDUES_H);
      const taps_t e = TAPS_OF_W(phase % RESIDUES_W);
      for (int jd = 0; jd < d.count; ++jd)
        for (int jh = 0; jh < h.count; ++jh)
          for (int c = 0; c < GROUP_IN; ++c)
            for (int j = 0; j < e.count; ++j) {
              const int kw = e.first + (FALLS ? e.count - 1 - j : j) * TAP_STEP_W;
              const long at = WEIGHT_AT(block / M_BLOCKS, c, first_m, d.first + jd * TAP_STEP_D, h.first + jh * TAP_STEP_H, kw);
              const long next = WEIGHT_CHANNELS(0, 0, 1);
              for (int m = 0; m < BLOCK_M; ++m) *to++ = first_m + m < GROUP_OUT ? READ_W(w + w_start + at + m * next) : 0;
            }
    }
  }
  for (int block = 0; block < GROUPS * M_BLOCKS; ++block) {
    const int first_m = block % M_BLOCKS * BLOCK_M;
    for (int m = 0; m < BLOCK_M; ++m)
      *to++ =
          has_bias && first_m + m < GROUP_OUT ? READ_W(b + b_start + (long)(block / M_BLOCKS) * GROUP_OUT + first_m + m) : 0;
  }
}

/* Element i of a row of x, zero outside. */
static inline REAL value_at(__global const X_STORED *row, long i, long in_w, long x_w) {
  return i >= 0 && i < in_w ? READ_X(row + i * x_w) : (REAL)0;
}

T3_SINGLE void pipeline(ulong items, __global const X_STORED *restrict x, ulong x_start, __global const REAL *restrict packed,
                        ulong packed_start, __global Y_STORED *Y_RESTRICT y, ulong y_start, long batch, long in_d, long in_h,
                        long in_w, long x_n, long x_c, long x_d, long x_h, long x_w, long out_d, long out_h, long out_w,
                        long y_n, long y_c, long y_d, long y_h, long y_w RESIDUAL_ARGS) {
  if (items == 0) return;
  packed += packed_start;
  __global const REAL *biases = packed + (ulong)GROUPS * M_BLOCKS * BLOCK_WEIGHTS;
  for (long n = 0; n < batch; ++n)
    for (long block = 0; block < (long)GROUPS * M_BLOCKS; ++block) {
      const long group = block / M_BLOCKS, first_m = block % M_BLOCKS * BLOCK_M;
      __global const X_STORED *image = x + x_start + n * x_n + group * GROUP_IN * x_c;
      for (long od = 0; od < out_d; ++od)
        for (long oh = 0; oh < out_h; ++oh)
          for (int a = 0; a < RESIDUES_W; ++a) {
            const taps_t d = TAPS_OF_D(od % STRIDE_D), h = TAPS_OF_H(oh % STRIDE_H), w = TAPS_OF_W(a);
            const long first_d = od / STRIDE_D * INPUT_STEP_D + d.offset, first_h = oh / STRIDE_H * INPUT_STEP_H + h.offset;
            const long lowest = FALLS ? w.offset - (long)(w.count - 1) * SHIFT : w.offset;
            const long positions = (out_w - a + STRIDE_W - 1) / STRIDE_W;
            __global const REAL *weights = packed + block * BLOCK_WEIGHTS + phase_start(d, h, w);
            for (long t = 0; t < positions; t += BLOCK_W) {
              REAL sums[BLOCK_M][BLOCK_W];
#pragma unroll
              for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
                for (int i = 0; i < BLOCK_W; ++i) sums[m][i] = 0;

              for (int jd = 0; jd < d.count; ++jd) {
                const long id = first_d - (long)jd * OFFSET_STEP_D;
                if (id < 0 || id >= in_d) continue;
                for (int jh = 0; jh < h.count; ++jh) {
                  const long ih = first_h - (long)jh * OFFSET_STEP_H;
                  if (ih < 0 || ih >= in_h) continue;
                  __global const REAL *next = weights + ((ulong)jd * h.count + jh) * w.count * GROUP_IN * BLOCK_M;
                  for (int c = 0; c < GROUP_IN; ++c) {
                    __global const X_STORED *row = image + c * x_c + id * x_d + ih * x_h;
                    const long first = t * INPUT_STEP_W + lowest;
#if LINE
                    REAL line[LINE];
                    for (int i = 0; i < LINE; ++i) {
#pragma unroll
                      for (int k = 0; k + 1 < LINE; ++k) line[k] = line[k + 1];
                      line[LINE - 1] = value_at(row, first + i, in_w, x_w);
                    }
#endif
                    for (int j = 0; j < w.count; ++j, next += BLOCK_M) {
#if !LINE
                      REAL values[BLOCK_W];
                      for (int i = 0; i < BLOCK_W; ++i)
                        values[i] = value_at(row, first + (long)j * SHIFT + (long)i * INPUT_STEP_W, in_w, x_w);
#define VALUE(i) values[i]
#else
#define VALUE(i) line[(i)*INPUT_STEP_W]
#endif
#pragma unroll
                      for (int m = 0; m < BLOCK_M; ++m) {
                        const REAL weight = next[m];
#pragma unroll
                        for (int i = 0; i < BLOCK_W; ++i) sums[m][i] = fma(VALUE(i), weight, sums[m][i]);
                      }
#if LINE > SHIFT
#pragma unroll
                      for (int k = 0; k + SHIFT < LINE; ++k) line[k] = line[k + SHIFT];
#endif
                    }
                  }
                }
              }

              REAL done[BLOCK_M * BLOCK_W];
#pragma unroll
              for (int m = 0; m < BLOCK_M; ++m)
#pragma unroll
                for (int i = 0; i < BLOCK_W; ++i) done[m * BLOCK_W + i] = sums[m][i];
              const long channels = min((long)GROUP_OUT - first_m, (long)BLOCK_M), columns = min(positions - t, (long)BLOCK_W);
              for (long m = 0; m < channels; ++m) {
                const long of_all = group * GROUP_OUT + first_m + m;
                const finish_t f = finish_of(packed, of_all, y + y_start, RESIDUAL_OF(y, y_start));
                const REAL bias = biases[block * BLOCK_M + m];
                __global Y_STORED *to = y + y_start + n * y_n + of_all * y_c + od * y_d + oh * y_h;
                for (long i = 0; i < columns; ++i)
                  store_sum(to + ((t + i) * STRIDE_W + a) * y_w, done[m * BLOCK_W + i] + bias, &f);
              }
            }
          }
    }
}
