/* The walk of evaluate.h: every node once, in the order of making. */
#include "graph/evaluate.h"

#include <string.h>

#include "graph/evaluate_node.h"
#include "graph/map.h"
#include "graph/order.h"

static const struct {
    const cn__op *op;
    cn__evaluator evaluate;
} table[] = {
    {&cn__conv_op, cn__evaluate_conv},
    {&cn__conv_input_gradient_op, cn__evaluate_conv_input_gradient},
    {&cn__conv_kernel_gradient_op, cn__evaluate_conv_kernel_gradient},
    {&cn__unary_op, cn__evaluate_unary},
    {&cn__unary_gradient_op, cn__evaluate_unary_gradient},
    {&cn__binary_op, cn__evaluate_binary},
    {&cn__broadcast_like_op, cn__evaluate_broadcast_like},
    {&cn__reduce_op, cn__evaluate_reduce},
    {&cn__reduce_like_op, cn__evaluate_reduce_like},
    {&cn__dropout_op, cn__evaluate_dropout},
    {&cn__noise_op, cn__evaluate_noise},
    {&cn__reshape_op, cn__evaluate_copy},
    {&cn__reshape_like_op, cn__evaluate_copy},
    {&cn__transpose_op, cn__evaluate_transpose},
    {&cn__pad_op, cn__evaluate_pad},
    {&cn__concatenate_op, cn__evaluate_concatenate},
    {&cn__part_like_op, cn__evaluate_part_like},
    {&cn__one_hot_op, cn__evaluate_one_hot},
    {&cn__max_pool_op, cn__evaluate_max_pool},
    {&cn__max_unpool_op, cn__evaluate_max_unpool},
    {&cn__average_pool_op, cn__evaluate_average_pool},
    {&cn__average_pool_gradient_op, cn__evaluate_average_pool_gradient},
    {&cn__resize_op, cn__evaluate_resize},
    {&cn__resize_gradient_op, cn__evaluate_resize_gradient},
    {&cn__softmax_op, cn__evaluate_softmax},
    {&cn__softmax_gradient_op, cn__evaluate_softmax_gradient},
    {&cn__batch_norm_op, cn__evaluate_batch_norm},
    {&cn__batch_norm_gradient_op, cn__evaluate_batch_norm_gradient},
};

static cn__evaluator evaluator_of(const cn__op *op)
{
    for (size_t i = 0; i < CN__COUNT(table); i++)
        if (table[i].op == op)
            return table[i].evaluate;
    return NULL;
}

/* ---- arrays ---- */

cn_status cn__doubles_of(const cn_array *array, cn__doubles *doubles)
{
    int64_t count = cn_array_count(array);
    const float *floats = cn_array_const_floats(array);
    const int32_t *ints = cn_array_const_ints(array);
    *doubles = (cn__doubles){*cn_array_shape(array), cn__calloc((size_t)count, sizeof(double))};
    if (doubles->values == NULL)
        return cn_error_status();
    for (int64_t i = 0; i < count; i++)
        doubles->values[i] = floats != NULL ? (double)floats[i] : (double)ints[i];
    return CN_OK;
}

void cn__doubles_free(cn__doubles *doubles)
{
    cn__free(doubles->values);
    *doubles = (cn__doubles){0};
}

/* ---- the walk ---- */

/* A tensor with its shape known in full. */
typedef struct value {
    cn_tensor tensor;
    int64_t count;
    double *data; /* NULL if only its shape is needed */
} value;

typedef struct walk {
    const cn__evaluation *evaluation;
    cn__arena *arena;
    cn__order order;  /* nodes whose shapes or values are needed */
    cn__order active; /* nodes whose values are needed */
    cn__map needed;   /* the same as a set */
    cn__map values;   /* tensor -> value */
} walk;

static value *new_value(walk *w, const cn_tensor *tensor)
{
    value *v = cn__arena_alloc(w->arena, sizeof *v);
    if (v != NULL)
        v->tensor = *tensor;
    return v;
}

/* Gives a value whose shape has been told its count and, if asked, zeros. */
static cn_status finish_value(walk *w, value *v, bool with_data)
{
    const int64_t limit = (int64_t)1 << 40;
    v->count = cn_shape_count(&v->tensor.shape);
    if (v->count < 0 || v->count >= limit) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "evaluate: the shape %s of '%s' must be known in full and have below 2^40 "
                        "elements",
                        cn_shape_text(&v->tensor.shape, text, sizeof text), v->tensor.name);
    }
    if (!with_data)
        return CN_OK;
    v->data = cn__arena_alloc(w->arena, (size_t)v->count * sizeof(double));
    return v->data != NULL ? CN_OK : cn_error_status();
}

static cn_status add_input(walk *w, const cn_tensor *tensor, const cn__doubles *given)
{
    if (!cn__shapes_agree(&tensor->shape, &given->shape)) {
        char a[128], b[128];
        return cn__fail(CN_ERROR_SHAPE, "evaluate: the input '%s' takes the shape %s, not %s",
                        tensor->name, cn_shape_text(&tensor->shape, a, sizeof a),
                        cn_shape_text(&given->shape, b, sizeof b));
    }
    value *v = new_value(w, tensor);
    if (v == NULL)
        return cn_error_status();
    v->tensor.shape = given->shape;
    CN__TRY(finish_value(w, v, true));
    memcpy(v->data, given->values, (size_t)v->count * sizeof(double));
    return cn__map_set(&w->values, tensor, v);
}

static const double *replacement(const walk *w, const cn__variable *variable)
{
    for (int i = 0; i < w->evaluation->replaced_count; i++)
        if (w->evaluation->replaced[i].variable == variable)
            return w->evaluation->replaced[i].values;
    return NULL;
}

static cn_status add_leaf(walk *w, const cn__node *node)
{
    const cn__leaf *leaf = node->attributes;
    if (node->op == &cn__input_op)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "evaluate: the outputs depend on the input '%s', which is not given",
                        node->out[0]->name);
    value *v = new_value(w, node->out[0]);
    if (v == NULL)
        return cn_error_status();
    CN__TRY(finish_value(w, v, true));
    const double *other = leaf->variable != NULL ? replacement(w, leaf->variable) : NULL;
    const cn_array *array = leaf->variable != NULL ? leaf->variable->value : leaf->array;
    const float *floats = cn_array_const_floats(array);
    const int32_t *ints = cn_array_const_ints(array);
    for (int64_t i = 0; i < v->count; i++)
        v->data[i] = other != NULL ? other[i] : floats != NULL ? (double)floats[i] : ints[i];
    return cn__map_set(&w->values, node->out[0], v);
}

static cn_status compute(const walk *w, const cn__node *node, value *const *in, value *const *out)
{
    cn__evaluator evaluate = evaluator_of(node->op);
    if (evaluate == NULL)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "evaluate: the operation %s cannot be computed in double precision",
                        node->op->name);
    cn__evaluated e = {.node = node,
                       .training = w->evaluation->training,
                       .run = w->evaluation->run,
                       .arena = w->arena};
    for (int i = 0; i < node->inputs; i++) {
        e.in[i] = cn__lends_shape(node, i) ? NULL : in[i]->data;
        e.in_count[i] = in[i]->count;
    }
    for (int i = 0; i < node->outputs; i++) {
        e.out[i] = out[i]->data;
        e.out_count[i] = out[i]->count;
    }
    return evaluate(&e);
}

/* Infers the shapes of the node's outputs, and computes them if they are needed. An output that was
 * given as an input stays what it is. */
static cn_status visit(walk *w, const cn__node *node)
{
    if (node->inputs == 0)
        return add_leaf(w, node);
    bool needed = cn__map_get(&w->needed, node) != NULL;
    value *in[cn__most_inputs], *out[cn__most_outputs];
    cn_tensor *in_tensors[cn__most_inputs], *out_tensors[cn__most_outputs];
    for (int i = 0; i < node->inputs; i++) {
        in[i] = cn__map_get(&w->values, node->in[i]);
        in_tensors[i] = &in[i]->tensor;
    }
    for (int i = 0; i < node->outputs; i++) {
        out[i] = new_value(w, node->out[i]);
        if (out[i] == NULL)
            return cn_error_status();
        out_tensors[i] = &out[i]->tensor;
    }
    CN__TRY(node->op->shape(node->attributes, node->inputs, in_tensors, out_tensors));
    for (int i = 0; i < node->outputs; i++) {
        CN__TRY(finish_value(w, out[i], needed));
        if (cn__map_get(&w->values, node->out[i]) == NULL)
            CN__TRY(cn__map_set(&w->values, node->out[i], out[i]));
    }
    cn__node shaped = *node;
    shaped.in = in_tensors;
    shaped.out = out_tensors;
    return needed ? compute(w, &shaped, in, out) : CN_OK;
}

static cn_status visit_all(walk *w, cn_tensor_list inputs, const cn__doubles *in,
                           cn_tensor_list outputs)
{
    CN__TRY(cn__order_find(&w->order, outputs, inputs, false));
    CN__TRY(cn__order_find(&w->active, outputs, inputs, true));
    for (size_t n = 0; n < w->active.count; n++)
        CN__TRY(cn__map_set(&w->needed, w->active.nodes[n], w));
    for (int i = 0; i < inputs.count; i++)
        CN__TRY(add_input(w, inputs.items[i], &in[i]));
    for (size_t n = 0; n < w->order.count; n++)
        CN__TRY(visit(w, w->order.nodes[n]));
    return CN_OK;
}

static cn_status copy_outputs(walk *w, cn_tensor_list outputs, cn__doubles *out)
{
    for (int i = 0; i < outputs.count; i++) {
        const value *v = cn__map_get(&w->values, outputs.items[i]);
        size_t bytes = (size_t)v->count * sizeof(double);
        out[i] = (cn__doubles){v->tensor.shape, cn__alloc(bytes)};
        if (out[i].values == NULL) {
            for (int j = 0; j < i; j++)
                cn__doubles_free(&out[j]);
            return cn_error_status();
        }
        memcpy(out[i].values, v->data, bytes);
    }
    return CN_OK;
}

cn_status cn__evaluate(cn_tensor_list inputs, const cn__doubles *in, cn_tensor_list outputs,
                       cn__doubles *out, const cn__evaluation *evaluation)
{
    walk w = {.evaluation = evaluation, .arena = cn__arena_new()};
    if (w.arena == NULL)
        return cn_error_status();
    cn_status status = visit_all(&w, inputs, in, outputs);
    if (status == CN_OK)
        status = copy_outputs(&w, outputs, out);
    cn__order_free(&w.order);
    cn__order_free(&w.active);
    cn__map_free(&w.needed);
    cn__map_free(&w.values);
    cn__arena_free(w.arena);
    return status;
}
