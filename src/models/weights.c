/* The weights of a model as one list. */
#include "graph/map.h"
#include "models/model.h"

#include <stdio.h>
#include <string.h>

typedef struct lister {
    cn_model *model;
    cn__map known;   /* variables */
    bool only_count; /* of the first of two rounds, before there is room */
} lister;

static cn_status list_layer(lister *l, cn_layer *layer)
{
    for (int i = 0; i < layer->weight_count; i++) {
        const cn__variable *variable = layer->weights[i].variable;
        if (cn__map_get(&l->known, variable) != NULL)
            continue;
        CN__TRY(cn__map_set(&l->known, variable, l));
        if (!l->only_count)
            l->model->weights[l->model->weight_count] = (struct cn__model_weight){layer, i};
        l->model->weight_count++;
    }
    return CN_OK;
}

static cn_status list_layers(lister *l, const cn_model *model)
{
    for (int i = 0; i < model->layer_count; i++) {
        CN__TRY(list_layer(l, model->layers[i]));
        if (cn__layer_model(model->layers[i]) != NULL)
            CN__TRY(list_layers(l, cn__layer_model(model->layers[i])));
    }
    return CN_OK;
}

cn_status cn__model_list_weights(cn_model *model)
{
    cn_status status = CN_OK;
    for (int round = 0; round < 2 && status == CN_OK; round++) {
        lister l = {.model = model, .only_count = round == 0};
        size_t bytes = (size_t)model->weight_count * sizeof *model->weights;
        if (round == 1 && (model->weights = cn__arena_alloc(model->arena, bytes)) == NULL)
            return cn_error_status();
        model->weight_count = 0;
        status = list_layers(&l, model);
        cn__map_free(&l.known);
    }
    return status;
}

int cn_model_weight_count(const cn_model *model)
{
    return model != NULL ? model->weight_count : 0;
}

static const struct cn__model_weight *weight_at(const cn_model *model, int index)
{
    if (model == NULL)
        return (void)cn__fail_null_argument("cn_model_weight"), NULL;
    if (index >= 0 && index < model->weight_count)
        return &model->weights[index];
    return cn__fail_null(CN_ERROR_NOT_FOUND, "model %s: has no weight %d; it has %d, from 0 on",
                         model->name, index, model->weight_count);
}

const char *cn_model_weight_name(const cn_model *model, int index)
{
    const struct cn__model_weight *weight = weight_at(model, index);
    return weight != NULL ? weight->layer->weights[weight->index].path : NULL;
}

const cn_array *cn_model_weight(const cn_model *model, int index)
{
    const struct cn__model_weight *weight = weight_at(model, index);
    return weight != NULL ? cn_layer_weight(weight->layer, weight->index) : NULL;
}

cn_status cn_model_set_weight(cn_model *model, int index, const cn_array *value)
{
    const struct cn__model_weight *weight = weight_at(model, index);
    return weight != NULL ? cn_layer_set_weight(weight->layer, weight->index, value)
                          : cn_error_status();
}

cn_status cn_model_copy_weights(cn_model *model, const cn_model *from)
{
    if (model == NULL || from == NULL)
        return cn__fail_null_argument("cn_model_copy_weights");
    if (model->weight_count != from->weight_count)
        return cn__fail(CN_ERROR_SHAPE, "model %s: has %d weights, but %s has %d", model->name,
                        model->weight_count, from->name, from->weight_count);
    for (int i = 0; i < from->weight_count; i++) {
        const cn_shape *to = cn_array_shape(cn_model_weight(model, i));
        const cn_shape *given = cn_array_shape(cn_model_weight(from, i));
        char a[128], b[128];
        if (!cn_shape_equal(to, given))
            return cn__fail(CN_ERROR_SHAPE,
                            "model %s: weight %d, %s, takes %s, but %s has %s there", model->name,
                            i, cn_model_weight_name(model, i), cn_shape_text(to, a, sizeof a),
                            from->name, cn_shape_text(given, b, sizeof b));
    }
    for (int i = 0; i < from->weight_count; i++)
        CN__TRY(cn_model_set_weight(model, i, cn_model_weight(from, i)));
    return CN_OK;
}
