/* Reductions. */
#include "graph/ops.h"

static cn_status reduce_shape(const void *attributes, int inputs, cn_tensor *const *in,
                              cn_tensor **out)
{
    const cn__reduce_attributes *a = attributes;
    const cn_shape *from = &in[0]->shape;
    cn_shape *to = &out[0]->shape;
    (void)inputs;
    if ((size_t)a->reduction > CN_MAX)
        return cn__fail(CN_ERROR_ARGUMENT, "reduce: there is no reduction %d", (int)a->reduction);
    if (a->axes >> from->rank != 0) {
        char text[128];
        return cn__fail(CN_ERROR_SHAPE, "reduce: %s has no axis %d",
                        cn_shape_text(from, text, sizeof text), 31 - __builtin_clz(a->axes));
    }
    to->rank = 0;
    for (int i = 0; i < from->rank; i++) {
        if (!(a->axes >> i & 1))
            to->dim[to->rank++] = from->dim[i];
        else if (a->keepdims)
            to->dim[to->rank++] = 1;
    }
    return CN_OK;
}

/* dy with the reduced axes put back with extent 1, repeated to the shape of x. The reduction that
 * keeps its axes only lends its shape: it is never computed. */
static cn_tensor *spread(const cn__node *node, cn_tensor *dy)
{
    const cn__reduce_attributes *a = node->attributes;
    if (a->keepdims)
        return cn__op_broadcast_like(dy, node->in[0]);
    cn__reduce_attributes keeping = {CN_SUM, a->axes, true};
    cn_tensor *kept = cn__node_new(&cn__reduce_op, &keeping, 1, node->in);
    return cn__op_broadcast_like(cn__op_reshape_like(dy, kept), node->in[0]);
}

/* The mean's gradient: dy divided by the number of cells, which is known only with the data. */
static cn_tensor *mean_share(const cn__node *node, cn_tensor *spread_dy)
{
    const cn__reduce_attributes *a = node->attributes;
    cn__reduce_attributes sum = {CN_SUM, a->axes, true};
    cn_tensor *ones = cn__op_ones_like(node->in[0]);
    cn_tensor *count = cn__node_new(&cn__reduce_op, &sum, 1, &ones);
    return cn_op_binary(CN_DIVIDE, spread_dy, count);
}

/* The maximum's gradient goes to the cells that have it, in equal shares. */
static cn_tensor *maximum_share(const cn__node *node, cn_tensor *spread_dy)
{
    const cn__reduce_attributes *a = node->attributes;
    cn__reduce_attributes sum = {CN_SUM, a->axes, true};
    cn_tensor *is_maximum = cn_op_binary(CN_GREATER_EQUAL, node->in[0], spread(node, node->out[0]));
    cn_tensor *count = cn__node_new(&cn__reduce_op, &sum, 1, &is_maximum);
    return cn_op_binary(CN_MULTIPLY, spread_dy, cn_op_binary(CN_DIVIDE, is_maximum, count));
}

static cn_status reduce_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                 cn_tensor **dx)
{
    const cn__reduce_attributes *a = node->attributes;
    (void)rule;
    dx[0] = spread(node, dy[0]);
    if (a->reduction == CN_MEAN)
        dx[0] = mean_share(node, dx[0]);
    if (a->reduction == CN_MAX)
        dx[0] = maximum_share(node, dx[0]);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status reduce_run(const cn__step *step, cn_pool *pool)
{
    const cn__reduce_attributes *a = step->node->attributes;
    return cn_reduce_f32(a->reduction, &step->node->in[0]->shape, a->axes, step->in[0],
                         step->out[0], pool);
}

const cn__op cn__reduce_op = {.name = "reduce",
                              .attribute_bytes = sizeof(cn__reduce_attributes),
                              .outputs = 1,
                              .shape = reduce_shape,
                              .gradient = reduce_gradient,
                              .run = reduce_run};

cn_tensor *cn_op_reduce(cn_reduction reduction, cn_tensor *x, unsigned axes, bool keepdims)
{
    cn__reduce_attributes attributes = {reduction, axes, keepdims};
    return cn__node_new(&cn__reduce_op, &attributes, 1, &x);
}

/* ---- the sum that undoes broadcasting ---- */

static cn_status like_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[1]->shape;
    return CN_OK;
}

static unsigned broadcast_axes(const cn__node *node)
{
    const cn_shape *from = &node->in[0]->shape, *to = &node->out[0]->shape;
    int missing = from->rank - to->rank;
    unsigned axes = 0;
    for (int i = 0; i < from->rank; i++)
        if (i < missing || (to->dim[i - missing] == 1 && from->dim[i] != 1))
            axes |= 1u << i;
    return axes;
}

static cn_status reduce_like_gradient(const cn__node *node, cn_tensor *const *dy,
                                      cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__op_broadcast_like(dy[0], node->in[0]);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status reduce_like_run(const cn__step *step, cn_pool *pool)
{
    return cn_reduce_f32(CN_SUM, &step->node->in[0]->shape, broadcast_axes(step->node), step->in[0],
                         step->out[0], pool);
}

const cn__op cn__reduce_like_op = {.name = "reduce_like",
                                   .outputs = 1,
                                   .shape = like_shape,
                                   .gradient = reduce_like_gradient,
                                   .run = reduce_like_run,
                                   .shape_only = 1u << 1};

cn_tensor *cn__op_reduce_like(cn_tensor *x, cn_tensor *like)
{
    if (cn__same_known_shape(x, like))
        return x;
    return cn__node_new(&cn__reduce_like_op, NULL, 2, (cn_tensor *[]){x, like});
}
