/* padded.h: what the algorithms for CPU devices share: the zero-padded copy of x (cl/pad.cl) and the tables by residue. */
#ifndef T3_PADDED_H
#define T3_PADDED_H

#include "algo/algo.h"
#include "algo/copies.h"

enum { T3_CACHE_LINE = 64 }; /* bytes, of CPU devices */

/* How x is read: in a copy with zeros around it, or in place, by kernels that take rows even where taps reach over their ends
 * (edge_width above 0: elements of each of the three rows that cl/edges.cl wants apart, margin of them before the row). size:
 * along D, H, W; slack: zeros past the copy's end that may be read; channels_last: the copy is so, else in C order. */
typedef struct t3_padded {
  int64_t size[3], slack, edge_width, margin;
  bool copy, channels_last;
} t3_padded;

/* Values of t of an axis' residue 0, and how far apart its input offsets lie. */
int64_t t3_positions(const t3_problem *problem, int axis);
int64_t t3_span(const t3_problem *problem, int axis);
/* Inputs between those of t and of t + 1. */
int64_t t3_step(const t3_problem *problem, int axis);

/* The part of an axis' taps that meets x inside, about. */
double t3_inside(const t3_problem *problem, int axis);

/* Taps of an axis, over all its residues that have an output; the most that reach one of them, at least 1. */
int64_t t3_taps_of(const t3_problem *problem, int axis);
int64_t t3_most_taps(const t3_problem *problem, int axis);

/* Residues of an axis that a tap reaches; the others' outputs are bias alone. */
int64_t t3_used_residues(const t3_problem *problem, int axis);

/* For kernels that take x by rows: rows: t of H is rounded up to a multiple of it. pitch: values in a row, 0 for all that t of
 * W reach. slack above 0 asks for the copy in any case. */
t3_padded t3_padded_of(const t3_problem *problem, int64_t rows, int64_t pitch, int64_t slack);
/* For kernels that take single values, which may lie anywhere. channels_last: neighbouring channels of what is read lie side by
 * side. That takes a copy unless x is so, and is done only if x is or has neighbours of W side by side, and no row of the copy
 * is too long. */
t3_padded t3_padded_values(const t3_problem *problem, bool channels_last);
/* Reads x in place after all, by rows in blocks of step values of t, unless blocks or taps reach further than a row is long. */
void t3_read_in_place(const t3_problem *problem, int64_t step, t3_padded *padded);
/* Whether a kernel can count strides, kernel sizes, sizes, reach and padding of each axis in 32 bits; else false with the
 * reason.
 */
bool t3_check_counts(const t3_problem *problem, char *why, size_t capacity);
/* Whether the kernels that read the copy can count in 32 bits, whatever block they take: strides and kernel sizes, sizes, reach
 * and padding of each axis, and the elements of a plane of the copy with up to most_rows rows at a time; and the whole copy
 * with 63 bits. Else false with the reason. */
bool t3_padded_check(const t3_problem *problem, int64_t most_rows, char *why, size_t capacity);
/* Once checked: bytes of the copy or of the rows apart, 0 without any, and the predicted seconds of making it. */
int64_t t3_padded_bytes(const t3_problem *problem, const t3_padded *padded);
double t3_pad_seconds(const t3_problem *problem, const t3_padded *padded);
/* Adds the launch that makes it, if one is needed, in a program of such vectors; the two tensors that a kernel which includes
 * edges.cl reads; in words. */
void t3_add_pad(const t3_problem *problem, const t3_padded *padded, int64_t width, t3_recipe *recipe);
t3_arg t3_x_arg(const t3_padded *padded);
t3_arg t3_edge_arg(const t3_padded *padded);
/* Strides of what is read, copy or x; where the last plane of x begins. */
void t3_read_strides(const t3_problem *problem, const t3_padded *padded, int64_t stride[5]);
int64_t t3_last_plane(const t3_problem *problem);
const char *t3_reading(const t3_padded *padded);

/* Defines: EDGES and what follows it. */
void t3_define_edges(t3_text *defines, const t3_problem *problem, const t3_padded *padded);

/* Defines: MIN_OFFSET_ of all axes; RESIDUES_ and the tables TAP_START_, FIRST_TAP_, FIRST_OFFSET_, TAP_STEP_, OFFSET_STEP_ of
 * one. */
void t3_define_min_offsets(t3_text *defines, const t3_problem *problem);
void t3_define_tables(t3_text *defines, int axis, const t3_problem *problem);

/* STREAM: not 0 when y outgrows its part of the last cache, a quarter, and of that the cores' share: x, weights and other
 * programs want theirs, and a store that misses reads the line first. There stores that bypass the cache gain 3 to 70 %; but
 * they must fill whole lines of the cache: parts of lines were measured to take up to five times as long. So rows of so many
 * elements, and the block that is stored at a time, must be whole lines; or a block of width values of t of W and m channels,
 * which never leaves a row. Or so many of a row's vectors together as fill one line: parts of it that follow each other at once
 * were measured to gain a tenth where y outgrows half of the cache, and to lose as much with less. */
bool t3_streams(const t3_problem *problem, int64_t row, int64_t block);
int64_t t3_streams_rows(const t3_problem *problem, int64_t width, int64_t vectors, int64_t m);

/* Whether x or y has neighbouring channels side by side, and not positions of W. */
bool t3_x_channels_last(const t3_problem *problem);
bool t3_y_channels_last(const t3_problem *problem);
/* Whether either are, which kernels that store rows ask for; else false with the reason. */
bool t3_stores_rows(const t3_problem *problem, char *why, size_t capacity);

/* why = "WHAT is VALUE, past the LIMIT that its kernel is made for"; false. */
bool t3_too_much(char *why, size_t capacity, const char *what, int64_t value, int64_t limit);

#endif
