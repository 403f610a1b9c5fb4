/* Resizing: images of a given size. In: (batch, rows, columns, channels).
 * Out: (batch, height, width, channels). Example: cn_resizing(64, 64) */
#include "layers/layer.h"

typedef cn_resizing_layer T;

static const cn__option options[] = {
    CN__OPTION(T, height, CN__INT, .required = true, .low = 1),
    CN__OPTION(T, width, CN__INT, .required = true, .low = 1),
    CN__OPTION(T, interpolation, CN__TEXT, .text = "bilinear",
               .choices = "nearest|bilinear|bilinear_corner|bilinear_theano|bicubic"),
    CN__DATA_FORMAT(T),
};

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    int interpolation = cn__list_index(options[2].choices, o->interpolation);
    cn_tensor *x = cn__to_channels_last(in[0], o->data_format);
    cn_tensor *y = cn_op_resize(x, &(cn_resize_options){
                                       .rank = 2,
                                       .size = {o->height, o->width},
                                       .interpolation = (cn_interpolation)interpolation,
                                   });
    return cn__from_channels_last(y, o->data_format);
}

const cn__layer_type cn__resizing_type = {
    .name = "Resizing",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .rank = 2,
    .least_inputs = 1,
    .most_inputs = 1,
    .apply = apply,
};
