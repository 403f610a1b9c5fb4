/* The operations of the graph and their attributes. Each op_*.c file defines a few of them, with
 * the public functions that make their nodes. */
#ifndef CORNU_SRC_GRAPH_OPS_H
#define CORNU_SRC_GRAPH_OPS_H

#include "graph/graph.h"

/* What an unknown extent counts as while shapes are inferred: anything large enough for any kernel
 * or window. */
enum { cn__unknown_extent = 1 << 24 };

/* Leaves (op_leaf.c). */
typedef struct cn__leaf {
    cn_shape shape;
    cn_dtype dtype;
    cn__variable *variable; /* of a variable */
    cn_array *array;        /* of a constant */
} cn__leaf;
extern const cn__op cn__input_op, cn__variable_op, cn__constant_op;

/* Normalisation (op_normalize.c). */
typedef struct cn__softmax_attributes {
    int axis;
    bool logarithm;
} cn__softmax_attributes;
extern const cn__op cn__softmax_op;
extern const cn__op cn__softmax_gradient_op; /* (dy, y) */
typedef struct cn__batch_norm_attributes {
    cn_batch_norm_options options;
    bool has_gamma, has_beta;
} cn__batch_norm_attributes;
/* (x, mean, variance [, gamma] [, beta]) -> y, new mean, new variance, the moments used */
extern const cn__op cn__batch_norm_op;
extern const cn__op cn__batch_norm_gradient_op; /* (dy, x, moments [, gamma]) */

/* Convolutions (op_conv.c). The three operations of one convolution:
 *   result           (x, kernel [, bias] [, mean, variance [, gamma] [, beta]]) -> y, normalised
 *                    and clamped
 *   input gradient   (dy, kernel, like x) -> dx
 *   kernel gradient  (x, dy, like kernel) -> dkernel */
typedef struct cn__conv_attributes {
    cn_conv_options options;
    cn_clamp clamp;
    bool biased, normalised, clamped;
    cn__batch_norm_attributes norm;
} cn__conv_attributes;
extern const cn__op cn__conv_op, cn__conv_input_gradient_op, cn__conv_kernel_gradient_op;
/* Where the version of a kernel, or of a weight that changes it, is told if its values are the same
 * on most runs: those of a variable or a constant, also reshaped; else NULL. */
const uint64_t *cn__version_of(const cn_tensor *weight);
/* The convolution from its input's and kernel's shapes. Unknown extents count as large ones. */
cn_status cn__conv_of(const cn_conv_options *options, const cn_shape *x, const cn_shape *kernel,
                      cn_conv *conv);

/* Elementwise (op_elementwise.c). */
typedef struct cn__unary_gradient_attributes {
    cn_function1 function;
    cn_gradient_rule rule;
} cn__unary_gradient_attributes;
extern const cn__op cn__unary_op;          /* cn_function1 */
extern const cn__op cn__unary_gradient_op; /* (dy, x) */
extern const cn__op cn__binary_op;         /* cn_binary */
extern const cn__op cn__broadcast_like_op; /* (x, like) */

/* Reductions (op_reduce.c). */
typedef struct cn__reduce_attributes {
    cn_reduction reduction;
    unsigned axes;
    bool keepdims;
} cn__reduce_attributes;
extern const cn__op cn__reduce_op;
extern const cn__op cn__reduce_like_op; /* (x, like) */

/* Rearrangements (op_rearrange.c). */
typedef struct cn__transpose_attributes {
    int order[CN_MAX_RANK];
} cn__transpose_attributes;
typedef struct cn__pad_attributes {
    int64_t before[CN_MAX_RANK], after[CN_MAX_RANK];
    float value;
} cn__pad_attributes;
extern const cn__op cn__reshape_op;      /* cn_shape */
extern const cn__op cn__reshape_like_op; /* (x, like) */
extern const cn__op cn__transpose_op;
extern const cn__op cn__pad_op;
extern const cn__op cn__concatenate_op; /* int: the axis */
/* (x, like): the part of x with the shape of `like` that begins where tensors of the shapes of the
 * further inputs, joined along the axis, end. The gradient of concatenation. */
extern const cn__op cn__part_like_op;

/* Pooling and resizing (op_pool.c). */
extern const cn__op cn__max_pool_op;              /* cn_pool_options; outputs y, switches */
extern const cn__op cn__max_unpool_op;            /* (y, switches, like x) */
extern const cn__op cn__average_pool_op;          /* cn_pool_options */
extern const cn__op cn__average_pool_gradient_op; /* (dy, like x) */
extern const cn__op cn__resize_op;                /* cn_resize_options */
extern const cn__op cn__resize_gradient_op;       /* (dy, like x) */
cn_status cn__pooling_of(const cn_pool_options *options, const cn_shape *x, cn_pooling *pooling);
/* Unknown extents of an input count as 1. */
cn_resizing cn__resizing_of(const cn_resize_options *options, const cn_shape *small,
                            const cn_shape *large);

/* Random (op_random.c): numbers told by a seed and the number of the run. */
typedef struct cn__dropout_attributes {
    float rate;
    unsigned shared_axes;
    uint64_t seed;
} cn__dropout_attributes;
typedef struct cn__noise_attributes {
    float stddev;
    bool multiply;
    uint64_t seed;
} cn__noise_attributes;
extern const cn__op cn__dropout_op; /* outputs y, mask */
extern const cn__op cn__noise_op;   /* outputs y, noise */
cn__random cn__random_of_run(uint64_t seed, uint64_t run);

/* Classes (op_one_hot.c). */
extern const cn__op cn__one_hot_op; /* int64_t: the number of classes */
/* x (int32 or float32, whole numbers) with a new last axis of `classes` zeros, but a one in the
 * place that x tells. A run fails for numbers outside 0 to classes - 1. */
cn_tensor *cn__op_one_hot(cn_tensor *x, int64_t classes);

/* A leaf's attributes. */
static inline const cn__leaf *cn__leaf_of(const cn_tensor *tensor)
{
    return tensor->node->attributes;
}

/* Names an axis-bound convolution operation: "conv2d_transpose". */
const char *cn__conv_name(bool transposed, int rank);

#endif
