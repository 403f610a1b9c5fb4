/* The drawn shapes: reproducible, within bounds, all classes there, and not blank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cornu/datasets.h"

#include <math.h>
#include <string.h>

enum { COUNT = 200, SIZE = 16, PIXELS = SIZE * SIZE * 3 };

static void draw(uint64_t seed, int64_t count, cn_array **images, cn_array **labels)
{
    assert_int_equal(cn_drawn_shapes(seed, count, SIZE, images, labels), CN_OK);
}

static void release(cn_array *images, cn_array *labels)
{
    cn_array_free(images);
    cn_array_free(labels);
}

static bool has_shape(const cn_array *array, cn_shape shape)
{
    return cn_shape_equal(cn_array_shape(array), &shape);
}

static void test_shapes_and_range(void **state)
{
    (void)state;
    cn_array *images, *labels;
    draw(1, COUNT, &images, &labels);
    assert_true(has_shape(images, cn_shape_of(COUNT, SIZE, SIZE, 3)));
    assert_true(has_shape(labels, cn_shape_of(COUNT)));
    int seen[10] = {0};
    for (int i = 0; i < COUNT; i++) {
        int label = cn_array_const_ints(labels)[i];
        assert_in_range(label, 0, 9);
        seen[label]++;
        const float *pixel = cn_array_const_floats(images) + (size_t)i * PIXELS;
        double low = 2, high = -1;
        for (int p = 0; p < PIXELS; p++) {
            low = fmin(low, (double)pixel[p]);
            high = fmax(high, (double)pixel[p]);
        }
        assert_true(low >= 0 && high <= 1 && high - low > 0.2);
    }
    for (int label = 0; label < 10; label++)
        assert_true(seen[label] >= 8);
    release(images, labels);
}

/* Picture i depends on the seed and i alone. */
static void test_reproducible(void **state)
{
    (void)state;
    cn_array *images, *labels, *fewer, *fewer_labels, *others, *other_labels;
    draw(7, 12, &images, &labels);
    draw(7, 5, &fewer, &fewer_labels);
    draw(8, 5, &others, &other_labels);
    size_t bytes = 5 * PIXELS * sizeof(float);
    assert_memory_equal(cn_array_const_floats(images), cn_array_const_floats(fewer), bytes);
    assert_memory_equal(cn_array_const_ints(labels), cn_array_const_ints(fewer_labels),
                        5 * sizeof(int32_t));
    assert_true(memcmp(cn_array_const_floats(images), cn_array_const_floats(others), bytes) != 0);
    release(images, labels);
    release(fewer, fewer_labels);
    release(others, other_labels);
}

/* Stripes change across themselves more than along: the classes are what they are called. */
static void test_stripes_run_the_right_way(void **state)
{
    (void)state;
    cn_array *images, *labels;
    draw(3, COUNT, &images, &labels);
    int right = 0, all = 0;
    for (int i = 0; i < COUNT; i++) {
        int label = cn_array_const_ints(labels)[i];
        const float *pixel = cn_array_const_floats(images) + (size_t)i * PIXELS;
        double down = 0, across = 0;
        for (int y = 0; y < SIZE - 1; y++)
            for (int x = 0; x < SIZE - 1; x++)
                for (int c = 0; c < 3; c++) {
                    double here = (double)pixel[(y * SIZE + x) * 3 + c];
                    down += fabs((double)pixel[((y + 1) * SIZE + x) * 3 + c] - here);
                    across += fabs((double)pixel[(y * SIZE + x + 1) * 3 + c] - here);
                }
        const char *name = cn_drawn_shape_name(label);
        bool horizontal = strcmp(name, "horizontal stripes") == 0;
        if (!horizontal && strcmp(name, "vertical stripes") != 0)
            continue;
        all++;
        right += horizontal == (down > across);
    }
    assert_true(all > 20);
    assert_true(right >= all - 1);
    release(images, labels);
}

static void test_arguments(void **state)
{
    (void)state;
    cn_array *images = NULL, *labels = NULL;
    draw(1, 0, &images, &labels);
    assert_int_equal(cn_array_count(images), 0);
    release(images, labels);
    assert_int_equal(cn_drawn_shapes(1, -1, SIZE, &images, &labels), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_drawn_shapes(1, 1, 7, &images, &labels), CN_ERROR_ARGUMENT);
    assert_string_equal(
        cn_error_message(),
        "cn_drawn_shapes: the count must not be negative and the size must be from 8 "
        "to 1024, but received 1 and 7");
    assert_null(images);
    assert_null(labels);
    assert_int_not_equal(cn_drawn_shapes(1, INT64_MAX, SIZE, &images, &labels), CN_OK);
    assert_null(images);
    cn_clear_error();
    assert_int_equal(cn_drawn_shapes(1, 1, SIZE, NULL, &labels), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_drawn_shape_name(5), "star");
    assert_null(cn_drawn_shape_name(-1));
    assert_null(cn_drawn_shape_name(10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_and_range),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_stripes_run_the_right_way),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
