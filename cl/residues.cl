/* residues.cl: the residues, positions and taps of work-items that take single values of x, for channels.cl.
 *
 * A position is a value of t of each axis, of an image; an item's positions follow one another along y's rows (ALONG_ROWS) or
 * with the image changing fastest. A residue's taps become a list: how far each is from a position's own place in x, and its
 * weights. IN_PLACE: there are no zeros around x, and with each tap is listed which of a tile's positions, its lanes, have it
 * inside x.
 *
 * Required: what layer.cl and phases.cl ask for D, H and W, MIN_OFFSET_ for D H W, CHANNELS (weights of a tap and an input
 * channel), TILE, ALONG_ROWS, IN_PLACE, and which residues a work-item owns all of: RESIDUES_TOGETHER (1: of all axes), ROWS
 * (1: of W). */
#if !defined(CHANNELS) || !defined(TILE) || !defined(ALONG_ROWS) || !defined(IN_PLACE)
#error "CHANNELS, TILE, ALONG_ROWS and IN_PLACE are required"
#endif
#if TILE > 31
#error "TILE is past the bits of a lane mask"
#endif
#if !defined(RESIDUES_TOGETHER) || !defined(ROWS)
#error "RESIDUES_TOGETHER and ROWS are required"
#endif

#define MOST_TAPS (KERNEL_D * KERNEL_H * KERNEL_W)
#define TAPS_H ((ulong)tap_start_h[RESIDUES_H])
#define TAPS_W ((ulong)tap_start_w[RESIDUES_W])
/* Residues of a work-item. */
#define RESIDUES_OWNED (RESIDUES_TOGETHER ? RESIDUES_D * RESIDUES_H * RESIDUES_W : ROWS ? RESIDUES_W : 1)

typedef struct {
  uint d, h, w;
} residue_t;

typedef struct {
  int d, h, w;
} offset_t;

/* Takes the residues off an item's index. */
static inline residue_t residue_of(ulong *item) {
  residue_t a;
  a.w = *item % RESIDUES_W;
  *item /= RESIDUES_W;
  a.h = *item % RESIDUES_H;
  *item /= RESIDUES_H;
  a.d = *item % RESIDUES_D;
  *item /= RESIDUES_D;
  return a;
}

/* The same without those that a work-item owns all of: the first of them. */
static inline residue_t common_residue(ulong *item) {
  residue_t a = {0, 0, 0};
  if (RESIDUES_TOGETHER) return a;
  *item *= ROWS ? RESIDUES_W : 1;
  return residue_of(item);
}

static inline uint taps_of(__constant const int *start, uint residue) {
  return start[residue + 1] - start[residue];
}

/* Where the weights of a residue start in a block. */
static inline ulong phase_start(residue_t a) {
  const ulong taps_d = taps_of(tap_start_d, a.d), taps_h = taps_of(tap_start_h, a.h);
  const ulong before =
      tap_start_d[a.d] * TAPS_H * TAPS_W + taps_d * tap_start_h[a.h] * TAPS_W + taps_d * taps_h * tap_start_w[a.w];
  return before * GROUP_IN * CHANNELS;
}

/* Which values of t of D, H and W, and of which image. */
typedef struct {
  uint d, h, w, image;
} position_t;

/* ALONG_ROWS: they follow one another along y's rows; else the image changes fastest. */
static inline position_t position_of(uint index, position_t count) {
  position_t t;
#if !ALONG_ROWS
  t.image = index % count.image;
  index /= count.image;
#endif
  t.w = index % count.w;
  index /= count.w;
  t.h = index % count.h;
  index /= count.h;
#if ALONG_ROWS
  t.d = index % count.d;
  t.image = index / count.d;
#else
  t.d = index;
#endif
  return t;
}

/* The next one, without a division: that would take longer than a position's sums where those are few. Whether it is one step
 * on along the axis that changes fastest, and differs in nothing else. */
static inline bool next_position(position_t *t, position_t count) {
#if !ALONG_ROWS
  if (++t->image < count.image) return true;
  t->image = 0;
#endif
  if (++t->w < count.w) return ALONG_ROWS;
  t->w = 0;
  if (++t->h < count.h) return false;
  t->h = 0;
#if ALONG_ROWS
  if (++t->d < count.d) return false;
  t->d = 0, ++t->image;
#else
  ++t->d;
#endif
  return false;
}

/* The axes, as bits, of which a position is the last: it may have no output of some residues. */
static inline uint ends_of(position_t t, position_t count) {
  return (t.d + 1 == count.d ? 1 : 0) | (t.h + 1 == count.h ? 2 : 0) | (t.w + 1 == count.w ? 4 : 0);
}

typedef struct {
  long d, h, w;
} sizes_t;

static inline offset_t start_of(position_t t) {
  const offset_t start = {t.d * INPUT_STEP_D, t.h * INPUT_STEP_H, t.w * INPUT_STEP_W};
  return start;
}

/* Where positions start in x: the least and the greatest of each axis. */
typedef struct {
  offset_t from, to;
} range_t;

/* A tile: its first position, how many it has, where they start, and whether each of TILE starts X_STEP after the last one. */
typedef struct {
  position_t first;
  uint positions;
  range_t range;
  bool stepped;
} tile_t;

static inline tile_t tile_of(position_t first, uint positions) {
  const offset_t here = start_of(first);
  const tile_t tile = {first, positions, {here, here}, positions == TILE};
  return tile;
}

/* Reckons with one more of its positions. */
static inline void add_position(tile_t *tile, offset_t here, bool a_step_on) {
  range_t *range = &tile->range;
  range->from.d = min(range->from.d, here.d), range->to.d = max(range->to.d, here.d);
  range->from.h = min(range->from.h, here.h), range->to.h = max(range->to.h, here.h);
  range->from.w = min(range->from.w, here.w), range->to.w = max(range->to.w, here.w);
  tile->stepped &= a_step_on;
}

/* A residue of a work-item: where its weights and its outputs begin, the axes whose last position it has no output of, its taps
 * along each axis and their first and last input offset, and all of them as a list that begins at tap begin. */
typedef struct {
  ulong weights;
  long y;
  uint missing;
  offset_t count, first, last;
  int begin, taps;
} owned_t;

#define ALL_LANES ((1u << TILE) - 1)
/* How far an input offset is where what is read begins at the least one, or, IN_PLACE, with x itself. */
#define SHIFT_OF(o, least) ((o) - (IN_PLACE ? 0 : (least)))

/* How far it is to a tap's value of x, and to its weights where these are of one input channel; which lanes have it inside x.
 */
typedef struct {
  long x, weights;
  uint lanes;
} tap_t;

/* Whether all taps of a residue are to be taken at a tile: if some position may have each of them inside x, or, IN_PLACE, if
 * all positions have. */
static inline bool meets_all(const owned_t *o, const range_t *at, sizes_t in) {
#if IN_PLACE
#define MEETS_ALL(a) (at->from.a + min(o->first.a, o->last.a) >= 0 && at->to.a + max(o->first.a, o->last.a) < in.a)
#else
#define MEETS_ALL(a) (at->to.a + min(o->first.a, o->last.a) >= 0 && at->from.a + max(o->first.a, o->last.a) < in.a)
#endif
  return MEETS_ALL(d) && MEETS_ALL(h) && MEETS_ALL(w);
}

/* Which of so many positions, which start at these values of an axis, have an input offset inside x. */
static inline uint lanes_inside(const int *start, uint positions, int offset, long size) {
  uint lanes = 0;
  for (uint i = 0; i < positions; ++i) lanes |= (uint)((uint)(start[i] + offset) < (uint)size) << i;
  return lanes;
}

/* Lists the taps that some position of a tile has inside x, or, without a tile, all of them; how many. */
static inline int list_taps(tap_t *list, const owned_t *o, const tile_t *tile, position_t count, sizes_t in, sizes_t step) {
  int d[TILE], h[TILE], w[TILE];
  uint lanes_h[KERNEL_H], lanes_w[KERNEL_W];
  const uint positions = tile ? tile->positions : 0;
  if (tile) {
    position_t t = tile->first;
    for (uint i = 0; i < positions; ++i, next_position(&t, count)) {
      const offset_t start = start_of(t);
      d[i] = start.d, h[i] = start.h, w[i] = start.w;
    }
  }
#define LANES_INSIDE(start, offset, size) (tile ? lanes_inside(start, positions, offset, size) : ALL_LANES)
#define OFFSET_OF(a, j, step) (o->first.a - (j)*step)
  for (int j = 0; j < o->count.h; ++j) lanes_h[j] = LANES_INSIDE(h, OFFSET_OF(h, j, OFFSET_STEP_H), in.h);
  for (int j = 0; j < o->count.w; ++j) lanes_w[j] = LANES_INSIDE(w, OFFSET_OF(w, j, OFFSET_STEP_W), in.w);
  int taps = 0;
  for (int jd = 0; jd < o->count.d; ++jd) {
    const int o_d = OFFSET_OF(d, jd, OFFSET_STEP_D);
    const uint lanes_d = LANES_INSIDE(d, o_d, in.d);
    for (int jh = 0; jh < o->count.h && lanes_d; ++jh) {
      const uint lanes_dh = lanes_d & lanes_h[jh];
      const long shift =
          SHIFT_OF(o_d, MIN_OFFSET_D) * step.d + SHIFT_OF(OFFSET_OF(h, jh, OFFSET_STEP_H), MIN_OFFSET_H) * step.h;
      for (int jw = 0; jw < o->count.w && lanes_dh; ++jw) {
        list[taps].x = shift + SHIFT_OF(OFFSET_OF(w, jw, OFFSET_STEP_W), MIN_OFFSET_W) * step.w;
        list[taps].weights = ((jd * o->count.h + jh) * o->count.w + jw) * CHANNELS;
        list[taps].lanes = lanes_dh & lanes_w[jw];
        taps += list[taps].lanes != 0;
      }
    }
  }
  return taps;
}

static inline owned_t owned_of(residue_t a, position_t count, sizes_t out, sizes_t y_step) {
  owned_t o;
  o.weights = phase_start(a);
  o.y = a.d * y_step.d + a.h * y_step.h + a.w * y_step.w;
  o.missing = ((count.d - 1) * STRIDE_D + a.d >= out.d ? 1 : 0) | ((count.h - 1) * STRIDE_H + a.h >= out.h ? 2 : 0) |
              ((count.w - 1) * STRIDE_W + a.w >= out.w ? 4 : 0);
  o.count.d = taps_of(tap_start_d, a.d), o.count.h = taps_of(tap_start_h, a.h), o.count.w = taps_of(tap_start_w, a.w);
  o.first.d = first_offset_d[a.d], o.first.h = first_offset_h[a.h], o.first.w = first_offset_w[a.w];
  o.last.d = o.first.d - (o.count.d - 1) * OFFSET_STEP_D;
  o.last.h = o.first.h - (o.count.h - 1) * OFFSET_STEP_H;
  o.last.w = o.first.w - (o.count.w - 1) * OFFSET_STEP_W;
  return o;
}
