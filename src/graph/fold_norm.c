/* Folding: with s = gamma / sqrt(variance + epsilon), s (conv(x, w) + b - mean) + beta is the
 * convolution with s w and the bias s (b - mean) + beta. */
#include <math.h>

#include "graph/fold_norm.h"

cn_status cn__folded_make(const cn_conv *conv, const cn__conv_attributes *a, cn__folded *folded)
{
    int64_t groups = conv->groups != 0 ? conv->groups : 1;
    int64_t count = cn_conv_kernel_count(conv, a->options.transposed);
    *folded = (cn__folded){.in = conv->in_channels, .out = conv->out_channels, .groups = groups};
    folded->taps = count / (conv->out_channels * conv->in_channels / groups);
    folded->kernel = cn__alloc((size_t)(count + conv->out_channels) * sizeof(float));
    folded->bias = folded->kernel != NULL ? folded->kernel + count : NULL;
    return folded->kernel != NULL ? CN_OK : cn_error_status();
}

/* kernel (taps, in of a group, out): the scale of each column. */
static void scale_columns(const float *kernel, const float *scale, cn__folded *f)
{
    int64_t rows = f->taps * f->in / f->groups;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < f->out; o++)
            f->kernel[r * f->out + o] = kernel[r * f->out + o] * scale[o];
}

/* kernel (taps, out of a group, in): in each row the groups follow each other. */
static void scale_rows(const float *kernel, const float *scale, cn__folded *f)
{
    int64_t outs = f->out / f->groups, ins = f->in / f->groups;
    for (int64_t r = 0; r < f->taps * outs; r++)
        for (int64_t i = 0; i < f->in; i++)
            f->kernel[r * f->in + i] = kernel[r * f->in + i] * scale[i / ins * outs + r % outs];
}

void cn__folded_fill(const cn__conv_attributes *a, const void *const *in, cn__folded *f)
{
    const float *const *norm = (const float *const *)in + 2 + a->biased;
    const float *bias = a->biased ? in[2] : NULL, *mean = norm[0], *variance = norm[1];
    const float *gamma = a->norm.has_gamma ? norm[2] : NULL;
    const float *beta = a->norm.has_beta ? norm[2 + a->norm.has_gamma] : NULL;
    float *scale = f->bias; /* until the kernel is scaled */
    for (int64_t o = 0; o < f->out; o++)
        scale[o] = (float)((gamma != NULL ? (double)gamma[o] : 1) /
                           sqrt((double)variance[o] + (double)a->norm.options.epsilon));
    (a->options.transposed ? scale_rows : scale_columns)(in[1], scale, f);
    for (int64_t o = 0; o < f->out; o++)
        f->bias[o] =
            scale[o] * ((bias != NULL ? bias[o] : 0) - mean[o]) + (beta != NULL ? beta[o] : 0);
}
