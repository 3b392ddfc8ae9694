/* views.h: tensors that do not lie densely, written apart from the library: where their elements are, random layouts of many
 * kinds, and values that go from C order to their places and back. */
#ifndef VIEWS_H
#define VIEWS_H

#include "support/typed.h"

/* A tensor's places are counted from the lowest, that of index 0 is number below; an axis of one element has stride 0 here. */
struct view {
  int64_t shape[5], stride[5];
  size_t count, below, span; /* elements, places below index 0, places from the lowest element to the highest */
};

struct view view_make(tconv3d_layout layout, const int64_t strides[5], const int64_t shape[5]);
/* A dense row. */
struct view view_row(size_t count);
/* Where the element that is number i in C order lies. */
size_t view_place(const struct view *view, size_t i);

/* The shapes of a layer's x, w and y, and where they lie. False when the layer is invalid. */
struct views {
  struct view x, w, y;
};
bool views_of(struct views *views, const tconv3d_desc *desc, tconv3d_operation operation);
/* The same layer with dense tensors. */
tconv3d_desc views_densely(const tconv3d_desc *desc);
/* The strides of what is not dense. */
void views_format(const tconv3d_desc *desc, char *text, size_t capacity);

/* What lies between the elements of a tensor that is read, and of one that is written: NaN would hide that it was added to. */
enum gaps { GAPS_OF_NAN, GAPS_OF_NUMBERS };
/* Memory for a view with such values in all of its places; NULL when memory runs out. */
void *view_room(const struct view *view, tconv3d_dtype type, enum gaps gaps);
/* From C order to the places, where of elements in one place the last one counts; and back. */
void view_scatter(const struct view *view, size_t size, const void *dense, void *places);
void view_gather(const struct view *view, size_t size, const void *places, void *dense);
/* Whether all that lies between the elements is the same in both. Else false, with the first that is not in why. */
bool view_gaps_kept(const struct view *view, size_t size, const void *before, const void *after, char *why, size_t capacity);

enum view_kind {
  VIEW_DENSE,
  VIEW_LAST,         /* channels last */
  VIEW_LAST_PADDED,  /* a crop of a larger tensor with channels last; its other axes flipped or not */
  VIEW_PADDED,       /* a crop of a larger dense tensor */
  VIEW_ROWS_APART,   /* rows without gaps in any order, with gaps between them */
  VIEW_ROWS,         /* the same with all other axes flipped or not */
  VIEW_PERMUTED,     /* no gaps, the axes in any order */
  VIEW_FLIPPED,      /* no gaps, rows run backwards, perhaps others too */
  VIEW_STEPS,        /* every second element of a row, perhaps of others too */
  VIEW_ANY,          /* all of these */
  VIEW_WINDOWS,      /* as VIEW_ROWS, but the steps of one axis are so small that its slices overlap */
  VIEW_REPEATED,     /* as VIEW_ROWS_APART, but one axis or two repeat what lies there once */
  VIEW_LAST_WINDOWS, /* channels last, the same along a row */
  VIEW_KINDS,
  VIEW_APART = VIEW_WINDOWS /* kinds before it hold every element in a place of its own */
};

/* Strides of axes of one element are any number. */
void view_random(struct rng *rng, enum view_kind kind, const int64_t shape[5], tconv3d_layout *layout, int64_t strides[5]);
struct view_kinds {
  enum view_kind x, w, y;
};
/* Gives all three tensors a layout; the operation's target one that can be written. w's comes from a generator of its own:
 * other strides of it may mean another program. */
void views_random(struct rng *rng, struct rng *of_w, tconv3d_desc *desc, tconv3d_operation operation, struct view_kinds kinds);

#endif
