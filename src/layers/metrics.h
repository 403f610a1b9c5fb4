/* Metrics: numbers about predictions that nothing is trained by. They are counted on the host, in
 * double precision. */
#ifndef CORNU_SRC_METRICS_H
#define CORNU_SRC_METRICS_H

#include "layers/layer.h"

typedef struct cn__metric cn__metric;

/* One batch. */
typedef struct cn__compared {
    cn_shape prediction_shape, target_shape; /* with the batch */
    const float *prediction;
    cn_dtype target_dtype;
    const void *target;
    const float *weights; /* one for each sample; NULL: ones */
} cn__compared;

/* "accuracy" and "crossentropy" become the kind that suits the loss and the shapes (batch first, -1
 * where unknown), as in Keras. NULL with a message if `metric` is none. */
cn__metric *cn__metric_new(const char *metric, const char *loss, const cn_shape *target,
                           const cn_shape *prediction);
void cn__metric_free(cn__metric *metric);
/* What it is called in logs: the caller's word, "auc" for "AUC(num_thresholds=50)". */
const char *cn__metric_name(const cn__metric *metric);
void cn__metric_reset(cn__metric *metric);
/* Adds a batch; fails for values that cannot be, such as a class that there is not. */
cn_status cn__metric_add(cn__metric *metric, const cn__compared *compared);
double cn__metric_result(const cn__metric *metric);
/* The numbers it keeps, for checkpoints. */
double *cn__metric_state(cn__metric *metric, int *count);

#endif
