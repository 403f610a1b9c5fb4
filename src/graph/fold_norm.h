/* Batch normalisation outside training, folded into the convolution before it. */
#ifndef CORNU_SRC_GRAPH_FOLD_NORM_H
#define CORNU_SRC_GRAPH_FOLD_NORM_H

#include "graph/ops.h"

/* A kernel and a bias with which a convolution gives the normalised values. */
typedef struct cn__folded {
    float *kernel, *bias; /* one block of memory, the kernel's */
    int64_t taps;         /* times the input channels of a group; of a transposed one, the taps */
    int64_t in, out, groups;
} cn__folded;

/* Takes the memory; give `kernel` back. */
cn_status cn__folded_make(const cn_conv *conv, const cn__conv_attributes *a, cn__folded *folded);
/* From the inputs of a convolution operation: x, kernel, bias, mean and so on. */
void cn__folded_fill(const cn__conv_attributes *a, const void *const *in, cn__folded *folded);

#endif
