/* channels.h: what the parts of the algorithm channels share: its blocks, and how they cut a layer into work-items
 * (channels_block.c); what it is predicted to take (channels_cost.c); which variants there are and the recipe (channels.c). */
#ifndef T3_CHANNELS_H
#define T3_CHANNELS_H

#include "algo/padded.h"

/* How x is read: in place if no tap reaches over its edges, else from a copy with zeros around; with neighbouring channels side
 * by side, if need be from a copy; in place in any case, where taps are left out lane by lane. */
typedef enum t3_channels_reading { T3_CHANNELS_AS_IT_LIES, T3_CHANNELS_SIDE_BY_SIDE, T3_CHANNELS_IN_PLACE } t3_channels_reading;

/* What one work-item computes at a time: tile positions of vectors vectors of width channels. apart: how many input channels
 * that do not lie side by side are taken together, about. */
typedef struct t3_channels_block {
  int64_t width, vectors, tile;
  t3_channels_reading reading;
  int64_t apart;
} t3_channels_block;

/* Where x is read. */
t3_padded t3_channels_padded(const t3_problem *problem, t3_channels_reading reading);

/* Whether what is read has neighbouring channels side by side. */
bool t3_channels_reads_last(const t3_problem *problem, t3_channels_reading reading);

/* Of a depthwise layer whose x is channels-last the lanes are its groups, all of them together a group of output channels, each
 * with an x of its own. */
bool t3_channels_each_its_own(const t3_problem *problem);

/* The problem as the blocks are made for it. */
t3_problem t3_channels_lanes(const t3_problem *problem);

t3_channels_block t3_channels_block_of(const t3_variant *variant);

/* Channels that are taken together under each tap. */
int64_t t3_channels_together(const t3_problem *problem, const t3_channels_block *block);

/* Lines of the cache that a tile reads of an input channel, for each tap, where channels lie apart. */
double t3_channels_lines(const t3_problem *problem, const t3_channels_block *block);

/* Whether sums are turned and stored by rows of y, a square of positions x channels at a time. */
bool t3_channels_stores_rows(const t3_problem *problem, const t3_channels_block *block);

/* Positions of all images; residues; blocks of output channels, of all groups; taps of the residue with the most. */
int64_t t3_channels_positions(const t3_problem *problem);
int64_t t3_channels_residues(const t3_problem *problem);
int64_t t3_channels_blocks(const t3_problem *problem, const t3_channels_block *block);
int64_t t3_channels_taps(const t3_problem *problem);

/* Whether a work-item owns all residues, and takes them by turns at each tile: their x stays in the first cache, and outputs of
 * neighbouring channels and positions are stored soon after one another. For channels-last outputs whose sums need not wait. */
bool t3_channels_residues_together(const t3_problem *problem, const t3_channels_block *block);

/* Input channels that serve all tiles of a work-item before the next ones do. */
int64_t t3_channels_chunk(const t3_problem *problem, const t3_channels_block *block);

/* Residues that a work-item owns. */
int64_t t3_channels_residues_owned(const t3_problem *problem, const t3_channels_block *block);

/* Whether positions follow one another along rows: else images do, which have the same taps inside x. */
bool t3_channels_goes_along_rows(const t3_problem *problem, const t3_channels_block *block);

/* Rounds of turning and storing the squares of a tile's positions, all residues of W; a row's last one is another. */
double t3_channels_square_rounds(const t3_problem *problem, const t3_channels_block *block);

/* Rounds of a tile's loops, for all residues of a work-item. */
double t3_channels_tile_rounds(const t3_problem *problem, const t3_channels_block *block);

/* Tiles of a work-item: the sums of 96, 144 KiB at most, wait on its stack, of as many as it owns residues of W. */
int64_t t3_channels_most_tiles(const t3_problem *problem, const t3_channels_block *block);

/* Positions of a work-item: all of them, or even parts of them, as large as leaves every unit some; whole rows where these are
 * stored and enough. Runtimes hand out half of all work-items at once, so the last ones cannot make up for uneven ones. */
int64_t t3_channels_run(const t3_problem *problem, const t3_channels_block *block);

/* Weights and biases as they are packed. */
int64_t t3_channels_packed_count(const t3_problem *problem, const t3_channels_block *block);

/* Tiles of one vector of channels may have so many positions that a processor has no registers for their addresses. */
bool t3_channels_long_tile(const t3_channels_block *block);

/* How far apart neighbouring positions of a row lie in what a long tile reads, where that is one value or the channels of one,
 * as in smaller layers by the same program; else 0. */
int64_t t3_channels_x_step(const t3_problem *problem, const t3_channels_block *block);

/* Predicted seconds, as t3_algorithm has it. */
double t3_channels_cost(const t3_problem *asked, const t3_variant *variant);

#endif
