/* Reshape: another shape for the same elements. In: (batch, ...). Out: (batch, target_shape...),
 * where one extent may be -1: what remains. Example: cn_reshape({7, 7, -1}) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_reshape_layer, target_shape, CN__SHAPE),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_reshape_layer *o = layer->options;
    cn_shape shape = {.rank = 1}; /* 0: the batch stays */
    (void)inputs;
    for (int i = 0; i < CN_MAX_RANK && o->target_shape[i] != 0; i++) {
        if (shape.rank == CN_MAX_RANK)
            return cn__fail_null(CN_ERROR_SHAPE, "target_shape has at most %d extents",
                                 CN_MAX_RANK - 1);
        shape.dim[shape.rank++] = o->target_shape[i];
    }
    return cn_op_reshape(in[0], &shape);
}

const cn__layer_type cn__reshape_type = {
    .name = "Reshape",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_reshape_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
