/* The tile, outer product and depthwise kernels: every entry of every instruction set the processor
 * has, at every number of columns, against sums in double; nothing may be written beside the
 * output.
 *
 * Error bound: a float sum of n products differs from the exact one by at most n * 2^-24 times the
 * sum of their magnitudes; the sums here have at most 80 terms, and 1e-5 of the magnitudes is
 * allowed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"

enum { widest = CN__MAX_VECTORS * 16, pitch = widest + 8 };

typedef void (*entry_check)(const cn__kernels *k, int vectors, int rows);

/* Calls `check` for all rows of all widths of all instruction sets. */
static void for_entries(entry_check check, bool outer)
{
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int t = 0; t < count; t++)
        for (int v = 1; v <= CN__MAX_VECTORS; v++) {
            int most = outer ? tables[t]->outer_rows[v] : tables[t]->rows[v];
            for (int r = 1; r <= most; r++)
                for (int again = 0; again < 6; again++)
                    check(tables[t], v, r);
        }
}

static void fill_out(float *out, float *before)
{
    for (int i = 0; i < CN__MAX_ROWS * pitch; i++)
        out[i] = before[i] = (float)test_int(-5, 5);
}

/* Compares the first `columns` of every row with `exact`, and the rest with what was there. */
static void assert_rows(const cn__kernels *k, const char *what, int vectors, int rows,
                        int64_t columns, const float *out, const float *before, const double *exact,
                        const double *magnitude)
{
    for (int r = 0; r < CN__MAX_ROWS; r++)
        for (int64_t n = 0; n < pitch; n++) {
            int64_t i = r * pitch + n;
            bool inside = r < rows && n < columns;
            double error = inside ? fabs((double)out[i] - exact[i]) : 0;
            if (inside ? !(error <= 1e-5 * magnitude[i] + 1e-6) : out[i] != before[i])
                fail_msg("%s %s %dx%d, %lld columns: row %d column %lld is %g", k->name, what,
                         vectors, rows, (long long)columns, r, (long long)n, (double)out[i]);
        }
}

static void check_tile(const cn__kernels *k, int vectors, int rows)
{
    int64_t width = vectors * k->lanes, columns = test_int(1, width);
    int64_t taps = test_int(0, 5), depth = test_int(1, 16);
    bool starts = test_int(0, 2) != 0, clamps = test_int(0, 1);
    float *in = test_floats(4096), *weights = cn__alloc((size_t)(taps * depth * width + 1) * 4);
    const float *pointers[5 * CN__MAX_ROWS];
    _Alignas(64) float bias[widest];
    static float out[CN__MAX_ROWS * pitch], before[CN__MAX_ROWS * pitch];
    static double exact[CN__MAX_ROWS * pitch], magnitude[CN__MAX_ROWS * pitch];
    float *outs[CN__MAX_ROWS];
    for (int64_t i = 0; i < taps * depth * width; i++)
        weights[i] = (float)test_int(-100, 100) / 64;
    for (int i = 0; i < widest; i++)
        bias[i] = (float)test_int(-100, 100) / 64;
    for (int64_t i = 0; i < taps * rows; i++)
        pointers[i] = in + test_int(0, 4000);
    fill_out(out, before);
    for (int r = 0; r < rows; r++)
        outs[r] = out + r * pitch;
    cn__tile tile = {.taps = taps,
                     .depth = depth,
                     .in = pointers,
                     .weights = weights,
                     .weights_tap = depth * width,
                     .start = starts ? bias : NULL,
                     .out = outs,
                     .columns = columns,
                     .low = clamps ? -1 : -INFINITY,
                     .high = clamps ? 2 : INFINITY};
    k->tile[vectors][rows](&tile);
    for (int r = 0; r < rows; r++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = (double)(starts ? bias[n] : before[r * pitch + n]), size = fabs(sum);
            for (int64_t t = 0; t < taps; t++)
                for (int64_t d = 0; d < depth; d++) {
                    double product = (double)pointers[t * rows + r][d] *
                                     (double)weights[(t * depth + d) * width + n];
                    sum += product;
                    size += fabs(product);
                }
            exact[r * pitch + n] = clamps ? fmin(fmax(sum, -1), 2) : sum;
            magnitude[r * pitch + n] = size;
        }
    assert_rows(k, "tile", vectors, rows, columns, out, before, exact, magnitude);
    free(in);
    cn__free(weights);
}

static void check_outer(const cn__kernels *k, int vectors, int rows)
{
    int64_t width = vectors * k->lanes, columns = test_int(1, width), pixels = test_int(0, 80);
    float *values = test_floats(4096);
    const float *a[80], *b[80];
    static float out[CN__MAX_ROWS * pitch], before[CN__MAX_ROWS * pitch];
    static double exact[CN__MAX_ROWS * pitch], magnitude[CN__MAX_ROWS * pitch];
    bool accumulate = test_int(0, 1);
    int64_t a_at = test_int(0, 20), b_at = test_int(0, 20);
    for (int64_t p = 0; p < pixels; p++) {
        a[p] = values + test_int(0, 3980);
        b[p] = values + test_int(0, 3980);
    }
    fill_out(out, before);
    k->outer[vectors][rows](&(cn__outer){.pixels = pixels,
                                         .a = a,
                                         .b = b,
                                         .a_at = a_at,
                                         .b_at = b_at,
                                         .out = out,
                                         .stride = pitch,
                                         .columns = columns,
                                         .accumulate = accumulate});
    for (int r = 0; r < rows; r++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = accumulate ? (double)before[r * pitch + n] : 0, size = fabs(sum);
            for (int64_t p = 0; p < pixels; p++) {
                double product = (double)a[p][a_at + r] * (double)b[p][b_at + n];
                sum += product;
                size += fabs(product);
            }
            exact[r * pitch + n] = sum;
            magnitude[r * pitch + n] = size;
        }
    assert_rows(k, "outer", vectors, rows, columns, out, before, exact, magnitude);
    free(values);
}

/* Nothing but the transposed values may be written. */
static void check_transpose(const cn__kernels *k, int64_t rows, int64_t columns)
{
    enum { most = 48 };
    int64_t in_step = columns + test_int(0, 3), out_step = rows + test_int(0, 3);
    float *in = test_floats(most * most), *out = test_floats(most * most);
    float *before = test_floats(most * most);
    memcpy(before, out, most * most * sizeof *out);
    k->transpose(rows, columns, in, in_step, out, out_step);
    for (int64_t i = 0; i < most * most; i++) {
        int64_t row = i % out_step, column = i / out_step;
        bool inside = row < rows && column < columns;
        if (out[i] != (inside ? in[row * in_step + column] : before[i]))
            fail_msg("%s transpose %lldx%lld: element %lld is %g", k->name, (long long)rows,
                     (long long)columns, (long long)i, (double)out[i]);
    }
    free(in);
    free(out);
    free(before);
}

static void test_transpose(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int t = 0; t < count; t++)
        for (int64_t rows = 1; rows <= 40; rows += test_int(1, 3))
            for (int64_t columns = 1; columns <= 40; columns += test_int(1, 3))
                check_transpose(tables[t], rows, columns);
}

static void test_tiles(void **state)
{
    (void)state;
    for_entries(check_tile, false);
}

static void test_outers(void **state)
{
    (void)state;
    for_entries(check_outer, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiles), cmocka_unit_test(test_outers),
                                       cmocka_unit_test(test_transpose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
