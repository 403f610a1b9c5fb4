/* Arrays of images and feature maps with their channels moved. */
#include "inspect/inspect.h"

#include "base/base.h"

static cn_array *transposed(const cn_array *x, const int *order)
{
    const cn_shape *from = cn_array_shape(x);
    cn_shape to = {.rank = from->rank};
    for (int i = 0; i < from->rank; i++)
        to.dim[i] = from->dim[order[i]];
    cn_array *y = cn_array_new(CN_FLOAT32, &to);
    if (y && cn_transpose_f32(from, order, cn_array_const_floats(x), cn_array_floats(y), NULL) !=
                 CN_OK) {
        cn_array_free(y);
        return NULL;
    }
    return y;
}

cn_array *cn__array_channels_last(const cn_array *x, cn_data_format format)
{
    int rank = cn_array_shape(x)->rank;
    if (format != CN_CHANNELS_FIRST || rank < 3)
        return cn_array_copy(x);
    int order[CN_MAX_RANK] = {0};
    for (int i = 1; i < rank - 1; i++)
        order[i] = i + 1;
    order[rank - 1] = 1;
    return transposed(x, order);
}

cn_array *cn__array_from_channels_last(const cn_array *x, cn_data_format format)
{
    int rank = cn_array_shape(x)->rank;
    if (format != CN_CHANNELS_FIRST || rank < 3)
        return cn_array_copy(x);
    int order[CN_MAX_RANK] = {0, rank - 1};
    for (int i = 2; i < rank; i++)
        order[i] = i - 1;
    return transposed(x, order);
}
