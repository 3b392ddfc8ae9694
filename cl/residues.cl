/* residues.cl: the residues, positions and taps of work-items that take single values of x, for channels.cl.
 *
 * A position is a value of t of each axis, of an image; an item's positions follow one another along y's rows (ALONG_ROWS) or
 * with the image changing fastest. A residue's taps become a list: how far each is from a position's own place in x, and its
 * weights.
 *
 * Required: what layer.cl and phases.cl ask for D, H and W, MIN_OFFSET_ for D H W, CHANNELS (weights of a tap and an input
 * channel), ALONG_ROWS, and which residues a work-item owns all of: RESIDUES_TOGETHER (1: of all axes), ROWS (1: of W). */
#if !defined(CHANNELS) || !defined(ALONG_ROWS) || !defined(RESIDUES_TOGETHER) || !defined(ROWS)
#error "CHANNELS, ALONG_ROWS, RESIDUES_TOGETHER and ROWS are required"
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

/* The next one, without a division: that would take longer than a position's sums where those are few. */
static inline void next_position(position_t *t, position_t count) {
#if !ALONG_ROWS
  if (++t->image < count.image) return;
  t->image = 0;
#endif
  if (++t->w < count.w) return;
  t->w = 0;
  if (++t->h < count.h) return;
  t->h = 0;
#if ALONG_ROWS
  if (++t->d < count.d) return;
  t->d = 0, ++t->image;
#else
  ++t->d;
#endif
}

/* The axes, as bits, of which a position is the last: it may have no output of some residues. */
static inline uint ends_of(position_t t, position_t count) {
  return (t.d + 1 == count.d ? 1 : 0) | (t.h + 1 == count.h ? 2 : 0) | (t.w + 1 == count.w ? 4 : 0);
}

typedef struct {
  long d, h, w;
} sizes_t;

/* Where positions start in x: the least and the greatest of each axis. */
typedef struct {
  offset_t from, to;
} range_t;

/* A residue of a work-item: where its weights and its outputs begin, the axes whose last position it has no output of, its taps
 * along each axis and their first and last input offset, and all of them as a list that begins at tap begin. */
typedef struct {
  ulong weights;
  long y;
  uint missing;
  offset_t count, first, last;
  int begin, taps;
} owned_t;

/* How far it is to a tap's value of x, and to its weights where these are of one input channel. */
typedef struct {
  long x, weights;
} tap_t;

/* Whether taps of an axis from first to last all meet x. */
static inline bool meet_x(int first, int last, int from, int to, long size) {
  return to + min(first, last) >= 0 && from + max(first, last) < size;
}

/* Lists the taps that meet x; how many. */
static inline int list_taps(tap_t *list, const owned_t *o, range_t range, sizes_t in, sizes_t step) {
  int taps = 0;
  for (int jd = 0; jd < o->count.d; ++jd) {
    const int o_d = o->first.d - jd * OFFSET_STEP_D;
    if (!meet_x(o_d, o_d, range.from.d, range.to.d, in.d)) continue;
    for (int jh = 0; jh < o->count.h; ++jh) {
      const int o_h = o->first.h - jh * OFFSET_STEP_H;
      if (!meet_x(o_h, o_h, range.from.h, range.to.h, in.h)) continue;
      const long shift = (o_d - MIN_OFFSET_D) * step.d + (o_h - MIN_OFFSET_H) * step.h;
      for (int jw = 0; jw < o->count.w; ++jw) {
        const int o_w = o->first.w - jw * OFFSET_STEP_W;
        if (!meet_x(o_w, o_w, range.from.w, range.to.w, in.w)) continue;
        list[taps].x = shift + (o_w - MIN_OFFSET_W) * step.w;
        list[taps++].weights = ((jd * o->count.h + jh) * o->count.w + jw) * CHANNELS;
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
