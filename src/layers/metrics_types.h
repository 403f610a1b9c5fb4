/* What the files of the metrics share. */
#ifndef CORNU_SRC_METRICS_TYPES_H
#define CORNU_SRC_METRICS_TYPES_H

#include "layers/arguments.h"
#include "layers/metrics.h"

/* Where Keras keeps logarithms and quotients off 0. */
#define CN__METRIC_EPSILON 1e-7

typedef struct cn__metric_type cn__metric_type;

struct cn__metric {
    const cn__metric_type *type;
    cn__arena *arena; /* holds the metric, its name and its state */
    const char *name;
    double arguments[cn__most_arguments]; /* as the type has them */
    int64_t width; /* the prediction's last extent, 1 if there is only the batch, -1 if not known */
    int64_t classes; /* of intersections over unions */
    int state_count;
    double *state;
    double *scratch; /* metrics of images: grown by the first batch */
    size_t scratch_capacity;
};

/* What one value is computed from: `count` predictions and targets that lie side by side, from
 * `prediction` and `target` on. */
typedef struct cn__metric_values {
    const cn__compared *batch;
    const double *arguments;
    int64_t prediction, target, count;
    bool targets_are_signs; /* those of the batch are not all 0 or 1 */
} cn__metric_values;

/* Number i of the target. */
static inline double cn__target_at(const cn__compared *batch, int64_t i)
{
    return batch->target_dtype == CN_INT32 ? (double)((const int32_t *)batch->target)[i]
                                           : (double)((const float *)batch->target)[i];
}

static inline double cn__weight_at(const cn__compared *batch, int64_t sample)
{
    return batch->weights ? (double)batch->weights[sample] : 1;
}

/* The extent of the last axis that is not the batch's. */
static inline int64_t cn__metric_width(const cn_shape *shape)
{
    return shape->rank > 1 ? shape->dim[shape->rank - 1] : 1;
}

/* a / b, or 0 where b is not positive. */
static inline double cn__quotient(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* The place of the first of the largest of `count` numbers from `begin` on. */
int64_t cn__largest_prediction(const cn__compared *batch, int64_t begin, int64_t count);
int64_t cn__largest_target(const cn__compared *batch, int64_t begin, int64_t count);

/* The shape of the target beside that of the prediction. */
typedef enum cn__metric_target {
    CN__TARGET_SAME = 0, /* the same */
    CN__TARGET_CLASSES,  /* the numbers of classes: it lacks the last axis */
    CN__TARGET_EITHER
} cn__metric_target;

/* What one value of a mean is made from. */
typedef enum cn__metric_part { CN__PART_ROW = 0, CN__PART_SAMPLE, CN__PART_BATCH } cn__metric_part;

struct cn__metric_type {
    const char *names; /* Keras 3's function and class, then older ones */
    cn__argument arguments[cn__most_arguments];
    cn__metric_target target;
    /* The mean of these values: of all rows (along the last axis) of a sample, then of samples by
     * their weights. NULL: the type counts by itself, with the functions below. */
    double (*value)(const cn__metric_values *v);
    cn__metric_part part;
    bool takes_signs;            /* asks for targets_are_signs */
    double (*of_mean)(double x); /* the result, from the mean; NULL: the mean */
    /* The size of the state. Fails if the shapes and arguments do not tell it. */
    cn_status (*state)(cn__metric *metric, int64_t *count);
    cn_status (*add)(cn__metric *metric, const cn__compared *batch);
    double (*result)(const cn__metric *metric);
};

/* ---- values (metrics_values.c) ---- */

double cn__value_equal(const cn__metric_values *v);
double cn__value_binary_accuracy(const cn__metric_values *v);
double cn__value_categorical_accuracy(const cn__metric_values *v);
double cn__value_sparse_categorical_accuracy(const cn__metric_values *v);
double cn__value_top_k(const cn__metric_values *v);
double cn__value_sparse_top_k(const cn__metric_values *v);
double cn__value_squared_error(const cn__metric_values *v);
double cn__value_absolute_error(const cn__metric_values *v);
double cn__value_percentage_error(const cn__metric_values *v);
double cn__value_logarithmic_error(const cn__metric_values *v);
double cn__value_huber(const cn__metric_values *v);
double cn__value_log_cosh(const cn__metric_values *v);
double cn__value_hinge(const cn__metric_values *v);
double cn__value_squared_hinge(const cn__metric_values *v);
double cn__value_categorical_hinge(const cn__metric_values *v);
double cn__value_kl_divergence(const cn__metric_values *v);
double cn__value_poisson(const cn__metric_values *v);
double cn__value_cosine_similarity(const cn__metric_values *v);
double cn__value_dice(const cn__metric_values *v);
double cn__value_tversky(const cn__metric_values *v);
double cn__value_categorical_crossentropy(const cn__metric_values *v);
double cn__value_sparse_categorical_crossentropy(const cn__metric_values *v);
double cn__value_categorical_focal(const cn__metric_values *v);
double cn__value_binary_crossentropy(const cn__metric_values *v);
double cn__value_binary_focal(const cn__metric_values *v);
double cn__value_psnr(const cn__metric_values *v);

/* ---- counts (metrics_counts.c): arguments as in the table of metrics.c ---- */

cn_status cn__confusion_state(cn__metric *metric, int64_t *count);
cn_status cn__confusion_add(cn__metric *metric, const cn__compared *batch);
double cn__precision_result(const cn__metric *metric);
double cn__recall_result(const cn__metric *metric);
cn_status cn__auc_state(cn__metric *metric, int64_t *count);
cn_status cn__auc_add(cn__metric *metric, const cn__compared *batch);
double cn__auc_result(const cn__metric *metric);
cn_status cn__f1_state(cn__metric *metric, int64_t *count);
cn_status cn__f1_add(cn__metric *metric, const cn__compared *batch);
double cn__f1_result(const cn__metric *metric);
cn_status cn__iou_state(cn__metric *metric, int64_t *count);
cn_status cn__iou_add(cn__metric *metric, const cn__compared *batch);
cn_status cn__binary_iou_state(cn__metric *metric, int64_t *count);
cn_status cn__binary_iou_add(cn__metric *metric, const cn__compared *batch);
double cn__iou_result(const cn__metric *metric);
cn_status cn__r2_state(cn__metric *metric, int64_t *count);
cn_status cn__r2_add(cn__metric *metric, const cn__compared *batch);
double cn__r2_result(const cn__metric *metric);

/* ---- images (metrics_images.c) ---- */

cn_status cn__ssim_state(cn__metric *metric, int64_t *count);
cn_status cn__ssim_add(cn__metric *metric, const cn__compared *batch);
double cn__ssim_result(const cn__metric *metric);

#endif
