/* Feeding a model. */
#include "feed.h"

#include <inttypes.h>
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

const char *feed_stem(const char *path, char *text, size_t size)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
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
    return *end == '\0';
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

int feed_open(feed *f, const feed_options *options, const char *model_path)
{
    *f = (feed){.model_path = model_path, .color = options->color};
    if (options->threads < 0 || options->threads > 1024)
        return cli_fail_usage(NULL, "--threads takes a number from 1 to 1024, but got %" PRId64,
                              options->threads);
    cn_load_options load = {.backend = (cn_backend)options->backend};
    f->model = cn_model_load(model_path, &load);
    if (!f->model)
        return cli_fail_library();
    f->format = cn_model_data_format(f->model);
    f->pool = cn_pool_new((int)options->threads);
    return f->pool ? take_numbers(f, options) : cli_fail_library();
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

/* ---- colours ---- */

/* Y, Cb, Cr from R, G, B and back, all 0 to 255 (ITU-R BT.601, studio range). */
static void to_ycbcr(float *v)
{
    float r = v[0], g = v[1], b = v[2];
    v[0] = 16 + (65.738F * r + 129.057F * g + 25.064F * b) / 256;
    v[1] = 128 + (-37.945F * r - 74.494F * g + 112.439F * b) / 256;
    v[2] = 128 + (112.439F * r - 94.154F * g - 18.285F * b) / 256;
}

static void from_ycbcr(float *v)
{
    float y = 1.164383F * (v[0] - 16), cb = v[1] - 128, cr = v[2] - 128;
    v[0] = y + 1.596027F * cr;
    v[1] = y - 0.391762F * cb - 0.812968F * cr;
    v[2] = y + 2.017232F * cb;
}

static void swap_ends(float *v)
{
    float first = v[0];
    v[0] = v[2];
    v[2] = first;
}

static void each_pixel(cn_array *image, void (*change)(float *))
{
    float *value = cn_array_floats(image);
    for (int64_t i = 0; i + 2 < cn_array_count(image); i += 3)
        change(value + i);
}

/* A change of signals is the change of colours without its constant part. */
static void signal_from_ycbcr(float *v)
{
    float zero[3] = {0};
    from_ycbcr(zero);
    from_ycbcr(v);
    for (int i = 0; i < 3; i++)
        v[i] -= zero[i];
}

/* ---- channels first ---- */

/* A copy of (batch, a, b, c) as (batch, c, a, b), or the reverse. */
static cn_array *moved(const cn_array *x, bool channels_first)
{
    static const int orders[2][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}};
    const int *order = orders[channels_first];
    const cn_shape *from = cn_array_shape(x);
    cn_shape to = {.rank = 4};
    for (int i = 0; i < 4; i++)
        to.dim[i] = from->dim[order[i]];
    cn_array *y = cn_array_new(CN_FLOAT32, &to);
    if (y && cn_transpose_f32(from, order, cn_array_const_floats(x), cn_array_floats(y), NULL) !=
                 CN_OK) {
        cn_array_free(y);
        return NULL;
    }
    return y;
}

/* The channels of an image tensor (batch, rows, columns, channels) in the model's format. */
static int64_t channels_of(const feed *f, const cn_shape *shape)
{
    return shape->dim[f->format == CN_CHANNELS_FIRST ? 1 : 3];
}

static const int64_t *size_of(const feed *f, const cn_shape *shape)
{
    return &shape->dim[f->format == CN_CHANNELS_FIRST ? 2 : 1];
}

/* ---- pictures in ---- */

static int check_picture_input(const feed *f, const char *path)
{
    cn_tensor_list inputs = cn_model_inputs(f->model);
    char text[200], hint[300];
    if (inputs.count != 1) {
        (void)snprintf(hint, sizeof hint,
                       "Put the arrays x0 to x%d into an .npz and give that instead.",
                       inputs.count - 1);
        return cli_fail_usage(hint, "%s has %d inputs, and %s is one picture", f->model_path,
                              inputs.count, path);
    }
    const cn_shape *shape = cn_tensor_shape(inputs.items[0]);
    if (shape->rank == 4 && feed_is_picture(f, shape))
        return CLI_OK;
    return cli_fail_usage("Give an .npy with an array of that shape instead.",
                          "%s takes %s, which is no picture of 1 or 3 channels", f->model_path,
                          cn_shape_text(shape, text, sizeof text));
}

/* The picture in the size that the model takes, or that was asked for. */
static cn_array *scaled(const feed *f, const cn_array *picture, const cn_shape *takes)
{
    const cn_shape *has = cn_array_shape(picture);
    const int64_t *fixed = size_of(f, takes);
    int64_t size[2];
    for (int i = 0; i < 2; i++) {
        size[i] = f->size.rank ? f->size.dim[i] : has->dim[i];
        size[i] = fixed[i] > 0 ? fixed[i] : size[i];
    }
    if (size[0] == has->dim[0] && size[1] == has->dim[1])
        return cn_array_copy(picture);
    return cn_image_resize(picture, size[0], size[1], CN_RESIZE_BILINEAR);
}

static void colour(const feed *f, cn_array *picture)
{
    if (f->color == FEED_BGR)
        each_pixel(picture, swap_ends);
    if (f->color == FEED_YCBCR)
        each_pixel(picture, to_ycbcr);
    float *value = cn_array_floats(picture);
    for (int64_t i = 0; i < cn_array_count(picture); i++)
        value[i] = (float)((double)value[i] * f->scale + f->offset);
}

/* (height, width, channels) as a batch of one in the model's format; takes the picture over. */
static cn_array *batch_of_one(const feed *f, cn_array *picture)
{
    const cn_shape *has = cn_array_shape(picture);
    cn_shape shape = cn_shape_of(1, has->dim[0], has->dim[1], has->dim[2]);
    cn_array *batch = picture;
    if (cn_array_reshape(picture, &shape) != CN_OK)
        batch = NULL;
    else if (f->format == CN_CHANNELS_FIRST)
        batch = moved(picture, true);
    if (batch != picture)
        cn_array_free(picture);
    return batch;
}

static int read_picture(const feed *f, const char *path, cn_array **in)
{
    int code = check_picture_input(f, path);
    if (code != CLI_OK)
        return code;
    const cn_shape *takes = cn_tensor_shape(cn_model_input(f->model));
    int channels = (int)channels_of(f, takes);
    if (channels == 1 && f->color != FEED_AUTO && f->color != FEED_GRAY)
        return cli_fail_usage(NULL, "%s takes 1 channel: --color gray is all there is",
                              f->model_path);
    bool grey = channels == 1 || f->color == FEED_GRAY;
    cn_array *file = cn_image_read(path, grey ? 1 : 3);
    cn_array *picture = file ? scaled(f, file, takes) : NULL;
    cn_array_free(file);
    if (picture && grey && channels == 3) {
        /* the same grey in three channels */
        const cn_shape *has = cn_array_shape(picture);
        cn_shape shape = cn_shape_of(has->dim[0], has->dim[1], 3);
        cn_array *three = cn_array_new(CN_FLOAT32, &shape);
        for (int64_t i = 0; three && i < cn_array_count(three); i++)
            cn_array_floats(three)[i] = cn_array_const_floats(picture)[i / 3];
        cn_array_free(picture);
        picture = three;
    }
    if (!picture)
        return cli_fail_library();
    colour(f, picture);
    in[0] = batch_of_one(f, picture);
    return in[0] ? CLI_OK : cli_fail_library();
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

/* The array of input `index`: xN; for a single input also "x" or the only one there is. */
static cn_array *read_member(cn_npz *npz, int index, int inputs)
{
    char name[32];
    (void)snprintf(name, sizeof name, "x%d", index);
    if (has_array(npz, name) || inputs > 1)
        return cn_npz_read(npz, name);
    if (has_array(npz, "x"))
        return cn_npz_read(npz, "x");
    return cn_npz_count(npz) == 1 ? cn_npz_read(npz, cn_npz_name(npz, 0)) : cn_npz_read(npz, name);
}

static int read_npz(const feed *f, const char *path, cn_array **in)
{
    cn_tensor_list inputs = cn_model_inputs(f->model);
    cn_npz *npz = cn_npz_open(path);
    bool good = npz != NULL;
    for (int i = 0; good && i < inputs.count; i++) {
        in[i] = fitted(read_member(npz, i, inputs.count), inputs.items[i]);
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
                                         : read_picture(f, path, arrays);
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

/* ---- pictures out ---- */

bool feed_is_picture(const feed *f, const cn_shape *shape)
{
    return shape->rank == 4 && (channels_of(f, shape) == 1 || channels_of(f, shape) == 3);
}

static cn_array *row_of(const cn_array *array, int64_t row)
{
    cn_shape shape = *cn_array_shape(array);
    int64_t count = cn_array_count(array) / shape.dim[0];
    shape.dim[0] = 1;
    return cn_array_from(&shape, cn_array_const_floats(array) + row * count);
}

static float clip(double value)
{
    return value > 255 ? 255 : value > 0 ? (float)value : 0;
}

cn_array *feed_picture(const feed *f, const cn_array *output, int64_t row)
{
    cn_array *batch = row_of(output, row);
    if (batch && f->format == CN_CHANNELS_FIRST) {
        cn_array *last = moved(batch, false);
        cn_array_free(batch);
        batch = last;
    }
    if (!batch)
        return NULL;
    const cn_shape *has = cn_array_shape(batch);
    cn_shape shape = cn_shape_of(has->dim[1], has->dim[2], has->dim[3]);
    if (cn_array_reshape(batch, &shape) != CN_OK) {
        cn_array_free(batch);
        return NULL;
    }
    float *value = cn_array_floats(batch);
    for (int64_t i = 0; i < cn_array_count(batch); i++)
        value[i] = clip(((double)value[i] - f->offset) / f->scale);
    if (shape.dim[2] == 3 && f->color == FEED_BGR)
        each_pixel(batch, swap_ends);
    if (shape.dim[2] == 3 && f->color == FEED_YCBCR)
        each_pixel(batch, from_ycbcr);
    return batch;
}

/* Moves the three planes of every channels-first image through `change`, pixel by pixel. */
static void each_planar_pixel(cn_array *images, int64_t pixels, void (*change)(float *))
{
    int64_t count = cn_array_count(images) / (3 * pixels);
    for (int64_t i = 0; i < count; i++)
        for (int64_t p = 0; p < pixels; p++) {
            float *plane = cn_array_floats(images) + i * 3 * pixels + p;
            float value[3] = {plane[0], plane[pixels], plane[2 * pixels]};
            change(value);
            for (int c = 0; c < 3; c++)
                plane[c * pixels] = value[c];
        }
}

void feed_signal_to_rgb(const feed *f, cn_array *signals)
{
    const cn_shape *shape = cn_array_shape(signals);
    bool changes = f->color == FEED_BGR || f->color == FEED_YCBCR;
    if (!changes || shape->rank != 4 || channels_of(f, shape) != 3)
        return;
    void (*change)(float *) = f->color == FEED_BGR ? swap_ends : signal_from_ycbcr;
    if (f->format == CN_CHANNELS_FIRST)
        each_planar_pixel(signals, shape->dim[2] * shape->dim[3], change);
    else
        each_pixel(signals, change);
}
