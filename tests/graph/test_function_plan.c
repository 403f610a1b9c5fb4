/* What a function tells about its plan: operations in their order, and memory, counted by hand. */
#include "small.h"

enum { most_steps = 8 };

typedef struct told {
    int count;
    cn_planned steps[most_steps];
    cn_shape out[most_steps];
} told;

static void keep(const cn_planned *step, void *context)
{
    told *t = context;
    assert_true(t->count < most_steps);
    t->out[t->count] = *step->operation.out;
    t->steps[t->count++] = *step;
}

static void plan(cn_function *f, const cn_shape *in, told *t, cn_memory *memory)
{
    *t = (told){0};
    if (cn_function_plan(f, in, false, keep, t, memory) != CN_OK)
        fail_msg("%s", cn_error_message());
    size_t most = 0, packed = 0;
    for (int i = 0; i < t->count; i++) {
        most = t->steps[i].live_bytes > most ? t->steps[i].live_bytes : most;
        packed += t->steps[i].packed_bytes;
        assert_true(t->steps[i].live_bytes >= t->steps[i].scratch_bytes);
        assert_true(t->steps[i].operation.milliseconds == 0);
    }
    assert_true(memory->least_bytes == most);
    assert_true(memory->workspace_bytes >= memory->least_bytes);
    assert_true(memory->packed_bytes == packed);
}

static cn_tensor *joined(cn_tensor *a, cn_tensor *b)
{
    return cn_op_concatenate(cn_tensors(a, b), 1);
}

/* x is the caller's, and so is what comes out; in between b = (x, x) of 2 n numbers, c = (b, b) of
 * 4 n, d = (c, b) of 6 n. The last two need b, c and d at once. */
static void test_chain(void **state)
{
    (void)state;
    const int64_t n = 100; /* 2 n numbers are no multiple of the 64 bytes that values begin at */
    cn_tensor *x = input(cn_shape_of(-1, n));
    cn_tensor *b = joined(x, x), *c = joined(b, b), *d = joined(c, b), *y = joined(d, b);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(y));
    const size_t numbers[] = {2, 2 + 4, 2 + 4 + 6, 2 + 6};
    for (int64_t batch = 1; batch <= 3; batch += 2) {
        size_t unit = (size_t)(batch * n) * sizeof(float);
        cn_shape in = cn_shape_of(batch, n);
        told t;
        cn_memory memory;
        plan(f, &in, &t, &memory);
        assert_int_equal(t.count, 4);
        for (int i = 0; i < t.count; i++) {
            assert_string_equal(t.steps[i].operation.operation, "concatenate");
            assert_true(t.steps[i].live_bytes == numbers[i] * unit);
        }
        cn_shape last = cn_shape_of(batch, 8 * n);
        assert_true(cn_shape_equal(&t.out[3], &last));
        assert_true(memory.least_bytes == 12 * unit);
        assert_true(memory.workspace_bytes <= 12 * unit + 3 * 63);
        assert_true(memory.output_bytes == 8 * unit);
        assert_true(memory.packed_bytes == 0);
    }
    cn_function_free(f);
}

/* A transposed convolution between two joins: its packed kernel and scratch are the plan's. */
static void test_convolution(void **state)
{
    (void)state;
    test_seed();
    cn_tensor *x = input(cn_shape_of(1, 5, 6, 7));
    cn_array *weights = numbers(cn_shape_of(3, 3, 4, 14));
    cn_tensor *two = cn_op_concatenate(cn_tensors(x, x), 3);
    cn_tensor *y = cn_op_conv(two, cn_op_constant(two, weights),
                              &(cn_conv_options){.transposed = true, .rank = 2, .stride = {2, 2}});
    cn_tensor *z = cn_op_concatenate(cn_tensors(y, y), 3);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(z));
    cn_shape in = cn_shape_of(1, 5, 6, 7);
    told t;
    cn_memory memory;
    plan(f, &in, &t, &memory);
    cn_conv conv = {.rank = 2,
                    .batch = 1,
                    .in_channels = 14,
                    .out_channels = 4,
                    .in = {5, 6},
                    .kernel = {3, 3},
                    .stride = {2, 2}};
    assert_int_equal(cn_conv_transpose_pad_keras(&conv, CN_VALID, NULL), CN_OK);
    cn_conv_plan *direct = cn_conv_plan_new(&conv, CN_CONV_TRANSPOSE);
    size_t scratch = cn_conv_plan_scratch_bytes(direct);
    assert_int_equal(t.count, 3);
    assert_string_equal(t.steps[1].operation.algorithm, cn_conv_plan_algorithm(direct));
    assert_string_equal(t.steps[1].operation.choice, cn_conv_plan_choice(direct));
    assert_true(t.steps[1].operation.multiplications == cn_conv_multiplications(&conv, true));
    assert_true(t.steps[1].packed_bytes == cn_conv_plan_packed_bytes(direct));
    assert_true(t.steps[1].packed_bytes >= (size_t)(3 * 3 * 4 * 14) * sizeof(float));
    assert_true(t.steps[1].scratch_bytes == scratch);
    assert_true(t.steps[1].live_bytes ==
                (size_t)(5 * 6 * 14 + 11 * 13 * 4) * sizeof(float) + scratch);
    cn_conv_plan_free(direct);
    cn_array_free(weights);
    cn_function_free(f);
}

/* A step writes over its input where it may: one value is in use. */
static void test_in_place(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(4, 25));
    cn_tensor *b = joined(x, x);
    cn_tensor *c = cn_op_unary(b, (cn_function1){.op = CN_EXP});
    cn_tensor *d = joined(c, c);
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(d));
    cn_shape in = cn_shape_of(4, 25);
    told t;
    cn_memory memory;
    plan(f, &in, &t, &memory);
    assert_int_equal(t.count, 3);
    assert_true(memory.least_bytes == 4 * 50 * sizeof(float));
    cn_function_free(f);
}

static void test_refusals(void **state)
{
    (void)state;
    cn_tensor *x = input(cn_shape_of(-1, 3));
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(joined(x, x)));
    cn_shape wrong = cn_shape_of(2, 4);
    assert_fails(cn_function_plan(f, &wrong, false, NULL, NULL, NULL), CN_ERROR_SHAPE,
                 "the input 'x' takes the shape (None, 3), not (2, 4)");
    cn_clear_error();
    assert_int_equal(cn_function_plan(f, NULL, false, NULL, NULL, NULL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_function_plan(NULL, &wrong, false, NULL, NULL, NULL), CN_ERROR_ARGUMENT);
    cn_shape right = cn_shape_of(2, 3);
    assert_int_equal(cn_function_plan(f, &right, false, NULL, NULL, NULL), CN_OK);
    cn_shape open = cn_shape_of(-1, 3);
    assert_fails(cn_function_plan(f, &open, false, NULL, NULL, NULL), CN_ERROR_SHAPE,
                 "function: the shape (None, 3) of 'x' must be known in full and have below 2^40 "
                 "elements");
    cn_function_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
