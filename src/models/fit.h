/* Training's loop, shared by fit.c, evaluate.c and resume.c. */
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
/* The model's, made if there is none; NULL if memory is short. */
cn__fitting *cn__fitting_of(cn_model *model);
/* A whole number of the records, 0 if it is not there or none that can be. */
int64_t cn__records_whole(const cn__records *records, const char *name);

/* A batch of a data set as a step takes it, without weights. */
void cn__fed_from_batch(const cn_dataset *data, const cn__batch *batch, cn__fed *fed);
/* The same for arrays. */
cn_status cn__fed_from_arrays(cn_array_list x, cn_array_list y, cn__fed *fed);
/* Sums losses and metrics up over an epoch of the loader. */
cn_status cn__evaluate_loader(cn_model *model, const cn_dataset *data, cn__loader *loader,
                              cn_pool *pool);
/* If it is 0, the batch that the model's input is fixed to, else 32. */
cn_status cn__batch_size(const cn_model *model, int64_t given, int64_t *size);
/* Fails for a data set without samples, of which nothing could be learnt or said. */
cn_status cn__need_samples(const cn_model *model, const cn_dataset *data);
/* Fails while cn_fit() trains the model: its callbacks may evaluate it, but not begin anew. */
cn_status cn__need_idle(const cn_model *model);

/* The sums of the epoch in progress, as records; none outside of cn_fit(). */
cn_status cn__sums_keep(const cn_model *model, cn__records *records);
/* Gives them back. False if they are not all there. */
bool cn__sums_restore(cn__compiled *compiled, const cn__records *records);

#endif
