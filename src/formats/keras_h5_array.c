/* Arrays in HDF5. Their sizes and the way they are stored are checked before memory is taken. */
#include "formats/keras_h5.h"

#include <string.h>

#define MOST_CHUNK ((size_t)32 << 20) /* bytes of the pieces a compressed array is stored in */

/* An open array. */
typedef struct array {
    const char *name;
    hid_t id, type, space;
} array;

static void close_array(array *a)
{
    if (a->space >= 0)
        (void)H5Sclose(a->space);
    if (a->type >= 0)
        (void)H5Tclose(a->type);
    if (a->id >= 0)
        (void)H5Oclose(a->id);
}

static cn_status open_array(const cn__h5 *h5, const char *name, array *a)
{
    *a = (array){name, cn__h5_object(h5, name), H5I_INVALID_HID, H5I_INVALID_HID};
    if (a->id < 0)
        return cn__fail(CN_ERROR_FORMAT, "the file has no array %s", name);
    if (H5Iget_type(a->id) == H5I_DATASET) {
        a->type = H5Dget_type(a->id);
        a->space = H5Dget_space(a->id);
    }
    if (a->type < 0 || a->space < 0)
        return cn__fail(CN_ERROR_FORMAT, "%s is no array, or a broken one", name);
    return CN_OK;
}

static cn_status shape_of(const array *a, cn_shape *shape)
{
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_dims(a->space, dims, NULL);
    if (rank < 0 || H5Sis_simple(a->space) <= 0 || H5Sget_simple_extent_type(a->space) == H5S_NULL)
        return cn__fail(CN_ERROR_FORMAT, "the array %s has no shape", a->name);
    if (rank > CN_MAX_RANK)
        return cn__fail(CN_ERROR_UNSUPPORTED, "the array %s has %d axes; at most %d can be read",
                        a->name, rank, CN_MAX_RANK);
    *shape = (cn_shape){.rank = rank};
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX / 16)
            return cn__fail(CN_ERROR_FORMAT, "the array %s is larger than can be meant", a->name);
        shape->dim[i] = (int64_t)dims[i];
    }
    return CN_OK;
}

/* Filters come from within the library only: the others would be loaded from elsewhere. */
static cn_status check_filters(const array *a, hid_t plist)
{
    int filters = H5Pget_nfilters(plist);
    for (int i = 0; i < filters; i++) {
        unsigned flags, config;
        size_t values = 0;
        H5Z_filter_t filter =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
            filter != H5Z_FILTER_FLETCHER32)
            return cn__fail(
                CN_ERROR_UNSUPPORTED,
                "the array %s is compressed with filter %d; deflated and plain arrays can "
                "be read",
                a->name, (int)filter);
    }
    return CN_OK;
}

static cn_status check_chunks(const array *a, hid_t plist)
{
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Pget_chunk(plist, H5S_MAX_RANK, dims);
    double bytes = (double)H5Tget_size(a->type);
    for (int i = 0; i < rank; i++)
        bytes *= (double)dims[i];
    hssize_t points = H5Sget_simple_extent_npoints(a->space);
    double whole = (double)points * (double)H5Tget_size(a->type);
    if (rank < 0 || (bytes > (double)MOST_CHUNK && bytes > 2 * whole))
        return cn__fail(CN_ERROR_FORMAT,
                        "the array %s is stored in pieces larger than can be meant", a->name);
    return CN_OK;
}

/* An array that is not there in full, or lies in other files, is refused. */
static cn_status check_storage(const array *a)
{
    hid_t plist = H5Dget_create_plist(a->id);
    H5D_layout_t layout = plist < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(plist);
    hssize_t points = H5Sget_simple_extent_npoints(a->space);
    cn_status status = CN_OK;
    if ((layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) ||
        H5Pget_external_count(plist) != 0)
        status = cn__fail(CN_ERROR_UNSUPPORTED, "the array %s lies in another file", a->name);
    else if (points > 0 && H5Dget_storage_size(a->id) == 0)
        status = cn__fail(CN_ERROR_FORMAT, "the array %s has no data", a->name);
    if (status == CN_OK && layout == H5D_CHUNKED) {
        status = check_chunks(a, plist);
        if (status == CN_OK)
            status = check_filters(a, plist);
    }
    if (plist >= 0)
        (void)H5Pclose(plist);
    return status;
}

/* bfloat16: the upper halves of float32s, in two bytes without a meaning to HDF5. */
static cn_status read_halves(const array *a, int64_t count, float *values)
{
    uint16_t *halves = (uint16_t *)(void *)values + count; /* the second half of the place */
    if (H5Dread(a->id, a->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, halves) < 0)
        return cn__fail(CN_ERROR_FORMAT, "the array %s cannot be read", a->name);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)halves[i] << 16;
        memcpy(&values[i], &bits, sizeof bits);
    }
    return CN_OK;
}

static cn_status read_values(const array *a, int64_t count, float *values)
{
    if (count == 0)
        return CN_OK;
    H5T_class_t class = H5Tget_class(a->type);
    if (class == H5T_OPAQUE && H5Tget_size(a->type) == 2)
        return read_halves(a, count, values);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return cn__fail(CN_ERROR_UNSUPPORTED, "the array %s holds no numbers", a->name);
    if (H5Dread(a->id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return cn__fail(CN_ERROR_FORMAT, "the array %s cannot be read", a->name);
    return CN_OK;
}

cn_status cn__h5_shape(const cn__h5 *h5, const char *name, cn_shape *shape)
{
    array a;
    cn__h5_quiet before = cn__h5_begin();
    cn_status status = open_array(h5, name, &a);
    if (status == CN_OK)
        status = shape_of(&a, shape);
    close_array(&a);
    cn__h5_end(before);
    return status;
}

cn_status cn__h5_read(const cn__h5 *h5, const char *name, int64_t count, float *values)
{
    array a;
    cn__h5_quiet before = cn__h5_begin();
    cn_status status = open_array(h5, name, &a);
    if (status == CN_OK && H5Sget_simple_extent_npoints(a.space) != count)
        status = cn__fail(CN_ERROR_FORMAT, "the array %s has changed its size", name);
    if (status == CN_OK)
        status = check_storage(&a);
    if (status == CN_OK)
        status = read_values(&a, count, values);
    close_array(&a);
    cn__h5_end(before);
    return status;
}

/* Numbers of any type as those of `type`. */
static cn_status read_as(const cn__h5 *h5, const char *name, hid_t type, int64_t count,
                         void *values)
{
    array a;
    cn_status status = open_array(h5, name, &a);
    if (status == CN_OK)
        status = check_storage(&a);
    H5T_class_t class = status == CN_OK ? H5Tget_class(a.type) : H5T_NO_CLASS;
    bool number = class == H5T_INTEGER || class == H5T_FLOAT;
    if (status == CN_OK && (!number || H5Sget_simple_extent_npoints(a.space) != count ||
                            H5Dread(a.id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0))
        status = cn__fail(CN_ERROR_FORMAT, "%s does not hold as many numbers as it should: %lld",
                          name, (long long)count);
    close_array(&a);
    return status;
}

cn_status cn__h5_read_integer(const cn__h5 *h5, const char *name, int64_t *value)
{
    cn__h5_quiet before = cn__h5_begin();
    cn_status status = read_as(h5, name, H5T_NATIVE_INT64, 1, value);
    cn__h5_end(before);
    return status;
}

cn_status cn__h5_read_doubles(const cn__h5 *h5, const char *name, int64_t count, double *values)
{
    cn__h5_quiet before = cn__h5_begin();
    cn_status status = read_as(h5, name, H5T_NATIVE_DOUBLE, count, values);
    cn__h5_end(before);
    return status;
}
