/* Flatten: all axes but the batch in one, channels last. In: (batch, ...). Out: (batch, n).
 * Example: cn_flatten() */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__DATA_FORMAT(cn_flatten_layer),
    CN__OPTION(cn_flatten_layer, keras1_order, CN__BOOL, .ours = true),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_flatten_layer *o = layer->options;
    const cn_shape flat = {.rank = 2, .dim = {0, -1}};
    (void)inputs;
    bool as_it_lies = o->keras1_order || in[0]->shape.rank < 3;
    cn_tensor *x = as_it_lies ? in[0] : cn__to_channels_last(in[0], o->data_format);
    return cn_op_reshape(x, &flat);
}

const cn__layer_type cn__flatten_type = {
    .name = "Flatten",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_flatten_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
