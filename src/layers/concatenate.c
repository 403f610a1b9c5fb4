/* Concatenate: joins tensors along an axis. In: equal extents but along the axis.
 * Example: cn_apply_list(cn_concatenate(), cn_tensors(x, y)) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_concatenate_layer, axis, CN__INT, .aliases = "concat_axis", .number = -1),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_concatenate_layer *o = layer->options;
    int axis;
    if (cn__layer_axis(in[0], o->axis, &axis) != CN_OK)
        return NULL;
    return cn_op_concatenate((cn_tensor_list){inputs, in}, axis);
}

const cn__layer_type cn__concatenate_type = {
    .name = "Concatenate",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_concatenate_layer),
    .least_inputs = 1,
    .most_inputs = cn__most_inputs,
    .apply = apply,
};
