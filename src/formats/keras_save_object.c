/* Expressions as Keras' objects: "L2(l2=0.01)" becomes {"module": "keras.regularizers",
 * "class_name": "L2", "config": {"l2": 0.01}, "registered_name": null}; and what writing JSON
 * needs. */
#include "formats/keras.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

cn_status cn__json_put(json_t *parent, const char *key, json_t *value)
{
    bool list = json_is_array(parent);
    if (value != NULL && (list ? json_array_append_new(parent, value)
                               : json_object_set_new(parent, key, value)) == 0)
        return CN_OK;
    return cn__fail(CN_ERROR_MEMORY, "%s: no memory for the configuration, or a text is no UTF-8",
                    list ? "a list" : key);
}

json_t *cn__json_put_object(json_t *parent, const char *key)
{
    json_t *object = json_object();
    return cn__json_put(parent, key, object) == CN_OK ? object : NULL;
}

json_t *cn__json_put_list(json_t *parent, const char *key)
{
    json_t *list = json_array();
    return cn__json_put(parent, key, list) == CN_OK ? list : NULL;
}

/* Whether 16 digits, which look better than 17, tell every number exactly. */
static bool is_told_by_16(const json_t *json)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_real(json)) {
        char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
        json_t *read = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        bool same = json_equal(json, read) != 0;
        json_decref(read);
        free(text);
        return same;
    }
    json_array_foreach(json, i, item)
    {
        if (!is_told_by_16(item))
            return false;
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, item)
    {
        if (!is_told_by_16(item))
            return false;
    }
    return true;
}

char *cn__json_print(const json_t *json)
{
    size_t precision = is_told_by_16(json) ? 16 : 17;
    size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(precision);
    char *text = json_dumps(json, flags);
    if (text == NULL)
        return cn__fail_null(CN_ERROR_MEMORY, "no memory for the configuration as text");
    char *copy = cn__strdup(text);
    free(text);
    return copy;
}

/* The double of the fewest digits that is this float: 0.99, not 0.9900000095367432. */
json_t *cn__json_float(float value)
{
    char text[32];
    json_t *number = NULL;
    for (int digits = 1; digits <= 9 && number == NULL; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)value);
        double read = strtod(text, NULL);
        if ((float)read == value)
            number = json_real(read);
    }
    return number;
}

/* ---- names ---- */

/* Class names that do not follow from the words, and words that mean others. */
static const struct {
    const char *words, *class_name;
} classes[] = {
    {"mse|mean_squared_error", "MeanSquaredError"},
    {"mae|mean_absolute_error", "MeanAbsoluteError"},
    {"mape|mean_absolute_percentage_error", "MeanAbsolutePercentageError"},
    {"msle|mean_squared_logarithmic_error", "MeanSquaredLogarithmicError"},
    {"bce|binary_crossentropy", "BinaryCrossentropy"},
    {"kld|kl_divergence|kullback_leibler_divergence", "KLDivergence"},
    {"logcosh|log_cosh", "LogCosh"},
    {"top_k_categorical_accuracy", "TopKCategoricalAccuracy"},
    {"auc", "AUC"},
    {"iou|io_u", "IoU"},
    {"mean_iou|mean_io_u", "MeanIoU"},
    {"f1_score", "F1Score"},
    {"r2_score", "R2Score"},
    {"fbeta_score", "FBetaScore"},
    {"sgd", "SGD"},
    {"rmsprop", "RMSprop"},
    {"adamw", "AdamW"},
    {"zero", "Zeros"},
    {"one", "Ones"},
    {"uniform", "RandomUniform"},
    {"normal", "RandomNormal"},
    {"IdentityInitializer", "Identity"},
    {"OrthogonalInitializer", "Orthogonal"},
    {"l1l2|l1_l2", "L1L2"},
    {"maxnorm", "MaxNorm"},
    {"nonneg", "NonNeg"},
    {"unitnorm", "UnitNorm"},
};

/* "he_normal" becomes "HeNormal". */
const char *cn__keras_class_name(cn__arena *arena, const char *name)
{
    for (size_t i = 0; i < CN__COUNT(classes); i++)
        if (cn__list_index(classes[i].words, name) >= 0)
            return classes[i].class_name;
    char *text = cn__arena_strdup(arena, name), *end = text;
    bool begins = true;
    for (const char *c = name; text != NULL && *c != '\0'; c++) {
        if (*c != '_')
            *end++ = (char)(begins ? toupper((unsigned char)*c) : *c);
        begins = *c == '_';
    }
    if (text != NULL)
        *end = '\0';
    return text;
}

/* ---- arguments ---- */

/* A number or a list as JSON has it, else a text. */
static json_t *value_of(const char *text, double number)
{
    if (strcmp(text, "None") == 0)
        return json_null();
    if (cn__list_index("True|true|False|false", text) >= 0)
        return json_boolean(number != 0);
    bool may_be_json = isdigit((unsigned char)*text) || strchr("-[", *text) != NULL;
    json_t *value = may_be_json ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (value != NULL)
        return value;
    return isnan(number) ? json_string(text) : json_real(number);
}

static cn_status put_arguments(const cn__keras_saving *s, const cn__expression *e, json_t *config)
{
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key, *text = e->arguments[i].text;
        if (strchr(text, '(') != NULL)
            CN__TRY(cn__keras_put_object(s, "keras.optimizers.schedules", text, config, key));
        else
            CN__TRY(cn__json_put(config, key, value_of(text, e->arguments[i].number)));
    }
    return CN_OK;
}

json_t *cn__keras_put_class(const char *module, const char *class_name, json_t *parent,
                            const char *key)
{
    json_t *object = cn__json_put_object(parent, key);
    if (object == NULL || cn__json_put(object, "module", json_string(module)) != CN_OK ||
        cn__json_put(object, "class_name", json_string(class_name)) != CN_OK)
        return NULL;
    json_t *config = cn__json_put_object(object, "config");
    if (config == NULL || cn__json_put(object, "registered_name", json_null()) != CN_OK)
        return NULL;
    return config;
}

cn_status cn__keras_put_object(const cn__keras_saving *s, const char *module,
                               const char *expression, json_t *parent, const char *key)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(s->arena, expression, &e));
    const char *class_name = cn__keras_class_name(s->arena, e.name);
    if (class_name == NULL)
        return cn_error_status();
    json_t *config = cn__keras_put_class(module, class_name, parent, key);
    return config != NULL ? put_arguments(s, &e, config) : cn_error_status();
}

/* ---- initializers, regularizers, constraints ---- */

/* Keras 2 takes these by their names, whichever of its versions it is. */
static cn_status put_name(const char *class_name, json_t *parent, const char *key)
{
    char name[cn__name_size];
    cn__snake_case(class_name, name, sizeof name);
    return cn__json_put(parent, key, json_string(name));
}

cn_status cn__keras_put_initializer(const cn__keras_saving *s, const char *text, json_t *parent,
                                    const char *key)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(s->arena, text, &e));
    /* The weights are in the file: how they were filled once is of no use to anyone. */
    if (strcmp(e.name, "bilinear") == 0 || strcmp(e.name, "Bilinear") == 0) {
        if (!s->has_weights)
            return cn__fail(CN_ERROR_UNSUPPORTED,
                            "Keras has no initializer \"bilinear\"; save a file with weights "
                            "(.keras or .h5), or use another one");
        text = "zeros";
        CN__TRY(cn__expression_parse(s->arena, text, &e));
    }
    const char *class_name = cn__keras_class_name(s->arena, e.name);
    if (class_name == NULL)
        return cn_error_status();
    if (s->legacy && e.count == 0)
        return put_name(class_name, parent, key);
    return cn__keras_put_object(s, "keras.initializers", text, parent, key);
}

/* Of the regularizers only L1L2 is in all versions. */
cn_status cn__keras_put_regularizer(const cn__keras_saving *s, const char *text, json_t *parent,
                                    const char *key)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(s->arena, text, &e));
    const char *class_name = cn__keras_class_name(s->arena, e.name);
    if (class_name == NULL)
        return cn_error_status();
    bool is_l1 = strcmp(class_name, "L1") == 0, is_l2 = strcmp(class_name, "L2") == 0;
    if (!s->legacy || (!is_l1 && !is_l2))
        return cn__keras_put_object(s, "keras.regularizers", text, parent, key);
    json_t *config = cn__keras_put_class("keras.regularizers", "L1L2", parent, key);
    double amount = cn__expression_number(&e, "l1|l2|l", 0.01);
    CN__TRY(config != NULL ? CN_OK : cn_error_status());
    CN__TRY(cn__json_put(config, "l1", json_real(is_l1 ? amount : 0)));
    return cn__json_put(config, "l2", json_real(is_l2 ? amount : 0));
}

/* ---- activations ---- */

/* Keras has activations without arguments, and layers that may stand for one. */
static const struct {
    const char *names, *class_name;
    struct {
        const char *keys, *key;
    } arguments[3];
} layers[] = {
    {"relu|ReLU",
     "ReLU",
     {{"negative_slope|alpha", "negative_slope"},
      {"max_value", "max_value"},
      {"threshold", "threshold"}}},
    {"leaky_relu|LeakyReLU", "LeakyReLU", {{"negative_slope|alpha", "negative_slope"}}},
    {"elu|ELU", "ELU", {{"alpha", "alpha"}}},
    {"softmax|Softmax", "Softmax", {{"axis", "axis"}}},
};

/* Arguments that may be left out, being what Keras takes without them. */
static const struct {
    const char *names, *key;
    double value;
} defaults[] = {
    {"celu", "alpha", 1},          {"gelu", "approximate", 0},
    {"hard_sigmoid", "legacy", 0}, {"soft_shrink|hard_shrink", "threshold", 0.5},
    {"squareplus", "b", 4},        {"log_softmax|sparsemax|glu", "axis", -1},
};

static bool is_default(const cn__expression *e, int argument)
{
    const char *key = e->arguments[argument].key;
    if (cn__list_index("name|trainable|dtype", key) >= 0)
        return true;
    for (size_t i = 0; i < CN__COUNT(defaults); i++)
        if (cn__list_index(defaults[i].names, e->name) >= 0 && strcmp(defaults[i].key, key) == 0)
            return e->arguments[argument].number == defaults[i].value;
    return false;
}

static cn_status put_layer(const cn__keras_saving *s, const cn__expression *e, size_t row,
                           json_t *parent, const char *key)
{
    json_t *config = cn__keras_put_class("keras.layers", layers[row].class_name, parent, key);
    if (config == NULL)
        return cn_error_status();
    for (int i = 0; i < e->count; i++)
        for (size_t j = 0; j < CN__COUNT(layers[row].arguments); j++) {
            if (cn__list_index(layers[row].arguments[j].keys, e->arguments[i].key) < 0)
                continue;
            const char *name = layers[row].arguments[j].key;
            if (s->legacy && strcmp(layers[row].class_name, "LeakyReLU") == 0)
                name = "alpha";
            CN__TRY(
                cn__json_put(config, name, value_of(e->arguments[i].text, e->arguments[i].number)));
        }
    return CN_OK;
}

cn_status cn__keras_put_activation(const cn__keras_saving *s, const char *text, json_t *parent,
                                   const char *key)
{
    static const struct {
        const char *ours, *keras;
    } names[] = {{"identity", "linear"}, {"exp", "exponential"}};
    cn__expression e;
    CN__TRY(cn__expression_parse(s->arena, text, &e));
    for (size_t i = 0; i < CN__COUNT(layers); i++) {
        bool is = cn__list_index(layers[i].names, e.name) >= 0;
        if (is && (e.count > 0 || isupper((unsigned char)e.name[0])))
            return put_layer(s, &e, i, parent, key);
    }
    for (int i = 0; i < e.count; i++)
        if (!is_default(&e, i))
            return cn__fail(CN_ERROR_UNSUPPORTED,
                            "Keras' activation %s takes no argument \"%s\" in a file; relu, "
                            "leaky_relu, elu and softmax may have arguments",
                            e.name, e.arguments[i].key);
    for (size_t i = 0; i < CN__COUNT(names); i++)
        if (strcmp(names[i].ours, e.name) == 0)
            e.name = names[i].keras;
    return cn__json_put(parent, key, json_string(e.name));
}
