/* What holds for all layers: names, calls, ownership, sharing, seeds, weights, and what happens in
 * training. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "layers/layer.h"
#include "unit/failing.h"

/* ---- names ---- */

static void test_snake_case(void **state)
{
    static const char *const pairs[][2] = {
        {"Conv2D", "conv2d"},
        {"Conv2DTranspose", "conv2d_transpose"},
        {"BatchNormalization", "batch_normalization"},
        {"ReLU", "re_lu"},
        {"PReLU", "p_re_lu"},
        {"LeakyReLU", "leaky_re_lu"},
        {"ELU", "elu"},
        {"UpSampling2D", "up_sampling2d"},
        {"GlobalAveragePooling2D", "global_average_pooling2d"},
    };
    char text[cn__name_size];
    (void)state;
    for (size_t i = 0; i < CN__COUNT(pairs); i++) {
        cn__snake_case(pairs[i][0], text, sizeof text);
        assert_string_equal(text, pairs[i][1]);
    }
}

/* Automatic names count on, also behind a number that a caller gave. */
static void test_names(void **state)
{
    (void)state;
    cn_layer *first = cn_permute({1}), *second = cn_permute({1});
    cn_layer *given = cn_permute({1}, .name = "permute_7"), *next = cn_permute({1});
    cn_layer *other = cn_permute({1}, .name = "permuted");
    assert_string_equal(cn_layer_name(first), "permute");
    assert_string_equal(cn_layer_name(second), "permute_1");
    assert_string_equal(cn_layer_name(given), "permute_7");
    assert_string_equal(cn_layer_name(next), "permute_8");
    assert_string_equal(cn_layer_name(other), "permuted");
    cn_layer *const all[] = {first, second, given, next, other};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_layer_free(all[i]);
}

static void test_types(void **state)
{
    (void)state;
    for (int i = 0; cn__layer_types[i]; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(cn__layer_types[i]->name, cn__layer_types[j]->name);
    assert_string_equal(cn__layer_type_find("Deconvolution2D")->name, "Conv2DTranspose");
    assert_string_equal(cn__layer_type_find("MaxPool2D")->name, "MaxPooling2D");
    assert_null(cn__layer_type_find(""));
    assert_null(cn__layer_type_find("Conv"));
}

/* ---- calls and ownership ---- */

static void test_shared_layer(void **state)
{
    counter c;
    (void)state;
    fail_at(&c, -1);
    cn_tensor *x = cn_input_tensor({3}, .name = "x");
    cn_layer *dense = cn_dense(3);
    cn_tensor *y = cn_apply(dense, x), *z = cn_apply(dense, y);
    assert_non_null(z);
    assert_string_equal(cn_tensor_name(x), "x");
    assert_string_equal(cn_tensor_name(z), cn_layer_name(dense));
    assert_int_equal(dense->call_count, 2);
    assert_int_equal(dense->references, 1);
    assert_int_equal(cn__tensor_call(y)->index, 0);
    assert_int_equal(cn__tensor_call(z)->index, 1);
    assert_ptr_equal(cn__tensor_call(z)->in[0], y);
    assert_int_equal(cn__tensor_call(x)->inputs, 0);
    assert_int_equal(dense->weight_count, 2);
    cn_tensor_release(x);
    assert_int_equal(c.alive, 0);
}

/* A layer in two graphs outlives the one that goes first. */
static void test_layer_in_two_graphs(void **state)
{
    counter c;
    (void)state;
    fail_at(&c, -1);
    cn_tensor *a = cn_input_tensor({2}), *b = cn_input_tensor({2});
    cn_layer *dense = cn_dense(2);
    cn_tensor *of_a = cn_apply(dense, a), *of_b = cn_apply(dense, b);
    assert_int_equal(dense->references, 2);
    assert_int_equal(cn__tensor_call(of_b)->index, 0);
    assert_ptr_equal(cn_layer_output(dense), of_a);
    cn_tensor_release(a);
    assert_int_equal(dense->call_count, 1);
    assert_ptr_equal(cn_layer_output(dense), of_b);
    cn_tensor_release(b);
    assert_int_equal(c.alive, 0);
}

/* The graphs of the inputs become one, and so do the holds. */
static void test_joined_graphs(void **state)
{
    counter c;
    (void)state;
    fail_at(&c, -1);
    cn_tensor *a = cn_input_tensor({2}), *b = cn_input_tensor({2});
    cn_layer *dense = cn_dense(2);
    cn_tensor *sum = cn_apply_list(cn_add(), cn_tensors(cn_apply(dense, a), cn_apply(dense, b)));
    assert_non_null(sum);
    assert_ptr_equal(cn__graph_of(a), cn__graph_of(b));
    assert_non_null(cn_apply(dense, sum));
    assert_int_equal(cn__tensor_call(cn_apply(dense, a))->index, 3);
    cn_tensor_release(sum);
    assert_int_equal(c.alive, 0);
}

/* Layers that pass their input through have an output of their own nevertheless. */
static void test_own_outputs(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({2});
    cn_tensor *y = cn_apply(cn_activation("linear"), x);
    assert_non_null(y);
    assert_ptr_not_equal(x, y);
    assert_string_equal(cn__tensor_call(x)->layer->type->name, "InputLayer");
    assert_string_equal(cn__tensor_call(y)->layer->type->name, "Activation");
    cn_tensor_release(x);
}

/* A NULL passes through, the layer is freed, and the first message stays. */
static void test_null_passes_through(void **state)
{
    counter c;
    (void)state;
    fail_at(&c, -1);
    cn_tensor *x = cn_input_tensor({4, 4, 1});
    cn_tensor *y = cn_apply(cn_conv2d(8, {0}, .name = "first"), x);
    assert_null(y);
    y = cn_apply(cn_flatten(), y);
    assert_null(cn_apply(cn_dense(2), y));
    assert_string_equal(cn_error_message(),
                        "first (Conv2D): kernel_size is required: it must be at "
                        "least 1");
    cn_tensor_release(x);
    assert_int_equal(c.alive, 0);
}

static void check_message(cn_layer *layer, cn_tensor_list in, const char *message)
{
    assert_null(cn_apply_list(layer, in));
    assert_string_equal(cn_error_message(), message);
}

static void test_messages_of_application(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({4}), *image = cn_input_tensor({4, 4, 3});
    cn_tensor *open = cn_input_tensor({-1, -1, -1});
    check_message(cn_conv2d(2, {3}, .name = "c"), cn_tensors(x),
                  "c (Conv2D): it takes 4 axes (batch, rows, columns, channels), but the input "
                  "(None, 4) has 2");
    check_message(
        cn_conv2d(2, {3}, .name = "c"), cn_tensors(open),
        "c (Conv2D): axis 3 of the input (None, None, None, None) must be known to make the "
        "weights; give it in the model's input");
    check_message(cn_conv2d(2, {3}, .groups = 2, .name = "c"), cn_tensors(image),
                  "c (Conv2D): groups must divide the input's channels: 2 does not divide 3");
    check_message(cn_subtract(.name = "s"), cn_tensors(x),
                  "s (Subtract): it takes 2 tensors, but was given 1");
    check_message(cn_permute({1, 1, 2}, .name = "p"), cn_tensors(image),
                  "p (Permute): dims must name each of the axes 1 to 3 once");
    check_message(cn_softmax(4, .name = "s"), cn_tensors(image),
                  "s (Softmax): axis 4 is not one of the 4 axes of (None, 4, 4, 3)");
    check_message(
        cn_dropout(0.5f, {1, 2}, .name = "d"), cn_tensors(x),
        "d (Dropout): noise_shape must have the axes of the input (None, 4), each 1 or -1 or "
        "the input's");
    cn_layer *dense = cn_dense(2, .name = "d");
    assert_non_null(cn_apply(dense, x));
    assert_null(cn_apply(dense, image)); /* its kernel is made for 4 channels */
    assert_int_equal(strncmp(cn_error_message(), "d (Dense): ", 11), 0);
    cn_tensor_release(x);
    cn_tensor_release(image);
    cn_tensor_release(open);
}

/* ---- weights ---- */

static void test_weights(void **state)
{
    const cn_shape wrong = cn_shape_of(2, 3);
    (void)state;
    cn_tensor *x = cn_input_tensor({2});
    cn_layer *dense =
        cn_dense(3, .name = "d", .kernel_regularizer = "L2(l2=0.01)", .bias_constraint = "NonNeg");
    cn_array *array = cn_array_new(CN_INT32, &wrong);
    assert_int_equal(cn_layer_set_weight(dense, 0, array), CN_ERROR_NOT_FOUND);
    assert_non_null(cn_apply(dense, x));
    assert_string_equal(cn_layer_weight_name(dense, 0), "kernel");
    assert_string_equal(cn_layer_weight_name(dense, 1), "bias");
    assert_string_equal(dense->weights[0].regularizer, "L2(l2=0.01)");
    assert_string_equal(dense->weights[1].constraint, "NonNeg");
    assert_null(dense->weights[1].regularizer);
    assert_null(cn_layer_weight_name(dense, 2));
    assert_int_equal(cn_layer_parameter_count(dense), 9);
    assert_int_equal(cn_layer_set_weight(dense, 1, array), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "d (Dense): the weight bias takes float32 (3,), but was "
                        "given int32 (2, 3)");
    cn_layer_set_trainable(dense, false);
    assert_false(cn_layer_weight_is_trainable(dense, 0));
    cn_array_free(array);
    cn_tensor_release(x);
}

static void test_seeds(void **state)
{
    cn_tensor *x = cn_input_tensor({4});
    cn_layer *a = cn_dense(5), *b = cn_dense(5), *c = cn_dense(5), *d = cn_dense(5);
    (void)state;
    cn_set_random_seed(3);
    cn_apply(a, x);
    cn_apply(b, x);
    cn_set_random_seed(3);
    cn_apply(c, x);
    bool before = cn__layer_skip_initializers(true);
    cn_apply(d, x);
    cn__layer_skip_initializers(before);
    const float *of_a = cn_array_const_floats(cn_layer_weight(a, 0));
    const float *of_b = cn_array_const_floats(cn_layer_weight(b, 0));
    const float *of_c = cn_array_const_floats(cn_layer_weight(c, 0));
    assert_memory_equal(of_a, of_c, 20 * sizeof(float));
    assert_memory_not_equal(of_a, of_b, 20 * sizeof(float));
    for (int i = 0; i < 20; i++)
        assert_float_equal(cn_array_const_floats(cn_layer_weight(d, 0))[i], 0, 0);
    cn_tensor_release(x);
}

/* ---- training ---- */

/* The layer's output in training for ones of `shape` (with the batch). */
static cn_array *train(cn_layer *layer, const cn_shape *shape, cn_tensor **out)
{
    cn_tensor *x = cn_op_input(CN_FLOAT32, shape, NULL);
    *out = cn_apply(layer, x);
    cn_array *ones = cn_array_new(CN_FLOAT32, shape), *result = NULL;
    for (int64_t i = 0; i < cn_array_count(ones); i++)
        cn_array_floats(ones)[i] = 1;
    cn_function *f = cn_function_new(cn_tensors(x), cn_tensors(*out));
    const cn_array *in = ones;
    assert_int_equal(cn_function_run(f, &in, &result, true, NULL), CN_OK);
    cn_array_free(ones);
    cn_function_free(f);
    return result;
}

/* Values are 0 or 2, and so for all cells along `shared` neighbours. */
static void check_dropped(cn_layer *layer, const cn_shape *shape, int shared)
{
    cn_tensor *out;
    cn_array *y = train(layer, shape, &out);
    const float *values = cn_array_const_floats(y);
    int64_t count = cn_array_count(y), dropped = 0;
    for (int64_t i = 0; i < count; i++) {
        assert_true(values[i] == 0 || values[i] == 2);
        assert_float_equal(values[i], values[i / shared * shared], 0);
        dropped += values[i] == 0;
    }
    assert_in_range(dropped, count * 2 / 5, count * 3 / 5);
    cn_array_free(y);
}

static void test_dropout(void **state)
{
    const cn_shape flat = cn_shape_of(4, 1000), image = cn_shape_of(10, 200, 3, 2);
    (void)state;
    check_dropped(cn_dropout(0.5f), &flat, 1);
    check_dropped(cn_dropout(0.5f, {-1, -1, 1, 1}), &image, 6);
    check_dropped(cn_spatial_dropout2d(0.5f, .data_format = CN_CHANNELS_FIRST), &image, 6);
}

static void test_noise(void **state)
{
    const cn_shape shape = cn_shape_of(10, 1000);
    (void)state;
    for (int multiply = 0; multiply < 2; multiply++) {
        cn_layer *layer = multiply ? cn_gaussian_dropout(0.2f) : cn_gaussian_noise(0.5f);
        cn_tensor *out;
        cn_array *y = train(layer, &shape, &out);
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < 10000; i++) {
            double noise = (double)cn_array_const_floats(y)[i] - 1;
            sum += noise;
            squares += noise * noise;
        }
        assert_true(fabs(sum / 10000) < 0.02);
        assert_true(fabs(sqrt(squares / 10000) - 0.5) < 0.02);
        cn_array_free(y);
    }
}

/* Of ones, mean 1 and variance 0; the moving averages follow with momentum 0.9. */
static void test_batch_normalization(void **state)
{
    const cn_shape shape = cn_shape_of(3, 2);
    (void)state;
    cn_tensor *x = cn_op_input(CN_FLOAT32, &shape, NULL);
    cn_layer *layer = cn_batch_normalization(.momentum = 0.9f);
    cn_tensor *y = cn_apply(layer, x);
    const cn__call *call = cn__tensor_call(y);
    assert_int_equal(call->updates, 2);
    assert_ptr_equal(call->update[0].variable, layer->weights[2].variable);
    assert_ptr_equal(call->update[1].variable, layer->weights[3].variable);
    assert_string_equal(cn_layer_weight_name(layer, 3), "moving_variance");
    assert_true(cn_layer_weight_is_trainable(layer, 1));
    assert_false(cn_layer_weight_is_trainable(layer, 2));
    cn_array *ones = cn_array_new(CN_FLOAT32, &shape), *out[3] = {NULL};
    for (int i = 0; i < 6; i++)
        cn_array_floats(ones)[i] = 1;
    cn_function *f =
        cn_function_new(cn_tensors(x), cn_tensors(y, call->update[0].value, call->update[1].value));
    const cn_array *in = ones;
    assert_int_equal(cn_function_run(f, &in, out, true, NULL), CN_OK);
    assert_float_equal(cn_array_const_floats(out[0])[0], 0, 1e-6f);
    assert_float_equal(cn_array_const_floats(out[1])[0], 0.1f, 1e-6f);
    assert_float_equal(cn_array_const_floats(out[2])[1], 0.9f, 1e-6f);
    for (int i = 0; i < 3; i++)
        cn_array_free(out[i]);
    cn_array_free(ones);
    cn_function_free(f);
    cn_tensor *out_frozen;
    cn_array *frozen = train(cn_batch_normalization(.trainable = CN_FALSE), &shape, &out_frozen);
    assert_float_equal(cn_array_const_floats(frozen)[0], 1 / sqrtf(1.001f), 1e-6f);
    cn_array_free(frozen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snake_case),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_types),
        cmocka_unit_test_teardown(test_shared_layer, restore_allocator),
        cmocka_unit_test_teardown(test_layer_in_two_graphs, restore_allocator),
        cmocka_unit_test_teardown(test_joined_graphs, restore_allocator),
        cmocka_unit_test(test_own_outputs),
        cmocka_unit_test_teardown(test_null_passes_through, restore_allocator),
        cmocka_unit_test(test_messages_of_application),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_batch_normalization),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
