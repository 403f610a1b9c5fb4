/* The conventions of padding, output extents and counts, and the text of every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cornu/ops.h"

#include <stdio.h>
#include <string.h>

enum { NONE = -1 }; /* Keras' output_padding=None */

/* Worked out by hand from Keras' rules: one axis a row. */
static const struct {
    int64_t in, kernel, stride, dilation;
    cn_padding padding;
    int64_t out, before;
} forward_cases[] = {
    {8, 3, 1, 1, CN_VALID, 6, 0},       {8, 3, 2, 1, CN_VALID, 3, 0},
    {8, 3, 1, 2, CN_VALID, 4, 0},       {5, 5, 3, 1, CN_VALID, 1, 0},
    {8, 3, 1, 1, CN_SAME, 8, 1},        {8, 3, 2, 1, CN_SAME, 4, 0},
    {9, 3, 2, 1, CN_SAME, 5, 1},        {8, 4, 1, 1, CN_SAME, 8, 1},
    {8, 1, 3, 1, CN_SAME, 3, 0},        {7, 5, 2, 1, CN_SAME, 4, 2},
    {8, 3, 1, 3, CN_SAME, 8, 3},        {8, 3, 1, 1, CN_CAUSAL, 8, 2},
    {8, 3, 1, 4, CN_CAUSAL, 8, 8},      {8, 3, 3, 1, CN_CAUSAL, 3, 2},
    {8, 3, 2, 1, CN_SAME_THEANO, 4, 1}, {8, 4, 1, 1, CN_SAME_THEANO, 8, 2},
    {8, 3, 1, 3, CN_SAME_THEANO, 8, 3},
};

static const struct {
    int64_t in, kernel, stride, dilation;
    cn_padding padding;
    int64_t output_padding, out, before;
} transpose_cases[] = {
    {32, 3, 1, 1, CN_SAME, NONE, 32, 1},       {32, 3, 2, 1, CN_SAME, NONE, 64, 0},
    {32, 3, 2, 1, CN_SAME, 0, 63, 1},          {32, 3, 2, 1, CN_SAME, 1, 64, 0},
    {32, 4, 2, 1, CN_SAME, NONE, 64, 1},       {32, 4, 2, 1, CN_SAME, 0, 62, 2},
    {16, 5, 2, 1, CN_SAME, NONE, 32, 1},       {4, 2, 3, 1, CN_SAME, NONE, 12, 0},
    {4, 5, 3, 1, CN_SAME, 2, 12, 1},           {5, 3, 1, 2, CN_SAME, NONE, 5, 2},
    {32, 3, 1, 1, CN_VALID, NONE, 34, 0},      {5, 3, 2, 1, CN_VALID, NONE, 11, 0},
    {5, 1, 2, 1, CN_VALID, NONE, 10, 0},       {5, 1, 2, 1, CN_VALID, 0, 9, 0},
    {5, 3, 2, 1, CN_VALID, 1, 12, 0},          {5, 3, 1, 3, CN_VALID, NONE, 11, 0},
    {5, 3, 2, 1, CN_SAME_THEANO, NONE, 10, 1}, {4, 3, 2, 1, CN_SAME_THEANO, 0, 7, 1},
    {5, 5, 3, 1, CN_SAME_THEANO, 1, 14, 2},    {5, 3, 1, 3, CN_SAME_THEANO, NONE, 5, 3},
};

static cn_conv line(int64_t in, int64_t kernel, int64_t stride, int64_t dilation)
{
    return (cn_conv){.rank = 1,
                     .batch = 1,
                     .in_channels = 1,
                     .out_channels = 1,
                     .in = {in},
                     .kernel = {kernel},
                     .stride = {stride},
                     .dilation = {dilation}};
}

static void test_keras_padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forward_cases / sizeof *forward_cases; i++) {
        cn_conv conv = line(forward_cases[i].in, forward_cases[i].kernel, forward_cases[i].stride,
                            forward_cases[i].dilation);
        assert_int_equal(cn_conv_pad_keras(&conv, forward_cases[i].padding), CN_OK);
        assert_int_equal(conv.out[0], forward_cases[i].out);
        assert_int_equal(conv.before[0], forward_cases[i].before);
        assert_int_equal(cn_conv_check(&conv, false), CN_OK);
    }
}

static void test_keras_transpose_padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof transpose_cases / sizeof *transpose_cases; i++) {
        cn_conv conv = line(transpose_cases[i].in, transpose_cases[i].kernel,
                            transpose_cases[i].stride, transpose_cases[i].dilation);
        const int64_t *extra =
            transpose_cases[i].output_padding == NONE ? NULL : &transpose_cases[i].output_padding;
        assert_int_equal(cn_conv_transpose_pad_keras(&conv, transpose_cases[i].padding, extra),
                         CN_OK);
        assert_int_equal(conv.out[0], transpose_cases[i].out);
        assert_int_equal(conv.before[0], transpose_cases[i].before);
        assert_int_equal(cn_conv_check(&conv, true), CN_OK);
    }
}

/* Where a size has a convolution that leads back, asking for it gives the same crop. */
static void test_output_size(void **state)
{
    (void)state;
    for (int64_t in = 1; in <= 5; in++)
        for (int64_t kernel = 1; kernel <= 5; kernel++)
            for (int64_t stride = 1; stride <= 4; stride++)
                for (int64_t size = 1; size <= 24; size++)
                    for (cn_padding padding = CN_VALID; padding <= CN_SAME; padding++) {
                        cn_conv back = line(size, kernel, stride, 1),
                                conv = line(in, kernel, stride, 1);
                        bool leads_back =
                            cn_conv_pad_keras(&back, padding) == CN_OK && back.out[0] == in;
                        cn_status status = cn_conv_transpose_out(&conv, padding, &size);
                        assert_int_equal(status, leads_back ? CN_OK : CN_ERROR_SHAPE);
                        if (status != CN_OK)
                            continue;
                        assert_int_equal(conv.out[0], size);
                        assert_int_equal(conv.before[0], back.before[0]);
                        conv = cn_conv_adjoint(&conv);
                        assert_int_equal(conv.in[0], size);
                        assert_int_equal(conv.out[0], in);
                    }
}

static void test_explicit_padding(void **state)
{
    (void)state;
    cn_conv conv = {
        .rank = 2, .in = {7, 8}, .kernel = {3, 3}, .stride = {2, 1}, .dilation = {1, 2}};
    assert_int_equal(cn_conv_pad(&conv, (int64_t[]){1, 2}, (int64_t[]){1, -1}), CN_OK);
    assert_int_equal(conv.out[0], 4);
    assert_int_equal(conv.out[1], 5);
    assert_int_equal(conv.before[0], 1);
    assert_int_equal(conv.before[1], 2);
    assert_int_equal(cn_conv_pad(&conv, NULL, NULL), CN_OK);
    assert_int_equal(conv.out[0], 3);
    assert_int_equal(conv.out[1], 4);
    int64_t one[] = {1, 1}, extra[] = {1, 0};
    assert_int_equal(cn_conv_transpose_pad(&conv, one, one, extra), CN_OK);
    assert_int_equal(conv.out[0], 14); /* PyTorch: (7 - 1) * 2 - 2 + 2 + 1 + 1 */
    assert_int_equal(conv.out[1], 10);
    assert_int_equal(conv.before[0], 1);
}

static void test_counts(void **state)
{
    (void)state;
    cn_conv conv = {.rank = 2,
                    .batch = 2,
                    .in_channels = 6,
                    .out_channels = 4,
                    .groups = 2,
                    .in = {5, 4},
                    .kernel = {3, 2},
                    .stride = {2, 2}};
    assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
    assert_int_equal(cn_conv_in_count(&conv), 2 * 5 * 4 * 6);
    assert_int_equal(cn_conv_out_count(&conv), 2 * 3 * 2 * 4);
    assert_int_equal(cn_conv_kernel_count(&conv, false), 3 * 2 * 3 * 4);
    assert_true(cn_conv_multiplications(&conv, false) == 2.0 * 3 * 2 * 3 * 2 * 3 * 4);
    cn_conv adjoint = cn_conv_adjoint(&conv);
    assert_int_equal(cn_conv_check(&adjoint, true), CN_OK);
    assert_int_equal(cn_conv_kernel_count(&adjoint, true), cn_conv_kernel_count(&conv, false));
    assert_int_equal(cn_conv_out_count(&adjoint), cn_conv_in_count(&conv));
    assert_true(cn_conv_multiplications(&adjoint, true) == 2.0 * 3 * 2 * 3 * 2 * 3 * 4);
}

static void refused(cn_status got, cn_status status, const char *message)
{
    assert_int_equal(got, status);
    assert_string_equal(cn_error_message(), message);
}

static void test_refusals_of_conventions(void **state)
{
    (void)state;
    cn_conv conv = {.rank = 2, .in = {8, 2}, .kernel = {3, 3}, .stride = {2, 2}};
    refused(cn_conv_pad_keras(&conv, CN_VALID), CN_ERROR_SHAPE,
            "conv2d: the kernel spans 3 columns (kernel 3, dilation 1), but the input with its "
            "padding has 2: use padding `same` or a kernel of at most 2");
    refused(cn_conv_pad(&conv, NULL, (int64_t[]){0, -2}), CN_ERROR_SHAPE,
            "conv2d: the kernel spans 3 columns (kernel 3, dilation 1), but the input with its "
            "padding has 0: use more padding");
    refused(cn_conv_pad_keras(&conv, CN_CAUSAL), CN_ERROR_ARGUMENT,
            "conv2d: the padding must be `valid` or `same`, but is `causal`");
    refused(
        cn_conv_transpose_pad_keras(&conv, CN_SAME, (int64_t[]){1, 2}), CN_ERROR_SHAPE,
        "conv2d_transpose: output_padding of the columns must be from 0 to 1 with stride 2, but "
        "is 2: 0 gives 3, 1 gives 4");
    refused(
        cn_conv_transpose_out(&conv, CN_SAME, (int64_t[]){14, 3}), CN_ERROR_SHAPE,
        "conv2d_transpose: an output of 14 rows does not fit an input of 8 with kernel 3, stride "
        "2, dilation 1 and padding `same`: 15 to 16 would fit");
    conv.stride[0] = 0;
    refused(
        cn_conv_transpose_out(&conv, CN_VALID, (int64_t[]){8, 4}), CN_ERROR_SHAPE,
        "conv2d_transpose: an output of 8 rows does not fit an input of 8 with kernel 3, stride "
        "1, dilation 1 and padding `valid`: 10 would fit, and 8 fits with padding `same`");
    refused(cn_conv_transpose_pad(&conv, (int64_t[]){5, 0}, (int64_t[]){5, 0}, NULL),
            CN_ERROR_SHAPE,
            "conv2d_transpose: crops of 5 and 5 leave nothing of 10 rows: crop at most 9 in all");
    cn_conv one = line(1, 2, 2, 1);
    refused(
        cn_conv_transpose_pad_keras(&one, CN_SAME, (int64_t[]){0}), CN_ERROR_SHAPE,
        "conv1d_transpose: no steps are left: one input cell, an even kernel (2), padding `same` "
        "and output_padding 0; leave output_padding out");
    one = line(4, 9, 9, 1);
    refused(
        cn_conv_transpose_pad_keras(&one, CN_SAME, (int64_t[]){-1}), CN_ERROR_SHAPE,
        "conv1d_transpose: output_padding of the steps must be from 0 to 8 with stride 9, but is "
        "-1: 0 gives 28 ... 8 gives 36");
}

static void test_refusals_of_check(void **state)
{
    (void)state;
    const cn_conv good = {.rank = 2,
                          .batch = 1,
                          .in_channels = 4,
                          .out_channels = 6,
                          .in = {5, 5},
                          .kernel = {3, 3},
                          .out = {5, 5},
                          .before = {1, 1}};
    assert_int_equal(cn_conv_check(&good, false), CN_OK);
    assert_int_equal(cn_conv_check(&good, true), CN_OK);
    cn_conv conv = good;
    conv.rank = 4;
    refused(cn_conv_check(&conv, true), CN_ERROR_SHAPE,
            "conv_transpose: the rank must be 1, 2 or 3, but received 4");
    conv = good;
    conv.in[1] = 0;
    refused(cn_conv_check(&conv, false), CN_ERROR_SHAPE,
            "conv2d: the input's columns must be from 1 to 1099511627775, but received 0");
    conv = good;
    conv.stride[0] = -1;
    refused(cn_conv_check(&conv, false), CN_ERROR_SHAPE,
            "conv2d: the stride of the rows must be from 1 to 1048576, but received -1");
    conv = good;
    conv.groups = 4;
    refused(
        cn_conv_check(&conv, false), CN_ERROR_SHAPE,
        "conv2d: groups must divide the channels of input and output, but 4 does not divide both "
        "4 and 6: a divisor of 2 would");
    conv = good;
    conv.out[0] = 0;
    refused(cn_conv_check(&conv, true), CN_ERROR_SHAPE,
            "conv2d_transpose: the output's rows must be from 1 to 1099511627775, but received 0");
    conv = good;
    conv.before[0] = INT64_MIN;
    assert_int_equal(cn_conv_check(&conv, true), CN_ERROR_SHAPE);
    conv = good;
    conv.batch = 0;
    refused(cn_conv_check(&conv, true), CN_ERROR_SHAPE,
            "conv2d_transpose: batch must be from 1 to 1099511627775, but received 0");
    conv = good;
    conv.in[0] = conv.in[1] = (int64_t)1 << 20;
    refused(cn_conv_check(&conv, false), CN_ERROR_SHAPE,
            "conv2d: the input has 2^40 elements or more");
    conv.batch = INT64_MAX;
    assert_int_equal(cn_conv_check(&conv, false), CN_ERROR_SHAPE);
    assert_int_equal(cn_conv_in_count(&conv), -1);
    assert_true(cn_conv_multiplications(&conv, false) < 0);
    cn_clear_error();
    refused(cn_conv_check(NULL, false), CN_ERROR_ARGUMENT, "cn_conv_check: an argument is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keras_padding),
        cmocka_unit_test(test_keras_transpose_padding),
        cmocka_unit_test(test_output_size),
        cmocka_unit_test(test_explicit_padding),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_refusals_of_conventions),
        cmocka_unit_test(test_refusals_of_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
