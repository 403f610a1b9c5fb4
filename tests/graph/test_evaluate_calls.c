/* How graphs are evaluated in double: what replaces a variable, inputs within a graph, failures;
 * and what comparing with differences finds. */
#include "graph/small.h"

#include "graph/differences.h"
#include "graph/ops.h"
#include "unit/failing.h"

/* ---- evaluation ---- */

static void test_replaced(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2);
    cn__variable *w = cn__variable_new(cn_array_from(&shape, (const float[]){1, 2}));
    cn_tensor *x = input(shape), *twice = cn_op_binary(CN_ADD, x, x);
    cn_tensor *y = cn_op_binary(CN_MULTIPLY, twice, cn__variable_tensor(x, w, "w"));
    double one[2] = {1, 1}, other[2] = {1e-12, 5};
    cn__doubles in = {shape, one}, out;
    cn__evaluation plain = {0},
                   changed = {.replaced_count = 1, .replaced = &(cn__replaced){w, other}};
    assert_int_equal(cn__evaluate(cn_tensors(x), &in, cn_tensors(y), &out, &plain), CN_OK);
    assert_true(out.values[0] == 2 && out.values[1] == 4);
    cn__doubles_free(&out);
    assert_int_equal(cn__evaluate(cn_tensors(x), &in, cn_tensors(y), &out, &changed), CN_OK);
    assert_true(out.values[0] == 2e-12 && out.values[1] == 10);
    cn__doubles_free(&out);
    assert_int_equal(cn__evaluate(cn_tensors(twice), &in, cn_tensors(y), &out, &plain), CN_OK);
    assert_true(out.values[0] == 1 && out.values[1] == 2);
    cn__doubles_free(&out);
    cn__variable_release(w);
    cn_tensor_release(x);
}

static cn_status shape_of_input(const void *attributes, int inputs, cn_tensor *const *in,
                                cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[0]->shape;
    return CN_OK;
}

static void test_failures(void **state)
{
    (void)state;
    static const cn__op strange = {.name = "strange", .outputs = 1, .shape = shape_of_input};
    cn_tensor *x = input(cn_shape_of(-1, 2)), *y = cn__node_new(&strange, NULL, 1, &x);
    cn_tensor *sum = cn_op_binary(CN_ADD, x, x);
    cn__doubles in = {cn_shape_of(1, 3), (double[]){0, 0, 0}}, out;
    cn__evaluation plain = {0};
    assert_fails(cn__evaluate(cn_tensors(x), &in, cn_tensors(sum), &out, &plain), CN_ERROR_SHAPE,
                 "evaluate: the input 'x' takes the shape (None, 2), not (1, 3)");
    assert_fails(cn__evaluate(none, NULL, cn_tensors(sum), &out, &plain), CN_ERROR_ARGUMENT,
                 "evaluate: the outputs depend on the input 'x', which is not given");
    in.shape = cn_shape_of(1, 2);
    assert_fails(cn__evaluate(cn_tensors(x), &in, cn_tensors(y), &out, &plain),
                 CN_ERROR_UNSUPPORTED,
                 "evaluate: the operation strange cannot be computed in double precision");
    in.values[1] = 2.5;
    cn_tensor *classes = cn__op_one_hot(x, 2);
    assert_fails(
        cn__evaluate(cn_tensors(x), &in, cn_tensors(classes), &out, &plain), CN_ERROR_ARGUMENT,
        "evaluate: one_hot: element 1 is 2.5, but the classes are the numbers from 0 to 1");
    cn_tensor_release(x);
}

static void test_allocations(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, 4, 3)), *gradient;
    cn_tensor *y =
        cn_op_softmax(cn_op_resize(x, &(cn_resize_options){.rank = 1, .factor = {2}}), -1, false);
    assert_int_equal(cn_gradients(cn_tensors(y), none, cn_tensors(x), CN_GRADIENT, &gradient),
                     CN_OK);
    double values[12] = {0};
    cn__doubles in = {cn_shape_of(1, 4, 3), values}, out[2];
    cn__evaluation plain = {0};
    cn_status status = CN_ERROR_MEMORY;
    for (int k = 0; status != CN_OK; k++) {
        counter c;
        fail_at(&c, k);
        status = cn__evaluate(cn_tensors(x), &in, cn_tensors(y, gradient), out, &plain);
        assert_true(status == CN_OK || status == CN_ERROR_MEMORY);
        for (int i = 0; i < 2 && status == CN_OK; i++)
            cn__doubles_free(&out[i]);
        assert_int_equal(c.alive, 0);
        restore_allocator(NULL);
    }
    cn_tensor_release(x);
}

/* ---- differences ---- */

enum { count = 30 };

/* The sum of f(x) for x = 1/2, 3/2 ..., and a gradient that is claimed for it. */
static cn_status compare(cn_unary op, double (*derivative)(double x), cn__differences *found)
{
    cn_shape shape = cn_shape_of(count);
    cn_tensor *x = input(shape);
    cn_function1 f = {op, {0, __builtin_inff(), 0}};
    cn_tensor *sum = cn_op_reduce(CN_SUM, cn_op_unary(x, f), 1, false);
    double values[count], gradient[count];
    for (int i = 0; i < count; i++) {
        values[i] = i - 0.5 * count;
        gradient[i] = derivative(values[i]);
    }
    cn__doubles in = {shape, values}, claimed = {shape, gradient};
    cn__claim claim = {.inputs = cn_tensors(x),
                       .in = &in,
                       .value = sum,
                       .with_respect_to = cn_tensors(x),
                       .gradients = &claimed};
    cn_status status = cn__compare_with_differences(&claim, found, NULL);
    cn_tensor_release(x);
    return status;
}

static double twice(double x)
{
    return 2 * x;
}

static double nearly_twice(double x)
{
    return 2.001 * x;
}

static double nothing(double x)
{
    return 0 * x;
}

static double one_is_nan(double x)
{
    return x == 1 ? (double)NAN : 2 * x;
}

static double step(double x)
{
    return x > 0;
}

static void test_differences(void **state)
{
    (void)state;
    cn__differences found;
    assert_int_equal(compare(CN_SQUARE, twice, &found), CN_OK);
    assert_true(found.worst < 1e-7);
    assert_int_equal(found.compared, 22); /* 20 elements, 2 directions */
    assert_int_equal(found.kinks, 0);
    assert_int_equal(compare(CN_SQUARE, nearly_twice, &found), CN_OK);
    assert_true(found.worst > 1e-5 && found.worst < 1e-3);
    assert_int_equal(compare(CN_SQUARE, nothing, &found), CN_OK);
    assert_true(found.worst > 1 && found.kinks == 0);
    assert_int_equal(compare(CN_SQUARE, one_is_nan, &found), CN_OK);
    assert_true(isinf(found.worst));
    assert_int_equal(compare(CN_SQRT, twice, &found), CN_OK); /* of negative numbers */
    assert_true(isinf(found.worst));
    assert_int_equal(compare(CN_RELU, step, &found), CN_OK); /* x = 0 is among the values */
    assert_true(found.worst < 1e-7 && found.kinks >= 2);     /* both directions at least */
}

static void test_not_differentiable_by(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(2)), *y = cn_op_binary(CN_ADD, x, x);
    cn_tensor *sum = cn_op_reduce(CN_SUM, y, 1, false);
    cn__doubles in = {cn_shape_of(2), (double[]){1, 2}};
    cn__claim claim = {.inputs = cn_tensors(x),
                       .in = &in,
                       .value = sum,
                       .with_respect_to = cn_tensors(y),
                       .gradients = &in};
    cn__differences found;
    assert_fails(cn__compare_with_differences(&claim, &found, NULL), CN_ERROR_ARGUMENT,
                 "differences: 'binary' is neither an input nor a variable");
    cn_tensor_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_failures),
        cmocka_unit_test_teardown(test_allocations, restore_allocator),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_not_differentiable_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
