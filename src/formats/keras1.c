/* What Keras 1 and 2 wrote otherwise than Keras 3 does: names of classes and options, axes of
 * kernels. Sources: keras/legacy/interfaces.py and keras/engine/saving.py of Keras 2.2.4,
 * keras/layers of 1.2.2, and files that these versions wrote. */
#include "formats/keras.h"

#include <string.h>

typedef struct renaming {
    const char *old, *new;
} renaming;

static const char *rename_text(const renaming *table, size_t count, const char *old)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].old, old) == 0)
            return table[i].new;
    return old;
}

/* ---- which Keras, which backend ---- */

/* The first value of that key in the configuration's layers, nested ones included. */
static const char *find_text(json_t *json, const char *key)
{
    const char *text = cn__json_text(json, key), *name;
    size_t i;
    json_t *value;
    if (json_is_array(json))
        json_array_foreach(json, i, value)
        {
            if (text == NULL)
                text = find_text(value, key);
        }
    if (json_is_object(json))
        json_object_foreach(json, name, value)
        {
            if (text == NULL)
                text = find_text(value, key);
        }
    return text;
}

/* Until 2.2 Keras ran on TensorFlow 1; the Keras within TensorFlow 2 calls itself "2.2.4-tf". */
static bool is_of_tensorflow_1(const char *version)
{
    return strncmp(version, "2.0.", 4) == 0 || strncmp(version, "2.1.", 4) == 0 ||
           (strncmp(version, "2.2.", 4) == 0 && strstr(version, "-tf") == NULL);
}

void cn__keras_identify(cn__keras *k, const char *keras_version, const char *backend,
                        bool has_weights, bool names_end_in_0, json_t *json)
{
    bool modern = json != NULL && cn__json_text(json, "module") != NULL;
    if (keras_version == NULL)
        keras_version = modern ? "3" : "1";
    k->version = keras_version[0] == '1' ? 1 : keras_version[0] == '2' ? 2 : 3;
    k->corner_bilinear = is_of_tensorflow_1(keras_version);
    const char *ordering = k->version == 1 && json != NULL ? find_text(json, "dim_ordering") : NULL;
    bool th = ordering != NULL && strcmp(ordering, "th") == 0;
    if (k->options.backend != CN_BACKEND_AUTO)
        k->theano = k->options.backend == CN_BACKEND_THEANO;
    else if (backend != NULL)
        k->theano = strcmp(backend, "theano") == 0;
    else
        k->theano = k->version == 1 && (has_weights ? !names_end_in_0 : th);
    k->theano_same = k->theano && !k->options.tensorflow_same;
    k->data_format = k->options.data_format;
    if (k->data_format == CN_DATA_FORMAT_DEFAULT && k->version == 1) {
        bool first = ordering != NULL ? th : k->theano;
        k->data_format = first ? CN_CHANNELS_FIRST : CN_CHANNELS_LAST;
    }
}

int cn__keras_first_node(const cn__keras *k)
{
    return k->version < 3 ? 1 : 0;
}

/* ---- classes ---- */

static const renaming classes[] = {
    {"Convolution1D", "Conv1D"},
    {"Convolution2D", "Conv2D"},
    {"Convolution3D", "Conv3D"},
    {"AtrousConvolution1D", "Conv1D"},
    {"AtrousConvolution2D", "Conv2D"},
    {"Deconvolution2D", "Conv2DTranspose"},
    {"Deconvolution3D", "Conv3DTranspose"},
    {"SeparableConvolution2D", "SeparableConv2D"},
    {"ThresholdedReLU", "ReLU"},
};

static const renaming merges[] = {
    {"sum", "Add"},     {"mul", "Multiply"},       {"ave", "Average"}, {"max", "Maximum"},
    {"min", "Minimum"}, {"concat", "Concatenate"}, {"dot", "Dot"},     {"cos", "Dot"},
};

static const char *merge_class(const json_t *config)
{
    const char *mode = cn__json_text(config, "mode");
    const char *type = mode == NULL ? NULL : rename_text(merges, CN__COUNT(merges), mode);
    if (type == NULL || type == mode || cn__json_get(config, "layers") != NULL)
        return cn__fail_null(
            CN_ERROR_UNSUPPORTED,
            "its mode is %s; merging tensors with sum, mul, ave, max, min, concat, dot "
            "and cos can be read",
            mode == NULL   ? "missing"
            : type == mode ? mode
                           : "applied to layers");
    return type;
}

const char *cn__keras_class(const cn__keras *k, const char *class_name, const json_t *config)
{
    if (k->version == 1 && strcmp(class_name, "Merge") == 0)
        return merge_class(config);
    return k->version < 3 ? rename_text(classes, CN__COUNT(classes), class_name) : class_name;
}

/* ---- options ---- */

static const renaming options[] = {
    {"nb_filter", "filters"},
    {"border_mode", "padding"},
    {"subsample", "strides"},
    {"subsample_length", "strides"},
    {"stride", "strides"},
    {"atrous_rate", "dilation_rate"},
    {"pool_length", "pool_size"},
    {"length", "size"},
    {"bias", "use_bias"},
    {"p", "rate"},
    {"sigma", "stddev"},
    {"theta", "threshold"},
    {"concat_axis", "axis"},
    {"dot_axes", "axes"},
    {"beta_init", "beta_initializer"},
    {"gamma_init", "gamma_initializer"},
    {"W_constraint", "kernel_constraint"},
    {"b_constraint", "bias_constraint"},
    {"W_regularizer", "kernel_regularizer"},
    {"b_regularizer", "bias_regularizer"},
    {"filter_length", "kernel_size"},
};

/* What Keras 1 wrote beside the options above: of no use, or handled on their own. */
static const char *const dropped[] = {
    "nb_row",
    "nb_col",
    "kernel_dim1",
    "kernel_dim2",
    "kernel_dim3",
    "input_dtype",
    "input_dim",
    "input_length",
    "mode",
    "mode_type",
    "output_mask",
    "output_mask_type",
    "output_shape_type",
    "arguments",
    "output_shape",
    "dim_ordering",
    "init",
};

static bool is_dropped(const char *key)
{
    for (size_t i = 0; i < CN__COUNT(dropped); i++)
        if (strcmp(dropped[i], key) == 0)
            return true;
    return false;
}

static const renaming initializers[] = {
    {"zero", "zeros"},
    {"one", "ones"},
    {"uniform", "random_uniform"},
    {"normal", "random_normal"},
};

/* Keras 1's {"name": "L1L2Regularizer", "l1": ..., "l2": ...} as Keras 3's object. */
static json_t *object_of_name(const json_t *value)
{
    static const renaming names[] = {
        {"WeightRegularizer", "L1L2"}, {"L1L2Regularizer", "L1L2"}, {"L1L2", "L1L2"}};
    const char *name = cn__json_text(value, "name");
    json_t *config = json_copy((json_t *)(uintptr_t)value);
    (void)json_object_del(config, "name");
    json_t *m = cn__json_get(config, "m"); /* MaxNorm's max_value */
    if (m != NULL) {
        (void)json_object_set(config, "max_value", m);
        (void)json_object_del(config, "m");
    }
    return json_pack("{ssso}", "class_name", rename_text(names, CN__COUNT(names), name), "config",
                     config);
}

static json_t *translate_value(const char *key, json_t *value)
{
    size_t length = strlen(key);
    const char *text = json_string_value(value);
    if (text != NULL && length > 12 && strcmp(key + length - 12, "_initializer") == 0)
        return json_string(rename_text(initializers, CN__COUNT(initializers), text));
    if (json_is_object(value) && cn__json_text(value, "name") != NULL &&
        cn__json_text(value, "class_name") == NULL)
        return object_of_name(value);
    return json_incref(value);
}

/* Until Keras 3 the hard sigmoid had another slope. */
static void translate_activation(json_t *config)
{
    const char *activation = cn__json_text(config, "activation");
    if (activation != NULL && strcmp(activation, "hard_sigmoid") == 0)
        (void)json_object_set_new(config, "activation", json_string("hard_sigmoid(legacy=True)"));
}

static void set_kernel_size(json_t *config, const json_t *old)
{
    static const char *const keys[] = {"nb_row", "nb_col", "kernel_dim1", "kernel_dim2",
                                       "kernel_dim3"};
    json_t *size = json_array();
    for (size_t i = 0; i < CN__COUNT(keys); i++)
        if (cn__json_get(old, keys[i]) != NULL)
            (void)json_array_append(size, cn__json_get(old, keys[i]));
    if (json_array_size(size) > 0)
        (void)json_object_set(config, "kernel_size", size);
    json_decref(size);
}

static void set_data_format(const cn__keras *k, const char *class_name, json_t *config,
                            const json_t *old)
{
    const cn__layer_type *type = cn__layer_type_find(class_name);
    /* 1-D data had its channels last always, and Flatten was a plain reshape. */
    if (type == NULL || cn__option_find(type, "data_format") == NULL || type->rank == 1 ||
        strcmp(class_name, "Flatten") == 0)
        return;
    const char *ordering = cn__json_text(old, "dim_ordering");
    bool first = k->data_format == CN_CHANNELS_FIRST;
    if (ordering != NULL && strcmp(ordering, "default") != 0)
        first = strcmp(ordering, "th") == 0;
    (void)json_object_set_new(config, "data_format",
                              json_string(first ? "channels_first" : "channels_last"));
}

/* The spatial extents of a Deconvolution2D's output_shape, where they are known. */
static cn_status set_output_size(json_t *config, const json_t *old)
{
    const json_t *shape = cn__json_get(old, "output_shape");
    const char *format = cn__json_text(config, "data_format");
    size_t skip = format != NULL && strcmp(format, "channels_first") == 0 ? 2 : 1;
    size_t rank = json_array_size(shape);
    if (shape == NULL || json_is_null(shape))
        return CN_OK;
    if (rank < 4)
        return cn__fail(
            CN_ERROR_FORMAT,
            "output_shape is %s of %zu, but should be a list of the batch, the channels and "
            "the spatial extents",
            cn__json_kind(shape), rank);
    json_t *size = json_array();
    bool known = true;
    for (size_t i = 0; i < rank - 2; i++) {
        known = known && json_is_integer(json_array_get(shape, skip + i));
        (void)json_array_append(size, json_array_get(shape, skip + i));
    }
    if (known)
        (void)json_object_set(config, "output_size", size);
    json_decref(size);
    return CN_OK;
}

/* `init` is the initializer of what the layer calls its kernel. */
static void set_initializers(const char *class_name, json_t *config, const json_t *old)
{
    static const char *const keys[] = {"kernel_initializer", "depthwise_initializer",
                                       "pointwise_initializer", "alpha_initializer",
                                       "embeddings_initializer"};
    const cn__layer_type *type = cn__layer_type_find(class_name);
    const char *init = cn__json_text(old, "init");
    for (size_t i = 0; init != NULL && type != NULL && i < CN__COUNT(keys); i++)
        if (cn__option_find(type, keys[i]) != NULL)
            (void)json_object_set_new(
                config, keys[i],
                json_string(rename_text(initializers, CN__COUNT(initializers), init)));
}

/* Four numbers top, bottom, left, right, or an object of them, as two pairs. */
static void set_padding(json_t *config)
{
    static const char *const keys[] = {"top_pad", "bottom_pad", "left_pad", "right_pad"};
    json_t *padding = cn__json_get(config, "padding"), *numbers[4];
    if (json_array_size(padding) != 4 && !json_is_object(padding))
        return;
    json_t *zero = json_integer(0);
    for (size_t i = 0; i < 4; i++) {
        numbers[i] =
            json_is_object(padding) ? cn__json_get(padding, keys[i]) : json_array_get(padding, i);
        if (numbers[i] == NULL)
            numbers[i] = zero;
    }
    (void)json_object_set_new(
        config, "padding", json_pack("[[OO][OO]]", numbers[0], numbers[1], numbers[2], numbers[3]));
    json_decref(zero);
}

static cn_status translate1(const cn__keras *k, const char *class_name, json_t *config,
                            const json_t *old)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)old, key, value)
    {
        bool taken = is_dropped(key);
        const char *new = rename_text(options, CN__COUNT(options), key);
        if (strcmp(new, "axis") == 0 && strcmp(key, "axis") != 0)
            taken = strcmp(class_name, "Concatenate") != 0;
        if (strcmp(new, "axes") == 0)
            taken = strcmp(class_name, "Dot") != 0;
        if (!taken)
            (void)json_object_set_new(config, new, translate_value(new, value));
    }
    if (strcmp(class_name, "Dense") == 0 && cn__json_get(old, "output_dim") != NULL) {
        (void)json_object_set(config, "units", cn__json_get(old, "output_dim"));
        (void)json_object_del(config, "output_dim");
    }
    const char *mode = cn__json_text(old, "mode");
    if (strcmp(class_name, "Dot") == 0 && mode != NULL && strcmp(mode, "cos") == 0)
        (void)json_object_set_new(config, "normalize", json_true());
    if (strcmp(class_name, "BatchNormalization") == 0 &&
        json_integer_value(cn__json_get(old, "mode")) != 0)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "its mode is %lld; only mode 0, normalisation of features, can be read",
                        (long long)json_integer_value(cn__json_get(old, "mode")));
    set_kernel_size(config, old);
    set_data_format(k, class_name, config, old);
    set_initializers(class_name, config, old);
    set_padding(config);
    return strstr(class_name, "Transpose") != NULL ? set_output_size(config, old) : CN_OK;
}

/* ReLU(threshold=theta) is what Keras 1 and 2 called ThresholdedReLU. */
static void translate2(json_t *config)
{
    json_t *theta = cn__json_get(config, "theta");
    if (theta != NULL) {
        (void)json_object_set(config, "threshold", theta);
        (void)json_object_del(config, "theta");
    }
}

json_t *cn__keras_translate(const cn__keras *k, const char *class_name, const json_t *config)
{
    if (k->version > 2)
        return json_incref((json_t *)(uintptr_t)config);
    json_t *translated = k->version == 1 ? json_object() : json_copy((json_t *)(uintptr_t)config);
    if (translated == NULL)
        return cn__fail_null(CN_ERROR_MEMORY, "no memory for its configuration");
    cn_status status = CN_OK;
    if (k->version == 1)
        status = translate1(k, class_name, translated, config);
    else
        translate2(translated);
    translate_activation(translated);
    if (status == CN_OK)
        return translated;
    json_decref(translated);
    return NULL;
}
