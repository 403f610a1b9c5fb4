/* Depthwise convolution and its kernel gradient: every channel by itself, vectors along the
 * channels. A tile is some rows times some columns of positions, held in registers for one vector
 * of channels after the other. Every line of weights goes through the rows: the cells that it meets
 * there are loaded once for all of its taps and columns. Where neighbouring rows read neighbouring
 * lines, all weights stay in registers and each cell is loaded once for all that meet it. */
#include <math.h>

#include "kernels/simd.h"

enum {
    pitch = cn__depthwise_rows,
    most_positions = 16,
    most_taps = 7,
    most_cells = 16,
    few_channels = 4 * CN__LANES
};

/* What a tile has to look at: nothing; whether cells lie inside; and whether vectors do. */
typedef enum place { inner, edge, narrow } place;

/* What is known of a tile when it is compiled: lines and taps of weights, the steps from row to row
 * and from column to column, 0 if they may be any; rows and columns; its place. */
typedef struct form {
    int lines, taps, down, step, rows, columns;
    place place;
} form;

#define ALWAYS static inline __attribute__((always_inline))

/* ---- cells ---- */

/* At most `count` floats, none from `end` on. */
static cn__v load_some(const float *from, int64_t count, const float *end)
{
    float some[CN__LANES] = {0};
    if (end - from >= CN__LANES)
        return cn__load(from);
    for (int64_t i = 0; i < count; i++)
        some[i] = from[i];
    return cn__load(some);
}

static void store_some(float *to, cn__v value, int64_t count)
{
    float some[CN__LANES];
    cn__store(some, value);
    for (int64_t i = 0; i < count; i++)
        to[i] = some[i];
}

ALWAYS cn__v load_cell(const cn__depthwise *d, const form f, const float *line, int64_t cell,
                       int64_t c)
{
    if (f.place != inner && (cell < 0 || cell >= d->width))
        return (cn__v){0};
    const float *from = line + cell * d->cell + c;
    return f.place == narrow ? load_some(from, d->channels, d->in_end) : cn__load(from);
}

/* The cells that neighbouring taps of all columns meet. */
ALWAYS void load_cells(const cn__depthwise *d, const form f, const float *line, int64_t m,
                       int64_t c, cn__v *x)
{
    int64_t first = d->first + m * d->step;
    const float *from = line + first * d->cell + c;
    CN__UNROLL
    for (int j = 0; j < (f.columns - 1) * f.step + f.taps; j++, from += d->cell) {
        if (f.place == inner) {
            CN__KEEP_POINTER(from);
            x[j] = cn__load(from);
        } else {
            x[j] = load_cell(d, f, line, first + j, c);
        }
        CN__KEEP(x[j]);
    }
}

/* Where the v-th vector of channels begins. */
ALWAYS int64_t channel_of(const cn__depthwise *d, const form f, int64_t v)
{
    int64_t last = f.place == narrow ? 0 : d->channels - CN__LANES;
    return v * CN__LANES < last ? v * CN__LANES : last;
}

/* Square tiles: the i-th of the lines that their rows read. Line l of weights meets it at row r,
 * l + r * down = i. */
ALWAYS const float *line_of(const cn__depthwise *d, const form f, int i)
{
    int row = i / f.down < f.rows ? i / f.down : f.rows - 1;
    return d->in[(i - row * f.down) * pitch + row];
}

ALWAYS int lines_of(const form f)
{
    return (f.rows - 1) * f.down + f.lines;
}

/* Whether row r reads it, by its line i - r * down of weights. */
ALWAYS bool reads(const form f, int i, int r)
{
    return i >= r * f.down && i < r * f.down + f.lines;
}

/* ---- forward ---- */

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
        for (int t = 0; t < f.taps; t++)
            CN__UNROLL
        for (int r = 0; r < f.rows; r++)
            CN__UNROLL
        for (int p = 0; p < f.columns; p++)
            if (reads(f, i, r))
                acc[r * f.columns + p] += x[p * f.step + t] * w[(i - r * f.down) * f.taps + t];
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
            if (line != NULL)
                (f.taps > 0 ? add_line : add_taps)(d, f, line, weights, m, c, acc + r * f.columns);
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
ALWAYS void forward(const cn__depthwise *d, const form f, int64_t first, int64_t end, int64_t v)
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

/* ---- gradient ---- */

ALWAYS void load_gradient(const cn__depthwise *d, const form f, int64_t m, int64_t c, cn__v *g)
{
    CN__UNROLL
    for (int i = 0; i < f.rows * f.columns; i++) {
        int64_t r = i / f.columns, p = m + i % f.columns;
        g[i] = (cn__v){0};
        if (r >= d->rows || (f.place != inner && p >= d->columns))
            continue;
        const float *from = d->out[r] + p * d->out_step + c;
        g[i] =
            f.place == narrow ? load_some(from, d->channels, from + d->channels) : cn__load(from);
        CN__KEEP(g[i]);
    }
}

ALWAYS void sum_square(const cn__depthwise *d, const form f, int64_t m, int64_t c, const cn__v *g,
                       cn__v *sum)
{
    cn__v x[most_cells];
    CN__UNROLL
    for (int i = 0; i < lines_of(f); i++) {
        if (line_of(d, f, i) == NULL)
            continue;
        load_cells(d, f, line_of(d, f, i), m, c, x);
        CN__UNROLL
        for (int p = 0; p < f.columns; p++)
            CN__UNROLL
        for (int r = 0; r < f.rows; r++)
            CN__UNROLL
        for (int t = 0; t < f.taps; t++)
            if (reads(f, i, r))
                sum[(i - r * f.down) * f.taps + t] += x[p * f.step + t] * g[r * f.columns + p];
    }
}

/* One line of weights for all rows, which read `lines`. */
ALWAYS void sum_line(const cn__depthwise *d, const form f, const float *const *lines, float *sums,
                     int64_t m, int64_t c, const cn__v *g)
{
    cn__v sum[most_taps], x[most_cells];
    CN__UNROLL
    for (int t = 0; t < f.taps; t++)
        sum[t] = cn__load(sums + t * CN__LANES);
    CN__UNROLL
    for (int r = 0; r < f.rows; r++) {
        if (lines[r] == NULL)
            continue;
        load_cells(d, f, lines[r], m, c, x);
        CN__UNROLL
        for (int p = 0; p < f.columns; p++)
            CN__UNROLL
        for (int t = 0; t < f.taps; t++)
            sum[t] += x[p * f.step + t] * g[r * f.columns + p];
    }
    CN__UNROLL
    for (int t = 0; t < f.taps; t++)
        cn__store(sums + t * CN__LANES, sum[t]);
}

/* The same for any taps and step. */
ALWAYS void sum_taps(const cn__depthwise *d, const form f, const float *const *lines, float *sums,
                     int64_t m, int64_t c, const cn__v *g)
{
    for (int64_t t = 0; t < d->taps; t++, sums += CN__LANES) {
        cn__v sum[most_positions] = {cn__load(sums)};
        CN__UNROLL
        for (int r = 0; r < f.rows; r++) {
            if (lines[r] == NULL)
                continue;
            CN__UNROLL
            for (int p = 0; p < f.columns; p++) {
                int64_t cell = d->first + (m + p) * d->step + t * d->gap;
                sum[p] += load_cell(d, f, lines[r], cell, c) * g[r * f.columns + p];
            }
        }
        CN__UNROLL
        for (int p = 1; p < f.columns; p++)
            sum[0] += sum[p];
        cn__store(sums, sum[0]);
    }
}

ALWAYS void gradient(const cn__depthwise *d, const form f, int64_t first, int64_t end, int64_t v)
{
    int64_t c = channel_of(d, f, v), line = d->taps * CN__LANES;
    float *sums = d->weights + v * d->lines * line;
    cn__v sum[most_taps * most_taps], g[most_positions];
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps; t++)
        sum[t] = cn__load(sums + t * CN__LANES);
    for (int64_t m = first; m < end; m += f.columns) {
        load_gradient(d, f, m, c, g);
        if (f.lines > 0)
            sum_square(d, f, m, c, g, sum);
        for (int64_t l = 0; f.lines == 0 && l < d->lines; l++)
            (f.taps > 0 ? sum_line : sum_taps)(d, f, d->in + l * pitch, sums + l * line, m, c, g);
    }
    CN__UNROLL
    for (int t = 0; t < f.lines * f.taps; t++)
        cn__store(sums + t * CN__LANES, sum[t]);
}

/* ---- tiles ---- */

/* The forms: lines, taps, down, step, rows, columns. The last one is for all the rest. */
#ifdef TUNE
#include TUNE
#elif CN__LANES == 16 || defined(__aarch64__)
#define FORMS(X)                                                                                   \
    X(2, 2, 1, 1, 4, 4)                                                                            \
    X(3, 3, 1, 1, 4, 2)                                                                            \
    X(3, 3, 1, 2, 4, 2) X(2, 2, 2, 2, 4, 2) X(3, 3, 2, 2, 4, 2) X(4, 4, 2, 2, 2, 2)                \
        X(0, 1, 0, 1, 4, 4) X(0, 2, 0, 1, 4, 4) X(0, 3, 0, 1, 4, 4) X(0, 5, 0, 1, 4, 4)            \
            X(0, 7, 0, 1, 4, 4) X(0, 5, 0, 2, 4, 4) X(0, 0, 0, 0, 4, 4)
#else
#define FORMS(X)                                                                                   \
    X(3, 3, 1, 1, 2, 2)                                                                            \
    X(3, 3, 2, 2, 2, 2)                                                                            \
    X(4, 4, 2, 2, 2, 2) X(0, 1, 0, 1, 4, 2) X(0, 2, 0, 1, 4, 2) X(0, 3, 0, 1, 4, 2)                \
        X(0, 5, 0, 1, 4, 2) X(0, 7, 0, 1, 4, 2) X(0, 3, 0, 2, 2, 2) X(0, 5, 0, 2, 2, 2)            \
            X(0, 0, 0, 0, 2, 4)
#endif

/* The tiles from column `first` to `end`. */
typedef void (*tiles)(const cn__depthwise *d, int64_t first, int64_t end);

/* Few channels: all tiles for one vector after the other; many: a tile for all vectors, which reads
 * memory in its order. */
#define DEFINE_TILES(pass, name, place, ...)                                                       \
    static void name(const cn__depthwise *d, int64_t first, int64_t end)                           \
    {                                                                                              \
        const cn__depthwise own = *d; /* stores cannot change it: it stays in registers */         \
        const form f = {__VA_ARGS__, place};                                                       \
        int64_t at_once = own.channels <= few_channels ? end - first : f.columns;                  \
        for (int64_t m = first; m < end; m += at_once)                                             \
            for (int64_t v = 0; v * CN__LANES < own.channels; v++)                                 \
                pass(&own, f, m, m + at_once, v);                                                  \
    }
#define NAME(pass, place, lines, taps, down, step)                                                 \
    pass##_##place##_##lines##_##taps##_##down##_##step
#define DEFINE_FORM(lines, taps, down, step, ...)                                                  \
    DEFINE_TILES(forward, NAME(forward, inner, lines, taps, down, step), inner, lines, taps, down, \
                 step, __VA_ARGS__)                                                                \
    DEFINE_TILES(forward, NAME(forward, edge, lines, taps, down, step), edge, lines, taps, down,   \
                 step, __VA_ARGS__)                                                                \
    DEFINE_TILES(gradient, NAME(gradient, inner, lines, taps, down, step), inner, lines, taps,     \
                 down, step, __VA_ARGS__)                                                          \
    DEFINE_TILES(gradient, NAME(gradient, edge, lines, taps, down, step), edge, lines, taps, down, \
                 step, __VA_ARGS__)
FORMS(DEFINE_FORM)
DEFINE_TILES(forward, forward_narrow, narrow, 0, 0, 0, 0, 4, 2)
DEFINE_TILES(gradient, gradient_narrow, narrow, 0, 0, 0, 0, 4, 2)

typedef struct variant {
    form form;
    tiles forward[2], gradient[2]; /* inner, edge */
} variant;

#define VARIANT(lines, taps, down, step, ...)                                                      \
    {{lines, taps, down, step, __VA_ARGS__, inner},                                                \
     {NAME(forward, inner, lines, taps, down, step),                                               \
      NAME(forward, edge, lines, taps, down, step)},                                               \
     {NAME(gradient, inner, lines, taps, down, step),                                              \
      NAME(gradient, edge, lines, taps, down, step)}},
static const variant variants[] = {FORMS(VARIANT)};
static const variant narrow_variant = {{0, 0, 0, 0, 4, 2, narrow},
                                       {forward_narrow, forward_narrow},
                                       {gradient_narrow, gradient_narrow}};

static const variant *variant_of(const cn__depthwise *d)
{
    if (d->channels < CN__LANES)
        return &narrow_variant;
    for (const variant *v = variants;; v++) {
        const form *f = &v->form;
        bool lines = f->lines == 0 || (f->lines == d->lines && f->down == d->square);
        bool taps = f->taps == 0 || (f->taps == d->taps && f->step == d->step && d->gap == 1);
        if (lines && taps)
            return v;
    }
}

/* Tiles inside as long as they are, the others each by itself. */
static void run(const cn__depthwise *d, int64_t columns, const tiles *by_place)
{
    int64_t reach = (columns - 1) * d->step + (d->taps - 1) * d->gap;
    for (int64_t m = 0, end; m < d->columns; m = end) {
        int64_t first = d->first + m * d->step, more = (d->width - 1 - first - reach) / d->step;
        end = m + columns;
        bool inside = first >= 0 && first + reach < d->width && end <= d->columns;
        if (inside)
            end += (more < d->columns - end ? more : d->columns - end) / columns * columns;
        by_place[inside ? inner : edge](d, m, end);
    }
}

/* Strips as high as the form's tiles. */
static void run_rows(const cn__depthwise *d, const form *f, const tiles *by_place)
{
    cn__depthwise strip = *d;
    for (int64_t r = 0; r < d->rows; r += f->rows) {
        strip.in = d->in + r;
        strip.out = d->out + r;
        strip.rows = d->rows - r;
        run(&strip, f->columns, by_place);
    }
}

void CN__K(depthwise)(const cn__depthwise *depthwise);
void CN__K(depthwise)(const cn__depthwise *depthwise)
{
    const variant *v = variant_of(depthwise);
    run_rows(depthwise, &v->form, v->forward);
}

void CN__K(depthwise_gradient)(const cn__depthwise *depthwise);
void CN__K(depthwise_gradient)(const cn__depthwise *depthwise)
{
    const variant *v = variant_of(depthwise);
    run_rows(depthwise, &v->form, v->gradient);
}
