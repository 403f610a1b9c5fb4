/* Layers from their configurations, by the options' tables of the layers. */
#include "formats/keras.h"

#include <math.h>
#include <string.h>

/* ---- keys that say nothing to Cornu ---- */

/* What a key must be for the layer to be the same without it. */
typedef enum neutral { ANY, NULL_OR_FALSE, NULL_OR_1 } neutral;

static const struct {
    const char *key;
    neutral neutral;
} passed_over[] = {
    {"dtype", ANY},
    {"input_dtype", ANY},
    {"batch_input_shape", ANY},
    {"batch_shape", ANY},
    {"input_shape", ANY},
    {"input_dim", ANY},
    {"input_length", ANY},
    {"build_config", ANY},
    {"shared_object_id", ANY},
    {"autocast", ANY},
    {"synchronized", ANY}, /* of a batch that lies on several devices */
    {"fused", ANY},
    {"virtual_batch_size", NULL_OR_FALSE},
    {"renorm", NULL_OR_FALSE},
    {"renorm_clipping", ANY},
    {"renorm_momentum", ANY},
    {"rms_scaling", NULL_OR_FALSE},
    {"quantization_config", NULL_OR_FALSE},
    {"lora_rank", NULL_OR_FALSE},
    {"lora_alpha", ANY},
    {"gptq_unpacked_column_size", ANY},
    {"sparse", NULL_OR_FALSE},
    {"ragged", NULL_OR_FALSE},
    {"optional", NULL_OR_FALSE},
    {"antialias", NULL_OR_FALSE},
    {"crop_to_aspect_ratio", NULL_OR_FALSE},
    {"pad_to_aspect_ratio", NULL_OR_FALSE},
    {"fill_mode", ANY}, /* of what the line above would add */
    {"fill_value", ANY},
    {"noise_shape", NULL_OR_FALSE},
    {"keepdims", NULL_OR_FALSE},
    {"groups", NULL_OR_1},
    {"seed", ANY},
    {"data_format", ANY},        /* of 1-D layers, which have no other */
    {"kernel_initializer", ANY}, /* of depthwise layers, whose own names are others */
    {"kernel_regularizer", NULL_OR_FALSE},
    {"kernel_constraint", NULL_OR_FALSE},
    {"activity_regularizer", NULL_OR_FALSE},
    {"interpolation", ANY},
};

static bool is_neutral(const json_t *value, neutral wanted)
{
    if (wanted == ANY || json_is_null(value))
        return true;
    if (wanted == NULL_OR_FALSE)
        return json_is_false(value);
    return json_is_integer(value) && json_integer_value(value) == 1;
}

static cn_status pass_over(const char *key, const json_t *value)
{
    for (size_t i = 0; i < CN__COUNT(passed_over); i++)
        if (strcmp(passed_over[i].key, key) == 0) {
            if (is_neutral(value, passed_over[i].neutral))
                return CN_OK;
            return cn__fail(CN_ERROR_UNSUPPORTED, "%s is %s, which Cornu has not", key,
                            cn__json_kind(value));
        }
    return cn__fail(CN_ERROR_UNSUPPORTED, "the option %s (%s) is not one Cornu has", key,
                    cn__json_kind(value));
}

/* ---- one option ---- */

typedef struct target {
    const cn__keras *k;
    const cn__layer_type *type;
    const cn__option *option;
    void *options;
} target;

static cn_status fail_kind(const target *t, const json_t *value, const char *takes)
{
    return cn__fail(CN_ERROR_FORMAT, "%s is %s, but should be %s", t->option->name,
                    cn__json_kind(value), takes);
}

static cn_status set_number(const target *t, const json_t *value, int index)
{
    if (!json_is_number(value))
        return fail_kind(t, value, "a number");
    return cn__option_set_number(t->option, t->options, index, json_number_value(value));
}

/* Old versions wrote one-element lists for some numbers. */
static cn_status set_scalar(const target *t, const json_t *value)
{
    bool in_list = json_is_array(value) && json_array_size(value) == 1;
    return set_number(t, in_list ? json_array_get(value, 0) : value, 0);
}

static cn_status set_bool(const target *t, const json_t *value)
{
    if (!json_is_boolean(value) && !json_is_integer(value))
        return fail_kind(t, value, "true or false");
    bool is = json_is_true(value) || json_integer_value(value) != 0;
    if (t->option->kind == CN__BOOL)
        *(bool *)cn__option_at(t->option, t->options) = is;
    else
        *(cn_flag *)cn__option_at(t->option, t->options) = is ? CN_TRUE : CN_FALSE;
    return CN_OK;
}

static cn_status set_text(const target *t, const json_t *value)
{
    const char **text = cn__option_at(t->option, t->options);
    *text = json_string_value(value);
    return *text == NULL ? fail_kind(t, value, "a text") : CN_OK;
}

static cn_status set_object(const target *t, const json_t *value)
{
    cn_status status =
        cn__json_expression(t->k->arena, value, cn__option_at(t->option, t->options));
    return status == CN_OK ? CN_OK : cn__fail_within("%s", t->option->name);
}

static cn_status set_enum(const target *t, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL)
        return fail_kind(t, value, "a text");
    int choice = cn__option_choice(t->option, text);
    if (choice < 0)
        return cn__fail(CN_ERROR_UNSUPPORTED, "%s is \"%s\", but should be one of %s",
                        t->option->name, text, t->option->choices);
    *(int *)cn__option_at(t->option, t->options) = choice;
    return CN_OK;
}

/* A number for all axes, or a list of one for each. */
static cn_status set_dims(const target *t, const json_t *value)
{
    if (!json_is_array(value))
        return set_number(t, value, 0);
    if (json_array_size(value) != (size_t)t->type->rank)
        return cn__fail(CN_ERROR_FORMAT, "%s has %zu numbers, but there are %d axes",
                        t->option->name, json_array_size(value), t->type->rank);
    for (int i = 0; i < t->type->rank; i++)
        CN__TRY(set_number(t, json_array_get(value, (size_t)i), i));
    return CN_OK;
}

/* before, after: a number for both, or a list of two. */
static cn_status set_pair(const target *t, const json_t *value, int axis)
{
    bool list = json_is_array(value);
    if (list && json_array_size(value) != 2)
        return cn__fail(CN_ERROR_FORMAT, "%s has %zu numbers for an axis, but should have 2",
                        t->option->name, json_array_size(value));
    for (int i = 0; i < 2; i++)
        CN__TRY(set_number(t, list ? json_array_get(value, (size_t)i) : value, 2 * axis + i));
    return CN_OK;
}

static cn_status set_pairs(const target *t, const json_t *value)
{
    int rank = t->type->rank;
    if (rank == 1)
        return set_pair(t, value, 0);
    if (json_is_array(value) && json_array_size(value) != (size_t)rank)
        return cn__fail(CN_ERROR_FORMAT, "%s is for %zu axes, but there are %d", t->option->name,
                        json_array_size(value), rank);
    for (int i = 0; i < rank; i++)
        CN__TRY(set_pair(t, json_is_array(value) ? json_array_get(value, (size_t)i) : value, i));
    return CN_OK;
}

static cn_status check_length(const target *t, const json_t *value)
{
    if (!json_is_array(value))
        return fail_kind(t, value, "a list of numbers");
    if (json_array_size(value) <= CN_MAX_RANK)
        return CN_OK;
    return cn__fail(CN_ERROR_UNSUPPORTED, "%s has %zu numbers; tensors have at most %d axes",
                    t->option->name, json_array_size(value), CN_MAX_RANK);
}

static cn_status set_shape(const target *t, const json_t *value)
{
    int64_t *extents = cn__option_at(t->option, t->options);
    CN__TRY(check_length(t, value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_integer(item) && !json_is_null(item))
            return fail_kind(t, item, "a list of whole numbers or null");
        extents[i] = json_is_null(item) ? -1 : json_integer_value(item);
        if (extents[i] == 0)
            return cn__fail(CN_ERROR_UNSUPPORTED, "%s has an extent of 0", t->option->name);
    }
    return CN_OK;
}

static cn_status set_axes(const target *t, const json_t *value)
{
    if (!json_is_array(value))
        return set_number(t, value, 0);
    CN__TRY(check_length(t, value));
    for (size_t i = 0; i < json_array_size(value); i++)
        CN__TRY(set_number(t, json_array_get(value, i), (int)i));
    return CN_OK;
}

static cn_status set_option(const target *t, const json_t *value)
{
    static cn_status (*const setters[])(const target *, const json_t *) = {
        [CN__INT] = set_scalar,  [CN__FLOAT] = set_scalar, [CN__BOOL] = set_bool,
        [CN__FLAG] = set_bool,   [CN__TEXT] = set_text,    [CN__OBJECT] = set_object,
        [CN__ENUM] = set_enum,   [CN__DIMS] = set_dims,    [CN__PAIRS] = set_pairs,
        [CN__SHAPE] = set_shape, [CN__AXES] = set_axes,
    };
    return json_is_null(value) ? CN_OK : setters[t->option->kind](t, value);
}

/* ---- the layer ---- */

/* What Theano does otherwise: options that no file names. */
static void set_semantics(const cn__keras *k, const cn__layer_type *type, void *options)
{
    const cn__option *padding = cn__option_find(type, "padding");
    if (k->theano_same && padding != NULL && padding->kind == CN__ENUM) {
        int *value = cn__option_at(padding, options);
        if (*value == CN_SAME)
            *value = CN_SAME_THEANO;
    }
    const cn__option *interpolation = cn__option_find(type, "interpolation");
    bool enlarges = strncmp(type->name, "UpSampling", 10) == 0 && interpolation != NULL;
    const char **value = enlarges ? cn__option_at(interpolation, options) : NULL;
    if (enlarges && *value != NULL && strcmp(*value, "bilinear") == 0) {
        if (k->theano)
            *value = "bilinear_theano";
        else if (k->corner_bilinear)
            *value = "bilinear_corner";
    }
}

static cn_status set_options(const cn__keras *k, const cn__layer_type *type, json_t *config,
                             void *options)
{
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value)
    {
        if (strcmp(key, "name") == 0)
            continue;
        cn__options_head *head = options;
        if (strcmp(key, "trainable") == 0) {
            head->trainable = json_is_false(value) ? CN_FALSE : CN_TRUE;
            continue;
        }
        target t = {k, type, cn__option_find(type, key), options};
        CN__TRY(t.option != NULL ? set_option(&t, value) : pass_over(key, value));
    }
    set_semantics(k, type, options);
    return CN_OK;
}

static cn_layer *make(const cn__keras *k, const cn__layer_type *type, const char *name,
                      json_t *config)
{
    cn__options_head *options = cn__calloc(1, type->option_bytes);
    if (options == NULL)
        return NULL;
    options->size_ = type->option_bytes;
    options->name = name;
    cn_layer *layer = NULL;
    if (set_options(k, type, config, options) == CN_OK)
        layer = cn__layer_new(type, options);
    else
        cn__fail_within("layer %s (%s)", name, type->name);
    cn__free(options);
    return layer;
}

cn_layer *cn__keras_layer(const cn__keras *k, const char *class_name, const char *name,
                          const json_t *config)
{
    const char *modern = cn__keras_class(k, class_name, config);
    if (modern == NULL)
        return cn__fail_within("layer %s (%s)", name, class_name), NULL;
    const cn__layer_type *type = cn__layer_type_find(modern);
    if (type == NULL)
        return cn__fail_null(CN_ERROR_UNSUPPORTED,
                             "layer %s: Cornu has no layers of the class %s; cornu/layers.h lists "
                             "those it has",
                             name, class_name);
    if (!json_is_object(config))
        return cn__fail_null(CN_ERROR_FORMAT, "layer %s (%s): its config is %s, not an object",
                             name, class_name, cn__json_kind(config));
    json_t *translated = cn__keras_translate(k, type->name, config);
    if (translated == NULL)
        return cn__fail_within("layer %s (%s)", name, class_name), NULL;
    cn_layer *layer = make(k, type, name, translated);
    json_decref(translated);
    return layer;
}

/* ---- inputs ---- */

static cn_status input_dtype(const json_t *dtype, cn_dtype *type)
{
    const char *text = json_string_value(dtype);
    if (json_is_object(dtype))
        text = cn__json_text(cn__json_get(dtype, "config"), "name");
    *type = CN_FLOAT32;
    if (text == NULL || strstr(text, "float") != NULL)
        return CN_OK;
    if (strstr(text, "int") != NULL) {
        *type = CN_INT32;
        return CN_OK;
    }
    return cn__fail(CN_ERROR_UNSUPPORTED, "its dtype is %s; float and int inputs can be read",
                    text);
}

static cn_status input_options(const json_t *batch_shape, const json_t *dtype, cn_input_layer *o)
{
    size_t rank = json_array_size(batch_shape);
    if (rank < 1 || rank > CN_MAX_RANK)
        return cn__fail(CN_ERROR_FORMAT,
                        "its shape is %s of %zu, but should be a list of 1 to %d extents",
                        cn__json_kind(batch_shape), rank, CN_MAX_RANK);
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(batch_shape, i);
        if (!json_is_null(item) && (!json_is_integer(item) || json_integer_value(item) < 1))
            return cn__fail(CN_ERROR_FORMAT,
                            "extent %zu of its shape is %s, but should be a number from 1, or null",
                            i, json_is_integer(item) ? "below 1" : cn__json_kind(item));
        int64_t extent = json_is_null(item) ? -1 : json_integer_value(item);
        if (i > 0)
            o->shape[i - 1] = extent;
        else
            o->batch_size = extent < 0 ? 0 : extent;
    }
    return input_dtype(dtype, &o->dtype);
}

cn_layer *cn__keras_input(const char *name, const json_t *batch_shape, const json_t *dtype)
{
    cn_input_layer options = {.size_ = sizeof options, .name = name};
    if (input_options(batch_shape, dtype, &options) != CN_OK)
        return cn__fail_within("layer %s (InputLayer)", name), NULL;
    return cn_input_new(&options);
}
