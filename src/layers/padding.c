/* ZeroPadding1D/2D/3D and Cropping1D/2D/3D: cells added around the spatial axes, or cut off.
 * In: (batch, spatial..., channels). Out: (batch, before + spatial + after..., channels).
 * Example: cn_zero_padding2d({{1, 1}, {2, 2}}) */
#include "layers/layer.h"

static const cn__option padding_options[] = {
    CN__OPTION(cn_zero_padding_layer, padding, CN__PAIRS, .number = 1, .low = 0,
               .high = (double)(1 << 30)),
    CN__DATA_FORMAT(cn_zero_padding_layer),
};
static const cn__option cropping_options[] = {
    CN__OPTION(cn_cropping_layer, cropping, CN__PAIRS, .number = 1, .low = 0,
               .high = (double)(1 << 30)),
    CN__DATA_FORMAT(cn_cropping_layer),
};
static const cn__option cropping2d_options[] = {
    CN__OPTION(cn_cropping_layer, cropping, CN__PAIRS, .low = 0, .high = (double)(1 << 30)),
    CN__DATA_FORMAT(cn_cropping_layer),
};

/* Adds sign * the cells that are given. */
static cn_tensor *pad(cn_layer *layer, cn_tensor *x, int64_t cells[3][2], int sign,
                      cn_data_format format)
{
    int64_t before[CN_MAX_RANK] = {0}, after[CN_MAX_RANK] = {0};
    int first = format == CN_CHANNELS_FIRST ? 2 : 1;
    for (int i = 0; i < layer->type->rank; i++) {
        before[first + i] = sign * cn__dim(cells[i][0]);
        after[first + i] = sign * cn__dim(cells[i][1]);
    }
    return cn_op_pad(x, before, after, 0);
}

static cn_tensor *apply_padding(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    cn_zero_padding_layer *o = layer->options;
    (void)inputs;
    return pad(layer, in[0], o->padding, 1, o->data_format);
}

static cn_tensor *apply_cropping(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    cn_cropping_layer *o = layer->options;
    (void)inputs;
    return pad(layer, in[0], o->cropping, -1, o->data_format);
}

#define TYPE(lower, type, rank_, table, options_, struct_, apply_)                                 \
    const cn__layer_type cn__##lower##rank_##d_type = {                                            \
        .name = type #rank_ "D",                                                                   \
        .options = table,                                                                          \
        .option_count = options_,                                                                  \
        .refused_count = (int)CN__COUNT(table) - options_,                                         \
        .option_bytes = sizeof(struct_),                                                           \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .apply = apply_,                                                                           \
    }
TYPE(zero_padding, "ZeroPadding", 1, padding_options, 2, cn_zero_padding_layer, apply_padding);
TYPE(zero_padding, "ZeroPadding", 2, padding_options, 2, cn_zero_padding_layer, apply_padding);
TYPE(zero_padding, "ZeroPadding", 3, padding_options, 2, cn_zero_padding_layer, apply_padding);
TYPE(cropping, "Cropping", 1, cropping_options, 1, cn_cropping_layer, apply_cropping);
TYPE(cropping, "Cropping", 2, cropping2d_options, 2, cn_cropping_layer, apply_cropping);
TYPE(cropping, "Cropping", 3, cropping_options, 2, cn_cropping_layer, apply_cropping);
