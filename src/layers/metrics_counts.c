/* Metrics that count: precision and recall, AUC, F1, intersection over union, R2. Their formulas
 * are Keras 3's (metrics/confusion_metrics.py, f_score_metrics.py, iou_metrics.py,
 * regression_metrics.py, 3.15). */
#include <math.h>

#include "layers/metrics_types.h"

static const double epsilon = CN__METRIC_EPSILON;

/* How many of `count` things side by side belong to each sample. */
static int64_t per_sample(const cn__compared *batch, int64_t count)
{
    int64_t samples = batch->prediction_shape.dim[0];
    return samples > 0 ? count / samples : 0;
}

static cn_status known_width(const cn__metric *metric, int64_t *width)
{
    *width = metric->width;
    if (metric->width > 0)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE, "%s: the prediction's last extent must be known", metric->name);
}

/* ---- precision, recall: the state is true positives, false positives, false negatives ---- */

cn_status cn__confusion_state(cn__metric *metric, int64_t *count)
{
    (void)metric;
    *count = 3;
    return CN_OK;
}

/* arguments: the threshold */
cn_status cn__confusion_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t count = cn_shape_count(&batch->prediction_shape), each = per_sample(batch, count);
    for (int64_t i = 0; i < count; i++) {
        bool is = cn__target_at(batch, i) != 0;
        bool told = (double)batch->prediction[i] > metric->arguments[0];
        double weight = cn__weight_at(batch, i / each);
        if (is || told)
            metric->state[is && told ? 0 : told ? 1 : 2] += weight;
    }
    return CN_OK;
}

double cn__precision_result(const cn__metric *metric)
{
    return cn__quotient(metric->state[0], metric->state[0] + metric->state[1]);
}

double cn__recall_result(const cn__metric *metric)
{
    return cn__quotient(metric->state[0], metric->state[0] + metric->state[2]);
}

/* ---- AUC: the thresholds are -e, 1 / (n - 1), 2 / (n - 1), ..., 1 + e for a small e. A prediction
 * lies in bucket b if it is above thresholds 0 to b. The state is how many positive samples are in
 * each bucket, then how many negative ones. Arguments: n, the curve (0: ROC, 1: PR) ---- */

cn_status cn__auc_state(cn__metric *metric, int64_t *count)
{
    *count = 2 * (int64_t)metric->arguments[0];
    return CN_OK;
}

cn_status cn__auc_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t count = cn_shape_count(&batch->prediction_shape), each = per_sample(batch, count);
    int64_t thresholds = (int64_t)metric->arguments[0];
    for (int64_t i = 0; i < count; i++) {
        double p = fmin(fmax((double)batch->prediction[i], 0), 1);
        int64_t bucket = cn__max((int64_t)ceil(p * (double)(thresholds - 1)) - 1, 0);
        bool positive = cn__target_at(batch, i) != 0;
        metric->state[(positive ? 0 : thresholds) + bucket] += cn__weight_at(batch, i / each);
    }
    return CN_OK;
}

/* Predictions above two thresholds that follow each other: those right (tp) and wrong (fp), at the
 * lower and at the higher one; and all there are. */
typedef struct interval {
    double tp[2], fp[2];
    double positives, negatives;
} interval;

/* The trapezium under true over false positive rate. */
static double roc_area(const interval *at)
{
    double width = cn__quotient(at->fp[0] - at->fp[1], at->negatives);
    return width * cn__quotient(at->tp[0] + at->tp[1], 2 * at->positives);
}

/* The area under precision over recall, where true positives between the two thresholds are taken
 * to be linear in all positives: Davis and Goadrich, "The relationship between precision-recall and
 * ROC curves", 2006. */
static double pr_area(const interval *at)
{
    double dtp = at->tp[0] - at->tp[1], all[2] = {at->tp[0] + at->fp[0], at->tp[1] + at->fp[1]};
    double slope = cn__quotient(dtp, all[0] - all[1]);
    double intercept = at->tp[1] - slope * all[1];
    double ratio = all[0] > 0 && all[1] > 0 ? all[0] / all[1] : 1;
    return cn__quotient(slope * (dtp + intercept * log(ratio)), at->positives);
}

double cn__auc_result(const cn__metric *metric)
{
    int64_t thresholds = (int64_t)metric->arguments[0];
    const double *positive = metric->state, *negative = positive + thresholds;
    interval at = {{0}, {0}, 0, 0};
    for (int64_t i = 0; i < thresholds; i++) {
        at.positives += positive[i];
        at.negatives += negative[i];
    }
    double area = 0;
    for (int64_t i = thresholds - 1; i >= 0; i--) {
        at.tp[1] = at.tp[0];
        at.fp[1] = at.fp[0];
        at.tp[0] += positive[i];
        at.fp[0] += negative[i];
        area += metric->arguments[1] != 0 ? pr_area(&at) : roc_area(&at);
    }
    return area;
}

/* ---- F1: for each class true positives, false positives, false negatives. Arguments: average
 * (0: None, 1: micro, 2: macro, 3: weighted), threshold (NaN: the largest of a row is told) ---- */

cn_status cn__f1_state(cn__metric *metric, int64_t *count)
{
    CN__TRY(known_width(metric, count));
    *count *= 3;
    return CN_OK;
}

cn_status cn__f1_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t classes = metric->width;
    int64_t rows = cn_shape_count(&batch->prediction_shape) / classes;
    double threshold = metric->arguments[1];
    for (int64_t r = 0; r < rows; r++) {
        const float *p = batch->prediction + r * classes;
        double weight = cn__weight_at(batch, r / per_sample(batch, rows));
        float largest = p[cn__largest_prediction(batch, r * classes, classes)];
        for (int64_t c = 0; c < classes; c++) {
            double *state = metric->state + 3 * c, y = cn__target_at(batch, r * classes + c);
            bool told = isnan(threshold) ? p[c] >= largest && fabs((double)p[c]) > 1e-9
                                         : (double)p[c] > threshold;
            state[0] += told ? weight * y : 0;
            state[1] += told ? weight * (1 - y) : 0;
            state[2] += told ? 0 : weight * y;
        }
    }
    return CN_OK;
}

/* The harmonic mean of precision and recall. */
static double f1_of(const double *state)
{
    double precision = state[0] / (state[0] + state[1] + epsilon);
    double recall = state[0] / (state[0] + state[2] + epsilon);
    return 2 * precision * recall / (precision + recall + epsilon);
}

double cn__f1_result(const cn__metric *metric)
{
    enum { none, micro, macro, weighted };
    int average = (int)metric->arguments[0];
    double sum = 0, weights = 0, all[3] = {0};
    for (int64_t c = 0; c < metric->width; c++) {
        const double *state = metric->state + 3 * c;
        double weight = average == weighted ? state[0] + state[2] : 1;
        sum += weight * f1_of(state);
        weights += weight;
        for (int i = 0; i < 3; i++)
            all[i] += state[i];
    }
    return average == micro ? f1_of(all) : cn__quotient(sum, weights);
}

/* ---- intersection over union: the state counts for each true class the classes told. Arguments:
 * target_class_ids (bits; 0: all), num_classes, ignore_class, sparse_y_true, sparse_y_pred (1: the
 * numbers of classes; 0: one number for each class; -1: as the shapes are) ---- */

enum { class_ids, num_classes, ignore_class, sparse_y_true, sparse_y_pred };

cn_status cn__iou_state(cn__metric *metric, int64_t *count)
{
    metric->classes = (int64_t)metric->arguments[num_classes];
    *count = metric->classes * metric->classes;
    return CN_OK;
}

cn_status cn__binary_iou_state(cn__metric *metric, int64_t *count)
{
    metric->classes = 2;
    *count = 4;
    return CN_OK;
}

static cn_status count_pair(cn__metric *metric, double y, double p, double weight)
{
    int64_t classes = metric->classes;
    double wrong = y >= 0 && y < (double)classes && y == floor(y) ? p : y;
    if (!(wrong >= 0 && wrong < (double)classes && wrong == floor(wrong)))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: %g is no class: they are the whole numbers from 0 to %lld",
                        metric->name, wrong, (long long)classes - 1);
    metric->state[(int64_t)y * classes + (int64_t)p] += weight;
    return CN_OK;
}

cn_status cn__iou_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t told = cn_shape_count(&batch->prediction_shape);
    int64_t right = cn_shape_count(&batch->target_shape);
    int64_t p_width = 1, y_width = 1;
    double p_sparse = metric->arguments[sparse_y_pred];
    if (p_sparse == 0 || (p_sparse < 0 && told != right))
        p_width = cn__metric_width(&batch->prediction_shape);
    if (metric->arguments[sparse_y_true] == 0)
        y_width = cn__metric_width(&batch->target_shape);
    if (p_width < 1 || y_width < 1 || told / p_width != right / y_width) {
        char p[128], y[128];
        return cn__fail(CN_ERROR_SHAPE,
                        "%s: the prediction %s and the target %s do not tell classes of the same "
                        "cells; see sparse_y_true and sparse_y_pred",
                        metric->name, cn_shape_text(&batch->prediction_shape, p, sizeof p),
                        cn_shape_text(&batch->target_shape, y, sizeof y));
    }
    int64_t cells = told / p_width, each = per_sample(batch, cells);
    for (int64_t i = 0; i < cells; i++) {
        double y = y_width > 1 || metric->arguments[sparse_y_true] == 0
                       ? (double)cn__largest_target(batch, i * y_width, y_width)
                       : cn__target_at(batch, i);
        double p = p_width > 1 ? (double)cn__largest_prediction(batch, i * p_width, p_width)
                               : (double)batch->prediction[i];
        if (y != metric->arguments[ignore_class])
            CN__TRY(count_pair(metric, y, p, cn__weight_at(batch, i / each)));
    }
    return CN_OK;
}

/* arguments: target_class_ids, threshold */
cn_status cn__binary_iou_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t cells = cn_shape_count(&batch->prediction_shape), each = per_sample(batch, cells);
    for (int64_t i = 0; i < cells; i++) {
        double p = (double)batch->prediction[i] >= metric->arguments[1];
        CN__TRY(count_pair(metric, cn__target_at(batch, i), p, cn__weight_at(batch, i / each)));
    }
    return CN_OK;
}

/* The mean over the classes that are there or were told. */
double cn__iou_result(const cn__metric *metric)
{
    int64_t classes = metric->classes;
    uint32_t ids = (uint32_t)metric->arguments[class_ids];
    double sum = 0, valid = 0;
    for (int64_t c = 0; c < classes; c++) {
        double both = metric->state[c * classes + c], either = -both;
        for (int64_t i = 0; i < classes; i++)
            either += metric->state[c * classes + i] + metric->state[i * classes + c];
        if (either > 0 && (ids == 0 || (c < 32 && (ids >> c & 1)))) {
            sum += both / either;
            valid++;
        }
    }
    return cn__quotient(sum, valid);
}

/* ---- R2: for each output the sums of y, y^2 and (y - p)^2; behind them that of the weights ----
 */

cn_status cn__r2_state(cn__metric *metric, int64_t *count)
{
    CN__TRY(known_width(metric, count));
    *count = 3 * *count + 1;
    return CN_OK;
}

cn_status cn__r2_add(cn__metric *metric, const cn__compared *batch)
{
    int64_t outputs = metric->width;
    int64_t rows = cn_shape_count(&batch->prediction_shape) / outputs;
    for (int64_t r = 0; r < rows; r++) {
        double weight = cn__weight_at(batch, r / per_sample(batch, rows));
        for (int64_t c = 0; c < outputs; c++) {
            double y = cn__target_at(batch, r * outputs + c), *state = metric->state + 3 * c;
            double d = y - (double)batch->prediction[r * outputs + c];
            state[0] += weight * y;
            state[1] += weight * y * y;
            state[2] += weight * d * d;
        }
        metric->state[3 * outputs] += weight;
    }
    return CN_OK;
}

/* arguments: class_aggregation (0: None, 1: uniform_average, 2: variance_weighted_average). What is
 * not explained, from the whole variance. A constant target's score is 0, as in Keras. */
double cn__r2_result(const cn__metric *metric)
{
    double sum = 0, weights = 0, rows = metric->state[3 * metric->width];
    for (int64_t c = 0; c < metric->width; c++) {
        const double *state = metric->state + 3 * c;
        double variance = state[1] - cn__quotient(state[0] * state[0], rows);
        double weight = metric->arguments[0] == 2 ? variance : 1;
        bool varies = variance > 1e-12 * state[1]; /* else it is what rounding left */
        sum += varies ? weight * (1 - state[2] / variance) : 0;
        weights += weight;
    }
    return cn__quotient(sum, weights);
}
