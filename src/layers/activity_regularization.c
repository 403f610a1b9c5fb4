/* ActivityRegularization: the identity, whose values are made small in training: what trains a
 * model adds l1 * sum |x| + l2 * sum x * x to the loss. In, out: any shape. Example:
 * cn_activity_regularization(.l2 = 0.01f) */
#include "layers/layer.h"

#include <math.h>

typedef cn_activity_regularization_layer T;

static const cn__option options[] = {
    CN__OPTION(T, l1, CN__FLOAT, .low = 0, .high = (double)INFINITY),
    CN__OPTION(T, l2, CN__FLOAT, .low = 0, .high = (double)INFINITY),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)layer;
    (void)inputs;
    return in[0];
}

const cn__layer_type cn__activity_regularization_type = {
    .name = "ActivityRegularization",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
