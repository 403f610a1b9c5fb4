/* GaussianNoise, GaussianDropout: in training add normal noise, or multiply by it.
 * In, out: any shape. Example: cn_gaussian_noise(0.1f) */
#include "layers/layer.h"

#include <math.h>

static const cn__option noise_options[] = {
    CN__OPTION(cn_gaussian_noise_layer, stddev, CN__FLOAT, .aliases = "sigma", .low = 0,
               .high = (double)INFINITY),
    CN__OPTION(cn_gaussian_noise_layer, seed, CN__INT),
};

static cn_tensor *apply_noise(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_gaussian_noise_layer *o = layer->options;
    (void)inputs;
    return cn_op_noise(in[0], o->stddev, false, cn__layer_seed(layer, o->seed));
}

const cn__layer_type cn__gaussian_noise_type = {
    .name = "GaussianNoise",
    .options = noise_options,
    .option_count = CN__COUNT(noise_options),
    .option_bytes = sizeof(cn_gaussian_noise_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply_noise,
};

static const cn__option dropout_options[] = {
    CN__OPTION(cn_gaussian_dropout_layer, rate, CN__FLOAT, .aliases = "p", .low = 0,
               .high = 0.9999),
    CN__OPTION(cn_gaussian_dropout_layer, seed, CN__INT),
};

static cn_tensor *apply_dropout(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_gaussian_dropout_layer *o = layer->options;
    float stddev = sqrtf(o->rate / (1 - o->rate));
    (void)inputs;
    return cn_op_noise(in[0], stddev, true, cn__layer_seed(layer, o->seed));
}

const cn__layer_type cn__gaussian_dropout_type = {
    .name = "GaussianDropout",
    .options = dropout_options,
    .option_count = CN__COUNT(dropout_options),
    .option_bytes = sizeof(cn_gaussian_dropout_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply_dropout,
};
