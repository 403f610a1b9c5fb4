/* Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: what maps a convolution's output back to the
 * size of its input.
 * In: (batch, spatial..., channels). Out: (batch, new spatial..., filters).
 * Weights: kernel (kernel_size..., filters / groups, channels), bias (filters).
 * Example: cn_conv2d_transpose(3, {4, 4}, {2, 2}, .padding = CN_SAME) doubles the image. */
#include "layers/layer.h"

#include <string.h>

typedef cn_conv_transpose_layer T;

static const cn__option options[] = {
    CN__OPTION(T, filters, CN__INT, .aliases = "nb_filter", .required = true, .low = 1),
    CN__OPTION(T, kernel_size, CN__DIMS, .aliases = "filter_length", .required = true, .low = 1),
    CN__OPTION(T, strides, CN__DIMS, .aliases = "subsample", .number = 1, .low = 1),
    CN__PADDING(T),
    CN__OPTION(T, output_padding, CN__DIMS, .low = 0, .high = (double)(1 << 20)),
    CN__DATA_FORMAT(T),
    CN__OPTION(T, dilation_rate, CN__DIMS, .number = 1, .low = 1),
    CN__ACTIVATION(T),
    CN__USE_BIAS(T),
    CN__INITIALIZER(T, kernel_initializer, "glorot_uniform", "init"),
    CN__INITIALIZER(T, bias_initializer, "zeros", NULL),
    CN__KEEPER(T, kernel_regularizer, "W_regularizer"),
    CN__KEEPER(T, bias_regularizer, "b_regularizer"),
    CN__KEEPER(T, activity_regularizer, NULL),
    CN__KEEPER(T, kernel_constraint, "W_constraint"),
    CN__KEEPER(T, bias_constraint, "b_constraint"),
    CN__OPTION(T, groups, CN__INT, .number = 1, .low = 1, .ours = true),
    CN__OPTION(T, output_size, CN__DIMS, .low = 1, .ours = true),
};

static cn_status check(const cn_layer *layer)
{
    const T *o = layer->options;
    if (o->padding == CN_CAUSAL)
        return cn__fail(CN_ERROR_ARGUMENT, "padding causal is for Conv1D; valid or same would do");
    if (o->filters % o->groups != 0)
        return cn__fail(CN_ERROR_ARGUMENT, "groups must divide filters: %lld does not divide %lld",
                        (long long)o->groups, (long long)o->filters);
    if (o->output_padding[0] != 0 && o->output_size[0] != 0)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "output_padding and output_size exclude each other; give one of them");
    for (int i = 0; i < layer->type->rank; i++)
        if (cn__dim(o->output_padding[i]) >= o->strides[i] && o->output_padding[i] != 0)
            return cn__fail(
                CN_ERROR_ARGUMENT,
                "output_padding must be below strides, but is %lld along axis %d, where "
                "strides is %lld; 0 to %lld would do",
                (long long)cn__dim(o->output_padding[i]), i + 1, (long long)o->strides[i],
                (long long)(o->strides[i] - 1));
    return CN_OK;
}

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int64_t channels;
    CN__TRY(cn__layer_channels(in[0], cn__channel_axis(in[0], o->data_format), &channels));
    CN__TRY(cn__layer_check_groups(o->groups, channels));
    CN__TRY(cn__layer_add_kernel(layer, "kernel", "kernel", o->kernel_size, o->filters / o->groups,
                                 channels));
    return cn__layer_add_bias(layer, o->use_bias, o->filters);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_conv_options conv = {.transposed = true,
                            .rank = layer->type->rank,
                            .groups = o->groups,
                            .padding = o->padding,
                            .has_output_padding = o->output_padding[0] != 0};
    memcpy(conv.stride, o->strides, sizeof conv.stride);
    memcpy(conv.dilation, o->dilation_rate, sizeof conv.dilation);
    memcpy(conv.output_size, o->output_size, sizeof conv.output_size);
    for (int i = 0; i < conv.rank; i++)
        conv.output_padding[i] = cn__dim(o->output_padding[i]);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    cn_tensor *kernel = cn__layer_weight_tensor(layer, "kernel", x);
    return cn__bias_and_activation(layer, cn_op_conv(x, kernel, &conv), o->use_bias, o->activation,
                                   o->data_format);
}

#define TYPE(rank_, names)                                                                         \
    const cn__layer_type cn__conv##rank_##d_transpose_type = {                                     \
        .name = "Conv" #rank_ "DTranspose",                                                        \
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
TYPE(1, "Convolution1DTranspose");
TYPE(2, "Deconvolution2D|Convolution2DTranspose");
TYPE(3, "Deconvolution3D|Convolution3DTranspose");
