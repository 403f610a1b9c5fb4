/* Operations of two numbers, repetition and reduction, dropout and noise in double. */
#include "graph/evaluate_node.h"

#include <math.h>

/* ---- two operands ---- */

static double add(double a, double b)
{
    return a + b;
}

static double subtract(double a, double b)
{
    return a - b;
}

static double multiply(double a, double b)
{
    return a * b;
}

static double divide(double a, double b)
{
    return a / b;
}

static double maximum(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

static double minimum(double a, double b)
{
    return isnan(a) || a < b ? a : b;
}

static double greater(double a, double b)
{
    return a > b;
}

static double greater_equal(double a, double b)
{
    return a >= b;
}

static double prelu(double a, double b)
{
    return a > 0 ? a : b * a;
}

static double (*const binary[CN_BINARY_COUNT])(double a, double b) = {
    [CN_ADD] = add,       [CN_SUBTRACT] = subtract, [CN_MULTIPLY] = multiply,
    [CN_DIVIDE] = divide, [CN_MAXIMUM] = maximum,   [CN_MINIMUM] = minimum,
    [CN_POWER] = pow,     [CN_GREATER] = greater,   [CN_GREATER_EQUAL] = greater_equal,
    [CN_PRELU] = prelu,
};

cn_status cn__evaluate_binary(const cn__evaluated *e)
{
    cn_binary op = *(const cn_binary *)e->node->attributes;
    const cn_shape *to = &e->node->out[0]->shape;
    const cn_shape *of_a = &e->node->in[0]->shape, *of_b = &e->node->in[1]->shape;
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = binary[op](e->in[0][cn__repeated_from(to, i, of_a)],
                                  e->in[1][cn__repeated_from(to, i, of_b)]);
    return CN_OK;
}

cn_status cn__evaluate_broadcast_like(const cn__evaluated *e)
{
    const cn_shape *to = &e->node->out[0]->shape, *from = &e->node->in[0]->shape;
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = e->in[0][cn__repeated_from(to, i, from)];
    return CN_OK;
}

/* ---- reductions ---- */

/* Adds every element into the one of `kept` (of the input's shape, with extents of 1) it belongs
 * to. */
static void add_up(const cn__evaluated *e, const cn_shape *kept)
{
    for (int64_t i = 0; i < e->in_count[0]; i++)
        e->out[0][cn__repeated_from(&e->node->in[0]->shape, i, kept)] += e->in[0][i];
}

static void find_maxima(const cn__evaluated *e, const cn_shape *kept)
{
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = -HUGE_VAL;
    for (int64_t i = 0; i < e->in_count[0]; i++) {
        double *to = &e->out[0][cn__repeated_from(&e->node->in[0]->shape, i, kept)];
        *to = maximum(*to, e->in[0][i]);
    }
}

cn_status cn__evaluate_reduce(const cn__evaluated *e)
{
    const cn__reduce_attributes *a = e->node->attributes;
    cn_shape kept = e->node->in[0]->shape;
    for (int i = 0; i < kept.rank; i++)
        if (a->axes >> i & 1)
            kept.dim[i] = 1;
    if (a->reduction == CN_MAX)
        find_maxima(e, &kept);
    else
        add_up(e, &kept);
    for (int64_t i = 0; a->reduction == CN_MEAN && i < e->out_count[0]; i++)
        e->out[0][i] /= (double)e->in_count[0] / (double)e->out_count[0];
    return CN_OK;
}

cn_status cn__evaluate_reduce_like(const cn__evaluated *e)
{
    add_up(e, &e->node->out[0]->shape);
    return CN_OK;
}

/* ---- random ---- */

/* The same random numbers as in the float program's run. */
cn_status cn__evaluate_dropout(const cn__evaluated *e)
{
    const cn__dropout_attributes *a = e->node->attributes;
    const cn_shape *shape = &e->node->out[0]->shape, *shared = &e->node->out[1]->shape;
    cn__random random = cn__random_of_run(a->seed, e->run);
    double rate = (double)a->rate, scale = rate < 1 ? 1 / (1 - rate) : 0, *mask = e->out[1];
    for (int64_t i = 0; i < e->out_count[1]; i++)
        mask[i] = !e->training ? 1 : (double)cn__random_bits(&random) * 0x1p-32 < rate ? 0 : scale;
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = e->in[0][i] * mask[cn__repeated_from(shape, i, shared)];
    return CN_OK;
}

cn_status cn__evaluate_noise(const cn__evaluated *e)
{
    const cn__noise_attributes *a = e->node->attributes;
    cn__random random = cn__random_of_run(a->seed, e->run);
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        double value = e->training ? (double)a->stddev * cn__random_normal(&random) : 0;
        e->out[1][i] = a->multiply ? 1 + value : value;
        e->out[0][i] = a->multiply ? e->in[0][i] * e->out[1][i] : e->in[0][i] + e->out[1][i];
    }
    return CN_OK;
}
