/* InputLayer: what a model starts from. In: nothing. Out: (batch, shape...). */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_input_layer, shape, CN__SHAPE),
    CN__OPTION(cn_input_layer, batch_size, CN__INT, .low = 1),
    CN__OPTION(cn_input_layer, dtype, CN__ENUM, .choices = "float32|int32"),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_input_layer *o = layer->options;
    (void)in;
    (void)inputs;
    cn_shape shape = {.rank = 1, .dim = {o->batch_size ? o->batch_size : -1}};
    for (int i = 0; i < CN_MAX_RANK && o->shape[i] != 0; i++) {
        if (shape.rank == CN_MAX_RANK)
            return cn__fail_null(CN_ERROR_SHAPE, "shape has at most %d extents", CN_MAX_RANK - 1);
        shape.dim[shape.rank++] = o->shape[i];
    }
    return cn_op_input(o->dtype, &shape, layer->name);
}

const cn__layer_type cn__input_type = {
    .name = "InputLayer",
    .aliases = "Input",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_input_layer),
    .apply = apply,
};

cn_tensor *cn_input_tensor_new(const cn_input_layer *given)
{
    cn_layer *layer = cn_input_new(given);
    return layer ? cn_apply_list(layer, (cn_tensor_list){0}) : NULL;
}
