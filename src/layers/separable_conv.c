/* SeparableConv1D, SeparableConv2D: a depthwise convolution, then one that mixes the channels.
 * In: (batch, spatial..., channels). Out: (batch, new spatial..., filters).
 * Weights: depthwise_kernel (kernel_size..., channels, depth_multiplier), pointwise_kernel
 * (1..., channels * depth_multiplier, filters), bias (filters).
 * Example: cn_separable_conv2d(64, {3, 3}, .padding = CN_SAME, .use_bias = CN_FALSE) */
#include "layers/depthwise.h"

#include <string.h>

typedef cn_separable_conv_layer T;

static const cn__option options[] = {
    CN__OPTION(T, filters, CN__INT, .aliases = "nb_filter", .required = true, .low = 1),
    CN__OPTION(T, kernel_size, CN__DIMS, .aliases = "filter_length", .required = true, .low = 1),
    CN__OPTION(T, strides, CN__DIMS, .aliases = "subsample", .number = 1, .low = 1),
    CN__PADDING(T),
    CN__DATA_FORMAT(T),
    CN__OPTION(T, dilation_rate, CN__DIMS, .number = 1, .low = 1),
    CN__OPTION(T, depth_multiplier, CN__INT, .number = 1, .low = 1),
    CN__ACTIVATION(T),
    CN__USE_BIAS(T),
    CN__INITIALIZER(T, depthwise_initializer, "glorot_uniform", "init"),
    CN__INITIALIZER(T, pointwise_initializer, "glorot_uniform", NULL),
    CN__INITIALIZER(T, bias_initializer, "zeros", NULL),
    CN__KEEPER(T, depthwise_regularizer, NULL),
    CN__KEEPER(T, pointwise_regularizer, NULL),
    CN__KEEPER(T, bias_regularizer, "b_regularizer"),
    CN__KEEPER(T, activity_regularizer, NULL),
    CN__KEEPER(T, depthwise_constraint, NULL),
    CN__KEEPER(T, pointwise_constraint, NULL),
    CN__KEEPER(T, bias_constraint, "b_constraint"),
};

static cn_status check(const cn_layer *layer)
{
    const T *o = layer->options;
    if (o->padding == CN_CAUSAL && layer->type->rank != 1)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "padding causal is for one spatial axis; valid or same would do");
    return CN_OK;
}

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int64_t channels, between;
    CN__TRY(cn__layer_channels(in[0], cn__channel_axis(in[0], o->data_format), &channels));
    if (__builtin_mul_overflow(channels, o->depth_multiplier, &between))
        return cn__fail(CN_ERROR_ARGUMENT, "depth_multiplier %lld is too large",
                        (long long)o->depth_multiplier);
    CN__TRY(cn__layer_add_kernel(layer, "depthwise_kernel", "depthwise", o->kernel_size, channels,
                                 o->depth_multiplier));
    CN__TRY(
        cn__layer_add_kernel(layer, "pointwise_kernel", "pointwise", NULL, between, o->filters));
    return cn__layer_add_bias(layer, o->use_bias, o->filters);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_conv_options conv = {.rank = layer->type->rank, .padding = o->padding};
    memcpy(conv.stride, o->strides, sizeof conv.stride);
    memcpy(conv.dilation, o->dilation_rate, sizeof conv.dilation);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    x = cn__depthwise(x, cn__layer_weight_tensor(layer, "depthwise_kernel", x), &conv);
    x = cn_op_conv(x, cn__layer_weight_tensor(layer, "pointwise_kernel", x),
                   &(cn_conv_options){.rank = conv.rank});
    return cn__bias_and_activation(layer, x, o->use_bias, o->activation, o->data_format);
}

#define TYPE(rank_)                                                                                \
    const cn__layer_type cn__separable_conv##rank_##d_type = {                                     \
        .name = "SeparableConv" #rank_ "D",                                                        \
        .aliases = "SeparableConvolution" #rank_ "D",                                              \
        .options = options,                                                                        \
        .option_count = CN__COUNT(options),                                                        \
        .option_bytes = sizeof(T),                                                                 \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .check = check,                                                                            \
        .build = build,                                                                            \
        .apply = apply,                                                                            \
    }
TYPE(1);
TYPE(2);
