/* The depthwise kernels against double sums: every instruction set, taps and steps with and without
 * kernels of their own, channels around the lanes, lines and cells outside the image, and nothing
 * written beside the output. The error bound is that of test_conv.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"

enum { most_lines = 4, most_taps = 9, most_columns = 9, most_channels = 70, beside = 3 };

/* A problem: `weights` [line][tap][channel] and the same as the kernel takes them. */
typedef struct problem {
    cn__depthwise work;
    const float *lines[most_lines * cn__depthwise_rows];
    float *out[cn__depthwise_rows];
    float *in, *weights, *packed, *bias, *values;
    int64_t packed_count, values_count;
} problem;

/* Where lane 0 of a vector stands. */
static int64_t vector_begin(int64_t channels, int64_t lanes, int64_t vector)
{
    int64_t last = channels > lanes ? channels - lanes : 0;
    return vector * lanes < last ? vector * lanes : last;
}

static int64_t packed_at(const problem *p, int64_t lanes, int64_t tap, int64_t c)
{
    int64_t taps = p->work.lines * p->work.taps, vector = c / lanes;
    return (vector * taps + tap) * lanes + c - vector_begin(p->work.channels, lanes, vector);
}

static void pack(problem *p, int64_t lanes)
{
    int64_t taps = p->work.lines * p->work.taps, channels = p->work.channels;
    int64_t vectors = (channels + lanes - 1) / lanes;
    p->packed_count = vectors * taps * lanes;
    p->packed = test_floats(p->packed_count + 1);
    for (int64_t v = 0; v < vectors; v++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = vector_begin(channels, lanes, v), l = 0; l < lanes; l++, c++)
                if (c < channels)
                    p->packed[(v * taps + t) * lanes + l] = p->weights[t * channels + c];
}

static void make_problem(problem *p, int64_t lanes)
{
    static const int64_t gaps[] = {1, 1, 1, 2}, steps[] = {1, 1, 2, 3};
    cn__depthwise *w = &p->work;
    *w = (cn__depthwise){.channels = test_int(1, most_channels),
                         .rows = test_int(1, cn__depthwise_rows),
                         .columns = test_int(1, most_columns),
                         .lines = test_int(0, most_lines),
                         .taps = test_int(0, most_taps),
                         .width = test_int(1, 20),
                         .first = test_int(-3, 3),
                         .gap = gaps[test_int(0, 3)],
                         .step = steps[test_int(0, 3)],
                         .low = test_int(0, 1) ? -0.5f : -INFINITY,
                         .high = test_int(0, 1) ? 0.5f : INFINITY,
                         .in = p->lines,
                         .out = p->out};
    w->cell = w->channels + test_int(0, 2);
    w->out_step = w->channels + beside;
    int64_t line = w->width * w->cell, row = w->columns * w->out_step, lines = 9;
    p->in = test_floats(lines * line);
    w->in_end = p->in + lines * line;
    for (int i = 0; i < most_lines * cn__depthwise_rows; i++)
        p->lines[i] = test_int(0, 4) == 0 ? NULL : p->in + test_int(0, (int)lines - 1) * line;
    w->square = test_int(0, 2);
    for (int i = cn__depthwise_rows * (int)w->square;
         w->square > 0 && i < most_lines * cn__depthwise_rows; i++)
        if (i % cn__depthwise_rows < cn__depthwise_rows - 1)
            p->lines[i] = p->lines[i - cn__depthwise_rows * (int)w->square + 1];
    p->values_count = cn__depthwise_rows * row;
    p->values = test_floats(p->values_count);
    for (int r = 0; r < cn__depthwise_rows; r++)
        p->out[r] = p->values + r * row;
    p->weights = test_floats(w->lines * w->taps * w->channels + 1);
    pack(p, lanes);
    w->weights = p->packed;
    p->bias = test_floats(w->channels);
    w->start = test_int(0, 1) ? p->bias : NULL;
}

static void free_problem(problem *p)
{
    free(p->in);
    free(p->weights);
    free(p->packed);
    free(p->bias);
    free(p->values);
}

/* The input's value for a tap, 0 outside. */
static double value_at(const cn__depthwise *w, int64_t l, int64_t t, int64_t r, int64_t m,
                       int64_t c)
{
    int64_t cell = w->first + m * w->step + t * w->gap;
    const float *line = w->in[l * cn__depthwise_rows + r];
    return line == NULL || cell < 0 || cell >= w->width ? 0 : (double)line[cell * w->cell + c];
}

static void assert_value(const cn__kernels *k, const char *what, double value, double exact,
                         double magnitude)
{
    if (!(fabs(value - exact) <= 1e-6 * magnitude + 1e-6))
        fail_msg("%s, %s: %.9g, not %.9g", k->name, what, value, exact);
}

static void check_forward(const cn__kernels *k, const problem *p, const float *before)
{
    const cn__depthwise *w = &p->work;
    for (int64_t i = 0; i < p->values_count; i++) {
        int64_t c = i % w->out_step, m = i / w->out_step % w->columns;
        int64_t r = i / w->out_step / w->columns;
        if (c >= w->channels || r >= w->rows) {
            assert_true(p->values[i] == before[i]);
            continue;
        }
        double sum = w->start != NULL ? (double)w->start[c] : 0, size = fabs(sum);
        for (int64_t l = 0; l < w->lines; l++)
            for (int64_t t = 0; t < w->taps; t++) {
                double product = value_at(w, l, t, r, m, c) *
                                 (double)p->weights[(l * w->taps + t) * w->channels + c];
                sum += product;
                size += fabs(product);
            }
        sum = fmin(fmax(sum, (double)w->low), (double)w->high);
        assert_value(k, "depthwise", (double)p->values[i], sum, size);
    }
}

static void check_gradient(const cn__kernels *k, const problem *p)
{
    const cn__depthwise *w = &p->work;
    for (int64_t tap = 0; tap < w->lines * w->taps; tap++)
        for (int64_t c = 0; c < w->channels; c++) {
            double sum = (double)p->weights[tap * w->channels + c], size = fabs(sum);
            for (int64_t r = 0; r < w->rows; r++)
                for (int64_t m = 0; m < w->columns; m++) {
                    double product = value_at(w, tap / w->taps, tap % w->taps, r, m, c) *
                                     (double)w->out[r][m * w->out_step + c];
                    sum += product;
                    size += fabs(product);
                }
            assert_value(k, "depthwise gradient", (double)p->packed[packed_at(p, k->lanes, tap, c)],
                         sum, size);
        }
}

static void test_depthwise(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int i = 0; i < 4000; i++) {
        const cn__kernels *k = tables[i % count];
        problem p;
        make_problem(&p, k->lanes);
        float *before = malloc((size_t)p.values_count * sizeof *before);
        memcpy(before, p.values, (size_t)p.values_count * sizeof *before);
        k->depthwise_gradient(&p.work);
        check_gradient(k, &p);
        free(p.packed);
        pack(&p, k->lanes);
        p.work.weights = p.packed;
        k->depthwise(&p.work);
        check_forward(k, &p, before);
        free(before);
        free_problem(&p);
    }
}

/* Two phases of `columns` positions side by side, and each by itself. */
typedef struct pair {
    float *both, *before, *alone[2];
    int64_t row; /* floats of a row of one phase */
} pair;

static void run_pair(const cn__kernels *k, const problem *p, pair *q)
{
    cn__depthwise work = p->work;
    float *rows[cn__depthwise_rows];
    work.out = rows;
    for (int phase = 0; phase < 2; phase++) {
        cn__depthwise one = work;
        one.weights += phase * work.pair;
        one.first += phase * work.shift;
        one.pair = one.shift = 0;
        for (int r = 0; r < cn__depthwise_rows; r++)
            rows[r] = q->alone[phase] + r * q->row;
        k->depthwise(&one);
    }
    for (int r = 0; r < cn__depthwise_rows; r++)
        rows[r] = q->both + r * 2 * q->row;
    k->depthwise(&work);
}

static void check_pair(const cn__kernels *k, const problem *p, const pair *q)
{
    const cn__depthwise *w = &p->work;
    for (int64_t i = 0; i < cn__depthwise_rows * 2 * q->row; i++) {
        int64_t c = i % w->out_step, m = i / w->out_step % (2 * w->columns);
        int64_t r = i / w->out_step / (2 * w->columns);
        double exact = (double)q->before[i];
        if (c < w->channels && r < w->rows)
            exact = (double)q->alone[m % 2][r * q->row + m / 2 * w->out_step + c];
        assert_value(k, "pair of phases", (double)q->both[i], exact, most_lines * most_taps);
    }
}

static void test_pairs(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (int i = 0; i < 4000; i++) {
        const cn__kernels *k = tables[i % count];
        problem p;
        make_problem(&p, k->lanes);
        pair q = {.row = p.work.columns * p.work.out_step};
        float *weights = test_floats(2 * p.packed_count + 1);
        p.work.weights = weights;
        p.work.pair = p.packed_count;
        p.work.shift = test_int(0, 2);
        q.both = test_floats(cn__depthwise_rows * 2 * q.row);
        q.before = test_floats(cn__depthwise_rows * 2 * q.row);
        memcpy(q.before, q.both, (size_t)(cn__depthwise_rows * 2 * q.row) * sizeof *q.both);
        for (int phase = 0; phase < 2; phase++)
            q.alone[phase] = test_floats(cn__depthwise_rows * q.row);
        if (p.packed_count > 0) {
            run_pair(k, &p, &q);
            check_pair(k, &p, &q);
        }
        free(weights);
        free(q.both);
        free(q.before);
        free(q.alone[0]);
        free(q.alone[1]);
        free_problem(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_depthwise),
                                       cmocka_unit_test(test_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
