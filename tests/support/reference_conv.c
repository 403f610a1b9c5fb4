#include <math.h>
#include <string.h>

#include "support/reference_conv.h"

/* Every tap of every position of a convolution from `large` to `small` (see `visit`): the kernel is
 * (taps, large channels / groups, small channels). */
typedef struct tap {
    int64_t large, small, kernel; /* places in the three buffers */
} tap;
typedef void (*visitor)(void *context, tap at);

static int64_t or_one(const int64_t *values, int rank, int axis, bool zero_is_one)
{
    int missing = 3 - rank;
    int64_t value = axis < missing ? (zero_is_one ? 1 : 0) : values[axis - missing];
    return zero_is_one && value == 0 ? 1 : value;
}

typedef struct geometry {
    int64_t batch, groups, large_channels, small_channels;
    int64_t large[3], small[3], kernel[3], stride[3], dilation[3], before[3];
} geometry;

static geometry geometry_of(const cn_conv *conv, bool transposed)
{
    geometry g = {.batch = conv->batch,
                  .groups = conv->groups != 0 ? conv->groups : 1,
                  .large_channels = transposed ? conv->out_channels : conv->in_channels,
                  .small_channels = transposed ? conv->in_channels : conv->out_channels};
    for (int i = 0; i < 3; i++) {
        g.large[i] = or_one(transposed ? conv->out : conv->in, conv->rank, i, true);
        g.small[i] = or_one(transposed ? conv->in : conv->out, conv->rank, i, true);
        g.kernel[i] = or_one(conv->kernel, conv->rank, i, true);
        g.stride[i] = or_one(conv->stride, conv->rank, i, true);
        g.dilation[i] = or_one(conv->dilation, conv->rank, i, true);
        g.before[i] = or_one(conv->before, conv->rank, i, false);
    }
    return g;
}

/* All channel pairs of one pair of positions and one tap. */
static void visit_channels(const geometry *g, int64_t large, int64_t small, int64_t t, visitor see,
                           void *context)
{
    int64_t of_large = g->large_channels / g->groups, of_small = g->small_channels / g->groups;
    for (int64_t s = 0; s < g->small_channels; s++)
        for (int64_t l = 0; l < of_large; l++)
            see(context,
                (tap){large * g->large_channels + s / of_small * of_large + l,
                      small * g->small_channels + s, (t * of_large + l) * g->small_channels + s});
}

static void visit(const geometry *g, visitor see, void *context)
{
    int64_t s[3], k[3], l[3];
    for (int64_t n = 0; n < g->batch; n++)
        for (s[0] = 0; s[0] < g->small[0]; s[0]++)
            for (s[1] = 0; s[1] < g->small[1]; s[1]++)
                for (s[2] = 0; s[2] < g->small[2]; s[2]++)
                    for (k[0] = 0; k[0] < g->kernel[0]; k[0]++)
                        for (k[1] = 0; k[1] < g->kernel[1]; k[1]++)
                            for (k[2] = 0; k[2] < g->kernel[2]; k[2]++) {
                                bool inside = true;
                                for (int i = 0; i < 3; i++) {
                                    l[i] =
                                        s[i] * g->stride[i] + k[i] * g->dilation[i] - g->before[i];
                                    inside = inside && l[i] >= 0 && l[i] < g->large[i];
                                }
                                if (!inside)
                                    continue;
                                visit_channels(
                                    g,
                                    ((n * g->large[0] + l[0]) * g->large[1] + l[1]) * g->large[2] +
                                        l[2],
                                    ((n * g->small[0] + s[0]) * g->small[1] + s[1]) * g->small[2] +
                                        s[2],
                                    (k[0] * g->kernel[1] + k[1]) * g->kernel[2] + k[2], see,
                                    context);
                            }
}

typedef struct buffers {
    const float *in, *other;
    double *out, *magnitude;
} buffers;

static void add(const buffers *b, int64_t to, double product)
{
    b->out[to] += product;
    b->magnitude[to] += fabs(product);
}

static void see_conv(void *context, tap at)
{
    const buffers *b = context;
    add(b, at.small, (double)b->in[at.large] * (double)b->other[at.kernel]);
}

static void see_transpose(void *context, tap at)
{
    const buffers *b = context;
    add(b, at.large, (double)b->in[at.small] * (double)b->other[at.kernel]);
}

static void see_kernel(void *context, tap at)
{
    const buffers *b = context; /* in: the large image, other: the small one */
    add(b, at.kernel, (double)b->in[at.large] * (double)b->other[at.small]);
}

static void start(const cn_conv *conv, const float *bias, double *out, double *magnitude)
{
    int64_t count = cn_conv_out_count(conv);
    for (int64_t i = 0; i < count; i++) {
        out[i] = bias != NULL ? (double)bias[i % conv->out_channels] : 0;
        magnitude[i] = fabs(out[i]);
    }
}

void reference_conv(const cn_conv *conv, const float *in, const float *kernel, const float *bias,
                    double *out, double *magnitude)
{
    geometry g = geometry_of(conv, false);
    start(conv, bias, out, magnitude);
    visit(&g, see_conv, &(buffers){in, kernel, out, magnitude});
}

void reference_conv_transpose(const cn_conv *conv, const float *in, const float *kernel,
                              const float *bias, double *out, double *magnitude)
{
    geometry g = geometry_of(conv, true);
    start(conv, bias, out, magnitude);
    visit(&g, see_transpose, &(buffers){in, kernel, out, magnitude});
}

void reference_kernel_gradient(const cn_conv *conv, bool transposed, const float *in,
                               const float *out_gradient, double *kernel, double *magnitude)
{
    geometry g = geometry_of(conv, transposed);
    int64_t count = cn_conv_kernel_count(conv, transposed);
    memset(kernel, 0, (size_t)count * sizeof *kernel);
    memset(magnitude, 0, (size_t)count * sizeof *magnitude);
    visit(&g, see_kernel,
          &(buffers){transposed ? out_gradient : in, transposed ? in : out_gradient, kernel,
                     magnitude});
}
