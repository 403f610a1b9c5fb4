#include "support/reference.h"

#include <math.h>

/* Three axes always: those that are missing have extent 1. */
typedef struct box {
    int64_t in[3], out[3], window[3], stride[3], before[3];
} box;

static int64_t member(int rank, int i, const int64_t *values, int64_t missing)
{
    int own = i - (3 - rank);
    return own < 0 ? missing : values[own];
}

static box box_of(const cn_pooling *p)
{
    box b;
    for (int i = 0; i < 3; i++) {
        b.in[i] = member(p->rank, i, p->in, 1);
        b.out[i] = member(p->rank, i, p->out, 1);
        b.window[i] = member(p->rank, i, p->window, 1);
        b.stride[i] = member(p->rank, i, p->stride, 1);
        b.stride[i] = b.stride[i] ? b.stride[i] : b.window[i];
        b.before[i] = member(p->rank, i, p->before, 0);
    }
    return b;
}

static int64_t cells_of(const int64_t *extents)
{
    return extents[0] * extents[1] * extents[2];
}

/* True if cell `cell` of the input lies under the window of output cell `out`. */
static bool covers(const box *b, int64_t out, int64_t cell)
{
    for (int i = 2; i >= 0; i--) {
        int64_t start = out % b->out[i] * b->stride[i] - b->before[i], at = cell % b->in[i];
        if (at < start || at >= start + b->window[i])
            return false;
        out /= b->out[i];
        cell /= b->in[i];
    }
    return true;
}

void reference_max_pool(const cn_pooling *p, const float *in, double *out, int32_t *switches)
{
    box b = box_of(p);
    int64_t cells = cells_of(b.in), outs = cells_of(b.out), channels = p->channels;
    for (int64_t o = 0; o < p->batch * outs * channels; o++) {
        int64_t c = o % channels, pixel = o / channels % outs, image = o / channels / outs;
        int64_t best = -1;
        for (int64_t i = 0; i < cells; i++) {
            double x = (double)in[(image * cells + i) * channels + c];
            double most =
                best < 0 ? (double)NAN : (double)in[(image * cells + best) * channels + c];
            if (covers(&b, pixel, i) && (best < 0 || x > most || (isnan(x) && !isnan(most))))
                best = i;
        }
        out[o] = (double)in[(image * cells + best) * channels + c];
        switches[o] = (int32_t)best;
    }
}

void reference_average_pool(const cn_pooling *p, const float *in, double *out)
{
    box b = box_of(p);
    int64_t cells = cells_of(b.in), outs = cells_of(b.out), channels = p->channels;
    for (int64_t o = 0; o < p->batch * outs * channels; o++) {
        int64_t c = o % channels, pixel = o / channels % outs, image = o / channels / outs;
        double sum = 0, count = 0;
        for (int64_t i = 0; i < cells; i++)
            if (covers(&b, pixel, i)) {
                sum += (double)in[(image * cells + i) * channels + c];
                count++;
            }
        out[o] = sum / count;
    }
}

void reference_max_unpool(const cn_pooling *p, const float *in, const int32_t *switches,
                          double *out)
{
    box b = box_of(p);
    int64_t cells = cells_of(b.in), outs = cells_of(b.out), channels = p->channels;
    for (int64_t i = 0; i < p->batch * cells * channels; i++)
        out[i] = 0;
    for (int64_t o = 0; o < p->batch * outs * channels; o++) {
        int64_t image = o / channels / outs;
        out[(image * cells + switches[o]) * channels + o % channels] += (double)in[o];
    }
}

/* ---- resizing ---- */

/* The weight of input position `at` in output position `position` along one axis. */
static double weight(cn_interpolation interpolation, int64_t in, int64_t out, int64_t position,
                     int64_t at)
{
    double scale = (double)in / (double)out, half = ((double)position + 0.5) * scale - 0.5;
    double source = half;
    if (interpolation == CN_NEAREST)
        return (double)at == floor(((double)position + 0.5) * scale + 1e-9);
    if (interpolation == CN_BILINEAR_CORNER)
        source = (double)position * scale;
    if (interpolation == CN_BILINEAR_THEANO)
        source = ((double)position - floor((1 / scale - 1) / 2)) * scale;
    if (interpolation != CN_BICUBIC) {
        source = fmin(fmax(source, 0), (double)(in - 1));
        return fmax(1 - fabs(source - (double)at), 0);
    }
    /* Keys, "Cubic convolution interpolation for digital image processing" (1981), a = -1/2 */
    double d = fabs(source - (double)at), a = -0.5;
    if (d >= 2)
        return 0;
    return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1
                  : a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a;
}

/* Weights that add up to 1: for bicubic interpolation near the edges they would not. */
static double normal_weight(cn_interpolation interpolation, int64_t in, int64_t out,
                            int64_t position, int64_t at)
{
    double sum = 0;
    for (int64_t i = 0; i < in; i++)
        sum += weight(interpolation, in, out, position, i);
    return weight(interpolation, in, out, position, at) / sum;
}

void reference_resize(const cn_resizing *r, const float *in, double *out)
{
    int64_t from[3], to[3];
    for (int i = 0; i < 3; i++) {
        from[i] = member(r->rank, i, r->in, 1);
        to[i] = member(r->rank, i, r->out, 1);
    }
    int64_t cells = cells_of(from), outs = cells_of(to);
    for (int64_t o = 0; o < r->batch * outs * r->channels; o++)
        out[o] = 0;
    for (int64_t o = 0; o < outs; o++)
        for (int64_t i = 0; i < cells; i++) {
            double w = normal_weight(r->interpolation, from[2], to[2], o % to[2], i % from[2]) *
                       normal_weight(r->interpolation, from[1], to[1], o / to[2] % to[1],
                                     i / from[2] % from[1]) *
                       normal_weight(r->interpolation, from[0], to[0], o / to[2] / to[1],
                                     i / from[2] / from[1]);
            for (int64_t image = 0; image < r->batch; image++)
                for (int64_t c = 0; c < r->channels; c++)
                    out[(image * outs + o) * r->channels + c] +=
                        w * (double)in[(image * cells + i) * r->channels + c];
        }
}
