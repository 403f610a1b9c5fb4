/* Permute: axes in another order. In: (batch, x, y, z). Out: (batch, z, x, y) for dims {3, 1, 2}.
 * Example: cn_permute({2, 1}) */
#include "layers/layer.h"

static const cn__option options[] = {
    CN__OPTION(cn_permute_layer, dims, CN__AXES, .required = true),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const cn_permute_layer *o = layer->options;
    int order[CN_MAX_RANK] = {0}, count = 0, rank = in[0]->shape.rank;
    unsigned seen = 1;
    (void)inputs;
    for (; count < CN_MAX_RANK && o->dims[count] != 0; count++) {
        int64_t axis = o->dims[count];
        bool wrong = count + 1 >= rank || axis < 1 || axis >= rank || (seen >> axis & 1);
        if (wrong)
            break;
        order[count + 1] = (int)axis;
        seen |= 1u << axis;
    }
    if (count + 1 != rank || (count < CN_MAX_RANK && o->dims[count] != 0))
        return cn__fail_null(CN_ERROR_SHAPE, "dims must name each of the axes 1 to %d once",
                             rank - 1);
    return cn_op_transpose(in[0], order);
}

const cn__layer_type cn__permute_type = {
    .name = "Permute",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(cn_permute_layer),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
