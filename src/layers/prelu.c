/* PReLU: x > 0: x; else alpha * x, with a trained alpha.
 * In, out: (batch, ...). Weights: alpha, of the input's shape without the batch; shared axes have
 * the extent 1. Example: cn_prelu(.shared_axes = {1, 2}) */
#include "layers/layer.h"

typedef cn_prelu_layer T;

static const cn__option options[] = {
    CN__INITIALIZER(T, alpha_initializer, "zeros", "init"),
    CN__KEEPER(T, alpha_regularizer, NULL),
    CN__KEEPER(T, alpha_constraint, NULL),
    CN__OPTION(T, shared_axes, CN__AXES),
};

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    unsigned shared;
    CN__TRY(cn__layer_axes(in[0], o->shared_axes, &shared));
    cn_shape alpha = {.rank = in[0]->shape.rank - 1};
    if (alpha.rank < 1)
        return cn__fail(CN_ERROR_SHAPE, "it takes at least 2 axes (batch, ...)");
    for (int i = 0; i < alpha.rank; i++) {
        alpha.dim[i] = 1;
        if (!(shared >> (i + 1) & 1))
            CN__TRY(cn__layer_channels(in[0], i + 1, &alpha.dim[i]));
    }
    return cn__layer_add_weight(layer, "alpha", &alpha, "alpha", true);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    return cn_op_binary(CN_PRELU, in[0], cn__layer_weight_tensor(layer, "alpha", in[0]));
}

const cn__layer_type cn__prelu_type = {
    .name = "PReLU",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .build = build,
    .apply = apply,
};
