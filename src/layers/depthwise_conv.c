/* DepthwiseConv1D, DepthwiseConv2D: each channel is convolved by itself.
 * In: (batch, spatial..., channels). Out: (batch, new spatial..., channels * depth_multiplier).
 * Weights: kernel (kernel_size..., channels, depth_multiplier), bias.
 * Example: cn_depthwise_conv2d({3, 3}, .padding = CN_SAME) */
#include "layers/depthwise.h"

#include <string.h>

typedef cn_depthwise_conv_layer T;

static const cn__option options[] = {
    CN__OPTION(T, kernel_size, CN__DIMS, .required = true, .low = 1),
    CN__OPTION(T, strides, CN__DIMS, .aliases = "subsample", .number = 1, .low = 1),
    CN__PADDING(T),
    CN__OPTION(T, depth_multiplier, CN__INT, .number = 1, .low = 1),
    CN__DATA_FORMAT(T),
    CN__OPTION(T, dilation_rate, CN__DIMS, .number = 1, .low = 1),
    CN__ACTIVATION(T),
    CN__USE_BIAS(T),
    CN__INITIALIZER(T, depthwise_initializer, "glorot_uniform", "kernel_initializer"),
    CN__INITIALIZER(T, bias_initializer, "zeros", NULL),
    CN__KEEPER(T, depthwise_regularizer, "kernel_regularizer"),
    CN__KEEPER(T, bias_regularizer, NULL),
    CN__KEEPER(T, activity_regularizer, NULL),
    CN__KEEPER(T, depthwise_constraint, "kernel_constraint"),
    CN__KEEPER(T, bias_constraint, NULL),
};

/* The kernel with its two channel axes in one is that of a convolution with a group per channel. */
cn_tensor *cn__depthwise(cn_tensor *x, cn_tensor *kernel, cn_conv_options *conv)
{
    if (!x || !kernel)
        return NULL;
    int rank = conv->rank;
    cn_shape shape = kernel->shape;
    conv->groups = shape.dim[rank];
    shape.dim[rank + 1] *= shape.dim[rank];
    shape.dim[rank] = 1;
    return cn_op_conv(x, cn_op_reshape(kernel, &shape), conv);
}

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
    int64_t channels, out;
    CN__TRY(cn__layer_channels(in[0], cn__channel_axis(in[0], o->data_format), &channels));
    if (__builtin_mul_overflow(channels, o->depth_multiplier, &out))
        return cn__fail(CN_ERROR_ARGUMENT, "depth_multiplier %lld is too large",
                        (long long)o->depth_multiplier);
    CN__TRY(cn__layer_add_kernel(layer, "kernel", "depthwise", o->kernel_size, channels,
                                 o->depth_multiplier));
    return cn__layer_add_bias(layer, o->use_bias, out);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_conv_options conv = {.rank = layer->type->rank, .padding = o->padding};
    memcpy(conv.stride, o->strides, sizeof conv.stride);
    memcpy(conv.dilation, o->dilation_rate, sizeof conv.dilation);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    cn_tensor *y = cn__depthwise(x, cn__layer_weight_tensor(layer, "kernel", x), &conv);
    return cn__bias_and_activation(layer, y, o->use_bias, o->activation, o->data_format);
}

#define TYPE(rank_)                                                                                \
    const cn__layer_type cn__depthwise_conv##rank_##d_type = {                                     \
        .name = "DepthwiseConv" #rank_ "D",                                                        \
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
