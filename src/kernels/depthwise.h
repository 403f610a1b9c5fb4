/* What the depthwise convolution and its kernel gradient have in common: vectors lie along the
 * channels. A tile is some rows times some columns of positions, held in registers for one vector
 * of channels after the other. Every line of weights goes through the rows: the cells that it meets
 * there are loaded once for all of its taps and columns. Where neighbouring rows read neighbouring
 * lines the tile is square: all weights stay in registers, and each cell is loaded once for all
 * that meet it. */
#ifndef CORNU_SRC_KERNELS_DEPTHWISE_H
#define CORNU_SRC_KERNELS_DEPTHWISE_H

#include "kernels/simd.h"

enum {
    pitch = cn__depthwise_rows,
    most_positions = 16,
    most_taps = 7,
    most_cells = 16,
    most_lines = 10,
    few_channels = 4 * CN__LANES
};

/* What a tile has to look at: nothing; whether lines and rows are there; whether cells lie inside
 * as well; and whether vectors do. */
typedef enum place { whole, inner, edge, narrow } place;

/* What is known of a tile when it is compiled: lines and taps of weights, the steps from row to row
 * and from column to column, 0 if they may be any; rows and columns; its place; the phases that it
 * has of each column, and how many cells the second one is further on. */
typedef struct form {
    int lines, taps, down, step, rows, columns;
    place place;
    int phases, shift;
} form;

#define ALWAYS static inline __attribute__((always_inline))

/* At most `count` floats, none from `end` on. */
static inline cn__v load_some(const float *from, int64_t count, const float *end)
{
    float some[CN__LANES] = {0};
    if (end - from >= CN__LANES)
        return cn__load(from);
    for (int64_t i = 0; i < count; i++)
        some[i] = from[i];
    return cn__load(some);
}

ALWAYS cn__v load_cell(const cn__depthwise *d, const form f, const float *line, int64_t cell,
                       int64_t c)
{
    if (f.place > inner && (cell < 0 || cell >= d->width))
        return (cn__v){0};
    const float *from = line + cell * d->cell + c;
    return f.place == narrow ? load_some(from, d->channels, d->in_end) : cn__load(from);
}

/* Where a tile stands: its first column, its vector of channels, and that place in a line of the
 * input and in a row of the output. */
typedef struct spot {
    int64_t m, c, in, out;
} spot;

ALWAYS spot at_column(const cn__depthwise *d, int64_t m, int64_t c)
{
    return (spot){m, c, (d->first + m * d->step) * d->cell + c, m * d->out_step + c};
}

ALWAYS void next_tile(const cn__depthwise *d, const form f, spot *at)
{
    at->m += f.columns;
    at->in += f.columns * d->step * d->cell;
    at->out += f.columns * d->out_step;
}

ALWAYS int cells_of(const form f)
{
    return (f.columns - 1) * f.step + f.taps + f.shift;
}

/* The cells that neighbouring taps of all columns meet, the first one at `from`. */
ALWAYS void load_inner(const cn__depthwise *d, const form f, const float *from, cn__v *x)
{
    CN__UNROLL
    for (int j = 0; j < cells_of(f); j++) {
        if (j % 4 == 0) {
            from += j > 0 ? 4 * d->cell : 0;
            CN__KEEP_POINTER(from);
        }
        x[j] = cn__load(from + j % 4 * d->cell);
        CN__KEEP(x[j]);
    }
}

ALWAYS void load_cells(const cn__depthwise *d, const form f, const float *line, const spot *at,
                       cn__v *x)
{
    if (f.place <= inner) {
        load_inner(d, f, line + at->in, x);
        return;
    }
    CN__UNROLL
    for (int j = 0; j < cells_of(f); j++) {
        x[j] = load_cell(d, f, line, d->first + at->m * d->step + j, at->c);
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

/* Where a square tile stands for one vector of channels: each line that it reads and row that it
 * writes has a pointer that stays in its register from vector to vector, and tile to tile. */
typedef struct stand {
    const float *line[most_lines];
    float *row[pitch];
    int64_t cell, left; /* the first cell; the columns from here to the end of the output */
} stand;

ALWAYS stand stand_at(const cn__depthwise *d, const form f, int64_t m)
{
    stand p = {.cell = d->first + m * d->step, .left = d->columns - m};
    for (int i = 0; i < lines_of(f); i++) {
        const float *line = line_of(d, f, i);
        p.line[i] = (line == NULL ? d->out[0] : line) + p.cell * d->cell;
    }
    for (int r = 0; r < f.rows; r++)
        p.row[r] = d->out[r < d->rows ? r : 0] + m * f.phases * d->out_step;
    return p;
}

ALWAYS void load_stand(const cn__depthwise *d, const form f, const stand *p, int i, cn__v *x)
{
    const float *from = p->line[i];
    if (f.place <= inner) {
        load_inner(d, f, from, x);
        return;
    }
    CN__UNROLL
    for (int j = 0; j < cells_of(f); j++) {
        bool inside = p->cell + j >= 0 && p->cell + j < d->width;
        x[j] = inside ? cn__load(from + j * d->cell) : (cn__v){0};
        CN__KEEP(x[j]);
    }
}

ALWAYS bool is_whole(const cn__depthwise *d, const form f)
{
    bool all = d->rows >= f.rows;
    for (int i = 0; i < lines_of(f); i++)
        all = all && line_of(d, f, i) != NULL;
    return all;
}

ALWAYS void move(const form f, stand *p, int64_t in, int64_t out)
{
    CN__UNROLL
    for (int i = 0; i < lines_of(f); i++)
        p->line[i] += in;
    CN__UNROLL
    for (int r = 0; r < f.rows; r++)
        p->row[r] += out;
}

/* The forms: lines, taps, down, step, rows, columns. The last one is for all the rest. */
#if CN__LANES == 16 || defined(__aarch64__)
#define FORMS(X)                                                                                   \
    X(1, 3, 1, 1, 1, 8)                                                                            \
    X(1, 5, 1, 1, 1, 8)                                                                            \
    X(1, 7, 1, 1, 1, 8)                                                                            \
    X(1, 9, 1, 1, 1, 6)                                                                            \
    X(2, 2, 1, 1, 4, 4)                                                                            \
    X(3, 3, 1, 1, 4, 2)                                                                            \
    X(3, 3, 1, 2, 4, 2)                                                                            \
    X(2, 2, 2, 2, 4, 2)                                                                            \
    X(3, 3, 2, 2, 4, 2)                                                                            \
    X(4, 4, 2, 2, 2, 1)                                                                            \
    X(0, 1, 0, 1, 4, 4)                                                                            \
    X(0, 2, 0, 1, 4, 4)                                                                            \
    X(0, 3, 0, 1, 4, 4)                                                                            \
    X(0, 5, 0, 1, 4, 4)                                                                            \
    X(0, 7, 0, 1, 4, 4)                                                                            \
    X(0, 5, 0, 2, 4, 4)                                                                            \
    X(0, 0, 0, 0, 4, 4)
#else
#define FORMS(X)                                                                                   \
    X(3, 3, 1, 1, 2, 2)                                                                            \
    X(3, 3, 2, 2, 2, 2)                                                                            \
    X(4, 4, 2, 2, 2, 2)                                                                            \
    X(0, 1, 0, 1, 4, 2)                                                                            \
    X(0, 2, 0, 1, 4, 2)                                                                            \
    X(0, 3, 0, 1, 4, 2)                                                                            \
    X(0, 5, 0, 1, 4, 2)                                                                            \
    X(0, 7, 0, 1, 4, 2)                                                                            \
    X(0, 3, 0, 2, 2, 2)                                                                            \
    X(0, 5, 0, 2, 2, 2)                                                                            \
    X(0, 0, 0, 0, 2, 4)
#endif

/* A file that includes this defines
 *     square(d, f, at, c, weights)
 * the square tile that stands there for the vector of channels that begins at c, and
 *     pass(d, f, first, end)
 * the other tiles from column `first` to `end`, for one vector of channels after the other;
 * DEFINE_PASS makes of them a function for each form and place. */
typedef void (*tiles)(const cn__depthwise *d, int64_t first, int64_t end);
typedef struct variant {
    form form;
    tiles inner, edge;
} variant;

ALWAYS void pass(const cn__depthwise *d, const form f, int64_t first, int64_t end);
ALWAYS void square(const cn__depthwise *d, const form f, stand *at, int64_t c, float *weights);

/* Square tiles: one for all vectors before the next, so that memory is read in its order. */
ALWAYS void run_squares(const cn__depthwise *d, const form f, int64_t first, int64_t end)
{
    stand p = stand_at(d, f, first);
    for (int64_t m = first; m < end; m += f.columns) {
        float *weights = d->weights;
        for (int64_t c = 0; c < d->channels; c += CN__LANES) {
            int64_t back = c + CN__LANES - d->channels;
            if (back > 0) {
                move(f, &p, -back, -back);
                c -= back;
            }
            square(d, f, &p, c, weights);
            move(f, &p, CN__LANES, CN__LANES);
            weights += f.lines * f.taps * CN__LANES;
            CN__KEEP_POINTER(weights);
        }
        move(f, &p, f.columns * d->step * d->cell - d->channels,
             f.columns * f.phases * d->out_step - d->channels);
        p.cell += f.columns * d->step;
        p.left -= f.columns;
    }
}

/* Of the other tiles, with few channels all for one vector before the next. */
ALWAYS void run_tiles(const cn__depthwise *d, const form f, int64_t first, int64_t end)
{
    const form all = {f.lines, f.taps, f.down, f.step, f.rows, f.columns, whole, f.phases, f.shift};
    if (f.lines > 0) {
        if (f.place == inner && is_whole(d, f))
            run_squares(d, all, first, end);
        else
            run_squares(d, f, first, end);
        return;
    }
    int64_t at_once = d->channels <= few_channels ? end - first : f.columns;
    for (int64_t m = first; m < end; m += at_once)
        pass(d, f, m, m + at_once);
}

#define DEFINE_TILES(name, ...)                                                                    \
    static void name(const cn__depthwise *d, int64_t first, int64_t end)                           \
    {                                                                                              \
        const cn__depthwise own = *d; /* stores cannot change it: it stays in registers */         \
        const form f = {__VA_ARGS__};                                                              \
        run_tiles(&own, f, first, end);                                                            \
    }
#define NAME(place, lines, taps, down, step) place##_##lines##_##taps##_##down##_##step
#define DEFINE_FORM(lines, taps, down, step, rows, columns)                                        \
    DEFINE_TILES(NAME(inner, lines, taps, down, step), lines, taps, down, step, rows, columns,     \
                 inner, 1, 0)                                                                      \
    DEFINE_TILES(NAME(edge, lines, taps, down, step), lines, taps, down, step, rows, columns,      \
                 edge, 1, 0)
#define VARIANT(lines, taps, down, step, rows, columns)                                            \
    {{lines, taps, down, step, rows, columns, inner, 1, 0},                                        \
     NAME(inner, lines, taps, down, step),                                                         \
     NAME(edge, lines, taps, down, step)},
/* The first one is for vectors that the channels do not fill. */
#define DEFINE_PASS                                                                                \
    FORMS(DEFINE_FORM)                                                                             \
    DEFINE_TILES(some_lanes, 0, 0, 0, 0, 4, 2, narrow, 1, 0)                                       \
    static const variant variants[] = {{{0, 0, 0, 0, 4, 2, narrow, 1, 0}, some_lanes, some_lanes}, \
                                       FORMS(VARIANT)};

static inline const variant *variant_of(const cn__depthwise *d, const variant *variants)
{
    if (d->channels < CN__LANES)
        return variants;
    for (const variant *v = variants + 1;; v++) {
        const form *f = &v->form;
        bool lines = f->lines == 0 || (f->lines == d->lines && f->down == d->square);
        bool taps = f->taps == 0 || (f->taps == d->taps && f->step == d->step && d->gap == 1);
        if (lines && taps)
            return v;
    }
}

/* A strip as high as a tile: tiles inside as long as they are, the others each by itself. */
static inline void run_strip(const cn__depthwise *d, const variant *v)
{
    int64_t columns = v->form.columns;
    int64_t reach = (columns - 1) * d->step + (d->taps - 1) * d->gap + d->shift;
    for (int64_t m = 0, end; m < d->columns; m = end) {
        int64_t first = d->first + m * d->step, more = (d->width - 1 - first - reach) / d->step;
        end = m + columns;
        if (first < 0 || first + reach >= d->width || end > d->columns) {
            v->edge(d, m, end);
            continue;
        }
        end += (more < d->columns - end ? more : d->columns - end) / columns * columns;
        v->inner(d, m, end);
    }
}

static inline void run_strips(const cn__depthwise *d, const variant *v)
{
    cn__depthwise strip = *d;
    for (int64_t r = 0; r < d->rows; r += v->form.rows) {
        strip.in = d->in + r;
        strip.out = d->out + r;
        strip.rows = d->rows - r;
        run_strip(&strip, v);
    }
}

#endif
