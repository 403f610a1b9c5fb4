/* What only the data tells, and what runs leave behind: switches, seeds and broadcasts of unknown
 * extents, packed weights, random streams, passing shortages of memory. */
#include "graph/small.h"
#include "unit/failing.h"

/* ---- unpooling ---- */

/* Runs the unpooling of two values, whose shapes the arrays tell. */
static cn_status run_unpooled(const int32_t *switches, cn_shape x_shape, cn_array **out)
{
    cn_shape small = cn_shape_of(1, 2, 1), large = cn_shape_of(1, 5, 1);
    cn_tensor *x = input(cn_shape_of(1, -1, 1)), *like = input(large);
    cn_tensor *at = cn_op_input(CN_INT32, &small, "switches");
    cn_tensor *y = cn_op_max_unpool(x, at, like, &(cn_pool_options){.rank = 1, .window = {2}});
    cn_array *in[] = {numbers(x_shape), integers(small, switches), numbers(large)};
    return run(cn_tensors(x, at, like), y, in, out);
}

/* What only the data tells: the run fails, and nothing is written out of place. */
static void test_unpool(void **state)
{
    (void)state;
    cn_array *out;
    assert_int_equal(run_unpooled((const int32_t[]){1, 4}, cn_shape_of(1, 2, 1), &out), CN_OK);
    assert_float_equal(cn_array_const_floats(out)[0], 0, 0);
    assert_true(cn_array_const_floats(out)[1] != 0 && cn_array_const_floats(out)[4] != 0);
    cn_array_free(out);
    assert_fails(run_unpooled((const int32_t[]){1, 5}, cn_shape_of(1, 2, 1), &out),
                 CN_ERROR_ARGUMENT,
                 "cn_max_unpool_f32: a switch names a cell outside the image, which has the cells "
                 "0 to 4");
    assert_null(out);
    assert_fails(run_unpooled((const int32_t[]){1, 4}, cn_shape_of(1, 1, 1), &out), CN_ERROR_SHAPE,
                 "max_unpool: (1, 1, 1) is not the shape that pooling (1, 5, 1) gives");
    assert_null(out);
}

/* ---- gradients ---- */

/* The gradient of a convolution, the seed's shape known with the data only. */
static cn_status run_seeded(cn_shape seed_shape, cn_array **out)
{
    cn_tensor *x = input(cn_shape_of(1, 6, 1)), *kernel = input(cn_shape_of(3, 1, 1)), *dx;
    cn_tensor *seed = input(cn_shape_of(-1, -1, -1));
    cn_tensor *y = cn_op_conv(x, kernel, &(cn_conv_options){.rank = 1});
    assert_int_equal(cn_gradients(cn_tensors(y), cn_tensors(seed), cn_tensors(x), CN_GRADIENT, &dx),
                     CN_OK);
    cn_array *in[] = {numbers(cn_shape_of(1, 6, 1)), numbers(cn_shape_of(3, 1, 1)),
                      numbers(seed_shape)};
    for (int i = 0; i < 3; i++)
        cn_array_floats(in[1])[i] = (float)(1 << i);
    cn_array_floats(in[2])[0] = 1;
    return run(cn_tensors(x, kernel, seed), dx, in, out);
}

static void test_seeds(void **state)
{
    (void)state;
    cn_array *out;
    assert_int_equal(run_seeded(cn_shape_of(1, 1, 1), &out), CN_OK);
    assert_values(out, cn_shape_of(1, 6, 1), (float[]){1, 3, 7, 7, 6, 4});
    cn_array_free(out);
    assert_fails(run_seeded(cn_shape_of(1, 3, 1), &out), CN_ERROR_SHAPE,
                 "broadcast: (1, 3, 1) cannot be repeated to the shape (1, 4, 1)");
    assert_fails(run_seeded(cn_shape_of(2, 4, 1), &out), CN_ERROR_SHAPE,
                 "broadcast: (2, 4, 1) cannot be repeated to the shape (1, 4, 1)");
}

/* Extents that are unknown on both sides may turn out to be broadcast. */
static void test_gradient_of_unknown_broadcast(void **state)
{
    (void)state;
    cn_tensor *a = input(cn_shape_of(-1, 2)), *b = input(cn_shape_of(-1, 2)), *da;
    cn_tensor *y = cn_op_binary(CN_MULTIPLY, a, b);
    assert_int_equal(cn_gradients(cn_tensors(y), none, cn_tensors(a), CN_GRADIENT, &da), CN_OK);
    cn_shape one = cn_shape_of(1, 2), two = cn_shape_of(2, 2);
    cn_array *out, *in[] = {numbers(one), cn_array_from(&two, (float[]){1, 2, 3, 4})};
    assert_int_equal(run(cn_tensors(a, b), da, in, &out), CN_OK);
    assert_values(out, one, (float[]){4, 6});
    cn_array_free(out);
}

/* 0^b: the derivative by b is 0, as TensorFlow has it, not NaN. */
static void test_gradient_of_power(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(3);
    cn_tensor *a = input(shape), *b = input(shape), *db;
    cn_tensor *y = cn_op_binary(CN_POWER, a, b);
    assert_int_equal(cn_gradients(cn_tensors(y), none, cn_tensors(b), CN_GRADIENT, &db), CN_OK);
    cn_array *out, *in[] = {cn_array_from(&shape, (float[]){0, -2, 2}),
                            cn_array_from(&shape, (float[]){2, 2, 2})};
    assert_int_equal(run(cn_tensors(a, b), db, in, &out), CN_OK);
    assert_values(out, shape, (float[]){0, 0, 4 * 0.69314718f});
    cn_array_free(out);
}

/* More inputs than an unsigned has bits. */
static void test_gradient_of_long_concatenation(void **state)
{
    (void)state;
    enum { count = 40 };
    cn_tensor *x = input(cn_shape_of(1)), *parts[count], *dx;
    for (int i = 0; i < count; i++)
        parts[i] = cn_op_unary(x, (cn_function1){CN_AFFINE, {(float)i, 0, 0}});
    cn_tensor *y = cn_op_concatenate((cn_tensor_list){count, parts}, 0);
    assert_int_equal(cn_gradients(cn_tensors(y), none, cn_tensors(x), CN_GRADIENT, &dx), CN_OK);
    cn_array *out, *in = numbers(cn_shape_of(1));
    assert_int_equal(run(cn_tensors(x), dx, &in, &out), CN_OK);
    assert_values(out, cn_shape_of(1), (float[]){count * (count - 1) / 2});
    cn_array_free(out);
}

/* ---- weights ---- */

/* A matrix is a reshaped kernel, which is packed again when the weight behind it changed; a
 * constant one is packed once. */
static void test_matrices(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2, 2), row = cn_shape_of(1, 2);
    cn__variable *weight = cn__variable_new(cn_array_from(&shape, (float[]){1, 2, 3, 4}));
    cn_tensor *x = input(row);
    cn_array *matrix = cn_array_from(&shape, (float[]){5, 6, 7, 8});
    cn_tensor *y = cn_op_matmul(x, cn__variable_tensor(x, weight, "weight"));
    cn_tensor *z = cn_op_matmul(x, cn_op_constant(x, matrix));
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y, z));
    cn_array *in = cn_array_from(&row, (float[]){1, 10}), *out[2];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, out, false, NULL), CN_OK);
        assert_values(out[0], row, i < 3 ? (float[]){31, 42} : (float[]){31, 52});
        assert_values(out[1], row, (float[]){75, 86});
        cn_array_free(out[0]);
        cn_array_free(out[1]);
        if (i == 1)
            cn_array_floats(weight->value)[3] = 5;
        if (i == 2)
            cn__variable_changed(weight);
    }
    cn_array_free(in);
    cn_array_free(matrix);
    cn_function_free(f);
    cn__variable_release(weight);
}

/* ---- memory ---- */

static void *fail_once(size_t size, size_t alignment, void *context)
{
    counter *c = context;
    bool fails = c->until_failure == 0;
    void *memory = counted_allocate(size, alignment, c);
    if (fails)
        c->until_failure = -1;
    return memory;
}

/* The gradient of a small network in training, with an output from another graph. */
static cn_function *gradient_function(cn_tensor **x, cn_tensor **apart)
{
    cn_shape shape = cn_shape_of(-1, 4, 2), channels = cn_shape_of(2), one = cn_shape_of(1);
    cn_tensor *dx = NULL;
    *apart = NULL;
    *x = cn_op_input(CN_FLOAT32, &shape, "x");
    cn__variable *weight = cn__variable_new(cn_array_new(CN_FLOAT32, &channels));
    cn_tensor *scale = weight == NULL ? NULL : cn__variable_tensor(*x, weight, "scale");
    cn__variable_release(weight);
    cn_tensor *y = cn_op_binary(CN_MULTIPLY, cn_op_dropout(*x, 0.5f, 0, 1), scale);
    y = cn_op_max_pool(y, &(cn_pool_options){.rank = 1, .window = {2}}, NULL);
    y = cn_op_concatenate(cn_tensors(cn_op_softmax(y, -1, false), y), -1);
    if (y == NULL ||
        cn_gradients(cn_tensors(y), none, cn_tensors(scale), CN_GRADIENT, &dx) != CN_OK)
        return NULL;
    *apart = cn_op_input(CN_FLOAT32, &one, "apart");
    return *apart == NULL ? NULL : cn_function_new(cn_tensors(*x, *apart), cn_tensors(dx, *apart));
}

/* Every allocation in turn fails, those after it do not: an error, and nothing is lost. */
static void test_passing_shortage(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2, 4, 2), one = cn_shape_of(1);
    bool succeeded = false;
    for (int k = 0; !succeeded; k++) {
        counter c;
        fail_at(&c, -1);
        cn_set_allocator(&(cn_allocator){fail_once, counted_release, &c});
        cn_array *in[] = {cn_array_new(CN_FLOAT32, &shape), cn_array_new(CN_FLOAT32, &one)};
        cn_array *out[2] = {NULL, NULL};
        cn_tensor *x, *apart;
        c.until_failure = k;
        cn_function *f = gradient_function(&x, &apart);
        cn_status status = f == NULL
                               ? cn_error_status()
                               : cn_function_run(f, (const cn_array *const *)in, out, true, NULL);
        succeeded = status == CN_OK;
        assert_true(succeeded ? c.until_failure >= 0 : status == CN_ERROR_MEMORY);
        assert_true(succeeded == (out[0] != NULL && out[1] != NULL));
        if (f == NULL) {
            cn_tensor_release(x);
            cn_tensor_release(apart);
        }
        cn_function_free(f);
        for (int i = 0; i < 2; i++) {
            cn_array_free(in[i]);
            cn_array_free(out[i]);
        }
        assert_int_equal(c.alive, 0);
    }
}

/* ---- random numbers ---- */

/* Runs with other shapes draw other numbers too: a last, smaller batch does not repeat the first.
 */
static void test_streams(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, 1000));
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(cn_op_noise(x, 1, false, 7)));
    cn_array *one = numbers(cn_shape_of(1, 1000)), *two = numbers(cn_shape_of(2, 1000)), *y[2];
    memcpy(cn_array_floats(two), cn_array_floats(one), 1000 * sizeof(float));
    assert_int_equal(cn_function_run(f, (const cn_array *[]){one}, &y[0], true, NULL), CN_OK);
    assert_int_equal(cn_function_run(f, (const cn_array *[]){two}, &y[1], true, NULL), CN_OK);
    int same = 0;
    for (int i = 0; i < 1000; i++)
        same += cn_array_const_floats(y[0])[i] == cn_array_const_floats(y[1])[i];
    assert_true(same < 10);
    cn_array_free(one);
    cn_array_free(two);
    cn_array_free(y[0]);
    cn_array_free(y[1]);
    cn_function_free(f);
}

/* ---- traces ---- */

typedef struct told {
    int count;
    cn_trace last;
    cn_shape in, out;
} told;

static void listen(const cn_trace *trace, void *context)
{
    told *t = context;
    t->count++;
    t->last = *trace;
    t->in = *trace->in[0];
    t->out = *trace->out;
}

/* A tracer hears of every operation until it is taken away. */
static void test_trace(void **state)
{
    (void)state;
    told t = {0};
    cn_shape shape = cn_shape_of(2, 3), square = cn_shape_of(3, 4);
    cn_tensor *x = input(shape);
    cn_array *matrix = cn_array_new(CN_FLOAT32, &square), *in = numbers(shape), *out;
    cn_function *f =
        cn_function_new(cn_tensors(x), cn_tensors(cn_op_matmul(x, cn_op_constant(x, matrix))));
    for (int i = 0; i < 2; i++) {
        cn_set_tracer(i == 0 ? listen : NULL, &t);
        assert_int_equal(cn_function_run(f, (const cn_array *[]){in}, &out, false, NULL), CN_OK);
        cn_array_free(out);
        assert_int_equal(t.count, 1);
    }
    assert_string_equal(t.last.operation, "conv");
    assert_string_equal(t.last.algorithm, "direct");
    assert_true(t.last.multiplications == 2 * 3 * 4 && t.last.milliseconds >= 0);
    assert_true(cn_shape_count(&t.in) == 6 && cn_shape_count(&t.out) == 8);
    cn_array_free(in);
    cn_array_free(matrix);
    cn_function_free(f);
}

int main(void)
{
    test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpool),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_gradient_of_unknown_broadcast),
        cmocka_unit_test(test_gradient_of_power),
        cmocka_unit_test(test_gradient_of_long_concatenation),
        cmocka_unit_test(test_matrices),
        cmocka_unit_test_teardown(test_passing_shortage, restore_allocator),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
