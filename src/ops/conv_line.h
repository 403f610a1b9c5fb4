/* Convolutions with few input channels. Their sums are short, so what surrounds the sum has to be
 * little. The cells of a kernel's line lie side by side and are one tap of that many times the
 * channels. Pixels in a row read them a constant step apart, so the line kernel needs one pointer
 * for each tap and many pixels; for that to hold at the image's edges, too, the lines of the input
 * are copied, with zeros around them, into a few kilobytes from which they are read again for the
 * next lines of the output. */
#ifndef CORNU_SRC_OPS_CONV_LINE_H
#define CORNU_SRC_OPS_CONV_LINE_H

#include "ops/conv_plan.h"

enum {
    cn__line_copied = 8192, /* floats of the input that a task has copies of */
    cn__line_copies = 256,  /* and lines at most */
    cn__line_taps = 256     /* most taps */
};

struct cn__line_conv {
    int64_t merged;      /* neighbouring taps of the last axis that make one: all, or 1 */
    int64_t taps, depth; /* of the kernel's sum */
    int64_t widest;      /* vectors of a block at most */
    int64_t span;        /* lines that the kernel reaches over */
    int64_t copies;      /* lines that there is a copy of */
    int64_t pixels;      /* of a strip: neighbouring pixels of a line that are computed together */
    int64_t strips;      /* in a line */
    int64_t copied;      /* floats of a line that a strip reads */
    int64_t lines;       /* of a task */
    int64_t tasks;
};

/* What the convolution costs so, in multiply-adds of a vector; infinite if it cannot be done. */
double cn__line_cost(const cn_conv_plan *plan);
/* Sets plan->line, and the plan's blocks. */
cn_status cn__line_plan(cn_conv_plan *plan);
void cn__line_run(const cn_conv_plan *plan, const float *in, const float *packed, const float *bias,
                  cn_clamp clamp, float *out, cn_pool *pool);

#endif
