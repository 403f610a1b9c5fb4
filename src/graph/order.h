/* The nodes that tensors depend on, in an order in which they can be computed. */
#ifndef CORNU_SRC_GRAPH_ORDER_H
#define CORNU_SRC_GRAPH_ORDER_H

#include "graph/graph.h"

typedef struct cn__order {
    cn__node **nodes;
    size_t count, capacity;
} cn__order;

/* Finds every node that the outputs depend on, not looking behind the tensors `inputs`. With
 * `values` only nodes whose values are needed, not those that just lend their shape. */
cn_status cn__order_find(cn__order *order, cn_tensor_list outputs, cn_tensor_list inputs,
                         bool values);
void cn__order_free(cn__order *order);

#endif
