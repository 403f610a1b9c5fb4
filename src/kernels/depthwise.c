/* Depthwise convolution and its kernel gradient: every channel by itself, vectors along the
 * channels. A tile is some rows times some columns of positions, held in registers for one vector
 * of channels after the other. Each line of weights then goes through the rows: the cells it meets
 * there are loaded once and used for all of its taps and columns. */
#include <math.h>

#include "kernels/simd.h"

/* Positions of a tile. Accumulators, the cells of a line and a weight have to fit the registers. */
#if CN__LANES == 16 || defined(__aarch64__)
enum { tile_columns = 4 };
#else
enum { tile_columns = 2 };
#endif
enum { tile_rows = cn__depthwise_rows };

/* What a tile has to look at: nothing; whether cells lie inside; and whether vectors do. */
enum { inner, edge, narrow };

#define ALWAYS static inline __attribute__((always_inline))

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

ALWAYS cn__v load_cell(const cn__depthwise *d, const float *line, int64_t cell, int64_t c,
                       const int kind)
{
    if (kind != inner && (cell < 0 || cell >= d->width))
        return (cn__v){0};
    const float *from = line + cell * d->cell + c;
    return kind == narrow ? load_some(from, d->channels, d->in_end) : cn__load(from);
}

/* The cells that `taps` neighbouring taps of all columns meet. */
ALWAYS void load_cells(const cn__depthwise *d, const float *line, int64_t m, int64_t c,
                       const int cells, const int kind, cn__v *x)
{
    int64_t first = d->first + m * d->step;
    const float *from = line + first * d->cell + c;
    CN__UNROLL
    for (int j = 0; j < cells; j++, from += d->cell) {
        if (kind == inner) {
            CN__KEEP_POINTER(from);
            x[j] = cn__load(from);
        } else {
            x[j] = load_cell(d, line, first + j, c, kind);
        }
        CN__KEEP(x[j]);
    }
}

/* One line of weights for one row. If `taps` is 0 taps and step are any. */
ALWAYS void add_line(const cn__depthwise *d, const float *line, const float *w, int64_t m,
                     int64_t c, const int taps, const int step, const int kind, cn__v *acc)
{
    cn__v x[32];
    if (taps > 0) {
        load_cells(d, line, m, c, (tile_columns - 1) * step + taps, kind, x);
        CN__UNROLL
        for (int t = 0; t < taps; t++) {
            cn__v weight = cn__load(w + t * CN__LANES);
            CN__KEEP(weight);
            CN__UNROLL
            for (int p = 0; p < tile_columns; p++)
                acc[p] += x[p * step + t] * weight;
        }
        return;
    }
    for (int64_t t = 0; t < d->taps; t++) {
        cn__v weight = cn__load(w + t * CN__LANES);
        CN__UNROLL
        for (int p = 0; p < tile_columns; p++) {
            int64_t cell = d->first + (m + p) * d->step + t * d->gap;
            acc[p] += load_cell(d, line, cell, c, kind) * weight;
        }
    }
}

ALWAYS void clamp(const cn__depthwise *d, cn__v acc[tile_rows][tile_columns])
{
    cn__v low = cn__splat(d->low), high = cn__splat(d->high);
    CN__UNROLL
    for (int i = 0; i < tile_rows * tile_columns; i++) {
        cn__v x = acc[i / tile_columns][i % tile_columns];
        x = cn__select(x < low, low, x);
        acc[i / tile_columns][i % tile_columns] = cn__select(x > high, high, x);
    }
}

ALWAYS void store_row(const cn__depthwise *d, float *out, int64_t columns, const cn__v *acc,
                      const int kind)
{
    CN__UNROLL
    for (int p = 0; p < tile_columns; p++) {
        cn__v x = acc[p];
        if (kind == inner)
            cn__store(out + p * d->out_step, x);
        else if (p < columns && kind == edge)
            cn__store(out + p * d->out_step, x);
        else if (p < columns)
            store_some(out + p * d->out_step, x, d->channels);
    }
}

/* Where the v-th vector of channels begins. */
ALWAYS int64_t vector_channel(const cn__depthwise *d, int64_t v, const int kind)
{
    int64_t last = kind == narrow ? 0 : d->channels - CN__LANES;
    return v * CN__LANES < last ? v * CN__LANES : last;
}

/* The positions from column m on. */
ALWAYS void forward_tile(const cn__depthwise *d, int64_t m, const int taps, const int step,
                         const int kind)
{
    int64_t vectors = (d->channels + CN__LANES - 1) / CN__LANES;
    const float *w = d->weights;
    for (int64_t v = 0; v < vectors; v++) {
        int64_t c = vector_channel(d, v, kind);
        cn__v acc[tile_rows][tile_columns], first = {0};
        if (d->start != NULL)
            first = kind == narrow ? load_some(d->start, d->channels, d->start + d->channels)
                                   : cn__load(d->start + c);
        CN__UNROLL
        for (int i = 0; i < tile_rows * tile_columns; i++)
            acc[i / tile_columns][i % tile_columns] = first;
        for (int64_t l = 0; l < d->lines; l++, w += d->taps * CN__LANES) {
            CN__UNROLL
            for (int r = 0; r < tile_rows; r++)
                if (d->in[l * tile_rows + r] != NULL)
                    add_line(d, d->in[l * tile_rows + r], w, m, c, taps, step, kind, acc[r]);
        }
        if (d->low > -INFINITY || d->high < INFINITY)
            clamp(d, acc);
        CN__UNROLL
        for (int r = 0; r < tile_rows; r++)
            if (r < d->rows)
                store_row(d, d->out[r] + m * d->out_step + c, d->columns - m, acc[r], kind);
    }
}

ALWAYS void load_gradient(const cn__depthwise *d, int64_t m, int64_t c, const int kind,
                          cn__v g[tile_rows][tile_columns])
{
    CN__UNROLL
    for (int r = 0; r < tile_rows; r++) {
        CN__UNROLL
        for (int p = 0; p < tile_columns; p++) {
            g[r][p] = (cn__v){0};
            if (r >= d->rows || (kind != inner && m + p >= d->columns))
                continue;
            const float *from = d->out[r] + (m + p) * d->out_step + c;
            g[r][p] =
                kind == narrow ? load_some(from, d->channels, from + d->channels) : cn__load(from);
            CN__KEEP(g[r][p]);
        }
    }
}

/* Adds one line of weights' sums over the tile. */
ALWAYS void gradient_line(const cn__depthwise *d, const float *const *lines, float *w, int64_t m,
                          int64_t c, const int taps, const int step, const int kind,
                          cn__v g[tile_rows][tile_columns])
{
    cn__v x[32], sum[8];
    CN__UNROLL
    for (int t = 0; t < taps; t++)
        sum[t] = cn__load(w + t * CN__LANES);
    CN__UNROLL
    for (int r = 0; r < tile_rows; r++) {
        if (lines[r] == NULL)
            continue;
        load_cells(d, lines[r], m, c, (tile_columns - 1) * step + taps, kind, x);
        CN__UNROLL
        for (int p = 0; p < tile_columns; p++) {
            CN__UNROLL
            for (int t = 0; t < taps; t++)
                sum[t] += x[p * step + t] * g[r][p];
        }
    }
    CN__UNROLL
    for (int t = 0; t < taps; t++)
        cn__store(w + t * CN__LANES, sum[t]);
}

/* The same for any taps and step. */
ALWAYS void gradient_taps(const cn__depthwise *d, const float *const *lines, float *w, int64_t m,
                          int64_t c, const int kind, cn__v g[tile_rows][tile_columns])
{
    for (int64_t t = 0; t < d->taps; t++, w += CN__LANES) {
        cn__v sum[tile_columns] = {cn__load(w)};
        CN__UNROLL
        for (int r = 0; r < tile_rows; r++) {
            if (lines[r] == NULL)
                continue;
            CN__UNROLL
            for (int p = 0; p < tile_columns; p++) {
                int64_t cell = d->first + (m + p) * d->step + t * d->gap;
                sum[p] += load_cell(d, lines[r], cell, c, kind) * g[r][p];
            }
        }
        CN__UNROLL
        for (int p = 1; p < tile_columns; p++)
            sum[0] += sum[p];
        cn__store(w, sum[0]);
    }
}

ALWAYS void gradient_tile(const cn__depthwise *d, int64_t m, const int taps, const int step,
                          const int kind)
{
    int64_t vectors = (d->channels + CN__LANES - 1) / CN__LANES;
    float *w = d->weights;
    for (int64_t v = 0; v < vectors; v++) {
        int64_t c = vector_channel(d, v, kind);
        cn__v g[tile_rows][tile_columns];
        load_gradient(d, m, c, kind, g);
        for (int64_t l = 0; l < d->lines; l++, w += d->taps * CN__LANES) {
            if (taps > 0)
                gradient_line(d, d->in + l * tile_rows, w, m, c, taps, step, kind, g);
            else
                gradient_taps(d, d->in + l * tile_rows, w, m, c, kind, g);
        }
    }
}

/* The taps and steps with kernels of their own, the last one is for all others. */
#define SHAPES(X) X(2, 1) X(3, 1) X(5, 1) X(7, 1) X(3, 2) X(5, 2) X(0, 0)

typedef void (*tile_function)(const cn__depthwise *d, int64_t m);
typedef struct shape {
    int taps, step;
    tile_function forward[2], gradient[2]; /* inside, at an edge */
} shape;

#define DEFINE_TILE(pass, taps, step, kind)                                                        \
    static void pass##_##taps##_##step##_##kind(const cn__depthwise *d, int64_t m)                 \
    {                                                                                              \
        const cn__depthwise own = *d; /* stores cannot change it: it stays in registers */         \
        pass##_tile(&own, m, taps, step, kind);                                                    \
    }
#define DEFINE_SHAPE(taps, step)                                                                   \
    DEFINE_TILE(forward, taps, step, inner)                                                        \
    DEFINE_TILE(forward, taps, step, edge)                                                         \
    DEFINE_TILE(gradient, taps, step, inner)                                                       \
    DEFINE_TILE(gradient, taps, step, edge)
SHAPES(DEFINE_SHAPE)
DEFINE_TILE(forward, 0, 0, narrow)
DEFINE_TILE(gradient, 0, 0, narrow)

#define SHAPE(taps, step)                                                                          \
    {taps,                                                                                         \
     step,                                                                                         \
     {forward_##taps##_##step##_inner, forward_##taps##_##step##_edge},                            \
     {gradient_##taps##_##step##_inner, gradient_##taps##_##step##_edge}},
static const shape shapes[] = {SHAPES(SHAPE)};

static const shape *shape_of(const cn__depthwise *d)
{
    static const shape some = {
        0, 0, {forward_0_0_narrow, forward_0_0_narrow}, {gradient_0_0_narrow, gradient_0_0_narrow}};
    const shape *s = shapes;
    if (d->channels < CN__LANES)
        return &some;
    while (s->taps > 0 && (s->taps != d->taps || s->step != d->step || d->gap != 1))
        s++;
    return s;
}

static void all_tiles(const cn__depthwise *d, const tile_function *tile)
{
    for (int64_t m = 0; m < d->columns; m += tile_columns) {
        int64_t first = d->first + m * d->step;
        int64_t last = first + (tile_columns - 1) * d->step + (d->taps - 1) * d->gap;
        bool inside = m + tile_columns <= d->columns && first >= 0 && last < d->width;
        tile[inside ? inner : edge](d, m);
    }
}

void CN__K(depthwise)(const cn__depthwise *depthwise);
void CN__K(depthwise)(const cn__depthwise *depthwise)
{
    all_tiles(depthwise, shape_of(depthwise)->forward);
}

void CN__K(depthwise_gradient)(const cn__depthwise *depthwise);
void CN__K(depthwise_gradient)(const cn__depthwise *depthwise)
{
    all_tiles(depthwise, shape_of(depthwise)->gradient);
}
