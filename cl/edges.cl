/* edges.cl: how kernels that take x by rows reach it: in a copy with zeros around (pad.cl's), or, EDGES, in place although taps
 * reach over the ends of rows and planes. Then lanes outside a row are masked, rows outside a plane are one of zeros, and the
 * first and the last row of all of x, outside of which no memory may be touched, are read from copies with margins. Reading
 * other rows over their ends meets their neighbours, or what lies between them. The masks cost less than writing and reading
 * the copy, most where few output channels share it.
 *
 * Required: those of lines.cl and strided.cl, INPUT_STEP_H, MIN_OFFSET_W, EDGES; with EDGES MARGIN (elements before a row that
 * are loaded) and FREE_OFFSET (the greatest input offset that keeps every output within its row of x; -1: none). */
#if !defined(EDGES) || !defined(MIN_OFFSET_W)
#error "EDGES and MIN_OFFSET_W are required"
#endif
#include "pad.cl"
#include "strided.cl"

#if EDGES
#if !defined(MARGIN) || !defined(FREE_OFFSET)
#error "MARGIN and FREE_OFFSET are required"
#endif

/* edge: the first row of x, its last one, and zeros, each with MARGIN elements before it, in width elements. */
T3_SINGLE void edges(ulong items, __global const X_STORED *restrict x, ulong x_start, __global REAL *restrict edge,
                     ulong edge_start, long last_row, long in_w, long width) {
  if (get_global_id(0) >= items) return;
  x += x_start;
  edge += edge_start;
  pad_row(edge, (int)width, x, (int)in_w, -MARGIN, 1);
  pad_row(edge + width, (int)width, x + last_row, (int)in_w, -MARGIN, 1);
  pad_row(edge + 2 * width, (int)width, x, 0, 0, 1);
}

/* Where x lies: its planes first and last, the rows that edges made, how many rows a plane has and how far apart. */
typedef struct {
  __global const REAL *first_plane, *last_plane, *first_row, *last_row, *zeros;
  int in_h, pitch;
} input_t;

static inline input_t input_of(__global const REAL *x, long last_plane, int in_h, int pitch, __global const REAL *edge,
                               long width) {
  const input_t input = {x, x + last_plane, edge + MARGIN, edge + width + MARGIN, edge + 2 * width + MARGIN, in_h, pitch};
  return input;
}

/* Count rows of a plane, INPUT_STEP_H apart, from h on, at w. Which of them lie outside, every plane of a block has in common:
 * what is asked for each plane is only whether it is the first or the last. */
static inline void find_rows(__global const REAL **row, int count, const input_t *input, __global const REAL *plane, int h,
                             int w) {
  const int in_h = input->in_h;
#define ROW_H(r) (h + (r)*INPUT_STEP_H)
  if (h >= 0 && ROW_H(count - 1) < in_h)
#pragma unroll
    for (int r = 0; r < count; ++r) row[r] = plane + (ROW_H(r) * input->pitch + w);
  else
#pragma unroll
    for (int r = 0; r < count; ++r)
      row[r] = ROW_H(r) >= 0 && ROW_H(r) < in_h ? plane + (ROW_H(r) * input->pitch + w) : input->zeros + w;
  if (plane != input->first_plane && plane != input->last_plane) return;
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (plane == input->first_plane && ROW_H(r) == 0) row[r] = input->first_row + w;
    if (plane == input->last_plane && ROW_H(r) == in_h - 1) row[r] = input->last_row + w;
  }
}

/* Which of VECTOR values of x, INPUT_STEP_W apart, from w on are in a row: all bits of their lanes. */
static inline INT_VEC inside_row(int w, int in_w) {
  const INT_VEC at = (INT_VEC)(LANES(SWAPPED, 0)) * INPUT_STEP_W + (INT_VEC)w;
  return (at >= (INT_VEC)0) & (at < (INT_VEC)in_w);
}

/* Whether an output within its row may read outside the row of x at this offset. */
#define OVER_EDGE(offset) ((offset) < 0 || (offset) > FREE_OFFSET)

/* VECTOR values at an offset along W, in the order of SWAPPED; inside: inside_row of them. */
static inline VEC load_x(__global const REAL *row, int offset, INT_VEC inside) {
  const VEC value = load_strided(row, offset);
  return OVER_EDGE(offset) ? AS_VEC(AS_INT_VEC(value) & inside) : value;
}
#endif
