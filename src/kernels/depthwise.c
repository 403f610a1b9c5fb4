/* Depthwise convolution: every channel by itself, vectors along the channels. */
#include "kernels/simd.h"

static inline float clamp_one(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* `vectors` vectors of channels from channel c on, for `rows` pixels from pixel m on. */
static inline __attribute__((always_inline)) void
block(const cn__depthwise *d, int64_t m, int64_t c, const int rows, const int vectors)
{
    cn__v acc[4][4];
    CN__UNROLL
    for (int v = 0; v < vectors; v++) {
        cn__v first = d->start != NULL ? cn__load(d->start + c + v * CN__LANES) : (cn__v){0};
        CN__UNROLL
        for (int r = 0; r < rows; r++)
            acc[r][v] = first;
    }
    for (int64_t t = 0; t < d->taps; t++) {
        const float *w = d->weights + t * d->channels + c;
        const float *const *in = d->in + t * d->pixels + m;
        CN__UNROLL
        for (int v = 0; v < vectors; v++) {
            cn__v weight = cn__load(w + v * CN__LANES);
            CN__UNROLL
            for (int r = 0; r < rows; r++)
                acc[r][v] += cn__load(in[r] + c + v * CN__LANES) * weight;
        }
    }
    cn__v low = cn__splat(d->low), high = cn__splat(d->high);
    CN__UNROLL
    for (int r = 0; r < rows; r++) {
        CN__UNROLL
        for (int v = 0; v < vectors; v++) {
            cn__v x = acc[r][v];
            x = cn__select(x < low, low, x);
            cn__store(d->out[m + r] + c + v * CN__LANES, cn__select(x > high, high, x));
        }
    }
}

static void one_channel(const cn__depthwise *d, int64_t m, int64_t c)
{
    float sum = d->start != NULL ? d->start[c] : 0;
    for (int64_t t = 0; t < d->taps; t++)
        sum += d->in[t * d->pixels + m][c] * d->weights[t * d->channels + c];
    d->out[m][c] = clamp_one(sum, d->low, d->high);
}

static inline __attribute__((always_inline)) void all_channels(const cn__depthwise *d, int64_t m,
                                                               const int rows)
{
    int64_t c = 0;
    for (; c + 4 * CN__LANES <= d->channels; c += 4 * CN__LANES)
        block(d, m, c, rows, 4);
    for (; c + CN__LANES <= d->channels; c += CN__LANES)
        block(d, m, c, rows, 1);
    for (; c < d->channels; c++)
        for (int r = 0; r < rows; r++)
            one_channel(d, m + r, c);
}

void CN__K(depthwise)(const cn__depthwise *depthwise);
void CN__K(depthwise)(const cn__depthwise *depthwise)
{
    int64_t m = 0;
    for (; m + 4 <= depthwise->pixels; m += 4)
        all_channels(depthwise, m, 4);
    for (; m < depthwise->pixels; m++)
        all_channels(depthwise, m, 1);
}

/* `vectors` vectors of channels from channel c on. */
static inline __attribute__((always_inline)) void
gradient_block(const cn__depthwise_gradient *gradient, int64_t c, const int vectors)
{
    cn__v sum[4];
    float *out = gradient->out + c;
    CN__UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = cn__load(out + v * CN__LANES);
    for (int64_t p = 0; p < gradient->pixels; p++) {
        const float *a = gradient->a[p] + c, *b = gradient->b[p] + c;
        CN__UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] += cn__load(a + v * CN__LANES) * cn__load(b + v * CN__LANES);
    }
    CN__UNROLL
    for (int v = 0; v < vectors; v++)
        cn__store(out + v * CN__LANES, sum[v]);
}

void CN__K(depthwise_gradient)(const cn__depthwise_gradient *gradient);
void CN__K(depthwise_gradient)(const cn__depthwise_gradient *gradient)
{
    int64_t c = 0;
    for (; c + 4 * CN__LANES <= gradient->channels; c += 4 * CN__LANES)
        gradient_block(gradient, c, 4);
    for (; c + CN__LANES <= gradient->channels; c += CN__LANES)
        gradient_block(gradient, c, 1);
    for (; c < gradient->channels; c++) {
        float sum = gradient->out[c];
        for (int64_t p = 0; p < gradient->pixels; p++)
            sum += gradient->a[p][c] * gradient->b[p][c];
        gradient->out[c] = sum;
    }
}
