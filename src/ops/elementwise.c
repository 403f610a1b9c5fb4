/* Functions of one and of two numbers, applied to whole buffers. */
#include "cornu/ops.h"

#include <inttypes.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/split.h"

/* ---- functions of one number ---- */

typedef struct unary_context {
    cn_function1 function;
    const float *x, *dy;
    float *out;
    int64_t count;
} unary_context;

static void unary_task(void *context, size_t index)
{
    const unary_context *c = context;
    int64_t first = (int64_t)index * CN__CHUNK, count = cn__min(CN__CHUNK, c->count - first);
    cn__kernels_get()->unary[c->function.op](c->x + first, c->out + first, count, c->function.p);
}

static void unary_gradient_task(void *context, size_t index)
{
    const unary_context *c = context;
    int64_t first = (int64_t)index * CN__CHUNK, count = cn__min(CN__CHUNK, c->count - first);
    cn__kernels_get()->unary_gradient[c->function.op](c->x + first, c->dy + first, c->out + first,
                                                      count, c->function.p);
}

void cn_unary_f32(cn_function1 function, const float *x, float *y, int64_t count, cn_pool *pool)
{
    unary_context context = {.function = function, .x = x, .out = y, .count = count};
    cn__run_split(pool, unary_task, &context, count, CN__CHUNK);
}

void cn_unary_gradient_f32(cn_function1 function, const float *x, const float *dy, float *dx,
                           int64_t count, cn_pool *pool)
{
    unary_context context = {.function = function, .x = x, .dy = dy, .out = dx, .count = count};
    cn__run_split(pool, unary_gradient_task, &context, count, CN__CHUNK);
}

const char *cn_unary_name(cn_unary op)
{
#define NAME(NAME, name) [CN_##NAME] = #name,
    static const char *const names[] = {CN_UNARY_LIST(NAME)};
#undef NAME
    return (size_t)op < CN__COUNT(names) ? names[op] : "unknown";
}

/* ---- functions of two numbers ---- */

const char *cn_binary_name(cn_binary op)
{
#define NAME(NAME, name) [CN_##NAME] = #name,
    static const char *const names[] = {CN_BINARY_LIST(NAME)};
#undef NAME
    return (size_t)op < CN__COUNT(names) ? names[op] : "unknown";
}

/* The extent of a shape seen with `rank` axes: 1 for the axes it lacks in front. */
static int64_t extent_of(const cn_shape *shape, int rank, int axis)
{
    int own = axis - (rank - shape->rank);
    return own < 0 ? 1 : shape->dim[own];
}

/* The common extent, -2 if there is none. An unknown extent takes on a known one that is not 1. */
static int64_t common_extent(int64_t a, int64_t b)
{
    if (a == b || b == 1)
        return a;
    if (a == 1 || a == -1)
        return b;
    return b == -1 ? a : -2;
}

cn_status cn_broadcast(const cn_shape *a, const cn_shape *b, cn_shape *out)
{
    if (!a || !b || !out)
        return cn__fail_null_argument("cn_broadcast");
    if (!cn__shape_is_legal(a) || !cn__shape_is_legal(b))
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_broadcast: a shape must have 0 to %d axes of extents from -1 on",
                        CN_MAX_RANK);
    cn_shape common = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < common.rank; i++) {
        int64_t m = extent_of(a, common.rank, i), n = extent_of(b, common.rank, i);
        common.dim[i] = common_extent(m, n);
        if (common.dim[i] != -2)
            continue;
        char a_text[128], b_text[128];
        return cn__fail(CN_ERROR_SHAPE,
                        "shapes %s and %s do not go together: axis %d has %" PRId64
                        " in one and %" PRId64 " in the other; they must be equal, or one of "
                        "them 1",
                        cn_shape_text(a, a_text, sizeof a_text),
                        cn_shape_text(b, b_text, sizeof b_text), i - common.rank, m, n);
    }
    *out = common;
    return CN_OK;
}

enum { most_repeated = 512 /* values of a run that is repeated in a buffer */ };

/* The loops of a broadcast: `rank` outer ones and a run of `run` values, in which each operand
 * stands still (step 0) or goes along (step 1). */
typedef struct binary_context {
    cn__binary_kernel kernel;
    const float *a, *b;
    float *out;
    int rank;
    int64_t extent[CN_MAX_RANK], a_stride[CN_MAX_RANK], b_stride[CN_MAX_RANK];
    int64_t run;
    int a_step, b_step;
    int64_t count;
} binary_context;

/* The loops from the inside outwards; neighbours that both operands cross in one stride are made
 * one. Loops of one round are left out, so that the innermost strides are 0 or 1. */
static void find_loops(binary_context *c, const cn_shape *a, const cn_shape *b, const cn_shape *out)
{
    int64_t extent[CN_MAX_RANK + 1], as[CN_MAX_RANK + 1], bs[CN_MAX_RANK + 1];
    int64_t a_size = 1, b_size = 1;
    int loops = 0;
    for (int i = out->rank - 1; i >= 0; i--) {
        int64_t n = out->dim[i], m = extent_of(a, out->rank, i), k = extent_of(b, out->rank, i);
        int64_t a_stride = m == 1 ? 0 : a_size, b_stride = k == 1 ? 0 : b_size;
        a_size *= m;
        b_size *= k;
        if (n == 1)
            continue;
        bool joins = loops > 0 && a_stride == as[loops - 1] * extent[loops - 1] &&
                     b_stride == bs[loops - 1] * extent[loops - 1];
        if (joins) {
            extent[loops - 1] *= n;
            continue;
        }
        extent[loops] = n;
        as[loops] = a_stride;
        bs[loops++] = b_stride;
    }
    c->run = loops > 0 ? extent[0] : 1;
    c->a_step = loops > 0 && as[0] != 0;
    c->b_step = loops > 0 && bs[0] != 0;
    c->rank = loops > 0 ? loops - 1 : 0;
    for (int i = 0; i < c->rank; i++) {
        c->extent[i] = extent[i + 1];
        c->a_stride[i] = as[i + 1];
        c->b_stride[i] = bs[i + 1];
    }
}

/* Outer loop 0 is the innermost of them. */
static void binary_task(void *context, size_t index)
{
    const binary_context *c = context;
    int64_t at = (int64_t)index * CN__CHUNK, end = cn__min(at + CN__CHUNK, c->count);
    while (at < end) {
        int64_t row = at / c->run, column = at % c->run, a = 0, b = 0;
        for (int i = 0; i < c->rank; i++) {
            a += row % c->extent[i] * c->a_stride[i];
            b += row % c->extent[i] * c->b_stride[i];
            row /= c->extent[i];
        }
        int64_t count = cn__min(c->run - column, end - at);
        c->kernel(c->a + a + column * c->a_step, c->a_step, c->b + b + column * c->b_step,
                  c->b_step, c->out + at, count);
        at += count;
    }
}

/* True if x goes along with all values, and y is one short run for each run of x: a number for each
 * channel, say. */
static bool repeats_short_run(const binary_context *c, int x_step, const int64_t *x_stride,
                              int y_step, const int64_t *y_stride)
{
    return c->rank == 1 && c->run <= most_repeated / 2 && x_step == 1 && y_step == 1 &&
           x_stride[0] == c->run && y_stride[0] == 0;
}

/* The short run of one operand is repeated in a buffer, for fewer and longer loops. */
static void repeated_task(void *context, size_t index)
{
    const binary_context *c = context;
    bool of_b = c->b_stride[0] == 0;
    float repeated[most_repeated];
    int64_t width = most_repeated / c->run * c->run;
    for (int64_t i = 0; i < width; i += c->run)
        memcpy(repeated + i, of_b ? c->b : c->a, (size_t)c->run * sizeof(float));
    int64_t at = (int64_t)index * CN__CHUNK, end = cn__min(at + CN__CHUNK, c->count);
    for (int64_t count; at < end; at += count) {
        int64_t column = at % c->run;
        count = cn__min(width - column, end - at);
        c->kernel(of_b ? c->a + at : repeated + column, 1, of_b ? repeated + column : c->b + at, 1,
                  c->out + at, count);
    }
}

cn_status cn_binary_f32(cn_binary op, const cn_shape *a_shape, const float *a,
                        const cn_shape *b_shape, const float *b, float *out, cn_pool *pool)
{
    cn_shape shape;
    CN__TRY(cn_broadcast(a_shape, b_shape, &shape));
    if ((size_t)op >= CN_BINARY_COUNT)
        return cn__fail(CN_ERROR_ARGUMENT, "cn_binary_f32: there is no operation %d", (int)op);
    int64_t count = cn_shape_count(&shape);
    if (count < 0)
        return cn__fail(CN_ERROR_SHAPE, "cn_binary_f32: every extent must be known");
    if (count == 0)
        return CN_OK;
    binary_context context = {
        .kernel = cn__kernels_get()->binary[op], .a = a, .b = b, .out = out, .count = count};
    find_loops(&context, a_shape, b_shape, &shape);
    bool repeats = repeats_short_run(&context, context.a_step, context.a_stride, context.b_step,
                                     context.b_stride) ||
                   repeats_short_run(&context, context.b_step, context.b_stride, context.a_step,
                                     context.a_stride);
    cn__run_split(pool, repeats ? repeated_task : binary_task, &context, count, CN__CHUNK);
    return CN_OK;
}
