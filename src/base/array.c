/* Dense arrays, each in one allocation: the description, then the elements. */
#include "base/base.h"

#include <string.h>

#define ELEMENT_SIZE 4 /* of either type */

struct cn_array {
    cn_dtype dtype;
    cn_shape shape;
    int64_t count;
    _Alignas(64) unsigned char elements[];
};

_Static_assert(sizeof(float) == ELEMENT_SIZE && sizeof(int32_t) == ELEMENT_SIZE, "element size");

/* An array whose elements are not set yet. */
static cn_array *new_array(cn_dtype dtype, const cn_shape *shape)
{
    if (!shape)
        return (void)cn__fail_null_argument("cn_array_new"), NULL;
    char text[200];
    (void)cn_shape_text(shape, text, sizeof text);
    if (dtype != CN_FLOAT32 && dtype != CN_INT32)
        return cn__fail_null(
            CN_ERROR_ARGUMENT,
            "cn_array_new: the element type must be CN_FLOAT32 or CN_INT32, not %d", (int)dtype);
    int64_t count = cn_shape_count(shape);
    int64_t limit = (int64_t)((PTRDIFF_MAX - sizeof(cn_array)) / ELEMENT_SIZE);
    if (count < 0 || count > limit)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "cn_array_new: no array can have the shape %s: extents must be known "
                             "and their product at most %lld",
                             text, (long long)limit);
    cn_array *array = cn__alloc(sizeof(cn_array) + (size_t)count * ELEMENT_SIZE);
    if (!array)
        return (void)cn__fail_within("an array of shape %s", text), NULL;
    array->dtype = dtype;
    array->shape = *shape;
    array->count = count;
    return array;
}

static size_t bytes_of(const cn_array *array)
{
    return (size_t)array->count * ELEMENT_SIZE;
}

cn_array *cn_array_new(cn_dtype dtype, const cn_shape *shape)
{
    cn_array *array = new_array(dtype, shape);
    if (array)
        memset(array->elements, 0, bytes_of(array));
    return array;
}

cn_array *cn_array_from(const cn_shape *shape, const float *values)
{
    if (!values)
        return cn_array_new(CN_FLOAT32, shape);
    cn_array *array = new_array(CN_FLOAT32, shape);
    if (array)
        memcpy(array->elements, values, bytes_of(array));
    return array;
}

cn_array *cn_array_copy(const cn_array *array)
{
    if (!array)
        return (void)cn__fail_null_argument("cn_array_copy"), NULL;
    cn_array *copy = new_array(array->dtype, &array->shape);
    if (copy)
        memcpy(copy->elements, array->elements, bytes_of(array));
    return copy;
}

void cn_array_free(cn_array *array)
{
    cn__free(array);
}

cn_dtype cn_array_dtype(const cn_array *array)
{
    return array ? array->dtype : CN_FLOAT32;
}

const cn_shape *cn_array_shape(const cn_array *array)
{
    return array ? &array->shape : NULL;
}

int64_t cn_array_count(const cn_array *array)
{
    return array ? array->count : 0;
}

float *cn_array_floats(cn_array *array)
{
    return array && array->dtype == CN_FLOAT32 ? (float *)array->elements : NULL;
}

const float *cn_array_const_floats(const cn_array *array)
{
    return array && array->dtype == CN_FLOAT32 ? (const float *)array->elements : NULL;
}

int32_t *cn_array_ints(cn_array *array)
{
    return array && array->dtype == CN_INT32 ? (int32_t *)array->elements : NULL;
}

const int32_t *cn_array_const_ints(const cn_array *array)
{
    return array && array->dtype == CN_INT32 ? (const int32_t *)array->elements : NULL;
}

cn_status cn_array_reshape(cn_array *array, const cn_shape *shape)
{
    if (!array || !shape)
        return cn__fail_null_argument("cn_array_reshape");
    if (cn_shape_count(shape) != array->count) {
        char from[200], to[200];
        return cn__fail(
            CN_ERROR_SHAPE,
            "cn_array_reshape: %s has %lld elements, the new shape %s must have as many",
            cn_shape_text(&array->shape, from, sizeof from), (long long)array->count,
            cn_shape_text(shape, to, sizeof to));
    }
    array->shape = *shape;
    return CN_OK;
}
