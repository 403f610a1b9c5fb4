/* Derivatives of a graph by differences, in double precision. */
#ifndef CORNU_SRC_GRAPH_DIFFERENCES_H
#define CORNU_SRC_GRAPH_DIFFERENCES_H

#include "graph/evaluate.h"

/* A number that a graph computes, and the gradients that are claimed for it. */
typedef struct cn__claim {
    cn_tensor_list inputs;
    const cn__doubles *in; /* one for each input */
    bool training;
    uint64_t run;
    cn_tensor *value;               /* of shape () */
    cn_tensor_list with_respect_to; /* inputs and variables, of float32 */
    const cn__doubles *gradients;   /* one for each of them */
    uint64_t seed;                  /* of the choice of what is compared */
} cn__claim;

typedef struct cn__differences {
    double worst;     /* the largest difference */
    int where;        /* in which gradient */
    int64_t compared; /* derivatives */
    int64_t kinks;    /* derivatives left out, because the two sides' quotients differ there */
} cn__differences;

/* Compares gradients with central differences: for each element of a small tensor, for some of a
 * large one and along two random directions of length 1. Where the one-sided quotients differ a
 * little, anything between them is right. A difference is relative to the norm of the tensor's
 * gradient, and at least to 4e-3 of that of all gradients together. */
cn_status cn__compare_with_differences(const cn__claim *claim, cn__differences *differences,
                                       cn_pool *pool);

#endif
