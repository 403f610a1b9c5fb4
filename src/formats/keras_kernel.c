/* The axes of kernels in files.
 *
 *   Keras 3, and Keras 2 on TensorFlow   as Cornu's
 *   Keras 2 on Theano                    as Cornu's, but flipped along every spatial axis; the
 * kernels of depthwise convolutions are not Keras 1, channels last               convolution (rows,
 * columns, in, out), transposed convolution the same, hence out before in Keras 1, channels first
 * (out, in, rows, columns) for both Keras 1, 1-D                         (length, 1, in, out), at
 * first (out, in, length, 1) and Keras 1 on Theano flips, too. */
#include "formats/keras.h"

#include <stdio.h>
#include <string.h>

/* How an array becomes a weight: axis i of the weight is the array's axis order[i]; the first
 * `flipped` axes are reversed. Axes of the array that are not in the order have extent 1. */
typedef struct kernel_axes {
    int rank;
    int order[CN_MAX_RANK];
    int flipped;
} kernel_axes;

static bool is_channels_first(const cn_layer *layer)
{
    const cn__option *option = cn__option_find(layer->type, "data_format");
    return option != NULL &&
           *(const int *)cn__option_at(option, layer->options) == CN_CHANNELS_FIRST;
}

static bool is_kind(const cn_layer *layer, const char *kind)
{
    return strncmp(layer->type->name, kind, strlen(kind)) == 0;
}

/* The axes of a Keras 1 kernel with `rank` spatial axes. */
static void order_of_1(const cn_layer *layer, int rank, kernel_axes *axes)
{
    bool transposed = strstr(layer->type->name, "Transpose") != NULL;
    bool first = is_channels_first(layer);
    for (int i = 0; i < rank; i++)
        axes->order[i] = first ? i + 2 : i;
    int out = first ? 0 : rank + 1, in = first ? 1 : rank;
    axes->order[rank] = transposed ? out : in;
    axes->order[rank + 1] = transposed ? in : out;
}

/* Keras 1's 1-D kernels have an axis of extent 1 more. */
static void order_of_1d(const cn_layer *layer, const cn_shape *shape, kernel_axes *axes)
{
    const cn_shape *weight = cn_array_shape(layer->weights[0].variable->value);
    bool newer = shape->dim[1] == 1 && shape->dim[0] == weight->dim[0];
    static const int orders[2][3] = {{2, 1, 0}, {0, 2, 3}};
    memcpy(axes->order, orders[newer], sizeof orders[newer]);
    axes->rank = 3;
}

static kernel_axes weight_axes(const cn__keras *k, const cn_layer *layer, int index,
                               const cn_shape *shape)
{
    kernel_axes axes = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++)
        axes.order[i] = i;
    bool depthwise = is_kind(layer, "Depthwise") || is_kind(layer, "Separable");
    bool kernel = (is_kind(layer, "Conv") && index == 0) || (depthwise && index < 2);
    int rank = layer->type->rank;
    if (k->version > 2 || !kernel || strstr(layer->weights[index].name, "kernel") == NULL)
        return axes;
    if (k->version == 1 && rank == 1 && shape->rank == 4)
        order_of_1d(layer, shape, &axes);
    else if (k->version == 1 && shape->rank == rank + 2)
        order_of_1(layer, rank, &axes);
    axes.flipped = k->theano && !depthwise ? rank : 0;
    return axes;
}

static cn_status fail_shape(const cn_layer *layer, int index, const cn_shape *wanted,
                            const cn_shape *found, const cn_shape *turned)
{
    char takes[160], has[160], becomes[200] = "", turned_text[160];
    if (!cn_shape_equal(found, turned))
        (void)snprintf(becomes, sizeof becomes, ", which is %s in Cornu's order",
                       cn_shape_text(turned, turned_text, sizeof turned_text));
    return cn__layer_fail(layer, CN_ERROR_SHAPE,
                          "its weight %s has the shape %s, but the file's has %s%s; the file is of "
                          "another model",
                          layer->weights[index].name, cn_shape_text(wanted, takes, sizeof takes),
                          cn_shape_text(found, has, sizeof has), becomes);
}

/* The shape of the array after its axes were put in order. */
static cn_shape turn(const kernel_axes *axes, const cn_shape *shape)
{
    cn_shape turned = {.rank = axes->rank};
    for (int i = 0; i < axes->rank; i++)
        turned.dim[i] = shape->dim[axes->order[i]];
    return turned;
}

static bool stays(const kernel_axes *axes)
{
    for (int i = 0; i < axes->rank; i++)
        if (axes->order[i] != i)
            return false;
    return axes->flipped == 0;
}

/* Copies the elements in their new order. */
static void copy_turned(const kernel_axes *axes, const cn_shape *from, const cn_shape *to,
                        const float *source, float *target)
{
    int64_t stride[CN_MAX_RANK] = {0}, steps[CN_MAX_RANK] = {0}, at[CN_MAX_RANK] = {0};
    int64_t step = 1;
    for (int i = from->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= from->dim[i];
    }
    int64_t place = 0, count = cn_shape_count(to);
    if (stays(axes)) {
        memcpy(target, source, (size_t)count * sizeof(float));
        return;
    }
    for (int i = 0; i < to->rank; i++) {
        steps[i] = stride[axes->order[i]];
        if (i < axes->flipped) {
            place += (to->dim[i] - 1) * steps[i];
            steps[i] = -steps[i];
        }
    }
    for (int64_t n = 0; n < count; n++) {
        target[n] = source[place];
        for (int i = to->rank - 1; i >= 0; i--) {
            place += steps[i];
            if (++at[i] < to->dim[i])
                break;
            place -= steps[i] * to->dim[i];
            at[i] = 0;
        }
    }
}

cn_status cn__keras_check_weight(const cn__keras *k, const cn_layer *layer, int index,
                                 const cn_shape *shape)
{
    const cn_shape *wanted = cn_array_shape(layer->weights[index].variable->value);
    kernel_axes axes = weight_axes(k, layer, index, shape);
    cn_shape turned = turn(&axes, shape);
    if (cn_shape_equal(&turned, wanted) && cn_shape_count(shape) == cn_shape_count(wanted))
        return CN_OK;
    return fail_shape(layer, index, wanted, shape, &turned);
}

cn_status cn__keras_turn_weight(const cn__keras *k, const cn_layer *layer, int index,
                                const cn_shape *shape, const float *values, float *turned)
{
    CN__TRY(cn__keras_check_weight(k, layer, index, shape));
    kernel_axes axes = weight_axes(k, layer, index, shape);
    copy_turned(&axes, shape, cn_array_shape(layer->weights[index].variable->value), values,
                turned);
    return CN_OK;
}

cn_status cn__keras_set_weight(const cn__keras *k, cn_layer *layer, int index,
                               const cn_shape *shape, const float *values)
{
    cn__variable *variable = layer->weights[index].variable;
    CN__TRY(
        cn__keras_turn_weight(k, layer, index, shape, values, cn_array_floats(variable->value)));
    cn__variable_changed(variable);
    return CN_OK;
}
