/* Data sets of functions, of arrays, of parts; drawn shapes as they are read; failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "cornu/datasets.h"
#include "unit/failing.h"

#include <string.h>

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

/* Floats (5, 2, 2): row * 10 + element. Whole numbers (5): row * 100. */
static cn_array *inputs(void)
{
    cn_array *array = cn_array_new(CN_FLOAT32, SHAPE(5, 2, 2));
    for (int i = 0; i < 20; i++)
        cn_array_floats(array)[i] = (float)(i / 4 * 10 + i % 4);
    return array;
}

static cn_array *targets(void)
{
    cn_array *array = cn_array_new(CN_INT32, SHAPE(5));
    for (int i = 0; i < 5; i++)
        cn_array_ints(array)[i] = i * 100;
    return array;
}

static void check_sample(cn_dataset *dataset, int64_t index, int row)
{
    float values[4] = {-1, -1, -1, -1};
    int32_t label = -1;
    assert_int_equal(cn_dataset_read(dataset, index, 7, (void *[]){values, &label}), CN_OK);
    for (int i = 0; i < 4; i++)
        assert_true(values[i] == (float)(row * 10 + i));
    assert_int_equal(label, row * 100);
}

static void test_arrays(void **state)
{
    (void)state;
    cn_array *x = inputs(), *y = targets();
    cn_dataset *dataset = cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y));
    assert_int_equal(cn_dataset_count(dataset), 5);
    assert_int_equal(cn_dataset_inputs(dataset), 1);
    assert_int_equal(cn_dataset_targets(dataset), 1);
    assert_int_equal(cn_dataset_dtype(dataset, 0), CN_FLOAT32);
    assert_int_equal(cn_dataset_dtype(dataset, 1), CN_INT32);
    assert_true(cn_shape_equal(cn_dataset_shape(dataset, 0), SHAPE(2, 2)));
    assert_int_equal(cn_dataset_shape(dataset, 1)->rank, 0);
    assert_null(cn_dataset_shape(dataset, 2));
    assert_null(cn_dataset_shape(dataset, -1));
    assert_false(cn_dataset_is_slow(dataset));
    for (int i = 0; i < 5; i++)
        check_sample(dataset, i, i);

    cn_array *fields[2];
    assert_int_equal(cn_dataset_arrays(dataset, fields), CN_OK);
    assert_true(cn_shape_equal(cn_array_shape(fields[0]), cn_array_shape(x)));
    assert_true(cn_shape_equal(cn_array_shape(fields[1]), cn_array_shape(y)));
    assert_memory_equal(cn_array_floats(fields[0]), cn_array_floats(x), 20 * sizeof(float));
    assert_memory_equal(cn_array_ints(fields[1]), cn_array_ints(y), 5 * sizeof(int32_t));
    cn_array_free(fields[0]);
    cn_array_free(fields[1]);

    cn_dataset *only = cn_dataset_from_arrays(cn_arrays(y, x), (cn_array_list){0, NULL});
    assert_int_equal(cn_dataset_inputs(only), 2);
    assert_int_equal(cn_dataset_targets(only), 0);
    cn_dataset_free(only);
    cn_dataset_free(dataset);
    cn_array_free(x);
    cn_array_free(y);
}

static void test_part(void **state)
{
    (void)state;
    cn_array *x = inputs(), *y = targets();
    cn_dataset *whole = cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y));
    cn_dataset *part = cn_dataset_part(whole, 1, 4), *inner = cn_dataset_part(part, 2, 2);
    assert_int_equal(cn_dataset_count(inner), 2);
    check_sample(part, 0, 1);
    check_sample(part, 3, 4);
    check_sample(inner, 1, 4);
    assert_int_equal(cn_dataset_read(inner, 2, 0, (void *[]){NULL, NULL}), CN_ERROR_ARGUMENT);
    cn_dataset *empty = cn_dataset_part(whole, 5, 0);
    assert_int_equal(cn_dataset_count(empty), 0);
    assert_null(cn_dataset_part(whole, 3, 3));
    assert_string_equal(cn_error_message(), "cn_dataset_part: 3 samples from 3 on are not within "
                                            "the data set, which has 5");
    assert_null(cn_dataset_part(whole, -1, 1));
    assert_null(cn_dataset_part(whole, 0, -1));
    assert_null(cn_dataset_part(whole, INT64_MAX, INT64_MAX));
    cn_dataset_free(empty);
    cn_dataset_free(inner);
    cn_dataset_free(part);
    cn_dataset_free(whole);
    cn_array_free(x);
    cn_array_free(y);
}

/* ---- made of functions ---- */

typedef struct witness {
    int released;
    cn_status status; /* of reading */
    uint64_t draw;
} witness;

static cn_status read_witness(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    witness *w = context;
    w->draw = draw;
    *(float *)fields[0] = (float)index;
    return w->status;
}

static void release_witness(void *context)
{
    ((witness *)context)->released++;
}

static cn_dataset_source source_of(witness *w)
{
    return (cn_dataset_source){.count = 3,
                               .inputs = 1,
                               .shapes = {cn_shape_of(1)},
                               .read = read_witness,
                               .release = release_witness,
                               .context = w,
                               .slow = true};
}

static void test_functions(void **state)
{
    (void)state;
    witness w = {0};
    cn_dataset_source source = source_of(&w);
    cn_dataset *dataset = cn_dataset_new(&source);
    assert_true(cn_dataset_is_slow(dataset));
    float value = -1;
    assert_int_equal(cn_dataset_read(dataset, 2, UINT64_MAX, (void *[]){&value}), CN_OK);
    assert_true(value == 2);
    assert_true(w.draw == UINT64_MAX);
    cn_array *field;
    assert_int_equal(cn_dataset_arrays(dataset, &field), CN_OK);
    assert_true(w.draw == 0);
    assert_true(cn_shape_equal(cn_array_shape(field), SHAPE(3, 1)));
    assert_true(cn_array_floats(field)[1] == 1);
    cn_array_free(field);
    assert_int_equal(w.released, 0);
    cn_dataset_free(dataset);
    assert_int_equal(w.released, 1);
}

/* What was on record before a sample was read is neither taken for its failure nor lost. */
static void test_failures_of_functions(void **state)
{
    (void)state;
    witness w = {.status = CN_ERROR_IO};
    cn_dataset_source source = source_of(&w);
    cn_dataset *dataset = cn_dataset_new(&source);
    float value;
    (void)cn__fail(CN_ERROR_IO, "before");
    assert_int_equal(cn_dataset_read(dataset, 1, 0, (void *[]){&value}), CN_ERROR_IO);
    assert_string_equal(cn_error_message(),
                        "a data set's sample 1 cannot be read: input/output error");
    cn_array *field = (cn_array *)&value;
    assert_int_equal(cn_dataset_arrays(dataset, &field), CN_ERROR_IO);
    assert_null(field);

    w.status = CN_OK;
    (void)cn__fail(CN_ERROR_FORMAT, "before");
    assert_int_equal(cn_dataset_read(dataset, 1, 0, (void *[]){&value}), CN_OK);
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
    assert_string_equal(cn_error_message(), "before");
    assert_int_equal(cn_dataset_read(dataset, 3, 0, (void *[]){&value}), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "cn_dataset_read: there is no sample 3: the data set "
                                            "has 3, counted from 0");
    assert_int_equal(cn_dataset_read(dataset, -1, 0, (void *[]){&value}), CN_ERROR_ARGUMENT);
    cn_dataset_free(dataset);
}

/* A source that is refused is released all the same. */
static void check_refused(const cn_dataset_source *source)
{
    witness *w = source->context;
    int released = w->released;
    assert_null(cn_dataset_new(source));
    assert_int_not_equal(cn_error_status(), CN_OK);
    assert_int_equal(w->released, released + 1);
    cn_clear_error();
}

static void test_refused(void **state)
{
    (void)state;
    witness w = {0};
    cn_dataset_source source = source_of(&w);
    source.count = -1;
    check_refused(&source);
    source = source_of(&w);
    source.inputs = 0;
    check_refused(&source);
    source.inputs = 1;
    source.targets = CN_MOST_FIELDS;
    check_refused(&source);
    source = source_of(&w);
    source.read = NULL;
    check_refused(&source);
    source = source_of(&w);
    source.dtypes[0] = (cn_dtype)9;
    check_refused(&source);
    source = source_of(&w);
    source.shapes[0] = cn_shape_of(2, -1);
    check_refused(&source);
    source.shapes[0] = cn_shape_of(1, 1, 1, 1, 1, 1, 1, 1);
    check_refused(&source);
    source.shapes[0] = cn_shape_of(INT64_MAX / 2);
    check_refused(&source);
    assert_null(cn_dataset_new(NULL));
}

static void test_arrays_refused(void **state)
{
    (void)state;
    cn_array *x = inputs(), *y = cn_array_new(CN_INT32, SHAPE(4, 1));
    cn_array *scalar = cn_array_new(CN_FLOAT32, &(cn_shape){0});
    assert_null(cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y)));
    assert_string_equal(cn_error_message(), "cn_dataset_from_arrays: all arrays must have as many "
                                            "rows as the first, 5, but array 1 is (4, 1)");
    assert_null(cn_dataset_from_arrays(cn_arrays(scalar), (cn_array_list){0, NULL}));
    assert_null(cn_dataset_from_arrays((cn_array_list){0, NULL}, cn_arrays(x)));
    cn_clear_error();
    cn_array *missing = cn_array_new(CN_FLOAT32, SHAPE(-1));
    assert_null(cn_dataset_from_arrays(cn_arrays(missing), cn_arrays(y)));
    assert_int_equal(cn_error_status(), CN_ERROR_SHAPE); /* that of the array */
    cn_clear_error();
    assert_null(cn_dataset_part(NULL, 0, 0));
    assert_int_equal(cn_dataset_read(NULL, 0, 0, NULL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_dataset_arrays(NULL, NULL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_dataset_count(NULL), 0);
    assert_int_equal(cn_dataset_inputs(NULL), 0);
    assert_int_equal(cn_dataset_targets(NULL), 0);
    assert_null(cn_dataset_shape(NULL, 0));
    assert_false(cn_dataset_is_slow(NULL));
    cn_dataset_free(NULL);
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(scalar);
}

/* ---- drawn shapes ---- */

static void test_drawn_shapes(void **state)
{
    (void)state;
    enum { count = 6, size = 9, pixels = size * size * 3 };
    cn_array *images, *labels, *fields[2];
    assert_int_equal(cn_drawn_shapes(5, count, size, &images, &labels), CN_OK);
    cn_dataset *dataset = cn_drawn_shapes_dataset(5, count, size);
    assert_int_equal(cn_dataset_arrays(dataset, fields), CN_OK);
    assert_memory_equal(cn_array_floats(fields[0]), cn_array_floats(images),
                        count * pixels * sizeof(float));
    assert_memory_equal(cn_array_ints(fields[1]), cn_array_ints(labels), count * sizeof(int32_t));
    assert_true(cn_shape_equal(cn_array_shape(fields[0]), cn_array_shape(images)));
    assert_true(cn_dataset_is_slow(dataset));
    assert_null(cn_drawn_shapes_dataset(5, count, 7));
    assert_string_equal(cn_error_message(),
                        "cn_drawn_shapes_dataset: the count must not be negative and the size must "
                        "be from 8 to 1024, but received 6 and 7");
    cn_array_free(fields[0]);
    cn_array_free(fields[1]);
    cn_array_free(images);
    cn_array_free(labels);
    cn_dataset_free(dataset);
}

/* ---- memory ---- */

static bool use_all(const cn_array *x, const cn_array *y)
{
    cn_dataset *whole = cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y));
    cn_dataset *part = cn_dataset_part(whole, 1, 2);
    cn_dataset *drawn = part ? cn_drawn_shapes_dataset(1, 1, 8) : NULL;
    cn_array *fields[2] = {NULL, NULL};
    bool done = drawn && cn_dataset_arrays(part, fields) == CN_OK;
    cn_array_free(fields[0]);
    cn_array_free(fields[1]);
    cn_dataset_free(drawn);
    cn_dataset_free(part);
    cn_dataset_free(whole);
    return done;
}

static void test_memory_failures(void **state)
{
    (void)state;
    cn_array *x = inputs(), *y = targets();
    bool done = false;
    for (int k = 0; !done; k++) {
        assert_in_range(k, 0, 20);
        counter c;
        fail_at(&c, k);
        done = use_all(x, y);
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        assert_int_equal(c.alive, 0);
        cn_set_allocator(NULL);
    }
    cn_array_free(x);
    cn_array_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_failures_of_functions),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_arrays_refused),
        cmocka_unit_test(test_drawn_shapes),
        cmocka_unit_test_teardown(test_memory_failures, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
