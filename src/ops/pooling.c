/* Maximum and average pooling, and what runs backwards through them. All work on three spatial
 * axes; those that a pooling lacks have extent 1. */
#include "cornu/ops.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/split.h"

enum {
    most_cells = 128,      /* cells of a window that a kernel gets at a time */
    most_channels = 256,   /* channels likewise */
    scatter_channels = 32, /* channels of a task that adds into the input's extents */
};

/* Extents and steps stay below this, so that no position leaves an int64_t. */
#define LIMIT ((int64_t)INT32_MAX)
#define LIMIT_ELEMENTS ((int64_t)1 << 40)

/* ---- shapes ---- */

static const char *axis_name(int rank, int i)
{
    static const char *const names[3][3] = {
        {"steps"}, {"rows", "columns"}, {"planes", "rows", "columns"}};
    return names[rank - 1][i];
}

static int64_t stride_of(const cn_pooling *pooling, int i)
{
    return pooling->stride[i] ? pooling->stride[i] : pooling->window[i];
}

static cn_status check_axes(const cn_pooling *p, const char *where)
{
    if (!p)
        return cn__fail_null_argument(where);
    if (p->rank < 1 || p->rank > 3)
        return cn__fail(CN_ERROR_SHAPE, "pooling: the rank must be 1, 2 or 3, but is %d", p->rank);
    for (int i = 0; i < p->rank; i++) {
        int64_t stride = stride_of(p, i);
        if (p->in[i] < 1 || p->in[i] > LIMIT || p->window[i] < 1 || p->window[i] > LIMIT ||
            stride < 1 || stride > LIMIT)
            return cn__fail(CN_ERROR_SHAPE,
                            "pooling: input, window and stride must be from 1 to 2^31 - 1, but "
                            "are %" PRId64 ", %" PRId64 " and %" PRId64 " along the %s",
                            p->in[i], p->window[i], stride, axis_name(p->rank, i));
    }
    return CN_OK;
}

/* Theano pads an odd window by one cell less on both sides, and leaves windows of 1 and 2 alone. */
static int64_t theano_before(int64_t window)
{
    return window % 2 == 1 && window > 2 ? window - 2 : window - 1;
}

cn_status cn_pooling_pad(cn_pooling *pooling, cn_padding padding)
{
    CN__TRY(check_axes(pooling, "cn_pooling_pad"));
    if (padding != CN_VALID && padding != CN_SAME && padding != CN_SAME_THEANO)
        return cn__fail(CN_ERROR_ARGUMENT, "pooling: the padding must be `valid` or `same`");
    for (int i = 0; i < pooling->rank; i++) {
        int64_t in = pooling->in[i], window = pooling->window[i], stride = stride_of(pooling, i);
        if (padding == CN_VALID && window > in)
            return cn__fail(CN_ERROR_SHAPE,
                            "pooling: a window of %" PRId64 " %s does not fit an input of %" PRId64
                            ": use padding `same` or a window of at most %" PRId64,
                            window, axis_name(pooling->rank, i), in, in);
        int64_t out = padding == CN_VALID ? (in - window) / stride + 1 : cn__ceil_div(in, stride);
        int64_t total = cn__max((out - 1) * stride + window - in, 0);
        int64_t before = padding == CN_SAME ? total / 2 : theano_before(window);
        pooling->before[i] = padding == CN_VALID ? 0 : before;
        pooling->out[i] = out;
    }
    return CN_OK;
}

/* With a cell of the input under the first and the last window there is one under every window. */
static cn_status check_windows(const cn_pooling *p, int i)
{
    if (p->out[i] < 1 || p->out[i] > LIMIT || p->before[i] < -LIMIT || p->before[i] > LIMIT)
        return cn__fail(CN_ERROR_SHAPE,
                        "pooling: an output of %" PRId64 " %s with %" PRId64
                        " cells before the input is out of range",
                        p->out[i], axis_name(p->rank, i), p->before[i]);
    int64_t last = (p->out[i] - 1) * stride_of(p, i) - p->before[i];
    if (p->before[i] < p->window[i] && last < p->in[i])
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "pooling: a window holds no cell of the input: its %s are %" PRId64
                    " with %" PRId64 " cells before, the window %" PRId64 ", the stride %" PRId64
                    ", the output %" PRId64 "; cn_pooling_pad() gives numbers that fit",
                    axis_name(p->rank, i), p->in[i], p->before[i], p->window[i], stride_of(p, i),
                    p->out[i]);
}

/* The product, -1 if it reaches the limit; a factor of 0 does not excuse the others. */
static int64_t product_below(int64_t limit, const int64_t *factors, int count)
{
    int64_t value = 1;
    bool empty = false;
    for (int i = 0; i < count; i++) {
        if (factors[i] == 0)
            empty = true;
        else if (factors[i] < 0 || value > (limit - 1) / factors[i])
            return -1;
        else
            value *= factors[i];
    }
    return empty ? 0 : value;
}

static cn_status check_counts(const cn_pooling *p, const int64_t *extents, const char *what)
{
    int64_t factors[5] = {p->batch, p->channels};
    for (int i = 0; i < p->rank; i++)
        factors[2 + i] = extents[i];
    if (product_below(LIMIT_ELEMENTS, factors, 2 + p->rank) < 0 ||
        product_below(LIMIT, factors + 2, p->rank) < 0)
        return cn__fail(CN_ERROR_SHAPE,
                        "pooling: the %s (batch %" PRId64 ", channels %" PRId64
                        ") must have below 2^40 elements and below 2^31 - 1 cells an image",
                        what, p->batch, p->channels);
    return CN_OK;
}

cn_status cn_pooling_check(const cn_pooling *pooling)
{
    CN__TRY(check_axes(pooling, "cn_pooling_check"));
    for (int i = 0; i < pooling->rank; i++)
        CN__TRY(check_windows(pooling, i));
    CN__TRY(check_counts(pooling, pooling->in, "input"));
    return check_counts(pooling, pooling->out, "output");
}

/* The pooling with three axes and no zeros for defaults. */
static cn_pooling with_three_axes(const cn_pooling *pooling)
{
    cn_pooling full = {.rank = 3, .batch = pooling->batch, .channels = pooling->channels};
    for (int i = 0; i < 3; i++) {
        int from = i - (3 - pooling->rank);
        full.in[i] = from < 0 ? 1 : pooling->in[from];
        full.window[i] = from < 0 ? 1 : pooling->window[from];
        full.stride[i] = from < 0 ? 1 : stride_of(pooling, from);
        full.before[i] = from < 0 ? 0 : pooling->before[from];
        full.out[i] = from < 0 ? 1 : pooling->out[from];
    }
    return full;
}

/* ---- windows ---- */

/* The part of a window that lies inside the input. */
typedef struct window {
    int64_t first[3], extent[3], cells;
} window;

/* The part along one axis, for output position `o`. Returns its extent. */
static int64_t window_along(const cn_pooling *p, int axis, int64_t o, window *w)
{
    int64_t start = o * p->stride[axis] - p->before[axis];
    w->first[axis] = cn__max(start, 0);
    w->extent[axis] = cn__min(start + p->window[axis], p->in[axis]) - w->first[axis];
    return w->extent[axis];
}

/* The window of output cell number `cell` of an image. */
static window window_of(const cn_pooling *p, int64_t cell)
{
    window w = {.cells = 1};
    for (int i = 2; i >= 0; i--) {
        w.cells *= window_along(p, i, cell % p->out[i], &w);
        cell /= p->out[i];
    }
    return w;
}

/* The same for the next output cell, which is number `cell`. */
static void next_window(const cn_pooling *p, int64_t cell, window *w)
{
    int64_t x = cell % p->out[2];
    if (x == 0) {
        *w = window_of(p, cell);
        return;
    }
    w->cells /= w->extent[2];
    w->cells *= window_along(p, 2, x, w);
}

/* The number in its image of the window's cell number `cell`. */
static int64_t cell_of(const cn_pooling *p, const window *w, int64_t cell)
{
    int64_t x = w->first[2] + cell % w->extent[2], rest = cell / w->extent[2];
    int64_t y = w->first[1] + rest % w->extent[1], z = w->first[0] + rest / w->extent[1];
    return (z * p->in[1] + y) * p->in[2] + x;
}

/* Pointers to, and numbers of, the window's cells from `from` on, as many as fit. */
static int64_t gather(const cn_pooling *p, const window *w, const float *image, int64_t from,
                      const float **cells, int32_t *numbers)
{
    int64_t count = cn__min(w->cells - from, most_cells);
    for (int64_t i = 0; i < count;) {
        int64_t run = cn__min(count - i, w->extent[2] - (from + i) % w->extent[2]);
        int64_t cell = cell_of(p, w, from + i);
        for (int64_t end = i + run; i < end; i++, cell++) {
            cells[i] = image + cell * p->channels;
            numbers[i] = (int32_t)cell;
        }
    }
    return count;
}

/* ---- forward ---- */

typedef struct pool_context {
    cn_pooling p;
    const cn__kernels *kernels;
    const float *in;
    float *out;
    int32_t *switches;
    bool average;
    int64_t out_cells, in_cells; /* of an image */
    int64_t pixels, per_task;    /* output cells of the batch, of a task */
    int64_t window_cells;        /* of a window that lies inside the image */
    int32_t inside[most_cells];  /* their numbers, counted from its first cell's */
} pool_context;

/* gather() for whole windows inside the image. */
static int64_t gather_inside(const pool_context *c, const window *w, const float *image,
                             const float **cells, int32_t *numbers)
{
    int64_t first = cell_of(&c->p, w, 0);
    for (int64_t i = 0; i < c->window_cells; i++)
        cells[i] = image + (first + c->inside[i]) * c->p.channels;
    if (c->switches != NULL)
        for (int64_t i = 0; i < c->window_cells; i++)
            numbers[i] = (int32_t)first + c->inside[i];
    return c->window_cells;
}

/* The first cells of a window. */
static int64_t gather_first(const pool_context *c, const window *w, const float *image,
                            const float **cells, int32_t *numbers)
{
    bool whole = w->cells == c->window_cells && w->cells <= most_cells;
    return whole ? gather_inside(c, w, image, cells, numbers)
                 : gather(&c->p, w, image, 0, cells, numbers);
}

/* Takes the maxima of a further part of a window into `out`. */
static void merge_maxima(int64_t channels, const float *maxima, const int32_t *from, float *out,
                         int32_t *switches)
{
    for (int64_t c = 0; c < channels; c++) {
        if (!(maxima[c] > out[c] || (maxima[c] != maxima[c] && out[c] == out[c])))
            continue;
        out[c] = maxima[c];
        if (switches)
            switches[c] = from[c];
    }
}

static void max_pixel(const pool_context *c, const window *w, const float *image, int64_t channels,
                      float *out, int32_t *switches)
{
    const float *cells[most_cells];
    int32_t numbers[most_cells], from[most_channels];
    float maxima[most_channels];
    int64_t count = gather_first(c, w, image, cells, numbers);
    c->kernels->max_cells(count, cells, numbers, channels, out, switches);
    for (int64_t done = count; done < w->cells; done += count) {
        count = gather(&c->p, w, image, done, cells, numbers);
        c->kernels->max_cells(count, cells, numbers, channels, maxima, switches ? from : NULL);
        merge_maxima(channels, maxima, from, out, switches);
    }
}

static void average_pixel(const pool_context *c, const window *w, const float *image,
                          int64_t channels, float *out)
{
    const float *cells[most_cells];
    int32_t numbers[most_cells];
    float sum[most_channels], factor = 1.0f / (float)w->cells;
    int64_t count = gather_first(c, w, image, cells, numbers);
    c->kernels->sum_cells(count, cells, channels, factor, out);
    for (int64_t done = count; done < w->cells; done += count) {
        count = gather(&c->p, w, image, done, cells, numbers);
        c->kernels->sum_cells(count, cells, channels, factor, sum);
        c->kernels->add_scaled(1, sum, out, channels);
    }
}

static void pool_task(void *context, size_t index)
{
    const pool_context *c = context;
    int64_t pixel = (int64_t)index * c->per_task, end = cn__min(pixel + c->per_task, c->pixels);
    for (window w = {0}; pixel < end; pixel++) {
        if (w.cells == 0)
            w = window_of(&c->p, pixel % c->out_cells);
        else
            next_window(&c->p, pixel % c->out_cells, &w);
        const float *image = c->in + pixel / c->out_cells * c->in_cells * c->p.channels;
        for (int64_t first = 0; first < c->p.channels; first += most_channels) {
            int64_t channels = cn__min(most_channels, c->p.channels - first);
            int64_t at = pixel * c->p.channels + first;
            if (c->average)
                average_pixel(c, &w, image + first, channels, c->out + at);
            else
                max_pixel(c, &w, image + first, channels, c->out + at,
                          c->switches ? c->switches + at : NULL);
        }
    }
}

/* Numbers of cells that a window may not reach are never used. */
static pool_context context_of(const cn_pooling *pooling)
{
    pool_context c = {.p = with_three_axes(pooling), .kernels = cn__kernels_get()};
    c.out_cells = c.p.out[0] * c.p.out[1] * c.p.out[2];
    c.in_cells = c.p.in[0] * c.p.in[1] * c.p.in[2];
    window whole = {.cells = 1};
    for (int i = 0; i < 3; i++) {
        whole.extent[i] = c.p.window[i];
        whole.cells *= cn__min(c.p.window[i], most_cells + 1);
    }
    c.window_cells = whole.cells;
    for (int64_t i = 0; i < cn__min(whole.cells, most_cells); i++)
        c.inside[i] = (int32_t)cell_of(&c.p, &whole, i);
    return c;
}

static void run_pool(pool_context *c, cn_pool *pool)
{
    c->pixels = c->p.channels ? c->p.batch * c->out_cells : 0;
    int64_t cells = 1;
    for (int i = 0; i < 3; i++)
        cells *= cn__min(c->p.window[i], c->p.in[i]);
    c->per_task = cn__units_per_task(cells * c->p.channels);
    cn__run_split(pool, pool_task, c, c->pixels, c->per_task);
}

cn_status cn_max_pool_f32(const cn_pooling *pooling, const float *in, float *out, int32_t *switches,
                          cn_pool *pool)
{
    CN__TRY(cn_pooling_check(pooling));
    pool_context context = context_of(pooling);
    context.in = in;
    context.out = out;
    context.switches = switches;
    run_pool(&context, pool);
    return CN_OK;
}

cn_status cn_average_pool_f32(const cn_pooling *pooling, const float *in, float *out, cn_pool *pool)
{
    CN__TRY(cn_pooling_check(pooling));
    pool_context context = context_of(pooling);
    context.in = in;
    context.out = out;
    context.average = true;
    run_pool(&context, pool);
    return CN_OK;
}

/* ---- backward ---- */

/* Here a task has an image and a block of channels to itself, since windows may overlap. */
typedef struct scatter_context {
    pool_context pool;
    const float *in; /* with the pooled extents */
    const int32_t *switches;
    float *out;
    int64_t blocks;
    atomic_bool out_of_range;
} scatter_context;

static void unpool(const scatter_context *c, int64_t image, int64_t first, int64_t channels)
{
    int64_t all = c->pool.p.channels;
    float *out = c->out + image * c->pool.in_cells * all + first;
    for (int64_t cell = 0; cell < c->pool.out_cells; cell++) {
        int64_t at = (image * c->pool.out_cells + cell) * all + first;
        for (int64_t i = 0; i < channels; i++)
            out[c->switches[at + i] * all + i] += c->in[at + i];
    }
}

static void spread(const scatter_context *c, int64_t image, int64_t first, int64_t channels)
{
    int64_t all = c->pool.p.channels;
    float *out = c->out + image * c->pool.in_cells * all + first;
    for (int64_t cell = 0; cell < c->pool.out_cells; cell++) {
        const float *in = c->in + (image * c->pool.out_cells + cell) * all + first;
        window w = window_of(&c->pool.p, cell);
        float factor = 1.0f / (float)w.cells;
        for (int64_t i = 0; i < w.cells; i++)
            c->pool.kernels->add_scaled(factor, in, out + cell_of(&c->pool.p, &w, i) * all,
                                        channels);
    }
}

static void scatter_task(void *context, size_t index)
{
    const scatter_context *c = context;
    int64_t image = (int64_t)index / c->blocks, first = (int64_t)index % c->blocks;
    first *= scatter_channels;
    int64_t all = c->pool.p.channels, channels = cn__min(scatter_channels, all - first);
    for (int64_t i = 0; i < c->pool.in_cells; i++)
        memset(c->out + (image * c->pool.in_cells + i) * all + first, 0,
               (size_t)channels * sizeof(float));
    if (c->switches)
        unpool(c, image, first, channels);
    else
        spread(c, image, first, channels);
}

static void run_scatter(scatter_context *c, cn_pool *pool)
{
    c->blocks = cn__ceil_div(c->pool.p.channels, scatter_channels);
    int64_t tasks = c->pool.p.batch * c->blocks;
    int64_t values = c->pool.p.batch * c->pool.p.channels * c->pool.in_cells;
    cn__pool_run(values > CN__CHUNK ? pool : NULL, scatter_task, c, (size_t)tasks);
}

static void check_switches_task(void *context, size_t index)
{
    scatter_context *c = context;
    int64_t count = c->pool.p.batch * c->pool.out_cells * c->pool.p.channels;
    int64_t first = (int64_t)index * CN__CHUNK, end = cn__min(first + CN__CHUNK, count);
    bool wrong = false;
    for (int64_t i = first; i < end; i++)
        wrong |= c->switches[i] < 0 || c->switches[i] >= c->pool.in_cells;
    if (wrong)
        atomic_store(&c->out_of_range, true);
}

cn_status cn_max_unpool_f32(const cn_pooling *pooling, const float *in, const int32_t *switches,
                            float *out, cn_pool *pool)
{
    CN__TRY(cn_pooling_check(pooling));
    scatter_context c = {.pool = context_of(pooling), .in = in, .switches = switches, .out = out};
    int64_t count = c.pool.p.batch * c.pool.out_cells * c.pool.p.channels;
    if (count == 0)
        return CN_OK;
    if (!switches)
        return cn__fail_null_argument("cn_max_unpool_f32");
    cn__run_split(pool, check_switches_task, &c, count, CN__CHUNK);
    if (atomic_load(&c.out_of_range))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_max_unpool_f32: a switch names a cell outside the image, which has "
                        "the cells 0 to %" PRId64,
                        c.pool.in_cells - 1);
    run_scatter(&c, pool);
    return CN_OK;
}

cn_status cn_average_pool_gradient_f32(const cn_pooling *pooling, const float *out_gradient,
                                       float *in_gradient, cn_pool *pool)
{
    CN__TRY(cn_pooling_check(pooling));
    scatter_context c = {.pool = context_of(pooling), .in = out_gradient, .out = in_gradient};
    if (c.pool.p.channels > 0)
        run_scatter(&c, pool);
    return CN_OK;
}
