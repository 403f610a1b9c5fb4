/* Activation: any activation as a layer. In, out: any shape. Example: cn_activation("relu") */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_activation_layer, activation, CN__OBJECT, .required = true),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_activation_layer *o = layer->options;
    (void)inputs;
    return cn__activate(o->activation, in[0]);
}

const cn__layer_type cn__activation_type = {
    .name = "Activation",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_activation_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
