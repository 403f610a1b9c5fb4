/* Batch normalisation: every channel of a (rows, channels) buffer by itself.
 *
 * Channels are worked on in blocks of up to `most_columns`. If there are fewer channels, several
 * rows, which lie one after another, are taken as one longer row (a "stretch"), so that the kernels
 * have something to do; the per-channel numbers are repeated to match. */
#include "cornu/ops.h"

#include <math.h>

#include "kernels/kernels.h"
#include "ops/split.h"

enum {
    most_columns = 512,
    most_totals = 4096, /* of sums over rows, on the stack */
    most_parts = 64
};

/* A block of channels and how the rows are cut. */
typedef struct layout {
    int64_t rows, channels;
    int64_t first, columns; /* the block */
    int64_t together;       /* rows of a stretch */
    int64_t part_rows, parts;
} layout;

static layout layout_of(int64_t rows, int64_t channels, int64_t first, int64_t part_values)
{
    layout l = {.rows = rows,
                .channels = channels,
                .first = first,
                .columns = cn__min(most_columns, channels - first)};
    l.together = l.columns == channels ? most_columns / channels : 1;
    l.part_rows = cn__max(part_values / l.columns, 1);
    l.parts = cn__ceil_div(rows, l.part_rows);
    return l;
}

/* Repeats `columns` numbers until a stretch is full. */
static void repeat(const layout *l, float *values)
{
    for (int64_t i = l->columns; i < l->together * l->columns; i++)
        values[i] = values[i - l->columns];
}

/* ---- one multiplication and addition per value ---- */

typedef struct affine_context {
    layout l;
    const cn__kernels *kernels;
    const float *x, *scale, *shift; /* scale and shift of a stretch */
    const float *dy, *dy_scale;     /* NULL, or dy_scale * dy is added */
    float *y;
} affine_context;

static void affine_task(void *context, size_t index)
{
    const affine_context *c = context;
    const layout *l = &c->l;
    int64_t row = (int64_t)index * l->part_rows, end = cn__min(row + l->part_rows, l->rows);
    for (; row < end; row += l->together) {
        int64_t at = row * l->channels + l->first;
        int64_t count = cn__min(l->together, end - row) * l->columns;
        c->kernels->scale_shift(c->x + at, c->scale, c->shift, c->y + at, count);
        if (c->dy)
            c->kernels->scale_shift(c->dy + at, c->dy_scale, c->y + at, c->y + at, count);
    }
}

static double inverse_deviation(float variance, float epsilon)
{
    return 1 / sqrt((double)variance + (double)epsilon);
}

void cn_batch_norm_f32(int64_t rows, int64_t channels, const float *x, const float *mean,
                       const float *variance, const float *gamma, const float *beta, float epsilon,
                       float *y, cn_pool *pool)
{
    for (int64_t first = 0; first < channels; first += most_columns) {
        float scale[most_columns], shift[most_columns];
        affine_context c = {.l = layout_of(rows, channels, first, CN__CHUNK),
                            .kernels = cn__kernels_get(),
                            .x = x,
                            .scale = scale,
                            .shift = shift,
                            .y = y};
        for (int64_t i = 0; i < c.l.columns; i++) {
            double factor = inverse_deviation(variance[first + i], epsilon);
            factor *= gamma ? (double)gamma[first + i] : 1;
            scale[i] = (float)factor;
            shift[i] =
                (float)((beta ? (double)beta[first + i] : 0) - (double)mean[first + i] * factor);
        }
        repeat(&c.l, scale);
        repeat(&c.l, shift);
        cn__pool_run(pool, affine_task, &c, (size_t)c.l.parts);
    }
}

/* ---- sums over the rows ---- */

/* What is summed: x if `mean` is NULL, (x - mean)^2 if `factor` is NULL, else (x - mean) * factor.
 */
typedef struct sum_context {
    layout l;
    const cn__kernels *kernels;
    const float *x, *factor;
    const float *mean; /* of a stretch */
    double *totals;    /* [parts][columns] */
} sum_context;

static const float *summands(const sum_context *c, int64_t at, int64_t count, float *scratch)
{
    const float *x = c->x + at;
    if (!c->mean)
        return x;
    c->kernels->binary[CN_SUBTRACT](x, 1, c->mean, 1, scratch, count);
    const float *factor = c->factor ? c->factor + at : scratch;
    c->kernels->binary[CN_MULTIPLY](scratch, 1, factor, 1, scratch, count);
    return scratch;
}

static void sum_task(void *context, size_t index)
{
    const sum_context *c = context;
    const layout *l = &c->l;
    int64_t row = (int64_t)index * l->part_rows, end = cn__min(row + l->part_rows, l->rows);
    double totals[most_columns] = {0};
    for (; row < end; row += l->together) {
        float scratch[most_columns];
        int64_t count = cn__min(l->together, end - row) * l->columns;
        const float *values = summands(c, row * l->channels + l->first, count, scratch);
        c->kernels->add_to_doubles(values, totals, count);
    }
    for (int64_t i = 0; i < l->columns; i++) {
        double *total = &c->totals[(int64_t)index * l->columns + i];
        *total = totals[i];
        for (int64_t j = 1; j < l->together; j++)
            *total += totals[j * l->columns + i];
    }
}

/* The sums of the block of channels from `first` on; returns how many channels it has. `mean` has
 * their means. */
static int64_t column_sums(int64_t rows, int64_t channels, int64_t first, const float *x,
                           const float *mean, const float *factor, double *sums, cn_pool *pool)
{
    float means[most_columns];
    double totals[most_totals];
    sum_context c = {.kernels = cn__kernels_get(), .x = x, .factor = factor, .totals = totals};
    int64_t columns = cn__min(most_columns, channels - first);
    int64_t most = cn__min(most_totals / columns, most_parts);
    int64_t part_values = cn__max(cn__ceil_div(rows, most) * columns, CN__CHUNK);
    c.l = layout_of(rows, channels, first, part_values);
    if (mean) {
        for (int64_t i = 0; i < columns; i++)
            means[i] = mean[i];
        repeat(&c.l, means);
        c.mean = means;
    }
    cn__pool_run(pool, sum_task, &c, (size_t)c.l.parts);
    for (int64_t i = 0; i < columns; i++) {
        sums[i] = 0;
        for (int64_t p = 0; p < c.l.parts; p++)
            sums[i] += totals[p * columns + i];
    }
    return columns;
}

void cn_batch_moments_f32(int64_t rows, int64_t channels, const float *x, float *mean,
                          float *variance, cn_pool *pool)
{
    for (int64_t first = 0; first < channels; first += most_columns) {
        double sums[most_columns];
        int64_t columns = column_sums(rows, channels, first, x, NULL, NULL, sums, pool);
        for (int64_t i = 0; i < columns; i++)
            mean[first + i] = (float)(sums[i] / (double)rows);
        (void)column_sums(rows, channels, first, x, mean + first, NULL, sums, pool);
        for (int64_t i = 0; i < columns; i++)
            variance[first + i] = (float)(sums[i] / (double)rows);
    }
}

/* ---- gradient ---- */

/* With d = x - mean, s = 1 / sqrt(variance + epsilon), B = sum of dy and D = sum of dy d (`of_dy`
 * and `of_product`): dbeta = B, dgamma = s D, dx = gamma s (dy - B / rows - d s^2 D / rows). */
static void gradient_of_x(int64_t rows, int64_t channels, int64_t first, const float *x,
                          const float *mean, const float *variance, const float *gamma,
                          float epsilon, const double *of_dy, const double *of_product,
                          const float *dy, float *dx, cn_pool *pool)
{
    float scale[most_columns], shift[most_columns], dy_scale[most_columns];
    affine_context c = {.l = layout_of(rows, channels, first, CN__CHUNK),
                        .kernels = cn__kernels_get(),
                        .x = x,
                        .scale = scale,
                        .shift = shift,
                        .dy = dy,
                        .dy_scale = dy_scale,
                        .y = dx};
    for (int64_t i = 0; i < c.l.columns; i++) {
        int64_t channel = first + i;
        double s = inverse_deviation(variance[channel], epsilon);
        double factor = gamma ? (double)gamma[channel] * s : s;
        double of_x = -factor * s * s * of_product[i] / (double)rows;
        dy_scale[i] = (float)factor;
        scale[i] = (float)of_x;
        shift[i] = (float)(-factor * of_dy[i] / (double)rows - of_x * (double)mean[channel]);
    }
    repeat(&c.l, dy_scale);
    repeat(&c.l, scale);
    repeat(&c.l, shift);
    cn__pool_run(pool, affine_task, &c, (size_t)c.l.parts);
}

void cn_batch_norm_gradient_f32(int64_t rows, int64_t channels, const float *x, const float *mean,
                                const float *variance, const float *gamma, float epsilon,
                                const float *dy, float *dx, float *dgamma, float *dbeta,
                                cn_pool *pool)
{
    for (int64_t first = 0; first < channels; first += most_columns) {
        double of_dy[most_columns], of_product[most_columns];
        int64_t columns = column_sums(rows, channels, first, dy, NULL, NULL, of_dy, pool);
        (void)column_sums(rows, channels, first, x, mean + first, dy, of_product, pool);
        for (int64_t i = 0; dbeta && i < columns; i++)
            dbeta[first + i] = (float)of_dy[i];
        for (int64_t i = 0; dgamma && i < columns; i++)
            dgamma[first + i] =
                (float)(of_product[i] * inverse_deviation(variance[first + i], epsilon));
        if (dx)
            gradient_of_x(rows, channels, first, x, mean, variance, gamma, epsilon, of_dy,
                          of_product, dy, dx, pool);
    }
}
