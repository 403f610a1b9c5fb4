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

/* Convolutions (op_conv.c). The three operations of one convolution:
 *   result           (x, kernel [, bias]) -> y, clamped
 *   input gradient   (dy, kernel, like x) -> dx
 *   kernel gradient  (x, dy, like kernel) -> dkernel */
typedef struct cn__conv_attributes {
    cn_conv_options options;
    cn_clamp clamp;
    bool clamped;
} cn__conv_attributes;
extern const cn__op cn__conv_op, cn__conv_input_gradient_op, cn__conv_kernel_gradient_op;

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

/* Normalisation (op_normalize.c). */
typedef struct cn__softmax_attributes {
    int axis;
    bool logarithm;
} cn__softmax_attributes;
extern const cn__op cn__softmax_op;
extern const cn__op cn__softmax_gradient_op; /* (dy, y) */
extern const cn__op
    cn__batch_norm_op; /* (x, mean, variance [, gamma] [, beta]) -> y, new moments */

/* Random (op_random.c). */
extern const cn__op cn__dropout_op; /* outputs y, mask */
extern const cn__op cn__noise_op;

/* A leaf's attributes. */
static inline const cn__leaf *cn__leaf_of(const cn_tensor *tensor)
{
    return tensor->node->attributes;
}

/* Names an axis-bound convolution operation: "conv2d_transpose". */
const char *cn__conv_name(bool transposed, int rank);

#endif
