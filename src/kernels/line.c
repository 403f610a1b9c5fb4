/* The line kernel: the tile for pixels that stand in a row, each a constant step after the last, in
 * the input as in the output. So a tile needs one pointer for each tap and not one for each pixel
 * too, and a run of tiles is one call. */
#include <math.h>

#include "kernels/simd.h"

/* Rows that are read through one pointer and small multiples of the step: with a multiple for every
 * row, or a pointer, the general registers would not do. */
enum { apart = 4, most_bases = (CN__MAX_ROWS + apart - 1) / apart };

/* Forgets how a pointer was computed, so that the compiler keeps it in a register of its own. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

typedef struct accumulators {
    cn__v of[CN__MAX_ROWS][CN__MAX_VECTORS];
} accumulators;

/* Adds one tap: `from` is the first row's input. */
static inline __attribute__((always_inline)) void add_tap(const float *from, int64_t step,
                                                          int64_t depth, const float *w,
                                                          const int rows, const int vectors,
                                                          accumulators *acc)
{
    const int bases = (rows + apart - 1) / apart;
    const float *in[most_bases];
    in[0] = from;
    CN__UNROLL
    for (int b = 1; b < bases; b++) {
        in[b] = in[b - 1] + apart * step;
        FORGET(in[b]);
    }
    for (const float *end = from + depth; in[0] < end; w += vectors * CN__LANES) {
        cn__v weight[CN__MAX_VECTORS];
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            weight[v] = cn__load(w + v * CN__LANES);
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            cn__v x = cn__splat(in[r / apart][r % apart * step]);
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc->of[r][v] += x * weight[v];
        }
        CN__UNROLL
        for (int b = 0; b < bases; b++)
            in[b]++;
    }
}

static inline __attribute__((always_inline)) void clamp(const cn__line *line, const int rows,
                                                        const int vectors, accumulators *acc)
{
    cn__v low = cn__splat(line->low), high = cn__splat(line->high);
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            acc->of[r][v] = cn__clamped(acc->of[r][v], low, high);
    }
}

/* `last` is how many values of the last vector there are. */
static inline __attribute__((always_inline)) void store(float *out, int64_t step, int64_t last,
                                                        const int rows, const int vectors,
                                                        const accumulators *acc)
{
    CN__UNROLL
    for (int r = 0; r < rows; r++, out += step) {
        FORGET(out);
        CN__UNROLL
        for (int v = 0; v < vectors - 1; v++)
            cn__store(out + v * CN__LANES, acc->of[r][v]);
        cn__store_first(out + (vectors - 1) * CN__LANES, acc->of[r][vectors - 1], last);
    }
}

/* Asks for the output of the tile after the next. */
static inline __attribute__((always_inline)) void own_ahead(const float *out, int64_t step,
                                                            const int rows, const int vectors)
{
    out += 2 * rows * step;
    CN__UNROLL
    for (int r = 0; r < rows; r++, out += step) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            __builtin_prefetch(out + v * CN__LANES, 1, 2);
    }
}

static inline __attribute__((always_inline)) void line_body(const cn__line *line, int64_t tiles,
                                                            const int rows, const int vectors)
{
    float *out = line->out;
    int64_t in = line->in_at, last = line->columns - (vectors - 1) * CN__LANES;
    int64_t tap = line->depth * vectors * CN__LANES;
    for (; tiles > 0; tiles--, in += rows * line->in_step, out += rows * line->out_step) {
        accumulators acc;
        if (line->far)
            own_ahead(out, line->out_step, rows, vectors);
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            const float *start = line->start;
            FORGET(start);
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc.of[r][v] = cn__load(start + v * CN__LANES);
        }
        for (int64_t t = 0; t < line->taps; t++)
            add_tap(line->in[t] + in, line->in_step, line->depth,
                    line->weights + line->which[t] * tap, rows, vectors, &acc);
        if (line->low > -INFINITY || line->high < INFINITY)
            clamp(line, rows, vectors, &acc);
        store(out, line->out_step, last, rows, vectors, &acc);
    }
}

#define LINE(vectors, rows)                                                                        \
    static void line_##vectors##x##rows(const cn__line *line, int64_t tiles)                       \
    {                                                                                              \
        line_body(line, tiles, rows, vectors);                                                     \
    }
#define LINES(vectors, rows) CN__UP_TO(rows, LINE, vectors)
CN__TILES(LINES)

extern const cn__line_kernel CN__K(line)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
const cn__line_kernel CN__K(line)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1] = {
#define ENTRY(vectors, rows) [vectors][rows] = line_##vectors##x##rows,
#define ENTRIES(vectors, rows) CN__UP_TO(rows, ENTRY, vectors)
    CN__TILES(ENTRIES)};
