/* Pictures into and out of a model: size, colours, scale, and where the channels are. */
#include "feed.h"

#include <stdio.h>
#include <string.h>

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

int feed_read_picture(const feed *f, const char *path, cn_array **in)
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
