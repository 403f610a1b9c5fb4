/* Keras 3's operations that are no layers (x * 2, ops.relu(x)) as layers that do the same. */
#include "formats/keras.h"

#include <math.h>
#include <string.h>

/* What an operation on one tensor and perhaps a number c is: an activation of that name, or
 * x * scale + offset. */
typedef struct operation {
    const char *class_name;
    const char *activation; /* NULL: not one */
    const char *merge;      /* the layer for two tensors; NULL: none */
    double scale, c_scale;  /* scale + c_scale * c */
    double offset;          /* times c */
    double scale_if_first;  /* instead of scale if the number stands first (c - x) */
    double offset_if_first;
} operation;

static const operation operations[] = {
    {"Relu", .activation = "relu"},
    {"Relu6", .activation = "relu6"},
    {"LeakyRelu", .activation = "leaky_relu"},
    {"Elu", .activation = "elu"},
    {"Selu", .activation = "selu"},
    {"Celu", .activation = "celu"},
    {"Gelu", .activation = "gelu"},
    {"Sigmoid", .activation = "sigmoid"},
    {"LogSigmoid", .activation = "log_sigmoid"},
    {"HardSigmoid", .activation = "hard_sigmoid"},
    {"Silu", .activation = "silu"},
    {"HardSilu", .activation = "hard_silu"},
    {"Softplus", .activation = "softplus"},
    {"Softsign", .activation = "softsign"},
    {"Tanh", .activation = "tanh"},
    {"HardTanh", .activation = "hard_tanh"},
    {"Softmax", .activation = "softmax"},
    {"LogSoftmax", .activation = "log_softmax"},
    {"Exp", .activation = "exponential"},
    {"Negative", .scale = -1},
    {"Add", .merge = "Add", .scale = 1, .offset = 1, .scale_if_first = 1, .offset_if_first = 1},
    {"Subtract", .merge = "Subtract", .scale = 1, .offset = -1, .scale_if_first = -1,
     .offset_if_first = 1},
    {"Multiply", .merge = "Multiply", .c_scale = 1},
    {"Maximum", .merge = "Maximum"},
    {"Minimum", .merge = "Minimum"},
};

bool cn__keras_is_operation(const json_t *entry)
{
    const char *module = cn__json_text(entry, "module");
    return module != NULL &&
           (strncmp(module, "keras.src.ops", 13) == 0 || strncmp(module, "keras.ops", 9) == 0);
}

static cn_layer *fail(const char *name, const char *class_name)
{
    return cn__fail_null(CN_ERROR_UNSUPPORTED,
                         "%s: Cornu cannot do the operation %s with these arguments; a layer that "
                         "does the same can be read",
                         name, class_name);
}

static cn_layer *merge_layer(const char *class_name, const char *name)
{
    return cn__layer_new(cn__layer_type_find(class_name),
                         &(cn_merge_layer){.size_ = sizeof(cn_merge_layer), .name = name});
}

static cn_layer *activation_layer(const operation *op, const char *name, const json_t *config)
{
    cn__arena *arena = cn__arena_new();
    json_t *object = json_pack("{sssO}", "class_name", op->activation, "config", config);
    const char *text = NULL;
    cn_layer *layer = NULL;
    if (arena != NULL && object != NULL && cn__json_expression(arena, object, &text) == CN_OK)
        layer = cn_activation(.name = name, .activation = text);
    json_decref(object);
    cn__arena_free(arena);
    return layer;
}

static cn_layer *rescaling_layer(const operation *op, const char *name, double c, bool first)
{
    if (isnan(c))
        c = 0;
    double scale = first && op->scale_if_first != 0 ? op->scale_if_first : op->scale;
    double offset = first ? op->offset_if_first : op->offset;
    scale += op->c_scale * c;
    float zero = -0.0f; /* a zero that is meant */
    return cn_rescaling(.name = name, .scale = scale != 0 ? (float)scale : zero,
                        .offset = (float)(offset * c));
}

/* Means and maxima over all spatial axes. */
static cn_layer *global_pooling(const char *class_name, const char *name, const json_t *config,
                                int rank)
{
    static const char *const types[2][3] = {
        {"GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"},
        {"GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"}};
    const json_t *axes = cn__json_get(config, "axis");
    size_t count = json_is_array(axes) ? json_array_size(axes) : 1;
    bool spatial = rank >= 3 && rank <= 5 && count == (size_t)rank - 2;
    for (size_t i = 0; spatial && i < count; i++) {
        int64_t axis = json_integer_value(json_is_array(axes) ? json_array_get(axes, i) : axes);
        spatial = axis == (int64_t)i + 1 || axis == (int64_t)i + 1 - rank;
    }
    if (!spatial)
        return fail(name, class_name);
    const cn__layer_type *type = cn__layer_type_find(types[class_name[1] == 'a'][rank - 3]);
    cn_global_pooling_layer options = {.size_ = sizeof options,
                                       .name = name,
                                       .keepdims = json_is_true(cn__json_get(config, "keepdims"))};
    return type == NULL ? fail(name, class_name) : cn__layer_new(type, &options);
}

static cn_layer *concatenate(const char *name, const json_t *config)
{
    const json_t *axis = cn__json_get(config, "axis");
    return cn_concatenate(.name = name, .axis = json_integer_value(axis));
}

cn_layer *cn__keras_operation(const char *class_name, const char *name, const json_t *config,
                              int tensors, double constant, bool constant_first, int rank)
{
    bool has_constant = !isnan(constant);
    if (strcmp(class_name, "Concatenate") == 0 && !has_constant)
        return concatenate(name, config);
    if ((strcmp(class_name, "Mean") == 0 || strcmp(class_name, "Max") == 0) && tensors == 1 &&
        !has_constant)
        return global_pooling(class_name, name, config, rank);
    for (size_t i = 0; i < CN__COUNT(operations); i++) {
        const operation *op = &operations[i];
        if (strcmp(op->class_name, class_name) != 0)
            continue;
        if (tensors == 2 && !has_constant && op->merge != NULL)
            return merge_layer(op->merge, name);
        if (tensors != 1 || (op->activation != NULL && has_constant))
            break;
        if (op->activation != NULL)
            return activation_layer(op, name, config);
        bool takes_constant = op->offset != 0 || op->c_scale != 0;
        if (has_constant == takes_constant && (op->scale != 0 || op->c_scale != 0))
            return rescaling_layer(op, name, constant, constant_first);
        break;
    }
    if ((strcmp(class_name, "Divide") == 0 || strcmp(class_name, "TrueDivide") == 0) &&
        tensors == 1 && has_constant && !constant_first && constant != 0) {
        operation op = {.scale = 1 / constant};
        return rescaling_layer(&op, name, (double)NAN, false);
    }
    return fail(name, class_name);
}
