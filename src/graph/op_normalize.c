/* Softmax and batch normalisation. */
#include <string.h>

#include "graph/ops.h"

static cn_status same_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[0]->shape;
    return CN_OK;
}

/* ---- softmax ---- */

static cn_status softmax_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                  cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__node_new(&cn__softmax_gradient_op, node->attributes, 2,
                         (cn_tensor *[]){dy[0], node->out[0]});
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status softmax_run(const cn__step *step, cn_pool *pool)
{
    const cn__softmax_attributes *a = step->node->attributes;
    return cn_softmax_f32(&step->node->in[0]->shape, a->axis, a->logarithm, step->in[0],
                          step->out[0], pool);
}

static cn_status softmax_gradient_run(const cn__step *step, cn_pool *pool)
{
    const cn__softmax_attributes *a = step->node->attributes;
    return cn_softmax_gradient_f32(&step->node->in[0]->shape, a->axis, a->logarithm, step->in[1],
                                   step->in[0], step->out[0], pool);
}

const cn__op cn__softmax_op = {.name = "softmax",
                               .attribute_bytes = sizeof(cn__softmax_attributes),
                               .outputs = 1,
                               .shape = same_shape,
                               .gradient = softmax_gradient,
                               .run = softmax_run};

const cn__op cn__softmax_gradient_op = {.name = "softmax_gradient",
                                        .attribute_bytes = sizeof(cn__softmax_attributes),
                                        .outputs = 1,
                                        .shape = same_shape,
                                        .run = softmax_gradient_run};

cn_tensor *cn_op_softmax(cn_tensor *x, int axis, bool logarithm)
{
    if (x == NULL)
        return cn__fail_null_argument("softmax"), NULL;
    int rank = x->shape.rank;
    if (axis < -rank || axis >= rank)
        return cn__fail_null(CN_ERROR_ARGUMENT, "softmax: axis %d is not among the %d axes", axis,
                             rank);
    cn__softmax_attributes attributes = {axis < 0 ? axis + rank : axis, logarithm};
    return cn__node_new(&cn__softmax_op, &attributes, 1, &x);
}

/* ---- batch normalisation: (x, mean, variance [, gamma] [, beta]) -> y, new mean, new variance,
 * and the moments used (2, channels), which the gradient needs ---- */

static bool uses_batch(const cn__step *step)
{
    const cn__batch_norm_attributes *a = step->node->attributes;
    return step->training && (a->options.trainable == NULL || *a->options.trainable);
}

static cn_status batch_norm_shape(const void *opaque, int inputs, cn_tensor *const *in,
                                  cn_tensor **out)
{
    (void)opaque;
    const cn_shape *x = &in[0]->shape;
    char of_x[128], of_weight[128];
    if (x->rank < 2)
        return cn__fail(CN_ERROR_SHAPE, "batch_norm: the input needs a batch and channels, not %s",
                        cn_shape_text(x, of_x, sizeof of_x));
    int64_t channels = x->dim[x->rank - 1];
    for (int i = 1; i < inputs; i++)
        if (in[i]->shape.rank != 1 || (channels >= 0 && in[i]->shape.dim[0] != channels))
            return cn__fail(CN_ERROR_SHAPE,
                            "batch_norm: the input %s has %lld channels, a weight the shape %s",
                            cn_shape_text(x, of_x, sizeof of_x), (long long)channels,
                            cn_shape_text(&in[i]->shape, of_weight, sizeof of_weight));
    out[0]->shape = *x;
    out[1]->shape = out[2]->shape = in[1]->shape;
    out[3]->shape = cn_shape_of(2, in[1]->shape.dim[0]);
    return CN_OK;
}

static void moving_average(float momentum, int64_t count, const float *old, const float *batch,
                           float *new)
{
    for (int64_t i = 0; i < count; i++)
        new[i] = old[i] * momentum + batch[i] * (1 - momentum);
}

static cn_status batch_norm_run(const cn__step *step, cn_pool *pool)
{
    const cn__batch_norm_attributes *a = step->node->attributes;
    const cn_shape *x = &step->node->in[0]->shape;
    int64_t channels = x->dim[x->rank - 1];
    int64_t rows = channels == 0 ? 0 : cn_shape_count(x) / channels;
    size_t bytes = (size_t)channels * sizeof(float);
    const float *gamma = a->has_gamma ? step->in[3] : NULL;
    const float *beta = a->has_beta ? step->in[3 + a->has_gamma] : NULL;
    float *mean = step->out[3], *variance = mean + channels;
    if (uses_batch(step)) {
        cn_batch_moments_f32(rows, channels, step->in[0], mean, variance, pool);
        moving_average(a->options.momentum, channels, step->in[1], mean, step->out[1]);
        moving_average(a->options.momentum, channels, step->in[2], variance, step->out[2]);
    } else {
        memcpy(mean, step->in[1], bytes);
        memcpy(variance, step->in[2], bytes);
        memcpy(step->out[1], mean, bytes);
        memcpy(step->out[2], variance, bytes);
    }
    cn_batch_norm_f32(rows, channels, step->in[0], mean, variance, gamma, beta, a->options.epsilon,
                      step->out[0], pool);
    return CN_OK;
}

/* (dy, x, moments [, gamma]) -> dx, dgamma, dbeta */
static cn_status batch_norm_gradient(const cn__node *node, cn_tensor *const *dy,
                                     cn_gradient_rule rule, cn_tensor **dx)
{
    const cn__batch_norm_attributes *a = node->attributes;
    (void)rule;
    cn_tensor *in[4] = {dy[0], node->in[0], node->out[3], a->has_gamma ? node->in[3] : NULL};
    dx[0] = cn__node_new(&cn__batch_norm_gradient_op, a, 3 + a->has_gamma, in);
    if (dx[0] == NULL)
        return cn_error_status();
    if (a->has_gamma)
        dx[3] = dx[0]->node->out[1];
    if (a->has_beta)
        dx[3 + a->has_gamma] = dx[0]->node->out[2];
    return CN_OK;
}

const cn__op cn__batch_norm_op = {.name = "batch_norm",
                                  .attribute_bytes = sizeof(cn__batch_norm_attributes),
                                  .outputs = 4,
                                  .shape = batch_norm_shape,
                                  .gradient = batch_norm_gradient,
                                  .run = batch_norm_run,
                                  .in_place = true};

static cn_status gradient_shape(const void *opaque, int inputs, cn_tensor *const *in,
                                cn_tensor **out)
{
    (void)opaque;
    (void)inputs;
    const cn_shape *x = &in[1]->shape;
    out[0]->shape = *x;
    out[1]->shape = out[2]->shape = cn_shape_of(in[2]->shape.dim[1]);
    return CN_OK;
}

static cn_status gradient_run(const cn__step *step, cn_pool *pool)
{
    const cn__batch_norm_attributes *a = step->node->attributes;
    const cn_shape *x = &step->node->in[1]->shape;
    int64_t channels = x->dim[x->rank - 1];
    int64_t rows = channels == 0 ? 0 : cn_shape_count(x) / channels;
    const float *mean = step->in[2], *variance = mean + channels;
    const float *gamma = a->has_gamma ? step->in[3] : NULL;
    bool moments_move = uses_batch(step);
    cn_batch_norm_gradient_f32(rows, channels, step->in[1], mean, variance, gamma,
                               a->options.epsilon, step->in[0], moments_move ? step->out[0] : NULL,
                               step->out[1], step->out[2], pool);
    if (moments_move)
        return CN_OK;
    /* Fixed moments: the signal is only scaled. A mean of zero, and no shift. */
    float *zeros = step->scratch;
    memset(zeros, 0, (size_t)channels * sizeof(float));
    cn_batch_norm_f32(rows, channels, step->in[0], zeros, variance, gamma, NULL, a->options.epsilon,
                      step->out[0], pool);
    return CN_OK;
}

static cn_status gradient_prepare(cn__step *step)
{
    step->scratch_bytes = (size_t)step->node->in[2]->shape.dim[1] * sizeof(float);
    return CN_OK;
}

const cn__op cn__batch_norm_gradient_op = {.name = "batch_norm_gradient",
                                           .attribute_bytes = sizeof(cn__batch_norm_attributes),
                                           .outputs = 3,
                                           .shape = gradient_shape,
                                           .prepare = gradient_prepare,
                                           .run = gradient_run};

cn_tensor *cn_op_batch_norm(cn_tensor *x, cn_tensor *gamma, cn_tensor *beta, cn_tensor *mean,
                            cn_tensor *variance, const cn_batch_norm_options *options,
                            cn_tensor **new_mean, cn_tensor **new_variance)
{
    if (options == NULL)
        return cn__fail_null_argument("batch_norm"), NULL;
    cn__batch_norm_attributes a = {*options, gamma != NULL, beta != NULL};
    cn_tensor *in[5] = {x, mean, variance};
    int inputs = 3;
    if (gamma != NULL)
        in[inputs++] = gamma;
    if (beta != NULL)
        in[inputs++] = beta;
    cn_tensor *y = cn__node_new(&cn__batch_norm_op, &a, inputs, in);
    if (new_mean != NULL)
        *new_mean = y != NULL ? y->node->out[1] : NULL;
    if (new_variance != NULL)
        *new_variance = y != NULL ? y->node->out[2] : NULL;
    return y;
}
