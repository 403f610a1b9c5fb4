/* Kernel gradients: what the tasks of conv_kernel_gradient.c have done in conv_gradient_product.c.
 */
#ifndef CORNU_SRC_OPS_CONV_GRADIENT_H
#define CORNU_SRC_OPS_CONV_GRADIENT_H

#include "ops/conv_plan.h"

enum {
    cn__gradient_runs = 256, /* pixels of a chunk at most */
    /* Floats of a block of columns of a chunk: two thirds of the first-level cache. */
    cn__gradient_block = 8192,
    cn__gradient_copied = 8192, /* floats of input lines that are copied at a time */
    cn__gradient_whole = 1024   /* lines of at most so many floats are copied whole */
};

/* A part of the pixels, of the lines of a group's kernel and of its blocks of columns. */
typedef struct cn__gradient_work {
    const cn_conv_plan *plan;
    const float *in;       /* the convolution's input */
    const float *gradient; /* of its output */
    float *sums;           /* the whole kernel; if swapped, (line, out channel, row) */
    int64_t first, end;    /* pixels */
    int64_t group;
    int64_t line, end_line;
    int64_t block, end_block;
    int64_t row, end_row;
} cn__gradient_work;

void cn__gradient_products(const cn__gradient_work *work);

#endif
