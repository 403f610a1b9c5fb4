/* GlobalMaxPooling and GlobalAveragePooling over 1, 2 or 3 axes.
 * In: (batch, spatial..., channels). Out: (batch, channels), with keepdims (batch, 1..., channels).
 * Example: cn_global_average_pooling2d() */
#include "layers/layer.h"

typedef cn_global_pooling_layer T;

static const cn__option options[] = {
    CN__DATA_FORMAT(T),
    CN__OPTION(T, keepdims, CN__BOOL),
};

static cn_tensor *reduce(cn_layer *layer, cn_tensor *x, cn_reduction reduction)
{
    const T *o = layer->options;
    unsigned first = o->data_format == CN_CHANNELS_FIRST ? 2 : 1;
    unsigned axes = ((1u << layer->type->rank) - 1) << first;
    return cn_op_reduce(reduction, x, axes, o->keepdims);
}

static cn_tensor *apply_max(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    return reduce(layer, in[0], CN_MAX);
}

static cn_tensor *apply_average(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    (void)inputs;
    return reduce(layer, in[0], CN_MEAN);
}

#define TYPE(which, Which, rank_, older)                                                           \
    const cn__layer_type cn__global_##which##_pooling##rank_##d_type = {                           \
        .name = "Global" Which "Pooling" #rank_ "D",                                               \
        .aliases = older #rank_ "D",                                                               \
        .options = options,                                                                        \
        .option_count = CN__COUNT(options),                                                        \
        .option_bytes = sizeof(T),                                                                 \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .apply = apply_##which,                                                                    \
    }
TYPE(max, "Max", 1, "GlobalMaxPool");
TYPE(max, "Max", 2, "GlobalMaxPool");
TYPE(max, "Max", 3, "GlobalMaxPool");
TYPE(average, "Average", 1, "GlobalAvgPool");
TYPE(average, "Average", 2, "GlobalAvgPool");
TYPE(average, "Average", 3, "GlobalAvgPool");
