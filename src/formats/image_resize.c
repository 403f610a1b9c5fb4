/* Resizing by separable filters, one axis at a time. */
#include "formats/image.h"

#include "cornu/formats.h"

#include <math.h>
#include <string.h>

static double triangle(double x)
{
    return fmax(0, 1 - fabs(x));
}

/* R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static const struct method {
    double radius; /* 0: the nearest pixel alone */
    double (*filter)(double x);
} methods[] = {
    [CN_RESIZE_NEAREST] = {0, NULL},
    [CN_RESIZE_BILINEAR] = {1, triangle},
    [CN_RESIZE_BICUBIC] = {2, cubic},
};

/* The pixels of the old axis that make a pixel of the new one. */
typedef struct taps {
    int64_t first, count;
    const float *weights;
} taps;

static taps taps_nearest(int64_t i, int64_t from, int64_t to)
{
    static const float one = 1;
    return (taps){(2 * i + 1) * from / (2 * to), 1, &one};
}

/* `weights` has room for every pixel under the filter. */
static taps taps_filtered(const struct method *m, int64_t i, int64_t from, int64_t to,
                          float *weights)
{
    double scale = (double)from / (double)to, wide = fmax(scale, 1);
    double centre = ((double)i + 0.5) * scale, reach = m->radius * wide;
    int64_t first = cn__max((int64_t)floor(centre - reach + 0.5), 0);
    int64_t end = cn__min((int64_t)floor(centre + reach + 0.5), from);
    double sum = 0;
    for (int64_t j = first; j < end; j++)
        sum += m->filter(((double)j + 0.5 - centre) / wide);
    for (int64_t j = first; j < end; j++)
        weights[j - first] = (float)(m->filter(((double)j + 0.5 - centre) / wide) / sum);
    return (taps){first, end - first, weights};
}

/* in (outer, from, inner) to out (outer, to, inner), zero before. */
typedef struct axis {
    int64_t outer, from, to, inner;
} axis;

static cn_status resample(const struct method *m, const axis *x, const float *in, float *out)
{
    double wide = fmax((double)x->from / (double)x->to, 1);
    float *weights = cn__alloc(((size_t)ceil(m->radius * wide) * 2 + 2) * sizeof *weights);
    if (!weights)
        return CN_ERROR_MEMORY;
    for (int64_t i = 0; i < x->to; i++) {
        taps t = m->filter ? taps_filtered(m, i, x->from, x->to, weights)
                           : taps_nearest(i, x->from, x->to);
        for (int64_t o = 0; o < x->outer; o++) {
            float *to = out + (o * x->to + i) * x->inner;
            for (int64_t j = 0; j < t.count; j++) {
                const float *from = in + (o * x->from + t.first + j) * x->inner;
                for (int64_t k = 0; k < x->inner; k++)
                    to[k] += t.weights[j] * from[k];
            }
        }
    }
    cn__free(weights);
    return CN_OK;
}

/* A copy of `image` with axis 0 or 1 resized to `extent`. */
static cn_array *resize_axis(const cn_array *image, int which, int64_t extent,
                             const struct method *m)
{
    cn_shape shape = *cn_array_shape(image);
    axis x = {
        .outer = which ? shape.dim[0] : 1, .from = shape.dim[which], .to = extent, .inner = 1};
    for (int i = which + 1; i < shape.rank; i++)
        x.inner *= shape.dim[i];
    shape.dim[which] = extent;
    cn_array *resized = cn_array_new(CN_FLOAT32, &shape);
    if (resized && resample(m, &x, cn_array_const_floats(image), cn_array_floats(resized)) == CN_OK)
        return resized;
    cn_array_free(resized);
    return NULL;
}

static cn_status check_resize(const cn_array *image, int64_t height, int64_t width,
                              cn_resize method)
{
    const cn_shape *shape = cn_array_shape(image);
    if (!cn_array_const_floats(image) || (shape->rank != 2 && shape->rank != 3) ||
        cn_array_count(image) == 0) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_image_resize: a picture must be float32 and (height, width) or "
                        "(height, width, channels), not %s %s",
                        cn_array_dtype(image) == CN_FLOAT32 ? "float32" : "int32",
                        cn_shape_text(shape, text, sizeof text));
    }
    if (height < 1 || width < 1 || height > CN__IMAGE_MAX_PIXELS / width)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_image_resize: height and width must be at least 1 and have at most "
                        "%lld pixels, not %lld x %lld",
                        (long long)CN__IMAGE_MAX_PIXELS, (long long)height, (long long)width);
    if ((size_t)method >= CN__COUNT(methods))
        return cn__fail(CN_ERROR_ARGUMENT, "cn_image_resize: there is no method %d", (int)method);
    return CN_OK;
}

/* The axis first whose result is the smaller, to save work and memory. */
cn_array *cn_image_resize(const cn_array *image, int64_t height, int64_t width, cn_resize method)
{
    if (!image)
        return (void)cn__fail_null_argument("cn_image_resize"), NULL;
    if (check_resize(image, height, width, method) != CN_OK)
        return NULL;
    const int64_t *old = cn_array_shape(image)->dim, extents[] = {height, width};
    int first = (double)height * (double)old[1] <= (double)old[0] * (double)width ? 0 : 1;
    cn_array *half = resize_axis(image, first, extents[first], &methods[method]);
    cn_array *resized =
        half ? resize_axis(half, 1 - first, extents[1 - first], &methods[method]) : NULL;
    cn_array_free(half);
    return resized;
}
