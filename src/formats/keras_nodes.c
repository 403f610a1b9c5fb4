/* The calls of layers in functional models' configurations, which Keras 1, 2 and 3 write in forms
 * of their own. */
#include "formats/keras.h"

#include <math.h>
#include <string.h>

bool cn__keras_is_reference(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) >= 3 &&
           json_is_string(json_array_get(value, 0)) && json_is_integer(json_array_get(value, 1)) &&
           json_is_integer(json_array_get(value, 2));
}

cn__keras_reference cn__keras_reference_of(const json_t *list)
{
    return (cn__keras_reference){json_string_value(json_array_get(list, 0)),
                                 json_integer_value(json_array_get(list, 1)),
                                 json_integer_value(json_array_get(list, 2))};
}

/* References and numbers found in a call. */
typedef struct found {
    cn__keras_reference list[cn__most_inputs];
    int count;
    double constant;
    bool constant_first;
    int constants;
} found;

static cn_status add_reference(found *f, const json_t *list)
{
    if (f->count == cn__most_inputs)
        return cn__fail(CN_ERROR_UNSUPPORTED, "a layer takes at most %d tensors", cn__most_inputs);
    f->list[f->count++] = cn__keras_reference_of(list);
    return CN_OK;
}

/* Finds all references in a value, however they are nested: Keras 3's objects __keras_tensor__, and
 * the lists [layer, node, tensor] and [layer, node, tensor, {keywords}] of Keras 1 and 2. */
static cn_status find_references(found *f, json_t *value)
{
    const char *key, *class_name = cn__json_text(value, "class_name");
    json_t *item;
    size_t i;
    if (cn__keras_is_reference(value)) {
        CN__TRY(add_reference(f, value));
        return find_references(f, json_array_get(value, 3));
    }
    if (class_name != NULL && strcmp(class_name, "__keras_tensor__") == 0) {
        json_t *history = cn__json_get(cn__json_get(value, "config"), "keras_history");
        if (!cn__keras_is_reference(history))
            return cn__fail(CN_ERROR_FORMAT, "a tensor has no keras_history [layer, node, tensor]");
        return add_reference(f, history);
    }
    if (json_is_array(value))
        json_array_foreach(value, i, item)
        {
            CN__TRY(find_references(f, item));
        }
    if (json_is_object(value))
        json_object_foreach(value, key, item)
        {
            CN__TRY(find_references(f, item));
        }
    return CN_OK;
}

/* The numbers among an operation's arguments. */
static void find_constants(found *f, const json_t *args)
{
    for (size_t i = 0; i < json_array_size(args); i++) {
        const json_t *item = json_array_get(args, i);
        if (!json_is_number(item))
            continue;
        f->constants++;
        f->constant = json_number_value(item);
        f->constant_first = i == 0;
    }
}

static cn_status take_node(cn__arena *arena, json_t *json, bool is_operation, cn__keras_node *made)
{
    found f = {.constant = (double)NAN};
    json_t *args = cn__json_get(json, "args"), *kwargs = cn__json_get(json, "kwargs");
    if (json_is_true(cn__json_get(kwargs, "training")))
        return cn__fail(
            CN_ERROR_UNSUPPORTED,
            "it is called with training=True; Cornu's layers train when the model does");
    CN__TRY(find_references(&f, args != NULL ? args : json));
    CN__TRY(find_references(&f, kwargs));
    if (is_operation)
        find_constants(&f, args);
    if (f.count < 1 || f.constants > 1)
        return cn__fail(CN_ERROR_FORMAT, "it is called with %d tensors and %d numbers", f.count,
                        f.constants);
    *made = (cn__keras_node){
        .inputs = f.count, .constant = f.constant, .constant_first = f.constant_first};
    made->in = cn__arena_copy(arena, f.list, (size_t)f.count * sizeof f.list[0]);
    return made->in == NULL ? cn_error_status() : CN_OK;
}

cn_status cn__keras_nodes(cn__arena *arena, const json_t *json, bool is_operation,
                          cn__keras_node **nodes)
{
    size_t count = json_array_size(json);
    if (json != NULL && !json_is_array(json))
        return cn__fail(CN_ERROR_FORMAT, "its inbound_nodes are %s, but should be a list",
                        cn__json_kind(json));
    *nodes = cn__arena_alloc(arena, count * sizeof **nodes);
    cn_status status = *nodes == NULL ? cn_error_status() : CN_OK;
    for (size_t i = 0; status == CN_OK && i < count; i++)
        status = take_node(arena, json_array_get(json, i), is_operation, &(*nodes)[i]);
    return status;
}
