/* Reverse differentiation of a graph: every node between the outputs and what they are
 * differentiated by adds the nodes of its gradient, from the last to the first. */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "graph/map.h"
#include "graph/order.h"

typedef struct work {
    cn__order order;   /* nodes that the outputs depend on, first to last */
    cn__map depends;   /* nodes and tensors that depend on what is differentiated by */
    cn__map gradients; /* tensor -> its gradient so far */
} work;

static cn_status add_gradient(work *w, cn_tensor *tensor, cn_tensor *gradient)
{
    cn_tensor *sum = cn__map_get(&w->gradients, tensor);
    if (sum != NULL) {
        gradient = cn_op_binary(CN_ADD, sum, gradient);
        if (gradient == NULL)
            return cn_error_status();
    }
    return cn__map_set(&w->gradients, tensor, gradient);
}

static cn_status find_dependent(work *w, cn_tensor_list with_respect_to)
{
    for (int i = 0; i < with_respect_to.count; i++)
        CN__TRY(cn__map_set(&w->depends, with_respect_to.items[i], w));
    for (size_t n = 0; n < w->order.count; n++) {
        cn__node *node = w->order.nodes[n];
        bool depends = false;
        for (int i = 0; i < node->inputs; i++)
            depends = depends ||
                      (cn__map_get(&w->depends, node->in[i]) != NULL && !cn__lends_shape(node, i));
        if (!depends)
            continue;
        CN__TRY(cn__map_set(&w->depends, node, w));
        for (int i = 0; i < node->outputs; i++)
            CN__TRY(cn__map_set(&w->depends, node->out[i], w));
    }
    return CN_OK;
}

static cn_status seed(work *w, cn_tensor_list outputs, cn_tensor_list seeds)
{
    for (int i = 0; i < outputs.count; i++) {
        cn_tensor *given = i < seeds.count ? seeds.items[i] : NULL;
        cn_tensor *gradient = given != NULL ? cn__op_broadcast_like(given, outputs.items[i])
                                            : cn__op_ones_like(outputs.items[i]);
        if (gradient == NULL)
            return cn_error_status();
        CN__TRY(add_gradient(w, outputs.items[i], gradient));
    }
    return CN_OK;
}

static cn_status backward_node(work *w, const cn__node *node, cn_gradient_rule rule)
{
    cn_tensor *dy[cn__most_outputs] = {NULL}, *dx[cn__most_inputs] = {NULL};
    bool reached = false;
    for (int i = 0; i < node->outputs; i++) {
        dy[i] = cn__map_get(&w->gradients, node->out[i]);
        reached = reached || dy[i] != NULL;
    }
    if (!reached || cn__map_get(&w->depends, node) == NULL)
        return CN_OK;
    if (node->op->gradient == NULL)
        return cn__fail(CN_ERROR_UNSUPPORTED, "gradient: %s is not differentiable", node->op->name);
    if (dy[0] == NULL)
        return CN_OK; /* only a side output, such as the switches, was used */
    CN__TRY(node->op->gradient(node, dy, rule, dx));
    for (int i = 0; i < node->inputs; i++)
        if (dx[i] != NULL && cn__map_get(&w->depends, node->in[i]) != NULL)
            CN__TRY(add_gradient(w, node->in[i], dx[i]));
    return CN_OK;
}

static cn_status differentiate(work *w, cn_tensor_list outputs, cn_tensor_list seeds,
                               cn_tensor_list with_respect_to, cn_gradient_rule rule,
                               cn_tensor **gradients)
{
    CN__TRY(cn__order_find(&w->order, outputs, (cn_tensor_list){0, NULL}, false));
    CN__TRY(find_dependent(w, with_respect_to));
    CN__TRY(seed(w, outputs, seeds));
    for (size_t n = w->order.count; n > 0; n--)
        CN__TRY(backward_node(w, w->order.nodes[n - 1], rule));
    for (int i = 0; i < with_respect_to.count; i++) {
        gradients[i] = cn__map_get(&w->gradients, with_respect_to.items[i]);
        if (gradients[i] == NULL)
            gradients[i] = cn__op_zeros_like(with_respect_to.items[i]);
        if (gradients[i] == NULL)
            return cn_error_status();
    }
    return CN_OK;
}

cn_status cn_gradients(cn_tensor_list outputs, cn_tensor_list seeds, cn_tensor_list with_respect_to,
                       cn_gradient_rule rule, cn_tensor **gradients)
{
    for (int i = 0; i < outputs.count; i++)
        if (outputs.items[i] == NULL)
            return cn__fail_null_argument("gradients");
    for (int i = 0; i < with_respect_to.count; i++)
        if (with_respect_to.items[i] == NULL)
            return cn__fail_null_argument("gradients");
    work w = {0};
    cn_status status = differentiate(&w, outputs, seeds, with_respect_to, rule, gradients);
    cn__order_free(&w.order);
    cn__map_free(&w.depends);
    cn__map_free(&w.gradients);
    return status;
}
