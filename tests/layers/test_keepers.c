/* Regularizers and constraints by value, the initializers of transposed kernels by what they do,
 * and the numbers of expressions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/keepers.h"

/* ---- regularizers ---- */

static cn_array *run(cn_tensor *x, cn_tensor *y, const cn_array *in)
{
    cn_array *result = NULL;
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y));
    if (!f || cn_function_run(f, &in, &result, false, NULL) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_function_free(f);
    return result;
}

/* Of the matrix (1, -2, 2; 0, 3, 4). Its rows have the lengths 3 and 5 and the product 2; its
 * columns the lengths 1, sqrt(13), sqrt(20) and the products -2, 2, 8. */
static const struct {
    const char *text;
    double penalty;
} penalties[] = {
    {"l1", 0.12},
    {"l2", 0.34},
    {"L1(l1=0.5)", 6},
    {"L2(l2=0.5)", 17},
    {"l2(l=0.5)", 17},
    {"L1L2(l1=0.5, l2=0.25)", 14.5},
    {"L1L2", 0},
    {"l1_l2", 0.46},
    {"WeightRegularizer(l1=0.0, l2=0.25, name='WeightRegularizer')", 8.5},
    {"L1L2Regularizer(l1=1)", 12},
    {"OrthogonalRegularizer(factor=1.5)", 1.5 * 2 / 15},
    {"OrthogonalRegularizer(factor=3, mode='columns')", 0.5547001962 + 0.4472135955 + 0.4961389384},
    {NULL, 0},
};

static void test_penalties(void **state)
{
    (void)state;
    static const float values[] = {1, -2, 2, 0, 3, 4};
    const cn_shape shape = cn_shape_of(2, 3);
    cn_array *in = cn_array_from(&shape, values);
    for (size_t i = 0; i < CN__COUNT(penalties); i++) {
        cn_tensor *x = cn_op_input(CN_FLOAT32, &shape, NULL);
        assert_true(cn__regularizer_known(penalties[i].text));
        cn_array *result = run(x, cn__penalty(penalties[i].text, x), in);
        assert_int_equal(cn_array_shape(result)->rank, 0);
        double penalty = (double)cn_array_const_floats(result)[0];
        if (!(fabs(penalty - penalties[i].penalty) <= 4e-6 * fmax(penalties[i].penalty, 0.1)))
            fail_msg("%s is %.9g", penalties[i].text, penalty);
        cn_array_free(result);
    }
    cn_array_free(in);
}

static void test_unknown_keepers(void **state)
{
    (void)state;
    static const char *const regularizers[] = {
        "", "l3", "l2(l1=1)", "L1L2(l1=a)", "L2(l2=inf)", "OrthogonalRegularizer(mode=diagonals)"};
    static const char *const constraints[] = {"",
                                              "norm",
                                              "NonNeg(axis=0)",
                                              "MaxNorm(max_value=-1)",
                                              "MaxNorm(axis=[0)",
                                              "UnitNorm(axis=a)",
                                              "MinMaxNorm(rate=None)"};
    for (size_t i = 0; i < CN__COUNT(regularizers); i++)
        assert_false(cn__regularizer_known(regularizers[i]));
    for (size_t i = 0; i < CN__COUNT(constraints); i++)
        assert_false(cn__constraint_known(constraints[i]));
    assert_true(cn__constraint_known(NULL) && cn__constraint_known("maxnorm(m=3, axis=[0, 1])"));
    const cn_shape vector = cn_shape_of(3);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &vector, NULL);
    assert_null(cn__penalty("OrthogonalRegularizer", x));
    assert_string_equal(cn_error_message(),
                        "OrthogonalRegularizer takes matrices of known extents, not (3,)");
    assert_null(cn__penalty("l2", NULL));
    cn_tensor_release(x);
}

/* ---- constraints ---- */

/* On the matrix (3, -5, 0; 4, 12, 0.5). */
static const struct {
    const char *text;
    float values[6];
} constrained[] = {
    {"NonNeg", {3, 0, 0, 4, 12, 0.5f}},
    {"nonneg", {3, 0, 0, 4, 12, 0.5f}},
    {"MaxNorm", {1.2f, -0.769230769f, 0, 1.6f, 1.84615385f, 0.5f}},
    {"maxnorm(m=6.5)", {3, -2.5f, 0, 4, 6, 0.5f}},
    {"MaxNorm(max_value=6.5, axis=-2)", {3, -2.5f, 0, 4, 6, 0.5f}},
    {"UnitNorm", {0.6f, -0.384615385f, 0, 0.8f, 0.923076923f, 1}},
    {"UnitNorm(axis=[0, 1])",
     {0.215248801f, -0.358748002f, 0, 0.286998401f, 0.860995204f, 0.0358748002f}},
    {"MaxNorm(max_value=5.830951895, axis=1)", {3, -5, 0, 1.84247002f, 5.52741007f, 0.230308753f}},
    {"MinMaxNorm(min_value=1, max_value=7)", {3, -2.69230769f, 0, 4, 6.46153846f, 1}},
    {"MinMaxNorm(min_value=1, max_value=7, rate=0.5, axis=0)",
     {3, -3.84615385f, 0, 4, 9.23076923f, 0.75f}},
};

/* To 1e-6 of the values: epsilon alone makes 2e-7 of the shortest column. */
static void test_constraints(void **state)
{
    (void)state;
    static const float values[] = {3, -5, 0, 4, 12, 0.5f};
    const cn_shape shape = cn_shape_of(2, 3);
    for (size_t i = 0; i < CN__COUNT(constrained); i++) {
        float w[6];
        memcpy(w, values, sizeof w);
        cn__arena *arena = cn__arena_new();
        cn__constraint *constraint;
        assert_int_equal(cn__constraint_parse(arena, constrained[i].text, &shape, &constraint),
                         CN_OK);
        cn__constrain(constraint, w);
        for (int j = 0; j < 6; j++)
            if (!(fabsf(w[j] - constrained[i].values[j]) <= 1e-6f * fmaxf(fabsf(w[j]), 0.5f)))
                fail_msg("%s: element %d is %.9g", constrained[i].text, j, (double)w[j]);
        cn__arena_free(arena);
    }
}

/* A convolution's kernel, as a norm over [0, 1, 2] and as a matrix of 12 rows. */
static void test_kernel_constraint(void **state)
{
    (void)state;
    const cn_shape kernel = cn_shape_of(2, 2, 3, 5), matrix = cn_shape_of(12, 5);
    float a[60], b[60];
    cn__arena *arena = cn__arena_new();
    cn__constraint *over_kernel, *over_rows, *none;
    for (int i = 0; i < 60; i++)
        a[i] = b[i] = (float)(i * 7 % 11) - 5;
    assert_int_equal(cn__constraint_parse(arena, "MaxNorm(axis=[0, 1, 2])", &kernel, &over_kernel),
                     CN_OK);
    assert_int_equal(cn__constraint_parse(arena, "MaxNorm(axis=0)", &matrix, &over_rows), CN_OK);
    assert_int_equal(cn__constraint_parse(arena, NULL, &matrix, &none), CN_OK);
    assert_null(none);
    cn__constrain(over_kernel, a);
    cn__constrain(over_rows, b);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(cn__constraint_parse(arena, "MaxNorm(axis=4)", &kernel, &none),
                     CN_ERROR_ARGUMENT);
    assert_null(none);
    cn__arena_free(arena);
}

/* ---- kernels of transposed convolutions ---- */

static cn_array *initialized(const char *initializer, const cn_shape *shape)
{
    cn__random random = {.seed = 5};
    cn_array *array = cn_array_new(CN_FLOAT32, shape);
    assert_true(cn__initializer_known(initializer));
    if (cn__initialize(initializer, &random, array) != CN_OK)
        fail_msg("%s", cn_error_message());
    return array;
}

/* x (height, width, channels) through a transposed convolution of stride 2 with 4 x 4 taps. */
static cn_array *enlarge(const cn_array *x, const cn_array *kernel)
{
    const cn_conv_options options = {
        .transposed = true, .rank = 2, .stride = {2, 2}, .padding = CN_SAME};
    cn_tensor *input = cn_op_input(CN_FLOAT32, cn_array_shape(x), NULL);
    return run(input, cn_op_conv(input, cn_op_constant(input, kernel), &options), x);
}

static float pixel(const cn_array *image, int64_t row, int64_t column, int64_t channel)
{
    const int64_t *dim = cn_array_shape(image)->dim;
    return cn_array_const_floats(image)[(row * dim[2] + column) * dim[3] + channel];
}

/* Away from the edges, the output's pixel at o lies at (o - 1/2) / 2 of the input, as bilinear
 * upsampling by half pixel centres has it; a linear picture stays linear. */
static void test_bilinear(void **state)
{
    (void)state;
    const cn_shape shape = cn_shape_of(1, 5, 6, 2), kernel_shape = cn_shape_of(4, 4, 2, 2);
    cn_array *x = cn_array_new(CN_FLOAT32, &shape);
    for (int i = 0; i < 60; i++) {
        int row = i / 12, column = i / 2 % 6, channel = i % 2;
        cn_array_floats(x)[i] = channel ? (float)(row * column) : (float)(3 * row - column);
    }
    cn_array *kernel = initialized("Bilinear", &kernel_shape), *y = enlarge(x, kernel);
    for (int row = 1; row < 9; row++)
        for (int column = 1; column < 11; column++) {
            float r = ((float)row - 0.5f) / 2, c = ((float)column - 0.5f) / 2;
            assert_float_equal(pixel(y, row, column, 0), 3 * r - c, 1e-5f);
            assert_float_equal(pixel(y, row, column, 1), r * c, 1e-5f);
        }
    const cn_shape odd = cn_shape_of(3, 1, 1);
    cn_array *hat = initialized("bilinear", &odd);
    static const float expected[] = {0.5f, 1, 0.5f};
    assert_memory_equal(cn_array_const_floats(hat), expected, sizeof expected);
    cn_array *const all[] = {x, kernel, y, hat};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

/* With `same` padding of 4 taps at stride 2 the blocks begin at odd pixels: all four pixels of one
 * agree. */
static void test_icnr(void **state)
{
    (void)state;
    const cn_shape shape = cn_shape_of(1, 5, 6, 3), kernel_shape = cn_shape_of(4, 4, 2, 3);
    const cn_shape small = cn_shape_of(2, 2, 2, 3);
    cn_array *x = initialized("RandomNormal(stddev=1)", &shape);
    cn_array *kernel = initialized("ICNR(scale=2, initializer='he_normal')", &kernel_shape);
    cn_array *part = initialized("he_normal", &small), *y = enlarge(x, kernel);
    for (int row = 1; row < 9; row++)
        for (int column = 1; column < 11; column++)
            for (int channel = 0; channel < 2; channel++)
                assert_true(pixel(y, row, column, channel) ==
                            pixel(y, row - 1 + row % 2, column - 1 + column % 2, channel));
    for (int64_t i = 0; i < 96; i++) {
        int64_t r = i / 24 / 2, c = i / 6 % 4 / 2;
        assert_true(cn_array_const_floats(kernel)[i] ==
                    cn_array_const_floats(part)[(r * 2 + c) * 6 + i % 6]);
    }
    cn_array *const all[] = {x, kernel, part, y};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

static void test_initializer_errors(void **state)
{
    (void)state;
    const cn_shape odd = cn_shape_of(5, 4, 2, 2), uneven = cn_shape_of(4, 4, 2, 3),
                   matrix = cn_shape_of(4, 4);
    const struct {
        const char *initializer;
        const cn_shape *shape;
        const char *message;
    } errors[] = {
        {"ICNR", &odd,
         "ICNR makes kernels (extents..., out, in) of transposed convolutions whose extents are "
         "multiples of its scale, not (5, 4, 2, 2)"},
        {"ICNR(scale=0.5)", &uneven, NULL},
        {"ICNR", &matrix, NULL},
        {"ICNR(initializer=ICNR(scale=1))", &uneven,
         "ICNR takes another initializer, not ICNR(scale=1)"},
        {"ICNR(initializer='unknown')", &uneven, NULL},
        {"Bilinear", &uneven,
         "Bilinear makes kernels (extents..., out, in) of transposed convolutions with as many "
         "channels out as in, not (4, 4, 2, 3)"},
        {"Bilinear", &matrix, NULL},
    };
    for (size_t i = 0; i < CN__COUNT(errors); i++) {
        cn__random random = {0};
        cn_array *array = cn_array_new(CN_FLOAT32, errors[i].shape);
        assert_int_not_equal(cn__initialize(errors[i].initializer, &random, array), CN_OK);
        if (errors[i].message)
            assert_string_equal(cn_error_message(), errors[i].message);
        cn_array_free(array);
    }
    assert_false(cn__initializer_known("ICNR(initializer='icnr')"));
    assert_false(cn__initializer_known("Bilinear(scale=2)"));
}

/* ---- numbers of expressions ---- */

/* Read as the C library reads them, where those have up to 19 digits. */
static const char *const literals[] = {"0",
                                       "1",
                                       "-2.5",
                                       "0.1",
                                       "1e-7",
                                       "1E3",
                                       "+.5",
                                       "3.",
                                       "0.009999999776482582",
                                       "0.8999999761581421",
                                       "0.9990000128746033",
                                       "0.0010000000474974513",
                                       "1234567890123456789",
                                       "0.30000000000000004",
                                       "1e22",
                                       "6.02214076e23",
                                       "1.17549435e-38",
                                       "1e-320",
                                       "1e400",
                                       "-1e400",
                                       "0e9999",
                                       "0.000000000000000000000000000000000000123456789",
                                       "100000000000000000000000000000"};

static void test_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < CN__COUNT(literals); i++) {
        cn__arena *arena = cn__arena_new();
        cn__expression e;
        char text[100];
        (void)snprintf(text, sizeof text, "Name(value=%s)", literals[i]);
        assert_int_equal(cn__expression_parse(arena, text, &e), CN_OK);
        double number = cn__expression_number(&e, "value", -1);
        if (number != strtod(literals[i], NULL))
            fail_msg("%s is read as %.17g", literals[i], number);
        cn__arena_free(arena);
    }
}

static void test_lists(void **state)
{
    (void)state;
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    int count;
    double *numbers;
    assert_int_equal(cn__expression_parse(arena,
                                          "Name(a=[0, -1,2.5 ], b=(3), c=7, d=None, e=[], f=[1 2], "
                                          "g=[1, 2], h=1x, i=CosineDecay(a=[1, 2], b=Name(c=1)), "
                                          "j=0.5e, k=--1, l=1e)",
                                          &e),
                     CN_OK);
    assert_int_equal(e.count, 12);
    assert_int_equal(cn__expression_numbers(arena, &e, "a", &count, &numbers), CN_OK);
    assert_int_equal(count, 3);
    assert_true(numbers[0] == 0 && numbers[1] == -1 && numbers[2] == 2.5);
    assert_int_equal(cn__expression_numbers(arena, &e, "b", &count, &numbers), CN_OK);
    assert_int_equal(count, 1);
    assert_int_equal(cn__expression_numbers(arena, &e, "c", &count, &numbers), CN_OK);
    assert_true(count == 1 && numbers[0] == 7);
    assert_int_equal(cn__expression_numbers(arena, &e, "d", &count, &numbers), CN_OK);
    assert_int_equal(count, 0);
    static const char *const broken[] = {"e", "f", "h", "i", "j", "k", "l"};
    for (size_t i = 0; i < CN__COUNT(broken); i++) {
        assert_int_equal(cn__expression_numbers(arena, &e, broken[i], &count, &numbers),
                         CN_ERROR_ARGUMENT);
        assert_true(isnan(cn__expression_number(&e, broken[i], (double)NAN)));
    }
    assert_string_equal(cn__expression_text(&e, "i", NULL), "CosineDecay(a=[1, 2], b=Name(c=1))");
    cn__arena_free(arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_unknown_keepers),
        cmocka_unit_test(test_constraints),
        cmocka_unit_test(test_kernel_constraint),
        cmocka_unit_test(test_bilinear),
        cmocka_unit_test(test_icnr),
        cmocka_unit_test(test_initializer_errors),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
