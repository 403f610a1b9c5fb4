/* Floor 5, for the library's own use: what a compiled model is, and what a checkpoint keeps. */
#ifndef CORNU_SRC_TRAINING_H
#define CORNU_SRC_TRAINING_H

#include "cornu/training.h"
#include "layers/metrics.h"
#include "layers/optimizers.h"
#include "models/model.h"

/* What a training step computes, in the model's graph. "Outputs" are those that have a loss. */
typedef struct cn__training_graph {
    int inputs, outputs, trained, updates;
    cn_tensor **input;       /* the model's */
    cn_tensor **target;      /* of each output */
    cn_tensor **weight;      /* (batch), of each output */
    cn_tensor **prediction;  /* of each output */
    cn_tensor **output_loss; /* of shape (), of each output, without its loss weight */
    cn_tensor *loss;         /* of shape (): the whole */
    cn_tensor **variable;    /* what is trained */
    cn_tensor **gradient;    /* of the loss */
    cn__update *update;      /* moving averages */
} cn__training_graph;

/* A metric of one of the outputs. */
typedef struct cn__watched {
    int output; /* in the training graph */
    bool weighted;
    cn__metric *metric;
} cn__watched;

/* How a model is trained: what cn_model_compile was told, and what follows from it. */
typedef struct cn__compiled {
    cn__arena *arena;
    const char **losses;  /* one for each output of the model; NULL: it is not trained */
    double *loss_weights; /* one for each output of the model */
    struct cn__metric_list {
        int count;
        const char **texts; /* as given */
    } metrics, weighted_metrics;
    cn__optimizer *optimizer;
    int layer_count; /* all layers, and whether they were trainable */
    struct cn__flag {
        cn_layer *layer;
        bool trainable;
    } * layers;
    int weight_count; /* what is trained, in the order of the layers, each variable once */
    cn__trained *weights;
    cn__training_graph graph;
    int watched_count;
    cn__watched *watched;
    int log_count;          /* loss, the outputs' losses, metrics */
    const char **log_names; /* then the same again with "val_" */
    double *logs;           /* the same; then those of evaluations and single steps */
    cn_gradient_hook hook;
    void *hook_context;
    struct cn__trainer *trainer; /* programs and buffers (trainer.c) */
} cn__compiled;

/* NULL if the model is not compiled. */
const cn__compiled *cn__model_compiled(const cn_model *model);
/* The same for the others here; fails if the model is not compiled. */
cn_status cn__model_need_compiled(const cn_model *model, cn__compiled **compiled);
void cn__compiled_free(cn__compiled *compiled);
/* The loss of an output of the training graph, as it was written. */
const char *cn__compiled_loss(const cn__compiled *compiled, int output);

/* Fills in compiled->graph from losses and weights (training_graph.c). */
cn_status cn__training_graph_build(const cn_model *model, cn__compiled *compiled);

/* Walks all layers, those of nested models included; `trainable` tells whether the layer and those
 * that it is in are. */
typedef cn_status (*cn__layer_visitor)(cn_layer *layer, bool trainable, void *context);
cn_status cn__visit_layers(const cn_model *model, cn__layer_visitor visit, void *context);

/* ---- steps (trainer.c) ---- */

/* A batch: first the inputs' values, then those that outputs are compared with. */
typedef struct cn__fed {
    int64_t count; /* samples */
    int fields;
    cn_dtype dtypes[CN_MOST_FIELDS];
    cn_shape shapes[CN_MOST_FIELDS]; /* of one sample */
    const void *values[CN_MOST_FIELDS];
    const float *weights[CN_MOST_LOSSES]; /* of samples, for each trained output; NULL: ones */
} cn__fed;

/* Computes losses and metrics and adds them to the sums; in training also changes the weights.
 * Allocates nothing if it has seen these shapes lately. */
cn_status cn__trainer_step(cn_model *model, const cn__fed *fed, bool training, cn_pool *pool);
/* What a step of training was computed from. */
typedef struct cn__examined {
    const cn__compiled *compiled;
    cn_tensor_list inputs; /* the model's, targets, sample weights */
    const cn_shape *shapes;
    const void *const *values;
    uint64_t run; /* the number of the program's run */
} cn__examined;
typedef cn_status (*cn__examiner)(const cn__examined *examined, void *context);
/* Computes the gradients of a batch, which are then in the optimizer's memory, and lets `look` look
 * at them instead of changing weights. */
cn_status cn__trainer_examine(cn_model *model, const cn__fed *fed, cn__examiner look, void *context,
                              cn_pool *pool);
/* Sets the sums to 0; writes the means so far to compiled->logs. */
void cn__trainer_reset(cn__compiled *compiled);
void cn__trainer_means(const cn__compiled *compiled, double *logs);
/* The sums, for checkpoints: samples, then the losses'. */
double *cn__trainer_sums(cn__compiled *compiled, int *count);
void cn__trainer_free(struct cn__trainer *trainer);

/* ---- what a checkpoint keeps of a training besides weights and optimizer ---- */

/* Numbers with a name. */
typedef struct cn__record {
    const char *name;
    int64_t count;
    const double *values;
} cn__record;
typedef struct cn__records {
    cn__arena *arena; /* holds it all; NULL if there are none */
    int count;
    cn__record *items;
} cn__records;
/* Where the training in progress, or the last one, stands: epoch, batch, sums, history, callbacks'
 * states. None for a model that was never trained. */
cn_status cn__training_records(const cn_model *model, cn__records *records);
void cn__records_free(cn__records *records);
/* The model's next cn_fit() goes on from there. Copies them. */
cn_status cn__training_resume(cn_model *model, const cn__records *records);

#endif
