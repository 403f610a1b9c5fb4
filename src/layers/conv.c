/* Conv1D, Conv2D, Conv3D: activation(x * kernel + bias).
 * In: (batch, spatial..., channels). Out: (batch, new spatial..., filters).
 * Weights: kernel (kernel_size..., channels / groups, filters), bias (filters).
 * Example: cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu") */
#include "layers/layer.h"

#include <string.h>

typedef cn_conv_layer T;

static const cn__option options[] = {
    CN__OPTION(T, filters, CN__INT, .aliases = "nb_filter", .required = true, .low = 1),
    CN__OPTION(T, kernel_size, CN__DIMS, .aliases = "filter_length", .required = true, .low = 1),
    CN__OPTION(T, strides, CN__DIMS, .aliases = "subsample|subsample_length", .number = 1,
               .low = 1),
    CN__PADDING(T),
    CN__DATA_FORMAT(T),
    CN__OPTION(T, dilation_rate, CN__DIMS, .aliases = "atrous_rate", .number = 1, .low = 1),
    CN__OPTION(T, groups, CN__INT, .number = 1, .low = 1),
    CN__ACTIVATION(T),
    CN__USE_BIAS(T),
    CN__INITIALIZER(T, kernel_initializer, "glorot_uniform", "init"),
    CN__INITIALIZER(T, bias_initializer, "zeros", NULL),
    CN__KEEPER(T, kernel_regularizer, "W_regularizer"),
    CN__KEEPER(T, bias_regularizer, "b_regularizer"),
    CN__KEEPER(T, activity_regularizer, NULL),
    CN__KEEPER(T, kernel_constraint, "W_constraint"),
    CN__KEEPER(T, bias_constraint, "b_constraint"),
};

static cn_status check(const cn_layer *layer)
{
    const T *o = layer->options;
    if (o->padding == CN_CAUSAL && layer->type->rank != 1)
        return cn__fail(CN_ERROR_ARGUMENT, "padding causal is for Conv1D; valid or same would do");
    if (o->filters % o->groups != 0)
        return cn__fail(CN_ERROR_ARGUMENT, "groups must divide filters: %lld does not divide %lld",
                        (long long)o->groups, (long long)o->filters);
    return CN_OK;
}

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int64_t channels;
    CN__TRY(cn__layer_channels(in[0], cn__channel_axis(in[0], o->data_format), &channels));
    CN__TRY(cn__layer_check_groups(o->groups, channels));
    CN__TRY(cn__layer_add_kernel(layer, "kernel", "kernel", o->kernel_size, channels / o->groups,
                                 o->filters));
    return cn__layer_add_bias(layer, o->use_bias, o->filters);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_conv_options conv = {.rank = layer->type->rank, .groups = o->groups, .padding = o->padding};
    memcpy(conv.stride, o->strides, sizeof conv.stride);
    memcpy(conv.dilation, o->dilation_rate, sizeof conv.dilation);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    cn_tensor *kernel = cn__layer_weight_tensor(layer, "kernel", x);
    return cn__bias_and_activation(layer, cn_op_conv(x, kernel, &conv), o->use_bias, o->activation,
                                   o->data_format);
}

#define TYPE(rank_, names)                                                                         \
    const cn__layer_type cn__conv##rank_##d_type = {                                               \
        .name = "Conv" #rank_ "D",                                                                 \
        .aliases = names,                                                                          \
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
TYPE(1, "Convolution1D|AtrousConvolution1D");
TYPE(2, "Convolution2D|AtrousConvolution2D");
TYPE(3, "Convolution3D");
