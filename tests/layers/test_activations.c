/* Activations by value, and initializers by their statistics, bounds and fans. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "layers/layer.h"
#include "unit/failing.h"

/* ---- activations ---- */

enum { most_values = 4 };
typedef struct expected {
    const char *activation;
    int count;
    float x[most_values], y[most_values];
} expected;

/* Computed from Keras' formulas in double precision. */
static const expected activations[] = {
    {"linear", 3, {-1, 0, 2}, {-1, 0, 2}},
    {NULL, 2, {-1, 3}, {-1, 3}},
    {"relu", 3, {-1, 0, 2}, {0, 0, 2}},
    {"relu(negative_slope=0.1, max_value=6, threshold=1)", 4, {-1, 1, 2, 7}, {-0.2f, 1, 2, 6}},
    {"relu(alpha=0.5, max_value=None)", 2, {-1, 2}, {-0.5f, 2}},
    {"ReLU(name='r', trainable=True, dtype='float32', max_value=1)", 2, {-1, 2}, {0, 1}},
    {"relu6", 3, {-1, 5, 7}, {0, 5, 6}},
    {"leaky_relu", 2, {-1, 2}, {-0.2f, 2}},
    {"LeakyReLU", 2, {-1, 2}, {-0.3f, 2}},
    {"LeakyReLU(alpha=0.1)", 2, {-1, 2}, {-0.1f, 2}},
    {"elu", 2, {-1, 2}, {-0.63212056f, 2}},
    {"ELU(alpha=2)", 2, {-1, 2}, {-1.26424112f, 2}},
    {"selu", 2, {-1, 2}, {-1.11133074f, 2.10140198f}},
    {"celu(alpha=2)", 2, {-1, 2}, {-0.78693868f, 2}},
    {"gelu", 2, {-1, 2}, {-0.15865525f, 1.95449974f}},
    {"gelu(approximate=False)", 1, {-1}, {-0.15865525f}},
    {"gelu(approximate=True)", 2, {-1, 2}, {-0.15880801f, 1.95459769f}},
    {"sigmoid", 2, {-1, 2}, {0.26894142f, 0.88079708f}},
    {"log_sigmoid", 2, {-1, 2}, {-1.31326169f, -0.12692801f}},
    {"hard_sigmoid", 4, {-4, -1, 2, 4}, {0, 0.33333333f, 0.83333333f, 1}},
    {"hard_sigmoid(legacy=True)", 4, {-3, -1, 2, 3}, {0, 0.3f, 0.9f, 1}},
    {"silu", 2, {-1, 2}, {-0.26894142f, 1.76159416f}},
    {"swish", 1, {-1}, {-0.26894142f}},
    {"hard_silu", 2, {-1, 2}, {-0.33333333f, 1.66666667f}},
    {"hard_swish", 1, {-1}, {-0.33333333f}},
    {"mish", 2, {-1, 2}, {-0.30340146f, 1.94395896f}},
    {"softplus", 2, {-1, 2}, {0.31326169f, 2.12692801f}},
    {"softsign", 2, {-1, 3}, {-0.5f, 0.75f}},
    {"tanh", 2, {-1, 2}, {-0.76159416f, 0.96402758f}},
    {"hard_tanh", 3, {-2, 0.5f, 2}, {-1, 0.5f, 1}},
    {"tanh_shrink", 2, {-1, 2}, {-0.23840584f, 1.03597242f}},
    {"soft_shrink", 3, {-1, 0.25f, 2}, {-0.5f, 0, 1.5f}},
    {"hard_shrink(threshold=1)", 3, {-2, 0.5f, 2}, {-2, 0, 2}},
    {"squareplus", 2, {-1, 2}, {0.61803399f, 2.41421356f}},
    {"squareplus(b=0)", 2, {-1, 2}, {0, 2}},
    {"sparse_plus", 3, {-2, 0, 2}, {0, 0.25f, 2}},
    {"sparse_sigmoid", 3, {-2, 0.5f, 2}, {0, 0.75f, 1}},
    {"threshold(threshold=1, default_value=5)", 2, {0.5f, 2}, {5, 2}},
    {"exponential", 2, {-1, 2}, {0.36787944f, 7.3890561f}},
    {"softmax", 3, {1, 2, 3}, {0.09003057f, 0.24472847f, 0.66524096f}},
    {"Softmax(axis=-1)", 2, {0, 1}, {0.26894142f, 0.73105858f}},
    {"log_softmax", 2, {0, 1}, {-1.31326169f, -0.31326169f}},
    {"glu", 4, {1, 2, 0, 1}, {0.5f, 1.46211716f}},
    {"sparsemax", 3, {1, 2, 3}, {0, 0, 1}},
    {"sparsemax", 2, {0.1f, -0.2f}, {0.6f, 0.3f}},
    {"sparsemax", 3, {1, 1, 0.5f}, {0, 0, 0}},
    {"sparsemax", 2, {-1, -1}, {1, 1}},
};

static void test_activation(void **state)
{
    const expected *e = *state;
    const cn_shape open = cn_shape_of(-1, e->count), shape = cn_shape_of(1, e->count);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &open, NULL);
    cn_tensor *y = cn__activate(e->activation, x);
    if (!y)
        fail_msg("%s", cn_error_message());
    cn_array *values = cn_array_from(&shape, e->x), *result = NULL;
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y));
    const cn_array *in = values;
    assert_int_equal(cn_function_run(f, &in, &result, false, NULL), CN_OK);
    for (int64_t i = 0; i < cn_array_count(result); i++)
        assert_float_equal(cn_array_const_floats(result)[i], e->y[i], 2e-6f);
    cn_array_free(result);
    cn_array_free(values);
    cn_function_free(f);
}

static void test_unknown_activations(void **state)
{
    static const char *const unknown[] = {
        "", "PReLU", "relu(slope=1)", "tanh(axis=1)", "softmax(x=1)", "relu(", "glu(legacy=True)"};
    (void)state;
    for (size_t i = 0; i < CN__COUNT(unknown); i++)
        assert_false(cn__activation_known(unknown[i]));
    assert_true(cn__activation_known("hard_sigmoid(legacy=False)"));
    assert_true(cn__activation_known("gelu(approximate=False)"));
    assert_true(cn__activation_is_elementwise("gelu"));
    assert_true(cn__activation_is_elementwise(NULL));
    assert_false(cn__activation_is_elementwise("softmax"));
    const cn_shape odd = cn_shape_of(1, 3);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &odd, NULL);
    assert_null(cn__activate("glu", x));
    assert_null(cn__activate("softmax(axis=5)", x));
    assert_null(cn__activate("softmax(axis=0.5)", x));
    assert_null(cn__activate("softmax(axis=1e300)", x));
    assert_string_equal(cn_error_message(),
                        "softmax: axis must be a whole number from -8 to 7, not 1e+300");
    assert_null(cn__activate("relu", NULL));
    cn_tensor_release(x);
}

/* ---- initializers ---- */

static cn_array *initialized(const char *initializer, const cn_shape *shape)
{
    cn__random random = {.seed = 5};
    cn_array *array = cn_array_new(CN_FLOAT32, shape);
    if (cn__initialize(initializer, &random, array) != CN_OK)
        fail_msg("%s", cn_error_message());
    return array;
}

/* Distributions over a kernel of 3 x 3 from 20 to 50: fan in 180, fan out 450. `high`: no value is
 * farther from the mean. */
static const struct distributed {
    const char *initializer;
    double mean, deviation, high;
} distributed[] = {
    {"zeros", 0, 0, 0},
    {"one", 1, 0, 0},
    {"Constant(value=-2.5)", -2.5, 0, 0},
    {"random_uniform", 0, 0.0288675, 0.05},
    {"uniform(scale=0.2)", 0, 0.1154701, 0.2},
    {"RandomUniform(minval=1, maxval=3)", 2, 0.5773503, 1},
    {"normal", 0, 0.05, 0.4},
    {"RandomNormal(mean=1, stddev=2)", 1, 2, 16},
    {"TruncatedNormal(stddev=1)", 0, 0.8796257, 2},
    {"glorot_uniform", 0, 0.0563436, 0.0975900},
    {"GlorotNormal(seed=9)", 0, 0.0563436, 0.1281082},
    {"he_uniform", 0, 0.1054093, 0.1825742},
    {"he_normal", 0, 0.1054093, 0.2396685},
    {"LecunUniform(seed=None)", 0, 0.0745356, 0.1290994},
    {"lecun_normal", 0, 0.0745356, 0.1694713},
    {"VarianceScaling(scale=2, mode='fan_out', distribution='uniform')", 0, 0.0666667, 0.1154701},
    {"VarianceScaling(scale=2.0, mode='fan_out', distribution='untruncated_normal')", 0, 0.0666667,
     0.5},
    {"variance_scaling(distribution=normal)", 0, 0.0745356, 0.1694713},
};

static void test_distribution(void **state)
{
    const struct distributed *d = *state;
    const cn_shape shape = cn_shape_of(3, 3, 20, 50);
    cn_array *array = initialized(d->initializer, &shape);
    int64_t count = cn_array_count(array);
    double sum = 0, squares = 0, most = 0;
    for (int64_t i = 0; i < count; i++) {
        double off = (double)cn_array_const_floats(array)[i] - d->mean;
        sum += off;
        squares += off * off;
        most = fmax(most, fabs(off));
    }
    assert_true(fabs(sum / (double)count) <= 0.05 * d->deviation);
    assert_true(fabs(sqrt(squares / (double)count) - d->deviation) <= 0.03 * d->deviation);
    assert_true(most <= d->high * 1.00001);
    cn_array_free(array);
}

/* The columns of a tall matrix, the rows of a wide one, have length `gain` and right angles. */
static void check_orthogonal(const cn_shape *shape, int64_t rows, int64_t columns)
{
    cn_array *array = initialized("Orthogonal(gain=2)", shape);
    const float *w = cn_array_const_floats(array);
    int64_t vectors = cn__min(rows, columns), length = cn__max(rows, columns);
    int64_t along = rows >= columns ? columns : 1, across = rows >= columns ? 1 : columns;
    for (int64_t a = 0; a < vectors; a++)
        for (int64_t b = 0; b < vectors; b++) {
            double product = 0;
            for (int64_t i = 0; i < length; i++)
                product += (double)w[a * across + i * along] * (double)w[b * across + i * along];
            assert_true(fabs(product - (a == b ? 4 : 0)) < 1e-5);
        }
    cn_array_free(array);
}

static void test_orthogonal(void **state)
{
    const cn_shape tall = cn_shape_of(3, 4, 5), wide = cn_shape_of(4, 9);
    (void)state;
    check_orthogonal(&tall, 12, 5);
    check_orthogonal(&wide, 4, 9);
}

static void test_identity_and_seed(void **state)
{
    const cn_shape matrix = cn_shape_of(2, 3), vector = cn_shape_of(4);
    cn__random random = {0};
    (void)state;
    cn_array *identity = initialized("Identity(gain=3)", &matrix);
    static const float expected_identity[] = {3, 0, 0, 0, 3, 0};
    assert_memory_equal(cn_array_const_floats(identity), expected_identity,
                        sizeof expected_identity);
    cn_array *a = initialized("RandomNormal(seed=7)", &matrix), *b = cn_array_copy(a);
    assert_int_equal(cn__initialize("RandomNormal(seed=7)", &random, b), CN_OK);
    assert_memory_equal(cn_array_const_floats(a), cn_array_const_floats(b), 6 * sizeof(float));
    assert_int_equal(random.counter, 0);
    cn_array *v = cn_array_new(CN_FLOAT32, &vector);
    assert_int_equal(cn__initialize("identity", &random, v), CN_ERROR_SHAPE);
    assert_int_equal(cn__initialize("orthogonal", &random, v), CN_ERROR_SHAPE);
    assert_int_equal(cn__initialize("VarianceScaling(mode='fan')", &random, v), CN_ERROR_ARGUMENT);
    assert_false(cn__initializer_known("glorot"));
    assert_false(cn__initializer_known("zeros(value=1)"));
    assert_true(cn__initializer_known("GlorotUniform(seed=1, input_axes=None)"));
    cn_array *const all[] = {identity, a, b, v};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

int main(void)
{
    enum { first = CN__COUNT(activations), second = first + CN__COUNT(distributed) };
    struct CMUnitTest tests[second + 3];
    for (size_t i = 0; i < CN__COUNT(activations); i++)
        tests[i] =
            (struct CMUnitTest){activations[i].activation ? activations[i].activation : "none",
                                test_activation, NULL, NULL, (void *)(uintptr_t)&activations[i]};
    for (size_t i = 0; i < CN__COUNT(distributed); i++)
        tests[first + i] = (struct CMUnitTest){distributed[i].initializer, test_distribution, NULL,
                                               NULL, (void *)(uintptr_t)&distributed[i]};
    tests[second] = (struct CMUnitTest)cmocka_unit_test(test_unknown_activations);
    tests[second + 1] = (struct CMUnitTest)cmocka_unit_test(test_orthogonal);
    tests[second + 2] = (struct CMUnitTest)cmocka_unit_test(test_identity_and_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
