/* The life of a layer: making it from options, its weights, what a caller may ask of it. */
#include "layers/layer.h"
#include "layers/names.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- making and freeing ---- */

static void destroy(cn_layer *layer)
{
    for (int i = 0; i < layer->weight_count; i++)
        cn__variable_release(layer->weights[i].variable);
    if (layer->type->release)
        layer->type->release(layer);
    cn__free(layer->calls);
    cn__arena_free(layer->arena);
}

/* The caller's struct may be that of an older header, which is shorter. */
static cn_status copy_options(cn_layer *layer, const cn__options_head *given)
{
    const cn__layer_type *type = layer->type;
    layer->name = type->name; /* for messages, until it has its own */
    layer->options = cn__arena_alloc(layer->arena, type->option_bytes);
    if (!layer->options)
        return CN_ERROR_MEMORY;
    cn__options_head *head = layer->options;
    if (!given) {
        head->size_ = type->option_bytes;
        return CN_OK;
    }
    if (given->size_ < sizeof(cn__options_head) || given->size_ > type->option_bytes)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "size_ must be the size of the options (%zu bytes), not %zu; use the macros of "
            "cornu/layers.h, and a library as new as its headers",
            type->option_bytes, given->size_);
    memcpy(layer->options, given, given->size_);
    head->size_ = type->option_bytes;
    return CN_OK;
}

static cn_status set_name(cn_layer *layer)
{
    cn__options_head *head = layer->options;
    const cn__layer_type *type = layer->type;
    bool given = head->name && head->name[0];
    const char *name =
        given ? cn__arena_strdup(layer->arena, head->name) : cn__name_automatic(layer->arena, type);
    if (!name)
        return CN_ERROR_MEMORY;
    if (given)
        cn__name_taken(type, name);
    layer->name = head->name = name;
    return CN_OK;
}

static cn_status set_up(cn_layer *layer, const cn__options_head *given)
{
    CN__TRY(copy_options(layer, given));
    CN__TRY(set_name(layer));
    cn__options_head *head = layer->options;
    layer->trainable = head->trainable != CN_FALSE;
    CN__TRY(cn__options_fill(layer));
    return layer->type->check ? layer->type->check(layer) : CN_OK;
}

cn_layer *cn__layer_new(const cn__layer_type *type, const void *options)
{
    cn__arena *arena = cn__arena_new();
    cn_layer *layer = arena ? cn__arena_alloc(arena, sizeof *layer) : NULL;
    if (!layer) {
        cn__arena_free(arena);
        return NULL;
    }
    layer->type = type;
    layer->arena = arena;
    if (set_up(layer, options) != CN_OK) {
        (void)cn__fail_within("%s (%s)", layer->name, type->name);
        cn__arena_free(arena);
        return NULL;
    }
    return layer;
}

void cn__layer_retain(cn_layer *layer)
{
    layer->references++;
}

void cn__layer_release(cn_layer *layer)
{
    if (layer && --layer->references <= 0)
        destroy(layer);
}

void cn_layer_free(cn_layer *layer)
{
    if (layer && layer->references == 0)
        destroy(layer);
}

cn_status cn__layer_fail(const cn_layer *layer, cn_status status, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cn__fail(status, "%s (%s): %s", layer->name, layer->type->name, text);
}

/* ---- seeds ---- */

static _Atomic uint64_t next_seed;

/* Spreads the seeds out, so that the numbers that follow one do not meet those of another (the
 * finisher of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
void cn_set_random_seed(uint64_t seed)
{
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    atomic_store(&next_seed, z ^ z >> 31);
}

uint64_t cn__next_seed(void)
{
    return atomic_fetch_add(&next_seed, 1);
}

/* Two applications of one layer draw different numbers. */
uint64_t cn__layer_seed(const cn_layer *layer, int64_t seed)
{
    return seed != 0 ? (uint64_t)seed + (uint64_t)layer->call_count : cn__next_seed();
}

/* ---- weights ---- */

static _Thread_local bool initializers_are_skipped;

bool cn__layer_skip_initializers(bool skip)
{
    bool before = initializers_are_skipped;
    initializers_are_skipped = skip;
    return before;
}

static _Thread_local int64_t weight_budget = INT64_MAX;

int64_t cn__layer_weight_budget(int64_t elements)
{
    int64_t before = weight_budget;
    weight_budget = elements;
    return before;
}

static cn_status spend(const char *name, const cn_shape *shape)
{
    int64_t count = cn_shape_count(shape);
    char text[200];
    if (count < 0 || count > weight_budget)
        return cn__fail(CN_ERROR_SHAPE,
                        "the weight %s of shape %s has more elements than there can be", name,
                        cn_shape_text(shape, text, sizeof text));
    if (weight_budget != INT64_MAX)
        weight_budget -= count;
    return CN_OK;
}

/* The text of the option "PREFIX_WHAT", NULL if the layer has none. */
static const char *object(const cn_layer *layer, const char *prefix, const char *what)
{
    char name[cn__name_size];
    (void)snprintf(name, sizeof name, "%s_%s", prefix, what);
    const cn__option *option = cn__option_find(layer->type, name);
    return option ? *(const char **)cn__option_at(option, layer->options) : NULL;
}

cn_status cn__layer_add_weight(cn_layer *layer, const char *name, const cn_shape *shape,
                               const char *prefix, bool trainable)
{
    if (layer->weight_count == (int)CN__COUNT(layer->weights))
        return cn__fail(CN_ERROR_UNSUPPORTED, "%s: a layer has at most %d weights", name,
                        (int)CN__COUNT(layer->weights));
    cn__weight weight = {
        .name = name,
        .path = cn__arena_printf(layer->arena, "%s/%s", layer->name, name),
        .trainable = trainable,
        .initializer = object(layer, prefix, "initializer"),
        .regularizer = object(layer, prefix, "regularizer"),
        .constraint = object(layer, prefix, "constraint"),
    };
    if (!weight.path)
        return CN_ERROR_MEMORY;
    CN__TRY(spend(name, shape));
    cn_array *value = cn_array_new(CN_FLOAT32, shape);
    if (!value)
        return cn__fail_within("%s", name);
    cn__random random = {.seed = cn__next_seed()};
    if (!initializers_are_skipped && cn__initialize(weight.initializer, &random, value) != CN_OK) {
        cn_array_free(value);
        return cn__fail_within("%s", name);
    }
    weight.variable = cn__variable_new(value);
    if (!weight.variable)
        return cn_error_status();
    layer->weights[layer->weight_count++] = weight;
    return CN_OK;
}

static const cn__weight *weight_named(const cn_layer *layer, const char *name)
{
    for (int i = 0; i < layer->weight_count; i++)
        if (strcmp(layer->weights[i].name, name) == 0)
            return &layer->weights[i];
    return NULL;
}

cn_tensor *cn__layer_weight_tensor(const cn_layer *layer, const char *name, cn_tensor *beside)
{
    const cn__weight *weight = weight_named(layer, name);
    return weight ? cn__variable_tensor(beside, weight->variable, name) : NULL;
}

cn_status cn__layer_add_update(cn_layer *layer, const char *weight, cn_tensor *value)
{
    const cn__weight *target = weight_named(layer, weight);
    if (!target || !value || layer->update_count == cn__most_updates)
        return cn__fail_null_argument("cn__layer_add_update");
    layer->updates[layer->update_count++] = (cn__update){target->variable, value};
    return CN_OK;
}

/* ---- what a caller may ask ---- */

const char *cn_layer_name(const cn_layer *layer)
{
    return layer ? layer->name : NULL;
}

const char *cn_layer_type(const cn_layer *layer)
{
    return layer ? layer->type->name : NULL;
}

cn_tensor *cn_layer_input(const cn_layer *layer)
{
    if (!layer || layer->call_count == 0)
        return NULL;
    const cn__call *first = layer->calls[0];
    return first->inputs ? first->in[0] : first->out[0];
}

cn_tensor *cn_layer_output(const cn_layer *layer)
{
    return layer && layer->call_count ? layer->calls[0]->out[0] : NULL;
}

int cn_layer_weight_count(const cn_layer *layer)
{
    return layer ? layer->weight_count : 0;
}

/* The weight of that number, NULL if there is none. */
static const cn__weight *weight_at(const cn_layer *layer, int index)
{
    return layer && index >= 0 && index < layer->weight_count ? &layer->weights[index] : NULL;
}

const char *cn_layer_weight_name(const cn_layer *layer, int index)
{
    const cn__weight *weight = weight_at(layer, index);
    return weight ? weight->name : NULL;
}

bool cn_layer_weight_is_trainable(const cn_layer *layer, int index)
{
    const cn__weight *weight = weight_at(layer, index);
    return weight && weight->trainable && layer->trainable;
}

const cn_array *cn_layer_weight(const cn_layer *layer, int index)
{
    const cn__weight *weight = weight_at(layer, index);
    return weight ? weight->variable->value : NULL;
}

cn_status cn_layer_set_weight(cn_layer *layer, int index, const cn_array *value)
{
    if (!layer || !value)
        return cn__fail_null_argument("cn_layer_set_weight");
    const cn__weight *weight = weight_at(layer, index);
    if (!weight)
        return cn__layer_fail(layer, CN_ERROR_NOT_FOUND, "there is no weight %d; %s", index,
                              layer->built ? "see cn_layer_weight_count()"
                                           : "a layer has its weights once it was applied");
    cn_array *old = weight->variable->value;
    if (!cn_shape_equal(cn_array_shape(old), cn_array_shape(value)) ||
        cn_array_dtype(value) != CN_FLOAT32) {
        char takes[200], given[200];
        return cn__layer_fail(layer, CN_ERROR_SHAPE,
                              "the weight %s takes float32 %s, but was given %s %s", weight->name,
                              cn_shape_text(cn_array_shape(old), takes, sizeof takes),
                              cn_array_dtype(value) == CN_FLOAT32 ? "float32" : "int32",
                              cn_shape_text(cn_array_shape(value), given, sizeof given));
    }
    memmove(cn_array_floats(old), cn_array_const_floats(value),
            (size_t)cn_array_count(old) * sizeof(float));
    cn__variable_changed(weight->variable);
    return CN_OK;
}

int64_t cn_layer_parameter_count(const cn_layer *layer)
{
    int64_t count = 0;
    for (int i = 0; i < cn_layer_weight_count(layer); i++)
        count += cn_array_count(layer->weights[i].variable->value);
    return count;
}

bool cn_layer_trainable(const cn_layer *layer)
{
    return layer && layer->trainable;
}

void cn_layer_set_trainable(cn_layer *layer, bool trainable)
{
    if (!layer)
        return;
    layer->trainable = trainable;
    if (layer->type->set_trainable)
        layer->type->set_trainable(layer, trainable);
}
