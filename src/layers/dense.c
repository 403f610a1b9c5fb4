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
    return o->use_bias == CN_TRUE ? cn__layer_add_weight(layer, "bias", &bias, "bias", true) : CN_OK;
}

/* All axes but the last as rows of a matrix. */
static cn_tensor *as_rows(cn_tensor *x)
{
    cn_shape rows = {.rank = 2, .dim = {-1, x->shape.dim[x->shape.rank - 1]}};
    return cn_op_reshape(x, &rows);
}

/* The rows as they lay in x. Only one extent can be left open, so that more unknown ones are told by
 * their places, which stay. */
static cn_tensor *from_rows(cn_tensor *y, cn_tensor *x, int64_t units)
{
    int rank = x->shape.rank;
    int64_t order_free[CN_MAX_RANK];
    cn_shape shape = x->shape;
    shape.dim[rank - 1] = units;
    (void)order_free;
    return cn_op_reshape(y, &shape);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_tensor *kernel = cn__layer_weight_tensor(layer, "kernel", in[0]);
    if (!kernel)
        return NULL;
    bool matrix = in[0]->shape.rank == 2;
    cn_tensor *y = cn_op_matmul(matrix ? in[0] : as_rows(in[0]), kernel);
    if (!matrix)
        y = from_rows(y, in[0], o->units);
    return cn__bias_and_activation(layer, y, o->use_bias, o->activation, CN_CHANNELS_LAST);
}
