/* What the normalising layers share: moments, gamma and beta, unit length. */
#include "layers/normalize.h"

#include <math.h>

cn_status cn__add_gamma_and_beta(cn_layer *layer, const cn_shape *shape, cn_flag scale,
                                 cn_flag center)
{
    if (scale == CN_TRUE)
        CN__TRY(cn__layer_add_weight(layer, "gamma", shape, "gamma", true));
    if (center == CN_TRUE)
        CN__TRY(cn__layer_add_weight(layer, "beta", shape, "beta", true));
    return CN_OK;
}

cn_tensor *cn__scale_and_shift(cn_layer *layer, cn_tensor *x, const cn_shape *shape, cn_flag scale,
                               cn_flag center)
{
    if (x && scale == CN_TRUE)
        x = cn_op_binary(CN_MULTIPLY, x,
                         cn_op_reshape(cn__layer_weight_tensor(layer, "gamma", x), shape));
    if (x && center == CN_TRUE)
        x = cn_op_binary(CN_ADD, x,
                         cn_op_reshape(cn__layer_weight_tensor(layer, "beta", x), shape));
    return x;
}

cn_tensor *cn__standardize(cn_tensor *x, unsigned axes, float epsilon)
{
    cn_tensor *centred = cn_op_binary(CN_SUBTRACT, x, cn_op_reduce(CN_MEAN, x, axes, true));
    cn_tensor *squares = cn_op_unary(centred, (cn_function1){.op = CN_SQUARE});
    cn_tensor *variance = cn_op_reduce(CN_MEAN, squares, axes, true);
    cn_tensor *widened = cn_op_unary(variance, (cn_function1){CN_AFFINE, {1, epsilon, 0}});
    return cn_op_binary(CN_MULTIPLY, centred, cn_op_unary(widened, (cn_function1){.op = CN_RSQRT}));
}

cn_tensor *cn__to_unit_length(cn_tensor *x, unsigned axes)
{
    cn_tensor *squares = cn_op_unary(x, (cn_function1){.op = CN_SQUARE});
    cn_tensor *sum = cn_op_reduce(CN_SUM, squares, axes, true);
    cn_tensor *above = cn_op_unary(sum, (cn_function1){CN_CLIP, {1e-12f, INFINITY, 0}});
    return cn_op_binary(CN_MULTIPLY, x, cn_op_unary(above, (cn_function1){.op = CN_RSQRT}));
}
