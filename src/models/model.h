/* Floor 5, for the library's own use: what a model is. */
#ifndef CORNU_SRC_MODEL_H
#define CORNU_SRC_MODEL_H

#include "cornu/models.h"
#include "layers/layer.h"

#include <stdatomic.h>

/* One application of a layer, or an operation outside all layers, told without tensors: `in` and
 * `out` are numbers of the model's values. */
typedef struct cn__model_step {
    cn_layer *layer; /* NULL for an operation */
    int node;        /* among the layer's steps in this model: Keras' node index */
    int depth;       /* steps from here to the outputs, at most */
    int call;        /* the call's index in the graph */
    int inputs, outputs;
    int *in;
    int *out;
} cn__model_step;

/* A model's steps say how it is computed, so that they can be taken again on other tensors. The
 * tensors are those the model was made from; a model used as a layer in its own graph has none. */
struct cn_model {
    cn__arena *arena;
    const char *name;
    bool sequential;
    int input_count, output_count;
    cn_tensor **inputs, **outputs; /* in `graph`; NULL after it is gone */
    int *input_values, *output_values;
    int value_count;
    cn_shape *value_shapes;
    int step_count;
    cn__model_step *steps; /* in an order in which they can be computed */
    bool has_operations;   /* some steps are no layers */
    int layer_count;
    cn_layer **layers; /* in Keras' order, held */
    int weight_count;  /* of all layers, nested ones too, each weight once (weights.c) */
    struct cn__model_weight {
        cn_layer *layer;
        int index;
    } * weights;
    cn_graph *graph; /* held; NULL for a model used as a layer in its own graph */
    _Atomic(cn_function *) function;
    int added_loss_count; /* cn_model_add_loss() */
    cn_tensor **added_losses;
    struct cn__compiled *compiled; /* NULL until cn_model_compile() */
    struct cn__fitting *fitting;   /* where a training stands, its history (fit.c) */
};

/* The step that makes a value and which of its outputs it is; NULL for a value that is only an
 * input. */
const cn__model_step *cn__model_maker(const cn_model *model, int value, int *output);
/* The first step of a layer, NULL if the model has none. */
const cn__model_step *cn__model_first_step(const cn_model *model, const cn_layer *layer);

/* Fills in values, steps and layers from the model's inputs and outputs (order.c). */
cn_status cn__model_trace(cn_model *model);

/* Lists the weights of the layers. */
cn_status cn__model_list_weights(cn_model *model);

/* The types of models used as layers. */
extern const cn__layer_type cn__functional_type, cn__sequential_type;
/* The model behind a layer, NULL if it is not one. */
cn_model *cn__layer_model(const cn_layer *layer);

/* The parameters of a layer, those of a nested model included. */
int64_t cn__layer_parameters(const cn_layer *layer, bool trainable_only);

#endif
