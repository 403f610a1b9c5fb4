/* Feeding a model. */
#include "feed.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

bool feed_ends(const char *path, const char *ending)
{
    size_t length = strlen(path), width = strlen(ending);
    return length >= width && strcasecmp(path + length - width, ending) == 0;
}

const char *feed_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *feed_stem(const char *path, char *text, size_t size)
{
    const char *name = feed_name(path);
    const char *dot = strrchr(name, '.');
    size_t length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    (void)snprintf(text, size, "%.*s", (int)length, name);
    return text;
}

/* ---- opening ---- */

/* "0.5" or "2/255". */
static bool read_number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text)
        return false;
    if (*end == '/') {
        const char *below = end + 1;
        double divisor = strtod(below, &end);
        if (end == below || divisor == 0)
            return false;
        *value /= divisor;
    }
    return *end == '\0' && isfinite(*value);
}

/* A model that scales its input itself takes 0 to 255. */
static bool scales_itself(const cn_model *model)
{
    for (int i = 0; i < 2 && i < cn_model_layer_count(model); i++) {
        const char *type = cn_layer_type(cn_model_layer(model, i));
        if (strcmp(type, "Rescaling") == 0 || strcmp(type, "Normalization") == 0)
            return true;
    }
    return false;
}

static int take_numbers(feed *f, const feed_options *options)
{
    f->scale = scales_itself(f->model) ? 1 : 1.0 / 255;
    if (options->scale && (!read_number(options->scale, &f->scale) || f->scale == 0))
        return cli_fail_usage(NULL, "--scale takes a number such as 0.5 or 2/255, but got `%s`",
                              options->scale);
    if (options->offset && !read_number(options->offset, &f->offset))
        return cli_fail_usage(NULL, "--offset takes a number such as -1 or 1/2, but got `%s`",
                              options->offset);
    f->size = options->size;
    if (f->size.rank == 1)
        f->size = (cli_extents){2, {f->size.dim[0], f->size.dim[0]}};
    if (f->size.rank > 2 || (f->size.rank == 2 && (f->size.dim[0] < 1 || f->size.dim[1] < 1)))
        return cli_fail_usage(NULL, "--size takes height and width, as in 64x64");
    return CLI_OK;
}

/* The model, its weights from a file of their own unless that is NULL. */
static cn_model *load(const char *model_path, const char *weights_path, cn_backend backend)
{
    cn_load_options options = {.backend = backend, .no_compile = true};
    cn_model *model = cn_model_load(model_path, &options);
    if (!model || !weights_path || cn_model_load_weights(model, weights_path, &options) == CN_OK)
        return model;
    cn_model_free(model);
    return NULL;
}

/* A size that was asked for, where the model has its own. */
static int check_size(const feed *f)
{
    const cn_shape *takes = cn_tensor_shape(cn_model_input(f->model));
    const int64_t *fixed = takes->dim + (f->format == CN_CHANNELS_FIRST ? 2 : 1);
    if (f->size.rank == 0 || takes->rank != 4)
        return CLI_OK;
    for (int i = 0; i < 2; i++)
        if (fixed[i] > 0 && fixed[i] != f->size.dim[i])
            return cli_fail_usage(
                NULL,
                "--size %" PRId64 "x%" PRId64 ": %s takes pictures of %" PRId64 "x%" PRId64 " only",
                f->size.dim[0], f->size.dim[1], f->model_path, fixed[0], fixed[1]);
    return CLI_OK;
}

static int check_model(feed *f, const feed_options *options)
{
    int code = take_numbers(f, options);
    if (!options->weights && feed_ends(f->model_path, ".json"))
        cli_note("%s has no weights; they are random: --weights FILE reads some", f->model_path);
    return code == CLI_OK ? check_size(f) : code;
}

int feed_open(feed *f, const feed_options *options, const char *model_path)
{
    *f = (feed){.model_path = model_path, .color = options->color};
    if (options->threads < 0 || options->threads > 1024)
        return cli_fail_usage(NULL, "--threads takes a number from 1 to 1024, but got %" PRId64,
                              options->threads);
    f->model = load(model_path, options->weights, (cn_backend)options->backend);
    if (!f->model)
        return cli_fail_library();
    f->format = cn_model_data_format(f->model);
    f->pool = cn_pool_new((int)options->threads);
    return f->pool ? check_model(f, options) : cli_fail_library();
}

void feed_close(feed *f)
{
    cn_model_free(f->model);
    cn_pool_free(f->pool);
    *f = (feed){0};
}

void feed_free(cn_array **arrays, int count)
{
    for (int i = 0; arrays && i < count; i++)
        cn_array_free(arrays[i]);
    free(arrays);
}

/* ---- layers ---- */

enum { LAYERS = 400, LIST = 3000 };

/* Appends "NAME, " to a list that ends with "..." when it is full. */
static void append(char *list, const char *name)
{
    size_t used = strlen(list);
    if (used + strlen(name) + 8 < LIST)
        (void)snprintf(list + used, LIST - used, "%s%s", used ? ", " : "", name);
    else if (!feed_ends(list, "..."))
        (void)snprintf(list + used, LIST - used, ", ...");
}

static void list_layers(const cn_model *model, const char *name, char *list)
{
    const char *names[LAYERS];
    int count = cn_model_layer_count(model);
    count = count < LAYERS ? count : LAYERS;
    for (int i = 0; i < count; i++)
        names[i] = cn_layer_name(cn_model_layer(model, i));
    const char *nearest = cli_nearest(name, names, (size_t)count, sizeof *names);
    list[0] = '\0';
    if (nearest)
        append(list, nearest);
    for (int i = 0; i < count; i++)
        if (names[i] != nearest)
            append(list, names[i]);
}

static cn_layer *first_convolution(const cn_model *model)
{
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i);
        if (strncmp(cn_layer_type(layer), "Conv", 4) == 0 ||
            strncmp(cn_layer_type(layer), "Separable", 9) == 0)
            return layer;
    }
    return NULL;
}

cn_layer *feed_layer(const feed *f, const char *name, int *code)
{
    char list[LIST], hint[LIST + 100];
    cn_layer *layer = name ? cn_model_layer_named(f->model, name) : first_convolution(f->model);
    if (layer)
        return layer;
    list_layers(f->model, name ? name : "", list);
    (void)snprintf(hint, sizeof hint, "Its layers: %s", list);
    *code = name ? cli_fail_usage(hint, "%s has no layer `%s`", f->model_path, name)
                 : cli_fail_usage(hint, "%s has no convolution at the top: --layer NAME is needed",
                                  f->model_path);
    return NULL;
}

/* ---- arrays in ---- */

static cn_array *as_floats(cn_array *array)
{
    const int32_t *numbers = cn_array_const_ints(array);
    cn_array *floats = cn_array_new(CN_FLOAT32, cn_array_shape(array));
    for (int64_t i = 0; floats && i < cn_array_count(array); i++)
        cn_array_floats(floats)[i] = (float)numbers[i];
    cn_array_free(array);
    return floats;
}

/* What was read, as the model's input takes it: floats if it takes floats, and a batch of one if it
 * is a single sample. */
static cn_array *fitted(cn_array *array, const cn_tensor *takes)
{
    if (array && cn_array_const_ints(array) && cn_tensor_dtype(takes) == CN_FLOAT32)
        array = as_floats(array);
    if (!array)
        return NULL;
    const cn_shape *has = cn_array_shape(array);
    if (has->rank + 1 == cn_tensor_shape(takes)->rank) {
        cn_shape shape = {.rank = has->rank + 1, .dim = {1}};
        memcpy(shape.dim + 1, has->dim, (size_t)has->rank * sizeof *has->dim);
        (void)cn_array_reshape(array, &shape);
    }
    return array;
}

static bool has_array(const cn_npz *npz, const char *name)
{
    for (size_t i = 0; i < cn_npz_count(npz); i++)
        if (strcmp(cn_npz_name(npz, i), name) == 0)
            return true;
    return false;
}

/* The array of input `index`: xN or the input's name; for a single input also "x" or the only one
 * there is. */
static cn_array *read_member(cn_npz *npz, cn_tensor_list inputs, int index)
{
    char name[32];
    (void)snprintf(name, sizeof name, "x%d", index);
    const char *found = name, *input = cn_tensor_name(inputs.items[index]);
    if (!has_array(npz, name) && has_array(npz, input))
        found = input;
    else if (!has_array(npz, name) && inputs.count == 1)
        found = has_array(npz, "x") || cn_npz_count(npz) != 1 ? "x" : cn_npz_name(npz, 0);
    return cn_npz_read(npz, found);
}

static int read_npz(const feed *f, const char *path, cn_array **in)
{
    cn_tensor_list inputs = cn_model_inputs(f->model);
    cn_npz *npz = cn_npz_open(path);
    bool good = npz != NULL;
    for (int i = 0; good && i < inputs.count; i++) {
        in[i] = fitted(read_member(npz, inputs, i), inputs.items[i]);
        good = in[i] != NULL;
    }
    cn_npz_close(npz);
    return good ? CLI_OK : cli_fail_library();
}

static int read_npy(const feed *f, const char *path, cn_array **in)
{
    cn_tensor_list inputs = cn_model_inputs(f->model);
    char hint[100];
    if (inputs.count != 1) {
        (void)snprintf(hint, sizeof hint, "Put the arrays x0 to x%d into an .npz.",
                       inputs.count - 1);
        return cli_fail_usage(hint, "%s has %d inputs, and %s is one array", f->model_path,
                              inputs.count, path);
    }
    in[0] = fitted(cn_npy_read(path), inputs.items[0]);
    return in[0] ? CLI_OK : cli_fail_library();
}

int feed_read(const feed *f, const char *path, cn_array ***in)
{
    int count = cn_model_inputs(f->model).count;
    cn_array **arrays = calloc((size_t)count + 1, sizeof *arrays);
    if (!arrays)
        return cli_fail("no memory");
    int code = feed_ends(path, ".npz")   ? read_npz(f, path, arrays)
               : feed_ends(path, ".npy") ? read_npy(f, path, arrays)
                                         : feed_read_picture(f, path, arrays);
    if (code == CLI_OK)
        *in = arrays;
    else
        feed_free(arrays, count);
    return code;
}

/* The first row of an array. Both types of elements have 4 bytes. */
static cn_array *first_row(const cn_array *array)
{
    cn_shape shape = *cn_array_shape(array);
    if (shape.rank > 0 && shape.dim[0] > 0)
        shape.dim[0] = 1;
    cn_array *row = cn_array_new(cn_array_dtype(array), &shape);
    if (!row)
        return NULL;
    size_t bytes = (size_t)cn_array_count(row) * sizeof(float);
    if (cn_array_floats(row))
        memcpy(cn_array_floats(row), cn_array_const_floats(array), bytes);
    else
        memcpy(cn_array_ints(row), cn_array_const_ints(array), bytes);
    return row;
}

int feed_first(const feed *f, cn_array *const *in, cn_array ***first)
{
    int count = cn_model_inputs(f->model).count;
    cn_array **arrays = calloc((size_t)count + 1, sizeof *arrays);
    if (!arrays)
        return cli_fail("no memory");
    for (int i = 0; i < count; i++) {
        arrays[i] = first_row(in[i]);
        if (!arrays[i]) {
            feed_free(arrays, count);
            return cli_fail_library();
        }
    }
    *first = arrays;
    return CLI_OK;
}
