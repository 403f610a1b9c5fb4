/* Minimal filtering along the line for convolutions with few input channels and stride 1 along it:
 * half of the multiplications for three taps (winograd.c: 4 outputs with 6 points). As in
 * conv_line.h, the lines of the input are copied into a few kilobytes from which they are read
 * again for the next lines of the output; but the copies are the lines at the points, and a longer
 * line of taps is parts of three, whose sums are added up. */
#ifndef CORNU_SRC_OPS_CONV_LINE_FILTER_H
#define CORNU_SRC_OPS_CONV_LINE_FILTER_H

#include "ops/conv_plan.h"

enum {
    cn__filter_copied = 9216, /* floats of the input that a task has copies of */
    cn__filter_copies = 256,  /* and lines at most */
    cn__filter_most_taps = 256,
    cn__filter_floats = cn__filter_points * cn__filter_row,
    cn__filter_spare = 4 /* floats behind pixels and phases, which are moved with others */
};

/* A tap is a channel of three neighbouring taps of the last axis, of which there are so many
 * `across`; a copy is [across][points][tiles][channels] with cn__filter_row floats for each point.
 */
struct cn__line_filter {
    const cn__winograd *filter;
    int64_t before[3]; /* those of a correlation, also if it is transposed */
    int64_t across, taps;
    int64_t span;   /* lines that the kernel reaches over */
    int64_t copies; /* lines that there is a copy of */
    int64_t slot;   /* floats of a copy */
    int64_t pixels; /* of a strip: neighbouring pixels of a line that are computed together */
    int64_t strips; /* in a line */
    int64_t copied; /* floats of a line that a strip reads */
    int64_t row;    /* floats of a point that are used: of all tiles of a strip, whole vectors */
    int64_t phase;  /* floats of every fourth pixel of a strip */
    int64_t column; /* floats of the packed kernel for a column */
    int64_t lines;  /* of a task */
    int64_t tasks;
    int64_t widest; /* vectors of a block at most */
    bool far;       /* the output is too large for any cache */
};

/* What the convolution costs so, in multiply-adds of a vector; infinite if it cannot be done. */
double cn__line_filter_cost(const cn_conv_plan *plan);
/* Sets plan->line_filter, the plan's blocks and packed floats. */
cn_status cn__line_filter_plan(cn_conv_plan *plan);
extern const cn__conv_path cn__line_filter_path;

#endif
