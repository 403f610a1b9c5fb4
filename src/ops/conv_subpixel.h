/* Sub-pixel convolution, for strides and few channels on the side with the larger image.
 *
 * A transposed convolution with stride s is a convolution with stride 1 whose output has s times s
 * times the channels, those of all phases, followed by a periodic shuffle of them to pixels (Shi et
 * al., arXiv 1609.05158 and 1609.07009). A convolution with stride s and its kernel's gradient are
 * the same the other way round: the shuffle makes cells of s times s pixels first. Few channels
 * become as many as fill a vector, and with stride 1 minimal filtering computes the rest. */
#ifndef CORNU_SRC_OPS_CONV_SUBPIXEL_H
#define CORNU_SRC_OPS_CONV_SUBPIXEL_H

#include "ops/conv_plan.h"

/* The fine image is that with pixels, a transposed convolution's output or a convolution's input;
 * cell q along an axis has its pixels from q * stride - shift on, in the order of their axes and
 * then their channels. */
struct cn__subpixel {
    cn_conv_plan inner;        /* with stride 1, between cells and the other side */
    int64_t shift[3], lead[3]; /* pixels before the image's first; taps of zero before the first */
    int64_t cells[3];          /* along each axis */
    int64_t used, cell;        /* floats of a cell, and from one to the next */
    int64_t cell_floats;       /* of all, and a vector behind them that may be read */
    int64_t kernel_floats;     /* the kernel with stride 1, filled up with zeros */
    int64_t bias_floats;       /* the bias of each pixel of a cell */
};

/* Sets plan->subpixel and the plan's packed and scratch floats if this is expected to be faster
 * than what is planned so far; else leaves the plan as it is. */
cn_status cn__subpixel_plan(cn_conv_plan *plan);
extern const cn__conv_path cn__subpixel_path;
/* The arguments are those of the convolution, whichever of the two the gradient belongs to. */
void cn__subpixel_kernel_gradient(const cn_conv_plan *plan, const float *in, const float *gradient,
                                  float *kernel, float *scratch, cn_pool *pool);

#endif
