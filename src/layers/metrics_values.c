/* Metrics that are means: the value of one part of a batch. The formulas of losses are those of
 * losses.c and losses_entropy.c. */
#include <math.h>

#include "layers/metrics_types.h"

static const double epsilon = CN__METRIC_EPSILON;
/* 1 - epsilon as float32 has it: what remains up to 1 differs by a fifth. */
static const double below_one = 1 - 0x1p-23;

static double p_at(const cn__metric_values *v, int64_t i)
{
    return (double)v->batch->prediction[v->prediction + i];
}

static double y_at(const cn__metric_values *v, int64_t i)
{
    return cn__target_at(v->batch, v->target + i);
}

static double clip(double x, double low, double high)
{
    return fmin(fmax(x, low), high);
}

int64_t cn__largest_prediction(const cn__compared *batch, int64_t begin, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (batch->prediction[begin + i] > batch->prediction[begin + best])
            best = i;
    return best;
}

int64_t cn__largest_target(const cn__compared *batch, int64_t begin, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (cn__target_at(batch, begin + i) > cn__target_at(batch, begin + best))
            best = i;
    return best;
}

/* The mean of term(v, y, p) over the part. */
static double mean_of(const cn__metric_values *v,
                      double (*term)(const cn__metric_values *v, double y, double p))
{
    double sum = 0;
    for (int64_t i = 0; i < v->count; i++)
        sum += term(v, y_at(v, i), p_at(v, i));
    return sum / (double)v->count;
}

/* ---- accuracies ---- */

static double equal(const cn__metric_values *v, double y, double p)
{
    (void)v;
    return y == p;
}

/* arguments: threshold */
static double same_side(const cn__metric_values *v, double y, double p)
{
    return y == (p > v->arguments[0]);
}

double cn__value_equal(const cn__metric_values *v)
{
    return mean_of(v, equal);
}

double cn__value_binary_accuracy(const cn__metric_values *v)
{
    return mean_of(v, same_side);
}

double cn__value_categorical_accuracy(const cn__metric_values *v)
{
    return cn__largest_prediction(v->batch, v->prediction, v->count) ==
           cn__largest_target(v->batch, v->target, v->count);
}

double cn__value_sparse_categorical_accuracy(const cn__metric_values *v)
{
    return (double)cn__largest_prediction(v->batch, v->prediction, v->count) == y_at(v, 0);
}

/* arguments: k. Less than k classes have a higher prediction. */
static double is_in_top(const cn__metric_values *v, int64_t right)
{
    int64_t higher = 0;
    double p = p_at(v, right);
    for (int64_t i = 0; i < v->count; i++)
        higher += p_at(v, i) > p;
    return isfinite(p) && (double)higher < v->arguments[0];
}

double cn__value_top_k(const cn__metric_values *v)
{
    return is_in_top(v, cn__largest_target(v->batch, v->target, v->count));
}

double cn__value_sparse_top_k(const cn__metric_values *v)
{
    return is_in_top(v, (int64_t)y_at(v, 0));
}

/* ---- distances ---- */

static double square(const cn__metric_values *v, double y, double p)
{
    (void)v;
    return (y - p) * (y - p);
}

static double absolute(const cn__metric_values *v, double y, double p)
{
    (void)v;
    return fabs(y - p);
}

static double percentage(const cn__metric_values *v, double y, double p)
{
    (void)v;
    return 100 * fabs(y - p) / fmax(fabs(y), epsilon);
}

static double logarithmic(const cn__metric_values *v, double y, double p)
{
    double d = log1p(fmax(y, epsilon)) - log1p(fmax(p, epsilon));
    (void)v;
    return d * d;
}

/* arguments: delta */
static double huber(const cn__metric_values *v, double y, double p)
{
    double delta = v->arguments[0], d = fabs(y - p);
    return d <= delta ? d * d / 2 : delta * (d - delta / 2);
}

static double log_cosh(const cn__metric_values *v, double y, double p)
{
    double d = fabs(y - p);
    (void)v;
    return d + log1p(exp(-2 * d)) - log(2);
}

double cn__value_squared_error(const cn__metric_values *v)
{
    return mean_of(v, square);
}

double cn__value_absolute_error(const cn__metric_values *v)
{
    return mean_of(v, absolute);
}

double cn__value_percentage_error(const cn__metric_values *v)
{
    return mean_of(v, percentage);
}

double cn__value_logarithmic_error(const cn__metric_values *v)
{
    return mean_of(v, logarithmic);
}

double cn__value_huber(const cn__metric_values *v)
{
    return mean_of(v, huber);
}

double cn__value_log_cosh(const cn__metric_values *v)
{
    return mean_of(v, log_cosh);
}

/* arguments: max_val. Decibels between the largest value and the root mean square error. */
double cn__value_psnr(const cn__metric_values *v)
{
    return 20 * log10(v->arguments[0]) - 10 * log10(mean_of(v, square));
}

/* ---- margins ---- */

static double margin(const cn__metric_values *v, double y, double p)
{
    return fmax(1 - (v->targets_are_signs ? y : 2 * y - 1) * p, 0);
}

static double squared_margin(const cn__metric_values *v, double y, double p)
{
    return margin(v, y, p) * margin(v, y, p);
}

double cn__value_hinge(const cn__metric_values *v)
{
    return mean_of(v, margin);
}

double cn__value_squared_hinge(const cn__metric_values *v)
{
    return mean_of(v, squared_margin);
}

double cn__value_categorical_hinge(const cn__metric_values *v)
{
    double right = 0, wrong = -(double)INFINITY;
    for (int64_t i = 0; i < v->count; i++) {
        right += y_at(v, i) * p_at(v, i);
        wrong = fmax(wrong, (1 - y_at(v, i)) * p_at(v, i));
    }
    return fmax(wrong - right + 1, 0);
}

/* ---- distributions ---- */

static double divergence(const cn__metric_values *v, double y, double p)
{
    double from = clip(y, epsilon, 1);
    (void)v;
    return from * log(from / clip(p, epsilon, 1));
}

static double poisson(const cn__metric_values *v, double y, double p)
{
    (void)v;
    return p - y * log(p + epsilon);
}

double cn__value_kl_divergence(const cn__metric_values *v)
{
    return mean_of(v, divergence) * (double)v->count;
}

double cn__value_poisson(const cn__metric_values *v)
{
    return mean_of(v, poisson);
}

/* Not the loss, but what Keras' metric of that name is: larger is closer. */
double cn__value_cosine_similarity(const cn__metric_values *v)
{
    double yy = 0, pp = 0, yp = 0;
    for (int64_t i = 0; i < v->count; i++) {
        yy += y_at(v, i) * y_at(v, i);
        pp += p_at(v, i) * p_at(v, i);
        yp += y_at(v, i) * p_at(v, i);
    }
    return yp / (fmax(sqrt(yy), epsilon) * fmax(sqrt(pp), epsilon));
}

/* ---- overlaps ---- */

double cn__value_dice(const cn__metric_values *v)
{
    double both = 0, total = 0;
    for (int64_t i = 0; i < v->count; i++) {
        both += y_at(v, i) * p_at(v, i);
        total += y_at(v, i) + p_at(v, i);
    }
    return 1 - 2 * both / (total + epsilon);
}

/* arguments: alpha, beta */
double cn__value_tversky(const cn__metric_values *v)
{
    double both = 0, missed = 0, wrong = 0;
    for (int64_t i = 0; i < v->count; i++) {
        both += y_at(v, i) * p_at(v, i);
        missed += y_at(v, i) * (1 - p_at(v, i));
        wrong += (1 - y_at(v, i)) * p_at(v, i);
    }
    return 1 - both / (both + v->arguments[0] * missed + v->arguments[1] * wrong + epsilon);
}

/* ---- cross-entropies; arguments: from_logits, label_smoothing, gamma, alpha,
 * apply_class_balancing ---- */

/* What a row is divided by: the sum, or the logarithm of the sum of the exponentials. */
static double divisor(const cn__metric_values *v)
{
    double sum = 0, largest = p_at(v, cn__largest_prediction(v->batch, v->prediction, v->count));
    for (int64_t i = 0; i < v->count; i++)
        sum += v->arguments[cn__from_logits] != 0 ? exp(p_at(v, i) - largest) : p_at(v, i);
    return v->arguments[cn__from_logits] != 0 ? largest + log(sum) : sum;
}

static double log_of_share(const cn__metric_values *v, int64_t i, double by)
{
    if (v->arguments[cn__from_logits] != 0)
        return p_at(v, i) - by;
    return log(clip(p_at(v, i) / by, epsilon, below_one));
}

/* y (1 - a) + a / of */
static double smoothed(const cn__metric_values *v, double y, double of)
{
    double a = v->arguments[cn__label_smoothing];
    return y * (1 - a) + a / of;
}

double cn__value_categorical_crossentropy(const cn__metric_values *v)
{
    double sum = 0, by = divisor(v);
    for (int64_t i = 0; i < v->count; i++)
        sum -= smoothed(v, y_at(v, i), (double)v->count) * log_of_share(v, i, by);
    return sum;
}

double cn__value_sparse_categorical_crossentropy(const cn__metric_values *v)
{
    return -log_of_share(v, (int64_t)y_at(v, 0), divisor(v));
}

double cn__value_categorical_focal(const cn__metric_values *v)
{
    double sum = 0, by = divisor(v);
    for (int64_t i = 0; i < v->count; i++) {
        double log_p = log_of_share(v, i, by);
        double weight = v->arguments[cn__alpha] * pow(1 - exp(log_p), v->arguments[cn__gamma]);
        sum -= weight * smoothed(v, y_at(v, i), (double)v->count) * log_p;
    }
    return sum;
}

static double binary_entropy(const cn__metric_values *v, double target, double p)
{
    double y = smoothed(v, target, 2);
    if (v->arguments[cn__from_logits] != 0)
        return fmax(p, 0) + log1p(exp(-fabs(p))) - p * y;
    p = clip(p, epsilon, below_one);
    return -(y * log(p) + (1 - y) * log1p(-p));
}

static double binary_focal(const cn__metric_values *v, double target, double p)
{
    double y = smoothed(v, target, 2), a = v->arguments[cn__alpha];
    double share = v->arguments[cn__from_logits] != 0 ? 1 / (1 + exp(-p)) : p;
    double missing = y * (1 - share) + (1 - y) * share;
    double weight = v->arguments[cn__apply_class_balancing] != 0 ? y * a + (1 - y) * (1 - a) : 1;
    return weight * pow(missing, v->arguments[cn__gamma]) * binary_entropy(v, target, p);
}

double cn__value_binary_crossentropy(const cn__metric_values *v)
{
    return mean_of(v, binary_entropy);
}

double cn__value_binary_focal(const cn__metric_values *v)
{
    return mean_of(v, binary_focal);
}
