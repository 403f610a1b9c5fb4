/* The question that Cornu answers, replayed on arrays that Keras 1 on Theano computed: the
 * transposed convolution of a convolution's feature maps with its own kernel, in a function, as an
 * operation on arrays and through the network; and the mistakes it is asked with. */
#include "inspect/arrays.h"

#define TIED "keras1-theano/01_tied_deconv_layer0.npz"
#define ANSWER "keras1-theano/02_deconvolution2d_answer1.npz"
#define TOLERANCE 1e-5

/* A kernel of Keras 1 on Theano, (a, b, rows, cols) of a true convolution, with Keras 3's axes
 * (rows, cols, b, a), or (rows, cols, a, b) for a transposed one. */
static cn_array *kernel_of(const char *file, const char *name, bool transposed)
{
    cn_array *w = golden_array(file, name);
    const int64_t *d = cn_array_shape(w)->dim;
    cn_shape shape = cn_shape_of(d[2], d[3], d[transposed ? 0 : 1], d[transposed ? 1 : 0]);
    cn_array *kernel = cn_array_new(CN_FLOAT32, &shape);
    const float *from = cn_array_const_floats(w);
    for (int64_t a = 0; a < d[0]; a++)
        for (int64_t b = 0; b < d[1]; b++)
            for (int64_t tap = 0; tap < d[2] * d[3]; tap++) {
                int64_t place = transposed ? a * d[1] + b : b * d[0] + a;
                int64_t flipped = d[2] * d[3] - 1 - tap;
                cn_array_floats(kernel)[flipped * d[0] * d[1] + place] = *from++;
            }
    cn_array_free(w);
    return kernel;
}

/* W of the convolution with its first two axes exchanged, as K.deconv2d wants it. */
static cn_array *exchanged(void)
{
    cn_array *w = golden_array(TIED, "W");
    cn_shape shape = cn_shape_of(3, 32, 3, 3);
    cn_array *kernel = cn_array_new(CN_FLOAT32, &shape);
    assert_int_equal(cn_transpose_f32(cn_array_shape(w), (int[]){1, 0, 2, 3},
                                      cn_array_const_floats(w), cn_array_floats(kernel), NULL),
                     CN_OK);
    cn_array_free(w);
    return kernel;
}

/* The question's first layer over images of `size`, with its weights. */
static cn_model *first_layer(int64_t size, cn_padding padding, const char *activation)
{
    cn_model *model =
        cn_sequential(cn_input({3, size, size}),
                      cn_conv2d(32, {3, 3}, .padding = padding, .name = "conv",
                                .data_format = CN_CHANNELS_FIRST, .activation = activation));
    if (!model)
        fail_msg("%s", cn_error_message());
    cn_layer *conv = cn_model_layer_named(model, "conv");
    set_weight(conv, 0, kernel_of(TIED, "W", false));
    set_weight(conv, 1, golden_array(TIED, "b"));
    return model;
}

static cn_array *feature_maps(void)
{
    cn_model *model = first_layer(32, CN_SAME, NULL);
    cn_array *x = golden_array(TIED, "X"), *maps = NULL;
    assert_int_equal(cn_model_predict(model, (const cn_array *const *)&x, &maps, 0, NULL), CN_OK);
    cn_array_free(x);
    cn_model_free(model);
    return maps;
}

/* ---- what the question wanted ---- */

static void test_the_maps_are_those_of_the_question(void **state)
{
    (void)state;
    cn_array *maps = feature_maps();
    assert_arrays_close("maps", samples(maps, 0, 1), golden_array(TIED, "fm_sample0"), TOLERANCE);
    cn_array_free(maps);
}

static void test_deconv2d_of_the_maps(void **state)
{
    (void)state;
    cn_array *maps = feature_maps(), *kernel = exchanged();
    cn_deconv2d_options o = {.data_format = CN_CHANNELS_FIRST, .flip_kernel = true};
    cn_array *valid = golden_array(TIED, "tied_valid"), *same = golden_array(TIED, "tied_same");
    assert_arrays_close("valid", cn_deconv2d(maps, kernel, &o), cn_array_copy(valid), TOLERANCE);
    memcpy(o.output_shape, (int64_t[]){9, 3, 34, 34}, sizeof o.output_shape);
    assert_arrays_close("valid, sized", cn_deconv2d(maps, kernel, &o), valid, TOLERANCE);
    memcpy(o.output_shape, (int64_t[]){0, 3, 32, 32}, sizeof o.output_shape);
    o.padding = CN_SAME;
    assert_arrays_close("same, sized", cn_deconv2d(maps, kernel, &o), cn_array_copy(same),
                        TOLERANCE);
    memset(o.output_shape, 0, sizeof o.output_shape);
    o.padding = CN_SAME_THEANO;
    assert_arrays_close("same", cn_deconv2d(maps, kernel, &o), same, TOLERANCE);
    cn_array_free(kernel);
    cn_array_free(maps);
}

/* K.function([input], [deconvolution of the layer's output]) */
static void test_tied_layer_in_a_function(void **state)
{
    (void)state;
    cn_model *model = first_layer(32, CN_SAME, NULL);
    cn_layer *conv = cn_model_layer_named(model, "conv");
    cn_tensor *maps = cn_layer_output(conv);
    cn_tensor *back = cn_apply(cn_conv2d_transpose_of(conv), maps);
    cn_tensor *rectified =
        cn_apply(cn_conv2d_transpose_of(conv), cn_apply(cn_activation("relu"), maps));
    cn_array *x = golden_array(TIED, "X");
    assert_arrays_close("same", result_of(cn_model_input(model), back, x),
                        golden_array(TIED, "tied_same"), TOLERANCE);
    assert_arrays_close("same of relu", result_of(cn_model_input(model), rectified, x),
                        golden_array(TIED, "tied_same_of_relu"), TOLERANCE);
    cn_array_free(x);
    cn_model_free(model);
}

/* A valid convolution gives maps of 32 x 32 from images of 34 x 34. */
static void test_tied_layer_of_a_valid_convolution(void **state)
{
    (void)state;
    cn_model *model = first_layer(34, CN_VALID, NULL);
    cn_array *maps = feature_maps();
    cn_tensor *input = cn_input_tensor({32, 32, 32});
    cn_tensor *back = cn_apply(cn_conv2d_transpose_of(cn_model_layer_named(model, "conv")), input);
    cn_model_free(model);
    assert_arrays_close("valid", result_of(input, back, maps), golden_array(TIED, "tied_valid"),
                        TOLERANCE);
    cn_array_free(maps);
}

static void test_single_maps_through_the_network(void **state)
{
    (void)state;
    static const cn_gradient_rule rules[] = {CN_DECONVNET, CN_GRADIENT, CN_GUIDED_BACKPROP};
    cn_model *model = first_layer(32, CN_SAME, "relu");
    cn_array *all = golden_array(TIED, "X"), *x = samples(all, 0, 1);
    for (int r = 0; r < 3; r++) {
        cn_array *projections = NULL;
        cn_deconvnet *net = cn_deconvnet_new(model, "conv", rules[r], 0);
        assert_int_equal(cn_deconvnet_project(net, (const cn_array *const *)&x,
                                              (int64_t[]){0, 1, 2, 3}, 4, &projections, NULL),
                         CN_OK);
        cn_deconvnet_free(net);
        assert_arrays_close("projections", projections,
                            golden_array(TIED, "single_map_projection_sample0"), TOLERANCE);
    }
    cn_array_free(x);
    cn_array_free(all);
    cn_model_free(model);
}

/* ---- the first answer: a trained Deconvolution2D on the layer's output ---- */

static void add_bias(cn_array *y)
{
    cn_array *bias = golden_array(ANSWER, "deconv_b");
    int64_t cells = 32 * 32, channels = cn_array_count(bias);
    for (int64_t i = 0; i < cn_array_count(y); i++)
        cn_array_floats(y)[i] += cn_array_const_floats(bias)[i / cells % channels];
    cn_array_free(bias);
}

static void test_deconvolution2d_of_the_first_answer(void **state)
{
    (void)state;
    cn_model *model = cn_sequential(
        cn_input({3, 32, 32}),
        cn_conv2d(32, {3, 3}, .padding = CN_SAME, .data_format = CN_CHANNELS_FIRST),
        cn_conv2d_transpose(3, {3, 3}, .padding = CN_SAME, .data_format = CN_CHANNELS_FIRST));
    cn_layer *conv = cn_model_layer(model, 0), *deconv = cn_model_layer(model, 1);
    set_weight(conv, 0, kernel_of(ANSWER, "conv_W", false));
    set_weight(conv, 1, golden_array(ANSWER, "conv_b"));
    set_weight(deconv, 0, kernel_of(ANSWER, "deconv_W", true));
    set_weight(deconv, 1, golden_array(ANSWER, "deconv_b"));
    cn_array *x = golden_array(ANSWER, "X"), *kernel = golden_array(ANSWER, "deconv_W");
    cn_array *maps = result_of(cn_model_input(model), cn_layer_output(conv), x);
    cn_deconv2d_options o = {.data_format = CN_CHANNELS_FIRST,
                             .flip_kernel = true,
                             .padding = CN_SAME,
                             .output_shape = {9, 3, 32, 32}};
    cn_array *y = cn_deconv2d(maps, kernel, &o);
    add_bias(y);
    assert_arrays_close("array", y, golden_array(ANSWER, "out"), TOLERANCE);
    assert_arrays_close("model", result_of(cn_model_input(model), cn_model_output(model), x),
                        golden_array(ANSWER, "out"), TOLERANCE);
    cn_array_free(maps);
    cn_array_free(kernel);
    cn_array_free(x);
    cn_model_free(model);
}

/* ---- the mistakes ---- */

#define FIRST .data_format = CN_CHANNELS_FIRST
#define MAPS                                                                                       \
    {                                                                                              \
        4,                                                                                         \
        {                                                                                          \
            9, 32, 32, 32                                                                          \
        }                                                                                          \
    }

static const struct {
    cn_shape x, kernel;
    cn_deconv2d_options options;
    const char *message;
} mistakes[] = {
    /* the question's own: the kernel of the convolution as get_weights() gives it */
    {MAPS,
     {4, {32, 3, 3, 3}},
     {FIRST, .output_shape = {9, 3, 32, 32}},
     "conv2d_transpose: the input (9, 32, 32, 32) has 32 channels, but the kernel (32, 3, 3, 3), "
     "read as (out=32, in=3, rows=3, cols=3), takes 3. A convolution's own kernel has these axes "
     "the other way round: transpose it to (3, 32, 3, 3), or use cn_conv2d_transpose_of(layer)."},
    {MAPS, {4, {3, 3, 3, 32}}, {.padding = CN_SAME}, NULL},
    {MAPS,
     {4, {3, 3, 32, 3}},
     {.padding = CN_SAME},
     "conv2d_transpose: the input (9, 32, 32, 32) has 32 channels, but the kernel (3, 3, 32, 3), "
     "read as (rows=3, cols=3, out=32, in=3), takes 3. A convolution's own kernel has these axes "
     "the other way round: transpose it to (3, 3, 3, 32), or use cn_conv2d_transpose_of(layer)."},
    {{4, {9, 16, 28, 28}},
     {4, {3, 16, 5, 5}},
     {.padding = CN_VALID},
     "conv2d_transpose: the input (9, 16, 28, 28) has 28 channels, but the kernel (3, 16, 5, 5), "
     "read as (rows=3, cols=16, out=5, in=5), takes 5. They fit if they are read as (batch, "
     "channels, rows, cols): set .data_format = CN_CHANNELS_FIRST."},
    {{4, {9, 16, 28, 28}},
     {4, {3, 8, 5, 5}},
     {FIRST},
     "conv2d_transpose: the input (9, 16, 28, 28) has 16 channels, but the kernel (3, 8, 5, 5), "
     "read as (out=3, in=8, rows=5, cols=5), takes 8. The axis `in` must be the input's channels: "
     "a kernel (3, 16, 5, 5) would fit; if the input's channels are another axis, set .data_format "
     "= CN_CHANNELS_LAST."},
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .output_shape = {8, 3, 34, 34}},
     "conv2d_transpose: output_shape (8, 3, 34, 34) asks for a batch of 8, but the input (9, 32, "
     "32, 32) has a batch of 9, which stays as it is: use .output_shape = {9, 3, 34, 34}, or 0 for "
     "the batch."},
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .output_shape = {0, 34, 34, 3}},
     "conv2d_transpose: output_shape (0, 34, 34, 3), read as (batch, channels, rows, cols), asks "
     "for 34 channels, but the kernel (3, 32, 3, 3), read as (out=3, in=32, rows=3, cols=3), gives "
     "3: use .output_shape = {9, 3, 34, 3}, or a kernel with out=34."},
    /* the question's next one: the size of `same`, but the default padding */
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .output_shape = {9, 3, 32, 32}},
     "conv2d_transpose: an output of 32 x 32 does not fit an input of 32 x 32 with a kernel of 3 x "
     "3, strides 1 x 1 and padding CN_VALID, which gives 34 x 34; CN_SAME gives 32 x 32: use "
     ".padding = CN_SAME."},
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .output_shape = {9, 3, 70, 70}, .strides = {2, 2}, .padding = CN_SAME},
     "conv2d_transpose: an output of 70 x 70 does not fit an input of 32 x 32 with a kernel of 3 x "
     "3, strides 2 x 2 and padding CN_SAME, which gives 63 to 64 x 63 to 64; CN_VALID gives 65 to "
     "66 x 65 to 66: use .output_shape = {9, 3, 63, 63}."},
    {{3, {32, 32, 32}},
     {4, {3, 32, 3, 3}},
     {FIRST},
     "conv2d_transpose: the input has 4 axes (batch, channels, rows, cols), but (32, 32, 32) has "
     "3: "
     "reshape it"},
    {MAPS,
     {3, {32, 3, 3}},
     {FIRST},
     "conv2d_transpose: the kernel has 4 axes (out, in, rows, cols), but (32, 3, 3) has 3: reshape "
     "it"},
    {MAPS, {4, {0, 32, 3, 3}}, {FIRST}, "conv2d_transpose: the kernel (0, 32, 3, 3) is empty"},
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .strides = {-1, 2}},
     "conv2d_transpose: strides must be small positive numbers, but are {-1, 2}: {1, 1} is the "
     "default, {2, 2} doubles the image"},
    {MAPS,
     {4, {3, 32, 3, 3}},
     {FIRST, .padding = CN_CAUSAL},
     "conv2d_transpose: padding must be CN_VALID, CN_SAME or CN_SAME_THEANO, but is 2"},
};

static void test_mistakes_are_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        cn_array *x = cn_array_new(CN_FLOAT32, &mistakes[i].x);
        cn_array *kernel = cn_array_new(CN_FLOAT32, &mistakes[i].kernel);
        cn_clear_error();
        cn_array *y = cn_deconv2d(x, kernel, &mistakes[i].options);
        assert_string_equal(cn_error_message(), mistakes[i].message ? mistakes[i].message : "");
        assert_true((y == NULL) == (mistakes[i].message != NULL));
        cn_array_free(y);
        cn_array_free(x);
        cn_array_free(kernel);
    }
}

static void test_wrong_arrays_are_refused(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(1, 2, 2, 1);
    cn_array *floats = cn_array_new(CN_FLOAT32, &shape), *ints = cn_array_new(CN_INT32, &shape);
    assert_null(cn_deconv2d(ints, floats, NULL));
    assert_string_equal(
        cn_error_message(),
        "conv2d_transpose: the input (1, 2, 2, 1) holds int32 numbers: float32 is needed");
    cn_clear_error();
    assert_null(cn_deconv2d(NULL, floats, NULL));
    assert_int_equal(cn_error_status(), CN_ERROR_ARGUMENT);
    cn_array_free(floats);
    cn_array_free(ints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_maps_are_those_of_the_question),
        cmocka_unit_test(test_deconv2d_of_the_maps),
        cmocka_unit_test(test_tied_layer_in_a_function),
        cmocka_unit_test(test_tied_layer_of_a_valid_convolution),
        cmocka_unit_test(test_single_maps_through_the_network),
        cmocka_unit_test(test_deconvolution2d_of_the_first_answer),
        cmocka_unit_test(test_mistakes_are_explained),
        cmocka_unit_test(test_wrong_arrays_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
