/* Convolutions in double. A convolution and a transposed convolution pair the pixels of a large
 * image (the input of the one, the output of the other) with those of a small one in the same way:
 *     large[s * stride + t * dilation - before] meets small[s] over kernel[t]
 * and each of the three operations adds the products of two of them into the third. */
#include "graph/evaluate_node.h"

/* Three axes always. The kernel is (taps..., large channels / groups, small channels). */
typedef struct geometry {
    int64_t batch, groups, large_channels, small_channels;
    int64_t large[3], small[3], taps[3], stride[3], dilation[3], before[3];
} geometry;

static geometry geometry_of(const cn_conv *conv, bool transposed)
{
    int rank = conv->rank;
    geometry g = {.batch = conv->batch,
                  .groups = cn__max(conv->groups, 1),
                  .large_channels = transposed ? conv->out_channels : conv->in_channels,
                  .small_channels = transposed ? conv->in_channels : conv->out_channels};
    for (int i = 0; i < 3; i++) {
        g.large[i] = cn__of_three(rank, transposed ? conv->out : conv->in, i, 1);
        g.small[i] = cn__of_three(rank, transposed ? conv->in : conv->out, i, 1);
        g.taps[i] = cn__of_three(rank, conv->kernel, i, 1);
        g.stride[i] = cn__max(cn__of_three(rank, conv->stride, i, 1), 1);
        g.dilation[i] = cn__max(cn__of_three(rank, conv->dilation, i, 1), 1);
        g.before[i] = cn__of_three(rank, conv->before, i, 0);
    }
    return g;
}

/* ---- one pixel of each image and one tap: all pairs of channels of a group ---- */

typedef struct meeting {
    const double *a, *b; /* the factors: two of large, small and kernel, in this order */
    double *sum;         /* the third */
} meeting;

static void add_to_small(const geometry *g, meeting m)
{
    int64_t of_large = g->large_channels / g->groups, of_small = g->small_channels / g->groups;
    for (int64_t s = 0; s < g->small_channels; s++)
        for (int64_t l = 0; l < of_large; l++)
            m.sum[s] += m.a[s / of_small * of_large + l] * m.b[l * g->small_channels + s];
}

static void add_to_large(const geometry *g, meeting m)
{
    int64_t of_large = g->large_channels / g->groups, of_small = g->small_channels / g->groups;
    for (int64_t s = 0; s < g->small_channels; s++)
        for (int64_t l = 0; l < of_large; l++)
            m.sum[s / of_small * of_large + l] += m.a[s] * m.b[l * g->small_channels + s];
}

static void add_to_kernel(const geometry *g, meeting m)
{
    int64_t of_large = g->large_channels / g->groups, of_small = g->small_channels / g->groups;
    for (int64_t s = 0; s < g->small_channels; s++)
        for (int64_t l = 0; l < of_large; l++)
            m.sum[l * g->small_channels + s] += m.a[s / of_small * of_large + l] * m.b[s];
}

/* ---- all of them ---- */

/* The three buffers; the one that is summed into is `sum` and NULL among the others. */
typedef struct buffers {
    const double *large, *small, *kernel;
    double *sum;
} buffers;

/* The number of a pixel in its image, -1 outside. */
static int64_t pixel(const int64_t *extents, const int64_t *at)
{
    int64_t number = 0;
    for (int i = 0; i < 3; i++) {
        if (at[i] < 0 || at[i] >= extents[i])
            return -1;
        number = number * extents[i] + at[i];
    }
    return number;
}

static void meet_at(const geometry *g, const buffers *b, int64_t large, int64_t small, int64_t tap)
{
    int64_t l = large * g->large_channels, s = small * g->small_channels;
    int64_t k = tap * (g->large_channels / g->groups) * g->small_channels;
    if (b->small == NULL)
        add_to_small(g, (meeting){b->large + l, b->kernel + k, b->sum + s});
    else if (b->large == NULL)
        add_to_large(g, (meeting){b->small + s, b->kernel + k, b->sum + l});
    else
        add_to_kernel(g, (meeting){b->large + l, b->small + s, b->sum + k});
}

/* All taps of one pixel of the small image. */
static void meet_taps(const geometry *g, const buffers *b, int64_t image, const int64_t *s)
{
    int64_t large_pixels = g->large[0] * g->large[1] * g->large[2];
    int64_t small_pixels = g->small[0] * g->small[1] * g->small[2];
    int64_t t[3], l[3];
    for (t[0] = 0; t[0] < g->taps[0]; t[0]++)
        for (t[1] = 0; t[1] < g->taps[1]; t[1]++)
            for (t[2] = 0; t[2] < g->taps[2]; t[2]++) {
                for (int i = 0; i < 3; i++)
                    l[i] = s[i] * g->stride[i] + t[i] * g->dilation[i] - g->before[i];
                int64_t inside = pixel(g->large, l);
                if (inside >= 0)
                    meet_at(g, b, image * large_pixels + inside,
                            image * small_pixels + pixel(g->small, s), pixel(g->taps, t));
            }
}

static void meet_all(const cn_conv *conv, bool transposed, buffers b)
{
    geometry g = geometry_of(conv, transposed);
    int64_t s[3];
    for (int64_t image = 0; image < g.batch; image++)
        for (s[0] = 0; s[0] < g.small[0]; s[0]++)
            for (s[1] = 0; s[1] < g.small[1]; s[1]++)
                for (s[2] = 0; s[2] < g.small[2]; s[2]++)
                    meet_taps(&g, &b, image, s);
}

/* ---- the operations ---- */

/* (x, kernel [, bias]) */
cn_status cn__evaluate_conv(const cn__evaluated *e)
{
    const cn__conv_attributes *a = e->node->attributes;
    bool transposed = a->options.transposed;
    double *y = e->out[0];
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &e->node->in[0]->shape, &e->node->in[1]->shape, &conv));
    for (int64_t i = 0; a->biased && i < e->out_count[0]; i++)
        y[i] = e->in[2][i % conv.out_channels];
    meet_all(&conv, transposed,
             transposed ? (buffers){NULL, e->in[0], e->in[1], y}
                        : (buffers){e->in[0], NULL, e->in[1], y});
    for (int64_t i = 0; a->clamped && i < e->out_count[0]; i++)
        y[i] = y[i] < (double)a->clamp.low    ? (double)a->clamp.low
               : y[i] > (double)a->clamp.high ? (double)a->clamp.high
                                              : y[i];
    return CN_OK;
}

/* (dy, kernel, like x) */
cn_status cn__evaluate_conv_input_gradient(const cn__evaluated *e)
{
    const cn__conv_attributes *a = e->node->attributes;
    bool transposed = a->options.transposed;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &e->node->in[2]->shape, &e->node->in[1]->shape, &conv));
    meet_all(&conv, transposed,
             transposed ? (buffers){e->in[0], NULL, e->in[1], e->out[0]}
                        : (buffers){NULL, e->in[0], e->in[1], e->out[0]});
    return CN_OK;
}

/* (x, dy, like kernel) */
cn_status cn__evaluate_conv_kernel_gradient(const cn__evaluated *e)
{
    const cn__conv_attributes *a = e->node->attributes;
    bool transposed = a->options.transposed;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &e->node->in[0]->shape, &e->node->in[2]->shape, &conv));
    meet_all(&conv, transposed, (buffers){e->in[transposed], e->in[!transposed], NULL, e->out[0]});
    return CN_OK;
}
