/* Shapes of convolutions and transposed convolutions: the conventions that give padding and output
 * extents, the check of a whole descriptor, the adjoint, and the counts. */
#include "base/base.h"
#include "cornu/ops.h"

#include <inttypes.h>
#include <stdio.h>

/* With these bounds no position and no extent computed from them leaves an int64_t:
 * in * stride < 2^60, kernel * dilation <= 2^40. */
#define LIMIT_ELEMENTS ((int64_t)1 << 40)
#define LIMIT_STEP ((int64_t)1 << 20)

/* One spatial axis, with the defaults put in; `span` is the extent of the dilated kernel. */
typedef struct axis {
    int64_t in, kernel, stride, dilation, span;
} axis;

static axis axis_of(const cn_conv *conv, int i)
{
    axis a = {.in = conv->in[i],
              .kernel = conv->kernel[i],
              .stride = conv->stride[i] ? conv->stride[i] : 1,
              .dilation = conv->dilation[i] ? conv->dilation[i] : 1};
    a.span = (a.kernel - 1) * a.dilation + 1;
    return a;
}

static bool rank_is_legal(int rank)
{
    return rank >= 1 && rank <= 3;
}

static const char *operation_name(int rank, bool transposed)
{
    static const char *const names[4][2] = {{"conv", "conv_transpose"},
                                            {"conv1d", "conv1d_transpose"},
                                            {"conv2d", "conv2d_transpose"},
                                            {"conv3d", "conv3d_transpose"}};
    return names[rank_is_legal(rank) ? rank : 0][transposed];
}

static const char *axis_name(int rank, int i)
{
    static const char *const names[3][3] = {
        {"steps"}, {"rows", "columns"}, {"planes", "rows", "columns"}};
    return names[rank - 1][i];
}

static const char *padding_name(cn_padding padding)
{
    static const char *const names[] = {[CN_VALID] = "valid",
                                        [CN_SAME] = "same",
                                        [CN_CAUSAL] = "causal",
                                        [CN_SAME_THEANO] = "same (Theano)"};
    size_t index = (size_t)padding;
    return index < CN__COUNT(names) ? names[index] : "unknown";
}

static cn_status check_range(const char *operation, const char *what, int64_t value, int64_t low,
                             int64_t high)
{
    if (value >= low && value <= high)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: %s must be from %" PRId64 " to %" PRId64 ", but received %" PRId64,
                    operation, what, low, high, value);
}

/* The extents of one axis that exist before padding is known. */
static cn_status check_axis(const cn_conv *conv, bool transposed, int i)
{
    const struct {
        const char *what;
        int64_t value, low, high;
    } rules[] = {
        {"the input's", conv->in[i], 1, LIMIT_ELEMENTS - 1},
        {"the kernel's", conv->kernel[i], 1, LIMIT_STEP},
        {"the stride of the", conv->stride[i] ? conv->stride[i] : 1, 1, LIMIT_STEP},
        {"the dilation of the", conv->dilation[i] ? conv->dilation[i] : 1, 1, LIMIT_STEP},
    };
    for (size_t r = 0; r < CN__COUNT(rules); r++) {
        char what[64];
        (void)snprintf(what, sizeof what, "%s %s", rules[r].what, axis_name(conv->rank, i));
        CN__TRY(check_range(operation_name(conv->rank, transposed), what, rules[r].value,
                            rules[r].low, rules[r].high));
    }
    return CN_OK;
}

/* What the conventions need: a rank, and input, kernel, stride and dilation of every axis. */
static cn_status check_axes(const cn_conv *conv, bool transposed, const char *function)
{
    if (!conv)
        return cn__fail_null_argument(function);
    if (!rank_is_legal(conv->rank))
        return cn__fail(CN_ERROR_SHAPE, "%s: the rank must be 1, 2 or 3, but received %d",
                        operation_name(conv->rank, transposed), conv->rank);
    for (int i = 0; i < conv->rank; i++)
        CN__TRY(check_axis(conv, transposed, i));
    return CN_OK;
}

/* ---- convolution ---- */

static cn_status fail_kernel_too_large(const cn_conv *conv, int i, int64_t available,
                                       const char *advice)
{
    axis a = axis_of(conv, i);
    char smaller[64] = "";
    if (available > 0)
        (void)snprintf(smaller, sizeof smaller, " or a kernel of at most %" PRId64,
                       (available - 1) / a.dilation + 1);
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: the kernel spans %" PRId64 " %s (kernel %" PRId64 ", dilation %" PRId64
                    "), but the input with its padding has %" PRId64 ": use %s%s",
                    operation_name(conv->rank, false), a.span, axis_name(conv->rank, i), a.kernel,
                    a.dilation, available, advice, smaller);
}

/* Keras: compute_conv_output_shape and TensorFlow's SAME, whose odd cell goes to the end. */
static void pad_same(const axis *a, cn_padding padding, int64_t *before, int64_t *out)
{
    *out = cn__ceil_div(a->in, a->stride);
    int64_t total = cn__max((*out - 1) * a->stride + a->span - a->in, 0);
    *before = padding == CN_SAME ? total / 2 : a->span / 2;
}

static cn_status check_padding(const cn_conv *conv, bool transposed, cn_padding padding)
{
    bool causal_is_legal = conv->rank == 1 && !transposed;
    if (padding == CN_VALID || padding == CN_SAME || padding == CN_SAME_THEANO ||
        (padding == CN_CAUSAL && causal_is_legal))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: the padding must be `valid` or `same`%s, but is `%s`",
                    operation_name(conv->rank, transposed), causal_is_legal ? " or `causal`" : "",
                    padding_name(padding));
}

cn_status cn_conv_pad_keras(cn_conv *conv, cn_padding padding)
{
    CN__TRY(check_axes(conv, false, "cn_conv_pad_keras"));
    CN__TRY(check_padding(conv, false, padding));
    for (int i = 0; i < conv->rank; i++) {
        axis a = axis_of(conv, i);
        if (padding == CN_SAME || padding == CN_SAME_THEANO) {
            pad_same(&a, padding, &conv->before[i], &conv->out[i]);
            continue;
        }
        conv->before[i] = padding == CN_CAUSAL ? a.span - 1 : 0;
        int64_t available = a.in + conv->before[i];
        if (available < a.span)
            return fail_kernel_too_large(conv, i, available, "padding `same`");
        conv->out[i] = (available - a.span) / a.stride + 1;
    }
    return CN_OK;
}

static cn_status check_amount(const cn_conv *conv, bool transposed, int i, const char *what,
                              int64_t value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s of the %s", what, axis_name(conv->rank, i));
    return check_range(operation_name(conv->rank, transposed), text, value, 1 - LIMIT_ELEMENTS,
                       LIMIT_ELEMENTS - 1);
}

cn_status cn_conv_pad(cn_conv *conv, const int64_t *before, const int64_t *after)
{
    CN__TRY(check_axes(conv, false, "cn_conv_pad"));
    for (int i = 0; i < conv->rank; i++) {
        axis a = axis_of(conv, i);
        int64_t head = before ? before[i] : 0, tail = after ? after[i] : 0;
        CN__TRY(check_amount(conv, false, i, "the padding before", head));
        CN__TRY(check_amount(conv, false, i, "the padding after", tail));
        int64_t available = a.in + head + tail;
        if (available < a.span)
            return fail_kernel_too_large(conv, i, available, "more padding");
        conv->before[i] = head;
        conv->out[i] = (available - a.span) / a.stride + 1;
    }
    return CN_OK;
}

/* ---- transposed convolution ---- */

/* What is cropped before the first position when `out` positions are kept: the padding of the
 * convolution that maps an image of `out` to the input. */
static int64_t crop_before(const axis *a, cn_padding padding, int64_t out)
{
    if (padding == CN_VALID)
        return 0;
    if (padding == CN_SAME_THEANO)
        return a->span / 2;
    return cn__max((a->in - 1) * a->stride + a->span - out, 0) / 2;
}

/* The output extent of Keras' formula; `extra` is the output padding, -1 for None. */
static int64_t transpose_out(const axis *a, cn_padding padding, int64_t extra)
{
    int64_t last = (a->in - 1) * a->stride;
    if (padding == CN_VALID)
        return last + (extra < 0 ? cn__max(a->span, a->stride) : a->span + extra);
    return last + (extra < 0 ? a->stride : a->span % 2 + extra);
}

/* "0 gives 63, 1 gives 64": the legal output paddings, the ends alone where they are many. `base`
 * is the output without any. */
static void legal_output_paddings(int64_t base, int64_t high, char *text, size_t size)
{
    int64_t step = high <= 3 ? 1 : high;
    const char *separator = high <= 3 ? ", " : " ... ";
    size_t used = 0;
    for (int64_t extra = 0; extra <= high && used < size; extra += step)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64 " gives %" PRId64,
                                 extra ? separator : "", extra, base + extra);
}

static cn_status check_output_padding(const cn_conv *conv, int i, int64_t extra, int64_t high,
                                      int64_t base)
{
    if (extra >= 0 && extra <= high)
        return CN_OK;
    axis a = axis_of(conv, i);
    char legal[160];
    legal_output_paddings(base, high, legal, sizeof legal);
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: output_padding of the %s must be from 0 to %" PRId64
                    " with stride %" PRId64 ", but is %" PRId64 ": %s",
                    operation_name(conv->rank, true), axis_name(conv->rank, i), high, a.stride,
                    extra, legal);
}

cn_status cn_conv_transpose_pad_keras(cn_conv *conv, cn_padding padding,
                                      const int64_t *output_padding)
{
    CN__TRY(check_axes(conv, true, "cn_conv_transpose_pad_keras"));
    CN__TRY(check_padding(conv, true, padding));
    for (int i = 0; i < conv->rank; i++) {
        axis a = axis_of(conv, i);
        if (output_padding)
            CN__TRY(check_output_padding(conv, i, output_padding[i], a.stride - 1,
                                         transpose_out(&a, padding, 0)));
        conv->out[i] = transpose_out(&a, padding, output_padding ? output_padding[i] : -1);
        conv->before[i] = crop_before(&a, padding, conv->out[i]);
        if (conv->out[i] < 1)
            return cn__fail(CN_ERROR_SHAPE,
                            "%s: no %s are left: one input cell, an even kernel (%" PRId64
                            "), padding `%s` and output_padding 0; leave output_padding out",
                            operation_name(conv->rank, true), axis_name(conv->rank, i), a.span,
                            padding_name(padding));
    }
    return CN_OK;
}

cn_status cn_conv_transpose_pad(cn_conv *conv, const int64_t *before, const int64_t *after,
                                const int64_t *output_padding)
{
    CN__TRY(check_axes(conv, true, "cn_conv_transpose_pad"));
    for (int i = 0; i < conv->rank; i++) {
        axis a = axis_of(conv, i);
        int64_t head = before ? before[i] : 0, tail = after ? after[i] : 0;
        int64_t extra = output_padding ? output_padding[i] : 0;
        CN__TRY(check_amount(conv, true, i, "the crop before", head));
        CN__TRY(check_amount(conv, true, i, "the crop after", tail));
        int64_t full = (a.in - 1) * a.stride + a.span;
        /* PyTorch's and ONNX' rule */
        CN__TRY(check_output_padding(conv, i, extra, cn__max(a.stride, a.dilation) - 1,
                                     full - head - tail));
        conv->before[i] = head;
        conv->out[i] = full - head - tail + extra;
        if (conv->out[i] < 1)
            return cn__fail(CN_ERROR_SHAPE,
                            "%s: crops of %" PRId64 " and %" PRId64 " leave nothing of %" PRId64
                            " %s: crop at most %" PRId64 " in all",
                            operation_name(conv->rank, true), head, tail, full + extra,
                            axis_name(conv->rank, i), full + extra - 1);
    }
    return CN_OK;
}

/* The smallest output extent from which a convolution gets back to the input; the stride's other
 * stride - 1 extents follow it. */
static int64_t smallest_out(const axis *a, cn_padding padding)
{
    int64_t single = padding == CN_VALID ? a->span : 1; /* that gives one position */
    if (padding == CN_SAME_THEANO)
        single = a->span % 2; /* span // 2 zeros on both sides */
    return (a->in - 1) * a->stride + single;
}

static bool out_fits(const axis *a, cn_padding padding, int64_t size)
{
    int64_t low = smallest_out(a, padding);
    return size >= low && size < low + a->stride;
}

static cn_status fail_out(const cn_conv *conv, int i, cn_padding padding, int64_t size)
{
    axis a = axis_of(conv, i);
    int64_t low = smallest_out(&a, padding), high = low + a.stride - 1;
    cn_padding other = padding == CN_VALID ? CN_SAME : CN_VALID;
    char fits[64], instead[64] = "";
    if (low == high)
        (void)snprintf(fits, sizeof fits, "%" PRId64 " would fit", low);
    else
        (void)snprintf(fits, sizeof fits, "%" PRId64 " to %" PRId64 " would fit", low, high);
    if (out_fits(&a, other, size))
        (void)snprintf(instead, sizeof instead, ", and %" PRId64 " fits with padding `%s`", size,
                       padding_name(other));
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: an output of %" PRId64 " %s does not fit an input of %" PRId64
                    " with kernel %" PRId64 ", stride %" PRId64 ", dilation %" PRId64
                    " and padding `%s`: %s%s",
                    operation_name(conv->rank, true), size, axis_name(conv->rank, i), a.in,
                    a.kernel, a.stride, a.dilation, padding_name(padding), fits, instead);
}

cn_status cn_conv_transpose_out(cn_conv *conv, cn_padding padding, const int64_t *size)
{
    CN__TRY(check_axes(conv, true, "cn_conv_transpose_out"));
    if (!size)
        return cn__fail_null_argument("cn_conv_transpose_out");
    CN__TRY(check_padding(conv, true, padding));
    for (int i = 0; i < conv->rank; i++) {
        axis a = axis_of(conv, i);
        if (!out_fits(&a, padding, size[i]))
            return fail_out(conv, i, padding, size[i]);
        conv->out[i] = size[i];
        conv->before[i] = crop_before(&a, padding, size[i]);
    }
    return CN_OK;
}

/* ---- check, adjoint, counts ---- */

/* The product of `count` factors, -1 if one is negative or it reaches LIMIT_ELEMENTS. A factor of 0
 * does not excuse the others. */
static int64_t product(const int64_t *factors, int count)
{
    int64_t value = 1;
    bool empty = false;
    for (int i = 0; i < count; i++) {
        if (factors[i] < 0 || factors[i] >= LIMIT_ELEMENTS)
            return -1;
        if (factors[i] == 0)
            empty = true;
        else if (value > (LIMIT_ELEMENTS - 1) / factors[i])
            return -1;
        else
            value *= factors[i];
    }
    return empty ? 0 : value;
}

static int64_t buffer_count(const cn_conv *conv, int64_t channels, const int64_t *extents)
{
    if (!conv || !rank_is_legal(conv->rank))
        return -1;
    int64_t factors[5] = {conv->batch, channels};
    for (int i = 0; i < conv->rank; i++)
        factors[2 + i] = extents[i];
    return product(factors, 2 + conv->rank);
}

static int64_t groups_of(const cn_conv *conv)
{
    return conv->groups ? conv->groups : 1;
}

int64_t cn_conv_in_count(const cn_conv *conv)
{
    return conv ? buffer_count(conv, conv->in_channels, conv->in) : -1;
}

int64_t cn_conv_out_count(const cn_conv *conv)
{
    return conv ? buffer_count(conv, conv->out_channels, conv->out) : -1;
}

int64_t cn_conv_kernel_count(const cn_conv *conv, bool transposed)
{
    if (!conv || !rank_is_legal(conv->rank) || groups_of(conv) < 1)
        return -1;
    /* the channels on the side that is split among the groups */
    int64_t split = transposed ? conv->out_channels : conv->in_channels;
    int64_t whole = transposed ? conv->in_channels : conv->out_channels;
    int64_t factors[5] = {split / groups_of(conv), whole};
    for (int i = 0; i < conv->rank; i++)
        factors[2 + i] = conv->kernel[i];
    return product(factors, 2 + conv->rank);
}

/* Every input cell (transposed) or output cell meets every tap of the kernel once. */
double cn_conv_multiplications(const cn_conv *conv, bool transposed)
{
    if (cn_conv_check(conv, transposed) != CN_OK)
        return -1;
    double cells = (double)conv->batch;
    for (int i = 0; i < conv->rank; i++)
        cells *= (double)(transposed ? conv->in[i] : conv->out[i]);
    return cells * (double)cn_conv_kernel_count(conv, transposed);
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static cn_status check_channels(const cn_conv *conv, const char *operation)
{
    CN__TRY(check_range(operation, "batch", conv->batch, 1, LIMIT_ELEMENTS - 1));
    CN__TRY(check_range(operation, "in_channels", conv->in_channels, 1, LIMIT_ELEMENTS - 1));
    CN__TRY(check_range(operation, "out_channels", conv->out_channels, 1, LIMIT_ELEMENTS - 1));
    CN__TRY(check_range(operation, "groups", groups_of(conv), 1, LIMIT_ELEMENTS - 1));
    int64_t common = greatest_divisor(conv->in_channels, conv->out_channels);
    if (common % groups_of(conv) == 0)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: groups must divide the channels of input and output, but %" PRId64
                    " does not divide both %" PRId64 " and %" PRId64 ": a divisor of %" PRId64
                    " would",
                    operation, groups_of(conv), conv->in_channels, conv->out_channels, common);
}

static cn_status check_counts(const cn_conv *conv, bool transposed, const char *operation)
{
    const struct {
        const char *what;
        int64_t count;
    } buffers[] = {
        {"input", cn_conv_in_count(conv)},
        {"output", cn_conv_out_count(conv)},
        {"kernel", cn_conv_kernel_count(conv, transposed)},
    };
    for (size_t b = 0; b < CN__COUNT(buffers); b++)
        if (buffers[b].count < 0)
            return cn__fail(CN_ERROR_SHAPE, "%s: the %s has 2^40 elements or more", operation,
                            buffers[b].what);
    return CN_OK;
}

cn_status cn_conv_check(const cn_conv *conv, bool transposed)
{
    CN__TRY(check_axes(conv, transposed, "cn_conv_check"));
    const char *operation = operation_name(conv->rank, transposed);
    CN__TRY(check_channels(conv, operation));
    if (conv->most_scratch < 0)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "%s: most_scratch must be a number of bytes, or 0 for 128 MiB, not %" PRId64, operation,
            conv->most_scratch);
    for (int i = 0; i < conv->rank; i++) {
        char what[64];
        CN__TRY(check_amount(conv, transposed, i,
                             transposed ? "the crop before" : "the padding before",
                             conv->before[i]));
        (void)snprintf(what, sizeof what, "the output's %s", axis_name(conv->rank, i));
        CN__TRY(check_range(operation, what, conv->out[i], 1, LIMIT_ELEMENTS - 1));
    }
    return check_counts(conv, transposed, operation);
}

cn_conv cn_conv_adjoint(const cn_conv *conv)
{
    cn_conv adjoint = *conv;
    adjoint.in_channels = conv->out_channels;
    adjoint.out_channels = conv->in_channels;
    for (int i = 0; i < 3; i++) {
        adjoint.in[i] = conv->out[i];
        adjoint.out[i] = conv->in[i];
    }
    return adjoint;
}
