/* Pictures as a model takes them: size, channels, data format; and what outputs are compared with.
 */
#include "data.h"

#include "cornu/formats.h"
#include "cornu/inspect.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the model takes ---- */

/* Axes of a sample's shape, in the model's data format. */
static void picture_of(const cn_shape *shape, bool channels_first, int64_t *size)
{
    size[0] = shape->dim[channels_first ? 2 : 1];
    size[1] = shape->dim[channels_first ? 3 : 2];
    size[2] = shape->dim[channels_first ? 1 : 3];
}

static cn_shape shape_of(const int64_t *s, bool channels_first)
{
    return channels_first ? cn_shape_of(s[2], s[0], s[1]) : cn_shape_of(s[0], s[1], s[2]);
}

/* The factor between input and output, both pictures; 1 if there is none. */
static int64_t enlargement(const int64_t *in, const int64_t *out)
{
    int64_t factor = in[0] > 0 ? out[0] / in[0] : 1;
    bool whole = factor > 1 && out[0] == factor * in[0] && out[1] == factor * in[1];
    return whole && out[2] == in[2] ? factor : 1;
}

bool data_picture_form(const cn_model *model, const cli_extents *size, data_form *form)
{
    const cn_shape *in = cn_tensor_shape(cn_model_input(model));
    const cn_shape *out = cn_tensor_shape(cn_model_output(model));
    *form = (data_form){.shrink = 1, .inputs = 1};
    form->channels_first = cn_model_data_format(model) == CN_CHANNELS_FIRST;
    if (cn_model_inputs(model).count != 1 || in->rank != 4)
        return false;
    picture_of(in, form->channels_first, form->size);
    for (int i = 0; i < 2 && size->rank > 0; i++)
        if (form->size[i] < 0)
            form->size[i] = size->dim[size->rank == 1 ? 0 : i];
    if (out->rank == 4) {
        int64_t end[3];
        picture_of(out, form->channels_first, end);
        form->shrink = enlargement(form->size, end);
    }
    form->input = shape_of(form->size, form->channels_first);
    form->size[0] *= form->shrink;
    form->size[1] *= form->shrink;
    form->picture = shape_of(form->size, form->channels_first);
    return form->size[2] == 1 || form->size[2] == 3;
}

/* ---- one picture ---- */

/* Grey by ITU-R BT.601, or the same grey in three channels. */
static void copy_channels(const float *from, int64_t from_channels, float *to, int64_t to_channels,
                          int64_t pixels)
{
    for (int64_t p = 0; p < pixels; p++) {
        const float *in = from + p * from_channels;
        float grey = from_channels == 3 ? 0.299F * in[0] + 0.587F * in[1] + 0.114F * in[2] : in[0];
        for (int64_t c = 0; c < to_channels; c++)
            to[p * to_channels + c] = from_channels == to_channels ? in[c] : grey;
    }
}

/* The picture in the size and with the channels of the form; NULL if that fails. */
static cn_array *adapted(const data_form *f, const cn_shape *has, const float *values)
{
    cn_shape shape = cn_shape_of(has->dim[0], has->dim[1], f->size[2]);
    cn_array *picture = cn_array_new(CN_FLOAT32, &shape);
    if (!picture)
        return NULL;
    copy_channels(values, has->dim[2], cn_array_floats(picture), f->size[2],
                  has->dim[0] * has->dim[1]);
    if (has->dim[0] == f->size[0] && has->dim[1] == f->size[1])
        return picture;
    cn_array *scaled = cn_image_resize(picture, f->size[0], f->size[1], CN_RESIZE_BILINEAR);
    cn_array_free(picture);
    return scaled;
}

/* Writes means of shrink x shrink pixels in the model's data format. */
static void place(const data_form *f, const float *picture, int64_t shrink, float *to)
{
    int64_t rows = f->size[0] / shrink, columns = f->size[1] / shrink, channels = f->size[2];
    for (int64_t i = 0; i < rows * columns * channels; i++) {
        int64_t c = i % channels, x = i / channels % columns, y = i / channels / columns;
        float sum = 0;
        for (int64_t j = 0; j < shrink * shrink; j++)
            sum += picture[((y * shrink + j / shrink) * f->size[1] + x * shrink + j % shrink) *
                               channels +
                           c];
        to[f->channels_first ? (c * rows + y) * columns + x : i] = sum / (float)(shrink * shrink);
    }
}

static cn_status place_pictures(const data_form *f, const float *values, void *const *fields)
{
    cn_array *picture = adapted(f, cn_dataset_shape(f->base, 0), values);
    if (!picture)
        return cn_error_status();
    place(f, cn_array_const_floats(picture), f->shrink, fields[0]);
    for (int i = 0; i < f->targets; i++)
        if (f->from[i] == DATA_PICTURE)
            place(f, cn_array_const_floats(picture), 1, fields[f->inputs + i]);
    cn_array_free(picture);
    return CN_OK;
}

/* ---- the data set ---- */

/* Elements of either type have 4 bytes. */
static size_t bytes_of(const cn_dataset *set, int field)
{
    return (size_t)cn_shape_count(cn_dataset_shape(set, field)) * sizeof(float);
}

static cn_status copy_fields(const data_form *f, char *const *raw, void *const *fields)
{
    for (int i = 0; i < f->inputs && !f->pictures; i++)
        memcpy(fields[i], raw[i], bytes_of(f->base, i));
    for (int i = 0; i < f->targets; i++)
        if (f->from[i] != DATA_PICTURE)
            memcpy(fields[f->inputs + i], raw[f->from[i]], bytes_of(f->base, f->from[i]));
    return f->pictures ? place_pictures(f, (const float *)(const void *)raw[0], fields) : CN_OK;
}

static cn_status read_sample(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    const data_form *f = context;
    int count = cn_dataset_inputs(f->base) + cn_dataset_targets(f->base);
    size_t offsets[CN_MOST_FIELDS], size = 0;
    char *raw[CN_MOST_FIELDS];
    for (int i = 0; i < count; i++) {
        offsets[i] = size;
        size += bytes_of(f->base, i);
    }
    char *memory = malloc(size + 1);
    if (!memory)
        return CN_ERROR_MEMORY;
    for (int i = 0; i < count; i++)
        raw[i] = memory + offsets[i];
    cn_status status = cn_dataset_read(f->base, index, draw, (void *const *)raw);
    if (status == CN_OK)
        status = copy_fields(f, raw, fields);
    free(memory);
    return status;
}

cn_dataset *data_formed(const data_form *form)
{
    data_form *own = malloc(sizeof *own);
    if (!own)
        return NULL;
    *own = *form;
    cn_dataset_source source = {.count = cn_dataset_count(form->base),
                                .inputs = form->inputs,
                                .targets = form->targets,
                                .read = read_sample,
                                .release = free,
                                .context = own,
                                .slow = cn_dataset_is_slow(form->base)};
    for (int i = 0; i < form->inputs; i++) {
        source.dtypes[i] = cn_dataset_dtype(form->base, i);
        source.shapes[i] = *cn_dataset_shape(form->base, i);
    }
    if (form->input.rank > 0)
        source.shapes[0] = form->input;
    for (int i = 0; i < form->targets; i++) {
        source.dtypes[form->inputs + i] = form->dtypes[i];
        source.shapes[form->inputs + i] = form->shapes[i];
    }
    return cn_dataset_new(&source);
}
