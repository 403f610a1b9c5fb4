/* A folder of folders of pictures as a data set. */
#include "formats/image.h"
#include "formats/file.h"
#include "data/data.h"

#include "cornu/formats.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct picture {
    const char *path;
    int32_t label;
} picture;

typedef struct image_folder {
    cn__arena *arena; /* of all names */
    cn_image_folder_options options;
    picture *pictures;
    size_t count, capacity;
} image_folder;

/* Names, in the arena. */
typedef struct list {
    char **items;
    size_t count, capacity;
} list;

/* ---- listing ---- */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A regular file with a picture's ending; what a symbolic link points to counts. */
static bool is_picture(const char *path)
{
    struct stat info;
    const char *ending = strrchr(path, '.');
    return ending &&
           (strcasecmp(ending, ".png") == 0 || strcasecmp(ending, ".jpg") == 0 ||
            strcasecmp(ending, ".jpeg") == 0) &&
           stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds PATH/NAME to the list if `wanted` says so. */
static cn_status add_entry(cn__arena *arena, const char *path, const char *name,
                           bool (*wanted)(const char *path), list *entries)
{
    char *full = cn__arena_printf(arena, "%s/%s", path, name);
    if (!full)
        return CN_ERROR_MEMORY;
    if (!wanted(full))
        return CN_OK;
    CN__TRY(cn__grow(&entries->items, &entries->capacity, entries->count, entries->count + 1,
                     sizeof *entries->items));
    entries->items[entries->count++] = full;
    return CN_OK;
}

/* The paths in a folder that are wanted and not hidden, in the order of their bytes. */
static cn_status list_folder(cn__arena *arena, const char *path, bool (*wanted)(const char *path),
                             list *entries)
{
    DIR *folder = opendir(path);
    if (!folder)
        return cn__file_fail(path, "open as a folder");
    cn_status status = CN_OK;
    while (status == CN_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry && errno != 0)
            status = cn__file_fail(path, "read");
        if (!entry)
            break;
        if (entry->d_name[0] != '.')
            status = add_entry(arena, path, entry->d_name, wanted, entries);
    }
    (void)closedir(folder);
    if (status == CN_OK && entries->count > 1)
        qsort(entries->items, entries->count, sizeof *entries->items, compare_names);
    return status;
}

static cn_status add_class(image_folder *f, const char *path, int32_t label)
{
    list files = {0};
    cn_status status = list_folder(f->arena, path, is_picture, &files);
    if (status == CN_OK && files.count > 0)
        status = cn__grow(&f->pictures, &f->capacity, f->count, f->count + files.count,
                          sizeof *f->pictures);
    for (size_t i = 0; status == CN_OK && i < files.count; i++)
        f->pictures[f->count++] = (picture){files.items[i], label};
    cn__free(files.items);
    return status;
}

/* The names after the last slash, one in a line. */
static cn_status join_names(const char *path, const list *classes, char **names)
{
    size_t size = 1, skipped = strlen(path) + 1;
    for (size_t i = 0; i < classes->count; i++)
        size += strlen(classes->items[i]) - skipped + 1;
    char *end = *names = cn__alloc(size);
    if (!end)
        return CN_ERROR_MEMORY;
    for (size_t i = 0; i < classes->count; i++) {
        const char *name = classes->items[i] + skipped;
        size_t length = strlen(name);
        memcpy(end, name, length);
        end += length;
        *end++ = '\n';
    }
    *end = '\0';
    return CN_OK;
}

static cn_status add_classes(image_folder *f, const char *path, const list *classes)
{
    if (classes->count == 0)
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: has no folders in it; there must be one for each class", path);
    if (classes->count > INT32_MAX)
        return cn__fail(CN_ERROR_UNSUPPORTED, "%s: has too many folders", path);
    for (size_t i = 0; i < classes->count; i++) {
        if (strchr(classes->items[i] + strlen(path), '\n'))
            return cn__fail(CN_ERROR_UNSUPPORTED,
                            "%s: a class cannot have a line break in its name", classes->items[i]);
        CN__TRY(add_class(f, classes->items[i], (int32_t)i));
    }
    if (f->count == 0)
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: there are no pictures (.png, .jpg, .jpeg) in its %zu folders", path,
                        classes->count);
    return CN_OK;
}

static cn_status find_pictures(image_folder *f, const char *path, char **names)
{
    list classes = {0};
    cn_status status = list_folder(f->arena, path, is_folder, &classes);
    if (status == CN_OK)
        status = add_classes(f, path, &classes);
    if (status == CN_OK && names)
        status = join_names(path, &classes, names);
    cn__free(classes.items);
    return status;
}

/* ---- reading ---- */

static void scale(const cn_array *image, float *to)
{
    const float *from = cn_array_const_floats(image);
    int64_t count = cn_array_count(image);
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i] / 255;
}

static cn_status read_picture(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    (void)draw;
    const image_folder *f = context;
    const cn_image_folder_options *o = &f->options;
    cn_array *image = cn_image_read(f->pictures[index].path, o->channels);
    if (!image)
        return cn_error_status();
    const cn_shape *shape = cn_array_shape(image);
    if (shape->dim[0] != o->height || shape->dim[1] != o->width) {
        cn_array *resized = cn_image_resize(image, o->height, o->width, CN_RESIZE_BILINEAR);
        cn_array_free(image);
        if (!resized)
            return cn__fail_within("%s", f->pictures[index].path);
        image = resized;
    }
    scale(image, fields[0]);
    *(int32_t *)fields[1] = f->pictures[index].label;
    cn_array_free(image);
    return CN_OK;
}

/* ---- making it ---- */

static void release(void *context)
{
    image_folder *f = context;
    cn__free(f->pictures);
    cn__arena_free(f->arena);
    cn__free(f);
}

static cn_status take_options(image_folder *f, const cn_image_folder_options *options)
{
    cn_image_folder_options *o = &f->options;
    CN__TRY(cn__take_options("cn_image_folder", o, sizeof *o, options));
    o->height = o->height ? o->height : 256;
    o->width = o->width ? o->width : 256;
    o->channels = o->channels ? o->channels : 3;
    if (o->channels != 1 && o->channels != 3)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_image_folder: channels must be 1 (grey) or 3, not %d", o->channels);
    if (o->height < 1 || o->width < 1 || o->height > CN__IMAGE_MAX_PIXELS / o->width)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_image_folder: height and width must be at least 1 and have at most "
                        "%lld pixels, not %lld x %lld",
                        (long long)CN__IMAGE_MAX_PIXELS, (long long)o->height, (long long)o->width);
    return CN_OK;
}

static cn_status prepare(image_folder *f, const char *path, const cn_image_folder_options *options,
                         char **names)
{
    CN__TRY(take_options(f, options));
    f->arena = cn__arena_new();
    return f->arena ? find_pictures(f, path, names) : CN_ERROR_MEMORY;
}

cn_dataset *cn_image_folder_new(const char *path, const cn_image_folder_options *options,
                                char **names)
{
    if (names)
        *names = NULL;
    if (!path)
        return (void)cn__fail_null_argument("cn_image_folder"), NULL;
    image_folder *f = cn__calloc(1, sizeof *f);
    if (!f)
        return NULL;
    if (prepare(f, path, options, names) != CN_OK)
        return release(f), NULL;
    cn_dataset_source source = {.count = (int64_t)f->count,
                                .inputs = 1,
                                .targets = 1,
                                .dtypes = {CN_FLOAT32, CN_INT32},
                                .read = read_picture,
                                .release = release,
                                .context = f,
                                .slow = true};
    source.shapes[0] = cn_shape_of(f->options.height, f->options.width, f->options.channels);
    source.shapes[1] = (cn_shape){.rank = 0};
    cn_dataset *dataset = cn_dataset_new(&source);
    if (!dataset && names) {
        cn__free(*names);
        *names = NULL;
    }
    return dataset;
}
