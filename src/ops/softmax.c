/* Softmax and its logarithm, over any axis. Over the last axis the kernel does a row at a time;
 * over another one, a block of neighbouring columns goes through the same steps side by side. */
#include "cornu/ops.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/split.h"

enum { block = 256 /* columns that are worked on side by side */ };

/* The buffer as (outer, n, inner); softmax runs over the middle. A unit is a row of n values if
 * inner is 1, else a block of columns of one outer position. */
typedef struct softmax_context {
    const cn__kernels *kernels;
    bool logarithm;
    const float *in, *dy; /* for the gradient `in` is the softmax' output */
    float *out;
    int64_t n, inner, blocks, units, per_task;
} softmax_context;

/* A block of columns: n rows of `count` values, `inner` apart. */
static void columns_forward(const softmax_context *c, const float *in, float *out, int64_t count)
{
    const cn__kernels *k = c->kernels;
    float maximum[block], scratch[block];
    double totals[block] = {0};
    memcpy(maximum, in, (size_t)count * sizeof *maximum);
    for (int64_t i = 1; i < c->n; i++)
        k->binary[CN_MAXIMUM](maximum, 1, in + i * c->inner, 1, maximum, count);
    for (int64_t i = 0; i < c->n; i++) {
        float *y = out + i * c->inner, *e = c->logarithm ? scratch : y;
        k->binary[CN_SUBTRACT](in + i * c->inner, 1, maximum, 1, y, count);
        k->unary[CN_EXP](y, e, count, (const float[3]){0});
        k->add_to_doubles(e, totals, count);
    }
    for (int64_t i = 0; i < count; i++)
        scratch[i] = (float)(c->logarithm ? log(totals[i]) : 1 / totals[i]);
    cn_binary last = c->logarithm ? CN_SUBTRACT : CN_MULTIPLY;
    for (int64_t i = 0; i < c->n; i++)
        k->binary[last](out + i * c->inner, 1, scratch, 1, out + i * c->inner, count);
}

/* dx = y (dy - sum of y dy); for the logarithm dx = dy - exp(y) sum of dy. */
static void row_gradient(const softmax_context *c, const float *y, const float *dy, float *dx)
{
    const cn__kernels *k = c->kernels;
    if (c->logarithm) {
        float factor[3] = {-(float)k->sum(dy, c->n)};
        k->unary[CN_EXP](y, dx, c->n, factor);
        k->unary[CN_AFFINE](dx, dx, c->n, factor);
        k->binary[CN_ADD](dx, 1, dy, 1, dx, c->n);
    } else {
        k->binary[CN_MULTIPLY](y, 1, dy, 1, dx, c->n);
        k->add_scaled(-(float)k->sum(dx, c->n), y, dx, c->n);
    }
}

static void columns_gradient(const softmax_context *c, const float *in, const float *gradient,
                             float *out, int64_t count)
{
    const cn__kernels *k = c->kernels;
    float total[block];
    double totals[block] = {0};
    for (int64_t i = 0; i < c->n; i++) {
        const float *y = in + i * c->inner, *dy = gradient + i * c->inner;
        if (!c->logarithm)
            k->binary[CN_MULTIPLY](y, 1, dy, 1, total, count);
        k->add_to_doubles(c->logarithm ? dy : total, totals, count);
    }
    for (int64_t i = 0; i < count; i++)
        total[i] = (float)totals[i];
    for (int64_t i = 0; i < c->n; i++) {
        const float *y = in + i * c->inner, *dy = gradient + i * c->inner;
        float *dx = out + i * c->inner;
        if (c->logarithm) {
            k->unary[CN_EXP](y, dx, count, (const float[3]){0});
            k->binary[CN_MULTIPLY](dx, 1, total, 1, dx, count);
            k->binary[CN_SUBTRACT](dy, 1, dx, 1, dx, count);
        } else {
            k->binary[CN_SUBTRACT](dy, 1, total, 1, dx, count);
            k->binary[CN_MULTIPLY](dx, 1, y, 1, dx, count);
        }
    }
}

static void softmax_task(void *context, size_t index)
{
    const softmax_context *c = context;
    int64_t unit = (int64_t)index * c->per_task, end = cn__min(unit + c->per_task, c->units);
    for (; unit < end; unit++) {
        int64_t column = unit % c->blocks * block, count = cn__min(block, c->inner - column);
        int64_t at = unit / c->blocks * c->n * c->inner + column;
        if (c->inner > 1 && c->dy)
            columns_gradient(c, c->in + at, c->dy + at, c->out + at, count);
        else if (c->inner > 1)
            columns_forward(c, c->in + at, c->out + at, count);
        else if (c->dy)
            row_gradient(c, c->in + at, c->dy + at, c->out + at);
        else
            c->kernels->softmax(c->in + at, c->out + at, c->n, c->logarithm);
    }
}

static cn_status run(const char *where, const cn_shape *shape, int axis, softmax_context *c,
                     cn_pool *pool)
{
    if (!shape)
        return cn__fail_null_argument(where);
    int64_t count = cn_shape_count(shape);
    if (count < 0)
        return cn__fail(CN_ERROR_SHAPE, "%s: every extent must be known", where);
    if (axis < 0 || axis >= shape->rank)
        return cn__fail(CN_ERROR_ARGUMENT, "%s: a shape of %d axes has no axis %d", where,
                        shape->rank, axis);
    if (count == 0)
        return CN_OK;
    c->kernels = cn__kernels_get();
    c->n = shape->dim[axis];
    c->inner = 1;
    for (int i = axis + 1; i < shape->rank; i++)
        c->inner *= shape->dim[i];
    c->blocks = cn__ceil_div(c->inner, block);
    c->units = count / (c->n * c->inner) * c->blocks;
    c->per_task = cn__units_per_task(c->n * cn__min(c->inner, block));
    cn__run_split(pool, softmax_task, c, c->units, c->per_task);
    return CN_OK;
}

cn_status cn_softmax_f32(const cn_shape *shape, int axis, bool logarithm, const float *in,
                         float *out, cn_pool *pool)
{
    softmax_context context = {.logarithm = logarithm, .in = in, .out = out};
    return run("cn_softmax_f32", shape, axis, &context, pool);
}

cn_status cn_softmax_gradient_f32(const cn_shape *shape, int axis, bool logarithm, const float *y,
                                  const float *dy, float *dx, cn_pool *pool)
{
    if (!dy)
        return cn__fail_null_argument("cn_softmax_gradient_f32");
    softmax_context context = {.logarithm = logarithm, .in = y, .dy = dy, .out = dx};
    return run("cn_softmax_gradient_f32", shape, axis, &context, pool);
}
