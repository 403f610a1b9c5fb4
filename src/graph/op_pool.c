/* Pooling, unpooling and resizing. */
#include "graph/ops.h"

cn_status cn__pooling_of(const cn_pool_options *options, const cn_shape *x, cn_pooling *pooling)
{
    int rank = options->rank;
    if (rank < 1 || rank > 3 || x->rank != rank + 2) {
        char text[128];
        return cn__fail(
            CN_ERROR_SHAPE,
            "pooling: the input must have %d axes (batch, %d spatial, channels), not %s", rank + 2,
            rank, cn_shape_text(x, text, sizeof text));
    }
    *pooling = (cn_pooling){.rank = rank,
                            .batch = x->dim[0] < 0 ? 1 : x->dim[0],
                            .channels = x->dim[rank + 1] < 0 ? 1 : x->dim[rank + 1]};
    for (int i = 0; i < rank; i++) {
        pooling->in[i] = x->dim[i + 1] < 0 ? cn__unknown_extent : x->dim[i + 1];
        pooling->window[i] = options->window[i];
        pooling->stride[i] = options->stride[i];
    }
    return cn_pooling_pad(pooling, options->padding);
}

static cn_status pool_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    cn_pooling pooling;
    (void)inputs;
    CN__TRY(cn__pooling_of(attributes, &in[0]->shape, &pooling));
    cn_shape *shape = &out[0]->shape;
    *shape = in[0]->shape;
    for (int i = 0; i < pooling.rank; i++)
        if (shape->dim[i + 1] >= 0)
            shape->dim[i + 1] = pooling.out[i];
    return CN_OK;
}

/* Checks that a tensor has the shape that pooling `unpooled` gives. */
static cn_status check_pooled(const char *name, const cn_pool_options *options,
                              const cn_shape *unpooled, const cn_shape *shape)
{
    cn_pooling pooling;
    CN__TRY(cn__pooling_of(options, unpooled, &pooling));
    cn_shape expected = *unpooled;
    for (int i = 0; i < pooling.rank; i++)
        if (expected.dim[i + 1] >= 0)
            expected.dim[i + 1] = pooling.out[i];
    if (cn__shapes_agree(shape, &expected))
        return CN_OK;
    char of_shape[128], of_unpooled[128];
    return cn__fail(CN_ERROR_SHAPE, "%s: %s is not the shape that pooling %s gives", name,
                    cn_shape_text(shape, of_shape, sizeof of_shape),
                    cn_shape_text(unpooled, of_unpooled, sizeof of_unpooled));
}

static cn_status max_pool_shape(const void *attributes, int inputs, cn_tensor *const *in,
                                cn_tensor **out)
{
    CN__TRY(pool_shape(attributes, inputs, in, out));
    out[1]->shape = out[0]->shape;
    out[1]->dtype = CN_INT32;
    return CN_OK;
}

/* Plans for the shape of the input that lies before the pooling. */
static cn_status prepare(cn__step *step, const cn_shape *unpooled)
{
    cn_pooling *pooling = cn__arena_alloc(step->arena, sizeof *pooling);
    if (pooling == NULL)
        return cn_error_status();
    step->state = pooling;
    CN__TRY(cn__pooling_of(step->node->attributes, unpooled, pooling));
    return cn_pooling_check(pooling);
}

static cn_status pool_prepare(cn__step *step)
{
    return prepare(step, &step->node->in[0]->shape);
}

static cn_status unpool_prepare(cn__step *step)
{
    return prepare(step, &step->node->in[step->node->inputs - 1]->shape);
}

static cn_status max_pool_gradient(const cn__node *node, cn_tensor *const *dy,
                                   cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn_op_max_unpool(dy[0], node->out[1], node->in[0], node->attributes);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status max_pool_run(const cn__step *step, cn_pool *pool)
{
    int32_t *switches = (step->wanted & 1u << 1) != 0 ? step->out[1] : NULL;
    return cn_max_pool_f32(step->state, step->in[0], step->out[0], switches, pool);
}

const cn__op cn__max_pool_op = {.name = "max_pool",
                                .attribute_bytes = sizeof(cn_pool_options),
                                .outputs = 2,
                                .shape = max_pool_shape,
                                .gradient = max_pool_gradient,
                                .prepare = pool_prepare,
                                .run = max_pool_run};

cn_tensor *cn_op_max_pool(cn_tensor *x, const cn_pool_options *options, cn_tensor **switches)
{
    cn_tensor *y = cn__node_new(&cn__max_pool_op, options, 1, &x);
    if (switches != NULL)
        *switches = y != NULL ? y->node->out[1] : NULL;
    return y;
}

static cn_status like_last(const void *attributes, int inputs, cn_tensor *const *in,
                           cn_tensor **out)
{
    (void)attributes;
    out[0]->shape = in[inputs - 1]->shape;
    return CN_OK;
}

static cn_status unpool_shape(const void *attributes, int inputs, cn_tensor *const *in,
                              cn_tensor **out)
{
    if (in[1]->dtype != CN_INT32)
        return cn__fail(CN_ERROR_ARGUMENT, "max_unpool: the switches must be int32, as max_pool "
                                           "gives them");
    CN__TRY(check_pooled("max_unpool", attributes, &in[2]->shape, &in[0]->shape));
    CN__TRY(check_pooled("max_unpool", attributes, &in[2]->shape, &in[1]->shape));
    return like_last(attributes, inputs, in, out);
}

static cn_status unpool_run(const cn__step *step, cn_pool *pool)
{
    return cn_max_unpool_f32(step->state, step->in[0], step->in[1], step->out[0], pool);
}

const cn__op cn__max_unpool_op = {.name = "max_unpool",
                                  .attribute_bytes = sizeof(cn_pool_options),
                                  .outputs = 1,
                                  .shape = unpool_shape,
                                  .prepare = unpool_prepare,
                                  .run = unpool_run,
                                  .shape_only = 1u << 2,
                                  .any_type = 1u << 1};

cn_tensor *cn_op_max_unpool(cn_tensor *x, cn_tensor *switches, cn_tensor *like,
                            const cn_pool_options *options)
{
    return cn__node_new(&cn__max_unpool_op, options, 3, (cn_tensor *[]){x, switches, like});
}

static cn_status average_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                  cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__node_new(&cn__average_pool_gradient_op, node->attributes, 2,
                         (cn_tensor *[]){dy[0], node->in[0]});
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status average_run(const cn__step *step, cn_pool *pool)
{
    return cn_average_pool_f32(step->state, step->in[0], step->out[0], pool);
}

const cn__op cn__average_pool_op = {.name = "average_pool",
                                    .attribute_bytes = sizeof(cn_pool_options),
                                    .outputs = 1,
                                    .shape = pool_shape,
                                    .gradient = average_gradient,
                                    .prepare = pool_prepare,
                                    .run = average_run};

cn_tensor *cn_op_average_pool(cn_tensor *x, const cn_pool_options *options)
{
    return cn__node_new(&cn__average_pool_op, options, 1, &x);
}

static cn_status average_gradient_gradient(const cn__node *node, cn_tensor *const *d,
                                           cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn_op_average_pool(d[0], node->attributes);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status average_gradient_run(const cn__step *step, cn_pool *pool)
{
    return cn_average_pool_gradient_f32(step->state, step->in[0], step->out[0], pool);
}

const cn__op cn__average_pool_gradient_op = {.name = "average_pool_gradient",
                                             .attribute_bytes = sizeof(cn_pool_options),
                                             .outputs = 1,
                                             .shape = like_last,
                                             .gradient = average_gradient_gradient,
                                             .prepare = unpool_prepare,
                                             .run = average_gradient_run,
                                             .shape_only = 1u << 1};

/* ---- resizing ---- */

cn_resizing cn__resizing_of(const cn_resize_options *options, const cn_shape *small,
                            const cn_shape *large)
{
    int rank = options->rank;
    cn_resizing resizing = {.rank = rank,
                            .batch = cn__max(small->dim[0], 0),
                            .channels = cn__max(small->dim[rank + 1], 0),
                            .interpolation = options->interpolation};
    for (int i = 0; i < rank; i++) {
        bool known = small->dim[i + 1] >= 0;
        resizing.in[i] = known ? small->dim[i + 1] : 1;
        resizing.out[i] = cn__max(large->dim[i + 1], 1);
    }
    return resizing;
}

static cn_status resize_shape(const void *attributes, int inputs, cn_tensor *const *in,
                              cn_tensor **out)
{
    const cn_resize_options *a = attributes;
    cn_shape *shape = &out[0]->shape;
    (void)inputs;
    *shape = in[0]->shape;
    if (a->rank < 1 || a->rank > 3 || shape->rank != a->rank + 2) {
        char text[128];
        return cn__fail(CN_ERROR_SHAPE,
                        "resize: the input must have %d axes (batch, %d spatial, channels), not %s",
                        a->rank + 2, a->rank, cn_shape_text(shape, text, sizeof text));
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->size[i] > 0)
            shape->dim[i + 1] = a->size[i];
        else if (a->factor[i] < 1)
            return cn__fail(CN_ERROR_ARGUMENT, "resize: a factor must be at least 1, not %lld",
                            (long long)a->factor[i]);
        else if (shape->dim[i + 1] >= 0 &&
                 __builtin_mul_overflow(shape->dim[i + 1], a->factor[i], &shape->dim[i + 1]))
            return cn__fail(CN_ERROR_SHAPE, "resize: the output is too large");
    }
    cn_resizing resizing = cn__resizing_of(a, &in[0]->shape, shape);
    return cn_resizing_check(&resizing);
}

static cn_status resize_run(const cn__step *step, cn_pool *pool)
{
    cn_resizing resizing = cn__resizing_of(step->node->attributes, &step->node->in[0]->shape,
                                           &step->node->out[0]->shape);
    return cn_resize_f32(&resizing, step->in[0], step->out[0], pool);
}

static cn_status resize_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                 cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__node_new(&cn__resize_gradient_op, node->attributes, 2,
                         (cn_tensor *[]){dy[0], node->in[0]});
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

const cn__op cn__resize_op = {.name = "resize",
                              .attribute_bytes = sizeof(cn_resize_options),
                              .outputs = 1,
                              .shape = resize_shape,
                              .gradient = resize_gradient,
                              .run = resize_run};

static cn_status resize_gradient_run(const cn__step *step, cn_pool *pool)
{
    cn_resizing resizing = cn__resizing_of(step->node->attributes, &step->node->out[0]->shape,
                                           &step->node->in[0]->shape);
    return cn_resize_gradient_f32(&resizing, step->in[0], step->out[0], pool);
}

static cn_status resize_gradient_gradient(const cn__node *node, cn_tensor *const *d,
                                          cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn_op_resize(d[0], node->attributes);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

const cn__op cn__resize_gradient_op = {.name = "resize_gradient",
                                       .attribute_bytes = sizeof(cn_resize_options),
                                       .outputs = 1,
                                       .shape = like_last,
                                       .gradient = resize_gradient_gradient,
                                       .run = resize_gradient_run,
                                       .shape_only = 1u << 1};

cn_tensor *cn_op_resize(cn_tensor *x, const cn_resize_options *options)
{
    return cn__node_new(&cn__resize_op, options, 1, &x);
}
