/* Depthwise convolution, transposed convolution and kernel gradient: every channel by itself.
 *
 * Along an axis the cells that the positions of a phase read follow a rule, so there are no tables:
 * position p reads cell first + p * step + t * gap with its t-th tap. The work is cut into strips
 * of a few output lines of one phase, which the kernel computes at once. */
#ifndef CORNU_SRC_OPS_CONV_DEPTHWISE_H
#define CORNU_SRC_OPS_CONV_DEPTHWISE_H

#include "ops/conv_plan.h"

/* One phase of one axis. */
typedef struct cn__depthwise_axis {
    int64_t count, taps;
    int64_t first, step, gap;
    int64_t tap_first, tap_step; /* the t-th tap is the kernel's tap_first + t * tap_step */
    int64_t out_first, out_step; /* position p is the output's out_first + p * out_step */
} cn__depthwise_axis;

/* The weights of one combination of phases. */
typedef struct cn__depthwise_weights {
    const cn__depthwise_axis *axis[3];
    int64_t packed; /* where they begin; from `merged` on with repeated channels */
    int64_t merged;
} cn__depthwise_weights;

/* A convolution that makes `repeat` channels of each reads an image whose channels are repeated so
 * often; its adjoint makes such an image and adds the channels up. They run image by image. */
struct cn__depthwise_conv {
    cn_conv conv; /* one channel to each */
    int64_t repeat, images;
    int64_t repeated; /* floats of the image with repeated channels; 0 if there is none */
    int64_t phases[3];
    cn__depthwise_axis *axis[3];
    cn__depthwise_weights *weights; /* [phases] along the axes */
    /* Pixels that are computed as one with so many times the channels, where the channels alone
     * would not fill the vectors; else 1. */
    int64_t merge;
    int64_t strips;  /* of each phase of the rows */
    int64_t columns; /* positions of a phase that a unit of work covers */
    int64_t chunks;  /* units along a strip */
    int64_t units;   /* all of them */
    int64_t task_units;
    int64_t sums; /* floats of the weights, packed and merged */
};

enum {
    cn__depthwise_lines = 256,  /* most lines of a kernel */
    cn__depthwise_merged = 2560 /* most channels of merged pixels */
};

/* How many channels stand against each channel of the other side; 0 if the convolution of a plan is
 * not depthwise, if they fill a vector each, or if a task cannot point at all lines of the kernel.
 */
int64_t cn__depthwise_repeat(const cn_conv_plan *plan);
cn_status cn__depthwise_plan(cn_conv_plan *plan);
extern const cn__conv_path cn__depthwise_path;
void cn__depthwise_kernel_gradient(const cn_conv_plan *plan, const float *in,
                                   const float *out_gradient, float *kernel_gradient,
                                   float *scratch, cn_pool *pool);

#endif
