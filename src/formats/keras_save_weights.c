/* Weights into HDF5, in the two ways that Keras stores them; keras_weights.c tells how. */
#include "formats/keras.h"

#include <stdio.h>
#include <string.h>

/* ---- .keras, .weights.h5 ---- */

/* The path of a layer's group within `root`, "" or that of a nested model. Layers of a class are
 * counted in the model's order. */
static const char *path_of(const cn__keras_saving *s, const char *root, const cn_model *model,
                           int place)
{
    char base[cn__name_size], number[16] = "";
    int before = 0;
    for (int i = 0; i < place; i++)
        before += model->layers[i]->type == model->layers[place]->type;
    cn__snake_case(model->layers[place]->type->name, base, sizeof base);
    if (before > 0)
        (void)snprintf(number, sizeof number, "_%d", before);
    return cn__arena_printf(s->arena, "%s/layers/%s%s", root, base, number);
}

static cn_status put_layers(const cn__keras_saving *s, const cn__h5 *h5, const char *root,
                            const cn_model *model);

/* All layers have a group, as Keras up to 3.3 expects it of the model. */
static cn_status put_vars(const cn__keras_saving *s, const cn__h5 *h5, const char *path,
                          const cn_layer *layer)
{
    const char *vars = cn__arena_printf(s->arena, "%s/vars", path);
    CN__TRY(vars != NULL ? cn__h5_put_group(h5, vars) : cn_error_status());
    for (int i = 0; i < layer->weight_count; i++) {
        const cn_array *value = layer->weights[i].variable->value;
        const char *name = cn__arena_printf(s->arena, "%s/%d", vars, i);
        CN__TRY(name != NULL ? cn__h5_put_floats(h5, name, cn_array_shape(value),
                                                 cn_array_const_floats(value))
                             : cn_error_status());
    }
    const cn_model *nested = cn__layer_model(layer);
    return nested != NULL ? put_layers(s, h5, path, nested) : CN_OK;
}

static cn_status put_layers(const cn__keras_saving *s, const cn__h5 *h5, const char *root,
                            const cn_model *model)
{
    for (int i = 0; i < model->layer_count; i++) {
        const char *path = path_of(s, root, model, i);
        CN__TRY(path != NULL ? put_vars(s, h5, path, model->layers[i]) : cn_error_status());
    }
    return CN_OK;
}

cn_status cn__keras_put_weights(const cn__keras_saving *s, const cn__h5 *h5, const cn_model *model)
{
    CN__TRY(cn__h5_put_group(h5, "/vars"));
    return put_layers(s, h5, "", model);
}

/* ---- .h5 ---- */

/* The weights of a layer, or of all layers of a nested model, in the order of the file. */
typedef struct names {
    const cn__keras_saving *s;
    const cn__h5 *h5;
    const char *group;
    const char **items;
    size_t count, capacity;
} names;

static cn_status put_weight(names *n, const char *path, const cn__weight *weight)
{
    const cn_array *value = weight->variable->value;
    const char *name = cn__arena_printf(n->s->arena, "%s/%s:0", path, weight->name);
    const char *array =
        name != NULL ? cn__arena_printf(n->s->arena, "%s/%s", n->group, name) : NULL;
    if (array == NULL)
        return cn_error_status();
    CN__TRY(cn__grow(&n->items, &n->capacity, n->count, n->count + 1, sizeof *n->items));
    n->items[n->count++] = name;
    return cn__h5_put_floats(n->h5, array, cn_array_shape(value), cn_array_const_floats(value));
}

/* Those that are trained, or those that are not. `path` has the names of the models around. */
static cn_status put_some(names *n, const char *path, const cn_layer *layer, bool frozen,
                          bool trained)
{
    const cn_model *nested = cn__layer_model(layer);
    frozen = frozen || !layer->trainable;
    for (int i = 0; nested != NULL && i < nested->layer_count; i++) {
        const cn_layer *inner = nested->layers[i];
        const char *longer = cn__arena_printf(n->s->arena, "%s/%s", path, inner->name);
        CN__TRY(longer != NULL ? put_some(n, longer, inner, frozen, trained) : cn_error_status());
    }
    for (int i = 0; i < layer->weight_count; i++)
        if ((layer->weights[i].trainable && !frozen) == trained)
            CN__TRY(put_weight(n, path, &layer->weights[i]));
    return CN_OK;
}

static cn_status put_group(const cn__keras_saving *s, const cn__h5 *h5, const cn_layer *layer)
{
    names n = {.s = s, .h5 = h5};
    n.group = cn__arena_printf(s->arena, "/model_weights/%s", layer->name);
    CN__TRY(n.group != NULL ? cn__h5_put_group(h5, n.group) : cn_error_status());
    cn_status status = put_some(&n, layer->name, layer, false, true);
    if (status == CN_OK)
        status = put_some(&n, layer->name, layer, false, false);
    if (status == CN_OK)
        status = cn__h5_put_texts(h5, n.group, "weight_names", n.items, n.count);
    cn__free(n.items);
    return status;
}

cn_status cn__keras_put_old_weights(const cn__keras_saving *s, const cn__h5 *h5,
                                    const cn_model *model)
{
    const char **layers = cn__arena_alloc(s->arena, (size_t)model->layer_count * sizeof *layers);
    if (layers == NULL)
        return cn_error_status();
    CN__TRY(cn__h5_put_group(h5, "/model_weights"));
    for (int i = 0; i < model->layer_count; i++) {
        layers[i] = model->layers[i]->name;
        CN__TRY(put_group(s, h5, model->layers[i]));
    }
    return cn__h5_put_texts(h5, "/model_weights", "layer_names", layers,
                            (size_t)model->layer_count);
}
