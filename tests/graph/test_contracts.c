/* What the graph promises at its edges: the same tensor twice, graphs that are joined late, missing
 * arguments, number types, unknown, empty and too large extents. */
#include "graph/small.h"

static const cn_function1 relu = {CN_RELU, {0, INFINITY, 0}};

/* ---- inputs and outputs ---- */

/* One tensor may be input and output, and be named more than once. */
static void test_same_tensor(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1)), *y = cn_op_unary(x, relu);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(x, y, y, x));
    cn_shape shape = cn_shape_of(2);
    cn_array *in = cn_array_from(&shape, (float[]){-1, 2}), *out[4];
    assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, out, false, NULL), CN_OK);
    for (int i = 0; i < 4; i++) {
        assert_values(out[i], shape, i % 3 == 0 ? (float[]){-1, 2} : (float[]){0, 2});
        cn_array_free(out[i]);
    }
    cn_array_free(in);
    cn_function_free(f);
}

/* Values that lie in one piece of memory, all of them outputs: none is overwritten by a later step
 * that could work in place. */
static void test_aliases_of_outputs(void **state)
{
    (void)state;
    cn_shape flat = cn_shape_of(4), shape = cn_shape_of(2, 2);
    cn_tensor *x = input(shape), *y = cn_op_unary(x, relu);
    cn_tensor *z = cn_op_reshape(y, &flat);
    cn_tensor *negative = cn_op_unary(z, (cn_function1){CN_AFFINE, {-1, 0, 0}});
    cn_tensor *sum = cn_op_binary(CN_ADD, negative, negative);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(z, sum, y));
    cn_array *in = cn_array_from(&shape, (float[]){-1, 2, 3, -4}), *out[3];
    assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, out, false, NULL), CN_OK);
    assert_values(out[0], flat, (float[]){0, 2, 3, 0});
    assert_values(out[1], flat, (float[]){0, -4, -6, 0});
    assert_values(out[2], shape, (float[]){0, 2, 3, 0});
    for (int i = 0; i < 3; i++)
        cn_array_free(out[i]);
    cn_array_free(in);
    cn_function_free(f);
}

static void test_no_inputs(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2);
    cn__variable *weight = cn__variable_new(cn_array_from(&shape, (float[]){1, -2}));
    cn_tensor *x = input(shape), *y = NULL;
    y = cn_op_unary(cn__variable_tensor(x, weight, "weight"), relu);
    cn_array *out;
    assert_int_equal(run(none, y, NULL, &out), CN_OK);
    assert_values(out, shape, (float[]){1, 0});
    cn_array_free(out);
    cn__variable_release(weight);
}

/* A function holds every graph that its tensors are in, and follows it into later joins. */
static void test_graphs(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(2)), *apart = input(cn_shape_of(2));
    cn_tensor *three = cn_op_number(apart, 3), *y = cn_op_unary(x, relu);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y, three));
    cn_tensor_release(apart);
    cn_tensor *late = input(cn_shape_of(2));
    cn_function *g = cn_function_new(cn_tensors(late), cn_tensors(late));
    cn_tensor *sum = cn_op_binary(CN_ADD, late, y);
    cn_function *h = cn_function_new(cn_tensors(late, x), cn_tensors(sum));
    cn_function_free(g);
    cn_shape shape = cn_shape_of(2), scalar = {0};
    cn_array *in = cn_array_from(&shape, (float[]){-1, 2}), *out[2];
    assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, out, false, NULL), CN_OK);
    assert_values(out[0], shape, (float[]){0, 2});
    assert_values(out[1], scalar, (float[]){3});
    cn_array_free(out[0]);
    cn_array_free(out[1]);
    cn_function_free(f);
    assert_int_equal(cn_function_run(h, (const cn_array *[]){in, in}, out, false, NULL), CN_OK);
    assert_values(out[0], shape, (float[]){-1, 4});
    cn_array_free(out[0]);
    cn_array_free(in);
    cn_function_free(h);
}

static void test_missing_arguments(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(1, 2, 2, 1));
    cn_clear_error();
    assert_null_with(cn_op_input(CN_FLOAT32, NULL, "x"), CN_ERROR_ARGUMENT,
                     "input: an argument is NULL");
    assert_null_with(cn_op_conv(x, x, NULL), CN_ERROR_ARGUMENT, "conv: an argument is NULL");
    assert_null_with(cn_op_max_pool(x, NULL, NULL), CN_ERROR_ARGUMENT,
                     "max_pool: an argument is NULL");
    assert_null_with(cn_op_average_pool(x, NULL), CN_ERROR_ARGUMENT,
                     "average_pool: an argument is NULL");
    assert_null_with(cn_op_resize(x, NULL), CN_ERROR_ARGUMENT, "resize: an argument is NULL");
    assert_null_with(cn_op_reshape(x, NULL), CN_ERROR_ARGUMENT, "reshape: an argument is NULL");
    assert_null_with(cn_op_transpose(x, NULL), CN_ERROR_ARGUMENT, "transpose: an argument is NULL");
    assert_null_with(cn_op_pad(x, NULL, NULL, 0), CN_ERROR_ARGUMENT, "pad: an argument is NULL");
    assert_null_with(cn_op_concatenate(none, 0), CN_ERROR_ARGUMENT,
                     "concatenate: takes 1 to 64 inputs, not 0");
    assert_null_with(cn_op_unary(x, (cn_function1){.op = CN_UNARY_COUNT}), CN_ERROR_ARGUMENT,
                     "unary: there is no function 35");
    assert_null_with(cn_op_binary(CN_BINARY_COUNT, x, x), CN_ERROR_ARGUMENT,
                     "binary: there is no operation 10");
    assert_null_with(cn_op_reduce((cn_reduction)3, x, 1, false), CN_ERROR_ARGUMENT,
                     "reduce: there is no reduction 3");
    assert_null(cn_tensor_shape(NULL));
    assert_string_equal(cn_tensor_name(NULL), "");
    cn_tensor_release(x);
}

/* ---- number types ---- */

static void test_int32(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2, 2);
    cn_tensor *k = cn_op_input(CN_INT32, &shape, "labels"), *x = input(shape);
    cn_clear_error();
    assert_null_with(cn_op_unary(k, relu), CN_ERROR_ARGUMENT,
                     "unary: the input 'labels' holds int32 numbers, but float32 is needed");
    assert_null_with(cn_op_binary(CN_ADD, x, k), CN_ERROR_ARGUMENT,
                     "binary: the input 'labels' holds int32 numbers, but float32 is needed");
    cn_tensor *turned = cn_op_transpose(k, (const int[]){1, 0});
    assert_int_equal(cn_tensor_dtype(turned), CN_INT32);
    cn_array *y;
    cn_array *in = integers(shape, (const int32_t[]){1, 2, 3, 4});
    assert_int_equal(run(cn_tensors(k), turned, &in, &y), CN_OK);
    assert_int_equal(cn_array_const_ints(y)[1], 3);
    cn_array_free(y);
    cn_tensor_release(x);
}

/* ---- shapes ---- */

/* Reshapes of reshapes on an empty batch: there an extent of 0 is not "as before". */
static void test_empty(void **state)
{
    (void)state;
    cn_shape cut = cn_shape_of(-1, 2, 2), joined = cn_shape_of(2, -1);
    cn_tensor *x = input(cn_shape_of(-1, 4));
    cn_tensor *y = cn_op_reshape(cn_op_reshape(x, &cut), &joined);
    cn_array *out;
    if (run(cn_tensors(x), y, (cn_array *[]){numbers(cn_shape_of(0, 4))}, &out) != CN_OK)
        fail_msg("%s", cn_error_message());
    assert_values(out, cn_shape_of(2, 0), NULL);
    cn_array_free(out);
}

/* A batch of nothing through steps of every kind; sums over nothing are 0. */
static void test_empty_batch(void **state)
{
    (void)state;
    cn_shape channels = cn_shape_of(2);
    cn_tensor *x = input(cn_shape_of(-1, 4, 4, 2)), *weight = input(channels), *gradient;
    cn_tensor *y = cn_op_batch_norm(x, weight, weight, weight, weight,
                                    &(cn_batch_norm_options){.epsilon = 2}, NULL, NULL);
    y = cn_op_max_pool(y, &(cn_pool_options){.rank = 2, .window = {2, 2}}, NULL);
    y = cn_op_resize(y, &(cn_resize_options){.rank = 2, .factor = {2, 2}});
    y = cn_op_softmax(cn_op_dropout(y, 0.5f, 0, 1), -1, false);
    y = cn_op_concatenate(cn_tensors(y, x), -1);
    assert_int_equal(cn_gradients(cn_tensors(cn_op_reduce(CN_SUM, y, 15, false)), none,
                                  cn_tensors(weight), CN_GRADIENT, &gradient),
                     CN_OK);
    cn_function *f = cn_function_new(cn_tensors(x, weight), cn_tensors(y, gradient));
    cn_array *in[] = {numbers(cn_shape_of(0, 4, 4, 2)), numbers(channels)}, *out[2];
    if (cn_function_run(f, (const cn_array *const *)in, out, false, NULL) != CN_OK)
        fail_msg("%s", cn_error_message());
    assert_values(out[0], cn_shape_of(0, 4, 4, 4), NULL);
    assert_values(out[1], channels, (float[]){0, 0});
    for (int i = 0; i < 2; i++) {
        cn_array_free(in[i]);
        cn_array_free(out[i]);
    }
    cn_function_free(f);
}

/* A convolution needs an image. */
static void test_no_images(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, 4, 1)), *kernel = input(cn_shape_of(2, 1, 1));
    cn_tensor *y = cn_op_conv(x, kernel, &(cn_conv_options){.rank = 1});
    cn_array *out, *in[] = {numbers(cn_shape_of(0, 4, 1)), numbers(cn_shape_of(2, 1, 1))};
    assert_fails(run(cn_tensors(x, kernel), y, in, &out), CN_ERROR_SHAPE,
                 "conv1d: batch must be from 1 to 1099511627775, but received 0");
    assert_null(out);
}

/* An output size is known before the input's extents are, and is checked against them. */
static void test_output_size_of_unknown(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, -1, 1)), *kernel = input(cn_shape_of(2, 1, 1));
    cn_clear_error();
    cn_tensor *y = cn_op_conv(
        x, kernel,
        &(cn_conv_options){.transposed = true, .rank = 1, .stride = {2}, .output_size = {5}});
    if (y == NULL)
        fail_msg("%s", cn_error_message());
    assert_int_equal(cn_tensor_shape(y)->dim[1], 5);
    cn_array *out, *in = cn_array_from(&(cn_shape){3, {1, 2, 1}}, (float[]){1, 2});
    cn_array *weights = cn_array_from(cn_tensor_shape(kernel), (float[]){1, 10});
    assert_int_equal(run(cn_tensors(x, kernel), y, (cn_array *[]){in, weights}, &out), CN_OK);
    assert_values(out, cn_shape_of(1, 5, 1), (float[]){1, 10, 2, 20, 0});
    cn_array_free(out);
}

static void test_wrong_output_size(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, -1, 1)), *kernel = input(cn_shape_of(2, 1, 1));
    cn_tensor *y = cn_op_conv(
        x, kernel,
        &(cn_conv_options){.transposed = true, .rank = 1, .stride = {2}, .output_size = {5}});
    cn_array *out;
    assert_fails(run(cn_tensors(x, kernel), y,
                     (cn_array *[]){numbers(cn_shape_of(1, 4, 1)), numbers(cn_shape_of(2, 1, 1))},
                     &out),
                 CN_ERROR_SHAPE,
                 "conv1d_transpose: an output of 5 steps does not fit an input of 4 with kernel 2, "
                 "stride 2, dilation 1 and padding `valid`: 8 to 9 would fit");
    assert_null(out);
}

static void test_groups(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, 5, 4)), *kernel = input(cn_shape_of(3, 2, 5));
    cn_clear_error();
    assert_null_with(cn_op_conv(x, kernel, &(cn_conv_options){.rank = 1, .groups = 2}),
                     CN_ERROR_SHAPE,
                     "conv1d: 2 groups do not divide the last axis of the kernel (3, 2, 5)");
    assert_null_with(cn_op_conv(x, kernel, &(cn_conv_options){.rank = 1, .groups = -1}),
                     CN_ERROR_SHAPE, "conv1d: groups must be at least 1, not -1");
    cn_tensor_release(x);
    cn_tensor_release(kernel);
}

/* Elements whose bytes would not fit a size. */
static void test_too_large(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1));
    const int64_t before = 0, after = (INT64_C(1) << 62) - 1;
    cn_tensor *y = cn_op_reduce(CN_SUM, cn_op_pad(x, &before, &after, 0), 1, false);
    cn_array *out;
    assert_fails(run(cn_tensors(x), y, (cn_array *[]){numbers(cn_shape_of(1))}, &out),
                 CN_ERROR_SHAPE,
                 "function: the shape (4611686018427387904,) of 'pad' must be known in full and "
                 "have below 2^40 elements");
}

static void test_overflow(void **state)
{
    (void)state;
    int64_t huge = INT64_MAX / 2 + 1;
    cn_tensor *x = input(cn_shape_of(1, huge));
    cn_clear_error();
    assert_null_with(cn_op_concatenate(cn_tensors(x, x), 1), CN_ERROR_SHAPE,
                     "concatenate: the result is too large");
    assert_null_with(cn_op_pad(x, (const int64_t[]){0, huge}, (const int64_t[]){0, 0}, 0),
                     CN_ERROR_SHAPE, "pad: the result is too large");
    cn_shape open = cn_shape_of(huge, huge, -1);
    assert_null_with(cn_op_reshape(x, &open), CN_ERROR_SHAPE,
                     "reshape: (1, 4611686018427387904) does not have the number of elements of "
                     "(4611686018427387904, 4611686018427387904, None)");
    cn_tensor_release(x);
}

static void test_resize(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(1, -1, 1));
    cn_tensor *y = cn_op_resize(
        x, &(cn_resize_options){.rank = 1, .size = {3}, .interpolation = CN_BILINEAR_THEANO});
    cn_array *out;
    assert_fails(run(cn_tensors(x), y, (cn_array *[]){numbers(cn_shape_of(1, 2, 1))}, &out),
                 CN_ERROR_SHAPE,
                 "resizing: Theano's bilinear interpolation takes whole factors, but axis 0 goes "
                 "from 2 to 3");
    x = input(cn_shape_of(1, -1, 1));
    y = cn_op_resize(x, &(cn_resize_options){.rank = 1, .size = {3}});
    assert_fails(run(cn_tensors(x), y, (cn_array *[]){numbers(cn_shape_of(1, 0, 1))}, &out),
                 CN_ERROR_SHAPE,
                 "resizing: axis 0 of extent 0 cannot become 3: extents go from 1 to 2^31 - 1");
}

int main(void)
{
    test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tensor),
        cmocka_unit_test(test_aliases_of_outputs),
        cmocka_unit_test(test_no_inputs),
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_missing_arguments),
        cmocka_unit_test(test_int32),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_empty_batch),
        cmocka_unit_test(test_no_images),
        cmocka_unit_test(test_output_size_of_unknown),
        cmocka_unit_test(test_wrong_output_size),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_resize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
