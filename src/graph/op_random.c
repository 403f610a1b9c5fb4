/* Dropout and noise: active in training only. Every run draws from a stream of its own, told by the
 * seed and the number of the run; the n-th value is the same whatever the thread count. */
#include "graph/ops.h"
#include "ops/dropout.h"

cn__random cn__random_of_run(uint64_t seed, uint64_t run)
{
    return (cn__random){.seed = seed + run * UINT64_C(0x9E3779B97F4A7C15), .counter = 0};
}

/* ---- dropout: x -> y, mask; the mask holds 0 or 1 / (1 - rate) ---- */

static cn_status dropout_shape(const void *attributes, int inputs, cn_tensor *const *in,
                               cn_tensor **out)
{
    const cn__dropout_attributes *a = attributes;
    (void)inputs;
    out[0]->shape = out[1]->shape = in[0]->shape;
    for (int i = 0; i < in[0]->shape.rank; i++)
        if (a->shared_axes >> i & 1)
            out[1]->shape.dim[i] = 1;
    return CN_OK;
}

/* y = x * mask, so the signal goes back through the same mask. Outside training the gradient is
 * only right if the mask is ones: the run below writes it in both phases. */
static cn_status dropout_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                  cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn_op_binary(CN_MULTIPLY, dy[0], node->out[1]);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status dropout_run(const cn__step *step, cn_pool *pool)
{
    const cn__dropout_attributes *a = step->node->attributes;
    const cn_shape *shape = &step->node->in[0]->shape, *shared = &step->node->out[1]->shape;
    cn__random random = cn__random_of_run(a->seed, step->run);
    float *mask = step->out[1];
    cn__dropout_mask(random.seed, step->training ? a->rate : 0, mask, cn_shape_count(shared), pool);
    return cn_binary_f32(CN_MULTIPLY, shape, step->in[0], shared, mask, step->out[0], pool);
}

const cn__op cn__dropout_op = {.name = "dropout",
                               .attribute_bytes = sizeof(cn__dropout_attributes),
                               .outputs = 2,
                               .shape = dropout_shape,
                               .gradient = dropout_gradient,
                               .run = dropout_run};

cn_tensor *cn_op_dropout(cn_tensor *x, float rate, unsigned shared_axes, uint64_t seed)
{
    if (!(rate >= 0 && rate <= 1))
        return cn__fail_null(CN_ERROR_ARGUMENT, "dropout: the rate must be from 0 to 1, not %g",
                             (double)rate);
    cn__dropout_attributes attributes = {rate, shared_axes, seed};
    return cn__node_new(&cn__dropout_op, &attributes, 1, &x);
}

/* ---- noise ---- */

static cn_status noise_shape(const void *attributes, int inputs, cn_tensor *const *in,
                             cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = out[1]->shape = in[0]->shape;
    return CN_OK;
}

static cn_status noise_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                cn_tensor **dx)
{
    const cn__noise_attributes *a = node->attributes;
    (void)rule;
    dx[0] = a->multiply ? cn_op_binary(CN_MULTIPLY, dy[0], node->out[1]) : dy[0];
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status noise_run(const cn__step *step, cn_pool *pool)
{
    const cn__noise_attributes *a = step->node->attributes;
    const cn_shape *shape = &step->node->in[0]->shape;
    cn__random random = cn__random_of_run(a->seed, step->run);
    float *noise = step->out[1];
    int64_t count = cn_shape_count(shape);
    for (int64_t i = 0; i < count; i++) {
        double value = step->training ? (double)a->stddev * cn__random_normal(&random) : 0;
        noise[i] = (float)(a->multiply ? 1 + value : value);
    }
    return cn_binary_f32(a->multiply ? CN_MULTIPLY : CN_ADD, shape, step->in[0], shape, noise,
                         step->out[0], pool);
}

const cn__op cn__noise_op = {.name = "noise",
                             .attribute_bytes = sizeof(cn__noise_attributes),
                             .outputs = 2,
                             .shape = noise_shape,
                             .gradient = noise_gradient,
                             .run = noise_run};

cn_tensor *cn_op_noise(cn_tensor *x, float stddev, bool multiply, uint64_t seed)
{
    cn__noise_attributes attributes = {stddev, multiply, seed};
    return cn__node_new(&cn__noise_op, &attributes, 1, &x);
}
