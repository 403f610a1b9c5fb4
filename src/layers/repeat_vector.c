/* RepeatVector: the input n times. In: (batch, channels). Out: (batch, n, channels).
 * Example: cn_repeat_vector(4) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_repeat_vector_layer, n, CN__INT, .required = true, .low = 1),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_repeat_vector_layer *o = layer->options;
    const cn_shape *x = &in[0]->shape;
    char text[200];
    (void)inputs;
    if (x->rank != 2 || x->dim[1] < 0)
        return cn__fail_null(CN_ERROR_SHAPE, "it takes 2 axes (batch, channels), not %s",
                             cn_shape_text(x, text, sizeof text));
    cn_shape one = {.rank = 3, .dim = {0, 1, x->dim[1]}};
    return cn_op_resize(cn_op_reshape(in[0], &one),
                        &(cn_resize_options){.rank = 1, .factor = {o->n}});
}

const cn__layer_type cn__repeat_vector_type = {
    .name = "RepeatVector",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_repeat_vector_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
