/* What the evaluation of one node works on, and the functions that evaluate: one for each operation
 * of ops.h. */
#ifndef CORNU_SRC_GRAPH_EVALUATE_NODE_H
#define CORNU_SRC_GRAPH_EVALUATE_NODE_H

#include "graph/evaluate.h"
#include "graph/ops.h"

typedef struct cn__evaluated {
    const cn__node *node; /* shapes known in full */
    bool training;
    uint64_t run;
    cn__arena *arena;                  /* lives until the graph is evaluated */
    const double *in[cn__most_inputs]; /* NULL where only the shape is lent */
    double *out[cn__most_outputs];     /* zeros */
    int64_t in_count[cn__most_inputs]; /* elements */
    int64_t out_count[cn__most_outputs];
} cn__evaluated;

typedef cn_status (*cn__evaluator)(const cn__evaluated *e);

/* ---- shapes (evaluate_rearrange.c) ---- */

/* The indices of an element from its number, and back. */
void cn__indices_of(const cn_shape *shape, int64_t number, int64_t *indices);
int64_t cn__number_of(const cn_shape *shape, const int64_t *indices);
/* The number of the element of `smaller` that is repeated to an element of `shape`. */
int64_t cn__repeated_from(const cn_shape *shape, int64_t number, const cn_shape *smaller);

/* One of three spatial extents, strides ... where `values` holds `rank` of them; axes that are not
 * there come first and have the value `missing`. */
static inline int64_t cn__of_three(int rank, const int64_t *values, int axis, int64_t missing)
{
    int own = axis - (3 - rank);
    return own < 0 ? missing : values[own];
}

/* ---- evaluate_conv.c ---- */
cn_status cn__evaluate_conv(const cn__evaluated *e);
cn_status cn__evaluate_conv_input_gradient(const cn__evaluated *e);
cn_status cn__evaluate_conv_kernel_gradient(const cn__evaluated *e);

/* ---- evaluate_unary.c ---- */
cn_status cn__evaluate_unary(const cn__evaluated *e);
cn_status cn__evaluate_unary_gradient(const cn__evaluated *e);

/* ---- evaluate_elementwise.c ---- */
cn_status cn__evaluate_binary(const cn__evaluated *e);
cn_status cn__evaluate_broadcast_like(const cn__evaluated *e);
cn_status cn__evaluate_reduce(const cn__evaluated *e);
cn_status cn__evaluate_reduce_like(const cn__evaluated *e);
cn_status cn__evaluate_dropout(const cn__evaluated *e);
cn_status cn__evaluate_noise(const cn__evaluated *e);

/* ---- evaluate_rearrange.c ---- */
cn_status cn__evaluate_copy(const cn__evaluated *e); /* reshaping */
cn_status cn__evaluate_transpose(const cn__evaluated *e);
cn_status cn__evaluate_pad(const cn__evaluated *e);
cn_status cn__evaluate_concatenate(const cn__evaluated *e);
cn_status cn__evaluate_part_like(const cn__evaluated *e);
cn_status cn__evaluate_one_hot(const cn__evaluated *e);

/* ---- evaluate_pool.c ---- */
cn_status cn__evaluate_max_pool(const cn__evaluated *e);
cn_status cn__evaluate_max_unpool(const cn__evaluated *e);
cn_status cn__evaluate_average_pool(const cn__evaluated *e);
cn_status cn__evaluate_average_pool_gradient(const cn__evaluated *e);
cn_status cn__evaluate_resize(const cn__evaluated *e);
cn_status cn__evaluate_resize_gradient(const cn__evaluated *e);

/* ---- evaluate_normalize.c ---- */
cn_status cn__evaluate_softmax(const cn__evaluated *e);
cn_status cn__evaluate_softmax_gradient(const cn__evaluated *e);
cn_status cn__evaluate_batch_norm(const cn__evaluated *e);
cn_status cn__evaluate_batch_norm_gradient(const cn__evaluated *e);

#endif
