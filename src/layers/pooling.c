/* MaxPooling and AveragePooling along 1, 2 or 3 axes.
 * In: (batch, spatial..., channels). Out: (batch, fewer..., channels).
 * Example: cn_max_pooling2d({3, 3}, {2, 2}, .padding = CN_SAME) */
#include "layers/layer.h"

#include <string.h>

typedef cn_pooling_layer T;

static const cn__option options[] = {
    CN__OPTION(T, pool_size, CN__DIMS, .aliases = "pool_length", .number = 2, .low = 1),
    CN__OPTION(T, strides, CN__DIMS, .aliases = "stride", .low = 1),
    CN__PADDING(T),
    CN__DATA_FORMAT(T),
};

static cn_status check(const cn_layer *layer)
{
    const T *o = layer->options;
    if (o->padding == CN_CAUSAL)
        return cn__fail(CN_ERROR_ARGUMENT, "padding causal is for Conv1D; valid or same would do");
    return CN_OK;
}

static cn_tensor *pool(cn_layer *layer, cn_tensor *x, bool average)
{
    const T *o = layer->options;
    cn_pool_options pool = {.rank = layer->type->rank, .padding = o->padding};
    memcpy(pool.window, o->pool_size, sizeof pool.window);
    memcpy(pool.stride, o->strides[0] != 0 ? o->strides : o->pool_size, sizeof pool.stride);
    x = cn__to_channels_last(x, o->data_format);
    cn_tensor *y = average ? cn_op_average_pool(x, &pool) : cn_op_max_pool(x, &pool, NULL);
    return cn__from_channels_last(y, o->data_format);
}

static cn_tensor *apply_max(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    return pool(layer, in[0], false);
}

static cn_tensor *apply_average(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    return pool(layer, in[0], true);
}

#define TYPE(which, Which, rank_, older)                                                           \
    const cn__layer_type cn__##which##_pooling##rank_##d_type = {                                  \
        .name = Which "Pooling" #rank_ "D",                                                        \
        .aliases = older #rank_ "D",                                                               \
        .options = options,                                                                        \
        .option_count = CN__COUNT(options),                                                        \
        .option_bytes = sizeof(T),                                                                 \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .check = check,                                                                            \
        .apply = apply_##which,                                                                    \
    }
TYPE(max, "Max", 1, "MaxPool");
TYPE(max, "Max", 2, "MaxPool");
TYPE(max, "Max", 3, "MaxPool");
TYPE(average, "Average", 1, "AvgPool");
TYPE(average, "Average", 2, "AvgPool");
TYPE(average, "Average", 3, "AvgPool");
