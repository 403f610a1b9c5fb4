/* The graph of a training step: the losses of the outputs, the penalties of regularizers, the
 * gradients of the trained weights, and what becomes of moving averages. */
#include "graph/map.h"
#include "graph/ops.h"
#include "graph/order.h"
#include "layers/losses.h"
#include "models/training.h"

#include <stdio.h>
#include <string.h>

typedef struct builder {
    const cn_model *model;
    cn__compiled *compiled;
    cn__training_graph *g;
    cn_graph *graph;
    cn__order order; /* what the outputs depend on */
    cn__map made;    /* the nodes of `order`, and the layers visited */
    size_t update_capacity;
} builder;

static cn_status visit_within(const cn_model *model, bool trainable, cn__layer_visitor visit,
                              void *context)
{
    for (int i = 0; i < model->layer_count; i++) {
        cn_layer *layer = model->layers[i];
        bool both = trainable && layer->trainable;
        CN__TRY(visit(layer, both, context));
        if (cn__layer_model(layer) != NULL)
            CN__TRY(visit_within(cn__layer_model(layer), both, visit, context));
    }
    return CN_OK;
}

cn_status cn__visit_layers(const cn_model *model, cn__layer_visitor visit, void *context)
{
    return visit_within(model, true, visit, context);
}

/* total + scale * x */
static cn_status add(cn_tensor **total, cn_tensor *x, double scale)
{
    if (x != NULL && scale != 1)
        x = cn_op_unary(x, (cn_function1){CN_AFFINE, {(float)scale, 0, 0}});
    if (x != NULL && *total != NULL)
        x = cn_op_binary(CN_ADD, *total, x);
    if (x == NULL)
        return cn_error_status();
    *total = x;
    return CN_OK;
}

/* ---- outputs and targets ---- */

static cn_tensor *new_input(builder *b, const char *what, int output, cn_dtype dtype,
                            const cn_shape *shape)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%s of %s", what, cn_tensor_name(b->model->outputs[output]));
    return cn__input_in(b->graph, dtype, shape, name);
}

/* What a mean over the last axis is taken of: one mean over everything takes fewer passes. */
static cn_tensor *before_mean(cn_tensor *values)
{
    const cn__reduce_attributes *a = values->node->attributes;
    if (values->node->op != &cn__reduce_op || a->reduction != CN_MEAN || a->keepdims)
        return values;
    cn_tensor *x = values->node->in[0];
    return a->axes == 1U << (cn_tensor_shape(x)->rank - 1) ? x : values;
}

/* The mean over all values, each times its sample's weight. */
static cn_tensor *weighted_mean(cn_tensor *values, cn_tensor *weight)
{
    if (values == NULL)
        return NULL;
    values = before_mean(values);
    int rank = cn_tensor_shape(values)->rank;
    cn_shape shape = {.rank = rank, .dim = {-1, 1, 1, 1, 1, 1, 1, 1}};
    cn_tensor *weighted = cn_op_binary(CN_MULTIPLY, values, cn_op_reshape(weight, &shape));
    return cn_op_reduce(CN_MEAN, weighted, (1U << rank) - 1, false);
}

static cn_status add_output(builder *b, int output)
{
    cn__training_graph *g = b->g;
    const char *loss = b->compiled->losses[output];
    cn_tensor *prediction = b->model->outputs[output];
    cn_shape samples = cn_shape_of(cn_tensor_shape(prediction)->dim[0]);
    cn_shape shape = cn__loss_target_shape(loss, cn_tensor_shape(prediction));
    cn_dtype dtype = cn__loss_is_sparse(loss) ? CN_INT32 : CN_FLOAT32;
    int i = g->outputs++;
    g->prediction[i] = prediction;
    g->target[i] = new_input(b, "target", output, dtype, &shape);
    g->weight[i] = new_input(b, "sample weight", output, CN_FLOAT32, &samples);
    if (g->target[i] == NULL || g->weight[i] == NULL)
        return cn_error_status();
    g->output_loss[i] =
        weighted_mean(cn__loss_values(loss, g->target[i], prediction), g->weight[i]);
    if (g->output_loss[i] == NULL)
        return cn__fail_within("the output '%s'", cn_tensor_name(prediction));
    return add(&g->loss, g->output_loss[i], b->compiled->loss_weights[output]);
}

static cn_status add_outputs(builder *b)
{
    for (int i = 0; i < b->model->output_count; i++)
        if (b->compiled->losses[i] != NULL)
            CN__TRY(add_output(b, i));
    for (int i = 0; i < b->model->added_loss_count; i++) {
        cn_tensor *loss = b->model->added_losses[i];
        unsigned axes = (1U << cn_tensor_shape(loss)->rank) - 1;
        CN__TRY(add(&b->g->loss, cn_op_reduce(CN_SUM, loss, axes, false), 1));
    }
    if (b->g->loss == NULL)
        return cn__fail(CN_ERROR_ARGUMENT, "no output has a loss: give one, such as .loss = "
                                           "{\"mse\"}");
    return CN_OK;
}

/* ---- layers: penalties and updates ---- */

/* Marks what is computed for the outputs: calls of layers outside of it belong to other models. */
static cn_status find_made(builder *b)
{
    const cn_model *m = b->model;
    int count = m->output_count + m->added_loss_count;
    cn_tensor **ends = cn__arena_alloc(b->compiled->arena, (size_t)count * sizeof *ends);
    if (ends == NULL)
        return cn_error_status();
    for (int i = 0; i < count; i++)
        ends[i] = i < m->output_count ? m->outputs[i] : m->added_losses[i - m->output_count];
    CN__TRY(cn__order_find(&b->order, (cn_tensor_list){count, ends},
                           (cn_tensor_list){m->input_count, m->inputs}, true));
    for (size_t i = 0; i < b->order.count; i++)
        CN__TRY(cn__map_set(&b->made, b->order.nodes[i], b));
    return CN_OK;
}

static cn_status add_update(builder *b, const cn__update *update)
{
    cn__training_graph *g = b->g;
    size_t count = (size_t)g->updates;
    CN__TRY(cn__grow(&g->update, &b->update_capacity, count, count + 1, sizeof *update));
    g->update[g->updates++] = *update;
    return CN_OK;
}

/* Adds a penalty of an output divided by the batch, as in Keras 2 and since Keras 3.14. */
static cn_status add_activity(builder *b, cn_tensor *penalty, cn_tensor *output)
{
    cn_tensor *ones = cn__op_ones_like(output);
    unsigned others = ((1U << cn_tensor_shape(output)->rank) - 1) & ~1U;
    cn_tensor *rows = cn_op_reduce(CN_SUM, cn_op_reduce(CN_MEAN, ones, others, false), 1, false);
    return add(&b->g->loss, cn_op_binary(CN_DIVIDE, penalty, rows), 1);
}

/* What a layer says about its output's size: the option activity_regularizer, or itself. */
static cn_status regularize_activity(builder *b, const cn_layer *layer, cn_tensor *output)
{
    const cn__option *option = cn__option_find(layer->type, "activity_regularizer");
    const char *text =
        option != NULL ? *(const char **)cn__option_at(option, layer->options) : NULL;
    if (text != NULL)
        return add_activity(b, cn__penalty(text, output), output);
    if (strcmp(layer->type->name, "ActivityRegularization") != 0)
        return CN_OK;
    const cn_activity_regularization_layer *o = layer->options;
    return add_activity(b, cn__penalty_l1_l2((double)o->l1, (double)o->l2, output), output);
}

static cn_status visit_calls(builder *b, const cn_layer *layer)
{
    for (int i = 0; i < layer->call_count; i++) {
        const cn__call *call = layer->calls[i];
        if (cn__map_get(&b->made, call->out[0]->node) == NULL)
            continue;
        for (int u = 0; u < call->updates; u++)
            CN__TRY(add_update(b, &call->update[u]));
        for (int o = 0; o < call->outputs; o++)
            CN__TRY(regularize_activity(b, layer, call->out[o]));
    }
    return CN_OK;
}

static cn_status visit_layer(cn_layer *layer, bool trainable, void *context)
{
    builder *b = context;
    if (cn__map_get(&b->made, layer) != NULL)
        return CN_OK; /* shared */
    CN__TRY(cn__map_set(&b->made, layer, b));
    for (int i = 0; i < layer->weight_count && trainable; i++) {
        const cn__weight *weight = &layer->weights[i];
        if (weight->regularizer == NULL || !weight->trainable)
            continue;
        cn_tensor *variable = cn__variable_in(b->graph, weight->variable, weight->name);
        if (add(&b->g->loss, cn__penalty(weight->regularizer, variable), 1) != CN_OK)
            return cn__fail_within("%s (%s)", layer->name, layer->type->name);
    }
    return visit_calls(b, layer);
}

/* ---- the whole ---- */

static cn_status make_lists(builder *b)
{
    cn__training_graph *g = b->g;
    cn__arena *arena = b->compiled->arena;
    size_t outputs = (size_t)b->model->output_count * sizeof(cn_tensor *);
    size_t trained = (size_t)b->compiled->weight_count * sizeof(cn_tensor *);
    g->inputs = b->model->input_count;
    g->trained = b->compiled->weight_count;
    g->input = b->model->inputs;
    g->target = cn__arena_alloc(arena, outputs);
    g->weight = cn__arena_alloc(arena, outputs);
    g->prediction = cn__arena_alloc(arena, outputs);
    g->output_loss = cn__arena_alloc(arena, outputs);
    g->variable = cn__arena_alloc(arena, trained);
    g->gradient = cn__arena_alloc(arena, trained);
    bool made = g->target != NULL && g->weight != NULL && g->prediction != NULL &&
                g->output_loss != NULL && g->variable != NULL && g->gradient != NULL;
    return made ? CN_OK : cn_error_status();
}

static cn_status differentiate(builder *b)
{
    cn__training_graph *g = b->g;
    for (int i = 0; i < g->trained; i++) {
        const cn__trained *weight = &b->compiled->weights[i];
        g->variable[i] = cn__variable_in(b->graph, weight->variable, weight->name);
        if (g->variable[i] == NULL)
            return cn_error_status();
    }
    return cn_gradients(cn_tensors(g->loss), (cn_tensor_list){0},
                        (cn_tensor_list){g->trained, g->variable}, CN_GRADIENT, g->gradient);
}

static cn_status build(builder *b)
{
    CN__TRY(make_lists(b));
    CN__TRY(find_made(b));
    CN__TRY(add_outputs(b));
    CN__TRY(cn__visit_layers(b->model, visit_layer, b));
    CN__TRY(differentiate(b));
    const cn__update *updates = b->g->update;
    size_t bytes = (size_t)b->g->updates * sizeof *updates;
    cn__update *kept = cn__arena_copy(b->compiled->arena, updates, bytes);
    cn__free(b->g->update);
    b->g->update = kept;
    return kept != NULL ? CN_OK : cn_error_status();
}

cn_status cn__training_graph_build(const cn_model *model, cn__compiled *compiled)
{
    builder b = {.model = model,
                 .compiled = compiled,
                 .g = &compiled->graph,
                 .graph = cn__graph_of(model->inputs[0])};
    cn_status status = build(&b);
    if (status != CN_OK && b.update_capacity > 0)
        cn__free(b.g->update);
    cn__order_free(&b.order);
    cn__map_free(&b.made);
    return status;
}
