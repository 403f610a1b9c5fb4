/* The facts of a model's summary as JSON. */
#include "models/model.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *shape_json(const cn_shape *shape)
{
    json_t *list = json_array();
    for (int i = 0; i < shape->rank; i++)
        (void)json_array_append_new(list,
                                    shape->dim[i] < 0 ? json_null() : json_integer(shape->dim[i]));
    return list;
}

/* [maker's name, node, output], as Keras' files refer to tensors. */
static json_t *connection_json(const cn_model *model, int value)
{
    int output = 0;
    const cn__model_step *maker = cn__model_maker(model, value, &output);
    if (maker == NULL || maker->layer == NULL)
        return json_null();
    return json_pack("[sii]", maker->layer->name, maker->node, output);
}

static json_t *nodes_json(const cn_model *model, const cn_layer *layer)
{
    json_t *nodes = json_array();
    for (int i = 0; i < model->step_count; i++) {
        const cn__model_step *step = &model->steps[i];
        if (step->layer != layer)
            continue;
        json_t *inputs = json_array(), *shapes = json_array();
        for (int j = 0; j < step->inputs; j++)
            (void)json_array_append_new(inputs, connection_json(model, step->in[j]));
        for (int j = 0; j < step->outputs; j++)
            (void)json_array_append_new(shapes, shape_json(&model->value_shapes[step->out[j]]));
        json_t *node = json_pack("{soso}", "inputs", inputs, "output_shapes", shapes);
        (void)json_array_append_new(nodes, node);
    }
    return nodes;
}

static json_t *model_json(const cn_model *model);

static json_t *layer_json(const cn_model *model, const cn_layer *layer)
{
    json_t *object = json_pack("{sssssIsbso}", "name", layer->name, "type", layer->type->name,
                               "parameters", (json_int_t)cn__layer_parameters(layer, false),
                               "trainable", layer->trainable, "nodes", nodes_json(model, layer));
    const cn_model *nested = cn__layer_model(layer);
    if (object != NULL && nested != NULL)
        (void)json_object_set_new(object, "model", model_json(nested));
    return object;
}

static json_t *model_json(const cn_model *model)
{
    json_t *layers = json_array();
    for (int i = 0; i < model->layer_count; i++)
        (void)json_array_append_new(layers, layer_json(model, model->layers[i]));
    int64_t total = cn_model_parameter_count(model, false);
    int64_t trainable = cn_model_parameter_count(model, true);
    return json_pack("{sssssIsIsIso}", "name", model->name, "type",
                     model->sequential ? "Sequential" : "Functional", "parameters",
                     (json_int_t)total, "trainable_parameters", (json_int_t)trainable,
                     "non_trainable_parameters", (json_int_t)(total - trainable), "layers", layers);
}

char *cn_model_summary_json(const cn_model *model)
{
    if (model == NULL)
        return cn__fail_null_argument("cn_model_summary_json"), NULL;
    json_t *json = model_json(model);
    char *dumped = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    char *text = NULL;
    if (dumped != NULL)
        text = cn__strdup(dumped);
    else
        cn__fail(CN_ERROR_MEMORY, "model %s: no memory for its summary as JSON", model->name);
    free(dumped);
    json_decref(json);
    return text;
}
