/* Models: order of layers, names, nested and shared ones, prediction in batches, summaries. */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/models.h"
#include "unit/failing.h"

static counter memory;

static int count_memory(void **state)
{
    (void)state;
    fail_at(&memory, -1);
    return 0;
}

static int check_memory(void **state)
{
    assert_int_equal(memory.alive, 0);
    return restore_allocator(state);
}

static void assert_message(const char *part)
{
    if (strstr(cn_error_message(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, cn_error_message());
}

/* y = 2 x + 1 for one number. */
static cn_model *line(const char *name)
{
    cn_layer *layers[] = {
        cn_input({1}),
        cn_dense(1, .name = "d", .kernel_initializer = "ones", .bias_initializer = "ones"),
        cn_rescaling(2, .name = "r", .offset = -1)};
    return cn_sequential_new(name, 3, layers);
}

static float predict(cn_model *model, float x)
{
    cn_shape shape = cn_shape_of(1, 1);
    cn_array *in = cn_array_from(&shape, &x), *out = NULL;
    assert_int_equal(cn_model_predict(model, (const cn_array *const *)&in, &out, 0, NULL), CN_OK);
    float y = cn_array_const_floats(out)[0];
    cn_array_free(in);
    cn_array_free(out);
    return y;
}

static void test_sequential(void **state)
{
    (void)state;
    cn_model *m = line("line");
    assert_non_null(m);
    assert_string_equal(cn_model_name(m), "line");
    assert_int_equal(cn_model_layer_count(m), 2);
    assert_string_equal(cn_layer_name(cn_model_layer(m, 0)), "d");
    assert_ptr_equal(cn_model_layer(m, -1), cn_model_layer_named(m, "r"));
    assert_int_equal(cn_model_parameter_count(m, false), 2);
    assert_float_equal(predict(m, 3), 7, 0);
    assert_null(cn_model_layer(m, 2));
    assert_message("has no layer 2");
    assert_null(cn_model_layer_named(m, "x"));
    assert_message("has no layer x; its layers are d, r");
    cn_model_free(m);
}

static void test_sequential_refusals(void **state)
{
    (void)state;
    assert_null(cn_sequential(cn_input({1}), NULL, cn_dense(1)));
    assert_null(cn_sequential(cn_dense(1), cn_dense(1)));
    assert_message("begins with an input");
    cn_clear_error();
    assert_null(cn_sequential(cn_input({1}), cn_dense(1), cn_input({2})));
    assert_message("only the first may be");
    assert_null(cn_sequential(cn_input({1}), cn_conv2d(1, {3})));
    assert_null(cn_sequential(cn_input({1}), cn_dense(1, .name = "a"), cn_dense(1, .name = "a")));
    assert_message("two layers, a Dense and a Dense, are named a");
}

/* Two models without names can be layers of one model. */
static void test_automatic_names(void **state)
{
    (void)state;
    cn_model *encoder = cn_sequential(cn_input({4}), cn_dense(2));
    cn_model *decoder = cn_sequential(cn_input({2}), cn_dense(4));
    cn_tensor *x = cn_input_tensor({4});
    cn_tensor *code = cn_apply(cn_model_as_layer(encoder), x);
    cn_tensor *y = cn_apply(cn_model_as_layer(decoder), code);
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(y));
    if (m == NULL)
        fail_msg("%s", cn_error_message());
    assert_int_equal(cn_model_layer_count(m), 3);
    assert_memory_equal(cn_layer_name(cn_model_layer(m, 1)), "sequential", 10);
    assert_memory_equal(cn_model_name(m), "functional", 10);
    cn_model_free(m);
}

/* Keras' order is by depth, not by the order of making. */
static void test_order(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({2}, .name = "x");
    cn_tensor *late = cn_apply(cn_dense(2, .name = "late"), x);
    cn_tensor *a = cn_apply(cn_dense(2, .name = "a"), x);
    cn_tensor *b = cn_apply(cn_dense(2, .name = "b"), a);
    cn_tensor *sum = cn_apply_list(cn_add(.name = "sum"), cn_tensors(late, b));
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(sum));
    static const char *const names[] = {"x", "a", "late", "b", "sum"};
    assert_non_null(m);
    assert_int_equal(cn_model_layer_count(m), 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(cn_layer_name(cn_model_layer(m, i)), names[i]);
    cn_model_free(m);
}

static void test_missing_input(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({2}, .name = "x"), *z = cn_input_tensor({2}, .name = "z");
    cn_tensor *sum = cn_apply_list(cn_add(), cn_tensors(x, z));
    assert_null(cn_model_new(cn_tensors(x), cn_tensors(sum)));
    assert_message("depends on the input z, which is not among");
    cn_model *m = cn_model_new(cn_tensors(x, z), cn_tensors(sum));
    assert_non_null(m);
    cn_model_free(m);
}

/* A model from the middle of another one shares its layers. */
static void test_part_of_a_model(void **state)
{
    (void)state;
    cn_model *m = line("line");
    cn_tensor *middle = cn_layer_output(cn_model_layer(m, 0));
    cn_model *head = cn_model_new(cn_model_inputs(m), cn_tensors(middle));
    cn_model *tail = cn_model_new(cn_tensors(middle), cn_model_outputs(m));
    cn_model_free(m);
    assert_float_equal(predict(head, 3), 4, 0);
    assert_float_equal(predict(tail, 4), 7, 0);
    cn_model_free(head);
    cn_model_free(tail);
}

static void test_nested(void **state)
{
    (void)state;
    cn_layer *inner = cn_model_as_layer(line("inner"));
    cn_tensor *x = cn_input_tensor({1});
    cn_tensor *y = cn_apply(inner, cn_apply(inner, x));
    cn_model *m = cn_model_named("outer", cn_tensors(x), cn_tensors(y));
    assert_non_null(m);
    assert_float_equal(predict(m, 1), 7, 0);
    assert_int_equal(cn_model_parameter_count(m, false), 2);
    cn_layer *d = cn_model_layer_named(m, "inner/d");
    assert_non_null(d);
    assert_string_equal(cn_layer_type(d), "Dense");
    assert_null(cn_model_layer_named(m, "inner/e"));
    cn_layer_set_trainable(cn_model_layer_named(m, "inner"), false);
    assert_int_equal(cn_model_parameter_count(m, true), 0);
    cn_model_free(m);
}

/* An autoencoder's way: the encoder becomes a layer in the graph it came from. */
static void test_nested_in_its_own_graph(void **state)
{
    (void)state;
    cn_model *encoder = line("encoder");
    cn_tensor *x = cn_model_input(encoder);
    cn_tensor *code = cn_apply(cn_model_as_layer(encoder), x);
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(code));
    assert_non_null(m);
    assert_float_equal(predict(m, 3), 7, 0);
    cn_model_free(m);
}

static void test_operations_cannot_nest(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({1});
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(cn_op_binary(CN_ADD, x, x)));
    assert_float_equal(predict(m, 3), 6, 0);
    assert_null(cn_model_as_layer(m));
    assert_message("operations outside its layers");
}

static void test_batches(void **state)
{
    (void)state;
    enum { rows = 7 };
    cn_model *m = line("line");
    cn_shape shape = cn_shape_of(rows, 1);
    cn_array *in = cn_array_new(CN_FLOAT32, &shape), *out = NULL;
    for (int i = 0; i < rows; i++)
        cn_array_floats(in)[i] = (float)i;
    for (int64_t size = 1; size <= rows; size++) {
        assert_int_equal(cn_model_predict(m, (const cn_array *const *)&in, &out, size, NULL),
                         CN_OK);
        assert_int_equal(cn_array_shape(out)->dim[0], rows);
        for (int i = 0; i < rows; i++)
            assert_float_equal(cn_array_const_floats(out)[i], 2 * (float)i + 1, 0);
        cn_array_free(out);
    }
    assert_int_equal(cn_model_predict(m, (const cn_array *const *)&in, &out, -1, NULL),
                     CN_ERROR_ARGUMENT);
    cn_array_free(in);
    cn_model_free(m);
}

static void test_fixed_batch(void **state)
{
    (void)state;
    cn_model *m = cn_sequential(cn_input({1}, .batch_size = 2), cn_rescaling(3));
    cn_shape shape = cn_shape_of(4, 1);
    cn_array *in = cn_array_from(&shape, (const float[]){1, 2, 3, 4}), *out = NULL;
    assert_int_equal(cn_model_predict(m, (const cn_array *const *)&in, &out, 0, NULL), CN_OK);
    assert_memory_equal(cn_array_const_floats(out), ((float[]){3, 6, 9, 12}), 4 * sizeof(float));
    cn_array_free(in);
    cn_array_free(out);
    cn_model_free(m);
}

static void test_without_memory(void **state)
{
    (void)state;
    cn_model *m = NULL;
    for (int k = 0; m == NULL; k++) {
        fail_at(&memory, k);
        m = line("line");
        cn_layer *layer = m == NULL ? NULL : cn_model_as_layer(m);
        m = layer == NULL ? NULL : cn_sequential(cn_input({1}), layer);
        char *text = m == NULL ? NULL : cn_model_summary(m, NULL);
        if (text == NULL) {
            cn_model_free(m);
            m = NULL;
            assert_int_equal(memory.alive, 0);
        }
        cn_free_text(text);
    }
    cn_model_free(m);
}

/* The weights of nested models stand in their place, and shared ones once. */
static void test_weights(void **state)
{
    (void)state;
    cn_layer *shared = cn_model_as_layer(line("inner"));
    cn_tensor *x = cn_input_tensor({1});
    cn_tensor *y = cn_apply(shared, cn_apply(shared, cn_apply(cn_dense(1, .name = "first"), x)));
    cn_model *model = cn_model_new(cn_tensors(x), cn_tensors(y)), *other = line("other");
    assert_int_equal(cn_model_weight_count(model), 4);
    assert_string_equal(cn_model_weight_name(model, 0), "first/kernel");
    assert_int_equal(cn_array_count(cn_model_weight(model, 3)), 1);
    cn_array *seven = cn_array_from(&(cn_shape){.rank = 1, .dim = {1}}, (float[]){7});
    assert_int_equal(cn_model_set_weight(model, 3, seven), CN_OK);
    assert_true(cn_array_const_floats(cn_model_weight(model, 3))[0] == 7);
    assert_int_equal(cn_model_set_weight(model, 2, seven), CN_ERROR_SHAPE);
    assert_null(cn_model_weight(model, 4));
    assert_message("has no weight 4; it has 4");
    assert_int_equal(cn_model_copy_weights(other, model), CN_ERROR_SHAPE);
    assert_message("has 2 weights, but");
    cn_model *copy = line("copy");
    assert_int_equal(cn_model_set_weight(copy, 1, seven), CN_OK);
    assert_int_equal(cn_model_copy_weights(other, copy), CN_OK);
    assert_true(predict(other, 1) == 2 * (1 + 7) - 1);
    cn_array_free(seven);
    cn_model_free(copy);
    cn_model_free(other);
    cn_model_free(model);
}

static void test_summary(void **state)
{
    (void)state;
    cn_layer *layers[] = {cn_input({28, 28, 1}), cn_conv2d(32, {3}, .name = "conv2d"),
                          cn_batch_normalization(.name = "a_name_that_is_too_long_for_a_line"),
                          cn_flatten(.name = "flatten"), cn_dense(10, .name = "dense")};
    cn_model *m = cn_sequential_new("digits", 5, layers);
    char *text = cn_model_summary(m, NULL);
    assert_non_null(text);
    assert_string_equal(
        text, "Model: \"digits\"\n"
              "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓\n"
              "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃\n"
              "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩\n"
              "│ conv2d (Conv2D)                 │ (None, 26, 26, 32)     │           320 │\n"
              "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
              "│ a_name_that_is_too_long_for_a_… │ (None, 26, 26, 32)     │           128 │\n"
              "│ (BatchNormalization)            │                        │               │\n"
              "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
              "│ flatten (Flatten)               │ (None, 21632)          │             0 │\n"
              "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
              "│ dense (Dense)                   │ (None, 10)             │       216,330 │\n"
              "└─────────────────────────────────┴────────────────────────┴───────────────┘\n"
              " Total params: 216,778 (846.79 KB)\n"
              " Trainable params: 216,714 (846.54 KB)\n"
              " Non-trainable params: 64 (256.00 B)\n");
    cn_free_text(text);
    assert_null(cn_model_summary(m, &(cn_summary_options){.width = 5}));
    assert_null(cn_model_summary(m, &(cn_summary_options){.width = INT_MAX}));
    assert_message("from 40 to 1000");
    cn_model_free(m);
}

static void test_summary_of_a_graph(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({2}, .name = "x");
    cn_tensor *a = cn_apply(cn_dense(2, .name = "a"), x);
    cn_tensor *sum = cn_apply_list(cn_add(.name = "sum"), cn_tensors(x, a));
    cn_model *m = cn_model_named("g", cn_tensors(x), cn_tensors(sum));
    char *text = cn_model_summary(m, &(cn_summary_options){.width = 64, .ascii = true});
    assert_non_null(text);
    assert_string_equal(text, "Model: \"g\"\n"
                              "+====================+===============+=========+===============+\n"
                              "| Layer (type)       | Output Shape  | Param # | Connected to  |\n"
                              "+====================+===============+=========+===============+\n"
                              "| x (InputLayer)     | (None, 2)     |       0 | -             |\n"
                              "+--------------------+---------------+---------+---------------+\n"
                              "| a (Dense)          | (None, 2)     |       6 | x[0][0]       |\n"
                              "+--------------------+---------------+---------+---------------+\n"
                              "| sum (Add)          | (None, 2)     |       0 | x[0][0],      |\n"
                              "|                    |               |         | a[0][0]       |\n"
                              "+--------------------+---------------+---------+---------------+\n"
                              " Total params: 6 (24.00 B)\n"
                              " Trainable params: 6 (24.00 B)\n"
                              " Non-trainable params: 0 (0.00 B)\n");
    cn_free_text(text);
    text = cn_model_summary_json(m);
    assert_non_null(strstr(text, "\"parameters\": 6"));
    cn_free_text(text);
    cn_model_free(m);
}

/* ---- threads ---- */

typedef struct shared {
    cn_model *model;
    const cn_array *x, *expected;
    int64_t batch;
    bool right;
} shared;

static void *predict_often(void *opaque)
{
    shared *s = opaque;
    for (int i = 0; i < 10; i++) {
        cn_array *y = NULL;
        s->right = s->right && cn_model_predict(s->model, &s->x, &y, s->batch, NULL) == CN_OK &&
                   memcmp(cn_array_const_floats(y), cn_array_const_floats(s->expected),
                          (size_t)cn_array_count(y) * sizeof(float)) == 0;
        cn_array_free(y);
    }
    return NULL;
}

/* Threads predict with one model, whose function the first of them makes, in batches of their own,
 * and with another model that shares its layers. */
static void test_threads(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({6, 6, 2});
    cn_tensor *a = cn_apply(cn_conv2d(4, {3}, .activation = "relu"), x);
    cn_tensor *b = cn_apply(cn_batch_normalization(), a);
    cn_tensor *y = cn_apply(cn_dense(3, .activation = "softmax"), cn_apply(cn_flatten(), b));
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(y));
    cn_model *other = cn_model_new(cn_tensors(x), cn_tensors(y));
    cn_model *third = cn_model_new(cn_tensors(x), cn_tensors(y));
    cn_shape shape = cn_shape_of(5, 6, 6, 2);
    cn_array *in = cn_array_new(CN_FLOAT32, &shape), *expected = NULL;
    for (int64_t i = 0; i < cn_array_count(in); i++)
        cn_array_floats(in)[i] = (float)(i % 7) - 3;
    assert_int_equal(cn_model_predict(third, (const cn_array *const *)&in, &expected, 0, NULL),
                     CN_OK);
    shared s[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (shared){i < 3 ? m : other, in, expected, i, true};
        assert_int_equal(pthread_create(&threads[i], NULL, predict_often, &s[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(s[i].right);
    }
    cn_array_free(in);
    cn_array_free(expected);
    cn_model_free(m);
    cn_model_free(other);
    cn_model_free(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sequential, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_sequential_refusals, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_automatic_names, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_order, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_missing_input, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_part_of_a_model, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_nested, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_nested_in_its_own_graph, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_operations_cannot_nest, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_batches, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_fixed_batch, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_without_memory, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_summary, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_summary_of_a_graph, count_memory, check_memory),
        cmocka_unit_test_setup_teardown(test_weights, count_memory, check_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
