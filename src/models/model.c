/* Models: making them, what they hold, finding their layers. */
#include "layers/names.h"
#include "models/fit.h"

#include <string.h>

/* ---- making ---- */

static void *copy_list(cn__arena *arena, const void *items, int count, size_t size)
{
    return cn__arena_copy(arena, items, (size_t)count * size);
}

/* Without a name the model gets an automatic one, as a layer does: it may become one. */
static cn_model *allocate(const char *name, bool sequential)
{
    const cn__layer_type *type = sequential ? &cn__sequential_type : &cn__functional_type;
    cn__arena *arena = cn__arena_new();
    cn_model *model = arena != NULL ? cn__arena_alloc(arena, sizeof *model) : NULL;
    if (model != NULL)
        model->name =
            name != NULL ? cn__arena_strdup(arena, name) : cn__name_automatic(arena, type);
    if (model == NULL || model->name == NULL) {
        cn__arena_free(arena);
        return NULL;
    }
    if (name != NULL)
        cn__name_taken(type, name);
    model->arena = arena;
    model->sequential = sequential;
    return model;
}

/* All tensors come into one graph, so that there is one to hold: an input that no output depends on
 * may have had its own. */
static void join(cn_model *model, cn_tensor_list tensors)
{
    for (int i = 0; i < tensors.count; i++)
        cn__graph_join(cn__graph_of(model->inputs[0]), tensors.items[i]->graph);
}

static cn_status check_names(const cn_model *model)
{
    for (int i = 0; i < model->layer_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(model->layers[i]->name, model->layers[j]->name) == 0)
                return cn__fail(
                    CN_ERROR_ARGUMENT,
                    "model %s: two layers, a %s and a %s, are named %s; names are unique "
                    "in a model: give one of them another .name",
                    model->name, model->layers[j]->type->name, model->layers[i]->type->name,
                    model->layers[i]->name);
    return CN_OK;
}

static cn_status fill(cn_model *model, cn_tensor_list inputs, cn_tensor_list outputs)
{
    model->input_count = inputs.count;
    model->output_count = outputs.count;
    model->inputs = copy_list(model->arena, inputs.items, inputs.count, sizeof *inputs.items);
    model->outputs = copy_list(model->arena, outputs.items, outputs.count, sizeof *outputs.items);
    if (model->inputs == NULL || model->outputs == NULL)
        return cn_error_status();
    join(model, inputs);
    join(model, outputs);
    CN__TRY(cn__model_trace(model));
    CN__TRY(cn__model_list_weights(model));
    return check_names(model);
}

static bool has_null(cn_tensor_list tensors)
{
    for (int i = 0; i < tensors.count; i++)
        if (tensors.items[i] == NULL)
            return true;
    return false;
}

static cn_model *make(const char *name, bool sequential, cn_tensor_list inputs,
                      cn_tensor_list outputs)
{
    if (has_null(inputs) || has_null(outputs))
        return cn__fail_null_argument("model"), NULL;
    if (inputs.count < 1 || outputs.count < 1)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "model: needs at least one input and one output, got %d and %d",
                             inputs.count, outputs.count);
    cn_model *model = allocate(name, sequential);
    if (model == NULL)
        return NULL;
    if (fill(model, inputs, outputs) != CN_OK) {
        cn_model_free(model);
        return NULL;
    }
    model->graph = cn__graph_of(model->inputs[0]);
    cn__graph_retain(model->graph);
    return model;
}

cn_model *cn_model_named(const char *name, cn_tensor_list inputs, cn_tensor_list outputs)
{
    return make(name, false, inputs, outputs);
}

cn_model *cn_model_new(cn_tensor_list inputs, cn_tensor_list outputs)
{
    return make(NULL, false, inputs, outputs);
}

/* The name in messages, before the model has its own. */
static const char *name_or(const char *name, const char *otherwise)
{
    return name != NULL ? name : otherwise;
}

/* Applies the layers in turn; `*input` is what the first gives. */
static cn_tensor *stack(const char *name, int count, cn_layer *const *layers, cn_tensor **input)
{
    *input = cn_apply_list(layers[0], (cn_tensor_list){0});
    cn_tensor *x = *input;
    for (int i = 1; x != NULL && i < count; i++) {
        if (layers[i]->type->most_inputs == 0)
            return cn__fail_null(CN_ERROR_ARGUMENT,
                                 "model %s: layer %d, %s, is an input; only the first may be",
                                 name_or(name, "sequential"), i, layers[i]->name);
        x = cn_apply(layers[i], x);
    }
    return x;
}

static cn_model *sequential(const char *name, int count, cn_layer *const *layers)
{
    if (count < 2 || layers[0]->type->most_inputs != 0)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "model %s: begins with an input and has at least one more layer; "
                             "got %d, the first a %s: write cn_sequential(cn_input({...}), ...)",
                             name_or(name, "sequential"), count,
                             count > 0 ? layers[0]->type->name : "missing one");
    cn_tensor *input = NULL;
    cn_tensor *output = stack(name, count, layers, &input);
    cn_model *model =
        output == NULL ? NULL : make(name, true, cn_tensors(input), cn_tensors(output));
    if (model == NULL)
        cn_tensor_release(input);
    return model;
}

cn_model *cn_sequential_new(const char *name, int count, cn_layer *const *layers)
{
    bool complete = true;
    for (int i = 0; i < count; i++)
        complete = complete && layers[i] != NULL;
    /* Held for the while, a layer that nothing took over is freed in the end, once. */
    for (int i = 0; i < count; i++)
        if (layers[i] != NULL)
            cn__layer_retain(layers[i]);
    cn_model *model = NULL;
    if (complete)
        model = sequential(name, count, layers);
    else
        cn__fail_null_argument("sequential");
    for (int i = 0; i < count; i++)
        if (layers[i] != NULL)
            cn__layer_release(layers[i]);
    return model;
}

void cn_model_free(cn_model *model)
{
    if (model == NULL)
        return;
    cn__fitting_free(model->fitting);
    cn__compiled_free(model->compiled);
    cn_function_free(atomic_load(&model->function));
    for (int i = 0; i < model->layer_count; i++)
        cn__layer_release(model->layers[i]);
    cn__graph_release(model->graph);
    cn__arena_free(model->arena);
}

/* ---- what a model has ---- */

const char *cn_model_name(const cn_model *model)
{
    return model == NULL ? NULL : model->name;
}

cn_tensor_list cn_model_inputs(const cn_model *model)
{
    if (model == NULL || model->inputs == NULL)
        return (cn_tensor_list){0};
    return (cn_tensor_list){model->input_count, model->inputs};
}

cn_tensor_list cn_model_outputs(const cn_model *model)
{
    if (model == NULL || model->outputs == NULL)
        return (cn_tensor_list){0};
    return (cn_tensor_list){model->output_count, model->outputs};
}

cn_tensor *cn_model_input(const cn_model *model)
{
    cn_tensor_list inputs = cn_model_inputs(model);
    return inputs.count > 0 ? inputs.items[0] : NULL;
}

cn_tensor *cn_model_output(const cn_model *model)
{
    cn_tensor_list outputs = cn_model_outputs(model);
    return outputs.count > 0 ? outputs.items[0] : NULL;
}

int cn_model_layer_count(const cn_model *model)
{
    return model == NULL ? 0 : model->layer_count;
}

cn_layer *cn_model_layer(const cn_model *model, int index)
{
    if (model == NULL)
        return cn__fail_null_argument("cn_model_layer"), NULL;
    int place = index < 0 ? index + model->layer_count : index;
    if (place < 0 || place >= model->layer_count)
        return cn__fail_null(
            CN_ERROR_NOT_FOUND,
            "model %s: has no layer %d; its %d layers are 0 to %d, or from the end "
            "-1 to %d",
            model->name, index, model->layer_count, model->layer_count - 1, -model->layer_count);
    return model->layers[place];
}

/* ---- finding layers by name ---- */

/* The layer of the first `length` characters of `name`. */
static cn_layer *find(const cn_model *model, const char *name, size_t length)
{
    for (int i = 0; i < model->layer_count; i++) {
        const char *candidate = model->layers[i]->name;
        if (strlen(candidate) == length && memcmp(candidate, name, length) == 0)
            return model->layers[i];
    }
    return NULL;
}

/* Names may hold slashes themselves: every way to divide the path is tried, the whole name first.
 */
static cn_layer *find_path(const cn_model *model, const char *path)
{
    cn_layer *layer = find(model, path, strlen(path));
    for (const char *slash = strchr(path, '/'); layer == NULL && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        cn_layer *outer = find(model, path, (size_t)(slash - path));
        if (outer != NULL && cn__layer_model(outer) != NULL)
            layer = find_path(cn__layer_model(outer), slash + 1);
    }
    return layer;
}

/* Writes the layers' names into `text`, as many as fit. */
static void list_names(const cn_model *model, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < model->layer_count; i++) {
        const char *name = model->layers[i]->name;
        size_t length = strlen(name) + (i > 0 ? 2 : 0);
        if (used + length + sizeof ", ..." > size) {
            memcpy(text + used, ", ...", sizeof ", ...");
            return;
        }
        memcpy(text + used, i > 0 ? ", " : "", i > 0 ? 2 : 0);
        memcpy(text + used + (i > 0 ? 2 : 0), name, strlen(name) + 1);
        used += length;
    }
}

cn_layer *cn_model_layer_named(const cn_model *model, const char *name)
{
    if (model == NULL || name == NULL)
        return cn__fail_null_argument("cn_model_layer_named"), NULL;
    cn_layer *layer = find_path(model, name);
    if (layer != NULL)
        return layer;
    char names[700];
    list_names(model, names, sizeof names);
    return cn__fail_null(CN_ERROR_NOT_FOUND, "model %s: has no layer %s; its layers are %s",
                         model->name, name, names);
}

/* ---- parameters ---- */

int64_t cn__layer_parameters(const cn_layer *layer, bool trainable_only)
{
    if (trainable_only && !layer->trainable)
        return 0;
    const cn_model *model = cn__layer_model(layer);
    if (model != NULL)
        return cn_model_parameter_count(model, trainable_only);
    int64_t count = 0;
    for (int i = 0; i < layer->weight_count; i++)
        if (!trainable_only || layer->weights[i].trainable)
            count += cn_array_count(layer->weights[i].variable->value);
    return count;
}

int64_t cn_model_parameter_count(const cn_model *model, bool trainable_only)
{
    int64_t count = 0;
    for (int i = 0; model != NULL && i < model->layer_count; i++)
        count += cn__layer_parameters(model->layers[i], trainable_only);
    return count;
}
