/* Softmax and batch normalisation in double. */
#include "graph/evaluate_node.h"

#include <math.h>

/* ---- softmax: along an axis of n elements that are `stride` apart ---- */

typedef struct line {
    int64_t n, stride;
} line;

static line line_along(const cn_shape *shape, int axis)
{
    line l = {shape->dim[axis], 1};
    for (int i = axis + 1; i < shape->rank; i++)
        l.stride *= shape->dim[i];
    return l;
}

/* The number of the first element of the line that element i is in. */
static int64_t first_of_line(line l, int64_t i)
{
    return i / (l.n * l.stride) * (l.n * l.stride) + i % l.stride;
}

cn_status cn__evaluate_softmax(const cn__evaluated *e)
{
    const cn__softmax_attributes *a = e->node->attributes;
    line l = line_along(&e->node->in[0]->shape, a->axis);
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        const double *x = e->in[0] + first_of_line(l, i);
        double most = -HUGE_VAL, sum = 0;
        for (int64_t k = 0; k < l.n; k++)
            most = fmax(most, x[k * l.stride]);
        for (int64_t k = 0; k < l.n; k++)
            sum += exp(x[k * l.stride] - most);
        double y = e->in[0][i] - most;
        e->out[0][i] = a->logarithm ? y - log(sum) : exp(y) / sum;
    }
    return CN_OK;
}

/* (dy, y): dx = y (dy - sum of y dy); for the logarithm dx = dy - exp(y) sum of dy. */
cn_status cn__evaluate_softmax_gradient(const cn__evaluated *e)
{
    const cn__softmax_attributes *a = e->node->attributes;
    line l = line_along(&e->node->in[0]->shape, a->axis);
    const double *dy = e->in[0], *y = e->in[1];
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        int64_t first = first_of_line(l, i);
        double sum = 0;
        for (int64_t k = 0; k < l.n; k++) {
            int64_t other = first + k * l.stride;
            sum += a->logarithm ? dy[other] : y[other] * dy[other];
        }
        e->out[0][i] = a->logarithm ? dy[i] - exp(y[i]) * sum : y[i] * (dy[i] - sum);
    }
    return CN_OK;
}

/* ---- batch normalisation: x is (rows, channels) ---- */

static bool uses_batch(const cn__evaluated *e)
{
    const cn__batch_norm_attributes *a = e->node->attributes;
    return e->training && (a->options.trainable == NULL || *a->options.trainable);
}

static void batch_moments(const double *x, int64_t rows, int64_t channels, double *mean,
                          double *variance)
{
    for (int64_t i = 0; i < rows * channels; i++)
        mean[i % channels] += x[i] / (double)rows;
    for (int64_t i = 0; i < rows * channels; i++) {
        double d = x[i] - mean[i % channels];
        variance[i % channels] += d * d / (double)rows;
    }
}

/* (x, mean, variance [, gamma] [, beta]) -> y, new mean, new variance, the moments used */
cn_status cn__evaluate_batch_norm(const cn__evaluated *e)
{
    const cn__batch_norm_attributes *a = e->node->attributes;
    int64_t channels = e->in_count[1], rows = channels == 0 ? 0 : e->in_count[0] / channels;
    const double *x = e->in[0], *gamma = a->has_gamma ? e->in[3] : NULL;
    const double *beta = a->has_beta ? e->in[3 + a->has_gamma] : NULL;
    double *mean = e->out[3], *variance = mean + channels;
    double momentum = uses_batch(e) ? (double)a->options.momentum : 1;
    if (uses_batch(e))
        batch_moments(x, rows, channels, mean, variance);
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = uses_batch(e) ? mean[c] : e->in[1][c];
        variance[c] = uses_batch(e) ? variance[c] : e->in[2][c];
        e->out[1][c] = e->in[1][c] * momentum + mean[c] * (1 - momentum);
        e->out[2][c] = e->in[2][c] * momentum + variance[c] * (1 - momentum);
    }
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        int64_t c = i % channels;
        double y = (x[i] - mean[c]) / sqrt(variance[c] + (double)a->options.epsilon);
        e->out[0][i] = (gamma ? gamma[c] : 1) * y + (beta ? beta[c] : 0);
    }
    return CN_OK;
}

/* (dy, x, moments [, gamma]) -> dx, dgamma, dbeta. With z = (x - mean) s, s = 1 / deviation:
 * dbeta = sum of dy, dgamma = sum of dy z, and dx = gamma s (dy - dbeta / rows - z dgamma / rows),
 * where the last two terms are there only if the moments are the batch's. */
cn_status cn__evaluate_batch_norm_gradient(const cn__evaluated *e)
{
    const cn__batch_norm_attributes *a = e->node->attributes;
    int64_t channels = e->out_count[1], rows = channels == 0 ? 0 : e->in_count[1] / channels;
    const double *dy = e->in[0], *x = e->in[1], *mean = e->in[2], *variance = mean + channels;
    double *dgamma = e->out[1], *dbeta = e->out[2];
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < e->out_count[0]; i++) {
            int64_t c = i % channels;
            double s = 1 / sqrt(variance[c] + (double)a->options.epsilon), z = (x[i] - mean[c]) * s;
            if (pass == 0) {
                dbeta[c] += dy[i];
                dgamma[c] += dy[i] * z;
                continue;
            }
            double moved = uses_batch(e) ? (dbeta[c] + z * dgamma[c]) / (double)rows : 0;
            e->out[0][i] = (a->has_gamma ? e->in[3][c] : 1) * s * (dy[i] - moved);
        }
    return CN_OK;
}
