/* What several layers share: axes, data formats, the end of a layer that computes. */
#include "layers/layer.h"

cn_tensor *cn__axis_to_last(cn_tensor *x, int axis)
{
    if (!x || axis == x->shape.rank - 1)
        return x;
    int order[CN_MAX_RANK], last = x->shape.rank - 1;
    for (int i = 0; i < last; i++)
        order[i] = i < axis ? i : i + 1;
    order[last] = axis;
    return cn_op_transpose(x, order);
}

cn_tensor *cn__axis_from_last(cn_tensor *x, int axis)
{
    if (!x || axis == x->shape.rank - 1)
        return x;
    int order[CN_MAX_RANK], last = x->shape.rank - 1;
    for (int i = 0; i <= last; i++)
        order[i] = i < axis ? i : i - 1;
    order[axis] = last;
    return cn_op_transpose(x, order);
}

cn_tensor *cn__to_channels_last(cn_tensor *x, cn_data_format format)
{
    return format == CN_CHANNELS_FIRST ? cn__axis_to_last(x, 1) : x;
}

cn_tensor *cn__from_channels_last(cn_tensor *x, cn_data_format format)
{
    return format == CN_CHANNELS_FIRST ? cn__axis_from_last(x, 1) : x;
}

int cn__channel_axis(const cn_tensor *x, cn_data_format format)
{
    return format == CN_CHANNELS_FIRST ? 1 : x->shape.rank - 1;
}

cn_status cn__layer_axis(const cn_tensor *x, int64_t axis, int *from_front)
{
    char text[200];
    int rank = x->shape.rank;
    if (axis < -rank || axis >= rank)
        return cn__fail(CN_ERROR_SHAPE, "axis %lld is not one of the %d axes of %s",
                        (long long)axis, rank, cn_shape_text(&x->shape, text, sizeof text));
    *from_front = (int)(axis < 0 ? axis + rank : axis);
    return CN_OK;
}

cn_status cn__layer_axes(const cn_tensor *x, const int64_t *axes, unsigned *bits)
{
    *bits = 0;
    for (int i = 0; i < CN_MAX_RANK && axes[i] != 0; i++) {
        int axis = 0;
        CN__TRY(cn__layer_axis(x, axes[i], &axis));
        *bits |= 1u << axis;
    }
    return CN_OK;
}

cn_status cn__layer_channels(const cn_tensor *x, int axis, int64_t *channels)
{
    char text[200];
    *channels = axis >= 0 && axis < x->shape.rank ? x->shape.dim[axis] : 0;
    if (*channels > 0)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "axis %d of the input %s must be known to make the weights; give it in the "
                    "model's input",
                    axis, cn_shape_text(&x->shape, text, sizeof text));
}

cn_status cn__layer_add_kernel(cn_layer *layer, const char *name, const char *options,
                               const int64_t *sizes, int64_t a, int64_t b)
{
    int rank = layer->type->rank;
    cn_shape shape = {.rank = rank + 2};
    for (int i = 0; i < rank; i++)
        shape.dim[i] = sizes ? sizes[i] : 1;
    shape.dim[rank] = a;
    shape.dim[rank + 1] = b;
    return cn__layer_add_weight(layer, name, &shape, options, true);
}

cn_status cn__layer_add_bias(cn_layer *layer, cn_flag use_bias, int64_t count)
{
    cn_shape shape = cn_shape_of(count);
    return use_bias == CN_TRUE ? cn__layer_add_weight(layer, "bias", &shape, "bias", true) : CN_OK;
}

cn_status cn__layer_check_groups(int64_t groups, int64_t channels)
{
    if (channels % groups == 0)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "groups must divide the input's channels: %lld does not divide %lld",
                    (long long)groups, (long long)channels);
}

/* An activation that works over an axis sees the axes where the layer's result has them. */
cn_tensor *cn__bias_and_activation(const cn_layer *layer, cn_tensor *x, cn_flag use_bias,
                                   const char *activation, cn_data_format format)
{
    if (x && use_bias == CN_TRUE)
        x = cn_op_binary(CN_ADD, x, cn__layer_weight_tensor(layer, "bias", x));
    if (cn__activation_is_elementwise(activation))
        return cn__from_channels_last(cn__activate(activation, x), format);
    return cn__activate(activation, cn__from_channels_last(x, format));
}
