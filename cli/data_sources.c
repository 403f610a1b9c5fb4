/* Where samples come from: folders of pictures, MNIST, CIFAR-10, drawings. */
#include "data.h"
#include "feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int data_append(data *d, cn_dataset *made)
{
    if (!made || d->made_count == DATA_MADE) {
        cn_dataset_free(made);
        return cli_fail_library();
    }
    d->set = d->made[d->made_count++] = made;
    return CLI_OK;
}

/* The text after "mnist:" and the like; NULL if the data are something else. */
static const char *after(const char *spec, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(spec, prefix, length) == 0 ? spec + length : NULL;
}

void data_found(data *d, const char *format, ...)
{
    char text[sizeof d->found - 32];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(d->found, sizeof d->found, "%" PRId64 " %s", cn_dataset_count(d->set), text);
}

int data_append_arrays(data *d, int inputs)
{
    cn_array_list x = {inputs, (const cn_array *const *)d->arrays};
    cn_array_list y = {d->array_count - inputs, (const cn_array *const *)d->arrays + inputs};
    return data_append(d, cn_dataset_from_arrays(x, y));
}

static int append_pictures(data *d, cn_array *images, cn_array *labels)
{
    d->pictures = true;
    d->arrays[0] = images;
    d->arrays[1] = labels;
    d->array_count = 2;
    return data_append_arrays(d, 1);
}

/* ---- pictures ---- */

/* What pictures to make for the model. */
static int need_form(const data *d, const data_options *o, data_form *form)
{
    char text[200];
    if (!data_picture_form(o->model, &o->size, form))
        return cli_fail_usage(
            "Give an .npz with the arrays x0, x1 ... and t0, t1 ...",
            "%s: the model takes %s, which is no picture of 1 or 3 channels", d->spec,
            cn_shape_text(cn_tensor_shape(cn_model_input(o->model)), text, sizeof text));
    if (form->size[0] < 1 || form->size[1] < 1)
        return cli_fail_usage(NULL, "the model takes pictures of any size: --size HxW is needed");
    for (int i = 0; i < 2 && o->size.rank > 0; i++)
        if (form->size[i] != form->shrink * o->size.dim[o->size.rank == 1 ? 0 : i])
            return cli_fail_usage(NULL, "--size: the model takes pictures of %" PRId64 "x%" PRId64,
                                  form->size[0] / form->shrink, form->size[1] / form->shrink);
    return CLI_OK;
}

static int read_folder(data *d, const data_options *o)
{
    data_form form;
    int code = need_form(d, o, &form);
    if (code != CLI_OK)
        return code;
    d->pictures = d->ordered = true;
    char *names = NULL;
    cn_image_folder_options options = {.size_ = sizeof options,
                                       .height = form.size[0],
                                       .width = form.size[1],
                                       .channels = (int)form.size[2]};
    code = data_append(d, cn_image_folder_new(d->spec, &options, &names));
    int folders = 0;
    for (const char *at = names; at && *at; at++)
        folders += *at == '\n' || at[1] == '\0';
    if (code == CLI_OK)
        data_found(d, "pictures in %d folder%s", folders, folders == 1 ? "" : "s");
    cn_free_text(names);
    return code;
}

/* "COUNT" or "COUNT:SEED"; pictures to test with are others than those to train with. */
static int read_shapes(data *d, const char *text, const data_options *o)
{
    char *end;
    data_form form;
    long long count = strtoll(text, &end, 10), seed = o->test;
    if (*end == ':' && end[1] != '\0')
        seed = strtoll(end + 1, &end, 10);
    if (*end != '\0' || count < 1 || seed < 0)
        return cli_fail_usage(NULL,
                              "shapes:COUNT takes a number from 1, as in shapes:1000 or, "
                              "with a seed, shapes:1000:7, but got `%s`",
                              d->spec);
    int code = need_form(d, o, &form);
    if (code != CLI_OK)
        return code;
    int64_t size = form.size[0] > form.size[1] ? form.size[0] : form.size[1];
    size = size < 8 ? 8 : size > 1024 ? 1024 : size;
    d->pictures = true;
    code = data_append(d, cn_drawn_shapes_dataset((uint64_t)seed, count, size));
    if (code == CLI_OK)
        data_found(d, "drawn pictures of seed %lld, 10 classes", seed);
    return code;
}

/* ---- MNIST ---- */

/* The path of a file of MNIST: of the names that it goes by the one that is there. */
static bool find_idx(const char *folder, const char *part, const char *what, char path[4096])
{
    static const char separators[] = {'-', '.'};
    static const char *const endings[] = {"", ".gz"};
    struct stat found;
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, 4096, "%s/%s-%s%c%s-ubyte%s", folder, part, what, separators[i / 2],
                       strcmp(what, "images") == 0 ? "idx3" : "idx1", endings[i % 2]);
        if (stat(path, &found) == 0)
            return true;
    }
    return false;
}

/* (n, 28, 28), 0 to 255, as pictures of one channel, 0 to 1. */
static cn_status as_pictures(cn_array *images)
{
    const cn_shape *has = cn_array_shape(images);
    float *value = cn_array_floats(images);
    for (int64_t i = 0; value && i < cn_array_count(images); i++)
        value[i] /= 255;
    if (has->rank != 3)
        return CN_OK;
    cn_shape shape = cn_shape_of(has->dim[0], has->dim[1], has->dim[2], 1);
    return cn_array_reshape(images, &shape);
}

/* Classes are numbered from 0. */
static int class_count(const cn_array *labels)
{
    const int32_t *label = cn_array_const_ints(labels);
    int count = 0;
    for (int64_t i = 0; label && i < cn_array_count(labels); i++)
        count = label[i] >= count ? label[i] + 1 : count;
    return count;
}

static int read_mnist(data *d, const char *folder, bool test)
{
    static const char *const parts[] = {"train", "t10k"};
    char images[4096], labels[4096];
    bool found = false, other = false;
    for (int i = 0; i < 2 && !found; i++) {
        const char *part = parts[test ? 1 - i : i];
        other = i > 0;
        found =
            find_idx(folder, part, "images", images) && find_idx(folder, part, "labels", labels);
    }
    if (!found)
        return cli_fail("%s: there are no train-images-idx3-ubyte and train-labels-idx1-ubyte, nor "
                        "those that begin with t10k; they may end in .gz",
                        folder);
    cn_array *pictures = cn_idx_read(images), *classes = pictures ? cn_idx_read(labels) : NULL;
    if (classes && as_pictures(pictures) == CN_OK) {
        int code = append_pictures(d, pictures, classes);
        const char *missing = !other ? ""
                              : test ? " (no t10k files there)"
                                     : " (no train files there)";
        if (code == CLI_OK)
            data_found(d, "pictures from %s%s, %d classes", feed_name(images), missing,
                       class_count(classes));
        return code;
    }
    cn_array_free(pictures);
    cn_array_free(classes);
    return cli_fail_library();
}

/* ---- CIFAR-10 ---- */

static int read_cifar10(data *d, const char *list)
{
    enum { MOST = 64 };
    const char *paths[MOST];
    int count = 0;
    cn_array *images = NULL, *labels = NULL;
    char *copy = strdup(list);
    for (char *at = copy; at && count < MOST;) {
        paths[count++] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = '\0';
    }
    cn_status status = copy ? cn_cifar10_read(count, paths, &images, &labels) : CN_ERROR_MEMORY;
    free(copy);
    int code = status == CN_OK ? append_pictures(d, images, labels) : cli_fail_library();
    if (code == CLI_OK)
        data_found(d, "pictures from %d file%s of CIFAR-10, 10 classes", count,
                   count == 1 ? "" : "s");
    return code;
}

/* ---- any ---- */

/* There is no such file: it may be one of the other kinds, mistyped. */
static int fail_unknown(const char *spec)
{
    static const char *const kinds[] = {"mnist", "cifar10", "shapes"};
    static const char *const written[] = {"mnist:FOLDER", "cifar10:FILE,...", "shapes:COUNT"};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    char name[32];
    int error = errno;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
    const char *nearest = cli_nearest(name, kinds, KINDS, sizeof *kinds);
    bool exact = nearest && strcmp(name, nearest) == 0;
    for (int i = 0; i < KINDS; i++)
        if (nearest == kinds[i])
            return cli_fail_usage(NULL, "--data: there is no file or folder %s: %s %s%s", spec,
                                  exact ? "write" : "did you mean", written[i], exact ? "" : "?");
    return cli_fail("%s: %s", spec, strerror(error));
}

int data_read(data *d, const data_options *o)
{
    struct stat found;
    const char *rest;
    if ((rest = after(d->spec, "shapes:")) != NULL)
        return read_shapes(d, rest, o);
    if ((rest = after(d->spec, "mnist:")) != NULL)
        return read_mnist(d, rest, o->test);
    if ((rest = after(d->spec, "cifar10:")) != NULL)
        return read_cifar10(d, rest);
    if (feed_ends(d->spec, ".npz"))
        return data_read_npz(d, o->model);
    if (stat(d->spec, &found) != 0)
        return fail_unknown(d->spec);
    if (S_ISDIR(found.st_mode))
        return read_folder(d, o);
    return cli_fail_usage("It takes an .npz, a folder, mnist:FOLDER, cifar10:FILE,... or "
                          "shapes:COUNT.",
                          "--data: %s is none of what it takes", d->spec);
}

/* ---- another order ---- */

typedef struct shuffled {
    cn_dataset *base;
    int64_t order[];
} shuffled;

static cn_status read_shuffled(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    const shuffled *s = context;
    return cn_dataset_read(s->base, s->order[index], draw, fields);
}

/* splitmix64, Steele et al., OOPSLA 2014. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

int data_shuffle(data *d, uint64_t seed)
{
    int64_t count = cn_dataset_count(d->set);
    shuffled *s = malloc(sizeof *s + (size_t)count * sizeof *s->order);
    if (!s)
        return cli_fail("no memory");
    s->base = d->set;
    for (int64_t i = 0; i < count; i++) {
        int64_t j = (int64_t)(next_random(&seed) % (uint64_t)(i + 1));
        s->order[i] = s->order[j];
        s->order[j] = i;
    }
    cn_dataset_source source = {.count = count,
                                .inputs = cn_dataset_inputs(d->set),
                                .targets = cn_dataset_targets(d->set),
                                .read = read_shuffled,
                                .release = free,
                                .context = s,
                                .slow = cn_dataset_is_slow(d->set)};
    for (int i = 0; i < source.inputs + source.targets; i++) {
        source.dtypes[i] = cn_dataset_dtype(d->set, i);
        source.shapes[i] = *cn_dataset_shape(d->set, i);
    }
    return data_append(d, cn_dataset_new(&source));
}
