/* cornu/inspect.h - looking into networks: feature maps, and what they look like when they are
 * taken back to the image through transposed convolutions with the network's own kernels.
 */
#ifndef CORNU_INSPECT_H
#define CORNU_INSPECT_H

#include "cornu/training.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ==== the transposed convolution of a trained layer ==== */

/* A layer that is the transposed convolution with the kernel of `conv` (Conv1D, Conv2D or Conv3D):
 * it maps the feature maps of `conv` to the size of its input. For a transposed convolution
 * (Conv2DTranspose ...) it is the convolution. It has the strides, padding, dilation, groups and
 * data format of `conv`, no bias, no activation and no weights of its own: the kernel is the one of
 * `conv` at any time, so that training one trains the other, in models that hold `conv` itself.
 *
 *     cn_layer  *conv = cn_model_layer_named(model, "conv2d_1");
 *     cn_tensor *back = cn_apply(cn_conv2d_transpose_of(conv), cn_layer_output(conv));
 *
 * In: what `conv` gives. Out: what `conv` takes; where its extents are not known (-1), or where
 * this layer is applied to maps of another size, Keras' rule: strides times the maps for CN_SAME,
 * and for CN_VALID (maps - 1) * strides + max(k, strides).
 *
 * `conv` is lent, and kept alive. It must have been applied, so that it has its kernel. */
CN_API cn_layer *cn_conv2d_transpose_of(cn_layer *conv);

/* ==== K.deconv2d on arrays ==== */

typedef struct cn_deconv2d_options {
    /* The output in the order of the data format, (batch, channels, rows, cols) or (batch, rows,
     * cols, channels); = Keras' rule, as for cn_conv2d_transpose. The batch may be 0: that of x. */
    int64_t output_shape[4];
    int64_t strides[2];         /* = {1, 1} */
    cn_padding padding;         /* = CN_VALID; CN_SAME, CN_SAME_THEANO */
    cn_data_format data_format; /* = channels last */
    bool flip_kernel;           /* rows and columns reversed, as Keras 1 and 2 on Theano had them */
    cn_pool *pool;              /* = the calling thread */
} cn_deconv2d_options;

/* The transposed convolution of x with a kernel, as Keras 1's K.deconv2d.
 *
 *     x        (batch, rows, cols, in), for CN_CHANNELS_FIRST (batch, in, rows, cols)
 *     kernel   (rows, cols, out, in),   for CN_CHANNELS_FIRST (out, in, rows, cols)
 *     options  may be NULL
 *
 * `out` are the channels of the result. The kernel of a convolution has `in` and `out` the other
 * way round.
 *
 * Returns (batch, rows, cols, out) or (batch, out, rows, cols). The messages of CN_ERROR_SHAPE tell
 * which call would work. */
CN_API cn_array *cn_deconv2d(const cn_array *x, const cn_array *kernel,
                             const cn_deconv2d_options *options);

/* ==== projecting feature maps to the image ==== */

/* CN_CHANNELS_FIRST if a layer of the model (nested models included) has that data format, else
 * CN_CHANNELS_LAST. Feature maps and images below have their channels where it says. */
CN_API cn_data_format cn_model_data_format(const cn_model *model);

/* A layer of a model and the way back from its feature maps to an input: pooling is undone with the
 * places where the maxima were, convolutions become transposed convolutions with the same kernels,
 * batch normalisation is its scale, and relu treats the signal as `rule` says. For the first
 * convolution of a network all rules are the transposed convolution of its maps. */
typedef struct cn_deconvnet cn_deconvnet;

/*     layer  its name; "outer/inner" in a nested model. Of several applications the first counts.
 *     rule   CN_DECONVNET (Zeiler and Fergus), CN_GUIDED_BACKPROP or CN_GRADIENT
 *     input  the number of the model's input to project to, 0 for the first
 *
 * It grows the model's graph: no other thread may use the model meanwhile. It may be used after the
 * model was freed. CN_ERROR_NOT_FOUND, naming the layers there are, if none has that name. */
CN_API cn_deconvnet *cn_deconvnet_new(cn_model *model, const char *layer, cn_gradient_rule rule,
                                      int input);
CN_API void cn_deconvnet_free(cn_deconvnet *net);

/* The layer's output for one image. `in`: one array for each of the model's inputs, of batch 1.
 * *maps: (1, rows, cols, filters), (1, filters, rows, cols) or whatever shape the layer gives; the
 * caller's. A layer without spatial axes, such as Dense, has one filter for each unit. */
CN_API cn_status cn_deconvnet_maps(cn_deconvnet *net, const cn_array *const *in, cn_array **maps,
                                   cn_pool *pool);

/* Projects `count` filters' maps of the same image, each by itself with all other maps set to 0.
 * *projections: (count, the input's shape without the batch); the caller's. */
CN_API cn_status cn_deconvnet_project(cn_deconvnet *net, const cn_array *const *in,
                                      const int64_t *filters, int64_t count, cn_array **projections,
                                      cn_pool *pool);

/* The number of filters of an array of maps (1, ...), -1 if it is none. */
CN_API int64_t cn_maps_count(const cn_array *maps, cn_data_format data_format);

/* Writes the numbers of the `count` strongest maps of one image to `filters`, the strongest first.
 * A map's strength is the sum of its squares, 0 if that is NaN; of equal maps the first goes first.
 */
CN_API cn_status cn_strongest_maps(const cn_array *maps, cn_data_format data_format, int64_t count,
                                   int64_t *filters);

/* ==== pictures ==== */

typedef struct cn_maps_picture_options {
    const char *title;           /* = none */
    const char *caption;         /* a line below it; = none */
    cn_data_format data_format;  /* = channels last */
    const cn_array *projections; /* of the same filters, drawn beside their maps; = none */
    int64_t columns;             /* = near square */
    int64_t tile_pixels; /* of a tile's longer side; = by the number of tiles, so that the picture
                            is about 1200 pixels on a side */
} cn_maps_picture_options;

/* A picture of feature maps, a tile for each, labelled with the filter's number and the greatest
 * absolute value of its map (0: the filter is dead), in a grid: (height, width, 3), 0 to 255, for
 * cn_image_write. Every tile has a scale of its own. Small maps are enlarged by whole factors; of
 * maps that are larger than a tile the means are drawn.
 *
 *     maps     of one image: (1, ...) as from cn_deconvnet_maps
 *     filters  the `count` filters to draw, in this order; NULL: all
 *     options  may be NULL
 *
 * In maps black is 0 and white the greatest value; if any map of the layer has negative values,
 * they are blue, 0 is white and positive values are red. Planes of three-dimensional maps are drawn
 * below each other.
 *
 * In projections 0 is grey; three channels are drawn as red, green and blue, and of other numbers
 * of channels the mean. The strongest hundredth of the values may be brighter than can be drawn. */
CN_API cn_array *cn_maps_picture(const cn_array *maps, const int64_t *filters, int64_t count,
                                 const cn_maps_picture_options *options);

/* A picture of a training: losses above, metrics below, over the epochs (counted from 1); what the
 * validation data gave is dashed. (height, width, 3), 0 to 255, for cn_image_write; a width or
 * height of 0 is 900 and 600. The learning rate, if a callback put it into the logs, is left out.
 */
CN_API cn_array *cn_draw_curves(const cn_history *history, int width, int height);

#ifdef __cplusplus
}
#endif

#endif
