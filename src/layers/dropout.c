/* Dropout, SpatialDropout1D/2D/3D: in training sets values, or whole channels, to 0 with
 * probability `rate` and multiplies the others by 1 / (1 - rate). In, out: any shape; (batch,
 * spatial..., channels). Example: cn_dropout(0.5f) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_dropout_layer, rate, CN__FLOAT, .aliases = "p", .low = 0, .high = 1),
    CN__OPTION(cn_dropout_layer, noise_shape, CN__SHAPE),
    CN__OPTION(cn_dropout_layer, seed, CN__INT),
};

/* The axes along which the noise has the extent 1. */
static cn_status shared_axes(const cn_dropout_layer *o, const cn_shape *x, unsigned *axes)
{
    char text[200];
    *axes = 0;
    int given = 0;
    while (given < CN_MAX_RANK && o->noise_shape[given] != 0)
        given++;
    bool fits = given == 0 || given == x->rank;
    for (int i = 0; i < given && fits; i++) {
        if (o->noise_shape[i] == 1)
            *axes |= 1u << i;
        else
            fits = o->noise_shape[i] == -1 || o->noise_shape[i] == x->dim[i];
    }
    if (fits)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "noise_shape must have the axes of the input %s, each 1 or -1 or the input's",
                    cn_shape_text(x, text, sizeof text));
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_dropout_layer *o = layer->options;
    unsigned axes;
    (void)inputs;
    if (shared_axes(o, &in[0]->shape, &axes) != CN_OK)
        return NULL;
    return cn_op_dropout(in[0], o->rate, axes, cn__layer_seed(layer, o->seed));
}

const cn__layer_type cn__dropout_type = {
    .name = "Dropout",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_dropout_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};

/* ---- whole channels ---- */

static const cn__option spatial_options[] = {
    CN__OPTION(cn_spatial_dropout_layer, rate, CN__FLOAT, .aliases = "p", .low = 0, .high = 1),
    CN__OPTION(cn_spatial_dropout_layer, seed, CN__INT),
    CN__DATA_FORMAT(cn_spatial_dropout_layer),
};

static cn_tensor *apply_spatial(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_spatial_dropout_layer *o = layer->options;
    unsigned first = o->data_format == CN_CHANNELS_FIRST ? 2 : 1;
    unsigned axes = ((1u << layer->type->rank) - 1) << first;
    (void)inputs;
    return cn_op_dropout(in[0], o->rate, axes, cn__layer_seed(layer, o->seed));
}

/* SpatialDropout1D has no data_format. */
#define TYPE(rank_, options_)                                                                      \
    const cn__layer_type cn__spatial_dropout##rank_##d_type = {                                    \
        .name = "SpatialDropout" #rank_ "D",                                                       \
        .options = spatial_options,                                                                \
        .option_count = options_,                                                                  \
        .refused_count = (int)CN__COUNT(spatial_options) - options_,                               \
        .option_bytes = sizeof(cn_spatial_dropout_layer),                                          \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .apply = apply_spatial,                                                                    \
    }
TYPE(1, 2);
TYPE(2, 3);
TYPE(3, 3);
