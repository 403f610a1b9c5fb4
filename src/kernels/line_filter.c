/* The line kernel with minimal filtering along the line: the sums at the six points of a few tiles
 * stay in registers, from which the outputs go straight to their places. So of all that is
 * transformed only the input, which has few channels, is ever stored. */
#include <math.h>

#include "kernels/winograd.h"

enum { points = cn__filter_points, pixels_of = cn__filter_pixels, most_tiles = 4 };

typedef struct sums {
    cn__v at[most_tiles][CN__MAX_VECTORS][points];
} sums;

/* Adds one tap: the first tile's points are at `from`. */
INLINE void add_tap(const float *from, int64_t step, const float *w, const int tiles,
                    const int vectors, sums *s)
{
    const float *in[most_tiles];
    CN__UNROLL
    for (int t = 0; t < tiles; t++) {
        in[t] = t == 0 ? from : in[t - 1] + step;
        CN__KEEP_POINTER(in[t]);
    }
    CN__UNROLL
    for (int p = 0; p < points; p++) {
        cn__v weight[CN__MAX_VECTORS];
        CN__UNROLL
        for (int v = 0; v < vectors; v++) {
            weight[v] = cn__load(w + (p * vectors + v) * CN__LANES);
            CN__KEEP(weight[v]);
        }
        CN__UNROLL
        for (int t = 0; t < tiles; t++) {
            cn__v x = cn__splat(in[t][p * cn__filter_row]);
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                s->at[t][v][p] += x * weight[v];
        }
    }
}

/* Turns the sums of a tile into its outputs, which take the places of the first four. */
INLINE void finish(const float *start, const int tile, const int vectors, sums *s)
{
    CN__UNROLL
    for (int v = 0; v < vectors; v++) {
        cn__v y[points], bias = cn__load(start + v * CN__LANES);
        output_line(points, cn__filter_taps, s->at[tile][v], y);
        CN__UNROLL
        for (int i = 0; i < pixels_of; i++)
            s->at[tile][v][i] = y[i] + bias;
    }
}

INLINE void clamp(const cn__line *line, const int tile, const int vectors, sums *s)
{
    cn__v low = cn__splat(line->low), high = cn__splat(line->high);
    CN__UNROLL
    for (int v = 0; v < vectors; v++) {
        CN__UNROLL
        for (int i = 0; i < pixels_of; i++)
            s->at[tile][v][i] = cn__clamped(s->at[tile][v][i], low, high);
    }
}

/* `last` is how many values of the last vector there are. */
INLINE void store_pixel(float *out, const int pixel, int64_t last, const int vectors, const sums *s)
{
    const int tile = pixel / pixels_of, i = pixel % pixels_of;
    CN__UNROLL
    for (int v = 0; v < vectors - 1; v++)
        cn__store(out + v * CN__LANES, s->at[tile][v][i]);
    cn__store_first(out + (vectors - 1) * CN__LANES, s->at[tile][vectors - 1][i], last);
}

/* The first `pixels` of all tiles. */
INLINE void store(const cn__line *line, float *out, int64_t pixels, const int tiles,
                  const int vectors, const sums *s)
{
    const int64_t step = line->out_step, last = line->columns - (vectors - 1) * CN__LANES;
    CN__UNROLL
    for (int i = 0; i < tiles * pixels_of; i++, out += step) {
        CN__KEEP_POINTER(out);
        if (i < pixels)
            store_pixel(out, i, last, vectors, s);
    }
}

/* Asks for the outputs of the group after the next. */
INLINE void own_ahead(const float *out, int64_t step, const int tiles, const int vectors)
{
    const int pixels = tiles * pixels_of;
    out += 2 * pixels * step;
    CN__UNROLL
    for (int i = 0; i < pixels; i++, out += step) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            __builtin_prefetch(out + v * CN__LANES, 1, 2);
    }
}

INLINE void clear(const int tile, const int vectors, sums *s)
{
    CN__UNROLL
    for (int v = 0; v < vectors; v++) {
        CN__UNROLL
        for (int p = 0; p < points; p++)
            s->at[tile][v][p] = cn__splat(0);
    }
}

/* The outputs of `tiles` tiles, whose first point of the first tap is `in` floats on. */
INLINE void group(const cn__line *line, int64_t in, float *out, int64_t pixels, const int tiles,
                  const int vectors)
{
    enum { most = most_tiles * pixels_of };
    sums s;
    if (line->far)
        own_ahead(out, line->out_step, tiles, vectors);
    CN__UNROLL
    for (int t = 0; t < tiles; t++)
        clear(t, vectors, &s);
    const float *w = line->weights, *const *tap = line->in, *const *end = tap + line->taps;
    for (; tap < end; tap++, w += points * vectors * CN__LANES) {
        CN__KEEP_POINTER(w);
        add_tap(*tap + in, line->in_step, w, tiles, vectors, &s);
    }
    CN__UNROLL
    for (int t = 0; t < tiles; t++)
        finish(line->start, t, vectors, &s);
    if (line->low > -INFINITY || line->high < INFINITY) {
        CN__UNROLL
        for (int t = 0; t < tiles; t++)
            clamp(line, t, vectors, &s);
    }
    if (pixels >= tiles * pixels_of)
        store(line, out, most, tiles, vectors, &s);
    else
        store(line, out, pixels, tiles, vectors, &s);
}

/* As many pixels of those from `first` on as are in whole groups of `tiles` tiles, of which the
 * last may be there in part. Returns the first that is left. */
INLINE int64_t groups(const cn__line *line, int64_t first, int64_t pixels, const int tiles,
                      const int vectors)
{
    float *out = line->out + first * line->out_step;
    int64_t in = first / pixels_of * line->in_step;
    while (pixels - first > (tiles - 1) * pixels_of) {
        group(line, in, out, pixels - first, tiles, vectors);
        first += tiles * pixels_of;
        out += tiles * pixels_of * line->out_step;
        in += tiles * line->in_step;
    }
    return first;
}

#define FILTER(vectors, tiles)                                                                     \
    static void filter_##vectors(const cn__line *line, int64_t pixels)                             \
    {                                                                                              \
        int64_t first = groups(line, 0, pixels, tiles, vectors);                                   \
        if ((tiles) > 2)                                                                           \
            first = groups(line, first, pixels, 2, vectors);                                       \
        groups(line, first, pixels, 1, vectors);                                                   \
    }
CN__FILTERS(FILTER)

extern const cn__line_filter_kernel CN__K(line_filter)[CN__MAX_VECTORS + 1];
const cn__line_filter_kernel CN__K(line_filter)[CN__MAX_VECTORS + 1] = {
#define ENTRY(vectors, tiles) [vectors] = filter_##vectors,
    CN__FILTERS(ENTRY)};
