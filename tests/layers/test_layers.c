/* Every layer through one harness: the output's shape, its values against numbers computed by hand,
 * a copy made from the options, the weights, and the failure of the k-th allocation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "layers/layer.h"
#include "unit/failing.h"

#define CELLS 32 /* the most values that a case tells */

/* A layer, what goes in (values first, first + 1, ...) and what must come out. Extents of 0 end a
 * shape. */
typedef struct example {
    const char *name;
    cn_layer *(*make)(void);
    int64_t in[2][6];
    float first;
    int64_t out[6];
    float values[CELLS];
} example;

#define LAYER(name, ...)                                                                           \
    static cn_layer *name(void)                                                                    \
    {                                                                                              \
        return __VA_ARGS__;                                                                        \
    }

/* ---- core ---- */
LAYER(dense, cn_dense(2, .kernel_initializer = "ones", .bias_initializer = "Constant(value=0.5)"))
LAYER(dense_softmax, cn_dense(2, "softmax", .kernel_initializer = "ones", .use_bias = CN_FALSE))
LAYER(activation, cn_activation("relu(negative_slope=0.5)"))
LAYER(glu, cn_activation("glu(axis=1)"))
LAYER(sparsemax, cn_activation("sparsemax(axis=1)"))
LAYER(relu, cn_relu(.max_value = 1, .negative_slope = 0.5f))
LAYER(relu_plain, cn_relu())
LAYER(leaky_relu, cn_leaky_relu())
LAYER(leaky_relu_zero, cn_leaky_relu(-0.0f))
LAYER(prelu, cn_prelu("Constant(value=0.25)", .shared_axes = {1}))
LAYER(elu, cn_elu(2))
LAYER(softmax, cn_softmax())
LAYER(softmax_axis, cn_softmax(.axis = 1))

/* ---- convolution ---- */
#define ONES .kernel_initializer = "ones"
LAYER(conv1d, cn_conv1d(1, {2}, .padding = CN_CAUSAL, ONES))
LAYER(conv2d, cn_conv2d(1, {2, 2}, ONES, .bias_initializer = "Constant(value=0.5)"))
LAYER(conv2d_same, cn_conv2d(1, {2}, {2}, CN_SAME, ONES))
LAYER(conv2d_first, cn_conv2d(2, {2, 2}, .data_format = CN_CHANNELS_FIRST, ONES))
LAYER(conv2d_softmax,
      cn_conv2d(2, {1, 1}, .data_format = CN_CHANNELS_FIRST, ONES, .activation = "softmax"))
LAYER(conv2d_groups, cn_conv2d(2, {1, 2}, .groups = 2, ONES, .dilation_rate = {1, 2}))
LAYER(conv3d, cn_conv3d(1, {2}, ONES, .activation = "relu"))
LAYER(transpose1d, cn_conv1d_transpose(1, {2}, {2}, ONES))
LAYER(transpose2d, cn_conv2d_transpose(1, {3, 3}, {2, 2}, CN_SAME, ONES))
LAYER(transpose2d_padded,
      cn_conv2d_transpose(1, {3, 3}, {2, 2}, CN_SAME, .output_padding = {CN_ZERO}, ONES))
LAYER(transpose2d_sized,
      cn_conv2d_transpose(1, {3, 3}, {2, 2}, CN_SAME, .output_size = {3, 3}, ONES))
LAYER(transpose3d,
      cn_conv3d_transpose(1, {1}, {1, 1, 2}, .output_padding = {CN_ZERO, CN_ZERO, 1}, ONES))
LAYER(depthwise1d, cn_depthwise_conv1d({2}, .depthwise_initializer = "ones"))
LAYER(depthwise2d,
      cn_depthwise_conv2d({2, 2}, .depth_multiplier = 2, .depthwise_initializer = "ones"))
LAYER(separable1d,
      cn_separable_conv1d(1, {1}, .depthwise_initializer = "ones", .pointwise_initializer = "ones"))
LAYER(separable2d, cn_separable_conv2d(1, {2, 2}, .depthwise_initializer = "ones",
                                       .pointwise_initializer = "ones"))

/* ---- pooling ---- */
LAYER(max1d, cn_max_pooling1d())
LAYER(max2d, cn_max_pooling2d({2, 2}, {1, 1}))
LAYER(max2d_first, cn_max_pooling2d(.data_format = CN_CHANNELS_FIRST))
LAYER(max3d, cn_max_pooling3d())
LAYER(average1d, cn_average_pooling1d({3}, .padding = CN_SAME))
LAYER(average2d, cn_average_pooling2d(.padding = CN_SAME))
LAYER(average3d, cn_average_pooling3d())
LAYER(global_max1d, cn_global_max_pooling1d())
LAYER(global_max2d, cn_global_max_pooling2d(.keepdims = true))
LAYER(global_max3d, cn_global_max_pooling3d())
LAYER(global_average1d, cn_global_average_pooling1d(CN_CHANNELS_FIRST))
LAYER(global_average2d, cn_global_average_pooling2d())
LAYER(global_average3d, cn_global_average_pooling3d())

/* ---- regularisation: nothing outside training ---- */
LAYER(dropout, cn_dropout(0.5f, {1, -1}))
LAYER(dropout_none, cn_dropout())
LAYER(spatial1d, cn_spatial_dropout1d(0.5f))
LAYER(spatial2d, cn_spatial_dropout2d(0.5f))
LAYER(spatial3d, cn_spatial_dropout3d(0.5f))
LAYER(noise, cn_gaussian_noise(1))
LAYER(gaussian_dropout, cn_gaussian_dropout(0.5f))
LAYER(activity_regularization, cn_activity_regularization(.l1 = 0.5f, .l2 = 0.25f))

/* ---- normalisation ---- */
LAYER(batch_norm,
      cn_batch_normalization(.epsilon = 1, .moving_mean_initializer = "ones",
                             .moving_variance_initializer = "Constant(value=3)",
                             .gamma_initializer = "Constant(value=4)", .beta_initializer = "ones"))
LAYER(batch_norm_axis,
      cn_batch_normalization(1, .epsilon = 1, .scale = CN_FALSE, .center = CN_FALSE,
                             .moving_variance_initializer = "Constant(value=3)"))
LAYER(layer_norm, cn_layer_normalization(.epsilon = 1, .gamma_initializer = "Constant(value=2)"))
LAYER(layer_norm_axes, cn_layer_normalization({1, 2}, .center = CN_FALSE))
LAYER(group_norm, cn_group_normalization(2, .epsilon = 0.75f))
LAYER(group_norm_first, cn_group_normalization(-1, 1, .epsilon = 0.75f))
LAYER(unit_norm, cn_unit_normalization())
LAYER(rescaling, cn_rescaling(2, -1))

/* ---- reshaping ---- */
LAYER(flatten, cn_flatten())
LAYER(flatten_first, cn_flatten(CN_CHANNELS_FIRST))
LAYER(flatten_keras1, cn_flatten(CN_CHANNELS_FIRST, .keras1_order = true))
LAYER(reshape, cn_reshape({-1, 2}))
LAYER(permute, cn_permute({2, 1}))
LAYER(repeat, cn_repeat_vector(2))
LAYER(up1d, cn_up_sampling1d())
LAYER(up2d, cn_up_sampling2d({1, 2}))
LAYER(up2d_bilinear, cn_up_sampling2d({1, 2}, .interpolation = "bilinear"))
LAYER(up3d, cn_up_sampling3d({1, 1, 2}, .data_format = CN_CHANNELS_FIRST))
LAYER(pad1d, cn_zero_padding1d())
LAYER(pad2d, cn_zero_padding2d({{0, 1}, {1, 0}}))
LAYER(pad3d, cn_zero_padding3d({{0, 0}, {0, 0}, {0, 1}}, CN_CHANNELS_FIRST))
LAYER(crop1d, cn_cropping1d())
LAYER(crop2d, cn_cropping2d({{1, 0}, {0, 1}}))
LAYER(crop3d, cn_cropping3d({{0, 0}, {0, 0}, {1, 1}}))
LAYER(resizing, cn_resizing(1, 4))

/* ---- merging ---- */
LAYER(add, cn_add())
LAYER(subtract, cn_subtract())
LAYER(multiply, cn_multiply())
LAYER(average, cn_average())
LAYER(maximum, cn_maximum())
LAYER(minimum, cn_minimum())
LAYER(concatenate, cn_concatenate())
LAYER(concatenate_axis, cn_concatenate(1))
LAYER(dot, cn_dot({1}))
LAYER(cosine, cn_dot({1, 1}, .normalize = true))
LAYER(dot_matrices, cn_dot({2, 1}))

static const example examples[] = {
    {"dense", dense, {{1, 3}}, 0, {1, 2}, {3.5f, 3.5f}},
    {"dense, 3 axes", dense, {{1, 2, 2}}, 0, {1, 2, 2}, {1.5f, 1.5f, 5.5f, 5.5f}},
    {"dense, 5 axes", dense, {{1, 1, 1, 2, 2}}, 0, {1, 1, 1, 2, 2}, {1.5f, 1.5f, 5.5f, 5.5f}},
    {"dense softmax", dense_softmax, {{1, 3}}, 0, {1, 2}, {0.5f, 0.5f}},
    {"activation", activation, {{1, 3}}, -1, {1, 3}, {-0.5f, 0, 1}},
    {"glu", glu, {{1, 4, 1}}, 0, {1, 2, 1}, {0, 0.95257413f}},
    {"sparsemax", sparsemax, {{1, 2, 1}}, 0, {1, 2, 1}, {0, 1}},
    {"relu", relu, {{1, 4}}, -1, {1, 4}, {-0.5f, 0, 1, 1}},
    {"relu plain", relu_plain, {{1, 4}}, -1, {1, 4}, {0, 0, 1, 2}},
    {"leaky relu", leaky_relu, {{1, 3}}, -1, {1, 3}, {-0.3f, 0, 1}},
    {"leaky relu 0", leaky_relu_zero, {{1, 3}}, -1, {1, 3}, {0, 0, 1}},
    {"prelu", prelu, {{1, 2, 2}}, -2, {1, 2, 2}, {-0.5f, -0.25f, 0, 1}},
    {"elu", elu, {{1, 3}}, -1, {1, 3}, {-1.26424112f, 0, 1}},
    {"softmax", softmax, {{1, 2}}, 0, {1, 2}, {0.26894142f, 0.73105858f}},
    {"softmax axis", softmax_axis, {{1, 2, 1}}, 0, {1, 2, 1}, {0.26894142f, 0.73105858f}},
    {"conv1d", conv1d, {{1, 3, 1}}, 1, {1, 3, 1}, {1, 3, 5}},
    {"conv2d", conv2d, {{1, 3, 3, 1}}, 0, {1, 2, 2, 1}, {8.5f, 12.5f, 20.5f, 24.5f}},
    {"conv2d same", conv2d_same, {{1, 3, 3, 1}}, 0, {1, 2, 2, 1}, {8, 7, 13, 8}},
    {"conv2d first", conv2d_first, {{1, 1, 2, 3}}, 0, {1, 2, 1, 2}, {8, 12, 8, 12}},
    {"conv2d softmax over columns",
     conv2d_softmax,
     {{1, 1, 1, 2}},
     0,
     {1, 2, 1, 2},
     {0.26894142f, 0.73105858f, 0.26894142f, 0.73105858f}},
    {"conv2d groups", conv2d_groups, {{1, 1, 3, 2}}, 0, {1, 1, 1, 2}, {4, 6}},
    {"conv3d", conv3d, {{1, 2, 2, 2, 1}}, 0, {1, 1, 1, 1, 1}, {28}},
    {"transpose1d", transpose1d, {{1, 2, 1}}, 1, {1, 4, 1}, {1, 1, 2, 2}},
    {"transpose2d",
     transpose2d,
     {{1, 2, 2, 1}},
     0,
     {1, 4, 4, 1},
     {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 6, 4, 2, 2, 5, 3}},
    {"transpose2d padded",
     transpose2d_padded,
     {{1, 2, 2, 1}},
     0,
     {1, 3, 3, 1},
     {0, 1, 1, 2, 6, 4, 2, 5, 3}},
    {"transpose2d sized",
     transpose2d_sized,
     {{1, 2, 2, 1}},
     0,
     {1, 3, 3, 1},
     {0, 1, 1, 2, 6, 4, 2, 5, 3}},
    {"transpose3d", transpose3d, {{1, 1, 1, 2, 1}}, 1, {1, 1, 1, 4, 1}, {1, 0, 2, 0}},
    {"depthwise1d", depthwise1d, {{1, 2, 2}}, 0, {1, 1, 2}, {2, 4}},
    {"depthwise2d", depthwise2d, {{1, 2, 2, 2}}, 0, {1, 1, 1, 4}, {12, 12, 16, 16}},
    {"separable1d", separable1d, {{1, 2, 2}}, 0, {1, 2, 1}, {1, 5}},
    {"separable2d", separable2d, {{1, 2, 2, 2}}, 0, {1, 1, 1, 1}, {28}},
    {"max1d", max1d, {{1, 4, 1}}, 0, {1, 2, 1}, {1, 3}},
    {"max2d", max2d, {{1, 3, 3, 1}}, 0, {1, 2, 2, 1}, {4, 5, 7, 8}},
    {"max2d first", max2d_first, {{1, 2, 2, 2}}, 0, {1, 2, 1, 1}, {3, 7}},
    {"max3d", max3d, {{1, 2, 2, 2, 1}}, 0, {1, 1, 1, 1, 1}, {7}},
    {"average1d", average1d, {{1, 4, 1}}, 0, {1, 2, 1}, {0.5f, 2.5f}},
    {"average2d", average2d, {{1, 3, 3, 1}}, 0, {1, 2, 2, 1}, {2, 3.5f, 6.5f, 8}},
    {"average3d", average3d, {{1, 2, 2, 2, 1}}, 0, {1, 1, 1, 1, 1}, {3.5f}},
    {"global max1d", global_max1d, {{1, 3, 2}}, 0, {1, 2}, {4, 5}},
    {"global max2d", global_max2d, {{1, 2, 2, 2}}, 0, {1, 1, 1, 2}, {6, 7}},
    {"global max3d", global_max3d, {{1, 1, 2, 2, 1}}, 0, {1, 1}, {3}},
    {"global average1d", global_average1d, {{1, 2, 3}}, 0, {1, 2}, {1, 4}},
    {"global average2d", global_average2d, {{1, 2, 2, 2}}, 0, {1, 2}, {3, 4}},
    {"global average3d", global_average3d, {{1, 1, 2, 2, 1}}, 0, {1, 1}, {1.5f}},
    {"dropout", dropout, {{1, 3}}, 0, {1, 3}, {0, 1, 2}},
    {"dropout none", dropout_none, {{1, 3}}, 0, {1, 3}, {0, 1, 2}},
    {"spatial dropout1d", spatial1d, {{1, 2, 1}}, 0, {1, 2, 1}, {0, 1}},
    {"spatial dropout2d", spatial2d, {{1, 1, 2, 1}}, 0, {1, 1, 2, 1}, {0, 1}},
    {"spatial dropout3d", spatial3d, {{1, 1, 1, 2, 1}}, 0, {1, 1, 1, 2, 1}, {0, 1}},
    {"gaussian noise", noise, {{1, 2}}, 0, {1, 2}, {0, 1}},
    {"gaussian dropout", gaussian_dropout, {{1, 2}}, 0, {1, 2}, {0, 1}},
    {"activity regularization", activity_regularization, {{1, 3}}, -1, {1, 3}, {-1, 0, 1}},
    {"batch norm", batch_norm, {{1, 2, 1}}, 0, {1, 2, 1}, {-1, 1}},
    {"batch norm axis", batch_norm_axis, {{1, 2, 2}}, 0, {1, 2, 2}, {0, 0.5f, 1, 1.5f}},
    {"layer norm", layer_norm, {{1, 4}}, 0, {1, 4}, {-2, -0.66666667f, 0.66666667f, 2}},
    {"layer norm axes",
     layer_norm_axes,
     {{1, 2, 2}},
     0,
     {1, 2, 2},
     {-1.34110452f, -0.44703484f, 0.44703484f, 1.34110452f}},
    {"group norm", group_norm, {{1, 1, 4}}, 0, {1, 1, 4}, {-0.5f, 0.5f, -0.5f, 0.5f}},
    {"group norm first", group_norm_first, {{1, 2, 2}}, 0, {1, 2, 2}, {-0.5f, 0.5f, -0.5f, 0.5f}},
    {"unit norm", unit_norm, {{1, 2}}, 3, {1, 2}, {0.6f, 0.8f}},
    {"rescaling", rescaling, {{1, 2}}, 0, {1, 2}, {-1, 1}},
    {"flatten", flatten, {{1, 2, 1, 2}}, 0, {1, 4}, {0, 1, 2, 3}},
    {"flatten first", flatten_first, {{1, 2, 1, 2}}, 0, {1, 4}, {0, 2, 1, 3}},
    {"flatten keras1", flatten_keras1, {{1, 2, 1, 2}}, 0, {1, 4}, {0, 1, 2, 3}},
    {"reshape", reshape, {{1, 4}}, 0, {1, 2, 2}, {0, 1, 2, 3}},
    {"permute", permute, {{1, 2, 3}}, 0, {1, 3, 2}, {0, 3, 1, 4, 2, 5}},
    {"repeat vector", repeat, {{1, 2}}, 0, {1, 2, 2}, {0, 1, 0, 1}},
    {"up sampling1d", up1d, {{1, 2, 1}}, 0, {1, 4, 1}, {0, 0, 1, 1}},
    {"up sampling2d", up2d, {{1, 1, 2, 1}}, 0, {1, 1, 4, 1}, {0, 0, 1, 1}},
    {"up sampling2d bilinear",
     up2d_bilinear,
     {{1, 1, 2, 1}},
     0,
     {1, 1, 4, 1},
     {0, 0.25f, 0.75f, 1}},
    {"up sampling3d first", up3d, {{1, 2, 1, 1, 2}}, 0, {1, 2, 1, 1, 4}, {0, 0, 1, 1, 2, 2, 3, 3}},
    {"zero padding1d", pad1d, {{1, 2, 1}}, 1, {1, 4, 1}, {0, 1, 2, 0}},
    {"zero padding2d", pad2d, {{1, 1, 1, 2}}, 1, {1, 2, 2, 2}, {0, 0, 1, 2, 0, 0, 0, 0}},
    {"zero padding3d", pad3d, {{1, 1, 1, 1, 2}}, 1, {1, 1, 1, 1, 3}, {1, 2, 0}},
    {"cropping1d", crop1d, {{1, 3, 1}}, 0, {1, 1, 1}, {1}},
    {"cropping2d", crop2d, {{1, 2, 2, 1}}, 0, {1, 1, 1, 1}, {2}},
    {"cropping3d", crop3d, {{1, 1, 1, 3, 1}}, 0, {1, 1, 1, 1, 1}, {1}},
    {"resizing", resizing, {{1, 1, 2, 1}}, 0, {1, 1, 4, 1}, {0, 0.25f, 0.75f, 1}},
    {"add", add, {{1, 2}, {1, 2}}, 1, {1, 2}, {2, 4}},
    {"add, broadcast", add, {{1, 2, 2}, {1, 2}}, 0, {1, 2, 2}, {0, 2, 2, 4}},
    {"subtract", subtract, {{1, 2}, {1, 1}}, 1, {1, 2}, {0, 1}},
    {"multiply", multiply, {{1, 2}, {1, 2}}, 1, {1, 2}, {1, 4}},
    {"average", average, {{1, 2}, {1, 1}}, 1, {1, 2}, {1, 1.5f}},
    {"maximum", maximum, {{1, 3}, {1, 1}}, -1, {1, 3}, {-1, 0, 1}},
    {"minimum", minimum, {{1, 3}, {1, 1}}, -1, {1, 3}, {-1, -1, -1}},
    {"concatenate", concatenate, {{1, 2}, {1, 1}}, 1, {1, 3}, {1, 2, 1}},
    {"concatenate axis",
     concatenate_axis,
     {{1, 1, 2}, {1, 2, 2}},
     1,
     {1, 3, 2},
     {1, 2, 1, 2, 3, 4}},
    {"dot", dot, {{1, 3}, {1, 3}}, 0, {1, 1}, {5}},
    {"cosine", cosine, {{1, 3}, {1, 3}}, 1, {1, 1}, {1}},
    {"dot of matrices", dot_matrices, {{1, 2, 2}, {1, 2, 2}}, 0, {1, 2, 2}, {2, 3, 6, 11}},
};

/* ---- the harness ---- */

static cn_shape shape_of(const int64_t *extents)
{
    cn_shape shape = {0};
    while (shape.rank < 6 && extents[shape.rank] != 0) {
        shape.dim[shape.rank] = extents[shape.rank];
        shape.rank++;
    }
    return shape;
}

static int input_count(const example *e)
{
    return e->in[1][0] ? 2 : 1;
}

/* Applies the layer to new inputs of one graph; the batch is not known. */
static cn_tensor *apply(const example *e, cn_layer *layer, cn_tensor **in)
{
    cn_shape first = shape_of(e->in[0]), second = shape_of(e->in[1]);
    first.dim[0] = second.dim[0] = -1;
    in[0] = cn_op_input(CN_FLOAT32, &first, NULL);
    if (in[0] && second.rank)
        in[1] = cn__input_in(in[0]->graph, CN_FLOAT32, &second, NULL);
    return cn_apply_list(layer, (cn_tensor_list){input_count(e), in});
}

static cn_array *count_up(const int64_t *extents, float first)
{
    cn_shape shape = shape_of(extents);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_floats(array)[i] = first + (float)i;
    return array;
}

static void check_values(const example *e, cn_tensor *const *in, cn_tensor *out)
{
    cn_array *values[2] = {count_up(e->in[0], e->first), count_up(e->in[1], e->first)};
    cn_array *result = NULL;
    cn_function *f = cn_function_new((cn_tensor_list){input_count(e), in}, cn_tensors(out));
    assert_non_null(f);
    assert_int_equal(cn_function_run(f, (const cn_array *const *)values, &result, false, NULL),
                     CN_OK);
    cn_shape expected = shape_of(e->out);
    assert_true(cn_shape_equal(cn_array_shape(result), &expected));
    for (int64_t i = 0; i < cn_array_count(result); i++)
        assert_float_equal(cn_array_const_floats(result)[i], e->values[i], 1e-5f);
    cn_array_free(result);
    cn_array_free(values[0]);
    cn_array_free(values[1]);
    cn_function_free(f);
}

/* Options of one layer made into another: every option keeps its value. */
static void check_options(const cn_layer *layer)
{
    const cn__layer_type *type = layer->type;
    cn_layer *copy = cn__layer_new(type, layer->options);
    assert_non_null(copy);
    assert_string_equal(copy->name, layer->name);
    for (int i = 0; i < type->option_count; i++) {
        const cn__option *o = &type->options[i];
        const void *a = cn__option_at(o, layer->options), *b = cn__option_at(o, copy->options);
        assert_ptr_equal(cn__option_find(type, o->name), o);
        if (o->kind == CN__TEXT || o->kind == CN__OBJECT) {
            const char *s = *(const char *const *)a, *t = *(const char *const *)b;
            assert_true(s == t || strcmp(s, t) == 0);
        } else if (o->kind == CN__DIMS || o->kind == CN__PAIRS) {
            assert_memory_equal(a, b, (o->kind == CN__DIMS ? 3 : 6) * sizeof(int64_t));
        } else {
            assert_memory_equal(a, b, o->kind == CN__BOOL ? sizeof(bool) : sizeof(int));
        }
    }
    cn_layer_free(copy);
}

static void check_weights(cn_layer *layer)
{
    int64_t count = 0;
    bool trainable = true;
    for (int i = 0; i < cn_layer_weight_count(layer); i++) {
        const cn_array *weight = cn_layer_weight(layer, i);
        cn_array *other = cn_array_new(CN_FLOAT32, cn_array_shape(weight));
        cn_array_floats(other)[0] = 7;
        assert_int_equal(cn_layer_set_weight(layer, i, other), CN_OK);
        assert_float_equal(cn_array_const_floats(weight)[0], 7, 0);
        cn_array_free(other);
        count += cn_array_count(weight);
        assert_true(trainable ||
                    !cn_layer_weight_is_trainable(layer, i)); /* trainable ones first */
        trainable = cn_layer_weight_is_trainable(layer, i);
    }
    assert_int_equal(cn_layer_parameter_count(layer), count);
}

static void check_allocations(const example *e)
{
    counter c;
    bool done = false;
    for (int k = 0; !done; k++) {
        cn_tensor *in[2] = {NULL, NULL};
        fail_at(&c, k);
        cn_tensor *out = apply(e, e->make(), in);
        done = out != NULL;
        assert_true(done || cn_error_message()[0]);
        cn_tensor_release(in[0]);
        assert_int_equal(c.alive, 0);
        assert_true(k < 1000);
    }
    restore_allocator(NULL);
}

static void test_layer(void **state)
{
    const example *e = *state;
    cn_tensor *in[2] = {NULL, NULL};
    cn_layer *layer = e->make();
    assert_non_null(layer);
    cn_tensor *out = apply(e, layer, in);
    if (!out)
        fail_msg("%s: %s", e->name, cn_error_message());
    cn_shape expected = shape_of(e->out);
    expected.dim[0] = -1;
    char text[128];
    if (!cn_shape_equal(cn_tensor_shape(out), &expected))
        fail_msg("%s: %s", e->name, cn_shape_text(cn_tensor_shape(out), text, sizeof text));
    assert_ptr_equal(cn_layer_output(layer), out);
    assert_ptr_equal(cn_layer_input(layer), in[0]);
    assert_ptr_equal(cn__tensor_call(out)->layer, layer);
    assert_ptr_equal(cn__layer_type_find(cn_layer_type(layer)), layer->type);
    cn__graph_retain(in[0]->graph); /* as a model does */
    check_values(e, in, out);
    check_options(layer);
    check_weights(layer);
    cn__graph_release(in[0]->graph);
    check_allocations(e);
}

int main(void)
{
    struct CMUnitTest tests[CN__COUNT(examples)];
    for (size_t i = 0; i < CN__COUNT(examples); i++)
        tests[i] = (struct CMUnitTest){examples[i].name, test_layer, NULL, restore_allocator,
                                       (void *)(uintptr_t)&examples[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
