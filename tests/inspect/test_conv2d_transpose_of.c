/* A tied transposed convolution is the adjoint of its convolution: <conv(x), y> = <x, back(y)>, for
 * every way a convolution can lie; and the other way round. */
#include "inspect/arrays.h"

static double dot(const cn_array *a, const cn_array *b)
{
    double sum = 0;
    assert_true(cn_shape_equal(cn_array_shape(a), cn_array_shape(b)));
    for (int64_t i = 0; i < cn_array_count(a); i++)
        sum += (double)cn_array_const_floats(a)[i] * (double)cn_array_const_floats(b)[i];
    return sum;
}

/* Takes the layer over. `shape` is that of x with the batch. */
static void check_adjoint(const char *what, cn_layer *layer, cn_shape shape)
{
    cn_tensor *input = cn_op_input(CN_FLOAT32, &shape, NULL);
    cn_tensor *maps = cn_apply(layer, input);
    if (!maps)
        fail_msg("%s: %s", what, cn_error_message());
    cn_tensor *back = cn_apply(cn_conv2d_transpose_of(layer), maps);
    if (!back)
        fail_msg("%s: %s", what, cn_error_message());
    assert_true(cn_shape_equal(cn_tensor_shape(back), &shape));
    cn_array *x = drawn_array(shape, 1), *y = drawn_array(*cn_tensor_shape(maps), 2);
    cn_function *forth = cn_function_new(cn_tensors(input), cn_tensors(maps));
    cn_array *forward = NULL;
    assert_int_equal(cn_function_run(forth, (const cn_array *const *)&x, &forward, false, NULL),
                     CN_OK);
    cn_array *backward = result_of(maps, back, y);
    double one = dot(forward, y), other = dot(x, backward);
    if (!(fabs(one - other) <= 1e-5 * (1 + fabs(one))))
        fail_msg("%s: %.9g is not %.9g", what, one, other);
    cn_function_free(forth);
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(forward);
    cn_array_free(backward);
}

#define BARE .use_bias = CN_FALSE

static void test_of_convolutions(void **state)
{
    (void)state;
    check_adjoint("same", cn_conv2d(4, {3, 3}, .padding = CN_SAME, BARE), cn_shape_of(2, 7, 6, 3));
    check_adjoint("valid", cn_conv2d(4, {3, 2}, BARE), cn_shape_of(2, 7, 6, 3));
    check_adjoint("stride 2, odd", cn_conv2d(4, {3, 3}, {2, 2}, .padding = CN_SAME, BARE),
                  cn_shape_of(1, 7, 9, 3));
    check_adjoint("stride 2, even", cn_conv2d(4, {3, 3}, {2, 2}, .padding = CN_SAME, BARE),
                  cn_shape_of(1, 8, 10, 3));
    check_adjoint("stride 3 above the kernel", cn_conv2d(4, {2, 2}, {3, 3}, BARE),
                  cn_shape_of(1, 10, 7, 3));
    check_adjoint("Theano", cn_conv2d(4, {3, 3}, {2, 2}, .padding = CN_SAME_THEANO, BARE),
                  cn_shape_of(1, 8, 7, 3));
    check_adjoint("dilation", cn_conv2d(4, {3, 3}, .dilation_rate = {2, 1}, BARE),
                  cn_shape_of(1, 9, 8, 3));
    check_adjoint("groups", cn_conv2d(6, {3, 3}, .groups = 3, .padding = CN_SAME, BARE),
                  cn_shape_of(1, 5, 5, 6));
    check_adjoint("channels first",
                  cn_conv2d(4, {3, 3}, {2, 1}, .data_format = CN_CHANNELS_FIRST, BARE),
                  cn_shape_of(2, 3, 8, 6));
    check_adjoint("1-D", cn_conv1d(4, {5}, {2}, .padding = CN_SAME, BARE), cn_shape_of(2, 11, 3));
    check_adjoint("3-D", cn_conv3d(4, {3, 2, 3}, {2}, BARE), cn_shape_of(1, 6, 5, 7, 2));
}

static void test_of_transposed_convolutions(void **state)
{
    (void)state;
    check_adjoint("same", cn_conv2d_transpose(3, {3, 3}, {2, 2}, .padding = CN_SAME, BARE),
                  cn_shape_of(2, 4, 5, 4));
    check_adjoint("valid", cn_conv2d_transpose(3, {4, 2}, {2, 3}, BARE), cn_shape_of(1, 4, 5, 4));
    check_adjoint("output_padding",
                  cn_conv2d_transpose(3, {3, 5}, {3, 2}, .padding = CN_SAME,
                                      .output_padding = {2, CN_ZERO}, BARE),
                  cn_shape_of(1, 4, 5, 4));
    check_adjoint("1-D", cn_conv1d_transpose(3, {8}, {4}, .padding = CN_SAME, BARE),
                  cn_shape_of(1, 6, 2));
}

/* Bias and activation are left out, and the kernel is the convolution's at any time. */
static void test_follows_the_kernel(void **state)
{
    (void)state;
    cn_tensor *input = cn_input_tensor({4, 4, 1});
    cn_layer *conv = cn_conv2d(1, {1, 1}, .activation = "relu", .bias_initializer = "ones");
    cn_tensor *maps = cn_apply(conv, input);
    cn_tensor *back = cn_apply(cn_conv2d_transpose_of(conv), maps);
    cn_shape one = cn_shape_of(1, 1, 1, 1), shape = cn_shape_of(1, 4, 4, 1);
    cn_array *y = drawn_array(shape, 3);
    cn_function *function = cn_function_new(cn_tensors(maps), cn_tensors(back));
    for (float kernel = 2; kernel > -4; kernel -= 3) {
        cn_array *x = NULL;
        set_weight(conv, 0, cn_array_from(&one, &kernel));
        assert_int_equal(cn_function_run(function, (const cn_array *const *)&y, &x, false, NULL),
                         CN_OK);
        for (int i = 0; i < 16; i++)
            assert_float_equal(cn_array_const_floats(x)[i], kernel * cn_array_const_floats(y)[i],
                               1e-6f);
        cn_array_free(x);
    }
    cn_function_free(function);
    cn_array_free(y);
}

static void test_unknown_and_other_sizes_follow_keras(void **state)
{
    (void)state;
    cn_tensor *input = cn_input_tensor({-1, -1, 3});
    cn_layer *conv = cn_conv2d(4, {3, 3}, {2, 2}, .padding = CN_SAME);
    cn_tensor *result = cn_apply(conv, input);
    cn_tensor *back = cn_apply(cn_conv2d_transpose_of(conv), result);
    cn_shape unknown = cn_shape_of(-1, -1, -1, 3), fixed = cn_shape_of(1, 20, 12, 3);
    assert_true(cn_shape_equal(cn_tensor_shape(back), &unknown));
    cn_shape maps = cn_shape_of(1, 10, 6, 4);
    cn_tensor *other = cn_apply(cn_conv2d_transpose_of(conv), cn_op_input(CN_FLOAT32, &maps, NULL));
    assert_true(cn_shape_equal(cn_tensor_shape(other), &fixed));
    cn_tensor_release(other);
    cn_tensor_release(back);
}

static void expect_refused(cn_layer *layer, const char *message)
{
    cn_clear_error();
    assert_null(cn_conv2d_transpose_of(layer));
    assert_string_equal(cn_error_message(), message);
}

static void test_refused(void **state)
{
    (void)state;
    cn_layer *dense = cn_dense(3, .name = "d"), *fresh = cn_conv2d(3, {3, 3}, .name = "c");
    expect_refused(dense, "cn_conv2d_transpose_of: takes a layer Conv1D, Conv2D, Conv3D or their "
                          "Transpose, but d is a Dense");
    expect_refused(fresh, "cn_conv2d_transpose_of: c (Conv2D) has no kernel yet: apply it first");
    cn_layer_free(dense);
    cn_layer_free(fresh);
    cn_tensor *input = cn_input_tensor({8, 2});
    cn_layer *causal = cn_conv1d(3, {3}, .padding = CN_CAUSAL, .name = "k");
    assert_non_null(cn_apply(causal, input));
    expect_refused(causal, "cn_conv2d_transpose_of: k (Conv1D) has padding `causal`; `valid` and "
                           "`same` have a transposed convolution");
    cn_tensor_release(input);
    cn_clear_error();
    assert_null(cn_conv2d_transpose_of(NULL));
    assert_int_equal(cn_error_status(), CN_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_convolutions),
        cmocka_unit_test(test_of_transposed_convolutions),
        cmocka_unit_test(test_follows_the_kernel),
        cmocka_unit_test(test_unknown_and_other_sizes_follow_keras),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
