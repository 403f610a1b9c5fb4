/* UnitNormalization: x / sqrt(max(sum of x * x over the axes, 1e-12)). In, out: any shape.
 * Example: cn_unit_normalization() */
#include "layers/normalize.h"

static const cn__option options[] = {
    CN__OPTION(cn_unit_normalization_layer, axis, CN__AXES, .number = -1),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_unit_normalization_layer *o = layer->options;
    unsigned axes;
    (void)inputs;
    return cn__layer_axes(in[0], o->axis, &axes) == CN_OK ? cn__to_unit_length(in[0], axes) : NULL;
}

const cn__layer_type cn__unit_normalization_type = {
    .name = "UnitNormalization",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_unit_normalization_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
