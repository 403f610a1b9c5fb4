/* GroupNormalization: gamma * (x - mean) / sqrt(variance + epsilon) + beta with the moments of each
 * sample over a group of channels and all other axes.
 * In, out: (batch, ..., channels). Weights: gamma, beta, each (channels).
 * Example: cn_group_normalization(8) */
#include "layers/normalize.h"

typedef cn_group_normalization_layer T;

static const cn__option options[] = {
    CN__OPTION(T, groups, CN__INT, .number = 32),
    CN__OPTION(T, axis, CN__INT, .number = -1),
    CN__OPTION(T, epsilon, CN__FLOAT, .number = (double)1e-3f, .low = 0, .high = 1),
    CN__GAMMA_AND_BETA(T),
};

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int axis;
    cn_shape shape = {.rank = 1};
    CN__TRY(cn__layer_axis(in[0], o->axis, &axis));
    CN__TRY(cn__layer_channels(in[0], axis, &shape.dim[0]));
    return cn__add_gamma_and_beta(layer, &shape, o->scale, o->center);
}

/* The channels, the last axis of x, as two axes (groups, channels of a group), and back. */
static cn_tensor *in_groups(cn_tensor *x, int64_t groups)
{
    int last = x->shape.rank - 1;
    cn_shape shape = {.rank = last + 2}; /* zeros: the other axes stay */
    shape.dim[last] = groups;
    shape.dim[last + 1] = x->shape.dim[last] / groups;
    return cn_op_reshape(x, &shape);
}

static cn_tensor *out_of_groups(cn_tensor *x, int64_t channels)
{
    if (!x)
        return NULL;
    cn_shape shape = {.rank = x->shape.rank - 1};
    shape.dim[shape.rank - 1] = channels;
    return cn_op_reshape(x, &shape);
}

static cn_tensor *normalize(cn_layer *layer, cn_tensor *x)
{
    const T *o = layer->options;
    int last = x->shape.rank - 1;
    int64_t channels = x->shape.dim[last], groups = o->groups == -1 ? channels : o->groups;
    if (last < 1 || x->shape.rank == CN_MAX_RANK || groups < 1 || channels < 1 ||
        channels % groups != 0)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "groups must divide the input's channels: %lld does not divide %lld",
                             (long long)groups, (long long)channels);
    cn_tensor *grouped = in_groups(x, groups);
    if (!grouped)
        return NULL;
    /* All axes but the batch and that of the groups. */
    unsigned axes = ((1u << grouped->shape.rank) - 1) & ~1u & ~(1u << last);
    const cn_shape shape = cn_shape_of(channels);
    return cn__scale_and_shift(layer,
                               out_of_groups(cn__standardize(grouped, axes, o->epsilon), channels),
                               &shape, o->scale, o->center);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    int axis;
    (void)inputs;
    if (cn__layer_axis(in[0], o->axis, &axis) != CN_OK)
        return NULL;
    cn_tensor *x = cn__axis_to_last(in[0], axis);
    return x ? cn__axis_from_last(normalize(layer, x), axis) : NULL;
}

const cn__layer_type cn__group_normalization_type = {
    .name = "GroupNormalization",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .build = build,
    .apply = apply,
};
