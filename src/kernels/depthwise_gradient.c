/* The kernel gradient of a depthwise convolution: see depthwise.h. The gradient of the output stays
 * in registers, and the sums grow where the convolution has its weights. */
#include "kernels/depthwise.h"

ALWAYS void load_gradient(const cn__depthwise *d, const form f, const spot *at, cn__v *g)
{
    CN__UNROLL
    for (int i = 0; i < f.rows * f.columns; i++) {
        int64_t r = i / f.columns, p = i % f.columns;
        g[i] = (cn__v){0};
        if (r >= d->rows || (f.place > inner && at->m + p >= d->columns))
            continue;
        const float *from = d->out[r] + at->out + p * d->out_step;
        g[i] =
            f.place == narrow ? load_some(from, d->channels, from + d->channels) : cn__load(from);
        CN__KEEP(g[i]);
    }
}

/* What the cells of line i add to the sums. */
ALWAYS void sum_square_line(const form f, int i, const cn__v *x, const cn__v *g, cn__v *sum)
{
    CN__UNROLL
    for (int p = 0; p < f.columns; p++) {
        CN__UNROLL
        for (int n = 0; n < f.rows * f.taps; n++) {
            int r = n / f.taps, t = n % f.taps;
            if (reads(f, i, r))
                sum[(i - r * f.down) * f.taps + t] += x[p * f.step + t] * g[r * f.columns + p];
        }
    }
}

ALWAYS void load_rows(const cn__depthwise *d, const form f, stand *at, cn__v *g)
{
    CN__UNROLL
    for (int r = 0; r < f.rows; r++) {
        CN__KEEP_POINTER(at->row[r]);
        CN__UNROLL
        for (int m = 0; m < f.columns; m++) {
            cn__v *to = &g[r * f.columns + m];
            bool there = r < d->rows && (f.place <= inner || m < at->left);
            *to = f.place == whole || there ? cn__load(at->row[r] + m * d->out_step) : (cn__v){0};
            CN__KEEP(*to);
        }
    }
}

ALWAYS void square(const cn__depthwise *d, const form f, stand *at, int64_t c, float *sums)
{
    (void)c;
    cn__v sum[most_taps * most_taps], g[most_positions], x[most_cells];
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps; t++)
        sum[t] = cn__load(sums + t * CN__LANES);
    load_rows(d, f, at, g);
    CN__UNROLL
    for (int i = 0; i < lines_of(f); i++) {
        CN__KEEP_POINTER(at->line[i]);
        if (f.place != whole && line_of(d, f, i) == NULL)
            continue;
        load_stand(d, f, at, i, x);
        sum_square_line(f, i, x, g, sum);
    }
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps; t++)
        cn__store(sums + t * CN__LANES, sum[t]);
}

/* One line of weights for all rows, which read `lines`. */
ALWAYS void sum_line(const cn__depthwise *d, const form f, const float *const *lines, float *sums,
                     const spot *at, const cn__v *g)
{
    cn__v sum[most_taps], x[most_cells];
    CN__UNROLL
    for (int t = 0; t < f.taps; t++)
        sum[t] = cn__load(sums + t * CN__LANES);
    CN__UNROLL
    for (int r = 0; r < f.rows; r++) {
        if (lines[r] == NULL)
            continue;
        load_cells(d, f, lines[r], at, x);
        CN__UNROLL
        for (int n = 0; n < f.columns * f.taps; n++) {
            int p = n / f.taps, t = n % f.taps;
            sum[t] += x[p * f.step + t] * g[r * f.columns + p];
        }
    }
    CN__UNROLL
    for (int t = 0; t < f.taps; t++)
        cn__store(sums + t * CN__LANES, sum[t]);
}

/* The same for any taps and step. */
ALWAYS void sum_taps(const cn__depthwise *d, const form f, const float *const *lines, float *sums,
                     const spot *at, const cn__v *g)
{
    for (int64_t t = 0; t < d->taps; t++, sums += CN__LANES) {
        cn__v sum[most_positions] = {cn__load(sums)};
        CN__UNROLL
        for (int r = 0; r < f.rows; r++) {
            if (lines[r] == NULL)
                continue;
            CN__UNROLL
            for (int p = 0; p < f.columns; p++) {
                int64_t cell = d->first + (at->m + p) * d->step + t * d->gap;
                sum[p] += load_cell(d, f, lines[r], cell, at->c) * g[r * f.columns + p];
            }
        }
        CN__UNROLL
        for (int p = 1; p < f.columns; p++)
            sum[0] += sum[p];
        cn__store(sums, sum[0]);
    }
}

/* The other tiles from column `first` to `end`. */
ALWAYS void pass(const cn__depthwise *d, const form f, int64_t first, int64_t end)
{
    int64_t line = d->taps * CN__LANES;
    float *sums = d->weights;
    for (int64_t v = 0; v * CN__LANES < d->channels; v++, sums += d->lines * line)
        for (spot at = at_column(d, first, channel_of(d, f, v)); at.m < end; next_tile(d, f, &at)) {
            cn__v g[most_positions];
            load_gradient(d, f, &at, g);
            for (int64_t l = 0; l < d->lines; l++)
                if (f.taps > 0)
                    sum_line(d, f, d->in + l * pitch, sums + l * line, &at, g);
                else
                    sum_taps(d, f, d->in + l * pitch, sums + l * line, &at, g);
        }
}

DEFINE_PASS

void CN__K(depthwise_gradient)(const cn__depthwise *depthwise);
void CN__K(depthwise_gradient)(const cn__depthwise *depthwise)
{
    run_strips(depthwise, variant_of(depthwise, variants));
}
