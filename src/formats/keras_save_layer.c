/* Layers as configurations that Keras reads, by the options' tables of the layers. */
#include "formats/keras.h"

#include <math.h>
#include <string.h>

/* ---- values ---- */

/* An option about to be written. */
typedef struct source {
    const cn__keras_saving *s;
    const cn_layer *layer;
    const cn_shape *in; /* of its calls; NULL if they differ */
    const cn__option *option;
    const void *at;
    json_t *config;
} source;

static cn_status put(const source *o, json_t *value)
{
    return cn__json_put(o->config, o->option->name, value);
}

static bool is_called(const source *o, const char *name)
{
    return strcmp(o->option->name, name) == 0;
}

static cn_status put_int(const source *o)
{
    int64_t value = *(const int64_t *)o->at;
    bool none = value == 0 && o->option->number == 0 && !o->option->required;
    return put(o, none ? json_null() : json_integer(value));
}

static cn_status put_float(const source *o)
{
    float value = *(const float *)o->at;
    return put(o, isfinite(value) ? cn__json_float(value == 0 ? 0 : value) : json_null());
}

static cn_status put_bool(const source *o)
{
    return put(o, json_boolean(*(const bool *)o->at));
}

static cn_status put_flag(const source *o)
{
    return put(o, json_boolean(*(const cn_flag *)o->at == CN_TRUE));
}

static cn_status put_text(const source *o)
{
    const char *text = *(const char *const *)o->at;
    if (text != NULL && is_called(o, "interpolation") && strstr(text, "bilinear_") == text)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "interpolation \"%s\", which Keras 2 had, is not in Keras 3; \"bilinear\" "
                        "is, and gives other pixels",
                        text);
    return put(o, text != NULL ? json_string(text) : json_null());
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static cn_status put_object(const source *o)
{
    const char *text = *(const char *const *)o->at, *name = o->option->name;
    if (ends_in(name, "activation"))
        return cn__keras_put_activation(o->s, text != NULL ? text : "linear", o->config, name);
    if (text == NULL) /* Dense tells this one only if there is one */
        return strcmp(name, "activity_regularizer") == 0 ? CN_OK : put(o, json_null());
    if (ends_in(name, "_initializer"))
        return cn__keras_put_initializer(o->s, text, o->config, name);
    if (ends_in(name, "_regularizer"))
        return cn__keras_put_regularizer(o->s, text, o->config, name);
    return cn__keras_put_object(o->s, "keras.constraints", text, o->config, name);
}

/* ---- numbers along axes ---- */

/* Number `axis` of a DIMS option of that name; `none` if the layer has no such option. */
static int64_t dim_of(const cn_layer *layer, const char *name, int axis, int64_t none)
{
    const cn__option *option = cn__option_find(layer->type, name);
    return option != NULL ? (int64_t)cn__option_number(option, layer->options, axis) : none;
}

static cn_status put_numbers(json_t *list, const int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        CN__TRY(cn__json_put(list, NULL, json_integer(cn__dim(numbers[i]))));
    return CN_OK;
}

static cn_status put_list(const source *o, const int64_t *numbers, int count)
{
    json_t *list = cn__json_put_list(o->config, o->option->name);
    return list != NULL ? put_numbers(list, numbers, count) : cn_error_status();
}

/* The output padding that gives a transposed convolution the size it was told otherwise, as Keras
 * 1 had it. False if none does. */
static bool find_output_padding(const source *o, int64_t *extra)
{
    const cn_conv_transpose_layer *t = o->layer->options;
    int first = t->data_format == CN_CHANNELS_FIRST ? 2 : 1;
    for (int i = 0; i < o->layer->type->rank; i++) {
        int64_t in = o->in != NULL ? o->in->dim[first + i] : -1;
        int64_t span = (t->kernel_size[i] - 1) * t->dilation_rate[i] + 1;
        int64_t least = (in - 1) * t->strides[i] + (t->padding == CN_VALID ? span : span % 2);
        extra[i] = t->output_size[i] - least;
        if (in < 1 || extra[i] < 0 || extra[i] >= t->strides[i])
            return false;
    }
    return true;
}

static bool has_output_size(const cn_layer *layer)
{
    return cn__option_find(layer->type, "output_size") != NULL &&
           ((const cn_conv_transpose_layer *)layer->options)->output_size[0] != 0;
}

static cn_status put_output_padding(const source *o)
{
    int64_t extra[3];
    if (!has_output_size(o->layer))
        return put(o, json_null());
    if (!find_output_padding(o, extra))
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "Keras 3 has no output_size, and no output_padding gives this one; use "
                        "padding and output_padding instead");
    return put_list(o, extra, o->layer->type->rank);
}

static cn_status put_dims(const source *o)
{
    const int64_t *numbers = o->at;
    int rank = o->layer->type->rank;
    int64_t size[3];
    if (is_called(o, "output_padding") && numbers[0] == 0)
        return put_output_padding(o);
    if (is_called(o, "strides") && numbers[0] == 0) { /* a pooling layer's */
        for (int i = 0; i < rank; i++)
            size[i] = dim_of(o->layer, "pool_size", i, 1);
        return put_list(o, size, rank);
    }
    if (is_called(o, "size") && rank == 1) /* UpSampling1D's is no list */
        return put(o, json_integer(numbers[0]));
    return numbers[0] != 0 ? put_list(o, numbers, rank) : put(o, json_null());
}

static cn_status put_pairs(const source *o)
{
    const int64_t *numbers = o->at;
    int rank = o->layer->type->rank;
    if (rank == 1)
        return put_list(o, numbers, 2);
    json_t *list = cn__json_put_list(o->config, o->option->name);
    for (int i = 0; i < rank && list != NULL; i++) {
        json_t *pair = cn__json_put_list(list, NULL);
        CN__TRY(pair != NULL ? put_numbers(pair, numbers + 2 * i, 2) : cn_error_status());
    }
    return list != NULL ? CN_OK : cn_error_status();
}

static int length_of(const int64_t *numbers)
{
    int count = 0;
    while (count < CN_MAX_RANK && numbers[count] != 0)
        count++;
    return count;
}

/* target_shape has a -1, noise_shape a null, where the extent follows. */
static cn_status put_shape(const source *o)
{
    const int64_t *extents = o->at;
    int count = length_of(extents);
    bool noise = is_called(o, "noise_shape");
    if (noise && count == 0)
        return put(o, json_null());
    json_t *list = cn__json_put_list(o->config, o->option->name);
    for (int i = 0; i < count && list != NULL; i++)
        CN__TRY(cn__json_put(list, NULL,
                             noise && extents[i] < 0 ? json_null() : json_integer(extents[i])));
    return list != NULL ? CN_OK : cn_error_status();
}

static cn_status put_axes(const source *o)
{
    const int64_t *axes = o->at;
    int count = length_of(axes);
    bool list = is_called(o, "dims") || is_called(o, "shared_axes");
    if (count == 0)
        return put(o, json_null());
    return count > 1 || list ? put_list(o, axes, count) : put(o, json_integer(axes[0]));
}

/* ---- words ---- */

/* Whether `same` pads alike on Theano and on TensorFlow, whatever the input is. */
static bool same_is_same(const cn_layer *layer)
{
    bool pools = cn__option_find(layer->type, "pool_size") != NULL;
    for (int i = 0; i < layer->type->rank; i++) {
        int64_t size = dim_of(layer, pools ? "pool_size" : "kernel_size", i, 1);
        int64_t stride = dim_of(layer, "strides", i, 1);
        int64_t span = (size - 1) * dim_of(layer, "dilation_rate", i, 1) + 1;
        bool alike = pools ? span == 3 : span % 2 == 1;
        if (stride == 0)
            stride = size;
        if (span != 1 && (stride != 1 || !alike))
            return false;
    }
    return true;
}

static cn_status put_enum(const source *o)
{
    int choice = *(const int *)o->at;
    if (is_called(o, "padding") && choice == CN_SAME_THEANO) {
        if (!same_is_same(o->layer))
            return cn__fail(CN_ERROR_UNSUPPORTED,
                            "padding `same` as on Theano is not in Keras 3, and here it is not "
                            "the same as TensorFlow's; loading the model with .tensorflow_same "
                            "makes it TensorFlow's, which gives other values");
        choice = CN_SAME;
    }
    const char *word = o->option->choices;
    for (int i = 0; i < choice; i++)
        word = strchr(word, '|') + 1;
    return put(o, json_stringn(word, strcspn(word, "|")));
}

/* ---- layers ---- */

/* What Keras has not may be written if it does nothing here. */
static cn_status check_ours(const source *o)
{
    bool set;
    if (is_called(o, "output_size"))
        return CN_OK; /* became output_padding */
    if (o->option->kind == CN__BOOL) {
        /* Flatten's keras1_order is channels last on whatever lies there. */
        set = *(const bool *)o->at && !is_called(o, "keras1_order");
    } else {
        set = cn__option_number(o->option, o->layer->options, 0) != o->option->number;
    }
    if (!set)
        return CN_OK;
    return cn__fail(CN_ERROR_UNSUPPORTED,
                    "the option %s is not in Keras; leave it out to save the model",
                    o->option->name);
}

/* Options that not all of Keras 2 has are told only where they are set. */
static bool is_left_out(const source *o)
{
    if (!o->s->legacy)
        return false;
    if (is_called(o, "keepdims"))
        return !*(const bool *)o->at;
    if (is_called(o, "seed"))
        return *(const int64_t *)o->at == 0;
    bool convolves = cn__option_find(o->layer->type, "kernel_size") != NULL;
    return is_called(o, "groups") && convolves && *(const int64_t *)o->at == 1;
}

static cn_status put_option(const source *o)
{
    static cn_status (*const writers[])(const source *) = {
        [CN__INT] = put_int,     [CN__FLOAT] = put_float, [CN__BOOL] = put_bool,
        [CN__FLAG] = put_flag,   [CN__TEXT] = put_text,   [CN__OBJECT] = put_object,
        [CN__ENUM] = put_enum,   [CN__DIMS] = put_dims,   [CN__PAIRS] = put_pairs,
        [CN__SHAPE] = put_shape, [CN__AXES] = put_axes,
    };
    if (o->option->ours)
        return check_ours(o);
    return is_left_out(o) ? CN_OK : writers[o->option->kind](o);
}

/* After all others: what older versions call otherwise. */
static cn_status rename_options(const source *o)
{
    json_t *slope = cn__json_get(o->config, "negative_slope");
    if (o->s->legacy && slope != NULL && strcmp(o->layer->type->name, "LeakyReLU") == 0) {
        CN__TRY(cn__json_put(o->config, "alpha", json_incref(slope)));
        (void)json_object_del(o->config, "negative_slope");
    }
    const cn__option *order = cn__option_find(o->layer->type, "keras1_order");
    if (order != NULL && *(const bool *)cn__option_at(order, o->layer->options))
        CN__TRY(cn__json_put(o->config, "data_format", json_string("channels_last")));
    return CN_OK;
}

cn_status cn__keras_put_options(const cn__keras_saving *s, const cn_layer *layer,
                                const cn_shape *in, json_t *config)
{
    source o = {.s = s, .layer = layer, .in = in, .config = config};
    CN__TRY(cn__json_put(config, "name", json_string(layer->name)));
    CN__TRY(cn__json_put(config, "trainable", json_boolean(layer->trainable)));
    CN__TRY(cn__json_put(config, "dtype", json_string("float32")));
    for (int i = 0; i < layer->type->option_count; i++) {
        o.option = &layer->type->options[i];
        o.at = cn__option_at(o.option, layer->options);
        CN__TRY(put_option(&o));
    }
    return rename_options(&o);
}
