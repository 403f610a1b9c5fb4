/* UpSampling1D, UpSampling2D, UpSampling3D: enlarge by whole factors.
 * In: (batch, spatial..., channels). Out: (batch, spatial * size..., channels).
 * Example: cn_up_sampling2d({2, 2}, .interpolation = "bilinear") */
#include "layers/layer.h"

#include <string.h>

typedef cn_up_sampling_layer T;

static const cn__option options[] = {
    CN__OPTION(T, size, CN__DIMS, .aliases = "length", .number = 2, .low = 1),
    CN__DATA_FORMAT(T),
    CN__OPTION(T, interpolation, CN__TEXT, .text = "nearest",
               .choices = "nearest|bilinear|bilinear_corner|bilinear_theano|bicubic"),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_resize_options resize = {.rank = layer->type->rank};
    memcpy(resize.factor, o->size, sizeof resize.factor);
    if (o->interpolation)
        resize.interpolation =
            (cn_interpolation)cn__list_index(options[2].choices, o->interpolation);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    return cn__from_channels_last(cn_op_resize(x, &resize), o->data_format);
}

/* UpSampling1D has neither a data format nor an interpolation, UpSampling3D no interpolation. */
#define TYPE(rank_, options_)                                                                      \
    const cn__layer_type cn__up_sampling##rank_##d_type = {                                        \
        .name = "UpSampling" #rank_ "D",                                                           \
        .options = options,                                                                        \
        .option_count = options_,                                                                  \
        .refused_count = (int)CN__COUNT(options) - options_,                                       \
        .option_bytes = sizeof(T),                                                                 \
        .rank = rank_,                                                                             \
        .least_inputs = 1,                                                                         \
        .most_inputs = 1,                                                                          \
        .apply = apply,                                                                            \
    }
TYPE(1, 1);
TYPE(2, 3);
TYPE(3, 2);
