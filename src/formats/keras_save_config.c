/* Models as configurations that Keras reads: their layers, the layers' calls, and what is around
 * them.
 *
 * Two forms are written. That of Keras 3 (.keras, .json) has no key that is newer than Keras 3.0.
 * That of .h5 is Keras 2's, in words that both Keras 2 and 3 know (keras/src/legacy/saving). */
#include "formats/keras.h"

#include <string.h>

/* ---- tensors ---- */

static cn_status put_extents(const cn_shape *shape, json_t *parent, const char *key)
{
    json_t *list = cn__json_put_list(parent, key);
    for (int i = 0; i < shape->rank && list != NULL; i++)
        CN__TRY(cn__json_put(list, NULL,
                             shape->dim[i] < 0 ? json_null() : json_integer(shape->dim[i])));
    return list != NULL ? CN_OK : cn_error_status();
}

static bool is_input(const cn_layer *layer)
{
    return layer->type->most_inputs == 0;
}

/* The layer that makes a value, NULL if the model is given it without one. */
static const cn_layer *maker(const cn_model *model, int value, int *node, int *tensor)
{
    const cn__model_step *step = cn__model_maker(model, value, tensor);
    *node = step != NULL ? step->node : 0;
    *tensor = step != NULL ? *tensor : 0;
    return step != NULL ? step->layer : NULL;
}

static const char *dtype_of(const cn_model *model, int value)
{
    int node, tensor;
    const cn_layer *layer = maker(model, value, &node, &tensor);
    bool is_int = layer != NULL && is_input(layer) &&
                  ((const cn_input_layer *)layer->options)->dtype == CN_INT32;
    return is_int ? "int32" : "float32";
}

/* The name of what makes a value. */
static const char *name_of(const cn__keras_saving *s, const cn_model *model, int value, int *node,
                           int *tensor)
{
    const cn_layer *layer = maker(model, value, node, tensor);
    return layer != NULL ? layer->name
                         : cn__arena_printf(s->arena, "%s_input_%d", model->name, value);
}

/* [layer, call, tensor]. `ends`: of the model's inputs or outputs, where Keras counts the calls of
 * a functional model from 1. */
static json_t *put_reference(const cn__keras_saving *s, const cn_model *model, int value, bool ends,
                             json_t *parent, const char *key)
{
    int node, tensor;
    const cn_layer *layer = maker(model, value, &node, &tensor);
    const char *name = name_of(s, model, value, &node, &tensor);
    if (ends && layer != NULL && layer->type == &cn__functional_type)
        node++;
    json_t *list = name != NULL ? cn__json_put_list(parent, key) : NULL;
    bool put_all = list != NULL && cn__json_put(list, NULL, json_string(name)) == CN_OK &&
                   cn__json_put(list, NULL, json_integer(node)) == CN_OK &&
                   cn__json_put(list, NULL, json_integer(tensor)) == CN_OK;
    return put_all ? list : NULL;
}

static cn_status put_tensor(const cn__keras_saving *s, const cn_model *model, int value,
                            json_t *list)
{
    if (s->legacy) {
        json_t *reference = put_reference(s, model, value, false, list, NULL);
        return reference != NULL ? cn__json_put(reference, NULL, json_object()) : cn_error_status();
    }
    json_t *object = cn__json_put_object(list, NULL);
    if (object == NULL)
        return cn_error_status();
    CN__TRY(cn__json_put(object, "class_name", json_string("__keras_tensor__")));
    json_t *config = cn__json_put_object(object, "config");
    if (config == NULL)
        return cn_error_status();
    CN__TRY(put_extents(&model->value_shapes[value], config, "shape"));
    CN__TRY(cn__json_put(config, "dtype", json_string(dtype_of(model, value))));
    return put_reference(s, model, value, false, config, "keras_history") != NULL
               ? CN_OK
               : cn_error_status();
}

/* ---- calls ---- */

static bool takes_list(const cn_layer *layer)
{
    const cn_model *nested = cn__layer_model(layer);
    return nested != NULL ? nested->input_count > 1 : layer->type->most_inputs > 1;
}

static cn_status put_call(const cn__keras_saving *s, const cn_model *model,
                          const cn__model_step *step, json_t *nodes)
{
    json_t *node = s->legacy ? cn__json_put_list(nodes, NULL) : cn__json_put_object(nodes, NULL);
    json_t *args = node != NULL && !s->legacy ? cn__json_put_list(node, "args") : node;
    if (args != NULL && !s->legacy && takes_list(step->layer))
        args = cn__json_put_list(args, NULL);
    if (args == NULL)
        return cn_error_status();
    for (int i = 0; i < step->inputs; i++)
        CN__TRY(put_tensor(s, model, step->in[i], args));
    return s->legacy ? CN_OK : cn__json_put(node, "kwargs", json_object());
}

/* The layer's calls in their order. */
static cn_status put_calls(const cn__keras_saving *s, const cn_model *model, const cn_layer *layer,
                           json_t *entry)
{
    CN__TRY(cn__json_put(entry, "name", json_string(layer->name)));
    json_t *nodes = cn__json_put_list(entry, "inbound_nodes");
    if (nodes == NULL)
        return cn_error_status();
    for (int node = 0, found = 1; found && !is_input(layer); node++) {
        found = 0;
        for (int i = 0; i < model->step_count && !found; i++)
            if (model->steps[i].layer == layer && model->steps[i].node == node) {
                found = 1;
                CN__TRY(put_call(s, model, &model->steps[i], nodes));
            }
    }
    return CN_OK;
}

/* ---- entries of the list of layers ---- */

/* The shape of the layer's first input, if it is the same in all calls. */
static const cn_shape *input_shape(const cn_model *model, const cn_layer *layer)
{
    const cn_shape *shape = NULL;
    for (int i = 0; i < model->step_count; i++) {
        const cn__model_step *step = &model->steps[i];
        if (step->layer != layer || step->inputs == 0)
            continue;
        const cn_shape *other = &model->value_shapes[step->in[0]];
        if (shape != NULL && !cn_shape_equal(shape, other))
            return NULL;
        shape = other;
    }
    return shape;
}

/* Begins {"module", "class_name", "config", "registered_name"}, of which .h5 has two; returns the
 * config. */
static json_t *begin_entry(const cn__keras_saving *s, json_t *entry, const char *module,
                           const char *class_name, const char *registered)
{
    if (!s->legacy && cn__json_put(entry, "module", json_string(module)) != CN_OK)
        return NULL;
    if (cn__json_put(entry, "class_name", json_string(class_name)) != CN_OK)
        return NULL;
    json_t *config = cn__json_put_object(entry, "config");
    json_t *name = registered != NULL ? json_string(registered) : json_null();
    if (s->legacy) {
        json_decref(name);
        return config;
    }
    return cn__json_put(entry, "registered_name", name) == CN_OK ? config : NULL;
}

static cn_status put_input(const cn__keras_saving *s, const cn_model *model, int value,
                           json_t *entry)
{
    int node, tensor;
    const char *name = name_of(s, model, value, &node, &tensor);
    json_t *config =
        name != NULL ? begin_entry(s, entry, "keras.layers", "InputLayer", NULL) : NULL;
    if (config == NULL)
        return cn_error_status();
    CN__TRY(put_extents(&model->value_shapes[value], config,
                        s->legacy ? "batch_input_shape" : "batch_shape"));
    CN__TRY(cn__json_put(config, "dtype", json_string(dtype_of(model, value))));
    CN__TRY(cn__json_put(config, "sparse", json_false()));
    CN__TRY(cn__json_put(config, "name", json_string(name)));
    if (model->sequential)
        return CN_OK;
    CN__TRY(cn__json_put(entry, "name", json_string(name)));
    return cn__json_put(entry, "inbound_nodes", json_array());
}

static cn_status put_model(const cn__keras_saving *s, const cn_model *model, bool trainable,
                           json_t *entry);

static cn_status put_layer(const cn__keras_saving *s, const cn_model *model, const cn_layer *layer,
                           json_t *list)
{
    json_t *entry = cn__json_put_object(list, NULL);
    const cn_model *nested = cn__layer_model(layer);
    if (entry == NULL)
        return cn_error_status();
    if (is_input(layer))
        return put_input(s, model, cn__model_first_step(model, layer)->out[0], entry);
    if (nested != NULL) {
        CN__TRY(put_model(s, nested, layer->trainable, entry));
    } else {
        json_t *config = begin_entry(s, entry, "keras.layers", layer->type->name, NULL);
        cn_status status = config != NULL
                               ? cn__keras_put_options(s, layer, input_shape(model, layer), config)
                               : cn_error_status();
        if (status != CN_OK)
            return cn__fail_within("layer %s (%s)", layer->name, layer->type->name);
    }
    return model->sequential ? CN_OK : put_calls(s, model, layer, entry);
}

/* Inputs that no layer makes get one in the file: the model began within another. */
static cn_status put_layers(const cn__keras_saving *s, const cn_model *model, json_t *config)
{
    int node, tensor;
    json_t *list = cn__json_put_list(config, "layers");
    for (int i = 0; i < model->input_count && list != NULL; i++) {
        int value = model->input_values[i];
        if (!model->sequential && maker(model, value, &node, &tensor) != NULL)
            continue;
        json_t *entry = cn__json_put_object(list, NULL);
        CN__TRY(entry != NULL ? put_input(s, model, value, entry) : cn_error_status());
    }
    for (int i = 0; i < model->layer_count && list != NULL; i++)
        CN__TRY(put_layer(s, model, model->layers[i], list));
    return list != NULL ? CN_OK : cn_error_status();
}

/* ---- models ---- */

static cn_status put_ends(const cn__keras_saving *s, const cn_model *model, const char *key,
                          int count, const int *values, json_t *config)
{
    json_t *list = cn__json_put_list(config, key);
    for (int i = 0; i < count && list != NULL; i++)
        if (put_reference(s, model, values[i], true, list, NULL) == NULL)
            return cn_error_status();
    return list != NULL ? CN_OK : cn_error_status();
}

static cn_status put_sequential(const cn__keras_saving *s, const cn_model *model, bool trainable,
                                json_t *entry)
{
    json_t *config = begin_entry(s, entry, "keras", "Sequential", NULL);
    if (config == NULL)
        return cn_error_status();
    CN__TRY(cn__json_put(config, "name", json_string(model->name)));
    if (!s->legacy) {
        CN__TRY(cn__json_put(config, "trainable", json_boolean(trainable)));
        CN__TRY(cn__json_put(config, "dtype", json_string("float32")));
    }
    CN__TRY(put_layers(s, model, config));
    if (s->legacy)
        return CN_OK;
    return put_extents(&model->value_shapes[model->input_values[0]], config, "build_input_shape");
}

/* All versions know the class "Model" in an .h5, not all "Functional". */
static cn_status put_functional(const cn__keras_saving *s, const cn_model *model, bool trainable,
                                json_t *entry)
{
    json_t *config = begin_entry(s, entry, "keras.src.models.functional",
                                 s->legacy ? "Model" : "Functional", "Functional");
    if (config == NULL)
        return cn_error_status();
    CN__TRY(cn__json_put(config, "name", json_string(model->name)));
    if (!s->legacy)
        CN__TRY(cn__json_put(config, "trainable", json_boolean(trainable)));
    CN__TRY(put_layers(s, model, config));
    CN__TRY(put_ends(s, model, "input_layers", model->input_count, model->input_values, config));
    return put_ends(s, model, "output_layers", model->output_count, model->output_values, config);
}

static cn_status put_model(const cn__keras_saving *s, const cn_model *model, bool trainable,
                           json_t *entry)
{
    if (model->has_operations)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "model %s: has operations outside its layers, which Keras' files cannot "
                        "tell; make them with layers such as Add, Activation or Rescaling",
                        model->name);
    return model->sequential ? put_sequential(s, model, trainable, entry)
                             : put_functional(s, model, trainable, entry);
}

json_t *cn__keras_save_config(const cn__keras_saving *s, const cn_model *model)
{
    json_t *json = json_object();
    if (json == NULL)
        return cn__fail_null(CN_ERROR_MEMORY, "no memory for the configuration");
    if (put_model(s, model, true, json) == CN_OK)
        return json;
    json_decref(json);
    return NULL;
}
