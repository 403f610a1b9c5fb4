/* Folded convolutions computed in planes, with vectors along the pixels; see conv_planar.c. */
#ifndef CORNU_SRC_OPS_CONV_PLANAR_H
#define CORNU_SRC_OPS_CONV_PLANAR_H

#include "ops/conv_fold.h"

enum {
    cn__planar_channels = 16, /* channels of the input that are transposed at a time */
    cn__planar_taps = 64,     /* most cells of a run */
    /* Floats of a task's transposed input and of its sums. */
    cn__planar_in = 8192,
    cn__planar_sums = 4096
};

/* Sets the phase's lines, blocks of rows, tasks and packed kernel. */
cn_status cn__planar_finish(cn_conv_plan *plan, cn__fold_phase *phase);
/* What a phase costs in multiply-adds of a vector; infinite if it cannot be computed so. */
double cn__planar_cost(const cn_conv_plan *plan, const cn__fold_phase *phase);
extern const cn__conv_path cn__planar_path;

#endif
