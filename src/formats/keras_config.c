/* Models from their configurations: Sequential and functional ones, in the forms that Keras 1, 2
 * and 3 write. */
#include "formats/keras.h"

#include <string.h>

enum { MOST_LAYERS = 10000, MOST_NODES = 100000, MOST_NESTED = 16 };

typedef struct entry {
    const char *name, *class_name;
    json_t *json, *config;
    cn_layer *layer; /* held; NULL for an operation until its inputs are known */
    bool is_operation;
    int first_node; /* the number files give to the first call */
    int node_count;
    cn__keras_node *nodes;
    int made; /* so many calls */
} entry;

/* A model in the making. Every graph that was begun is held until the end. */
typedef struct building {
    cn__keras *k;
    int depth;
    const char *name;
    int count;
    entry *entries;
    json_t *index; /* the place of each name */
    int graph_count;
    cn_graph **graphs;
    int node_total;
} building;

static cn_model *build_model(cn__keras *k, const json_t *json, const char *name, int depth);

/* ---- calls ---- */

static cn_status take_nodes(building *b, entry *e)
{
    json_t *nodes = cn__json_get(e->json, "inbound_nodes");
    size_t count = json_array_size(nodes);
    if (count >= (size_t)(MOST_NODES - b->node_total))
        return cn__fail(CN_ERROR_UNSUPPORTED, "a model has at most %d calls of layers", MOST_NODES);
    b->node_total += (int)count;
    e->node_count = (int)count;
    return cn__keras_nodes(b->k->arena, nodes, e->is_operation, &e->nodes);
}

/* ---- layers ---- */

static bool is_model_class(const char *class_name)
{
    return strcmp(class_name, "Sequential") == 0 || strcmp(class_name, "Functional") == 0 ||
           strcmp(class_name, "Model") == 0;
}

/* The list of layers, which a Sequential of old versions has in the place of its config. */
static json_t *layers_of(const json_t *config)
{
    json_t *layers = cn__json_get(config, "layers");
    return json_is_array(config) ? (json_t *)(uintptr_t)config : layers;
}

static const json_t *input_shape(const json_t *config)
{
    json_t *shape = cn__json_get(config, "batch_shape");
    return shape != NULL ? shape : cn__json_get(config, "batch_input_shape");
}

static cn_layer *nested_model(building *b, const entry *e)
{
    cn_model *model = build_model(b->k, e->json, e->name, b->depth + 1);
    cn_layer *layer = cn_model_as_layer(model);
    if (layer != NULL && json_is_false(cn__json_get(e->config, "trainable")))
        cn_layer_set_trainable(layer, false);
    return layer;
}

static cn_layer *make_layer(building *b, const entry *e)
{
    if (strcmp(e->class_name, "InputLayer") == 0) {
        json_t *dtype = cn__json_get(e->config, "dtype");
        return cn__keras_input(e->name, input_shape(e->config),
                               dtype != NULL ? dtype : cn__json_get(e->config, "input_dtype"));
    }
    if (is_model_class(e->class_name))
        return nested_model(b, e);
    return cn__keras_layer(b->k, e->class_name, e->name, e->config);
}

static cn_status hold_layer(entry *e, cn_layer *layer)
{
    if (layer == NULL)
        return cn_error_status();
    cn__layer_retain(layer);
    e->layer = layer;
    return CN_OK;
}

/* Fills in what an entry of a list of layers says of itself. */
static cn_status take_entry(building *b, json_t *json, int place, entry *e)
{
    *e = (entry){.json = json};
    e->class_name = cn__json_text(json, "class_name");
    e->config = cn__json_get(json, "config");
    e->name = cn__json_text(json, "name");
    if (e->name == NULL)
        e->name = cn__json_text(e->config, "name");
    if (e->class_name == NULL || e->config == NULL)
        return cn__fail(CN_ERROR_FORMAT, "model %s: layer %d is %s without class_name or config",
                        b->name, place, cn__json_kind(json));
    if (e->name == NULL) /* Keras 1's Sequentials have no names */
        e->name = cn__arena_printf(b->k->arena, "%s_%d",
                                   is_model_class(e->class_name) ? "sequential" : "layer",
                                   ++b->k->models);
    e->is_operation = cn__keras_is_operation(json);
    return e->name == NULL ? cn_error_status() : CN_OK;
}

static cn_status take_entries(building *b, json_t *layers)
{
    size_t count = json_array_size(layers);
    if (!json_is_array(layers) || count < 1 || count > MOST_LAYERS)
        return cn__fail(json_is_array(layers) && count > 0 ? CN_ERROR_UNSUPPORTED : CN_ERROR_FORMAT,
                        "model %s: its layers are %s of %zu, but should be a list of 1 to %d",
                        b->name, cn__json_kind(layers), count, MOST_LAYERS);
    b->entries = cn__arena_alloc(b->k->arena, count * sizeof(entry));
    b->graphs = cn__arena_alloc(b->k->arena, (count + 1) * sizeof(cn_graph *));
    if (b->entries == NULL || b->graphs == NULL)
        return cn_error_status();
    for (; b->count < (int)count; b->count++) {
        entry *e = &b->entries[b->count];
        CN__TRY(take_entry(b, json_array_get(layers, (size_t)b->count), b->count, e));
        if (!e->is_operation)
            CN__TRY(hold_layer(e, make_layer(b, e)));
    }
    return CN_OK;
}

/* Applies a layer that takes nothing and holds the graph that it begins. */
static cn_tensor *begin(building *b, cn_layer *layer)
{
    cn_tensor *tensor = cn_apply_list(layer, (cn_tensor_list){0});
    if (tensor != NULL) {
        b->graphs[b->graph_count] = cn__graph_of(tensor);
        cn__graph_retain(b->graphs[b->graph_count++]);
    }
    return tensor;
}

static void end(building *b)
{
    for (int i = 0; i < b->count; i++)
        cn__layer_release(b->entries[i].layer);
    for (int i = 0; i < b->graph_count; i++)
        cn__graph_release(b->graphs[i]);
    json_decref(b->index);
}

/* ---- Sequential ---- */

/* The input of a Sequential whose list has none: the first layer says its shape, or the model does.
 */
static cn_layer *missing_input(building *b, const json_t *config)
{
    const entry *e = &b->entries[0];
    const json_t *shape = input_shape(e->config);
    const json_t *dtype = cn__json_get(e->config, "dtype");
    if (shape == NULL)
        shape = cn__json_get(config, "build_input_shape");
    const char *name = cn__arena_printf(b->k->arena, "%s_input", e->name);
    const cn_model *nested = e->layer != NULL ? cn__layer_model(e->layer) : NULL;
    if (name == NULL)
        return NULL;
    if (shape != NULL)
        return cn__keras_input(name, shape, dtype);
    if (nested == NULL)
        return cn__fail_null(
            CN_ERROR_UNSUPPORTED,
            "model %s: it was saved before it knew the shape of its input (its first "
            "layer has no batch_shape); build it before saving",
            b->name);
    const cn_shape *first = &nested->value_shapes[nested->input_values[0]];
    cn_input_layer options = {.size_ = sizeof options, .name = name};
    options.batch_size = first->dim[0] < 0 ? 0 : first->dim[0];
    for (int i = 1; i < first->rank; i++)
        options.shape[i - 1] = first->dim[i];
    return cn_input_new(&options);
}

static cn_model *stack(building *b, const json_t *config)
{
    bool has_input = b->entries[0].layer->type->most_inputs == 0;
    int count = b->count + !has_input, used = 0;
    cn_layer **layers = cn__arena_alloc(b->k->arena, (size_t)count * sizeof *layers);
    if (layers == NULL)
        return NULL;
    if (!has_input)
        layers[used++] = missing_input(b, config);
    for (int i = 0; i < b->count; i++)
        layers[used++] = b->entries[i].layer;
    return cn_sequential_new(b->name, count, layers);
}

static cn_model *build_sequential(building *b, const json_t *config)
{
    if (take_entries(b, layers_of(config)) != CN_OK)
        return NULL;
    for (int i = 0; i < b->count; i++)
        if (b->entries[i].is_operation)
            return cn__fail_null(CN_ERROR_FORMAT, "model %s: %s (%s) is no layer", b->name,
                                 b->entries[i].name, b->entries[i].class_name);
    return stack(b, config);
}

/* ---- functional models ---- */

static entry *entry_named(const building *b, const char *name)
{
    const json_t *place = json_object_get(b->index, name);
    return place == NULL ? NULL : &b->entries[json_integer_value(place)];
}

static cn_status make_index(building *b)
{
    b->index = json_object();
    for (int i = 0; i < b->count; i++) {
        if (json_object_get(b->index, b->entries[i].name) != NULL)
            return cn__fail(CN_ERROR_FORMAT, "model %s: two layers are named %s", b->name,
                            b->entries[i].name);
        if (json_object_set_new(b->index, b->entries[i].name, json_integer(i)) != 0)
            return cn__fail(CN_ERROR_MEMORY, "no memory for the names of %d layers", b->count);
    }
    return CN_OK;
}

/* The tensor a reference means; NULL if its layer has not been called yet. */
static cn_status resolve(const building *b, const cn__keras_reference *r, cn_tensor **tensor)
{
    const entry *e = entry_named(b, r->layer);
    *tensor = NULL;
    if (e == NULL)
        return cn__fail(CN_ERROR_FORMAT, "model %s: a tensor is of a layer %s, which there is not",
                        b->name, r->layer);
    int64_t number = r->node - e->first_node;
    if (number < 0 || number >= e->node_count)
        return cn__fail(CN_ERROR_FORMAT,
                        "model %s: a tensor is of call %lld of the layer %s, which has %d calls",
                        b->name, (long long)r->node, e->name, e->node_count);
    const cn__keras_node *n = &e->nodes[number];
    if (n->outputs == 0)
        return CN_OK;
    if (r->tensor < 0 || r->tensor >= n->outputs)
        return cn__fail(CN_ERROR_FORMAT,
                        "model %s: a tensor is output %lld of the layer %s, which has %d outputs",
                        b->name, (long long)r->tensor, e->name, n->outputs);
    *tensor = n->out[r->tensor];
    return CN_OK;
}

static cn_status make_operation(entry *e, const cn__keras_node *n, cn_tensor *const *in)
{
    if (e->layer != NULL)
        return CN_OK;
    return hold_layer(e,
                      cn__keras_operation(e->class_name, e->name, e->config, n->inputs, n->constant,
                                          n->constant_first, cn_tensor_shape(in[0])->rank));
}

/* Makes a call if all its inputs are there; `*progress` tells whether it was made. */
static cn_status call(building *b, entry *e, cn__keras_node *n, bool *progress)
{
    cn_tensor *in[cn__most_inputs], *out[cn__most_layer_outputs];
    for (int i = 0; i < n->inputs; i++) {
        CN__TRY(resolve(b, &n->in[i], &in[i]));
        if (in[i] == NULL)
            return CN_OK;
    }
    if (e->is_operation)
        CN__TRY(make_operation(e, n, in));
    int outputs =
        cn_apply_outputs(e->layer, (cn_tensor_list){n->inputs, in}, cn__most_layer_outputs, out);
    if (outputs < 1)
        return cn_error_status();
    n->out = cn__arena_copy(b->k->arena, out, (size_t)outputs * sizeof *out);
    if (n->out == NULL)
        return cn_error_status();
    n->outputs = outputs;
    e->made++;
    *progress = true;
    return CN_OK;
}

/* An input layer has one call, which files do not list. */
static cn_status call_input(building *b, entry *e)
{
    cn_tensor *tensor = begin(b, e->layer);
    if (tensor == NULL)
        return cn_error_status();
    e->nodes = cn__arena_alloc(b->k->arena, sizeof(cn__keras_node));
    cn_tensor **out = cn__arena_copy(b->k->arena, &tensor, sizeof tensor);
    if (e->nodes == NULL || out == NULL)
        return cn_error_status();
    e->nodes[0] = (cn__keras_node){.outputs = 1, .out = out};
    e->node_count = e->made = 1;
    return CN_OK;
}

/* Keras 1 and 2 count the calls of a nested model from 1, its own graph being call 0, but not
 * always: some call refers to 0 then. */
static void refer(building *b, const cn__keras_reference *r)
{
    entry *e = entry_named(b, r->layer);
    if (e != NULL && r->node == 0)
        e->first_node = 0;
}

static void number_nested(building *b)
{
    for (int i = 0; i < b->count; i++)
        if (b->entries[i].layer != NULL && cn__layer_model(b->entries[i].layer) != NULL)
            b->entries[i].first_node = cn__keras_first_node(b->k);
    for (int i = 0; i < b->count; i++)
        for (int j = 0; j < b->entries[i].node_count; j++)
            for (int m = 0; m < b->entries[i].nodes[j].inputs; m++)
                refer(b, &b->entries[i].nodes[j].in[m]);
}

static cn_status fail_unmade(const building *b)
{
    for (int i = 0; i < b->count; i++)
        if (b->entries[i].made < b->entries[i].node_count)
            return cn__fail(
                CN_ERROR_FORMAT,
                "model %s: the layer %s waits for a tensor that is never made; its layers "
                "wait for each other in a circle",
                b->name, b->entries[i].name);
    return CN_OK;
}

/* Makes all calls, each layer's in their order, as soon as their inputs are there. */
static cn_status make_calls(building *b)
{
    bool progress = true;
    while (progress) {
        progress = false;
        for (int i = 0; i < b->count; i++) {
            entry *e = &b->entries[i];
            bool made = true;
            while (made && e->made < e->node_count) {
                made = false;
                cn_status status = call(b, e, &e->nodes[e->made], &made);
                if (status != CN_OK)
                    return status;
                progress = progress || made;
            }
        }
    }
    return fail_unmade(b);
}

/* input_layers or output_layers as a list, whether they are a reference, a list or an object of
 * them. To be released with json_decref. */
static json_t *list_ends(json_t *ends)
{
    const char *key;
    json_t *item, *list = json_array();
    if (cn__keras_is_reference(ends))
        (void)json_array_append(list, ends);
    else if (json_is_array(ends))
        (void)json_array_extend(list, ends);
    else if (json_is_object(ends))
        json_object_foreach(ends, key, item)
        {
            (void)json_array_append(list, item);
        }
    return list;
}

static cn_status take_end(building *b, const char *key, const json_t *json, cn_tensor **tensor)
{
    if (!cn__keras_is_reference(json))
        return cn__fail(CN_ERROR_FORMAT,
                        "model %s: %s has %s in the place of a tensor [layer, node, tensor]",
                        b->name, key, cn__json_kind(json));
    cn__keras_reference r = cn__keras_reference_of(json);
    entry *e = entry_named(b, r.layer);
    /* Here, and here only, Keras 3 counts the calls of a functional model from 1. */
    bool functional = e != NULL && e->layer != NULL && e->layer->type == &cn__functional_type;
    if (functional && b->k->version > 2 && r.node > 0)
        r.node--;
    /* A nested model whose calls are counted from 0, though no layer shows it. */
    if (e != NULL && r.node == 0)
        e->first_node = 0;
    return resolve(b, &r, tensor);
}

static cn_status take_ends(building *b, const json_t *config, const char *key,
                           cn_tensor_list *tensors)
{
    json_t *list = list_ends(cn__json_get(config, key));
    size_t count = json_array_size(list);
    cn_tensor **items = cn__arena_alloc(b->k->arena, count * sizeof *items);
    cn_status status = items == NULL ? cn_error_status() : CN_OK;
    for (size_t i = 0; status == CN_OK && i < count; i++)
        status = take_end(b, key, json_array_get(list, i), &items[i]);
    json_decref(list);
    if (status == CN_OK && (count == 0 || count > MOST_LAYERS))
        status = cn__fail(CN_ERROR_FORMAT, "model %s: %s is %s and names %zu tensors", b->name, key,
                          cn__json_kind(cn__json_get(config, key)), count);
    *tensors = (cn_tensor_list){(int)count, items};
    return status;
}

static cn_status make_functional(building *b, const json_t *config)
{
    CN__TRY(take_entries(b, layers_of(config)));
    CN__TRY(make_index(b));
    for (int i = 0; i < b->count; i++) {
        entry *e = &b->entries[i];
        bool input = e->layer != NULL && e->layer->type->most_inputs == 0;
        cn_status status = input ? call_input(b, e) : take_nodes(b, e);
        if (status != CN_OK)
            return cn__fail_within("layer %s (%s)", e->name, e->class_name);
    }
    number_nested(b);
    return make_calls(b);
}

static cn_model *build_functional(building *b, const json_t *config)
{
    cn_tensor_list inputs, outputs;
    if (make_functional(b, config) != CN_OK ||
        take_ends(b, config, "input_layers", &inputs) != CN_OK ||
        take_ends(b, config, "output_layers", &outputs) != CN_OK)
        return NULL;
    return cn_model_named(b->name, inputs, outputs);
}

/* ---- any model ---- */

static cn_model *build_model(cn__keras *k, const json_t *json, const char *name, int depth)
{
    const char *class_name = cn__json_text(json, "class_name");
    const json_t *config = cn__json_get(json, "config");
    if (class_name == NULL || (!json_is_object(config) && !json_is_array(config)))
        return cn__fail_null(CN_ERROR_FORMAT,
                             "the model is %s without class_name or config, or its config is %s",
                             cn__json_kind(json), cn__json_kind(config));
    if (!is_model_class(class_name))
        return cn__fail_null(
            CN_ERROR_UNSUPPORTED,
            "the model is of the class %s; Sequential and Functional models can be "
            "read",
            class_name);
    if (depth > MOST_NESTED)
        return cn__fail_null(CN_ERROR_UNSUPPORTED, "models are nested more than %d deep",
                             MOST_NESTED);
    if (name == NULL)
        name = cn__json_text(config, "name");
    building b = {.k = k, .depth = depth, .name = name != NULL ? name : "sequential"};
    bool sequential = strcmp(class_name, "Sequential") == 0;
    cn_model *model = sequential ? build_sequential(&b, config) : build_functional(&b, config);
    end(&b);
    return model;
}

cn_model *cn__keras_model(cn__keras *k, const json_t *json)
{
    return build_model(k, json, NULL, 0);
}
