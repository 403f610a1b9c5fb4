/* Folded convolutions whose runs overlap: each cell of the input is multiplied with the taps of all
 * positions that it reaches, and the products are added to the output; see conv_spread.c. */
#ifndef CORNU_SRC_OPS_CONV_SPREAD_H
#define CORNU_SRC_OPS_CONV_SPREAD_H

#include "ops/conv_fold.h"

enum {
    /* Floats of a task's lines of output and of its sums. */
    cn__spread_lines = 8192,
    cn__spread_sums = 4096
};

/* Floats before the first position of a line: what its first cell adds to positions before. */
static inline int64_t cn__spread_margin(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    return phase->axis[2]->members * plan->columns;
}

/* Floats of a line of `positions`. */
static inline int64_t cn__spread_width(const cn_conv_plan *plan, const cn__fold_phase *phase,
                                       int64_t positions)
{
    return positions * plan->columns + 2 * cn__spread_margin(plan, phase) + plan->kernels->lanes;
}

/* The runs of an axis that overlap: run q is what a cell reaches, or, in a convolution with a
 * stride, as many cells as the stride. */
cn__fold_class cn__spread_class(const cn_conv_plan *plan, int axis);
/* Sets the phase's lines, blocks, tasks and, in `width`, the columns of its packed kernel. */
cn_status cn__spread_finish(cn_conv_plan *plan, cn__fold_phase *phase, int64_t *width);
/* What a phase costs in multiply-adds of a vector; infinite if it cannot be computed so. */
double cn__spread_cost(const cn_conv_plan *plan, const cn__fold_phase *phase);
extern const cn__conv_path cn__spread_path;

#endif
