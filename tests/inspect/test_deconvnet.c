/* Projections through a network, against the same steps done one by one; and what they are made of.
 */
#include "inspect/arrays.h"

enum { SIDE = 8, FILTERS = 5 };

/* Batch normalisation whose scale is not 1. */
static void set_moments(cn_layer *layer)
{
    for (int i = 0; i < cn_layer_weight_count(layer); i++) {
        cn_array *value = cn_array_copy(cn_layer_weight(layer, i));
        for (int64_t c = 0; c < cn_array_count(value); c++)
            cn_array_floats(value)[c] = 0.5F + 0.25F * (float)(c + i);
        set_weight(layer, i, value);
    }
}

/* conv - batch normalisation - relu - max pooling - conv with relu - dense, in either format. */
static cn_model *network(cn_data_format format)
{
    cn_set_random_seed(7);
    bool first = format == CN_CHANNELS_FIRST;
    cn_layer *input = first ? cn_input({3, SIDE, SIDE}) : cn_input({SIDE, SIDE, 3});
    cn_model *model = cn_sequential(
        input, cn_conv2d(4, {3, 3}, .padding = CN_SAME, .data_format = format, .name = "one"),
        cn_batch_normalization(.axis = first ? 1 : -1, .name = "norm"),
        cn_activation("relu", .name = "relu"),
        cn_max_pooling2d({2, 2}, .data_format = format, .name = "pool"),
        cn_conv2d(FILTERS, {3, 3}, .data_format = format, .activation = "relu", .name = "two"),
        cn_flatten(.data_format = format), cn_dense(6, .activation = "softmax", .name = "classes"));
    if (!model)
        fail_msg("%s", cn_error_message());
    set_moments(cn_model_layer_named(model, "norm"));
    return model;
}

static cn_array *image(void)
{
    return drawn_array(cn_shape_of(1, SIDE, SIDE, 3), 11);
}

static cn_array *projected(cn_model *model, const char *layer, cn_gradient_rule rule,
                           const cn_array *x, const int64_t *filters, int64_t count)
{
    cn_array *projections = NULL;
    cn_deconvnet *net = cn_deconvnet_new(model, layer, rule, 0);
    if (!net || cn_deconvnet_project(net, &x, filters, count, &projections, NULL) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_deconvnet_free(net);
    return projections;
}

static cn_array *output_of(cn_model *model, const char *layer, const cn_array *x)
{
    return result_of(cn_model_input(model), cn_layer_output(cn_model_layer_named(model, layer)), x);
}

/* ---- the steps one by one ---- */

static const cn_pooling pooling = {.rank = 2,
                                   .batch = 1,
                                   .channels = 4,
                                   .in = {SIDE, SIDE},
                                   .window = {2, 2},
                                   .stride = {2, 2},
                                   .out = {SIDE / 2, SIDE / 2}};

/* Back through a convolution; the kernel of cn_conv2d has `in` and `out` where cn_deconv2d has
 * `out` and `in`. */
static cn_array *back_through(cn_model *model, const char *layer, cn_padding padding, cn_array *y)
{
    const cn_array *kernel = cn_layer_weight(cn_model_layer_named(model, layer), 0);
    cn_deconv2d_options o = {.padding = padding};
    cn_array *x = cn_deconv2d(y, kernel, &o);
    cn_array_free(y);
    return x;
}

static cn_array *unpooled(const cn_array *before, cn_array *y)
{
    int32_t switches[SIDE * SIDE];
    float maxima[SIDE * SIDE];
    cn_array *x = cn_array_new(CN_FLOAT32, cn_array_shape(before));
    assert_int_equal(
        cn_max_pool_f32(&pooling, cn_array_const_floats(before), maxima, switches, NULL), CN_OK);
    assert_int_equal(
        cn_max_unpool_f32(&pooling, cn_array_const_floats(y), switches, cn_array_floats(x), NULL),
        CN_OK);
    cn_array_free(y);
    return x;
}

/* relu on the way back: the signal's positive part, where the forward value was positive, or both.
 */
static void rectify(cn_gradient_rule rule, const cn_array *forward, cn_array *signal)
{
    for (int64_t i = 0; i < cn_array_count(signal); i++) {
        float *value = &cn_array_floats(signal)[i];
        bool off = rule != CN_DECONVNET && cn_array_const_floats(forward)[i] <= 0;
        if (off || (rule != CN_GRADIENT && *value < 0))
            *value = 0;
    }
}

static void scale_back(const cn_model *model, cn_array *signal)
{
    const cn_layer *norm = cn_model_layer_named(model, "norm");
    const float *gamma = cn_array_const_floats(cn_layer_weight(norm, 0));
    const float *variance = cn_array_const_floats(cn_layer_weight(norm, 3));
    for (int64_t i = 0; i < cn_array_count(signal); i++)
        cn_array_floats(signal)[i] *= gamma[i % 4] / sqrtf(variance[i % 4] + 1e-3F);
}

static cn_array *by_hand(cn_model *model, cn_gradient_rule rule, const cn_array *x, int64_t filter)
{
    cn_array *signal = output_of(model, "two", x), *before = output_of(model, "relu", x);
    for (int64_t i = 0; i < cn_array_count(signal); i++)
        if (i % FILTERS != filter)
            cn_array_floats(signal)[i] = 0;
    signal = back_through(model, "two", CN_VALID, signal);
    signal = unpooled(before, signal);
    rectify(rule, before, signal);
    scale_back(model, signal);
    cn_array_free(before);
    return back_through(model, "one", CN_SAME, signal);
}

static void test_every_rule_step_by_step(void **state)
{
    (void)state;
    static const cn_gradient_rule rules[] = {CN_DECONVNET, CN_GRADIENT, CN_GUIDED_BACKPROP};
    cn_model *model = network(CN_CHANNELS_LAST);
    cn_array *x = image();
    for (int r = 0; r < 3; r++)
        for (int64_t filter = 0; filter < FILTERS; filter++)
            assert_arrays_close("projection", projected(model, "two", rules[r], x, &filter, 1),
                                by_hand(model, rules[r], x, filter), 1e-5);
    cn_array_free(x);
    cn_model_free(model);
}

/* ---- the rest ---- */

static void test_maps_are_the_layers_output(void **state)
{
    (void)state;
    cn_model *model = network(CN_CHANNELS_LAST);
    cn_array *x = image(), *maps = NULL, *wanted = output_of(model, "two", x);
    cn_deconvnet *net = cn_deconvnet_new(model, "two", CN_DECONVNET, 0);
    cn_model_free(model); /* the net stays */
    assert_int_equal(cn_deconvnet_maps(net, (const cn_array *const *)&x, &maps, NULL), CN_OK);
    assert_arrays_close("maps", maps, wanted, 0);
    cn_deconvnet_free(net);
    cn_array_free(x);
}

/* More filters than a batch has, in any order and repeated, one by one and together. */
static void test_many_filters(void **state)
{
    (void)state;
    static const int64_t filters[] = {4, 0, 0, 3, 1, 2, 4, 1, 0, 2, 3};
    cn_model *model = network(CN_CHANNELS_LAST);
    cn_array *x = image(), *all = projected(model, "two", CN_DECONVNET, x, filters, 11);
    for (int i = 0; i < 11; i++)
        assert_arrays_close("filter", samples(all, i, 1),
                            projected(model, "two", CN_DECONVNET, x, &filters[i], 1), 1e-6);
    cn_array_free(all);
    cn_array_free(x);
    cn_model_free(model);
}

static cn_array *permuted(const cn_array *x, const int *order)
{
    cn_shape shape = {.rank = 4};
    for (int i = 0; i < 4; i++)
        shape.dim[i] = cn_array_shape(x)->dim[order[i]];
    cn_array *y = cn_array_new(CN_FLOAT32, &shape);
    assert_int_equal(cn_transpose_f32(cn_array_shape(x), order, cn_array_const_floats(x),
                                      cn_array_floats(y), NULL),
                     CN_OK);
    return y;
}

static void test_channels_first_gives_the_same(void **state)
{
    (void)state;
    static const int64_t filters[] = {0, 1, 2, 3, 4};
    cn_model *last = network(CN_CHANNELS_LAST), *first = network(CN_CHANNELS_FIRST);
    assert_int_equal(cn_model_data_format(last), CN_CHANNELS_LAST);
    assert_int_equal(cn_model_data_format(first), CN_CHANNELS_FIRST);
    cn_array *x = image(), *planes = permuted(x, (int[]){0, 3, 1, 2});
    cn_array *a = projected(last, "two", CN_DECONVNET, x, filters, 5);
    cn_array *b = projected(first, "two", CN_DECONVNET, planes, filters, 5);
    assert_arrays_close("projection", permuted(b, (int[]){0, 2, 3, 1}), a, 1e-6);
    cn_array_free(b);
    cn_array_free(x);
    cn_array_free(planes);
    cn_model_free(last);
    cn_model_free(first);
}

/* A unit of a dense layer is a filter without extent: its signal is its value times its gradient.
 */
static void test_units_of_a_dense_layer(void **state)
{
    (void)state;
    cn_model *model = network(CN_CHANNELS_LAST);
    cn_array *x = image(), *scores = output_of(model, "classes", x);
    cn_array *signal = projected(model, "classes", CN_GRADIENT, x, (int64_t[]){2}, 1);
    const float step = 1e-2F;
    for (int i = 0; i < 3; i++) {
        int place = 37 * i + 5;
        float value[2];
        for (int side = 0; side < 2; side++) {
            cn_array *moved = cn_array_copy(x);
            cn_array_floats(moved)[place] += side ? step : -step;
            cn_array *y = output_of(model, "classes", moved);
            value[side] = cn_array_floats(y)[2];
            cn_array_free(y);
            cn_array_free(moved);
        }
        float wanted = (value[1] - value[0]) / (2 * step) * cn_array_floats(scores)[2];
        assert_float_equal(cn_array_floats(signal)[place], wanted, 2e-4f);
    }
    cn_array_free(signal);
    cn_array_free(scores);
    cn_array_free(x);
    cn_model_free(model);
}

/* Two inputs, and a nested model. */
static void test_inputs_and_nested_layers(void **state)
{
    (void)state;
    cn_model *inner =
        cn_sequential(cn_input({4, 4, 1}), cn_conv2d(2, {1, 1}, .name = "in", .use_bias = CN_FALSE,
                                                     .kernel_initializer = "ones"));
    cn_layer *nested = cn_model_as_layer(inner);
    char name[200];
    (void)snprintf(name, sizeof name, "%s/in", cn_layer_name(nested));
    cn_tensor *a = cn_input_tensor({4, 4, 1}), *b = cn_input_tensor({4, 4, 1});
    cn_tensor *sum = cn_apply_list(cn_add(), cn_tensors(a, b));
    cn_model *model = cn_model_new(cn_tensors(a, b), cn_tensors(cn_apply(nested, sum)));
    cn_array *x[2] = {drawn_array(cn_shape_of(1, 4, 4, 1), 1),
                      drawn_array(cn_shape_of(1, 4, 4, 1), 2)};
    for (int input = 0; input < 2; input++) {
        cn_array *projection = NULL;
        cn_deconvnet *net = cn_deconvnet_new(model, name, CN_DECONVNET, input);
        assert_int_equal(cn_deconvnet_project(net, (const cn_array *const *)x, (int64_t[]){1}, 1,
                                              &projection, NULL),
                         CN_OK);
        for (int i = 0; i < 16; i++)
            assert_float_equal(cn_array_floats(projection)[i],
                               cn_array_floats(x[0])[i] + cn_array_floats(x[1])[i], 1e-6f);
        cn_array_free(projection);
        cn_deconvnet_free(net);
    }
    cn_array_free(x[0]);
    cn_array_free(x[1]);
    cn_model_free(model);
}

/* A model that takes batches of 3 and nothing else. */
static void test_fixed_batch(void **state)
{
    (void)state;
    static const int64_t filters[] = {1, 0, 1, 0};
    cn_model *model = cn_sequential(cn_input({4, 4, 1}, .batch_size = 3),
                                    cn_conv2d(2, {3, 3}, .name = "conv", .use_bias = CN_FALSE));
    cn_array *x = drawn_array(cn_shape_of(1, 4, 4, 1), 5), *maps = NULL;
    cn_deconvnet *net = cn_deconvnet_new(model, "conv", CN_DECONVNET, 0);
    assert_int_equal(cn_deconvnet_maps(net, (const cn_array *const *)&x, &maps, NULL), CN_OK);
    assert_int_equal(cn_array_shape(maps)->dim[0], 1);
    cn_deconvnet_free(net);
    cn_array *all = projected(model, "conv", CN_DECONVNET, x, filters, 4);
    assert_arrays_close("repeated", samples(all, 0, 2), samples(all, 2, 2), 0);
    cn_array_free(all);
    cn_array_free(maps);
    cn_array_free(x);
    cn_model_free(model);
}

static void test_refused(void **state)
{
    (void)state;
    cn_model *model = network(CN_CHANNELS_LAST);
    cn_array *x = image(), *two = drawn_array(cn_shape_of(2, SIDE, SIDE, 3), 1), *out = NULL;
    assert_null(cn_deconvnet_new(model, "three", CN_DECONVNET, 0));
    assert_int_equal(cn_error_status(), CN_ERROR_NOT_FOUND);
    assert_null(cn_deconvnet_new(model, "two", CN_DECONVNET, 1));
    assert_non_null(strstr(cn_error_message(), "has no input 1; its inputs are 0 to 0"));
    cn_deconvnet *net = cn_deconvnet_new(model, "two", CN_DECONVNET, 0);
    cn_clear_error();
    assert_int_equal(
        cn_deconvnet_project(net, (const cn_array *const *)&x, (int64_t[]){5}, 1, &out, NULL),
        CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(),
                        "deconvnet: the layer two has no filter 5; its filters are 0 to 4");
    assert_int_equal(cn_deconvnet_maps(net, (const cn_array *const *)&two, &out, NULL),
                     CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "deconvnet: takes one image at a time, of shape (1, "
                                            "...), but input 0 is (2, 8, 8, 3)");
    assert_null(out);
    cn_deconvnet_free(net);
    cn_array_free(x);
    cn_array_free(two);
    cn_model_free(model);
}

/* ---- the strongest maps, and pictures ---- */

static void test_strongest_maps(void **state)
{
    (void)state;
    const float values[] = {1, -3, 2, 0, 1, 0, 2, 0}; /* squares: 2, 9, 8, 0 */
    cn_shape last = cn_shape_of(1, 2, 1, 4), first = cn_shape_of(1, 2, 2, 2);
    cn_array *maps = cn_array_from(&last, values);
    int64_t filters[4];
    assert_int_equal(cn_maps_count(maps, CN_CHANNELS_LAST), 4);
    assert_int_equal(cn_strongest_maps(maps, CN_CHANNELS_LAST, 4, filters), CN_OK);
    assert_memory_equal(filters, ((int64_t[]){1, 2, 0, 3}), sizeof filters);
    assert_int_equal(cn_array_reshape(maps, &first), CN_OK);
    assert_int_equal(cn_strongest_maps(maps, CN_CHANNELS_FIRST, 2, filters), CN_OK);
    assert_memory_equal(filters, ((int64_t[]){0, 1}), 2 * sizeof *filters); /* 14, 5 */
    assert_int_equal(cn_strongest_maps(maps, CN_CHANNELS_FIRST, 3, filters), CN_ERROR_ARGUMENT);
    cn_array_floats(maps)[0] = NAN;
    assert_int_equal(cn_strongest_maps(maps, CN_CHANNELS_FIRST, 2, filters), CN_OK);
    assert_memory_equal(filters, ((int64_t[]){1, 0}), 2 * sizeof *filters);
    cn_array_free(maps);
}

/* The colour of a picture's pixel. */
static const float *pixel(const cn_array *picture, int64_t y, int64_t x)
{
    return cn_array_const_floats(picture) + (y * cn_array_shape(picture)->dim[1] + x) * 3;
}

enum { MARGIN = 10, TOP = 21 /* below the label */ };

static void test_picture_of_maps_and_projections(void **state)
{
    (void)state;
    const float values[] = {0, 7, 1, 7}, signals[] = {-1, 1};
    cn_shape shape = cn_shape_of(1, 1, 2, 2), flat = cn_shape_of(1, 1, 2, 1);
    cn_array *maps = cn_array_from(&shape, values), *back = cn_array_from(&flat, signals);
    cn_maps_picture_options o = {.projections = back, .tile_pixels = 20};
    cn_array *picture = cn_maps_picture(maps, (int64_t[]){0}, 1, &o);
    assert_non_null(picture);
    assert_float_equal(pixel(picture, TOP, MARGIN)[0], 0, 0); /* the map: 0, 1 */
    assert_float_equal(pixel(picture, TOP, MARGIN + 10)[0], 255, 0);
    assert_float_equal(pixel(picture, TOP, MARGIN + 23)[0], 0, 0); /* the projection: -1, 1 */
    assert_float_equal(pixel(picture, TOP, MARGIN + 33)[2], 255, 0);
    cn_array_free(picture);
    cn_array_free(maps);
    cn_array_free(back);
}

/* A map of 4 x 6 on a tile of 3 pixels: 2 x 3 means over 2 x 2 values, scaled by the greatest
 * mean; its projection in colours likewise. */
static void test_large_maps_are_reduced(void **state)
{
    (void)state;
    const float map[] = {4, 0, 2, 2, 0, 0, /* */ 0, 0, 2, 2, 0, 0,
                         1, 1, 0, 8, 4, 0, /* */ 1, 1, 0, 0, 0, 0};
    float signals[4 * 6 * 3] = {0};
    for (int i = 0; i < 24; i++)
        signals[3 * i + 2] = i % 6 < 2 ? 1 : -1;
    cn_shape shape = cn_shape_of(1, 4, 6, 1), colours = cn_shape_of(1, 4, 6, 3);
    cn_array *maps = cn_array_from(&shape, map), *back = cn_array_from(&colours, signals);
    cn_maps_picture_options o = {.projections = back, .tile_pixels = 3};
    cn_array *picture = cn_maps_picture(maps, NULL, 0, &o);
    assert_non_null(picture);
    assert_int_equal(cn_array_shape(picture)->dim[0], TOP + 2 + MARGIN);
    static const float means[2][3] = {{1, 2, 0}, {1, 2, 1}};
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++) {
            assert_float_equal(pixel(picture, TOP + y, MARGIN + x)[0], means[y][x] / 2 * 255, 0);
            assert_float_equal(pixel(picture, TOP + y, MARGIN + 6 + x)[0], 127.5f, 0);
            assert_float_equal(pixel(picture, TOP + y, MARGIN + 6 + x)[2], x ? 0 : 255, 0);
        }
    cn_array_free(picture);
    cn_array_free(maps);
    cn_array_free(back);
}

/* Whatever the maps' size, the picture is about as large. */
static void test_pictures_size(void **state)
{
    (void)state;
    static const int64_t counts[] = {1, 4, 40};
    for (int i = 0; i < 3; i++) {
        cn_shape shape = cn_shape_of(1, 1500, 2000, counts[i]);
        cn_array *maps = cn_array_new(CN_FLOAT32, &shape);
        cn_array *picture = cn_maps_picture(maps, NULL, 0, NULL);
        assert_non_null(picture);
        assert_in_range(cn_array_shape(picture)->dim[0], 800, 1300);
        assert_in_range(cn_array_shape(picture)->dim[1], 800, 1300);
        cn_array_free(picture);
        cn_array_free(maps);
    }
}

/* Volumes, lines, vectors and all channels can be drawn; wrong arrays cannot. */
static void test_picture_of_every_rank(void **state)
{
    (void)state;
    static const cn_shape shapes[] = {
        {2, {1, 6}}, {3, {1, 5, 6}}, {4, {1, 4, 5, 6}}, {5, {1, 3, 4, 5, 6}}};
    for (int i = 0; i < 4; i++)
        for (int format = CN_CHANNELS_LAST; format <= CN_CHANNELS_FIRST; format++) {
            cn_array *maps = drawn_array(shapes[i], 1);
            int64_t count = cn_maps_count(maps, (cn_data_format)format);
            cn_shape many = shapes[i];
            many.dim[0] = count;
            cn_array *back = drawn_array(many, 2);
            cn_maps_picture_options o = {.data_format = (cn_data_format)format,
                                         .projections = back};
            cn_array *picture = cn_maps_picture(maps, NULL, 0, &o);
            if (!picture)
                fail_msg("%s", cn_error_message());
            cn_array_free(picture);
            assert_null(cn_maps_picture(maps, (int64_t[]){0}, 1, &o)); /* too many projections */
            o.projections = NULL;
            assert_null(cn_maps_picture(maps, &count, 1, &o));
            cn_array_free(back);
            cn_array_free(maps);
        }
    assert_null(cn_maps_picture(NULL, NULL, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_step_by_step),
        cmocka_unit_test(test_maps_are_the_layers_output),
        cmocka_unit_test(test_many_filters),
        cmocka_unit_test(test_channels_first_gives_the_same),
        cmocka_unit_test(test_units_of_a_dense_layer),
        cmocka_unit_test(test_inputs_and_nested_layers),
        cmocka_unit_test(test_fixed_batch),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_strongest_maps),
        cmocka_unit_test(test_picture_of_maps_and_projections),
        cmocka_unit_test(test_large_maps_are_reduced),
        cmocka_unit_test(test_pictures_size),
        cmocka_unit_test(test_picture_of_every_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
