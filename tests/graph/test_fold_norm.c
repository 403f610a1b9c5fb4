/* Batch normalisation folded into the convolution before it: the same values as without, where
 * nothing can be folded because the convolution's result is asked for too. */
#include "graph/small.h"

typedef struct example {
    const char *name;
    cn_conv_options options;
    cn_shape x, kernel;
    int64_t out;
    bool bias, gamma, beta;
} example;

static const example examples[] = {
    {"conv", {.rank = 2}, {4, {2, 5, 6, 3}}, {4, {3, 3, 3, 7}}, 7, true, true, true},
    {"plain", {.rank = 2}, {4, {1, 5, 6, 3}}, {4, {3, 3, 3, 7}}, 7, false, false, false},
    {"groups", {.rank = 1, .groups = 2}, {3, {1, 9, 4}}, {3, {3, 2, 6}}, 6, true, false, true},
    {"depthwise",
     {.rank = 2, .groups = 5},
     {4, {1, 6, 6, 5}},
     {4, {3, 3, 1, 5}},
     5,
     false,
     true,
     true},
    {"transposed",
     {.rank = 2, .transposed = true, .stride = {2, 2}},
     {4, {1, 4, 3, 3}},
     {4, {3, 2, 5, 3}},
     5,
     true,
     true,
     false},
    {"transposed groups",
     {.rank = 1, .transposed = true, .groups = 2, .stride = {3}},
     {3, {1, 4, 6}},
     {3, {4, 2, 6}},
     4,
     true,
     true,
     true},
};

static int norms;

static void count_norms(const cn_trace *trace, void *context)
{
    (void)context;
    norms += strcmp(trace->operation, "batch_norm") == 0;
}

/* The weights mean, variance, gamma, beta and bias. */
typedef struct weights {
    cn__variable *of[5];
    cn_tensor *tensor[5];
} weights;

static weights make_weights(cn_tensor *x, int64_t channels)
{
    weights w;
    cn_shape shape = cn_shape_of(channels);
    for (int i = 0; i < 5; i++) {
        w.of[i] = cn__variable_new(numbers(shape));
        w.tensor[i] = cn__variable_tensor(x, w.of[i], "weight");
    }
    for (int64_t c = 0; c < channels; c++) {
        float *variance = cn_array_floats(w.of[1]->value) + c;
        *variance = 0.1f + fabsf(*variance);
    }
    return w;
}

/* The error of float sums of some thirty products, scaled by up to 1 / sqrt(0.1). */
static void compare(cn_function *folded, cn_function *plain, const cn_array *x)
{
    cn_array *y, *two[2];
    norms = 0;
    assert_int_equal(cn_function_run(folded, &x, &y, false, NULL), CN_OK);
    assert_int_equal(norms, 0);
    assert_int_equal(cn_function_run(plain, &x, two, false, NULL), CN_OK);
    assert_int_equal(norms, 1);
    for (int64_t i = 0; i < cn_array_count(y); i++)
        assert_float_equal(cn_array_const_floats(y)[i], cn_array_const_floats(two[0])[i], 1e-5);
    cn_array_free(y);
    cn_array_free(two[0]);
    cn_array_free(two[1]);
}

/* Three runs: the kernel is folded and packed at first, kept then, and folded again when one of the
 * weights has changed. */
static void run_example(const example *e)
{
    cn_tensor *x = input(e->x);
    cn__variable *kernel = cn__variable_new(numbers(e->kernel));
    weights w = make_weights(x, e->out);
    cn_tensor *conv = cn_op_conv(x, cn__variable_tensor(x, kernel, "kernel"), &e->options);
    if (e->bias)
        conv = cn_op_binary(CN_ADD, conv, w.tensor[4]);
    cn_tensor *y = cn_op_batch_norm(conv, e->gamma ? w.tensor[2] : NULL,
                                    e->beta ? w.tensor[3] : NULL, w.tensor[0], w.tensor[1],
                                    &(cn_batch_norm_options){.epsilon = 1e-3f}, NULL, NULL);
    y = cn_op_unary(y, (cn_function1){CN_RELU, {0, INFINITY, 0}});
    cn_function *folded = cn_function_new(cn_tensors(x), cn_tensors(y));
    cn_function *plain = cn_function_new(cn_tensors(x), cn_tensors(y, conv));
    assert_non_null(folded);
    assert_non_null(plain);
    cn_array *in = numbers(e->x);
    for (int i = 0; i < 4; i++) {
        compare(folded, plain, in);
        cn_array_floats(w.of[i]->value)[1] = 0.7f;
        cn__variable_changed(w.of[i]);
    }
    cn_array_free(in);
    cn_function_free(folded);
    cn_function_free(plain);
    cn__variable_release(kernel);
    for (int i = 0; i < 5; i++)
        cn__variable_release(w.of[i]);
}

static void test_examples(void **state)
{
    (void)state;
    cn_set_tracer(count_norms, NULL);
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        print_message("%s\n", examples[i].name);
        run_example(&examples[i]);
    }
    cn_set_tracer(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
