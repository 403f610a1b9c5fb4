/* Transposing, padding and joining, element by element. */
#include "support/compare.h"

#include "cornu/ops.h"

static int setup(void **state)
{
    (void)state;
    test_seed();
    return 0;
}

static cn_shape random_shape(int64_t most_extent)
{
    cn_shape shape = {.rank = (int)test_int(0, 5)};
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = test_int(0, 4) == 0 ? 1 : test_int(0, most_extent);
    return shape;
}

/* The position of element `index` of an array of `shape`, axis by axis. */
static void position_of(const cn_shape *shape, int64_t index, int64_t *position)
{
    for (int i = shape->rank - 1; i >= 0; i--) {
        position[i] = index % shape->dim[i];
        index /= shape->dim[i];
    }
}

static int64_t index_of(const cn_shape *shape, const int64_t *position)
{
    int64_t index = 0;
    for (int i = 0; i < shape->rank; i++)
        index = index * shape->dim[i] + position[i];
    return index;
}

/* ---- transpose ---- */

static void check_transpose(const cn_shape *shape, const int *order, cn_pool *pool)
{
    int64_t count = cn_shape_count(shape), position[CN_MAX_RANK], from[CN_MAX_RANK];
    float *in = test_floats(count), *out = test_floats(count);
    cn_shape turned = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++)
        turned.dim[i] = shape->dim[order[i]];
    assert_int_equal(cn_transpose_f32(shape, order, in, out, pool), CN_OK);
    for (int64_t i = 0; i < count; i++) {
        position_of(&turned, i, position);
        for (int j = 0; j < shape->rank; j++)
            from[order[j]] = position[j];
        if (out[i] != in[index_of(shape, from)])
            fail_msg("element %lld of the transposed array is wrong", (long long)i);
    }
    free(in);
    free(out);
}

static void transposes(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 1500; round++) {
        cn_shape shape = random_shape(round % 100 ? 6 : 11);
        int order[CN_MAX_RANK];
        for (int i = 0; i < shape.rank; i++) {
            int j = (int)test_int(0, i);
            order[i] = order[j];
            order[j] = i;
        }
        check_transpose(&shape, order, pool);
    }
    const cn_shape image = cn_shape_of(2, 61, 67, 35), matrix = cn_shape_of(1100, 70);
    check_transpose(&image, (int[]){0, 3, 1, 2}, pool);
    check_transpose(&image, (int[]){0, 2, 3, 1}, pool);
    check_transpose(&image, (int[]){2, 0, 1, 3}, pool);
    check_transpose(&image, (int[]){3, 2, 1, 0}, pool);
    check_transpose(&matrix, (int[]){1, 0}, pool);
    cn_pool_free(pool);
    assert_int_equal(cn_transpose_f32(&matrix, (int[]){1, 1}, NULL, NULL, NULL), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "cn_transpose_f32: the order must name each of the 2 "
                                            "axes once, but its entry 1 is 1");
}

/* ---- pad ---- */

static void check_pad(const cn_shape *shape, const int64_t *before, const int64_t *after,
                      cn_pool *pool)
{
    cn_shape padded = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++)
        padded.dim[i] = shape->dim[i] + before[i] + after[i];
    int64_t count = cn_shape_count(&padded), position[CN_MAX_RANK];
    float *in = test_floats(cn_shape_count(shape)), *out = test_floats(count);
    assert_int_equal(cn_pad_f32(shape, before, after, 7.5f, in, out, pool), CN_OK);
    for (int64_t i = 0; i < count; i++) {
        position_of(&padded, i, position);
        bool inside = true;
        for (int j = 0; j < shape->rank; j++) {
            position[j] -= before[j];
            inside = inside && position[j] >= 0 && position[j] < shape->dim[j];
        }
        float exact = inside ? in[index_of(shape, position)] : 7.5f;
        if (out[i] != exact)
            fail_msg("element %lld of the padded array is wrong", (long long)i);
    }
    free(in);
    free(out);
}

static void pads(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 2000; round++) {
        cn_shape shape = random_shape(6);
        int64_t before[CN_MAX_RANK], after[CN_MAX_RANK];
        for (int i = 0; i < shape.rank; i++) {
            bool none = test_int(0, 2) == 0;
            before[i] = none ? 0 : test_int(-4, 4);
            after[i] = none ? 0 : test_int(-4, 4);
            if (shape.dim[i] + before[i] + after[i] < 0)
                after[i] = -before[i];
        }
        check_pad(&shape, before, after, pool);
    }
    cn_shape image = cn_shape_of(2, 50, 50, 17);
    check_pad(&image, (int64_t[]){0, 1, 2, 0}, (int64_t[]){0, 3, -4, 0}, pool);
    cn_pool_free(pool);
    /* nothing of the input is left, on either side */
    cn_shape small = cn_shape_of(3, 2);
    float out[6] = {0}, in[6] = {1, 1, 1, 1, 1, 1};
    assert_int_equal(
        cn_pad_f32(&small, (int64_t[]){INT64_MAX, 0}, (int64_t[]){-INT64_MAX, 0}, 5, in, out, NULL),
        CN_OK);
    assert_true(out[0] == 5 && out[5] == 5);
    assert_int_equal(
        cn_pad_f32(&small, (int64_t[]){-INT64_MAX, 0}, (int64_t[]){INT64_MAX, 0}, 6, in, out, NULL),
        CN_OK);
    assert_true(out[0] == 6 && out[5] == 6);
    assert_int_equal(cn_pad_f32(&image, (int64_t[]){0, -30, 0, 0}, (int64_t[]){0, -21, 0, 0}, 0,
                                NULL, NULL, NULL),
                     CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "cn_pad_f32: -30 cells before and -21 after leave less "
                                            "than nothing of the 50 of axis 1");
}

/* ---- concatenate ---- */

static void check_join(cn_shape *shapes, int count, int axis, cn_pool *pool)
{
    float *in[4];
    cn_shape joined = shapes[0];
    joined.dim[axis] = 0;
    for (int i = 0; i < count; i++) {
        joined.dim[axis] += shapes[i].dim[axis];
        in[i] = test_floats(cn_shape_count(&shapes[i]));
    }
    int64_t total = cn_shape_count(&joined), position[CN_MAX_RANK];
    float *out = test_floats(total);
    assert_int_equal(cn_concatenate_f32(count, shapes, (const float *const *)in, axis, out, pool),
                     CN_OK);
    for (int64_t i = 0; i < total; i++) {
        int from = 0;
        position_of(&joined, i, position);
        while (position[axis] >= shapes[from].dim[axis])
            position[axis] -= shapes[from++].dim[axis];
        if (out[i] != in[from][index_of(&shapes[from], position)])
            fail_msg("element %lld of the joined array is wrong", (long long)i);
    }
    for (int i = 0; i < count; i++)
        free(in[i]);
    free(out);
}

static void joins(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 1000; round++) {
        cn_shape shapes[4], like = random_shape(round % 100 ? 6 : 20);
        int count = (int)test_int(1, 4);
        if (like.rank == 0)
            continue;
        int axis = (int)test_int(0, like.rank - 1);
        for (int i = 0; i < count; i++) {
            shapes[i] = like;
            shapes[i].dim[axis] = test_int(0, 9);
        }
        check_join(shapes, count, axis, pool);
    }
    cn_pool_free(pool);
    const cn_shape wrong[] = {cn_shape_of(2, 3), cn_shape_of(2, 4)};
    assert_int_equal(cn_concatenate_f32(2, wrong, NULL, 0, NULL, NULL), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "cn_concatenate_f32: shapes may differ in axis 0 alone, but input 0 is "
                        "(2, 3) and input 1 is (2, 4)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposes),
        cmocka_unit_test(pads),
        cmocka_unit_test(joins),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
