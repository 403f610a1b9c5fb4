/* Floor 5, for the library's own use: what a compiled model is, and what a checkpoint keeps. */
#ifndef CORNU_SRC_TRAINING_H
#define CORNU_SRC_TRAINING_H

#include "cornu/training.h"
#include "layers/metrics.h"
#include "layers/optimizers.h"
#include "models/model.h"

/* How a model is trained: what cn_model_compile was told, and what follows from it. */
typedef struct cn__compiled {
    cn__arena *arena;
    cn__optimizer *optimizer;
    const char **losses;  /* one for each output; NULL: it is not trained */
    double *loss_weights; /* one for each output */
    int metric_count;     /* as given */
    const char **metrics;
    int weight_count; /* what is trained, in the order of the layers, each variable once */
    cn__trained *weights;
    struct cn__trainer *trainer; /* the programs and buffers (trainer.c) */
} cn__compiled;

/* NULL if the model is not compiled. */
const cn__compiled *cn__model_compiled(const cn_model *model);

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
