/* Graphs: the memory that tensors and nodes live in, joining, and who holds them. */
#define _GNU_SOURCE /* locks that prefer writers */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "graph/map.h"
#include "graph/ops.h"

typedef struct adopted {
    struct adopted *next;
    void *object;
    void (*release)(void *object);
} adopted;

/* A graph lies in its own arena. After a join the graph that gave its memory away only points to
 * the other one, whose arena it now lies in. */
struct cn_graph {
    cn_graph *joined;
    cn__arena *arena;
    int references;
    adopted *first; /* the last adopted */
    cn__map variables;
    pthread_rwlock_t weights; /* who reads or changes the variables' values */
};

static _Atomic uint64_t node_numbers;

cn_graph *cn__graph_new(void)
{
    cn__arena *arena = cn__arena_new();
    if (arena == NULL)
        return NULL;
    cn_graph *graph = cn__arena_alloc(arena, sizeof *graph);
    if (graph == NULL) {
        cn__arena_free(arena);
        return NULL;
    }
    graph->arena = arena;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
    /* training goes on while many predict */
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&graph->weights, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return graph;
}

static cn_graph *root(cn_graph *graph)
{
    while (graph->joined != NULL)
        graph = graph->joined;
    return graph;
}

cn_graph *cn__graph_of(const cn_tensor *tensor)
{
    return root(tensor->graph);
}

static void adopt_all(cn_graph *into, cn_graph *from)
{
    adopted **last = &from->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = into->first;
    into->first = from->first;
}

void cn__graph_join(cn_graph *a, cn_graph *b)
{
    a = root(a);
    b = root(b);
    if (a == b)
        return;
    adopt_all(a, b);
    a->references += b->references;
    /* Variables of both keep their two tensors: only new look-ups see the first graph's. */
    cn__map_free(&b->variables);
    pthread_rwlock_destroy(&b->weights);
    cn__arena *arena = b->arena;
    b->joined = a;
    cn__arena_absorb(a->arena, arena);
}

static void destroy(cn_graph *graph)
{
    for (adopted *each = graph->first; each != NULL; each = each->next)
        each->release(each->object);
    cn__map_free(&graph->variables);
    pthread_rwlock_destroy(&graph->weights);
    cn__arena_free(graph->arena);
}

void cn__graph_retain(cn_graph *graph)
{
    __atomic_add_fetch(&root(graph)->references, 1, __ATOMIC_RELAXED);
}

void cn__graph_release(cn_graph *graph)
{
    if (graph == NULL)
        return;
    graph = root(graph);
    if (__atomic_sub_fetch(&graph->references, 1, __ATOMIC_ACQ_REL) == 0)
        destroy(graph);
}

void cn__graph_let_go(cn_graph *graph)
{
    root(graph)->references--;
}

void cn__graph_discard(cn_graph *graph)
{
    if (graph != NULL && root(graph)->references == 0)
        destroy(root(graph));
}

void cn__graph_lock_weights(cn_graph *graph, bool to_change)
{
    graph = root(graph);
    (void)(to_change ? pthread_rwlock_wrlock(&graph->weights)
                     : pthread_rwlock_rdlock(&graph->weights));
}

void cn__graph_unlock_weights(cn_graph *graph)
{
    (void)pthread_rwlock_unlock(&root(graph)->weights);
}

cn__arena *cn__graph_arena(cn_graph *graph)
{
    return root(graph)->arena;
}

cn_status cn__graph_adopt(cn_graph *graph, void *object, void (*release)(void *object))
{
    graph = root(graph);
    adopted *entry = cn__arena_alloc(graph->arena, sizeof *entry);
    if (entry == NULL) {
        release(object);
        return cn_error_status();
    }
    *entry = (adopted){graph->first, object, release};
    graph->first = entry;
    return CN_OK;
}

/* ---- variables ---- */

cn__variable *cn__variable_new(cn_array *value)
{
    if (value == NULL)
        return NULL;
    cn__variable *variable = cn__calloc(1, sizeof *variable);
    if (variable == NULL) {
        cn_array_free(value);
        return NULL;
    }
    variable->value = value;
    variable->version = 1;
    variable->references = 1;
    return variable;
}

cn__variable *cn__variable_retain(cn__variable *variable)
{
    __atomic_add_fetch(&variable->references, 1, __ATOMIC_RELAXED);
    return variable;
}

void cn__variable_release(cn__variable *variable)
{
    if (variable == NULL || __atomic_sub_fetch(&variable->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cn_array_free(variable->value);
    cn__free(variable);
}

void cn__variable_changed(cn__variable *variable)
{
    variable->version++;
}

static void release_variable(void *variable)
{
    cn__variable_release(variable);
}

cn_tensor *cn__variable_in(cn_graph *graph, cn__variable *variable, const char *name)
{
    if (graph == NULL || variable == NULL)
        return cn__fail_null_argument("variable"), NULL;
    graph = root(graph);
    cn_tensor *tensor = cn__map_get(&graph->variables, variable);
    if (tensor != NULL)
        return tensor;
    cn__leaf leaf = {.shape = *cn_array_shape(variable->value),
                     .dtype = cn_array_dtype(variable->value),
                     .variable = variable};
    if (cn__graph_adopt(graph, cn__variable_retain(variable), release_variable) != CN_OK)
        return NULL;
    tensor = cn__leaf_new(graph, &cn__variable_op, &leaf);
    if (tensor == NULL || cn__map_set(&graph->variables, variable, tensor) != CN_OK)
        return NULL;
    return cn__tensor_named(tensor, name);
}

cn_tensor *cn__variable_tensor(cn_tensor *beside, cn__variable *variable, const char *name)
{
    return beside == NULL ? NULL : cn__variable_in(beside->graph, variable, name);
}

cn__variable *cn__tensor_variable(const cn_tensor *tensor)
{
    return tensor->node->op == &cn__variable_op ? cn__leaf_of(tensor)->variable : NULL;
}

bool cn__tensor_is_input(const cn_tensor *tensor)
{
    return tensor->node->op == &cn__input_op;
}

/* ---- nodes ---- */

static cn__node *allocate_node(cn_graph *graph, const cn__op *op, const void *attributes,
                               int inputs)
{
    cn__arena *arena = graph->arena;
    cn__node *node = cn__arena_alloc(arena, sizeof *node);
    cn_tensor **pointers =
        cn__arena_alloc(arena, (size_t)(inputs + op->outputs) * sizeof(cn_tensor *));
    cn_tensor *tensors = cn__arena_alloc(arena, (size_t)op->outputs * sizeof *tensors);
    void *copy = cn__arena_copy(arena, attributes, op->attribute_bytes);
    if (node == NULL || pointers == NULL || tensors == NULL || copy == NULL)
        return NULL;
    *node = (cn__node){.op = op,
                       .number = atomic_fetch_add(&node_numbers, 1),
                       .inputs = inputs,
                       .outputs = op->outputs,
                       .in = pointers,
                       .out = pointers + inputs,
                       .attributes = copy};
    for (int i = 0; i < op->outputs; i++) {
        node->out[i] = &tensors[i];
        tensors[i] = (cn_tensor){.graph = graph, .node = node, .index = i, .name = op->name};
    }
    return node;
}

cn_tensor *cn__leaf_new(cn_graph *graph, const cn__op *op, const void *attributes)
{
    graph = root(graph);
    cn__node *node = allocate_node(graph, op, attributes, 0);
    if (node == NULL)
        return NULL;
    const cn__leaf *leaf = attributes;
    node->out[0]->shape = leaf->shape;
    node->out[0]->dtype = leaf->dtype;
    return node->out[0];
}

static cn_status check_inputs(const cn__op *op, const void *attributes, int inputs,
                              cn_tensor *const *in)
{
    if (attributes == NULL && op->attribute_bytes > 0)
        return cn__fail_null_argument(op->name);
    if (inputs < 1 || inputs > cn__most_inputs)
        return cn__fail(CN_ERROR_ARGUMENT, "%s: takes 1 to %d inputs, not %d", op->name,
                        cn__most_inputs, inputs);
    for (int i = 0; i < inputs; i++) {
        if (in[i] == NULL)
            return cn__fail_null_argument(op->name);
        if (in[i]->dtype != CN_FLOAT32 && !((op->shape_only | op->any_type) >> i & 1))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "%s: the input '%s' holds int32 numbers, but float32 is needed",
                            op->name, in[i]->name);
    }
    return CN_OK;
}

cn_tensor *cn__node_new(const cn__op *op, const void *attributes, int inputs, cn_tensor *const *in)
{
    if (check_inputs(op, attributes, inputs, in) != CN_OK)
        return NULL;
    cn__node *node = allocate_node(cn__graph_of(in[0]), op, attributes, inputs);
    if (node == NULL)
        return NULL;
    memcpy(node->in, in, (size_t)inputs * sizeof *in);
    if (op->shape(attributes, inputs, in, node->out) != CN_OK)
        return NULL;
    for (int i = 1; i < inputs; i++)
        cn__graph_join(in[0]->graph, in[i]->graph);
    return node->out[0];
}

/* ---- tensors ---- */

const cn_shape *cn_tensor_shape(const cn_tensor *tensor)
{
    return tensor != NULL ? &tensor->shape : NULL;
}

cn_dtype cn_tensor_dtype(const cn_tensor *tensor)
{
    return tensor != NULL ? tensor->dtype : CN_FLOAT32;
}

const char *cn_tensor_name(const cn_tensor *tensor)
{
    return tensor != NULL ? tensor->name : "";
}

bool cn__same_known_shape(const cn_tensor *x, const cn_tensor *like)
{
    return x != NULL && like != NULL && cn_shape_count(&x->shape) >= 0 &&
           cn_shape_equal(&x->shape, &like->shape);
}

cn_tensor *cn__tensor_named(cn_tensor *tensor, const char *name)
{
    if (tensor == NULL || name == NULL)
        return tensor;
    tensor->name = cn__arena_strdup(cn__graph_arena(tensor->graph), name);
    return tensor->name != NULL ? tensor : NULL;
}

void cn_tensor_release(cn_tensor *tensor)
{
    if (tensor != NULL)
        cn__graph_discard(tensor->graph);
}
