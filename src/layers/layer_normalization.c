/* LayerNormalization: gamma * (x - mean) / sqrt(variance + epsilon) + beta with each sample's
 * moments over some axes. In, out: (batch, ...). Weights: gamma, beta, with the extents of the
 * axes. Example: cn_layer_normalization(.axis = {1, 2, 3}) */
#include "layers/normalize.h"

typedef cn_layer_normalization_layer T;

static const cn__option options[] = {
    CN__OPTION(T, axis, CN__AXES, .number = -1),
    CN__OPTION(T, epsilon, CN__FLOAT, .number = (double)1e-3f, .low = 0, .high = 1),
    CN__GAMMA_AND_BETA(T),
};

/* Calls for the axes and two shapes: of the weights, and the same with an extent of 1 for every
 * axis that is not among them. */
static cn_status shapes(const T *o, const cn_tensor *x, unsigned *axes, cn_shape *weights,
                        cn_shape *broadcast)
{
    CN__TRY(cn__layer_axes(x, o->axis, axes));
    *weights = (cn_shape){0};
    *broadcast = (cn_shape){.rank = x->shape.rank};
    for (int i = 0; i < x->shape.rank; i++) {
        broadcast->dim[i] = 1;
        if (!(*axes >> i & 1))
            continue;
        CN__TRY(cn__layer_channels(x, i, &broadcast->dim[i]));
        weights->dim[weights->rank++] = broadcast->dim[i];
    }
    return CN_OK;
}

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    unsigned axes;
    cn_shape weights, broadcast;
    CN__TRY(shapes(o, in[0], &axes, &weights, &broadcast));
    return cn__add_gamma_and_beta(layer, &weights, o->scale, o->center);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    unsigned axes;
    cn_shape weights, broadcast;
    (void)inputs;
    if (shapes(o, in[0], &axes, &weights, &broadcast) != CN_OK)
        return NULL;
    return cn__scale_and_shift(layer, cn__standardize(in[0], axes, o->epsilon), &broadcast,
                               o->scale, o->center);
}

const cn__layer_type cn__layer_normalization_type = {
    .name = "LayerNormalization",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .build = build,
    .apply = apply,
};
