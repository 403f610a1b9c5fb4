/* Resizing by interpolation, and its gradient. Along each axis an output position is a weighted sum
 * of up to four input positions; over the axes the weights multiply. */
#include "cornu/ops.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/split.h"

#define LIMIT ((int64_t)INT32_MAX)
#define LIMIT_ELEMENTS ((int64_t)1 << 40)

enum {
    most_taps = 4,
    narrow = 8,           /* channels from which on kernels are called */
    scatter_channels = 32 /* channels of a task of the gradient */
};

/* Input positions of one axis and their weights, none of them 0. */
typedef struct taps {
    int count;
    int64_t at[most_taps];
    double weight[most_taps];
} taps;

static void add_tap(taps *t, int64_t at, double weight)
{
    if (weight == 0)
        return;
    t->at[t->count] = at;
    t->weight[t->count++] = weight;
}

static void nearest(int64_t in, int64_t out, int64_t position, taps *t)
{
    add_tap(t, (2 * position + 1) * in / (2 * out), 1);
}

/* Between the two positions around `source`; beyond the ends the end's value. */
static void linear(int64_t in, double source, taps *t)
{
    source = fmin(fmax(source, 0), (double)(in - 1));
    int64_t low = (int64_t)source;
    double rest = source - (double)low;
    add_tap(t, low, 1 - rest);
    add_tap(t, cn__min(low + 1, in - 1), rest);
}

static void half_pixel(int64_t in, int64_t out, int64_t position, taps *t)
{
    linear(in, ((double)position + 0.5) * (double)in / (double)out - 0.5, t);
}

static void corner(int64_t in, int64_t out, int64_t position, taps *t)
{
    linear(in, (double)position * (double)in / (double)out, t);
}

/* Theano's bilinear_upsampling puts the first input on position (factor - 1) / 2, rounded down. */
static void theano(int64_t in, int64_t out, int64_t position, taps *t)
{
    int64_t factor = out / in;
    linear(in, (double)(position - (factor - 1) / 2) / (double)factor, t);
}

/* Keys' cubic with a = -1/2, at a distance below 2. */
static double cubic_weight(double distance)
{
    double d = fabs(distance);
    if (d <= 1)
        return (1.5 * d - 2.5) * d * d + 1;
    return ((-0.5 * d + 2.5) * d - 4) * d + 2;
}

/* As TensorFlow and JAX: positions outside are left out, and the other weights grow to the sum 1.
 */
static void cubic(int64_t in, int64_t out, int64_t position, taps *t)
{
    double source = ((double)position + 0.5) * (double)in / (double)out - 0.5, sum = 0;
    int64_t low = (int64_t)floor(source);
    for (int64_t at = cn__max(low - 1, 0); at <= cn__min(low + 2, in - 1); at++)
        add_tap(t, at, cubic_weight(source - (double)at));
    for (int i = 0; i < t->count; i++)
        sum += t->weight[i];
    for (int i = 0; i < t->count; i++)
        t->weight[i] /= sum;
}

static void (*const find_taps[])(int64_t in, int64_t out, int64_t position, taps *t) = {
    [CN_NEAREST] = nearest,        [CN_BILINEAR] = half_pixel, [CN_BILINEAR_CORNER] = corner,
    [CN_BILINEAR_THEANO] = theano, [CN_BICUBIC] = cubic,
};

/* ---- shapes ---- */

static cn_status check_axis(const cn_resizing *r, int i)
{
    if (r->in[i] < 1 || r->in[i] > LIMIT || r->out[i] < 0 || r->out[i] > LIMIT)
        return cn__fail(CN_ERROR_SHAPE,
                        "resizing: axis %d of extent %" PRId64 " cannot become %" PRId64
                        ": extents go from 1 to 2^31 - 1",
                        i, r->in[i], r->out[i]);
    if (r->interpolation == CN_BILINEAR_THEANO && r->out[i] % r->in[i] != 0)
        return cn__fail(CN_ERROR_SHAPE,
                        "resizing: Theano's bilinear interpolation takes whole factors, but "
                        "axis %d goes from %" PRId64 " to %" PRId64,
                        i, r->in[i], r->out[i]);
    return CN_OK;
}

static bool fits(const cn_resizing *r, const int64_t *extents)
{
    int64_t value = cn__max(r->batch, 1);
    bool fine = r->batch >= 0 && r->batch < LIMIT_ELEMENTS && r->channels >= 0;
    fine = fine && (!__builtin_mul_overflow(value, cn__max(r->channels, 1), &value));
    for (int i = 0; fine && i < r->rank; i++)
        fine = !__builtin_mul_overflow(value, cn__max(extents[i], 1), &value);
    return fine && value < LIMIT_ELEMENTS;
}

cn_status cn_resizing_check(const cn_resizing *r)
{
    if (!r)
        return cn__fail_null_argument("cn_resizing_check");
    if (r->rank < 1 || r->rank > 3)
        return cn__fail(CN_ERROR_SHAPE, "resizing: the rank must be 1, 2 or 3, but is %d", r->rank);
    if ((size_t)r->interpolation >= CN__COUNT(find_taps))
        return cn__fail(CN_ERROR_ARGUMENT, "resizing: there is no interpolation %d",
                        (int)r->interpolation);
    for (int i = 0; i < r->rank; i++)
        CN__TRY(check_axis(r, i));
    if (!fits(r, r->in) || !fits(r, r->out))
        return cn__fail(CN_ERROR_SHAPE,
                        "resizing: a batch of %" PRId64 " with %" PRId64
                        " channels must have below 2^40 elements",
                        r->batch, r->channels);
    return CN_OK;
}

/* ---- one output cell ---- */

typedef struct resize_context {
    const cn__kernels *kernels;
    cn_interpolation interpolation;
    int64_t batch, channels, in[3], out[3]; /* always three axes */
    const float *from;
    float *to;
    int64_t rows, per_task; /* output rows of the batch, of a task */
    int64_t blocks;         /* of channels */
} resize_context;

/* The input cells, as numbers in the image, that a row of output cells reads along the outer axes;
 * each stands for a row of the input. */
typedef struct row_taps {
    int count;
    int64_t row[most_taps * most_taps];
    double weight[most_taps * most_taps];
} row_taps;

static taps axis_taps(const resize_context *c, int axis, int64_t position)
{
    taps t = {0};
    find_taps[c->interpolation](c->in[axis], c->out[axis], position, &t);
    return t;
}

static row_taps taps_of_row(const resize_context *c, int64_t row)
{
    row_taps found = {0};
    taps z = axis_taps(c, 0, row / c->out[1] % c->out[0]), y = axis_taps(c, 1, row % c->out[1]);
    for (int i = 0; i < z.count; i++)
        for (int j = 0; j < y.count; j++) {
            found.row[found.count] = z.at[i] * c->in[1] + y.at[j];
            found.weight[found.count++] = z.weight[i] * y.weight[j];
        }
    return found;
}

/* ---- forward ---- */

/* With few channels a kernel's call would cost more than its work. */
static void resize_narrow_cell(const resize_context *c, const row_taps *rows, const taps *x,
                               const float *image, float *out)
{
    for (int64_t k = 0; k < c->channels; k++)
        out[k] = 0;
    for (int i = 0; i < rows->count; i++)
        for (int j = 0; j < x->count; j++) {
            const float *in = image + (rows->row[i] * c->in[2] + x->at[j]) * c->channels;
            float weight = (float)(rows->weight[i] * x->weight[j]);
            for (int64_t k = 0; k < c->channels; k++)
                out[k] += weight * in[k];
        }
}

/* The first tap is written, the others are added. */
static void resize_cell(const resize_context *c, const row_taps *rows, const taps *x,
                        const float *image, float *out)
{
    bool first = true;
    for (int i = 0; i < rows->count; i++)
        for (int j = 0; j < x->count; j++) {
            const float *in = image + (rows->row[i] * c->in[2] + x->at[j]) * c->channels;
            float weight[3] = {(float)(rows->weight[i] * x->weight[j])};
            if (!first)
                c->kernels->add_scaled(weight[0], in, out, c->channels);
            else if (weight[0] == 1)
                memcpy(out, in, (size_t)c->channels * sizeof *out);
            else
                c->kernels->unary[CN_AFFINE](in, out, c->channels, weight);
            first = false;
        }
}

static void resize_task(void *context, size_t index)
{
    const resize_context *c = context;
    int64_t row = (int64_t)index * c->per_task, end = cn__min(row + c->per_task, c->rows);
    int64_t image_values = c->in[0] * c->in[1] * c->in[2] * c->channels;
    for (; row < end; row++) {
        const float *image = c->from + row / (c->out[0] * c->out[1]) * image_values;
        row_taps rows = taps_of_row(c, row);
        for (int64_t i = 0; i < c->out[2]; i++) {
            taps x = axis_taps(c, 2, i);
            float *out = c->to + (row * c->out[2] + i) * c->channels;
            if (c->channels < narrow)
                resize_narrow_cell(c, &rows, &x, image, out);
            else
                resize_cell(c, &rows, &x, image, out);
        }
    }
}

static resize_context context_of(const cn_resizing *r, const float *from, float *to)
{
    resize_context c = {.kernels = cn__kernels_get(),
                        .interpolation = r->interpolation,
                        .batch = r->batch,
                        .channels = r->channels,
                        .from = from,
                        .to = to};
    for (int i = 0; i < 3; i++) {
        int own = i - (3 - r->rank);
        c.in[i] = own < 0 ? 1 : r->in[own];
        c.out[i] = own < 0 ? 1 : r->out[own];
    }
    return c;
}

cn_status cn_resize_f32(const cn_resizing *resizing, const float *in, float *out, cn_pool *pool)
{
    CN__TRY(cn_resizing_check(resizing));
    resize_context c = context_of(resizing, in, out);
    if (c.channels == 0 || c.out[2] == 0)
        return CN_OK;
    c.rows = c.batch * c.out[0] * c.out[1];
    c.per_task = cn__units_per_task(4 * c.out[2] * c.channels);
    cn__run_split(pool, resize_task, &c, c.rows, c.per_task);
    return CN_OK;
}

/* ---- gradient: each output cell gives to the cells it read ---- */

static void scatter_row(const resize_context *c, int64_t row, const float *from, float *image,
                        int64_t channels)
{
    row_taps rows = taps_of_row(c, row);
    for (int64_t cell = 0; cell < c->out[2]; cell++) {
        taps x = axis_taps(c, 2, cell);
        for (int i = 0; i < rows.count; i++)
            for (int j = 0; j < x.count; j++)
                c->kernels->add_scaled(
                    (float)(rows.weight[i] * x.weight[j]), from + cell * c->channels,
                    image + (rows.row[i] * c->in[2] + x.at[j]) * c->channels, channels);
    }
}

/* A task has an image and a block of channels to itself. */
static void gradient_task(void *context, size_t index)
{
    const resize_context *c = context;
    int64_t image = (int64_t)index / c->blocks;
    int64_t first = (int64_t)index % c->blocks * scatter_channels;
    int64_t channels = cn__min(scatter_channels, c->channels - first);
    int64_t cells = c->in[0] * c->in[1] * c->in[2], rows = c->out[0] * c->out[1];
    float *to = c->to + image * cells * c->channels + first;
    for (int64_t i = 0; i < cells; i++)
        memset(to + i * c->channels, 0, (size_t)channels * sizeof *to);
    for (int64_t row = 0; row < rows; row++)
        scatter_row(c, row, c->from + (image * rows + row) * c->out[2] * c->channels + first, to,
                    channels);
}

cn_status cn_resize_gradient_f32(const cn_resizing *resizing, const float *out_gradient,
                                 float *in_gradient, cn_pool *pool)
{
    CN__TRY(cn_resizing_check(resizing));
    resize_context c = context_of(resizing, out_gradient, in_gradient);
    if (c.channels == 0)
        return CN_OK;
    c.blocks = cn__ceil_div(c.channels, scatter_channels);
    int64_t values = c.batch * c.out[0] * c.out[1] * c.out[2] * c.channels;
    cn__pool_run(values > CN__CHUNK ? pool : NULL, gradient_task, &c, (size_t)(c.batch * c.blocks));
    return CN_OK;
}
