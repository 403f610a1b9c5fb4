/* Keras 1's K.deconv2d on arrays. Most of this file are its messages: what is easily got wrong here
 * is which axes a kernel has, and which outputs an input can have. */
#include "inspect/inspect.h"

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 200, MOST = 1 << 20 /* of a stride */ };

/* The places of the axes in one data format. */
typedef struct layout {
    int channels, rows;                                 /* of an image; cols follow rows */
    int out, in, kernel_rows;                           /* of a kernel */
    const char *name, *image, *kernel_axes, *kernel[4]; /* for messages */
} layout;

static const layout layouts[] = {
    {3,
     1,
     2,
     3,
     0,
     "CN_CHANNELS_LAST",
     "(batch, rows, cols, channels)",
     "(rows, cols, out, in)",
     {"rows", "cols", "out", "in"}},
    {1,
     2,
     0,
     1,
     2,
     "CN_CHANNELS_FIRST",
     "(batch, channels, rows, cols)",
     "(out, in, rows, cols)",
     {"out", "in", "rows", "cols"}},
};

typedef struct call {
    const cn_array *x, *kernel;
    cn_deconv2d_options o;
    const layout *l;
    char x_text[TEXT], kernel_text[TEXT];
    cn_conv conv;
} call;

static int64_t x_dim(const call *c, int axis)
{
    return cn_array_shape(c->x)->dim[axis];
}

static int64_t kernel_dim(const call *c, int axis)
{
    return cn_array_shape(c->kernel)->dim[axis];
}

static const char *padding_name(cn_padding padding)
{
    static const char *const names[] = {"CN_VALID", "CN_SAME", "CN_CAUSAL", "CN_SAME_THEANO"};
    return names[padding];
}

/* ---- what x and the kernel are ---- */

static cn_status check_array(const char *what, const cn_array *array, const char *axes)
{
    const cn_shape *shape = cn_array_shape(array);
    char text[TEXT];
    cn_shape_text(shape, text, sizeof text);
    if (!cn_array_const_floats(array))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "conv2d_transpose: the %s %s holds int32 numbers: float32 is needed", what,
                        text);
    if (shape->rank != 4)
        return cn__fail(CN_ERROR_SHAPE,
                        "conv2d_transpose: the %s has 4 axes %s, but %s has %d: reshape it", what,
                        axes, text, shape->rank);
    for (int i = 0; i < 4; i++)
        if (shape->dim[i] < 1)
            return cn__fail(CN_ERROR_SHAPE, "conv2d_transpose: the %s %s is empty", what, text);
    return CN_OK;
}

static cn_status check_options(const cn_deconv2d_options *o)
{
    if (o->padding != CN_VALID && o->padding != CN_SAME && o->padding != CN_SAME_THEANO)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "conv2d_transpose: padding must be CN_VALID, CN_SAME or CN_SAME_THEANO, but "
            "is %d",
            (int)o->padding);
    if (o->strides[0] < 0 || o->strides[1] < 0 || o->strides[0] > MOST || o->strides[1] > MOST)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "conv2d_transpose: strides must be small positive numbers, but are {%" PRId64
            ", %" PRId64 "}: {1, 1} is the default, {2, 2} doubles the image",
            o->strides[0], o->strides[1]);
    return CN_OK;
}

/* "(out=32, in=3, rows=3, cols=3)" */
static const char *kernel_reading(const call *c, char *text)
{
    size_t used = 0;
    for (int i = 0; i < 4; i++)
        used += (size_t)snprintf(text + used, TEXT - used, "%s%s=%" PRId64, i ? ", " : "(",
                                 c->l->kernel[i], kernel_dim(c, i));
    (void)snprintf(text + used, TEXT - used, ")");
    return text;
}

/* Appends what would work to the message that the channels do not fit. */
static void advise_on_channels(const call *c, char *text, size_t size)
{
    const layout *other = &layouts[c->l == layouts];
    cn_shape kernel = *cn_array_shape(c->kernel);
    char fits[TEXT];
    int64_t channels = x_dim(c, c->l->channels);
    if (kernel.dim[c->l->out] == channels) {
        kernel.dim[c->l->out] = kernel.dim[c->l->in];
        kernel.dim[c->l->in] = channels;
        (void)snprintf(
            text, size,
            "A convolution's own kernel has these axes the other way round: transpose it "
            "to %s, or use cn_conv2d_transpose_of(layer).",
            cn_shape_text(&kernel, fits, sizeof fits));
        return;
    }
    if (kernel.dim[other->in] == x_dim(c, other->channels)) {
        (void)snprintf(text, size, "They fit if they are read as %s: set .data_format = %s.",
                       other->image, other->name);
        return;
    }
    kernel.dim[c->l->in] = channels;
    (void)snprintf(
        text, size,
        "The axis `in` must be the input's channels: a kernel %s would fit; if the input's "
        "channels are another axis, set .data_format = %s.",
        cn_shape_text(&kernel, fits, sizeof fits), other->name);
}

static cn_status check_channels(const call *c)
{
    int64_t channels = x_dim(c, c->l->channels), takes = kernel_dim(c, c->l->in);
    char reading[TEXT], advice[2 * TEXT];
    if (channels == takes)
        return CN_OK;
    advise_on_channels(c, advice, sizeof advice);
    return cn__fail(CN_ERROR_SHAPE,
                    "conv2d_transpose: the input %s has %" PRId64
                    " channels, but the kernel %s, read as %s, takes %" PRId64 ". %s",
                    c->x_text, channels, c->kernel_text, kernel_reading(c, reading), takes, advice);
}

/* ---- what the output may be ---- */

/* The output's shape with these rows and columns. */
static cn_shape output_shape(const call *c, int64_t rows, int64_t cols)
{
    cn_shape shape = {.rank = 4, .dim = {x_dim(c, 0)}};
    shape.dim[c->l->channels] = c->conv.out_channels;
    shape.dim[c->l->rows] = rows;
    shape.dim[c->l->rows + 1] = cols;
    return shape;
}

/* "{9, 3, 32, 32}", to be written into a program. */
static const char *braces(cn_shape shape, char *text)
{
    cn_shape_text(&shape, text, TEXT);
    text[0] = '{';
    text[strlen(text) - 1] = '}';
    return text;
}

/* The smallest output extent that a convolution with this padding maps to the input's; stride - 1
 * larger ones do so too. */
static int64_t smallest(const call *c, cn_padding padding, int axis)
{
    int64_t last = (c->conv.in[axis] - 1) * c->conv.stride[axis];
    return last + (padding == CN_VALID ? c->conv.kernel[axis] : 1);
}

static bool fits(const call *c, cn_padding padding, const int64_t *size)
{
    for (int i = 0; i < 2; i++) {
        int64_t low = smallest(c, padding, i);
        if (size[i] < low || size[i] >= low + c->conv.stride[i])
            return false;
    }
    return true;
}

/* "34 x 34", "63 to 64 x 63 to 64" */
static const char *sizes(const call *c, cn_padding padding, char *text)
{
    char axis[2][64];
    for (int i = 0; i < 2; i++) {
        int64_t low = smallest(c, padding, i), high = low + c->conv.stride[i] - 1;
        if (low == high)
            (void)snprintf(axis[i], sizeof axis[i], "%" PRId64, low);
        else
            (void)snprintf(axis[i], sizeof axis[i], "%" PRId64 " to %" PRId64, low, high);
    }
    (void)snprintf(text, TEXT, "%s x %s", axis[0], axis[1]);
    return text;
}

static cn_status check_batch(const call *c, const cn_shape *asked)
{
    char text[TEXT], right[TEXT];
    if (asked->dim[0] == 0 || asked->dim[0] == x_dim(c, 0))
        return CN_OK;
    cn_shape would = *asked;
    would.dim[0] = x_dim(c, 0);
    return cn__fail(CN_ERROR_SHAPE,
                    "conv2d_transpose: output_shape %s asks for a batch of %" PRId64
                    ", but the input %s has a batch of %" PRId64
                    ", which stays as it is: use .output_shape = %s, or 0 for the batch.",
                    cn_shape_text(asked, text, sizeof text), asked->dim[0], c->x_text, x_dim(c, 0),
                    braces(would, right));
}

static cn_status check_out_channels(const call *c, const cn_shape *asked)
{
    char text[TEXT], reading[TEXT], right[TEXT];
    int64_t channels = asked->dim[c->l->channels];
    if (channels == c->conv.out_channels)
        return CN_OK;
    cn_shape would = *asked;
    would.dim[0] = x_dim(c, 0);
    would.dim[c->l->channels] = c->conv.out_channels;
    return cn__fail(CN_ERROR_SHAPE,
                    "conv2d_transpose: output_shape %s, read as %s, asks for %" PRId64
                    " channels, but the kernel %s, read as %s, gives %" PRId64
                    ": use .output_shape = %s, or a kernel with out=%" PRId64 ".",
                    cn_shape_text(asked, text, sizeof text), c->l->image, channels, c->kernel_text,
                    kernel_reading(c, reading), c->conv.out_channels, braces(would, right),
                    channels);
}

static cn_status fail_size(const call *c, const int64_t *size)
{
    cn_padding padding = c->o.padding, other = padding == CN_VALID ? CN_SAME : CN_VALID;
    char own[TEXT], others[TEXT], right[TEXT], numbers[TEXT];
    cn_shape would = output_shape(c, smallest(c, padding, 0), smallest(c, padding, 1));
    if (fits(c, other, size))
        (void)snprintf(right, sizeof right, ".padding = %s", padding_name(other));
    else
        (void)snprintf(right, sizeof right, ".output_shape = %s", braces(would, numbers));
    return cn__fail(CN_ERROR_SHAPE,
                    "conv2d_transpose: an output of %" PRId64 " x %" PRId64
                    " does not fit an input of %" PRId64 " x %" PRId64 " with a kernel of %" PRId64
                    " x %" PRId64 ", strides %" PRId64 " x %" PRId64
                    " and padding %s, which gives %s; %s gives %s: use %s.",
                    size[0], size[1], c->conv.in[0], c->conv.in[1], c->conv.kernel[0],
                    c->conv.kernel[1], c->conv.stride[0], c->conv.stride[1], padding_name(padding),
                    sizes(c, padding, own), padding_name(other), sizes(c, other, others), right);
}

static bool none_given(const int64_t *numbers)
{
    return numbers[0] == 0 && numbers[1] == 0 && numbers[2] == 0 && numbers[3] == 0;
}

static cn_status find_output(call *c)
{
    cn_shape asked = {.rank = 4};
    memcpy(asked.dim, c->o.output_shape, sizeof c->o.output_shape);
    if (none_given(asked.dim))
        return cn_conv_transpose_pad_keras(&c->conv, c->o.padding, NULL);
    CN__TRY(check_batch(c, &asked));
    CN__TRY(check_out_channels(c, &asked));
    const int64_t *size = &asked.dim[c->l->rows];
    return fits(c, c->o.padding, size) ? cn_conv_transpose_out(&c->conv, c->o.padding, size)
                                       : fail_size(c, size);
}

static cn_status prepare(call *c)
{
    const layout *l = c->l;
    CN__TRY(check_array("input", c->x, l->image));
    CN__TRY(check_array("kernel", c->kernel, l->kernel_axes));
    CN__TRY(check_options(&c->o));
    cn_shape_text(cn_array_shape(c->x), c->x_text, sizeof c->x_text);
    cn_shape_text(cn_array_shape(c->kernel), c->kernel_text, sizeof c->kernel_text);
    CN__TRY(check_channels(c));
    c->conv = (cn_conv){.rank = 2,
                        .batch = x_dim(c, 0),
                        .in_channels = x_dim(c, l->channels),
                        .out_channels = kernel_dim(c, l->out)};
    for (int i = 0; i < 2; i++) {
        c->conv.in[i] = x_dim(c, l->rows + i);
        c->conv.kernel[i] = kernel_dim(c, l->kernel_rows + i);
        c->conv.stride[i] = cn__max(c->o.strides[i], 1);
    }
    CN__TRY(find_output(c));
    return cn_conv_check(&c->conv, true);
}

/* ---- computing ---- */

/* The kernel as (rows, cols, out, in), flipped if that is asked for; to be freed with cn__free. */
static float *kernel_of(const call *c)
{
    const cn_conv *conv = &c->conv;
    int64_t rows = conv->kernel[0], cols = conv->kernel[1];
    int64_t out = conv->out_channels, in = conv->in_channels;
    const float *from = cn_array_const_floats(c->kernel);
    float *kernel = cn__alloc((size_t)cn_array_count(c->kernel) * sizeof *kernel), *to = kernel;
    bool first = c->l->out == 0;
    int64_t step = first ? rows * cols : 1; /* between channels `in` */
    for (int64_t tap = 0; kernel && tap < rows * cols; tap++)
        for (int64_t o = 0; o < out; o++) {
            /* reversing rows and columns reverses the taps */
            int64_t place = c->o.flip_kernel ? rows * cols - 1 - tap : tap;
            const float *values = from + (first ? o * in * step + place : (place * out + o) * in);
            for (int64_t i = 0; i < in; i++)
                *to++ = values[i * step];
        }
    return kernel;
}

static cn_array *run(const call *c)
{
    const cn_conv *conv = &c->conv;
    cn_shape shape = cn_shape_of(conv->batch, conv->out[0], conv->out[1], conv->out_channels);
    float *kernel = kernel_of(c);
    cn_array *x = cn__array_channels_last(c->x, c->o.data_format);
    cn_array *y = cn_array_new(CN_FLOAT32, &shape), *result = NULL;
    if (kernel && x && y &&
        cn_conv_transpose_f32(conv, cn_array_const_floats(x), kernel, NULL, cn_array_floats(y),
                              c->o.pool) == CN_OK)
        result = cn__array_from_channels_last(y, c->o.data_format);
    cn__free(kernel);
    cn_array_free(x);
    cn_array_free(y);
    return result;
}

cn_array *cn_deconv2d(const cn_array *x, const cn_array *kernel, const cn_deconv2d_options *options)
{
    if (!x || !kernel)
        return (void)cn__fail_null_argument("cn_deconv2d"), NULL;
    call c = {.x = x, .kernel = kernel};
    if (options)
        c.o = *options;
    c.l = &layouts[c.o.data_format == CN_CHANNELS_FIRST];
    return prepare(&c) == CN_OK ? run(&c) : NULL;
}
