/* ReLU, LeakyReLU, ELU, Softmax: activations that are layers in Keras, with their parameters.
 * In, out: any shape. Example: cn_leaky_relu(0.2f) */
#include "layers/layer.h"

#include <math.h>

static const cn__option relu_options[] = {
    CN__OPTION(cn_relu_layer, max_value, CN__FLOAT, .number = (double)NAN),
    CN__OPTION(cn_relu_layer, negative_slope, CN__FLOAT, .aliases = "alpha"),
    CN__OPTION(cn_relu_layer, threshold, CN__FLOAT),
};

static cn_tensor *apply_relu(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_relu_layer *o = layer->options;
    (void)inputs;
    float most = isnan(o->max_value) ? INFINITY : o->max_value;
    return cn_op_unary(in[0], (cn_function1){CN_RELU, {o->negative_slope, most, o->threshold}});
}

static const cn__option leaky_relu_options[] = {
    CN__OPTION(cn_leaky_relu_layer, negative_slope, CN__FLOAT, .aliases = "alpha",
               .number = (double)0.3f),
};

static cn_tensor *apply_leaky_relu(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_leaky_relu_layer *o = layer->options;
    (void)inputs;
    return cn_op_unary(in[0], (cn_function1){CN_RELU, {o->negative_slope, INFINITY, 0}});
}

static const cn__option elu_options[] = {
    CN__OPTION(cn_elu_layer, alpha, CN__FLOAT, .number = 1),
};

static cn_tensor *apply_elu(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_elu_layer *o = layer->options;
    (void)inputs;
    return cn_op_unary(in[0], (cn_function1){CN_ELU, {o->alpha, 0, 0}});
}

static const cn__option softmax_options[] = {
    CN__OPTION(cn_softmax_layer, axis, CN__INT, .number = -1),
};

static cn_tensor *apply_softmax(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_softmax_layer *o = layer->options;
    int axis;
    (void)inputs;
    if (cn__layer_axis(in[0], o->axis, &axis) != CN_OK)
        return NULL;
    return cn_op_softmax(in[0], axis, false);
}

#define TYPE(lower, type)                                                                          \
    const cn__layer_type cn__##lower##_type = {                                                    \
        .name = type,                                                                              \
        .options = lower##_options,                                                                \
        .option_count = CN__COUNT(lower##_options),                                                \
        .option_bytes = sizeof(cn_##lower##_layer),                                                \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .apply = apply_##lower,                                                                    \
    }
TYPE(relu, "ReLU");
TYPE(leaky_relu, "LeakyReLU");
TYPE(elu, "ELU");
TYPE(softmax, "Softmax");
