/* Writing HDF5, in memory: a file is then put on disk in one piece, or into a zip file. The same
 * model gives the same bytes. */
#include "formats/keras_h5.h"

#include <stdio.h>
#include <string.h>

#define GROWTH ((size_t)1 << 20)       /* bytes by which the file in memory grows */
#define MOST_ATTRIBUTE ((size_t)64512) /* of a list of texts, as in Keras */

static cn_status fail(const char *name)
{
    return cn__fail(CN_ERROR_MEMORY, "%s: HDF5 cannot write it; memory may be short", name);
}

/* ---- groups and arrays ---- */

/* Groups on the way to what is made are made, too. */
static hid_t on_the_way(void)
{
    hid_t list = H5Pcreate(H5P_LINK_CREATE);
    if (list >= 0)
        (void)H5Pset_create_intermediate_group(list, 1);
    return list;
}

static hid_t open_group(hid_t file, const char *name)
{
    hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
    if (group >= 0)
        return group;
    hid_t way = on_the_way();
    group = H5Gcreate2(file, name, way, H5P_DEFAULT, H5P_DEFAULT);
    if (way >= 0)
        (void)H5Pclose(way);
    return group;
}

cn_status cn__h5_put_group(const cn__h5 *h5, const char *name)
{
    hid_t group = open_group(h5->file, name);
    if (group < 0)
        return fail(name);
    (void)H5Gclose(group);
    return CN_OK;
}

static cn_status put_array(const cn__h5 *h5, const char *name, const cn_shape *shape, hid_t in_file,
                           hid_t in_memory, const void *values)
{
    hsize_t dims[CN_MAX_RANK] = {0};
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dim[i];
    hid_t space =
        shape->rank > 0 ? H5Screate_simple(shape->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t way = on_the_way(), list = H5Pcreate(H5P_DATASET_CREATE);
    (void)H5Pset_obj_track_times(list, 0); /* or the bytes would differ from day to day */
    hid_t array = H5Dcreate2(h5->file, name, in_file, space, way, list, H5P_DEFAULT);
    bool written =
        array >= 0 && H5Dwrite(array, in_memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (array >= 0)
        written = H5Dclose(array) >= 0 && written;
    (void)H5Pclose(list);
    (void)H5Pclose(way);
    (void)H5Sclose(space);
    return written ? CN_OK : fail(name);
}

cn_status cn__h5_put_floats(const cn__h5 *h5, const char *name, const cn_shape *shape,
                            const float *values)
{
    return put_array(h5, name, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values);
}

cn_status cn__h5_put_doubles(const cn__h5 *h5, const char *name, int64_t count,
                             const double *values)
{
    const cn_shape shape = cn_shape_of(count);
    return put_array(h5, name, &shape, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values);
}

cn_status cn__h5_put_integer(const cn__h5 *h5, const char *name, int64_t value)
{
    const cn_shape scalar = {0};
    return put_array(h5, name, &scalar, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

/* ---- attributes ---- */

static cn_status put_attribute(hid_t group, const char *name, hid_t type, hid_t space,
                               const void *value)
{
    hid_t attribute = H5Acreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool written = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Tclose(type);
    (void)H5Sclose(space);
    return written ? CN_OK : fail(name);
}

/* Of variable length: such a text may be longer than an attribute of fixed size. */
cn_status cn__h5_put_text(const cn__h5 *h5, const char *group, const char *name, const char *text)
{
    hid_t at = open_group(h5->file, group), type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, H5T_VARIABLE);
    cn_status status = put_attribute(at, name, type, H5Screate(H5S_SCALAR), &text);
    if (at >= 0)
        (void)H5Gclose(at);
    return status;
}

/* `count` texts in places of `size` bytes each. */
static cn_status put_part(hid_t group, const char *name, const char *const *texts, size_t count,
                          size_t size)
{
    char *bytes = cn__calloc(count > 0 ? count : 1, size);
    if (bytes == NULL)
        return cn_error_status();
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * size, texts[i], strlen(texts[i]));
    hid_t type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, size);
    (void)H5Tset_strpad(type, H5T_STR_NULLPAD);
    hsize_t dims[1] = {count};
    cn_status status = put_attribute(group, name, type, H5Screate_simple(1, dims, NULL), bytes);
    cn__free(bytes);
    return status;
}

cn_status cn__h5_put_texts(const cn__h5 *h5, const char *group, const char *name,
                           const char *const *texts, size_t count)
{
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        size = strlen(texts[i]) > size ? strlen(texts[i]) : size;
    if (size > MOST_ATTRIBUTE)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "%s: a name of %zu bytes is more than the %zu an .h5 "
                        "file can have; .keras has no such limit",
                        name, size, MOST_ATTRIBUTE);
    hid_t at = open_group(h5->file, group);
    size_t most = MOST_ATTRIBUTE / size, parts = (count + most - 1) / most;
    cn_status status = at >= 0 ? CN_OK : fail(group);
    if (status == CN_OK && parts <= 1)
        status = put_part(at, name, texts, count, size);
    for (size_t i = 0; status == CN_OK && parts > 1 && i < parts; i++) {
        char part[64];
        size_t begin = i * most, rest = count - begin;
        (void)snprintf(part, sizeof part, "%s%zu", name, i);
        status = put_part(at, part, texts + begin, rest < most ? rest : most, size);
    }
    if (at >= 0)
        (void)H5Gclose(at);
    return status;
}

/* ---- the file ---- */

static cn_status take_image(hid_t file, void **bytes, size_t *size)
{
    ssize_t length = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file, NULL, 0);
    if (length <= 0)
        return fail("the file");
    *bytes = cn__alloc((size_t)length);
    if (*bytes == NULL)
        return cn_error_status();
    *size = (size_t)length;
    if (H5Fget_file_image(file, *bytes, *size) == length)
        return CN_OK;
    cn__free(*bytes);
    *bytes = NULL;
    return fail("the file");
}

static cn_status make(const cn__keras_saving *s, cn__h5_filler *fill, const cn_model *model,
                      void **bytes, size_t *size)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    cn__h5 h5 = {.file = H5I_INVALID_HID};
    if (H5Pset_fapl_core(access, GROWTH, false) >= 0)
        h5.file = H5Fcreate("model.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    (void)H5Pclose(access);
    if (h5.file < 0)
        return fail("the file");
    cn_status status = fill(s, &h5, model);
    if (status == CN_OK)
        status = take_image(h5.file, bytes, size);
    (void)H5Fclose(h5.file);
    return status;
}

cn_status cn__h5_make(const cn__keras_saving *s, cn__h5_filler *fill, const cn_model *model,
                      void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    cn__h5_quiet before = cn__h5_begin();
    cn_status status = make(s, fill, model, bytes, size);
    cn__h5_end(before);
    return status;
}
