/* What an optimizer has kept (its iterations, its rate, and arrays for each weight) in Keras'
 * files.
 *
 *   Keras 3, and 2 from 2.11 on   iteration, rate (Keras 3 without a schedule), then the arrays as
 *                                 cn__optimizer_variable_at() has them: weight by weight
 *   until 2.10                    iterations, then kind by kind; RMSprop at first had no iterations
 *   Keras 1 and first 2.0         the same, the weights in the order of their names in the file
 *
 * Nadam's product of momenta stands first or last, so that arrays and single numbers are told apart
 * by their shapes. Keras 2's Adam has arrays of one element for what it does not keep. */
#include "formats/keras.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VARIABLES = 100000 };

/* Beyond it steps could not be counted on in double. */
static const int64_t most_iterations = (int64_t)1 << 52;

/* An array of the file or a variable of ours. */
typedef struct variable {
    const char *path;
    cn_shape shape;
    cn__optimizer_variable own; /* without its name */
    const cn_layer *layer;      /* whose weight has the variable's shape; NULL: none */
    int weight;
} variable;

typedef struct list {
    variable *items;
    size_t count, capacity;
} list;

/* Of the file or ours. */
typedef struct state {
    list numbers, arrays;
} state;

static void free_state(state *s)
{
    cn__free(s->numbers.items);
    cn__free(s->arrays.items);
}

static cn_status add(state *s, variable v)
{
    list *l = v.shape.rank == 0 ? &s->numbers : &s->arrays;
    CN__TRY(cn__grow(&l->items, &l->capacity, l->count, l->count + 1, sizeof v));
    l->items[l->count++] = v;
    return CN_OK;
}

/* ---- the file's side ---- */

static cn_status add_path(const cn__h5 *h5, const char *path, state *s)
{
    variable v = {.path = path};
    if (path == NULL)
        return cn_error_status();
    CN__TRY(cn__h5_shape(h5, path, &v.shape));
    return add(s, v);
}

static cn_status find_in_file(const cn__keras *k, const cn__h5 *h5, state *s)
{
    const char *const *names;
    int count;
    if (!cn__h5_has(h5, "/optimizer_weights")) {
        for (int i = 0; i < MOST_VARIABLES; i++) {
            const char *path = cn__arena_printf(k->arena, "/optimizer/vars/%d", i);
            if (path == NULL)
                return cn_error_status();
            if (!cn__h5_has(h5, path))
                return CN_OK;
            CN__TRY(add_path(h5, path, s));
        }
        return CN_OK;
    }
    CN__TRY(cn__h5_texts(h5, k->arena, "/optimizer_weights", "weight_names", &names, &count));
    for (int i = 0; i < count; i++)
        CN__TRY(add_path(h5, cn__arena_printf(k->arena, "/optimizer_weights/%s", names[i]), s));
    return CN_OK;
}

/* ---- our side ---- */

/* A trained weight. */
typedef struct trained {
    const char *name;
    const cn_layer *layer;
    int weight, place;
} trained;

/* Which layer's weight a variable is. */
typedef struct search {
    const cn__keras *k;
    const cn__h5 *h5;
    const cn__compiled *compiled;
    trained *found;
} search;

/* The name of a weight in the file. Those of nested models, which are listed with others, get one
 * such as Keras 2 gives. */
static cn_status name_in_file(const search *s, const cn_layer *layer, int weight, const char **name)
{
    const char *group = cn__arena_printf(s->k->arena, "/model_weights/%s", layer->name);
    const char *const *names = NULL;
    int count = 0;
    if (group == NULL)
        return cn_error_status();
    if (cn__h5_has(s->h5, group))
        CN__TRY(cn__h5_texts(s->h5, s->k->arena, group, "weight_names", &names, &count));
    *name = weight < count
                ? names[weight]
                : cn__arena_printf(s->k->arena, "%s/%s", layer->name, layer->weights[weight].name);
    return *name != NULL ? CN_OK : cn_error_status();
}

static cn_status look(cn_layer *layer, bool trainable, void *context)
{
    search *s = context;
    for (int i = 0; i < layer->weight_count && trainable; i++)
        for (int j = 0; j < s->compiled->weight_count; j++) {
            if (s->compiled->weights[j].variable != layer->weights[i].variable)
                continue;
            s->found[j] = (trained){NULL, layer, i, j};
            if (s->k->old_optimizer)
                CN__TRY(name_in_file(s, layer, i, &s->found[j].name));
        }
    return CN_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const trained *)a)->name, ((const trained *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    return ((const trained *)a)->place - ((const trained *)b)->place;
}

/* The trained weights in the order of the model. */
static cn_status find_weights(const cn__keras *k, const cn__h5 *h5, const cn_model *model,
                              trained **weights)
{
    search s = {k, h5, cn__model_compiled(model), NULL};
    size_t count = (size_t)s.compiled->weight_count;
    s.found = cn__arena_alloc(k->arena, count * sizeof *s.found);
    if (s.found == NULL)
        return cn_error_status();
    CN__TRY(cn__visit_layers(model, look, &s));
    for (size_t i = 0; i < count; i++)
        if (s.found[i].layer == NULL)
            return cn__fail(CN_ERROR_ARGUMENT, "a trained weight is in none of the layers");
    *weights = s.found;
    return CN_OK;
}

static cn_status find_own(const cn__optimizer *optimizer, state *s)
{
    for (int i = 0; i < cn__optimizer_variable_count(optimizer); i++) {
        variable v = {0};
        cn__optimizer_variable_at(optimizer, i, &v.own);
        v.shape = v.own.shape;
        CN__TRY(add(s, v));
    }
    return CN_OK;
}

/* ---- which belongs to which ---- */

/* How many arrays Keras 3 keeps beside each other for one weight. */
static size_t kinds_together(const cn__optimizer *optimizer)
{
    static const char *const pairs[] = {"Adam", "AdamW", "Adadelta", "Adamax", "Nadam", "Ftrl"};
    const char *text = cn__optimizer_text(optimizer);
    size_t length = strcspn(text, "(");
    for (size_t i = 0; i < CN__COUNT(pairs); i++)
        if (strlen(pairs[i]) == length && strncasecmp(pairs[i], text, length) == 0)
            return 2;
    return 1;
}

/* Our array for array `i` of the file, with the weight it belongs to if the weights' axes may have
 * to be turned. */
static size_t own_array(const cn__keras *k, const cn__optimizer *optimizer, const trained *order,
                        size_t weights, size_t i, const trained **weight)
{
    *weight = NULL;
    if (!k->old_optimizer || weights == 0)
        return i;
    size_t kind = i / weights, together = kinds_together(optimizer);
    *weight = &order[i % weights];
    size_t place = (size_t)(*weight)->place;
    return kind < together ? place * together + kind : kind * weights + place;
}

static bool is_placeholder(const variable *v)
{
    return v->shape.rank == 1 && v->shape.dim[0] == 1;
}

/* Gives each of our arrays its path and shape in the file. False if they do not fit. */
static bool match_arrays(const cn__keras *k, const cn__compiled *c, const trained *order,
                         const list *file, list *own)
{
    size_t used = 0;
    for (size_t i = 0; i < file->count; i++) {
        const trained *weight;
        size_t at = own_array(k, c->optimizer, order, (size_t)c->weight_count, i, &weight);
        if (i >= own->count || at >= own->count) {
            if (!k->old_optimizer || !is_placeholder(&file->items[i]))
                return false;
            continue;
        }
        variable *v = &own->items[at];
        v->path = file->items[i].path;
        v->shape = file->items[i].shape;
        v->layer = weight != NULL ? weight->layer : NULL;
        v->weight = weight != NULL ? weight->weight : 0;
        bool fits = v->layer != NULL
                        ? cn__keras_check_weight(k, v->layer, v->weight, &v->shape) == CN_OK
                        : cn_shape_equal(&v->shape, &v->own.shape);
        if (!fits)
            return false;
        used++;
    }
    return used == own->count;
}

/* The versions do not tell for certain which order it is, but the shapes do, nearly always. */
static bool match_in_some_order(const cn__keras *k, const cn__compiled *c, trained *order,
                                const list *file, list *own)
{
    size_t count = (size_t)c->weight_count;
    for (int i = 0; i < 1 + k->old_optimizer; i++) {
        if (k->old_optimizer)
            qsort(order, count, sizeof *order,
                  k->sorted_optimizer == (i == 0) ? by_name : by_place);
        if (match_arrays(k, c, order, file, own))
            return true;
    }
    return false;
}

/* The file may lack the rate, or all numbers. */
static bool match_numbers(const list *file, list *own)
{
    size_t next = 0;
    bool rate = file->count >= own->count;
    for (size_t i = 0; i < own->count && file->count > 0; i++) {
        variable *v = &own->items[i];
        if (v->own.is_rate && !rate)
            continue;
        if (next < file->count)
            v->path = file->items[next++].path;
    }
    return next == file->count;
}

/* ---- reading ---- */

static cn_status read_number(const cn__h5 *h5, cn__optimizer *optimizer, const variable *v)
{
    int64_t iterations = 0;
    float value = 0;
    if (v->path == NULL)
        return CN_OK;
    if (v->own.is_iteration) {
        CN__TRY(cn__h5_read_integer(h5, v->path, &iterations));
        if (iterations < 0 || iterations > most_iterations)
            return cn__fail(CN_ERROR_FORMAT, "the optimizer's iterations are %lld",
                            (long long)iterations);
        cn__optimizer_set_iterations(optimizer, iterations);
        return CN_OK;
    }
    CN__TRY(cn__h5_read(h5, v->path, 1, &value));
    if (v->own.is_rate)
        return cn__optimizer_set_learning_rate(optimizer, (double)value);
    *v->own.values = value;
    return CN_OK;
}

static cn_status read_array(const cn__keras *k, const cn__h5 *h5, const variable *v)
{
    int64_t count = cn_shape_count(&v->shape);
    if (v->layer == NULL)
        return cn__h5_read(h5, v->path, count, v->own.values);
    float *values = cn__calloc((size_t)count, sizeof *values);
    if (values == NULL)
        return cn_error_status();
    cn_status status = cn__h5_read(h5, v->path, count, values);
    if (status == CN_OK)
        status = cn__keras_turn_weight(k, v->layer, v->weight, &v->shape, values, v->own.values);
    cn__free(values);
    return status;
}

static cn_status read_all(const cn__keras *k, const cn__h5 *h5, const cn_model *model, state *file,
                          state *own)
{
    const cn__compiled *c = cn__model_compiled(model);
    trained *order = NULL;
    CN__TRY(find_in_file(k, h5, file));
    CN__TRY(find_own(c->optimizer, own));
    CN__TRY(find_weights(k, h5, model, &order));
    if (!match_in_some_order(k, c, order, &file->arrays, &own->arrays) ||
        !match_numbers(&file->numbers, &own->numbers)) {
        cn_clear_error(); /* as in Keras, the optimizer begins anew then */
        return CN_OK;
    }
    for (size_t i = 0; i < own->numbers.count; i++)
        CN__TRY(read_number(h5, c->optimizer, &own->numbers.items[i]));
    for (size_t i = 0; i < own->arrays.count; i++)
        CN__TRY(read_array(k, h5, &own->arrays.items[i]));
    return CN_OK;
}

cn_status cn__keras_read_optimizer(const cn__keras *k, const cn__h5 *h5, cn_model *model)
{
    state file = {0}, own = {0};
    bool kept = cn__h5_has(h5, "/optimizer_weights") || cn__h5_has(h5, "/optimizer/vars");
    if (!kept || cn__model_compiled(model) == NULL)
        return CN_OK;
    cn_status status = read_all(k, h5, model, &file, &own);
    free_state(&file);
    free_state(&own);
    return status;
}

/* ---- writing ---- */

static cn_status put_variable(const cn__h5 *h5, const cn__optimizer *optimizer,
                              const cn__optimizer_variable *v, const char *path)
{
    const cn_shape scalar = {0};
    float rate = (float)cn__optimizer_learning_rate(optimizer);
    if (path == NULL)
        return cn_error_status();
    if (v->is_iteration)
        return cn__h5_put_integer(h5, path, cn__optimizer_iterations(optimizer));
    return v->is_rate ? cn__h5_put_floats(h5, path, &scalar, &rate)
                      : cn__h5_put_floats(h5, path, &v->shape, v->values);
}

/* What decays is a schedule to Keras 3, which keeps no rate. */
static cn_status has_rate(const cn__keras_saving *s, const cn__optimizer *optimizer, bool *has)
{
    const char *text;
    bool decays = false;
    CN__TRY(cn__keras_own_optimizer(s, optimizer, &text, &decays));
    *has = !decays;
    return CN_OK;
}

cn_status cn__keras_put_optimizer(const cn__keras_saving *s, const cn__h5 *h5,
                                  const cn_model *model)
{
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    bool rate = false;
    CN__TRY(has_rate(s, optimizer, &rate));
    CN__TRY(cn__h5_put_group(h5, "/optimizer/vars"));
    int next = 0;
    for (int i = 0; i < cn__optimizer_variable_count(optimizer); i++) {
        cn__optimizer_variable v;
        cn__optimizer_variable_at(optimizer, i, &v);
        if (v.is_rate && !rate)
            continue;
        const char *path = cn__arena_printf(s->arena, "/optimizer/vars/%d", next++);
        CN__TRY(put_variable(h5, optimizer, &v, path));
    }
    return CN_OK;
}

/* "adam/dense_kernel_momentum", with a number if layers of nested models share their names. */
static const char *name_variable(const cn__keras_saving *s, const char *optimizer, const char *name,
                                 const char *const *others, int count)
{
    const char *text = cn__arena_printf(s->arena, "%s/%s", optimizer, name);
    for (int i = 0; i < count && text != NULL; i++)
        if (strcmp(others[i], text) == 0)
            return cn__arena_printf(s->arena, "%s/%s_%d", optimizer, name, count);
    return text;
}

cn_status cn__keras_put_old_optimizer(const cn__keras_saving *s, const cn__h5 *h5,
                                      const cn_model *model)
{
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    size_t count = (size_t)cn__optimizer_variable_count(optimizer);
    const char **names = cn__arena_alloc(s->arena, count * sizeof *names);
    cn__expression e;
    char base[cn__name_size];
    bool rate = false;
    int used = 0;
    if (names == NULL)
        return cn_error_status();
    CN__TRY(has_rate(s, optimizer, &rate));
    CN__TRY(cn__expression_parse(s->arena, cn__optimizer_text(optimizer), &e));
    cn__snake_case(e.name, base, sizeof base);
    for (int i = 0; i < (int)count; i++) {
        cn__optimizer_variable v;
        cn__optimizer_variable_at(optimizer, i, &v);
        if (v.is_rate && !rate)
            continue;
        names[used] = name_variable(s, base, v.name, names, used);
        if (names[used] == NULL)
            return cn_error_status();
        const char *path = cn__arena_printf(s->arena, "/optimizer_weights/%s", names[used++]);
        CN__TRY(put_variable(h5, optimizer, &v, path));
    }
    return cn__h5_put_texts(h5, "/optimizer_weights", "weight_names", names, (size_t)used);
}
