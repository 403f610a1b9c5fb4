#include <stdlib.h>

#include "graph/map.h"
#include "graph/order.h"

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(cn__node *const *)a)->number, y = (*(cn__node *const *)b)->number;
    return x < y ? -1 : x > y;
}

static cn_status visit(cn__order *order, cn__map *seen, const cn_tensor *tensor)
{
    if (cn__map_get(seen, tensor) != NULL || cn__map_get(seen, tensor->node) != NULL)
        return CN_OK;
    CN__TRY(cn__map_set(seen, tensor->node, tensor->node));
    CN__TRY(cn__grow(&order->nodes, &order->capacity, order->count, order->count + 1,
                     sizeof(cn__node *)));
    order->nodes[order->count++] = tensor->node;
    return CN_OK;
}

static cn_status visit_inputs(cn__order *order, cn__map *seen, const cn__node *node, bool values)
{
    for (int i = 0; i < node->inputs; i++)
        if (!values || !cn__lends_shape(node, i))
            CN__TRY(visit(order, seen, node->in[i]));
    return CN_OK;
}

/* The list is its own queue: what a node depends on is put behind it; numbers put it in order. */
cn_status cn__order_find(cn__order *order, cn_tensor_list outputs, cn_tensor_list inputs,
                         bool values)
{
    cn__map seen = {0};
    cn_status status = CN_OK;
    for (int i = 0; i < inputs.count && status == CN_OK; i++)
        status = cn__map_set(&seen, inputs.items[i], inputs.items[i]);
    for (int i = 0; i < outputs.count && status == CN_OK; i++)
        status = visit(order, &seen, outputs.items[i]);
    for (size_t n = 0; n < order->count && status == CN_OK; n++)
        status = visit_inputs(order, &seen, order->nodes[n], values);
    cn__map_free(&seen);
    if (order->count > 0)
        qsort(order->nodes, order->count, sizeof(cn__node *), by_number);
    return status;
}

void cn__order_free(cn__order *order)
{
    cn__free(order->nodes);
    *order = (cn__order){0};
}
