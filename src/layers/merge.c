/* Add, Subtract, Multiply, Average, Maximum, Minimum: elementwise over several tensors, which are
 * broadcast. In: (batch, ...) each. Out: the common shape.
 * Example: cn_apply_list(cn_add(), cn_tensors(x, y)) */
#include "layers/layer.h"

/* Keras puts the axes that a tensor lacks behind the batch. */
static cn_tensor *with_rank(cn_tensor *x, int rank)
{
    int missing = rank - x->shape.rank;
    if (missing == 0 || x->shape.rank == 0)
        return x;
    cn_shape shape = {.rank = rank};
    for (int i = 1; i < rank; i++)
        shape.dim[i] = i <= missing ? 1 : x->shape.dim[i - missing];
    return cn_op_reshape(x, &shape);
}

static cn_tensor *merge(cn_tensor *const *in, int inputs, cn_binary op)
{
    int rank = 0;
    for (int i = 0; i < inputs; i++)
        rank = (int)cn__max(rank, in[i]->shape.rank);
    cn_tensor *y = with_rank(in[0], rank);
    for (int i = 1; i < inputs; i++)
        y = cn_op_binary(op, y, with_rank(in[i], rank));
    return y;
}

static cn_tensor *apply_add(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    return merge(in, inputs, CN_ADD);
}

static cn_tensor *apply_subtract(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    return merge(in, inputs, CN_SUBTRACT);
}

static cn_tensor *apply_multiply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    return merge(in, inputs, CN_MULTIPLY);
}

static cn_tensor *apply_average(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    float share = 1 / (float)inputs;
    return cn_op_unary(merge(in, inputs, CN_ADD), (cn_function1){CN_AFFINE, {share, 0, 0}});
}

static cn_tensor *apply_maximum(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    return merge(in, inputs, CN_MAXIMUM);
}

static cn_tensor *apply_minimum(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    return merge(in, inputs, CN_MINIMUM);
}

#define TYPE(lower, type, least, most)                                                             \
    const cn__layer_type cn__##lower##_type = {                                                    \
        .name = type,                                                                              \
        .option_bytes = sizeof(cn_merge_layer),                                                    \
        .least_inputs = least,                                                                     \
        .most_inputs = most,                                                                       \
        .apply = apply_##lower,                                                                    \
    }
TYPE(add, "Add", 1, cn__most_inputs);
TYPE(subtract, "Subtract", 2, 2);
TYPE(multiply, "Multiply", 1, cn__most_inputs);
TYPE(average, "Average", 1, cn__most_inputs);
TYPE(maximum, "Maximum", 1, cn__most_inputs);
TYPE(minimum, "Minimum", 1, cn__most_inputs);
