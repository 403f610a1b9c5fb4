/* The formulas of losses.c and losses_entropy.c: Keras 3's (losses/losses.py, 3.15). */
#ifndef CORNU_SRC_LOSSES_FORMULAS_H
#define CORNU_SRC_LOSSES_FORMULAS_H

#include "layers/layer.h"

/* Where Keras keeps logarithms and quotients off 0. */
#define CN__LOSS_EPSILON 1e-7

/* What a formula works on. */
typedef struct cn__loss_terms {
    cn_tensor *y; /* the target; with the prediction's shape unless the loss is sparse */
    cn_tensor *p; /* the prediction, of at least two axes */
    cn_tensor *before_softmax, *before_sigmoid; /* what p is made of, NULL if it is not */
    const double *arguments;                    /* as the table has them */
} cn__loss_terms;

/* f(x), with parameters a and b. */
static inline cn_tensor *cn__loss_unary(cn_unary op, cn_tensor *x, double a, double b)
{
    return cn_op_unary(x, (cn_function1){.op = op, .p = {(float)a, (float)b, 0}});
}

/* a * x + b */
static inline cn_tensor *cn__loss_affine(double a, cn_tensor *x, double b)
{
    return cn__loss_unary(CN_AFFINE, x, a, b);
}

/* x reduced over its last axis. */
static inline cn_tensor *cn__loss_over_last(cn_reduction reduction, cn_tensor *x, bool keepdims)
{
    return x ? cn_op_reduce(reduction, x, 1u << (x->shape.rank - 1), keepdims) : NULL;
}

/* Cross-entropies (losses_entropy.c): the values, without the prediction's last axis. */
cn_tensor *cn__categorical_crossentropy(const cn__loss_terms *t);
cn_tensor *cn__sparse_categorical_crossentropy(const cn__loss_terms *t);
cn_tensor *cn__categorical_focal_crossentropy(const cn__loss_terms *t);
cn_tensor *cn__binary_crossentropy(const cn__loss_terms *t);
cn_tensor *cn__binary_focal_crossentropy(const cn__loss_terms *t);

#endif
