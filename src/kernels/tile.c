/* The tile: rows x vectors accumulators that stay in registers while the sum runs over taps and
 * channels. One inline body, instantiated for every constant number of rows and vectors. */
#include <math.h>

#include "kernels/simd.h"

typedef struct accumulators {
    cn__v of[CN__MAX_ROWS][CN__MAX_VECTORS];
} accumulators;

static inline __attribute__((always_inline)) void start(const cn__tile *tile, const int rows,
                                                        const int vectors, accumulators *acc)
{
    if (tile->start != NULL) {
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc->of[r][v] = cn__load(tile->start + v * CN__LANES);
        }
    } else if (tile->columns == vectors * CN__LANES) {
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc->of[r][v] = cn__load(tile->out[r] + v * CN__LANES);
        }
    } else {
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            float row[CN__MAX_VECTORS * CN__LANES] = {0};
            for (int64_t n = 0; n < tile->columns; n++)
                row[n] = tile->out[r][n];
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc->of[r][v] = cn__load(row + v * CN__LANES);
        }
    }
}

static inline __attribute__((always_inline)) void clamp(const cn__tile *tile, const int rows,
                                                        const int vectors, accumulators *acc)
{
    cn__v low = cn__splat(tile->low), high = cn__splat(tile->high);
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            acc->of[r][v] = cn__clamped(acc->of[r][v], low, high);
    }
}

static inline __attribute__((always_inline)) void store(const cn__tile *tile, const int rows,
                                                        const int vectors, const accumulators *acc)
{
    if (tile->columns == vectors * CN__LANES) {
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                cn__store(tile->out[r] + v * CN__LANES, acc->of[r][v]);
        }
    } else {
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            float row[CN__MAX_VECTORS * CN__LANES] = {0};
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                cn__store(row + v * CN__LANES, acc->of[r][v]);
            for (int64_t n = 0; n < tile->columns; n++)
                tile->out[r][n] = row[n];
        }
    }
}

static inline __attribute__((always_inline)) void tile_body(const cn__tile *tile, const int rows,
                                                            const int vectors)
{
    accumulators acc;
    start(tile, rows, vectors, &acc);
    int64_t depth = tile->depth;
    /* Without anything to ask for, the same line again: cheaper than a condition in the loop. */
    const char *ahead = (const char *)(tile->ahead != NULL ? tile->ahead : tile->weights);
    int64_t ahead_step = tile->ahead != NULL || tile->next != NULL ? 64 : 0;
    for (int64_t t = 0; t < tile->taps; t++) {
        const float *in[CN__MAX_ROWS];
        CN__UNROLL
        for (int r = 0; r < rows; r++)
            in[r] = tile->in[t * rows + r];
        if (tile->next != NULL)
            ahead = (const char *)tile->next[t * rows];
        const float *w = tile->weights + t * tile->weights_tap;
        for (int64_t k = 0; k < depth; k++, w += vectors * CN__LANES) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += ahead_step;
            cn__v weight[CN__MAX_VECTORS];
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                weight[v] = cn__load(w + v * CN__LANES);
            CN__UNROLL
            for (int r = 0; r < rows; r++) {
                cn__v x = cn__splat(in[r][k]);
                CN__UNROLL
                for (int v = 0; v < vectors; v++)
                    acc.of[r][v] += x * weight[v];
            }
        }
    }
    if (tile->low > -INFINITY || tile->high < INFINITY)
        clamp(tile, rows, vectors, &acc);
    store(tile, rows, vectors, &acc);
}

#define TILE(vectors, rows)                                                                        \
    static void tile_##vectors##x##rows(const cn__tile *tile)                                      \
    {                                                                                              \
        tile_body(tile, rows, vectors);                                                            \
    }
#define TILES(vectors, rows) CN__UP_TO(rows, TILE, vectors)
CN__TILES(TILES)

extern const cn__tile_kernel CN__K(tile)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
const cn__tile_kernel CN__K(tile)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1] = {
#define ENTRY(vectors, rows) [vectors][rows] = tile_##vectors##x##rows,
#define ENTRIES(vectors, rows) CN__UP_TO(rows, ENTRY, vectors)
    CN__TILES(ENTRIES)};
