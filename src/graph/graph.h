/* Floor 3, for the library's own use: nodes, operations, variables, programs. */
#ifndef CORNU_SRC_GRAPH_H
#define CORNU_SRC_GRAPH_H

#include "base/base.h"
#include "cornu/graph.h"

typedef struct cn_graph cn_graph;
typedef struct cn__node cn__node;
typedef struct cn__op cn__op;

/* A weight: memory that functions read and training writes. Counted references. */
typedef struct cn__variable {
    cn_array *value;
    uint64_t version; /* changes whenever the value does, so that packed copies are renewed */
    int references;
} cn__variable;
/* Takes over `value`, also on failure. */
cn__variable *cn__variable_new(cn_array *value);
cn__variable *cn__variable_retain(cn__variable *variable);
void cn__variable_release(cn__variable *variable);
void cn__variable_changed(cn__variable *variable);

struct cn_tensor {
    cn_graph *graph;
    cn__node *node; /* that computes it */
    int index;      /* which of the node's outputs it is */
    cn_dtype dtype;
    cn_shape shape;
    const char *name;
    void *origin; /* what floor 4 knows of it: the call of the layer that made it */
};

/* One operation on tensors. Nodes are numbered in the order of making, so that every node's number
 * is higher than those of its inputs. */
struct cn__node {
    const cn__op *op;
    uint64_t number;
    int inputs, outputs;
    cn_tensor **in;
    cn_tensor **out;
    const void *attributes; /* of the size the op tells */
};

enum { cn__most_inputs = 64, cn__most_outputs = 4 };

/* One node of a program, with the shapes and memory it works on. */
typedef struct cn__step {
    const cn__node *node; /* shapes known in full */
    bool training;
    unsigned wanted;  /* bit i: somebody reads output i */
    cn__arena *arena; /* lives as long as the program */
    /* Set by prepare: */
    void *state;
    size_t scratch_bytes;
    size_t packed_bytes;          /* for information: what `state` keeps of a kernel */
    void (*release)(void *state); /* gives back what the arena does not hold; may be NULL */
    /* Set for the run: */
    uint64_t run; /* its number: random operations draw other numbers in every run */
    const void *in[cn__most_inputs];
    void *out[cn__most_outputs];
    void *scratch; /* scratch_bytes, aligned to 64 */
} cn__step;

struct cn__op {
    const char *name;
    size_t attribute_bytes;
    int outputs;
    /* Infers the outputs' shapes (and types, float32 unless set) from the inputs'; extents may be
     * -1. The messages name the operation. */
    cn_status (*shape)(const void *attributes, int inputs, cn_tensor *const *in, cn_tensor **out);
    /* Builds the inputs' gradients (NULL: none) from the outputs' (NULL where none came). NULL: not
     * differentiable. */
    cn_status (*gradient)(const cn__node *node, cn_tensor *const *out_gradient,
                          cn_gradient_rule rule, cn_tensor **in_gradient);
    /* Plans for the node's full shapes; NULL if there is nothing to plan. */
    cn_status (*prepare)(cn__step *step);
    /* Computes. Fails only for what nothing but the data tells. NULL: output 0 is always an alias.
     */
    cn_status (*run)(const cn__step *step, cn_pool *pool);
    /* For traces: tells algorithm and useful multiplications. NULL: there are none to tell of. */
    void (*tell)(const cn__step *step, cn_trace *trace);
    /* True if output 0 is input 0, unchanged in memory. NULL: never. */
    bool (*alias)(const cn__node *node);
    uint64_t shape_only; /* bit i: only the shape of input i is used */
    uint64_t any_type;   /* bit i: input i need not hold float32 numbers */
    bool in_place;       /* output 0 may lie where input 0 lay, if it has its size */
};

/* True if the value of the node's input i is not needed. */
static inline bool cn__lends_shape(const cn__node *node, int i)
{
    return node->op->shape_only >> i & 1;
}

/* A node with its output tensors in the graph of its inputs (which are joined). Copies
 * `attributes`. Returns the node's first output; NULL if an input is NULL or the shapes do not fit.
 */
cn_tensor *cn__node_new(const cn__op *op, const void *attributes, int inputs, cn_tensor *const *in);
/* The same for a node without inputs. */
cn_tensor *cn__leaf_new(cn_graph *graph, const cn__op *op, const void *attributes);

cn_tensor *cn__input_in(cn_graph *graph, cn_dtype dtype, const cn_shape *shape, const char *name);
/* The tensor of a variable in a graph: one for each variable. */
cn_tensor *cn__variable_in(cn_graph *graph, cn__variable *variable, const char *name);
/* The same, in the graph of `beside`. */
cn_tensor *cn__variable_tensor(cn_tensor *beside, cn__variable *variable, const char *name);
/* Gives a new tensor a copy of `name`, unless that is NULL. Returns the tensor. */
cn_tensor *cn__tensor_named(cn_tensor *tensor, const char *name);
/* The variable behind a tensor, NULL if it is not one. */
cn__variable *cn__tensor_variable(const cn_tensor *tensor);
bool cn__tensor_is_input(const cn_tensor *tensor);

/* ---- the graph (graph.c) ---- */

/* A graph that nobody holds yet. */
cn_graph *cn__graph_new(void);
/* The graph a tensor is in, after all joins. */
cn_graph *cn__graph_of(const cn_tensor *tensor);
/* Makes one graph of two. */
void cn__graph_join(cn_graph *a, cn_graph *b);
/* A graph is freed when the last holder lets go. */
void cn__graph_retain(cn_graph *graph);
void cn__graph_release(cn_graph *graph);
/* Lets go of the graph without freeing it: it is as before it was held. */
void cn__graph_let_go(cn_graph *graph);
/* Frees the graph if nobody holds it. */
void cn__graph_discard(cn_graph *graph);
/* Functions that run hold the lock to read weights; training holds it while it changes them. */
void cn__graph_lock_weights(cn_graph *graph, bool to_change);
void cn__graph_unlock_weights(cn_graph *graph);
/* Memory that lives as long as the graph. */
cn__arena *cn__graph_arena(cn_graph *graph);
/* Calls release(object) when the graph is freed. On failure the object is released at once. */
cn_status cn__graph_adopt(cn_graph *graph, void *object, void (*release)(void *object));

/* ---- operations with shapes taken from another tensor; for gradients ---- */

/* True if both shapes are known in full and equal: then none of these operations is needed. Where
 * extents are unknown, programs drop the operations that prove needless. */
bool cn__same_known_shape(const cn_tensor *x, const cn_tensor *like);
/* Reshapes x to the shape of `like`. */
cn_tensor *cn__op_reshape_like(cn_tensor *x, cn_tensor *like);
/* Sums x over the axes along which `like` was broadcast to it. */
cn_tensor *cn__op_reduce_like(cn_tensor *x, cn_tensor *like);
/* Repeats x along the axes where it has extent 1 and `like` has not. */
cn_tensor *cn__op_broadcast_like(cn_tensor *x, cn_tensor *like);
cn_tensor *cn__op_zeros_like(cn_tensor *like);
cn_tensor *cn__op_ones_like(cn_tensor *like);

#endif
