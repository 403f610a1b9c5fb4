/* Pooling, unpooling and resizing in double. Three spatial axes always; those that are not there
 * have the extent 1. */
#include "graph/evaluate_node.h"

#include <math.h>

/* ---- pooling ---- */

typedef struct pooling {
    int64_t batch, channels, cells, outs; /* cells of an image before and after */
    int64_t in[3], out[3], window[3], stride[3], before[3];
} pooling;

/* `unpooled` is the shape of the image before pooling. */
static cn_status find_pooling(const cn__evaluated *e, const cn_tensor *unpooled, pooling *p)
{
    cn_pooling of_ops;
    CN__TRY(cn__pooling_of(e->node->attributes, &unpooled->shape, &of_ops));
    *p = (pooling){.batch = of_ops.batch, .channels = of_ops.channels, .cells = 1, .outs = 1};
    for (int i = 0; i < 3; i++) {
        p->in[i] = cn__of_three(of_ops.rank, of_ops.in, i, 1);
        p->out[i] = cn__of_three(of_ops.rank, of_ops.out, i, 1);
        p->window[i] = cn__of_three(of_ops.rank, of_ops.window, i, 1);
        p->stride[i] = cn__of_three(of_ops.rank, of_ops.stride, i, 1);
        p->stride[i] = p->stride[i] != 0 ? p->stride[i] : p->window[i];
        p->before[i] = cn__of_three(of_ops.rank, of_ops.before, i, 0);
        p->cells *= p->in[i];
        p->outs *= p->out[i];
    }
    return CN_OK;
}

/* The part of an output cell's window that lies in the image: from low to high. */
typedef struct window {
    int64_t low[3], high[3];
    int64_t image; /* of the batch */
    int64_t count;
} window;

/* The window of element i of the pooled image. */
static window window_of(const pooling *p, int64_t i)
{
    int64_t cell = i / p->channels;
    window w = {.image = cell / p->outs, .count = 1};
    for (int k = 2; k >= 0; k--) {
        int64_t start = cell % p->out[k] * p->stride[k] - p->before[k];
        cell /= p->out[k];
        w.low[k] = cn__max(start, 0);
        w.high[k] = cn__min(start + p->window[k], p->in[k]);
        w.count *= w.high[k] - w.low[k];
    }
    return w;
}

/* The number in its image of the k-th cell of a window. */
static int64_t cell_of(const pooling *p, const window *w, int64_t k)
{
    int64_t columns = w->high[2] - w->low[2], rows = w->high[1] - w->low[1];
    int64_t x = w->low[2] + k % columns, y = w->low[1] + k / columns % rows;
    int64_t z = w->low[0] + k / columns / rows;
    return (z * p->in[1] + y) * p->in[2] + x;
}

/* The element of the unpooled images in a cell, in the channel of element i. */
static int64_t element(const pooling *p, const window *w, int64_t cell, int64_t i)
{
    return (w->image * p->cells + cell) * p->channels + i % p->channels;
}

/* x -> y, switches; of equal cells the first. */
cn_status cn__evaluate_max_pool(const cn__evaluated *e)
{
    pooling p;
    CN__TRY(find_pooling(e, e->node->in[0], &p));
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        window w = window_of(&p, i);
        int64_t best = cell_of(&p, &w, 0);
        for (int64_t k = 1; k < w.count; k++) {
            int64_t cell = cell_of(&p, &w, k);
            if (e->in[0][element(&p, &w, cell, i)] > e->in[0][element(&p, &w, best, i)])
                best = cell;
        }
        e->out[0][i] = e->in[0][element(&p, &w, best, i)];
        e->out[1][i] = (double)best;
    }
    return CN_OK;
}

/* (y, switches, like x) */
cn_status cn__evaluate_max_unpool(const cn__evaluated *e)
{
    pooling p;
    CN__TRY(find_pooling(e, e->node->in[2], &p));
    for (int64_t i = 0; i < e->in_count[0]; i++) {
        window w = window_of(&p, i);
        double cell = e->in[1][i];
        if (!(cell >= 0 && cell < (double)p.cells))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "evaluate: max_unpool: a switch names the cell %g of an image of %lld",
                            cell, (long long)p.cells);
        e->out[0][element(&p, &w, (int64_t)cell, i)] += e->in[0][i];
    }
    return CN_OK;
}

cn_status cn__evaluate_average_pool(const cn__evaluated *e)
{
    pooling p;
    CN__TRY(find_pooling(e, e->node->in[0], &p));
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        window w = window_of(&p, i);
        for (int64_t k = 0; k < w.count; k++)
            e->out[0][i] += e->in[0][element(&p, &w, cell_of(&p, &w, k), i)] / (double)w.count;
    }
    return CN_OK;
}

/* (dy, like x) */
cn_status cn__evaluate_average_pool_gradient(const cn__evaluated *e)
{
    pooling p;
    CN__TRY(find_pooling(e, e->node->in[1], &p));
    for (int64_t i = 0; i < e->in_count[0]; i++) {
        window w = window_of(&p, i);
        for (int64_t k = 0; k < w.count; k++)
            e->out[0][element(&p, &w, cell_of(&p, &w, k), i)] += e->in[0][i] / (double)w.count;
    }
    return CN_OK;
}

/* ---- resizing ---- */

/* Where an output position lies between the input positions. */
static double source_of(cn_interpolation interpolation, double in, double out, double position)
{
    double factor = floor(out / in);
    if (interpolation == CN_BILINEAR_CORNER)
        return position * in / out;
    if (interpolation == CN_BILINEAR_THEANO) /* input 0 stands at (factor - 1) / 2, rounded down */
        return (position - floor((factor - 1) / 2)) / factor;
    return (position + 0.5) * in / out - 0.5;
}

/* How much of an input position at a distance goes into the output. The cubic is that of Keys,
 * "Cubic convolution interpolation for digital image processing" (1981), with a = -1/2. */
static double weight_at(cn_interpolation interpolation, double distance)
{
    double d = fabs(distance);
    if (interpolation != CN_BICUBIC)
        return fmax(1 - d, 0);
    if (d >= 2)
        return 0;
    return d <= 1 ? 1.5 * d * d * d - 2.5 * d * d + 1 : -0.5 * d * d * d + 2.5 * d * d - 4 * d + 2;
}

/* The weights of one axis: `in` of them for each output position, with the sum 1. */
static double *axis_weights(const cn__evaluated *e, cn_interpolation interpolation, int64_t in,
                            int64_t out)
{
    int64_t count;
    if (__builtin_mul_overflow(in, out, &count) || count > (int64_t)1 << 40)
        return cn__fail_null(CN_ERROR_UNSUPPORTED, "evaluate: resize: the images are too large");
    double *weights = cn__arena_alloc(e->arena, (size_t)count * sizeof *weights);
    for (int64_t o = 0; weights != NULL && o < out; o++) {
        double *w = weights + o * in, sum = 0;
        double source = source_of(interpolation, (double)in, (double)out, (double)o);
        if (interpolation == CN_NEAREST) {
            w[(2 * o + 1) * in / (2 * out)] = 1;
            continue;
        }
        if (interpolation != CN_BICUBIC)
            source = fmin(fmax(source, 0), (double)(in - 1));
        for (int64_t i = 0; i < in; i++)
            sum += w[i] = weight_at(interpolation, source - (double)i);
        for (int64_t i = 0; i < in; i++)
            w[i] /= sum;
    }
    return weights;
}

typedef struct resizing {
    int64_t batch, channels, in[3], out[3];
    double *weights[3]; /* [out][in] of each axis */
} resizing;

static cn_status find_resizing(const cn__evaluated *e, const cn_tensor *small,
                               const cn_tensor *large, resizing *r)
{
    cn_resizing of_ops = cn__resizing_of(e->node->attributes, &small->shape, &large->shape);
    *r = (resizing){.batch = of_ops.batch, .channels = of_ops.channels};
    for (int i = 0; i < 3; i++) {
        r->in[i] = cn__of_three(of_ops.rank, of_ops.in, i, 1);
        r->out[i] = cn__of_three(of_ops.rank, of_ops.out, i, 1);
        r->weights[i] = axis_weights(e, of_ops.interpolation, r->in[i], r->out[i]);
        if (r->weights[i] == NULL)
            return cn_error_status();
    }
    return CN_OK;
}

/* One output pixel o (of its image) and all input pixels with a weight; `backward` gives from the
 * output to the input. */
static void resize_pixel(const resizing *r, const int64_t *o, const double *from, double *to,
                         bool backward)
{
    const double *weights[3];
    int64_t i[3], out = (o[0] * r->out[1] + o[1]) * r->out[2] + o[2];
    for (int k = 0; k < 3; k++)
        weights[k] = r->weights[k] + o[k] * r->in[k];
    for (i[0] = 0; i[0] < r->in[0]; i[0]++)
        for (i[1] = 0; i[1] < r->in[1]; i[1]++) {
            double rows = weights[0][i[0]] * weights[1][i[1]];
            for (i[2] = 0; rows != 0 && i[2] < r->in[2]; i[2]++) {
                double weight = rows * weights[2][i[2]];
                int64_t in = (i[0] * r->in[1] + i[1]) * r->in[2] + i[2];
                for (int64_t c = 0; weight != 0 && c < r->channels; c++)
                    if (backward)
                        to[in * r->channels + c] += weight * from[out * r->channels + c];
                    else
                        to[out * r->channels + c] += weight * from[in * r->channels + c];
            }
        }
}

static void resize_all(const resizing *r, const double *from, double *to, bool backward)
{
    int64_t o[3], in = r->in[0] * r->in[1] * r->in[2] * r->channels;
    int64_t out = r->out[0] * r->out[1] * r->out[2] * r->channels;
    for (int64_t image = 0; image < r->batch; image++)
        for (o[0] = 0; o[0] < r->out[0]; o[0]++)
            for (o[1] = 0; o[1] < r->out[1]; o[1]++)
                for (o[2] = 0; o[2] < r->out[2]; o[2]++)
                    resize_pixel(r, o, from + image * (backward ? out : in),
                                 to + image * (backward ? in : out), backward);
}

cn_status cn__evaluate_resize(const cn__evaluated *e)
{
    resizing r;
    CN__TRY(find_resizing(e, e->node->in[0], e->node->out[0], &r));
    resize_all(&r, e->in[0], e->out[0], false);
    return CN_OK;
}

/* (dy, like x) */
cn_status cn__evaluate_resize_gradient(const cn__evaluated *e)
{
    resizing r;
    CN__TRY(find_resizing(e, e->node->out[0], e->node->in[0], &r));
    resize_all(&r, e->in[0], e->out[0], true);
    return CN_OK;
}
