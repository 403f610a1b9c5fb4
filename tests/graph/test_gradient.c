/* Gradients of every differentiable operation of the graph against central differences, along
 * random directions. The functions run in float32, so a difference quotient with step h has a
 * rounding error of about 2^-24 |f| / h and a truncation error of h^2 |f'''| / 6: with h = 4e-3
 * both stay below 1e-3 of the sums compared here, which is the bound. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "support/random.h"

static const float step = 4e-3f;

/* A function under test: from up to three inputs to one output. */
typedef struct example {
    const char *name;
    int inputs;
    cn_shape shapes[3];
    cn_tensor *(*build)(cn_tensor *const *in);
    bool positive; /* inputs from 0.5 to 1.5 */
} example;

static cn_array *random_array(const cn_shape *shape, bool positive)
{
    cn_array *array = cn_array_new(CN_FLOAT32, shape);
    float *x = cn_array_floats(array);
    for (int64_t i = 0; i < cn_array_count(array); i++) {
        double u = cn__random_uniform(&test_random);
        x[i] = (float)(positive ? 0.5 + u : 2 * u - 1);
    }
    return array;
}

static double dot(const cn_array *a, const cn_array *b)
{
    double sum = 0;
    for (int64_t i = 0; i < cn_array_count(a); i++)
        sum += (double)cn_array_const_floats(a)[i] * (double)cn_array_const_floats(b)[i];
    return sum;
}

static cn_array *moved(const cn_array *x, const cn_array *direction, float by)
{
    cn_array *y = cn_array_copy(x);
    for (int64_t i = 0; i < cn_array_count(y); i++)
        cn_array_floats(y)[i] += by * cn_array_const_floats(direction)[i];
    return y;
}

/* sum(seed * f(x + by * direction)), only input i moved. */
static double value(cn_function *f, cn_array *const *x, int inputs, int i,
                    const cn_array *direction, float by, const cn_array *seed, bool training)
{
    const cn_array *in[3];
    cn_array *y = NULL, *other = moved(x[i], direction, by);
    for (int j = 0; j < inputs; j++)
        in[j] = j == i ? other : x[j];
    assert_int_equal(cn_function_run(f, in, &y, training, NULL), CN_OK);
    double sum = dot(y, seed);
    cn_array_free(y);
    cn_array_free(other);
    return sum;
}

/* Compares along one element. A few of them may cross a kink, where the quotient tells
 * nothing; most do not. */
enum { tries = 20, enough = 12 };
static bool agrees(const example *e, cn_function *f, cn_array *const *x, int i, const cn_array *dx,
                   bool training)
{
    const cn_array *seed = x[e->inputs];
    cn_array *direction = random_array(&e->shapes[i], false);
    int64_t kept = test_int(0, cn_array_count(direction) - 1);
    for (int64_t k = 0; k < cn_array_count(direction); k++)
        if (k != kept)
            cn_array_floats(direction)[k] = 0;
    double plus = value(f, x, e->inputs, i, direction, step, seed, training);
    double minus = value(f, x, e->inputs, i, direction, -step, seed, training);
    double quotient = (plus - minus) / (2 * (double)step), derivative = dot(dx, direction);
    double scale = sqrt(dot(dx, dx) * dot(direction, direction)) + fabs(plus);
    cn_array_free(direction);
    return fabs(quotient - derivative) <= 1e-3 * scale + 1e-4;
}

static void check(const example *e, bool training)
{
    cn_tensor *in[4], *gradients[3];
    cn_array *x[4];
    for (int i = 0; i < e->inputs; i++) {
        in[i] = cn_op_input(CN_FLOAT32, &e->shapes[i], "x");
        x[i] = random_array(&e->shapes[i], e->positive);
    }
    cn_tensor *y = e->build(in);
    if (y == NULL)
        fail_msg("%s: %s", e->name, cn_error_message());
    cn_tensor *seed = cn_op_input(CN_FLOAT32, cn_tensor_shape(y), "seed");
    x[e->inputs] = random_array(cn_tensor_shape(y), false);
    in[e->inputs] = seed;
    if (cn_gradients(cn_tensors(y), cn_tensors(seed), (cn_tensor_list){e->inputs, in}, CN_GRADIENT,
                     gradients) != CN_OK)
        fail_msg("%s: %s", e->name, cn_error_message());
    cn_function *f = cn_function_new((cn_tensor_list){e->inputs, in}, cn_tensors(y));
    cn_function *g = cn_function_new((cn_tensor_list){e->inputs + 1, in},
                                     (cn_tensor_list){e->inputs, gradients});
    cn_array *dx[3];
    if (cn_function_run(g, (const cn_array *const *)x, dx, training, NULL) != CN_OK)
        fail_msg("%s: %s", e->name, cn_error_message());
    for (int i = 0; i < e->inputs; i++) {
        int agreeing = 0;
        for (int try = 0; try < tries; try++)
            agreeing += agrees(e, f, x, i, dx[i], training);
        if (agreeing < enough)
            fail_msg("%s, input %d: the gradient agrees with the difference quotient for %d of %d "
                     "elements only",
                     e->name, i, agreeing, tries);
        cn_array_free(dx[i]);
    }
    for (int i = 0; i <= e->inputs; i++)
        cn_array_free(x[i]);
    cn_function_free(f);
    cn_function_free(g);
}

/* ---- the functions ---- */

static cn_tensor *conv2d(cn_tensor *const *in)
{
    return cn_op_conv(in[0], in[1],
                      &(cn_conv_options){.rank = 2, .stride = {2, 1}, .padding = CN_SAME});
}

static cn_tensor *conv2d_transpose(cn_tensor *const *in)
{
    return cn_op_conv(
        in[0], in[1],
        &(cn_conv_options){
            .transposed = true, .rank = 2, .stride = {2, 3}, .groups = 2, .padding = CN_SAME});
}

/* The sum of squares of the kernel's gradient: its gradient runs through the gradients' gradients.
 */
static cn_tensor *conv_twice(cn_tensor *const *in)
{
    cn_tensor *gradients[2];
    cn_tensor *y = cn_op_unary(conv2d(in), (cn_function1){.op = CN_SQUARE});
    if (cn_gradients(cn_tensors(y), (cn_tensor_list){0, NULL}, cn_tensors(in[0], in[1]),
                     CN_GRADIENT, gradients) != CN_OK)
        return NULL;
    return cn_op_binary(CN_ADD, cn_op_reduce(CN_SUM, gradients[0], 15, false),
                        cn_op_reduce(CN_SUM, gradients[1], 15, false));
}

static cn_tensor *matmul(cn_tensor *const *in)
{
    return cn_op_matmul(in[0], in[1]);
}

#define BINARY(name, OP)                                                                           \
    static cn_tensor *name(cn_tensor *const *in)                                                   \
    {                                                                                              \
        return cn_op_binary(OP, in[0], in[1]);                                                     \
    }
BINARY(add, CN_ADD)
BINARY(subtract, CN_SUBTRACT)
BINARY(multiply, CN_MULTIPLY)
BINARY(divide, CN_DIVIDE)
BINARY(maximum, CN_MAXIMUM)
BINARY(minimum, CN_MINIMUM)
BINARY(power, CN_POWER)
BINARY(prelu, CN_PRELU)

static cn_tensor *reduce_sum(cn_tensor *const *in)
{
    return cn_op_reduce(CN_SUM, in[0], 2 | 4, false);
}

static cn_tensor *reduce_mean(cn_tensor *const *in)
{
    return cn_op_reduce(CN_MEAN, in[0], 2 | 4, true);
}

static cn_tensor *reduce_max(cn_tensor *const *in)
{
    return cn_op_reduce(CN_MAX, in[0], 2, false);
}

static cn_tensor *rearrange(cn_tensor *const *in)
{
    cn_shape flat = cn_shape_of(2, -1);
    cn_tensor *turned = cn_op_transpose(in[0], (const int[]){0, 3, 1, 2});
    cn_tensor *padded =
        cn_op_pad(turned, (const int64_t[]){0, 1, -1, 2}, (const int64_t[]){0, 0, 2, -1}, 0.5f);
    return cn_op_reshape(padded, &flat);
}

static cn_tensor *concatenate(cn_tensor *const *in)
{
    cn_tensor *joined = cn_op_concatenate(cn_tensors(in[0], in[1], in[0]), -1);
    return cn_op_unary(joined, (cn_function1){.op = CN_SQUARE});
}

static const cn_pool_options pooling = {
    .rank = 2, .window = {3, 2}, .stride = {2, 2}, .padding = CN_SAME};

static cn_tensor *max_pool(cn_tensor *const *in)
{
    return cn_op_max_pool(in[0], &pooling, NULL);
}

static cn_tensor *average_pool(cn_tensor *const *in)
{
    return cn_op_average_pool(in[0], &pooling);
}

static cn_tensor *resize_nearest(cn_tensor *const *in)
{
    return cn_op_resize(in[0], &(cn_resize_options){.rank = 2, .factor = {2, 3}});
}

static cn_tensor *resize_bilinear(cn_tensor *const *in)
{
    return cn_op_resize(
        in[0], &(cn_resize_options){.rank = 2, .size = {7, 11}, .interpolation = CN_BILINEAR});
}

static cn_tensor *softmax(cn_tensor *const *in)
{
    return cn_op_softmax(in[0], -1, false);
}

static cn_tensor *log_softmax(cn_tensor *const *in)
{
    return cn_op_softmax(in[0], 1, true);
}

/* Inputs: x, gamma, beta; the moving moments are constants. */
static cn_tensor *batch_norm(cn_tensor *const *in)
{
    cn_shape channels = cn_shape_of(5);
    cn_array *mean = cn_array_from(&channels, (const float[]){0.1f, 0.2f, -0.3f, 0, 1});
    cn_array *variance = cn_array_from(&channels, (const float[]){1, 2, 0.5f, 0.7f, 3});
    cn_tensor *y = cn_op_batch_norm(
        in[0], in[1], in[2], cn_op_constant(in[0], mean), cn_op_constant(in[0], variance),
        &(cn_batch_norm_options){.momentum = 0.9f, .epsilon = 1e-3f}, NULL, NULL);
    cn_array_free(mean);
    cn_array_free(variance);
    return y;
}

/* A relu behind a bias behind a convolution becomes one step; the gradient must not notice. */
static cn_tensor *fused(cn_tensor *const *in)
{
    cn_tensor *y = cn_op_binary(CN_ADD, conv2d(in), in[2]);
    return cn_op_unary(y, (cn_function1){CN_RELU, {0, INFINITY, 0}});
}

#define SHAPE(...)                                                                                 \
    {                                                                                              \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const example examples[] = {
    {"conv2d", 2, {SHAPE(2, 5, 6, 3), SHAPE(3, 2, 3, 4)}, conv2d, false},
    {"conv2d_transpose", 2, {SHAPE(2, 3, 4, 6), SHAPE(3, 4, 2, 6)}, conv2d_transpose, false},
    {"conv2d twice", 2, {SHAPE(2, 5, 4, 2), SHAPE(3, 2, 2, 3)}, conv_twice, false},
    {"matmul", 2, {SHAPE(3, 4), SHAPE(4, 5)}, matmul, false},
    {"add", 2, {SHAPE(2, 3, 4), SHAPE(3, 1)}, add, false},
    {"subtract", 2, {SHAPE(3, 1), SHAPE(2, 3, 4)}, subtract, false},
    {"multiply", 2, {SHAPE(2, 3, 4), SHAPE(4)}, multiply, false},
    {"divide", 2, {SHAPE(2, 3, 4), SHAPE(3, 4)}, divide, true},
    {"maximum", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, maximum, false},
    {"minimum", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, minimum, false},
    {"power", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, power, true},
    {"prelu", 2, {SHAPE(2, 3, 4), SHAPE(3, 1)}, prelu, false},
    {"sum", 1, {SHAPE(2, 3, 4, 5)}, reduce_sum, false},
    {"mean", 1, {SHAPE(2, 3, 4, 5)}, reduce_mean, false},
    {"max", 1, {SHAPE(2, 3, 4)}, reduce_max, false},
    {"transpose, pad, reshape", 1, {SHAPE(2, 4, 5, 3)}, rearrange, false},
    {"concatenate", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 2)}, concatenate, false},
    {"max_pool", 1, {SHAPE(2, 5, 6, 3)}, max_pool, false},
    {"average_pool", 1, {SHAPE(2, 5, 6, 3)}, average_pool, false},
    {"resize nearest", 1, {SHAPE(2, 5, 6, 3)}, resize_nearest, false},
    {"resize bilinear", 1, {SHAPE(2, 5, 6, 3)}, resize_bilinear, false},
    {"softmax", 1, {SHAPE(3, 4, 5)}, softmax, false},
    {"log softmax", 1, {SHAPE(3, 4, 5)}, log_softmax, false},
    {"batch_norm", 3, {SHAPE(4, 3, 5), SHAPE(5), SHAPE(5)}, batch_norm, false},
    {"conv + bias + relu", 3, {SHAPE(2, 5, 6, 3), SHAPE(3, 2, 3, 4), SHAPE(4)}, fused, false},
};

static void test_examples(void **state)
{
    (void)state;
    test_seed();
    for (size_t i = 0; i < CN__COUNT(examples); i++) {
        check(&examples[i], false);
        check(&examples[i], true);
    }
}

static cn_function1 unary_now;

static cn_tensor *unary(cn_tensor *const *in)
{
    return cn_op_unary(in[0], unary_now);
}

/* Every function of one number, with parameters that put no kink near the points drawn. */
static void test_unary(void **state)
{
    (void)state;
    test_seed();
    for (int op = 0; op < CN_UNARY_COUNT; op++) {
        unary_now = (cn_function1){(cn_unary)op, {0.5f, 1, 0}};
        bool positive = op == CN_LOG || op == CN_SQRT || op == CN_RSQRT || op == CN_RECIPROCAL;
        if (op == CN_SIGN || op == CN_POSITIVE)
            continue; /* flat */
        example e = {cn_unary_name((cn_unary)op), 1, {SHAPE(3, 50)}, unary, positive};
        check(&e, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples),
                                       cmocka_unit_test(test_unary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
