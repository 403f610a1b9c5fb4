/* Depthwise convolution: see depthwise.h. */
#include <math.h>

#include "kernels/depthwise.h"

static void store_some(float *to, cn__v value, int64_t count)
{
    float some[CN__LANES];
    cn__store(some, value);
    for (int64_t i = 0; i < count; i++)
        to[i] = some[i];
}

ALWAYS void add_square(const cn__depthwise *d, const form f, const cn__v *w, int64_t m, int64_t c,
                       cn__v *acc)
{
    cn__v x[most_cells];
    CN__UNROLL
    for (int i = 0; i < lines_of(f); i++) {
        if (line_of(d, f, i) == NULL)
            continue;
        load_cells(d, f, line_of(d, f, i), m, c, x);
        CN__UNROLL
        for (int n = 0; n < f.taps * f.rows * f.columns; n++) {
            int t = n / (f.rows * f.columns), r = n / f.columns % f.rows, p = n % f.columns;
            if (reads(f, i, r))
                acc[r * f.columns + p] += x[p * f.step + t] * w[(i - r * f.down) * f.taps + t];
        }
    }
}

/* One line of weights for one row. */
ALWAYS void add_line(const cn__depthwise *d, const form f, const float *line, const float *weights,
                     int64_t m, int64_t c, cn__v *acc)
{
    cn__v x[most_cells];
    load_cells(d, f, line, m, c, x);
    CN__UNROLL
    for (int t = 0; t < f.taps; t++) {
        cn__v weight = cn__load(weights + t * CN__LANES);
        CN__KEEP(weight);
        CN__UNROLL
        for (int p = 0; p < f.columns; p++)
            acc[p] += x[p * f.step + t] * weight;
    }
}

/* The same for any taps and step. */
ALWAYS void add_taps(const cn__depthwise *d, const form f, const float *line, const float *weights,
                     int64_t m, int64_t c, cn__v *acc)
{
    for (int64_t t = 0; t < d->taps; t++) {
        cn__v weight = cn__load(weights + t * CN__LANES);
        CN__UNROLL
        for (int p = 0; p < f.columns; p++) {
            int64_t cell = d->first + (m + p) * d->step + t * d->gap;
            acc[p] += load_cell(d, f, line, cell, c) * weight;
        }
    }
}

/* All lines of weights, one after the other. */
ALWAYS void add_lines(const cn__depthwise *d, const form f, const float *weights, int64_t m,
                      int64_t c, cn__v *acc)
{
    for (int64_t l = 0; l < d->lines; l++, weights += d->taps * CN__LANES) {
        CN__UNROLL
        for (int r = 0; r < f.rows; r++) {
            const float *line = d->in[l * pitch + r];
            if (line != NULL && f.taps > 0)
                add_line(d, f, line, weights, m, c, acc + r * f.columns);
            else if (line != NULL)
                add_taps(d, f, line, weights, m, c, acc + r * f.columns);
        }
    }
}

ALWAYS void clamp(const cn__depthwise *d, const int count, cn__v *acc)
{
    cn__v low = cn__splat(d->low), high = cn__splat(d->high);
    CN__UNROLL
    for (int i = 0; i < count; i++) {
        cn__v x = cn__select(acc[i] < low, low, acc[i]);
        acc[i] = cn__select(x > high, high, x);
    }
}

ALWAYS void store_row(const cn__depthwise *d, const form f, float *out, int64_t columns,
                      const cn__v *acc)
{
    CN__UNROLL
    for (int p = 0; p < f.columns; p++, out += d->out_step) {
        if (f.place != inner && p >= columns)
            return;
        if (f.place == narrow)
            store_some(out, acc[p], d->channels);
        else
            cn__store(out, acc[p]);
    }
}

/* The tiles from column `first` to `end`, for the v-th vector of channels. */
ALWAYS void pass(const cn__depthwise *d, const form f, int64_t first, int64_t end, int64_t v)
{
    int64_t c = channel_of(d, f, v);
    const float *weights = d->weights + v * d->lines * d->taps * CN__LANES;
    cn__v w[most_taps * most_taps], acc[most_positions], start = {0};
    if (d->start != NULL)
        start = f.place == narrow ? load_some(d->start, d->channels, d->start + d->channels)
                                  : cn__load(d->start + c);
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps; t++) {
        w[t] = cn__load(weights + t * CN__LANES);
        CN__KEEP(w[t]);
    }
    for (int64_t m = first; m < end; m += f.columns) {
        CN__UNROLL
        for (int i = 0; i < f.rows * f.columns; i++)
            acc[i] = start;
        if (f.lines > 0)
            add_square(d, f, w, m, c, acc);
        else
            add_lines(d, f, weights, m, c, acc);
        if (d->low > -INFINITY || d->high < INFINITY)
            clamp(d, f.rows * f.columns, acc);
        CN__UNROLL
        for (int r = 0; r < f.rows; r++)
            if (r < d->rows)
                store_row(d, f, d->out[r] + m * d->out_step + c, d->columns - m,
                          acc + r * f.columns);
    }
}

DEFINE_PASS

void CN__K(depthwise)(const cn__depthwise *depthwise);
void CN__K(depthwise)(const cn__depthwise *depthwise)
{
    run_strips(depthwise, variants);
}
