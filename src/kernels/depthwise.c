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

/* What the cells of line i add to the positions; weights and positions are [..][phases]. */
ALWAYS void add_square_line(const form f, int i, const cn__v *x, const cn__v *w, cn__v *acc)
{
    CN__UNROLL
    for (int t = 0; t < f.taps * f.phases; t++) {
        CN__UNROLL
        for (int n = 0; n < f.rows * f.columns; n++) {
            int r = n / f.columns, p = n % f.columns, phase = t % f.phases;
            int cell = p * f.step + t / f.phases + phase * f.shift;
            if (reads(f, i, r))
                acc[n * f.phases + phase] += x[cell] * w[(i - r * f.down) * f.taps * f.phases + t];
        }
    }
}

/* One line of weights for one row. */
ALWAYS void add_line(const cn__depthwise *d, const form f, const float *line, const float *weights,
                     const spot *at, cn__v *acc)
{
    cn__v x[most_cells];
    load_cells(d, f, line, at, x);
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
                     const spot *at, cn__v *acc)
{
    for (int64_t t = 0; t < d->taps; t++) {
        cn__v weight = cn__load(weights + t * CN__LANES);
        CN__UNROLL
        for (int p = 0; p < f.columns; p++) {
            int64_t cell = d->first + (at->m + p) * d->step + t * d->gap;
            acc[p] += load_cell(d, f, line, cell, at->c) * weight;
        }
    }
}

/* All lines of weights, one after the other. */
ALWAYS void add_lines(const cn__depthwise *d, const form f, const float *weights, const spot *at,
                      cn__v *acc)
{
    for (int64_t l = 0; l < d->lines; l++, weights += d->taps * CN__LANES) {
        CN__UNROLL
        for (int r = 0; r < f.rows; r++) {
            const float *line = d->in[l * pitch + r];
            if (line != NULL && f.taps > 0)
                add_line(d, f, line, weights, at, acc + r * f.columns);
            else if (line != NULL)
                add_taps(d, f, line, weights, at, acc + r * f.columns);
        }
    }
}

ALWAYS void clamp(const cn__depthwise *d, const int count, cn__v *acc)
{
    if (!(d->low > -INFINITY || d->high < INFINITY))
        return;
    cn__v low = cn__splat(d->low), high = cn__splat(d->high);
    CN__UNROLL
    for (int i = 0; i < count; i++)
        acc[i] = cn__clamped(acc[i], low, high);
}

ALWAYS void store_row(const cn__depthwise *d, const form f, float *out, int64_t columns,
                      const cn__v *acc)
{
    CN__UNROLL
    for (int p = 0; p < f.columns * f.phases; p++, out += d->out_step) {
        if (f.place > inner && p >= columns * f.phases)
            return;
        if (f.place == narrow)
            store_some(out, acc[p], d->channels);
        else
            cn__store(out, acc[p]);
    }
}

ALWAYS cn__v start_of(const cn__depthwise *d, const form f, int64_t c)
{
    if (d->start == NULL)
        return (cn__v){0};
    return f.place == narrow ? load_some(d->start, d->channels, d->start + d->channels)
                             : cn__load(d->start + c);
}

ALWAYS void begin(const form f, cn__v start, cn__v *acc)
{
    CN__UNROLL
    for (int i = 0; i < f.rows * f.columns * f.phases; i++)
        acc[i] = start;
}

ALWAYS void square(const cn__depthwise *d, const form f, stand *at, int64_t c, float *weights)
{
    cn__v w[most_taps * most_taps], acc[most_positions], x[most_cells];
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps * f.phases; t++) {
        const float *phase = t % f.phases == 0 ? weights : weights + d->pair;
        w[t] = cn__load(phase + t / f.phases * CN__LANES);
        CN__KEEP(w[t]);
    }
    begin(f, start_of(d, f, c), acc);
    CN__UNROLL
    for (int i = 0; i < lines_of(f); i++) {
        CN__KEEP_POINTER(at->line[i]);
        if (f.place != whole && line_of(d, f, i) == NULL)
            continue;
        load_stand(d, f, at, i, x);
        add_square_line(f, i, x, w, acc);
    }
    clamp(d, f.rows * f.columns * f.phases, acc);
    CN__UNROLL
    for (int r = 0; r < f.rows; r++) {
        CN__KEEP_POINTER(at->row[r]);
        if (f.place == whole || r < d->rows)
            store_row(d, f, at->row[r], at->left, acc + r * f.columns * f.phases);
    }
}

/* The other tiles from column `first` to `end`. */
ALWAYS void pass(const cn__depthwise *d, const form f, int64_t first, int64_t end)
{
    const float *weights = d->weights;
    for (int64_t v = 0; v * CN__LANES < d->channels;
         v++, weights += d->lines * d->taps * CN__LANES) {
        spot at = at_column(d, first, channel_of(d, f, v));
        cn__v acc[most_positions], start = start_of(d, f, at.c);
        for (; at.m < end; next_tile(d, f, &at)) {
            begin(f, start, acc);
            add_lines(d, f, weights, &at, acc);
            clamp(d, f.rows * f.columns, acc);
            CN__UNROLL
            for (int r = 0; r < f.rows; r++)
                if (r < d->rows)
                    store_row(d, f, d->out[r] + at.out, d->columns - at.m, acc + r * f.columns);
        }
    }
}

DEFINE_PASS

/* ---- pairs of phases ---- */

/* Lines, taps, down, step, rows, columns, shift. */
#if CN__LANES == 16 || defined(__aarch64__)
#define PAIRS(X)                                                                                   \
    X(1, 1, 1, 1, 4, 2, 0)                                                                         \
    X(1, 2, 1, 1, 4, 2, 0)                                                                         \
    X(1, 2, 1, 1, 4, 2, 1)                                                                         \
    X(2, 2, 1, 1, 4, 2, 0)                                                                         \
    X(2, 2, 1, 1, 4, 2, 1)
#else
#define PAIRS(X)
#endif
#define PAIR_NAME(place, lines, taps, shift) pair_##place##_##lines##_##taps##_##shift
#define DEFINE_PAIR(lines, taps, down, step, rows, columns, shift)                                 \
    DEFINE_TILES(PAIR_NAME(inner, lines, taps, shift), lines, taps, down, step, rows, columns,     \
                 inner, 2, shift)                                                                  \
    DEFINE_TILES(PAIR_NAME(edge, lines, taps, shift), lines, taps, down, step, rows, columns,      \
                 edge, 2, shift)
#define PAIR(lines, taps, down, step, rows, columns, shift)                                        \
    {{lines, taps, down, step, rows, columns, inner, 2, shift},                                    \
     PAIR_NAME(inner, lines, taps, shift),                                                         \
     PAIR_NAME(edge, lines, taps, shift)},
PAIRS(DEFINE_PAIR)
static const variant pairs[] = {PAIRS(PAIR){{0}, NULL, NULL}};

/* NULL: none. */
static const variant *pair_of(const cn__depthwise *d)
{
    if (d->channels < CN__LANES || d->gap != 1)
        return NULL;
    for (const variant *v = pairs; v->inner != NULL; v++) {
        const form *f = &v->form;
        if (f->lines == d->lines && f->down == d->square && f->taps == d->taps &&
            f->step == d->step && f->shift == d->shift)
            return v;
    }
    return NULL;
}

/* One phase of two by itself. */
static void run_phase(const cn__depthwise *d, int phase)
{
    cn__depthwise one = *d;
    float *out[pitch];
    for (int64_t r = 0; r < d->rows; r++)
        out[r] = d->out[r] + phase * d->out_step;
    one.out = out;
    one.out_step *= 2;
    one.weights += phase * d->pair;
    one.first += phase * d->shift;
    one.shift = 0;
    run_strips(&one, variant_of(&one, variants));
}

void CN__K(depthwise)(const cn__depthwise *depthwise);
void CN__K(depthwise)(const cn__depthwise *depthwise)
{
    const variant *both = depthwise->pair != 0 ? pair_of(depthwise) : NULL;
    if (depthwise->pair == 0)
        run_strips(depthwise, variant_of(depthwise, variants));
    else if (both != NULL)
        run_strips(depthwise, both);
    else
        for (int phase = 0; phase < 2; phase++)
            run_phase(depthwise, phase);
}
