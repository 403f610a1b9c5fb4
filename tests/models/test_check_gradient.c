/* cn_check_gradient() on models with everything in them: what a step of training computes is the
 * loss' derivative to 1e-4, the bound its documentation gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "models/training.h"
#include "support/random.h"

static const double bound = 1e-4;

static cn_array *numbers(cn_shape shape)
{
    float *values = test_floats(cn_shape_count(&shape));
    cn_array *array = cn_array_from(&shape, values);
    free(values);
    return array;
}

static cn_array *classes(cn_shape shape, int count)
{
    cn_array *array = cn_array_new(CN_INT32, &shape);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_ints(array)[i] = (int32_t)test_int(0, count - 1);
    return array;
}

/* Weights as after some training: biases that are 0 would put kinks where images are black. */
static void shake(cn_model *model)
{
    cn__compiled *c = NULL;
    assert_int_equal(cn__model_need_compiled(model, &c), CN_OK);
    for (int i = 0; i < c->weight_count; i++) {
        cn_array *value = c->weights[i].variable->value;
        for (int64_t k = 0; k < cn_array_count(value); k++)
            cn_array_floats(value)[k] += 0.1f * (float)cn__random_normal(&test_random);
        cn__variable_changed(c->weights[i].variable);
    }
}

static void check(cn_model *model, cn_array_list x, cn_array_list y)
{
    cn_gradient_check one, other;
    cn_pool *pool = cn_pool_new(2);
    shake(model);
    if (cn_check_gradient(model, x, y, &one, pool) != CN_OK)
        fail_msg("%s", cn_error_message());
    if (!(one.worst < bound))
        fail_msg("%s is off by %g", one.weight, one.worst);
    assert_true(one.derivatives > 50 && one.kinks * 10 < one.derivatives);
    assert_int_equal(cn_check_gradient(model, x, y, &other, NULL), CN_OK);
    assert_true(one.worst == other.worst && strcmp(one.weight, other.weight) == 0);
    cn_pool_free(pool);
}

static void test_classifier(void **state)
{
    (void)state;
    test_seed();
    cn_model *m = cn_sequential(
        cn_input({8, 8, 2}), cn_conv2d(4, {3, 3}, .padding = CN_SAME, .use_bias = CN_FALSE),
        cn_batch_normalization(), cn_relu(), cn_max_pooling2d({2, 2}),
        cn_spatial_dropout2d(0.25f, .seed = 5), cn_depthwise_conv2d({3, 3}, .activation = "elu"),
        cn_flatten(), cn_dropout(0.4f, .seed = 6),
        cn_dense(5, "softmax", .kernel_regularizer = "L2(l2=0.01)",
                 .activity_regularizer = "L1(l1=0.01)"));
    assert_non_null(m);
    assert_int_equal(cn_compile(m, .loss = {"sparse_categorical_crossentropy"}), CN_OK);
    cn_array *x = numbers(cn_shape_of(6, 8, 8, 2)), *y = classes(cn_shape_of(6), 5);
    check(m, cn_arrays(x), cn_arrays(y));
    cn_array_free(x);
    cn_array_free(y);
    cn_model_free(m);
}

/* Two outputs of different weight, a shared layer, transposed convolutions and a merge. */
static void test_autoencoder(void **state)
{
    (void)state;
    test_seed();
    cn_tensor *x = cn_input_tensor({6, 6, 2});
    cn_layer *shared = cn_conv2d(3, {3, 3}, .padding = CN_SAME, .activation = "tanh");
    cn_tensor *a = cn_apply(cn_conv2d(2, {3, 3}, .padding = CN_SAME, .activation = "relu"), x);
    cn_tensor *b = cn_apply(shared, a), *c = cn_apply(shared, x);
    cn_tensor *joined = cn_apply_list(cn_concatenate(), cn_tensors(b, c));
    cn_tensor *code = cn_apply(cn_conv2d(4, {3, 3}, {2, 2}, CN_SAME, .activation = "selu"), joined);
    cn_tensor *image =
        cn_apply(cn_conv2d_transpose(2, {4, 4}, {2, 2}, CN_SAME, .activation = "sigmoid"), code);
    cn_tensor *label =
        cn_apply(cn_dense(1, "sigmoid"),
                 cn_apply(cn_layer_normalization(), cn_apply(cn_global_average_pooling2d(), code)));
    cn_model *m = cn_model_new(cn_tensors(x), cn_tensors(image, label));
    assert_non_null(m);
    assert_int_equal(
        cn_compile(m, "adam", .loss = {"mse", "binary_crossentropy"}, .loss_weights = {3, 0.5f}),
        CN_OK);
    cn_array *images = numbers(cn_shape_of(3, 6, 6, 2)), *labels = classes(cn_shape_of(3, 1), 2);
    check(m, cn_arrays(images), cn_arrays(images, labels));
    cn_array_free(images);
    cn_array_free(labels);
    cn_model_free(m);
}

/* A layer that is not trained is not checked, and the check changes no weight. */
static void test_frozen(void **state)
{
    (void)state;
    test_seed();
    cn_model *m = cn_sequential(cn_input({3}), cn_dense(4, .name = "fixed", .trainable = CN_FALSE),
                                cn_dense(2, .name = "free"));
    assert_non_null(m);
    assert_int_equal(cn_compile(m, "sgd", .loss = {"mse"}), CN_OK);
    cn_array *x = numbers(cn_shape_of(5, 3)), *y = numbers(cn_shape_of(5, 2));
    cn_array *before = cn_array_copy(cn_layer_weight(cn_model_layer(m, 1), 0));
    cn_gradient_check found;
    assert_int_equal(cn_check_gradient(m, cn_arrays(x), cn_arrays(y), &found, NULL), CN_OK);
    assert_true(found.worst < bound);
    assert_int_equal(found.derivatives, 4 * 2 + 2);
    assert_int_equal(strncmp(found.weight, "free/", 5), 0);
    const cn_array *after = cn_layer_weight(cn_model_layer(m, 1), 0);
    assert_memory_equal(cn_array_const_floats(after), cn_array_const_floats(before),
                        (size_t)cn_array_count(before) * sizeof(float));
    cn_array_free(before);
    cn_array_free(x);
    cn_array_free(y);
    cn_model_free(m);
}

/* A relu whose inputs are exactly 0 has no derivative there. */
static void test_kinks(void **state)
{
    (void)state;
    cn_model *m = cn_sequential(cn_input({3}), cn_dense(4, "relu"));
    assert_non_null(m);
    assert_int_equal(cn_compile(m, "sgd", .loss = {"mse"}), CN_OK);
    cn_shape of_x = cn_shape_of(1, 3), of_y = cn_shape_of(1, 4);
    cn_array *x = cn_array_new(CN_FLOAT32, &of_x);
    cn_array *y = cn_array_from(&of_y, (const float[]){1, 1, 1, 1});
    cn_gradient_check found;
    assert_int_equal(cn_check_gradient(m, cn_arrays(x), cn_arrays(y), &found, NULL), CN_OK);
    assert_int_equal(found.kinks, 4); /* the biases; the kernel's derivatives are 0 */
    assert_int_equal(found.derivatives, 12);
    assert_int_equal(cn_check_gradient(m, cn_arrays(x), cn_arrays(x), &found, NULL),
                     CN_ERROR_SHAPE);
    cn_clear_error();
    assert_int_equal(cn_check_gradient(NULL, cn_arrays(x), cn_arrays(y), &found, NULL),
                     CN_ERROR_ARGUMENT);
    assert_int_equal(cn_check_gradient(m, cn_arrays(x), cn_arrays(y), NULL, NULL),
                     CN_ERROR_ARGUMENT);
    cn_array_free(x);
    cn_array_free(y);
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classifier),
                                       cmocka_unit_test(test_autoencoder),
                                       cmocka_unit_test(test_frozen), cmocka_unit_test(test_kinks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
