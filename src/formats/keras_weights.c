/* Weights from HDF5 into a model, in the two ways that Keras stored them.
 *
 * Keras 1 and 2, and .h5 of Keras 3: a group for each layer, listed in the attribute layer_names;
 * the group's weights are listed in weight_names. A nested model's group has the weights of all its
 * layers, first those that are trained. Layers belong together in their order or by their names.
 *
 * .keras and .weights.h5: layers/CLASS_N/vars/I, where N counts the layers of a class in the
 * model's order; until Keras 2.14 the group layers had another name (keras/saving/saving_lib.py).
 */
#include "formats/keras.h"

#include <stdio.h>
#include <string.h>

/* A weight of the model to be read. */
typedef struct slot {
    cn_layer *layer;
    int weight;
} slot;

/* ---- the model's side ---- */

typedef struct list {
    void *items;
    size_t count, capacity;
} list;

static cn_status add_slot(list *l, slot s)
{
    CN__TRY(cn__grow(&l->items, &l->capacity, l->count, l->count + 1, sizeof s));
    ((slot *)l->items)[l->count++] = s;
    return CN_OK;
}

/* Adds the weights of a layer, of those a nested model has, that are trained or are not. */
static cn_status add_slots(list *l, cn_layer *layer, bool frozen, bool trained)
{
    cn_model *model = cn__layer_model(layer);
    frozen = frozen || !layer->trainable;
    for (int i = 0; model != NULL && i < model->layer_count; i++)
        CN__TRY(add_slots(l, model->layers[i], frozen, trained));
    for (int i = 0; i < layer->weight_count; i++)
        if ((layer->weights[i].trainable && !frozen) == trained)
            CN__TRY(add_slot(l, (slot){layer, i}));
    return CN_OK;
}

/* All weights of a layer in the order of the old files. A layer's own weights keep their order. */
static cn_status collect(list *l, cn_layer *layer)
{
    CN__TRY(add_slots(l, layer, false, true));
    return add_slots(l, layer, false, false);
}

static bool has_weights(const cn_layer *layer)
{
    const cn_model *model = cn__layer_model(layer);
    for (int i = 0; model != NULL && i < model->layer_count; i++)
        if (has_weights(model->layers[i]))
            return true;
    return layer->weight_count > 0;
}

/* Adds the layers that have weights; `flat`: those of nested models in their place. */
static cn_status add_layers(list *l, const cn_model *model, bool flat)
{
    for (int i = 0; i < model->layer_count; i++) {
        cn_layer *layer = model->layers[i];
        if (flat && cn__layer_model(layer) != NULL) {
            CN__TRY(add_layers(l, cn__layer_model(layer), flat));
            continue;
        }
        if (!has_weights(layer))
            continue;
        CN__TRY(cn__grow(&l->items, &l->capacity, l->count, l->count + 1, sizeof layer));
        ((cn_layer **)l->items)[l->count++] = layer;
    }
    return CN_OK;
}

/* ---- one array ---- */

static cn_status read_weight(const cn__keras *k, const cn__h5 *h5, const char *array, slot s)
{
    cn_shape shape;
    CN__TRY(cn__h5_shape(h5, array, &shape));
    CN__TRY(cn__keras_check_weight(k, s.layer, s.weight, &shape));
    int64_t count = cn_shape_count(&shape);
    float *values = cn__calloc((size_t)count, sizeof *values);
    if (values == NULL)
        return cn_error_status();
    cn_status status = cn__h5_read(h5, array, count, values);
    if (status == CN_OK)
        status = cn__keras_set_weight(k, s.layer, s.weight, &shape, values);
    cn__free(values);
    return status;
}

/* ---- Keras 1 and 2 ---- */

/* A layer's group in the file. */
typedef struct group {
    const char *name;
    const char *path;
    const char *const *weights;
    int count;
} group;

/* Adds the groups that have weights. */
static cn_status add_groups(list *l, const cn__h5 *h5, cn__arena *arena, const char *root)
{
    const char *const *names;
    int count;
    CN__TRY(cn__h5_texts(h5, arena, root, "layer_names", &names, &count));
    for (int i = 0; i < count; i++) {
        group g = {.name = names[i], .path = cn__arena_printf(arena, "%s/%s", root, names[i])};
        if (g.path == NULL)
            return cn_error_status();
        CN__TRY(cn__h5_texts(h5, arena, g.path, "weight_names", &g.weights, &g.count));
        if (g.count == 0)
            continue;
        CN__TRY(cn__grow(&l->items, &l->capacity, l->count, l->count + 1, sizeof g));
        ((group *)l->items)[l->count++] = g;
    }
    return CN_OK;
}

static cn_status read_slots(const cn__keras *k, const cn__h5 *h5, const group *g, const list *slots,
                            const cn_layer *layer)
{
    if ((size_t)g->count != slots->count)
        return cn__fail(CN_ERROR_FORMAT,
                        "layer %s (%s) has %zu weights, but the file's %s has %d; the file is of "
                        "another model",
                        layer->name, layer->type->name, slots->count, g->name, g->count);
    for (int i = 0; i < g->count; i++) {
        const char *array = cn__arena_printf(k->arena, "%s/%s", g->path, g->weights[i]);
        if (array == NULL)
            return cn_error_status();
        CN__TRY(read_weight(k, h5, array, ((const slot *)slots->items)[i]));
    }
    return CN_OK;
}

/* Keras 1 has BatchNormalization's weights in the order of ours, so that a layer's own order is the
 * file's; frozen layers of a nested model come with what is not trained. */
static cn_status read_group(const cn__keras *k, const cn__h5 *h5, const group *g, cn_layer *layer)
{
    list slots = {0};
    cn_status status = collect(&slots, layer);
    if (status == CN_OK)
        status = read_slots(k, h5, g, &slots, layer);
    cn__free(slots.items);
    return status;
}

static cn_layer *layer_named(const list *layers, const char *name)
{
    for (size_t i = 0; i < layers->count; i++)
        if (strcmp(((cn_layer **)layers->items)[i]->name, name) == 0)
            return ((cn_layer **)layers->items)[i];
    return NULL;
}

static cn_status read_by_name(const cn__keras *k, const cn__h5 *h5, const list *groups,
                              const list *layers)
{
    for (size_t i = 0; i < groups->count; i++) {
        const group *g = &((const group *)groups->items)[i];
        cn_layer *layer = layer_named(layers, g->name);
        if (layer != NULL)
            CN__TRY(read_group(k, h5, g, layer));
    }
    return CN_OK;
}

static cn_status read_by_order(const cn__keras *k, const cn__h5 *h5, const list *groups,
                               const list *layers)
{
    if (groups->count != layers->count)
        return cn__fail(
            CN_ERROR_FORMAT,
            "the file has weights of %zu layers, but the model has %zu layers with weights; "
            "use .by_name to read those that have the same names",
            groups->count, layers->count);
    for (size_t i = 0; i < groups->count; i++)
        CN__TRY(
            read_group(k, h5, &((const group *)groups->items)[i], ((cn_layer **)layers->items)[i]));
    return CN_OK;
}

/* Whether all groups have a layer of their name, and all layers a group. */
static bool names_match(const list *groups, const list *layers)
{
    bool match = groups->count == layers->count;
    for (size_t i = 0; match && i < groups->count; i++)
        match = layer_named(layers, ((const group *)groups->items)[i].name) != NULL;
    return match;
}

static cn_status read_groups(const cn__keras *k, const cn__h5 *h5, const cn_model *model,
                             const list *groups, bool whole)
{
    list layers = {0}, flat = {0};
    cn_status status = add_layers(&layers, model, false);
    if (status == CN_OK)
        status = add_layers(&flat, model, true);
    /* Keras 1 wrote some nested models' layers as if they were not nested. */
    const list *wanted = groups->count == layers.count ? &layers : &flat;
    if (status != CN_OK)
        ;
    else if (k->options.by_name && !whole)
        status = read_by_name(k, h5, groups, &layers);
    else if (whole && names_match(groups, wanted))
        status = read_by_name(k, h5, groups, wanted);
    else
        status = read_by_order(k, h5, groups, groups->count == flat.count ? wanted : &layers);
    cn__free(layers.items);
    cn__free(flat.items);
    return status;
}

static cn_status read_old(const cn__keras *k, const cn__h5 *h5, const char *root,
                          const cn_model *model, bool whole)
{
    list groups = {0};
    cn_status status = add_groups(&groups, h5, k->arena, root);
    if (status == CN_OK)
        status = read_groups(k, h5, model, &groups, whole);
    cn__free(groups.items);
    return status;
}

/* ---- .keras ---- */

/* How the group of a layer is named. */
typedef struct naming {
    const char *group;
    const char *separator; /* on Windows some versions made one name of it all */
    bool twice;            /* in the first versions layers with weights counted twice */
} naming;

static const naming namings[] = {
    {"layers", "/", false},
    {"_layer_checkpoint_dependencies", "/", false},
    {"_layer_checkpoint_dependencies", "/", true},
    {"layers", "\\", false},
    {"_layer_checkpoint_dependencies", "\\", false},
    {"_layer_checkpoint_dependencies", "\\", true},
};

static cn_status read_vars(const cn__keras *k, const cn__h5 *h5, const char *path, cn_layer *layer)
{
    for (int i = 0; i < layer->weight_count; i++) {
        const char *array = cn__arena_printf(k->arena, "%s/vars/%d", path, i);
        if (array == NULL)
            return cn_error_status();
        CN__TRY(read_weight(k, h5, array, (slot){layer, i}));
    }
    return CN_OK;
}

/* The number of a layer among those before it that have its class. */
static int number_of(const naming *n, const cn_model *model, int place)
{
    int count = 0;
    for (int i = 0; i < place; i++)
        if (model->layers[i]->type == model->layers[place]->type)
            count += n->twice && has_weights(model->layers[i]) ? 2 : 1;
    return count;
}

/* The path of a layer's group within `root`, which is "/" or that of a nested model. */
static const char *path_of(const cn__keras *k, const naming *n, const char *root,
                           const cn_model *model, int place)
{
    char base[cn__name_size], number[16] = "";
    cn__snake_case(model->layers[place]->type->name, base, sizeof base);
    int before = number_of(n, model, place);
    if (before > 0)
        (void)snprintf(number, sizeof number, "_%d", before);
    return cn__arena_printf(k->arena, "%s%s%s%s%s%s", root, root[1] != '\0' ? n->separator : "",
                            n->group, n->separator, base, number);
}

/* Calls `visit` for each layer with weights, in nested models too, until one fails. */
static cn_status each_layer(const cn__keras *k, const naming *n, const cn__h5 *h5, const char *root,
                            const cn_model *model,
                            cn_status (*visit)(const cn__keras *, const cn__h5 *, const char *,
                                               cn_layer *))
{
    for (int i = 0; i < model->layer_count; i++) {
        cn_layer *layer = model->layers[i];
        if (!has_weights(layer))
            continue;
        const char *path = path_of(k, n, root, model, i);
        if (path == NULL)
            return cn_error_status();
        const cn_model *nested = cn__layer_model(layer);
        cn_status status =
            nested != NULL ? each_layer(k, n, h5, path, nested, visit) : visit(k, h5, path, layer);
        if (status != CN_OK)
            return status == CN_ERROR_NOT_FOUND ? status : cn__fail_within("layer %s", layer->name);
    }
    return CN_OK;
}

/* Whether the file has the group of a layer. */
static cn_status look_for(const cn__keras *k, const cn__h5 *h5, const char *path, cn_layer *layer)
{
    (void)k;
    (void)layer;
    return cn__h5_has(h5, path) ? CN_OK : CN_ERROR_NOT_FOUND;
}

/* The names are those under which every layer has its group. */
static cn_status read_new(const cn__keras *k, const cn__h5 *h5, const cn_model *model)
{
    const naming *found = NULL;
    for (size_t i = 0; found == NULL && i < CN__COUNT(namings); i++) {
        cn_status status = each_layer(k, &namings[i], h5, "/", model, look_for);
        if (status == CN_OK)
            found = &namings[i];
        else if (status != CN_ERROR_NOT_FOUND)
            return status;
    }
    for (size_t i = 0; found == NULL && i < CN__COUNT(namings); i++)
        if (cn__h5_has(h5, namings[i].group))
            found = &namings[i]; /* to tell which layer is not there */
    if (found == NULL)
        return cn__fail(
            CN_ERROR_FORMAT,
            "it has no weights: neither the attribute layer_names nor the group layers");
    return each_layer(k, found, h5, "/", model, read_vars);
}

/* ---- any ---- */

cn_status cn__keras_weights(const cn__keras *k, const cn__h5 *h5, cn_model *model, bool whole)
{
    static const char *const roots[] = {"/", "/model_weights"};
    for (size_t i = 0; i < CN__COUNT(roots); i++)
        if (cn__h5_has_attribute(h5, roots[i], "layer_names") ||
            cn__h5_has_attribute(h5, roots[i], "layer_names0"))
            return read_old(k, h5, roots[i], model, whole);
    return read_new(k, h5, model);
}

cn_status cn__keras_weight_names(const cn__h5 *h5, cn__arena *arena, const char *root, bool *found,
                                 bool *end_in_0)
{
    list groups = {0};
    cn_status status = add_groups(&groups, h5, arena, root);
    *found = groups.count > 0;
    *end_in_0 = false;
    if (*found && status == CN_OK) {
        const group *first = groups.items;
        size_t length = strlen(first->weights[0]);
        *end_in_0 = length >= 2 && strcmp(first->weights[0] + length - 2, ":0") == 0;
    }
    cn__free(groups.items);
    return status;
}
