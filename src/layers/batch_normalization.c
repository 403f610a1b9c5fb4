/* BatchNormalization: gamma * (x - mean) / sqrt(variance + epsilon) + beta for every channel.
 * In, out: (batch, ..., channels). Weights: gamma, beta, moving_mean, moving_variance, each
 * (channels). Example: cn_batch_normalization(.momentum = 0.9f) */
#include "layers/normalize.h"

typedef cn_batch_normalization_layer T;

static const cn__option options[] = {
    CN__OPTION(T, axis, CN__INT, .number = -1),
    CN__OPTION(T, momentum, CN__FLOAT, .number = (double)0.99f, .low = 0, .high = 1),
    CN__OPTION(T, epsilon, CN__FLOAT, .number = (double)1e-3f, .low = 0, .high = 1),
    CN__GAMMA_AND_BETA(T),
    CN__INITIALIZER(T, moving_mean_initializer, "zeros", NULL),
    CN__INITIALIZER(T, moving_variance_initializer, "ones", NULL),
};

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int axis;
    cn_shape shape = {.rank = 1};
    CN__TRY(cn__layer_axis(in[0], o->axis, &axis));
    CN__TRY(cn__layer_channels(in[0], axis, &shape.dim[0]));
    CN__TRY(cn__add_gamma_and_beta(layer, &shape, o->scale, o->center));
    CN__TRY(cn__layer_add_weight(layer, "moving_mean", &shape, "moving_mean", false));
    return cn__layer_add_weight(layer, "moving_variance", &shape, "moving_variance", false);
}

/* The weight's tensor, or NULL if it is not used. Fails if it is used and there is none. */
static cn_status weight(cn_layer *layer, const char *name, bool used, cn_tensor *x,
                        cn_tensor **tensor)
{
    *tensor = used ? cn__layer_weight_tensor(layer, name, x) : NULL;
    return used && !*tensor ? cn_error_status() : CN_OK;
}

static cn_status normalize(cn_layer *layer, cn_tensor *x, cn_tensor **y)
{
    const T *o = layer->options;
    cn_tensor *gamma, *beta, *mean, *variance, *new_mean = NULL, *new_variance = NULL;
    CN__TRY(weight(layer, "gamma", o->scale == CN_TRUE, x, &gamma));
    CN__TRY(weight(layer, "beta", o->center == CN_TRUE, x, &beta));
    CN__TRY(weight(layer, "moving_mean", true, x, &mean));
    CN__TRY(weight(layer, "moving_variance", true, x, &variance));
    cn_batch_norm_options norm = {
        .momentum = o->momentum, .epsilon = o->epsilon, .trainable = &layer->trainable};
    *y = cn_op_batch_norm(x, gamma, beta, mean, variance, &norm, &new_mean, &new_variance);
    if (!*y)
        return cn_error_status();
    CN__TRY(cn__layer_add_update(layer, "moving_mean", new_mean));
    return cn__layer_add_update(layer, "moving_variance", new_variance);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    int axis;
    (void)inputs;
    if (cn__layer_axis(in[0], o->axis, &axis) != CN_OK)
        return NULL;
    cn_tensor *x = cn__axis_to_last(in[0], axis), *y = NULL;
    if (!x || normalize(layer, x, &y) != CN_OK)
        return NULL;
    return cn__axis_from_last(y, axis);
}

const cn__layer_type cn__batch_normalization_type = {
    .name = "BatchNormalization",
    .aliases = "BatchNormalizationV1|BatchNormalizationV2|SyncBatchNormalization",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .build = build,
    .apply = apply,
};
