/* Which layers a model has, in which order, and how it is computed.
 *
 * Keras orders the layers of a functional model by depth: the longest way to an output, in
 * applications; a layer applied several times has the depth of its deepest application. Layers of
 * one depth come in the order in which a depth-first walk from the outputs meets them
 * (keras/src/ops/function.py, map_graph). Files name nested weights by counting layers in this
 * order. */
#include "graph/map.h"
#include "models/model.h"

#include <stdlib.h>

/* An application of a layer, or an operation outside layers. */
typedef struct vertex {
    const cn__call *call; /* NULL for an operation */
    const cn__node *node; /* NULL for a call */
    int inputs, outputs;
    cn_tensor *const *in;
    cn_tensor *const *out;
    int layer; /* in walk.layers, -1 for an operation */
    int depth;
    int next;      /* the input to visit next */
    bool finished; /* and all it depends on */
} vertex;

typedef struct found_layer {
    cn_layer *layer;
    int depth;
    int met; /* -1: an input that no output depends on */
    int place;
} found_layer;

typedef struct walk {
    cn_model *model;
    vertex *vertices;
    size_t vertex_count, vertex_capacity;
    found_layer *layers;
    size_t layer_count, layer_capacity;
    int *stack, *finished; /* of vertices */
    size_t stack_count, stack_capacity, finished_count, finished_capacity;
    int value_count;
    cn__map numbers;   /* of a call or node: its vertex + 1 */
    cn__map layer_map; /* of a layer: its place in layers + 1 */
    cn__map values;    /* of a tensor: its number + 1 */
} walk;

static int look_up(const cn__map *map, const void *key)
{
    return (int)(intptr_t)cn__map_get(map, key) - 1;
}

static cn_status number(cn__map *map, const void *key, int value)
{
    return cn__map_set(map, key, (void *)((intptr_t)value + 1));
}

static cn_status push(int **items, size_t *count, size_t *capacity, int item)
{
    CN__TRY(cn__grow(items, capacity, *count, *count + 1, sizeof **items));
    (*items)[(*count)++] = item;
    return CN_OK;
}

static const void *key_of(const cn_tensor *tensor)
{
    const cn__call *call = cn__tensor_call(tensor);
    return call != NULL ? (const void *)call : (const void *)tensor->node;
}

static bool is_model_input(const walk *w, const cn_tensor *tensor)
{
    int value = look_up(&w->values, tensor);
    return value >= 0 && value < w->model->input_count;
}

static bool makes_input(const cn__call *call)
{
    return call != NULL && call->inputs == 0;
}

/* ---- the walk ---- */

static cn_status add_layer(walk *w, cn_layer *layer, int met, int *place)
{
    *place = look_up(&w->layer_map, layer);
    if (*place >= 0)
        return CN_OK;
    CN__TRY(cn__grow(&w->layers, &w->layer_capacity, w->layer_count, w->layer_count + 1,
                     sizeof *w->layers));
    *place = (int)w->layer_count++;
    w->layers[*place] = (found_layer){layer, 0, met, *place};
    return number(&w->layer_map, layer, *place);
}

static cn_status add_vertex(walk *w, const cn_tensor *tensor, int met)
{
    const cn__call *call = cn__tensor_call(tensor);
    vertex new = {.call = call, .layer = -1};
    if (call != NULL) {
        new.inputs = call->inputs, new.in = call->in;
        new.outputs = call->outputs, new.out = call->out;
        CN__TRY(add_layer(w, call->layer, met, &new.layer));
    } else {
        new.node = tensor->node;
        new.inputs = new.node->inputs, new.in = new.node->in;
        new.outputs = new.node->outputs, new.out = new.node->out;
    }
    CN__TRY(cn__grow(&w->vertices, &w->vertex_capacity, w->vertex_count, w->vertex_count + 1,
                     sizeof *w->vertices));
    w->vertices[w->vertex_count++] = new;
    return number(&w->numbers, key_of(tensor), (int)w->vertex_count - 1);
}

/* Puts what makes the tensor on the stack, unless it was met before or the model is given it. */
static cn_status enter(walk *w, const cn_tensor *tensor)
{
    const cn__call *call = cn__tensor_call(tensor);
    bool given = is_model_input(w, tensor);
    if (given && !makes_input(call))
        return CN_OK;
    int met = look_up(&w->numbers, key_of(tensor));
    if (met >= 0 && !w->vertices[met].finished)
        return cn__fail(CN_ERROR_ARGUMENT, "model %s: %s depends on itself", w->model->name,
                        call != NULL ? call->layer->name : tensor->name);
    if (met >= 0)
        return CN_OK;
    if (!given && (makes_input(call) || (call == NULL && cn__tensor_is_input(tensor))))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "model %s: an output depends on the input %s, which is not among the "
                        "model's %d inputs; add it to them",
                        w->model->name, call != NULL ? call->layer->name : tensor->name,
                        w->model->input_count);
    CN__TRY(add_vertex(w, tensor, (int)w->layer_count));
    return push(&w->stack, &w->stack_count, &w->stack_capacity, (int)w->vertex_count - 1);
}

static cn_status finish(walk *w, int at)
{
    vertex *v = &w->vertices[at];
    v->finished = true;
    for (int i = 0; i < v->outputs; i++)
        if (look_up(&w->values, v->out[i]) < 0)
            CN__TRY(number(&w->values, v->out[i], w->value_count++));
    return push(&w->finished, &w->finished_count, &w->finished_capacity, at);
}

static cn_status visit(walk *w, const cn_tensor *output)
{
    CN__TRY(enter(w, output));
    while (w->stack_count > 0) {
        int at = w->stack[w->stack_count - 1];
        vertex *v = &w->vertices[at];
        if (v->next < v->inputs) {
            CN__TRY(enter(w, v->in[v->next++]));
            continue;
        }
        CN__TRY(finish(w, at));
        w->stack_count--;
    }
    return CN_OK;
}

static cn_status number_inputs(walk *w)
{
    for (int i = 0; i < w->model->input_count; i++) {
        if (look_up(&w->values, w->model->inputs[i]) >= 0)
            return cn__fail(CN_ERROR_ARGUMENT, "model %s: input %d, %s, is given twice",
                            w->model->name, i, w->model->inputs[i]->name);
        CN__TRY(number(&w->values, w->model->inputs[i], w->value_count++));
    }
    return CN_OK;
}

static cn_status add_unused_inputs(walk *w)
{
    for (int i = 0; i < w->model->input_count; i++) {
        const cn_tensor *input = w->model->inputs[i];
        if (!makes_input(cn__tensor_call(input)) || look_up(&w->numbers, key_of(input)) >= 0)
            continue;
        CN__TRY(add_vertex(w, input, -1));
        CN__TRY(finish(w, (int)w->vertex_count - 1));
    }
    return CN_OK;
}

static cn_status walk_all(walk *w)
{
    CN__TRY(number_inputs(w));
    for (int i = 0; i < w->model->output_count; i++)
        CN__TRY(visit(w, w->model->outputs[i]));
    return add_unused_inputs(w);
}

/* ---- depths and order ---- */

static void find_depths(walk *w)
{
    for (size_t i = w->finished_count; i-- > 0;) {
        vertex *v = &w->vertices[w->finished[i]];
        if (v->layer >= 0) {
            found_layer *layer = &w->layers[v->layer];
            v->depth = layer->depth = (int)cn__max(v->depth, layer->depth);
        }
        for (int j = 0; j < v->inputs; j++) {
            int parent = look_up(&w->numbers, key_of(v->in[j]));
            if (parent >= 0 && w->vertices[parent].depth < v->depth + 1)
                w->vertices[parent].depth = v->depth + 1;
        }
    }
}

static int compare_layers(const void *a, const void *b)
{
    const found_layer *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (x->met != y->met)
        return x->met < y->met ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static cn_status take_layers(walk *w)
{
    cn_model *model = w->model;
    qsort(w->layers, w->layer_count, sizeof *w->layers, compare_layers);
    model->layers = cn__arena_alloc(model->arena, w->layer_count * sizeof *model->layers);
    if (model->layers == NULL)
        return cn_error_status();
    for (size_t i = 0; i < w->layer_count; i++) {
        cn_layer *layer = w->layers[i].layer;
        if (model->sequential && layer->type->most_inputs == 0)
            continue;
        cn__layer_retain(layer);
        model->layers[model->layer_count++] = layer;
    }
    return CN_OK;
}

/* ---- values and steps ---- */

static int *take_numbers(walk *w, int count, cn_tensor *const *tensors)
{
    int *numbers = cn__arena_alloc(w->model->arena, (size_t)count * sizeof *numbers);
    for (int i = 0; numbers != NULL && i < count; i++) {
        numbers[i] = look_up(&w->values, tensors[i]);
        w->model->value_shapes[numbers[i]] = tensors[i]->shape;
    }
    return numbers;
}

static cn_status take_step(walk *w, const vertex *v)
{
    cn_model *model = w->model;
    int *in = take_numbers(w, v->inputs, v->in);
    int *out = take_numbers(w, v->outputs, v->out);
    if (in == NULL || out == NULL)
        return cn_error_status();
    model->has_operations = model->has_operations || v->call == NULL;
    model->steps[model->step_count++] =
        (cn__model_step){.layer = v->call != NULL ? v->call->layer : NULL,
                         .depth = v->depth,
                         .call = v->call != NULL ? v->call->index : 0,
                         .inputs = v->inputs,
                         .outputs = v->outputs,
                         .in = in,
                         .out = out};
    return CN_OK;
}

/* By layer, then by call. */
static int compare_steps(const void *a, const void *b)
{
    const cn__model_step *x = *(cn__model_step *const *)a, *y = *(cn__model_step *const *)b;
    if (x->layer != y->layer)
        return (uintptr_t)x->layer < (uintptr_t)y->layer ? -1 : 1;
    return (x->call > y->call) - (x->call < y->call);
}

/* Numbers each layer's steps in the order of their calls. */
static cn_status number_nodes(cn_model *model)
{
    size_t count = (size_t)model->step_count;
    cn__model_step **sorted = cn__calloc(count, sizeof *sorted);
    if (sorted == NULL)
        return cn_error_status();
    for (size_t i = 0; i < count; i++)
        sorted[i] = &model->steps[i];
    qsort(sorted, count, sizeof *sorted, compare_steps);
    for (size_t i = 1; i < count; i++)
        if (sorted[i]->layer == sorted[i - 1]->layer)
            sorted[i]->node = sorted[i - 1]->node + 1;
    cn__free(sorted);
    return CN_OK;
}

static cn_status take_steps(walk *w)
{
    cn_model *model = w->model;
    model->value_count = w->value_count;
    model->value_shapes =
        cn__arena_alloc(model->arena, (size_t)w->value_count * sizeof *model->value_shapes);
    model->steps = cn__arena_alloc(model->arena, w->finished_count * sizeof *model->steps);
    if (model->value_shapes == NULL || model->steps == NULL)
        return cn_error_status();
    model->input_values = take_numbers(w, model->input_count, model->inputs);
    model->output_values = take_numbers(w, model->output_count, model->outputs);
    if (model->input_values == NULL || model->output_values == NULL)
        return cn_error_status();
    for (size_t i = 0; i < w->finished_count; i++)
        CN__TRY(take_step(w, &w->vertices[w->finished[i]]));
    return number_nodes(model);
}

cn_status cn__model_trace(cn_model *model)
{
    walk w = {.model = model};
    cn_status status = walk_all(&w);
    if (status == CN_OK) {
        find_depths(&w);
        status = take_steps(&w);
    }
    if (status == CN_OK)
        status = take_layers(&w);
    cn__free(w.vertices);
    cn__free(w.layers);
    cn__free(w.stack);
    cn__free(w.finished);
    cn__map_free(&w.numbers);
    cn__map_free(&w.layer_map);
    cn__map_free(&w.values);
    return status;
}

/* ---- looking steps up ---- */

const cn__model_step *cn__model_maker(const cn_model *model, int value, int *output)
{
    for (int i = 0; i < model->step_count; i++)
        for (int j = 0; j < model->steps[i].outputs; j++)
            if (model->steps[i].out[j] == value) {
                *output = j;
                return &model->steps[i];
            }
    return NULL;
}

const cn__model_step *cn__model_first_step(const cn_model *model, const cn_layer *layer)
{
    for (int i = 0; i < model->step_count; i++)
        if (model->steps[i].layer == layer && model->steps[i].node == 0)
            return &model->steps[i];
    return NULL;
}
