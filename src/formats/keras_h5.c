/* Reading HDF5 with libhdf5, which may be used by one thread at a time only and would print its
 * failures: every function here takes a lock and silences it for the while. Links to other files
 * are not followed, and sizes are checked before memory is taken. */
#include "formats/keras_h5.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MOST_PARTS = 10000 };
#define MOST_ATTRIBUTE ((size_t)32 << 20) /* bytes of one attribute */

/* ---- one thread at a time, in silence ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

cn__h5_quiet cn__h5_begin(void)
{
    cn__h5_quiet before = {NULL, NULL};
    (void)pthread_mutex_lock(&lock);
    (void)H5Eget_auto2(H5E_DEFAULT, &before.function, &before.data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return before;
}

void cn__h5_end(cn__h5_quiet before)
{
    (void)H5Eclear2(H5E_DEFAULT);
    (void)H5Eset_auto2(H5E_DEFAULT, before.function, before.data);
    (void)pthread_mutex_unlock(&lock);
}

/* ---- files ---- */

/* libhdf5 asks these for the memory of a file that is in memory: it always gets ours. */
typedef struct image {
    void *bytes;
    size_t size;
} image;

static void *image_malloc(size_t size, H5FD_file_image_op_t operation, void *data)
{
    const image *i = data;
    (void)operation;
    return size <= i->size ? i->bytes : NULL;
}

static void *image_memcpy(void *to, const void *from, size_t size, H5FD_file_image_op_t operation,
                          void *data)
{
    (void)operation;
    (void)data;
    return to == from ? to : memcpy(to, from, size);
}

static void *image_realloc(void *bytes, size_t size, H5FD_file_image_op_t operation, void *data)
{
    const image *i = data;
    (void)operation;
    return size <= i->size ? bytes : NULL;
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t operation, void *data)
{
    (void)bytes;
    (void)operation;
    (void)data;
    return 0;
}

static void *image_copy_data(void *data)
{
    return data;
}

static herr_t image_free_data(void *data)
{
    (void)data;
    return 0;
}

static hid_t open_image(image *i)
{
    H5FD_file_image_callbacks_t callbacks = {
        image_malloc, image_memcpy, image_realloc, image_free, image_copy_data, image_free_data, i};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t file = H5I_INVALID_HID;
    if (H5Pset_fapl_core(access, (size_t)64 << 10, false) >= 0 &&
        H5Pset_file_image_callbacks(access, &callbacks) >= 0 &&
        H5Pset_file_image(access, i->bytes, i->size) >= 0)
        file = H5Fopen("model.weights.h5", H5F_ACC_RDONLY, access);
    (void)H5Pclose(access);
    return file;
}

cn_status cn__h5_open(const char *path, cn__h5 *h5)
{
    *h5 = (cn__h5){.file = H5I_INVALID_HID};
    CN__TRY(cn__h5_open_bytes(path, h5));
    cn__h5_quiet before = cn__h5_begin();
    h5->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    cn__h5_end(before);
    if (h5->file >= 0)
        return CN_OK;
    cn__h5_close(h5);
    return cn__fail(CN_ERROR_FORMAT, "it is no HDF5 file, or a broken or truncated one");
}

cn_status cn__h5_open_image(void *bytes, size_t size, cn__h5 *h5)
{
    *h5 = (cn__h5){.file = H5I_INVALID_HID, .size = size};
    image *i = cn__alloc(sizeof *i);
    if (i == NULL) {
        cn__free(bytes);
        return cn_error_status();
    }
    *i = (image){bytes, size};
    h5->image = i;
    cn__h5_quiet before = cn__h5_begin();
    h5->file = open_image(i);
    cn__h5_end(before);
    if (h5->file >= 0)
        return CN_OK;
    cn__h5_close(h5);
    return cn__fail(CN_ERROR_FORMAT,
                    "model.weights.h5 is no HDF5 file, or a broken or truncated one");
}

const void *cn__h5_image_bytes(const cn__h5 *h5)
{
    return ((const image *)h5->image)->bytes;
}

void cn__h5_close(cn__h5 *h5)
{
    image *i = h5->image;
    if (h5->file >= 0) {
        cn__h5_quiet before = cn__h5_begin();
        (void)H5Fclose(h5->file);
        cn__h5_end(before);
    }
    if (h5->stream != NULL)
        (void)fclose(h5->stream);
    if (i != NULL) {
        cn__free(i->bytes);
        cn__free(i);
    }
    *h5 = (cn__h5){.file = H5I_INVALID_HID};
}

/* ---- objects ---- */

static herr_t refuse_link(const char *parent_file, const char *parent_group, const char *child_file,
                          const char *child, unsigned *flags, hid_t access, void *data)
{
    (void)parent_file, (void)parent_group, (void)child_file, (void)child, (void)flags, (void)access,
        (void)data;
    return -1;
}

hid_t cn__h5_object(const cn__h5 *h5, const char *name)
{
    hid_t access = H5Pcreate(H5P_LINK_ACCESS);
    hid_t object = H5I_INVALID_HID;
    if (H5Pset_elink_cb(access, refuse_link, NULL) >= 0)
        object = H5Oopen(h5->file, name, access);
    (void)H5Pclose(access);
    return object;
}

bool cn__h5_has(const cn__h5 *h5, const char *name)
{
    cn__h5_quiet before = cn__h5_begin();
    hid_t object = cn__h5_object(h5, name);
    if (object >= 0)
        (void)H5Oclose(object);
    cn__h5_end(before);
    return object >= 0;
}

bool cn__h5_has_attribute(const cn__h5 *h5, const char *name, const char *attribute)
{
    cn__h5_quiet before = cn__h5_begin();
    hid_t object = cn__h5_object(h5, name);
    bool has = object >= 0 && H5Aexists(object, attribute) > 0;
    if (object >= 0)
        (void)H5Oclose(object);
    cn__h5_end(before);
    return has;
}

/* ---- attributes ---- */

/* Texts being gathered. */
typedef struct texts {
    const cn__h5 *h5;
    cn__arena *arena;
    const char **list;
    size_t count, capacity;
    size_t bytes; /* of all texts */
} texts;

static cn_status add_text(texts *t, const char *bytes, size_t length)
{
    t->bytes += length;
    if (t->bytes > MOST_ATTRIBUTE)
        return cn__fail(CN_ERROR_FORMAT, "the texts are larger than can be meant");
    CN__TRY(cn__grow(&t->list, &t->capacity, t->count, t->count + 1, sizeof *t->list));
    char *copy = cn__arena_alloc(t->arena, length + 1);
    if (copy == NULL)
        return cn_error_status();
    memcpy(copy, bytes, length);
    t->list[t->count++] = copy;
    return CN_OK;
}

static cn_status fail_attribute(const char *name, const char *rule)
{
    return cn__fail(CN_ERROR_FORMAT, "the attribute %s %s", name, rule);
}

/* Texts of a fixed size, filled up with zeros or blanks. */
static cn_status read_fixed(hid_t attribute, hid_t type, const char *name, size_t count, texts *t)
{
    size_t size = H5Tget_size(type);
    size_t bytes;
    if (size == 0 || __builtin_mul_overflow(size, count, &bytes) || bytes > MOST_ATTRIBUTE)
        return fail_attribute(name, "is larger than can be meant");
    char *read = cn__alloc(bytes);
    if (read == NULL)
        return cn_error_status();
    bool blanks = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    cn_status status =
        H5Aread(attribute, type, read) < 0 ? fail_attribute(name, "cannot be read") : CN_OK;
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        size_t length = strnlen(read + i * size, size);
        while (blanks && length > 0 && read[i * size + length - 1] == ' ')
            length--;
        status = add_text(t, read + i * size, length);
    }
    cn__free(read);
    return status;
}

static cn_status read_variable(hid_t attribute, const char *name, size_t count, texts *t)
{
    if (count > MOST_ATTRIBUTE / 16) /* what one takes in the file, at least */
        return fail_attribute(name, "is larger than can be meant");
    cn__h5_heap heap;
    cn_status status = cn__h5_heap_open(t->h5, &heap);
    cn__h5_reference *references = status == CN_OK ? cn__calloc(count, sizeof *references) : NULL;
    if (status == CN_OK)
        status = references == NULL ? cn_error_status()
                                    : cn__h5_read_references(attribute, count, references);
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        const char *text;
        size_t length;
        status = cn__h5_heap_text(&heap, &references[i], &text, &length);
        if (status == CN_OK)
            status = add_text(t, text, length);
    }
    cn__free(references);
    cn__h5_heap_close(&heap);
    return status == CN_OK ? CN_OK : cn__fail_within("the attribute %s", name);
}

static cn_status read_attribute(hid_t attribute, const char *name, texts *t)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    cn_status status = CN_OK;
    if (type < 0 || count < 0)
        status = fail_attribute(name, "cannot be read");
    else if (count == 0) /* an empty list may be of any type */
        status = CN_OK;
    else if (H5Tget_class(type) != H5T_STRING)
        status = fail_attribute(name, "is no text or list of texts");
    else if (H5Tis_variable_str(type) > 0)
        status = read_variable(attribute, name, (size_t)count, t);
    else
        status = read_fixed(attribute, type, name, (size_t)count, t);
    if (type >= 0)
        (void)H5Tclose(type);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

/* Reads the attribute if it is there. */
static cn_status read_named(hid_t object, const char *name, texts *t, bool *found)
{
    *found = H5Aexists(object, name) > 0;
    if (!*found)
        return CN_OK;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0)
        return fail_attribute(name, "cannot be read");
    cn_status status = read_attribute(attribute, name, t);
    (void)H5Aclose(attribute);
    return status;
}

/* The attribute, or NAME0, NAME1, ... which Keras writes if it would be too long. */
static cn_status read_parts(hid_t object, const char *name, texts *t, bool *found)
{
    CN__TRY(read_named(object, name, t, found));
    bool more = !*found;
    for (int i = 0; more && i < MOST_PARTS; i++) {
        char part[64];
        (void)snprintf(part, sizeof part, "%s%d", name, i);
        CN__TRY(read_named(object, part, t, &more));
        *found = *found || more;
    }
    return CN_OK;
}

static cn_status read_texts(const char *object, const char *name, texts *t, bool *found)
{
    cn__h5_quiet before = cn__h5_begin();
    hid_t opened = cn__h5_object(t->h5, object);
    cn_status status = opened < 0 ? cn__fail(CN_ERROR_FORMAT, "the file has no group %s", object)
                                  : read_parts(opened, name, t, found);
    if (opened >= 0)
        (void)H5Oclose(opened);
    cn__h5_end(before);
    return status;
}

cn_status cn__h5_texts(const cn__h5 *h5, cn__arena *arena, const char *object, const char *name,
                       const char *const **list, int *count)
{
    texts t = {.h5 = h5, .arena = arena};
    bool found = false;
    *list = NULL;
    *count = 0;
    cn_status status = read_texts(object, name, &t, &found);
    if (status == CN_OK && !found)
        status = cn__fail(CN_ERROR_FORMAT, "the group %s has no attribute %s", object, name);
    if (status == CN_OK && t.count > 0) {
        *list = cn__arena_copy(arena, t.list, t.count * sizeof *t.list);
        *count = (int)t.count;
        status = *list == NULL ? cn_error_status() : CN_OK;
    }
    cn__free(t.list);
    return status;
}

cn_status cn__h5_text(const cn__h5 *h5, cn__arena *arena, const char *object, const char *name,
                      const char **text)
{
    texts t = {.h5 = h5, .arena = arena};
    bool found = false;
    *text = NULL;
    cn_status status = read_texts(object, name, &t, &found);
    if (status == CN_OK && found && t.count != 1)
        status = fail_attribute(name, "should be one text");
    if (status == CN_OK && found)
        *text = t.list[0];
    cn__free(t.list);
    return status;
}
