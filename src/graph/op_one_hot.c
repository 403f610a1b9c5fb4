/* Numbers of classes as vectors with a one in the class's place. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"

static cn_status one_hot_shape(const void *attributes, int inputs, cn_tensor *const *in,
                               cn_tensor **out)
{
    const cn_shape *from = &in[0]->shape;
    (void)inputs;
    if (from->rank == CN_MAX_RANK)
        return cn__fail(CN_ERROR_SHAPE, "one_hot: there must be less than %d axes", CN_MAX_RANK);
    out[0]->shape = *from;
    out[0]->shape.dim[out[0]->shape.rank++] = *(const int64_t *)attributes;
    return CN_OK;
}

/* The input's value i, which may be of either type. */
static double value_at(const cn__step *step, int64_t i)
{
    if (step->node->in[0]->dtype == CN_INT32)
        return ((const int32_t *)step->in[0])[i];
    return (double)((const float *)step->in[0])[i];
}

static cn_status one_hot_run(const cn__step *step, cn_pool *pool)
{
    int64_t classes = *(const int64_t *)step->node->attributes;
    int64_t count = cn_shape_count(&step->node->in[0]->shape);
    float *out = step->out[0];
    (void)pool;
    memset(out, 0, (size_t)(count * classes) * sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        double value = value_at(step, i);
        if (!(value >= 0 && value < (double)classes && value == floor(value)))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "one_hot: element %lld is %g, but the classes are the whole numbers "
                            "from 0 to %lld",
                            (long long)i, value, (long long)classes - 1);
        out[i * classes + (int64_t)value] = 1;
    }
    return CN_OK;
}

const cn__op cn__one_hot_op = {.name = "one_hot",
                               .attribute_bytes = sizeof(int64_t),
                               .outputs = 1,
                               .shape = one_hot_shape,
                               .run = one_hot_run,
                               .any_type = 1u << 0};

cn_tensor *cn__op_one_hot(cn_tensor *x, int64_t classes)
{
    if (classes < 1)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "one_hot: the number of classes must be known, and at least 1");
    return cn__node_new(&cn__one_hot_op, &classes, 1, &x);
}
