/* The layer that runs a trained convolution's kernel backwards.
 * In: the feature maps of the convolution. Out: the size of its input.
 * Example: cn_apply(cn_conv2d_transpose_of(conv), cn_layer_output(conv)) */
#include "cornu/inspect.h"
#include "layers/layer.h"

#include <string.h>

/* Conv2D, or Conv2DTranspose if `transposed`; false for all other layers. */
static bool is_convolution(const cn_layer *layer, bool *transposed)
{
    static const char *const names[2][3] = {
        {"Conv1D", "Conv2D", "Conv3D"}, {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"}};
    for (int t = 0; t < 2; t++)
        for (int rank = 0; rank < 3; rank++)
            if (strcmp(layer->type->name, names[t][rank]) == 0) {
                *transposed = t == 1;
                return true;
            }
    return false;
}

/* An option's value; both kinds of convolution have those that are asked for here. */
static const void *option(const cn_layer *conv, const char *name)
{
    return cn__option_at(cn__option_find(conv->type, name), conv->options);
}

static cn_data_format data_format(const cn_layer *conv)
{
    return *(const cn_data_format *)option(conv, "data_format");
}

/* The spatial extents of a tensor; false if one is unknown, or if it has not `rank` of them. */
static bool spatial(const cn_tensor *x, int rank, cn_data_format format, int64_t *extents)
{
    if (!x || x->shape.rank != rank + 2)
        return false;
    for (int i = 0; i < rank; i++) {
        extents[i] = x->shape.dim[i + (format == CN_CHANNELS_FIRST ? 2 : 1)];
        if (extents[i] < 1)
            return false;
    }
    return true;
}

/* The size of the convolution's input, if x has the size of its output. */
static bool input_size(const cn_layer *conv, const cn_tensor *x, int64_t *size)
{
    int rank = conv->type->rank;
    cn_data_format format = data_format(conv);
    int64_t given[3], made[3];
    return spatial(x, rank, format, given) && spatial(cn_layer_output(conv), rank, format, made) &&
           memcmp(given, made, (size_t)rank * sizeof *given) == 0 &&
           spatial(cn_layer_input(conv), rank, format, size);
}

/* A convolution has no say in its output's size: it must come out right by itself. */
static cn_status check_size(const cn_layer *conv, const cn_tensor *y, const int64_t *size)
{
    char text[200];
    for (int i = 0; y && i < conv->type->rank; i++)
        if (y->shape.dim[i + 1] != size[i])
            return cn__fail(CN_ERROR_UNSUPPORTED,
                            "the convolution that belongs to %s (%s) gives %s, not the %lld cells "
                            "along axis %d that it was applied to: no convolution has this "
                            "output_padding with an even kernel",
                            conv->name, conv->type->name,
                            cn_shape_text(&y->shape, text, sizeof text), (long long)size[i], i + 1);
    return CN_OK;
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    const cn_layer *conv = layer->extra;
    bool transposed = false;
    int64_t size[3] = {0};
    (void)is_convolution(conv, &transposed);
    cn_conv_options o = {.transposed = !transposed,
                         .rank = conv->type->rank,
                         .groups = *(const int64_t *)option(conv, "groups"),
                         .padding = *(const cn_padding *)option(conv, "padding")};
    memcpy(o.stride, option(conv, "strides"), sizeof o.stride);
    memcpy(o.dilation, option(conv, "dilation_rate"), sizeof o.dilation);
    bool sized = input_size(conv, in[0], size);
    if (sized && o.transposed)
        memcpy(o.output_size, size, sizeof size);
    cn_tensor *x = cn__to_channels_last(in[0], data_format(conv));
    cn_tensor *y = cn_op_conv(x, cn__layer_weight_tensor(conv, "kernel", x), &o);
    if (sized && transposed && check_size(conv, y, size) != CN_OK)
        return NULL;
    return cn__from_channels_last(y, data_format(conv));
}

static void release(cn_layer *layer)
{
    cn__layer_release(layer->extra);
}

static const cn__layer_type type = {.name = "ConvTransposeOf",
                                    .option_bytes = sizeof(cn__options_head),
                                    .least_inputs = 1,
                                    .most_inputs = 1,
                                    .apply = apply,
                                    .release = release};

static cn_status check(const cn_layer *conv)
{
    bool transposed;
    if (!conv)
        return cn__fail_null_argument("cn_conv2d_transpose_of");
    if (!is_convolution(conv, &transposed))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_conv2d_transpose_of: takes a layer Conv1D, Conv2D, Conv3D or their "
                        "Transpose, but %s is a %s",
                        conv->name, conv->type->name);
    if (!conv->built)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_conv2d_transpose_of: %s (%s) has no kernel yet: apply it first",
                        conv->name, conv->type->name);
    if (*(const cn_padding *)option(conv, "padding") == CN_CAUSAL)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "cn_conv2d_transpose_of: %s (%s) has padding `causal`; `valid` and `same` "
                        "have a transposed convolution",
                        conv->name, conv->type->name);
    return CN_OK;
}

cn_layer *cn_conv2d_transpose_of(cn_layer *conv)
{
    if (check(conv) != CN_OK)
        return NULL;
    cn_layer *layer = cn__layer_new(&type, NULL);
    if (layer) {
        layer->extra = conv;
        cn__layer_retain(conv);
    }
    return layer;
}
