/* Sums, maxima and other passes over rows of numbers. */
#include "kernels/simd.h"
#include "kernels/maths.h"

enum {
    parts = 2 * CN__LANES, /* partial sums: enough to hide the latency of an addition */
    block = 512            /* values that a pass keeps on the stack */
};

/* Each part adds up every parts-th value, in double; the parts are then added in pairs. Short rows
 * have one part. */
double CN__K(sum)(const float *x, int64_t count);
double CN__K(sum)(const float *x, int64_t count)
{
    if (count < parts) {
        double total = 0;
        for (int64_t i = 0; i < count; i++)
            total += (double)x[i];
        return total;
    }
    double part[parts] = {0};
    int64_t i = 0;
    for (; i + parts <= count; i += parts)
        for (int j = 0; j < parts; j++)
            part[j] += (double)x[i + j];
    for (int j = 0; i + j < count; j++)
        part[j] += (double)x[i + j];
    for (int width = parts / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            part[j] += part[j + width];
    return part[0];
}

/* NaN wins, in all three. */
static inline float larger(float m, float x)
{
    return ((x > m) | (x != x)) ? x : m;
}

static inline cn__v larger_vector(cn__v m, cn__v x)
{
    return cn__select((x > m) | (x != x), x, m);
}

float CN__K(maximum)(const float *x, int64_t count);
float CN__K(maximum)(const float *x, int64_t count)
{
    float m = -CN__INF;
    int64_t i = 0;
    if (count >= 2 * CN__LANES) {
        cn__v a = cn__load(x), b = cn__load(x + CN__LANES);
        for (i = 2 * CN__LANES; i + 2 * CN__LANES <= count; i += 2 * CN__LANES) {
            a = larger_vector(a, cn__load(x + i));
            b = larger_vector(b, cn__load(x + i + CN__LANES));
        }
        a = larger_vector(a, b);
        for (int j = 0; j < CN__LANES; j++)
            m = larger(m, a[j]);
    }
    for (; i < count; i++)
        m = larger(m, x[i]);
    return m;
}

void CN__K(add_to_doubles)(const float *x, double *totals, int64_t count);
void CN__K(add_to_doubles)(const float *x, double *totals, int64_t count)
{
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        totals[i] += (double)x[i];
}

/* y = exp(x - m); returns the sum. */
static double exponentials(const float *x, float m, float *y, int64_t count)
{
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        y[i] = cn__exp(x[i] - m);
    return CN__K(sum)(y, count);
}

static void log_softmax(const float *x, float m, float *y, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i += block) {
        float e[block];
        total += exponentials(x + i, m, e, count - i < block ? count - i : block);
    }
    float log_total = cn__log((float)total);
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        y[i] = (x[i] - m) - log_total;
}

void CN__K(softmax)(const float *x, float *y, int64_t count, bool logarithm);
void CN__K(softmax)(const float *x, float *y, int64_t count, bool logarithm)
{
    float m = CN__K(maximum)(x, count);
    if (logarithm) {
        log_softmax(x, m, y, count);
        return;
    }
    float factor = (float)(1.0 / exponentials(x, m, y, count));
    for (int64_t i = 0; i < count; i++)
        y[i] *= factor;
}

void CN__K(scale_shift)(const float *x, const float *scale, const float *shift, float *y,
                        int64_t count);
void CN__K(scale_shift)(const float *x, const float *scale, const float *shift, float *y,
                        int64_t count)
{
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * scale[i] + shift[i];
}

/* True where x takes the place of m: of equal numbers, and of NaNs, the first stays. */
static inline cn__vi replaces(cn__v m, cn__v x)
{
    return (x > m) | ((x != x) & (m == m));
}

static inline void max_cells_vector(int64_t cells, const float *const *in, const int32_t *index,
                                    int64_t c, float *out, int32_t *switches)
{
    cn__v m = cn__load(in[0] + c);
    if (switches == NULL) {
        /* NaNs are looked for apart: the maxima follow each other with fewer operations between. */
        cn__vi nan = m != m;
        for (int64_t i = 1; i < cells; i++) {
            cn__v x = cn__load(in[i] + c);
            nan |= x != x;
            m = cn__select(x > m, x, m);
        }
        m = cn__select(nan, cn__splat(__builtin_nanf("")), m);
    } else {
        cn__vi which = index[0] - (cn__vi){0};
        for (int64_t i = 1; i < cells; i++) {
            cn__v x = cn__load(in[i] + c);
            cn__vi mask = replaces(m, x);
            m = cn__select(mask, x, m);
            which = (mask & (index[i] - (cn__vi){0})) | (~mask & which);
        }
        memcpy(switches + c, &which, sizeof which);
    }
    cn__store(out + c, m);
}

static inline void max_cells_scalar(int64_t cells, const float *const *in, const int32_t *index,
                                    int64_t c, float *out, int32_t *switches)
{
    int64_t best = 0;
    for (int64_t i = 1; i < cells; i++) {
        float x = in[i][c], m = in[best][c];
        if (x > m || (x != x && m == m))
            best = i;
    }
    out[c] = in[best][c];
    if (switches != NULL)
        switches[c] = index[best];
}

void CN__K(max_cells)(int64_t cells, const float *const *in, const int32_t *index, int64_t channels,
                      float *out, int32_t *switches);
void CN__K(max_cells)(int64_t cells, const float *const *in, const int32_t *index, int64_t channels,
                      float *out, int32_t *switches)
{
    int64_t c = 0;
    for (; c + CN__LANES <= channels; c += CN__LANES)
        max_cells_vector(cells, in, index, c, out, switches);
    for (; c < channels; c++)
        max_cells_scalar(cells, in, index, c, out, switches);
}

void CN__K(sum_cells)(int64_t cells, const float *const *in, int64_t channels, float factor,
                      float *out);
void CN__K(sum_cells)(int64_t cells, const float *const *in, int64_t channels, float factor,
                      float *out)
{
    int64_t c = 0;
    for (; c + CN__LANES <= channels; c += CN__LANES) {
        cn__v sum = {0};
        for (int64_t i = 0; i < cells; i++)
            sum += cn__load(in[i] + c);
        cn__store(out + c, factor * sum);
    }
    for (; c < channels; c++) {
        float sum = 0;
        for (int64_t i = 0; i < cells; i++)
            sum += in[i][c];
        out[c] = factor * sum;
    }
}

void CN__K(add_scaled)(float factor, const float *x, float *y, int64_t count);
void CN__K(add_scaled)(float factor, const float *x, float *y, int64_t count)
{
    CN__INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        y[i] += factor * x[i];
}
