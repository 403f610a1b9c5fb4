/* Rescaling: x * scale + offset. In, out: any shape. Example: cn_rescaling(1.0f / 255) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_rescaling_layer, scale, CN__FLOAT, .required = true),
    CN__OPTION(cn_rescaling_layer, offset, CN__FLOAT),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_rescaling_layer *o = layer->options;
    (void)inputs;
    return cn_op_unary(in[0], (cn_function1){CN_AFFINE, {o->scale, o->offset, 0}});
}

const cn__layer_type cn__rescaling_type = {
    .name = "Rescaling",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_rescaling_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
