/* The picture of a training: where its lines, grid and dots are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cornu/inspect.h"
#include "models/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float blue[] = {0, 114, 178}, vermilion[] = {213, 94, 0};

static void append(cn_history *history, int count, const char *const *names, const double *values)
{
    assert_int_equal(cn__history_append(history, (cn_logs){count, names, values}), CN_OK);
}

static bool is_colour(const cn_array *picture, int64_t y, int64_t x, const float *colour)
{
    const float *p = cn_array_const_floats(picture) + (y * cn_array_shape(picture)->dim[1] + x) * 3;
    return p[0] == colour[0] && p[1] == colour[1] && p[2] == colour[2];
}

/* The columns that have that colour in rows `top` to `bottom`, and the middle of these rows. */
static int64_t count(const cn_array *picture, const float *colour, int64_t top, int64_t bottom,
                     double *middle)
{
    int64_t columns = 0, found = 0, sum = 0;
    for (int64_t x = 0; x < cn_array_shape(picture)->dim[1]; x++) {
        int64_t before = found;
        for (int64_t y = top; y < bottom; y++)
            if (is_colour(picture, y, x, colour)) {
                found++;
                sum += y;
            }
        columns += found > before;
    }
    *middle = found > 0 ? (double)sum / (double)found : 0;
    return columns;
}

static void test_panels(void **state)
{
    (void)state;
    static const char *const names[] = {"loss", "accuracy", "learning_rate", "val_loss",
                                        "val_accuracy"};
    cn_history *history = cn__history_new();
    for (int i = 0; i < 100; i++)
        append(history, 5, names, (const double[]){1, 0.9, 7, 3, 0.1});
    cn_array *picture = cn_draw_curves(history, 0, 0);
    assert_non_null(picture);
    assert_int_equal(cn_array_shape(picture)->dim[0], 600);
    assert_int_equal(cn_array_shape(picture)->dim[1], 900);
    /* With so many epochs there are no dots. Below the legends val_loss lies above loss, accuracy
     * above val_accuracy, both from side to side; the validation is dashed: 5 of 8 pixels, of which
     * the ends are not fully covered. */
    double loss, val_loss, accuracy, val_accuracy;
    int64_t solid = count(picture, blue, 40, 280, &loss);
    int64_t dashed = count(picture, vermilion, 40, 280, &val_loss);
    assert_in_range(solid, 750, 850);
    assert_in_range(dashed, solid * 2 / 5, solid * 2 / 3);
    assert_true(val_loss < loss);
    assert_int_equal(count(picture, blue, 315, 545, &accuracy), solid);
    assert_in_range(count(picture, vermilion, 315, 545, &val_accuracy), dashed - 9, dashed + 9);
    assert_true(accuracy < val_accuracy);
    cn_array_free(picture);
    cn__history_free(history);
}

/* With one panel the plot takes the room of both: a falling line goes from its top to its bottom.
 * What is no number is left out. */
static void test_one_panel(void **state)
{
    (void)state;
    const char *name = "loss";
    const double values[] = {4, 3, (double)NAN, 1, 0, (double)INFINITY};
    cn_history *history = cn__history_new();
    for (int i = 0; i < 6; i++)
        append(history, 1, &name, &values[i]);
    cn_array *picture = cn_draw_curves(history, 450, 300);
    int64_t first = 300, last = 0, columns = 0;
    for (int64_t x = 0; x < 450; x++) {
        int64_t found = 0;
        for (int64_t y = 24; y < 275; y++)
            if (is_colour(picture, y, x, blue)) {
                first = y < first ? y : first;
                last = y > last ? y : last;
                found++;
            }
        columns += found > 0;
    }
    assert_in_range(first, 24, 40);
    assert_in_range(last, 255, 275);
    assert_in_range(columns, 2 * 70, 2 * 90); /* two of five intervals between six epochs */
    cn_array_free(picture);
    cn__history_free(history);
}

/* Whatever the numbers are, there is a picture. */
static void test_odd_numbers(void **state)
{
    (void)state;
    static const double values[][2] = {
        {0, 0},        {(double)NAN, (double)NAN}, {1e300, -1e300},
        {1e29, -1e29}, {1e-300, 2e-300},           {1, 1.0000000000000002},
        {-5, -5},      {123456, 123457},           {9.99e7, 1e8}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int epochs = 1; epochs <= 2; epochs++) {
            const char *name = "val_loss";
            cn_history *history = cn__history_new();
            for (int e = 0; e < epochs; e++)
                append(history, 1, &name, &values[i][e]);
            cn_array *picture = cn_draw_curves(history, 300, 200);
            assert_non_null(picture);
            for (int64_t j = 0; j < cn_array_count(picture); j++)
                assert_true(cn_array_const_floats(picture)[j] >= 0 &&
                            cn_array_const_floats(picture)[j] <= 255);
            cn_array_free(picture);
            cn__history_free(history);
        }
}

/* Legends that would leave no room are cut. */
static void test_many_curves(void **state)
{
    (void)state;
    char texts[60][24];
    const char *names[60];
    double values[60];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "output_%d_loss", i);
        names[i] = texts[i];
        values[i] = i;
    }
    cn_history *history = cn__history_new();
    append(history, 60, names, values);
    cn_array *picture = cn_draw_curves(history, 0, 0);
    assert_non_null(picture);
    cn_array_free(picture);
    cn__history_free(history);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *name = "loss", *rate = "learning_rate";
    const double value = 1;
    cn_history *history = cn__history_new();
    assert_null(cn_draw_curves(NULL, 0, 0));
    assert_null(cn_draw_curves(history, 0, 0));
    append(history, 1, &rate, &value);
    assert_null(cn_draw_curves(history, 0, 0));
    assert_non_null(strstr(cn_error_message(), "no epoch to draw"));
    append(history, 1, &name, &value);
    assert_null(cn_draw_curves(history, 60, 40));
    assert_non_null(strstr(cn_error_message(), "60 x 40 pixels are too few"));
    assert_null(cn_draw_curves(history, -1, 40));
    assert_null(cn_draw_curves(history, 1 << 20, 1 << 20));
    cn__history_free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_panels),      cmocka_unit_test(test_one_panel),
        cmocka_unit_test(test_odd_numbers), cmocka_unit_test(test_many_curves),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
