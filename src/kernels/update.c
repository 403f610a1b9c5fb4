/* The inner loops of the optimizers. Formulas: keras/src/optimizers at version 3.15; coefficients
 * that depend on the step alone come ready made in `c`, whose order the loops tell. */
#include "kernels/simd.h"
#include "kernels/maths.h"

/* c: momentum, rate, then how much of the momentum and of the gradient the weight takes. */
static void sgd(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *m = slot[0];
    if (!m) {
        CN__INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            w[i] -= c[1] * g[i];
        return;
    }
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        m[i] = c[0] * m[i] - c[1] * g[i];
        w[i] += c[2] * m[i] - c[3] * g[i];
    }
}

/* c: rho, 1 - rho, rate, epsilon inside and outside of the root, momentum. Slots: mean square,
 * momentum, mean; `moving` and `centered` are constants where it is called. */
static inline void rmsprop_loop(float *w, const float *g, float *const *slot, int64_t count,
                                const float *c, bool moving, bool centered)
{
    float *v = slot[0], *m = slot[1], *mean = slot[2];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        v[i] = c[0] * v[i] + c[1] * g[i] * g[i];
        float square = v[i];
        if (centered) {
            mean[i] = c[0] * mean[i] + c[1] * g[i];
            square -= mean[i] * mean[i];
        }
        float change = c[2] * g[i] / (__builtin_sqrtf(square + c[3]) + c[4]);
        if (moving) {
            m[i] = c[5] * m[i] + change;
            change = m[i];
        }
        w[i] -= change;
    }
}

static void rmsprop(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    if (slot[1] && slot[2])
        rmsprop_loop(w, g, slot, count, c, true, true);
    else if (slot[1])
        rmsprop_loop(w, g, slot, count, c, true, false);
    else if (slot[2])
        rmsprop_loop(w, g, slot, count, c, false, true);
    else
        rmsprop_loop(w, g, slot, count, c, false, false);
}

/* c: rate, epsilon inside and outside of the root. */
static void adagrad(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *sum = slot[0];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        sum[i] += g[i] * g[i];
        w[i] -= c[0] * g[i] / (__builtin_sqrtf(sum[i] + c[1]) + c[2]);
    }
}

/* c: rho, 1 - rho, rate, epsilon. Slots: mean square of the gradients, and of the changes. */
static void adadelta(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *v = slot[0], *d = slot[1];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        v[i] = c[0] * v[i] + c[1] * g[i] * g[i];
        float change = __builtin_sqrtf(d[i] + c[3]) * g[i] / __builtin_sqrtf(v[i] + c[3]);
        d[i] = c[0] * d[i] + c[1] * change * change;
        w[i] -= c[2] * change;
    }
}

/* c: 1 - beta 1, 1 - beta 2, rate, epsilon. Slots: mean, mean square, its greatest value yet. */
static void adam(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *m = slot[0], *v = slot[1], *most = slot[2];
    if (!most) {
        CN__INDEPENDENT
        for (int64_t i = 0; i < count; i++) {
            m[i] += (g[i] - m[i]) * c[0];
            v[i] += (g[i] * g[i] - v[i]) * c[1];
            w[i] -= c[2] * m[i] / (__builtin_sqrtf(v[i]) + c[3]);
        }
        return;
    }
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * c[0];
        v[i] += (g[i] * g[i] - v[i]) * c[1];
        most[i] = v[i] > most[i] ? v[i] : most[i];
        w[i] -= c[2] * m[i] / (__builtin_sqrtf(most[i]) + c[3]);
    }
}

/* c: 1 - beta 1, beta 2, rate, epsilon. */
static void adamax(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *m = slot[0], *u = slot[1];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        float size = cn__absolute(g[i]), old = c[1] * u[i];
        m[i] += (g[i] - m[i]) * c[0];
        u[i] = old > size ? old : size;
        w[i] -= c[2] * m[i] / (u[i] + c[3]);
    }
}

/* c: 1 - beta 1, 1 - beta 2, the rates of mean and gradient, 1 / (1 - beta 2^t), epsilon. */
static void nadam(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *m = slot[0], *v = slot[1];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * c[0];
        v[i] += (g[i] * g[i] - v[i]) * c[1];
        w[i] -= (c[2] * m[i] + c[3] * g[i]) / (__builtin_sqrtf(v[i] * c[4]) + c[5]);
    }
}

/* x to the power p for x >= 0. */
static inline float power(float x, float p)
{
    return x > 0 ? cn__exp(p * cn__log(x)) : (p > 0 ? 0.0f : 1.0f);
}

/* c: minus the power of the rate, 1 / rate, twice the shrinkage, twice the second penalty, the
 * first one. Slots: sum of squares, linear part. `root`: the power is 1/2. */
static inline void ftrl_loop(float *w, const float *g, float *const *slot, int64_t count,
                             const float *c, bool root)
{
    float *n = slot[0], *z = slot[1];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        float sum = n[i] + g[i] * g[i];
        float before = root ? __builtin_sqrtf(n[i]) : power(n[i], c[0]);
        float after = root ? __builtin_sqrtf(sum) : power(sum, c[0]);
        z[i] += g[i] + c[2] * w[i] - (after - before) * c[1] * w[i];
        float kept = cn__at_most(cn__at_least(z[i], -c[4]), c[4]);
        w[i] = (kept - z[i]) / (after * c[1] + c[3]);
        n[i] = sum;
    }
}

static void ftrl(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    if (c[0] == 0.5f)
        ftrl_loop(w, g, slot, count, c, true);
    else
        ftrl_loop(w, g, slot, count, c, false);
}

/* c: beta 1, 1 - beta 1, beta 2, 1 - beta 2, rate. */
static void lion(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    float *m = slot[0];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        float way = c[0] * m[i] + c[1] * g[i];
        w[i] -= way > 0 ? c[4] : way < 0 ? -c[4] : c[4] * way; /* NaN stays NaN */
        m[i] = c[2] * m[i] + c[3] * g[i];
    }
}

/* c: 1 - beta 1, 1 - beta 2, 1 / (1 - beta 1^t), 1 / (1 - beta 2^t), epsilon. Turns the gradient
 * into the direction and leaves the weight: how far to go depends on the norms of both. */
static void lamb(float *w, float *g, float *const *slot, int64_t count, const float *c)
{
    (void)w;
    float *m = slot[0], *v = slot[1];
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * c[0];
        v[i] += (g[i] * g[i] - v[i]) * c[1];
        g[i] = m[i] * c[2] / (__builtin_sqrtf(v[i] * c[3]) + c[4]);
    }
}

extern const cn__update_kernel CN__K(update)[CN__UPDATE_COUNT];
const cn__update_kernel CN__K(update)[CN__UPDATE_COUNT] = {
#define ENTRY(NAME, name) [CN__UPDATE_##NAME] = name,
    CN__UPDATE_LIST(ENTRY)};

void CN__K(scale_and_clip)(float *x, float factor, float most, int64_t count);
void CN__K(scale_and_clip)(float *x, float factor, float most, int64_t count)
{
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        float scaled = x[i] * factor;
        x[i] = cn__keep_nan(scaled, cn__at_most(cn__at_least(scaled, -most), most));
    }
}

void CN__K(average)(float momentum, const float *x, float *mean, int64_t count);
void CN__K(average)(float momentum, const float *x, float *mean, int64_t count)
{
    float rest = 1 - momentum;
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        mean[i] = momentum * mean[i] + rest * x[i];
}

enum { parts = 2 * CN__LANES }; /* partial sums, as in rows.c */

double CN__K(sum_squares)(const float *x, int64_t count);
double CN__K(sum_squares)(const float *x, int64_t count)
{
    double part[parts] = {0}, total = 0;
    int64_t i = 0;
    for (; i + parts <= count; i += parts)
        for (int j = 0; j < parts; j++)
            part[j] += (double)x[i + j] * (double)x[i + j];
    for (int j = 0; i + j < count; j++)
        part[j] += (double)x[i + j] * (double)x[i + j];
    for (int j = 0; j < parts; j++)
        total += part[j];
    return total;
}
