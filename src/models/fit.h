/* Training's loop, shared by fit.c and evaluate.c. */
#ifndef CORNU_SRC_FIT_H
#define CORNU_SRC_FIT_H

#include "data/data.h"
#include "models/history.h"

/* What a model's last training left, and where the one in progress stands. */
typedef struct cn__fitting {
    cn_history *history;
    int64_t epoch, batch;       /* to begin with, when it is resumed */
    bool in_progress;           /* `callbacks` are alive */
    const cn_logs *ended;       /* of the epoch that callbacks are told the end of; else NULL */
    cn_callback_list callbacks; /* of the training in progress */
    cn__records resumed;        /* by the next training; none if it begins anew */
} cn__fitting;
void cn__fitting_free(cn__fitting *fitting);

/* A batch of a data set as a step takes it, without weights. */
void cn__fed_from_batch(const cn_dataset *data, const cn__batch *batch, cn__fed *fed);
/* The same for arrays. */
cn_status cn__fed_from_arrays(cn_array_list x, cn_array_list y, cn__fed *fed);
/* Sums losses and metrics up over an epoch of the loader. */
cn_status cn__evaluate_loader(cn_model *model, const cn_dataset *data, cn__loader *loader,
                              cn_pool *pool);
/* 32 if it is 0. */
cn_status cn__batch_size(const cn_model *model, int64_t given, int64_t *size);

#endif
