/* Functions compiled from graphs: inputs in the middle of a graph, phases, shapes, threads, fusion,
 * simplification, failing allocations. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "graph/program.h"
#include "support/random.h"
#include "unit/failing.h"

static const cn_function1 relu = {CN_RELU, {0, INFINITY, 0}};

static cn_array *array_of(const cn_shape *shape)
{
    int64_t count = cn_shape_count(shape);
    float *values = test_floats(count);
    cn_array *array = cn_array_from(shape, values);
    free(values);
    return array;
}

static cn__variable *variable_of(cn_shape shape)
{
    return cn__variable_new(array_of(&shape));
}

static void assert_same(const cn_array *a, const cn_array *b, double bound)
{
    assert_true(cn_shape_equal(cn_array_shape(a), cn_array_shape(b)));
    for (int64_t i = 0; i < cn_array_count(a); i++)
        if (!(fabs((double)(cn_array_const_floats(a)[i] - cn_array_const_floats(b)[i])) <= bound))
            fail_msg("element %lld: %g and %g", (long long)i, (double)cn_array_const_floats(a)[i],
                     (double)cn_array_const_floats(b)[i]);
}

static cn_array *run(cn_function *f, const cn_array *x, bool training, cn_pool *pool)
{
    cn_array *y = NULL;
    if (cn_function_run(f, &x, &y, training, pool) != CN_OK)
        fail_msg("%s", cn_error_message());
    return y;
}

/* conv - bias - relu - max pool - conv transpose, channels last or first. */
typedef struct network {
    cn__variable *kernel, *bias, *back;
    cn_tensor *input, *maps, *output;
} network;

static cn_tensor *to_last(cn_tensor *x, bool first)
{
    return first ? cn_op_transpose(x, (const int[]){0, 2, 3, 1}) : x;
}

static cn_tensor *to_first(cn_tensor *x, bool first)
{
    return first ? cn_op_transpose(x, (const int[]){0, 3, 1, 2}) : x;
}

static void build(network *n, bool first)
{
    cn_shape shape = first ? cn_shape_of(-1, 3, -1, -1) : cn_shape_of(-1, -1, -1, 3);
    n->input = cn_op_input(CN_FLOAT32, &shape, "image");
    cn_tensor *x = to_last(n->input, first);
    x = cn_op_conv(x, cn__variable_tensor(x, n->kernel, "kernel"),
                   &(cn_conv_options){.rank = 2, .padding = CN_SAME});
    x = cn_op_binary(CN_ADD, x, cn__variable_tensor(x, n->bias, "bias"));
    n->maps = cn_op_unary(to_first(x, first), relu);
    x = cn_op_max_pool(to_last(n->maps, first), &(cn_pool_options){.rank = 2, .window = {2, 2}},
                       NULL);
    x = to_last(cn_op_unary(to_first(x, first), (cn_function1){.op = CN_TANH}), first);
    x = cn_op_conv(
        x, cn__variable_tensor(x, n->back, "back"),
        &(cn_conv_options){.transposed = true, .rank = 2, .stride = {2, 2}, .padding = CN_SAME});
    n->output = to_first(x, first);
}

static network new_network(void)
{
    return (network){.kernel = variable_of(cn_shape_of(3, 3, 3, 5)),
                     .bias = variable_of(cn_shape_of(5)),
                     .back = variable_of(cn_shape_of(3, 3, 2, 5))};
}

static void free_network(network *n)
{
    cn__variable_release(n->kernel);
    cn__variable_release(n->bias);
    cn__variable_release(n->back);
}

static cn_array *turned(const cn_array *x)
{
    const cn_shape *s = cn_array_shape(x);
    cn_shape shape = cn_shape_of(s->dim[0], s->dim[3], s->dim[1], s->dim[2]);
    cn_array *y = cn_array_new(CN_FLOAT32, &shape);
    cn_transpose_f32(s, (const int[]){0, 3, 1, 2}, cn_array_const_floats(x), cn_array_floats(y),
                     NULL);
    return y;
}

/* The same network in both orders, on two image sizes, gives the same numbers. */
static void test_data_formats(void **state)
{
    (void)state;
    test_seed();
    network last = new_network(), first = last;
    build(&last, false);
    build(&first, true);
    cn_function *f = cn_function_new(cn_tensors(last.input), cn_tensors(last.output));
    cn_function *g = cn_function_new(cn_tensors(first.input), cn_tensors(first.output));
    for (int64_t size = 6; size <= 9; size += 3) {
        cn_shape shape = cn_shape_of(2, size, 8, 3);
        cn_array *x = array_of(&shape), *x_first = turned(x);
        cn_array *y = run(f, x, false, NULL), *y_first = run(g, x_first, false, NULL);
        cn_array *expected = turned(y);
        assert_same(expected, y_first, 1e-6);
        cn_array_free(x);
        cn_array_free(x_first);
        cn_array_free(y);
        cn_array_free(y_first);
        cn_array_free(expected);
    }
    cn_function_free(f);
    cn_function_free(g);
    free_network(&last);
}

/* A function from the middle of the graph, and one that lacks an input. */
static void test_inputs_anywhere(void **state)
{
    (void)state;
    test_seed();
    network n = new_network();
    build(&n, false);
    cn_function *whole = cn_function_new(cn_tensors(n.input), cn_tensors(n.maps, n.output));
    cn_function *upper = cn_function_new(cn_tensors(n.maps), cn_tensors(n.output));
    cn_shape shape = cn_shape_of(1, 6, 6, 3);
    cn_array *x = array_of(&shape), *y[2];
    assert_int_equal(cn_function_run(whole, (const cn_array *[]){x}, y, false, NULL), CN_OK);
    cn_array *z = run(upper, y[0], false, NULL);
    assert_same(y[1], z, 1e-6);

    cn_tensor *other = cn_op_input(CN_FLOAT32, cn_tensor_shape(n.maps), "other");
    cn_function *lacking = cn_function_new(cn_tensors(other), cn_tensors(n.output));
    assert_int_equal(cn_function_run(lacking, (const cn_array *[]){y[0]}, &z, false, NULL),
                     CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(),
                        "function: the outputs depend on the input 'image', which is not among "
                        "the function's inputs");
    cn_shape wrong = cn_shape_of(1, 6, 6, 4);
    cn_array *bad = array_of(&wrong);
    cn_array *untouched = NULL;
    assert_int_equal(cn_function_run(whole, (const cn_array *[]){bad}, &untouched, false, NULL),
                     CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "the input 'image' takes the shape (None, None, None, "
                                            "3), not (1, 6, 6, 4)");
    assert_null(untouched);
    cn_array_free(bad);
    cn_array_free(x);
    cn_array_free(y[0]);
    cn_array_free(y[1]);
    cn_array_free(z);
    cn_function_free(whole);
    cn_function_free(upper);
    cn_function_free(lacking);
    free_network(&n);
}

/* A changed weight is seen by the next run. */
static void test_changed_weight(void **state)
{
    (void)state;
    test_seed();
    network n = new_network();
    build(&n, false);
    cn_function *f = cn_function_new(cn_tensors(n.input), cn_tensors(n.output));
    cn_shape shape = cn_shape_of(1, 6, 6, 3);
    cn_array *x = array_of(&shape), *before = run(f, x, false, NULL);
    float *kernel = cn_array_floats(n.back->value);
    for (int64_t i = 0; i < cn_array_count(n.back->value); i++)
        kernel[i] *= 2;
    cn__variable_changed(n.back);
    cn_array *after = run(f, x, false, NULL);
    for (int64_t i = 0; i < cn_array_count(before); i++)
        cn_array_floats(before)[i] *= 2;
    assert_same(before, after, 1e-6);
    cn_array_free(x);
    cn_array_free(before);
    cn_array_free(after);
    cn_function_free(f);
    free_network(&n);
}

/* Dropout keeps the expected value in training and is nothing otherwise; its mask is drawn anew. */
static void test_learning_phase(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(-1, 1000), given = cn_shape_of(20, 1000);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &shape, "x");
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(cn_op_dropout(x, 0.25f, 0, 7)));
    cn_array *ones = cn_array_new(CN_FLOAT32, &given);
    for (int64_t i = 0; i < cn_array_count(ones); i++)
        cn_array_floats(ones)[i] = 1;
    cn_array *still = run(f, ones, false, NULL);
    assert_same(ones, still, 0);
    cn_array *a = run(f, ones, true, NULL), *b = run(f, ones, true, NULL);
    double sum = 0;
    int64_t same = 0, kept = 0;
    for (int64_t i = 0; i < cn_array_count(a); i++) {
        float value = cn_array_const_floats(a)[i];
        assert_true(value == 0 || fabsf(value - 1 / 0.75f) < 1e-6f);
        sum += (double)value;
        kept += value != 0;
        same += value == cn_array_const_floats(b)[i];
    }
    /* 20,000 decisions: the standard deviation of the kept share is 0.003, of the equal one 0.0034
     */
    assert_true(fabs((double)kept / 20000 - 0.75) < 0.02);
    assert_true(fabs(sum / 20000 - 1) < 0.03);
    assert_true(fabs((double)same / 20000 - 0.625) < 0.02);
    cn_array_free(ones);
    cn_array_free(still);
    cn_array_free(a);
    cn_array_free(b);
    cn_function_free(f);
}

/* Batch normalisation in training: the batch's moments, and the moving ones moved towards them. */
static void test_batch_norm_training(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(-1, 2), given = cn_shape_of(4, 2), channels = cn_shape_of(2);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &shape, "x"), *mean, *variance;
    cn__variable *old_mean = cn__variable_new(cn_array_from(&channels, (float[]){1, 1}));
    cn__variable *old_variance = cn__variable_new(cn_array_from(&channels, (float[]){2, 2}));
    cn_tensor *y = cn_op_batch_norm(x, NULL, NULL, cn__variable_tensor(x, old_mean, "mean"),
                                    cn__variable_tensor(x, old_variance, "variance"),
                                    &(cn_batch_norm_options){.momentum = 0.75f, .epsilon = 0},
                                    &mean, &variance);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y, mean, variance));
    cn_array *in = cn_array_from(&given, (float[]){1, 0, 3, 0, 1, 4, 3, 4}), *out[3];
    assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, out, true, NULL), CN_OK);
    /* means 2 and 2, variances 1 and 4 */
    static const float expected[] = {-1, -1, 1, -1, -1, 1, 1, 1};
    for (int i = 0; i < 8; i++)
        assert_float_equal(cn_array_const_floats(out[0])[i], expected[i], 1e-6);
    assert_float_equal(cn_array_const_floats(out[1])[0], 1.25, 1e-6);
    assert_float_equal(cn_array_const_floats(out[2])[0], 1.75, 1e-6);
    assert_float_equal(cn_array_const_floats(out[2])[1], 2.5, 1e-6);
    for (int i = 0; i < 3; i++)
        cn_array_free(out[i]);
    cn_function *only = cn_function_new(cn_tensors(x), cn_tensors(y));
    cn_array *inference = run(only, in, false, NULL);
    assert_float_equal(cn_array_const_floats(inference)[1], -1 / sqrtf(2), 1e-6);
    cn_array_free(inference);
    cn_array_free(in);
    cn_function_free(only);
    cn_function_free(f);
    cn__variable_release(old_mean);
    cn__variable_release(old_variance);
}

/* Zeiler and Fergus' way back: relu of the signal, not of the activation. */
static void test_gradient_rules(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(4);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &shape, "x");
    cn_tensor *seed = cn_op_input(CN_FLOAT32, &shape, "seed");
    cn_tensor *y = cn_op_unary(x, relu), *back[3];
    for (int rule = 0; rule < 3; rule++)
        assert_int_equal(cn_gradients(cn_tensors(y), cn_tensors(seed), cn_tensors(x),
                                      (cn_gradient_rule)rule, &back[rule]),
                         CN_OK);
    cn_function *f = cn_function_new(cn_tensors(x, seed), (cn_tensor_list){3, back});
    cn_array *in[2] = {cn_array_from(&shape, (float[]){1, 1, -1, -1}),
                       cn_array_from(&shape, (float[]){2, -2, 2, -2})};
    cn_array *out[3];
    assert_int_equal(cn_function_run(f, (const cn_array *const *)in, out, false, NULL), CN_OK);
    static const float expected[3][4] = {{2, -2, 0, 0}, {2, 0, 2, 0}, {2, 0, 0, 0}};
    for (int rule = 0; rule < 3; rule++) {
        for (int i = 0; i < 4; i++)
            assert_float_equal(cn_array_const_floats(out[rule])[i], expected[rule][i], 0);
        cn_array_free(out[rule]);
    }
    cn_array_free(in[0]);
    cn_array_free(in[1]);
    cn_function_free(f);
}

/* Four threads run one function at the same time on a shared pool. */
typedef struct shared {
    cn_function *function;
    const cn_array *x, *expected;
    cn_pool *pool;
    bool right;
} shared;

static void *run_often(void *opaque)
{
    shared *s = opaque;
    s->right = true;
    for (int i = 0; i < 20; i++) {
        cn_array *y = NULL;
        s->right = s->right && cn_function_run(s->function, &s->x, &y, false, s->pool) == CN_OK &&
                   memcmp(cn_array_const_floats(y), cn_array_const_floats(s->expected),
                          (size_t)cn_array_count(y) * sizeof(float)) == 0;
        cn_array_free(y);
    }
    return NULL;
}

static void test_concurrent_runs(void **state)
{
    (void)state;
    test_seed();
    network n = new_network();
    build(&n, true);
    cn_function *f = cn_function_new(cn_tensors(n.input), cn_tensors(n.output));
    cn_shape shape = cn_shape_of(3, 3, 16, 20);
    cn_array *x = array_of(&shape), *expected = run(f, x, false, NULL);
    cn_pool *pool = cn_pool_new(2);
    shared s[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (shared){f, x, expected, pool, false};
        pthread_create(&threads[i], NULL, run_often, &s[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(s[i].right);
    }
    cn_pool_free(pool);
    cn_array_free(x);
    cn_array_free(expected);
    cn_function_free(f);
    free_network(&n);
}

/* Pieces that live at the same time never overlap, and a chain needs the room of its two largest.
 */
static void test_memory_plan(void **state)
{
    (void)state;
    test_seed();
    for (int round = 0; round < 50; round++) {
        cn__lifetime pieces[30];
        size_t total, largest = 0;
        for (int i = 0; i < 30; i++) {
            int first = (int)test_int(0, 20);
            pieces[i] =
                (cn__lifetime){(size_t)test_int(0, 5000), first, first + (int)test_int(0, 6), 0};
        }
        assert_int_equal(cn__plan_memory(pieces, 30, &total), CN_OK);
        for (int step = 0; step < 30; step++) {
            size_t alive = 0;
            for (int i = 0; i < 30; i++)
                if (pieces[i].first <= step && step <= pieces[i].last)
                    alive += pieces[i].bytes;
            largest = alive > largest ? alive : largest;
        }
        assert_true(total >= largest && total <= 2 * largest);
        for (int i = 0; i < 30; i++)
            for (int j = 0; j < i; j++) {
                const cn__lifetime *a = &pieces[i], *b = &pieces[j];
                if (a->first <= b->last && b->first <= a->last)
                    assert_true(a->offset + a->bytes <= b->offset ||
                                b->offset + b->bytes <= a->offset);
            }
    }
}

/* Every allocation in turn fails, and those after it: an error each time, never a crash or a leak.
 */
static void test_failing_allocations(void **state)
{
    (void)state;
    test_seed();
    cn_shape shape = cn_shape_of(1, 3, 6, 6);
    bool succeeded = false;
    for (int k = 0; !succeeded; k++) {
        counter c;
        fail_at(&c, -1);
        network n = new_network();
        cn_array *x = array_of(&shape), *y = NULL;
        c.until_failure = k;
        build(&n, true);
        cn_function *f =
            n.output == NULL ? NULL : cn_function_new(cn_tensors(n.input), cn_tensors(n.output));
        cn_status status = f == NULL ? cn_error_status()
                                     : cn_function_run(f, (const cn_array *[]){x}, &y, false, NULL);
        succeeded = status == CN_OK;
        assert_true(succeeded || status == CN_ERROR_MEMORY);
        assert_true(succeeded == (y != NULL));
        if (f == NULL)
            cn_tensor_release(n.input);
        cn_function_free(f);
        cn_array_free(x);
        cn_array_free(y);
        free_network(&n);
        assert_int_equal(c.alive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_formats),
        cmocka_unit_test(test_inputs_anywhere),
        cmocka_unit_test(test_changed_weight),
        cmocka_unit_test(test_learning_phase),
        cmocka_unit_test(test_batch_norm_training),
        cmocka_unit_test(test_gradient_rules),
        cmocka_unit_test(test_concurrent_runs),
        cmocka_unit_test(test_memory_plan),
        cmocka_unit_test_teardown(test_failing_allocations, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
