/* Applying layers to tensors. A call is recorded in the graph; the graph holds the layer. */
#include "layers/layer.h"

#include <string.h>

/* A graph's hold on a layer: how the calls of a graph that is freed leave the layer. */
typedef struct cn__hold {
    cn_layer *layer;
} hold;

static void let_go(void *object)
{
    hold *held = object;
    cn_layer *layer = held->layer;
    int kept = 0;
    for (int i = 0; i < layer->call_count; i++)
        if (layer->calls[i]->hold != held)
            layer->calls[kept++] = layer->calls[i];
    layer->call_count = kept;
    cn__layer_release(layer);
}

/* Sets call->hold and call->index from the calls that the layer has in this graph already. */
static cn_status hold_layer(cn_graph *graph, cn_layer *layer, cn__call *call)
{
    for (int i = 0; i < layer->call_count; i++) {
        if (cn__graph_of(layer->calls[i]->out[0]) != graph)
            continue;
        call->hold = layer->calls[i]->hold;
        call->index++;
    }
    if (call->hold)
        return CN_OK;
    call->hold = cn__arena_alloc(cn__graph_arena(graph), sizeof(hold));
    if (!call->hold)
        return CN_ERROR_MEMORY;
    call->hold->layer = layer;
    cn__layer_retain(layer);
    return cn__graph_adopt(graph, call->hold, let_go);
}

/* ---- checks before ---- */

static cn_status check_count(const cn_layer *layer, int inputs)
{
    const cn__layer_type *type = layer->type;
    if (inputs >= type->least_inputs && inputs <= type->most_inputs)
        return CN_OK;
    if (type->least_inputs == type->most_inputs)
        return cn__fail(CN_ERROR_ARGUMENT, "it takes %d tensor%s, but was given %d",
                        type->least_inputs, type->least_inputs == 1 ? "" : "s", inputs);
    return cn__fail(CN_ERROR_ARGUMENT, "it takes %d to %d tensors, but was given %d",
                    type->least_inputs, type->most_inputs, inputs);
}

static cn_status check_ranks(const cn_layer *layer, cn_tensor *const *in, int inputs)
{
    static const char *const axes[] = {"", "(batch, steps, channels)",
                                       "(batch, rows, columns, channels)",
                                       "(batch, depth, rows, columns, channels)"};
    int rank = layer->type->rank;
    for (int i = 0; i < inputs && rank > 0; i++) {
        char text[200];
        if (in[i]->shape.rank != rank + 2)
            return cn__fail(CN_ERROR_SHAPE, "it takes %d axes %s, but the input %s has %d",
                            rank + 2, axes[rank], cn_shape_text(&in[i]->shape, text, sizeof text),
                            in[i]->shape.rank);
    }
    return CN_OK;
}

static cn_status build(cn_layer *layer, cn_tensor *const *in)
{
    if (layer->built)
        return CN_OK;
    cn_status status = layer->type->build ? layer->type->build(layer, in) : CN_OK;
    if (status == CN_OK) {
        layer->built = true;
        return CN_OK;
    }
    while (layer->weight_count > 0)
        cn__variable_release(layer->weights[--layer->weight_count].variable);
    return status;
}

/* ---- applying ---- */

static cn_status grow(cn_layer *layer, cn_tensor *const *in, int inputs, cn_tensor **out,
                      int *outputs)
{
    layer->update_count = 0;
    if (layer->type->apply_many)
        return layer->type->apply_many(layer, in, inputs, out, outputs);
    *outputs = 1;
    out[0] = layer->type->apply(layer, in, inputs);
    return out[0] ? CN_OK : cn_error_status();
}

static bool is_among(const cn_tensor *tensor, cn_tensor *const *list, int count)
{
    for (int i = 0; i < count; i++)
        if (list[i] == tensor)
            return true;
    return false;
}

/* Every call has outputs of its own, so that a tensor tells which call made it. */
static cn_status own_outputs(cn_tensor *const *in, int inputs, cn_tensor **out, int outputs)
{
    for (int i = 0; i < outputs; i++) {
        if (out[i]->origin || cn__tensor_variable(out[i]) || is_among(out[i], in, inputs) ||
            is_among(out[i], out, i))
            out[i] = cn_op_unary(out[i], (cn_function1){.op = CN_IDENTITY});
        if (!out[i])
            return cn_error_status();
    }
    return CN_OK;
}

/* Gives the layer's name to the operations within a call, from a tensor back to the inputs: what
 * still has its operation's name and belongs to no other layer. */
static void name_within(const cn__call *call, cn_tensor *tensor)
{
    if (tensor->origin || tensor->node->inputs == 0 || tensor->name != tensor->node->op->name ||
        is_among(tensor, call->in, call->inputs))
        return;
    tensor->name = call->layer->name;
    for (int i = 0; i < tensor->node->inputs; i++)
        name_within(call, tensor->node->in[i]);
}

static cn_status record(cn_layer *layer, cn_tensor *const *in, int inputs, cn_tensor *const *out,
                        int outputs)
{
    cn_graph *graph = cn__graph_of(out[0]);
    cn__arena *arena = cn__graph_arena(graph);
    cn__call *call = cn__arena_alloc(arena, sizeof *call);
    if (!call)
        return CN_ERROR_MEMORY;
    call->layer = layer;
    call->inputs = inputs;
    call->outputs = outputs;
    call->updates = layer->update_count;
    call->in = cn__arena_copy(arena, in, (size_t)inputs * sizeof(cn_tensor *));
    call->out = cn__arena_copy(arena, out, (size_t)outputs * sizeof(cn_tensor *));
    call->update =
        cn__arena_copy(arena, layer->updates, (size_t)layer->update_count * sizeof(cn__update));
    if (!call->in || !call->out || !call->update)
        return CN_ERROR_MEMORY;
    size_t count = (size_t)layer->call_count;
    CN__TRY(cn__grow(&layer->calls, &layer->call_capacity, count, count + 1, sizeof(cn__call *)));
    CN__TRY(hold_layer(graph, layer, call));
    layer->calls[layer->call_count++] = call;
    for (int i = 0; i < outputs; i++) {
        for (int n = 0; n < out[i]->node->inputs; n++)
            name_within(call, out[i]->node->in[n]);
        out[i]->origin = call;
        out[i]->name = layer->name;
    }
    return CN_OK;
}

static cn_status apply_to(cn_layer *layer, cn_tensor *const *in, int inputs, cn_tensor **out,
                          int *outputs)
{
    CN__TRY(check_count(layer, inputs));
    CN__TRY(check_ranks(layer, in, inputs));
    for (int i = 1; i < inputs; i++)
        cn__graph_join(in[0]->graph, in[i]->graph);
    CN__TRY(build(layer, in));
    CN__TRY(grow(layer, in, inputs, out, outputs));
    cn_status status = own_outputs(in, inputs, out, *outputs);
    if (status == CN_OK)
        status = record(layer, in, inputs, out, *outputs);
    if (status != CN_OK && inputs == 0 && out[0])
        cn_tensor_release(out[0]); /* the layer began this graph: nobody else can */
    return status;
}

/* Adopts the layer: it is freed here if the call fails and no graph holds it. The extra hold keeps
 * it alive until the message has its name. */
static int apply(cn_layer *layer, cn_tensor_list inputs, cn_tensor **out)
{
    if (!layer)
        return (void)cn__fail_null_argument("cn_apply"), -1;
    cn_status status = CN_OK;
    for (int i = 0; i < inputs.count && status == CN_OK; i++)
        if (!inputs.items[i])
            status = cn__fail_null_argument("cn_apply");
    if (status != CN_OK)
        return cn_layer_free(layer), -1;
    int outputs = 0;
    cn__layer_retain(layer);
    status = apply_to(layer, inputs.items, inputs.count, out, &outputs);
    if (status != CN_OK)
        (void)cn__fail_within("%s (%s)", layer->name, layer->type->name);
    cn__layer_release(layer);
    return status == CN_OK ? outputs : -1;
}

cn_tensor *cn_apply(cn_layer *layer, cn_tensor *input)
{
    return cn_apply_list(layer, (cn_tensor_list){1, &input});
}

cn_tensor *cn_apply_list(cn_layer *layer, cn_tensor_list inputs)
{
    cn_tensor *out[cn__most_layer_outputs] = {NULL};
    return apply(layer, inputs, out) > 0 ? out[0] : NULL;
}

int cn_apply_outputs(cn_layer *layer, cn_tensor_list inputs, int capacity, cn_tensor **outputs)
{
    cn_tensor *out[cn__most_layer_outputs] = {NULL};
    int count = apply(layer, inputs, out);
    if (count > capacity) {
        (void)cn__fail(CN_ERROR_ARGUMENT,
                       "cn_apply_outputs: there are %d outputs, but room for %d only", count,
                       capacity);
        return -1;
    }
    if (count > 0)
        memcpy(outputs, out, (size_t)count * sizeof(cn_tensor *));
    return count;
}
