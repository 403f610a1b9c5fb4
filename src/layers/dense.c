/* Dense: activation(x . kernel + bias) over the last axis.
 * In: (batch, ..., n). Out: (batch, ..., units). Weights: kernel (n, units), bias (units).
 * Example: cn_dense(10, .activation = "softmax") */
#include "layers/layer.h"

typedef cn_dense_layer T;

static const cn__option options[] = {
    CN__OPTION(T, units, CN__INT, .aliases = "output_dim", .required = true, .low = 1),
    CN__ACTIVATION(T),
    CN__USE_BIAS(T),
    CN__INITIALIZER(T, kernel_initializer, "glorot_uniform", "init"),
    CN__INITIALIZER(T, bias_initializer, "zeros", NULL),
    CN__KEEPER(T, kernel_regularizer, "W_regularizer"),
    CN__KEEPER(T, bias_regularizer, "b_regularizer"),
    CN__KEEPER(T, activity_regularizer, NULL),
    CN__KEEPER(T, kernel_constraint, "W_constraint"),
    CN__KEEPER(T, bias_constraint, "b_constraint"),
};

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    const T *o = layer->options;
    int64_t channels;
    CN__TRY(cn__layer_channels(in[0], in[0]->shape.rank - 1, &channels));
    cn_shape kernel = cn_shape_of(channels, o->units), bias = cn_shape_of(o->units);
    CN__TRY(cn__layer_add_weight(layer, "kernel", &kernel, "kernel", true));
    return o->use_bias == CN_TRUE ? cn__layer_add_weight(layer, "bias", &bias, "bias", true)
                                  : CN_OK;
}

/* A matrix product; with more axes than two, a convolution whose kernel has the extent 1, so that
 * unknown extents stay where they are. */
static cn_tensor *product(cn_tensor *x, cn_tensor *kernel)
{
    int rank = x->shape.rank - 2;
    if (rank == 0)
        return cn_op_matmul(x, kernel);
    cn_shape shape = {.rank = rank + 2};
    for (int i = 0; i < rank; i++)
        shape.dim[i] = 1;
    shape.dim[rank] = kernel->shape.dim[0];
    shape.dim[rank + 1] = kernel->shape.dim[1];
    return cn_op_conv(x, cn_op_reshape(kernel, &shape), &(cn_conv_options){.rank = rank});
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    char text[200];
    (void)inputs;
    if (in[0]->shape.rank < 2 || in[0]->shape.rank > 5)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "it takes 2 to 5 axes (batch, ..., channels), not %s; flatten or "
                             "reshape the input first",
                             cn_shape_text(&in[0]->shape, text, sizeof text));
    cn_tensor *kernel = cn__layer_weight_tensor(layer, "kernel", in[0]);
    if (!kernel)
        return NULL;
    return cn__bias_and_activation(layer, product(in[0], kernel), o->use_bias, o->activation,
                                   CN_CHANNELS_LAST);
}

const cn__layer_type cn__dense_type = {
    .name = "Dense",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .build = build,
    .apply = apply,
};
