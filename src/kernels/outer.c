/* The outer product tile of the kernel gradients: rows x vectors accumulators that stay in
 * registers while the sum runs over pixels. */
#include "kernels/simd.h"

static inline __attribute__((always_inline)) void outer_store(const cn__outer *outer, float *out,
                                                              const int vectors, const cn__v *acc)
{
    if (outer->columns == vectors * CN__LANES) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++) {
            float *to = out + v * CN__LANES;
            cn__store(to, outer->accumulate ? cn__load(to) + acc[v] : acc[v]);
        }
        return;
    }
    float row[CN__MAX_VECTORS * CN__LANES] = {0};
    CN__UNROLL
    for (int v = 0; v < vectors; v++)
        cn__store(row + v * CN__LANES, acc[v]);
    for (int64_t n = 0; n < outer->columns; n++)
        out[n] = outer->accumulate ? out[n] + row[n] : row[n];
}

static inline __attribute__((always_inline)) void outer_body(const cn__outer *outer, const int rows,
                                                             const int vectors)
{
    cn__v acc[CN__MAX_ROWS][CN__MAX_VECTORS];
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = (cn__v){0};
    }
    /* Without anything to ask for, the same line again: cheaper than a condition in the loop. */
    const char *ahead = (const char *)(outer->ahead != NULL ? outer->ahead : outer->out);
    int64_t ahead_step = outer->ahead != NULL ? 64 : 0;
    for (int64_t p = 0; p < outer->pixels; p++) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
        const float *a = outer->a[p] + outer->a_at, *b = outer->b[p] + outer->b_at;
        cn__v y[CN__MAX_VECTORS];
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            y[v] = cn__load(b + v * CN__LANES);
        CN__UNROLL
        for (int r = 0; r < rows; r++) {
            cn__v x = cn__splat(a[r]);
            CN__UNROLL
            for (int v = 0; v < vectors; v++)
                acc[r][v] += x * y[v];
        }
    }
    CN__UNROLL
    for (int r = 0; r < rows; r++)
        outer_store(outer, outer->out + r * outer->stride, vectors, acc[r]);
}

#define OUTER(vectors, rows)                                                                       \
    static void outer_##vectors##x##rows(const cn__outer *outer)                                   \
    {                                                                                              \
        outer_body(outer, rows, vectors);                                                          \
    }
#define OUTER_ROWS(vectors, rows) CN__UP_TO(rows, OUTER, vectors)
CN__OUTERS(OUTER_ROWS)

extern const cn__outer_kernel CN__K(outer)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
const cn__outer_kernel CN__K(outer)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1] = {
#define ENTRY(vectors, rows) [vectors][rows] = outer_##vectors##x##rows,
#define ENTRIES(vectors, rows) CN__UP_TO(rows, ENTRY, vectors)
    CN__OUTERS(ENTRIES)};
