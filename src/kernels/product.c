/* The sums of products of the kernel gradients: rows x vectors accumulators that stay in registers
 * while the sum runs over pixels, which lie at constant steps, run by run. */
#include "kernels/simd.h"

static inline __attribute__((always_inline)) void
product_store(const cn__product *product, float *out, const int vectors, const cn__v *sum)
{
    if (product->columns == vectors * CN__LANES) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++) {
            float *to = out + v * CN__LANES;
            cn__store(to, product->accumulate ? cn__load(to) + sum[v] : sum[v]);
        }
        return;
    }
    CN__UNROLL
    for (int v = 0; v < vectors - 1; v++) {
        cn__store(out, product->accumulate ? cn__load(out) + sum[v] : sum[v]);
        out += CN__LANES;
    }
    float last[CN__LANES];
    cn__store(last, sum[vectors - 1]);
    for (int64_t n = 0; n < product->columns - (vectors - 1) * CN__LANES; n++)
        out[n] = product->accumulate ? out[n] + last[n] : last[n];
}

/* Adds the products of one pixel. */
static inline __attribute__((always_inline)) void product_add(const float *a, const float *b,
                                                              const int rows, const int vectors,
                                                              cn__v (*sum)[CN__MAX_VECTORS])
{
    cn__v y[CN__MAX_VECTORS];
    CN__UNROLL
    for (int v = 0; v < vectors; v++)
        y[v] = cn__load(b + v * CN__LANES);
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        cn__v x = cn__splat(a[r]);
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            sum[r][v] += x * y[v];
    }
}

/* A multiply-add waits four cycles for the one before: small tiles sum every other pixel apart. */
static inline __attribute__((always_inline)) void product_body(const cn__product *product,
                                                               const int rows, const int vectors)
{
    const int sets = rows * vectors <= 4 ? 2 : 1;
    const int64_t a_step = product->a_step, b_step = product->b_step;
    const char *ahead = product->ahead;
    cn__v sum[2][CN__MAX_ROWS][CN__MAX_VECTORS];
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            sum[0][r][v] = sum[1][r][v] = (cn__v){0};
    }
    for (int64_t i = 0; i < product->runs; i++) {
        const float *a = product->run[i].a + product->a_at, *b = product->run[i].b + product->b_at;
        int64_t p = product->run[i].pixels;
        for (; p >= sets; p -= sets, ahead += product->ahead_step) {
            __builtin_prefetch(ahead, 0, 2);
            CN__UNROLL
            for (int s = 0; s < sets; s++, a += a_step, b += b_step)
                product_add(a, b, rows, vectors, sum[s]);
        }
        if (sets > 1 && p > 0)
            product_add(a, b, rows, vectors, sum[0]);
    }
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors && sets > 1; v++)
            sum[0][r][v] += sum[1][r][v];
        product_store(product, product->out + r * product->stride, vectors, sum[0][r]);
    }
}

#define PRODUCT(vectors, rows)                                                                     \
    static void product_##vectors##x##rows(const cn__product *product)                             \
    {                                                                                              \
        product_body(product, rows, vectors);                                                      \
    }
#define PRODUCT_ROWS(vectors, rows) CN__UP_TO(rows, PRODUCT, vectors)
CN__PRODUCTS(PRODUCT_ROWS)

extern const cn__product_kernel CN__K(product)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
const cn__product_kernel CN__K(product)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1] = {
#define ENTRY(vectors, rows) [vectors][rows] = product_##vectors##x##rows,
#define ENTRIES(vectors, rows) CN__UP_TO(rows, ENTRY, vectors)
    CN__PRODUCTS(ENTRIES)};
