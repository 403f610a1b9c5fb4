/* The kernels of update.c, of every instruction set that the processor has, against the formulas in
 * double: lengths around the vectors' and random ones, any alignment, nothing written outside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"

enum { most = 300, guard = 16, room = most + 2 * guard, buffers = 2 + cn__update_slots };
#define CANARY 1234.5f

static const cn__kernels *tables[8];
static int table_count;

static int setup(void **state)
{
    (void)state;
    test_seed();
    table_count = cn__kernels_all(tables);
    return 0;
}

/* ---- the formulas ---- */

/* One weight: w, g, slots. `used`: which slots there are. */
typedef struct cell {
    double w, g, s[cn__update_slots];
} cell;
typedef void (*formula)(cell *x, const bool *used, const float *c);

static void sgd(cell *x, const bool *used, const float *c)
{
    if (!used[0]) {
        x->w -= (double)c[1] * x->g;
        return;
    }
    x->s[0] = (double)c[0] * x->s[0] - (double)c[1] * x->g;
    x->w += (double)c[2] * x->s[0] - (double)c[3] * x->g;
}

static void rmsprop(cell *x, const bool *used, const float *c)
{
    double rho = (double)c[0], rest = (double)c[1];
    x->s[0] = rho * x->s[0] + rest * x->g * x->g;
    if (used[2])
        x->s[2] = rho * x->s[2] + rest * x->g;
    double square = x->s[0] - (used[2] ? x->s[2] * x->s[2] : 0);
    double change = (double)c[2] * x->g / (sqrt(square + (double)c[3]) + (double)c[4]);
    if (used[1])
        x->s[1] = change += (double)c[5] * x->s[1];
    x->w -= change;
}

static void adagrad(cell *x, const bool *used, const float *c)
{
    (void)used;
    x->s[0] += x->g * x->g;
    x->w -= (double)c[0] * x->g / (sqrt(x->s[0] + (double)c[1]) + (double)c[2]);
}

static void adadelta(cell *x, const bool *used, const float *c)
{
    (void)used;
    double rho = (double)c[0], rest = (double)c[1], epsilon = (double)c[3];
    x->s[0] = rho * x->s[0] + rest * x->g * x->g;
    double change = sqrt(x->s[1] + epsilon) / sqrt(x->s[0] + epsilon) * x->g;
    x->s[1] = rho * x->s[1] + rest * change * change;
    x->w -= (double)c[2] * change;
}

static void moments(cell *x, const float *c)
{
    x->s[0] += (x->g - x->s[0]) * (double)c[0];
    x->s[1] += (x->g * x->g - x->s[1]) * (double)c[1];
}

static void adam(cell *x, const bool *used, const float *c)
{
    moments(x, c);
    x->s[2] = used[2] ? fmax(x->s[2], x->s[1]) : x->s[2];
    x->w -= (double)c[2] * x->s[0] / (sqrt(used[2] ? x->s[2] : x->s[1]) + (double)c[3]);
}

static void adamax(cell *x, const bool *used, const float *c)
{
    (void)used;
    x->s[0] += (x->g - x->s[0]) * (double)c[0];
    x->s[1] = fmax((double)c[1] * x->s[1], fabs(x->g));
    x->w -= (double)c[2] * x->s[0] / (x->s[1] + (double)c[3]);
}

static void nadam(cell *x, const bool *used, const float *c)
{
    (void)used;
    moments(x, c);
    x->w -= ((double)c[2] * x->s[0] + (double)c[3] * x->g) /
            (sqrt(x->s[1] * (double)c[4]) + (double)c[5]);
}

static void ftrl(cell *x, const bool *used, const float *c)
{
    (void)used;
    double sum = x->s[0] + x->g * x->g, p = (double)c[0], inverse = (double)c[1];
    x->s[1] += x->g + (double)c[2] * x->w - (pow(sum, p) - pow(x->s[0], p)) * inverse * x->w;
    double kept = fmin(fmax(x->s[1], -(double)c[4]), (double)c[4]);
    x->w = (kept - x->s[1]) / (pow(sum, p) * inverse + (double)c[3]);
    x->s[0] = sum;
}

static void lion(cell *x, const bool *used, const float *c)
{
    (void)used;
    double way = (double)c[0] * x->s[0] + (double)c[1] * x->g;
    x->w -= (double)c[4] * ((way > 0) - (way < 0));
    x->s[0] = (double)c[2] * x->s[0] + (double)c[3] * x->g;
}

static void lamb(cell *x, const bool *used, const float *c)
{
    (void)used;
    moments(x, c);
    x->g = x->s[0] * (double)c[2] / (sqrt(x->s[1] * (double)c[3]) + (double)c[4]);
}

/* Which slots there may be, by their bits, and coefficients of usual sizes. */
static const struct kernel {
    const char *name;
    cn__update_name kernel;
    formula formula;
    int set_count;
    unsigned sets[4];
    float c[cn__update_coefficients];
} kernels[] = {
    {"sgd", CN__UPDATE_SGD, sgd, 2, {0, 1}, {0.9f, 0.1f, 0.75f, 0.25f}},
    {"rmsprop", CN__UPDATE_RMSPROP, rmsprop, 4, {1, 3, 5, 7}, {0.9f, 0.1f, 0.1f, 0.5f, 0, 0.75f}},
    {"rmsprop, epsilon outside",
     CN__UPDATE_RMSPROP,
     rmsprop,
     2,
     {1, 3},
     {0.9f, 0.1f, 0.1f, 0, 0.1f, 0.75f}},
    {"adagrad", CN__UPDATE_ADAGRAD, adagrad, 1, {1}, {0.1f, 1e-7f, 0.1f}},
    {"adadelta", CN__UPDATE_ADADELTA, adadelta, 1, {3}, {0.9f, 0.1f, 0.5f, 0.1f}},
    {"adam", CN__UPDATE_ADAM, adam, 2, {3, 7}, {0.1f, 0.01f, 0.1f, 0.1f}},
    {"adamax", CN__UPDATE_ADAMAX, adamax, 1, {3}, {0.1f, 0.99f, 0.1f, 0.1f}},
    {"nadam", CN__UPDATE_NADAM, nadam, 1, {3}, {0.1f, 0.01f, 0.1f, 0.05f, 1.5f, 0.1f}},
    {"ftrl", CN__UPDATE_FTRL, ftrl, 1, {3}, {0.5f, 10, 0.01f, 0.1f, 0.5f}},
    {"ftrl of another power", CN__UPDATE_FTRL, ftrl, 1, {3}, {0.75f, 2, 0.01f, 0.1f, 0.5f}},
    {"lion", CN__UPDATE_LION, lion, 1, {1}, {0.9f, 0.1f, 0.99f, 0.01f, 0.1f}},
    {"lamb", CN__UPDATE_LAMB, lamb, 1, {3}, {0.1f, 0.01f, 1.5f, 2, 0.1f}},
};

/* ---- the test ---- */

/* Numbers of about 1; slots are positive, as sums of squares and norms are, and mean squares are
 * above those of the means. */
static void fill(float numbers[buffers][room])
{
    for (int b = 0; b < buffers; b++)
        for (int i = 0; i < room; i++) {
            double u = cn__random_uniform(&test_random);
            numbers[b][i] = (float)(b == 2 ? 1 + u : b > 2 ? u : 4 * u - 2);
        }
}

static void check(const struct kernel *k, const cn__kernels *table, unsigned set, int64_t count)
{
    float before[buffers][room], after[buffers][room];
    int64_t at = guard + test_int(-8, 8);
    fill(before);
    for (int b = 0; b < buffers; b++)
        for (int i = 0; i < room; i++)
            if (i < at || i >= at + count)
                before[b][i] = CANARY;
    memcpy(after, before, sizeof after);
    bool used[cn__update_slots];
    float *slot[cn__update_slots];
    for (int s = 0; s < cn__update_slots; s++) {
        used[s] = set >> s & 1;
        slot[s] = used[s] ? after[2 + s] + at : NULL;
    }
    table->update[k->kernel](after[0] + at, after[1] + at, slot, count, k->c);
    for (int64_t i = 0; i < room; i++) {
        cell x = {(double)before[0][i], (double)before[1][i], {0}};
        for (int s = 0; s < cn__update_slots; s++)
            x.s[s] = (double)before[2 + s][i];
        if (i >= at && i < at + count)
            k->formula(&x, used, k->c);
        const double exact[buffers] = {x.w, x.g, x.s[0], x.s[1], x.s[2]};
        /* A dozen roundings of numbers up to 20, and quotients by no less than 0.1. */
        for (int b = 0; b < buffers; b++)
            if (!(fabs((double)after[b][i] - exact[b]) <= 2e-5 * fmax(fabs(exact[b]), 1)))
                fail_msg("%s of %s, slots %u: element %d of %d in buffer %d is %.9g, not %.9g",
                         k->name, table->name, set, (int)(i - at), (int)count, b,
                         (double)after[b][i], exact[b]);
    }
}

static void test_kernel(void **state)
{
    const struct kernel *k = *state;
    for (int t = 0; t < table_count; t++)
        for (int s = 0; s < k->set_count; s++)
            for (int round = 0; round < 2 * tables[t]->lanes + 8; round++)
                check(k, tables[t], k->sets[s],
                      round <= 2 * tables[t]->lanes + 1 ? round : test_int(1, most));
}

static void test_passes(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++)
        for (int round = 0; round < 100; round++) {
            int64_t count = round < 70 ? round : test_int(1, most), at = test_int(8, 24);
            float numbers[buffers][room], x[room], mean[room];
            fill(numbers);
            memcpy(x, numbers[0], sizeof x);
            memcpy(mean, numbers[1], sizeof mean);
            double squares = 0;
            for (int64_t i = at; i < at + count; i++)
                squares += (double)x[i] * (double)x[i];
            assert_true(fabs(tables[t]->sum_squares(x + at, count) - squares) <= 1e-12 * squares);
            tables[t]->average(0.75f, x + at, mean + at, count);
            tables[t]->scale_and_clip(x + at, 0.5f, 0.75f, count);
            for (int64_t i = 0; i < room; i++) {
                bool in = i >= at && i < at + count;
                float old = numbers[0][i], clipped = fminf(fmaxf(old * 0.5f, -0.75f), 0.75f);
                assert_true(x[i] == (in ? clipped : old));
                float wanted = 0.75f * numbers[1][i] + 0.25f * old;
                assert_float_equal(mean[i], in ? wanted : numbers[1][i], 1e-6f);
            }
        }
}

static void test_not_finite(void **state)
{
    (void)state;
    for (int t = 0; t < table_count; t++) {
        float x[] = {NAN, INFINITY, -INFINITY, 1}, w[] = {1, 1, 1, 1}, m[4] = {0};
        float *const slot[cn__update_slots] = {m};
        static const float c[cn__update_coefficients] = {0.9f, 0.1f, 0.9f, 0.1f, 0.5f};
        tables[t]->scale_and_clip(x, 0.5f, 2, 4);
        assert_true(isnan(x[0]) && x[1] == 2 && x[2] == -2 && x[3] == 0.5f);
        tables[t]->update[CN__UPDATE_LION](w, x, slot, 4, c);
        assert_true(isnan(w[0]) && w[1] == 0.5f && w[2] == 1.5f && w[3] == 0.5f);
    }
}

int main(void)
{
    enum { first = CN__COUNT(kernels) };
    struct CMUnitTest tests[first + 2];
    for (size_t i = 0; i < CN__COUNT(kernels); i++)
        tests[i] = (struct CMUnitTest){kernels[i].name, test_kernel, NULL, NULL,
                                       (void *)(uintptr_t)&kernels[i]};
    tests[first] = (struct CMUnitTest)cmocka_unit_test(test_passes);
    tests[first + 1] = (struct CMUnitTest)cmocka_unit_test(test_not_finite);
    return cmocka_run_group_tests(tests, setup, NULL);
}
