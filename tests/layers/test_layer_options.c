/* Options: defaults, what is refused and with which message, options by name, expressions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "layers/layer.h"
#include "unit/failing.h"

static void test_defaults(void **state)
{
    (void)state;
    cn_layer *layer = cn_conv2d(8, {3}, .name = "c");
    const cn_conv_layer *o = layer->options;
    assert_int_equal(o->kernel_size[0], 3);
    assert_int_equal(o->kernel_size[1], 3);
    assert_int_equal(o->kernel_size[2], 0);
    assert_int_equal(o->strides[1], 1);
    assert_int_equal(o->padding, CN_VALID);
    assert_int_equal(o->data_format, CN_CHANNELS_LAST);
    assert_int_equal(o->groups, 1);
    assert_int_equal(o->use_bias, CN_TRUE);
    assert_null(o->activation);
    assert_null(o->kernel_regularizer);
    assert_string_equal(o->kernel_initializer, "glorot_uniform");
    assert_true(cn_layer_trainable(layer));
    cn_layer_free(layer);
    layer = cn__layer_new(cn__layer_type_find("BatchNormalization"), NULL);
    const cn_batch_normalization_layer *norm = layer->options;
    assert_int_equal(norm->axis, -1);
    assert_float_equal(norm->momentum, 0.99f, 0);
    assert_float_equal(norm->epsilon, 0.001f, 0);
    cn_layer_free(layer);
    layer = cn_relu(.trainable = CN_FALSE);
    assert_true(isnan(((const cn_relu_layer *)layer->options)->max_value));
    assert_false(cn_layer_trainable(layer));
    cn_layer_free(layer);
}

/* A struct of an older header is shorter; the rest is default. */
static void test_older_struct(void **state)
{
    cn_conv_layer older = {
        .size_ = offsetof(cn_conv_layer, groups), .filters = 4, .kernel_size = {3}, .groups = 999};
    (void)state;
    cn_layer *layer = cn_conv2d_new(&older);
    assert_non_null(layer);
    assert_int_equal(((const cn_conv_layer *)layer->options)->groups, 1);
    cn_layer_free(layer);
    older.size_ = 0;
    assert_null(cn_conv2d_new(&older));
    older.size_ = sizeof older + 1;
    assert_null(cn_conv2d_new(&older));
}

static void check(cn_layer *layer, const char *message)
{
    assert_null(layer);
    assert_int_equal(cn_error_status(), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), message);
}

static void test_messages(void **state)
{
    (void)state;
    check(cn_dense(.name = "d"), "d (Dense): units is required: it must be at least 1");
    check(cn_dense(-3, .name = "d"), "d (Dense): units must be at least 1, not -3");
    check(cn_dropout(1.5f, .name = "d"), "d (Dropout): rate must be from 0 to 1, not 1.5");
    check(cn_conv2d(8, {3, 3, 3}, .name = "c"),
          "c (Conv2D): kernel_size has numbers for more axes than the 2 that are there");
    check(cn_conv2d(8, {3}, {0, 2}, .name = "c"),
          "c (Conv2D): strides: the first number is missing (for a zero that is meant, write "
          "CN_ZERO)");
    check(cn_conv2d(8, {CN_ZERO}, .name = "c"),
          "c (Conv2D): kernel_size must be at least 1, not 0");
    check(cn_conv2d(8, {3}, .padding = (cn_padding)9, .name = "c"),
          "c (Conv2D): padding must be one of valid|same|causal|same_theano, not the number 9");
    check(cn_conv2d(8, {3}, .padding = CN_CAUSAL, .name = "c"),
          "c (Conv2D): padding causal is for Conv1D; valid or same would do");
    check(cn_conv2d(8, {3}, .groups = 3, .name = "c"),
          "c (Conv2D): groups must divide filters: 3 does not divide 8");
    check(cn_conv2d(8, {3}, .use_bias = (cn_flag)5, .name = "c"),
          "c (Conv2D): use_bias must be CN_TRUE (1) or CN_FALSE (-1), not 5");
    check(cn_conv2d(8, {3}, .activation = "rely", .name = "c"),
          "c (Conv2D): activation: there is no activation \"rely\"; the names are Keras', such as "
          "\"relu\", \"softmax\" or \"leaky_relu(negative_slope=0.1)\"");
    check(cn_conv2d(8, {3}, .kernel_initializer = "he(", .name = "c"),
          "c (Conv2D): kernel_initializer: \"he(\" cannot be read: a name is missing; write "
          "\"name\" or "
          "\"Name(key=value, ...)\"");
    check(cn_conv2d_transpose(8, {3}, {2}, .output_padding = {2}, .name = "t"),
          "t (Conv2DTranspose): output_padding must be below strides, but is 2 along axis 1, where "
          "strides is 2; 0 to 1 would do");
    check(
        cn_conv2d_transpose(8, {3}, {2}, .output_padding = {1}, .output_size = {9}, .name = "t"),
        "t (Conv2DTranspose): output_padding and output_size exclude each other; give one of them");
    check(cn_up_sampling2d(.interpolation = "lanczos5", .name = "u"),
          "u (UpSampling2D): interpolation must be one of "
          "nearest|bilinear|bilinear_corner|bilinear_theano|bicubic, not \"lanczos5\"");
    check(cn_up_sampling1d(.interpolation = "bilinear", .name = "u"),
          "u (UpSampling1D): there is no option interpolation");
    check(cn_rescaling(.name = "r"), "r (Rescaling): scale is required");
    check(cn_input({4, -2}, .name = "i"),
          "i (InputLayer): shape: an extent must be at least 1, or -1, not -2");
    check(cn_input({4, 0, 3}, .name = "i"),
          "i (InputLayer): shape: number 2 is 0, which would end the list; an extent must be at "
          "least 1, or -1");
    check(cn_permute({9}, .name = "p"), "p (Permute): dims: there is no axis 9");
    check(cn_layer_normalization({0, 1}, .name = "n"),
          "n (LayerNormalization): axis: number 1 is 0, which would end the list; an axis cannot "
          "be the batch's");
    check(cn_elu(NAN, .name = "e"), "e (ELU): alpha must be a number, not NaN");
}

static void test_by_name(void **state)
{
    (void)state;
    const cn__layer_type *type = cn__layer_type_find("Convolution2D");
    assert_string_equal(cn__option_find(type, "nb_filter")->name, "filters");
    assert_string_equal(cn__option_find(type, "subsample")->name, "strides");
    assert_null(cn__option_find(type, "nb"));
    const cn__option *format = cn__option_find(type, "dim_ordering");
    assert_int_equal(cn__option_choice(format, "th"), CN_CHANNELS_FIRST);
    assert_int_equal(cn__option_choice(format, "channels_last"), CN_CHANNELS_LAST);
    assert_int_equal(cn__option_choice(format, "channels"), -1);
    assert_null(cn__option_find(cn__layer_type_find("UpSampling1D"), "interpolation"));
}

static void test_numbers(void **state)
{
    cn_conv_transpose_layer t = {.size_ = sizeof t};
    cn_leaky_relu_layer r = {.size_ = sizeof r};
    (void)state;
    const cn__layer_type *type = cn__layer_type_find("Conv2DTranspose");
    const cn__option *padding = cn__option_find(type, "output_padding");
    const cn__option *filters = cn__option_find(type, "filters");
    assert_int_equal(cn__option_set_number(filters, &t, 0, 5), CN_OK);
    assert_int_equal(cn__option_set_number(padding, &t, 0, 0), CN_OK);
    assert_int_equal(cn__option_set_number(padding, &t, 1, 1), CN_OK);
    assert_int_equal(t.filters, 5);
    assert_true(t.output_padding[0] == CN_ZERO);
    assert_true(cn__option_number(padding, &t, 0) == 0 && cn__option_number(padding, &t, 1) == 1);
    assert_int_equal(cn__option_set_number(filters, &t, 0, 0), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__option_set_number(filters, &t, 0, 1.5), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__option_set_number(padding, &t, 3, 1), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__option_set_number(cn__option_find(type, "activation"), &t, 0, 1),
                     CN_ERROR_ARGUMENT);
    const cn__option *slope = cn__option_find(cn__layer_type_find("LeakyReLU"), "alpha");
    assert_int_equal(cn__option_set_number(slope, &r, 0, 0), CN_OK);
    cn_layer *layer = cn_leaky_relu_new(&r);
    assert_true(cn__option_number(slope, layer->options, 0) == 0);
    cn_layer_free(layer);
}

/* ---- expressions ---- */

static void test_expressions(void **state)
{
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    (void)state;
    assert_int_equal(cn__expression_parse(arena, " relu ", &e), CN_OK);
    assert_string_equal(e.name, "relu");
    assert_int_equal(e.count, 0);
    assert_int_equal(cn__expression_parse(arena, "Zeros()", &e), CN_OK);
    assert_int_equal(cn__expression_parse(arena,
                                          "pkg>A( a = -1.5e-3, b='x, (y)', c=None ,d=True,e=False, "
                                          "f=[0, (1)], g=\"q\", h=.25)",
                                          &e),
                     CN_OK);
    assert_string_equal(e.name, "pkg>A");
    assert_int_equal(e.count, 8);
    assert_true(cn__expression_number(&e, "a", 0) == -1.5e-3);
    assert_string_equal(cn__expression_text(&e, "b", NULL), "x, (y)");
    assert_true(cn__expression_number(&e, "c", 7) == 7);
    assert_string_equal(cn__expression_text(&e, "c", NULL), "None");
    assert_true(cn__expression_number(&e, "d", 7) == 1);
    assert_true(cn__expression_number(&e, "e", 7) == 0);
    assert_string_equal(cn__expression_text(&e, "f", NULL), "[0, (1)]");
    assert_true(cn__expression_number(&e, "z|h", 7) == 0.25);
    assert_true(cn__expression_number(&e, "z", 7) == 7);
    assert_string_equal(cn__expression_text(&e, "z", "none"), "none");
    assert_int_equal(cn__expression_parse(arena, "a(x=0.1, y=1e400, z=-inf, u=1e, v=-)", &e),
                     CN_OK);
    assert_true(cn__expression_number(&e, "x", 0) == 0.1);
    assert_true(isinf(cn__expression_number(&e, "y", 0)));
    assert_true(isinf(cn__expression_number(&e, "z", 0)));
    assert_true(cn__expression_number(&e, "u", 7) == 7 && cn__expression_number(&e, "v", 7) == 7);
    cn__arena_free(arena);
}

static void test_broken_expressions(void **state)
{
    static const char too_many[] =
        "a(a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1,r=1,s=1,t=1,u=1,v=1,"
        "w=1,x=1,y=1)";
    static const char *const broken[] = {
        "",    "(",   "a(",      "a(b",     "a(b)",    "a(b=",  "a(b=)",    "a(b=1",  "a(b=1,)",
        "a) ", "a b", "a(b='x)", "a(b=[1)", "a(b=1)c", "a(=1)", "a(b==1))", too_many,
    };
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    (void)state;
    for (size_t i = 0; i < CN__COUNT(broken); i++) {
        cn_clear_error();
        assert_int_equal(cn__expression_parse(arena, broken[i], &e), CN_ERROR_ARGUMENT);
        assert_non_null(strstr(cn_error_message(), "cannot be read"));
    }
    cn__arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_older_struct),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_broken_expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
