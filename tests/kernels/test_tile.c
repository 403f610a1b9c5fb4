/* The tile, line, product and depthwise kernels: every entry of every instruction set the
 * processor has, at every number of columns, against sums in double; nothing may be written beside
 * the output.
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

/* Calls `check` for all rows of all widths of all instruction sets; `rows` is where the table tells
 * the most rows. */
static void for_entries(entry_check check, size_t rows)
{
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int t = 0; t < count; t++)
        for (int v = 1; v <= CN__MAX_VECTORS; v++) {
            int most[CN__MAX_VECTORS + 1];
            memcpy(most, (const char *)tables[t] + rows, sizeof most);
            for (int r = 1; r <= most[v]; r++)
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

/* One or two tiles, some of the kernel's taps. */
static void check_line(const cn__kernels *k, int vectors, int rows)
{
    enum { all_taps = 5 };
    int64_t width = vectors * k->lanes, columns = width - test_int(0, k->lanes - 1);
    int64_t taps = test_int(0, all_taps), depth = test_int(1, 16), step = test_int(1, 40);
    int tiles = (int)test_int(1, 2 * rows <= CN__MAX_ROWS ? 2 : 1);
    bool clamps = test_int(0, 1);
    float *in = test_floats(4096), *weights = cn__alloc((size_t)(all_taps * depth * width) * 4);
    const float *pointers[all_taps];
    int64_t which[all_taps];
    _Alignas(64) float bias[widest];
    static float out[CN__MAX_ROWS * pitch], before[CN__MAX_ROWS * pitch];
    static double exact[CN__MAX_ROWS * pitch], magnitude[CN__MAX_ROWS * pitch];
    for (int64_t i = 0; i < all_taps * depth * width; i++)
        weights[i] = (float)test_int(-100, 100) / 64;
    for (int i = 0; i < widest; i++)
        bias[i] = (float)test_int(-100, 100) / 64;
    for (int64_t t = 0; t < taps; t++) {
        pointers[t] = in + test_int(0, 2000);
        which[t] = test_int(0, all_taps - 1);
    }
    fill_out(out, before);
    cn__line line = {.taps = taps,
                     .depth = depth,
                     .in = pointers,
                     .which = which,
                     .in_at = test_int(0, 200),
                     .in_step = step,
                     .weights = weights,
                     .start = bias,
                     .out = out,
                     .out_step = pitch,
                     .columns = columns,
                     .low = clamps ? -1 : -INFINITY,
                     .high = clamps ? 2 : INFINITY};
    k->line[vectors][rows](&line, tiles);
    for (int r = 0; r < rows * tiles; r++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = (double)bias[n], size = fabs(sum);
            for (int64_t t = 0; t < taps; t++)
                for (int64_t d = 0; d < depth; d++) {
                    double product = (double)pointers[t][line.in_at + r * step + d] *
                                     (double)weights[(which[t] * depth + d) * width + n];
                    sum += product;
                    size += fabs(product);
                }
            exact[r * pitch + n] = clamps ? fmin(fmax(sum, -1), 2) : sum;
            magnitude[r * pitch + n] = size;
        }
    assert_rows(k, "line", vectors, rows * tiles, columns, out, before, exact, magnitude);
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

static void check_product(const cn__kernels *k, int vectors, int rows)
{
    enum { most_runs = 4, most_pixels = 20 };
    int64_t width = vectors * k->lanes, columns = test_int(width - k->lanes + 1, width);
    int64_t runs = test_int(0, most_runs);
    float *a = test_floats(4096), *b = test_floats(4096);
    cn__run run[most_runs];
    static float out[CN__MAX_ROWS * pitch], before[CN__MAX_ROWS * pitch];
    static double exact[CN__MAX_ROWS * pitch], magnitude[CN__MAX_ROWS * pitch];
    cn__product product = {.runs = runs,
                           .run = run,
                           .a_at = test_int(0, 20),
                           .b_at = test_int(0, 20),
                           .a_step = test_int(1, 40),
                           .b_step = test_int(1, 80),
                           .out = out,
                           .stride = pitch,
                           .columns = columns,
                           .accumulate = test_int(0, 1)};
    for (int64_t i = 0; i < runs; i++) {
        run[i] = (cn__run){a + test_int(0, 3000), b + test_int(0, 2000), test_int(1, most_pixels)};
    }
    fill_out(out, before);
    k->product[vectors][rows](&product);
    for (int r = 0; r < rows; r++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = product.accumulate ? (double)before[r * pitch + n] : 0, size = fabs(sum);
            for (int64_t i = 0; i < runs; i++)
                for (int64_t p = 0; p < run[i].pixels; p++) {
                    double each = (double)run[i].a[product.a_at + p * product.a_step + r] *
                                  (double)run[i].b[product.b_at + p * product.b_step + n];
                    sum += each;
                    size += fabs(each);
                }
            exact[r * pitch + n] = sum;
            magnitude[r * pitch + n] = size;
        }
    assert_rows(k, "product", vectors, rows, columns, out, before, exact, magnitude);
    free(a);
    free(b);
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

/* Pieces of several lines, with room for a vector beside them, in which nothing may change. */
static void check_spread(const cn__kernels *k, int64_t rows, int64_t step)
{
    enum { most = 3, room = 2048 };
    cn__spread_piece piece[most];
    float *sums = test_floats(room), *out = test_floats(most * room);
    double exact[most * room];
    int64_t width = test_int(1, 60), line = room;
    for (int64_t i = 0; i < most * room; i++)
        exact[i] = (double)out[i];
    for (int p = 0; p < most; p++) {
        int64_t from = test_int(0, width - 1), count = test_int(1, width - from);
        int64_t at = p * line + test_int(0, 40);
        piece[p] = (cn__spread_piece){.from = from, .count = count, .to = out + at};
        for (int64_t r = 0; r < rows; r++)
            for (int64_t n = 0; n < count; n++)
                exact[at + r * step + n] += (double)sums[r * width + from + n];
    }
    k->spread(&(cn__spread){sums, rows, width, step, most, piece});
    for (int64_t i = 0; i < most * room; i++)
        if (!(fabs((double)out[i] - exact[i]) <= 1e-4))
            fail_msg("%s spread of %lld rows, step %lld: element %lld is %g, not %g", k->name,
                     (long long)rows, (long long)step, (long long)i, (double)out[i], exact[i]);
    free(sums);
    free(out);
}

static void test_spread(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int t = 0; t < count; t++)
        for (int64_t rows = 0; rows <= 30; rows++)
            for (int64_t step = 1; step <= 40; step += test_int(1, 5))
                check_spread(tables[t], rows, step);
}

static void test_tiles(void **state)
{
    (void)state;
    for_entries(check_tile, offsetof(cn__kernels, rows));
}

static void test_lines(void **state)
{
    (void)state;
    for_entries(check_line, offsetof(cn__kernels, rows));
}

static void test_outers(void **state)
{
    (void)state;
    for_entries(check_outer, offsetof(cn__kernels, outer_rows));
}

static void test_products(void **state)
{
    (void)state;
    for_entries(check_product, offsetof(cn__kernels, product_rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),     cmocka_unit_test(test_lines),
        cmocka_unit_test(test_outers),    cmocka_unit_test(test_products),
        cmocka_unit_test(test_transpose), cmocka_unit_test(test_spread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
