/* The kernels of unary.c, binary.c and rows.c, of every instruction set that the processor has,
 * against the double reference: lengths around the vectors' and random ones, any alignment, nothing
 * written outside, infinities and NaN. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"
#include "support/reference.h"

enum { most = 1000, guard = 16, room = most + 2 * guard };

static const cn__kernels *tables[8];
static int table_count;

static int setup(void **state)
{
    (void)state;
    test_seed();
    table_count = cn__kernels_all(tables);
    return 0;
}

/* ---- buffers with a guard on both sides ---- */

#define CANARY 1234.5f

static void guard_fill(float *buffer)
{
    for (int i = 0; i < room; i++)
        buffer[i] = CANARY;
}

/* All but the `count` values from `first` on must be as guard_fill() left them. */
static void guard_check(const char *what, const float *buffer, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < room; i++)
        if ((i < first || i >= first + count) && buffer[i] != CANARY)
            fail_msg("%s wrote to element %d of %d", what, (int)(i - first), (int)count);
}

/* Every length up to two vectors and one, then random ones; the start moves by 0 to 15 floats. */
static int64_t length_of(const cn__kernels *k, int round)
{
    return round <= 2 * k->lanes + 1 ? round : test_int(1, most);
}

static int rounds_of(const cn__kernels *k)
{
    return 2 * k->lanes + 12;
}

/* ---- numbers ---- */

static const float special[] = {
    0.0f,     -0.0f,    1.0f,      -1.0f,  0.5f,        -0.5f,      2.0f,       -3.0f,   3.0f,
    6.0f,     1e-30f,   -1e-30f,   1e-42f, -1e-42f,     FLT_MIN,    20.0f,      -20.0f,  87.3f,
    -87.3f,   88.7228f, 88.8f,     -88.8f, 103.9f,      -103.9f,    104.1f,     -104.1f, -110.0f,
    1e4f,     -1e4f,    1e10f,     -1e10f, 1e19f,       -1e19f,     1e30f,      -1e30f,  FLT_MAX,
    -FLT_MAX, INFINITY, -INFINITY, NAN,    16777215.0f, 8388609.0f, -8388609.0f};

/* Numbers of all sizes: near 0, around 1, up to 100, and special ones. */
static float any_number(void)
{
    double u = 2 * cn__random_uniform(&test_random) - 1;
    switch (test_int(0, 7)) {
    case 0:
        return special[test_int(0, (int64_t)CN__COUNT(special) - 1)];
    case 1:
        return (float)(u * 1e-3);
    case 2:
        return (float)(u * 100);
    case 3:
        return (float)(u * 10);
    default:
        return (float)(u * 3);
    }
}

/* The bound of ops.h, and equality for what is not finite. Numbers below the smallest normal one
 * may come out as any such number. */
static bool close_to(double y, double exact, double tolerance)
{
    if (isnan(exact))
        return isnan(y);
    exact = fabs(exact) > (double)FLT_MAX * (1 + 3e-8) ? copysign((double)INFINITY, exact) : exact;
    if (isinf(exact) || isinf(y))
        return y == exact ||
               (fabs(exact) > 0.9999995 * (double)FLT_MAX && fabs(y) > 0.9999995 * (double)FLT_MAX);
    return fabs(y - exact) <= tolerance * fmax(fabs(exact), 1);
}

/* ---- functions of one number ---- */

static const float some_parameters[][3] = {
    {0.2f, 6.0f, 0.5f}, {0.0f, INFINITY, 0.0f}, {1.0f, 1.5f, -0.25f}, {0.3f, INFINITY, 1.0f}};

/* A slope of 0 has no meaning for the functions that divide by it or multiply infinities with it.
 */
static const float *parameters_for(int op)
{
    const float *p = some_parameters[test_int(0, 3)];
    return p[0] == 0 && (op == CN_CELU || op == CN_HARD_SIGMOID) ? some_parameters[0] : p;
}

static void unary_values(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int op = 0; op < CN_UNARY_COUNT; op++)
            for (int round = 0; round < rounds_of(tables[t]); round++) {
                const float *p = parameters_for(op);
                float in[room], out[room];
                int64_t count = length_of(tables[t], round), at = guard + test_int(-8, 8);
                guard_fill(out);
                for (int i = 0; i < room; i++)
                    in[i] = any_number();
                bool in_place = test_int(0, 3) == 0;
                if (in_place)
                    memcpy(out + at, in + guard, (size_t)count * sizeof *out);
                tables[t]->unary[op](in_place ? out + at : in + guard, out + at, count, p);
                guard_check(cn_unary_name((cn_unary)op), out, at, count);
                for (int64_t i = 0; i < count; i++) {
                    double x = (double)in[guard + i];
                    double exact = reference_unary((cn_unary)op, x, p);
                    if (!close_to((double)out[at + i], exact, 4e-7))
                        fail_msg("%s of %s (%g, %g, %g) at %.9g is %.9g, not %.9g", tables[t]->name,
                                 cn_unary_name((cn_unary)op), (double)p[0], (double)p[1],
                                 (double)p[2], x, (double)out[at + i], exact);
                }
            }
}

/* The derivative by central differences of the reference; false near a kink or a pole, where the
 * differences to both sides disagree. */
static bool slope_of(cn_unary op, double x, const float *p, double *slope)
{
    double h = 1e-5 * fmax(fabs(x), 1e-2);
    double y = reference_unary(op, x, p);
    double right = (reference_unary(op, x + h, p) - y) / h;
    double left = (y - reference_unary(op, x - h, p)) / h;
    *slope = (right + left) / 2;
    return fabs(right - left) <= 1e-3 * fmax(fabs(*slope), 1) && fabs(*slope) < 1e6;
}

static void unary_gradients(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int op = 0; op < CN_UNARY_COUNT; op++)
            for (int round = 0; round < rounds_of(tables[t]); round++) {
                const float *p = parameters_for(op);
                float x[room], dy[room], dx[room];
                int64_t count = length_of(tables[t], round), at = guard + test_int(-8, 8);
                guard_fill(dx);
                for (int i = 0; i < room; i++) {
                    x[i] = (float)((2 * cn__random_uniform(&test_random) - 1) *
                                   (double)test_int(1, 12));
                    dy[i] = (float)test_int(-2, 2);
                }
                tables[t]->unary_gradient[op](x + guard, dy + guard, dx + at, count, p);
                guard_check(cn_unary_name((cn_unary)op), dx, at, count);
                for (int64_t i = 0; i < count; i++) {
                    double slope, number = (double)x[guard + i];
                    if (!slope_of((cn_unary)op, number, p, &slope))
                        continue;
                    double exact = slope * (double)dy[guard + i];
                    if (!close_to((double)dx[at + i], exact, 2e-5))
                        fail_msg("%s: gradient of %s (%g, %g, %g) at %.9g is %.9g, not %.9g",
                                 tables[t]->name, cn_unary_name((cn_unary)op), (double)p[0],
                                 (double)p[1], (double)p[2], number, (double)dx[at + i], exact);
                }
            }
}

/* TensorFlow's choices. */
static void gradients_at_kinks(void **state)
{
    (void)state;
    static const struct {
        cn_unary op;
        float p[3], x, slope;
    } cases[] = {
        {CN_RELU, {0, INFINITY, 0}, 0, 0},
        {CN_RELU, {0.25f, INFINITY, 0}, 0, 0.25f},
        {CN_RELU, {0, 6, 0}, 6, 0},
        {CN_RELU, {0, INFINITY, 0}, -INFINITY, 0},
        {CN_CLIP, {-1, 2, 0}, -1, 1},
        {CN_CLIP, {-1, 2, 0}, 2, 1},
        {CN_ELU, {1}, 0, 1},
        {CN_SELU, {0}, 0, 1.05070099f},
        {CN_CELU, {2}, 0, 1},
        {CN_HARD_TANH, {0}, 1, 1},
        {CN_HARD_TANH, {0}, 1.25f, 0},
        {CN_ABS, {0}, 0, 0},
        {CN_SOFT_SHRINK, {0.5f}, 0.5f, 0},
        {CN_HARD_SHRINK, {0.5f}, -0.5f, 0},
        {CN_SPARSE_SIGMOID, {0}, 1, 0},
        {CN_SPARSE_PLUS, {0}, -1, 0},
        {CN_THRESHOLD, {0.5f, 3}, 0.5f, 0},
        {CN_GELU, {0}, INFINITY, 1},
        {CN_GELU, {0}, -INFINITY, 0},
        {CN_GELU_TANH, {0}, -INFINITY, 0},
        {CN_SILU, {0}, -INFINITY, 0},
        {CN_SILU, {0}, INFINITY, 1},
        {CN_MISH, {0}, INFINITY, 1},
        {CN_MISH, {0}, -INFINITY, 0},
        {CN_TANH, {0}, INFINITY, 0},
        {CN_SOFTPLUS, {0}, -INFINITY, 0},
        {CN_SIGMOID, {0}, -INFINITY, 0},
        {CN_SQUAREPLUS, {4}, -INFINITY, 0},
        {CN_SOFTSIGN, {0}, INFINITY, 0},
        {CN_TANH_SHRINK, {0}, INFINITY, 1},
    };
    for (int t = 0; t < table_count; t++)
        for (size_t i = 0; i < CN__COUNT(cases); i++) {
            float dy = 2, dx;
            tables[t]->unary_gradient[cases[i].op](&cases[i].x, &dy, &dx, 1, cases[i].p);
            if (!(dx == 2 * cases[i].slope))
                fail_msg("%s: the slope of %s at %g is %.9g, not %.9g", tables[t]->name,
                         cn_unary_name(cases[i].op), (double)cases[i].x, (double)dx / 2,
                         (double)cases[i].slope);
        }
}

/* ---- functions of two numbers ---- */

/* Operands between which every case of a power comes up: whole, half and fractional exponents. */
static float power_operand(void)
{
    static const float some[] = {0, 0.5f, 1, 2, 3, -1, -2, -0.5f, 4, 7, -3};
    return test_int(0, 1) ? some[test_int(0, (int64_t)CN__COUNT(some) - 1)] : any_number();
}

static void check_binary(const cn__kernels *k, cn_binary op, int64_t count)
{
    float a[room], b[room], out[room];
    int64_t at = guard + test_int(-8, 8);
    int a_step = (int)test_int(0, 1), b_step = (int)test_int(0, 1), same = (int)test_int(0, 5);
    guard_fill(out);
    for (int i = 0; i < room; i++) {
        a[i] = op == CN_POWER ? power_operand() : any_number();
        b[i] = op == CN_POWER ? power_operand() : any_number();
    }
    const float *from_a = a + guard, *from_b = b + guard;
    if (same == 0 && a_step) {
        memcpy(out + at, from_a, (size_t)count * sizeof *out);
        from_a = out + at;
    } else if (same == 1 && b_step) {
        memcpy(out + at, from_b, (size_t)count * sizeof *out);
        from_b = out + at;
    }
    k->binary[op](from_a, a_step, from_b, b_step, out + at, count);
    guard_check(cn_binary_name(op), out, at, count);
    for (int64_t i = 0; i < count; i++) {
        double x = (double)a[guard + i * a_step], y = (double)b[guard + i * b_step];
        double exact = reference_binary(op, x, y), result = (double)out[at + i];
        if (op == CN_POWER && x == 0 && signbit(x)) /* the sign of zero is not kept */
            exact = pow(0, y);
        /* a power is held to its relative error */
        double scale = op == CN_POWER && fabs(exact) > 1e-37 ? fmin(fabs(exact), 1) : 1;
        if (!close_to(result, exact, 4e-7 * scale))
            fail_msg("%s: %s of %.9g and %.9g is %.9g, not %.9g", k->name, cn_binary_name(op), x, y,
                     result, exact);
    }
}

static void binary_values(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int op = 0; op < CN_BINARY_COUNT; op++)
            for (int round = 1; round < 4 * rounds_of(tables[t]); round++)
                check_binary(tables[t], (cn_binary)op, length_of(tables[t], round / 4));
}

/* ---- rows ---- */

static void sums_and_maxima(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int round = 0; round < rounds_of(tables[t]); round++) {
            int64_t count = length_of(tables[t], round), at = test_int(0, 15);
            float *x = test_floats(room), most_of_all = -INFINITY;
            double sum = 0;
            for (int64_t i = 0; i < count; i++) {
                sum += (double)x[at + i];
                most_of_all = x[at + i] > most_of_all ? x[at + i] : most_of_all;
            }
            assert_true(fabs(tables[t]->sum(x + at, count) - sum) < 1e-12);
            assert_true(tables[t]->maximum(x + at, count) == most_of_all);
            if (count > 0) {
                x[at + test_int(0, count - 1)] = NAN;
                assert_true(isnan(tables[t]->sum(x + at, count)));
                assert_true(isnan((double)tables[t]->maximum(x + at, count)));
            }
            free(x);
        }
}

static void softmax_rows(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int round = 1; round < rounds_of(tables[t]); round++) {
            int64_t count = length_of(tables[t], round), at = guard + test_int(-8, 8);
            cn_shape shape = cn_shape_of(count);
            bool logarithm = test_int(0, 1);
            float *x = test_floats(count), out[room];
            double in[most], exact[most];
            guard_fill(out);
            for (int64_t i = 0; i < count; i++) {
                x[i] *= 20;
                in[i] = (double)x[i];
            }
            reference_softmax(&shape, 0, logarithm, in, exact);
            tables[t]->softmax(x, out + at, count, logarithm);
            guard_check("softmax", out, at, count);
            for (int64_t i = 0; i < count; i++)
                if (!close_to((double)out[at + i], exact[i], 4e-7))
                    fail_msg("%s: softmax of %.9g is %.9g, not %.9g", tables[t]->name, in[i],
                             (double)out[at + i], exact[i]);
            free(x);
        }
}

static void multiply_adds(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int round = 0; round < rounds_of(tables[t]); round++) {
            int64_t count = length_of(tables[t], round), at = guard + test_int(-8, 8);
            float *x = test_floats(room), *scale = test_floats(room), *shift = test_floats(room);
            float out[room], sum[room];
            double totals[room], start = 0.125;
            guard_fill(out);
            guard_fill(sum);
            for (int64_t i = 0; i < room; i++)
                totals[i] = start;
            tables[t]->scale_shift(x, scale, shift, out + at, count);
            memcpy(sum + at, shift, (size_t)count * sizeof *sum);
            tables[t]->add_scaled(0.75f, x, sum + at, count);
            tables[t]->add_to_doubles(x, totals, count);
            guard_check("scale_shift", out, at, count);
            guard_check("add_scaled", sum, at, count);
            for (int64_t i = 0; i < room; i++)
                assert_true(totals[i] == (i < count ? start + (double)x[i] : start));
            for (int64_t i = 0; i < count; i++) {
                double product = (double)x[i] * (double)scale[i];
                assert_true(fabs((double)out[at + i] - product - (double)shift[i]) < 2e-7);
                assert_true(fabs((double)sum[at + i] - 0.75 * (double)x[i] - (double)shift[i]) <
                            2e-7);
            }
            free(x);
            free(scale);
            free(shift);
        }
}

/* Values from a small set, so that equal cells come up; NaN now and then. */
static void cells(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int round = 1; round < rounds_of(tables[t]); round++) {
            int64_t channels = length_of(tables[t], round), count = test_int(1, 9);
            static float values[9][room];
            const float *in[9];
            int32_t index[9], switches[room];
            float out[room], sum[room], plain[room];
            int64_t at = guard + test_int(-8, 8);
            for (int i = 0; i < count; i++) {
                for (int64_t c = 0; c < channels; c++)
                    values[i][c] = test_int(0, 30) ? (float)test_int(-3, 3) : NAN;
                in[i] = values[i];
                index[i] = (int32_t)(100 - 7 * i);
            }
            guard_fill(out);
            guard_fill(sum);
            guard_fill(plain);
            memset(switches, 0, sizeof switches);
            tables[t]->max_cells(count, in, index, channels, out + at, switches + at);
            tables[t]->max_cells(count, in, index, channels, plain + at, NULL);
            tables[t]->sum_cells(count, in, channels, 0.5f, sum + at);
            guard_check("max_cells", out, at, channels);
            guard_check("sum_cells", sum, at, channels);
            assert_memory_equal(out, plain, sizeof out);
            for (int64_t i = 0; i < room; i++)
                if (i < at || i >= at + channels)
                    assert_int_equal(switches[i], 0);
            for (int64_t c = 0; c < channels; c++) {
                int best = 0;
                float total = 0;
                for (int i = 0; i < count; i++) {
                    float x = values[i][c], m = values[best][c];
                    best = x > m || (isnan(x) && !isnan(m)) ? i : best;
                    total += x;
                }
                assert_true(close_to((double)out[at + c], (double)values[best][c], 0));
                assert_true(close_to((double)sum[at + c], 0.5 * (double)total, 0));
                assert_int_equal(switches[at + c], index[best]);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_values),       cmocka_unit_test(unary_gradients),
        cmocka_unit_test(gradients_at_kinks), cmocka_unit_test(binary_values),
        cmocka_unit_test(sums_and_maxima),    cmocka_unit_test(softmax_rows),
        cmocka_unit_test(multiply_adds),      cmocka_unit_test(cells),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
